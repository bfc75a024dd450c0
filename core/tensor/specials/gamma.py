"""Incomplete gamma functions, regularized: shares of the gamma distribution; and their derivatives by both operands."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from core.ir.expr import Call, Expr, cast, const, equal, select
from core.ir.function import FunctionBuilder, scalar_function
from core.op import grad_not_implemented
from core.tensor.elementwise import elementwise
from core.tensor.functions import exp, gammaln, log, psi
from core.tensor.kinds import floated, need_reals
from core.tensor.logic import equal as is_equal
from core.tensor.logic import where
from core.tensor.specials.series import chebyshev, eps_of, in_float64, polynomial, stirling, without_logarithm

__all__ = ["chi2sf", "gammainc", "gammaincc", "gammainc_by_shape", "gammal", "gammau"]

_MOST = 2000  # turns of a loop: below _LARGE, fewer than 300 are needed
_LARGE, _NEAR = 1000.0, 0.3  # from this shape on, and for operands within this of it, there is Temme's expansion

# log gamma(1 + a) / a for a in [0, 1.25]: Chebyshev coefficients, computed to 20 digits
_LOG_GAMMA = (
    *(-0.2060249505146303, 0.3342035894651765, -0.03197254036093561, 0.004245215596515251, -0.000643381725809808),
    *(0.00010452783366293018, -1.770791476978562e-05, 3.0835296380098298e-06, -5.474017033393513e-07),
    *(9.856993398555524e-08, -1.7944534745550668e-08, 3.2952869120859102e-09, -6.094452573373941e-10),
    *(1.1338288338382363e-10, -2.1200495878636307e-11, 3.981350343204534e-12, -7.505195795335003e-13),
    *(1.419538896389957e-13, -2.692938476972861e-14, 5.122307874636385e-15, -9.766786422220764e-16),
    *(1.8663255692381498e-16, -3.573460197646343e-17, 6.854618219772651e-18),
)
# Temme's c[k] as polynomials in eta: Taylor coefficients of DLMF 8.12.11, whose recurrence is 8.12.10
_TEMME = (
    (
        *(-0.3333333333333333, 0.08333333333333333, -0.014814814814814815, 0.0011574074074074073),
        *(0.0003527336860670194, -0.0001787551440329218, 3.919263178522438e-05, -2.185448510679992e-06),
        *(-1.85406221071516e-06, 8.296711340953087e-07, -1.7665952736826078e-07, 6.707853543401498e-09),
        *(1.0261809784240309e-08, -4.382036018453353e-09, 9.14769958223679e-10, -2.5514193994946248e-11),
    ),
    (
        *(-0.001851851851851852, -0.003472222222222222, 0.0026455026455026454, -0.0009902263374485596),
        *(0.00020576131687242798, -4.018775720164609e-07, -1.8098550334489977e-05, 7.64916091608111e-06),
        *(-1.6120900894563446e-06, 4.647127802807434e-09, 1.378633446915721e-07, -5.752545603517705e-08),
        *(1.1951628599778148e-08, -1.7543241719747647e-11),
    ),
    (
        *(0.004133597883597883, -0.0026813271604938273, 0.0007716049382716049, 2.0093878600823047e-06),
        *(-0.0001073665322636516, 5.2923448829120125e-05, -1.2760635188618728e-05, 3.423578734096138e-08),
        *(1.3721957309062934e-06, -6.298992138380055e-07, 1.4280614206064242e-07, -2.0477098421990866e-10),
    ),
    (
        *(0.0006494341563786008, 0.00022947209362139917, -0.0004691894943952557, 0.00026772063206283885),
        *(-7.561801671883977e-05, -2.396505113867297e-07, 1.1082654115347302e-05, -5.6749528269915965e-06),
        *(1.4230900732435883e-06, -2.7861081029291528e-11),
    ),
    (
        *(-0.0008618882909167117, 0.0007840392217200666, -0.0002990724803031902, -1.4638452578843418e-06),
        *(6.641498215465122e-05, -3.968365047179435e-05, 1.1375726970678419e-05, 2.507497226237533e-10),
    ),
)
# (x / a - 1) / eta as a polynomial in eta
_SLOPE = (
    *(1.0, 0.3333333333333333, 0.027777777777777776, -0.003703703703703704, 0.0002314814814814815),
    *(5.878894767783657e-05, -2.553644914756026e-05, 4.899078973153047e-06, -2.428276122977769e-07),
    *(-1.85406221071516e-07, 7.542464855411896e-08, -1.47216272806884e-08, 5.159887341078076e-10),
    *(7.32986413160022e-10, -2.921357345635569e-10, 5.717312238897994e-11),
)


@scalar_function
def density(f: FunctionBuilder, a: Any, x: Any) -> Any:
    """x**a exp(-x) / gamma(a + 1), with the error of a few ulp also where it is a product of huge and tiny factors.

    Source  Loader (2000), "Fast and accurate computation of binomial probabilities": the distance of x from a goes into
    one exponent, which is small where the result is not.
    """
    t = f.let((x - a) / a)
    near = Call("fabs", t) < 0.5
    distance = f.let(select(near, without_logarithm(select(near, t, 0)), t - Call("log", x / a)))
    of_large = Call("exp", -a * distance - stirling(a)) / Call("sqrt", 2 * math.pi * a)
    small = a * Call("log", x) - x - Call("lgamma", a + 1)
    return select(a < 1, Call("exp", small), of_large)


# --- the three ways ---------------------------------------------------------------------------------------------------


@scalar_function
def _lower_series(f: FunctionBuilder, a: Any, x: Any) -> Any:
    """The lower part by its series, all of whose terms are positive: DLMF 8.7.1."""
    term, total = f.local(x.dtype, 1, "term"), f.local(x.dtype, 1, "total")
    with f.loop(_MOST) as k:
        term *= x / (a + (k + 1))
        total += term
        f.stop(~(term.value > 0.25 * eps_of(x) * total.value))
    return density(a, x) * total.value


def _tiny(x: Any) -> float:
    """In the place of a 0 by which Lentz's method would divide."""
    return float(np.finfo(x.dtype).tiny) * 1e10


def _kept_from_zero(value: Any) -> Any:
    return select(Call("fabs", value) < _tiny(value), _tiny(value), value)


@scalar_function
def _upper_fraction(f: FunctionBuilder, a: Any, x: Any) -> Any:
    """The upper part by its continued fraction, for x > a: DLMF 8.9.2, by Lentz's method (Thompson, Barnett 1986)."""
    b = f.let(x + 1 - a)
    above, below = f.local(x.dtype, 1 / _tiny(x), "above"), f.local(x.dtype, 1 / _kept_from_zero(b), "below")
    value = f.local(x.dtype, below, "fraction")
    with f.loop(_MOST) as k:
        numerator = f.let(-(k + 1) * ((k + 1) - a))
        partial = f.let(b + 2 * (k + 1))
        below.set(1 / _kept_from_zero(numerator * below.value + partial))
        above.set(_kept_from_zero(partial + numerator / above.value))
        change = f.let(above.value * below.value)
        value *= change
        f.stop(~(Call("fabs", change - 1) > 2 * eps_of(x)))
    return density(a, x) * a * value.value


@scalar_function
def _upper_series(f: FunctionBuilder, a: Any, x: Any) -> Any:
    """The upper part for small ``a`` and ``x``, where it is what two numbers near 1 differ by: DLMF 8.7.3."""
    log_x = f.let(Call("log", x))
    of_one_more = f.let(a * chebyshev(_LOG_GAMMA, 1.6 * a - 1))  # log gamma(1 + a)
    term, total = f.local(x.dtype, 1, "term"), f.local(x.dtype, 0, "total")
    with f.loop(100) as k:
        term *= -x / (k + 1)
        part = f.let(term.value / (a + (k + 1)))
        total += part
        f.stop(~(Call("fabs", part) > 0.25 * eps_of(x) * Call("fabs", total.value)))
    first = -Call("expm1", a * log_x - of_one_more)
    return first - Call("exp", a * log_x - of_one_more) * a * total.value


def _temme(f: FunctionBuilder, a: Any, x: Any) -> tuple[Any, Any]:
    """eta, whose square is 2 (mu - log1p(mu)) for mu = x / a - 1, and S = c[0] + c[1] / a + c[2] / a**2 + ...

    Then the upper part is erfc(eta sqrt(a / 2)) / 2 + exp(-a eta**2 / 2) / sqrt(2 pi a) S: Temme (1979), DLMF 8.12.4.
    """
    mu = f.let((x - a) / a)
    eta = f.let(Call("copysign", Call("sqrt", 2 * without_logarithm(mu)), mu))
    return eta, f.let(polynomial([polynomial(c, eta) for c in _TEMME], 1 / a))


@scalar_function
def _temme_part(f: FunctionBuilder, a: Any, x: Any, side: Any) -> Any:
    """The upper part for ``side`` = 1, the lower one for -1."""
    eta, terms = _temme(f, a, x)
    root = f.let(eta * Call("sqrt", 0.5 * a))
    correction = Call("exp", -root * root) / Call("sqrt", 2 * math.pi * a) * terms
    return 0.5 * Call("erfc", side * root) + side * correction


def _is_temme(a: Expr, x: Expr) -> Expr:
    return (a >= _LARGE) & (Call("fabs", x - a) < _NEAR * a)


@scalar_function
def _part(f: FunctionBuilder, a: Any, x: Any, upper: Any) -> Any:
    """The lower part, or the ``upper`` one where that is 1, for finite a > 0 and x > 0."""
    out = f.local(x.dtype, 0, "out")
    wanted = f.let(upper > 0.5)
    log_x = f.let(Call("log", x))
    cancels = f.let(select(x <= 0.5, a * log_x > -0.4, (x <= 1.1) & (a < 1.1 * x)))  # a > -0.4 / log x would, too
    temme = f.let(_is_temme(a, x))
    small = f.let(~temme & wanted & (x <= 1.1) & cancels)
    below = f.let(~temme & ~small & (x < a + 1))
    with f.when(temme):
        out.set(_temme_part(a, x, select(wanted, 1 + 0 * a, -1)))
    with f.when(small):
        out.set(_upper_series(a, x))
    with f.when(below):
        lower = f.let(_lower_series(a, x))
        out.set(select(wanted, 1 - lower, lower))
    with f.when(~temme & ~small & ~below):
        rest = f.let(_upper_fraction(a, x))
        out.set(select(wanted, rest, 1 - rest))
    return out


def _at_ends(a: Expr, x: Expr, upper: bool) -> Expr:
    """Values at 0 and infinity, NaN for negative operands, around those of ``_part``."""
    good = (a > 0) & (x > 0) & (a < math.inf) & (x < math.inf)
    wide_a, wide_x = in_float64(select(good, a, 1), select(good, x, 1))
    inside = cast(_part(wide_a, wide_x, const(float(upper), "float64")), x.dtype)
    all_below = (x > 0) & equal(a, 0) | (a >= 0) & (a < math.inf) & equal(x, math.inf)
    none_below = (a > 0) & equal(x, 0) | equal(a, math.inf) & (x >= 0) & (x < math.inf)
    ends = select(all_below, 0 if upper else 1, select(none_below, 1 if upper else 0, math.nan + 0 * x))
    return select(good, inside, ends)


# --- the derivative by the shape --------------------------------------------------------------------------------------


@scalar_function
def _series_by_shape(f: FunctionBuilder, a: Any, x: Any) -> Any:
    """Of the lower part: each term of the series times the derivative of its logarithm."""
    term, rises = f.local(x.dtype, 1, "term"), f.local(x.dtype, Call("log", x) - psi(a + 1), "rises")
    total = f.local(x.dtype, rises, "total")
    with f.loop(_MOST) as k:
        step = f.let(1 / (a + (k + 1)))
        term *= x * step
        rises.set(rises.value - step)
        part = f.let(term.value * rises.value)
        total += part
        f.stop(~(Call("fabs", part) > 0.25 * eps_of(x) * Call("fabs", total.value)) & ~(x * step >= 1))
    return density(a, x) * total.value


@scalar_function
def _fraction_by_shape(f: FunctionBuilder, a: Any, x: Any) -> Any:
    """Of the lower part, for x > a: the derivative of Lentz's method, step by step."""
    b = f.let(x + 1 - a)
    above, below = f.local(x.dtype, 1 / _tiny(x), "above"), f.local(x.dtype, 1 / b, "below")
    above_slope, below_slope = f.local(x.dtype, 0, "above_slope"), f.local(x.dtype, 1 / (b * b), "below_slope")
    value, rises = f.local(x.dtype, below, "fraction"), f.local(x.dtype, 1 / b, "rises")
    with f.loop(_MOST) as k:
        j = f.let((k + 1) + 0 * a)
        numerator, partial = f.let(-j * (j - a)), f.let(b + 2 * j)
        new = f.let(1 / (numerator * below.value + partial))
        below_slope.set(-new * new * (j * below.value + numerator * below_slope.value - 1))
        inverse = f.let(1 / above.value)
        above_slope.set(j * inverse - numerator * above_slope.value * inverse * inverse - 1)
        below.set(new)
        above.set(partial + numerator * inverse)
        change = f.let(above.value * below.value)
        value *= change
        more = f.let(above_slope.value / above.value + below_slope.value / below.value)
        rises += more
        moves = (Call("fabs", change - 1) > 2 * eps_of(x)) | (
            Call("fabs", more) > eps_of(x) * Call("fabs", rises.value)
        )
        f.stop(~moves)
    return -density(a, x) * a * value.value * (Call("log", x) - psi(a) + rises.value)


@scalar_function
def _temme_by_shape(f: FunctionBuilder, a: Any, x: Any) -> Any:
    """Of the lower part: with E = exp(-a eta**2 / 2) / sqrt(2 pi a) and d eta / da = -mu / (a eta), the derivative of
    erfc(eta sqrt(a / 2)) / 2 is -E (eta / 2 - mu / eta), that of E is E (log(x / a) - 1 / (2 a)).
    """
    eta, terms = _temme(f, a, x)
    slope = f.let(polynomial(_SLOPE, eta))  # mu / eta
    inverse = f.let(1 / a)
    by_eta = polynomial([polynomial([j * c for j, c in enumerate(own)][1:], eta) for own in _TEMME], inverse)
    by_a = polynomial([-k * polynomial(c, eta) for k, c in enumerate(_TEMME)][1:], inverse) * inverse * inverse
    of_terms = by_a - by_eta * slope * inverse
    inside = f.let(-(0.5 * eta - slope) + (Call("log1p", (x - a) / a) - 0.5 * inverse) * terms + of_terms)
    return -Call("exp", -0.5 * a * eta * eta) / Call("sqrt", 2 * math.pi * a) * inside


@scalar_function
def _by_shape(f: FunctionBuilder, a: Any, x: Any) -> Any:
    out = f.local(x.dtype, 0, "out")
    temme = f.let(_is_temme(a, x))
    below = f.let(~temme & (x < a + 1))
    with f.when(temme):
        out.set(_temme_by_shape(a, x))
    with f.when(below):
        out.set(_series_by_shape(a, x))
    with f.when(~temme & ~below):
        out.set(_fraction_by_shape(a, x))
    return out


def _no_second(who: Any) -> Any:
    def differential(d: Any, a: Any, x: Any) -> list[Any]:
        return [grad_not_implemented(who(), k, v, "it is a second derivative") for k, v in enumerate((a, x))]

    return differential


@elementwise(differential=_no_second(lambda: gammainc_by_shape))
def gammainc_by_shape(a, x):
    """The derivative of gammainc(a, x) by ``a``, for a > 0 and x >= 0; else NaN.

    Accuracy  relative error 1e-11 (float64; float32 is rounded from it).   Errors  DTypeError for complex.
    """
    need_reals("gammainc_by_shape", a, x)
    a, x = floated(a, x)
    good = (a > 0) & (x > 0) & (a < math.inf) & (x < math.inf)
    inside = cast(_by_shape(*in_float64(select(good, a, 1), select(good, x, 1))), x.dtype)
    ends = select((a > 0) & (equal(x, 0) | equal(x, math.inf)), 0, math.nan + 0 * x)
    return select(good, inside, ends)


# --- for users --------------------------------------------------------------------------------------------------------


def _by_x(a: Any, x: Any) -> Any:
    """x**(a - 1) exp(-x) / gamma(a); at 0, where that has no logarithm, its limit."""
    inside = where(x > 0, x, 1)
    value = exp((a - 1) * log(inside) - inside - gammaln(a))
    at_zero = where(is_equal(a, 1), 1, where(a < 1, math.inf, 0))
    return where(x > 0, value, where(is_equal(x, 0), at_zero, math.nan))


@elementwise(derivative=lambda a, x: [gammainc_by_shape(a, x), _by_x(a, x)])
def gammainc(a, x):
    """The share of the gamma distribution of shape ``a`` that lies below ``x``: the lower incomplete gamma function,
    divided by gamma(a).  a >= 0, x >= 0; else NaN.

    Accuracy  relative error 1e-13, times abs(log of the result) where that is large; float32 is rounded from it.
    Errors    DTypeError for complex.
    Source    DLMF 8.7.1, 8.7.3, 8.9.2 and 8.12.4, chosen as in Gil, Segura and Temme (2012), "Efficient and accurate
              algorithms for the computation and inversion of the incomplete gamma function ratios".
    """
    need_reals("gammainc", a, x)
    return _at_ends(*floated(a, x), upper=False)


@elementwise(derivative=lambda a, x: [-gammainc_by_shape(a, x), -_by_x(a, x)])
def gammaincc(a, x):
    """1 - gammainc(a, x), accurate where that is small.  Domain, accuracy, errors and sources as there."""
    need_reals("gammaincc", a, x)
    return _at_ends(*floated(a, x), upper=True)


def gammal(a: Any, x: Any) -> Any:
    """The lower incomplete gamma function, not divided by gamma(a).  As gammainc otherwise."""
    return gammainc(a, x) * exp(gammaln(a))


def gammau(a: Any, x: Any) -> Any:
    """The upper incomplete gamma function, not divided by gamma(a).  As gammaincc otherwise."""
    return gammaincc(a, x) * exp(gammaln(a))


def chi2sf(x: Any, k: Any) -> Any:
    """The probability that a chi-square draw with ``k`` degrees of freedom is more than ``x``."""
    return gammaincc(0.5 * k, 0.5 * x)
