"""Derivatives of elementwise ops: against differences, at ends of their domains, and of complex variables."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import core.tensor as ct
from core.gradient import grad
from core.graph import DisconnectedType, NullType
from core.tensor.arithmetic import Cast
from core.testing import check_derivatives, evaluate, random

SMOOTH = (
    *(
        "negative",
        "positive",
        "abs",
        "square",
        "cbrt",
        "reciprocal",
        "exp",
        "exp2",
        "expm1",
        "sin",
        "cos",
        "tan",
        "tanh",
    ),
    *("arcsin", "arccos", "arctan", "arctanh", "sinh", "cosh", "arcsinh", "deg2rad", "rad2deg", "sinc", "tensor_copy"),
    *(
        "erf",
        "erfc",
        "sigmoid",
        "softplus",
        "relu",
        "silu",
        "gelu",
        "sign",
        "floor",
        "ceil",
        "trunc",
        "rint",
        "conj",
        "real",
    ),
)
SMOOTH_ABOVE_ZERO = ("sqrt", "log", "log2", "log10", "log1p", "gamma", "gammaln", "psi", "logit")


@pytest.mark.parametrize("name", SMOOTH)
def test_derivatives_of_a_unary_op(name):
    x = random((3, 4), low=0.15, high=0.85)
    check_derivatives(getattr(ct, name), np.where(random((3, 4), seed=1) > 0, x, -x))


@pytest.mark.parametrize("name", SMOOTH_ABOVE_ZERO)
def test_derivatives_of_a_unary_op_above_zero(name):
    check_derivatives(getattr(ct, name), random((3, 4), low=0.2, high=0.8))


def test_derivatives_of_arccosh_and_log1mexp():
    check_derivatives(ct.arccosh, random((3, 4), low=1.5, high=3))
    check_derivatives(ct.log1mexp, random((3, 4), low=-2, high=-0.1))


SMOOTH_BINARY = (
    *("add", "subtract", "multiply", "true_divide", "mod", "fmod", "power", "maximum", "minimum", "fmax", "fmin"),
    *("arctan2", "hypot", "logaddexp", "logaddexp2", "xlogy", "xlog1py", "copysign", "floor_divide"),
)


@pytest.mark.parametrize("name", SMOOTH_BINARY)
@pytest.mark.parametrize("x_shape, y_shape", [((3, 4), (3, 4)), ((3, 1), (1, 4)), ((), (3,)), ((3, 1), (4,))])
@pytest.mark.parametrize("static", [False, True])
def test_derivatives_of_a_binary_op_are_summed_over_what_was_broadcast(name, x_shape, y_shape, static):
    x, y = random(x_shape, low=1.2, high=1.9), random(y_shape, seed=1, low=0.65, high=0.9)
    check_derivatives(getattr(ct, name), x, y, static=static)


def test_derivatives_of_where_and_clip():
    x, y = random((3, 4)), random((3, 1), seed=1)
    check_derivatives(lambda v, w: ct.where(v > 0, v * w, w), x, y)
    check_derivatives(ct.clip, random((3, 4), low=-3, high=3), np.array(-1.0), np.full((4,), 1.2))


def gradient(function, *arrays):
    """d sum(function) / d arrays, by the op's own rules."""

    def costs(*inputs):
        return grad(function(*inputs).sum(), list(inputs))

    return evaluate(costs, *arrays)


def test_second_derivatives_come_from_the_same_rules():
    for name in ("exp", "log", "tanh", "sqrt", "sigmoid", "softplus", "erf", "log1p", "square", "gammaln", "arctan"):
        op = getattr(ct, name)
        check_derivatives(lambda x, op=op: gradient_graph(op, x), random((3,), low=0.2, high=0.8))
    check_derivatives(lambda x: gradient_graph(lambda v: v**3.5, x), random((3,), low=0.2, high=0.8))


def gradient_graph(op, x):
    return grad(op(x).sum(), x)


def test_the_gradient_of_a_power_has_no_nan_at_zero():
    x, y = np.array([0.0, 0.0, 0.0, 2.0, -2.0]), np.array([2.0, 1.0, 0.0, 3.0, 2.0])
    dx, dy = gradient(lambda v, w: v**w, x, y)
    assert_allclose(dx, [0, 1, 0, 12, -4])
    assert_allclose(dy[:4], [0, 0, 0, 8 * np.log(2)])
    for exponent, expected in ((2, 2 * x), (0, 0 * x), (1, np.ones(5)), (3.0, 3 * x**2)):
        assert_allclose(gradient(lambda v, n=exponent: v**n, x)[0], expected)


def test_the_gradient_of_where_masks_instead_of_multiplying():
    x = np.array([0.0, 4.0])
    assert_allclose(gradient(lambda v: ct.where(v > 0, ct.sqrt(ct.where(v > 0, v, 1)), 0), x)[0], [0, 0.25])
    (dx,) = gradient(lambda v: ct.maximum(v, 0) * np.inf, np.array([-1.0]))
    assert_array_equal(dx, [0])


def test_where_both_are_equal_the_gradient_goes_to_one_operand_once():
    for op in (ct.maximum, ct.minimum, ct.fmax, ct.fmin):
        dx, dy = gradient(op, np.array([1.0]), np.array([1.0]))
        assert (dx.item(), dy.item()) == (1, 0)


def test_fmax_sends_its_gradient_past_nan():
    dx, dy = gradient(ct.fmax, np.array([np.nan, 1.0]), np.array([2.0, np.nan]))
    assert_array_equal(dx, [0, 1])
    assert_array_equal(dy, [1, 0])


def test_the_gradient_of_hypot_and_sinc_at_the_origin_is_zero():
    assert_array_equal(gradient(ct.hypot, np.zeros(1), np.zeros(1)), [[0], [0]])
    assert_array_equal(gradient(ct.sinc, np.zeros(1)), [[0]])


def test_the_gradient_of_logaddexp_of_equal_infinities_is_shared():
    assert_array_equal(gradient(ct.logaddexp, np.array([-np.inf]), np.array([-np.inf])), [[0.5], [0.5]])


def test_a_gradient_is_cast_back_to_the_dtype_of_its_input():
    x, y = ct.fvector("x"), ct.vector("y")
    node = (x * y).owner
    dx, dy = node.op.grad([x, y], [ct.vector("g")])
    assert (dx.dtype, dy.dtype) == ("float32", "float64")
    (dz,) = Cast("float64").grad([x], [ct.vector("g")])
    assert dz.dtype == "float32"


def test_a_tangent_has_the_dtype_of_the_output():
    x, y, t = ct.fvector("x"), ct.vector("y"), ct.fvector("t")
    assert ct.add.R_op([x, y], [t, None])[0].dtype == "float64"
    assert Cast("float64").R_op([x], [t])[0].dtype == "float64"


@pytest.mark.parametrize("op", [ct.isnan, ct.logical_not, Cast("int32")])
def test_a_discrete_output_is_disconnected(op):
    x = ct.vector("x")
    assert isinstance(op.grad([x], [ct.vector("g")])[0].type, DisconnectedType)
    assert op.R_op([x], [ct.vector("t")]) == [None]
    assert op.connection_pattern(op.make_node(x)) == [[False]]


def test_a_discrete_input_is_disconnected():
    x, n = ct.vector("x"), ct.lvector("n")
    dx, dn = ct.power.grad([x, n], [ct.vector("g")])
    assert dx.dtype == "float64"
    assert isinstance(dn.type, DisconnectedType)


def test_gradients_that_nobody_has_written_say_so():
    a, x = ct.vector("a"), ct.vector("x")
    g, _ = ct.zeta.grad([a, x], [ct.vector("g")])
    assert "zeta has no gradient yet for its input 0 (a): it is no function that has a name" in g.type.why
    assert isinstance(g.type, NullType)
