"""Pooling: against loops in Python, on every backend; whose gradient it is; counts of what is padded; errors."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import core
import core.tensor as ct
import plugin_ops_nn as nn
from core.errors import ArgumentError, DTypeError, ShapeError
from core.testing import available_backends, check_op, evaluate, random

CASES = {  # shape of x, window, and how windows lie
    "plain": ((2, 3, 6, 8), (2, 2), {}),
    "a rest": ((2, 3, 7, 9), (2, 4), {}),
    "overlapping": ((2, 3, 7, 9), (3, 2), {"stride": 1}),
    "far apart": ((2, 3, 7, 9), (2, 1), {"stride": 3}),
    "padded": ((2, 3, 7, 9), (3, 3), {"stride": 2, "padding": 1}),
    "uneven padding": ((2, 3, 4, 5), (3, 2), {"stride": 2, "padding": ((2, 0), (0, 1))}),
    "same": ((2, 3, 5, 6), (3, 2), {"stride": 2, "padding": "same"}),
    "wide": ((1, 2, 4, 70), (2, 2), {}),
    "1d": ((2, 3, 9), (3,), {"stride": 2}),
    "3d": ((2, 2, 4, 5, 6), (2, 2, 3), {}),
}
MAX = {1: nn.max_pool1d, 2: nn.max_pool2d, 3: nn.max_pool3d}
MEAN = {1: nn.avg_pool1d, 2: nn.avg_pool2d, 3: nn.avg_pool3d}


def apart(shape, dtype="float64"):
    """Numbers of which no two are near each other: differences then stay on one side of a kink."""
    size = int(np.prod(shape))
    return (np.random.default_rng(1).permutation(size).reshape(shape) / 8 - size / 16).astype(dtype)


def expected(by_loops, name, made, fill=0):
    shape, window, options = CASES[name]
    x = apart(shape)
    options = {"stride": window} | options
    return by_loops.of_each(x, window, made, shape[1], fill=fill, **options)


def over_the_window(reduce):
    return lambda window: reduce(window, axis=tuple(range(2, window.ndim)))


@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize("name", CASES)
def test_max_and_mean_are_what_loops_give(name, backend, by_loops):
    shape, window, options = CASES[name]

    def pooled(x):
        found = [MAX[len(window)](x, window, **options), MEAN[len(window)](x, window, **options)]
        return [*found, MEAN[len(window)](x, window, **options, count_include_pad=False)]

    largest, mean, mean_of_x = evaluate(pooled, apart(shape), backend=backend)
    assert_array_equal(largest, expected(by_loops, name, over_the_window(np.max), -np.inf))
    assert_allclose(mean, expected(by_loops, name, over_the_window(np.mean)), rtol=1e-12, atol=1e-12)
    assert_allclose(mean_of_x, expected(by_loops, name, over_the_window(np.nanmean), np.nan), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize("name", CASES)
def test_the_largest_element_gets_the_gradient_of_its_window(name, backend, by_loops):
    shape, window, options = CASES[name]
    x = apart(shape)
    largest = expected(by_loops, name, over_the_window(np.max), -np.inf)
    v = random(largest.shape)
    gradient = evaluate(
        lambda x, v: core.grad((MAX[len(window)](x, window, **options) * v).sum(), x), x, v, backend=backend
    )
    wanted = np.zeros_like(x)
    for value, g in zip(largest.flat, v.flat, strict=True):
        wanted[x == value] += g
    assert_allclose(gradient, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("backend", available_backends())
def test_of_equal_elements_the_first_gets_the_gradient(backend):
    x = np.zeros((1, 1, 4, 4))
    gradient = evaluate(lambda x: core.grad(nn.max_pool2d(x, 2).sum(), x), x, backend=backend)
    assert_array_equal(gradient[0, 0], [[1, 0, 1, 0], [0, 0, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]])


@pytest.mark.parametrize(
    "pool",
    [
        lambda x: nn.max_pool2d(x, 2),
        lambda x: nn.max_pool2d(x, (3, 2), 2, 1),
        lambda x: nn.max_pool2d(x, 2, 1, "same"),
        lambda x: nn.avg_pool2d(x, 2),
        lambda x: nn.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
    ],
    ids=["max", "max, padded", "max, same", "mean", "mean of x"],
)
def test_pooling_keeps_its_promises(pool):
    check_op(pool, apart((2, 3, 5, 6)), derivatives=True, nan=True)


def test_second_derivatives_are_right():
    def first(x):
        return [core.grad((pool(x, 2) ** 3).sum(), x) for pool in (nn.max_pool2d, nn.avg_pool2d)]

    check_op(first, apart((1, 2, 4, 6)) / 10, derivatives=True, variants=(), backends=("interpreter",))


@pytest.mark.parametrize("backend", available_backends())
def test_nan_is_the_largest_of_its_window(backend):
    x = random((1, 1, 4, 4))
    x[0, 0, 1, 2] = np.nan
    largest, gradient = evaluate(lambda x: [y := nn.max_pool2d(x, 2), core.grad(y.sum(), x)], x, backend=backend)
    assert_array_equal(np.isnan(largest[0, 0]), [[False, True], [False, False]])
    assert gradient[0, 0, 1, 2] == 1 and gradient.sum() == 4


@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize("dtype", ["int32", "uint8", "float32", "float16"])
def test_maxima_keep_the_dtype(dtype, backend):
    x = random((2, 2, 5, 5), dtype, low=-9, high=9)
    got = evaluate(lambda x: nn.max_pool2d(x, 3, 2, 1), x, backend=backend)
    assert got.dtype == dtype
    assert_array_equal(got[0, 0, 0, 0], x[0, 0, :2, :2].max())


@pytest.mark.parametrize("backend", available_backends())
def test_no_images(backend):
    largest, mean, gradient = evaluate(
        lambda x: [y := nn.max_pool2d(x, 2), nn.avg_pool2d(x, 2), core.grad(y.sum(), x)],
        np.ones((0, 3, 4, 4)),
        backend=backend,
    )
    assert largest.shape == mean.shape == (0, 3, 2, 2) and gradient.shape == (0, 3, 4, 4)


@pytest.mark.parametrize("backend", available_backends())
def test_global_pooling_leaves_a_number_for_each_channel(backend):
    x = random((2, 3, 4, 5))
    largest, mean, kept = evaluate(
        lambda x: [nn.global_max_pool(x), nn.global_avg_pool(x), nn.global_avg_pool(x, keepdims=True)],
        x,
        backend=backend,
    )
    assert_array_equal(largest, x.max((2, 3)))
    assert_allclose(mean, x.mean((2, 3)), rtol=1e-12)
    assert_allclose(kept, x.mean((2, 3), keepdims=True), rtol=1e-12)


def test_axes_in_front_are_left_alone():
    x = random((2, 3, 4, 4))
    pool = lambda x: nn.max_pool2d(x, 2)
    assert_array_equal(evaluate(pool, x[0, 0]), evaluate(pool, x)[0, 0])
    assert ct.tensor("x", dtype="float64", shape=(None, 4, 6)).type.shape == (None, 4, 6)
    assert nn.max_pool2d(ct.tensor("x", dtype="float64", shape=(None, 4, 6)), 2).type.shape == (None, 2, 3)


# --- errors ---------------------------------------------------------------------------------------------------------


def test_what_is_no_window_stride_or_padding_is_refused():
    x = ct.tensor("x", dtype="float64", shape=(2, 3, 8, 8))
    with pytest.raises(ArgumentError, match="max_pool2d needs window >= 1, an int or 2, got 0"):
        nn.max_pool2d(x, 0)
    with pytest.raises(ArgumentError, match=r"avg_pool2d needs stride >= 1, an int or 2, got \(1, 0\)"):
        nn.avg_pool2d(x, 2, (1, 0))
    with pytest.raises(ArgumentError, match="max_pool2d needs less padding than a window of 2 has elements, got 2"):
        nn.max_pool2d(x, 2, padding=2)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ShapeError, match="max_pool2d needs ndim >= 2, but x has ndim=1"):
        nn.max_pool2d(ct.vector("x"), 2)
    with pytest.raises(
        ShapeError, match="needs an axis that holds its window of 9, got 8 elements along spatial axis 1"
    ):
        nn.avg_pool2d(ct.tensor("x", dtype="float64", shape=(2, 3, 9, 8)), 9)
    with pytest.raises(
        ShapeError, match="global_avg_pool needs ndim >= 3, images, channels and spatial axes, but x has"
    ):
        nn.global_avg_pool(ct.matrix("x"))
    with pytest.raises(DTypeError, match="avg_pool2d needs floats, got x of dtype int64; cast it"):
        nn.avg_pool2d(ct.tensor("x", dtype="int64", ndim=4), 2)
    with pytest.raises(DTypeError, match="needs real numbers, got x of dtype complex128"):
        nn.max_pool2d(ct.tensor("x", dtype="complex128", ndim=4), 2)


@pytest.mark.parametrize("backend", available_backends())
def test_an_axis_too_short_for_a_window_is_refused_when_it_runs(backend):
    x = ct.tensor("x", dtype="float64", ndim=4)
    f = core.function([x], nn.max_pool2d(x, 3), backend=backend)
    with pytest.raises(
        ShapeError, match="needs an axis that holds its window of 3, got 2 elements along spatial axis 1"
    ):
        f(np.ones((1, 1, 5, 2)))


@pytest.mark.parametrize("pool", [nn.max_pool2d, nn.avg_pool2d])
def test_a_jacobian_has_a_row_for_each_window(pool):
    x = ct.tensor("x", dtype="float64", ndim=4)
    y = ct.flatten(pool(x, 2))
    values = apart((1, 2, 4, 4))
    jacobian = core.function([x], core.jacobian(y, x))(values)
    rows = [core.function([x], core.grad(y[k], x), backend="interpreter")(values) for k in range(8)]
    assert_allclose(jacobian, np.stack(rows), rtol=1e-12)
