"""Elementwise ops: values and dtypes are those of NumPy on every backend; functions that NumPy lacks."""

import itertools
import warnings

import numpy as np
import pytest
import scipy.special
from numpy.testing import assert_allclose, assert_array_equal

import core.tensor as ct
from core import dtypes
from core.errors import ArgumentError, DTypeError
from core.tensor.type import TensorType
from core.testing import available_backends, check_lowering, check_shapes, evaluate, random

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
