"""Goals of a run on a GPU: which are met, which are missed, and which nobody timed."""

from benchmarks.gpu_goals import as_json, table, verdicts

CEILING = 100.0


def row(case, moved=0, core=1.0, **peers):
    return {"case": case, "bytes": moved, "core": core, **peers}


def met(*rows):
    return [one.met for one in verdicts(rows, CEILING, {"step"})]


def test_what_memory_bounds_is_to_reach_nine_tenths_of_a_copy():
    assert met(row("sum", 90), row("sum", 89), row("sum", 91, core=None)) == [True, False, None]
    (one,) = verdicts([row("sum", 45, core=0.5)], CEILING, ())
    assert (one.goal, one.got) == ("90 % of a copy", "90 %")


def test_training_steps_are_to_be_ahead_of_both_compilers():
    assert met(row("step", compile=1.1, jax=0.9)) == [True, False]
    assert met(row("step", compile=None)) == [None, None]
    assert met(row("step", core=None, compile=1.0, jax=1.0)) == [None, None]


def test_what_arithmetic_bounds_has_no_goal():
    assert met(row("product", torch=0.1)) == []


def test_the_table_names_each_goal_and_counts_them():
    text = table(verdicts([row("sum", 90), row("step", compile=0.5, jax=None)], CEILING, {"step"}))
    assert text.splitlines()[-1] == "goals: 1 met, 1 missed, 1 not timed"
    assert "ahead of torch.compile" in text and "MISSED" in text
    assert as_json(verdicts([row("sum", 90)], CEILING, ()))[0]["met"] is True
