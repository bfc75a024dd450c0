"""Elementary functions of pairs (real part, imaginary part): without branches, so that loops of them vectorise.

At infinities, NaN, zeros and branch cuts they are what C99, annex G, says (where that leaves a sign open, so do we).
Errors in units of the last place of the modulus of the result, with real functions within 1: at most 4, of tan and tanh
5; of exp2, and of powers whose exponent is no whole number below 100, in proportion to that of e, as NumPy's are.
The real part of a logarithm is right by itself, where it vanishes near the unit circle too.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from core.ir.expr import Call, Expr, const, equal, select
from core.ir.parts.arithmetic import (
    Pair,
    choose,
    conjugate,
    is_equal,
    multiply,
    number,
    reciprocal,
)

_LARGEST_EXPONENT = {"float64": 709, "float32": 88}  # exp of this is finite
_FLAT = {"float64": 22.0, "float32": 11.0}  # from here on tanh is 1
_SPLITTER = {"float64": 2.0**27 + 1, "float32": 2.0**12 + 1}  # Veltkamp's: halves of a number, whose products are exact
_BIG = {"float64": 2.0**1020, "float32": 2.0**124}
_TINY = {"float64": 2.0**-960, "float32": 2.0**-100}


def _number(value: Any, like: Expr) -> Expr:
    return const(value, like.dtype)


def _inf(like: Expr) -> Expr:
    return _number(math.inf, like)


def _is_zero(x: Expr) -> Expr:
    return equal(x, 0)


def _sign(magnitude: Any, x: Expr) -> Expr:
    """``magnitude`` with the sign of x."""
    return Call("copysign", magnitude if isinstance(magnitude, Expr) else _number(magnitude, x), x)


def _grown(x: Expr) -> tuple[Expr, Expr]:
    """exp(x) as two factors, of which a product with a small number comes before the other: it may not overflow."""
    most = _LARGEST_EXPONENT[x.dtype]
    beyond = x > most
    factor = float(np.exp(np.dtype(x.dtype).type(most)))
    return Call("exp", x - select(beyond, most, _number(0, x))), select(beyond, factor, _number(1, x))


def exp(z: Pair) -> Pair:
    """exp(x) (cos y + i sin y)."""
    x, y = z
    grown, factor = _grown(x)
    bounded, endless = Call("isfinite", y), Call("isinf", x)
    nothing, lost = x < 0, endless & ~bounded  # exp(-inf) times what is not known is 0
    re = grown * (factor * Call("cos", y))
    im = grown * (factor * Call("sin", y))
    re = select(lost, select(nothing, 0, _inf(x)), re)
    im = select(lost & nothing, _sign(0, y), im)
    return re, select(_is_zero(y), y, im)


def log(z: Pair) -> Pair:
    """log |z| and the angle in [-pi, pi]."""
    x, y = z
    return _log_modulus(x, y), Call("atan2", y, x)


def _log_modulus(x: Expr, y: Expr) -> Expr:
    """log |z|: near |z| = 1 as log1p(|z|**2 - 1) / 2, of squares that are exact in two parts (Dekker 1971)."""
    a, b = Call("fabs", x), Call("fabs", y)
    larger, smaller = select(a < b, b, a), select(a < b, a, b)
    square, rest = _squared(larger)
    other, other_rest = _squared(smaller)
    total = square + other
    near = (total > 0.5) & (total < 3.0)
    beyond = (total - 1) + ((other - (total - square)) + (rest + other_rest))
    big, tiny = larger > _BIG[x.dtype], larger < _TINY[x.dtype]
    scale = select(big, 0.5, select(tiny, 2.0**60, _number(1, x)))
    shift = select(big, math.log(2), select(tiny, -60 * math.log(2), _number(0, x)))
    far = Call("log", Call("hypot", x * scale, y * scale)) + shift
    return select(near, 0.5 * Call("log1p", beyond), far)


def _squared(x: Expr) -> tuple[Expr, Expr]:
    """x * x as a number and what rounding it has lost."""
    product = x * x
    moved = _SPLITTER[x.dtype] * x
    high = moved - (moved - x)
    low = x - high
    return product, ((high * high - product) + 2 * (high * low)) + low * low


def sqrt(z: Pair) -> Pair:
    """The root with a real part that is not negative; cut along the negative real numbers."""
    x, y = z
    a, b = Call("fabs", x), Call("fabs", y)
    larger = select(a < b, b, a)
    big, tiny = larger > _BIG[x.dtype], larger < _TINY[x.dtype]
    scale = select(big, 0.0625, select(tiny, 2.0**60, _number(1, x)))
    back = select(big, 4.0, select(tiny, 2.0**-30, _number(1, x)))
    a, b = a * scale, b * scale
    root = Call("sqrt", 0.5 * (a + Call("hypot", a, b)))
    other = select(_is_zero(root), 0, 0.5 * (b / root))
    root, other = root * back, other * back
    endless, right = Call("isinf", y), x >= 0
    re = select(endless, _inf(x), select(right, root, other))
    im = select(endless, y, _sign(select(right, other, root), y))
    return re, im


def _hyperbolic(x: Expr) -> tuple[Expr, Expr, Expr]:
    """sinh x, cosh x, and a factor for both, which a small number is multiplied with first."""
    most = _LARGEST_EXPONENT[x.dtype]
    size = Call("fabs", x)
    beyond = size > most
    grown = Call("exp", size - select(beyond, most, _number(0, x)))
    factor = 0.5 * float(np.exp(np.dtype(x.dtype).type(most)))
    return (
        select(beyond, _sign(grown, x), Call("sinh", x)),
        select(beyond, grown, Call("cosh", x)),
        select(beyond, factor, _number(1, x)),
    )


def sinh(z: Pair) -> Pair:
    """sinh x cos y + i cosh x sin y."""
    x, y = z
    s, c, factor = _hyperbolic(x)
    re, im = s * (factor * Call("cos", y)), c * (factor * Call("sin", y))
    lost = ~Call("isfinite", y)
    re = select(Call("isinf", x) & lost, _inf(x), select(_is_zero(x) & lost, x, re))
    return re, select(_is_zero(y), y, im)


def cosh(z: Pair) -> Pair:
    """cosh x cos y + i sinh x sin y."""
    x, y = z
    s, c, factor = _hyperbolic(x)
    re, im = c * (factor * Call("cos", y)), s * (factor * Call("sin", y))
    lost = ~Call("isfinite", y)
    re = select(Call("isinf", x) & lost, _inf(x), re)
    im = select(_is_zero(y), _sign(0, x) * _sign(1, y), select(_is_zero(x) & lost, x, im))
    return re, im


def tanh(z: Pair) -> Pair:
    """Kahan (1987): with t = tan y, s = sinh x, b = 1 + t**2, it is (b s sqrt(1 + s**2) + i t) / (1 + b s**2)."""
    x, y = z
    size = Call("fabs", x)
    flat = size > _FLAT[x.dtype]
    inner = select(flat, 0, x)
    t, s = Call("tan", y), Call("sinh", inner)
    b = 1 + t * t
    below = 1 + b * (s * s)
    re = b * Call("sqrt", 1 + s * s) * s / below
    known, endless = Call("isfinite", y), Call("isinf", x)
    re = select(flat & (known | endless), _sign(1, x), select(_is_zero(x), x, re))
    far = 4 * (Call("sin", y) * Call("cos", y)) * Call("exp", -2 * size)
    far = select(endless & ~known, _sign(0, y), far)
    return re, select(_is_zero(y), y, select(flat, far, t / below))


def _turned(z: Pair) -> Pair:
    """i z."""
    return -z[1], z[0]


def _turned_back(z: Pair) -> Pair:
    """-i z."""
    return z[1], -z[0]


def sin(z: Pair) -> Pair:
    return _turned_back(sinh(_turned(z)))


def cos(z: Pair) -> Pair:
    return cosh(_turned(z))


def tan(z: Pair) -> Pair:
    return _turned_back(tanh(_turned(z)))


def _scaled(z: Pair, factor: float) -> Pair:
    return z[0] * factor, z[1] * factor


def exp2(z: Pair) -> Pair:
    return exp(_scaled(z, math.log(2)))


def log2(z: Pair) -> Pair:
    return _scaled(log(z), 1 / math.log(2))


def log10(z: Pair) -> Pair:
    return _scaled(log(z), 1 / math.log(10))


def expm1(z: Pair) -> Pair:
    """expm1(x) cos y - 2 sin(y/2)**2 + i exp(x) sin y."""
    x, y = z
    half = Call("sin", 0.5 * y)
    return Call("expm1", x) * Call("cos", y) - 2 * half * half, Call("exp", x) * Call("sin", y)


def log1p(z: Pair) -> Pair:
    """log |1 + z| and the angle of 1 + z."""
    x = z[0] + 1
    return Call("log", Call("hypot", x, z[1])), Call("atan2", z[1], x)


def rint(z: Pair) -> Pair:
    return Call("rint", z[0]), Call("rint", z[1])


# --- powers -----------------------------------------------------------------------------------------------------------

_MOST = 100  # below this, whole exponents are products


def power(z: Pair, w: Pair) -> Pair:
    """z**w as NumPy has it: products for whole w below 100, else exp(w log z); 1 for w = 0; 0 and NaN for z = 0."""
    exponent = number(w)
    if exponent is not None and exponent.imag == 0 and exponent.real == int(exponent.real) and _fits(exponent.real):
        return _whole_power(z, int(exponent.real))
    general = exp(multiply(w, log(z)))
    if exponent is None:
        whole, found = _counted_power(z, w)
        general = choose(whole, found, general)
    nan, nothing = _number(math.nan, z[0]), _number(0, z[0])
    grows = w[0] > 0
    at_zero = select(grows, nothing, nan), select(grows, nothing, nan)
    origin = is_equal(z, (nothing, nothing))
    one = _number(1, z[0]), nothing
    return choose(_is_zero(w[0]) & _is_zero(w[1]), one, choose(origin, at_zero, general))


def _fits(exponent: float) -> bool:
    return -_MOST < exponent < _MOST


def _whole_power(z: Pair, n: int) -> Pair:
    """Products, by the bits of a constant exponent, the lowest first."""
    nothing, nan = _number(0, z[0]), _number(math.nan, z[0])
    if n == 0:
        return _number(1, z[0]), nothing
    found: Pair | None = None
    square, bits = z, abs(n)
    while bits:
        if bits & 1:
            found = square if found is None else multiply(found, square)
        bits >>= 1
        if bits:
            square = multiply(square, square)
    assert found is not None
    if n > 0:
        return found
    return choose(is_equal(z, (nothing, nothing)), (nan, nan), reciprocal(found))


def _counted_power(z: Pair, w: Pair) -> tuple[Expr, Pair]:
    """Whether an exponent is whole and below 100, and the power if it is."""
    size = Call("fabs", w[0])
    whole = _is_zero(w[1]) & (size < _MOST) & equal(Call("rint", w[0]), w[0])
    left = select(whole, size, 0)
    one, nothing = _number(1, z[0]), _number(0, z[0])
    found, square = (one, nothing), z
    for bit in range(7):
        half = Call("floor", 0.5 * left)
        odd = left - 2 * half > 0.5
        found = choose(odd, square if bit == 0 else multiply(found, square), found)
        left = half
        if bit < 6:
            square = multiply(square, square)
    return whole, choose(w[0] < 0, reciprocal(found), found)


FUNCTIONS = {
    "exp": exp,
    "exp2": exp2,
    "expm1": expm1,
    "log": log,
    "log2": log2,
    "log10": log10,
    "log1p": log1p,
    "sqrt": sqrt,
    "sin": sin,
    "cos": cos,
    "tan": tan,
    "sinh": sinh,
    "cosh": cosh,
    "tanh": tanh,
    "rint": rint,
    "conj": conjugate,
}
