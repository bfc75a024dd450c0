"""A record with the plugin that gave it, the table of such entries, the winner of a key, and the conflict of a tie.

Knows no plugin and imports none.  The tables there are, one for each kind of record, are in core/registries.py.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, Generic, TypeVar

from core.dataclass import dataclass, field
from core.errors import PluginConflict, PluginError
from core.records import Probe, load

R = TypeVar("R")


@dataclass(frozen=True)
class Source:
    """Who registered something: the plugin's name (that of its entry point), and the distribution that it came with."""

    name: str
    dist: str
    version: str = ""

    @property
    def key(self) -> str:
        """What tells it from every other plugin: two distributions may give their entry points one name."""
        return self.name if self.name == self.dist else f"{self.dist}:{self.name}"

    def __str__(self) -> str:
        return f"{self.dist} {self.version}".strip()


@dataclass(frozen=True, eq=False)
class Entry(Generic[R]):
    """A record and the plugin that it came from."""

    record: R
    source: Source
    _loaded: dict[str, Any] = field(default_factory=dict, repr=False)

    def load(self, name: str = "ref") -> Any:
        """What the reference in field ``name`` of the record stands for, imported once.  Errors: PluginError."""
        if name not in self._loaded:
            self._loaded[name] = load(getattr(self.record, name), f"{self.source}")
        return self._loaded[name]

    def probe(self, ask: Callable[[], Probe]) -> Probe:
        """What ``ask`` finds, asked once.  Never raises: whatever fails becomes the reason."""
        if "probe()" not in self._loaded:
            try:
                found = ask()
            except PluginError as error:
                found = Probe(reason=str(error))
            except Exception as error:  # a plugin may raise anything, and only itself must suffer
                found = Probe(reason=f"the probe of {self.source} failed with {type(error).__name__}: {error}")
            if not isinstance(found, Probe):
                found = Probe(reason=f"the probe of {self.source} must return a Probe, got {found!r}")
            self._loaded["probe()"] = found
        return self._loaded["probe()"]

    @property
    def priority(self) -> int:
        return getattr(self.record, "priority", 0)

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """What belongs into a cache key: the kind of record, its name, its distribution and that one's version."""
        name = getattr(self.record, "name", None) or getattr(self.record, "namespace", None) or repr(self.record)
        return type(self.record).__name__, str(name), self.source.dist, self.source.version


class Table(Generic[R]):
    """Entries by key.  The highest priority wins; a tie between plugins is a conflict, raised when the key is used."""

    def __init__(self, what: str, claims: Iterable[tuple[Hashable, Entry[R]]]):
        self.what = what
        self.claims: dict[Hashable, list[Entry[R]]] = defaultdict(list)
        for key, entry in claims:
            self.claims[key].append(entry)
        for entries in self.claims.values():
            entries.sort(key=lambda entry: -entry.priority)  # stable: ties stay in the order of registration

    def __contains__(self, key: Hashable) -> bool:
        return key in self.claims

    def keys(self) -> list[Any]:
        return list(self.claims)

    def candidates(self, key: Hashable) -> tuple[Entry[R], ...]:
        """Every claim of ``key``, the winner first."""
        return tuple(self.claims.get(key, ()))

    def get(self, key: Hashable) -> Entry[R] | None:
        """The entry that wins ``key``, or None.  Errors: PluginConflict, naming both distributions."""
        return winner(self.what, key, self.candidates(key))

    def conflicts(self) -> list[tuple[Hashable, tuple[Entry[R], ...]]]:
        """The keys that raise when they are used, with the entries of the tie."""
        ties = ((key, tied(self.candidates(key))) for key in self.claims)
        return [(key, entries) for key, entries in ties if len(entries) > 1]


def tied(entries: Sequence[Entry[R]]) -> tuple[Entry[R], ...]:
    """The entries that share the highest priority."""
    return tuple(entry for entry in entries if entry.priority == entries[0].priority)


def winner(what: str, key: Hashable, entries: Sequence[Entry[R]]) -> Entry[R] | None:
    """The first of ``entries``, which are sorted by priority.  Errors: PluginConflict on a tie."""
    top = tied(entries)
    if len(top) > 1:
        raise PluginConflict(describe_conflict(what, key, top))
    return top[0] if top else None


def describe_conflict(what: str, key: Hashable, entries: Sequence[Entry[Any]]) -> str:
    """``key`` is claimed twice: by whom, and what to do."""
    shown = " in ".join(map(str, key)) if isinstance(key, tuple) else str(key)
    by = " and ".join(sorted({f"{entry.source}" for entry in entries}))
    ask = "ask their authors to give one a higher priority, or " if hasattr(entries[0].record, "priority") else ""
    block = " or ".join(sorted({entry.source.dist for entry in entries}))
    return f"{what} {shown} is claimed by {by}; {ask}block one with CORE_PLUGINS_DISABLE={block}"
