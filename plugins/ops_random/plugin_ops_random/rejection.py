"""Draws that try until one is accepted: scalar functions with a loop, in which each element has a stream of its own.

An element's key is its bits, ``threefry(key, position)``; its attempt t takes the bits of that key at position t.  So
nothing is remembered here either.  What is accepted depends on logarithms: backends agree wherever theirs do, but where
two of them differ in the last bit a draw may be another one, once in about 10**14 draws of float64.
"""

from __future__ import annotations

import math
from typing import Any

from core.ir.expr import Call, Expr, as_expr, cast, const, equal, minimum, select
from core.ir.function import FunctionBuilder, scalar_function
from core.op import grad_not_implemented
from core.tensor.elementwise import elementwise
from core.tensor.functions import exp, gammaln, psi
from core.tensor.logic import where
from core.tensor.specials.gamma import gammainc_by_shape
from core.tensor.specials.normal import ndtri
from core.tensor.specials.series import LOG_2PI, stirling, without_logarithm
from plugin_ops_random.keys import threefry

_MOST = 10_000  # attempts: the least likely of these methods accepts two of three
_LOW = 10.0  # below this mean, counts are found one by one from 0


@scalar_function
def _bits(f: FunctionBuilder, k0: Any, k1: Any, high: Any, low: Any) -> Any:
    """``threefry``, written once for all draws of a function."""
    return threefry(k0, k1, high, low)


class Uniforms:
    """The stream of one element: numbers in (0, 1), both ends left out."""

    def __init__(self, f: FunctionBuilder, words: tuple[Expr, ...], dtype: str):
        own = f.let(_bits(*words), "own")
        self._f, self._dtype = f, dtype
        self._key = f.let(cast(own >> 32, "uint32")), f.let(cast(own, "uint32"))

    def at(self, attempt: Any, number: int) -> Expr:
        """The one for an attempt, an integer; ``number`` tells those of one attempt apart."""
        words = cast(as_expr(attempt), "uint32"), const(number, "uint32")
        digits = 52 if self._dtype == "float64" else 23
        drawn = self._f.let(_bits(*self._key, *words) >> (64 - digits))
        return self._f.let((cast(drawn, self._dtype) + 0.5) * 2.0**-digits, "u")


# --- gamma -----------------------------------------------------------------------------------------------------------


@scalar_function
def _log_gamma(f: FunctionBuilder, k0: Any, k1: Any, high: Any, low: Any, a: Any) -> Any:
    """The logarithm of a gamma draw of shape ``a``; below 1, a draw of a + 1 times the power 1 / a of a uniform one."""
    uniforms = Uniforms(f, (k0, k1, high, low), a.dtype)
    small = f.let(a < 1)
    d = f.let(select(small, a + 1, a) - 1 / 3)
    c = f.let(1 / Call("sqrt", 9 * d))
    out = f.local(a.dtype, math.nan, "out")
    with f.loop(_MOST) as attempt:
        x = f.let(ndtri(uniforms.at(attempt, 0)))
        root = f.let(1 + c * x)
        v = f.let(select(root > 0, root * root * root, 1))
        squeezed = Call("log", uniforms.at(attempt, 1)) < 0.5 * x * x + d * (1 - v + Call("log", v))
        out.set(Call("log", d * v))
        f.stop((root > 0) & squeezed | ~(a > 0))
    boost = Call("log", uniforms.at(0, 2)) / a
    return select(a > 0, select(small, out.value + boost, out.value), select(equal(a, 0), -math.inf, math.nan + 0 * a))


_VANISHES = {"float32": -80.0, "float64": -650.0}  # logarithms below which a draw is too small to be looked up


def _implicit(k0: Any, k1: Any, high: Any, low: Any, a: Any) -> list[Any]:
    """Of the share below a draw, which stays, d/da = 0: x moves by -(d gammainc / da) / density.

    Source  Figurnov, Mohamed, Mnih (2018), "Implicit reparameterization gradients".
    """
    log_x = log_gamma_draw(k0, k1, high, low, a)
    tiny = log_x < _VANISHES[a.type.dtype]  # there the share is x**a / gamma(a + 1)
    inside = where(tiny, 0, log_x)
    by_density = gammainc_by_shape(a, exp(inside)) * exp(exp(inside) + gammaln(a) - a * inside)
    return [None] * 4 + [where(tiny, (psi(a + 1) - log_x) / a, -by_density)]


@elementwise(derivative=_implicit)
def log_gamma_draw(k0, k1, high, low, a):
    """The logarithm of a gamma draw of shape ``a`` and scale 1, for a key and a position; differentiable by ``a``.

    Source  Marsaglia and Tsang (2000), "A simple method for generating gamma variables".
    """
    return _log_gamma(k0, k1, high, low, a)


# --- counts ----------------------------------------------------------------------------------------------------------


@scalar_function
def _log_poisson(f: FunctionBuilder, k: Any, mean: Any) -> Any:
    """log of the probability of ``k`` >= 1, without cancellation (Loader 2000)."""
    return -stirling(k) - k * without_logarithm((mean - k) / k) - 0.5 * (LOG_2PI + Call("log", k))


@scalar_function
def _poisson(f: FunctionBuilder, k0: Any, k1: Any, high: Any, low: Any, mean: Any) -> Any:
    uniforms = Uniforms(f, (k0, k1, high, low), "float64")
    out = f.local("float64", 0, "out")
    with f.when(mean < _LOW):
        left, mass = f.local("float64", uniforms.at(0, 0), "left"), f.local("float64", Call("exp", -mean), "mass")
        with f.loop(200) as k:
            f.stop(~(left.value > mass.value))
            left.set(left.value - mass.value)
            out.set(cast(k, "float64") + 1)
            mass *= mean / out.value
    with f.when(mean >= _LOW):  # transformed rejection with a squeeze: PTRS
        b = f.let(0.931 + 2.53 * Call("sqrt", mean))
        a = f.let(-0.059 + 0.02483 * b)
        inverse_alpha, squeeze = f.let(1.1239 + 1.1328 / (b - 3.4)), f.let(0.9277 - 3.6224 / (b - 2))
        with f.loop(_MOST) as attempt:
            u, v = f.let(uniforms.at(attempt, 0) - 0.5), uniforms.at(attempt, 1)
            us = f.let(0.5 - Call("fabs", u))
            k = f.let(Call("floor", (2 * a / us + b) * u + mean + 0.43))
            out.set(k)
            f.stop((us >= 0.07) & (v <= squeeze))
            possible = f.let((k >= 0) & ((us >= 0.013) | (v <= us)))
            weight = Call("log", v * inverse_alpha / (a / (us * us) + b))
            chance = select(k >= 1, _log_poisson(select(k >= 1, k, 1), mean), -mean)
            f.stop(possible & (weight <= chance))
    return select(mean >= 0, cast(minimum(out.value, 2.0**62), "int64"), -1)


@elementwise(derivative=lambda *inputs: [None] * 5)
def poisson_draw(k0, k1, high, low, mean):
    """A Poisson draw, int64, for a key and a position; -1 for a mean that is negative or NaN.

    Source  Hoermann (1993), "The transformed rejection method for generating Poisson random variables", PTRS; below a
    mean of 10 by inversion.
    """
    return _poisson(k0, k1, high, low, mean)


@scalar_function
def _log_binomial(f: FunctionBuilder, k: Any, n: Any, p: Any) -> Any:
    """log of the probability of ``k`` successes, 0 <= k <= n, without cancellation (Loader 2000)."""
    inside = f.let((k > 0) & (k < n))
    x, y = f.let(select(inside, k, 1)), f.let(select(inside, n - k, 1))
    all_of = f.let(select(inside, n, 2))
    of_x, of_y = (without_logarithm((all_of * share - one) / one) for share, one in ((p, x), (1 - p, y)))
    chance = stirling(all_of) - stirling(x) - stirling(y) - x * of_x - y * of_y
    chance = chance + 0.5 * (Call("log", all_of / x / y) - LOG_2PI)
    return select(inside, chance, select(k > 0, n * Call("log", p), n * Call("log1p", -p)))


@scalar_function
def binomial(f: FunctionBuilder, k0: Any, k1: Any, high: Any, low: Any, n: Any, p: Any) -> Any:
    """Successes of ``n`` trials, both float64, for probabilities up to 1/2 first; above, of the failures."""
    uniforms = Uniforms(f, (k0, k1, high, low), "float64")
    turned = f.let(p > 0.5)
    q = f.let(select(turned, 1 - p, p))
    mean, out = f.let(n * q), f.local("float64", 0, "out")
    with f.when((mean < _LOW) & (mean > 0)):
        left = f.local("float64", uniforms.at(0, 0), "left")
        mass = f.local("float64", Call("exp", n * Call("log1p", -q)), "mass")
        odds = f.let(q / (1 - q))
        with f.loop(200):
            f.stop(~(left.value > mass.value) | (out.value >= n))
            left.set(left.value - mass.value)
            mass *= odds * (n - out.value) / (out.value + 1)
            out += 1
    with f.when(mean >= _LOW):  # transformed rejection with a squeeze: BTRS
        spread = f.let(Call("sqrt", mean * (1 - q)))
        b = f.let(1.15 + 2.53 * spread)
        a = f.let(-0.0873 + 0.0248 * b + 0.01 * q)
        squeeze, alpha = f.let(0.92 - 4.2 / b), f.let((2.83 + 5.1 / b) * spread)
        mode = f.let(_log_binomial(Call("floor", (n + 1) * q), n, q))
        with f.loop(_MOST) as attempt:
            u, v = f.let(uniforms.at(attempt, 0) - 0.5), uniforms.at(attempt, 1)
            us = f.let(0.5 - Call("fabs", u))
            k = f.let(Call("floor", (2 * a / us + b) * u + mean + 0.5))
            out.set(k)
            f.stop((us >= 0.07) & (v <= squeeze))
            possible = f.let((k >= 0) & (k <= n))
            weight = Call("log", v * alpha / (a / (us * us) + b))
            f.stop(possible & (weight <= _log_binomial(select(possible, k, 0), n, q) - mode))
    good = (n >= 0) & (p >= 0) & (p <= 1)
    return select(good, cast(select(turned, n - out.value, out.value), "int64"), -1)


@elementwise(derivative=lambda *inputs: [None] * 6)
def binomial_draw(k0, k1, high, low, n, p):
    """How many of ``n`` trials of probability ``p`` succeed, int64, for a key and a position; -1 if senseless.

    Source  Hoermann (1993), "The generation of binomial random variates", BTRS; below a mean of 10 by inversion.
    """
    return binomial(k0, k1, high, low, n, p)


# --- angles ----------------------------------------------------------------------------------------------------------


@scalar_function
def _von_mises(f: FunctionBuilder, k0: Any, k1: Any, high: Any, low: Any, kappa: Any) -> Any:
    uniforms = Uniforms(f, (k0, k1, high, low), kappa.dtype)
    narrow = f.let(kappa > 1e-6)
    inner = f.let(select(narrow, kappa, 1))
    tau = f.let(1 + Call("sqrt", 1 + 4 * inner * inner))
    rho = f.let(2 * inner / (tau + Call("sqrt", 2 * tau)))  # (tau - sqrt(2 tau)) / (2 kappa), which would cancel
    r = f.let((1 + rho * rho) / (2 * rho))
    out = f.local(kappa.dtype, 0, "out")
    with f.loop(_MOST) as attempt:
        z = f.let(Call("cos", math.pi * uniforms.at(attempt, 0)))
        w = f.let((1 + r * z) / (r + z))
        c, u = f.let(inner * (r - w)), uniforms.at(attempt, 1)
        out.set(w)
        f.stop((c * (2 - c) > u) | (Call("log", c / u) + 1 >= c))
    side = f.let(uniforms.at(0, 2))
    angle = Call("acos", minimum(Call("copysign", minimum(Call("fabs", out.value), 1), out.value), 1))
    return select(narrow, Call("copysign", angle, side - 0.5), math.pi * (2 * side - 1))


@elementwise(
    differential=lambda d, *inputs: (
        [None] * 4 + [grad_not_implemented(von_mises_draw, 4, inputs[4], "what is accepted depends on it")]
    )
)
def von_mises_draw(k0, k1, high, low, kappa):
    """An angle in [-pi, pi] around 0, concentrated by ``kappa`` >= 0.

    Source  Best and Fisher (1979), "Efficient simulation of the von Mises distribution".
    """
    return _von_mises(k0, k1, high, low, kappa)
