"""What all loaded plugins offer, indexed: one table for each kind of record.

How an entry wins its key is in core/registry.py; which plugins there are, in core/plugins.py.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Hashable, Iterable
from functools import cached_property
from typing import Any

from core.errors import PluginError
from core.records import Backend, GraphType, Library, Lowering, OpPack, Option, Probe, Rewrite
from core.registry import Entry, Source, Table, describe_conflict, tied, winner


class Lowerings:
    """Lowerings by op and dialect.

    An op that a record names by a string is looked up once others have imported its module: before that no graph can
    hold it.
    """

    what = "the lowering of"

    def __init__(self, entries: Iterable[Entry[Lowering]]):
        self._by_op: dict[Any, list[Entry[Lowering]]] = defaultdict(list)
        self._pending: list[Entry[Lowering]] = []
        for entry in entries:
            if isinstance(entry.record.op, str):
                self._pending.append(entry)
            else:
                self._by_op[entry.record.op].append(entry)

    def _settle(self) -> None:
        """Look up the ops whose modules are there by now."""
        pending, self._pending = self._pending, []
        for entry in pending:
            if entry.record.op.partition(":")[0] in sys.modules:
                self._by_op[entry.load("op")].append(entry)
            else:
                self._pending.append(entry)

    def candidates(self, op: Any, dialect: str | None) -> tuple[Entry[Lowering], ...]:
        """The lowerings of ``op`` (an op or its class) in ``dialect``, the highest priority first."""
        if self._pending:
            self._settle()
        kind = op if isinstance(op, type) else type(op)
        if kind not in self._by_op and op not in self._by_op:  # most: the compiler asks for each node
            return ()
        found = [*self._by_op.get(kind, ()), *(self._by_op.get(op, ()) if kind is not op else ())]
        fitting = [entry for entry in found if entry.record.dialect in (None, dialect)]
        return tuple(sorted(fitting, key=lambda entry: -entry.priority))

    def get(self, op: Any, dialect: str | None, node: Any = None) -> Entry[Lowering] | None:
        """The lowering that wins for ``node``, or None.  Errors: PluginConflict on a tie."""
        serving = [entry for entry in self.candidates(op, dialect) if _serves(entry, node)]
        return winner(self.what, (_named(op), f"dialect {dialect}"), serving)

    def conflicts(self) -> list[tuple[Hashable, tuple[Entry[Lowering], ...]]]:
        """Op and dialect of lowerings that tie, of those that do not look at the node."""
        claims: dict[str, list[Entry[Lowering]]] = defaultdict(list)
        for entry in [*self._pending, *(entry for entries in self._by_op.values() for entry in entries)]:
            if entry.record.when is None:
                claims[_named(entry.record.op)].append(entry)
        out: list[tuple[Hashable, tuple[Entry[Lowering], ...]]] = []
        for op, entries in claims.items():
            for dialect in sorted({entry.record.dialect or "" for entry in entries}):
                fitting = [entry for entry in entries if entry.record.dialect in (None, dialect)]
                top = tied(sorted(fitting, key=lambda entry: -entry.priority))
                if len(top) > 1:
                    out.append(((op, f"dialect {dialect or 'any'}"), top))
        return out


def _named(op: Any) -> str:
    """``module:name`` of an op or its class, as in a record's string."""
    return op if isinstance(op, str) else f"{op.__module__}:{getattr(op, '__qualname__', op)}"


def _serves(entry: Entry[Lowering] | Entry[Library], node: Any) -> bool:
    return entry.record.when is None or node is None or bool(entry.load("when")(node))


class Libraries(Table[Library]):
    """Providers by routine and dialect.  Only those whose probe succeeds take part."""

    def probe(self, entry: Entry[Library]) -> Probe:
        """Whether a library works here, asked once."""
        if entry.record.probe is None:
            return Probe((entry.record.name,))
        return entry.probe(lambda: entry.load("probe")())

    def get(self, key: Hashable) -> Entry[Library] | None:
        """The provider of ``(routine, dialect)``, or None.  Errors: PluginConflict when two that work tie."""
        return winner(self.what, key, [entry for entry in self.candidates(key) if self.probe(entry).works])

    def serves(self, name: str, dialect: str, node: Any) -> bool:
        """Whether there is a provider of a routine, and it takes that node's calls."""
        entry = self.get((name, dialect))
        return entry is not None and _serves(entry, node)

    def routine(self, name: str, dialect: str) -> Any:
        """What the provider of a routine gives to bind it.

        Errors: PluginError where nobody provides it, or its provider gives something else; PluginConflict.
        """
        entry = self.get((name, dialect))
        if entry is None:
            raise PluginError(f"no library that works here provides {name!r} for the {dialect} backend")
        given = entry.load()
        if name not in given:
            raise PluginError(
                f"{entry.source} says that {entry.record.name!r} provides {name!r}, but gives no such routine"
            )
        return given[name]


class Registries:
    """An immutable view of what is offered; another is made when a plugin comes or goes."""

    def __init__(self, entries: Iterable[Entry[Any]]):
        self._entries = tuple(entries)

    def _of(self, kind: type) -> list[Entry[Any]]:
        return [entry for entry in self._entries if isinstance(entry.record, kind)]

    @cached_property
    def types(self) -> Table[GraphType]:
        """By name."""
        return Table("the type", [(entry.record.name, entry) for entry in self._of(GraphType)])

    @cached_property
    def ops(self) -> Table[OpPack]:
        """By namespace."""
        return Table("the namespace", [(entry.record.namespace, entry) for entry in self._of(OpPack)])

    @cached_property
    def rewrites(self) -> Table[Rewrite]:
        """By name and stage."""
        claims = [((entry.record.name, f"stage {entry.record.stage}"), entry) for entry in self._of(Rewrite)]
        return Table("the rewrite", claims)

    @cached_property
    def lowerings(self) -> Lowerings:
        """By op and dialect."""
        return Lowerings(self._of(Lowering))

    @cached_property
    def libraries(self) -> Libraries:
        """By routine and dialect."""
        claims = [
            ((name, entry.record.dialect), entry) for entry in self._of(Library) for name in entry.record.provides
        ]
        return Libraries("the routine", claims)

    @cached_property
    def backends(self) -> Table[Backend]:
        """By name."""
        return Table("the backend", [(entry.record.name, entry) for entry in self._of(Backend)])

    @cached_property
    def options(self) -> Table[Option]:
        """By name."""
        return Table("the option", [(entry.record.name, entry) for entry in self._of(Option)])

    def rewrite_records(self) -> list[tuple[str, Rewrite]]:
        """Distribution and record of every rewrite, as ``core.rewriting.with_records`` takes them.

        Errors  PluginConflict when two plugins use one name in one stage.
        """
        winners = [self.rewrites.get(key) for key in self.rewrites.keys()]
        return [(entry.source.dist, entry.record) for entry in winners if entry is not None]

    def conflicts(self) -> dict[Source, str]:
        """For each plugin that ties with another: the first conflict, in words."""
        out: dict[Source, str] = {}
        for index in (self.types, self.ops, self.rewrites, self.lowerings, self.libraries, self.backends, self.options):
            for key, entries in index.conflicts():
                for entry in entries:
                    out.setdefault(entry.source, describe_conflict(index.what, key, entries))
        return out
