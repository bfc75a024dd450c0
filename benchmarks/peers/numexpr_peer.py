"""numexpr: what is elementwise, or one sum or largest element of it."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numexpr
import numpy as np

from benchmarks.peers.base import Run, Unsupported, arrays_of
from benchmarks.workloads.base import FORWARD, Case


def version(variant: str = "") -> str:
    return numexpr.__version__


def build(case: Case, arrays: Sequence[np.ndarray], variant: str = "", threads: int = 1) -> Run:
    text = case.family.numexpr
    if case.kind != FORWARD or text is None:
        raise Unsupported("it has one elementwise expression with at most one reduction around it, and no derivatives")
    numexpr.set_num_threads(threads)
    names = {f"x{k}": a for k, a in enumerate(arrays)}
    if case.dtype == "float32":  # a number with a point is float64 to it
        for k, number in enumerate(sorted(set(re.findall(r"\d+\.\d+", text)))):
            names[f"c{k}"] = np.asarray(number, "float32")
            text = text.replace(number, f"c{k}")
    numexpr.validate(text, names)  # compiles it; what follows is the quick way to call it again
    return Run(numexpr.re_evaluate, [names], arrays_of)
