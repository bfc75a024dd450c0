"""Elementwise ops: values and dtypes against NumPy, derivatives against differences, and every error's text."""

import itertools
import pickle
import warnings

import numpy as np
import pytest
import scipy.special
from numpy.testing import assert_allclose, assert_array_equal

import core
import core.tensor as ct
from core import dtypes
from core.errors import ArgumentError, DTypeError, GradientError, ShapeError
from core.gradient import grad
from core.graph import DisconnectedType, NullType
from core.ir.expr import Call, Expr, load
from core.tensor.arithmetic import Cast
from core.tensor.elementwise import Elementwise, elementwise
from core.tensor.type import TensorType
from core.testing import available_backends, check_derivatives, check_lowering, check_shapes, evaluate, random

UNARY = (
    *("negative", "positive", "abs", "sign", "square", "sqrt", "cbrt", "reciprocal", "rint", "floor", "ceil", "trunc"),
    *("invert", "conj", "angle", "real", "imag", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p"),
    *("sin", "cos", "tan", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "arcsinh", "arccosh", "arctanh"),
    *("deg2rad", "rad2deg", "isnan", "isinf", "isfinite", "signbit", "logical_not"),
)
BINARY = (
    *("add", "subtract", "multiply", "true_divide", "floor_divide", "mod", "fmod", "power", "copysign"),
    *("maximum", "minimum", "fmax", "fmin", "arctan2", "hypot", "logaddexp", "logaddexp2"),
    *("bitwise_and", "bitwise_or", "bitwise_xor", "left_shift", "right_shift"),
    *(
        "equal",
        "not_equal",
        "less",
        "less_equal",
        "greater",
        "greater_equal",
        "logical_and",
        "logical_or",
        "logical_xor",
    ),
)
REAL_UNARY = tuple(name for name in UNARY if name not in ("invert", "conj", "real", "imag", "angle"))
REAL_BINARY = tuple(name for name in BINARY if not name.startswith("bitwise") and not name.endswith("shift"))
SPECIAL = np.array([0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, -2.5, 3.7, -40.0, 800.0, np.inf, -np.inf, np.nan, 1e-12])


def numpy_result(name, *arrays):
    """What NumPy's ufunc gives, or None where it has no loop for these dtypes."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            return np.asarray(getattr(np, name)(*arrays))
        except TypeError:
            return None


def performed(op, *arrays):
    """The value of one op, by its perform alone; None where it refuses the dtypes."""
    inputs = [TensorType(array.dtype, array.ndim)() for array in arrays]
    try:
        node = op.make_node(*inputs)
    except DTypeError:
        return None
    storage = [[None]]
    node.op.perform(node, list(arrays), storage)
    assert storage[0][0].dtype == node.out.dtype
    return storage[0][0]


def small(dtype, seed):
    """Values inside every domain: 1, 2, 3, or between 0.1 and 0.9."""
    if dtype in dtypes.DISCRETE:
        return random((2, 3), dtype, seed, low=1, high=3)
    return random((2, 3), dtype, seed, low=0.1, high=0.9)


def tolerance(dtype):
    """A few units in the last place of the coarsest dtype that took part."""
    return {"float16": 5e-3, "float32": 1e-5, "complex64": 1e-5}.get(str(dtype), 1e-12)


# --- values and dtypes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", UNARY)
def test_a_unary_op_has_the_dtype_and_value_of_numpy_for_every_dtype(name):
    for dtype in dtypes.ALL:
        x = small(dtype, 0)
        expected, got = numpy_result(name, x), performed(getattr(ct, name), x)
        assert (expected is None) == (got is None), dtype
        if expected is not None:
            assert got.dtype == expected.dtype, dtype
            assert_allclose(got, expected, rtol=tolerance(got.dtype), err_msg=dtype)


@pytest.mark.parametrize("name", BINARY)
def test_a_binary_op_has_the_dtype_and_value_of_numpy_for_every_pair_of_dtypes(name):
    for pair in itertools.product(dtypes.ALL, repeat=2):
        x, y = (small(dtype, seed) for seed, dtype in enumerate(pair))
        expected, got = numpy_result(name, x, y), performed(getattr(ct, name), x, y)
        assert (expected is None) == (got is None), pair
        if expected is not None:
            assert got.dtype == expected.dtype, pair
            assert_allclose(got, expected, rtol=tolerance(got.dtype), atol=1e-12, err_msg=str(pair))


@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_unary_ops_pass_infinities_nan_and_signed_zeros_as_numpy_does(dtype, backend):
    x = SPECIAL.astype(dtype)
    results = evaluate(lambda v: [getattr(ct, name)(v) for name in REAL_UNARY], x, backend=backend)
    for name, got in zip(REAL_UNARY, results, strict=True):
        assert_allclose(got, numpy_result(name, x), rtol=2e-5 if dtype == "float32" else 1e-12, err_msg=name)


@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_binary_ops_pass_infinities_nan_and_signed_zeros_as_numpy_does(dtype, backend):
    x, y = SPECIAL.astype(dtype)[:, None], SPECIAL.astype(dtype)[None, :]
    results = evaluate(lambda v, w: [getattr(ct, name)(v, w) for name in REAL_BINARY], x, y, backend=backend)
    for name, got in zip(REAL_BINARY, results, strict=True):
        expected = numpy_result(name, x, y)
        if name == "arctan2":
            assert_array_equal(np.signbit(got), np.signbit(expected))
        assert_allclose(got, expected, rtol=2e-5 if dtype == "float32" else 1e-12, err_msg=name)


@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize("dtype", ["int8", "int32", "int64", "uint8", "uint64"])
def test_integer_arithmetic_wraps_and_divides_as_numpy_does(dtype, backend):
    info = np.iinfo(dtype)
    x = np.array([info.min, info.min + 1, 0, 1, 2, 7, info.max - 1, info.max], dtype)[:, None]
    y = np.array([0, 1, 2, 3, info.max] + [-1, -2, -3] * (info.min < 0), dtype)[None, :]
    names = ("add", "subtract", "multiply", "floor_divide", "mod", "fmod", "maximum", "minimum", "less", "equal")
    results = evaluate(lambda v, w: [getattr(ct, name)(v, w) for name in names], x, y, backend=backend)
    for name, got in zip(names, results, strict=True):
        expected = numpy_result(name, x, y)
        if name == "floor_divide":  # NumPy leaves min // -1 to the processor
            fits = (x != info.min) | (y != np.array(-1).astype(dtype))
            got, expected = got[fits], expected[fits]
        assert_array_equal(got, expected, err_msg=name)


@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize(
    "x_shape, y_shape",
    [
        ((), ()),
        ((1,), (1,)),
        ((0,), (0,)),
        ((3, 4), (3, 4)),
        ((3, 1), (1, 4)),
        ((4,), (3, 4)),
        ((3, 4), ()),
        ((0, 1), (5,)),
    ],
)
@pytest.mark.parametrize("static", [False, True])
def test_operands_broadcast_whether_or_not_their_lengths_are_known(x_shape, y_shape, static, backend):
    x, y = random(x_shape, seed=1), random(y_shape, seed=2)
    got = evaluate(lambda v, w: [ct.add(v, w), ct.exp(v), ct.where(v > w, v, w)], x, y, backend=backend, static=static)
    for result, expected in zip(got, [x + y, np.exp(x), np.where(x > y, x, y)], strict=True):
        assert result.shape == expected.shape
        assert_allclose(result, expected, rtol=1e-12)


@pytest.mark.parametrize("backend", available_backends())
def test_strided_operands_are_read_in_their_own_order(backend):
    x, y = random((8, 6))[::2, ::-1], random((6, 4), seed=1).T
    assert_allclose(evaluate(lambda v, w: v * w - v, x, y, backend=backend), x * y - x, rtol=1e-12)


@pytest.mark.parametrize("x, y", [(2, 3.5), (np.float32(2), 3.5), (np.int8(2), 3), (True, 1), (np.uint8(200), 100)])
def test_python_numbers_are_weak_as_in_numpy(x, y):
    x = np.array([x])
    with np.errstate(all="ignore"):
        expected = x + y
    assert evaluate(lambda v: v + y, x).dtype == expected.dtype
    assert_array_equal(evaluate(lambda v: y + v, x), expected)


def test_a_python_number_that_its_dtype_cannot_hold_is_refused():
    with pytest.raises(DTypeError, match="the Python number 300 does not fit uint8"):
        ct.tensor("x", dtype="uint8", ndim=1) + 300


def test_uint64_and_signed_integers_compare_by_value_not_as_floats():
    x = np.array([2**63, 2**53 + 1, 5, 0], "uint64")[:, None]
    y = np.array([-1, 2**53, 2**53 + 1, 5, 0, 2**63 - 1], "int64")[None, :]
    for name in ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal"):
        op = getattr(ct, name)
        assert_array_equal(evaluate(op, x, y), getattr(np, name)(x, y), err_msg=name)
        assert_array_equal(evaluate(op, y, x), getattr(np, name)(y, x), err_msg=name)


def test_reciprocal_of_an_integer_zero_is_zero():
    assert_array_equal(evaluate(ct.reciprocal, np.array([0, 1, -1, 2, -7])), [0, 1, -1, 0, 0])


@pytest.mark.parametrize("lo, hi", [(-0.5, 0.5), (0.5, -0.5), (0.0, np.nan), (-np.inf, 0.0)])
def test_clip_matches_numpy_also_for_crossed_bounds(lo, hi):
    x = np.array([-1, -0.5, 0, 0.2, 1, np.nan, np.inf])
    assert_array_equal(evaluate(lambda v: ct.clip(v, lo, hi), x), np.clip(x, lo, hi))


@pytest.mark.parametrize(
    "dtype, decimals", [("bool", 0), *itertools.product(["float64", "float32", "int64", "int8"], [0, 2, -1])]
)
def test_round_matches_numpy(dtype, decimals):
    x = np.array([0, 5, 15, 25, 26, -5, -15, 127]).astype(dtype) + (0.125 if "float" in dtype else 0)
    x = x.astype(dtype)
    expected = np.round(x, decimals)
    got = evaluate(lambda v: ct.round(v, decimals), x)
    assert_array_equal(got, expected)
    assert got.dtype == expected.dtype


def test_round_needs_an_int_as_decimals():
    with pytest.raises(ArgumentError, match=r"round needs an int as decimals, got 1\.5 of type float"):
        ct.round(ct.vector("x"), 1.5)


def test_divmod_gives_quotient_and_remainder():
    x, y = np.array([7, -7, 7, -7]), np.array([2, 2, -2, -2])
    for got, expected in zip(evaluate(lambda v, w: list(divmod(v, w)), x, y), np.divmod(x, y), strict=True):
        assert_array_equal(got, expected)


@pytest.mark.parametrize("equal_nan", [False, True])
@pytest.mark.parametrize("dtype", ["float64", "float32", "int64"])
def test_isclose_matches_numpy(dtype, equal_nan):
    values = [0, 1, 1 + 1e-6, 1e-9, -1, 2] + [np.inf, -np.inf, np.nan] * (dtype != "int64")
    x = np.array(values).astype(dtype)
    got = evaluate(lambda v, w: ct.isclose(v, w, equal_nan=equal_nan), x[:, None], x[None, :])
    assert_array_equal(got, np.isclose(x[:, None], x[None, :], equal_nan=equal_nan))


def test_allclose_matches_numpy():
    x = np.array([1.0, 2.0])
    assert evaluate(ct.allclose, x, x + 1e-9)
    assert not evaluate(ct.allclose, x, x + 1e-3)


def test_isposinf_and_isneginf_tell_the_infinities_apart():
    assert_array_equal(evaluate(ct.isposinf, SPECIAL), np.isposinf(SPECIAL))
    assert_array_equal(evaluate(ct.isneginf, SPECIAL), np.isneginf(SPECIAL))
    assert_array_equal(evaluate(ct.isposinf, np.arange(3)), [False, False, False])


def test_where_takes_its_dtype_from_the_values_and_not_from_the_condition():
    condition, x = ct.lvector("c"), ct.fvector("x")
    assert ct.where(condition, x, 1.0).dtype == "float32"
    assert ct.where(condition, 1, 0).dtype == "int64"
    assert_array_equal(evaluate(lambda c: ct.where(c, 1, 0), np.array([0, 2, -1])), [0, 1, 1])


@pytest.mark.parametrize("source", ["bool", "int8", "uint16", "float32", "float64"])
@pytest.mark.parametrize("target", ["bool", "int8", "uint16", "float32", "float64"])
def test_cast_matches_astype(source, target):
    x = np.array([0, 1, 2.7, -3.2 if source[0] in "fi" and target[0] != "u" else 3.2]).astype(source)
    got = evaluate(lambda v: ct.cast(v, target) + ct.cast(0, target), x)
    assert got.dtype == target
    assert_array_equal(got, x.astype(target))


def test_cast_to_the_dtype_it_has_gives_the_variable_itself():
    x = ct.vector("x")
    assert ct.cast(x, "float64") is x
    assert ct.cast(x, float) is x


def test_cast_refuses_an_unknown_dtype():
    with pytest.raises(DTypeError, match=r"dtype 'flaot32' is not one of .*Did you mean 'float32'\?"):
        ct.cast(ct.vector("x"), "flaot32")


@pytest.mark.parametrize("name", [*UNARY, "erf", "erfc", "gammaln", "sigmoid", "softplus", "relu", "gelu", "psi"])
def test_the_lowering_of_a_unary_op_computes_what_its_perform_does(name):
    op = getattr(ct, name)
    for dtype in ("bool", "int8", "float32", "float64"):
        if performed(op, small(dtype, 0)) is not None:
            check_lowering(op, small(dtype, 0))


@pytest.mark.parametrize("name", BINARY)
def test_the_lowering_of_a_binary_op_computes_what_its_perform_does(name):
    op = getattr(ct, name)
    for pair in (("int64", "int8"), ("float32", "float64"), ("uint8", "float32")):
        x, y = small(pair[0], 0), small(pair[1], 1)[:1]
        if performed(op, x, y) is not None:
            check_lowering(op, x, y)


def test_shapes_are_inferred_for_operands_of_known_and_unknown_lengths():
    check_shapes(ct.add, random((3, 1)), random((1, 4)))
    check_shapes(ct.where, random((3, 1)), random((4,)), random(()))
    check_shapes(ct.exp, random((0, 2)))


# --- functions that NumPy lacks ------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize(
    "name, reference",
    [
        ("erf", scipy.special.erf),
        ("erfc", scipy.special.erfc),
        ("gammaln", scipy.special.gammaln),
        ("psi", scipy.special.psi),
        ("tri_gamma", lambda x: scipy.special.zeta(2, x) if x > 0 else np.nan),
        ("sigmoid", scipy.special.expit),
        ("logit", scipy.special.logit),
        ("softplus", lambda x: np.logaddexp(x, 0)),
        ("relu", lambda x: np.maximum(x, 0)),
        ("silu", lambda x: x * scipy.special.expit(x)),
        ("gelu", lambda x: x * scipy.special.ndtr(x)),
        ("sinc", np.sinc),
    ],
)
def test_a_special_function_matches_its_reference(name, reference, backend):
    x = np.array([-30.5, -3.5, -0.7, -1e-9, 1e-9, 0.25, 0.7, 1.0, 1.46, 3.0, 12.5, 100.0, np.nan])
    if name == "tri_gamma":
        x = x[x > 0]
    with np.errstate(all="ignore"):
        expected = np.array([reference(value) for value in x])
    assert_allclose(evaluate(getattr(ct, name), x, backend=backend), expected, rtol=1e-12, atol=1e-15)


def test_gamma_matches_scipy_and_is_nan_at_negative_integers():
    x = np.array([0.5, 1, 5, 170, 172, -0.5, -1.5, np.inf, np.nan])
    assert_allclose(evaluate(ct.gamma, x), scipy.special.gamma(x), rtol=1e-12)
    assert_array_equal(evaluate(ct.gamma, np.array([-1.0, -2.0])), [np.nan, np.nan])


def test_psi_and_tri_gamma_meet_their_poles():
    assert_array_equal(
        evaluate(ct.psi, np.array([0.0, -0.0, -1.0, -7.0, np.inf])), [-np.inf, np.inf, np.nan, np.nan, np.inf]
    )
    assert_array_equal(evaluate(ct.tri_gamma, np.array([0.0, -1.0, -7.0, np.inf])), [np.inf, np.inf, np.inf, 0])


def test_tri_gamma_below_zero_matches_scipy():
    x = np.array([-0.5, -1.25, -20.75])
    expected = (np.pi / np.sin(np.pi * x)) ** 2 - scipy.special.polygamma(1, 1 - x)
    assert_allclose(evaluate(ct.tri_gamma, x), expected, rtol=1e-11)


def test_sigmoid_and_softplus_do_not_overflow():
    x = np.array([-np.inf, -1000.0, -40.0, 0.0, 40.0, 1000.0, np.inf])
    assert_allclose(evaluate(ct.sigmoid, x), [0, 0, np.exp(-40), 0.5, 1, 1, 1], rtol=1e-12)
    assert_allclose(evaluate(ct.softplus, x), [0, 0, np.exp(-40), np.log(2), 40, 1000, np.inf], rtol=1e-12)


def test_log1mexp_is_accurate_at_both_ends():
    x = np.array([-1e-10, -0.1, -0.7, -5.0, -40.0, 0.0, -np.inf])
    with np.errstate(divide="ignore"):
        expected = np.where(x > -0.6, np.log(-np.expm1(x)), np.log1p(-np.exp(x)))
    assert_allclose(evaluate(ct.log1mexp, x), expected, rtol=1e-13)


def test_xlogy_and_xlog1py_match_scipy():
    x, y = np.array([0.0, 0.0, 0.0, 2.0, -1.0])[:, None], np.array([0.0, 3.0, np.inf, np.nan, 0.5])[None, :]
    assert_allclose(evaluate(ct.xlogy, x, y), scipy.special.xlogy(x, y), rtol=1e-13)
    assert_allclose(evaluate(ct.xlog1py, x, y), scipy.special.xlog1py(x, y), rtol=1e-13)


# --- derivatives ---------------------------------------------------------------------------------------------------

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


# --- building ------------------------------------------------------------------------------------------------------


def test_static_lengths_are_broadcast_and_a_mismatch_names_both_operands():
    x, y = ct.tensor("x", shape=(3, None)), ct.tensor("y", shape=(1, 4))
    assert (x + y).type.shape == (3, 4)
    with pytest.raises(ShapeError, match=r"add cannot broadcast x with shape \(3, \?\) and z with shape \(2, 4\)"):
        x + ct.tensor("z", shape=(2, 4))


def test_an_op_needs_as_many_inputs_as_its_rule_has():
    with pytest.raises(ArgumentError, match="exp needs 1 input, got 2"):
        ct.exp(ct.vector("x"), ct.vector("y"))
    with pytest.raises(ArgumentError, match="where needs 3 inputs, got 2"):
        ct.where(ct.vector("x"), ct.vector("y"))


@pytest.mark.parametrize(
    "name, kinds, text",
    [
        ("subtract", ("bool", "bool"), r"subtract needs at least one operand that is not bool .* got bool and bool"),
        ("negative", ("bool",), r"negative needs an operand that is not bool \(use logical_not\), got bool"),
        ("positive", ("bool",), "positive needs an operand that is not bool, got bool"),
        ("sign", ("bool",), "sign needs an operand that is not bool, got bool"),
        ("floor_divide", ("complex64", "int8"), "floor_divide needs real operands, got complex64 and int8"),
        ("bitwise_and", ("float64", "int8"), "bitwise_and needs bool or integers .*, got float64 and int8"),
        (
            "left_shift",
            ("uint64", "int64"),
            "left_shift needs bool or integers of one common integer dtype, got uint64 and int64",
        ),
        ("invert", ("float32",), "invert needs bool or integers, got float32"),
        ("erf", ("complex128",), "erf needs real operands, got complex128"),
    ],
)
def test_a_dtype_that_an_op_does_not_take_is_named(name, kinds, text):
    with pytest.raises(DTypeError, match=text):
        getattr(ct, name)(*(TensorType(dtype, 1)() for dtype in kinds))


def test_a_dtype_error_shows_the_users_line():
    x = ct.vector("x")
    with pytest.raises(DTypeError, match=r'x was made at .*test_elementwise\.py:\d+: x = ct\.vector\("x"\)'):
        x & True


def test_dtype_casts_the_inputs_first():
    assert ct.add(ct.ivector("x"), ct.ivector("y"), dtype="float32").dtype == "float32"


def test_ops_are_found_again_by_pickle():
    for op in (ct.exp, ct.where, Cast("float32")):
        again = pickle.loads(pickle.dumps(op))
        assert again == op
        assert hash(again) == hash(op)
    assert Cast("float32") != Cast("float64")


def test_an_op_called_on_scalar_expressions_is_its_rule():
    x = load("x", (), "float64")
    assert isinstance(ct.exp(x), Expr)
    assert ct.cast(x, "float32").dtype == "float32"
    assert ct.where(x > 0, 1.0, x).dtype == "float64"


def test_a_rule_without_derivative_is_differentiated_step_by_step():
    @elementwise
    def bump(x):
        return ct.exp(-ct.square(x)) * Call("sin", x)

    assert isinstance(bump, Elementwise)
    check_derivatives(bump, random((3, 4)))


def test_a_c_function_without_an_op_needs_a_derivative():
    @elementwise
    def next_up(x):
        return Call("nextafter", x, x)

    with pytest.raises(ArgumentError, match="no elementwise op computes the C99 function 'nextafter', so a rule"):
        next_up.grad([ct.vector("x")], [ct.vector("g")])


def test_derivative_and_differential_exclude_each_other():
    with pytest.raises(ArgumentError, match="@elementwise takes derivative or differential, not both"):
        elementwise(lambda x: x, derivative=lambda x: [1], differential=lambda d, x: [d])


def test_aliases_are_the_same_op():
    for alias, name in (
        ("sub", "subtract"),
        ("mul", "multiply"),
        ("true_div", "true_divide"),
        ("int_div", "floor_divide"),
    ):
        assert getattr(ct, alias) is getattr(ct, name)
    for alias, name in (
        ("eq", "equal"),
        ("neq", "not_equal"),
        ("lt", "less"),
        ("ge", "greater_equal"),
        ("switch", "where"),
    ):
        assert getattr(ct, alias) is getattr(ct, name)


def test_every_elementwise_op_of_ct_has_a_docstring():
    ops = [value for name, value in vars(ct).items() if isinstance(value, Elementwise)]
    assert len(ops) > 90
    assert [op.name for op in ops if not op.__doc__] == []


@pytest.mark.parametrize("derivative", [lambda x, y: [x], lambda x, y: x * y])
def test_a_derivative_of_another_form_is_refused_with_the_name_of_the_op(derivative):
    @elementwise(derivative=derivative)
    def times(x, y):
        return x * y

    x = ct.dvector("x")
    with pytest.raises(GradientError, match="derivative given to times must return a list of 2 partial derivatives"):
        grad(times(x, x + 1).sum(), x)


def test_a_negative_constant_is_no_exponent_of_integers():
    i = ct.vector("i", dtype="int64")
    with pytest.raises(DTypeError, match=r"power of integers needs exponents >= 0, got i of dtype int64 \*\* -1"):
        i**-1
    assert (i**-1.0).dtype == "float64"
    assert_array_equal(evaluate(lambda x: x ** np.array([0, 2]), np.array([3, 3])), [1, 9])


@pytest.mark.parametrize("backend", available_backends())
def test_a_negative_exponent_of_an_integer_is_refused_when_it_comes(backend):
    x, y, s = ct.lvector("x"), ct.lvector("y"), ct.iscalar("s")
    f = core.function([x, y], [2 * x**y, (x**y).sum()], backend=backend)
    g, h = core.function([x, s], x**s, backend=backend), core.function([s], s**s, backend=backend)
    assert_array_equal(f([2, 3, 0], [3, 0, 0])[0], [16, 2, 2])
    for bad in (lambda: f([2, 3], [3, -1]), lambda: g([2, 3], -2), lambda: h(-1)):
        with pytest.raises(ValueError, match="Integers to negative integer powers are not allowed"):
            bad()
    assert_array_equal(f([2], [5])[0], [64])
    assert_array_equal(g([2, 3], 2), [4, 9])
    assert g([], -2).shape == f([], [])[0].shape == (0,)
    assert_array_equal(evaluate(lambda x, y: x**y, np.uint8([7]), np.uint8([3]), backend=backend), np.uint8([87]))
