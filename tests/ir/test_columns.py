"""Sums over rows beside the rows themselves: when they are one launch, and that the numbers are NumPy's."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose

import core.tensor as ct
from core.compile.function import function
from core.errors import VerifyError
from core.gradient import grad
from core.ir.check.oracle import run_kernel
from core.ir.check.run import Driver, Noting
from core.ir.check.verify_kernel import verify_kernel
from core.ir.definitions import Value
from core.ir.expr import const, index
from core.ir.nodes import Barrier, Kernel, Loop, LoopKind, Store, statements
from core.ir.target import Target

HOLDS = Target(units=8, lanes=4, piece=2, holds_rows=True)
LARGEST = 4 * 4 * 4  # elements of a row of float32: four lanes, each with four pieces of four
LENGTHS = [(5, 8), (3, 64), (17, 12), (1, 4), (0, 8), (5, 0), (4, 5), (3, 68), (2, 1), (40, 16)]


def norm(x, w, b):
    d = x - x.mean(axis=1, keepdims=True)
    return d / ct.sqrt((d * d).mean(axis=1, keepdims=True) + 1e-5) * w + b


def norm_gradients(x, w, b, g):
    return grad((norm(x, w, b) * g).sum(), [x, w, b])


def norm_gradients_by_hand(x, w, b, g):
    mean = x.mean(axis=1, keepdims=True)
    root = np.sqrt(((x - mean) ** 2).mean(axis=1, keepdims=True) + 1e-5)
    h = (x - mean) / root
    gh = g * w
    dx = (gh - gh.mean(axis=1, keepdims=True) - h * (gh * h).mean(axis=1, keepdims=True)) / root
    return dx, (g * h).sum(axis=0), g.sum(axis=0)


def layer(shape=(None, None), dtype="float32"):
    return [
        ct.tensor("x", dtype=dtype, shape=shape),
        ct.tensor("w", dtype=dtype, shape=shape[1:]),
        ct.tensor("b", dtype=dtype, shape=shape[1:]),
        ct.tensor("g", dtype=dtype, shape=shape),
    ]


def arrays(n, m, dtype="float32"):
    rng = np.random.default_rng(n * 100 + m)
    return [rng.standard_normal(shape).astype(dtype) for shape in ((n, m), (m,), (m,), (n, m))]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("is_static", [False, True], ids=["any lengths", "known lengths"])
def test_gradients_of_layer_norm_are_those_by_hand(dtype, is_static):
    xs = layer(dtype=dtype)
    run = function(xs, norm_gradients(*xs), backend=Driver("c", HOLDS))
    for n, m in LENGTHS:
        if is_static:
            xs = layer((n, m), dtype)
            run = function(xs, norm_gradients(*xs), backend=Driver("c", HOLDS))
        values = arrays(n, m, dtype)
        with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):  # means of no elements
            expected = norm_gradients_by_hand(*(a.astype("float64") for a in values))
        for got, want in zip(run(*values), expected, strict=True):
            tolerance = 2e-4 if dtype == "float32" else 1e-10
            assert_allclose(got, want, rtol=tolerance, atol=tolerance, err_msg=f"{(n, m)}")


def test_rows_and_sums_over_them_are_one_launch_and_one_that_adds_parts():
    xs, noting = layer((96, 64)), Noting(HOLDS)
    function(xs, norm_gradients(*xs), backend=noting)
    rows, finish = noting.kernels()
    assert [value.name.partition("_of_")[0] for value in rows.writes][-2:] == ["parts", "parts"]
    assert set(finish.reads) == set(rows.writes[-2:])


def test_lanes_keep_their_columns_so_nobody_waits_for_them():
    xs, noting = layer((96, 64)), Noting(HOLDS)
    function(xs, norm_gradients(*xs), backend=noting)
    (groups,) = noting.kernels()[0].body
    assert [type(s) for s in statements(groups.body)].count(Barrier) == 1 and isinstance(groups.body[-1], Barrier)


def test_lengths_decide_where_they_are_not_known():
    xs, noting = layer(), Noting(HOLDS)
    function(xs, norm_gradients(*xs), backend=noting)
    fitting = [one for one in noting.kernels() if any(isinstance(s, Loop) and s.fits for s in statements(one.body))]
    assert len(fitting) == 1 and len(noting.kernels()) > 3


@pytest.mark.parametrize("m", [5, LARGEST + 4])
def test_rows_that_do_not_fit_have_launches_of_their_own(m):
    xs, noting = layer((96, m)), Noting(HOLDS)
    function(xs, norm_gradients(*xs), backend=noting)
    assert not any(isinstance(s, Loop) and s.fits for one in noting.kernels() for s in statements(one.body))


def bias_gradient(x, b, rate):
    """What a layer hands on, and its bias after a step."""
    d = x * (1 - ct.tanh(x) ** 2)
    return [d, b - rate * d.sum(axis=0)]


@pytest.mark.parametrize("shape", [(None, None), (30, 16)])
def test_what_is_made_of_the_sums_comes_after_them(shape):
    x, b = ct.tensor("x", dtype="float32", shape=shape), ct.tensor("b", dtype="float32", shape=shape[1:])
    noting = Noting(HOLDS)
    run = function([x, b], bias_gradient(x, b, np.float32(0.5)), backend=noting)
    rng = np.random.default_rng(0)
    a, start = rng.standard_normal((30, 16)).astype("float32"), rng.standard_normal(16).astype("float32")
    d = a * (1 - np.tanh(a.astype("float64")) ** 2)
    got = run(a, start)
    assert_allclose(got[0], d, rtol=1e-5, atol=1e-6)
    assert_allclose(got[1], start - 0.5 * d.sum(axis=0), rtol=1e-4, atol=1e-5)
    read_x = [one for one in noting.kernels() if noting.programs[0].inputs[0] in one.reads]
    assert len(noting.kernels()) == len(read_x) + (shape[0] is None), "a group can take all of 30 rows"
    assert all(len(one.writes) == 2 for one in read_x)


def _lanes(kernel):
    return [s for s in statements(kernel.body) if isinstance(s, Loop) and s.kind is LoopKind.LANES]


def test_rows_that_read_the_sums_are_not_made_with_them():
    x, noting = ct.tensor("x", dtype="float64", shape=(6, 8)), Noting(HOLDS)
    run = function([x], [ct.exp(x) / ct.exp(x).sum(axis=0)], backend=noting)
    a = np.random.default_rng(0).standard_normal((6, 8))
    assert_allclose(run(a)[0], np.exp(a) / np.exp(a).sum(axis=0), rtol=1e-12)
    assert not any(loop.fits for one in noting.kernels() for loop in _lanes(one))


def test_a_sum_of_something_else_has_a_launch_of_its_own():
    x, y = (ct.tensor(name, dtype="float64", shape=(6, 8)) for name in "xy")
    noting = Noting(HOLDS)
    function([x, y], [ct.exp(x), y.sum(axis=0)], backend=noting)
    assert not any(loop.fits for one in noting.kernels() for loop in _lanes(one))


def test_a_device_that_holds_no_rows_makes_them_apart():
    xs, noting = layer((96, 64)), Noting(Target(units=8, lanes=4, piece=2))
    function(xs, norm_gradients(*xs), backend=noting)
    assert not any(loop.fits for one in noting.kernels() for loop in _lanes(one))


def fitting(first, second):
    """A kernel of one group whose lanes go over two rows, of (extent, width, turns)."""
    y, loops = Value("y", "float32"), []
    for extent, width, turns in (first, second):
        k = index("k")
        loops.append(Loop(k, const(extent), [Store(y, k, const(0.0, "float32"))], LoopKind.LANES))
        loops[-1].width, loops[-1].fits = width, turns
    return Kernel("k", [], [y], [Loop(index("g"), const(1), loops, LoopKind.GROUPS)])


@pytest.mark.parametrize("second", [(12, 4, 4), (8, 2, 4), (8, 4, 2)])
def test_rows_that_fit_are_of_one_length_and_width(second):
    verify_kernel(fitting((8, 4, 4), (8, 4, 4)))
    with pytest.raises(VerifyError, match="rows of several lengths or widths cannot all fit in the loop over g"):
        verify_kernel(fitting((8, 4, 4), second))


def test_only_lanes_share_rows_that_fit():
    kernel = fitting((8, 4, 4), (8, 4, 4))
    kernel.body[0].body[0].kind = LoopKind.ORDER
    with pytest.raises(VerifyError, match="only rows that lanes share can fit"):
        verify_kernel(kernel)


def test_the_evaluator_holds_rows_against_the_promise():
    kernel = fitting((6, 4, 4), (6, 4, 4))
    with pytest.raises(VerifyError, match="6 elements do not fit: they are no multiple of 4"):
        run_kernel(kernel, {kernel.writes[0]: np.zeros(6, "float32")})
