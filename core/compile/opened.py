"""Ops that hold graphs, opened for good: what is lowered has the nodes that they stand for in their place.

In their place in time, too: all that such an op computes comes when its turn comes, and not as soon as it can.  Nothing
is merged with what was there, so that what an op has kept apart stays so.
"""

from __future__ import annotations

from collections.abc import Sequence

from core.graph import Apply, FunctionGraph, Variable, toposort
from core.inner import InnerOp


class Opened:
    """A graph for a backend: ``inputs``, ``outputs``, and nodes in the order in which they are to be computed."""

    def __init__(self, graph: FunctionGraph):
        self.inputs = list(graph.inputs)
        self._nodes: list[Apply] = []
        self._became: dict[Variable, Variable] = {}
        self._take(graph.toposort())
        self.outputs = [self._became.get(out, out) for out in graph.outputs]
        needed = set(toposort(self.outputs))
        self._nodes = [node for node in self._nodes if node in needed]  # of several outputs some may not be

    def toposort(self) -> list[Apply]:
        return list(self._nodes)

    def _take(self, nodes: Sequence[Apply]) -> None:
        became = self._became
        for node in nodes:
            twin = node
            if any(x in became for x in node.inputs):
                twin = node.clone_with_new_inputs([became.get(x, x) for x in node.inputs])
            outputs = twin.op.opened(twin) if isinstance(twin.op, InnerOp) else None
            if outputs is None:
                self._nodes.append(twin)
                outputs = twin.outputs
            else:
                self._take(toposort(outputs, stop_at=twin.inputs))
            if outputs is not node.outputs:
                became.update((old, became.get(new, new)) for old, new in zip(node.outputs, outputs, strict=True))
