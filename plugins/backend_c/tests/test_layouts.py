"""Arguments that do not lie row by row: the same results with and without the launcher, and no copy of large ones."""

import sys
from random import Random

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import core
import core.tensor as ct
from core.compile import executable
from core.ir.program import LibraryStep
from core.options import config
from core.testing.layouts import LAYINGS, lying

rng = np.random.default_rng(0)
x, y, v = ct.dmatrix("x"), ct.dmatrix("y"), ct.dvector("v")
M = rng.normal(size=(60, 90))  # larger than what a call copies
OUTPUTS = [
    ct.exp(x) * 2 + y,
    x.sum(axis=0) + y.max(axis=0),
    ct.softmax(x, axis=1),
    x @ y.T,
    x.T @ y,
    ct.cumsum(x, axis=0),
    x.T,
    x,
    (x[::-1, 3:] * y[:, :-3]).mean(),
    ct.concatenate([x, y], axis=0),
]
VIEWS = {
    "transposed": np.array(M.T).T,
    "some columns": rng.normal(size=(60, 200))[:, 7:97],
    "every second": rng.normal(size=(120, 180))[::2, ::2],
    "rows backwards": M[::-1],
    "columns backwards": M[:, ::-1],
    "all backwards and transposed": np.array(M.T).T[::-1, ::-1],
    "one row for all": np.broadcast_to(M[0], M.shape),
    "one column for all": np.broadcast_to(M[:, :1], M.shape),
    "one element for all": np.broadcast_to(M[:1, :1], M.shape),
    "overlapping": np.lib.stride_tricks.sliding_window_view(rng.normal(size=149), 90),
    "not aligned": np.frombuffer(bytes(M.nbytes + 1), "uint8")[1:].view("float64").reshape(M.shape),
}


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(executable, "WORTH_A_PROGRAM", 0)
    monkeypatch.setattr(executable, "COPIED_PER_S", 0)
    monkeypatch.setattr(executable, "MOST_LAYOUTS", 1000)


def made(inputs, outputs, launcher=True, **named):
    with config.override({"c.launcher": launcher}):
        return core.function(inputs, outputs, backend="c", on_unused_input="ignore", **named)


@pytest.fixture(scope="module", params=[True, False], ids=["launcher", "cffi"])
def f(request):
    return made([x, y], OUTPUTS, request.param)


@pytest.mark.parametrize("name", VIEWS)
def test_results_are_those_of_a_copy(f, name):
    view = VIEWS[name]
    for a, b in [(view, M), (M, view), (view, view)]:
        want = f(np.array(a, order="C"), np.array(b, order="C"))
        for _ in range(2):
            for got, expected in zip(f(a, b), want, strict=True):
                assert_allclose(got, expected, rtol=1e-12, atol=1e-12)
                assert got.flags.carray and not np.shares_memory(got, a)


def test_arguments_may_share_memory(f):
    square = M[:, :60]
    for got, want in zip(f(square, square.T), f(square.copy(), square.T.copy()), strict=True):
        assert_allclose(got, want, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("launcher", [True, False])
@pytest.mark.parametrize("how", LAYINGS)
@pytest.mark.parametrize("shape", [(30, 20, 40), (1, 50, 60), (3000, 1, 1), (0, 3, 4), (70, 1, 90)])
def test_any_layout_of_three_axes_is_read_right(how, shape, launcher):
    z = ct.tensor("z", dtype="float32", shape=(None, None, None))
    g = made([z], [z * 2, z.sum(axis=(0, 2)), z[..., ::-1].sum(axis=0)], launcher)
    array = rng.normal(size=shape).astype("float32")
    for seed in range(3):
        for got, want in zip(g(lying(array, how, Random(seed))), g(array), strict=True):
            assert_allclose(got, want, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("name", [name for name in VIEWS if name not in ("overlapping", "not aligned")])
def test_once_a_program_is_made_calls_need_no_python(slow, name):
    g = made([x, y], OUTPUTS)
    g(VIEWS[name], M)
    slow.clear()
    want = g(np.array(VIEWS[name], order="C"), M)
    for got, expected in zip(g(VIEWS[name], M), want, strict=True):
        assert_allclose(got, expected, rtol=1e-12, atol=1e-12)
    assert not slow


def test_calls_that_take_turns_need_no_python(slow):
    g = made([x], x * 2)
    turns = [M, M.T, M[:, 1:], M[::-1]]
    for a in turns:
        g(a)
    slow.clear()
    for a in turns * 3:
        assert_array_equal(g(a), a * 2)
    assert not slow


def test_small_arrays_are_copied_by_the_launcher(slow):
    g = made([x, v], [x * 2, x @ v])
    a, b = M[:9, 20:24], M[3:7, 5]
    for got, want in zip(g(a, b), [a * 2, a @ b], strict=True):
        assert_allclose(got, want)
    assert not slow


def test_a_transposed_matrix_goes_to_a_product_as_it_lies():
    g = made([x, y], x @ y)
    assert_allclose(g(M.T, M), M.T @ M)
    program = g._run._current[0].program
    assert program.layouts and all(isinstance(step, LibraryStep) for step in program.steps)


def test_rows_keep_the_program_that_is_made_for_them():
    g = made([x], x * 2)
    before = g.sources
    g(M.T)
    assert len(g.sources) > len(before) and all(g.sources[name] == text for name, text in before.items())
    main, program = g._run._main, g._run._main.program
    assert not program.layouts and main in g._run._current
    assert_array_equal(g(M), M * 2)


@pytest.mark.parametrize("launcher", [True, False])
def test_a_length_of_one_that_is_met_in_a_strided_argument_broadcasts(launcher):
    g = made([x, y], [x * y + 1, (x + y).sum(axis=0)], launcher)
    row = np.broadcast_to(M[:1, :1], (1, 60))
    for a, b in [(M.T, M.T[:, :1]), (M.T, row), (M[:1], M[:, ::-1]), (M[:, ::-1], M[:, 5:6]), (M.T, M.T)] * 2:
        for got, want in zip(g(a, b), [a * b + 1, (a + b).sum(axis=0)], strict=True):
            assert_allclose(got, want, rtol=1e-12, atol=1e-12)


def test_static_lengths_are_checked_in_strided_arguments_too():
    z = ct.tensor("z", dtype="float64", shape=(90, None))
    g = made([z], z + 1)
    assert_array_equal(g(M.T), M.T + 1)
    with pytest.raises(core.errors.ShapeError, match="90"):
        g(M[:, :60].T[:50])


def test_strided_calls_leave_nothing_behind():
    g, own = made([x], x * 2), M.copy()
    a, b = own.T, own[:9, 20:24]
    for _ in range(3):
        g(a), g(b)
    before = sys.getrefcount(a), sys.getrefcount(b), sys.getrefcount(own)
    for _ in range(100):
        g(a), g(b)
    assert (sys.getrefcount(a), sys.getrefcount(b), sys.getrefcount(own)) == before


def test_a_shared_variable_may_lie_in_another_order():
    state = core.shared(np.zeros((2, 2)))
    g = made([], state * 2)
    state.set_value(M.T, borrow=True)
    for _ in range(2):
        assert_array_equal(g(), M.T * 2)
    assert g._run._current[0].program.layouts
