"""The graph: Type, Variable, Constant, Apply, FunctionGraph, and how to walk and copy them.

Knows no tensor.  Nothing here recurses: graphs are tens of thousands of nodes deep.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from core.errors import ArgumentError, DTypeError, GraphError, MissingInputError, attributed_to, user_line


class Type:
    """What values a variable may hold.  Types compare by value."""

    def filter(self, value: Any, strict: bool = False, allow_downcast: bool | None = None) -> Any:
        """``value`` as a value of this type.

        strict          accept only what is one already
        allow_downcast  True: precision may be lost; None: only a Python float may lose some
        Errors          DTypeError or ShapeError, naming what was expected and what came.
        """
        raise NotImplementedError(f"{type(self).__name__} has no filter")

    def is_super(self, other: Type) -> bool:
        """Whether each value of ``other`` is a value of this type."""
        return self == other

    def meet(self, other: Type) -> Type | None:
        """The type of the values that are of both types, or None when there are none."""
        return self if other.is_super(self) else other if self.is_super(other) else None

    def make_variable(self, name: str | None = None) -> Variable:
        return Variable(self, name=name)

    def make_constant(self, value: Any, name: str | None = None) -> Constant:
        return Constant(self, self.filter(value), name=name)

    def as_variable(self, value: Any) -> Variable:
        """``value`` as a variable of this type: itself, or a constant.  Errors: DTypeError."""
        if isinstance(value, Variable):
            if not self.is_super(value.type):
                raise DTypeError(f"expected {self}, got {value} of type {value.type}", blame=value)
            return value
        return self.make_constant(value)

    def values_equal(self, a: Any, b: Any) -> bool:
        return a == b

    def signature(self, value: Any) -> Any:
        """Something hashable that is equal for equal values; constants with equal signatures are merged."""
        return id(value)

    def __call__(self, name: str | None = None) -> Variable:
        return self.make_variable(name)


class NullType(Type):
    """The type of a gradient that is undefined or not implemented; ``why`` says which."""

    def __init__(self, why: str = "the gradient is undefined"):
        self.why = why

    def __repr__(self) -> str:
        return f"NullType({self.why!r})"


class DisconnectedType(Type):
    """The type of a gradient with respect to something that the cost does not depend on."""

    def __eq__(self, other: object) -> bool:
        return type(other) is DisconnectedType

    def __hash__(self) -> int:
        return hash(DisconnectedType)

    def __repr__(self) -> str:
        return "DisconnectedType()"


class Variable:
    """A value of the graph: an input (``owner`` is None) or output number ``index`` of the node ``owner``.

    ``source`` is the user's line that made it.
    """

    __slots__ = ("type", "owner", "index", "name", "source", "__weakref__")

    def __init__(self, type: Type, owner: Apply | None = None, index: int | None = None, name: str | None = None):
        if name is not None and not isinstance(name, str):
            raise ArgumentError(f"a variable's name must be a string, got {name!r} of type {name.__class__.__name__}")
        self.type, self.owner, self.index, self.name = type, owner, index, name
        self.source = user_line() if owner is None else owner.source

    def clone(self, name: str | None = None) -> Variable:
        """A new input of the same type, without an owner."""
        twin = self.type.make_variable(name if name is not None else self.name)
        twin.source = self.source
        return twin

    def __str__(self) -> str:
        if self.name is not None:
            return self.name
        if self.owner is None:
            return f"<{self.type}>"
        suffix = f".{self.index}" if len(self.owner.outputs) > 1 else ""
        return f"{self.owner.op}{suffix}"

    __repr__ = __str__


class Constant(Variable):
    """A variable whose value, ``data``, is known."""

    __slots__ = ("data",)

    def __init__(self, type: Type, data: Any, name: str | None = None):
        super().__init__(type, name=name)
        self.data = data

    def signature(self) -> Any:
        return (self.type, self.type.signature(self.data))

    def clone(self, name: str | None = None) -> Constant:
        """A constant is its own clone: it has no place in any one graph."""
        return self

    def __str__(self) -> str:
        return self.name if self.name is not None else f"{self.data}"

    __repr__ = __str__


class Apply:
    """One application of an op: ``outputs`` are made from their types, ``source`` is the user's line."""

    __slots__ = ("op", "inputs", "outputs", "source", "__weakref__")

    def __init__(self, op: Any, inputs: Sequence[Variable], outputs: Sequence[Type | Variable]):
        self.op, self.inputs, self.source = op, list(inputs), user_line()
        for position, variable in enumerate(self.inputs):
            if not isinstance(variable, Variable):
                raise ArgumentError(
                    f"{op} needs variables as inputs, but input {position} is {variable!r} "
                    f"of type {type(variable).__name__}"
                )
        for position, out in enumerate(outputs):
            if not isinstance(out, (Variable, Type)):
                raise ArgumentError(
                    f"{op} needs types or variables as outputs, but output {position} is {out!r} "
                    f"of type {type(out).__name__}"
                )
        self.outputs = [out if isinstance(out, Variable) else out.make_variable() for out in outputs]
        for index, out in enumerate(self.outputs):
            if out.owner is not None:
                raise GraphError(f"{op} cannot own {out}: it is an output of {out.owner.op} already", blame=out)
            out.owner, out.index, out.source = self, index, self.source

    @property
    def out(self) -> Variable:
        """The only output.  Errors: GraphError when there are several."""
        if len(self.outputs) != 1:
            raise GraphError(f"{self.op} has {len(self.outputs)} outputs, not one; take node.outputs[i]", blame=self)
        return self.outputs[0]

    def clone_with_new_inputs(self, inputs: Sequence[Variable]) -> Apply:
        """The same op on other inputs.  Output types are worked out anew only where an input's type has changed."""
        with attributed_to(self.source):
            if all(new.type == old.type for new, old in zip(inputs, self.inputs, strict=True)):
                node = Apply(self.op, inputs, [out.type for out in self.outputs])
            else:
                node = self.op.make_node(*inputs)
        node.source = self.source
        for new, old in zip(node.outputs, self.outputs, strict=True):
            new.name, new.source = old.name, old.source
        return node

    def __str__(self) -> str:
        return f"{self.op}({', '.join(map(str, self.inputs))})"

    __repr__ = __str__


# --- walking -------------------------------------------------------------------------------------------------------


def toposort(outputs: Iterable[Variable], stop_at: Iterable[Variable] = ()) -> list[Apply]:
    """The nodes that ``outputs`` need, each after those it reads.  Does not look past ``stop_at``."""
    stopped = (
        stop_at if isinstance(stop_at, (dict, set, frozenset)) else set(stop_at)
    )  # no copy: a graph's clients are many
    order: list[Apply] = []
    done: set[Apply] = set()
    for out in outputs:
        if out in stopped or out.owner is None or out.owner in done:
            continue
        stack: list[tuple[Apply, Iterator[Variable]]] = [(out.owner, iter(out.owner.inputs))]
        entered = {out.owner}
        while stack:
            node, pending = stack[-1]
            for variable in pending:
                owner = variable.owner
                if owner is None or owner in done or variable in stopped:
                    continue
                if owner in entered:
                    raise GraphError(f"the graph has a cycle through {owner.op}", blame=owner)
                entered.add(owner)
                stack.append((owner, iter(owner.inputs)))
                break
            else:
                stack.pop()
                entered.discard(node)
                done.add(node)
                order.append(node)
    return order


def ancestors(outputs: Iterable[Variable], stop_at: Iterable[Variable] = ()) -> Iterator[Variable]:
    """Each variable that ``outputs`` depend on, themselves included, once, nearest first."""
    stopped = stop_at if isinstance(stop_at, (set, dict)) else set(stop_at)
    seen = set()
    pending = list(outputs)[::-1]
    while pending:
        variable = pending.pop()
        if variable in seen:
            continue
        seen.add(variable)
        yield variable
        if variable.owner is not None and variable not in stopped:
            pending.extend(reversed(variable.owner.inputs))


def graph_inputs(outputs: Iterable[Variable], stop_at: Iterable[Variable] = ()) -> list[Variable]:
    """The variables without an owner (constants too) that ``outputs`` depend on."""
    return [variable for variable in ancestors(outputs, stop_at) if variable.owner is None]


def depends_on(outputs: Variable | Iterable[Variable], on: Variable | Iterable[Variable]) -> bool:
    """Whether any of ``outputs`` depends on any of ``on``."""
    targets = {on} if isinstance(on, Variable) else set(on)
    return any(variable in targets for variable in ancestors([outputs] if isinstance(outputs, Variable) else outputs))


def clone_nodes(nodes: Iterable[Apply], mapping: dict[Variable, Variable]) -> dict[Variable, Variable]:
    """Copy ``nodes``, given in topological order, reading through ``mapping``, which grows by the new outputs."""
    for node in nodes:
        twin = node.clone_with_new_inputs([mapping.get(variable, variable) for variable in node.inputs])
        for old, new in zip(node.outputs, twin.outputs, strict=True):
            mapping.setdefault(old, new)
    return mapping


Replacements: TypeAlias = Mapping[Variable, Any] | Iterable[tuple[Variable, Any]]


def clone_replace(output: Any, replace: Replacements | None = None) -> Any:
    """A copy of ``output`` (a variable or a sequence of them) in which each key of ``replace`` is its value.

    A value may be any array-like that the key's type accepts.  Inputs that are not replaced are shared with the
    original.  Errors: DTypeError when a replacement's type does not fit.
    """
    outputs = [output] if isinstance(output, Variable) else list(output)
    pairs = dict(replace or {})
    mapping = {old: old.type.as_variable(new) for old, new in pairs.items()}
    needed = toposort(outputs, stop_at=mapping)
    touched = set(mapping)
    changed = []
    for node in needed:  # only what depends on a replaced variable is copied
        if any(variable in touched for variable in node.inputs):
            touched.update(node.outputs)
            changed.append(node)
    clone_nodes(changed, mapping)
    cloned = [mapping.get(variable, variable) for variable in outputs]
    return cloned[0] if isinstance(output, Variable) else cloned


# --- FunctionGraph -------------------------------------------------------------------------------------------------


class FunctionGraph:
    """A graph with an end: its inputs, its outputs, and for every variable who reads it.

    ``clients[v]`` is an ordered set (a dict) of ``(node, position)``; for output number ``i`` of the graph the node is
    None and the position i.  ``replace`` keeps all of that true.  Listeners are called as
    ``listener(graph, old, new, reason)`` after each change.
    """

    def __init__(self, inputs: Sequence[Variable], outputs: Sequence[Variable], clone: bool = True):
        if len(set(inputs)) != len(inputs):
            raise GraphError("an input is given twice to a FunctionGraph")
        self.origin: dict[Variable, Variable] = {}  # from the variables given to those here
        if clone:
            self.origin = {variable: variable.clone() for variable in inputs if not isinstance(variable, Constant)}
            mapping = clone_nodes(toposort(outputs, stop_at=inputs), self.origin)
            inputs, outputs = [mapping[v] for v in inputs], [mapping.get(v, v) for v in outputs]
        self.inputs, self.outputs = list(inputs), list(outputs)
        self._given = set(self.inputs)
        self.clients: dict[Variable, dict[tuple[Apply | None, int], None]] = {variable: {} for variable in self.inputs}
        self.nodes: dict[Apply, None] = {}  # an ordered set
        self._order: list[Apply] | None = None  # the sorted nodes, until the next change
        self.listeners: list[Callable[[FunctionGraph, Variable, Variable, Any], None]] = []
        for position, variable in enumerate(self.outputs):
            self._import(variable, toposort([variable], stop_at=self.clients))
            self.clients[variable][None, position] = None

    def _import(self, variable: Variable, needed: Sequence[Apply]) -> None:
        """Take in a variable and the nodes that it needs and the graph may lack, sorted."""
        if variable in self.clients:
            return
        nodes = [node for node in needed if node not in self.nodes]
        self._check_given(variable, "an output")
        for node in nodes:
            for read in node.inputs:
                self._check_given(read, node.op)
        for node in nodes:
            self.nodes[node] = None
            for position, read in enumerate(node.inputs):
                self.clients.setdefault(read, {})[node, position] = None
            for out in node.outputs:
                self.clients.setdefault(out, {})
        self.clients.setdefault(variable, {})

    def _check_given(self, variable: Variable, reader: Any) -> None:
        if variable.owner is None and not isinstance(variable, Constant) and variable not in self.clients:
            raise MissingInputError(f"{variable} is needed to compute {reader} but was not given", blame=variable)

    def toposort(self) -> list[Apply]:
        """All nodes, each after those it reads."""
        if self._order is None:
            self._order = toposort(self.outputs, stop_at=self.inputs)
        return list(self._order)

    def replace(self, old: Variable, new: Variable, reason: Any = None) -> None:
        """Make every reader of ``old`` read ``new``.

        Errors: GraphError, and nothing has changed, unless ``old`` is in the graph, its type admits all of ``new``, and
        the new nodes do not read ``old`` themselves; MissingInputError when they read an input that the graph lacks.
        """
        if old is new:
            return
        who = reason or "replace"
        if old not in self.clients:
            raise GraphError(f"{who} cannot find {old} in the graph", blame=old)
        if not old.type.is_super(new.type):
            raise GraphError(f"{who} cannot put {new.type} in the place of {old.type}", blame=old)
        needed = toposort([new], stop_at=self.clients)
        if any(old in node.inputs for node in needed) and self.clients[old]:
            raise GraphError(f"{who} cannot put {new} in the place of {old}, which it reads", blame=old)
        self._import(new, needed)
        self._order = None
        if new.name is None and new.owner is not None:
            new.name = old.name
        readers = self.clients[old]
        self.clients[old] = {}
        for node, position in readers:
            if node is None:
                self.outputs[position] = new
            else:
                node.inputs[position] = new
            self.clients[new][node, position] = None
        self._prune(old)
        for listener in self.listeners:
            listener(self, old, new, reason)

    def _prune(self, variable: Variable) -> None:
        """Forget what nobody reads any more."""
        pending = [variable]
        while pending:
            variable = pending.pop()
            if self.clients.get(variable) or variable in self._given:
                continue
            node = variable.owner
            if node is None:
                self.clients.pop(variable, None)
                continue
            if node not in self.nodes or any(self.clients.get(out) for out in node.outputs):
                continue
            del self.nodes[node]
            for out in node.outputs:
                self.clients.pop(out, None)
            for position, read in enumerate(node.inputs):
                del self.clients[read][node, position]
                pending.append(read)

    def check(self) -> None:
        """Whether the books are right.  Errors: GraphError naming the first variable whose clients are wrong."""
        expected: dict[Variable, set[tuple[Apply | None, int]]] = {variable: set() for variable in self.inputs}
        for node in toposort(self.outputs, stop_at=self.inputs):
            if node not in self.nodes:
                raise GraphError(f"{node.op} is in the graph but not among its nodes", blame=node)
            for position, variable in enumerate(node.inputs):
                expected.setdefault(variable, set()).add((node, position))
        for position, variable in enumerate(self.outputs):
            expected.setdefault(variable, set()).add((None, position))
        for variable, readers in expected.items():
            if readers != set(self.clients.get(variable, ())):
                raise GraphError(f"the clients of {variable} are not those who read it", blame=variable)

    def clone(self) -> FunctionGraph:
        return FunctionGraph(self.inputs, self.outputs)
