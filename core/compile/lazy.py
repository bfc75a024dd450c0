"""Whether a graph has something to choose, so that branches must be made of it: who has none need not wait for how."""

from __future__ import annotations

from typing import TypeVar

from core.graph import FunctionGraph
from core.inner import InnerGraph

AnyGraph = TypeVar("AnyGraph", FunctionGraph, InnerGraph)


def with_branches(graph: AnyGraph) -> AnyGraph:
    """``graph`` with what is computed only if it is chosen inside of branches: see branches.py.  It may be changed."""
    if not any(node.op.chooses for node in graph.nodes):
        return graph
    from core.compile.branches import packed  # for those who choose

    if isinstance(graph, InnerGraph):
        copy = packed(graph.unfrozen())
        return InnerGraph(copy.inputs, copy.outputs, clone=False)
    return packed(graph)
