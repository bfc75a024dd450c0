"""numba: loops written by hand (benchmarks/numba_kernels), free to add in another order; NaN and infinities right."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numba
import numpy as np

from benchmarks.numba_kernels import convolution, elementwise, models, recurrences, rows, training
from benchmarks.peers.base import Run, Unsupported, arrays_of
from benchmarks.workloads.base import STEP, Case


def version(variant: str = "") -> str:
    return numba.__version__


@cache
def _kernels(dtype: str, parallel: bool) -> dict[str, Any]:
    """All of them; each is compiled when it is first called, for all sizes."""
    jit = numba.njit(fastmath={"reassoc", "contract"}, error_model="numpy", parallel=parallel)
    kernels: dict[str, Any] = {}
    for module in (elementwise, rows, training, recurrences, convolution, models):
        kernels.update(module.kernels(np.dtype(dtype).type, jit))
    return kernels


def build(case: Case, arrays: Sequence[np.ndarray], variant: str = "", threads: int = 1) -> Run:
    numba.set_num_threads(threads)
    kernel = _kernels(case.dtype, threads > 1).get(case.kernel)
    if kernel is None:
        raise Unsupported(f"nobody has written {case.kernel} yet")
    if case.kind != STEP:
        return Run(kernel, arrays, arrays_of)
    arrays = [a.copy() if k in case.family.wrt else a for k, a in enumerate(arrays)]
    return Run(kernel, arrays, lambda loss: [np.asarray(loss), *(arrays[k].copy() for k in case.family.wrt)])
