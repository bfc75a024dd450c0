"""The machine: what it is, and how busy others keep it while something is measured."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def facts() -> dict[str, Any]:
    """What a reader of figures wants to know."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_bytes": _memory(),
        "system": f"{platform.system()} {platform.machine()}, {' '.join(platform.libc_ver())}",
        "python": platform.python_version(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None


class Others:
    """How many cores processes other than ours used since it was made (or since ``cores`` was asked last)."""

    def __init__(self, ours: Iterable[int]):
        self._ours = [os.getpid(), *ours]
        self._last = self._now()

    def _now(self) -> tuple[float, float]:
        """Seconds of the clock, and of other processes on all cores."""
        try:
            first = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
        except OSError:
            return time.monotonic(), 0.0
        user, nice, system, _, _, irq, softirq, *rest = map(int, first)
        busy = user + nice + system + irq + softirq + (rest[0] if rest else 0)  # the last: taken by other guests
        own = sum(self._ticks(pid) for pid in self._ours)
        return time.monotonic(), (busy - own) / os.sysconf("SC_CLK_TCK")

    @staticmethod
    def _ticks(pid: int) -> int:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0
        return int(fields[11]) + int(fields[12])

    def cores(self) -> float:
        then, self._last = self._last, self._now()
        seconds = self._last[0] - then[0]
        return max(0.0, (self._last[1] - then[1]) / seconds) if seconds > 0 else 0.0
