"""Bessel functions of orders 0 and 1: of the first and second kind, and modified, these also scaled by an exponential.

Each is put together of Chebyshev series (bessel_tables.py), of what is smooth in it: near 0 a power series, far away a
modulus and a phase (DLMF 10.17.3, 10.40.1), or, of modified ones, what is left of exp(x) / sqrt(x).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from core.ir.expr import Call, Expr, select
from core.ir.expr import equal as is_equal
from core.tensor.arithmetic import sign
from core.tensor.elementwise import elementwise
from core.tensor.kinds import floated, need_reals
from core.tensor.logic import equal, where
from core.tensor.specials import bessel_tables as tables
from core.tensor.specials.series import chebyshev

__all__ = ["i0", "i0e", "i1", "i1e", "j0", "j1", "k0", "k0e", "k1", "k1e", "y0", "y1"]

_OSCILLATES, _GROWS, _FALLS = 8.0, 8.0, 2.0  # where near ends and far begins
_LN2 = math.log(2)


def _operand(who: str, x: Any) -> Expr:
    need_reals(who, x)
    return floated(x)


def _over_self(value: Any, x: Any, limit: float) -> Any:
    """value / x, and ``limit`` at 0."""
    at_zero = equal(x, 0)
    return where(at_zero, limit, value / where(at_zero, 1, x))


# --- of the first and the second kind --------------------------------------------------------------------------------


def _even(table: Sequence[float], x: Expr) -> Any:
    """A series in x**2, up to ``_OSCILLATES``."""
    near = select(x < _OSCILLATES, x, 0)
    return chebyshev(table, near * near * (2 / _OSCILLATES**2) - 1)


def _wave(order: int, second_kind: bool, x: Expr) -> Expr:
    """sqrt(2 / (pi x)) (P cos(u) - Q sin(u)), or (P sin(u) + Q cos(u)), with u = x - (order + 1/2) pi / 2.

    The phase is taken off by the addition theorem, which rounds nothing away from a large x.
    """
    inverse = 1 / select(x < _OSCILLATES, _OSCILLATES, x)
    t = inverse * inverse * (2 * _OSCILLATES**2) - 1
    p, q = ((tables.P0, tables.Q0), (tables.P1, tables.Q1))[order]
    big_p, big_q = chebyshev(p, t), chebyshev(q, t) * inverse
    s, c = Call("sin", x), Call("cos", x)
    cosine, sine = (c + s, s - c) if order == 0 else (s - c, -(s + c))  # of u, times sqrt(2)
    turned = big_p * sine + big_q * cosine if second_kind else big_p * cosine - big_q * sine
    wave = Call("sqrt", inverse / math.pi) * turned
    return select(Call("isinf", x), 0, wave)


@elementwise(derivative=lambda x: [-j1(x)])
def j0(x):
    """The Bessel function of the first kind of order 0.

    Accuracy  absolute error 2e-15 (for large x, of the modulus, besides that of sin and cos).
    Errors    DTypeError for complex.
    """
    size = Call("fabs", _operand("j0", x))
    return select(size < _OSCILLATES, _even(tables.J0_NEAR, size), _wave(0, False, size))


@elementwise(derivative=lambda x: [j0(x) - _over_self(j1(x), x, 0.5)])
def j1(x):
    """The Bessel function of the first kind of order 1; odd.

    Accuracy  absolute error 2e-15.   Errors  DTypeError for complex.
    """
    x = _operand("j1", x)
    size = Call("fabs", x)
    return select(size < _OSCILLATES, x * _even(tables.J1_NEAR, size), _wave(1, False, size) * _signed(x))


def _signed(x: Expr) -> Expr:
    return Call("copysign", 1 + 0 * x, x)


def _second_kind(x: Expr, near: Callable[[Expr, Expr], Expr], far: Callable[[Expr], Expr]) -> Expr:
    """-inf at 0 and NaN below it."""
    inside = select(x < _OSCILLATES, x, 1)
    value = select(x < _OSCILLATES, near(inside, (2 / math.pi) * (Call("log", inside) - _LN2)), far(x))
    return select(x < 0, math.nan, value)


@elementwise(derivative=lambda x: [-y1(x)])
def y0(x):
    """The Bessel function of the second kind of order 0; -inf at 0, NaN below.

    Accuracy  absolute error 2e-15, near 0 relative.   Errors  DTypeError for complex.
    """
    x = _operand("y0", x)
    return _second_kind(x, lambda u, log: _even(tables.Y0_NEAR, u) + log * j0(u), lambda u: _wave(0, True, u))


@elementwise(derivative=lambda x: [y0(x) - y1(x) / x])
def y1(x):
    """The Bessel function of the second kind of order 1; -inf at 0, NaN below.

    Accuracy  absolute error 2e-15, near 0 relative.   Errors  DTypeError for complex.
    """
    x = _operand("y1", x)

    def near(u: Expr, log: Expr) -> Expr:
        return u * _even(tables.Y1_NEAR, u) + (log * j1(u) - (2 / math.pi) / u)

    value = _second_kind(x, near, lambda u: _wave(1, True, u))
    return select(is_equal(x, 0), -math.inf, value)


# --- modified, of the first kind -------------------------------------------------------------------------------------


def _growing(size: Expr, near: Sequence[float], far: Sequence[float]) -> tuple[Expr, Expr]:
    """exp(-x) I(x) near 0, and far away, for x >= 0."""
    inner = select(size < _GROWS, size, 0)
    outer = select(size < _GROWS, _GROWS, size)
    return chebyshev(near, inner * (2 / _GROWS) - 1), chebyshev(far, (2 * _GROWS) / outer - 1) / Call("sqrt", outer)


def _scaled_i0(size: Expr) -> Expr:
    near, far = _growing(size, tables.I0_NEAR, tables.I0_FAR)
    return select(size < _GROWS, near, far)


def _scaled_i1(x: Expr) -> Expr:
    size = Call("fabs", x)
    near, far = _growing(size, tables.I1_NEAR, tables.I1_FAR)
    return select(size < _GROWS, x * near, Call("copysign", far, x))


def _times_exp(scaled: Expr, size: Expr) -> Expr:
    """Twice by half the exponential, which is finite wherever the product is."""
    half = Call("exp", 0.5 * size)
    return select(Call("isinf", size), Call("copysign", size, scaled), scaled * half * half)


@elementwise(derivative=lambda x: [i1(x)])
def i0(x):
    """The modified Bessel function of the first kind of order 0.

    Accuracy  relative error 1e-15, and that of exp(x / 2) twice.   Errors  DTypeError for complex.
    """
    size = Call("fabs", _operand("i0", x))
    return _times_exp(_scaled_i0(size), size)


@elementwise(derivative=lambda x: [i1e(x) - sign(x) * i0e(x)])
def i0e(x):
    """exp(-abs(x)) i0(x).  Accuracy: relative error 1e-15.  Errors: DTypeError for complex."""
    return _scaled_i0(Call("fabs", _operand("i0e", x)))


@elementwise(derivative=lambda x: [i0(x) - _over_self(i1(x), x, 0.5)])
def i1(x):
    """The modified Bessel function of the first kind of order 1; odd.

    Accuracy  relative error 1e-15, and that of exp(x / 2) twice.   Errors  DTypeError for complex.
    """
    x = _operand("i1", x)
    return _times_exp(_scaled_i1(x), Call("fabs", x))


@elementwise(derivative=lambda x: [i0e(x) - sign(x) * i1e(x) - _over_self(i1e(x), x, 0.5)])
def i1e(x):
    """exp(-abs(x)) i1(x).  Accuracy: relative error 1e-15.  Errors: DTypeError for complex."""
    return _scaled_i1(_operand("i1e", x))


# --- modified, of the second kind ------------------------------------------------------------------------------------


def _falling(x: Expr, order: int, scaled: bool) -> Expr:
    """K(x), or exp(x) K(x): inf at 0, NaN below."""
    inner = select(x < _FALLS, select(x > 0, x, 1), _FALLS)
    outer = select(x < _FALLS, _FALLS, x)
    t = inner * inner * (2 / _FALLS**2) - 1
    log = Call("log", inner) - _LN2
    if order == 0:
        near = chebyshev(tables.K0_NEAR, t) - log * i0(inner)
    else:
        near = chebyshev(tables.K1_NEAR, t) / inner + log * i1(inner)
    far = chebyshev((tables.K0_FAR, tables.K1_FAR)[order], (2 * _FALLS) / outer - 1) / Call("sqrt", outer)
    value = (
        select(x < _FALLS, near * Call("exp", inner), far)
        if scaled
        else select(x < _FALLS, near, far * Call("exp", -outer))
    )
    return select(x < 0, math.nan, select(is_equal(x, 0), math.inf, value))


@elementwise(derivative=lambda x: [-k1(x)])
def k0(x):
    """The modified Bessel function of the second kind of order 0; inf at 0, NaN below.

    Accuracy  relative error 2e-15.   Errors  DTypeError for complex.
    """
    return _falling(_operand("k0", x), 0, scaled=False)


@elementwise(derivative=lambda x: [k0e(x) - k1e(x)])
def k0e(x):
    """exp(x) k0(x).  Accuracy: relative error 2e-15.  Errors: DTypeError for complex."""
    return _falling(_operand("k0e", x), 0, scaled=True)


@elementwise(derivative=lambda x: [-k0(x) - k1(x) / x])
def k1(x):
    """The modified Bessel function of the second kind of order 1; inf at 0, NaN below.

    Accuracy  relative error 2e-15.   Errors  DTypeError for complex.
    """
    return _falling(_operand("k1", x), 1, scaled=False)


@elementwise(derivative=lambda x: [k1e(x) * (1 - 1 / x) - k0e(x)])
def k1e(x):
    """exp(x) k1(x).  Accuracy: relative error 2e-15.  Errors: DTypeError for complex."""
    return _falling(_operand("k1e", x), 1, scaled=True)
