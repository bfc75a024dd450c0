"""Watching a compiled function run: what plugins answer to the hook ``instrument``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from core import plugins


@contextmanager
def watched(watchers: Sequence[Any], step: Any) -> Iterator[None]:
    """Tell ``watchers`` when ``step`` begins and when it ends, failed or not; the last to enter leaves first."""
    for watcher in watchers:
        watcher.enter(step)
    try:
        yield
    finally:
        for watcher in reversed(watchers):
            watcher.leave(step)


class WatchedWhole:
    """A compiled program that runs in one piece, so that the whole of it is the only step to watch."""

    def __init__(self, run: Any, program: Any, watchers: Sequence[Any]):
        self._run, self._step, self._watchers = run, program, list(watchers)
        self.bind = self.on_device = None  # a call that goes round this object would not be seen

    def __call__(self, arrays: Sequence[Any]) -> list[Any]:
        with watched(self._watchers, self._step):
            return self._run(arrays)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._run, name)


def instrumented(run: Any) -> Callable[[Sequence[Any]], list[Any]]:
    """``run``, an executable, watched by the plugins that want to; ``run`` itself when none does.

    An executable with a method ``watch`` tells of each of its steps; any other is one step.
    """
    if not plugins.is_implemented("instrument"):  # nobody need make a program to show
        return run
    program = getattr(run, "program", None)
    program = run if program is None else program
    watchers = [watcher for _, watcher in plugins.call_each("instrument", program=program)]
    if not watchers:
        return run
    if not hasattr(run, "watch"):
        return WatchedWhole(run, program, watchers)
    run.watch(watchers)
    return run
