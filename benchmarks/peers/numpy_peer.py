"""NumPy: the formula as it stands; gradients written by hand, with temporaries reused where that is usual."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.peers.base import Run, arrays_of
from benchmarks.workloads.base import FORWARD, LEARNING_RATE, STEP, Case, NumPyFunctions


def version(variant: str = "") -> str:
    return np.__version__


def build(case: Case, arrays: Sequence[np.ndarray], variant: str = "", threads: int = 1) -> Run:
    formula, gradient, wrt = case.family.formula, case.family.gradient, case.family.wrt
    if case.kind == FORWARD:
        return Run(lambda *args: formula(NumPyFunctions, *args), arrays, arrays_of)
    assert gradient is not None
    if case.kind != STEP:
        return Run(gradient, arrays, arrays_of)
    arrays = [a.copy() if k in wrt else a for k, a in enumerate(arrays)]

    def step(*args: Any) -> Any:
        loss, *slopes = gradient(*args)
        for k, slope in zip(wrt, slopes, strict=True):
            args[k][...] -= args[k].dtype.type(LEARNING_RATE) * slope
        return loss

    return Run(step, arrays, lambda loss: [np.asarray(loss), *(arrays[k].copy() for k in wrt)])
