"""Larger and smaller images: against NumPy, on every backend; derivatives; errors."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import core.tensor as ct
import plugin_ops_nn as nn
from core.errors import ArgumentError, DTypeError, ShapeError
from core.testing import available_backends, check_op, evaluate, random

X = random((2, 3, 4, 5))


def interpolated(x, axis, n):
    """By NumPy's interpolation between the middles of elements."""
    length = x.shape[axis]
    middles = (np.arange(n) + 0.5) * length / n - 0.5
    return np.apply_along_axis(lambda line: np.interp(middles, np.arange(length), line), axis, x)


def nearest(x, axis, n):
    return np.take(x, np.floor((np.arange(n) + 0.5) * x.shape[axis] / n).astype(int), axis)


@pytest.mark.parametrize("backend", available_backends())
def test_upsample_repeats_each_element(backend):
    got = evaluate(lambda x: nn.upsample(x, (2, 3)), X, backend=backend)
    assert_array_equal(got, X.repeat(2, 2).repeat(3, 3))


@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize("size", [(4, 5), (7, 11), (3, 2), (1, 1), (8, 4)])
def test_resize_is_what_numpy_gives(size, backend):
    near, linear = evaluate(lambda x: [nn.resize(x, size), nn.resize(x, size, "linear")], X, backend=backend)
    assert_array_equal(near, nearest(nearest(X, 2, size[0]), 3, size[1]))
    assert_allclose(linear, interpolated(interpolated(X, 2, size[0]), 3, size[1]), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "op",
    [lambda x: nn.upsample(x, 2), lambda x: nn.resize(x, (7, 3)), lambda x: nn.resize(x, (3, 7), "linear")],
    ids=["upsample", "nearest", "linear"],
)
def test_resizing_keeps_its_promises(op):
    check_op(op, X, derivatives=True, variants=("strided", "size-1"))


def test_a_size_may_be_symbolic():
    got = evaluate(lambda x, n: nn.resize(x, n, "linear"), X, np.int64(6))
    assert_allclose(got, interpolated(interpolated(X, 2, 6), 3, 6), rtol=1e-12, atol=1e-12)


def test_float32_stays_float32():
    assert evaluate(lambda x: nn.resize(x, 3, "linear"), X.astype("float32")).dtype == "float32"


def test_what_does_not_fit_is_refused():
    x = ct.tensor("x", dtype="float64", ndim=4)
    with pytest.raises(ArgumentError, match="upsample needs scale >= 1, an int or 2, got 0"):
        nn.upsample(x, 0)
    with pytest.raises(ArgumentError, match="resize needs method 'nearest' or 'linear', got 'cubic'"):
        nn.resize(x, 3, "cubic")
    with pytest.raises(ArgumentError, match="resize needs a size for each of 2 spatial axes, got 3"):
        nn.resize(x, (3, 3, 3))
    with pytest.raises(DTypeError, match="resize needs floats to interpolate, got i of dtype int64; cast it"):
        nn.resize(ct.tensor("i", dtype="int64", ndim=4), 3, "linear")
    with pytest.raises(ShapeError, match="upsample needs ndim >= 3"):
        nn.upsample(ct.matrix("m"), 2)
