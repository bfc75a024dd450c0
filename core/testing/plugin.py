"""For pytest: fixtures, and a summary of what core.testing checked.

Asked for by name, ``pytest_plugins = ["core.testing.plugin"]`` in the conftest.py of the root; never by an entry point,
which would cost every run of pytest in that environment.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core import plugins
from core.testing import result, values
from core.testing.verified import every_program_is_verified  # noqa: F401 - a fixture

_KEY = "core_testing"  # under which a worker of pytest-xdist hands its counts over
_gathered = pytest.StashKey[list[dict[str, Any]]]()


def pytest_addoption(parser: Any) -> None:
    group = parser.getgroup("core", "checks of core.testing")
    group.addoption("--core-report", metavar="FILE", help="write every result of core.testing as JSON")


def pytest_configure(config: Any) -> None:
    config.stash[_gathered] = []


@pytest.fixture(params=values.available_backends())
def backend(request: Any) -> str:
    """A test that takes it runs on each backend that works here."""
    return request.param


@pytest.fixture
def register() -> Iterator[Any]:
    """``register(plugin, name)`` as core.plugins.register; taken away again after the test."""
    added: list[str] = []

    def add(plugin: Any, name: str) -> None:
        plugins.register(plugin, name=name)
        added.append(name)

    yield add
    for name in added:
        plugins.unregister(name)


def pytest_sessionfinish(session: Any) -> None:
    found = [one.to_dict() for one in result.RESULTS]
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput[_KEY] = json.dumps(found)
    else:
        session.config.stash[_gathered].extend(found)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    node.config.stash[_gathered].extend(json.loads(getattr(node, "workeroutput", {}).get(_KEY, "[]")))


def pytest_terminal_summary(terminalreporter: Any, config: Any) -> None:
    found = config.stash[_gathered]
    if config.getoption("--core-report"):
        Path(config.getoption("--core-report")).write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    if not found:
        return
    counts: Counter[str] = Counter()
    for one in found:
        counts.update(one["counts"])
    subjects = {one["subject"] for one in found}
    terminalreporter.write_line(
        f"core.testing: {len(subjects)} subject{'s' * (len(subjects) != 1)}, {result.counted(counts)}"
    )
    for kind in (result.Outcome.REFUSED, result.Outcome.SKIPPED, result.Outcome.UNEXPECTED):
        reasons = Counter(c["detail"].split("\n")[0] for one in found for c in one["checks"] if c["outcome"] == kind)
        for reason, count in reasons.most_common(5):
            terminalreporter.write_line(f"  {kind} ({count}): {reason[:160]}")
