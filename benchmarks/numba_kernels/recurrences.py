"""Loops in which each step needs the one before, forwards and then backwards."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np


def kernels(real: type, jit: Callable[[Any], Any]) -> dict[str, Any]:
    return {**_garch(real, jit), **_rnn(real, jit)}


def _garch(real: type, jit: Callable[[Any], Any]) -> dict[str, Any]:
    zero, one = real(0), real(1)

    @jit
    def value_and_gradient(theta, x):
        n = x.size
        s = np.empty(n + 1, x.dtype)
        squares = zero
        for i in range(n):
            squares += x[i] * x[i]
        last = squares / real(n)
        s[0] = last
        value = zero
        for i in range(n):
            last = theta[0] + theta[1] * x[i] * x[i] + theta[2] * last
            s[i + 1] = last
            value += math.log(last) + x[i] * x[i] / last
        a = g0 = g1 = g2 = zero
        for j in range(n):
            i = n - 1 - j
            inverse = one / s[i + 1]
            a = a * theta[2] + inverse * (one - x[i] * x[i] * inverse)
            g0 += a
            g1 += a * x[i] * x[i]
            g2 += a * s[i]
        return value, np.array([g0, g1, g2])

    return {"garch_value_and_gradient": value_and_gradient}


def _rnn(real: type, jit: Callable[[Any], Any]) -> dict[str, Any]:
    one, two, rate = real(1), real(2), real(1e-3)

    @jit
    def step(wx, wh, x, target):
        steps, m, k = x.shape
        h = np.empty((steps + 1, m, k), x.dtype)
        gz = np.empty((steps, m, k), x.dtype)
        h[0] = target
        z = np.dot(x.reshape(steps * m, k), wx).reshape(steps, m, k)
        for t in range(steps):
            h[t + 1] = np.tanh(z[t] + np.dot(h[t], wh))
        off = h[steps] - target
        loss = (off * off).mean()
        g = off * (two / real(m * k))
        turned = np.ascontiguousarray(wh.T)
        for t in range(steps - 1, -1, -1):
            gz[t] = g * (one - h[t + 1] * h[t + 1])
            g = np.dot(gz[t], turned)
        tall = gz.reshape(steps * m, k)
        wx -= rate * np.dot(x.reshape(steps * m, k).T, tall)
        wh -= rate * np.dot(h[:steps].reshape(steps * m, k).T, tall)
        return loss

    return {"rnn_step": step}
