"""Comparisons, truth, tests of numbers, and the choice between two values.

``x == y`` on variables is identity, so that they can be kept in dicts; elementwise equality is ``eq``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core import dtypes
from core.graph import Apply
from core.ir.codes import Code
from core.ir.expr import Call, Expr, compare, const, select
from core.ir.expr import equal as is_equal
from core.tensor.elementwise import Elementwise, elementwise
from core.tensor.kinds import brought, need_reals, promoted
from core.tensor.type import TensorVariable, as_operands, as_tensor

__all__ = [
    *("equal", "not_equal", "less", "less_equal", "greater", "greater_equal", "eq", "neq", "lt", "le", "gt", "ge"),
    *("logical_and", "logical_or", "logical_xor", "logical_not"),
    *("isnan", "isinf", "isfinite", "isposinf", "isneginf", "signbit", "isclose"),
    *("where", "switch", "Where"),
]

_SIGNED = ("int8", "int16", "int32", "int64")


# --- comparisons ---------------------------------------------------------------------------------------------------


def _compared(code: Code, x: Any, y: Any) -> Expr:
    """A comparison of values: uint64 with a signed integer is exact, though their common dtype is float64."""
    kinds = [operand.dtype if isinstance(operand, Expr) else None for operand in (x, y)]
    if kinds[0] == "uint64" and kinds[1] in _SIGNED:
        inside = compare(code, x, brought(y, "uint64"))
        return (y < 0) | inside if code is Code.NE else (y >= 0) & inside
    if kinds[0] in _SIGNED and kinds[1] == "uint64":
        inside = compare(code, brought(x, "uint64"), y)
        return (x >= 0) & inside if code is Code.EQ else (x < 0) | inside
    return compare(code, x, y)


@elementwise
def equal(x, y):
    """x == y, elementwise.  NaN equals nothing."""
    return _compared(Code.EQ, x, y)


@elementwise
def not_equal(x, y):
    """x != y, elementwise.  NaN differs from everything."""
    return _compared(Code.NE, x, y)


@elementwise
def less(x, y):
    """x < y.  False where either is NaN; complex numbers by real part, then imaginary part."""
    return _compared(Code.LT, x, y)


@elementwise
def less_equal(x, y):
    """x <= y.  False where either is NaN."""
    return _compared(Code.LE, x, y)


@elementwise
def greater(x, y):
    """x > y.  False where either is NaN."""
    return _compared(Code.LT, y, x)


@elementwise
def greater_equal(x, y):
    """x >= y.  False where either is NaN."""
    return _compared(Code.LE, y, x)


eq, neq, lt, le, gt, ge = equal, not_equal, less, less_equal, greater, greater_equal


# --- truth ---------------------------------------------------------------------------------------------------------


@elementwise
def logical_and(x, y):
    """Whether both are not 0."""
    return brought(x, "bool") & brought(y, "bool")


@elementwise
def logical_or(x, y):
    """Whether either is not 0."""
    return brought(x, "bool") | brought(y, "bool")


@elementwise
def logical_xor(x, y):
    """Whether exactly one is not 0."""
    return brought(x, "bool") ^ brought(y, "bool")


@elementwise
def logical_not(x):
    """Whether x is 0."""
    return ~brought(x, "bool")


# --- tests of numbers ----------------------------------------------------------------------------------------------


def _tested(function: str, x: Expr, otherwise: bool) -> Expr:
    """A C99 classification (7.12.3); what is discrete is always finite."""
    return Call(function, x) if x.dtype in dtypes.CONTINUOUS else const(otherwise, "bool")


@elementwise
def isnan(x):
    """Whether x is NaN, in either part of a complex number."""
    return _tested("isnan", x, False)


@elementwise
def isinf(x):
    """Whether x is an infinity of either sign."""
    return _tested("isinf", x, False)


@elementwise
def isfinite(x):
    """Whether x is neither an infinity nor NaN."""
    return _tested("isfinite", x, True)


def _is_value(value: float, who: str, x: Expr) -> Expr:
    need_reals(who, x)
    return is_equal(x, value) if x.dtype in dtypes.FLOATS else const(False, "bool")


@elementwise
def isposinf(x):
    """Whether x is +infinity."""
    return _is_value(float("inf"), "isposinf", x)


@elementwise
def isneginf(x):
    """Whether x is -infinity."""
    return _is_value(float("-inf"), "isneginf", x)


@elementwise
def signbit(x):
    """Whether the sign bit is set: true of -0.0 and of negative numbers."""
    need_reals("signbit", x)
    return Call("signbit", x) if x.dtype in dtypes.FLOATS else x < 0


@elementwise
def _is_close(x, y, rtol, atol, equal_nan):
    """|x - y| <= atol + rtol |y| where y is finite, else x == y; two NaN are close if ``equal_nan``."""
    dtype = dtypes.promote(promoted(x, y), float)
    x, y = brought(x, dtype), brought(y, dtype)
    near = (_magnitude(x - y) <= atol + rtol * _magnitude(y)) & Call("isfinite", y)
    return near | is_equal(x, y) | (brought(equal_nan, "bool") & Call("isnan", x) & Call("isnan", y))


def _magnitude(x: Expr) -> Expr:
    return Call("cabs" if x.dtype in dtypes.COMPLEXES else "fabs", x)


def isclose(x: Any, y: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> TensorVariable:
    """Whether |x - y| <= atol + rtol |y|, elementwise, as ``numpy.isclose``; equal infinities are close."""
    x, y = as_operands(x, y)
    return _is_close(x, y, rtol, atol, equal_nan)


# --- choice --------------------------------------------------------------------------------------------------------


class Where(Elementwise):
    """Elementwise choice.  The condition takes no part in the promotion of the two values."""

    def make_node(self, *inputs: Any) -> Apply:
        if len(inputs) != self.nin:
            return super().make_node(*inputs)
        condition, a, b = inputs
        return super().make_node(as_tensor(condition), *as_operands(a, b))


def _choose(d: TensorVariable, condition: TensorVariable, a: Any, b: Any) -> Sequence[TensorVariable | None]:
    """A change passes to the value that was chosen, and is 0 for the other (never 0 * inf)."""
    return [None, where(condition, d, 0), where(condition, 0, d)]


@elementwise(differential=_choose, kind=Where)
def where(condition, a, b):
    """``a`` where the condition is not 0, else ``b``; dtype of ``a`` and ``b`` together."""
    return select(brought(condition, "bool"), a, b)


switch = where
