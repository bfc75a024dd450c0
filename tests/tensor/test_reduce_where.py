"""Reductions with ``where=`` and ``initial=`` against NumPy's."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import core.tensor as ct
from core.errors import ArgumentError, DTypeError
from core.testing import available_backends, check_derivatives, evaluate, random

MASK = np.array([[True, False, True, True], [False] * 4, [True] * 4])
AXES = [None, 0, 1, (0, 1), -1]


@pytest.mark.parametrize("dtype", ["float64", "float32", "int32", "bool", "complex128"])
@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("name", ["sum", "prod", "mean", "std", "var", "any", "all"])
def test_elements_that_a_mask_leaves_out_do_not_count(name, axis, dtype):
    x = (random((3, 4), low=-3, high=3) * (1 + 1j if dtype == "complex128" else 1)).astype(dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the mean of nothing
        expected = getattr(np, name)(x, axis=axis, where=MASK, keepdims=True)
    got, by_method, flat = evaluate(
        lambda x, m: [
            getattr(ct, name)(x, axis=axis, where=m, keepdims=True),
            getattr(x, name)(axis, where=m, keepdims=True),
            getattr(ct, name)(x, axis=axis, where=m),
        ],
        x,
        MASK,
    )
    assert got.dtype == expected.dtype
    assert_allclose(got, expected, rtol=1e-5 if dtype == "float32" else 1e-12)
    assert_array_equal(by_method, got)
    assert_array_equal(flat, got.reshape(np.sum(x, axis=axis).shape))


@pytest.mark.parametrize("backend", available_backends())
def test_masks_and_initial_values_on_every_backend(backend):
    x, mask = random((3, 4)), np.array([[True], [False], [True]])
    got = evaluate(
        lambda x, m: [
            ct.sum(x, 0, where=m, initial=2.0),
            ct.mean(x, 0, where=m),
            ct.var(x, 0, where=m, ddof=1),
            ct.max(x, 1, where=m, initial=-5.0),
            ct.min(x, initial=-5.0),
        ],
        x,
        mask,
        backend=backend,
    )
    expected = [
        np.sum(x, 0, where=mask, initial=2.0),
        np.mean(x, 0, where=mask),
        np.var(x, 0, where=mask, ddof=1),
        np.max(x, 1, where=mask, initial=-5.0),
        -5.0,
    ]
    for a, b in zip(got, expected, strict=True):
        assert_allclose(a, b, rtol=1e-12)


@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize("shape", [(3, 4), (0, 4), (3, 0), (0, 0), (1, 1)])
@pytest.mark.parametrize("name", ["max", "min", "sum", "prod"])
def test_with_an_initial_value_there_is_an_extreme_of_nothing(name, shape, static):
    x, first = random(shape), 0.25
    got = evaluate(lambda x: [getattr(ct, name)(x, axis, initial=first) for axis in AXES], x, static=static)
    for axis, out in zip(AXES, got, strict=True):
        expected = getattr(np, name)(x, axis=axis, initial=first)
        assert_allclose(out, expected, rtol=1e-12)
        assert out.shape == np.shape(expected)


def test_nan_counts_where_the_mask_holds_and_nowhere_else():
    x = np.array([[np.nan, 1.0], [2.0, np.nan]])
    mask = ~np.isnan(x)
    assert_array_equal(evaluate(lambda x: ct.sum(x, 1, where=mask), x), [1.0, 2.0])
    assert_array_equal(evaluate(lambda x: ct.max(x, 1, where=mask, initial=0.0), x), [1.0, 2.0])
    assert np.isnan(evaluate(lambda x: ct.max(x, initial=0.0), x))


@pytest.mark.parametrize("name", ["sum", "mean", "var", "prod", "max"])
def test_derivatives_of_masked_reductions(name):
    options = {"initial": -2.0} if name == "max" else {}
    check_derivatives(lambda x: getattr(ct, name)(x, 0, where=MASK, **options), random((3, 4)))


def test_what_a_masked_reduction_needs_is_said():
    x, n = ct.dmatrix("x"), ct.lvector("n")
    with pytest.raises(ArgumentError, match="max with where= needs initial="):
        ct.max(x, where=x > 0)
    with pytest.raises(DTypeError, match="a reduction of int64 needs an initial that can become it, got float64"):
        ct.max(n, initial=0.5)
