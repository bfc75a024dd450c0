"""Programs that an earlier process has compiled: written beside their libraries, and called with nothing else at hand.

A file is found by what the graph was, and holds the plan of its program and the name of its library.
"""

from __future__ import annotations

import ctypes
import marshal
from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from core import cachedir
from core.ir.guards import Unserved
from plugin_backend_c import cache, launcher
from plugin_backend_c.plan import Plan

MOST_BYTES = 1 << 24  # of constants: more take longer to read and check than a graph takes to compile


def write(key: str, plan: Plan, binary: Path) -> None:
    """Keep the plan of a program whose library is in the file ``binary``."""
    if sum(array.nbytes for array in plan.constants) > MOST_BYTES:
        return
    constants = tuple((array.dtype.str, array.shape, array.tobytes()) for array in plan.constants)
    content = marshal.dumps((binary.name, tuple(plan._replace(constants=constants))))
    with suppress(OSError):  # a read-only cache only costs time
        cachedir.put(binary.with_name(f"{key}.kept"), content + sha256(content).digest())


def read(key: str, folder: Path) -> tuple[Plan, Path] | None:
    """The plan that was kept, and the file of its library; None where there is none, or not as it was written."""
    try:
        content = (folder / f"{key}.kept").read_bytes()
    except OSError:
        return None
    if sha256(content[:-32]).digest() != content[-32:]:
        return None
    name, fields = marshal.loads(content[:-32])
    plan = Plan(*fields)
    arrays = tuple(np.frombuffer(data, dtype).reshape(shape).copy() for dtype, shape, data in plan.constants)
    return plan._replace(constants=arrays), folder / name


def executable(key: str, folder: Path, extension: ModuleType, routine: Callable[[str], Any]) -> KeptExecutable | None:
    """The program that was kept under a key, ready to be called; None where it, or its library, is not there."""
    found = read(key, folder)
    if found is None or not cache.intact(found[1]):
        return None
    plan, binary = found
    try:
        library = cache.opened(binary)
    except OSError:  # made on another system that shares this folder
        return None
    addresses = [routine(name).address(function) for name, function in plan.routines]
    return KeptExecutable(plan, library, addresses, extension)


class KeptExecutable:
    """A program as a function of arrays, as far as its plan goes: whatever fails is Unserved."""

    def __init__(self, plan: Plan, library: ctypes.CDLL, routines: Sequence[int], extension: ModuleType):
        self._extension, self._counts = extension, (len(plan.inputs), len(plan.outputs))
        self.launcher = launcher.launchable(extension, plan, library, routines)

    def bind(self, current: list[Any], *how: Any) -> Callable[..., Any] | None:
        """As that of an Executable."""
        return launcher.bound(self._extension, self._counts, current, *how)

    def __call__(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Errors: Unserved."""
        return launcher.called(self._extension, self, self._counts, map(launcher.contiguous, arrays), _unserved)

    def free(self) -> None:
        """Give memory back that is kept for the next call."""
        self._extension.release_memory()


def _unserved(*arrays: np.ndarray) -> list[np.ndarray]:
    raise Unserved
