"""Rewriting inside of ops: the graphs that they hold are replaced by what rewriting makes of them."""

from __future__ import annotations

from collections.abc import Callable

from core.graph import Apply, FunctionGraph
from core.inner import InnerGraph, inner_ops
from core.rewriting.merge import merge


def rewrite_inside(graph: FunctionGraph, settle: Callable[[InnerGraph], InnerGraph]) -> int:
    """Put ``settle(inner)`` in the place of each graph inside of an op of ``graph``.  Returns how many changed."""
    count = 0
    for node, op in list(inner_ops(graph.nodes)):
        inner = op.inner_graphs()
        settled = {name: settle(one) for name, one in inner.items()}
        if settled == inner:
            continue
        twin = Apply(op.with_inner_graphs(settled), node.inputs, [out.type for out in node.outputs])
        twin.source = node.source
        for old, new in zip(node.outputs, twin.outputs, strict=True):
            new.name, new.source = old.name, old.source
            if graph.clients.get(old):
                graph.replace(old, new, reason="rewritten inside")
        count += 1
    if count:
        merge(graph)
    return count
