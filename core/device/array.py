"""Arrays that stay on a device: values of shared variables, and results that were asked for as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from core.device.exchange import Foreign

if TYPE_CHECKING:  # see exchange.py
    from core.device.pool import Memory


class DeviceArray:
    """Elements in row-major order in the memory of a device.  Nobody changes them.

    ``numpy()`` and ``np.asarray`` copy them to the host, once; functions on the same device take the array as it is.
    """

    __slots__ = ("dtype", "memory", "shape", "space", "_copied", "_host")

    __array_priority__ = -1

    def __init__(self, space: Any, memory: Memory, shape: tuple[int, ...], dtype: np.dtype):
        self.space, self.memory, self.shape, self.dtype = space, memory, shape, dtype
        self._host: np.ndarray | None = None
        self._copied: DeviceArray | None = None  # on another device, which asked for it

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype="int64"))

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    def numpy(self) -> np.ndarray:
        """The elements on the host: an array that cannot be written to, copied the first time.  Errors: DeviceError."""
        if self._host is None:
            (host,) = self.space.fetch([self])
            host.flags.writeable = False
            self._host = host
        return self._host

    def in_space(self, space: Any) -> DeviceArray | np.ndarray:
        """The elements on another device, where that copies them itself, the first time; else on the host."""
        if self.space is space:
            return self
        if self._copied is None or self._copied.space is not space:
            copied = space.moved(self)
            if copied is None:
                return self.numpy()
            self._copied = copied
        return self._copied

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        found = self.numpy()
        if dtype is not None and np.dtype(dtype) != found.dtype:
            return found.astype(dtype)
        return found.copy() if copy else found

    # --- other libraries ----------------------------------------------------------------------------------------------

    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        """A capsule of DLPack.  Who takes it must not write: the array may be the value of a shared variable.

        Errors  BufferError for another device than its own, and for a copy.
        """
        device = self.space.device
        if not hasattr(device, "dlpack"):
            return self.numpy().__dlpack__(max_version=max_version, dl_device=dl_device, copy=copy)
        if copy or dl_device not in (None, device.dlpack_device):
            raise BufferError(f"{self!r} is given away as it is, on device {device.dlpack_device}, without a copy")
        return device.dlpack(self, stream)

    def __dlpack_device__(self) -> tuple[int, int]:
        """Kind and number of the device, as DLPack counts them; the host where a device has no other way."""
        return getattr(self.space.device, "dlpack_device", (1, 0))

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """Version 3.  Who takes it must not write, and keep this array until its work is done.

        Errors  AttributeError where the device is none of CUDA's.
        """
        if not hasattr(self.space.device, "interface"):
            raise AttributeError(f"{self!r} is no array of CUDA")
        return self.space.device.interface(self)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a 0-d array has no length")
        return self.shape[0]

    def __float__(self) -> float:
        return float(self.numpy())

    def __int__(self) -> int:
        return int(self.numpy())

    def __bool__(self) -> bool:
        return bool(self.numpy())

    def __getitem__(self, key: Any) -> Any:
        return self.numpy()[key]

    def copy(self) -> np.ndarray:
        return self.numpy().copy()

    def __reduce__(self) -> tuple:
        """Pickled as the NumPy array that it stands for."""
        return np.array, (self.numpy(),)

    def __repr__(self) -> str:
        return f"<{self.dtype}{list(self.shape)} on {self.space.name}>"


def on_host(value: Any) -> Any:
    """A value for whoever works on the host: device arrays become NumPy arrays."""
    return value.numpy() if type(value) in (DeviceArray, Foreign) else value
