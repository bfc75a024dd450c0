"""x log(x) and what is made of it: entropies, and distances of distributions.  Where x is 0, so is the product."""

from __future__ import annotations

import math

from core.ir.expr import Call, equal, select
from core.tensor.elementwise import elementwise
from core.tensor.functions import log
from core.tensor.kinds import floated, need_reals

__all__ = ["entr", "kl_div", "rel_entr", "xlogx"]


@elementwise(derivative=lambda x: [1 + log(x)])
def xlogx(x):
    """x log(x), and 0 at 0; NaN below.  Errors: DTypeError for complex."""
    need_reals("xlogx", x)
    x = floated(x)
    return select(equal(x, 0), 0, x * Call("log", x))


@elementwise(derivative=lambda x: [-1 - log(x)])
def entr(x):
    """-x log(x), 0 at 0, and -inf below.  Errors: DTypeError for complex."""
    need_reals("entr", x)
    x = floated(x)
    return select(x > 0, -x * Call("log", x), select(x < 0, -math.inf, x))


@elementwise(derivative=lambda x, y: [1 + log(x / y), -x / y])
def rel_entr(x, y):
    """x log(x / y) for x, y > 0; 0 for x = 0 and y >= 0; else inf.  Errors: DTypeError for complex."""
    need_reals("rel_entr", x, y)
    x, y = floated(x, y)
    good = (x > 0) & (y > 0)
    value = x * Call("log", select(good, x, 1) / select(good, y, 1))
    return select(good, value, _beside(x, y, 0 * x))


@elementwise(derivative=lambda x, y: [log(x / y), 1 - x / y])
def kl_div(x, y):
    """x log(x / y) - x + y for x, y > 0; y for x = 0 and y >= 0; else inf.  Errors: DTypeError for complex.

    The sum over two distributions is their Kullback-Leibler divergence, and so is that of rel_entr.
    """
    need_reals("kl_div", x, y)
    x, y = floated(x, y)
    good = (x > 0) & (y > 0)
    value = x * Call("log", select(good, x, 1) / select(good, y, 1)) - x + y
    return select(good, value, _beside(x, y, y))


def _beside(x, y, at_zero):
    unknown = ~(equal(x, x) & equal(y, y))
    return select(unknown, x + y, select(equal(x, 0) & (y >= 0), at_zero, math.inf))
