"""Functions of whole rows or columns of a matrix: softmax, logsumexp, layer normalisation."""

from __future__ import annotations

import numpy as np

from benchmarks.workloads.base import FORWARD, GRADIENT, Case, Family, NumPyFunctions


def _matrix(rng: np.random.Generator, m: int, n: int) -> list[np.ndarray]:
    return [3 * rng.standard_normal((m, n))]


def _with_weights(rng: np.random.Generator, m: int, n: int) -> list[np.ndarray]:
    return [rng.standard_normal((m, n)), rng.uniform(0.5, 1.5, n), rng.standard_normal(n)]


def _softmax(axis: int) -> Family:
    def gradient(x: np.ndarray, g: np.ndarray) -> list[np.ndarray]:
        out = NumPyFunctions.softmax(x, axis)
        return [out * (g - (out * g).sum(axis, keepdims=True))]

    formula = lambda m, x: m.softmax(x, axis)  # noqa: E731
    return Family(f"softmax_axis{axis}", _matrix, formula, "rows", gradient, wrt=(0,), tiny=(4, 5))


def _logsumexp(axis: int) -> Family:
    def gradient(x: np.ndarray, g: np.ndarray) -> list[np.ndarray]:
        return [NumPyFunctions.softmax(x, axis) * np.expand_dims(g, axis)]

    formula = lambda m, x: m.logsumexp(x, axis)  # noqa: E731
    return Family(f"logsumexp_axis{axis}", _matrix, formula, "rows", gradient, wrt=(0,), tiny=(4, 5))


def _layer_norm_gradient(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, g: np.ndarray) -> list[np.ndarray]:
    centred = x - x.mean(-1, keepdims=True)
    scale = 1 / np.sqrt((centred * centred).mean(-1, keepdims=True) + 1e-5)
    normal, gw = centred * scale, g * weight
    gx = scale * (gw - gw.mean(-1, keepdims=True) - normal * (gw * normal).mean(-1, keepdims=True))
    return [gx, (g * normal).sum(0), g.sum(0)]


SOFTMAX = [_softmax(axis) for axis in (0, 1)]
LOGSUMEXP = [_logsumexp(axis) for axis in (0, 1)]
LAYER_NORM = Family(
    "layer_norm",
    _with_weights,
    lambda m, x, weight, bias: m.layer_norm(x, weight, bias),
    "normalisation",
    _layer_norm_gradient,
    wrt=(0, 1, 2),
    tiny=(4, 5),
)

_SQUARE, _TALL, _SMALL = (1000, 1000), (100000, 64), (32, 10)


def _cases(by_column: Family, by_row: Family) -> list[Case]:
    return [
        *(Case(by_row, FORWARD, "float64", size, quick=size == _SQUARE) for size in (_SMALL, _SQUARE, _TALL)),
        *(Case(by_row, FORWARD, "float32", size) for size in (_SQUARE, _TALL)),
        Case(by_column, FORWARD, "float64", _SQUARE),
        Case(by_column, FORWARD, "float32", _SQUARE),
        Case(by_row, GRADIENT, "float64", _SQUARE, quick=True),
        Case(by_row, GRADIENT, "float64", _TALL),
        Case(by_row, GRADIENT, "float32", _SQUARE),
        Case(by_column, GRADIENT, "float64", _SQUARE),
    ]


CASES = [
    *_cases(*SOFTMAX),
    *_cases(*LOGSUMEXP),
    *(
        Case(LAYER_NORM, kind, dtype, size, quick=(kind, dtype, size) == (GRADIENT, "float64", _SQUARE))
        for kind in (FORWARD, GRADIENT)
        for dtype in ("float64", "float32")
        for size in ((1000, 1000), (20000, 64))
    ),
]
