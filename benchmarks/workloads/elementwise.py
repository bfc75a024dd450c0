"""Elementwise formulas: the four of the Theano paper (Bergstra et al., 2010), and a chain of 20 operations."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.workloads.base import FORWARD, GRADIENT, Case, Family


def _one(rng: np.random.Generator, n: int) -> list[np.ndarray]:
    return [rng.standard_normal(n)]


def _two(rng: np.random.Generator, n: int) -> list[np.ndarray]:
    return [rng.standard_normal(n), rng.uniform(0.5, 1.5, n)]


def _chain(m: Any, x: Any, y: Any) -> Any:
    t = x * y + 0.5
    t = t * t - x
    t = m.abs(t) + 1.0
    u = m.sqrt(t) * y
    u = u - t * 0.25
    v = u / t
    v = v * v + x
    v = m.maximum(v, y)
    v = v * 1.5 - u
    w = m.minimum(v, t)
    return w * w + v * 0.125


def _chain_gradient(x: np.ndarray, y: np.ndarray, g: np.ndarray) -> list[np.ndarray]:
    """The formula backwards, line by line."""
    t1 = x * y + 0.5
    t2 = t1 * t1 - x
    t = np.abs(t2) + 1.0
    root = np.sqrt(t)
    u = root * y - t * 0.25
    v1 = u / t
    v2 = v1 * v1 + x
    v3 = np.maximum(v2, y)
    v = v3 * 1.5 - u
    w = np.minimum(v, t)
    gw = 2 * w * g
    below = v < t
    gv = 0.125 * g + np.where(below, gw, 0)
    gt = np.where(below, 0, gw)
    gv3 = 1.5 * gv
    larger = v2 > y
    gv2 = np.where(larger, gv3, 0)
    gy = np.where(larger, 0, gv3)
    gv1 = 2 * v1 * gv2
    gu = gv1 / t - gv
    gt = gt - gv1 * v1 / t - 0.25 * gu + 0.5 * gu * y / root
    gy = gy + gu * root
    gt2 = gt * np.sign(t2)
    gt1 = 2 * t1 * gt2
    return [gv2 - gt2 + gt1 * y, gy + gt1 * x]


# the chain for numexpr, which has no assignments but finds common parts itself
_T = "(abs((x0*x1 + 0.5)**2 - x0) + 1.0)"
_U = f"(sqrt({_T})*x1 - {_T}*0.25)"
_V2 = f"(({_U}/{_T})**2 + x0)"
_V = f"(where({_V2} > x1, {_V2}, x1)*1.5 - {_U})"

SQUARE = Family(
    "square_of_sum",
    _two,
    lambda m, a, b: a**2 + b**2 + 2 * a * b,
    "cheap",
    lambda a, b, g: [g * (2 * a + 2 * b), g * (2 * a + 2 * b)],
    wrt=(0, 1),
    numexpr="x0**2 + x1**2 + 2*x0*x1",
)
COMBINATION = Family(
    "linear_combination",
    _two,
    lambda m, a, b: 2 * a + 3 * b,
    "cheap",
    lambda a, b, g: [2 * g, 3 * g],
    wrt=(0, 1),
    numexpr="2*x0 + 3*x1",
)
INCREMENT = Family("increment", _one, lambda m, a: a + 1, "cheap", numexpr="x0 + 1")
POWER = Family(
    "tenth_power",
    _two,
    lambda m, a, b: 2 * a + b**10,
    "cheap",
    lambda a, b, g: [2 * g, 10 * b**9 * g],
    wrt=(0, 1),
    numexpr="2*x0 + x1**10",
)
CHAIN = Family(
    "chain_of_20",
    _two,
    _chain,
    "cheap",
    _chain_gradient,
    wrt=(0, 1),
    numexpr=f"where({_V} < {_T}, {_V}, {_T})**2 + {_V}*0.125",
    tiny=(7,),
)

SMALL, MIDDLE, LARGE, HUGE = (100,), (10**4,), (10**6,), (10**7,)

CASES = [
    *(
        Case(
            family,
            FORWARD,
            "float64",
            size,
            quick=(family, size) in [(SQUARE, MIDDLE), (SQUARE, HUGE), (POWER, MIDDLE)],
        )
        for family in (SQUARE, COMBINATION, INCREMENT, POWER)
        for size in (SMALL, MIDDLE, LARGE, HUGE)
    ),
    *(Case(SQUARE, FORWARD, "float32", size) for size in (MIDDLE, LARGE, HUGE)),
    *(Case(POWER, FORWARD, "float32", size) for size in (MIDDLE, HUGE)),
    *(Case(family, GRADIENT, "float64", size) for family in (SQUARE, POWER) for size in (MIDDLE, LARGE)),
    *(Case(COMBINATION, GRADIENT, "float64", size) for size in (MIDDLE,)),
    *(Case(CHAIN, FORWARD, "float64", size, quick=size in (MIDDLE, HUGE)) for size in (SMALL, MIDDLE, LARGE, HUGE)),
    *(Case(CHAIN, FORWARD, "float32", size) for size in (MIDDLE, LARGE)),
    *(
        Case(CHAIN, GRADIENT, dtype, size, quick=(dtype, size) == ("float64", MIDDLE))
        for dtype in ("float64", "float32")
        for size in (MIDDLE, LARGE)
    ),
]
