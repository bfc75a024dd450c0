"""What approximations are made of: polynomials, Chebyshev series, and what is left of logarithms when they cancel."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, reduce
from typing import Any

import numpy as np

from core.ir.expr import Call, Expr, cast, select

LOG_2PI = 1.8378770664093453


def eps_of(x: Expr) -> float:
    """The distance of the floats around 1."""
    return float(np.finfo(x.dtype).eps)


def in_float64(*operands: Expr) -> list[Expr]:
    """What is computed in float64 for float32, too: of large parameters, a share depends too much on each digit."""
    return [cast(x, "float64") for x in operands]


def polynomial(coefficients: Sequence[float], x: Expr) -> Any:
    """c[0] + c[1] x + c[2] x**2 + ..."""
    return reduce(lambda so_far, c: so_far * x + c, reversed(coefficients))


def ratio(polynomials: tuple[Sequence[float], Sequence[float]], x: Expr) -> Any:
    """One polynomial over another; the highest power comes first, as tables have it."""
    above, below = (reduce(lambda so_far, c: so_far * x + c, coefficients) for coefficients in polynomials)
    return above / below


def chebyshev(coefficients: Sequence[float], t: Expr) -> Any:
    """c[0] + c[1] T1(t) + c[2] T2(t) + ..., for t in [-1, 1], by Clenshaw's recurrence; as many as its dtype needs."""
    last, before = 0.0, 0.0
    for c in reversed(_needed(tuple(coefficients), t.dtype)[1:]):
        last, before = 2 * t * last - before + c, last
    return t * last - before + coefficients[0]


@lru_cache(maxsize=256)
def _needed(coefficients: tuple[float, ...], dtype: str) -> tuple[float, ...]:
    """Without those at the end that together change nothing."""
    least = float(np.finfo("float64" if dtype == "float64" else "float32").eps) / 64 * max(map(abs, coefficients))
    count = len(coefficients)
    while count > 2 and sum(map(abs, coefficients[count - 1 :])) < least:
        count -= 1
    return coefficients[:count]


_TERMS = 14


def without_logarithm(t: Expr) -> Expr:
    """t - log1p(t) for t > -1, to a few ulp: about t**2 / 2 near 0, where the difference of the two cancels.

    Near 0 by log1p(t) = 2 artanh(y), y = t / (2 + t), of whose series the first term is taken exactly: t - 2 y = t y.
    """
    near = Call("fabs", t) < 0.5
    inner = select(near, t, 0)
    y = inner / (2 + inner)
    square = y * y
    rest = polynomial([1 / (2 * k + 3) for k in range(_TERMS)], square)
    return select(near, inner * y - 2 * y * square * rest, t - Call("log1p", t))


_STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156, -3617 / 122400)
FAR = 8.0  # from here on these are good to 1e-16


def stirling(x: Expr) -> Expr:
    """log gamma(x) - ((x - 1/2) log x - x + log(2 pi) / 2), for x > 0.

    Source  DLMF 5.11.1 from 8 on; below, as it stands there.
    """
    far = x >= FAR
    inverse = 1 / select(far, x, 1)
    series = inverse * polynomial(_STIRLING, inverse * inverse)
    near = select(far, 1, x)
    direct = Call("lgamma", near) - ((near - 0.5) * Call("log", near) - near + 0.5 * LOG_2PI)
    return select(far, series, direct)
