"""What is being done just now, and rows as they are finished: with rich on a terminal, else plain lines."""

from __future__ import annotations

import sys
import time
from typing import Any

from benchmarks.report import NOTHING, Verdict, met_text, ratio_text, time_text


class Progress:
    """``say`` shows what is done now; ``row`` a row that is done; a context manager."""

    def __init__(self, total: int):
        self.total, self.done, self.started = total, 0, time.monotonic()
        self._status: Any = None

    def __enter__(self) -> Progress:
        if sys.stdout.isatty():
            try:
                from rich.console import Console
            except ImportError:
                return self
            self._status = Console().status("starting")
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()

    def say(self, text: str) -> None:
        if self._status is not None:
            self._status.update(f"[{self.done}/{self.total}, {time.monotonic() - self.started:.0f} s] {text}")

    def row(self, made: Verdict, note: str = "") -> None:
        self.done += 1
        line = (
            f"{made.name:58} {time_text(made.ours_s):>8}  / {made.best or NOTHING:14} {ratio_text(made.over_best):>5}"
            f"  / C {ratio_text(made.over_c):>5}  {met_text(made).replace('*', '')} {note}"
        )
        print(line, flush=True)
        for peer, text in made.failures.items():
            print(f"    {peer}: {text}", flush=True)
