"""Arrays to and from CuPy, PyTorch, JAX and others: DLPack's capsules, and ``__cuda_array_interface__``.

Work that is queued on one side comes before what the other side queues then: by events between streams, for nobody
waits on the host.  Reference: DLPack 0.8 (capsules without a version), the array API's "Data interchange mechanisms",
and Numba's "CUDA Array Interface", version 3.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from core import dtypes
from core.device.contract import Block, Source
from core.device.exchange import Borrowed
from core.errors import DeviceError
from core.ir.nodes import Kernel
from plugin_backend_cuda.dialect import CUDA
from plugin_backend_cuda.libcuda import Packed

KIND, MANAGED = 2, 13  # DLDeviceType: memory of CUDA, and such that moves by itself
LEGACY_STREAM = 1  # DLPack and CUDA agree on the numbers of both default streams
BOUNDARY = 16  # bytes, for kernels take as many at once
_CODES = {"i": 0, "u": 1, "f": 2, "c": 5, "b": 6}  # DLDataTypeCode, by NumPy's kinds
_NAME, _USED = b"dltensor", b"used_dltensor"


class _Tensor(ctypes.Structure):
    """DLTensor."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("kind", ctypes.c_int32),
        ("device", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


_Deleter = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class _Managed(ctypes.Structure):
    """DLManagedTensor."""

    _fields_ = (("tensor", _Tensor), ("context", ctypes.c_void_p), ("deleter", _Deleter))


def _of_python(name: str, result: Any, *arguments: Any) -> Any:
    return ctypes.PYFUNCTYPE(result, *arguments)((name, ctypes.pythonapi))


_new_capsule = _of_python("PyCapsule_New", ctypes.py_object, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
_pointer_of = _of_python("PyCapsule_GetPointer", ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)
_rename = _of_python("PyCapsule_SetName", ctypes.c_int, ctypes.py_object, ctypes.c_char_p)
# for a capsule that is being destroyed, which must not become an object again
_is_unused = _of_python("PyCapsule_IsValid", ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p)
_dying_pointer = _of_python("PyCapsule_GetPointer", ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)

_given: dict[int, tuple[Any, Callable[[], None]]] = {}  # what others have: its memory, and what to do when it is back


@_Deleter
def _returned(address: int) -> None:
    _, done = _given.pop(address)
    done()


@_Deleter
def _capsule_dies(capsule: int) -> None:
    """Nobody took it."""
    if _is_unused(capsule, _NAME):
        _returned(_dying_pointer(capsule, _NAME))


def capsule(pointer: int, device: int, shape: tuple[int, ...], dtype: np.dtype, done: Callable[[], None]) -> Any:
    """A capsule for row-major elements; ``done`` is called when the consumer is done with them."""
    managed = _Managed()
    lengths = (ctypes.c_int64 * max(len(shape), 1))(*shape)
    strides = (ctypes.c_int64 * max(len(shape), 1))(*_row_major(shape))
    tensor = managed.tensor
    tensor.data, tensor.kind, tensor.device, tensor.ndim = pointer, KIND, device, len(shape)
    tensor.code, tensor.bits, tensor.lanes = _CODES[dtype.kind], 8 * dtype.itemsize, 1
    tensor.shape, tensor.strides = lengths, strides
    managed.deleter = _returned
    address = ctypes.addressof(managed)
    _given[address] = ((managed, lengths, strides), done)
    return _new_capsule(address, _NAME, ctypes.cast(_capsule_dies, ctypes.c_void_p))


class Given:
    """An array of another library: where it lies, and ``release``, to be called once when it is no longer used."""

    def __init__(
        self,
        pointer: int,
        shape: tuple[int, ...],
        strides: tuple[int, ...],
        dtype: str,
        release: Callable[[], None],
    ):
        self.pointer, self.shape, self.strides = pointer, shape, strides  # strides count elements
        self.dtype, self.release = dtype, release

    @property
    def is_plain(self) -> bool:
        """Whether it lies in row-major order, on a boundary that suits every access."""
        steps = zip(self.strides, _row_major(self.shape), self.shape, strict=True)
        return self.pointer % BOUNDARY == 0 and (0 in self.shape or all(s == r or n == 1 for s, r, n in steps))


def _row_major(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


def taken(array: Any, device: int, stream: int, wait: Callable[[int], None], who: str) -> Given:
    """What is in an array of another library, ordered for ``stream``; ``wait`` lets that wait for another one.

    Errors  DeviceError for an array on another device.
    """
    if not hasattr(array, "__dlpack__"):
        return _by_interface(array, wait)
    kind, number = (int(n) for n in array.__dlpack_device__())
    if kind not in (KIND, MANAGED) or number != device:
        raise DeviceError(f"{who} takes arrays of its own memory, got one of DLPack's device {(kind, number)}; copy it")
    found = array.__dlpack__(stream=stream)
    address = _pointer_of(found, _NAME)
    managed = _Managed.from_address(address)
    _rename(found, _USED)
    tensor = managed.tensor
    shape = tuple(tensor.shape[k] for k in range(tensor.ndim))
    strides = tuple(tensor.strides[k] for k in range(tensor.ndim)) if tensor.strides else _row_major(shape)
    deleter = managed.deleter
    return Given(
        (tensor.data or 0) + tensor.byte_offset, shape, strides, _named(tensor, who),
        lambda: deleter(address) if deleter else None,
    )  # fmt: skip


def _named(tensor: _Tensor, who: str) -> str:
    kind = next((kind for kind, code in _CODES.items() if code == tensor.code), "")
    name = np.dtype(f"{kind}{tensor.bits // 8}").name if kind else f"DLPack's code {tensor.code}"
    if name not in dtypes.ALL or tensor.lanes != 1:
        raise DeviceError(f"{who} takes arrays of dtypes that core has, got {name}")
    return name


def _by_interface(array: Any, wait: Callable[[int], None]) -> Given:
    """By ``__cuda_array_interface__``: without a stream, work of the default stream comes first."""
    found = array.__cuda_array_interface__
    dtype, shape = np.dtype(found["typestr"]), tuple(found["shape"])
    strides = found.get("strides")
    wait(found.get("stream") or LEGACY_STREAM)
    steps = _row_major(shape) if strides is None else tuple(n // dtype.itemsize for n in strides)
    kept = [array]
    return Given(int(found["data"][0] or 0), shape, steps, dtype.name, kept.clear)


def interface(pointer: int, shape: tuple[int, ...], dtype: np.dtype, stream: int) -> dict[str, Any]:
    """``__cuda_array_interface__`` of row-major elements; not marked as read-only, which PyTorch refuses."""
    return {
        "version": 3, "shape": shape, "typestr": dtype.str, "data": (pointer, False), "strides": None, "stream": stream,
    }  # fmt: skip


# --- arrays that lie otherwise ---------------------------------------------------------------------------------------

_COPY = """
/* out[i, j, ...] = from[i, j, ...]: row-major from any strides; ``axes`` are lengths, then strides in elements. */
extern "C" __global__ void __launch_bounds__(256) core_strided_BYTES(TYPE *out, const TYPE *from, const int64_t *axes,
    int64_t ndim, int64_t count)
{
    for (int64_t e = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; e < count; e += gridDim.x * (int64_t)blockDim.x) {
        int64_t left = e, place = 0;
        for (int64_t axis = ndim - 1; axis >= 0; axis--) {
            place += left % axes[axis] * axes[ndim + axis];
            left /= axes[axis];
        }
        out[e] = from[place];
    }
}
"""
_TYPES = {1: "uint8_t", 2: "uint16_t", 4: "uint32_t", 8: "uint64_t", 16: "core_pair"}


def copy_source() -> Source:
    """The kernels that copy arrays of any strides, one for each size of element."""
    texts = [_COPY.replace("BYTES", str(size)).replace("TYPE", name) for size, name in _TYPES.items()]
    head = f"{CUDA.preamble}\nstruct __align__(8) core_pair {{ uint64_t at[2]; }};\n"
    kernels = tuple((Kernel(f"core_strided_{size}", [], [], [], "copy of an array"), ()) for size in _TYPES)
    return Source("exchange", head + "".join(texts), kernels)


class Exchange:
    """core.device.contract.Exchange of one CudaDevice, which holds it."""

    def __init__(self) -> None:
        self._code: Any = None

    def dlpack(self, device: Any, array: Any, stream: Any) -> Any:
        """Errors: BufferError for stream 0, which DLPack leaves ambiguous."""
        if stream == 0:
            raise BufferError("DLPack's stream 0 is ambiguous; 1 is the legacy default stream, 2 that of the thread")
        number = LEGACY_STREAM if stream in (None, -1) else int(stream)
        if stream != -1:
            device.let_wait(number)

        def done(memory: Any = array.memory) -> None:
            device.wait_for(number)  # what the consumer queued there comes before whoever gets the memory next

        return capsule(array.memory.block.pointer, device.number, array.shape, array.dtype, done)

    def adopt(self, device: Any, array: Any, allocate: Callable[[int], Any]) -> tuple[Any, tuple[int, ...], str]:
        given = taken(array, device.number, device.stream, device.wait_for, str(device))
        size = int(np.prod(given.shape, dtype="int64")) * dtypes.size_bytes(given.dtype)
        release = partial(_release, device, given.release)
        if given.is_plain:
            return Borrowed(Block(given.pointer, max(size, 1)), release), given.shape, given.dtype
        axes = np.array([*given.shape, *given.strides], "int64")
        memory = allocate(size + axes.nbytes + BOUNDARY)
        self._copy(device, given, memory.block.pointer, -(-size // BOUNDARY) * BOUNDARY, axes)
        release()
        return memory, given.shape, given.dtype

    def _copy(self, device: Any, given: Given, target: int, offset: int, axes: np.ndarray) -> None:
        itemsize = dtypes.size_bytes(given.dtype)
        if self._code is None:
            self._code = device.build(copy_source())
        count = int(np.prod(given.shape, dtype="int64"))
        if not count:
            return
        device.upload(Block(target + offset, axes.nbytes), axes, keep=False)
        packed = Packed("PPPqq", (target, given.pointer, target + offset, len(given.shape), count))
        function = device.function(self._code, f"core_strided_{itemsize}")
        device.run(function, min(-(-count // 256), 4096), 256, packed)


def _release(device: Any, release: Callable[[], None]) -> None:
    """Give an array back when nothing that is queued uses it any more: its owner may work on any stream."""
    device.drain()
    release()
