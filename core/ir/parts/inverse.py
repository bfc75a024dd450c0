"""Inverse trigonometric and hyperbolic functions of pairs, by Kahan's formulas: roots taken on either side of the cuts.

Kahan, Branch cuts for complex elementary functions, or much ado about nothing's sign bit (1987).
"""

from __future__ import annotations

import math

from core.ir.expr import Call, Expr, const, equal, select
from core.ir.parts.arithmetic import Pair, conjugate, multiply, reciprocal
from core.ir.parts.functions import sqrt

_FAR = {"float64": 2.0**500, "float32": 2.0**60}  # whose square is finite


def _roots(z: Pair) -> tuple[Pair, Pair]:
    """sqrt(1 - z) and sqrt(1 + z)."""
    return sqrt((1 - z[0], -z[1])), sqrt((1 + z[0], z[1]))


def _endless(z: Pair) -> Expr:
    return Call("isinf", z[0]) | Call("isinf", z[1])


def _area(crossed: Expr, z: Pair) -> Expr:
    """asinh of the larger part of what the roots give; far from 0 log |2 z|, with the sign of that."""
    x, y = z
    limit = _FAR[x.dtype]
    far = Call("log", Call("hypot", 0.5 * x, 0.5 * y)) + 2 * math.log(2)
    beyond = (Call("fabs", x) > limit) | (Call("fabs", y) > limit)
    return select(beyond, Call("copysign", far, crossed), Call("asinh", crossed))


def asin(z: Pair) -> Pair:
    """Cut along the real numbers beyond -1 and 1."""
    x, y = z
    minus, plus = _roots(z)
    across = select(_endless(z), Call("fabs", y), multiply(minus, plus)[0])
    re = select(equal(x, 0), x, Call("atan2", x, across))
    return re, _area(select(_endless(z), y, multiply(conjugate(minus), plus)[1]), z)


def acos(z: Pair) -> Pair:
    """Cut along the real numbers beyond -1 and 1."""
    x, y = z
    minus, plus = _roots(z)
    re = select(_endless(z), Call("atan2", Call("fabs", y), x), 2 * Call("atan2", minus[0], plus[0]))
    re = select(equal(x, 0), math.pi / 2, re)
    return re, _area(select(_endless(z), -y, multiply(conjugate(plus), minus)[1]), z)


def atanh(z: Pair) -> Pair:
    """Cut along the real numbers beyond -1 and 1, which are infinite themselves.

    Far from 0 it is 1 / z and a quarter turn; close to 1 the square of the imaginary part may be 0.
    """
    x, y = z
    a, b = Call("fabs", x), Call("fabs", y)
    limit, short = _FAR[x.dtype], 1 - a
    beyond = (a > limit) | (b > limit)
    near = 0.25 * Call("log1p", 4 * a / (short * short + y * y))
    size = select(equal(a, 1) & (b * limit < 1), 0.5 * (math.log(2) - Call("log", b)), near)
    size = select(beyond, Call("fabs", reciprocal(z)[0]), size)
    re = Call("copysign", select(equal(a, 0) | _endless(z), 0, size), x)
    im = 0.5 * Call("atan2", 2 * y, short * (1 + a) - y * y)
    lost = Call("isnan", y) | (Call("isnan", x) & ~Call("isinf", y))
    return re, select(beyond & ~lost, Call("copysign", const(math.pi / 2, x.dtype), y), im)


def acosh(z: Pair) -> Pair:
    """Cut along the real numbers below 1."""
    re, im = acos(z)
    return Call("fabs", im), Call("copysign", re, z[1])


def asinh(z: Pair) -> Pair:
    """Cut along the imaginary numbers beyond -i and i."""
    re, im = asin((-z[1], z[0]))
    return im, -re


def atan(z: Pair) -> Pair:
    """Cut along the imaginary numbers beyond -i and i."""
    re, im = atanh((-z[1], z[0]))
    return im, -re


INVERSE = {"asin": asin, "acos": acos, "atan": atan, "asinh": asinh, "acosh": acosh, "atanh": atanh}
