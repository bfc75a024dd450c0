"""Ops that hold graphs, opened for good: what is lowered has the nodes that they stand for in their place.

In their place in time, too: all that such an op computes comes when its turn comes, and not as soon as it can.  Nothing
is merged with what was there, so that what an op has kept apart stays so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from core.graph import Apply, FunctionGraph, Variable, toposort
from core.inner import InnerGraph, InnerOp


class Opened:
    """A graph for a backend: ``inputs``, ``outputs``, and nodes in the order in which they are to be computed.

    prepared  makes of a graph inside of an op what was made of the one around: see lazy.with_branches
    """

    def __init__(self, graph: FunctionGraph, prepared: Callable[[InnerGraph], InnerGraph]):
        self.inputs, self._prepared = list(graph.inputs), prepared
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
            outputs = self._ready(twin.op).opened(twin) if isinstance(twin.op, InnerOp) else None
            if outputs is None:
                self._nodes.append(twin)
                outputs = twin.outputs
            else:
                self._take(toposort(outputs, stop_at=twin.inputs))
            if outputs is not node.outputs:
                became.update((old, became.get(new, new)) for old, new in zip(node.outputs, outputs, strict=True))

    def _ready(self, op: InnerOp) -> InnerOp:
        graphs = op.inner_graphs()
        ready = {name: self._prepared(graph) for name, graph in graphs.items()}
        return op if all(ready[name] is graph for name, graph in graphs.items()) else op.with_inner_graphs(ready)
