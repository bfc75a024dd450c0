"""core: symbolic variables, gradients by ``Lop`` and ``grad``, steps as updates of shared variables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import core
import core.tensor as ct
from benchmarks.peers.base import Run, Unsupported, arrays_of
from benchmarks.workloads.base import FORWARD, GRADIENT, LEARNING_RATE, STEP, Case


class Functions:
    """The functions that formulas use."""

    exp, log, sqrt, abs, tanh, erf = ct.exp, ct.log, ct.sqrt, ct.abs, ct.tanh, ct.erf
    maximum, minimum, dot = ct.maximum, ct.minimum, ct.dot
    sum, max, mean = ct.sum, ct.max, ct.mean
    sigmoid, softplus, softmax, logsumexp, log_softmax = (
        ct.sigmoid,
        ct.softplus,
        ct.softmax,
        ct.logsumexp,
        ct.log_softmax,
    )

    @staticmethod
    def concatenate(parts: Sequence[Any], axis: int = 0) -> Any:
        return ct.concatenate(parts, axis)

    @staticmethod
    def layer_norm(x: Any, weight: Any, bias: Any) -> Any:
        return ct.layer_norm(x, -1, 1e-5, weight, bias)

    @staticmethod
    def cholesky(x: Any) -> Any:
        return _linalg().cholesky(x)

    @staticmethod
    def cholesky_solve(factor: Any, b: Any) -> Any:
        return _linalg().cho_solve((factor, True), b)

    @staticmethod
    def eye_like(x: Any) -> Any:
        return ct.eye(x.shape[0], dtype=x.dtype)

    @staticmethod
    def diagonal(x: Any) -> Any:
        return ct.diagonal(x)

    relu = ct.relu

    @staticmethod
    def conv2d(x: Any, w: Any) -> Any:
        return _nn().conv2d(x, w)

    @staticmethod
    def max_pool(x: Any) -> Any:
        return _nn().max_pool2d(x, 2)

    @staticmethod
    def fft(x: Any) -> Any:
        return _fft().fft(x)

    @staticmethod
    def rfft(x: Any) -> Any:
        return _fft().rfft(x)

    @staticmethod
    def fft2(x: Any) -> Any:
        return _fft().fft2(x)

    @staticmethod
    def irfft(x: Any) -> Any:
        return _fft().irfft(x)

    @staticmethod
    def flat(x: Any) -> Any:
        return ct.flatten(x, 2)

    @staticmethod
    def scan(step: Any, rows: Any, start: Any) -> Any:
        return core.scan(lambda row, state: step(state, row), rows, start)

    @staticmethod
    def pick(x: Any, column: Any) -> Any:
        return x[ct.arange(column.shape[0]), column]


def _linalg() -> Any:
    """The linear algebra pack."""
    try:
        import plugin_ops_linalg
    except ImportError as error:
        raise Unsupported(f"it needs plugin-ops-linalg: {error}") from error
    return plugin_ops_linalg


def _nn() -> Any:
    """The pack of convolution and pooling."""
    try:
        import plugin_ops_nn
    except ImportError as error:
        raise Unsupported(f"it needs plugin-ops-nn: {error}") from error
    return plugin_ops_nn


def _fft() -> Any:
    """The pack of Fourier transforms."""
    try:
        import plugin_ops_fft
    except ImportError as error:
        raise Unsupported(f"it needs plugin-ops-fft: {error}") from error
    return plugin_ops_fft


def version(variant: str = "") -> str:
    return core.__version__


def build(case: Case, arrays: Sequence[np.ndarray], variant: str = "", threads: int = 1, backend: str = "c") -> Run:
    """``backend`` is another one in tests."""
    if case.kind == STEP:
        return _step(case, arrays, backend)
    symbols = [_symbol(k, a) for k, a in enumerate(arrays)]
    f = core.function(symbols, outputs(case, symbols), backend=backend)
    return Run(f, arrays, arrays_of, free=f.free)


def outputs(case: Case, symbols: Sequence[Any]) -> Any:
    """The expressions that a workload without state asks for."""
    formula, wrt = case.family.formula, case.family.wrt
    if case.kind == FORWARD:
        return formula(Functions, *symbols)
    if case.kind == GRADIENT:
        *symbols, g = symbols
        return core.Lop(formula(Functions, *symbols), [symbols[k] for k in wrt], g)
    value = formula(Functions, *symbols)
    return [value, *core.grad(value, [symbols[k] for k in wrt])]


def _symbol(k: int, array: np.ndarray) -> Any:
    return ct.tensor(f"x{k}", dtype=str(array.dtype), shape=(None,) * array.ndim)


def _step(case: Case, arrays: Sequence[np.ndarray], backend: str) -> Run:
    wrt = case.family.wrt
    shared = {k: core.shared(arrays[k].copy(), name=f"w{k}") for k in wrt}
    symbols = [shared[k] if k in shared else _symbol(k, a) for k, a in enumerate(arrays)]
    loss = case.family.formula(Functions, *symbols)
    slopes = core.grad(loss, [shared[k] for k in wrt])
    updates = {shared[k]: shared[k] - LEARNING_RATE * slope for k, slope in zip(wrt, slopes, strict=True)}
    data = [k for k in range(len(arrays)) if k not in wrt]
    f = core.function([symbols[k] for k in data], loss, updates=updates, backend=backend)
    return Run(
        f,
        [arrays[k] for k in data],
        lambda loss: [np.asarray(loss), *(np.array(shared[k].get_value()) for k in wrt)],
        free=f.free,
    )
