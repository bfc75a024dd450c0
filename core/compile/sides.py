"""A Branch that a program leaves to its host: each side is a function of its own, on the same backend and device.

Of what a step of the program around cannot do, such as to choose on a device, or to call Python on one side, only that
is left to the host: the condition is fetched, and the program of the side that is taken is run, on arrays where they
lie.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from core.compile.branches import Branch, Undefined
from core.graph import Apply, FunctionGraph, graph_inputs
from core.inner import InnerGraph
from core.tensor.type import TensorType

Compile: TypeAlias = Callable[[FunctionGraph], Any]  # from a graph to an executable, such as a Dispatcher


class Sides:
    """A function from the inputs of a Branch to its outputs.  Errors of a call: those of the side that is taken.

    ``on_device`` does the same for arrays of a device, but for the condition, and returns such.
    """

    leaves_inputs_alone = True

    def __init__(self, node: Apply, compiled: Compile):
        op = node.op
        assert isinstance(op, Branch)
        self._sides = [_Side(graph, compiled) for graph in (op.then, op.otherwise)]
        self._nothing = [_nothing(out.type) for out in node.outputs]

    def __call__(self, inputs: Sequence[np.ndarray]) -> list[Any]:
        condition, *arrays = inputs
        return self._sides[0 if condition else 1].results(arrays, self._nothing)

    def on_device(self, condition: Any, arrays: Sequence[Any]) -> list[Any]:
        return self._sides[0 if condition else 1].results_on_device(arrays, self._nothing)


class _Side:
    """One graph; ``run`` is None where it makes nothing."""

    def __init__(self, graph: InnerGraph, compiled: Compile):
        makers = [getattr(out.owner, "op", None) for out in graph.outputs]
        self.kept = [k for k, op in enumerate(makers) if not isinstance(op, Undefined)]
        wanted = [graph.outputs[k] for k in self.kept]
        leaves = {*graph_inputs(wanted, stop_at=graph.inputs), *wanted}
        self.used = [k for k, x in enumerate(graph.inputs) if x in leaves]
        self.run = compiled(FunctionGraph([graph.inputs[k] for k in self.used], wanted)) if wanted else None

    def results(self, arrays: Sequence[Any], nothing: Sequence[Any]) -> list[Any]:
        return self._among(nothing, self.run([arrays[k] for k in self.used]) if self.run is not None else [])

    def results_on_device(self, arrays: Sequence[Any], nothing: Sequence[Any]) -> list[Any]:
        stay = (False,) * len(self.kept)
        return self._among(nothing, self.run.run([arrays[k] for k in self.used], stay) if self.run is not None else [])

    def _among(self, nothing: Sequence[Any], made: Sequence[Any]) -> list[Any]:
        found = list(nothing)
        for k, value in zip(self.kept, made, strict=True):
            found[k] = value
        return found


def _nothing(kind: Any) -> np.ndarray:
    """What stands for an output that nobody reads."""
    assert isinstance(kind, TensorType)
    return np.zeros(tuple(n or 0 for n in kind.shape), kind.dtype)
