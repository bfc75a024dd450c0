"""``core.ops.<namespace>``: the op packs of installed plugins, imported when a namespace is first used."""

from __future__ import annotations

from typing import Any

from core import plugins
from core.errors import OpPackError, did_you_mean


def __getattr__(namespace: str) -> Any:
    if namespace.startswith("__"):
        raise AttributeError(namespace)
    table = plugins.registries().ops
    entry = table.get(namespace)
    if entry is None:
        known = ", ".join(sorted(table.keys()))
        problems = plugins.problems()
        hint = (
            f"Perhaps it belongs to one of these: {'; '.join(problems)}"
            if problems
            else f"If it is one of ours: pip install plugin-ops-{namespace}"
        )
        raise OpPackError(
            f"there is no op pack {namespace!r}; there are {known}.{did_you_mean(namespace, table.keys())}  {hint}"
        )
    return entry.load()


def __dir__() -> list[str]:
    return sorted(plugins.registries().ops.keys())
