"""Log-densities with their gradients, in one pass over the data."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np


def kernels(real: type, jit: Callable[[Any], Any]) -> dict[str, Any]:
    return {**_hierarchical(real, jit), **_mixture(real, jit), **_process(real, jit)}


def _hierarchical(real: type, jit: Callable[[Any], Any]) -> dict[str, Any]:
    zero = real(0)

    @jit
    def value_and_gradient(top, intercept, slope, x, y, group):
        groups, n = intercept.size, y.size
        by_a, by_b, by_y = math.exp(-top[2]), math.exp(-top[3]), math.exp(-top[4])
        ga, gb = np.zeros_like(intercept), np.zeros_like(slope)
        r2 = zero
        for i in range(n):
            k = group[i]
            r = (y[i] - intercept[k] - slope[k] * x[i]) * by_y
            r2 += r * r
            ga[k] += r
            gb[k] += r * x[i]
        a1, a2, b1, b2 = zero, zero, zero, zero
        for k in range(groups):
            a, b = (intercept[k] - top[0]) * by_a, (slope[k] - top[1]) * by_b
            a1 += a
            a2 += a * a
            b1 += b
            b2 += b * b
            ga[k] = ga[k] * by_y - a * by_a
            gb[k] = gb[k] * by_y - b * by_b
        gtop = np.empty_like(top)
        gtop[0], gtop[1] = a1 * by_a - top[0], b1 * by_b - top[1]
        gtop[2], gtop[3], gtop[4] = a2 - groups - top[2], b2 - groups - top[3], r2 - n - top[4]
        squares = a2 + b2 + r2
        for v in top:
            squares += v * v
        logp = -real(0.5) * squares - groups * (top[2] + top[3]) - n * top[4]
        return logp, gtop, ga, gb

    return {"hierarchical_regression_value_and_gradient": value_and_gradient}


def _mixture(real: type, jit: Callable[[Any], Any]) -> dict[str, Any]:
    zero, half, one = real(0), real(0.5), real(1)

    @jit
    def value_and_gradient(score, mean, log_deviation, x):
        (k, d), n = mean.shape, x.shape[0]
        inverse = np.exp(-log_deviation)
        largest, total = real(-np.inf), zero
        for a in range(k):
            largest = max(largest, score[a])
        for a in range(k):
            total += math.exp(score[a] - largest)
        offset, weight = np.empty_like(score), np.empty_like(score)
        for a in range(k):
            weight[a] = math.exp(score[a] - largest) / total
            offset[a] = score[a] - largest - math.log(total)
            for j in range(d):
                offset[a] -= log_deviation[a, j]
        by_score, by_mean, by_deviation = np.zeros_like(score), np.zeros_like(mean), np.zeros_like(mean)
        z, share = np.empty_like(mean), np.empty_like(score)
        logp = zero
        for i in range(n):
            largest, total = real(-np.inf), zero
            for a in range(k):
                squares = zero
                for j in range(d):
                    z[a, j] = (x[i, j] - mean[a, j]) * inverse[a, j]
                    squares += z[a, j] * z[a, j]
                share[a] = offset[a] - half * squares
                largest = max(largest, share[a])
            for a in range(k):
                share[a] = math.exp(share[a] - largest)
                total += share[a]
            logp += largest + math.log(total)
            total = one / total
            for a in range(k):
                p = share[a] * total
                by_score[a] += p
                for j in range(d):
                    by_mean[a, j] += p * z[a, j]
                    by_deviation[a, j] += p * z[a, j] * z[a, j]
        for a in range(k):
            for j in range(d):
                by_mean[a, j] *= inverse[a, j]
                by_deviation[a, j] -= by_score[a]
            by_score[a] -= n * weight[a]
        return logp, by_score, by_mean, by_deviation

    return {"gaussian_mixture_value_and_gradient": value_and_gradient}


def _process(real: type, jit: Callable[[Any], Any]) -> dict[str, Any]:
    zero, half, two = real(0), real(0.5), real(2)

    @jit
    def value_and_gradient(theta, x, y):
        n, d = x.shape
        top, scale, noise = two * theta[0], math.exp(-two * theta[1]), math.exp(two * theta[2])
        smooth, distance = np.empty((n, n), x.dtype), np.empty((n, n), x.dtype)
        for i in range(n):
            for j in range(n):
                squares = zero
                for k in range(d):
                    squares += (x[i, k] - x[j, k]) * (x[i, k] - x[j, k])
                distance[i, j] = squares * scale
                smooth[i, j] = math.exp(top - half * distance[i, j])
        covariance = smooth.copy()
        for i in range(n):
            covariance[i, i] += noise
        factor = np.linalg.cholesky(covariance)
        inverse = np.linalg.inv(covariance)  # numba has neither triangular systems nor potri
        a = np.dot(inverse, y)
        logp, by_top, by_scale, by_noise = zero, zero, zero, zero
        for i in range(n):
            logp -= half * y[i] * a[i] + math.log(factor[i, i])
            by_noise += half * (a[i] * a[i] - inverse[i, i])
            for j in range(n):
                weighted = half * (a[i] * a[j] - inverse[i, j]) * smooth[i, j]
                by_top += weighted
                by_scale += weighted * distance[i, j]
        return logp, np.array([two * by_top, by_scale, two * noise * by_noise])

    return {"gaussian_process_value_and_gradient": value_and_gradient}
