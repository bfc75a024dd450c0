"""Modes: how much rewriting a function gets.  Which rules the stages hold is in core.rewriting and in plugins."""

from __future__ import annotations

from dataclasses import dataclass, replace

from core import plugins
from core.errors import ArgumentError, PluginConflict, did_you_mean
from core.records import Backend
from core.rewriting import STAGES, RuleSet, rules_from_record, with_records


@dataclass(frozen=True)
class Mode:
    """Which stages run, in the order of ``core.rewriting.STAGES``, and which rules are left out of them.

    debug  whether the function runs node by node, each held to what its op says of itself: see core/compile/debug.py
    """

    stages: tuple[str, ...]
    without: tuple[str, ...] = ()
    debug: bool = False

    def excluding(self, *rules: str) -> Mode:
        """The same without the rules of these names."""
        return replace(self, without=(*self.without, *rules))


FAST_RUN = Mode(tuple(stage.name for stage in STAGES))
FAST_COMPILE = Mode(("canonicalize",))
NO_REWRITES = Mode(())
DEBUG = replace(FAST_RUN, debug=True)
_NAMED = {"fast_run": FAST_RUN, "fast_compile": FAST_COMPILE, "none": NO_REWRITES, "debug": DEBUG}


def mode_of(mode: Mode | str | None) -> Mode:
    """A mode, by itself or by name in either case; None is "fast_run".  Errors: ArgumentError."""
    if mode is None:
        return FAST_RUN
    if isinstance(mode, Mode):
        for stage in mode.stages:
            if stage not in FAST_RUN.stages:
                near = did_you_mean(stage, FAST_RUN.stages)
                raise ArgumentError(f"a mode's stages are among {', '.join(FAST_RUN.stages)}, got {stage!r}.{near}")
        return mode
    found = _NAMED.get(mode.lower()) if isinstance(mode, str) else None
    if found is None:
        near = did_you_mean(str(mode).lower(), _NAMED)
        raise ArgumentError(f"mode= needs a Mode or one of {', '.join(map(repr, _NAMED))}, got {mode!r}.{near}")
    return found


def stages_for(mode: Mode, backend: Backend) -> list[RuleSet]:
    """The rule sets to run for a backend: core's own come as records, like any plugin's.

    Errors  PluginConflict when two plugins use one name in a stage; ArgumentError for an excluded rule that is nowhere.
    """
    try:
        every = _every_stage(backend)
    except PluginConflict:
        raise
    except Exception:  # whatever the import of somebody's rules raises
        if not _broken_left_out():
            raise
        every = _every_stage(backend)
    found = [rules for rules in every if rules.name in mode.stages]
    for name in mode.without:
        if not any(name in rules for rules in found):
            near = did_you_mean(name, [rule.name for rules in found for rule in rules])
            raise ArgumentError(f"the mode leaves out rule {name!r}, but no stage has it.{near}")
    return [rules.without(*(name for name in mode.without if name in rules)) for rules in found]


def _every_stage(backend: Backend) -> list[RuleSet]:
    records = plugins.registries().rewrite_records()
    empty = [RuleSet(stage.name) for stage in STAGES]
    return with_records(empty, records, backend.dialect, backend.needs, backend.forbids)


def _broken_left_out() -> bool:
    """Leave out the plugins whose rewrites cannot be looked up: they alone must suffer.  Whether there were any."""
    table = plugins.registries().rewrites
    found = []
    for entry in filter(None, map(table.get, table.keys())):
        try:
            if entry.record.stage in FAST_RUN.stages:
                rules_from_record(entry.record, entry.source.dist)
        except Exception as error:  # as above
            found.append(plugins.leave_out(entry.source, error))
    return any(found)
