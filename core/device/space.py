"""One device as its programs see it: its pool, and arrays that go there and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core import dtypes
from core.device.array import DeviceArray
from core.device.contract import Block, Device
from core.device.exchange import Foreign
from core.device.pool import Memory, Pool
from core.ir.definitions import Value
from core.ir.program import Program

_KEPT_SHARE = 4  # of a device's memory, one part in so many may lie unused in the pool


class Space:
    """The memory of a device."""

    def __init__(self, device: Device):
        self.device: Any = device
        self.facts, self.name = device.facts, device.facts.name
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
        """Put a copy of any array into memory that is large enough: now, or in the queue; see Device.upload."""
        stored = array.dtype if not self.facts.stored else self.stored_dtype(array.dtype.name)
        if memory.block.host is not None and self.device.idle:
            np.copyto(memory.block.array(array.shape, stored), array, casting="same_kind")
            return
        if stored != array.dtype:
            array, keep = array.astype(stored), False
        if not array.flags.c_contiguous:
            array, keep = np.ascontiguousarray(array), False
        if array.size:
            self.device.upload(memory.block, array, keep)

    def wrap(self, array: np.ndarray) -> Block | None:
        """An array of the host as a block, without a copy; None where that cannot be.  See Device.wrap."""
        if not array.flags.c_contiguous or array.dtype.name in self.facts.stored:
            return None
        return self.device.wrap(array)

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

    def seen(self, memory: Memory, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """The elements of memory that the host sees, as they are now."""
        return memory.block.array(shape, dtype if not self.facts.stored else self.stored_dtype(dtype.name))

    def lent(self, memory: Memory, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """The same as an array of its own, which holds the memory as long as it lives."""
        return np.asarray(_Lent(memory, shape, self.stored_dtype(dtype.name)))

    def fetch(self, arrays: Sequence[DeviceArray]) -> list[np.ndarray]:
        """The elements on the host, when everything that is queued has run: in place where both see them."""
        with self.device.lock:
            found = [
                None if one.memory.block.host is not None else self.download(one.memory, one.shape, one.dtype)
                for one in arrays
            ]
        self.device.synchronize()
        return [
            (self.lent(one.memory, one.shape, one.dtype) if copied is None else copied).astype(one.dtype, copy=False)
            for copied, one in zip(found, arrays, strict=True)
        ]

    def adopt(self, foreign: Foreign) -> DeviceArray | np.ndarray:
        """An array of another library as one of this device, without a copy if that can be; else as one of the host.

        Errors  DeviceError where it lies on another device.
        """
        if not hasattr(self.device, "adopt"):
            return foreign.numpy()
        with self.device.lock:
            memory, shape, dtype = self.device.adopt(
                foreign.array, lambda size: self.pool.take(size, lambda: f"a copy of {foreign}")
            )
        return DeviceArray(self, memory, shape, np.dtype(dtype))

    def copied(self, array: DeviceArray) -> DeviceArray:
        """A copy on the device.  Errors: DeviceMemoryError."""
        memory = self.pool.take(array.nbytes, lambda: f"a copy of shape {array.shape}")
        if array.nbytes:
            with self.device.lock:
                self.device.copy(array.memory.block, memory.block, array.nbytes)
        return DeviceArray(self, memory, array.shape, array.dtype)

    def moved(self, array: DeviceArray) -> DeviceArray | None:
        """A copy of an array of another device, made without the host; None where the devices cannot do that.

        Errors  DeviceMemoryError
        """
        mine, other = self.device, array.space.device
        if not hasattr(mine, "reaches") or not mine.reaches(other):
            return None
        memory = self.pool.take(array.nbytes, lambda: f"a copy of {array!r}")
        first, second = sorted((mine, other), key=id)  # whoever needs both locks takes them in one order
        with first.lock, second.lock:
            mine.copy_from(other, array.memory.block, memory.block, array.nbytes)
        return DeviceArray(self, memory, array.shape, array.dtype)

    def holds(self, value: Any) -> bool:
        """Whether a value is an array in this memory."""
        return type(value) is DeviceArray and value.space is self


def lasting(program: Program, space: Space) -> dict[Value, DeviceArray]:
    """What lies on a device as long as a program does: its constants, and counters, which every call leaves at zero.

    Errors  DeviceMemoryError
    """
    arrays = {value: np.ascontiguousarray(array) for value, array in program.constants.items()}
    arrays |= {value: np.zeros([n.payload for n in program.shapes[value]], value.dtype) for value in program.counters}
    return {value: space.place(array) for value, array in arrays.items()}


class _Lent:
    """What NumPy makes an array of: memory that goes back to its pool when the last such array is gone."""

    def __init__(self, memory: Memory, shape: tuple[int, ...], dtype: np.dtype):
        host = memory.block.host
        assert host is not None
        self.memory = memory
        self.__array_interface__ = {
            "version": 3,
            "shape": shape,
            "typestr": dtype.str,
            "data": (host.ctypes.data, False),
        }


def what(value: Value) -> str:
    """How messages call a value."""
    return str(value.node.op) if value.node is not None else str(value)


def described(value: Value, shape: tuple[int, ...]) -> str:
    """A value of a call, for messages about its memory."""
    return f"{what(value)} of shape {shape} and dtype {value.dtype}"
