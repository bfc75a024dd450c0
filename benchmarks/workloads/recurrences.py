"""Loops in which each step needs the one before: a recurrence of scalars (Bollerslev, 1986), a recurrent network.

Written with ``m.scan(step, rows, start)``: the states that ``step(state, row)`` makes, stacked.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.workloads.base import STEP, VALUE_AND_GRADIENT, Case, Family


def _garch_inputs(rng: np.random.Generator, n: int) -> list[np.ndarray]:
    """Coefficients, and returns (n)."""
    return [np.array([0.1, 0.1, 0.8]), rng.standard_normal(n)]


def _garch(m: Any, theta: Any, x: Any) -> Any:
    """Minus twice the log density of returns whose variance follows from the day before."""
    s = m.scan(lambda s, r: theta[0] + theta[1] * r * r + theta[2] * s, x, m.mean(x * x))
    return m.sum(m.log(s) + x * x / s)


def _garch_gradient(theta: np.ndarray, x: np.ndarray) -> list[Any]:
    """Backwards through time."""
    s = np.empty(len(x) + 1, x.dtype)
    s[0] = (x * x).mean()
    for t in range(len(x)):
        s[t + 1] = theta[0] + theta[1] * x[t] * x[t] + theta[2] * s[t]
    value = (np.log(s[1:]) + x * x / s[1:]).sum()
    a, g = x.dtype.type(0), np.zeros_like(theta)
    for t in reversed(range(len(x))):
        a = a * theta[2] + (1 - x[t] * x[t] / s[t + 1]) / s[t + 1]
        g += a * np.array([1, x[t] * x[t], s[t]], x.dtype)
    return [value, g]


def _rnn_inputs(rng: np.random.Generator, steps: int, n: int, k: int) -> list[np.ndarray]:
    """Parameters (k, k) of the input and of the state; the sequence (steps, n, k), and the target (n, k)."""
    return [
        rng.standard_normal((k, k)) / np.sqrt(k),
        rng.standard_normal((k, k)) / np.sqrt(k),
        rng.standard_normal((steps, n, k)),
        rng.standard_normal((n, k)),
    ]


def _rnn(m: Any, wx: Any, wh: Any, x: Any, target: Any) -> Any:
    """Mean square of the last state less the target; the first step starts from the target."""
    h = m.scan(lambda h, row: m.tanh(m.dot(row, wx) + m.dot(h, wh)), x, target)
    return m.mean((h[-1] - target) ** 2)


def _rnn_gradient(wx: np.ndarray, wh: np.ndarray, x: np.ndarray, target: np.ndarray) -> list[Any]:
    h = np.empty((len(x) + 1, *target.shape), x.dtype)
    h[0] = target
    z = x @ wx
    for t in range(len(x)):
        h[t + 1] = np.tanh(z[t] + h[t] @ wh)
    g = 2 * (h[-1] - target) / target.size
    gz = np.empty_like(z)
    for t in reversed(range(len(x))):
        gz[t] = g * (1 - h[t + 1] * h[t + 1])
        g = gz[t] @ wh.T
    k = len(wh)
    tall = gz.reshape(-1, k)
    loss = ((h[-1] - target) ** 2).mean()
    return [loss, x.reshape(-1, k).T @ tall, h[:-1].reshape(-1, k).T @ tall]


GARCH = Family("garch", _garch_inputs, _garch, "recurrence", _garch_gradient, wrt=(0,))
RNN = Family("rnn", _rnn_inputs, _rnn, "training", _rnn_gradient, wrt=(0, 1), tiny=(3, 2, 4))
CASES = [
    Case(GARCH, VALUE_AND_GRADIENT, "float64", (1000,), quick=True, tolerance=1e-8),
    Case(GARCH, VALUE_AND_GRADIENT, "float64", (10**5,), tolerance=1e-8),
    Case(RNN, STEP, "float64", (100, 64, 128)),
    Case(RNN, STEP, "float32", (100, 64, 128), quick=True, tolerance=2e-3),
]
