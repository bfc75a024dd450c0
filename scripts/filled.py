"""Importing this fills the memory of devices with 0xFF (NaN, -1, true) each time before a program gets it.

So an element that is read before anybody has set it is seen in the results.  scripts/check-oclgrind runs with it.
"""

from collections.abc import Callable

from core.device.pool import Memory, Pool

_take = Pool.take


def _filled(self: Pool, size_bytes: int, who: Callable[[], str] = lambda: "an array") -> Memory:
    memory = _take(self, size_bytes, who)
    self._device.fill(memory.block, 0xFF, memory.block.size_bytes)
    return memory


Pool.take = _filled
