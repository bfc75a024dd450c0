"""Distributions: a key, then the parameters of NumPy's ``Generator``, and ``size``.

All are formulas of uniform bits, so they fuse, run on every backend, and have derivatives with respect to continuous
parameters: those of the formula at the same bits (reparametrisation).  ``size`` is an int or a tuple of ints and
symbolic integers; left out, it is the shape that the parameters broadcast to.  Floats are float64, or ``dtype``,
float32 or float64.  What a formula gives for parameters that make no sense (a negative scale) is not checked.
"""

from __future__ import annotations

from typing import Any

import core.tensor as ct
from core import dtypes
from core.errors import ArgumentError, DTypeError, ShapeError
from core.tensor import TensorVariable, as_tensor
from core.tensor.broadcast import broadcast_shape
from core.tensor.shape import as_lengths, shape_of, static_length
from core.tensor.specials.normal import ndtri
from plugin_ops_random.keys import bits

__all__ = [
    "bernoulli",
    "categorical",
    "cauchy",
    "choice",
    "exponential",
    "geometric",
    "gumbel",
    "halfnormal",
    "integers",
    "laplace",
    "logistic",
    "lognormal",
    "multivariate_normal",
    "normal",
    "pareto",
    "permutation",
    "power",
    "random",
    "rayleigh",
    "standard_cauchy",
    "standard_exponential",
    "standard_normal",
    "triangular",
    "truncated_normal",
    "uniform",
    "weibull",
]

_DIGITS = {"float32": ("uint32", 32, 24), "float64": ("uint64", 64, 53)}


# --- where all begin -------------------------------------------------------------------------------------------------


def random(key: Any, size: Any = None, dtype: Any = "float64") -> TensorVariable:
    """Uniform in [0, 1): multiples of 2**-53, or of 2**-24 in float32."""
    dtype, size = _float(dtype, "random"), shape_of_draw(size)
    integers, width, digits = _DIGITS[dtype]
    return (bits(key, size, integers) >> (width - digits)).astype(dtype) * 2.0**-digits


def _inside(key: Any, size: Any, dtype: str) -> TensorVariable:
    """Uniform in (0, 1), both ends left out: odd multiples of 2**-53, or of 2**-24 in float32."""
    integers, width, digits = _DIGITS[dtype]
    return ((bits(key, size, integers) >> (width - digits + 1)).astype(dtype) + 0.5) * 2.0 ** (1 - digits)


def _float(dtype: Any, who: str) -> str:
    dtype = dtypes.canonical(dtype)
    if dtype not in _DIGITS:
        raise DTypeError(f"{who} needs dtype float32 or float64, got {dtype}")
    return dtype


def shape_of_draw(size: Any, *parameters: TensorVariable) -> list:
    """The lengths of a draw.  Errors: ShapeError where parameters do not broadcast to ``size``."""
    wanted = broadcast_shape(*map(shape_of, parameters)) if parameters else []
    if size is None:
        return wanted
    size = as_lengths(size)
    if len(wanted) > len(size):
        raise ShapeError(f"size has {len(size)} axes, but the parameters broadcast to {len(wanted)}")
    broadcast_shape(size, wanted)
    return size


def parameters_of(dtype: Any, who: str, *parameters: Any) -> tuple[str, list[TensorVariable]]:
    dtype = _float(dtype, who)
    return dtype, [as_tensor(p).astype(dtype) for p in parameters]


# --- continuous ------------------------------------------------------------------------------------------------------


def uniform(key: Any, low: Any = 0.0, high: Any = 1.0, size: Any = None, dtype: Any = "float64") -> TensorVariable:
    """Uniform in [low, high); ``high`` itself may come out where rounding leads there."""
    dtype, (low, high) = parameters_of(dtype, "uniform", low, high)
    return low + (high - low) * random(key, shape_of_draw(size, low, high), dtype)


def standard_normal(key: Any, size: Any = None, dtype: Any = "float64") -> TensorVariable:
    """Normal with mean 0 and standard deviation 1, by the inverse of its distribution function."""
    dtype = _float(dtype, "standard_normal")
    return ndtri(_inside(key, shape_of_draw(size), dtype))


def normal(key: Any, loc: Any = 0.0, scale: Any = 1.0, size: Any = None, dtype: Any = "float64") -> TensorVariable:
    """Normal with mean ``loc`` and standard deviation ``scale``."""
    dtype, (loc, scale) = parameters_of(dtype, "normal", loc, scale)
    return loc + scale * standard_normal(key, shape_of_draw(size, loc, scale), dtype)


def lognormal(key: Any, mean: Any = 0.0, sigma: Any = 1.0, size: Any = None, dtype: Any = "float64") -> TensorVariable:
    """The exponential of a normal draw."""
    return ct.exp(normal(key, mean, sigma, size, dtype))


def standard_exponential(key: Any, size: Any = None, dtype: Any = "float64") -> TensorVariable:
    """Exponential with mean 1."""
    dtype = _float(dtype, "standard_exponential")
    return -ct.log1p(-random(key, size, dtype))


def exponential(key: Any, scale: Any = 1.0, size: Any = None, dtype: Any = "float64") -> TensorVariable:
    """Exponential with mean ``scale``."""
    dtype, (scale,) = parameters_of(dtype, "exponential", scale)
    return scale * standard_exponential(key, shape_of_draw(size, scale), dtype)


def laplace(key: Any, loc: Any = 0.0, scale: Any = 1.0, size: Any = None, dtype: Any = "float64") -> TensorVariable:
    """Density exp(-abs(x - loc) / scale) / (2 scale)."""
    dtype, (loc, scale) = parameters_of(dtype, "laplace", loc, scale)
    u = _inside(key, shape_of_draw(size, loc, scale), dtype)
    return loc + scale * ct.where(u < 0.5, ct.log(2 * u), -ct.log(2 * (1 - u)))


def logistic(key: Any, loc: Any = 0.0, scale: Any = 1.0, size: Any = None, dtype: Any = "float64") -> TensorVariable:
    """Distribution function 1 / (1 + exp(-(x - loc) / scale))."""
    dtype, (loc, scale) = parameters_of(dtype, "logistic", loc, scale)
    u = _inside(key, shape_of_draw(size, loc, scale), dtype)
    return loc + scale * (ct.log(u) - ct.log1p(-u))


def gumbel(key: Any, loc: Any = 0.0, scale: Any = 1.0, size: Any = None, dtype: Any = "float64") -> TensorVariable:
    """Distribution function exp(-exp(-(x - loc) / scale))."""
    dtype, (loc, scale) = parameters_of(dtype, "gumbel", loc, scale)
    return loc - scale * ct.log(-ct.log(_inside(key, shape_of_draw(size, loc, scale), dtype)))


def rayleigh(key: Any, scale: Any = 1.0, size: Any = None, dtype: Any = "float64") -> TensorVariable:
    """The length of a vector of two normal draws of standard deviation ``scale``."""
    dtype, (scale,) = parameters_of(dtype, "rayleigh", scale)
    return scale * ct.sqrt(2 * standard_exponential(key, shape_of_draw(size, scale), dtype))


def weibull(key: Any, a: Any, size: Any = None, dtype: Any = "float64") -> TensorVariable:
    """Distribution function 1 - exp(-x**a), x >= 0."""
    dtype, (a,) = parameters_of(dtype, "weibull", a)
    return standard_exponential(key, shape_of_draw(size, a), dtype) ** (1 / a)


def pareto(key: Any, a: Any, size: Any = None, dtype: Any = "float64") -> TensorVariable:
    """Pareto II, or Lomax: distribution function 1 - (1 + x)**-a, x >= 0."""
    dtype, (a,) = parameters_of(dtype, "pareto", a)
    return ct.expm1(standard_exponential(key, shape_of_draw(size, a), dtype) / a)


def power(key: Any, a: Any, size: Any = None, dtype: Any = "float64") -> TensorVariable:
    """Density a x**(a - 1) in (0, 1)."""
    dtype, (a,) = parameters_of(dtype, "power", a)
    return _inside(key, shape_of_draw(size, a), dtype) ** (1 / a)


def standard_cauchy(key: Any, size: Any = None, dtype: Any = "float64") -> TensorVariable:
    """Density 1 / (pi (1 + x**2))."""
    dtype = _float(dtype, "standard_cauchy")
    return ct.tan(3.141592653589793 * (_inside(key, shape_of_draw(size), dtype) - 0.5))


def triangular(key: Any, left: Any, mode: Any, right: Any, size: Any = None, dtype: Any = "float64") -> TensorVariable:
    """Density that rises in a line from ``left`` to ``mode`` and falls to ``right``."""
    dtype, (left, mode, right) = parameters_of(dtype, "triangular", left, mode, right)
    u = random(key, shape_of_draw(size, left, mode, right), dtype)
    width, rise = right - left, mode - left
    up = left + ct.sqrt(u * width * rise)
    return ct.where(u * width < rise, up, right - ct.sqrt((1 - u) * width * (right - mode)))


def cauchy(key: Any, loc: Any = 0.0, scale: Any = 1.0, size: Any = None, dtype: Any = "float64") -> TensorVariable:
    """Density 1 / (pi scale (1 + ((x - loc) / scale)**2))."""
    dtype, (loc, scale) = parameters_of(dtype, "cauchy", loc, scale)
    return loc + scale * standard_cauchy(key, shape_of_draw(size, loc, scale), dtype)


def halfnormal(key: Any, scale: Any = 1.0, size: Any = None, dtype: Any = "float64") -> TensorVariable:
    """The absolute value of a normal draw with mean 0 and standard deviation ``scale``."""
    dtype, (scale,) = parameters_of(dtype, "halfnormal", scale)
    return scale * ct.abs(standard_normal(key, shape_of_draw(size, scale), dtype))


def truncated_normal(key: Any, lower: Any, upper: Any, size: Any = None, dtype: Any = "float64") -> TensorVariable:
    """Standard normal draws between ``lower`` and ``upper``, by the inverse of their distribution function.

    An interval above 0 is drawn mirrored, below 0, where the distribution function keeps its digits.
    """
    dtype, (lower, upper) = parameters_of(dtype, "truncated_normal", lower, upper)
    mirrored = lower > 0
    a, b = ct.where(mirrored, -upper, lower), ct.where(mirrored, -lower, upper)
    below, above = ct.ndtr(a), ct.ndtr(b)
    drawn = ndtri(below + (above - below) * _inside(key, shape_of_draw(size, lower, upper), dtype))
    inside = ct.clip(drawn, a, b)
    return ct.where(mirrored, -inside, inside)


# --- discrete --------------------------------------------------------------------------------------------------------


def bernoulli(key: Any, p: Any = 0.5, size: Any = None) -> TensorVariable:
    """True with probability ``p``; bool."""
    p = as_tensor(p).astype("float64")
    return random(key, shape_of_draw(size, p)) < p


def geometric(key: Any, p: Any, size: Any = None) -> TensorVariable:
    """How many trials it takes until one of probability ``p`` succeeds, 1 at least; int64."""
    p = as_tensor(p).astype("float64")
    trials = ct.ceil(ct.log(_inside(key, shape_of_draw(size, p), "float64")) / ct.log1p(-p))
    return ct.maximum(trials, 1).astype("int64")


def integers(
    key: Any, low: Any, high: Any = None, size: Any = None, dtype: Any = "int64", endpoint: bool = False
) -> TensorVariable:
    """Integers from ``low`` up to ``high``, left out unless ``endpoint``; without ``high``, from 0 up to ``low``.

    ``(high - low)`` times 64 bits, of which the upper ones are taken: probabilities are off by (high - low) / 2**64 at
    most, of themselves.
    Errors  DTypeError for what is no integer.
    Source  Lemire (2019), "Fast random integer generation in an interval", without its rejection.
    """
    low, high = (0, low) if high is None else (low, high)
    low, high = as_tensor(low), as_tensor(high)
    for bound in (low, high):
        if bound.dtype not in dtypes.INTEGERS:
            raise DTypeError(f"integers needs integers as bounds, got {bound} of dtype {bound.dtype}", blame=bound)
    low, high = low.astype("int64"), high.astype("int64")
    count = (high - low + (1 if endpoint else 0)).astype("uint64")
    drawn = _high_word(bits(key, shape_of_draw(size, low, high)), count)
    return (low + drawn.astype("int64")).astype(dtype)


def _high_word(a: TensorVariable, b: TensorVariable) -> TensorVariable:
    """The upper 64 of the 128 bits of ``a * b``."""
    a1, a0, b1, b0 = a >> 32, a & 0xFFFFFFFF, b >> 32, b & 0xFFFFFFFF
    across = a1 * b0 + (a0 * b0 >> 32)
    return a1 * b1 + (across >> 32) + ((across & 0xFFFFFFFF) + a0 * b1 >> 32)


def categorical(key: Any, p: Any, size: Any = None) -> TensorVariable:
    """An index of the last axis of ``p``, probabilities up to a factor, each as likely as they say; int64.

    size  by default, p.shape[:-1]
    """
    p = as_tensor(p).astype("float64")
    if p.ndim == 0:
        raise ShapeError(f"categorical needs probabilities along an axis, got {p} of ndim=0", blame=p)
    below = ct.cumsum(p, axis=-1)
    size = shape_of(p)[:-1] if size is None else as_lengths(size)
    u = random(key, size) * below[..., -1]
    return ct.minimum((below <= ct.expand_dims(u, -1)).sum(axis=-1), p.shape[-1] - 1)


def permutation(key: Any, x: Any) -> TensorVariable:
    """``x`` in another order along its first axis, each equally likely; ``arange(x)`` so for an integer ``x``."""
    x = as_tensor(x)
    if x.ndim == 0:
        if x.dtype not in dtypes.INTEGERS:
            raise DTypeError(f"permutation needs an integer or a tensor, got {x} of dtype {x.dtype}", blame=x)
        return ct.argsort(bits(key, (x,)))
    return x[ct.argsort(bits(key, (x.shape[0],)))]


def choice(key: Any, a: Any, size: Any = (), replace: bool = True, p: Any = None) -> TensorVariable:
    """Elements of ``a`` along its first axis, or of ``arange(a)`` for an integer.

    p  how likely each is, up to a factor; without, all alike.  With ``replace=False`` none comes twice: then ``size``
       must not be more than there are, and ``p`` decides which come first (Efraimidis and Spirakis, 2006).
    Errors  ShapeError for ``p`` that is no vector, and for more elements without replacement than there are: when the
            function runs, where their number is not known before.
    """
    a = as_tensor(a)
    pool = ct.arange(a) if a.ndim == 0 else a
    n = pool.shape[0]
    p = None if p is None else as_tensor(p)
    if p is not None and p.ndim != 1:
        raise ShapeError(f"choice needs a vector as p, got {p} of ndim={p.ndim}", blame=p)
    size = as_lengths(size)
    if replace:
        return pool[integers(key, n, size=size) if p is None else categorical(key, p, size)]
    if len(size) > 1:
        raise ArgumentError(f"choice without replacement needs an int as size, got {len(size)} axes")
    first = ct.argsort(bits(key, (n,)) if p is None else standard_exponential(key, (n,)) / p)
    if not size:
        return pool[first[0]]
    there, wanted = static_length(n), static_length(size[0])
    if there is not None and wanted is not None and wanted > there:
        raise ShapeError(f"choice without replacement needs a size <= {there}, since there are no more, got {wanted}")
    return pool[ct.specify_shape(first[: size[0]], (size[0],))]


def multivariate_normal(key: Any, mean: Any, factor: Any, size: Any = ()) -> TensorVariable:
    """Normal vectors with mean ``mean`` (n,) and covariance ``factor @ factor.T``; shape (*size, n), float64.

    factor  (n, m), such as the Cholesky factor of the covariance.
    """
    mean, factor = as_tensor(mean), as_tensor(factor)
    if (mean.ndim, factor.ndim) != (1, 2):
        raise ShapeError(f"multivariate_normal needs a vector and a matrix, got ndim={mean.ndim} and {factor.ndim}")
    return mean + standard_normal(key, (*as_lengths(size), factor.shape[1])) @ factor.T
