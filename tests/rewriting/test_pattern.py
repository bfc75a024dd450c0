"""Patterns: what matches what."""

import numpy as np
import pytest

from core.errors import ArgumentError
from core.rewriting.pattern import Pattern, match
from core.tensor.arithmetic import add, maximum, subtract
from core.tensor.functions import exp, log
from core.tensor.patterns import XF, X, Y
from core.tensor.type import TensorType, as_tensor, constant

x, y = TensorType("float64", 1)("x"), TensorType("float64", 1)("y")
n = TensorType("int64", 1)("n")


def test_an_op_applied_to_a_pattern_variable_is_a_pattern():
    assert str(log(1 + X)) == "log(add(1, X))"


def test_a_pattern_binds_its_variables():
    assert match(log(1 + X), log(1 + x)) == {"X": x}


def test_a_pattern_of_a_commutative_op_matches_either_order():
    assert match(1 + X, x + 1) == {"X": x}
    assert match(maximum(exp(X), Y), maximum(y, exp(x))) == {"X": x, "Y": y}


def test_a_pattern_of_another_op_keeps_its_order():
    assert match(1 - X, x - 1) is None
    assert match(1 - X, 1 - x) == {"X": x}


def test_the_other_order_is_tried_when_a_later_part_does_not_fit():
    assert match((X + Y) - X, (x + y) - y) == {"X": y, "Y": x}


def test_a_variable_that_occurs_twice_must_be_one_variable():
    assert match(X - X, x - x) == {"X": x}
    assert match(X - X, x - y) is None


def test_equal_constants_are_one_variable_to_a_pattern():
    assert match(X - X, subtract(constant(2.0), constant(2.0))) is not None
    assert match(X - X, subtract(constant(2.0), constant(3.0))) is None


@pytest.mark.parametrize("dtype", ["int8", "uint64", "float16", "float32", "float64", "complex64", "bool"])
def test_a_number_matches_a_constant_of_any_dtype(dtype):
    assert match(X + 1, add(TensorType(dtype, 1)("v"), constant(1, dtype=dtype))) is not None


def test_a_number_does_not_match_another_value_or_a_variable():
    assert match(X + 1, x + 2) is None
    assert match(X + 1, x + y) is None
    assert match(X + 0.5, add(n, constant(0))) is None


def test_a_number_is_rounded_to_the_dtype_of_the_constant():
    assert match(X + 0.1, TensorType("float32", 1)("v") + 0.1) is not None


def test_zero_matches_zero_of_the_same_sign_only():
    assert match(X + -0.0, x + -0.0) is not None
    assert match(X + -0.0, x + 0.0) is None
    assert match(X + 0, x + -0.0) is None


def test_a_number_does_not_match_a_constant_with_axes():
    assert match(X + 1, x + np.ones(1)) is None


def test_a_predicate_limits_what_a_variable_matches():
    assert match(XF + 1, x + 1) == {"X": x}
    assert match(XF + 1, n + 1) is None


def test_predicates_add_up():
    both = XF.such_that(lambda v: v.ndim == 0)
    assert match(both + 1, x + 1) is None
    assert match(both + 1, as_tensor(TensorType("float64", 0)("s")) + 1) is not None


def test_only_a_pattern_variable_takes_a_predicate():
    with pytest.raises(ArgumentError, match=r"only a pattern variable can have a predicate, got the pattern exp"):
        exp(X).such_that(lambda v: True)


def test_a_pattern_needs_a_name_or_an_op():
    with pytest.raises(ArgumentError, match=r"needs either a name or an op, got name=None"):
        Pattern()


def test_a_pattern_takes_numbers_and_patterns_only():
    with pytest.raises(ArgumentError, match=r"needs patterns and numbers as inputs, but input 1 is x"):
        X + x


def test_a_pattern_matches_at_the_end_of_a_deep_graph():
    deep = x
    for _ in range(20_000):
        deep = exp(deep)
    assert match(log(X), log(deep)) == {"X": deep}
