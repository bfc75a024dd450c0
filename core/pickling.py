"""Graphs as flat lists, so that pickle does not recurse: a chain of 20,000 nodes pickles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from core.errors import SourceLine
from core.graph import Apply, Type, Variable, toposort


class FlatVariable(NamedTuple):
    """What a variable holds besides its owner."""

    type: Type
    name: str | None
    source: SourceLine | None


class FlatNode(NamedTuple):
    """A node whose inputs are positions in the list of all variables: the leaves, then every output in order."""

    op: Any
    inputs: tuple[int, ...]
    outputs: tuple[FlatVariable, ...]
    source: SourceLine | None


class FlatGraph(NamedTuple):
    """Leaves (inputs, constants, shared variables), nodes in topological order, and the positions of the outputs."""

    inputs: tuple[FlatVariable, ...]
    leaves: tuple[Variable, ...]
    nodes: tuple[FlatNode, ...]
    outputs: tuple[int, ...]


def flatten(outputs: Sequence[Variable], inputs: Sequence[Variable] = ()) -> FlatGraph:
    """The graph of ``outputs`` down to ``inputs``; other leaves are kept as the objects that they are."""
    position: dict[Variable, int] = {variable: k for k, variable in enumerate(inputs)}
    nodes = toposort(outputs, stop_at=inputs)
    read = (variable for node in nodes for variable in node.inputs)
    leaves = dict.fromkeys(v for v in (*read, *outputs) if v.owner is None and v not in position)
    for variable in leaves:
        position[variable] = len(position)
    flat = []
    for node in nodes:
        reads = tuple(position[variable] for variable in node.inputs)
        for out in node.outputs:
            position.setdefault(out, len(position))
        outs = tuple(FlatVariable(out.type, out.name, out.source) for out in node.outputs)
        flat.append(FlatNode(node.op, reads, outs, node.source))
    given = tuple(FlatVariable(v.type, v.name, v.source) for v in inputs)
    return FlatGraph(given, tuple(leaves), tuple(flat), tuple(position[v] for v in outputs))


def rebuild(graph: FlatGraph) -> tuple[list[Variable], list[Variable]]:
    """Fresh inputs, and the outputs computed from them."""
    variables: list[Variable] = []
    for kind, name, source in graph.inputs:
        variables.append(kind.make_variable(name))
        variables[-1].source = source
    inputs = list(variables)
    variables.extend(graph.leaves)
    for op, reads, outs, source in graph.nodes:
        node = Apply(op, [variables[k] for k in reads], [out.type for out in outs])
        node.source = source
        for variable, flat in zip(node.outputs, outs, strict=True):
            variable.name, variable.source = flat.name, flat.source
        variables.extend(node.outputs)
    return inputs, [variables[k] for k in graph.outputs]


def restore(graph: FlatGraph) -> list[Variable]:
    """The outputs of a graph that was flattened without inputs."""
    return rebuild(graph)[1]
