"""The beta function, its logarithm, and the incomplete one: the distribution function of the beta distribution."""

from __future__ import annotations

import math
from typing import Any

from core.ir.expr import Call, Expr, cast, equal, maximum, minimum, select
from core.ir.function import FunctionBuilder, scalar_function
from core.op import grad_not_implemented
from core.tensor.elementwise import elementwise
from core.tensor.functions import exp, log, log1p, psi
from core.tensor.kinds import floated, need_reals
from core.tensor.logic import where
from core.tensor.specials.series import FAR, LOG_2PI, eps_of, in_float64, stirling, without_logarithm

__all__ = ["beta", "betainc", "betaln"]

_MOST = 100_000  # turns of the continued fraction: it needs some times sqrt(max(a, b))
_SMALL = 12.0  # up to here gamma functions are multiplied


@elementwise(derivative=lambda a, b: [psi(a) - psi(a + b), psi(b) - psi(a + b)])
def betaln(a, b):
    """log abs(beta(a, b)).

    Accuracy  a few ulp of max(1, the result) for a, b > 0.   Errors  DTypeError for complex.
    Source    for large operands, by what is left of Stirling's formula: Didonato and Morris (1992), algorithm 708.
    """
    need_reals("betaln", a, b)
    a, b = floated(a, b)
    p, q = minimum(a, b), maximum(a, b)
    plain = Call("lgamma", p) + (Call("lgamma", q) - Call("lgamma", p + q))
    far = (p > 0) & (q >= FAR) & (q < math.inf)
    p, q = select(far, p, 1), select(far, q, 1)
    share = Call("log1p", -p / (p + q))
    both_far = p >= FAR
    left = stirling(q) - stirling(p + q)
    of_large = stirling(p) + left + 0.5 * (LOG_2PI - Call("log", q)) + (p - 0.5) * Call("log", p / (p + q)) + q * share
    of_one = Call("lgamma", p) + left + p - p * Call("log", p + q) + (q - 0.5) * share
    endless = (select(far, 0, minimum(a, b)) > 0) & equal(maximum(a, b), math.inf)
    return select(far, select(both_far, of_large, of_one), select(endless, -math.inf, plain))


def _beta_slope(a: Any, b: Any) -> list[Any]:
    value = beta(a, b)
    return [value * (psi(a) - psi(a + b)), value * (psi(b) - psi(a + b))]


@elementwise(derivative=_beta_slope)
def beta(a, b):
    """gamma(a) gamma(b) / gamma(a + b).

    Accuracy  relative error 2e-15 times max(1, abs(log of the result)).   Errors  DTypeError for complex.
    """
    need_reals("beta", a, b)
    a, b = floated(a, b)
    small = (Call("fabs", a) < _SMALL) & (Call("fabs", b) < _SMALL)
    c, d = select(small, a, 1), select(small, b, 1)
    product = Call("tgamma", c) / Call("tgamma", c + d) * Call("tgamma", d)
    sign = _sign_of_gamma(a) * _sign_of_gamma(b) * _sign_of_gamma(a + b)
    return select(small, product, sign * Call("exp", betaln(select(small, 1, a), select(small, 1, b))))


def _sign_of_gamma(x: Expr) -> Expr:
    down = Call("floor", x)
    return select((x > 0) | equal(down, 2 * Call("floor", 0.5 * down)), 1 + 0 * x, -1)


# --- incomplete -------------------------------------------------------------------------------------------------------


@scalar_function
def binomial_density(f: FunctionBuilder, a: Any, b: Any, x: Any, y: Any) -> Any:
    """x**a y**b / beta(a, b), y = 1 - x, with the error of a few ulp also where factors are huge or tiny.

    Source  Loader (2000), as ``density`` in gamma.py: a t(u) + b t(v), t(z) = z - log1p(z), is small where the result
    is not; u and v are how far n x and n y, n = a + b, are from a and b, of these.
    """
    plain = f.let((a < 1) | (b < 1))
    u, v = f.let((x * b - y * a) / a), f.let((y * a - x * b) / b)
    n = f.let(a + b)
    far_u, far_v = Call("log", n * x / a), Call("log", n * y / b)
    of_u = select(Call("fabs", u) < 0.5, without_logarithm(select(Call("fabs", u) < 0.5, u, 0)), u - far_u)
    of_v = select(Call("fabs", v) < 0.5, without_logarithm(select(Call("fabs", v) < 0.5, v, 0)), v - far_v)
    stirlings = stirling(n) - stirling(a) - stirling(b)
    large = Call("sqrt", a / n * b / (2 * math.pi)) * Call("exp", stirlings - a * of_u - b * of_v)
    log_x, log_y = (
        select(first < 0.5, Call("log", first), Call("log1p", -second)) for first, second in ((x, y), (y, x))
    )
    small = Call("exp", a * log_x + b * log_y - betaln(a, b))
    return select(plain, small, large)


@scalar_function
def _fraction(f: FunctionBuilder, a: Any, b: Any, x: Any, y: Any) -> Any:
    """beta(a, b; x) for x < (a + 1) / (a + b + 2), by its continued fraction: DLMF 8.17.22, by Lentz's method."""
    tiny = 1e-30
    below = f.local(x.dtype, 1 / _kept_from(tiny, 1 - (a + b) * x / (a + 1)), "below")
    above, value = f.local(x.dtype, 1, "above"), f.local(x.dtype, below, "fraction")
    with f.loop(_MOST) as k:
        m = f.let((k + 1) + 0 * x)
        even = f.let(m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)))
        odd = f.let(-(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)))
        below.set(1 / _kept_from(tiny, 1 + even * below.value))
        above.set(_kept_from(tiny, 1 + even / above.value))
        value *= above.value * below.value
        below.set(1 / _kept_from(tiny, 1 + odd * below.value))
        above.set(_kept_from(tiny, 1 + odd / above.value))
        change = f.let(above.value * below.value)
        value *= change
        f.stop(~(Call("fabs", change - 1) > 2 * eps_of(x)))
    return binomial_density(a, b, x, y) * value.value / a


def _kept_from(tiny: float, value: Any) -> Any:
    return select(Call("fabs", value) < tiny, tiny, value)


@scalar_function
def _share(f: FunctionBuilder, a: Any, b: Any, x: Any) -> Any:
    """betainc for a, b > 0 and 0 < x < 1, from the side on which the fraction converges."""
    y = f.let(1 - x)
    left = f.let(x * (a + b + 2) < a + 1)
    value = f.let(_fraction(select(left, a, b), select(left, b, a), select(left, x, y), select(left, y, x)))
    return select(left, value, 1 - value)


def _at_ends(a: Expr, b: Expr, x: Expr) -> Expr:
    """At 0 and 1; and where all lies at one of these, because a or b is 0 or infinite."""
    low, high = equal(a, 0) | equal(b, math.inf), equal(b, 0) | equal(a, math.inf)
    known = (a >= 0) & (b >= 0) & ~(low & high)
    inside = select(low, 1, select(high, 0, math.nan + 0 * x))
    value = select(equal(x, 0), 0, select(equal(x, 1), 1, inside))
    return select(known & (x >= 0) & (x <= 1), value, math.nan)


def _no_shape(d: Any, a: Any, b: Any, x: Any) -> list[Any]:
    inside = where((x > 0) & (x < 1), x, 0.5)
    density = exp((a - 1) * log(inside) + (b - 1) * log1p(-inside) - betaln(a, b))
    why = "it is no function that has a name"
    return [
        grad_not_implemented(betainc, 0, a, why),
        grad_not_implemented(betainc, 1, b, why),
        d * where((x > 0) & (x < 1), density, 0),
    ]


@elementwise(differential=_no_shape)
def betainc(a, b, x):
    """The share of the beta distribution that lies below ``x``: the regularized incomplete beta function.

    a, b > 0 and 0 <= x <= 1; else NaN.  Its derivative is that by x; of a and b there is none.
    Accuracy  error 1e-13 (float64; float32 is rounded from it) of the smaller of the shares below and above
              ``x``, and of 1 where b < 1; for a and b up to 1e8.
    Errors    DTypeError for complex.
    """
    need_reals("betainc", a, b, x)
    a, b, x = floated(a, b, x)
    known = (a > 0) & (b > 0) & (a < math.inf) & (b < math.inf)
    good = known & (x > 0) & (x < 1)
    inside = _share(*in_float64(select(good, a, 1), select(good, b, 1), select(good, x, 0.5 + 0 * x)))
    return select(good, cast(inside, x.dtype), _at_ends(a, b, x))
