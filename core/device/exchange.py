"""Arrays that other libraries have on a device: told from arrays of the host, and named, until a device adopts them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from core.errors import BackendError

if TYPE_CHECKING:  # what every function needs imports no driver's contract
    from core.device.contract import Block

_ON_HOST = frozenset({1, 3})  # DLDeviceType: a CPU's memory, and such that a GPU knows (pinned)


class Foreign:
    """An array of another library: its dtype and shape, as far as it shows them without being read."""

    __slots__ = ("array", "dtype", "shape")

    def __init__(self, array: Any):
        self.array = array
        interface = None if hasattr(array, "dtype") else array.__cuda_array_interface__
        if interface is None:
            name, shape = str(array.dtype).rpartition(".")[2], array.shape  # PyTorch says torch.float32
        else:
            name, shape = np.dtype(interface["typestr"]).name, interface["shape"]
        self.dtype, self.shape = name, tuple(int(n) for n in shape)

    def numpy(self) -> np.ndarray:
        """The elements on the host, where the library copies them there.  Errors: BackendError where it does not."""
        try:
            return np.asarray(self.array)
        except (TypeError, ValueError, RuntimeError) as error:
            raise BackendError(
                f"an array of {type(self.array).__module__} that lies on a device is no argument of a function that "
                f"does not run there: {error}"
            ) from error

    def __str__(self) -> str:
        return f"an array of {type(self.array).__module__} on a device, of dtype {self.dtype} and shape {self.shape}"


class Borrowed:
    """Memory that belongs to somebody else, as long as this object lives; then ``release`` tells them."""

    __slots__ = ("block", "_release", "__weakref__")

    def __init__(self, block: Block, release: Callable[[], None]):
        self.block, self._release = block, release

    def __del__(self) -> None:
        self._release()


def is_foreign(value: Any) -> bool:
    """Whether a value is an array that another library has on a device, by DLPack or __cuda_array_interface__."""
    kind = type(value)
    if hasattr(kind, "__dlpack_device__"):
        return int(value.__dlpack_device__()[0]) not in _ON_HOST
    return hasattr(kind, "__cuda_array_interface__")
