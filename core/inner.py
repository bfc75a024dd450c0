"""Graphs inside of ops: InnerGraph, a graph that never changes, and InnerOp, what ops that hold some have in common.

How such a graph is rewritten is in rewriting/inside.py; how it is computed, in compile/interpreter.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, TypeAlias

from core.graph import Apply, Constant, FunctionGraph, Variable, clone_nodes, toposort
from core.op import Op
from core.pickling import FlatGraph, flatten, rebuild

Runs: TypeAlias = Callable[[Sequence[Any]], list[Any]]  # from the values of a graph's inputs to those of its outputs


class InnerGraph:
    """A copy of the graph from ``inputs`` to ``outputs`` that nobody changes.

    Two are equal if they compute the same in the same way: equal ops, types and constants, in the same places.  Names
    and lines of the user's program say nothing.
    Errors: MissingInputError for what ``outputs`` need, is no constant and is not among ``inputs``.
    """

    def __init__(self, inputs: Sequence[Variable], outputs: Sequence[Variable], clone: bool = True):
        graph = FunctionGraph(inputs, outputs, clone)
        self.inputs, self.outputs = tuple(graph.inputs), tuple(graph.outputs)
        self.nodes = tuple(graph.toposort())

    @classmethod
    def closed(cls, inputs: Sequence[Variable], outputs: Sequence[Variable]) -> tuple[InnerGraph, list[Variable]]:
        """The part of the graph of ``outputs`` that depends on ``inputs``, and the variables that it reads besides.

        These are the last inputs of the graph; whatever they are computed from stays outside.
        """
        inside, known, captured = set(inputs), set[Variable](), dict[Variable, None]()
        for node in toposort(outputs, stop_at=inside):
            if any(x in inside for x in node.inputs):
                inside.update(node.outputs)
                captured.update((x, None) for x in node.inputs)
            elif all(x in known or isinstance(x, Constant) for x in node.inputs):
                known.update(node.outputs)  # as good as constants
        captured.update((out, None) for out in outputs)
        read = [x for x in captured if x not in inside and x not in known and not isinstance(x, Constant)]
        return cls([*inputs, *read], outputs), read

    def toposort(self) -> list[Apply]:
        """All nodes, each after those it reads."""
        return list(self.nodes)

    def applied(self, inputs: Sequence[Variable]) -> list[Variable]:
        """New nodes that compute the outputs from other variables, which may be of more special types."""
        given = zip(self.inputs, inputs, strict=True)
        mapping: dict[Variable, Variable] = {own: own.type.as_variable(x) for own, x in given}
        clone_nodes(self.nodes, mapping)
        return [mapping.get(out, out) for out in self.outputs]

    def unfrozen(self) -> FunctionGraph:
        """A copy that may be changed."""
        return FunctionGraph(self.inputs, self.outputs)

    # --- identity ---------------------------------------------------------------------------------------------------

    @cached_property
    def _structure(self) -> tuple:
        """What is equal for equal graphs, and can be hashed."""
        names: dict[Variable, Any] = {x: number for number, x in enumerate(self.inputs)}

        def name(x: Variable) -> Any:
            return names[x] if x in names else x.signature()  # type: ignore[attr-defined]  # a constant

        lines = []
        for node in self.nodes:
            lines.append((node.op, *map(name, node.inputs), *(out.type for out in node.outputs)))
            for out in node.outputs:
                names[out] = len(names)
        return tuple(x.type for x in self.inputs), tuple(lines), tuple(map(name, self.outputs))

    @cached_property
    def _hash(self) -> int:
        return hash(self._structure)

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return isinstance(other, InnerGraph) and hash(self) == hash(other) and self._structure == other._structure

    def __hash__(self) -> int:
        return self._hash

    def __copy__(self) -> InnerGraph:
        return self

    def __deepcopy__(self, memo: dict) -> InnerGraph:
        return self

    def __reduce__(self) -> tuple:
        """Flat, so that deep graphs pickle."""
        return _restored, (flatten(self.outputs, self.inputs),)

    def __str__(self) -> str:
        return f"({', '.join(map(str, self.inputs))}) -> ({', '.join(map(str, self.outputs))})"

    __repr__ = __str__


def _restored(graph: FlatGraph) -> InnerGraph:
    return InnerGraph(*rebuild(graph), clone=False)


class InnerOp(Op):
    """An op that holds graphs.  Its ``__props__`` name what holds them, so that equal ops are merged.

    A subclass says which they are, makes the same op of other graphs, and says how a node is computed by means of
    functions of them.  The rest follows: rewriting reaches into them, printers show them, programs are recalled.

    is_transparent  whether the error of a node inside is passed on as it is
    computed_from  the props that say what is computed, where others say something else: a derivative, a name
    """

    is_transparent: ClassVar[bool] = False
    computed_from: ClassVar[tuple[str, ...]]
    repeats: ClassVar[bool] = False  # whether its graph is computed step by step: backends may have loops for that
    branches: ClassVar[bool] = False  # whether one of two graphs is computed: as above

    def __str__(self) -> str:
        """Without the graphs, which printers show below."""
        props = {name: getattr(self, name) for name in getattr(self, "__props__", ())}
        shown = ", ".join(f"{name}={value!r}" for name, value in props.items() if not isinstance(value, InnerGraph))
        return f"{type(self).__name__}({shown})" if shown else type(self).__name__

    __repr__ = __str__

    def inner_graphs(self) -> Mapping[str, InnerGraph]:
        """The graphs by what each is called where it is printed."""
        raise NotImplementedError(f"{type(self).__name__} needs inner_graphs")

    def with_inner_graphs(self, graphs: Mapping[str, InnerGraph]) -> InnerOp:
        """The same op of graphs that compute the same from inputs of the same types."""
        raise NotImplementedError(f"{type(self).__name__} needs with_inner_graphs")

    def opened(self, node: Apply) -> list[Variable] | None:
        """The outputs of ``node`` by nodes around it: what is lowered in its place.  None where that cannot be."""
        return None

    def performer(self, node: Apply, compiled: Callable[[InnerGraph], Runs]) -> Callable[..., None]:
        """What does as ``perform`` for ``node``; ``compiled`` makes a function of a graph, and is called but here.

        It is asked for once for each node of a function.  What a function of a graph returns may share memory with what
        it was given, with constants and with itself; ``owned`` makes copies where it does.
        """
        raise NotImplementedError(f"{type(self).__name__} needs performer")

    def perform(self, node: Apply, inputs: Sequence[Any], output_storage: Sequence[list]) -> None:
        """For whoever has no function: each call goes through the nodes anew.  Errors: see ``node_by_node``."""
        self.performer(node, node_by_node)(node, inputs, output_storage)


def owned(value: Any, seen: set[int]) -> Any:
    """``value``, copied if its memory may belong to something else, such as one whose ``id`` is in ``seen``.

    The result is added to that.
    """
    copy: Callable[[], Any] | None = getattr(value, "copy", None)
    if copy is not None and (id(value) in seen or getattr(value, "base", None) is not None or not _is_ours(value)):
        value = copy()
    seen.add(id(value))
    return value


def _is_ours(value: Any) -> bool:
    flags = getattr(value, "flags", None)
    return getattr(flags, "writeable", True)  # constants are not


def node_by_node(graph: InnerGraph) -> Runs:
    """A function that performs one node after the other.  Errors: BackendError for an op without ``perform``."""

    def run(arrays: Sequence[Any]) -> list[Any]:
        values: dict[Variable, Any] = dict(zip(graph.inputs, arrays, strict=True))

        def value(x: Variable) -> Any:
            return values[x] if x in values else x.data  # type: ignore[attr-defined]  # a constant

        for node in graph.nodes:
            cells: list[list] = [[None] for _ in node.outputs]
            node.op.perform(node, [value(x) for x in node.inputs], cells)
            values.update(zip(node.outputs, (cell[0] for cell in cells), strict=True))
        return [value(x) for x in graph.outputs]

    return run


def inner_ops(nodes: Iterable[Apply]) -> Iterator[tuple[Apply, InnerOp]]:
    """The nodes among ``nodes`` whose ops hold graphs, and these ops."""
    for node in nodes:
        if isinstance(node.op, InnerOp):
            yield node, node.op
