"""Memory of a device that is let go stays with the process for the next who asks for as much."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from threading import RLock
from typing import Any
from weakref import WeakSet

from core.device.contract import Block, Device
from core.errors import DeviceMemoryError

_STEP = 256  # sizes are rounded up to a multiple of it, larger ones to an eighth of their power of two


class Memory:
    """A block that goes back to its pool with the last reference to it.

    Commands that are queued may still use it then: whoever gets it next is queued behind them.
    """

    __slots__ = ("block", "_pool", "__weakref__")

    def __init__(self, block: Block, pool: Pool):
        self.block, self._pool = block, pool

    def __del__(self) -> None:
        self._pool.take_back(self.block)


class Pool:
    """The blocks of one device: ``held_bytes`` is all that it has of it, ``free_bytes`` what nobody uses.

    keep_bytes  how much of what nobody uses stays here
    """

    def __init__(self, device: Device, keep_bytes: int):
        self._device, self._keep = device, keep_bytes
        self._free: dict[int, list[Block]] = {}
        self._lock = RLock()
        self.held_bytes = self.free_bytes = 0
        self.under_pressure: WeakSet[Any] = WeakSet()  # objects whose ``free`` gives memory back

    def take(self, size_bytes: int, who: Callable[[], str] = lambda: "an array") -> Memory:
        """At least so many bytes.  Where there are none, the pool is emptied and the device asked once more.

        Errors  DeviceMemoryError saying who asked for how much, and what is held.
        """
        size = rounded(size_bytes)
        with self._lock:
            blocks = self._free.get(size)
            if blocks:
                self.free_bytes -= size
                return Memory(blocks.pop(), self)
        return self.fresh(size_bytes, who)

    def fresh(self, size_bytes: int, who: Callable[[], str] = lambda: "an array") -> Memory:
        """The same from the device alone, so that no command that is queued uses it."""
        size = rounded(size_bytes)
        try:
            return self._new(size)
        except DeviceMemoryError:
            self.empty()
        try:
            return self._new(size)
        except DeviceMemoryError as error:
            facts = self._device.facts
            raise DeviceMemoryError(
                f"{who()} needs {size_bytes} bytes on {facts.name}, which has {facts.memory_bytes} and gives at most "
                f"{facts.largest_bytes} at once; {self.held_bytes} are held, after unused ones were given back"
            ) from error

    def _new(self, size: int) -> Memory:
        block = self._device.allocate(size)
        with self._lock:
            self.held_bytes += size
        return Memory(block, self)

    def take_back(self, block: Block) -> None:
        """What a Memory does when it goes."""
        with self._lock:
            if self.free_bytes + block.size_bytes <= self._keep:
                self._free.setdefault(block.size_bytes, []).append(block)
                self.free_bytes += block.size_bytes
                return
            self.held_bytes -= block.size_bytes
        self._device.release(block)

    def empty(self) -> None:
        """Give back what nobody uses, also what programs keep for their next call."""
        for owner in list(self.under_pressure):
            owner.free()
        self.trim()

    def trim(self) -> None:
        """Give back what nobody uses."""
        with self._lock:
            blocks = [block for found in self._free.values() for block in found]
            self._free.clear()
            self.held_bytes -= self.free_bytes
            self.free_bytes = 0
        for block in blocks:
            self._device.release(block)


@lru_cache(maxsize=1 << 12)
def rounded(size_bytes: int) -> int:
    """The size of the block that serves: one of few, so that blocks fit again, and at most an eighth too large."""
    size = max(size_bytes, 1)
    step = max(_STEP, 1 << max((size - 1).bit_length() - 4, 0))
    return -(-size // step) * step
