"""Scalar expressions by NumPy: every operation against NumPy's own, in every dtype it admits."""

import itertools
import math

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from core import dtypes
from core.errors import BackendError
from core.ir.codes import Code
from core.ir.evaluate import NUMPY_CALLS, evaluate_scalar
from core.ir.expr import (
    Call,
    arith,
    cast,
    compare,
    const,
    divide,
    guarded,
    index,
    length,
    load,
    maximum,
    minimum,
    select,
)

VALUES = np.array([-3, -2, -1, 0, 1, 2, 3])
SPECIAL = np.array([math.nan, math.inf, -math.inf, 0.0, -0.0, 1.5, -1.5])
NUMBERS = [d for d in dtypes.ALL if d != "bool"]


def evaluate(function, *arrays):
    places = [load(f"x{k}", (), array.dtype.name) for k, array in enumerate(arrays)]
    return evaluate_scalar(function(*places), dict(zip(places, arrays, strict=True)))


def pairs(dtype):
    values = VALUES.astype(dtype)
    return np.repeat(values, len(values)), np.tile(values, len(values))


ARITHMETIC = {Code.ADD: np.add, Code.SUB: np.subtract, Code.MUL: np.multiply}


@pytest.mark.parametrize("dtype", NUMBERS)
@pytest.mark.parametrize("code", ARITHMETIC)
def test_arithmetic_is_numpys(code, dtype):
    a, b = pairs(dtype)
    got = evaluate(lambda p, q: arith(code, p, q), a, b)
    assert got.dtype == dtype
    assert_array_equal(got, ARITHMETIC[code](a, b))


@pytest.mark.parametrize("dtype", [*dtypes.INTEGERS, *dtypes.FLOATS])
def test_floor_division_and_remainder_take_the_sign_of_the_divisor_by_zero_too(dtype):
    a, b = pairs(dtype)
    with np.errstate(all="ignore"):
        assert_array_equal(evaluate(lambda p, q: p // q, a, b), a // b)
        assert_array_equal(evaluate(lambda p, q: p % q, a, b), a % b)


@pytest.mark.parametrize("dtype", dtypes.ALL)
def test_true_division_is_numpys(dtype):
    a, b = pairs(dtype)
    with np.errstate(all="ignore"):
        got, expected = evaluate(divide, a, b), np.true_divide(a, b)
    assert got.dtype == expected.dtype
    assert_array_equal(got, expected)


@pytest.mark.parametrize("dtype", dtypes.INTEGERS)
def test_integers_wrap_around(dtype):
    info = np.iinfo(dtype)
    top, bottom, one = (np.array([v], dtype) for v in (info.max, info.min, 1))
    assert evaluate(lambda p, q: p + q, top, one)[0] == info.min
    assert evaluate(lambda p, q: p - q, bottom, one)[0] == info.max


@pytest.mark.parametrize("dtype", dtypes.INTEGERS)
@pytest.mark.parametrize(
    "code, function", [(Code.AND, np.bitwise_and), (Code.OR, np.bitwise_or), (Code.XOR, np.bitwise_xor)]
)
def test_bits_are_numpys(code, function, dtype):
    a, b = pairs(dtype)
    assert_array_equal(evaluate(lambda p, q: arith(code, p, q), a, b), function(a, b))


@pytest.mark.parametrize("dtype", ["int32", "uint8"])
def test_shifts_are_numpys(dtype):
    a, b = np.arange(1, 8).astype(dtype), np.arange(7).astype(dtype)
    assert_array_equal(evaluate(lambda p, q: p << q, a, b), a << b)
    assert_array_equal(evaluate(lambda p, q: p >> q, a, b), a >> b)


@pytest.mark.parametrize("dtype", ["bool", "int32", "float64"])
@pytest.mark.parametrize(
    "code, function", [(Code.LT, np.less), (Code.LE, np.less_equal), (Code.EQ, np.equal), (Code.NE, np.not_equal)]
)
def test_comparisons_are_numpys(code, function, dtype):
    a, b = pairs(dtype)
    got = evaluate(lambda p, q: compare(code, p, q), a, b)
    assert got.dtype == "bool"
    assert_array_equal(got, function(a, b))


def test_comparisons_with_nan_are_false_and_unequal_is_true():
    nan = np.array([math.nan])
    assert not evaluate(lambda p: p < 1.0, nan) and not evaluate(lambda p: p >= 1.0, nan)
    assert evaluate(lambda p: compare(Code.NE, p, p), nan)


@pytest.mark.parametrize("function, oracle", [(maximum, np.maximum), (minimum, np.minimum)])
def test_maximum_and_minimum_pass_nan_on(function, oracle):
    a, b = np.repeat(SPECIAL, len(SPECIAL)), np.tile(SPECIAL, len(SPECIAL))
    assert_array_equal(evaluate(function, a, b), oracle(a, b))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_power_is_numpys(dtype):
    a, b = pairs(dtype)
    with np.errstate(all="ignore"):
        assert_array_equal(evaluate(lambda p, q: p**q, a, b), a**b)


def test_negation_and_complement():
    assert_array_equal(evaluate(lambda p: -p, VALUES.astype("int8")), -VALUES)
    assert_array_equal(evaluate(lambda p: -p, VALUES.astype("uint8")), (-VALUES).astype("uint8"))
    assert_array_equal(evaluate(lambda p: ~p, VALUES), ~VALUES)
    assert_array_equal(evaluate(lambda p: ~p, np.array([True, False])), [False, True])


@pytest.mark.parametrize("source, target", list(itertools.product(dtypes.ALL, repeat=2)))
def test_casts_are_numpys(source, target):
    values = np.abs(VALUES).astype(source)
    if source in dtypes.COMPLEXES:
        values = values + values.dtype.type(1j)
    expected = values.astype(target) if target in dtypes.COMPLEXES or target == "bool" else values.real.astype(target)
    got = evaluate(lambda p: cast(p, target), values)
    assert got.dtype == target
    assert_array_equal(got, expected)


def test_floats_are_cut_towards_zero_when_they_become_integers():
    assert evaluate(lambda p: cast(p, "int64"), np.array([-1.7, 1.7])).tolist() == [-1, 1]


def test_a_choice_takes_the_branch_element_by_element():
    a, b = np.array([1.0, math.nan]), np.array([2.0, 3.0])
    assert_array_equal(evaluate(lambda p, q: select(p < q, p, q), a, b), [1.0, 3.0])
    assert_array_equal(evaluate(lambda p, q: guarded(p < q, p, q), a, b), [1.0, 3.0])


NAMES = {
    "asin": "arcsin", "acos": "arccos", "atan": "arctan",
    "asinh": "arcsinh", "acosh": "arccosh", "atanh": "arctanh",
    "atan2": "arctan2", "fabs": "abs",
}  # fmt: skip
ONLY_IN_MATH = {"erf": math.erf, "erfc": math.erfc, "tgamma": math.gamma, "lgamma": math.lgamma}
TWO = {"hypot", "copysign", "fmod", "nextafter", "atan2"}
OF_COMPLEX = {"cabs": np.abs, "carg": np.angle, "creal": np.real, "cimag": np.imag, "conj": np.conj}


@pytest.mark.parametrize("name", sorted(set(NUMPY_CALLS) - set(ONLY_IN_MATH) - set(OF_COMPLEX) - TWO))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_functions_of_one_argument_are_numpys(name, dtype):
    values = np.concatenate([SPECIAL, np.linspace(-2, 2, 9)]).astype(dtype)
    with np.errstate(all="ignore"):
        expected = getattr(np, NAMES.get(name, name))(values)
    got = evaluate(lambda p: Call(name, p), values)
    assert got.dtype == expected.dtype
    assert_array_equal(got, expected)


@pytest.mark.parametrize("name", OF_COMPLEX)
@pytest.mark.parametrize("dtype", dtypes.COMPLEXES)
def test_functions_of_complex_numbers_are_numpys(name, dtype):
    values = np.stack([SPECIAL, SPECIAL[::-1]], axis=-1).view("complex128")[:, 0].astype(dtype)
    got, expected = evaluate(lambda p: Call(name, p), values), OF_COMPLEX[name](values)
    assert got.dtype == expected.dtype
    assert_array_equal(got, expected)


@pytest.mark.parametrize("name", sorted(TWO))
def test_functions_of_two_arguments_are_numpys(name):
    a, b = np.repeat(SPECIAL, len(SPECIAL)), np.tile(SPECIAL, len(SPECIAL))
    with np.errstate(all="ignore"):
        expected = getattr(np, NAMES.get(name, name))(a, b)
    assert_array_equal(evaluate(lambda p, q: Call(name, p, q), a, b), expected)


@pytest.mark.parametrize("name", sorted(ONLY_IN_MATH))
def test_functions_that_numpy_lacks_are_pythons(name):
    values = np.array([0.5, 1.0, 2.5, -0.5])
    assert_allclose(evaluate(lambda p: Call(name, p), values), [ONLY_IN_MATH[name](v) for v in values], rtol=1e-15)
    assert evaluate(lambda p: Call(name, p), values.astype("float32")).dtype == "float32"
    assert evaluate(lambda p: Call(name, p), np.array(0.5)) == ONLY_IN_MATH[name](0.5)


@pytest.mark.parametrize(
    "name, x, expected",
    [
        ("tgamma", 0.0, math.inf),
        ("tgamma", -0.0, -math.inf),
        ("tgamma", -1.0, math.nan),
        ("tgamma", math.inf, math.inf),
        ("tgamma", -math.inf, math.nan),
        ("tgamma", math.nan, math.nan),
        ("tgamma", 200.0, math.inf),
        ("lgamma", 0.0, math.inf),
        ("lgamma", -2.0, math.inf),
        ("lgamma", -math.inf, math.inf),
        ("lgamma", 1e308, math.inf),
        ("lgamma", math.nan, math.nan),
    ],
)
def test_gamma_functions_at_poles_and_infinities_follow_c99(name, x, expected):
    assert_array_equal(evaluate(lambda p: Call(name, p), np.array(x)), expected)


def test_integers_become_floats_for_a_function():
    assert_allclose(evaluate(lambda p: Call("sqrt", p), np.array([4, 9])), [2, 3])


def test_operands_broadcast():
    got = evaluate(lambda p, q: p + q, np.ones((3, 1)), np.ones(4))
    assert got.shape == (3, 4)


def test_constants_alone_have_a_value():
    got = evaluate_scalar(const(0.1, "float32") + const(0.2, "float32"), {})
    assert got == np.float32(0.1) + np.float32(0.2) and got.dtype == "float32"


def test_an_inner_expression_may_be_given():
    x = load("x", (), "float64")
    inner = Call("exp", x)
    assert evaluate_scalar(inner * 2.0, {inner: np.float64(3.0)}) == 6.0


def test_no_warning_is_raised_for_infinities_and_nan(recwarn):
    evaluate(lambda p, q: Call("log", p) / q, SPECIAL, SPECIAL)
    evaluate(lambda p, q: p // q, VALUES, np.zeros_like(VALUES))
    assert not [one for one in recwarn if issubclass(one.category, RuntimeWarning)]


@pytest.mark.parametrize("node", [index("i"), length("x", 0), load("x", (), "float64")])
def test_what_has_no_value_by_itself_says_so(node):
    with pytest.raises(BackendError, match="is not a scalar operation, so it has no value by itself"):
        evaluate_scalar(node, {})
