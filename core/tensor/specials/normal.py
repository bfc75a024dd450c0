"""The normal distribution, and the error function's relatives: inverse, scaled, logarithmic."""

from __future__ import annotations

import math
from typing import Any

from core.ir.expr import Call, Expr, minimum, select
from core.tensor.elementwise import elementwise
from core.tensor.functions import erfc, exp
from core.tensor.kinds import floated, need_reals
from core.tensor.logic import where
from core.tensor.specials.series import chebyshev, ratio

__all__ = ["erfcinv", "erfcx", "erfinv", "log_ndtr", "ndtr", "ndtri"]

_ROOT_2, _ROOT_PI, _LN2 = math.sqrt(2), math.sqrt(math.pi), math.log(2)

# Wichura (1988), algorithm AS 241, PPND16: numerators and denominators, the highest power first
_CENTRE = (
    (2509.0809287301226727, 33430.575583588128105, 67265.770927008700853, 45921.953931549871457)
    + (13731.693765509461125, 1971.5909503065514427, 133.14166789178437745, 3.387132872796366608),
    (5226.495278852545925, 28729.085735721942674, 39307.89580009271061, 21213.794301586595867)
    + (5394.1960214247511077, 687.1870074920579083, 42.313330701600911252, 1.0),
)
_MIDDLE = (
    (7.7454501427834140764e-4, 0.0227238449892691845833, 0.24178072517745061177, 1.27045825245236838258)
    + (3.64784832476320460504, 5.7694972214606914055, 4.6303378461565452959, 1.42343711074968357734),
    (1.05075007164441684324e-9, 5.475938084995344946e-4, 0.0151986665636164571966, 0.14810397642748007459)
    + (0.68976733498510000455, 1.6763848301838038494, 2.05319162663775882187, 1.0),
)
_TAIL = (
    (2.01033439929228813265e-7, 2.71155556874348757815e-5, 0.0012426609473880784386, 0.026532189526576123093)
    + (0.29656057182850489123, 1.7848265399172913358, 5.4637849111641143699, 6.6579046435011037772),
    (2.04426310338993978564e-15, 1.4215117583164458887e-7, 1.8463183175100546818e-5, 7.868691311456132591e-4)
    + (0.0148753612908506148525, 0.13692988092273580531, 0.59983220655588793769, 1.0),
)


def _quantile(q: Expr, log_tail: Expr) -> Expr:
    """The normal quantile of 1/2 + q; ``log_tail`` is that of 1/2 - abs(q), of what lies beyond."""
    near = q * ratio(_CENTRE, 0.180625 - q * q)
    far = Call("sqrt", -log_tail)
    beyond = select(far <= 5, ratio(_MIDDLE, far - 1.6), ratio(_TAIL, far - 5))
    outside = select(far < math.inf, beyond, far)  # there, one infinity would be divided by another
    return select(Call("fabs", q) <= 0.425, near, Call("copysign", outside, q))


def _ndtri_slope(p: Any) -> list[Any]:
    x = ndtri(p)
    return [math.sqrt(2 * math.pi) * exp(x * x / 2)]


@elementwise(derivative=_ndtri_slope)
def ndtri(p):
    """x of which a standard normal draw is less with probability ``p``: -inf at 0, inf at 1, NaN beyond.

    Accuracy  relative error 1e-15.   Errors  DTypeError for complex.
    Source    Wichura (1988), "The percentage points of the normal distribution", algorithm AS 241.
    """
    need_reals("ndtri", p)
    p = floated(p)
    return _quantile(p - 0.5, Call("log", minimum(p, 1 - p)))


@elementwise(derivative=lambda x: [(_ROOT_PI / 2) * exp(erfinv(x) ** 2)])
def erfinv(x):
    """The inverse of erf: infinite at -1 and 1, NaN beyond.

    Accuracy  relative error 1e-15.   Errors  DTypeError for complex.   Source  AS 241, as ndtri.
    """
    need_reals("erfinv", x)
    x = floated(x)
    return _quantile(0.5 * x, Call("log", 1 - Call("fabs", x)) - _LN2) / _ROOT_2


@elementwise(derivative=lambda x: [(-_ROOT_PI / 2) * exp(erfcinv(x) ** 2)])
def erfcinv(x):
    """The inverse of erfc: inf at 0, -inf at 2, NaN beyond.

    Accuracy  relative error 1e-15.   Errors  DTypeError for complex.   Source  AS 241, as ndtri.
    """
    need_reals("erfcinv", x)
    x = floated(x)
    return _quantile(0.5 * (1 - x), Call("log", minimum(x, 2 - x)) - _LN2) / _ROOT_2


# (1 + 2 x) exp(x**2) erfc(x) in (x - 3.75) / (x + 3.75), for x >= 0: the Chebyshev series of Shepherd and Laframboise
# (1981), "Chebyshev approximation of (1 + 2x) exp(x^2) erfc x in 0 <= x < infinity", computed to 20 digits
_SCALED = (
    *(1.1775789345674017, -0.004590054580646478, -0.08424913336651792, 0.05920993999819189, -0.026658668435305753),
    *(0.009074997670705265, -0.002413163540417608, 0.0004907758365258086, -6.916973302501207e-05),
    *(4.13902798607301e-06, 7.74038306619849e-07, -2.1886401049234397e-07, 1.076499946567091e-08),
    *(4.521959811218287e-09, -7.754400208831351e-10, -6.318088340886684e-11, 2.86879501093067e-11),
    *(1.9455868545777347e-13, -9.65469674843344e-13, 3.25254814814874e-14, 3.3478119482868056e-14),
    *(-1.864562880419313e-15, -1.2507950530688648e-15, 7.418235256624044e-17, 5.068148904796111e-17),
    *(-2.2370566594359995e-18, -2.187342944303018e-18),
)


@elementwise(derivative=lambda x: [2 * x * erfcx(x) - 2 / _ROOT_PI])
def erfcx(x):
    """exp(x**2) erfc(x), which neither overflows nor vanishes for large x; inf from about -26.6 down.

    Accuracy  relative error 2e-15, below 0 that of exp(x**2).   Errors  DTypeError for complex.
    """
    need_reals("erfcx", x)
    x = floated(x)
    size = Call("fabs", x)
    inner = select(Call("isinf", size), 1, size)
    scaled = chebyshev(_SCALED, (inner - 3.75) / (inner + 3.75)) / (1 + 2 * inner)
    right = select(Call("isinf", size), 0, scaled)
    return select(x < 0, 2 * Call("exp", x * x) - right, right)


@elementwise(derivative=lambda x: [exp(-0.5 * x * x) / math.sqrt(2 * math.pi)])
def ndtr(x):
    """The probability that a standard normal draw is less than ``x``.  Errors: DTypeError for complex."""
    need_reals("ndtr", x)
    return 0.5 * Call("erfc", -floated(x) / _ROOT_2)


def _log_ndtr_slope(x: Any) -> Any:
    """density / probability; below 0, where both vanish, by erfcx."""
    below = math.sqrt(2 / math.pi) / erfcx(where(x < 0, -x, 0) / _ROOT_2)
    above = exp(-0.5 * x * x) * math.sqrt(2 / math.pi) / erfc(-where(x < 0, 0, x) / _ROOT_2)
    return where(x < 0, below, above)


@elementwise(derivative=lambda x: [_log_ndtr_slope(x)])
def log_ndtr(x):
    """log(ndtr(x)), right where ndtr(x) is too small for a float, and where it is nearly 1.

    Accuracy  relative error 1e-15.   Errors  DTypeError for complex.
    """
    need_reals("log_ndtr", x)
    x = floated(x)
    low = x < -1
    left = Call("log", 0.5 * erfcx(select(low, -x, 1) / _ROOT_2)) - 0.5 * x * x
    right = Call("log1p", -0.5 * Call("erfc", select(low, 0, x) / _ROOT_2))
    return select(low, left, right)
