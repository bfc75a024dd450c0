"""check_plugin: a plugin is light to import, every string that it gives resolves, its records and names are right."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import json
import re
import subprocess
import sys
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pluggy

from core import discovery, hookspecs, records
from core.dataclass import fields
from core.discovery import Plugin, State
from core.errors import ArgumentError, PluginError, did_you_mean
from core.graph import Type
from core.markers import API_GROUP, PROJECT
from core.op import Op
from core.options import OWN
from core.registry import Entry, Source
from core.rewriting import rules_from_record
from core.rewriting.stages import STAGES
from core.testing.result import Report, Result

BUDGET_MS = 10.0  # for the import of a plugin's module, over what core itself needs
HEAVY = ("numpy", "scipy", "cffi", "pyopencl", "pycuda", "cuda", "torch", "jax", "numba", "matplotlib", "pandas")
_NAME = re.compile(r"plugin-[a-z0-9]+(-[a-z0-9]+)*")

# Imports core's markers and records first, for every plugin has them; then says what the module adds, and how long.
_PROBE = """
import json, sys, time
import core.markers, core.records
before, start = set(sys.modules), time.perf_counter()
__import__({module!r})
ms = 1e3 * (time.perf_counter() - start)
print(json.dumps([ms, sorted(set(sys.modules) - before)]))
"""


def check_plugin(plugin: Any, *, budget_ms: float = BUDGET_MS, raising: bool = True) -> Result:
    """Hold a plugin to what every plugin promises.

    plugin     the name of a distribution ("plugin-ops-x"), of an entry point ("ops-x") or of a module, or a module
    budget_ms  what the import may take; more is said in the result, and is no failure: machines differ
    Checks     names (distribution, entry point, package), requirements, import (in a fresh process, without numpy and
               devices), hooks, one for each record and for each reference in it, probes
    Errors     CheckError naming plugin and check, unless ``raising`` is false: then see the Result.  ArgumentError when
               nothing of that name is installed
    """
    found, module = _found(plugin)
    report = Report(f"plugin {found.source.dist}", version=found.source.version, module=module)
    if found.group:
        report.check("names", found.source.dist, _check_names, found, module)
        report.check("requirements", found.source.dist, _check_requirements, found.source.dist)
    with report.checking("import", module) as details:
        details.append(_check_import(report, module, budget_ms))
    read: list[Plugin] = []
    with report.checking("hooks", module):
        read.append(_read(found))
    for one in read:
        report.result.facts["counts"] = one.counts
        for entry in one.entries:
            _check_record(report, entry, found)
    return report.result.settled(raising)


def _found(plugin: Any) -> tuple[discovery.Found, str]:
    """The entry point, or what stands for it, and the name of its module."""
    if isinstance(plugin, types.ModuleType):
        return _of_module(plugin.__name__)
    points = list(importlib.metadata.entry_points(group=API_GROUP))
    wanted = discovery.normalized(str(plugin))
    for found in discovery.find():
        names = {discovery.normalized(found.source.dist), discovery.normalized(found.source.name)}
        for point in points:
            is_it = (
                found.group == API_GROUP and point.name == found.source.name and point.dist.name == found.source.dist
            )
            if is_it and (wanted in names or point.module == str(plugin)):
                return found, point.module
    if importlib.util.find_spec(str(plugin).partition(".")[0]) is not None:
        return _of_module(str(plugin))
    known = [name for point in points for name in (point.name, point.dist.name)]
    raise ArgumentError(
        f"no distribution with an entry point in group {API_GROUP}, and no module, is called {plugin!r}."
        f"{did_you_mean(str(plugin), known)}"
    )


def _of_module(name: str) -> tuple[discovery.Found, str]:
    return discovery.Found(Source(name, name), "", lambda: importlib.import_module(name)), name


# --- the distribution ----------------------------------------------------------------------------------------------


def _check_names(found: discovery.Found, module: str) -> None:
    dist, entry = discovery.normalized(found.source.dist), found.source.name
    if not _NAME.fullmatch(dist):
        raise PluginError(f"a plugin is called plugin-ops-x, plugin-backend-x or plugin-rewrites-x, not {dist}")
    if entry != dist.removeprefix("plugin-"):
        raise PluginError(
            f"the entry point of {dist} must be called {dist.removeprefix('plugin-')!r}, as the distribution without "
            f"'plugin-', and it is {entry!r}"
        )
    if module.partition(".")[0] != dist.replace("-", "_"):
        raise PluginError(f"the package of {dist} must be called {dist.replace('-', '_')}, and it is {module}")


def _check_requirements(dist: str) -> str:
    given = importlib.metadata.requires(dist) or []
    files = [one for one in given if "@" in one]
    if files:
        raise PluginError(f"{dist} requires {files[0]!r}; an address in the metadata breaks where it cannot be reached")
    core = [one for one in given if re.match(r"core\b(?![-_.])", one)]
    if not core:
        raise PluginError(f"{dist} does not require core; say how old and how new it may be: 'core>=0.1,<0.2'")
    if "<" not in core[0] and "~=" not in core[0] and "==" not in core[0]:
        raise PluginError(
            f"{dist} requires {core[0]!r}, without an upper end: the next minor version may change records"
        )
    return ", ".join(given)


def _check_import(report: Report, module: str, budget_ms: float) -> str:
    """Import in a process that has nothing else; what is too slow gets two more chances, for machines are busy."""
    times: list[float] = []
    while len(times) < 3 and min(times, default=np.inf) > budget_ms:
        done = subprocess.run(
            [sys.executable, "-c", _PROBE.format(module=module)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise PluginError(f"{module} cannot be imported: {done.stderr.strip().splitlines()[-1]}")
        ms, added = json.loads(done.stdout.splitlines()[-1])
        times.append(ms)
    report.result.facts["import_ms"] = round(min(times), 2)
    heavy = sorted({name.partition(".")[0] for name in added} & set(HEAVY))
    if heavy:
        raise PluginError(
            f"{module} imports {', '.join(heavy)}, and every process that compiles anything would pay for that; name "
            f"what needs it by a string 'package.module:attribute' instead"
        )
    late = f", over the {budget_ms:g} ms that it should need" if min(times) > budget_ms else ""
    return f"{min(times):.1f} ms and {len(added)} modules{late}"


# --- records --------------------------------------------------------------------------------------------------------


def _read(found: discovery.Found) -> Plugin:
    """The plugin as discovery reads it, by a manager of its own.  Errors: PluginError and what its import raises."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    read = discovery.read(found.load(), found.source, manager)
    assert read.state is State.LOADED
    return read


def _check_record(report: Report, entry: Entry[Any], found: discovery.Found) -> None:
    record = entry.record
    name = getattr(record, "name", None) or getattr(record, "namespace", None) or f"{record.op}"
    case = f"{type(record).__name__} {name}"
    good = True
    for field in fields(record):
        value = getattr(record, field.name)
        if field.name in ("ref", "fn", "on", "probe", "when", "op") and isinstance(value, str):
            good &= report.check(f"reference {field.name}", case, _resolve, entry, field.name)
    if good:
        report.check("record", case, _CHECKS[type(record)], entry, found)


def _resolve(entry: Entry[Any], field: str) -> None:
    value = getattr(entry.record, field)
    records.load(value, f"{entry.source}")


def _check_type(entry: Entry[records.GraphType], found: discovery.Found) -> None:
    kind = entry.load()
    if not (isinstance(kind, type) and issubclass(kind, Type)):
        raise PluginError(f"ref of {entry.record} must name a subclass of core.graph.Type, got {kind!r}")


def _check_ops(entry: Entry[records.OpPack], found: discovery.Found) -> str:
    module = entry.load()
    ops = [name for name in dir(module) if not name.startswith("_") and callable(getattr(module, name, None))]
    if not ops:
        raise PluginError(
            f"{entry.record.ref} holds no op and no function, so core.ops.{entry.record.namespace} is empty"
        )
    if not entry.record.namespace.isidentifier():
        raise PluginError(f"core.ops.{entry.record.namespace} cannot be written: a namespace is an identifier")
    return f"{len(ops)} names"


def _check_rewrite(entry: Entry[records.Rewrite], found: discovery.Found) -> str:
    stages = [rules.name for rules in STAGES]
    if entry.record.stage not in stages:
        guess = did_you_mean(entry.record.stage, stages)
        raise PluginError(f"there is no stage {entry.record.stage!r}; the stages are {', '.join(stages)}.{guess}")
    if entry.record.about:
        importlib.import_module(entry.record.about)
    found_rules = rules_from_record(entry.record, entry.source.dist)
    without = [rule.name for rule in found_rules if not rule.doc]
    if without:
        raise PluginError(
            f"rule {without[0]} has no docstring, and explain(f) shows it: say what becomes what, and why"
        )
    return f"{len(found_rules)} rules"


def _check_lowering(entry: Entry[records.Lowering], found: discovery.Found) -> None:
    op, function = entry.load("op"), entry.load("fn")
    if not (isinstance(op, Op) or (isinstance(op, type) and issubclass(op, Op))):
        raise PluginError(f"op of {entry.record} must name an op or a class of ops, got {op!r}")
    for name, value in (("fn", function), ("when", entry.load("when"))):
        if value is not None and not callable(value):
            raise PluginError(f"{name} of {entry.record} must name a function, got {value!r}")


def _check_library(entry: Entry[records.Library], found: discovery.Found) -> str:
    offered = entry.load()
    offered = offered() if callable(offered) else offered
    missing = [name for name in entry.record.provides if name not in offered]
    if missing:
        raise PluginError(
            f"library {entry.record.name} says that it provides {missing[0]!r}, which its ref does not hold"
        )
    if entry.record.probe is None:
        return ""
    return _probed(entry.load("probe"), f"the probe of library {entry.record.name}")


def _check_backend(entry: Entry[records.Backend], found: discovery.Found) -> str:
    record, driver = entry.record, entry.load()
    needed = ["probe", "fingerprint", "compile_graph" if record.dialect is None else "compile"]
    missing = [name for name in needed if not callable(getattr(driver, name, None))]
    if missing:
        raise PluginError(
            f"the driver of backend {record.name} has no method {missing[0]}; it needs {', '.join(needed)}"
        )
    if not isinstance(driver.fingerprint(), str):
        raise PluginError(f"fingerprint() of backend {record.name} must return a string, got {driver.fingerprint()!r}")
    return _probed(driver.probe, f"the probe of backend {record.name}")


def _probed(probe: Callable[[], Any], what: str) -> str:
    found = probe()
    if not isinstance(found, records.Probe):
        raise PluginError(f"{what} must return a core.records.Probe, got {found!r}")
    if not found.works and not found.reason:
        raise PluginError(f"{what} finds nothing and gives no reason; a user must learn what to do")
    return str(found)


def _check_option(entry: Entry[records.Option], found: discovery.Found) -> None:
    option = entry.record
    own = [found.source.name, found.source.name.partition("-")[2]]
    if option.name in OWN or not any(option.name.startswith(f"{name}.") for name in own if name):
        raise PluginError(
            f"option {option.name!r} must begin with the plugin's own name and a dot: {own[-1] or own[0]}.key"
        )
    if not option.help:
        raise PluginError(f"option {option.name} has no help, which `core doctor` and error messages show")


_CHECKS: dict[type, Callable[[Any, discovery.Found], str | None]] = {
    records.GraphType: _check_type,
    records.OpPack: _check_ops,
    records.Rewrite: _check_rewrite,
    records.Lowering: _check_lowering,
    records.Library: _check_library,
    records.Backend: _check_backend,
    records.Option: _check_option,
}
