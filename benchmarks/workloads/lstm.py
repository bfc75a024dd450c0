"""A training step of an LSTM (Hochreiter and Schmidhuber, 1997) over five time steps, written out."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.workloads.base import STEP, Case, Family, NumPyFunctions

STEPS = 5


def _inputs(rng: np.random.Generator, n: int, features: int, hidden: int) -> list[np.ndarray]:
    """Parameters: gates of the input, of the state, biases, each in the order i, f, o, c.

    Then the sequence (STEPS, n, features), and the target (n, hidden).
    """
    return [
        rng.standard_normal((features, 4 * hidden)) / np.sqrt(features),
        rng.standard_normal((hidden, 4 * hidden)) / np.sqrt(hidden),
        np.zeros(4 * hidden),
        rng.standard_normal((STEPS, n, features)),
        rng.standard_normal((n, hidden)),
    ]


def _loss(m: Any, wx: Any, wh: Any, b: Any, x: Any, target: Any) -> Any:
    """Mean square of the last state less the target; states start at 0, so the first product is left out."""
    h, c = None, None
    k = target.shape[1]
    for t in range(STEPS):
        z = m.dot(x[t], wx) + b if h is None else m.dot(x[t], wx) + m.dot(h, wh) + b
        i, f, o = m.sigmoid(z[:, :k]), m.sigmoid(z[:, k : 2 * k]), m.sigmoid(z[:, 2 * k : 3 * k])
        new = i * m.tanh(z[:, 3 * k :])
        c = new if c is None else f * c + new
        h = o * m.tanh(c)
    return m.mean((h - target) ** 2)


def _gradient(wx: np.ndarray, wh: np.ndarray, b: np.ndarray, x: np.ndarray, target: np.ndarray) -> list[Any]:
    """Backwards through time."""
    n, k = target.shape
    h, c = np.zeros_like(target), np.zeros_like(target)
    kept = []
    for t in range(STEPS):
        z = x[t] @ wx + b
        if t:
            z += h @ wh
        gates, cell = NumPyFunctions.sigmoid(z[:, : 3 * k]), np.tanh(z[:, 3 * k :])
        before, c = (h, c), gates[:, k : 2 * k] * c + gates[:, :k] * cell
        bent = np.tanh(c)
        h = gates[:, 2 * k :] * bent
        kept.append((gates, cell, bent, before))
    loss = ((h - target) ** 2).mean()
    gh, gc = 2 * (h - target) / target.size, np.zeros_like(target)
    gwx, gwh, gb = np.zeros_like(wx), np.zeros_like(wh), np.zeros_like(b)
    gz = np.empty((n, 4 * k), target.dtype)
    for t in reversed(range(STEPS)):
        gates, cell, bent, (h, c) = kept[t]
        i, f, o = gates[:, :k], gates[:, k : 2 * k], gates[:, 2 * k :]
        gc = gc + gh * o * (1 - bent * bent)
        gz[:, :k] = gc * cell * i * (1 - i)
        gz[:, k : 2 * k] = gc * c * f * (1 - f)
        gz[:, 2 * k : 3 * k] = gh * bent * o * (1 - o)
        gz[:, 3 * k :] = gc * i * (1 - cell * cell)
        gwx += x[t].T @ gz
        gb += gz.sum(0)
        if t:
            gwh += h.T @ gz
            gh, gc = gz @ wh.T, gc * f
    return [loss, gwx, gwh, gb]


LSTM = Family("lstm", _inputs, _loss, "training", _gradient, wrt=(0, 1, 2), tiny=(3, 2, 4))
CASES = [
    Case(LSTM, STEP, "float64", (32, 64, 64), quick=True),
    Case(LSTM, STEP, "float32", (32, 64, 64)),
    Case(LSTM, STEP, "float32", (64, 128, 256)),
]
