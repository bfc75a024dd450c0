"""Softmax, logsumexp, layer normalisation, sums and largest elements.

Along axis 0 loops run over rows and keep one number for each column, so that memory is read in order.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import prange


def kernels(real: type, jit: Callable[[Any], Any]) -> dict[str, Any]:
    return {**_by_row(real, jit), **_by_column(real, jit), **_layer_norm(real, jit), **_reductions(real, jit)}


def _by_row(real: type, jit: Callable[[Any], Any]) -> dict[str, Any]:
    zero, lowest = real(0), real(-np.inf)

    @jit
    def softmax(x):
        out = np.empty_like(x)
        for i in prange(x.shape[0]):
            largest, total = lowest, zero
            for j in range(x.shape[1]):
                largest = max(largest, x[i, j])
            for j in range(x.shape[1]):
                out[i, j] = math.exp(x[i, j] - largest)
                total += out[i, j]
            scale = real(1) / total
            for j in range(x.shape[1]):
                out[i, j] *= scale
        return out

    @jit
    def softmax_gradient(x, g):
        out = np.empty_like(x)
        for i in prange(x.shape[0]):
            largest, total, along = lowest, zero, zero
            for j in range(x.shape[1]):
                largest = max(largest, x[i, j])
            for j in range(x.shape[1]):
                out[i, j] = math.exp(x[i, j] - largest)
                total += out[i, j]
                along += out[i, j] * g[i, j]
            scale = real(1) / total
            along *= scale
            for j in range(x.shape[1]):
                out[i, j] = out[i, j] * scale * (g[i, j] - along)
        return out

    @jit
    def logsumexp(x):
        out = np.empty(x.shape[0], x.dtype)
        for i in prange(x.shape[0]):
            largest, total = lowest, zero
            for j in range(x.shape[1]):
                largest = max(largest, x[i, j])
            for j in range(x.shape[1]):
                total += math.exp(x[i, j] - largest)
            out[i] = math.log(total) + largest
        return out

    @jit
    def logsumexp_gradient(x, g):
        out = np.empty_like(x)
        for i in prange(x.shape[0]):
            largest, total = lowest, zero
            for j in range(x.shape[1]):
                largest = max(largest, x[i, j])
            for j in range(x.shape[1]):
                out[i, j] = math.exp(x[i, j] - largest)
                total += out[i, j]
            scale = g[i] / total
            for j in range(x.shape[1]):
                out[i, j] *= scale
        return out

    return {
        "softmax_axis1_forward": softmax,
        "softmax_axis1_gradient": softmax_gradient,
        "logsumexp_axis1_forward": logsumexp,
        "logsumexp_axis1_gradient": logsumexp_gradient,
    }


def _by_column(real: type, jit: Callable[[Any], Any]) -> dict[str, Any]:
    @jit
    def parts(x, out):
        """Exponentials less the largest element into ``out``; largest elements and sums of each column."""
        largest, total = np.full(x.shape[1], real(-np.inf)), np.zeros(x.shape[1], x.dtype)
        for i in range(x.shape[0]):
            for j in range(x.shape[1]):
                largest[j] = max(largest[j], x[i, j])
        for i in range(x.shape[0]):
            for j in range(x.shape[1]):
                out[i, j] = math.exp(x[i, j] - largest[j])
                total[j] += out[i, j]
        return largest, total

    @jit
    def softmax(x):
        out = np.empty_like(x)
        _, total = parts(x, out)
        for i in prange(x.shape[0]):
            for j in range(x.shape[1]):
                out[i, j] /= total[j]
        return out

    @jit
    def softmax_gradient(x, g):
        out, along = np.empty_like(x), np.zeros(x.shape[1], x.dtype)
        _, total = parts(x, out)
        for i in range(x.shape[0]):
            for j in range(x.shape[1]):
                out[i, j] /= total[j]
                along[j] += out[i, j] * g[i, j]
        for i in prange(x.shape[0]):
            for j in range(x.shape[1]):
                out[i, j] *= g[i, j] - along[j]
        return out

    @jit
    def logsumexp(x):
        largest, total = np.full(x.shape[1], real(-np.inf)), np.zeros(x.shape[1], x.dtype)
        for i in range(x.shape[0]):
            for j in range(x.shape[1]):
                largest[j] = max(largest[j], x[i, j])
        for i in range(x.shape[0]):
            for j in range(x.shape[1]):
                total[j] += math.exp(x[i, j] - largest[j])
        for j in range(x.shape[1]):
            total[j] = math.log(total[j]) + largest[j]
        return total

    @jit
    def logsumexp_gradient(x, g):
        out = np.empty_like(x)
        _, total = parts(x, out)
        for i in prange(x.shape[0]):
            for j in range(x.shape[1]):
                out[i, j] *= g[j] / total[j]
        return out

    return {
        "softmax_axis0_forward": softmax,
        "softmax_axis0_gradient": softmax_gradient,
        "logsumexp_axis0_forward": logsumexp,
        "logsumexp_axis0_gradient": logsumexp_gradient,
    }


def _layer_norm(real: type, jit: Callable[[Any], Any]) -> dict[str, Any]:
    zero, one, eps = real(0), real(1), real(1e-5)

    @jit
    def moments(row):
        total, squares = zero, zero
        for j in range(row.size):
            total += row[j]
        mean = total / real(row.size)
        for j in range(row.size):
            squares += (row[j] - mean) * (row[j] - mean)
        return mean, one / math.sqrt(squares / real(row.size) + eps)

    @jit
    def layer_norm(x, weight, bias):
        out = np.empty_like(x)
        for i in prange(x.shape[0]):
            mean, scale = moments(x[i])
            for j in range(x.shape[1]):
                out[i, j] = (x[i, j] - mean) * scale * weight[j] + bias[j]
        return out

    @jit
    def layer_norm_gradient(x, weight, bias, g):
        gx, gw, gb = np.empty_like(x), np.zeros_like(weight), np.zeros_like(bias)
        n = real(x.shape[1])
        for i in range(x.shape[0]):
            mean, scale = moments(x[i])
            plain, along = zero, zero
            for j in range(x.shape[1]):
                inner, normal = g[i, j] * weight[j], (x[i, j] - mean) * scale
                plain += inner
                along += inner * normal
                gw[j] += g[i, j] * normal
                gb[j] += g[i, j]
            plain /= n
            along /= n
            for j in range(x.shape[1]):
                gx[i, j] = scale * (g[i, j] * weight[j] - plain - (x[i, j] - mean) * scale * along)
        return gx, gw, gb

    return {"layer_norm_forward": layer_norm, "layer_norm_gradient": layer_norm_gradient}


def _reductions(real: type, jit: Callable[[Any], Any]) -> dict[str, Any]:
    zero, lowest, nan = real(0), real(-np.inf), real(np.nan)

    @jit
    def sum_all(x):
        total = zero
        for v in x.ravel():
            total += v
        return total

    @jit
    def sum_axis1(x):
        out = np.empty(x.shape[0], x.dtype)
        for i in prange(x.shape[0]):
            total = zero
            for j in range(x.shape[1]):
                total += x[i, j]
            out[i] = total
        return out

    @jit
    def sum_axis0(x):
        out = np.zeros(x.shape[1], x.dtype)
        for i in range(x.shape[0]):
            for j in range(x.shape[1]):
                out[j] += x[i, j]
        return out

    @jit
    def max_all(x):
        largest, bad = lowest, False
        for v in x.ravel():
            largest = max(largest, v)
            bad |= v != v
        return nan if bad else largest

    @jit
    def max_axis1(x):
        out = np.empty(x.shape[0], x.dtype)
        for i in prange(x.shape[0]):
            largest, bad = lowest, False
            for j in range(x.shape[1]):
                largest = max(largest, x[i, j])
                bad |= x[i, j] != x[i, j]
            out[i] = nan if bad else largest
        return out

    @jit
    def max_axis0(x):
        out = np.full(x.shape[1], lowest)
        for i in range(x.shape[0]):
            for j in range(x.shape[1]):
                v = x[i, j]
                out[j] = v if (v > out[j] or v != v) else out[j]
        return out

    return {
        "sum_all_forward": sum_all,
        "sum_axis0_forward": sum_axis0,
        "sum_axis1_forward": sum_axis1,
        "max_all_forward": max_all,
        "max_axis0_forward": max_axis0,
        "max_axis1_forward": max_axis1,
    }
