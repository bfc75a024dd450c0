"""From installed distributions to checked plugins: find entry points, admit, import, validate, ask the hooks.

Not pluggy's own loader: there one plugin that cannot be imported loses all that come after it.
"""

from __future__ import annotations

import os
import re
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from inspect import getattr_static
from types import ModuleType
from typing import Any

import pluggy

from core import installed
from core import records as kinds
from core.dataclass import dataclass, field, replace
from core.errors import CoreWarning, PluginError, did_you_mean
from core.markers import API_GROUP, PROJECT
from core.registries import Registries
from core.registry import Entry, Source

REGISTRATION = {  # hook -> the record it returns
    "types": kinds.GraphType,
    "ops": kinds.OpPack,
    "rewrites": kinds.Rewrite,
    "lowerings": kinds.Lowering,
    "libraries": kinds.Library,
    "backends": kinds.Backend,
    "options": kinds.Option,
}
BEHAVIOUR = ("choose_backend", "instrument", "render", "commands")


class State(StrEnum):
    """loaded; blocked by the user; broken; incompatible with this core; in conflict with another."""

    LOADED = "loaded"
    BLOCKED = "blocked"
    BROKEN = "broken"
    INCOMPATIBLE = "incompatible"
    CONFLICT = "conflict"


@dataclass(frozen=True, sealed=True)
class Plugin:
    """A plugin as diagnostics show it: frozen, with what became of it, why, and what to do.

    ms is the time that its import and its registration hooks took, in milliseconds.
    """

    source: Source
    state: State
    cause: str = ""
    remedy: str = ""
    ms: float = 0.0
    entries: tuple[Entry[Any], ...] = field(default=(), repr=False)
    behaviour: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def counts(self) -> dict[str, int]:
        """How many records it gave through each hook, and 1 for each behaviour hook it implements."""
        counts = {hook: sum(isinstance(e.record, kind) for e in self.entries) for hook, kind in REGISTRATION.items()}
        counts.update(dict.fromkeys(self.behaviour, 1))
        return {hook: n for hook, n in counts.items() if n}

    def __str__(self) -> str:
        problem = "; ".join(filter(None, (self.cause, self.remedy)))
        return f"{self.source} is {self.state}: {problem}" if problem else f"{self.source} is {self.state}"


@dataclass(frozen=True, sealed=True)
class Found:
    """An entry point, not imported yet."""

    source: Source
    group: str
    load: Callable[[], Any]


def find() -> list[Found]:
    """The entry points of every ``core.vN`` group, by distribution and name.

    Of two copies of a distribution on the path the first counts, as it does for ``import``.  A distribution that speaks
    several versions, ours among them, is found once.
    """
    found = [
        Found(Source(point.name, point.dist, point.version), point.group, point.load)
        for point in installed.entry_points(re.compile(r"core\.v\d+"))
    ]
    speaking = {one.source.dist for one in found if one.group == API_GROUP}
    found = [one for one in found if one.group == API_GROUP or one.source.dist not in speaking]
    return sorted(found, key=lambda one: (normalized(one.source.dist), one.source.name, one.group))


def own_version() -> str:
    """The version of the installed core; empty when it runs from a folder that was never installed."""
    return installed.version_of(PROJECT)


def normalized(name: str) -> str:
    """A distribution's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def refusal(found: Found) -> Plugin | None:
    """The plugin as blocked or incompatible, or None when it may be imported."""
    allowed, denied = _names("CORE_PLUGINS"), _names("CORE_PLUGINS_DISABLE")
    own = {normalized(found.source.dist), normalized(found.source.name)}
    if own & denied:
        return Plugin(found.source, State.BLOCKED, "CORE_PLUGINS_DISABLE names it", "take it off that list")
    if allowed and not own & allowed:
        return Plugin(found.source, State.BLOCKED, "CORE_PLUGINS does not name it", "add it to that list")
    if found.group != API_GROUP:
        return Plugin(
            found.source,
            State.INCOMPATIBLE,
            f"it was written for {found.group}, and this core speaks {API_GROUP}",
            f"install a version of {found.source.dist} for {API_GROUP}, or a core for {found.group}",
        )
    return None


def _names(variable: str) -> set[str]:
    return {normalized(name.strip()) for name in os.environ.get(variable, "").split(",") if name.strip()}


def warn_of_unknown_names(found: Iterable[Found]) -> None:
    """A misspelt name in CORE_PLUGINS or CORE_PLUGINS_DISABLE would block, or let in, the wrong plugins."""
    known = {"core"}
    for one in found:
        known |= {normalized(one.source.dist), normalized(one.source.name)}
    for variable in ("CORE_PLUGINS", "CORE_PLUGINS_DISABLE"):
        for name in sorted(_names(variable) - known):
            message = f"{variable} names {name!r}, but no such plugin is installed.{did_you_mean(name, known)}"
            warnings.warn(message, CoreWarning, stacklevel=2)


def read_found(found: Found, manager: pluggy.PluginManager) -> Plugin:
    """Import the plugin and ask its registration hooks.  What fails makes it broken, with cause and remedy."""
    start = time.perf_counter()
    try:
        plugin = read(found.load(), found.source, manager)
    except (Exception, SystemExit) as error:  # a plugin may raise anything, and only itself must suffer
        plugin = Plugin(found.source, State.BROKEN, cause_of(error), remedy_for(error, found.source))
    return replace(plugin, ms=1e3 * (time.perf_counter() - start))


def read(module: Any, source: Source, manager: pluggy.PluginManager) -> Plugin:
    """Check an object with hook implementations and register it.  Errors: PluginError; then it is not registered."""
    start = time.perf_counter()
    try:
        manager.register(module, name=source.key)
    except (pluggy.PluginValidationError, ValueError) as error:
        if manager.get_plugin(source.key) is module:
            manager.unregister(name=source.key)
        raise PluginError(f"{source} does not fit the hooks: {error}") from error
    try:
        implemented = _implemented(module, source, manager)
        entries = tuple(entry for hook in implemented for entry in _ask(hook, module, source, manager))
        for conflict in Registries(entries).conflicts().values():
            raise PluginError(f"{source} contradicts itself: {conflict}")
    except BaseException:
        manager.unregister(name=source.key)
        raise
    behaviour = tuple(hook for hook in implemented if hook in BEHAVIOUR)
    ms = 1e3 * (time.perf_counter() - start)
    return Plugin(source, State.LOADED, ms=ms, entries=entries, behaviour=behaviour)


def _implemented(module: Any, source: Source, manager: pluggy.PluginManager) -> list[str]:
    """The hooks that a registered object implements, each of which must be one of ours."""
    known = (*REGISTRATION, *BEHAVIOUR)
    hidden = [name for name in known if isinstance(getattr_static(module, name, None), ModuleType)]  # imports nothing
    if hidden:
        raise PluginError(
            f"{source} has a module {module.__name__}.{hidden[0]}, which takes the place of its hook {hidden[0]}() "
            f"once it is imported; call the module something else"
        )
    implemented = []
    for caller in manager.get_hookcallers(module) or ():
        (implementation,) = [one for one in caller.get_hookimpls() if one.plugin is module]
        if caller.name not in known:
            if implementation.optionalhook:
                continue
            raise PluginError(
                f"{source} implements {caller.name!r}, which is no hook.{did_you_mean(caller.name, known)}"
            )
        if implementation.wrapper or implementation.hookwrapper:
            raise PluginError(f"{source} wraps the hook {caller.name!r}; hooks of core are implemented, not wrapped")
        implemented.append(caller.name)
    manager.check_pending()
    if not implemented:
        raise PluginError(f"{source} implements no hook; decorate its functions with @core.hookimpl")
    return implemented


def _ask(hook: str, module: Any, source: Source, manager: pluggy.PluginManager) -> Iterator[Entry[Any]]:
    kind = REGISTRATION.get(hook)
    if kind is None:
        return
    (implementation,) = [one for one in getattr(manager.hook, hook).get_hookimpls() if one.plugin is module]
    answer = implementation.function()
    if not isinstance(answer, Iterable):
        raise PluginError(f"{source} must return a list of {kind.__name__} from {hook}(), got {answer!r}")
    for record in answer:
        if not isinstance(record, kind):
            raise PluginError(f"{source} must return {kind.__name__} records from {hook}(), got {record!r}")
        yield Entry(record, source)


def cause_of(error: BaseException) -> str:
    """What went wrong, in one line."""
    text = str(error).strip().split("\n")[0]
    return text if isinstance(error, PluginError) else f"{type(error).__name__}: {text}".removesuffix(": ")


def remedy_for(error: BaseException, source: Source) -> str:
    """What the user can do about a plugin that failed with ``error``."""
    block = f"or block it with CORE_PLUGINS_DISABLE={source.name}"
    if isinstance(error, ModuleNotFoundError) and error.name:
        missing = error.name.partition(".")[0]
        return f"install what provides the module {missing!r}, reinstall {source.dist}, {block}"
    return f"upgrade or reinstall {source.dist}, {block}"
