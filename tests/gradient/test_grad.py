"""core.grad: values, arguments, names and lines."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import core.tensor as ct
from core.errors import (
    ArgumentError,
    GradientError,
    NullGradientError,
    SourceLine,
    attributed_to,
)
from core.gradient import Rop, grad
from core.graph import NullType, Variable, toposort
from core.op import disconnected
from core.testing import evaluate, random
from core.testing.values import compiled

from .variables import X, scalar, vector

# --- grad: values ---------------------------------------------------------------------------------------------------


def test_the_gradient_of_a_sum_of_squares_is_twice_the_input():
    assert_allclose(evaluate(lambda x: grad((x * x).sum(), x), X), 2 * X)


def test_grad_takes_one_variable_a_list_or_a_tuple():
    x, y = vector("x"), vector("y")
    cost = (x * y).sum()
    assert isinstance(grad(cost, x), Variable)
    assert isinstance(grad(cost, [x, y]), list) and len(grad(cost, [x, y])) == 2
    assert isinstance(grad(cost, (x, y)), tuple)
    assert grad(cost, []) == []


def test_the_gradient_with_respect_to_the_cost_itself_is_one():
    assert evaluate(lambda x: grad(x, x), np.array(3.0)) == 1


def test_the_gradient_with_respect_to_an_inner_variable():
    def derivative(x):
        y = x * x
        return grad((y * y).sum(), [x, y])

    gx, gy = evaluate(derivative, X)
    assert_allclose(gx, 4 * X**3)
    assert_allclose(gy, 2 * X**2)


def test_a_variable_named_twice_gets_its_gradient_twice():
    first, second = evaluate(lambda x: grad((x * x).sum(), [x, x]), X)
    assert_array_equal(first, second)


def test_gradients_along_several_ways_are_added():
    assert_allclose(evaluate(lambda x: grad((x * x + 3 * x + x).sum(), x), X), 2 * X + 4)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_gradient_has_the_dtype_and_shape_of_its_variable(dtype):
    x = random((2, 3), dtype)
    g = evaluate(lambda x, y: grad((x * y).sum(), x), x, random((2, 3)))
    assert (g.dtype, g.shape) == (x.dtype, x.shape)


@pytest.mark.parametrize("shape", [(0,), (1,), (0, 3), ()])
def test_gradients_of_small_and_empty_arrays(shape):
    x = random(shape)
    assert_allclose(evaluate(lambda x: grad((x**2).sum(), x), x), 2 * x)


def test_the_gradient_of_a_broadcast_of_unknown_length_is_summed():
    gx, gy = evaluate(lambda x, y: grad((x * y).sum(), [x, y]), random((1, 4)), random((3, 4), seed=1))
    assert_allclose(gx, random((3, 4), seed=1).sum(axis=0, keepdims=True))
    assert gy.shape == (3, 4)


def test_a_gradient_can_be_differentiated_again():
    def third(x):
        first = grad((x**4).sum(), x)
        second = grad(first.sum(), x)
        return grad(second.sum(), x)

    assert_allclose(evaluate(third, X), 24 * X)


def test_the_gradient_of_a_chain_of_20000_nodes_needs_no_recursion():
    x = scalar()
    y = x
    for _ in range(20_000):
        y = y * 1.0
    g = grad(y, x)
    tangent = Rop(y, x, scalar("v"))
    assert len(toposort([g])) >= 20_000
    assert len(toposort([tangent])) >= 20_000


def test_the_gradient_of_a_deep_graph_with_sharing_is_linear_in_its_nodes():
    x = scalar()
    y = x
    for _ in range(40):
        y = y * 0.25 + y * 0.25  # 2 ** 40 paths
    assert_allclose(compiled([x], [grad(y, x)])(np.array(1.0))[0], 0.5**40)


# --- grad: arguments ------------------------------------------------------------------------------------------------


def test_the_cost_must_be_a_scalar_and_the_error_names_the_users_line():
    x = vector()
    with pytest.raises(
        GradientError, match=r"needs a scalar as cost, got y with ndim=1; .*\n  y was made at .*test_grad"
    ):
        y = x * 2
        y.name = "y"
        grad(y, x)


@pytest.mark.parametrize("dtype", ["int64", "bool", "complex128"])
def test_the_cost_must_be_a_real_float(dtype):
    x = scalar(dtype=dtype)
    with pytest.raises(GradientError, match=f"needs a real floating-point scalar as cost, got x of dtype {dtype}"):
        grad(x, x)


def test_the_cost_must_be_a_variable():
    with pytest.raises(ArgumentError, match=r"needs a variable as cost, got 3.0 of type float"):
        grad(3.0, scalar())


def test_the_cost_must_be_a_tensor():
    with pytest.raises(
        GradientError, match=r"needs a real floating-point scalar as cost, got .* of type DisconnectedType"
    ):
        grad(disconnected(), scalar())


def test_a_cost_that_is_a_null_gradient_says_why():
    with pytest.raises(NullGradientError, match="cannot differentiate this cost: it jumps"):
        grad(NullType("it jumps")(), scalar())


def test_grad_needs_a_cost_or_known_grads():
    with pytest.raises(ArgumentError, match="needs a cost, or known_grads to start from, got neither"):
        grad(None, scalar())


def test_wrt_must_hold_variables():
    x = scalar()
    with pytest.raises(ArgumentError, match="wrt of grad needs a variable or a list of variables, got 3 of type int"):
        grad(x, [x, 3])


@pytest.mark.parametrize("argument", ["disconnected_inputs", "return_disconnected", "null_gradients"])
def test_grad_rejects_unknown_choices(argument):
    x = scalar()
    with pytest.raises(ArgumentError, match=f"{argument} needs one of '.*', got 'perhaps'"):
        grad(x * x, x, **{argument: "perhaps"})


# --- grad: names and lines ------------------------------------------------------------------------------------------


def test_gradients_are_named_after_cost_and_variable():
    x = scalar("x")
    cost = ct.exp(x * x)
    assert grad(cost, x).name is None
    cost.name = "cost"
    assert grad(cost, x).name == "(dcost/dx)"
    assert grad(cost, x, add_names=False).name is None


def test_a_gradient_that_is_a_variable_of_the_users_is_not_renamed():
    x, y = scalar("x"), scalar("y")
    product = y * y
    z = x + product
    z.name = "z"
    (g,) = grad(z, [x], known_grads={z: product})
    assert product.name is None
    assert g.name is None or g is not product


def test_nodes_of_a_gradient_belong_to_the_line_they_came_from():
    x = scalar()
    with attributed_to(SourceLine("model.py", 7)):
        y = ct.exp(x)
    g = grad(y * 2.0, x)
    assert SourceLine("model.py", 7) in {node.source for node in toposort([g], stop_at=[y])}
