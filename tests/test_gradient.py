"""grad, Lop, Rop, jacobian, hessian and the barriers, against formulas and differences."""

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
    SourceLine,
    attributed_to,
)
from core.gradient import Lop, Rop, grad, hessian, jacobian
from core.gradient.inner_map import map_rows
from core.graph import Apply, DisconnectedType, NullType, Variable, toposort
from core.op import Op, disconnected, grad_undefined
from core.tensor.type import TensorType
from core.testing import check_derivatives, evaluate, random
from core.testing.values import compiled

X = random((3, 4))


def vector(name="x", n=None, dtype="float64"):
    return TensorType(dtype, (n,))(name)


def scalar(name="x", dtype="float64"):
    return TensorType(dtype, ())(name)


class Custom(Op):
    """y = x for tensors, with derivatives as a test wants them."""

    def __init__(self, gradient=None, tangent=None, pattern=None, outputs=1):
        self.gradient, self.tangent, self.pattern, self.outputs = gradient, tangent, pattern, outputs

    def __str__(self):
        return "Custom"

    def make_node(self, *inputs):
        return Apply(self, [ct.as_tensor(x) for x in inputs], [inputs[0].type for _ in range(self.outputs)])

    def perform(self, node, inputs, output_storage):
        for cell in output_storage:
            cell[0] = inputs[0].copy()

    def grad(self, inputs, output_grads):
        return self.gradient(inputs, output_grads) if self.gradient else super().grad(inputs, output_grads)

    def R_op(self, inputs, eval_points):
        return self.tangent(inputs, eval_points) if self.tangent else super().R_op(inputs, eval_points)

    def connection_pattern(self, node):
        return super().connection_pattern(node) if self.pattern is None else self.pattern


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
    x, z = vector("x"), vector("z")
    with pytest.raises(
        DisconnectedInputError, match=r"the cost does not depend on z, .*\n  z was made at .*test_gradient"
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


# --- Lop and Rop ----------------------------------------------------------------------------------------------------


def test_lop_is_a_row_vector_times_the_jacobian():
    A, v = random((3, 4), seed=1), random(3, seed=2)
    got = evaluate(lambda A, x, v: Lop((A * x).sum(axis=1), x, v), A, random(4), v)
    assert_allclose(got, v @ A)


def test_lop_adds_over_outputs_even_where_one_output_leads_to_another():
    def product(x, v, w):
        y = x * x
        return Lop([y, y * y], x, [v, w])

    x, v, w = (random(3, seed=seed) for seed in range(3))
    assert_allclose(evaluate(product, x, v, w), 2 * x * v + 4 * x**3 * w)


def test_lop_of_the_same_output_twice_adds_both_points():
    x, v = random(3), random(3, seed=1)
    assert_allclose(evaluate(lambda x, v: Lop([x * x] * 2, x, [v, v]), x, v), 4 * x * v)
    y = vector()
    z = y * y
    g = Lop([z, z], y, [vector("v"), vector("w")])
    assert g.type == y.type


def test_lop_needs_a_point_for_each_output():
    x = vector()
    with pytest.raises(ArgumentError, match="Lop needs one eval_point for each of 1 outputs, got 2"):
        Lop(x * x, x, [x, x])


def test_lop_checks_its_points():
    x = vector()
    with pytest.raises(GradientError, match=r"an eval_point of Lop for .* needs dtype float64 and ndim=1, got"):
        Lop(x * x, x, scalar("v"))


def test_lop_of_an_unrelated_variable_is_an_error():
    x, z = vector("x"), vector("z")
    with pytest.raises(DisconnectedInputError, match="does not depend on z"):
        Lop(x * x, z, x)


def test_rop_is_the_jacobian_times_a_column_vector():
    A, v = random((3, 4), seed=1), random(4, seed=2)
    assert_allclose(evaluate(lambda A, x, v: Rop((A * x).sum(axis=1), x, v), A, random(4), v), A @ v)


def test_rop_adds_over_variables():
    x, y, u, v = (random(3, seed=seed) for seed in range(4))
    assert_allclose(evaluate(lambda x, y, u, v: Rop(x * y, [x, y], [u, v]), x, y, u, v), u * y + x * v)


def test_rop_with_none_leaves_a_variable_still():
    x, y, u = (random(3, seed=seed) for seed in range(3))
    assert_allclose(evaluate(lambda x, y, u: Rop(x * y, [x, y], [u, None]), x, y, u), u * y)


def test_rop_returns_one_result_for_one_output_and_a_list_for_a_list():
    x, v = vector("x"), vector("v")
    assert isinstance(Rop(x * x, x, v), Variable)
    assert len(Rop([x * x, x + 1], x, v)) == 2
    assert isinstance(Rop((x * x,), x, v), tuple)


def test_rop_of_the_variable_itself_is_the_tangent():
    x, v = vector("x"), vector("v")
    assert Rop(x, x, v) is v


def test_rop_with_respect_to_an_inner_variable_takes_its_tangent_as_given():
    def product(x, v):
        y = x * x
        return Rop(y * x, [y], [v])

    x, v = random(3), random(3, seed=1)
    assert_allclose(evaluate(product, x, v), v * x)


def test_rop_of_an_output_that_does_not_move_is_an_error_or_what_is_wanted():
    x, z, v = vector("x"), vector("z"), vector("v")
    with pytest.raises(DisconnectedInputError, match="y does not depend on wrt differentiably"):
        y = z * z
        y.name = "y"
        Rop(y, x, v)
    with pytest.warns(UserWarning, match="does not depend on wrt"):
        Rop(z * z, x, v, disconnected_outputs="warn")
    assert Rop(z * z, x, v, disconnected_outputs="ignore", return_disconnected="none") is None
    zero = Rop(z * z, x, v, disconnected_outputs="ignore")
    assert_array_equal(compiled([x, z, v], [zero])(np.ones(2), np.ones(3), np.ones(2))[0], np.zeros(3))


def test_rop_does_not_pass_integers():
    x, v = vector("x"), vector("v")
    with pytest.raises(DisconnectedInputError):
        Rop(x.astype("int64"), x, v)
    with pytest.raises(DisconnectedInputError):
        Rop(x.astype("int64").astype("float64"), x, v)


def test_rop_of_an_op_without_one_is_an_error_that_names_it():
    x = vector()
    with pytest.raises(NullGradientError, match=r"there is no tangent of .*: Custom has no R_op"):
        Rop(Custom()(x) * 2.0, x, vector("v"))


def test_rop_checks_the_number_of_points():
    x = vector()
    with pytest.raises(ArgumentError, match="Rop needs one eval_point for each of 1 variables, got 2"):
        Rop(x * x, x, [x, x])


def test_rop_rejects_a_variable_given_twice():
    x = vector()
    with pytest.raises(ArgumentError, match="Rop got x twice in wrt"):
        Rop(x * x, [x, x], [x, x])


def test_rop_rejects_unknown_choices():
    x = vector()
    with pytest.raises(ArgumentError, match="disconnected_outputs needs one of"):
        Rop(x, x, x, disconnected_outputs="perhaps")
    with pytest.raises(ArgumentError, match="return_disconnected needs one of"):
        Rop(x, x, x, return_disconnected="perhaps")


def test_rop_checks_its_points():
    x = vector()
    with pytest.raises(GradientError, match="an eval_point of Rop for x needs dtype float64 and ndim=1, got"):
        Rop(x * x, x, scalar("v"))


def test_rop_uses_no_gradient():
    def never(inputs, output_grads):
        raise AssertionError("asked for a gradient")

    x, v = vector("x"), vector("v")
    assert Rop(Custom(never, lambda xs, us: [us[0]])(x), x, v) is v


def test_forward_and_backward_agree_on_a_larger_graph():
    check_derivatives(lambda x, y: [ct.tanh(x * y).sum(axis=0), ct.exp(x) / (1 + y * y)], X, random((3, 1), seed=3))


# --- jacobian and hessian -------------------------------------------------------------------------------------------


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
