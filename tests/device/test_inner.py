"""Loops and choices on a device of NumPy: rows where they lie or copied, steps that wait, what goes wrong in one."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import core
import core.tensor as ct
from core.device.opened import Opened
from core.device.space import Space
from core.errors import IndexOutOfBounds
from core.ir.program import BranchStep, LoopStep
from core.ir.target import Target
from core.ir.work import alone
from core.testing.devices import NumpyDevice


@pytest.fixture(params=["pieces", "pieces, one launch a loop", "groups"])
def backend(request, monkeypatch):
    if request.param == "pieces":  # steps are launched, however small they are
        monkeypatch.setattr(alone, "LAUNCH", 0)
    target = Target(units=3, lanes=4) if request.param == "groups" else Target(units=3, lanes=1, piece=2)
    return Opened("numpy", Space(NumpyDevice(target)))


def steps(f, kind):
    return [step for step in f._run._main.program.steps if isinstance(step, kind)]


@pytest.fixture
def without_addresses(monkeypatch):
    """A device that takes a part of its memory for the whole and where the part begins, as OpenCL does."""
    monkeypatch.setattr(alone, "LAUNCH", 0)
    return Opened("numpy", Space(NumpyDevice(Target(units=3, lanes=1, piece=2), has_addresses=False)))


def test_rows_are_parts_of_arrays_where_memory_has_no_addresses(without_addresses):
    x, h, w = ct.matrix("x"), ct.vector("h"), core.shared(np.zeros(25))
    out = core.scan(lambda row, h: ct.tanh(row + h), sequences=x, outputs_info=h)
    updates = {w: w - core.grad((out**2).sum(), h)}
    f = core.function([x, h], out, updates=updates, backend=without_addresses)
    device = without_addresses.space.device
    rows, state = np.random.default_rng(0).standard_normal((4, 25)), np.ones(25)
    for _ in range(3):
        device.log.clear()
        found = f(rows, state)
    assert device.log.count("copy") <= 4, "first rows of states alone: those of the loop, of its gradient"
    plain = core.function([x, h], [out, core.grad((out**2).sum(), h)], backend="interpreter")(rows, state)
    assert_allclose(found, plain[0], rtol=1e-12)
    assert_allclose(w.get_value(), -3 * plain[1], rtol=1e-10)


@pytest.mark.parametrize("n", [0, 1, 4])
@pytest.mark.parametrize("width", [25, 26], ids=["copied rows", "rows as they lie"])
def test_a_loop_reads_and_writes_rows(backend, n, width):
    x, h = ct.matrix("x"), ct.vector("h")
    out, last = core.scan(lambda row, h: (ct.tanh(row + h), h.sum()), sequences=x, outputs_info=[h, None])
    f = core.function([x, h], [out, last, out[-1] if n else out.sum()], backend=backend)
    assert steps(f, LoopStep)
    rows, state = np.random.default_rng(0).standard_normal((n, width)), np.ones(width)
    found = f(rows, state)
    want, sums = np.empty((n, width)), np.empty(n)
    for i, row in enumerate(rows):
        sums[i] = state.sum()
        state = want[i] = np.tanh(row + state)
    assert_allclose(found[0], want, rtol=1e-12)
    assert_allclose(found[1], sums, rtol=1e-12)


def test_the_gradient_of_a_loop_is_that_of_the_interpreter(backend):
    x, h = ct.matrix("x"), ct.vector("h")
    out = core.scan(lambda row, h: ct.tanh(row * h) + row, sequences=x, outputs_info=h)
    gradients = core.grad((out**2).sum(), [x, h])
    arrays = np.random.default_rng(0).standard_normal((3, 26)), np.ones(26)
    got = core.function([x, h], gradients, backend=backend)(*arrays)
    want = core.function([x, h], gradients, backend="interpreter")(*arrays)
    for a, b in zip(got, want, strict=True):
        assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_a_choice_computes_the_side_that_is_taken(backend):
    c, x = ct.scalar("c", dtype="bool"), ct.vector("x")
    f = core.function([c, x], core.ifelse(c, ct.exp(x).sum(), ct.sort(x)[0]), backend=backend)
    assert steps(f, BranchStep)
    a = np.array([3.0, 1.0, 2.0])
    assert_allclose(f(True, a), np.exp(a).sum())
    assert_array_equal(f(False, a), 1.0)


def test_a_bad_index_in_a_step_is_an_error_and_values_stay(backend):
    x, i, w = ct.vector("x"), ct.lvector("i"), core.shared(np.zeros(()))
    out = core.scan(lambda k, x: x[k], sequences=i, non_sequences=x)
    f = core.function([x, i], out, updates={w: out.sum()}, backend=backend)
    assert_array_equal(f(np.arange(4.0), np.array([2, 0])), [2.0, 0.0])
    with pytest.raises(IndexOutOfBounds):
        f(np.arange(4.0), np.array([2, 9]))
    assert w.get_value() == 2.0


@pytest.fixture
def in_pieces():
    return Opened("numpy", Space(NumpyDevice(Target(units=3, lanes=1, piece=2))))


def launches(backend, f, *arrays):
    f(*arrays)
    backend.space.device.log.clear()
    found = f(*arrays)
    return found, [line for line in backend.space.device.log if line.startswith(("run", "copy"))]


def test_a_loop_of_small_steps_is_one_launch_and_one_of_large_steps_is_not(in_pieces, monkeypatch):
    x, h = ct.matrix("x"), ct.vector("h")
    out = core.scan(lambda row, h: ct.tanh(row + h), sequences=x, outputs_info=h)
    f = core.function([x, h], out, backend=in_pieces)
    arrays = np.ones((5, 4)), np.zeros(4)
    short, few = launches(in_pieces, f, *arrays)
    monkeypatch.setattr(alone, "LAUNCH", 0)
    f = core.function([x, h], out, backend=in_pieces)
    long, many = launches(in_pieces, f, *arrays)
    assert len(few) < 5 <= len(many)
    assert_array_equal(short, long)


@pytest.mark.parametrize("kept", [slice(None), -1], ids=["all rows", "the last row"])
def test_a_step_reads_other_rows_than_it_writes_whatever_is_known_of_lengths(in_pieces, kept):
    x, h = ct.matrix("x", shape=(4, 6)), ct.vector("h", shape=(6,))
    out = core.scan(lambda row, h: ct.tanh(row + h) * h[::-1] + h[1], sequences=x, outputs_info=h)[kept]
    gradients = core.grad(out.sum(), [x, h])
    f = core.function([x, h], [out, *gradients], backend=in_pieces)
    assert all(loop.alone is not None for loop in steps(f, LoopStep))
    arrays = np.random.default_rng(0).standard_normal((4, 6)), np.linspace(0, 1, 6)
    plain = core.function([x, h], [out, *gradients], backend="interpreter")
    for got, want in zip(f(*arrays), plain(*arrays), strict=True):
        assert_allclose(got, want, rtol=1e-12)


@pytest.mark.parametrize("last", [0, 2, 4])
def test_a_loop_in_one_launch_ends_where_a_step_says_so(in_pieces, last):
    i, h = ct.lscalar("i"), ct.vector("h")
    step = lambda k, before, h, i: (h + before, core.until(ct.eq(k, i)))
    info = {"initial": ct.stack([h, 2 * h]), "taps": [-2, -1]}
    every = core.scan(step, sequences=ct.arange(5), outputs_info=info, non_sequences=i)
    f = core.function([i, h], [every, every[-1]], backend=in_pieces)
    found, log = launches(in_pieces, f, last, np.ones(3))
    expected = np.array([3.0, 5.0, 8.0, 13.0, 21.0])[: last + 1, None] * np.ones(3)
    assert_array_equal(found[0], expected)
    assert_array_equal(found[1], expected[-1])
    assert len(log) < 6


def test_loops_in_steps_are_part_of_the_one_launch(in_pieces):
    b, h = ct.tensor3("b"), ct.zvector("h")
    inner = lambda m, h: core.scan(lambda row, h: row * h, sequences=m, outputs_info=h)[-1]
    f = core.function([b, h], core.scan(inner, sequences=b, outputs_info=h), backend=in_pieces)
    (loop,) = steps(f, LoopStep)
    assert loop.alone is not None
    arrays = np.random.default_rng(0).standard_normal((3, 4, 2)), np.array([1.0, 2.0j])
    found, log = launches(in_pieces, f, *arrays)
    assert_allclose(found, np.cumprod(arrays[0].prod(axis=1), axis=0) * arrays[1], rtol=1e-12)
    assert len(log) < 5


def test_choices_in_steps_are_part_of_the_one_launch(in_pieces):
    x, h = ct.matrix("x"), ct.vector("h")
    choice = lambda row, h: core.ifelse(row.sum() > 0, ct.tanh(row + h), ct.cumsum(h) / 2)
    out = core.scan(choice, sequences=x, outputs_info=h)
    outputs = [out, core.grad(out.sum(), h)]
    f = core.function([x, h], outputs, backend=in_pieces)
    assert all(loop.alone is not None for loop in steps(f, LoopStep))
    arrays = np.random.default_rng(1).standard_normal((6, 3)), np.ones(3)
    for got, want in zip(f(*arrays), core.function([x, h], outputs, backend="interpreter")(*arrays), strict=True):
        assert_allclose(got, want, rtol=1e-12)


def test_what_may_fail_is_launched_step_by_step(in_pieces):
    x, i = ct.vector("x"), ct.lvector("i")
    made = core.scan(lambda k, s: s + x[k], sequences=i, outputs_info=0.0)
    f = core.function([x, i], made, backend=in_pieces)
    (loop,) = steps(f, LoopStep)
    assert loop.alone is None
    assert_array_equal(f(np.arange(4.0), np.array([2, 0, 3])), [2.0, 2.0, 5.0])
