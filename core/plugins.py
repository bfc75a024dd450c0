"""The plugins of this process: discovered once, when first asked for, and the registries of what they offer.

``register`` adds a plugin by hand (a notebook, a test); ``plugins()`` is what diagnostics show.  How a plugin is found
and checked is in core/discovery.py, how what it offers is indexed in core/registries.py.
"""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import pluggy

from core import codebase, discovery, hookspecs, installed, own_plugin
from core.dataclass import fields, replace
from core.discovery import Plugin, State
from core.errors import CoreWarning, PluginError, did_you_mean
from core.markers import PROJECT
from core.registries import Registries
from core.registry import Source


class Codebase(NamedTuple):
    """The packages of core and of the plugins that are loaded, and what changes with any file of them."""

    packages: frozenset[str]
    digest: str


class _Plugins:
    """The one mutable thing: which plugins there are, by key.  Every change happens under the lock."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.reset()

    def reset(self) -> None:
        with self.lock:
            self.manager = pluggy.PluginManager(PROJECT)
            self.manager.add_hookspecs(hookspecs)
            self.installed: dict[str, Plugin] = {}
            self.registered: dict[str, Plugin] = {}
            self.discovered = self.discovering = False
            self.view: Registries | None = None
            self.code: tuple[Registries, Codebase | None] | None = None  # of which view

    def known(self) -> dict[str, Plugin]:
        """Core first, then what is installed, then what was registered by hand."""
        self.discover()
        with self.lock:
            return {**self.installed, **self.registered}

    def discover(self) -> None:
        if self.discovered:
            return
        with self.lock:
            if self.discovered:
                return
            if self.discovering:
                raise PluginError(
                    "a plugin asked what plugins offer while plugins were being read; it must ask in a function"
                )
            self.discovering = True
            try:
                self.installed = self._read_installed()
            finally:
                self.discovering = False
            self.view, self.discovered = None, True

    def _read_installed(self) -> dict[str, Plugin]:
        found = discovery.find()
        discovery.warn_of_unknown_names(found)
        own = discovery.read(own_plugin, Source(PROJECT, PROJECT, discovery.own_version()), self.manager)
        out = {own.source.key: own}
        try:
            for one in found:
                plugin = discovery.refusal(one) or discovery.read_found(one, self.manager)
                if plugin.state in (State.BROKEN, State.INCOMPATIBLE) and _strict():
                    raise PluginError(f"{plugin}  (CORE_PLUGINS_STRICT is set)")
                out[plugin.source.key] = plugin
        except BaseException:  # as if nothing had been read: the next one to ask reads again
            for key in filter(self.manager.has_plugin, out):
                self.manager.unregister(name=key)
            raise
        return out

    def registries(self) -> Registries:
        view = self.view  # the compiler asks for each node
        if view is not None:
            return view
        with self.lock:
            if self.view is None:
                loaded = [plugin for plugin in self.known().values() if plugin.state is State.LOADED]
                self.view = Registries(entry for plugin in loaded for entry in plugin.entries)
            return self.view

    def disable(self, key: str, error: BaseException) -> Plugin:
        """A plugin that failed when it was called is broken from now on."""
        with self.lock:
            where = self.registered if key in self.registered else self.installed
            remedy = discovery.remedy_for(error, where[key].source)
            where[key] = replace(where[key], state=State.BROKEN, cause=discovery.cause_of(error), remedy=remedy)
            self.view = None
            if self.manager.has_plugin(key):
                self.manager.unregister(name=key)
            return where[key]


_all = _Plugins()


def registries() -> Registries:
    """What all plugins offer.  The first call discovers them.  Errors: PluginError when CORE_PLUGINS_STRICT is set."""
    return _all.registries()


def loaded_code() -> Codebase | None:
    """The code that decides what becomes of a graph; None where it cannot be told from that of another process.

    That is so for a plugin that was registered by hand.  What packages of plugins import from elsewhere is told by the
    versions of all distributions.
    """
    view = _all.registries()
    with _all.lock:
        if _all.code is None or _all.code[0] is not view:
            _all.code = view, _loaded_code()
        return _all.code[1]


def _loaded_code() -> Codebase | None:
    loaded = {key: plugin for key, plugin in _all.known().items() if plugin.state is State.LOADED}
    if not loaded.keys().isdisjoint(_all.registered):
        return None
    packages = frozenset(name for key, plugin in loaded.items() for name in _packages(key, plugin))
    versions = [f"{plugin.source.key} {plugin.source.version}" for plugin in loaded.values()]
    told = codebase.digest(packages, [sys.version, *versions, *installed.distributions()])
    return None if told is None else Codebase(packages, told)


def _packages(key: str, plugin: Plugin) -> Iterator[str]:
    """The top-level packages of a plugin: its own, and those that its records name."""
    yield getattr(_all.manager.get_plugin(key), "__name__", "").partition(".")[0]
    for entry in plugin.entries:
        for field in fields(entry.record):
            reference = getattr(entry.record, field.name)
            if field.type == "Reference" and isinstance(reference, str):
                yield reference.partition(":")[0].partition(".")[0]


def is_implemented(hook: str) -> bool:
    """Whether any plugin implements a behaviour hook."""
    _all.discover()
    return bool(getattr(_all.manager.hook, hook).get_hookimpls())


def plugins() -> tuple[Plugin, ...]:
    """Every plugin that is installed or registered, core first, with its state; a frozen snapshot."""
    conflicts = registries().conflicts()
    return tuple(
        replace(plugin, state=State.CONFLICT, cause=conflicts[plugin.source])
        if plugin.state is State.LOADED and plugin.source in conflicts
        else plugin
        for plugin in _all.known().values()
    )


def problems() -> list[str]:
    """What is broken or incompatible, in words: for whoever asked in vain, since it may have been one of these."""
    return [str(plugin) for plugin in plugins() if plugin.state in (State.BROKEN, State.INCOMPATIBLE)]


def register(plugin: Any, name: str | None = None) -> None:
    """Add a plugin by hand: a module, or any object whose attributes are marked with ``@core.hookimpl``.

    Errors  PluginError when it fits no hook, returns something else than records, or its name is taken.
    """
    name = name or getattr(plugin, "__name__", None) or f"{type(plugin).__name__}-{id(plugin):x}"
    source = Source(name, name, str(getattr(plugin, "__version__", "")))
    with _all.lock:
        if name in _all.known():
            raise PluginError(f"a plugin named {name!r} is registered already; unregister it first")
        try:
            _all.registered[name] = discovery.read(plugin, source, _all.manager)
        except PluginError:
            raise
        except Exception as error:
            raise PluginError(f"{name} cannot be registered: {discovery.cause_of(error)}") from error
        _all.view = None


def unregister(plugin: Any) -> None:
    """Take away what ``register`` added, given the object or its name.  Errors: PluginError when it is unknown."""
    with _all.lock:
        name = plugin if isinstance(plugin, str) else _all.manager.get_name(plugin)
        if name not in _all.registered:
            raise PluginError(f"no plugin {plugin!r} was registered by hand.{did_you_mean(str(name), _all.registered)}")
        del _all.registered[name]
        _all.view = None
        if _all.manager.has_plugin(name):
            _all.manager.unregister(name=name)


def reset() -> None:
    """Forget every plugin, those added by hand included; the next one to ask discovers anew.  For tests."""
    _all.reset()


def leave_out(source: Source, error: BaseException) -> bool:
    """An installed plugin that failed when something of it was needed is broken from now on, with a warning.

    False for core's own records and for what was registered by hand, whose author is there to see the error itself.
    Errors: PluginError when CORE_PLUGINS_STRICT is set.
    """
    if source.key == PROJECT or source.key not in _all.installed:
        return False
    broken = _all.disable(source.key, error)
    if _strict():
        raise PluginError(f"{broken}  (CORE_PLUGINS_STRICT is set)") from error
    warnings.warn(f"{broken}", CoreWarning, stacklevel=3)
    return True


def call_each(hook: str, **arguments: Any) -> Iterator[tuple[Source, Any]]:
    """Call a behaviour hook plugin by plugin, the latest registered first.  Yields who answered and what, without None.

    One that raises is disabled, with a warning, and left out.  Errors: PluginError when CORE_PLUGINS_STRICT is set.
    """
    known = _all.known()
    for implementation in reversed(getattr(_all.manager.hook, hook).get_hookimpls()):
        try:
            answer = implementation.function(*(arguments[name] for name in implementation.argnames))
        except Exception as error:
            broken = _all.disable(implementation.plugin_name, error)
            if _strict():
                raise PluginError(f"{broken}  (in the hook {hook}; CORE_PLUGINS_STRICT is set)") from error
            warnings.warn(f"{broken}  (in the hook {hook})", CoreWarning, stacklevel=2)
            continue
        if answer is not None:
            yield known[implementation.plugin_name].source, answer


def call_first(hook: str, **arguments: Any) -> tuple[Source, Any] | None:
    """The first answer of ``call_each``, or None."""
    return next(call_each(hook, **arguments), None)


def _strict() -> bool:
    return os.environ.get("CORE_PLUGINS_STRICT", "") not in ("", "0")
