"""Convolution of images, and a training step of a small network of two convolutions, each pooled, and a matrix."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.workloads.base import FORWARD, STEP, Case, Family, NumPyFunctions, windows

FILTERS, TAPS, CLASSES = (8, 16), 5, 10  # of the network; windows of 2 by 2 are pooled


def _images(rng: np.random.Generator, n: int, c: int, h: int, w: int, f: int, k: int) -> list[np.ndarray]:
    """Images (n, c, h, w), filters (f, c, k, k)."""
    return [rng.standard_normal((n, c, h, w)), rng.standard_normal((f, c, k, k)) / np.sqrt(c * k * k)]


def _network(rng: np.random.Generator, n: int, side: int) -> list[np.ndarray]:
    """Parameters; images (n, 1, side, side), labels (n,)."""
    first, second = FILTERS
    left = (((side - TAPS + 1) // 2) - TAPS + 1) // 2
    return [
        rng.standard_normal((first, 1, TAPS, TAPS)) / TAPS,
        np.zeros(first),
        rng.standard_normal((second, first, TAPS, TAPS)) / (TAPS * np.sqrt(first)),
        np.zeros(second),
        rng.standard_normal((second * left * left, CLASSES)) / np.sqrt(second * left * left),
        np.zeros(CLASSES),
        rng.uniform(0, 1, (n, 1, side, side)),
        rng.integers(0, CLASSES, n),
    ]


def _loss(m: Any, w1: Any, b1: Any, w2: Any, b2: Any, w3: Any, b3: Any, x: Any, label: Any) -> Any:
    h = m.max_pool(m.relu(m.conv2d(x, w1) + b1[:, None, None]))
    h = m.max_pool(m.relu(m.conv2d(h, w2) + b2[:, None, None]))
    return -m.mean(m.pick(m.log_softmax(m.dot(m.flat(h), w3) + b3), label))


def _layer(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, ...]:
    """The windows of x as columns; what is pooled of the layer; and which of four elements each of these was."""
    n, side = x.shape[0], x.shape[2] - TAPS + 1
    columns = windows(x, TAPS)
    z = (w.reshape(len(w), -1) @ columns + b[:, None]).reshape(n, len(w), side // 2, 2, side // 2, 2)
    fours = z.transpose(0, 1, 2, 4, 3, 5).reshape(n, len(w), side // 2, side // 2, 4)
    place = fours.argmax(-1)
    largest = np.take_along_axis(fours, place[..., None], -1)[..., 0]
    return columns, np.maximum(largest, 0), np.where(largest > 0, place, -1)


def _back(g: np.ndarray, place: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, ...]:
    """Through pooling and relu: the layer's gradient (n, f, windows), and those of its filters and bias."""
    n, f, side, _ = g.shape
    fours = (g[..., None] * (place[..., None] == np.arange(4))).reshape(n, f, side, side, 2, 2)
    gz = fours.transpose(0, 1, 2, 4, 3, 5).reshape(n, f, -1)
    return gz, (gz @ columns.swapaxes(1, 2)).sum(0), gz.sum((0, 2))


def _gradient(w1: Any, b1: Any, w2: Any, b2: Any, w3: Any, b3: Any, x: np.ndarray, label: np.ndarray) -> list[Any]:
    columns1, h1, place1 = _layer(x, w1, b1)
    columns2, h2, place2 = _layer(h1, w2, b2)
    flat = h2.reshape(len(x), -1)
    logs = NumPyFunctions.log_softmax(flat @ w3 + b3)
    loss = -NumPyFunctions.pick(logs, label).mean()
    error = np.exp(logs)
    error[np.arange(len(label)), label] -= 1
    error /= len(label)
    gz2, gw2, gb2 = _back((error @ w3.T).reshape(h2.shape), place2, columns2)
    parts = (w2.reshape(len(w2), -1).T @ gz2).reshape(len(x), len(w1), TAPS, TAPS, *(h1.shape[2] - TAPS + 1,) * 2)
    gh1 = np.zeros_like(h1)
    side = parts.shape[-1]
    for i in range(TAPS):
        for j in range(TAPS):
            gh1[:, :, i : i + side, j : j + side] += parts[:, :, i, j]
    _, gw1, gb1 = _back(gh1, place1, columns1)
    return [loss, gw1.reshape(w1.shape), gb1, gw2.reshape(w2.shape), gb2, flat.T @ error, error.sum(0)]


CONV2D = Family("conv2d", _images, lambda m, x, w: m.conv2d(x, w), "convolution", tiny=(2, 3, 6, 7, 4, 3))
CONVNET = Family("convnet", _network, _loss, "training", _gradient, wrt=(0, 1, 2, 3, 4, 5), tiny=(3, 16))

CASES = [
    Case(CONV2D, FORWARD, "float32", (32, 3, 32, 32, 16, 3), quick=True),
    Case(CONV2D, FORWARD, "float32", (64, 1, 28, 28, 20, 5)),
    Case(CONV2D, FORWARD, "float32", (64, 16, 28, 28, 16, 5)),
    Case(CONV2D, FORWARD, "float32", (16, 32, 56, 56, 64, 3)),
    Case(CONV2D, FORWARD, "float64", (32, 3, 32, 32, 16, 3)),
    Case(CONV2D, FORWARD, "float64", (64, 16, 28, 28, 16, 5)),
    Case(CONVNET, STEP, "float64", (32, 28), quick=True),
    Case(CONVNET, STEP, "float32", (32, 28)),
    Case(CONVNET, STEP, "float32", (64, 28)),
]
