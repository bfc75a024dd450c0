"""Training steps: ``np.dot``, which numba takes to BLAS, and loops for the rest.  Parameters change in place."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.workloads.base import LEARNING_RATE


def kernels(real: type, jit: Callable[[Any], Any]) -> dict[str, Any]:
    return {**_logistic(real, jit), **_mlp(real, jit), **_lstm(real, jit)}


def _descend(real: type, jit: Callable[[Any], Any]) -> Any:
    rate = real(LEARNING_RATE)

    @jit
    def descend(w, slope):
        w, slope = w.ravel(), slope.ravel()
        for i in range(w.size):
            w[i] -= rate * slope[i]

    return descend


def _logistic(real: type, jit: Callable[[Any], Any]) -> dict[str, Any]:
    zero, one, rate = real(0), real(1), real(LEARNING_RATE)
    penalty = real(0.01)

    @jit
    def step(w, b, x, y):
        z = np.dot(x, w)
        n = real(x.shape[0])
        loss, slope, squares = zero, zero, zero
        for i in range(z.size):
            v = z[i] + b[()]
            small = math.exp(-abs(v))
            loss += max(v, zero) + math.log1p(small) - y[i] * v
            z[i] = ((one if v > zero else small) / (one + small) - y[i]) / n
            slope += z[i]
        gw = np.dot(z, x)
        for j in range(w.size):
            squares += w[j] * w[j]
            w[j] -= rate * (gw[j] + real(2) * penalty * w[j])
        b[()] -= rate * slope
        return loss / n + penalty * squares

    return {"logistic_regression_step": step}


def _mlp(real: type, jit: Callable[[Any], Any]) -> dict[str, Any]:
    zero, one = real(0), real(1)
    descend = _descend(real, jit)

    @jit
    def step(w1, b1, w2, b2, x, label):
        hidden = np.dot(x, w1)
        for i in range(hidden.shape[0]):
            for j in range(hidden.shape[1]):
                hidden[i, j] = math.tanh(hidden[i, j] + b1[j])
        error = np.dot(hidden, w2)
        n = real(x.shape[0])
        loss = zero
        gb2 = np.zeros_like(b2)
        for i in range(error.shape[0]):
            largest, total = real(-np.inf), zero
            for j in range(error.shape[1]):
                error[i, j] += b2[j]
                largest = max(largest, error[i, j])
            loss -= error[i, label[i]] - largest
            for j in range(error.shape[1]):
                error[i, j] = math.exp(error[i, j] - largest)
                total += error[i, j]
            loss += math.log(total)
            for j in range(error.shape[1]):
                error[i, j] = (error[i, j] / total - (one if j == label[i] else zero)) / n
                gb2[j] += error[i, j]
        inner = np.dot(error, w2.T)
        gb1 = np.zeros_like(b1)
        for i in range(inner.shape[0]):
            for j in range(inner.shape[1]):
                inner[i, j] *= one - hidden[i, j] * hidden[i, j]
                gb1[j] += inner[i, j]
        descend(w1, np.dot(x.T, inner))
        descend(w2, np.dot(hidden.T, error))
        descend(b1, gb1)
        descend(b2, gb2)
        return loss / n

    return {"mlp_step": step}


def _lstm(real: type, jit: Callable[[Any], Any]) -> dict[str, Any]:
    zero, one = real(0), real(1)
    descend = _descend(real, jit)

    @jit
    def step(wx, wh, b, x, target):
        steps, (n, k) = x.shape[0], target.shape
        gates = np.empty((steps, n, 4 * k), x.dtype)
        h, c = np.zeros((steps + 1, n, k), x.dtype), np.zeros((steps + 1, n, k), x.dtype)
        bent = np.empty((steps, n, k), x.dtype)
        for t in range(steps):
            z = np.dot(x[t], wx)
            if t:
                z += np.dot(h[t], wh)
            for i in range(n):
                for j in range(3 * k):
                    gates[t, i, j] = one / (one + math.exp(-(z[i, j] + b[j])))
                for j in range(k):
                    cell = math.tanh(z[i, 3 * k + j] + b[3 * k + j])
                    gates[t, i, 3 * k + j] = cell
                    c[t + 1, i, j] = gates[t, i, k + j] * c[t, i, j] + gates[t, i, j] * cell
                    bent[t, i, j] = math.tanh(c[t + 1, i, j])
                    h[t + 1, i, j] = gates[t, i, 2 * k + j] * bent[t, i, j]
        loss, gh, gc = zero, np.empty((n, k), x.dtype), np.zeros((n, k), x.dtype)
        for i in range(n):
            for j in range(k):
                off = h[steps, i, j] - target[i, j]
                loss += off * off
                gh[i, j] = real(2) * off / real(n * k)
        gwx, gwh, gb = np.zeros_like(wx), np.zeros_like(wh), np.zeros_like(b)
        gz = np.empty((n, 4 * k), x.dtype)
        for t in range(steps - 1, -1, -1):
            for i in range(n):
                for j in range(k):
                    gi, f, o, cell = gates[t, i, j], gates[t, i, k + j], gates[t, i, 2 * k + j], gates[t, i, 3 * k + j]
                    inner = gc[i, j] + gh[i, j] * o * (one - bent[t, i, j] * bent[t, i, j])
                    gz[i, j] = inner * cell * gi * (one - gi)
                    gz[i, k + j] = inner * c[t, i, j] * f * (one - f)
                    gz[i, 2 * k + j] = gh[i, j] * bent[t, i, j] * o * (one - o)
                    gz[i, 3 * k + j] = inner * gi * (one - cell * cell)
                    gc[i, j] = inner * f
                for j in range(4 * k):
                    gb[j] += gz[i, j]
            gwx += np.dot(x[t].T, gz)
            if t:
                gwh += np.dot(h[t].T, gz)
                gh = np.dot(gz, wh.T)
        descend(wx, gwx)
        descend(wh, gwh)
        descend(b, gb)
        return loss / real(n * k)

    return {"lstm_step": step}
