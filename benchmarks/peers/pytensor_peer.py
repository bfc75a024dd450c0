"""PyTensor with its numba and its C linker: inputs trusted, outputs borrowed, steps as updates of shared variables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytensor
import pytensor.tensor as pt
from pytensor.compile.io import In, Out

from benchmarks.peers.base import Run, Unsupported, arrays_of
from benchmarks.workloads.base import FORWARD, GRADIENT, LEARNING_RATE, STEP, Case

MODES = {"numba": "NUMBA", "c": "CVM"}


class Functions:
    """The functions that formulas use."""

    exp, log, sqrt, abs, tanh, erf = pt.exp, pt.log, pt.sqrt, pt.abs, pt.tanh, pt.erf
    maximum, minimum, dot = pt.maximum, pt.minimum, pt.dot
    sum, max, mean = pt.sum, pt.max, pt.mean
    sigmoid, softplus, softmax, logsumexp = pt.sigmoid, pt.softplus, pt.special.softmax, pt.logsumexp

    @staticmethod
    def concatenate(parts: Sequence[Any], axis: int = 0) -> Any:
        return pt.concatenate(parts, axis)

    @staticmethod
    def log_softmax(x: Any) -> Any:
        return pt.special.log_softmax(x, axis=-1)

    @staticmethod
    def layer_norm(x: Any, weight: Any, bias: Any) -> Any:
        centred = x - x.mean(-1, keepdims=True)
        return centred / pt.sqrt((centred * centred).mean(-1, keepdims=True) + 1e-5) * weight + bias

    cholesky, diagonal = pt.linalg.cholesky, pt.diagonal

    @staticmethod
    def cholesky_solve(factor: Any, b: Any) -> Any:
        return pt.linalg.cho_solve((factor, True), b, b_ndim=1)

    @staticmethod
    def eye_like(x: Any) -> Any:
        return pt.eye(x.shape[0], dtype=x.dtype)

    @staticmethod
    def relu(x: Any) -> Any:
        return pt.maximum(x, 0)

    @staticmethod
    def conv2d(x: Any, w: Any) -> Any:
        raise Unsupported("it has no convolution of images with channels")

    @staticmethod
    def max_pool(x: Any) -> Any:
        raise Unsupported("it has no pooling")

    @staticmethod
    def scan(step: Any, rows: Any, start: Any) -> Any:
        found = pytensor.scan(
            lambda row, state: step(state, row), sequences=rows, outputs_info=start, return_updates=False
        )
        return found

    @staticmethod
    def fft(x: Any) -> Any:
        raise Unsupported("its Fourier transforms are of real numbers, as pairs, and have no axes")

    rfft = fft2 = irfft = fft

    @staticmethod
    def pick(x: Any, column: Any) -> Any:
        return x[pt.arange(column.shape[0]), column]


def version(variant: str = "") -> str:
    return pytensor.__version__


def outputs(case: Case, symbols: Sequence[Any]) -> list[Any]:
    """The expressions that a workload without state asks for."""
    formula, wrt = case.family.formula, case.family.wrt
    if case.kind == FORWARD:
        out = formula(Functions, *symbols)
        return list(out) if isinstance(out, tuple) else [out]
    if case.kind == GRADIENT:
        *symbols, g = symbols
        return pytensor.gradient.pullback(formula(Functions, *symbols), [symbols[k] for k in wrt], g)
    value = formula(Functions, *symbols)
    return [value, *pytensor.grad(value, [symbols[k] for k in wrt])]


def build(case: Case, arrays: Sequence[np.ndarray], variant: str = "numba", threads: int = 1) -> Run:
    with pytensor.config.change_flags(floatX=case.dtype):
        if case.kind == STEP:
            return _step(case, arrays, MODES[variant])
        f = _function(case, arrays, MODES[variant])
    return Run(f, arrays, arrays_of, free=f.free)


_last: tuple[Any, Any] = (None, None)


def _function(case: Case, arrays: Sequence[np.ndarray], mode: str) -> Any:
    """The compiled function; the last one is kept, as it serves all sizes."""
    global _last
    key = (case.family, case.kind, case.dtype, mode)
    if _last[0] == key:
        return _last[1]
    symbols = [_symbol(k, a) for k, a in enumerate(arrays)]
    f = pytensor.function(
        [In(symbol, borrow=True) for symbol in symbols],
        [Out(out, borrow=True) for out in outputs(case, symbols)],
        mode=mode,
        on_unused_input="ignore",
    )
    f.trust_input = True
    _last = (key, f)
    return f


def _symbol(k: int, array: np.ndarray) -> Any:
    return pt.tensor(f"x{k}", dtype=str(array.dtype), shape=(None,) * array.ndim)


def _step(case: Case, arrays: Sequence[np.ndarray], mode: str) -> Run:
    wrt = case.family.wrt
    shared = {k: pytensor.shared(arrays[k].copy(), name=f"w{k}") for k in wrt}
    symbols = [shared[k] if k in shared else _symbol(k, a) for k, a in enumerate(arrays)]
    loss = case.family.formula(Functions, *symbols)
    slopes = pytensor.grad(loss, [shared[k] for k in wrt])
    rate = np.asarray(LEARNING_RATE, case.dtype)
    updates = {shared[k]: shared[k] - rate * slope for k, slope in zip(wrt, slopes, strict=True)}
    data = [k for k in range(len(arrays)) if k not in wrt]
    f = pytensor.function([symbols[k] for k in data], Out(loss, borrow=True), updates=updates, mode=mode)
    f.trust_input = True
    return Run(
        f,
        [arrays[k] for k in data],
        lambda loss: [np.asarray(loss), *(shared[k].get_value() for k in wrt)],
        free=f.free,
    )
