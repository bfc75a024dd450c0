"""Medians, quantiles, averages, covariances and what leaves NaN out, against NumPy."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import core
import core.tensor as ct
from core.errors import ArgumentError, ShapeError
from core.testing import available_backends, check_derivatives, evaluate, random

X = random((3, 6), low=-2, high=2)
WITH_NAN = X.copy()
WITH_NAN[0, 1] = WITH_NAN[2] = np.nan
INPUTS = {"floats": X, "nan": WITH_NAN, "float32": X.astype("float32"), "integers": (X * 10).astype("int64")}
AXES = [None, 0, -1, (0, 1)]

quietly = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def assert_is(got, want, rtol=1e-12, atol=1e-14):
    want = np.asarray(want)
    assert (got.shape, got.dtype) == (want.shape, want.dtype)
    assert_allclose(got, want, rtol=1e-6 if want.dtype == "float32" else rtol, atol=atol)


@quietly
@pytest.mark.parametrize("values", INPUTS)
@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("keepdims", [False, True])
def test_medians_are_numpys(values, axis, keepdims):
    x = INPUTS[values]
    assert_is(evaluate(lambda a: ct.median(a, axis, keepdims), x), np.median(x, axis, keepdims=keepdims))


@quietly
@pytest.mark.parametrize("values", INPUTS)
@pytest.mark.parametrize("method", ["linear", "lower", "higher", "nearest", "midpoint"])
@pytest.mark.parametrize("q", [0.3, np.array([0.0, 0.25, 1.0]), np.array([[0.1, 0.5], [0.77, 0.9]])])
def test_quantiles_are_numpys(values, method, q):
    x = INPUTS[values]
    for axis in AXES:
        for keepdims in (False, True):
            got = evaluate(lambda a, k=axis, d=keepdims: ct.quantile(a, q, k, method, d), x)
            want = np.quantile(x, q, axis=axis, method=method, keepdims=keepdims)
            assert_is(got, want, atol=1e-6 if values == "float32" else 1e-14)


@pytest.mark.parametrize("backend", available_backends())
def test_percentiles_are_numpys_on_every_backend(backend):
    got = evaluate(lambda a: ct.percentile(a, np.array([5.0, 95.0]), axis=1), X, backend=backend)
    assert_is(got, np.percentile(X, [5, 95], axis=1))


def test_a_quantile_keeps_the_dtype_for_a_python_number():
    assert evaluate(lambda a: ct.percentile(a, 40), X.astype("float32")).dtype == "float32"


def test_a_quantile_moves_with_the_two_numbers_around_it():
    check_derivatives(lambda a: ct.quantile(a, 0.3, axis=1), X)
    check_derivatives(lambda a: ct.median(a, axis=0), X)


def test_an_unknown_method_of_quantile_is_an_error():
    with pytest.raises(ArgumentError, match="quantile knows the methods 'linear'.*, got 'weibull'"):
        ct.quantile(ct.dvector("x"), 0.5, method="weibull")


@quietly
@pytest.mark.parametrize("name", ["nansum", "nanprod", "nanmean", "nanvar", "nanstd", "nanmax", "nanmin"])
@pytest.mark.parametrize("values", INPUTS)
@pytest.mark.parametrize("axis", AXES)
def test_reductions_without_nan_are_numpys(name, values, axis):
    x = INPUTS[values]
    for keepdims in (False, True):
        got = evaluate(lambda a, d=keepdims: getattr(ct, name)(a, axis=axis, keepdims=d), x)
        assert_is(got, getattr(np, name)(x, axis=axis, keepdims=keepdims))


def test_a_gradient_without_nan_is_zero_where_nan_was():
    x = ct.dmatrix("x")
    for reduced in (ct.nansum, ct.nanmean, ct.nanmax):
        g = core.function([x], core.grad(reduced(x), x), backend="interpreter")(WITH_NAN)
        assert np.all(g[np.isnan(WITH_NAN)] == 0)


def test_the_number_that_is_not_zero_is_counted():
    x = np.array([[0.0, np.nan, -0.0], [1.0, 2.0, 0.0]])
    for axis in (None, 0, 1):
        assert_is(evaluate(lambda a, k=axis: ct.count_nonzero(a, k), x), np.count_nonzero(x, axis))


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "complex128", "int32"])
def test_numbers_come_for_nan_and_infinities(dtype):
    x = np.array([np.nan, np.inf, -np.inf, 1.5, -0.0]) if dtype != "int32" else np.array([1, 2])
    if dtype == "complex128":
        x = np.array([complex(a, b) for a, b in zip(x, np.roll(x, 1), strict=True)])
    x = x.astype(dtype)
    assert_is(evaluate(ct.nan_to_num, x), np.nan_to_num(x))
    assert_is(evaluate(lambda a: ct.nan_to_num(a, 1, 2, 3), x), np.nan_to_num(x, nan=1, posinf=2, neginf=3))


def test_averages_are_numpys():
    w, row = random((3, 6), seed=1, low=0.1), random(6, seed=2, low=0.1)
    for axis in (None, 0, 1):
        assert_is(evaluate(lambda a, b, k=axis: ct.average(a, k, b), X, w), np.average(X, axis, w))
    assert_is(evaluate(lambda a, b: ct.average(a, 1, b, True), X, row), np.average(X, 1, row, keepdims=True))
    assert_is(evaluate(ct.average, X), np.average(X))
    whole = INPUTS["integers"]
    assert_is(evaluate(lambda a: ct.average(a, 0, np.array([1, 2, 3])), whole), np.average(whole, 0, [1, 2, 3]))
    with pytest.raises(ShapeError, match="average needs weights with ndim=2, or a vector and one axis, got w"):
        ct.average(ct.dmatrix("x"), None, ct.dvector("w"))


@pytest.mark.parametrize("rowvar", [True, False])
def test_covariances_and_correlations_are_numpys(rowvar):
    y = random((3, 6), seed=3)
    assert_is(evaluate(lambda a: ct.cov(a, rowvar=rowvar), X), np.cov(X, rowvar=rowvar))
    assert_is(evaluate(lambda a, b: ct.cov(a, b, rowvar, True), X, y), np.cov(X, y, rowvar, True))
    assert_is(evaluate(lambda a: ct.cov(a, rowvar=rowvar, ddof=0), X[0]), np.cov(X[0], rowvar=rowvar, ddof=0))
    assert_is(evaluate(lambda a: ct.corrcoef(a, rowvar=rowvar), X), np.corrcoef(X, rowvar=rowvar))
    z = X + 1j * y
    assert_is(evaluate(ct.cov, z), np.cov(z))
    assert_is(evaluate(ct.cov, INPUTS["integers"]), np.cov(INPUTS["integers"]))


@pytest.mark.parametrize("axis", [0, -1])
def test_trapezoids_are_numpys(axis):
    places = np.sort(random(X.shape[axis], seed=4))
    assert_is(evaluate(lambda y: ct.trapezoid(y, dx=0.5, axis=axis), X), np.trapezoid(X, dx=0.5, axis=axis))
    assert_is(evaluate(lambda y, x: ct.trapezoid(y, x, axis=axis), X, places), np.trapezoid(X, places, axis=axis))
    assert_is(evaluate(lambda y, x: ct.trapezoid(y, x, axis=axis), X, X), np.trapezoid(X, X, axis=axis))
