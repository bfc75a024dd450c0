"""Merging: equal ops on equal inputs become one node, equal constants one constant."""

from __future__ import annotations

from typing import Any

from core.graph import Apply, Constant, FunctionGraph


def merge(graph: FunctionGraph) -> int:
    """Make equal things one, in one pass over the sorted nodes.  Returns how many variables went."""
    return _merge_constants(graph) + _merge_nodes(graph)


def _merge_constants(graph: FunctionGraph) -> int:
    first: dict[Any, Constant] = {}
    given = set(graph.inputs)
    count = 0
    for variable in [v for v in graph.clients if isinstance(v, Constant) and v not in given]:
        kept = first.setdefault(variable.signature(), variable)
        if kept is not variable:
            graph.replace(variable, kept, reason="merge")
            count += 1
    return count


def _merge_nodes(graph: FunctionGraph) -> int:
    first: dict[Any, Apply] = {}
    count = 0
    for node in graph.toposort():  # inputs first, so what a node reads has been merged before it
        kept = first.setdefault((node.op, *node.inputs), node)
        if kept is node:
            continue
        types = [old.type.meet(new.type) for old, new in zip(node.outputs, kept.outputs, strict=True)]
        if None in types:
            continue
        for old, new, both in zip(node.outputs, kept.outputs, types, strict=True):
            assert both is not None
            new.type = both  # one value, of which both types are true
            if graph.clients.get(old):
                graph.replace(old, new, reason="merge")
                count += 1
    return count
