"""Rules of scalars that users write for @elementwise: what they may be made of, and what is said of those that fail."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import core
import core.tensor as ct
from core.errors import DTypeError
from core.ir.expr import Call, cast, equal, maximum, minimum, not_equal, select
from core.tensor.elementwise import elementwise
from core.testing import available_backends, check_derivatives, evaluate, random


@elementwise
def huber(x, d):
    """Quadratic up to d, linear beyond."""
    size = Call("fabs", x)
    return select(size <= d, 0.5 * x * x, d * (size - 0.5 * d))


@elementwise
def clipped(x, low, high):
    """x between two bounds."""
    return minimum(maximum(x, low), high)


@elementwise
def nowhere_one(x):
    """x**2, and 7 where x is 1; its steps have comparisons and a cast."""
    whole = cast(cast(x, "int64"), "float64")
    return select(equal(whole, 1.0), 7.0, x * x) + select(not_equal(whole, whole), x, 0.0)


@pytest.mark.parametrize("backend", available_backends())
def test_a_rule_with_select_is_computed_and_differentiated(backend):
    x = np.array([-3.0, -0.25, 0.0, 0.5, 2.0])
    f = evaluate(lambda x: [huber(x, 1.0), core.grad(huber(x, 1.0).sum(), x)], x, backend=backend)
    assert_allclose(f[0], [2.5, 0.03125, 0.0, 0.125, 1.5])
    assert_allclose(f[1], [-1.0, -0.25, 0.0, 0.5, 1.0])


def test_the_steps_of_a_rule_may_be_any_expression_of_its_language():
    check_derivatives(huber, random((3, 4)), np.array(0.4))
    check_derivatives(clipped, random((3, 4)), np.array(-0.3), random((4,), low=0.2, high=0.8))
    check_derivatives(nowhere_one, np.array([-1.5, 0.25, 3.5]))


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
def test_a_rule_that_is_a_number_is_that_number(dtype):
    @elementwise
    def half(x):
        """0.5, whatever x is."""
        return 0.5

    @elementwise
    def yes(x):
        """True, whatever x is."""
        return True

    out = evaluate(half, np.ones(2, dtype))
    assert out.dtype == np.result_type(np.dtype(dtype), 0.5)
    assert_array_equal(out, [0.5, 0.5])
    assert evaluate(yes, np.ones(2, dtype)).tolist() == [True, True]


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (lambda x: x if x > 0 else -x, r"symbolic and has no truth value; use select"),
        (lambda x: np.exp(x), "does not support ufuncs"),
        (lambda x: math.exp(x), r"Call\(name, x\)"),
        (lambda x: None, "must return an expression or a number, got None of type NoneType"),
        (lambda x: x * np.ones(2), "is no number and no expression"),
    ],
)
def test_a_rule_that_cannot_be_compiled_is_named_at_the_line_that_calls_it(rule, said):
    rule.__name__ = "shrunk"
    with pytest.raises(DTypeError, match=rf"the rule of shrunk .*{said}(.|\n)*made at .*test_scalar_rules.py"):
        elementwise(rule)(ct.dvector("x"))


def test_numbers_of_numpy_are_numbers_on_either_side_of_an_expression():
    @elementwise
    def moved(x):
        """2 x - 3, by NumPy's numbers."""
        return np.float64(2) * x - np.int64(3)

    assert_array_equal(evaluate(moved, np.array([1.0, 2.0])), [-1.0, 1.0])
