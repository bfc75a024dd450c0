"""Steps of gradient descent: logistic regression, and a perceptron with one hidden layer, 784-500-10."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.workloads.base import STEP, Case, Family, NumPyFunctions


def _logistic_inputs(rng: np.random.Generator, n: int, d: int) -> list[np.ndarray]:
    """Parameters w (d,), b (); examples x (n, d); labels y (n,), 0 or 1."""
    return [
        0.1 * rng.standard_normal(d),
        np.zeros(()),
        rng.standard_normal((n, d)),
        rng.integers(0, 2, n).astype(np.float64),
    ]


def _logistic_loss(m: Any, w: Any, b: Any, x: Any, y: Any) -> Any:
    z = m.dot(x, w) + b
    return m.mean(m.softplus(z) - y * z) + 0.01 * m.sum(w * w)


def _logistic_gradient(w: np.ndarray, b: np.ndarray, x: np.ndarray, y: np.ndarray) -> list[Any]:
    z = x @ w + b
    loss = (np.logaddexp(z, 0) - y * z).mean() + 0.01 * (w * w).sum()
    error = (NumPyFunctions.sigmoid(z) - y) / len(y)
    return [loss, error @ x + 0.02 * w, error.sum()]


def _mlp_inputs(rng: np.random.Generator, n: int, features: int, hidden: int, classes: int) -> list[np.ndarray]:
    """Parameters; images x (n, features); labels (n,)."""
    return [
        rng.standard_normal((features, hidden)) / np.sqrt(features),
        np.zeros(hidden),
        rng.standard_normal((hidden, classes)) / np.sqrt(hidden),
        np.zeros(classes),
        rng.uniform(0, 1, (n, features)),
        rng.integers(0, classes, n),
    ]


def _mlp_loss(m: Any, w1: Any, b1: Any, w2: Any, b2: Any, x: Any, label: Any) -> Any:
    hidden = m.tanh(m.dot(x, w1) + b1)
    return -m.mean(m.pick(m.log_softmax(m.dot(hidden, w2) + b2), label))


def _mlp_gradient(
    w1: np.ndarray, b1: np.ndarray, w2: np.ndarray, b2: np.ndarray, x: np.ndarray, label: np.ndarray
) -> list[Any]:
    hidden = x @ w1
    hidden += b1
    np.tanh(hidden, out=hidden)
    logs = NumPyFunctions.log_softmax(hidden @ w2 + b2)
    loss = -NumPyFunctions.pick(logs, label).mean()
    error = np.exp(logs)
    error[np.arange(len(label)), label] -= 1
    error /= len(label)
    inner = error @ w2.T
    inner *= 1 - hidden * hidden
    return [loss, x.T @ inner, inner.sum(0), hidden.T @ error, error.sum(0)]


LOGISTIC = Family(
    "logistic_regression", _logistic_inputs, _logistic_loss, "training", _logistic_gradient, wrt=(0, 1), tiny=(6, 4)
)
MLP = Family("mlp", _mlp_inputs, _mlp_loss, "training", _mlp_gradient, wrt=(0, 1, 2, 3), tiny=(6, 5, 4, 3))

CASES = [
    *(
        Case(LOGISTIC, STEP, dtype, size, quick=(dtype, size) == ("float64", (400, 784)))
        for dtype in ("float64", "float32")
        for size in ((20, 5), (400, 784), (100000, 50))
    ),
    *(
        Case(MLP, STEP, dtype, (n, 784, 500, 10), quick=(dtype, n) == ("float64", 60))
        for dtype in ("float64", "float32")
        for n in (60, 500)
    ),
    Case(MLP, STEP, "float64", (20000, 100, 64, 10)),
]
