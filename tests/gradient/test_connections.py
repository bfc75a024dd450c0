"""core.grad: constants, barriers, what is not connected or has no gradient, and what an op must return."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import core.tensor as ct
from core import gradient
from core.errors import (
    ArgumentError,
    DisconnectedInputError,
    GradientError,
    NullGradientError,
)
from core.gradient import Rop, grad
from core.graph import DisconnectedType, NullType
from core.op import grad_undefined
from core.testing import check_derivatives, evaluate
from core.testing.values import compiled

from .custom import Custom
from .variables import X, vector

# --- grad: constants, known gradients, barriers ---------------------------------------------------------------------


def test_no_gradient_passes_a_variable_considered_constant():
    def derivative(x):
        y = x * x
        return grad((x * y).sum(), x, consider_constant=[y])

    assert_allclose(evaluate(derivative, X), X**2)


def test_a_variable_considered_constant_has_no_gradient():
    x = vector()
    with pytest.raises(
        DisconnectedInputError, match="no gradient with respect to x, because it is in consider_constant"
    ):
        grad((x * x).sum(), x, consider_constant=[x])


def test_known_grads_replace_a_cost():
    def derivative(x):
        y = x * x
        return grad(None, x, known_grads={y: 3.0 * x})

    assert_allclose(evaluate(derivative, X), 6 * X**2)


def test_known_grads_override_what_the_cost_contributes():
    def derivative(x):
        y = x * x
        return grad(y.sum() + x.sum(), x, known_grads=[(y, x * 0.0)])

    assert_allclose(evaluate(derivative, X), np.ones_like(X))


def test_known_grads_may_be_arrays_and_are_returned_for_their_own_variable():
    x = vector()
    y = x * 2.0
    gy, gx = grad(None, [y, x], known_grads={y: np.array([1.0, 2.0])})
    assert_allclose(compiled([x], [gx])(np.zeros(2))[0], [2.0, 4.0])
    assert_allclose(gy.data, [1.0, 2.0])


def test_a_known_gradient_must_fit_its_variable():
    x = vector()
    with pytest.raises(
        GradientError, match=r"a known gradient for x needs dtype float64 and ndim=1, got TensorType\(float32"
    ):
        grad(None, x, known_grads={x: vector("g", dtype="float32")})
    with pytest.raises(GradientError, match="a known gradient for x is no tensor"):
        grad(None, x, known_grads={x: "seven"})
    fixed = vector(n=3)
    with pytest.raises(GradientError, match=r"a known gradient for x needs shape \(3,\), got"):
        grad(None, fixed, known_grads={fixed: vector("g", n=2)})


@pytest.mark.parametrize("barrier", [gradient.disconnected_grad, gradient.stop_gradient])
def test_disconnected_grad_disconnects(barrier):
    x = vector()
    with pytest.raises(DisconnectedInputError):
        grad(barrier(x).sum(), x)
    assert_allclose(evaluate(lambda x: grad((x * barrier(x)).sum(), x), X), X)
    assert_array_equal(evaluate(barrier, X), X)


@pytest.mark.parametrize("barrier", [gradient.zero_grad, gradient.consider_constant])
def test_zero_grad_gives_zeros(barrier):
    assert_array_equal(evaluate(lambda x: grad(barrier(x).sum(), x), X), np.zeros_like(X))
    assert_allclose(evaluate(lambda x: grad((x * barrier(x)).sum(), x), X), X)
    check_derivatives(lambda x, y: x * barrier(y) + y, X, X, wrt=0)


def test_undefined_grad_raises_when_asked():
    x = vector()
    with pytest.raises(NullGradientError, match=r"with respect to x: the gradient of UndefinedGrad .* is undefined"):
        grad(gradient.undefined_grad(x).sum(), x)
    with pytest.raises(NullGradientError, match="the tangent of UndefinedGrad is undefined"):
        Rop(gradient.undefined_grad(x), x, vector("v"))


def test_grad_scale_scales_gradient_and_tangent():
    assert_allclose(evaluate(lambda x: grad(gradient.grad_scale(x, -2).sum(), x), X), np.full_like(X, -2))
    assert_allclose(evaluate(lambda x: Rop(gradient.grad_scale(x, -2), x, x), X), -2 * X)


def test_grad_scale_keeps_float32():
    x = X.astype("float32")
    assert evaluate(lambda x: grad(gradient.grad_scale(x, 0.5).sum(), x), x).dtype == "float32"


def test_grad_scale_needs_a_number():
    with pytest.raises(ArgumentError, match="grad_scale needs a number as multiplier, got 'two' of type str"):
        gradient.grad_scale(vector(), "two")


def test_grad_clip_clips_gradients():
    x = np.array([-3.0, 0.1, 3.0])
    g = evaluate(lambda x: grad((gradient.grad_clip(x, -1, 1) ** 2).sum(), x), x)
    assert_allclose(g, [-1, 0.2, 1])


def test_grad_clip_has_no_tangent():
    x = vector()
    with pytest.raises(NullGradientError, match=r"GradClip\(low=-1.0, high=1.0\) changes gradients only"):
        Rop(gradient.grad_clip(x, -1, 1), x, vector("v"))


def test_grad_clip_needs_ordered_bounds():
    with pytest.raises(ArgumentError, match="grad_clip needs low <= high, got low=1 and high=-1"):
        gradient.grad_clip(vector(), 1, -1)


def test_barriers_keep_type_shape_and_lowering():
    x = vector(n=3)
    y = gradient.zero_grad(x)
    assert y.type == x.type
    assert y.owner.op.infer_shape(y.owner, [(3,)]) == [(3,)]
    assert y.owner.op.lower(y.owner, "view") == "view"


# --- grad: no connection, no gradient -------------------------------------------------------------------------------


def test_an_unrelated_variable_is_an_error_with_its_line():
    x, z = ct.dvector("x"), ct.dvector("z")  # made here: the error says where
    with pytest.raises(
        DisconnectedInputError, match=r"the cost does not depend on z, .*\n  z was made at .*test_connections"
    ):
        grad((x * x).sum(), [x, z])


def test_a_variable_that_only_gives_its_shape_is_disconnected():
    x, z = vector("x"), vector("z")
    cost = x.sum() * z.shape[0].astype("float64")
    with pytest.raises(DisconnectedInputError, match="does not depend on z, or only through ops that are not diff"):
        grad(cost, z)


def test_a_discrete_variable_has_no_gradient_and_the_error_says_why():
    x, n = vector("x"), vector("n", dtype="int64")
    with pytest.raises(DisconnectedInputError, match="with respect to n, because its dtype, int64, is discrete"):
        grad((x * n).sum(), n)


def test_disconnected_inputs_may_be_warned_of_or_ignored():
    x, z = vector("x"), vector("z")
    with pytest.warns(UserWarning, match="the cost does not depend on z"):
        grad((x * x).sum(), z, disconnected_inputs="warn")
    (g,) = compiled([x, z], [grad((x * x).sum(), z, disconnected_inputs="ignore")])(np.ones(2), np.ones(3))
    assert_array_equal(g, np.zeros(3))


def test_what_is_returned_for_a_disconnected_input_can_be_chosen():
    x, z = vector("x"), vector("z")
    cost = (x * x).sum()
    assert grad(cost, z, disconnected_inputs="ignore", return_disconnected="none") is None
    g = grad(cost, z, disconnected_inputs="ignore", return_disconnected="disconnected")
    assert isinstance(g.type, DisconnectedType)


def test_the_zero_gradient_of_a_discrete_variable_is_float64():
    x, n = vector("x"), vector("n", dtype="int8")
    assert grad((x * n).sum(), n, disconnected_inputs="ignore").dtype == "float64"


def test_an_op_without_gradient_is_an_error_that_names_it():
    x = vector()
    with pytest.raises(NullGradientError, match="with respect to x: Custom has no gradient yet for its input 0"):
        grad(Custom()(x).sum(), x)


def test_a_null_gradient_can_be_returned():
    x = vector()
    g = grad(Custom()(x).sum(), x, null_gradients="return")
    assert isinstance(g.type, NullType) and "Custom has no gradient" in g.type.why


def test_a_null_gradient_spreads_to_what_is_below_and_beats_other_terms():
    x = vector()
    y = x * 2.0
    with pytest.raises(NullGradientError, match="Custom has no gradient yet"):
        grad((Custom()(y) + y * y).sum(), x)


def test_a_null_gradient_of_an_input_that_nobody_asks_for_does_no_harm():
    op = Custom(gradient=lambda xs, gs: [gs[0], grad_undefined(None, 1, xs[1])])
    x, z = vector("x"), vector("z")
    assert_allclose(compiled([x, z], [grad(op(x, z * 2.0).sum(), x)])(np.ones(2), np.ones(2))[0], np.ones(2))


def test_an_output_that_the_cost_does_not_use_has_a_disconnected_gradient():
    seen = []

    def gradient_of(inputs, output_grads):
        seen.append([isinstance(g.type, DisconnectedType) for g in output_grads])
        return [output_grads[1]]

    x = vector()
    grad(Custom(gradient_of, outputs=2)(x)[1].sum(), x)
    assert seen == [[True, False]]


def test_the_connection_pattern_decides_what_is_connected():
    x, z = vector("x"), vector("z")
    op = Custom(lambda xs, gs: [gs[0], gs[0]], pattern=[[True], [False]])
    with pytest.raises(DisconnectedInputError, match="does not depend on z"):
        grad(op(x, z).sum(), z)
    assert grad(op(x, z).sum(), x) is not None


def test_a_node_that_leads_nowhere_is_not_asked_for_its_gradient():
    def never(inputs, output_grads):
        raise AssertionError("asked")

    x, z = vector("x"), vector("z")
    grad((Custom(never)(z) * x).sum(), x)


# --- grad: what an op must return -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "returned, text",
    [
        (lambda xs, gs: [gs[0], gs[0]], "grad of Custom needs to return 1 gradients, one per input, got 2"),
        (
            lambda xs, gs: gs[0],
            "grad of Custom needs to return 1 gradients, one per input, got .* of type TensorVariable",
        ),
        (lambda xs, gs: [3.0], r"grad of Custom for its input 0 \(x\) needs a variable, got 3.0 of type float"),
        (lambda xs, gs: [gs[0].sum()], r"grad of Custom for its input 0 \(x\) needs dtype float64 and ndim=1, got"),
        (lambda xs, gs: [gs[0].astype("float32")], "needs dtype float64 and ndim=1, got TensorType.float32"),
    ],
)
def test_what_an_op_returns_as_gradient_is_checked(returned, text):
    x = vector()
    with pytest.raises(GradientError, match=text):
        grad(Custom(returned)(x).sum(), x)


def test_none_as_a_gradient_means_disconnected():
    x = vector()
    with pytest.raises(DisconnectedInputError):
        grad(Custom(lambda xs, gs: [None])(x).sum(), x)


def test_the_shape_of_a_connection_pattern_is_checked():
    x = vector()
    with pytest.raises(
        GradientError, match=r"connection_pattern of Custom needs 1 rows \(inputs\) of 1 \(outputs\), got"
    ):
        grad(Custom(pattern=[[True, True]])(x).sum(), x)


@pytest.mark.parametrize(
    "returned, text",
    [
        (lambda xs, us: [us[0], us[0]], "R_op of Custom needs to return 1 tangents, one per output, got 2"),
        (
            lambda xs, us: us[0],
            "R_op of Custom needs to return 1 tangents, one per output, got .* of type TensorVariable",
        ),
        (lambda xs, us: [3.0], "R_op of Custom for its output 0 needs a variable, got 3.0 of type float"),
        (lambda xs, us: [us[0].sum()], "R_op of Custom for its output 0 needs dtype float64 and ndim=1, got"),
    ],
)
def test_what_an_op_returns_as_tangent_is_checked(returned, text):
    x = vector()
    with pytest.raises(GradientError, match=text):
        Rop(Custom(tangent=returned)(x), x, vector("v"))
