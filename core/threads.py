"""How many threads a call of a compiled function may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from core.errors import OptionError
from core.options import OWN, config, overrides

# the context variable, and the environment's, on which alone the answer of get_num_threads depends in one process
DEPENDS_ON = (overrides, OWN["num_threads"].variable)


def get_num_threads() -> int:
    """How many threads a call may use here and now: ``num_threads``, else CORE_NUM_THREADS, else all cores it may."""
    n = config.num_threads
    return n if n > 0 else available_cores()


@contextmanager
def num_threads(n: int) -> Iterator[None]:
    """Inside the ``with`` block, calls of this thread (or asyncio task) use at most ``n`` threads.

    Results are the same, bit for bit, for any ``n``.
    Errors  OptionError unless n is an int, 1 or more.
    """
    if type(n) is int and n < 1:
        raise OptionError(f"num_threads needs 1 or more, got {n}")
    with config.override(num_threads=n):
        yield


@cache
def available_cores() -> int:
    """The cores that this process may run on: its affinity mask and its share of a container (Linux, cgroup v2)."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        cores = min(cores, max(1, -(-int(quota) // int(period))))
    return cores
