"""One device as its programs see it: its pool, and arrays that go there and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core import dtypes
from core.device.array import DeviceArray
from core.device.contract import Device
from core.device.pool import Memory, Pool

_KEPT_SHARE = 4  # of a device's memory, one part in so many may lie unused in the pool


class Space:
    """The memory of a device."""

    def __init__(self, device: Device):
        self.device, self.facts, self.name = device, device.facts, device.facts.name
        self.pool = Pool(device, max(device.facts.memory_bytes // _KEPT_SHARE, 1 << 26))

    def stored_dtype(self, dtype: str) -> np.dtype:
        """The dtype that elements have in memory."""
        return np.dtype(self.facts.stored.get(dtype, dtype))

    def size_bytes(self, shape: Sequence[int], dtype: str) -> int:
        size = dtypes.size_bytes(dtype)
        for n in shape:
            size *= n
        return size

    def upload(self, memory: Memory, array: np.ndarray, keep: bool = False) -> None:
        """Queue a copy of any array to memory that is large enough; see Device.upload."""
        stored = self.stored_dtype(array.dtype.name)
        if stored != array.dtype:
            array, keep = array.astype(stored), False
        if not array.flags.c_contiguous:
            array, keep = np.ascontiguousarray(array), False
        if array.size:
            self.device.upload(memory.block, array, keep)

    def place(self, array: np.ndarray) -> DeviceArray:
        """A copy of an array on the device.  Errors: DeviceMemoryError."""
        memory = self.pool.take(array.nbytes, lambda: f"an array of shape {array.shape}")
        with self.device.lock:
            self.upload(memory, array)
        return DeviceArray(self, memory, array.shape, array.dtype)

    def download(self, memory: Memory, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """Queue a copy to the host; the array has its elements after ``synchronize``."""
        array = np.empty(shape, self.stored_dtype(dtype.name))
        if array.size:
            self.device.download(memory.block, array)
        return array

    def fetch(self, arrays: Sequence[DeviceArray]) -> list[np.ndarray]:
        """Copies on the host, when everything that is queued has run."""
        with self.device.lock:
            found = [self.download(one.memory, one.shape, one.dtype) for one in arrays]
        self.device.synchronize()
        return [found_one.astype(one.dtype, copy=False) for found_one, one in zip(found, arrays, strict=True)]

    def holds(self, value: Any) -> bool:
        """Whether a value is an array in this memory."""
        return type(value) is DeviceArray and value.space is self
