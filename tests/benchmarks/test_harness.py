"""The harness itself: medians, workers that crash or hang, goals, tables, the command line."""

import json
import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import __main__ as command
from benchmarks import goals, report, rounds, statistics, threads, workloads
from benchmarks.folders import cache_variables
from benchmarks.machine import Others, facts
from benchmarks.peers.base import Run, Unsupported
from benchmarks.processes import Worker, environment
from benchmarks.worker import Worker as Inside
from benchmarks.worker import answer

# --- statistics -------------------------------------------------------------------------------------------------------


def test_a_median_is_the_middle_or_the_mean_of_two():
    assert statistics.median([3, 1, 2]) == 2
    assert statistics.median([4, 1, 2, 3]) == 2.5
    with pytest.raises(ValueError, match="median of nothing"):
        statistics.median([])


def test_a_ratio_is_taken_within_rounds_so_that_a_slow_second_does_not_count():
    ours, theirs = [1.0, 10.0, 1.0, 3.0], [2.0, 20.0, 2.0, None]
    assert statistics.ratio(ours, theirs) == 0.5
    assert statistics.ratio([1.0, None], [None, 1.0]) is None


def test_the_best_peer_has_the_smallest_median():
    assert statistics.best({"a": [1.0, 9.0, 9.0], "b": [2.0, 2.0, None]}) == "b"
    assert statistics.best({}) is None


def test_ratios_have_a_geometric_mean():
    assert statistics.geometric_mean([0.5, 2.0]) == pytest.approx(1.0)
    assert statistics.geometric_mean([]) is None


# --- one worker -------------------------------------------------------------------------------------------------------


def peer(build):
    """A peer's module."""
    return SimpleNamespace(version=lambda variant: "1", build=build)


def ready(run):
    """A worker with a workload."""
    worker = Inside("numpy", 1)
    worker.run = run
    return worker


def test_a_worker_times_the_calls_it_was_asked_for():
    calls = []
    worker = ready(Run(calls.append, [1], lambda out: []))
    assert answer(worker, {"do": "measure", "calls": 5})["seconds"] > 0
    assert len(calls) == 1 + 5


def test_a_worker_waits_for_results_that_come_later():
    waited = []
    worker = ready(Run(lambda: "later", [], lambda out: [], wait=waited.append))
    answer(worker, {"do": "measure", "calls": 3})
    assert waited == ["later"] * 4


def test_a_worker_leaves_the_loop_to_who_has_one():
    counts = []
    worker = ready(Run(lambda n: None, [1], lambda out: [], loop=counts.append))
    answer(worker, {"do": "measure", "calls": 7})
    assert counts == [1, 7]


@pytest.mark.parametrize("call_s, calls", [(2.0**-20, 2048), (2.0**-10, 2), (1.0, 1)])
def test_calibration_makes_short_calls_many_and_long_calls_one(call_s, calls):
    """By a clock that the calls themselves put on."""
    now = [0.0]
    worker = ready(Run(lambda: now.__setitem__(0, now[0] + call_s), [], list))
    worker.clock = lambda: now[0]
    assert answer(worker, {"do": "calibrate", "round_s": 2.0**-9}) == {
        "status": "ok",
        "calls": calls,
        "seconds": call_s,
    }


def test_whatever_goes_wrong_is_part_of_the_answer():
    def refuse(*args, **named):
        raise Unsupported("no loops")

    request = {"do": "prepare", "workload": workloads.CASES[0].name, "folder": "nowhere"}
    for build, status, why in [
        (refuse, "unsupported", "no loops"),
        (lambda *a, **n: 1 / 0, "failed", "ZeroDivisionError"),
    ]:
        worker = Inside("numpy", 1)
        worker.module = peer(build)
        said = answer(worker, dict(request))
        assert said["status"] == status and why in said["why"]


PEAK = """
import numpy as np
from benchmarks.memory import peak_of
print(peak_of(lambda: np.ones(32 * 2**20).sum()))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the high-water mark is Linux's")
def test_peak_memory_sees_what_a_call_holds_for_a_while():
    """In a process in which nothing else comes and goes."""
    done = subprocess.run(
        [sys.executable, "-c", PEAK], env=environment(1, {}), capture_output=True, text=True, check=True
    )
    peak = done.stdout
    if peak == "None\n":
        pytest.skip("the system does not let the mark be set back")
    assert 0.9 < int(peak) / (8 * 32 * 2**20) < 1.1


# --- processes --------------------------------------------------------------------------------------------------------

pytestmark = pytest.mark.skipif(os.name != "posix", reason="workers are ended by signals to their group")


@pytest.fixture
def start(tmp_path):
    started = []

    def one(name):
        variables = environment(1, {**cache_variables(tmp_path), "CORE_BENCHMARKS_CACHE": str(tmp_path)})
        worker = Worker(name, 1, variables, tmp_path / "log")
        started.append(worker)
        worker.start(None)
        return worker

    yield one
    for worker in started:
        worker.stop()


def test_a_worker_prepares_a_workload_and_hands_its_results_over(start, tmp_path):
    worker, case = start("numpy"), workloads.BY_NAME["call_5_in_3_out forward float64 10"]
    assert worker.hello["version"] == np.__version__
    assert worker.ask("prepare", 600, workload=case.name, folder=str(tmp_path))["results"] == 3
    assert case.mismatch([np.load(tmp_path / f"{k}.npy") for k in range(3)], case.reference()) is None
    assert worker.ask("measure", 600, calls=10)["seconds"] > 0


def test_a_worker_that_crashes_is_reported_and_can_be_started_again(start):
    worker = start("numpy")
    os.kill(worker.pid, signal.SIGSEGV)
    said = worker.ask("release", 600)
    assert said["status"] == "failed" and "SIGSEGV" in said["why"]
    assert worker.ask("release", 600)["why"] == "its process has ended"
    worker.start(None)
    assert worker.ask("release", 600)["status"] == "ok"


def test_a_worker_that_takes_too_long_is_ended(start):
    worker = start("numpy")
    os.kill(worker.pid, signal.SIGSTOP)
    assert worker.ask("release", 0.2) == {"status": "too slow", "why": "release took more than 0 s"}
    assert not worker.alive


def test_a_row_tells_of_each_peer_what_it_needed_or_why_it_has_no_figure(start):
    case = workloads.BY_NAME["call_5_in_3_out forward float64 10"]
    quick = rounds.Settings(rounds=3, fewest=3, round_s=0.001)
    row = rounds.run(case, [start("numpy"), start("numexpr")], quick, None, lambda text: None)
    assert len(row["peers"]["numpy"]["rounds"]) == 3
    assert row["peers"]["numexpr"]["status"] in ("unsupported", "absent")
    assert row["output_bytes"] == 3 * 10 * 8


def test_a_wrong_result_is_never_timed(start, monkeypatch):
    case = workloads.BY_NAME["call_1_in_1_out forward float64 10"]
    right = case.reference()
    monkeypatch.setattr(type(case), "reference", lambda self: [right[0] + 1e-3])
    row = rounds.run(case, [start("numpy")], rounds.Settings(), None, lambda text: None)
    assert row["peers"]["numpy"]["status"] == "wrong" and "rounds" not in row["peers"]["numpy"]


def test_threads_are_fixed_for_every_library():
    variables = environment(2, {"PYTENSOR_FLAGS": "base_compiledir=/tmp/x"})
    assert {variables[name] for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "CORE_NUM_THREADS")} == {"2"}
    assert variables["PYTENSOR_FLAGS"] == "base_compiledir=/tmp/x,openmp=True"


def test_the_machine_is_described_and_what_others_use_is_a_number_of_cores():
    assert facts()["cores"] >= 1
    assert Others([os.getppid()]).cores() >= 0


# --- goals and tables -------------------------------------------------------------------------------------------------


def row(trait="rows", core=(1.0, 1.0), size=(10,), dtype="float64", **others):
    """A row in which everybody has these seconds in each round."""
    peers = {"core": {"status": "ok", "rounds": list(core), "peak_bytes": 8 * 2**20}}
    for name, times in others.items():
        name = name.replace("_", "-")
        peers[name] = {"status": "ok", "rounds": list(times), "peak_bytes": 4 * 2**20}
    return {"name": f"a {trait}", "trait": trait, "dtype": dtype, "size": list(size), "peers": peers}


def test_goals_depend_on_the_kind_the_dtype_and_the_size():
    assert [g.ratio for g in goals.goals("cheap", size=(100,))] == [1.0]
    assert [g.ratio for g in goals.goals("cheap", size=(10**7,))] == [0.5]
    assert [g.ratio for g in goals.goals("transcendental", "float64")] == [0.5]
    assert [(g.against, g.ratio) for g in goals.goals("call")] == [(("numba",), 0.2), (("jax",), 0.02)]


def test_memory_is_not_compared_with_a_library_whose_memory_cannot_be_seen():
    seen, unseen = row(numba=[2.0, 2.0]), row(jax=[2.0, 2.0], numba=[2.0, 2.0])
    unseen["peers"]["jax"]["peak_bytes"] = 0
    assert report.verdict(seen, known=[]).memory_over_best == report.verdict(unseen, known=[]).memory_over_best == 2.0


def test_every_workload_has_a_goal():
    assert all(goals.goals(case.trait, case.dtype, case.size) for case in workloads.CASES)


def test_a_verdict_names_the_best_peer_and_says_whether_the_goal_is_met():
    made = report.verdict(row(jax=[2.0, 2.0], numba=[4.0, 4.0], c=[0.5, 0.5]), known=[])
    assert (made.best, made.over_best, made.over_c) == ("jax", 0.5, 2.0)
    assert [met for _, _, met in made.goals] == [True]
    assert made.memory_over_best == 2.0
    assert made.over_c_missed and made.missed


def test_a_missed_goal_brings_its_reason():
    known = [{"rows": "a rows*", "why": "the exponential is computed twice"}]
    made = report.verdict(row(jax=[0.5, 0.5]), known)
    assert made.goals[0][2] is False and made.why == "the exponential is computed twice"
    assert report.verdict(row(jax=[9.0, 9.0]), known).why == ""


def test_a_goal_over_one_peer_takes_that_peer():
    made = report.verdict(row("warm start", pytensor_numba=[20.0], pytensor_c=[40.0], jax=[0.1], core=[1.0]), known=[])
    assert [(got, met) for _, got, met in made.goals] == [(0.05, True)]


def test_a_goal_is_missed_where_only_others_have_a_figure():
    broken = row(jax=[2.0, 2.0])
    broken["peers"]["core"] = {"status": "wrong", "why": "result 0 is off"}
    assert [met for _, _, met in report.verdict(broken, known=[]).goals] == [False]


def test_c_by_hand_is_no_limit_for_calls_that_take_next_to_no_time():
    assert not report.verdict(row(core=[1e-6], jax=[1.0], c=[1e-7]), known=[]).over_c_missed


def test_who_has_no_figure_is_said_and_never_hidden():
    broken = row(jax=[2.0, 2.0])
    broken["peers"]["numba"] = {"status": "failed", "why": "its process ended"}
    broken["peers"]["numexpr"] = {"status": "unsupported", "why": "no"}
    results = {"rows": [broken], "machine": facts(), "versions": {}, "started": "now"}
    results["settings"] = {"threads": 1, "clock": "wall"}
    text = report.markdown(results)
    assert "- numba: failed: its process ended (a rows)" in text
    assert "numexpr: unsupported" not in text


def test_a_markdown_table_has_one_width():
    results = {
        "rows": [row(jax=[2.0, 2.0], c=[1.0, 1.0])],
        "machine": facts(),
        "versions": {"jax": "1"},
        "started": "now",
    }
    results["settings"] = {"threads": 1, "clock": "cpu"}
    lines = [line for line in report.markdown(results).splitlines() if line.startswith("|")]
    widths = {line.count("|") for line in lines}
    assert len(widths) == 3  # one for each of the tables
    assert any("| 0.50 | 1.00 |" in line for line in lines)


@pytest.mark.parametrize(
    "seconds, text", [(1.5, "1.5 s"), (0.0123, "12.3 ms"), (4.56e-6, "4.56 µs"), (9.87e-8, "98.7 ns"), (None, "-")]
)
def test_times_have_three_digits_and_a_unit(seconds, text):
    assert report.time_text(seconds) == text


def test_a_line_of_threads_says_how_much_faster_several_are_and_who_is_best_of_others():
    line = row(core=(1.0, 1.0), numba=(2.0, 2.0), jax=(4.0, 4.0)) | {"one_thread": {"rounds": [1.5, 1.5]}}
    assert threads.cells(line) == ("a rows", "1.5 s", "1 s", "1.50", "numba", "2 s", "0.50")
    line["one_thread"] = {"status": "too slow", "why": "it took long"}
    assert threads.cells(line)[1:4] == ("-", "1 s", "-")


def test_workloads_for_threads_are_there():
    assert set(threads.WORKLOADS) <= set(workloads.BY_NAME)


def test_notes_can_be_read_and_speak_of_rows():
    assert all({"rows", "why"} == set(note) for note in goals.notes())


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command_names_its_workloads(capsys):
    assert command.main(["--quick", "--list"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert "mlp step float64 60x784x500x10" in shown and "import" in shown


def test_the_command_refuses_a_peer_that_there_is_not(capsys):
    assert command.main(["--peers", "core,fortran"]) == 2
    assert "no such peer: fortran" in capsys.readouterr().err


def test_a_run_is_saved_resumed_and_drawn(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("CORE_BENCHMARKS_CACHE", str(tmp_path))
    saved, table = tmp_path / "run.json", tmp_path / "run.md"
    asked = ["--quick", "--no-starts", "--only", "call_1*", "--peers", "core,numpy", "--json", str(saved)]
    assert command.main([*asked, "--markdown", str(table)]) == 0
    first = json.loads(saved.read_text())
    assert [one["name"] for one in first["rows"]] == ["call_1_in_1_out forward float64 10"]
    assert "call_1_in_1_out" in table.read_text()
    assert command.main([*asked, "--resume", "--markdown", str(table)]) == 0
    assert json.loads(saved.read_text())["rows"] == first["rows"]
    pytest.importorskip("matplotlib")
    plot = tmp_path / "run.svg"
    assert command.main(["--render", str(saved), "--markdown", str(table), "--plot", str(plot)]) == 0
    assert plot.read_text().startswith("<?xml")
