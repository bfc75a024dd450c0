"""Arithmetic on pairs (real part, imaginary part) of scalar expressions: NumPy's formulas, operation by operation.

Products are plain, with none of C99's recovery of infinities.  A real operand is a complex one with imaginary part 0,
so inf * 0 is NaN where it is in NumPy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from core import dtypes
from core.errors import DTypeError
from core.ir.codes import Code
from core.ir.expr import Call, Expr, cast, compare, conditional, const, equal, not_equal, select

Pair: TypeAlias = tuple[Expr, Expr]


def constant(value: complex, dtype: str) -> Pair:
    """A number of a complex dtype."""
    part = dtypes.real_of(dtype)
    return const(value.real, part), const(value.imag, part)


def number(x: Pair) -> complex | None:
    """The value of a constant; None of anything else."""
    return complex(x[0].payload, x[1].payload) if x[0].is_const and x[1].is_const else None


def choose(condition: Expr, a: Pair, b: Pair, code: Code = Code.SELECT) -> Pair:
    return conditional(code, condition, a[0], b[0]), conditional(code, condition, a[1], b[1])


def converted(x: Pair, dtype: str) -> Pair:
    """Both parts as those of another complex dtype."""
    part = dtypes.real_of(dtype)
    return cast(x[0], part), cast(x[1], part)


def of_real(x: Expr, dtype: str) -> Pair:
    part = dtypes.real_of(dtype)
    return cast(x, part), const(0, part)


def add(a: Pair, b: Pair) -> Pair:
    return a[0] + b[0], a[1] + b[1]


def subtract(a: Pair, b: Pair) -> Pair:
    return a[0] - b[0], a[1] - b[1]


def negative(a: Pair) -> Pair:
    return -a[0], -a[1]


def conjugate(a: Pair) -> Pair:
    return a[0], -a[1]


def multiply(a: Pair, b: Pair) -> Pair:
    return a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]


def divide(a: Pair, b: Pair) -> Pair:
    """Smith's quotient (1962): everything is divided by the larger part of ``b`` first, so nothing overflows early.

    A quotient by 0 is the parts of ``a`` by +0.
    """
    larger, smaller = Call("fabs", b[0]), Call("fabs", b[1])
    by_real = smaller <= larger
    big, small = select(by_real, b[0], b[1]), select(by_real, b[1], b[0])
    first, second = select(by_real, a[0], a[1]), select(by_real, a[1], a[0])
    ratio = small / big
    scale = 1 / (big + small * ratio)
    turned = first * ratio
    found = (first + second * ratio) * scale, select(by_real, second - turned, turned - second) * scale
    nothing = by_real & equal(big, 0)
    return choose(nothing, (a[0] / larger, a[1] / larger), found)


def reciprocal(a: Pair) -> Pair:
    return divide((const(1, a[0].dtype), const(0, a[0].dtype)), a)


# --- comparisons ----------------------------------------------------------------------------------------------------


def is_equal(a: Pair, b: Pair) -> Expr:
    return equal(a[0], b[0]) & equal(a[1], b[1])


def differs(a: Pair, b: Pair) -> Expr:
    return not_equal(a[0], b[0]) | not_equal(a[1], b[1])


def in_order(code: Code, a: Pair, b: Pair) -> Expr:
    """``a < b`` or ``a <= b``: by real part, then by imaginary part; never where a part is NaN."""
    ordered = equal(a[1], a[1]) & equal(b[1], b[1])
    return (compare(Code.LT, a[0], b[0]) & ordered) | (equal(a[0], b[0]) & compare(code, a[1], b[1]))


def has_nan(a: Pair) -> Expr:
    return not_equal(a[0], a[0]) | not_equal(a[1], a[1])


def maximum(a: Pair, b: Pair) -> Pair:
    return choose(in_order(Code.LE, b, a) | has_nan(a), a, b)


def minimum(a: Pair, b: Pair) -> Pair:
    return choose(in_order(Code.LE, a, b) | has_nan(a), a, b)


def is_nan(a: Pair) -> Expr:
    return Call("isnan", a[0]) | Call("isnan", a[1])


def is_inf(a: Pair) -> Expr:
    return Call("isinf", a[0]) | Call("isinf", a[1])


def is_finite(a: Pair) -> Expr:
    return Call("isfinite", a[0]) & Call("isfinite", a[1])


def modulus(a: Pair) -> Expr:
    return Call("hypot", a[0], a[1])


def argument(a: Pair) -> Expr:
    return Call("atan2", a[1], a[0])


BINARY: dict[Code, Callable[[Pair, Pair], Pair]] = {
    Code.ADD: add,
    Code.SUB: subtract,
    Code.MUL: multiply,
    Code.DIV: divide,
    Code.MIN: minimum,
    Code.MAX: maximum,
}


def compared(code: Code, a: Pair, b: Pair) -> Expr:
    if code is Code.EQ:
        return is_equal(a, b)
    return differs(a, b) if code is Code.NE else in_order(code, a, b)


def to_real(x: Pair, dtype: str) -> Expr:
    """The conversion to a real dtype: the imaginary part is dropped; truth is that either part is not 0."""
    if dtype == "bool":
        return cast(x[0], "bool") | cast(x[1], "bool")
    if dtype in dtypes.COMPLEXES:
        raise DTypeError(f"{dtype} is no real dtype")
    return cast(x[0], dtype)
