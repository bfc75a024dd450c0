"""Memory that one call of a routine uses besides its operands and results."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import numpy as np

from core.device.contract import Block
from core.device.pool import Memory


class Room:
    """What ``Routine.queue`` gets: the same memory each time that a prepared call is queued, so it may be recorded.

    take  gives memory of a size that other calls of the program use as well, under a name
    """

    def __init__(self, space: Any, take: Callable[[str, int], Memory]):
        self._space, self._take = space, take
        self._held: dict[str, Memory] = {}
        self._tables: dict[Hashable, Memory] = {}

    def __call__(self, size_bytes: int, name: str = "") -> Block:
        """Memory for a moment: until what this call queues has run.  Errors: DeviceMemoryError."""
        memory = self._held.get(name)
        if memory is None or memory.block.size_bytes < size_bytes:
            memory = self._held[name] = self._take(name, size_bytes)
        return memory.block

    def table(self, name: Hashable, make: Callable[[], np.ndarray]) -> Block:
        """An array that is made once for all calls with these lengths, in the dtype that it is to have there."""
        memory = self._tables.get(name)
        if memory is None:
            array = np.ascontiguousarray(make())
            memory = self._space.pool.take(array.nbytes, lambda: f"a table of {name}")
            self._space.device.upload(memory.block, array, keep=False)
            self._tables[name] = memory
        return memory.block
