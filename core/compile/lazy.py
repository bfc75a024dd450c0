"""Graphs with something inside to be chosen, or to be opened, before they are run: others need not wait for how."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from core.graph import FunctionGraph
from core.inner import InnerGraph, inner_ops

if TYPE_CHECKING:
    from core.compile.opened import Opened

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


def opened(graph: FunctionGraph) -> FunctionGraph | Opened:
    """``graph`` with each op that can be opened replaced by its graph; ``graph`` itself where there is no such op."""
    if not any(inner_ops(graph.nodes)):
        return graph
    from core.compile.opened import Opened  # for those who have some

    return Opened(graph, with_branches)
