"""Fusion: which values one nest of loops makes together.

In: definitions whose lengths are decided (lengths.py).  Out: groups of items in the order in which they run.
Three steps, each linear in the graph: name the loops (loops.py), decide what is stored (storage.py), form groups.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from math import prod
from types import MappingProxyType

from core.dataclass import dataclass, replace
from core.ir.codes import Code
from core.ir.definitions import (
    Definition,
    FromLibrary,
    FromLoops,
    Lowered,
    Pointwise,
    Reduction,
    Scattering,
    Value,
    operands_of,
)
from core.ir.expr import Expr
from core.ir.guards import Guard
from core.ir.passes import accumulate, rows
from core.ir.passes.groups import Group, Item
from core.ir.passes.loops import name_loops
from core.ir.passes.storage import EXPENSIVE, inline, proved_at_entry
from core.ir.rebuild import lengths_in, loads_in
from core.ir.walk import walk

LARGEST_GROUP = 400  # nodes of one kernel: a C compiler's time grows faster than a function
MOST_REDUCTIONS = 12  # registers that the loops of one kernel fill side by side
LONG = 1 << 18  # iterations of the loops in a row, for one group
NEAR_GROUPS = 6  # how far back an item looks for a group to join, besides those that share a load


class Grouping:
    """Places items, given in an order in which they can run, into groups.

    tiles  whether the schedule lets tiles of columns run down the rows together
    checks  checks of indices: these run as soon as they can, but a group without one may wait for the first that reads
            it.  None: no group waits
    crowd  how many iterations of shared loops keep a device busy, of the ``extents`` of all loops; 0: no device
    """

    def __init__(
        self,
        requires: dict[Value, list[Value]],
        tiles: bool = True,
        became: Mapping[Expr, Value] = MappingProxyType({}),
        checks: Collection[Value] | None = None,
        crowd: int = 0,
        extents: Mapping[Expr, Expr] = MappingProxyType({}),
    ):
        self._became, self._checks = became, checks
        self._crowd, self._extents = crowd, extents
        self.groups: list[Group] = []
        self._place: dict[Value, int] = {}
        self._by_load: dict[Expr, list[int]] = {}
        self._scatters: list[int] = []  # the groups of scatters
        self._requires = requires
        self._tiles = tiles

    def alone(self, *items: Item, reads: Iterable[Value] = ()) -> None:
        """A group that nothing joins.  ``reads``: what it reads besides the loads of its items."""
        group = Group(frozenset(), closed=True, became=self._became)
        self._note_read(reads)
        for item in items:
            self._note_read(self._needs(item))
            group.add(item, frozenset())
            self._place[item.value] = len(self.groups)
        self.groups.append(group)

    def place_scatter(self, item: Item) -> None:
        """Let a scatter join those who make what it adds, or scatters that read the same memory, or be alone."""
        first = self._earliest(item)
        for position in self._candidates(item, first):
            group = self.groups[position]
            if _takes_scatter(group, item):
                self._note_read(value for value in self._needs(item) if self._place.get(value) != position)
                group.add(item, group.outer)
                group.closed = True  # its loop runs in order from now on
                self._place[item.value] = position
                return
        for position in reversed(self._scatters[-NEAR_GROUPS:]):
            if position >= first and _scatter_together(self.groups[position], item):
                self._note_read(self._needs(item))
                self.groups[position].add(item, frozenset())
                self._place[item.value] = position
                return
        self._scatters.append(len(self.groups))
        self.alone(item)

    def place(self, item: Item) -> None:
        """Let an item join the latest group that may have it and gains by it, else found a new one."""
        first = self._earliest(item)
        for position in [*self._candidates(item, first), *self._postponed(item)]:
            group = self.groups[position]
            outer = self._joined(item, group)
            if outer is not None:
                if position < first:
                    position = self._move_last(position)
                    group = self.groups[position]
                self._level(item, group)
                break
        else:
            position, group = len(self.groups), Group(frozenset(), became=self._became)
            outer = item.free | item.bound
            self.groups.append(group)
        self._note_read(value for value in self._needs(item) if self._place.get(value) != position)
        group.add(item, outer)
        self._place[item.value] = position
        for e in item.loads:
            places = self._by_load.setdefault(e, [])
            if not places or places[-1] != position:
                places.append(position)

    def _postponed(self, item: Item) -> list[int]:
        """The groups that ``item`` reads and nobody else has read: they may wait until it runs."""
        if self._checks is None:
            return []
        places = sorted({self._place[e.payload] for e in item.loads if e.payload in self._place}, reverse=True)
        waiting = [place for place in places if not self.groups[place].read]
        return [place for place in waiting if self.groups[place].values.keys().isdisjoint(self._checks)]

    def _move_last(self, position: int) -> int:
        """Let a group run after all others."""
        group = self.groups[position]
        self.groups[position] = Group(frozenset(), closed=True)
        self._place.update(dict.fromkeys(group.values, len(self.groups)))
        for e in group.loads:
            self._by_load[e].append(len(self.groups))
        self.groups.append(group)
        return len(self.groups) - 1

    def _needs(self, item: Item) -> list[Value]:
        """What must be there before an item runs."""
        return [*(e.payload for e in item.loads), *item.measures, *self._requires.get(item.value, ())]

    def _note_read(self, values: Iterable[Value]) -> None:
        for value in values:
            if value in self._place:
                self.groups[self._place[value]].read = True

    def _earliest(self, item: Item) -> int:
        first = 0
        for e in item.loads:
            first = max(first, self._place.get(e.payload, 0))
        for before in (*item.measures, *self._requires.get(item.value, ())):
            first = max(first, self._place.get(before, -1) + 1)
        return first

    def _candidates(self, item: Item, first: int) -> list[int]:
        near = range(max(first, len(self.groups) - NEAR_GROUPS), len(self.groups))
        found = set(near)
        for e in item.loads:
            found.update(place for place in self._by_load.get(e, ())[-2:] if place >= first)
        if self._crowd and first < near.start and _is_one_pass((*self.groups[first].items, item)):
            found.add(first)  # who made what it reads is far back, and does no more for it than goes over that anyway
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
            if own or not (self._crowd and within and _is_one_pass((*group.items, item))):
                return None  # where devices make it in one pass, a number may be made of what everything was reduced to
        if self._crowd and not own == outer == group.outer and self._is_lonely(outer, (*group.items, item)):
            if not _is_one_pass((*group.items, item)):
                return None
        if any(group.values[e.payload].bound & outer for e in within):
            return None
        shared = [e for e in item.loads if e in group.loads]
        again = any(group.values[e.payload].bound and group.values[e.payload].free & item.bound for e in within)
        if (again or not own <= outer) and _by_columns((*group.items, item), outer):
            across = any(other.bound & outer for other in (*group.items, item))
            if not self._tiles or across or all(e.free <= outer for e in shared):
                return None
        return outer if within or not own or shared else None

    def _is_lonely(self, outer: frozenset[Expr], items: Sequence[Item]) -> bool:
        """Whether few rows of a device would have so much to do each that most of it had nothing to do."""
        rows = outer.difference(*(item.bound for item in items))
        count = self._size(rows)
        if not rows or count is None or count * 2 > self._crowd:
            return False
        inside = [self._size((item.free | item.bound) - rows) for item in items]
        return None not in inside and max(n for n in inside if n is not None) >= LONG

    def _size(self, variables: Iterable[Expr]) -> int | None:
        """How many iterations loops over ``variables`` have, where that is known."""
        lengths = [self._extents[v] for v in variables]
        return prod(n.payload for n in lengths) if all(n.is_const for n in lengths) else None

    @staticmethod
    def _level(item: Item, group: Group) -> None:
        for e in item.loads:
            source = group.values.get(e.payload)
            if source is None:
                continue
            same_point = e.args == source.definition.axes and not source.bound
            item.level = max(item.level, source.level if same_point else source.level + 1)


def _is_one_pass(items: Sequence[Item]) -> bool:
    from core.ir.passes.one_pass import one_pass  # a CPU need not wait for that

    return one_pass(items) is not None


def _by_columns(items: Sequence[Item], outer: frozenset[Expr]) -> bool:
    """Whether sharing only ``outer`` would leave inner loops that mostly jump from row to row.

    Then tiles of columns run together (lanes.py): no gain unless the same elements are met again in each loop inside,
    and not to be done where something is reduced over the columns too.
    A value that grows in memory under these loops does not speak for them: in another order it is a register.
    """
    inside = frozenset().union(*(item.free | item.bound for item in items)) - outer
    balance = 0
    for item in items:
        read = [e.args for e in item.loads]
        for at in read if item.bound & outer and item.free & inside else (*read, item.definition.axes):
            if any(not inside.isdisjoint(i.free) for i in at):
                balance += 1 if inside.isdisjoint(at[-1].free) else -1
    return balance > 0


def _takes_scatter(group: Group, item: Item) -> bool:
    """Whether a scatter adds what a group makes, and can run in its loop: what is added is then never stored.

    That loop then runs in order, on one thread, so nothing in it may be worth several.
    """
    own, loop = item.definition, item.bound
    if own.combine is None or len(loop) != 1 or group.outer != loop or group.size + item.size > LARGEST_GROUP:
        return False
    if any(other.free | other.bound != loop for other in group.items):
        return False
    if any(e.payload in group.values for e in loads_in([own.base])):
        return False
    parts = walk([*own.at, own.value])
    within = [e for e in parts if e.code is Code.LOAD and e.payload in group.values]
    if any(group.values[e.payload].bound or e.args != group.values[e.payload].definition.axes for e in within):
        return False
    roots = [*parts, *walk([e for other in group.items for e in other.definition.expressions])]
    if any(e.code in (Code.CALL, Code.POW) and e.free and e.cost >= EXPENSIVE for e in roots):
        return False
    return bool(within)


def _scatter_together(group: Group, item: Item) -> bool:
    """Whether a scatter gains by running in the loops of a group of them, and reads nothing that they write."""
    own = item.definition
    if group.items[0].definition.bound != own.bound or group.size + item.size > LARGEST_GROUP:
        return False
    if any(e.payload in group.values for e in item.loads):
        return False
    within = walk([*own.at, own.value])
    return any(e.code is Code.LOAD and e.free and e in group.loads for e in within)


@dataclass
class Fused:
    """What fusion decided: groups in the order they run, how long each loop is, and what more must hold at entry."""

    groups: list[Group]
    definitions: dict[Value, Definition]
    extents: dict[Expr, Expr]
    guards: list[Guard]


def fuse(
    lowered: Lowered,
    guards: Sequence[Guard] = (),
    tiles: bool = True,
    scatters: bool = True,
    waits: bool = True,
    pulled: bool = False,
    crowd: int = 0,
    tall: bool | None = None,
) -> Fused:
    """Decide loops, storage and groups for a lowered graph whose lengths are decided, under ``guards``.

    tiles, scatters  whether tiles of columns may run together, and several scatters
    waits            whether a group may wait for the first that reads it, to share loops with that
    crowd            how many iterations of shared loops keep a device busy; 0: these are not spread out
    pulled           whether scatters that name each element at most once become elementwise work
    tall             whether rows go by blocks (row_blocks.py) where lengths do not say it; None: they never do
    """
    definitions = lowered.definitions
    if pulled:
        from core.ir.passes.pulled import pull  # a CPU need not wait for that

        definitions = pull(definitions)
    definitions, extents = name_loops(definitions)
    lowered = replace(lowered, definitions=definitions)
    decided = inline(lowered, guards)
    inlined, stored = decided.definitions, decided.stored
    guards = [*guards, *proved_at_entry(lowered, inlined)]
    hosts_read = {out: inputs for _, inputs, outputs in lowered.host_nodes for out in outputs}
    if accumulate.ROUTINE in lowered.provided:
        whole = {value for inputs in hosts_read.values() for value in inputs}
        written = {v: d for v, d in inlined.items() if v in stored or not isinstance(d, Pointwise)}
        inlined = accumulate.accumulate(written, {*lowered.outputs, *lowered.checks, *whole})
        found = None if tall is None else rows.find(lowered, inlined, guards)
        if found is not None:
            size = rows.sizes(found, inlined)
            decides = rows.guarded(size, bool(tall))
            guards = guards if decides is None else [*guards, decides]
            while found is not None and rows.pays(size, bool(tall)):
                from core.ir.passes.row_blocks import outlined  # nor who has no tall matrices for that

                inlined = outlined(found, size, lowered, inlined, extents)
                found = rows.sums_of_columns(lowered, inlined, guards, found.count)
                size = size if found is None else rows.sizes(found, inlined)
    grouping = Grouping(lowered.requires, tiles, decided.became, lowered.checks if waits else None, crowd, extents)
    hosts = {out: outputs for _, _, outputs in lowered.host_nodes for out in outputs}
    placed: set[Value] = set()
    for value, definition in _arguments_checked_first(inlined, lowered).items():
        if value in placed:
            continue
        if value in hosts or isinstance(definition, (FromLibrary, FromLoops)):
            together = hosts[value] if value in hosts else getattr(definition, "outputs", (value,))
            lengths = [e.payload for e in definition.loads]
            reads = [*operands_of(definition), *lengths, *hosts_read.get(value, ())]
            grouping.alone(*(Item(out, inlined[out], []) for out in together), reads=reads)
            placed.update(together)
        elif isinstance(definition, Scattering):
            (grouping.place_scatter if scatters else grouping.alone)(_item(value, definition))
        elif isinstance(definition, Reduction) or (isinstance(definition, Pointwise) and value in stored):
            grouping.place(_item(value, definition))
    return Fused([group for group in grouping.groups if group.items], inlined, extents, guards)


def _arguments_checked_first(inlined: dict[Value, Definition], lowered: Lowered) -> dict[Value, Definition]:
    """The same order but for checks that read arguments alone: what must come after one can then join any group."""
    arguments = {*lowered.inputs, *lowered.constants}
    early: dict[Value, Definition] = {}
    for value in lowered.checks:
        read = _read_by(value, inlined)
        extremes = [source for source in read if isinstance(inlined.get(source), Reduction)]
        read = [source for each in (value, *extremes) for source in _read_by(each, inlined) if source not in extremes]
        if read and arguments.issuperset(read):  # what Python makes comes from outside too, but later
            early.update((source, inlined[source]) for source in (*extremes, value))
    return {**early, **inlined}


def _read_by(value: Value, inlined: dict[Value, Definition]) -> list[Value]:
    parts = inlined[value].expressions if value in inlined else ()
    return list(dict.fromkeys([*(e.payload for e in loads_in(parts)), *(e.payload[0] for e in lengths_in(parts))]))


def _item(value: Value, definition: Definition) -> Item:
    parts = walk(definition.expressions)
    loads = [e for e in parts if e.code is Code.LOAD]
    lengths = (*definition.shape, *getattr(definition, "extents", ()))
    measures = {e.payload for e in loads_in(lengths)} if loads else set()
    measures.update(e.payload[0] for e in parts if e.code is Code.LENGTH)
    return Item(value, definition, loads, frozenset(measures), len(parts))
