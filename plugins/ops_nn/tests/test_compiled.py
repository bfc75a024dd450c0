"""Convolution and the gradient of pooling in C: sizes at which it works by rows, by images and in threads; what is not
finite; what it calls."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import core
import core.tensor as ct
import plugin_ops_nn as nn
from core.ir.clike.routine import HAS_LOOPS
from core.testing import available_backends, evaluate, random
from plugin_ops_nn.geometry import geometry
from plugin_ops_nn.windows import PlacedInWindow

pytestmark = pytest.mark.skipif("c" not in available_backends(), reason="needs plugin-backend-c and a compiler")

CASES = {
    "many small images": ((67, 3, 6, 5), (9, 3, 3, 3), {}),
    "rows by rows": ((2, 5, 150, 70), (7, 5, 3, 3), {"padding": 1}),
    "rows by rows, strides": ((1, 40, 61, 64), (3, 40, 5, 3), {"stride": (2, 3), "padding": 2}),
    "many channels": ((2, 130, 7, 7), (21, 130, 3, 3), {"padding": "same"}),
    "wide": ((1, 2, 3, 3000), (2, 2, 2, 9), {"dilation": (1, 4)}),
    "a filter for each channel": ((3, 20, 30, 30), (20, 1, 3, 3), {"groups": 20, "padding": 1, "stride": 2}),
    "one tap": ((4, 33, 12, 12), (17, 33, 1, 1), {"stride": 2}),
    "3d": ((2, 3, 9, 10, 11), (5, 3, 3, 2, 3), {"stride": (2, 1, 2), "padding": 1}),
    "1d": ((4, 3, 5000), (6, 3, 7), {"padding": 3, "stride": 2}),
}


def all_three(x, w, **options):
    y = (nn.conv1d, nn.conv2d, nn.conv3d)[x.ndim - 3](x, w, **options)
    return [y, *core.grad((y * ct.cos(y)).sum(), [x, w])]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CASES)
def test_c_gives_what_the_interpreter_gives(name, dtype):
    x, w, options = CASES[name]
    x, w = random(x, seed=1), random(w, seed=2) / np.sqrt(np.prod(w[1:]))
    found = evaluate(lambda x, w: all_three(x, w, **options), x.astype(dtype), w.astype(dtype), backend="c")
    for mine, theirs in zip(found, evaluate(lambda x, w: all_three(x, w, **options), x, w), strict=True):
        tol = (1e-5 if dtype == "float32" else 1e-12) * np.abs(theirs).max()
        assert mine.dtype == dtype
        assert_allclose(mine, theirs, rtol=0, atol=tol)


def test_threads_change_nothing():
    x, w = random((40, 8, 40, 40), "float32", 1), random((16, 8, 5, 5), "float32", 2)
    tx, tw = ct.tensor("x", dtype="float32", ndim=4), ct.tensor("w", dtype="float32", ndim=4)
    f = core.function([tx, tw], all_three(tx, tw, stride=2, padding=1), backend="c")
    before = core.get_num_threads()
    try:
        core.num_threads(1)
        alone = f(x, w)
        core.num_threads(3)
        together = f(x, w)
    finally:
        core.num_threads(before)
    for one, other in zip(alone, together, strict=True):
        assert_array_equal(one, other)


@pytest.mark.parametrize("options", [{}, {"stride": 2, "padding": 2}])
def test_gradients_of_what_is_not_finite_are_those_of_the_sums(options):
    """Zeros between rows, and around images, must not meet NaN and infinity."""
    x, w = random((3, 2, 8, 9), seed=1), random((3, 2, 3, 3), seed=2)
    x[0, 0, 0, 0], x[1, 1, 7, 8], w[1, 0, 0, 2], w[2, 1, 1, 1] = np.nan, np.inf, -np.inf, np.nan
    v = random(evaluate(lambda x, w: nn.conv2d(x, w, **options), x, w).shape, seed=3)

    def gradients(x, w, v):
        return core.grad((nn.conv2d(x, w, **options) * v).sum(), [x, w])

    mine, theirs = (evaluate(gradients, x, w, v, backend=backend) for backend in ("c", "interpreter"))
    assert all(np.isnan(g).any() and np.isfinite(g).any() for g in theirs)
    for a, b in zip(mine, theirs, strict=True):
        assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def test_filters_are_read_where_they_lie():
    x, w = random((2, 3, 6, 7), seed=1), random((3, 3, 5, 4), seed=2)
    turned = lambda x, w: nn.conv2d(x, ct.transpose(w, (3, 0, 1, 2))[:, :, ::2, 1:])
    mine, theirs = (evaluate(turned, x, w, backend=backend) for backend in ("c", "interpreter"))
    assert_allclose(mine, theirs, rtol=1e-12, atol=1e-12)


def test_it_is_a_routine_of_the_pack():
    x, w = ct.tensor("x", dtype="float32", ndim=4), ct.tensor("w", dtype="float32", ndim=4)
    y = nn.max_pool2d(nn.conv2d(x, w), 2)
    f = core.function([x, w], [y, *core.grad(y.sum(), [x, w])], backend="c")
    called = {step.call.name for step in f.program.steps if hasattr(step, "call")}
    assert called == {"convolution", "convolution_transposed", "convolution_filters", "placed_in_window"}


def test_its_loops_are_known_to_whoever_compiles_them():
    x, w = ct.tensor("x", dtype="float32", ndim=4), ct.tensor("w", dtype="float32", ndim=4)
    with_loops = core.function([x, w], nn.conv2d(x, w), backend="c").sources
    without = core.function([x], ct.exp(x), backend="c").sources
    assert [next(iter(sources.values())).startswith(HAS_LOOPS) for sources in (with_loops, without)] == [True, False]


# --- the gradient of pooling ------------------------------------------------------------------------------------------

POOLED = {  # shape of x, window, and how windows lie
    "more taps than a table has": ((2, 3, 30, 31), (9, 8), {"stride": 3}),
    "more taps, padded": ((2, 3, 30, 31), (9, 8), {"stride": 3, "padding": 4}),
    "a matrix": ((12, 14), (2, 2), {}),
    "many axes in front": ((2, 3, 2, 2, 6, 7), (3, 2), {"stride": 2}),
    "no planes": ((3, 0, 6, 7), (2, 2), {}),
    "in threads": ((6, 40, 80, 80), (2, 2), {}),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", POOLED)
def test_gradients_of_pooling_are_what_the_interpreter_gives(name, dtype):
    shape, window, options = POOLED[name]
    x = random(shape, dtype, 1)

    def gradient(x):
        y = nn.max_pool2d(x, window, **options)
        return core.grad((ct.cos(y) * y).sum(), x)

    mine, theirs = (evaluate(gradient, x, backend=backend) for backend in ("c", "interpreter"))
    assert mine.dtype == dtype
    assert_allclose(mine, theirs, rtol=1e-5 if dtype == "float32" else 1e-12, atol=1e-6 if dtype == "float32" else 0)


@pytest.mark.parametrize("padding", [0, 1])
def test_a_place_that_no_element_has_gets_nothing(padding):
    """Numbers of no tap, and of taps that lie around the image; what is placed may lie column by column."""
    found = geometry("pooling", 2, (2, 2), padding)
    counts = found.counts((6, 7), (3, 3))
    place = np.random.default_rng(1).integers(-3, 13, (2, 3, *counts)).astype("int32")
    place[0, 0, 0, :2] = np.iinfo("int32").max, np.iinfo("int32").min
    y = random((2, 3, *counts[::-1]), seed=2)
    put = lambda y, place: PlacedInWindow((3, 3), found, (6, 7))(ct.swapaxes(y, -1, -2), place)
    mine, theirs = (evaluate(put, y, place, backend=backend) for backend in ("c", "interpreter"))
    assert_allclose(mine, theirs, rtol=1e-12)
