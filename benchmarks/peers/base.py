"""What a peer is: a library that turns a workload into something that can be called and timed.

A peer is a module ``benchmarks/peers/<name>_peer.py`` with functions

    version() -> str                        imports the library, so that its absence is an ImportError
    build(case, arrays) -> Run              as an expert of the library would write it; Unsupported where it cannot be

It runs in a process of its own, which benchmarks/worker.py drives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


class Unsupported(Exception):
    """The library cannot express the workload; the message says why."""


@dataclass
class Run:
    """A workload that is ready.

    call, args  ``call(*args)`` is what is timed; inputs are the library's own arrays
    wait        blocks until the result of a call is there, for libraries that return before
    results     NumPy arrays of a call's result; for a step: the loss, then the parameters as they are now
    loop        ``loop(n)`` makes n calls without Python in between; only hand-written C has it
    free        gives memory back that the library keeps for the next call
    """

    call: Callable[..., Any]
    args: Sequence[Any]
    results: Callable[[Any], list[np.ndarray]]
    wait: Callable[[Any], Any] | None = None
    loop: Callable[[int], Any] | None = None
    free: Callable[[], Any] | None = None


def arrays_of(result: Any) -> list[np.ndarray]:
    """The outputs of a call as NumPy arrays."""
    return [np.asarray(out) for out in (result if isinstance(result, (tuple, list)) else (result,))]
