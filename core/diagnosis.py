"""What ``core plugins``, ``core doctor`` and ``core why`` say, as data and as plain aligned text.

The commands themselves are in cli.py.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from core import backend, cachedir, ops, plugins
from core.dataclass import dataclass
from core.discovery import API_GROUP, Plugin, State
from core.errors import ArgumentError, CoreError, PluginError, did_you_mean
from core.markers import PROJECT
from core.op import Op
from core.options import config
from core.records import Backend, Probe, load
from core.registry import Entry, winner
from core.threads import get_num_threads

SLOW_MS = 100  # a plugin's module needs 1 to 5
PROBLEMS = (State.BROKEN, State.INCOMPATIBLE, State.CONFLICT)


def table(rows: Iterable[Sequence[Any]], header: Sequence[str]) -> str:
    """Rows under a header, each column as wide as its widest cell."""
    cells = [list(header), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    return "\n".join("  ".join(cell.ljust(n) for cell, n in zip(row, widths, strict=True)).rstrip() for row in cells)


# --- core plugins ---------------------------------------------------------------------------------------------------


def describe_plugins() -> list[dict[str, Any]]:
    """Every plugin as plain data: what ``core plugins --json`` prints."""
    return [
        {
            "name": plugin.name,
            "state": str(plugin.state),
            "dist": plugin.source.dist,
            "version": plugin.source.version,
            "ms": round(plugin.ms, 2),
            "counts": plugin.counts,
            "probes": {name: _probe_data(found) for name, found in _probes_of(plugin).items()},
            "cause": plugin.cause,
            "remedy": plugin.remedy,
        }
        for plugin in plugins.plugins()
    ]


def _probes_of(plugin: Plugin) -> dict[str, Probe]:
    """What the backends of a plugin find here; none is asked of a plugin that is not in use."""
    if plugin.state is not State.LOADED:
        return {}
    return {e.record.name: backend.probe(e.record.name) for e in plugin.entries if isinstance(e.record, Backend)}


def _probe_data(found: Probe) -> dict[str, Any]:
    return {"works": found.works, "devices": list(found.devices), "reason": found.reason, "remedy": found.remedy}


def plugins_text() -> str:
    """The table of plugins, and under it what is wrong with which."""
    rows, problems = [], []
    for plugin in plugins.plugins():
        offers = ", ".join(f"{hook} {n}" for hook, n in plugin.counts.items()) or "-"
        found = "; ".join(f"{name}: {one if one.works else 'no'}" for name, one in _probes_of(plugin).items()) or "-"
        rows.append((plugin.state, plugin.source.dist, plugin.source.version or "-", f"{plugin.ms:.1f}", offers, found))
        if plugin.cause:
            problems.append(f"{plugin}")
        if plugin.ms > SLOW_MS and plugin.source.dist != PROJECT:
            problems.append(
                f"{plugin.source} takes long to import ({plugin.ms:.0f} ms), which every process that compiles pays; "
                f"its author should name what is heavy by a string"
            )
        problems += [f"{name}: {one}" for name, one in _probes_of(plugin).items() if not one.works]
    text = table(rows, ("STATE", "DIST", "VERSION", "MS", "OFFERS", "WORKS ON"))
    return "\n\n".join(filter(None, (text, "\n".join(problems))))


# --- core doctor ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Finding:
    """One line of the doctor.  ``ok`` is None for what is neither good nor bad."""

    what: str
    found: str
    ok: bool | None = None

    def __str__(self) -> str:
        mark = {True: "ok", False: "PROBLEM", None: "-"}[self.ok]
        return f"{mark:8} {self.what:22} {self.found}".rstrip()


def doctor() -> list[Finding]:
    """Everything that decides how well core works here."""
    own = plugins.plugins()[0]
    out = [
        Finding("core", f"{own.source.version or 'not installed'}, plugin interface {API_GROUP}, {_folder()}"),
        Finding("python", f"{platform.python_version()} ({platform.python_implementation()}) {sys.executable}"),
        Finding("numpy", np.__version__),
        Finding("platform", f"{platform.platform()}, {platform.machine()}, {os.cpu_count()} CPUs"),
        Finding("threads", f"{get_num_threads()} for a call; CORE_NUM_THREADS or core.num_threads(n) limits them"),
        *_compilers(),
        *_backends(),
        _cache(),
    ]
    out += [Finding(f"option {name}", *_option(name)) for name in config.names()]
    for plugin in plugins.plugins():
        problem = "; ".join(filter(None, (plugin.cause, plugin.remedy)))
        ok = False if plugin.state in PROBLEMS else True if plugin.state is State.LOADED else None
        found = f"{plugin.source.version} {plugin.state}".strip() + (f": {problem}" if problem else "")
        out.append(Finding(f"plugin {plugin.source.dist}", found, ok))
    return out


def _folder() -> str:
    return os.path.dirname(os.path.abspath(__file__))


def _compilers() -> list[Finding]:
    names = [*shlex.split(os.environ.get("CC", ""))[:1], "gcc", "clang", "cc", "zig", "nvcc"]
    found = [(name, shutil.which(name)) for name in dict.fromkeys(names)]
    out = [Finding(f"compiler {name}", f"{path}  {_version(path)}".rstrip()) for name, path in found if path]
    if importlib.util.find_spec("ziglang") is not None:
        out.append(Finding("compiler ziglang", f"{sys.executable} -m ziglang"))
    return out or [Finding("compilers", "none found; install gcc or clang, or: pip install ziglang")]


def _version(path: str) -> str:
    """The first line of ``path --version``."""
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=False).stdout
    except (OSError, subprocess.SubprocessError) as error:
        return f"does not run: {error}"
    return said.partition("\n")[0]


def _backends() -> list[Finding]:
    """Each device, by its number where there are several.  A backend without one is no problem; none that works is."""
    found, out = backend.probes(), []
    for name, one in found.items():
        if len(one.devices) > 1:
            out += [Finding(f"backend {name}:{number}", device, True) for number, device in enumerate(one.devices)]
        else:
            out.append(Finding(f"backend {name}", str(one), True if one.works else None))
    try:
        out.append(Finding("best backend", next(name for name, one in found.items() if one.works), True))
    except StopIteration:
        out.append(Finding("best backend", "none works", False))
    return out


def _option(name: str) -> tuple[str, bool | None]:
    try:
        option, value = config.option(name), config[name]
    except CoreError as error:
        return str(error), False
    return f"{value!r}  ({option.variable})", None


def _cache() -> Finding:
    try:
        folder = cachedir.path()
    except CoreError as error:
        return Finding("cache", str(error), False)
    nearest = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        return Finding("cache", f"{folder} cannot be written; set CORE_CACHE_DIR to a folder that can", False)
    return Finding("cache", f"{folder}, {len(cachedir.files())} files, {size_text(cachedir.size_bytes())}", True)


def size_text(size_bytes: int) -> str:
    """A size as people read it."""
    size = float(size_bytes)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


# --- core why -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Candidate:
    """One way to compute an op in a dialect, who offers it, and why it wins or does not."""

    way: str
    who: str
    reason: str
    wins: bool = False


def find_op(name: str) -> Any:
    """An op or a class of ops, given as ``package.module:attribute``, ``namespace.name``, or the name in any pack.

    Errors  ArgumentError when nothing has that name, or when it names something else than an op.
    """
    if ":" in name:
        found = load(name, "core why")
    else:
        namespace, _, attribute = name.rpartition(".")
        packs = [namespace] if namespace else plugins.registries().ops.keys()
        modules = [getattr(ops, pack) for pack in packs]
        found = next((getattr(module, attribute) for module in modules if hasattr(module, attribute)), None)
        if found is None:
            known = [key for module in modules for key in dir(module) if _is_op(getattr(module, key, None))]
            raise ArgumentError(f"no op pack has an op {name!r}.{did_you_mean(attribute, known)}")
    if _is_op(found):
        return found
    module = getattr(found, "__module__", None) or ""
    beside = vars(sys.modules.get(module, ops)).items()
    own = [
        f"{module}:{key}" for key, one in sorted(beside) if _is_op(one) and one.__module__ == module and key[0] != "_"
    ]
    hint = f"name the op that it applies, {'one of ' + ', '.join(own) if own else 'as package.module:Class'}"
    raise ArgumentError(f"{name!r} is no op but {found!r} of type {type(found).__name__}; {hint}")


def _is_op(thing: Any) -> bool:
    return isinstance(thing, Op) or (isinstance(thing, type) and issubclass(thing, Op))


def find_dialect(name: str) -> str | None:
    """A dialect by its own name or by that of a backend.  Errors: ArgumentError when no backend speaks it."""
    table_ = plugins.registries().backends
    spoken = {entry.record.dialect for key in table_.keys() for entry in table_.candidates(key)}
    if name in spoken:
        return name
    if name in table_:
        return table_.candidates(name)[0].record.dialect
    known = sorted({*table_.keys(), *filter(None, spoken)})
    raise ArgumentError(f"no backend speaks {name!r}; there are {', '.join(known)}.{did_you_mean(name, known)}")


def why(op: Any, dialect: str | None) -> list[Candidate]:
    """Every way to compute ``op`` in ``dialect``, in the order of core/compile/lower.py; the first that serves wins.

    Errors  PluginConflict when two attached lowerings tie.
    """
    kind = op if isinstance(op, type) else type(op)
    if dialect is None:
        there = _has(kind, "perform")
        return [Candidate("perform", _pack(op), "this backend runs nodes in NumPy" if there else "not there", there)]
    lowerings = plugins.registries().lowerings
    attached = lowerings.candidates(op, dialect)
    always = winner(lowerings.what, (f"{op}", dialect), [entry for entry in attached if entry.record.when is None])
    order = [
        Candidate(
            f"attached {'lowering' if entry.record.fn else 'C'}", f"{entry.source}", _reason(entry), entry is always
        )
        for entry in attached
    ]
    takes_c = _has(kind, "c_code") and _takes_c(dialect)
    by_hand = "C written by hand" if takes_c else "C written by hand, which this dialect does not take"
    for method, way, reason in (
        ("library_call", "library routine", f"for nodes that ask for one that is provided: {_providers(dialect)}"),
        ("c_code", "own c_code", by_hand),
        ("lower", "own lower", "what it computes, once for every dialect"),
        ("kernel", "own kernel", "explicit loops, once for every dialect"),
        ("perform", "host fallback", "a call back into Python, said once in a warning"),
    ):
        if _has(kind, method):
            never = method == "library_call" or (method == "c_code" and not takes_c)
            wins = not never and not any(one.wins for one in order)
            order.append(Candidate(way, _pack(op), reason, wins))
    return order


def _has(kind: type, method: str) -> bool:
    return getattr(kind, method, None) is not getattr(Op, method, None)


def _takes_c(dialect: str) -> bool:
    """Whether a backend of the dialect prints functions that ops have written in C."""
    table_ = plugins.registries().backends
    for entry in (entry for key in table_.keys() for entry in table_.candidates(key)):
        with suppress(PluginError):  # a backend that is broken prints nothing
            if entry.record.dialect == dialect and getattr(entry.load(), "dialect_table", None):
                return bool(entry.load().dialect_table.op_function)
    return False


def _pack(op: Any) -> str:
    return f"{getattr(op, '__module__', type(op).__module__)}"


def _reason(entry: Entry[Any]) -> str:
    condition = "" if entry.record.when is None else ", where its condition holds"
    return f"priority {entry.priority}, for {entry.record.dialect or 'every dialect'}{condition}"


def _providers(dialect: str) -> str:
    """Which library provides which routine."""
    libraries = plugins.registries().libraries
    known = [(key[0], libraries.candidates(key)[0]) for key in libraries.keys() if key[1] == dialect]
    shown = ", ".join(f"{routine} by {entry.record.name} ({entry.source})" for routine, entry in known)
    return shown or "none is"


def why_text(name: str, dialect_name: str) -> str:
    """The candidates for an op, the winner marked."""
    op, dialect = find_op(name), find_dialect(dialect_name)
    found = why(op, dialect)
    rows = [("*" if one.wins else "", one.way, one.who, one.reason) for one in found]
    head = f"{name} in dialect {dialect}" if dialect else f"{name} in backend {dialect_name}, which has no dialect"
    if not any(one.wins for one in found):
        return f"{head}: nothing computes it"
    return f"{head}\n{table(rows, ('', 'WAY', 'FROM', 'REASON'))}"
