"""Gamma draws, and what is made of them: beta, chi-square, F, Student's t, Dirichlet, and inverse Gaussian draws.

Arguments, ``size`` and dtypes are as in distributions.py.  Derivatives by the parameters are implicit ones: those of a
draw that stays at the same share of its distribution.
"""

from __future__ import annotations

from typing import Any

import core.tensor as ct
from core.errors import ShapeError
from core.tensor import TensorVariable
from core.tensor.shape import as_lengths, shape_of
from plugin_ops_random.distributions import parameters_of, shape_of_draw, standard_normal
from plugin_ops_random.distributions import random as uniform_share
from plugin_ops_random.keys import place, split
from plugin_ops_random.rejection import log_gamma_draw, von_mises_draw

__all__ = [
    "beta",
    "chisquare",
    "dirichlet",
    "f",
    "gamma",
    "inverse_gamma",
    "log_gamma",
    "standard_gamma",
    "standard_t",
    "vonmises",
    "wald",
]


def log_gamma(key: Any, shape: Any, size: Any = None, dtype: Any = "float64") -> TensorVariable:
    """The logarithm of a gamma draw, finite where that is too small for a float, as for small shapes it often is."""
    dtype, (shape,) = parameters_of(dtype, "log_gamma", shape)
    return log_gamma_draw(*place(key, shape_of_draw(size, shape)), shape)


def standard_gamma(key: Any, shape: Any, size: Any = None, dtype: Any = "float64") -> TensorVariable:
    """Density x**(shape - 1) exp(-x) / gamma(shape), x > 0."""
    return ct.exp(log_gamma(key, shape, size, dtype))


def gamma(key: Any, shape: Any, scale: Any = 1.0, size: Any = None, dtype: Any = "float64") -> TensorVariable:
    """``scale`` times a standard gamma draw: mean shape * scale."""
    dtype, (shape, scale) = parameters_of(dtype, "gamma", shape, scale)
    return scale * standard_gamma(key, shape, shape_of_draw(size, shape, scale), dtype)


def inverse_gamma(key: Any, shape: Any, scale: Any = 1.0, size: Any = None, dtype: Any = "float64") -> TensorVariable:
    """``scale`` over a standard gamma draw."""
    dtype, (shape, scale) = parameters_of(dtype, "inverse_gamma", shape, scale)
    return scale * ct.exp(-log_gamma(key, shape, shape_of_draw(size, shape, scale), dtype))


def beta(key: Any, a: Any, b: Any, size: Any = None, dtype: Any = "float64") -> TensorVariable:
    """Density x**(a - 1) (1 - x)**(b - 1) / beta(a, b) in [0, 1]: of two gamma draws, the share of the first."""
    dtype, (a, b) = parameters_of(dtype, "beta", a, b)
    size, keys = shape_of_draw(size, a, b), split(key)
    return ct.sigmoid(log_gamma(keys[0], a, size, dtype) - log_gamma(keys[1], b, size, dtype))


def dirichlet(key: Any, alpha: Any, size: Any = None, dtype: Any = "float64") -> TensorVariable:
    """Shares, which add up to 1 along the last axis; shape (*size, k) for ``alpha`` of shape (..., k).

    size    by default, alpha.shape[:-1]
    Errors  ShapeError for ``alpha`` without axes.
    """
    dtype, (alpha,) = parameters_of(dtype, "dirichlet", alpha)
    if alpha.ndim == 0:
        raise ShapeError(f"dirichlet needs concentrations along an axis, got {alpha} of ndim=0", blame=alpha)
    lengths = shape_of(alpha)
    whole = [*(lengths[:-1] if size is None else as_lengths(size)), lengths[-1]]
    return ct.softmax(log_gamma(key, alpha, whole, dtype), axis=-1)


def chisquare(key: Any, df: Any, size: Any = None, dtype: Any = "float64") -> TensorVariable:
    """The sum of the squares of ``df`` standard normal draws, if that is whole; any df > 0."""
    dtype, (df,) = parameters_of(dtype, "chisquare", df)
    return 2 * standard_gamma(key, 0.5 * df, size, dtype)


def f(key: Any, dfnum: Any, dfden: Any, size: Any = None, dtype: Any = "float64") -> TensorVariable:
    """The ratio of two chi-square draws, each divided by its degrees of freedom."""
    dtype, (dfnum, dfden) = parameters_of(dtype, "f", dfnum, dfden)
    size, keys = shape_of_draw(size, dfnum, dfden), split(key)
    above, below = log_gamma(keys[0], 0.5 * dfnum, size, dtype), log_gamma(keys[1], 0.5 * dfden, size, dtype)
    return ct.exp(above - below) * (dfden / dfnum)


def standard_t(key: Any, df: Any, size: Any = None, dtype: Any = "float64") -> TensorVariable:
    """Student's t with ``df`` degrees of freedom: a normal draw over the root of a mean of ``df`` squares."""
    dtype, (df,) = parameters_of(dtype, "standard_t", df)
    size, keys = shape_of_draw(size, df), split(key)
    return (
        standard_normal(keys[0], size, dtype)
        * ct.sqrt(0.5 * df)
        * ct.exp(-0.5 * log_gamma(keys[1], 0.5 * df, size, dtype))
    )


def student_t(
    key: Any, df: Any, loc: Any = 0.0, scale: Any = 1.0, size: Any = None, dtype: Any = "float64"
) -> TensorVariable:
    """Student's t with ``df`` degrees of freedom, moved to ``loc`` and stretched by ``scale``; see standard_t."""
    dtype, (df, loc, scale) = parameters_of(dtype, "student_t", df, loc, scale)
    return loc + scale * standard_t(key, df, shape_of_draw(size, df, loc, scale), dtype)


def wald(key: Any, mean: Any, scale: Any, size: Any = None, dtype: Any = "float64") -> TensorVariable:
    """Inverse Gaussian: when a Brownian motion of drift 1 / mean first reaches a level.

    Source  Michael, Schucany and Haas (1976), "Generating random variates using transformations with multiple roots".
    """
    dtype, (mean, scale) = parameters_of(dtype, "wald", mean, scale)
    size, keys = shape_of_draw(size, mean, scale), split(key)
    ratio = 0.5 * mean / scale * ct.square(standard_normal(keys[0], size, dtype))
    small = mean / (1 + ratio + ct.sqrt(ratio * (2 + ratio)))  # the lesser root, without cancellation
    return ct.where(uniform_share(keys[1], size, dtype) * (mean + small) <= mean, small, mean * mean / small)


def vonmises(key: Any, mu: Any, kappa: Any, size: Any = None, dtype: Any = "float64") -> TensorVariable:
    """Angles in [-pi, pi], around ``mu``: density exp(kappa cos(x - mu)) up to a factor; no slope by ``kappa``."""
    dtype, (mu, kappa) = parameters_of(dtype, "vonmises", mu, kappa)
    angle = mu + von_mises_draw(*place(key, shape_of_draw(size, mu, kappa)), kappa)
    return ct.mod(angle + 3.141592653589793, 6.283185307179586) - 3.141592653589793
