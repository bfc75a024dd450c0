"""Statistical models: log-density and its gradient, as samplers ask for them thousands of times."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.workloads.base import VALUE_AND_GRADIENT, Case, Family, NumPyFunctions


def _hierarchical_inputs(rng: np.random.Generator, n: int, groups: int) -> list[np.ndarray]:
    """Means and log-deviations (5,), intercepts and slopes (groups,); then x, y (n,) and the group of each."""
    group = rng.integers(0, groups, n)
    intercept, slope, x = rng.standard_normal(groups), rng.standard_normal(groups), rng.standard_normal(n)
    return [
        np.array([0.3, -0.2, 0.1, -0.1, 0.2]),
        intercept,
        slope,
        x,
        intercept[group] + slope[group] * x + 0.5 * rng.standard_normal(n),
        group,
    ]


def _hierarchical(m: Any, top: Any, intercept: Any, slope: Any, x: Any, y: Any, group: Any) -> Any:
    """y ~ N(a[group] + b[group] x, s); a ~ N(top 0, e^top 2); b ~ N(top 1, e^top 3); s = e^top 4; top ~ N(0, 1)."""
    a = (intercept - top[0]) * m.exp(-top[2])
    b = (slope - top[1]) * m.exp(-top[3])
    residual = (y - intercept[group] - slope[group] * x) * m.exp(-top[4])
    squares = m.sum(top * top) + m.sum(a * a) + m.sum(b * b) + m.sum(residual * residual)
    return -0.5 * squares - intercept.shape[0] * (top[2] + top[3]) - y.shape[0] * top[4]


def _hierarchical_gradient(
    top: np.ndarray, intercept: np.ndarray, slope: np.ndarray, x: np.ndarray, y: np.ndarray, group: np.ndarray
) -> list[Any]:
    groups, by_a, by_b, by_y = len(intercept), np.exp(-top[2]), np.exp(-top[3]), np.exp(-top[4])
    a, b = (intercept - top[0]) * by_a, (slope - top[1]) * by_b
    residual = (y - intercept[group] - slope[group] * x) * by_y
    a2, b2, r2 = a @ a, b @ b, residual @ residual
    logp = -0.5 * (top @ top + a2 + b2 + r2) - groups * (top[2] + top[3]) - len(y) * top[4]
    ga = -a * by_a + np.bincount(group, residual, groups).astype(a.dtype) * by_y
    gb = -b * by_b + np.bincount(group, residual * x, groups).astype(b.dtype) * by_y
    by_top = np.array([a.sum() * by_a, b.sum() * by_b, a2 - groups, b2 - groups, r2 - len(y)], top.dtype)
    return [logp, by_top - top, ga, gb]


def _mixture_inputs(rng: np.random.Generator, n: int, k: int, d: int) -> list[np.ndarray]:
    """Scores of the weights (k,), means and log-deviations (k, d); points (n, d)."""
    means = 2 * rng.standard_normal((k, d))
    return [
        0.5 * rng.standard_normal(k),
        means + 0.1 * rng.standard_normal((k, d)),
        0.2 * rng.standard_normal((k, d)),
        means[rng.integers(0, k, n)] + rng.standard_normal((n, d)),
    ]


def _mixture(m: Any, score: Any, mean: Any, log_deviation: Any, x: Any) -> Any:
    """The log-density of all points, without its constant, under a mixture of Gaussians with diagonal covariances."""
    z = (x[:, None, :] - mean[None, :, :]) * m.exp(-log_deviation)[None, :, :]
    each = -0.5 * m.sum(z * z, axis=2) + (m.log_softmax(score) - m.sum(log_deviation, axis=1))[None, :]
    return m.sum(m.logsumexp(each, 1))


def _mixture_gradient(score: np.ndarray, mean: np.ndarray, log_deviation: np.ndarray, x: np.ndarray) -> list[Any]:
    inverse = np.exp(-log_deviation)
    z = (x[:, None, :] - mean[None, :, :]) * inverse[None, :, :]
    each = -0.5 * (z * z).sum(2) + (NumPyFunctions.log_softmax(score) - log_deviation.sum(1))[None, :]
    logp = NumPyFunctions.logsumexp(each, 1).sum()
    share = NumPyFunctions.softmax(each, 1)
    count = share.sum(0)
    by_mean = np.einsum("nk,nkd->kd", share, z) * inverse
    by_deviation = np.einsum("nk,nkd,nkd->kd", share, z, z) - count[:, None]
    return [logp, count - len(x) * NumPyFunctions.softmax(score, 0), by_mean, by_deviation]


def _process_inputs(rng: np.random.Generator, n: int, d: int) -> list[np.ndarray]:
    """Logarithms of amplitude, length scale and noise (3,); points (n, d) and what was observed there (n,)."""
    x = rng.uniform(-2, 2, (n, d))
    return [np.array([0.2, 0.1, -1.0]), x, np.sin(x.sum(1)) + 0.3 * rng.standard_normal(n)]


def _process(m: Any, theta: Any, x: Any, y: Any) -> Any:
    """The log-density of a Gaussian process with a squared-exponential kernel, without its constant."""
    scaled = x * m.exp(-theta[1])
    squares = m.sum(scaled * scaled, axis=1)
    distance = squares[:, None] + squares[None, :] - 2 * m.dot(scaled, scaled.T)
    covariance = m.exp(2 * theta[0] - 0.5 * distance) + m.exp(2 * theta[2]) * m.eye_like(distance)
    factor = m.cholesky(covariance)
    return -0.5 * m.dot(y, m.cholesky_solve(factor, y)) - m.sum(m.log(m.diagonal(factor)))


def _process_gradient(theta: np.ndarray, x: np.ndarray, y: np.ndarray) -> list[Any]:
    """By the inverse: the derivative by the covariance is (a a^T - inverse) / 2, where a = inverse y."""
    from scipy.linalg import lapack

    scaled = x * np.exp(-theta[1])
    squares = (scaled * scaled).sum(1)
    distance = squares[:, None] + squares[None, :] - 2 * (scaled @ scaled.T)
    smooth, noise = np.exp(2 * theta[0] - 0.5 * distance), np.exp(2 * theta[2])
    factor, _ = lapack.dpotrf(smooth + noise * np.eye(len(y)), lower=1, clean=1)
    inverse, _ = lapack.dpotri(factor, lower=1)
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    a = inverse @ y
    logp = -0.5 * (y @ a) - np.log(np.diagonal(factor)).sum()
    by_covariance = 0.5 * (np.outer(a, a) - inverse)
    weighted = by_covariance * smooth
    return [
        logp,
        np.array([2 * weighted.sum(), (weighted * distance).sum(), 2 * noise * np.trace(by_covariance)]),
    ]


HIERARCHICAL = Family(
    "hierarchical_regression",
    _hierarchical_inputs,
    _hierarchical,
    "logp",
    _hierarchical_gradient,
    wrt=(0, 1, 2),
    tiny=(9, 3),
)
MIXTURE = Family(
    "gaussian_mixture", _mixture_inputs, _mixture, "logp", _mixture_gradient, wrt=(0, 1, 2), tiny=(6, 3, 2)
)
PROCESS = Family("gaussian_process", _process_inputs, _process, "logp", _process_gradient, wrt=(0,), tiny=(7, 2))

CASES = [
    Case(HIERARCHICAL, VALUE_AND_GRADIENT, "float64", (100, 8)),
    Case(HIERARCHICAL, VALUE_AND_GRADIENT, "float64", (919, 85), quick=True),
    Case(HIERARCHICAL, VALUE_AND_GRADIENT, "float64", (10**5, 1000)),
    Case(MIXTURE, VALUE_AND_GRADIENT, "float64", (1000, 5, 2)),
    Case(MIXTURE, VALUE_AND_GRADIENT, "float64", (20000, 8, 4), quick=True),
    Case(MIXTURE, VALUE_AND_GRADIENT, "float32", (20000, 8, 4)),
    Case(PROCESS, VALUE_AND_GRADIENT, "float64", (50, 3)),
    Case(PROCESS, VALUE_AND_GRADIENT, "float64", (100, 3)),
    Case(PROCESS, VALUE_AND_GRADIENT, "float64", (500, 3), quick=True),
    Case(PROCESS, VALUE_AND_GRADIENT, "float64", (2000, 3)),
]
