"""Calls with next to nothing to compute: what is timed is the way into the function and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.workloads.base import FORWARD, Case, Family


def _five(rng: np.random.Generator, n: int) -> list[np.ndarray]:
    return [rng.standard_normal(n) for _ in range(5)]


def _three_of_five(m: Any, a: Any, b: Any, c: Any, d: Any, e: Any) -> Any:
    return a + b, c * d, e - a


ONE = Family("call_1_in_1_out", lambda rng, n: [rng.standard_normal(n)], lambda m, x: x + 1, "call", numexpr="x0 + 1")
FIVE = Family("call_5_in_3_out", _five, _three_of_five, "call")

CASES = [Case(ONE, FORWARD, "float64", (10,), quick=True), Case(FIVE, FORWARD, "float64", (10,), quick=True)]
