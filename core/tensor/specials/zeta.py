"""The Hurwitz zeta function.  Polygamma functions, which are made of it, are in factorials.py."""

from __future__ import annotations

import math
from typing import Any

from core.ir.codes import Code
from core.ir.expr import arith, equal, select
from core.ir.function import FunctionBuilder, scalar_function
from core.op import grad_not_implemented
from core.tensor.elementwise import elementwise
from core.tensor.kinds import floated, need_reals
from core.tensor.specials.series import eps_of

__all__ = ["zeta"]

_FIRST = 12  # terms that are added up one by one
# B(2k) / (2k)!
_EULER = tuple(
    b / math.factorial(2 * k)
    for k, b in enumerate(
        (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798, -174611 / 330), start=1
    )
)


@scalar_function
def _hurwitz(f: FunctionBuilder, s: Any, q: Any) -> Any:
    """For s > 1 and q > 0: some terms, then the Euler-Maclaurin formula, DLMF 25.11.28."""
    total, w = f.local(q.dtype, 0, "total"), f.local(q.dtype, q, "w")
    last = f.local(q.dtype, 0, "last")
    with f.loop(_FIRST):
        last.set(arith(Code.POW, w.value, -s))
        total += last.value
        w += 1
        f.stop(~(last.value > 0.25 * eps_of(q) * total.value))
    rest = f.let(arith(Code.POW, w.value, -s))
    total += w.value * rest / (s - 1) + 0.5 * rest
    factor, term = f.local(q.dtype, s, "factor"), f.local(q.dtype, rest / w.value, "term")
    for k, coefficient in enumerate(_EULER):
        total += coefficient * factor.value * term.value
        factor *= (s + (2 * k + 1)) * (s + (2 * k + 2))
        term.set(term.value / w.value / w.value)
    return total


def _zeta_changes(d: Any, s: Any, q: Any) -> list[Any]:
    """d/dq zeta(s, q) = -s zeta(s + 1, q)."""
    return [grad_not_implemented(zeta, 0, s, "it is no function that has a name"), d * (-s * zeta(s + 1, q))]


@elementwise(differential=_zeta_changes)
def zeta(s, q):
    """The sum of (q + k)**-s over k = 0, 1, ..., for s > 1 and q > 0: Hurwitz's; inf for s = 1 or q = 0, else NaN.

    zeta(s, 1) is Riemann's.   Accuracy  relative error 1e-14.   Errors  DTypeError for complex.
    """
    need_reals("zeta", s, q)
    s, q = floated(s, q)
    good = (s > 1) & (q > 0) & (s < math.inf) & (q < math.inf)
    inside = _hurwitz(select(good, s, 2), select(good, q, 1))
    pole = equal(s, 1) & (q > 0) | (s > 1) & equal(q, 0)
    endless = equal(s, math.inf)
    pole = pole | endless & (q >= 0) & (q < 1)
    nothing = (s > 1) & ~endless & equal(q, math.inf) | endless & (q > 1)
    rest = select(nothing, 0, select(endless & equal(q, 1), 1, math.nan + 0 * q))
    return select(good, inside, select(pole, math.inf, rest))
