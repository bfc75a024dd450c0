"""Which rules rewrite a graph: those of a mode's stages that are meant for a backend, from core and from plugins."""

from __future__ import annotations

from core import plugins
from core.compile.modes import FAST_RUN, Mode
from core.errors import ArgumentError, PluginConflict, did_you_mean
from core.records import Backend
from core.rewriting import STAGES, RuleSet, rules_from_record, with_records


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
