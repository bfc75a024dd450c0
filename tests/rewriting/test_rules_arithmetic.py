"""Rules of arithmetic: which ops remain, near misses, and the same bits before and after."""

import numpy as np
import pytest

from core.graph import ancestors
from core.rewriting import canonicalize, stabilize
from core.tensor.arithmetic import (
    abs,
    add,
    bitwise_and,
    bitwise_or,
    cast,
    conj,
    floor_divide,
    invert,
    maximum,
    minimum,
    negative,
    positive,
    real,
    reciprocal,
    sqrt,
    square,
    tensor_copy,
)
from core.tensor.elementwise import second
from core.tensor.functions import exp, power, sin
from core.tensor.logic import logical_not, where
from core.tensor.rules.arithmetic import is_lossless
from core.tensor.type import TensorType, constant

x, y = TensorType("float64", 1)("x"), TensorType("float64", 1)("y")
m = TensorType("int8", 1)("m")
u, z, b = TensorType("uint8", 1)("u"), TensorType("complex128", 1)("z"), TensorType("bool", 1)("b")
INTEGERS = np.array([-128, -1, 0, 1, 2, 127], "int8")
COMPLEXES = np.array([1 + 2j, complex(np.inf, 0), complex(0, np.nan), -3j])
BOOLS = np.array([True, False, True])

FLOAT_RULES = {
    "times one": (x * 1.0, []),
    "one times": (1 * x, []),
    "over one": (x / 1, []),
    "plus negative zero": (x + -0.0, []),
    "minus zero": (x - 0, []),
    "maximum with itself": (maximum(x, x), []),
    "minimum with itself": (minimum(x, x), []),
    "twice negative": (negative(-x), []),
    "times minus one": (x * -1, ["negative"]),
    "plus negative": (x + (-sin(x)), ["sin", "subtract"]),
    "minus negative": (x - (-sin(x)), ["sin", "add"]),
    "negative times negative": ((-x) * (-sin(x)), ["sin", "multiply"]),
    "negative times": ((-x) * sin(x), ["sin", "multiply", "negative"]),
    "minus negative times": (x - (-x) * sin(x), ["sin", "multiply", "add"]),
    "twice a multiple": (3 * sin(x) + 3 * sin(x), ["sin", "multiply"]),
    "twice a product with a small constant": (-0.5 * x * sin(x) + -0.5 * x * sin(x), ["sin", "multiply", "negative"]),
    "negative over negative": ((-x) / (-sin(x)), ["sin", "true_divide"]),
    "absolute of negative": (abs(-x), ["abs"]),
    "absolute of absolute": (abs(abs(x)), ["abs"]),
    "square of negative": (square(-x), ["square"]),
    "times itself": (x * x, ["square"]),
    "power 1": (x**1, []),
    "power 0": (x**0, ["second"]),
    "power 2": (x**2, ["square"]),
    "power -1": (x**-1, ["true_divide"]),
    "reciprocal": (reciprocal(x), ["true_divide"]),
    "over a power of two": (x / 4, ["multiply"]),
    "cast to its dtype": (cast(cast(x, "float64"), "float64"), []),
    "copy": (tensor_copy(positive(x)), []),
    "real and conjugate": (real(conj(x)), []),
    "choice between equals": (where(x > 0, x, x), []),
    "true choice": (where(True, x, second(x, 1.0)), []),
    "false choice": (where(False, second(x, 1.0), x), []),
    "fill with its own shape": (second(sin(x), x), []),
    "fill beside its shape": (second(x, 2.0) + x, ["add"]),
    "negative of fill": (-second(x, 2.0) + x, ["add"]),
    "uniform constant": (TensorType("float64", (12,))("x") * np.full(12, 3.0), ["multiply"]),
}


@pytest.mark.parametrize("name", FLOAT_RULES)
def test_a_rule_for_floats_leaves_these_ops_and_every_bit(rewritten, special, name):
    out, ops = FLOAT_RULES[name]
    v = next(v for v in _inputs(out) if v.name == "x")
    result = rewritten(out, v)
    assert result.ops == ops
    assert result.same_on(special)


def _inputs(out):
    return [v for v in ancestors([out]) if v.owner is None]


FLOAT_NEAR_MISSES = {
    "plus zero": (x + 0.0, ["add"]),
    "zero minus": (0 - x, ["subtract"]),
    "minus itself": (x - x, ["subtract"]),
    "times zero": (x * 0, ["multiply"]),
    "minus negative zero": (x - -0.0, ["subtract"]),
    "one over": (1 / x, ["true_divide"]),
    "over three": (x / 3, ["true_divide"]),
    "over a denormal": (x / 2.0**-1073, ["true_divide"]),
    "power with a fraction": (x**2.25, ["power"]),
    "high power of a half": (x**8.5, ["power"]),
    "high power": (x**17, ["power"]),
    "twice itself": (x + x, ["add"]),
    "twice a product with a large constant": (2 * x * sin(x) + 2 * x * sin(x), ["multiply", "sin", "multiply", "add"]),
    "a multiple whose double overflows": (1e308 * x + 1e308 * x, ["multiply", "add"]),
    "two multiples": (3 * x + 3 * sin(x), ["multiply", "sin", "multiply", "add"]),
    "two absolutes": (abs(-sin(x)) + abs(x), ["abs", "sin", "abs", "add"]),
    "lossy cast": (cast(cast(x, "float32"), "float64"), ["Cast(float32)", "Cast(float64)"]),
}


@pytest.mark.parametrize("name", FLOAT_NEAR_MISSES)
def test_a_near_miss_among_floats_stays(rewritten, special, name):
    out, ops = FLOAT_NEAR_MISSES[name]
    result = rewritten(out, x)
    assert sorted(result.ops) == sorted(ops)
    assert result.same_on(special)


INTEGER_RULES = {
    "times one": (m * 1, []),
    "over one": (floor_divide(m, 1), []),
    "plus zero": (m + 0, []),
    "minus zero": (m - 0, []),
    "times zero": (m * 0, ["second"]),
    "minus itself": (m - m, ["second"]),
    "and with itself": (bitwise_and(m, m), []),
    "or with itself": (bitwise_or(m, m), []),
    "twice negative": (negative(-m), []),
    "twice inverted": (invert(invert(m)), []),
    "square": (m**2, ["square"]),
    "power 3": (m**3, ["square", "multiply"]),
    "widened twice": (cast(cast(m, "int32"), "int64"), ["Cast(int64)"]),
    "there and back": (cast(cast(m, "float32"), "int8"), []),
    "absolute of negative stays": (abs(-m), ["negative", "abs"]),
    "twice a multiple stays": (3 * m + 3 * m, ["multiply", "add"]),
    "negative times stays": ((-m) * m, ["negative", "multiply"]),
    "plus negative stays": (cast(m, "int64") + (-m), ["Cast(int64)", "negative", "add"]),
    "through a float to another integer stays": (
        cast(cast(m, "float32"), "int16"),
        ["Cast(float32)", "Cast(int16)"],
    ),
}


@pytest.mark.parametrize("name", INTEGER_RULES)
def test_a_rule_for_integers_leaves_these_ops_and_every_bit(rewritten, name):
    out, ops = INTEGER_RULES[name]
    result = rewritten(out, m)
    assert sorted(result.ops) == sorted(ops)
    assert result.same_on(INTEGERS)


def test_unsigned_integers_keep_their_negatives_under_abs(rewritten):
    result = rewritten(abs(-u), u)
    assert result.ops == ["negative", "abs"]
    assert result.same_on(np.array([0, 1, 200], "uint8"))


def test_complex_numbers_are_multiplied_by_one(rewritten):
    assert rewritten(z * 1, z).ops == ["multiply"]
    assert rewritten(z / 1, z).ops == ["true_divide"]


def test_signs_of_complex_numbers_cancel(rewritten):
    result = rewritten(square(-z), z)
    assert result.ops == ["square"]
    assert result.same_on(COMPLEXES)


def test_a_truth_value_is_negated_twice(rewritten):
    result = rewritten(logical_not(logical_not(b)), b)
    assert result.ops == []
    assert result.same_on(BOOLS)
    assert rewritten(logical_not(logical_not(x)), x).ops == ["logical_not", "logical_not"]


def test_a_product_of_truth_values_is_no_square(rewritten):
    assert rewritten(b * b, b).ops == ["multiply"]


def test_a_neutral_element_of_a_wider_dtype_still_converts(rewritten):
    result = rewritten(add(m, constant(0, dtype="int32")), m)
    assert result.ops == ["add"]
    assert result.same_on(INTEGERS)


def test_a_neutral_element_with_axes_may_broadcast(rewritten):
    out = x * np.ones((2, 1))
    assert "multiply" in rewritten(out, x).ops
    assert rewritten(out, x).same_on(np.arange(3.0))


@pytest.mark.parametrize(
    "power_of, rtol",
    [(3, 1e-15), (4, 1e-15), (7, 2e-15), (8, 2e-15), (-2, 1e-15), (-5, 2e-15), (13, 4e-15), (16, 4e-15)],
)
def test_small_powers_are_products(rewritten, power_of, rtol):
    result = rewritten(x**power_of, x)
    assert "power" not in result.ops
    assert result.same_on(np.array([0.0, -0.0, 1.5, -2.5, np.inf, -np.inf, np.nan]), rtol=rtol)


def test_a_power_of_one_half_of_what_cannot_be_negative_is_a_root(rewritten, special):
    for inside in (exp(x), square(x), abs(x), abs(x) + 1.0):
        result = rewritten(inside**0.5, x)
        assert result.ops[-1] == "sqrt"
        assert result.same_on(special, rtol=1e-15)
    assert rewritten(abs(x) ** -0.5, x).ops == ["abs", "sqrt", "true_divide"]


@pytest.mark.parametrize("power_of", [0.5, 1.5, 2.5, 7.5, -0.5, -1.5, -4.5])
def test_a_power_of_halves_is_a_root_that_keeps_infinities_and_zeros(rewritten, power_of):
    values = np.array([-np.inf, -1.0, -0.0, 0.0, 1e-30, 2.0, 1e30, np.inf, np.nan])
    for inside, base in ((x, values), (abs(x), np.abs(values)), (abs(x) + -1.0, np.abs(values) - 1.0)):
        result = rewritten(inside**power_of, x)
        assert "sqrt" in result.ops
        assert "power" not in result.ops
        with np.errstate(all="ignore"):
            wanted = np.power(base, np.full_like(base, power_of))  # NumPy computes x**0.5 otherwise
        np.testing.assert_allclose(result.value(values), wanted, rtol=4e-15)
        assert not np.signbit(result.value(values)[~np.isnan(wanted)]).any()


def test_the_root_of_a_square_is_the_absolute_and_does_not_overflow(rewritten):
    result = rewritten(sqrt(square(x)), x)
    assert result.ops == ["abs"]
    np.testing.assert_array_equal(result.value([-1e200, 1e-200, np.nan, -0.0]), [1e200, 1e-200, np.nan, 0.0])


def test_a_power_with_a_variable_exponent_stays(rewritten):
    assert rewritten(power(x, y), x, y).ops == ["power"]


def test_a_choice_that_broadcasts_keeps_its_shape(rewritten):
    column = TensorType("bool", (None, 1))("column")
    result = rewritten(where(column, x, x), column, x)
    assert result.same_on(np.array([[True], [False]]), np.arange(3.0))
    result = rewritten(where(True, x, y), x, y)
    assert result.same_on(np.ones(1), np.arange(3.0))


def test_a_fill_that_others_do_not_cover_stays(rewritten):
    result = rewritten(second(x, 2.0) + y, x, y)
    assert result.ops == ["second", "add"]
    assert result.same_on(np.ones(3), np.ones(1))


def test_canonical_rules_keep_an_integer_beside_a_float(rewritten):
    result = rewritten(m * x * 1, m, x, stages=[canonicalize, stabilize])
    assert result.ops == ["multiply"]


@pytest.mark.parametrize(
    "source, target, expected",
    [
        ("int8", "float16", True),
        ("int16", "float16", False),
        ("int32", "float64", True),
        ("int64", "float64", False),
        ("float32", "complex64", True),
        ("float64", "float32", False),
        ("bool", "int8", True),
    ],
)
def test_a_conversion_is_lossless_when_the_target_holds_every_value(source, target, expected):
    assert is_lossless(source, target) is expected


def test_negative_of_a_constant_is_folded(rewritten):
    assert rewritten(x + negative(constant(2.0)), x).ops == ["add"]
