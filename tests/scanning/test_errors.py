"""What scan says of what cannot be."""

import numpy as np
import pytest

import core
import core.tensor as ct
from core.errors import ArgumentError, DTypeError, ShapeError


def refused(kind, match, *args, **options):
    with pytest.raises(kind, match=match) as caught:
        core.scan(*args, **options)
    return str(caught.value)


def test_neither_n_steps_nor_sequences():
    refused(ArgumentError, "scan needs n_steps or a sequence", lambda h: h, outputs_info=0.0)


def test_a_negative_number_of_steps():
    refused(ShapeError, "not negative, got n_steps=-1", lambda h: h, outputs_info=0.0, n_steps=-1)


def test_a_number_of_steps_that_turns_out_negative():
    n = ct.lscalar("n")
    f = core.function([n], core.scan(lambda h: h + 1, outputs_info=0.0, n_steps=n), backend="interpreter")
    with pytest.raises(ShapeError, match="needs a number of steps that is not negative, got -2"):
        f(-2)


def test_a_state_whose_dtype_changes_names_the_line_that_changed_it():
    h = ct.fscalar("h")
    said = refused(
        DTypeError, "needs dtype float32.*got .* of float64", lambda h: h * np.float64(2), outputs_info=h, n_steps=2
    )
    assert "test_errors.py" in said


def test_a_state_whose_ndim_changes():
    h = ct.scalar("h")
    refused(ShapeError, "needs ndim=0.*got .* with ndim=1", lambda h: ct.stack([h, h]), outputs_info=h, n_steps=2)


def test_a_state_whose_known_length_changes():
    h = ct.tensor("h", dtype="float64", shape=(3,))
    refused(ShapeError, r"needs shape \(3,\)", lambda h: ct.concatenate([h, h]), outputs_info=h, n_steps=2)


def test_a_state_whose_length_changes_when_it_runs():
    h = ct.vector("h")
    made = core.scan(lambda h: ct.concatenate([h, h]), outputs_info=h, n_steps=2)
    with pytest.raises(ShapeError):
        core.function([h], made, backend="interpreter")([1.0])


def test_fewer_rows_than_n_steps_when_it_runs():
    a, n = ct.vector("a"), ct.lscalar("n")
    f = core.function(
        [a, n], core.scan(lambda a, h: a * h, sequences=a, outputs_info=1.0, n_steps=n), backend="interpreter"
    )
    with pytest.raises(ShapeError, match="needs 4 rows of the sequence .*, got 3"):
        f(np.ones(3), 4)


@pytest.mark.parametrize("fn", [lambda x: x, lambda x, h, w, more: x])
def test_a_function_of_another_number_of_arguments_is_told_which_it_gets(fn):
    x, h, w = ct.vector("x"), ct.scalar("h"), ct.scalar("w")
    said = refused(ArgumentError, "scan calls fn with 3 arguments", fn, x, h, w)
    assert "x[t], h[t-1], w" in said


def test_fewer_rows_than_n_steps():
    a = ct.tensor("a", dtype="float64", shape=(3,))
    refused(ShapeError, "needs 5 steps of each sequence, but a has 3", lambda a: a, sequences=a, n_steps=5)


@pytest.mark.parametrize("found, count", [(lambda h: [h, h], 2), (lambda h: [], 0)])
def test_another_number_of_outputs(found, count):
    refused(ArgumentError, f"needs to return 1 outputs.*got {count}", found, outputs_info=[0.0], n_steps=2)


def test_fewer_initial_rows_than_taps():
    start = ct.constant(np.zeros(1))
    info = {"initial": start, "taps": [-2, -1]}
    refused(ShapeError, "needs 2 initial rows", lambda a, b: a + b, outputs_info=info, n_steps=2)


def test_fewer_initial_rows_than_taps_when_it_runs():
    start = ct.vector("start")
    made = core.scan(lambda a, b: a + b, outputs_info={"initial": start, "taps": [-2, -1]}, n_steps=2)
    with pytest.raises(ShapeError, match="needs 2 initial rows"):
        core.function([start], made, backend="interpreter")([1.0])


def test_taps_that_read_what_is_not_there_yet():
    info = {"initial": ct.vector("x"), "taps": [-1, 0]}
    refused(ArgumentError, "needs negative taps", lambda a, b: a, outputs_info=info, n_steps=2)


def test_a_misspelt_key():
    refused(ArgumentError, "Did you mean 'initial'", lambda a: a, outputs_info={"intial": 0.0}, n_steps=2)


def test_a_dictionary_of_updates():
    w = core.shared(0.0)
    refused(ArgumentError, "scan has no updates", lambda h: (h, {w: w + 1}), outputs_info=0.0, n_steps=2)


def test_a_scalar_as_sequence():
    refused(ShapeError, "needs an axis of steps, got the scalar x", lambda a: a, sequences=ct.scalar("x"))


def test_strict_wants_all_that_is_read_among_the_arguments():
    w = core.shared(1.0, name="w")
    refused(ArgumentError, "fn reads w", lambda h: h * w, outputs_info=0.0, n_steps=2, strict=True)
    core.scan(lambda h, w: h * w, outputs_info=0.0, non_sequences=w, n_steps=2, strict=True)


def test_until_needs_a_scalar():
    with pytest.raises(ShapeError, match="until needs a scalar"):
        core.until(ct.vector("x") > 0)


def test_reduce_needs_what_it_starts_from():
    with pytest.raises(ArgumentError, match="reduce needs"):
        core.reduce(lambda x, t: x + t, ct.vector("x"), None)
