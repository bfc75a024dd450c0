"""Variance as an op: its numbers, its derivatives of every order, and that no gradient goes through the mean."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import core
import core.tensor as ct
from core.graph import toposort
from core.tensor.variance import SquaredDistances
from core.testing import available_backends, check_derivatives, check_op, evaluate, random

SHAPES = [((5,), (0,)), ((3, 4), (1,)), ((3, 4), (0,)), ((2, 3, 4), (0, 2)), ((1, 4), (0,)), ((4, 1), (1,))]


def distances(x, axes):
    return ((x - x.mean(axes, keepdims=True)) ** 2).sum(axes)


@pytest.mark.parametrize("shape, axes", SHAPES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("backend", available_backends())
def test_squared_distances_are_those_of_numpy(shape, axes, dtype, backend):
    x = random(shape, dtype)
    rtol = 1e-12 if dtype == "float64" else 1e-5
    assert_allclose(evaluate(SquaredDistances(axes), x, backend=backend), distances(x, axes), rtol=rtol)


@pytest.mark.parametrize("shape, axes", SHAPES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_squared_distances_keep_the_contract_of_ops(shape, axes, dtype):
    check_op(SquaredDistances(axes), random(shape, dtype), backends=())


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_squared_distances_of_nothing_are_nothing(shape):
    assert_array_equal(evaluate(SquaredDistances((0,)), np.zeros(shape)), np.zeros(shape[1:]))


def test_without_axes_each_element_is_its_own_mean():
    x = np.array([1.0, -0.0, np.inf, np.nan])
    assert_array_equal(evaluate(lambda x: ct.var(x, ()), x), [0, 0, np.nan, np.nan])


@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
def test_a_row_that_is_not_finite_has_no_variance_and_spoils_no_other(special):
    x = random((3, 4))
    x[1, 2] = special
    got = evaluate(lambda x: core.grad(ct.var(x, 1).sum(), x), x)
    assert not np.isfinite(got[1]).any() and np.isfinite(got[[0, 2]]).all()
    assert_array_equal(np.isnan(evaluate(lambda x: ct.var(x, 1), x)), [False, True, False])


@pytest.mark.parametrize("shape, axes", SHAPES)
def test_derivatives_agree_with_differences(shape, axes):
    check_derivatives(SquaredDistances(axes), random(shape))


def test_second_derivatives_see_the_mean_move():
    x = random(4)
    got = evaluate(lambda x: core.hessian(ct.var(x), x), x)
    assert_allclose(got, 2 / 4 * (np.eye(4) - 1 / 4), atol=1e-14)


def test_no_gradient_goes_through_the_mean():
    x = ct.matrix("x")
    slope = core.grad(ct.var(x, 1).sum(), x)
    sums = [node for node in toposort([slope]) if isinstance(node.op, ct.Reduce)]
    assert [node.inputs[0] for node in sums] == [x] * len(sums)
