"""core.jacobian and core.hessian."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import core.tensor as ct
from core.errors import (
    DisconnectedInputError,
    GradientError,
)
from core.gradient import hessian, jacobian
from core.gradient.inner_map import map_rows
from core.testing import check_derivatives, evaluate, random
from core.testing.values import compiled

from .variables import X, scalar, vector


@pytest.mark.parametrize("static", [False, True])
def test_the_jacobian_of_an_elementwise_function_is_diagonal(static):
    x = random(4)
    assert_allclose(evaluate(lambda x: jacobian(ct.sin(x), x), x, static=static), np.diag(np.cos(x)), atol=1e-15)


@pytest.mark.parametrize("static", [False, True])
def test_the_jacobian_of_a_product_is_its_matrix(static):
    A, x = random((3, 4), seed=1), random(4)
    assert_allclose(evaluate(lambda A, x: jacobian((A * x).sum(axis=1), x), A, x, static=static), A)


@pytest.mark.parametrize("static", [False, True])
def test_the_jacobian_has_the_shape_of_the_expression_and_then_of_the_variable(static):
    x = random((2, 3))
    J = evaluate(lambda x: jacobian(x * x, x), x, static=static)
    assert J.shape == (2, 3, 2, 3)
    assert_allclose(J.reshape(6, 6), np.diag(2 * x.ravel()))


def test_the_jacobian_of_a_scalar_is_its_gradient():
    assert_allclose(evaluate(lambda x: jacobian((x * x).sum(), x), X), 2 * X)


@pytest.mark.parametrize("n", [0, 1, 33, 40])
@pytest.mark.parametrize("static", [False, True])
def test_the_jacobian_of_any_length(n, static):
    x = random(n)
    assert_allclose(evaluate(lambda x: jacobian(x * x, x), x, static=static), np.diag(2 * x).reshape(n, n))


def test_the_jacobian_of_no_rows_has_the_shape_of_its_variable():
    J = evaluate(lambda x, y: jacobian((x * y.sum()), y), random(0), random((2, 3)))
    assert J.shape == (0, 2, 3)


@pytest.mark.parametrize("static", [False, True])
def test_the_jacobian_with_respect_to_several_variables(static):
    x, y = random(3), random(3, seed=1)
    Jx, Jy = evaluate(lambda x, y: jacobian(x * y, [x, y]), x, y, static=static)
    assert_allclose(Jx, np.diag(y))
    assert_allclose(Jy, np.diag(x))


def test_a_jacobian_keeps_float32():
    assert evaluate(lambda x: jacobian(x * x, x), random(3, "float32")).dtype == "float32"


@pytest.mark.parametrize("static", [False, True])
def test_a_jacobian_can_be_differentiated(static):
    check_derivatives(lambda x, y: jacobian(ct.sin(x * y), x), random(3), random(3, seed=1), static=static)


def test_a_gradient_through_a_jacobian_with_captured_intermediate_values():
    check_derivatives(lambda x: (jacobian(ct.tanh(ct.exp(x) * x), x) ** 2).sum(), random(3))


def test_the_jacobian_needs_a_real_float_tensor():
    x = vector(dtype="int64")
    with pytest.raises(
        GradientError, match=r"jacobian needs a real floating-point tensor, got x of type TensorType.int64"
    ):
        jacobian(x, x)
    with pytest.raises(GradientError, match="jacobian needs a real floating-point tensor, got 3 of type int"):
        jacobian(3, x)


@pytest.mark.parametrize("n", [None, 3])
def test_the_jacobian_with_respect_to_an_unrelated_variable(n):
    x, z = vector("x", n), vector("z", 2)
    with pytest.raises(DisconnectedInputError, match="does not depend on z"):
        jacobian(x * x, z)
    J = jacobian(x * x, [x, z], disconnected_inputs="ignore")[1]
    assert_array_equal(compiled([x, z], [J])(np.ones(3), np.ones(2))[0], np.zeros((3, 2)))


def test_the_jacobian_with_something_considered_constant():
    def derivative(x):
        y = x * x
        return jacobian(x * y, x, consider_constant=[y])

    x = random(3)
    assert_allclose(evaluate(derivative, x), np.diag(x * x))


@pytest.mark.parametrize("static", [False, True])
def test_the_hessian_of_a_quadratic_form_is_its_matrix(static):
    A, x = random((3, 3), seed=1), random(3)

    def second(A, x):
        return hessian((x * (A * x).sum(axis=1)).sum(), x)

    assert_allclose(evaluate(second, A, x, static=static), A + A.T)


def test_the_hessian_of_a_linear_cost_is_zero():
    assert_array_equal(evaluate(lambda x: hessian((2.0 * x).sum(), x), random(3)), np.zeros((3, 3)))


def test_the_hessian_of_a_matrix_has_four_axes():
    x = random((2, 2))
    H = evaluate(lambda x: hessian((x**3).sum(), x), x)
    assert_allclose(H.reshape(4, 4), np.diag(6 * x.ravel()))


def test_the_hessian_with_respect_to_a_scalar_and_a_list():
    h = evaluate(lambda x: hessian(x**3, [x])[0], np.array(2.0))
    assert_allclose(h, 12.0)


def test_the_hessian_of_rosenbrocks_function():
    def rosenbrock(x):
        return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()

    x = np.array([1.0, 1.0])
    assert_allclose(evaluate(lambda x: hessian(rosenbrock(x), x), x), [[802, -400], [-400, 200]])


def test_the_hessian_needs_continuous_variables():
    x, n = vector("x"), vector("n", dtype="int64")
    with pytest.raises(GradientError, match="hessian needs variables of a float dtype, got n of dtype int64"):
        hessian((x * n).sum(), n, disconnected_inputs="ignore")


def test_rows_of_another_shape_than_promised_are_an_error():
    i, x = scalar("i", "int64"), vector("x")
    (out,) = map_rows(3, i, [x * i], [(5,)])
    with pytest.raises(Exception, match=r"needs rows of shape \(5,\), got \(2,\) for row 0"):
        compiled([x], [out])(np.ones(2))


def test_rows_see_what_does_not_depend_on_the_index_once():
    i, x = scalar("i", "int64"), vector("x")
    (out,) = map_rows(3, i, [ct.exp(x) * i], [x.shape])
    inner = [str(node.op) for node in out.owner.op.order]
    assert "exp" not in inner
    assert_allclose(compiled([x], [out])(np.zeros(2))[0], [[0, 0], [1, 1], [2, 2]])
