"""Graphs of many nodes, for the time that compiling takes: layers of product, sum and tanh, one after the other."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.workloads.base import FORWARD, Case, Family

NODES_A_LAYER = 3


def layers(nodes: int) -> Case:
    """About so many nodes: a state (4, 8) goes through layers that share their weights."""

    def inputs(rng: np.random.Generator, nodes: int) -> list[np.ndarray]:
        return [rng.standard_normal((4, 8)), 0.5 * rng.standard_normal((8, 8)), rng.standard_normal(8)]

    def formula(m: Any, h: Any, w: Any, b: Any) -> Any:
        for _ in range(nodes // NODES_A_LAYER):
            h = m.tanh(m.dot(h, w) + b)
        return h

    return Case(Family("layers", inputs, formula, "graph"), FORWARD, "float64", (nodes,), tolerance=1e-4)
