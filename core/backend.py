"""Which backend runs a function: by name, by object, by a plugin's choice, or the best that works here.

What a backend must offer is core.records.Backend; none is known here by name but those whose distribution we can name.
"""

from __future__ import annotations

import warnings
from typing import Any

from core import plugins
from core.dataclass import dataclass
from core.discovery import Plugin
from core.errors import BackendError, CoreWarning, PluginConflict, did_you_mean
from core.options import config
from core.records import Backend, Probe
from core.registry import Entry, Source

FIRST_PARTY = {"c": "plugin-backend-c", "opencl": "plugin-backend-opencl", "cuda": "plugin-backend-cuda"}
_noted: set[str] = set()  # notes that were said


@dataclass(frozen=True)
class Choice:
    """A backend that works: its record, its driver, and the number of the device (None: the driver's default)."""

    record: Backend
    driver: Any
    device: int | None = None
    source: Source | None = None

    @property
    def name(self) -> str:
        """What the user would write to get it: ``"c"``, ``"opencl:1"``."""
        return self.record.name if self.device is None else f"{self.record.name}:{self.device}"

    def __str__(self) -> str:
        return self.name


def resolve(backend: Any = None, graph: Any = None) -> Choice:
    """The backend to use.

    backend  a name, with a device if need be (``"opencl:0"``), a Backend record, a driver, or a Choice.  None: the
             option ``backend``, else what a plugin chooses for ``graph``, else the highest priority whose probe
             succeeds.
    Errors   BackendError when there is none of that name, or when it does not work here, with what to do.
    """
    if isinstance(backend, Choice):
        return backend
    if backend is None:
        backend = config.backend
    if backend is None:
        return _chosen(graph) or _best()
    if isinstance(backend, str):
        return _named(backend)
    return _given(backend)


def available_names() -> list[str]:
    """The names of the backends that work here, the best first."""
    return [name for name, probe in probes().items() if probe.works]


def probes() -> dict[str, Probe]:
    """What each backend found on this machine, by name, the highest priority first.  Asks every driver."""
    return {name: probe(name) for name in names()}


backends = probes  # the name that users know: core.backends()


def names() -> list[str]:
    """The names of all backends that plugins offer, the highest priority first, working or not."""
    table = plugins.registries().backends
    return sorted(table.keys(), key=lambda name: (-table.candidates(name)[0].priority, name))


def probe(name: str) -> Probe:
    """What the backend ``name`` found, asked once.  Never raises for a driver that fails: the reason says so."""
    try:
        entry = plugins.registries().backends.get(name)
    except PluginConflict as error:
        return Probe(reason=str(error))
    return Probe(reason=_unknown(name)) if entry is None else _probe(entry)


def _probe(entry: Entry[Backend]) -> Probe:
    return entry.probe(lambda: entry.load().probe())


def _named(text: str) -> Choice:
    name, _, device = text.partition(":")
    entry = plugins.registries().backends.get(name)
    if entry is None:
        raise BackendError(_unknown(name))
    found = _probe(entry)
    if not found.works:
        raise BackendError(f"backend {name!r} ({entry.source}) cannot be used here: {found}")
    return Choice(entry.record, entry.load(), _device(name, device, found) if device else None, entry.source)


def _device(name: str, device: str, found: Probe) -> int:
    """The number of a device given by its number or its name."""
    if device in found.devices:
        return found.devices.index(device)
    if device.isdecimal() and int(device) < len(found.devices):
        return int(device)
    offered = ", ".join(f"{name}:{number} ({one})" for number, one in enumerate(found.devices))
    raise BackendError(
        f"backend {name!r} has no device {device!r}; it has {offered}.{did_you_mean(device, found.devices)}"
    )


def _given(backend: Any) -> Choice:
    if isinstance(backend, Backend):
        entry = Entry(backend, Source(backend.name, f"the backend {backend.name!r}"))
        return Choice(backend, entry.load(), None, entry.source)
    if hasattr(backend, "compile_graph"):
        dialect = None
    elif hasattr(backend, "compile") and isinstance(getattr(backend, "dialect", None), str):
        dialect = backend.dialect
    else:
        raise BackendError(
            f"backend= needs a name, a Backend record, or a driver with compile_graph, or with compile and dialect; "
            f"got {backend!r} of type {type(backend).__name__}"
        )
    return Choice(Backend(getattr(backend, "name", type(backend).__name__), dialect, backend), backend)


def _chosen(graph: Any) -> Choice | None:
    """What a plugin chose through the hook choose_backend."""
    answer = plugins.call_first("choose_backend", graph=graph, candidates=tuple(names()))
    if answer is None:
        return None
    source, name = answer
    try:
        return _named(str(name))
    except BackendError as error:
        raise BackendError(f"{source} chose backend {name!r}, but: {error}") from error


def _best() -> Choice:
    """The highest priority whose probe succeeds; a backend that compiles nothing comes with a note, said once."""
    failed: list[str] = []
    for name in names():
        found = probe(name)
        if found.works:
            choice = _named(name)
            if choice.record.dialect is None:
                _note(name, failed)
            return choice
        failed.append(f"{name}: {found}")
    raise BackendError(f"no backend works here: {'; '.join(failed)}")


def _note(name: str, failed: list[str]) -> None:
    why = "; ".join(failed + plugins.problems()) or f"none is installed: pip install {FIRST_PARTY['c']}"
    message = f"no compiling backend works here, so functions run in the slower {name!r} ({why})"
    if message not in _noted:
        _noted.add(message)
        warnings.warn(message, CoreWarning, stacklevel=2)


def _unknown(name: str) -> str:
    """Why there is no backend of this name, and what to do."""
    known = names()
    provider = FIRST_PARTY.get(name)
    message = f"there is no backend {name!r}; there are {', '.join(known)}."
    guess = did_you_mean(name, [*known, *FIRST_PARTY])
    if provider is None:
        problems = plugins.problems()
        return message + guess + (f"  Perhaps it belongs to one of these: {'; '.join(problems)}" if problems else "")
    installed: list[Plugin] = [plugin for plugin in plugins.plugins() if plugin.source.dist == provider]
    if installed:
        return f"{message}  {installed[0]}"
    return f"{message}  It comes with {provider}: pip install {provider}"
