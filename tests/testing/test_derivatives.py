"""check_derivatives and verify_grad must pass what is right and catch each kind of wrong."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import core.tensor as ct
from core.errors import GradientError, NullGradientError
from core.graph import Apply
from core.op import Op
from core.testing import check_derivatives, numeric_grad, random, verify_grad

X = random((3, 4))


class Square(Op):
    """x * x, with factors that a test may get wrong."""

    def __init__(self, gradient=2.0, tangent=2.0, dtype=None, sum_gradient=False):
        self.gradient, self.tangent, self.dtype, self.sum_gradient = gradient, tangent, dtype, sum_gradient

    def __str__(self):
        return "Square"

    def make_node(self, x):
        return Apply(self, [ct.as_tensor(x)], [x.type])

    def perform(self, node, inputs, output_storage):
        output_storage[0][0] = inputs[0] * inputs[0]

    def grad(self, inputs, output_grads):
        g = output_grads[0] * inputs[0] * self.gradient
        return [g[:1] if self.sum_gradient else g]

    def R_op(self, inputs, eval_points):
        return [eval_points[0] * inputs[0] * self.tangent]


def test_right_derivatives_pass():
    check_derivatives(Square(), X)
    check_derivatives(ct.tanh, X)
    check_derivatives(ct.tanh, X, static=True)
    check_derivatives(lambda x, y: [x * y, x / (2 + y * y)], X, random((3, 1), seed=1))


@pytest.mark.parametrize("shape", [(), (0,), (1,), (2, 0, 3)])
def test_derivatives_of_small_and_empty_arrays_pass(shape):
    check_derivatives(Square(), random(shape))


def test_a_wrong_gradient_is_caught():
    with pytest.raises(
        GradientError, match=r"<u, grad\(v\)> of Square for input 0 is .*, but <central difference along u, v> is"
    ):
        check_derivatives(Square(gradient=2.001), X)


def test_a_wrong_tangent_is_caught_and_the_element_named():
    with pytest.raises(
        GradientError, match=r"R_op of output 0 of Square for input 0 is .* at \(\d, \d\), but the central"
    ):
        check_derivatives(Square(tangent=2.001), X)


def test_a_gradient_that_is_nan_is_caught():
    with pytest.raises(GradientError, match="is nan"):
        check_derivatives(Square(gradient=float("nan")), X)


def test_a_gradient_of_the_wrong_shape_is_caught():
    with pytest.raises(
        GradientError, match=r"the gradient of input 0 of Square needs shape \(3, 4\) .*, got shape \(1, 4\)"
    ):
        check_derivatives(Square(sum_gradient=True), X)


def test_an_op_without_gradient_is_caught():
    class Bare(Square):
        grad = Op.grad

    with pytest.raises(NullGradientError, match="Square has no gradient yet"):
        check_derivatives(Bare(), X)


def test_only_the_inputs_asked_for_are_varied():
    check_derivatives(lambda x, y: x * ct.floor(y), X, X, wrt=0)
    check_derivatives(lambda x, y: x * ct.floor(y), X, X, wrt=[0])


def test_integer_inputs_are_left_alone():
    check_derivatives(lambda x, n: x * n, X, random((3, 4), "int64", low=1, high=5))


def test_inputs_of_lower_precision_are_checked_as_float64():
    check_derivatives(Square(), X.astype("float32"))


def test_discrete_outputs_are_left_alone():
    check_derivatives(lambda x: [x * x, x > 0], X)


def test_an_op_without_a_float_output_is_an_error():
    with pytest.raises(GradientError, match="check_derivatives needs an op with a float or complex output"):
        check_derivatives(lambda x: x > 0, X)


def test_an_op_without_a_float_input_is_an_error():
    with pytest.raises(
        GradientError, match="needs float or complex inputs to differentiate by, got wrt=None and dtypes"
    ):
        check_derivatives(ct.exp, random(3, "int64"))
    with pytest.raises(GradientError, match=r"got wrt=\[1\]"):
        check_derivatives(lambda x, n: x * n, X, random((3, 4), "int64"), wrt=[1])


# --- verify_grad ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_verify_grad_passes_what_is_right(dtype):
    verify_grad(lambda x, y: ct.sin(x) * y, [random((2, 3), dtype), random((1, 3), dtype, seed=1)])


def test_verify_grad_takes_a_generator_and_empty_points():
    verify_grad(Square(), [np.zeros((0, 3))], rng=np.random.default_rng(3), n_tests=1)
    verify_grad(Square(), [np.array(2.0)], eps=1e-5)


def test_verify_grad_catches_what_is_wrong():
    with pytest.raises(
        GradientError, match=r"verify_grad of Square: in test 0, the gradient of input 0 at \(\d, \d\) is .*"
    ):
        verify_grad(Square(gradient=2.1), [X])
    with pytest.raises(GradientError, match=r"absolute error .* > 0.0001, relative error .* > 0.0001"):
        verify_grad(Square(gradient=2.1), [X])


def test_verify_grad_catches_nan():
    with pytest.raises(GradientError, match="is nan, but the difference is"):
        verify_grad(Square(gradient=float("nan")), [X])


def test_verify_grad_is_as_strict_as_it_is_told():
    verify_grad(Square(gradient=2.01), [X], abs_tol=0.1, rel_tol=0.1)
    with pytest.raises(GradientError):
        verify_grad(Square(gradient=2.01), [X])


def test_verify_grad_needs_float_points_and_one_float_output():
    with pytest.raises(GradientError, match="verify_grad needs points of a float or complex dtype, got dtype int64"):
        verify_grad(ct.exp, [np.arange(3)])
    with pytest.raises(GradientError, match="verify_grad needs a function with one output of a float dtype, got"):
        verify_grad(lambda x: [x, x], [X])


def test_numeric_grad_is_the_gradient():
    def f(x, y):
        return float((x**2 * y).sum())

    gx, gy = numeric_grad(f, [random((2, 2)), random(2, seed=1)])
    assert_allclose(gx, 2 * random((2, 2)) * random(2, seed=1), atol=1e-8)
    assert_allclose(gy, (random((2, 2)) ** 2).sum(axis=0), atol=1e-8)


def test_numeric_grad_takes_a_step_and_leaves_its_points_alone():
    x = np.array([1.0])
    assert_allclose(numeric_grad(lambda x: float(x[0] ** 3), [x], eps=0.1)[0], [3.01])
    assert x[0] == 1.0
