"""The edges of a program on a device: where arguments arrive, where results lie until they leave."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from core import dtypes
from core.device.array import DeviceArray
from core.device.contract import Block
from core.device.pool import Memory
from core.device.space import Space, described
from core.ir.definitions import Value
from core.ir.program import Program

_WORTH_SHARING = 1 << 16  # bytes from which an array is used where it lies, on a device that can; else it is copied


class Wrapped:
    """An array of the host as the memory of a device that shares it, for one call."""

    __slots__ = ("block",)

    def __init__(self, block: Block):
        self.block = block


class Edges:
    """Memory that a program keeps for its next call: of slots, of staged arguments, of results that are copied.

    For one key as much as was ever asked for.
    """

    def __init__(self, program: Program, space: Space):
        self._outputs, self._space = program.outputs, space
        self._kept: dict[Any, Memory] = {}

    def free(self) -> None:
        self._kept.clear()

    def keep(self, key: Any, size_bytes: int, value: Value, shape: tuple[int, ...]) -> Memory:
        """Memory that the next call uses again.  Errors: DeviceMemoryError naming the value."""
        memory = self._kept.get(key)
        if memory is None or memory.block.size_bytes < size_bytes:
            memory = self._kept[key] = self._space.pool.take(size_bytes, lambda: described(value, shape))
        return memory

    def arrived(self, value: Value, array: Any, waits: bool) -> Any:
        """Where an argument lies on the device, after its copy there was queued.

        waits  the call is over when the queue is empty, so that the array stays as it is until then
        """
        if type(array) is DeviceArray:
            return array.memory
        if waits and self._space.facts.shares_memory and array.nbytes >= _WORTH_SHARING:
            block = self._space.wrap(array)
            if block is not None:
                return Wrapped(block)
        memory = self.keep(("input", value), array.size * dtypes.size_bytes(value.dtype), value, array.shape)
        self._space.upload(memory, array, keep=waits)
        return memory

    def homes(self, value: Value, shape: tuple[int, ...], fetched: tuple[bool, ...]) -> Callable[[], Memory]:
        """What gives memory for a result: its own where it is given away, else that of the last call."""
        size = math.prod(shape) * dtypes.size_bytes(value.dtype)
        copied = all(f for f, out in zip(fetched, self._outputs, strict=True) if out is value)
        if not copied or self.is_lent(size):
            return partial(self._space.pool.take, size, partial(described, value, shape))
        return partial(self.keep, ("output", value), size, value, shape)

    def is_lent(self, size_bytes: int) -> bool:
        """Whether the host gets a result of that size where it lies."""
        return self._space.facts.shares_memory and size_bytes >= _WORTH_SHARING

    def leaving(self, memory: Memory, shape: tuple[int, ...], dtype: np.dtype) -> Any:
        """Queue what must be for a result to reach the host: for ``left``, when the queue is empty."""
        return memory if memory.block.host is not None else self._space.download(memory, shape, dtype)

    def left(self, leaving: Any, shape: tuple[int, ...], dtype: np.dtype, lend: bool) -> np.ndarray:
        """The result on the host: in the memory of the device where that may be lent and is worth while."""
        if type(leaving) is not Memory:
            return leaving.astype(dtype, copy=False)
        if lend and self.is_lent(leaving.block.size_bytes):
            return self._space.lent(leaving, shape, dtype).astype(dtype, copy=False)
        return self._space.seen(leaving, shape, dtype).astype(dtype)
