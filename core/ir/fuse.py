"""Fusion: which values are stored, and which of them one nest of loops makes together.

In: definitions whose lengths are decided (lengths.py).  Out: groups of items in the order in which they run.
Three steps, each linear in the size of the graph: name the loops, decide what is stored, form the groups.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from core.ir.expr import Code, Expr, lengths_in, loads_in, make, rebuild, substitute, walk
from core.ir.program import (
    Definition,
    FromLibrary,
    FromLoops,
    Guard,
    Lowered,
    Pointwise,
    Reduction,
    Scattering,
    Value,
    expressions_of,
    operands_of,
)

EXPENSIVE = 16  # from this cost on, computing an element twice is worse than storing it
LARGEST_EXPRESSION = 120  # nodes of one inlined expression
LARGEST_GROUP = 400  # nodes of one kernel: a C compiler's time grows faster than a function
MOST_REDUCTIONS = 12  # registers that the loops of one kernel fill side by side
NEAR_GROUPS = 6  # how far back an item looks for a group to join, besides those that share a load


# --- 1. loops by name ----------------------------------------------------------------------------------------------


class LoopNames:
    """Union-find over index variables: variables of one class run over the same loop.

    Two variables of one value are never united, else ``x + x.T`` would collapse; a refused union only costs sharing.
    """

    def __init__(self) -> None:
        self._parent: dict[Expr, Expr] = {}
        self._owners: dict[Expr, set[Value]] = {}
        self.extents: dict[Expr, Expr] = {}

    def add(self, variable: Expr, extent: Expr, owner: Value) -> None:
        self._owners.setdefault(variable, set()).add(owner)
        self.extents[variable] = extent

    def find(self, variable: Expr) -> Expr:
        root = variable
        while root in self._parent:
            root = self._parent[root]
        while variable is not root:
            self._parent[variable], variable = root, self._parent[variable]
        return root

    def unite(self, a: Expr, b: Expr) -> None:
        a, b = self.find(a), self.find(b)
        if a is b or self.extents[a] is not self.extents[b]:
            return
        if len(self._owners[a]) < len(self._owners[b]):
            a, b = b, a
        if self._owners[a].isdisjoint(self._owners[b]):
            self._parent[b] = a
            self._owners[a] |= self._owners.pop(b)


def variables_of(definition: Definition) -> Iterator[tuple[Expr, Expr]]:
    """The loop variables of a definition with their extents: its axes, then what it is reduced or scattered over."""
    for axis, extent in zip(definition.axes, definition.shape, strict=True):
        if axis.code is Code.INDEX:
            yield axis, extent
    if isinstance(definition, (Reduction, Scattering)):
        yield from zip(definition.bound, definition.extents, strict=True)


def name_loops(definitions: dict[Value, Definition]) -> tuple[dict[Value, Definition], dict[Expr, Expr]]:
    """The definitions over shared loop variables, and each variable's extent."""
    names = LoopNames()
    for value, definition in definitions.items():
        for variable, extent in variables_of(definition):
            names.add(variable, extent, value)
    for definition in definitions.values():
        for e in loads_in(expressions_of(definition)):
            for i, axis in zip(e.args, definitions[e.payload].axes, strict=True):
                if i.code is Code.INDEX and axis.code is Code.INDEX and i in names.extents:
                    names.unite(i, axis)
    memo = {variable: names.find(variable) for variable in names.extents}
    extents = {variable: names.extents[variable] for variable in memo.values()}
    return {value: _over(definition, memo) for value, definition in definitions.items()}, extents


def _over(definition: Definition, memo: dict[Expr, Expr]) -> Definition:
    def new(e: Expr) -> Expr:
        return rebuild(e, lambda node, args: None, memo)

    def many(items: Iterable[Expr]) -> tuple[Expr, ...]:
        return tuple(map(new, items))

    axes = many(definition.axes)
    if isinstance(definition, Pointwise):
        return replace(definition, axes=axes, expr=new(definition.expr))
    if isinstance(definition, Reduction):
        return replace(definition, axes=axes, bound=many(definition.bound), body=new(definition.body))
    if isinstance(definition, Scattering):
        own = definition
        at, value = many(own.at), new(own.value)
        return replace(own, axes=axes, base=new(own.base), bound=many(own.bound), at=at, value=value)
    return replace(definition, axes=axes)


# --- 2. what is stored ---------------------------------------------------------------------------------------------


def demanded(lowered: Lowered) -> set[Value]:
    """The values that outputs need; a value whose length alone is asked for is not among them."""
    hosts = {out: (inputs, outputs) for _, inputs, outputs in lowered.host_nodes for out in outputs}
    needed: set[Value] = set()
    pending = list(lowered.outputs)
    while pending:
        value = pending.pop()
        if value in needed:
            continue
        needed.add(value)
        definition = lowered.definitions[value]
        parts = expressions_of(definition)
        pending.extend(e.payload for e in loads_in(parts))
        if hosts:
            pending.extend(e.payload[0] for e in lengths_in(parts) if e.payload[0] in hosts)
        pending.extend(operands_of(definition))
        pending.extend(lowered.requires.get(value, ()))
        if value in hosts:
            pending.extend(value for values in hosts[value] for value in values)
        if isinstance(definition, FromLoops):
            pending.extend(definition.outputs)
    return needed


def inline(lowered: Lowered) -> tuple[dict[Value, Definition], set[Value]]:
    """Definitions that read only stored values and reductions, and the set of pointwise values that are stored."""
    needed = demanded(lowered)
    readers: dict[Value, list[tuple[Value, tuple[Expr, ...]]]] = {}
    stored = set(lowered.outputs) | set(lowered.checks)
    for _, inputs, _ in lowered.host_nodes:
        stored.update(inputs)
    for value in lowered.definitions:
        if value not in needed:
            continue
        definition = lowered.definitions[value]
        stored.update(operands_of(definition))
        for e in loads_in(expressions_of(definition)):
            readers.setdefault(e.payload, []).append((value, e.args))
        lengths = (*definition.shape, *getattr(definition, "extents", ()))
        stored.update(e.payload for e in loads_in(lengths))  # a length read from memory
    inlined: dict[Value, Definition] = {}
    sizes: dict[Value, int] = {}
    twins: dict[Value, Value] = {}  # a reduction that equals an earlier one -> that one
    first: dict[tuple, Value] = {}
    for value, definition in lowered.definitions.items():
        if value not in needed:
            continue
        definition, size = _inline_into(definition, inlined, stored, sizes, twins)
        if isinstance(definition, Reduction) and value not in stored:
            key = (definition.combine, definition.axes, definition.bound, definition.body)
            twin = first.setdefault(key, value)
            if twin is not value:
                twins[value] = twin
                continue
        inlined[value] = definition
        if isinstance(definition, Pointwise):
            sizes[value] = size
            if value not in stored and _worth_storing(definition, size, readers.get(value, ()), lowered.definitions):
                stored.add(value)
    return inlined, stored


def _proved_at_entry(lowered: Lowered, inlined: dict[Value, Definition]) -> list[Guard]:
    """Checks that only compare a loop with an axis: they leave the program, and become guards on lengths."""
    guards = []
    for check in [value for value in inlined if value in lowered.checks]:
        definition = inlined[check]
        if not isinstance(definition, Reduction):
            continue
        body, extents = definition.body, dict(zip(definition.bound, definition.extents, strict=True))
        never = body.is_const and not body.payload
        if never or (body.code is Code.LE and body.args[1] in extents and not body.args[0].free):
            del inlined[check]
            if not never and extents[body.args[1]] is not body.args[0]:
                node = check.node
                guards.append(Guard("within", extents[body.args[1]], body.args[0], str(node.op), node))
    return guards


def _inline_into(
    definition: Definition,
    inlined: dict[Value, Definition],
    stored: set[Value],
    sizes: dict[Value, int],
    twins: dict[Value, Value],
) -> tuple[Definition, int]:
    """``definition`` with loads of values that are not stored replaced by what they are; and the size of that."""
    size = 1

    def change(node: Expr, args: tuple[Expr, ...]) -> Expr | None:
        nonlocal size
        if node.code is not Code.LOAD:
            return None
        if node.payload in twins:
            return make(Code.LOAD, node.dtype, args, twins[node.payload])
        source = inlined[node.payload]
        if not isinstance(source, Pointwise) or node.payload in stored:
            return None
        size += sizes[node.payload]
        mapping = {axis: i for axis, i in zip(source.axes, args, strict=True) if axis is not i}
        return substitute(source.expr, mapping)

    memo: dict[Expr, Expr] = {}

    def new(e: Expr) -> Expr:
        return rebuild(e, change, memo)

    if isinstance(definition, Pointwise):
        definition = replace(definition, expr=new(definition.expr))
        if size > LARGEST_EXPRESSION:
            size = len(walk([definition.expr]))
        return definition, size
    if isinstance(definition, Reduction):
        return replace(definition, body=new(definition.body)), size
    if isinstance(definition, Scattering):
        at = tuple(map(new, definition.at))
        return replace(definition, base=new(definition.base), at=at, value=new(definition.value)), size
    return definition, size


def _worth_storing(
    definition: Pointwise,
    size: int,
    reads: Iterable[tuple[Value, tuple[Expr, ...]]],
    definitions: dict[Value, Definition],
) -> bool:
    """Whether a pointwise value is better stored than computed by each of its readers."""
    if size > LARGEST_EXPRESSION:
        return True
    if definition.expr.cost < EXPENSIVE:
        return False
    if len({at for _, at in reads}) > 1:
        return True
    return any(_repeats(at, definitions[reader]) for reader, at in reads)


def _repeats(at: tuple[Expr, ...], reader: Definition) -> bool:
    """Whether the reader's loops come back to the same element: a loop that the index lacks lies outside one it has."""
    used = frozenset().union(*(i.free for i in at))
    order = [variable for variable, _ in variables_of(reader)]
    inner = max((k for k, variable in enumerate(order) if variable in used), default=-1)
    return any(variable not in used for variable in order[: max(inner, 0)])


# --- 3. groups -----------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class Item:
    """The work of storing one value, or of reducing to it.  ``level``: after which stages of its group it can run."""

    value: Value
    definition: Any
    loads: list[Expr]
    size: int = 1
    level: int = 0

    @property
    def accesses(self) -> list[tuple[Expr, ...]]:
        """The indices at which memory is read and written."""
        return [*(e.args for e in self.loads), self.definition.axes]

    @property
    def free(self) -> frozenset[Expr]:
        return frozenset(axis for axis in self.definition.axes if axis.code is Code.INDEX)

    @property
    def bound(self) -> frozenset[Expr]:
        return frozenset(self.definition.bound) if isinstance(self.definition, Reduction) else frozenset()


@dataclass(eq=False)
class Group:
    """Items that share the loops ``outer``.  A reduction over one of these is complete only after the group."""

    outer: frozenset[Expr]
    items: list[Item] = field(default_factory=list)
    values: dict[Value, Item] = field(default_factory=dict)
    loads: set[Expr] = field(default_factory=set)
    size: int = 0
    closed: bool = False  # nothing may join: scatters, library and host steps

    def add(self, item: Item, outer: frozenset[Expr]) -> None:
        self.outer = outer
        self.items.append(item)
        self.values[item.value] = item
        self.size += item.size
        self.loads.update(item.loads)


class Grouping:
    """Places items, given in an order in which they can run, into groups."""

    def __init__(self, requires: dict[Value, list[Value]], checks: dict[Value, str]):
        self.groups: list[Group] = []
        self._place: dict[Value, int] = {}
        self._by_load: dict[Expr, list[int]] = {}
        self._requires, self._checks = requires, checks

    def alone(self, *items: Item) -> None:
        """A group that nothing joins."""
        group = Group(frozenset(), closed=True)
        for item in items:
            group.add(item, frozenset())
            self._place[item.value] = len(self.groups)
        self.groups.append(group)

    def place(self, item: Item) -> None:
        """Let an item join the latest group that may have it and gains by it, else found a new one."""
        first = self._earliest(item)
        for position in self._candidates(item, first):
            group = self.groups[position]
            outer = self._joined(item, group)
            if outer is not None:
                self._level(item, group)
                break
        else:
            position, group = len(self.groups), Group(frozenset())
            outer = item.free | item.bound
            self.groups.append(group)
        group.add(item, outer)
        self._place[item.value] = position
        for e in item.loads:
            places = self._by_load.setdefault(e, [])
            if not places or places[-1] != position:
                places.append(position)

    def _earliest(self, item: Item) -> int:
        first = 0
        for e in item.loads:
            first = max(first, self._place.get(e.payload, 0))
        for check in self._requires.get(item.value, ()):
            first = max(first, self._place.get(check, -1) + 1)
        return first

    def _candidates(self, item: Item, first: int) -> list[int]:
        near = range(max(first, len(self.groups) - NEAR_GROUPS), len(self.groups))
        found = set(near)
        for e in item.loads:
            found.update(place for place in self._by_load.get(e, ())[-2:] if place >= first)
        return sorted(found, reverse=True)

    def _joined(self, item: Item, group: Group) -> frozenset[Expr] | None:
        """The loops that the group would share with ``item`` in it, or None when it may not join or gains nothing."""
        if group.closed or group.size + item.size > LARGEST_GROUP:
            return None
        if item.bound and sum(bool(other.bound) for other in group.items) >= MOST_REDUCTIONS:
            return None
        own = item.free | item.bound
        outer = group.outer & own
        within = [e for e in item.loads if e.payload in group.values]
        for e in within:
            source = group.values[e.payload]
            outer &= frozenset(axis for i, axis in zip(e.args, source.definition.axes, strict=True) if i is axis)
        if not outer and (own or any(other.free or other.bound for other in group.items)):
            return None
        if any(group.values[e.payload].bound & outer for e in within):
            return None
        if _strided(item, group, outer):
            return None
        useful = within or not own or any(e in group.loads for e in item.loads)
        return outer if useful else None

    @staticmethod
    def _level(item: Item, group: Group) -> None:
        for e in item.loads:
            source = group.values.get(e.payload)
            if source is None:
                continue
            same_point = e.args == source.definition.axes and not source.bound
            item.level = max(item.level, source.level if same_point else source.level + 1)


def _strided(item: Item, group: Group, outer: frozenset[Expr]) -> bool:
    """Whether sharing only ``outer`` would leave inner loops that mostly jump from row to row."""
    items = (*group.items, item)
    inside = frozenset().union(*(other.free | other.bound for other in items)) - outer
    balance = 0
    for at in (at for other in items for at in other.accesses):
        if any(not inside.isdisjoint(i.free) for i in at):
            balance += 1 if inside.isdisjoint(at[-1].free) else -1
    return balance > 0


@dataclass
class Fused:
    """What fusion decided: groups in the order they run, how long each loop is, and what more must hold at entry."""

    groups: list[Group]
    definitions: dict[Value, Definition]
    extents: dict[Expr, Expr]
    guards: list[Guard]


def fuse(lowered: Lowered) -> Fused:
    """Decide loops, storage and groups for a lowered graph whose lengths are decided."""
    definitions, extents = name_loops(lowered.definitions)
    lowered = replace(lowered, definitions=definitions)
    inlined, stored = inline(lowered)
    guards = _proved_at_entry(lowered, inlined)
    grouping = Grouping(lowered.requires, lowered.checks)
    hosts = {out: outputs for _, _, outputs in lowered.host_nodes for out in outputs}
    placed: set[Value] = set()
    for value, definition in inlined.items():
        if value in placed:
            continue
        if value in hosts or isinstance(definition, (FromLibrary, FromLoops)):
            together = hosts.get(value) or getattr(definition, "outputs", (value,))
            grouping.alone(*(Item(out, inlined[out], []) for out in together))
            placed.update(together)
        elif isinstance(definition, Scattering):
            grouping.alone(_item(value, definition))
        elif isinstance(definition, Reduction) or (isinstance(definition, Pointwise) and value in stored):
            grouping.place(_item(value, definition))
    return Fused(grouping.groups, inlined, extents, guards)


def _item(value: Value, definition: Definition) -> Item:
    parts = walk(expressions_of(definition))
    return Item(value, definition, [e for e in parts if e.code is Code.LOAD], len(parts))
