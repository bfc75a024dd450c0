"""Sums and largest elements of tall, wide and square matrices, along each axis and of everything."""

from __future__ import annotations

import numpy as np

from benchmarks.workloads.base import FORWARD, Case, Family


def _matrix(rng: np.random.Generator, m: int, n: int) -> list[np.ndarray]:
    return [rng.standard_normal((m, n))]


def _family(name: str, axis: int | None) -> Family:
    where = "all" if axis is None else f"axis{axis}"
    formula = (lambda m, x: m.sum(x, axis=axis)) if name == "sum" else (lambda m, x: m.max(x, axis=axis))
    of = "x0" if axis is None else f"x0, axis={axis}"
    return Family(f"{name}_{where}", _matrix, formula, "reduction", numexpr=f"{name}({of})", tiny=(4, 5))


FAMILIES = [_family(name, axis) for name in ("sum", "max") for axis in (0, 1, None)]
_TALL, _SQUARE, _WIDE = (100000, 64), (1000, 1000), (64, 100000)
_QUICK = [("sum_axis0", _TALL), ("sum_axis1", _SQUARE), ("max_axis1", _SQUARE)]

# A sum that nearly cancels is compared with the size of the whole output, so only a sum of everything needs more room.
CASES = [
    Case(
        family,
        FORWARD,
        dtype,
        size,
        quick=dtype == "float64" and (family.name, size) in _QUICK,
        tolerance=1e-3 if dtype == "float32" and family.name == "sum_all" else None,
    )
    for family in FAMILIES
    for dtype in ("float64", "float32")
    for size in (_TALL, _SQUARE, _WIDE)
    if not (family.name.endswith("all") and size != _SQUARE)
]
