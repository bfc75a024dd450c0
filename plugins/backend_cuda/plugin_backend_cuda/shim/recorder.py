"""A driver that notes every call, keeps account of what is not freed, and fails where a test wants it to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from plugin_backend_cuda.libcuda import failed

_MADE = {  # what makes a thing: its kind, and what frees it
    "allocate": ("memory", "free"),
    "allocate_pinned": ("pinned", "free_pinned"),
    "new_stream": ("stream", "free_stream"),
    "new_event": ("event", "free_event"),
    "load_module": ("module", "free_module"),
    "end_capture": ("graph", "free_graph"),
}
_FREED = {freed: kind for kind, freed in _MADE.values()}


class Recorder:
    """Passes calls on to ``driver``.

    calls  (name, arguments) in order;  alive: kind -> what was made and not freed
    """

    def __init__(self, driver: Any):
        self._driver = driver
        self.calls: list[tuple[str, tuple]] = []
        self.alive: dict[str, list[Any]] = {kind: [] for kind, _ in _MADE.values()}
        self._failures: dict[str, tuple[int, int, int]] = {}

    def fail(self, name: str, after: int = 0, code: int = 719, times: int = 1) -> None:
        """Let calls of ``name`` fail with ``code``: ``times`` of them, after ``after`` more have gone well."""
        self._failures[name] = (after, code, times)

    def names(self) -> list[str]:
        """The names of the calls, in order."""
        return [name for name, _ in self.calls]

    def addresses(self, names: Sequence[str]) -> tuple[int, ...]:
        """The functions as C calls them: what it calls is noted too."""
        found: tuple[int, ...] = self._driver.pointers_to(self)
        return found

    def __getattr__(self, name: str) -> Callable[..., Any]:
        act = getattr(self._driver, name)

        def call(*arguments: Any) -> Any:
            self.calls.append((name, arguments))
            self._maybe_fail(name)
            out = act(*arguments)
            if name in _MADE:
                self.alive[_MADE[name][0]].append(out)
            elif name in _FREED:
                mine = self.alive[_FREED[name]]
                place = next((k for k, one in enumerate(mine) if one is arguments[0] or one == arguments[0]), None)
                if place is None:
                    raise AssertionError(f"{name} of {arguments[0]!r}, which is not alive")
                del mine[place]
            return out

        return call

    def _maybe_fail(self, name: str) -> None:
        if name not in self._failures:
            return
        after, code, times = self._failures[name]
        if after > 0:
            self._failures[name] = (after - 1, code, times)
            return
        if times == 1:
            del self._failures[name]
        else:
            self._failures[name] = (0, code, times - 1)
        raise failed(name, f"injected {code}", code)
