"""Branches: what only one side of an ``ifelse`` needs goes into a graph of its own, which runs when that is taken.

In: a graph after rewriting, with IfElse nodes.  Out: a graph with Branch nodes, each with two graphs inside.  What both
sides need, or somebody else, stays outside.  Nodes that ask one condition share Branch nodes, as few as can be: a value
that the gradient of a branch needs of the branch itself is handed from one to the next.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, TypeAlias

import numpy as np

from core.graph import Apply, Constant, FunctionGraph, Type, Variable, clone_nodes
from core.inner import InnerGraph, InnerOp, Runs, owned
from core.op import Op
from core.tensor.ifelse import IfElse
from core.tensor.type import TensorType, constant

Path: TypeAlias = tuple[tuple[Variable, bool], ...]  # conditions and what they must be for a node to be needed


class Branch(InnerOp):
    """The outputs of ``then`` where the condition holds, else those of ``otherwise``; both are of the same inputs.

    Inputs   condition: bool, shape (); those of the graphs.      Outputs  of the given types.
    An output is an ``undefined`` of a graph where nobody reads it when that one is taken.
    """

    __props__ = ("then", "otherwise", "kinds")
    is_transparent = branches = True

    def __init__(self, then: InnerGraph, otherwise: InnerGraph, kinds: tuple[Type, ...]):
        self.then, self.otherwise, self.kinds = then, otherwise, kinds

    def __str__(self) -> str:
        return "Branch"

    __repr__ = __str__

    def make_node(self, *inputs: Any) -> Apply:
        return Apply(self, inputs, self.kinds)

    def inner_graphs(self) -> Mapping[str, InnerGraph]:
        return {"then": self.then, "else": self.otherwise}

    def with_inner_graphs(self, graphs: Mapping[str, InnerGraph]) -> Branch:
        return Branch(graphs["then"], graphs["else"], self.kinds)

    def performer(self, node: Apply, compiled: Callable[[InnerGraph], Runs]) -> Callable[..., None]:
        then, otherwise = compiled(self.then), compiled(self.otherwise)

        def perform(node: Apply, inputs: Sequence[Any], output_storage: Sequence[list]) -> None:
            condition, *given = inputs
            seen = set(map(id, given))
            for cell, value in zip(output_storage, (then if condition else otherwise)(given), strict=True):
                cell[0] = owned(value, seen)

        return perform

    def do_constant_folding(self, node: Apply) -> bool:
        return False


class Undefined(Op):
    """A value that nobody reads: zeros, with no elements where a length is not known."""

    __props__ = ("kind",)

    def __init__(self, kind: Type):
        self.kind = kind

    def make_node(self) -> Apply:
        return Apply(self, [], [self.kind])

    def perform(self, node: Apply, inputs: Sequence[Any], output_storage: Sequence[list]) -> None:
        kind = self.kind
        if isinstance(kind, TensorType):
            output_storage[0][0] = np.zeros(tuple(n or 0 for n in kind.shape), kind.dtype)


def packed(graph: FunctionGraph) -> FunctionGraph:
    """``graph`` itself, in which Branch nodes took the place of all IfElse nodes."""
    paths = paths_of(graph)
    members: dict[Variable, list[Apply]] = {}
    sides: dict[Variable, dict[Apply, bool]] = {}
    for node in graph.toposort():
        if paths[node]:
            condition, holds = paths[node][0]
            sides.setdefault(condition, {})[node] = holds
        elif isinstance(node.op, IfElse):
            members.setdefault(node.inputs[0], []).append(node)
    for condition, asking in members.items():  # what one of them makes may be the condition of another
        _Packing(graph, asking, sides.get(condition, {})).run()
    return graph


def paths_of(graph: FunctionGraph) -> dict[Apply, Path]:
    """For each node the conditions under which it is needed: what the ways from it to the outputs have in common."""
    paths: dict[Apply, Path] = {}
    for node in reversed(graph.toposort()):
        found: Path | None = None
        for out in node.outputs:
            for reader, position in graph.clients.get(out, ()):
                path = () if reader is None else _path_behind(reader, position, paths[reader])
                found = path if found is None else _common(found, path)
        paths[node] = found or ()
    return paths


def _path_behind(reader: Apply, position: int, path: Path) -> Path:
    if not isinstance(reader.op, IfElse) or not position:
        return path
    gate = reader.inputs[0], position <= reader.op.n
    return path if gate in path else (*path, gate)


def _common(one: Path, other: Path) -> Path:
    n = 0
    while n < min(len(one), len(other)) and one[n] == other[n]:
        n += 1
    return one[:n]


class _Packing:
    """Makes Branch nodes of all IfElse nodes of one condition that are needed whatever is taken.

    members  these nodes;  sides  for each node that only they need, on which side: both inputs first
    levels   number of the Branch to which each of them belongs: a later one needs something of outside that is made
             of what an earlier one gives
    """

    def __init__(self, graph: FunctionGraph, members: Sequence[Apply], sides: Mapping[Apply, bool]):
        self.graph, self.members, self.sides = graph, members, sides
        self.condition = members[0].inputs[0]
        if len(members) == 1:
            self.order = [*sides, *members]
            self.levels = dict.fromkeys(self.order, 0)
        else:
            self.order = graph.toposort()
            self.levels = self._leveled()

    def _leveled(self) -> dict[Apply, int]:
        own = {*self.members, *self.sides}
        earliest: dict[Apply, int] = {}
        for node in self.order:
            before = [x.owner for x in node.inputs if x.owner is not None]
            steps = [earliest[maker] + (maker in own and node not in own) for maker in before]
            earliest[node] = max(steps, default=0)
        levels = {node: earliest[node] for node in self.members}
        for node in reversed(self.order):
            if node in self.sides:  # as late as its first reader lets it be
                readers = (reader for out in node.outputs for reader, _ in self.graph.clients[out])
                levels[node] = min(levels[reader] for reader in readers if reader is not None)
        return levels

    def run(self) -> None:
        levels = sorted(set(self.levels.values()))
        nodes = {level: self._nodes_of(level) for level in levels}
        for level in levels:
            later = set().union(*(nodes[other] for other in levels if other > level))
            self._pack([node for node in self.order if node in nodes[level]], later)

    def _nodes_of(self, level: int) -> set[Apply]:
        """The nodes of a Branch: those of its level, and views that they read, which cost nothing to make again."""
        found: set[Apply] = set()
        for node in reversed(self.order):
            if self.levels.get(node) == level:
                found.add(node)
            if node in found:
                makers = (x.owner for x in node.inputs if x.owner is not None)
                found.update(maker for maker in makers if maker in self.sides and _is_view(maker))
        return found

    def _pack(self, nodes: Sequence[Apply], later: AbstractSet[Apply]) -> None:
        """One Branch, of ``nodes``, in its place in the graph.  What ``later`` ones read of it is handed to them."""
        members = [node for node in nodes if node not in self.sides]
        handed = [
            out
            for node in nodes
            if node in self.sides and node not in later
            for out in node.outputs
            if any(reader in later for reader, _ in self.graph.clients.get(out, ()))
        ]
        old = [*(out for node in members for out in node.outputs), *handed]
        made = {out for node in nodes for out in node.outputs}
        read = dict.fromkeys(x for node in nodes for x in node.inputs if x not in made)
        captured = [x for x in read if not isinstance(x, Constant) and x is not self.condition]
        kinds = tuple(out.type for out in old)
        graphs = [self._side(nodes, members, handed, captured, holds) for holds in (True, False)]
        node = Apply(Branch(graphs[0], graphs[1], kinds), [self.condition, *captured], kinds)
        node.source = next((member.source for member in members), None)
        for before, after in zip(old, node.outputs, strict=True):
            after.name, after.source = before.name, before.source
            if self.graph.clients.get(before):
                self.graph.replace(before, after, reason="branches")

    def _side(
        self,
        nodes: Sequence[Apply],
        members: Sequence[Apply],
        handed: Sequence[Variable],
        captured: Sequence[Variable],
        holds: bool,
    ) -> InnerGraph:
        """The graph of what is computed where the condition is ``holds``."""
        inputs = [x.type.make_variable(x.name) for x in captured]
        mapping: dict[Variable, Variable] = dict(zip(captured, inputs, strict=True))
        mapping[self.condition] = constant(holds)
        for node in nodes:
            if isinstance(node.op, IfElse) and node.inputs[0] is self.condition:
                taken = node.op.sides(node)[0 if holds else 1]
                mapping.update((out, mapping.get(x, x)) for out, x in zip(node.outputs, taken, strict=True))
            elif self.sides.get(node) is holds:
                clone_nodes([node], mapping)
        outputs = [mapping.get(out, out) for node in members for out in node.outputs]
        for out in handed:
            mine = self.sides[out.owner] is holds  # type: ignore[index]
            outputs.append(mapping[out] if mine else Undefined(out.type)())
        graph = packed(FunctionGraph(inputs, outputs, clone=False))
        return InnerGraph(graph.inputs, graph.outputs, clone=False)


def _is_view(node: Apply) -> bool:
    return bool(node.op.view_map) and len(node.outputs) == 1
