"""Peak memory of one call, as Linux counts it: the high-water mark of the resident set, set back before.

Huge pages are off meanwhile.  Where an allocator hands out memory that once was a large array's, a block takes a whole
one of 2 MiB at either end, or does not: that is chance, and more than what most calls add.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_THP_DISABLE = 41  # prctl(2)
_CLEAR, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


def peak_of(call: Callable[[], Any]) -> int | None:
    """Bytes that ``call()`` added at its peak; None where the system does not say.  Exact to about a quarter MiB."""
    try:
        _CLEAR.write_text("5")  # proc(5): sets VmHWM back to VmRSS
    except OSError:
        return None
    with _small_pages():
        before = _field("VmRSS")
        call()
        return max(0, _field("VmHWM") - before)


@contextmanager
def _small_pages() -> Iterator[None]:
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_THP_DISABLE, 1, 0, 0, 0)
    try:
        yield
    finally:
        if prctl is not None:
            prctl(_THP_DISABLE, 0, 0, 0, 0)


def _field(name: str) -> int:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024
