"""An OpenCL device as core.device.contract describes one: a context, one queue in order, memory, kernels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from threading import RLock
from typing import Any

import numpy as np
import pyopencl as cl

from core.device.contract import Block, Facts, Grid, Source
from core.errors import DeviceError, DeviceLost, DeviceMemoryError
from core.ir.expr import Combine
from core.ir.target import Target
from plugin_backend_opencl import building
from plugin_backend_opencl.dialect import NEEDS_64_BITS, OPENCL, VECTORS
from plugin_backend_opencl.products import Products

_PIECES = 4  # work-items for each compute unit of a CPU, so that one that is late holds up few
_GROUPS = 8  # groups for each compute unit of a GPU
_LANES = 256
_NO_MEMORY = frozenset(
    {"MEM_OBJECT_ALLOCATION_FAILURE", "OUT_OF_RESOURCES", "OUT_OF_HOST_MEMORY", "INVALID_BUFFER_SIZE"}
)
_LOST = frozenset({"DEVICE_NOT_AVAILABLE", "INVALID_COMMAND_QUEUE", "INVALID_CONTEXT"})


class ClDevice:
    """An open device.  ``options`` are those of the plugin."""

    def __init__(self, device: Any, options: Mapping[str, Any]):
        self.lock = RLock()
        self.queued = self._finished = 0  # commands, so far
        self.cl_device = device
        self.facts = facts_of(device, options)
        self._wanted = options["opencl.products"]
        try:
            self._context = cl.Context([device])
            self.queue = cl.CommandQueue(self._context, device)
        except cl.Error as error:
            raise named(error, self.facts.name, "cannot be opened") from error

    # --- code -------------------------------------------------------------------------------------------------------

    def build(self, source: Source) -> Any:
        return building.build(self._context, self.cl_device, self.facts, source)

    def launcher(self, code: Any, name: str, arguments: Sequence[Block | int], grid: Grid) -> Launcher:
        return Launcher(self, self.queue, cl.Kernel(code, name), arguments, grid)

    # --- memory -----------------------------------------------------------------------------------------------------

    def allocate(self, size_bytes: int) -> Block:
        try:
            host = self._shared(size_bytes) if self.facts.shares_memory else None
            if host is not None:
                flags = cl.mem_flags.READ_WRITE | cl.mem_flags.USE_HOST_PTR
                return Block(cl.Buffer(self._context, flags, hostbuf=host), size_bytes, host)
            buffer = cl.Buffer(self._context, cl.mem_flags.READ_WRITE, size_bytes)
            cl.enqueue_fill_buffer(self.queue, buffer, np.zeros(1, "uint8"), 0, 1)  # it may fail only at its first use
        except (cl.Error, MemoryError) as error:
            raise named(error, self.facts.name, f"cannot give {size_bytes} bytes") from error
        return Block(buffer, size_bytes)

    def _shared(self, size_bytes: int) -> np.ndarray:
        """Memory that the host may touch whenever the device does not (OpenCL 2.0, 5.6: fine-grain buffers)."""
        if size_bytes > self.facts.largest_bytes:
            raise MemoryError("INVALID_BUFFER_SIZE")
        flags = cl.svm_mem_flags.READ_WRITE | cl.svm_mem_flags.SVM_FINE_GRAIN_BUFFER
        return cl.svm_empty(self._context, flags, size_bytes, "uint8", alignment=_BOUNDARY)

    def release(self, block: Block) -> None:
        if block.host is not None and not self.idle:
            self.synchronize()
        block.pointer.release()

    @property
    def idle(self) -> bool:
        return self.queued == self._finished

    def upload(self, block: Block, array: np.ndarray, keep: bool) -> None:
        source = array if keep else array.copy()  # the copy lives as long as the event that pyopencl attaches it to
        self._copied(block.pointer, source, "cannot be written to")

    def download(self, block: Block, array: np.ndarray) -> None:
        self._copied(array, block.pointer, "cannot be read from")

    def copy(self, source: Block, target: Block, size_bytes: int) -> None:
        self._copied(target.pointer, source.pointer, "cannot copy", byte_count=size_bytes)

    def _copied(self, target: Any, source: Any, what: str, **how: Any) -> None:
        if "byte_count" not in how:
            how["is_blocking"] = False
        self.queued += 1
        try:
            cl.enqueue_copy(self.queue, target, source, **how)
        except cl.Error as error:
            raise named(error, self.facts.name, what) from error

    def fill(self, block: Block, byte: int, size_bytes: int, offset_bytes: int = 0) -> None:
        """Queue setting every byte."""
        self.queued += 1
        try:
            cl.enqueue_fill_buffer(self.queue, block.pointer, np.full(1, byte, "uint8"), offset_bytes, size_bytes)
        except cl.Error as error:
            raise named(error, self.facts.name, "cannot be written to") from error

    @cached_property
    def products(self) -> Products:
        """What multiplies matrices here.  Errors: BackendError where what the option asks for is not there."""
        return Products(self, self._wanted)

    def wrap(self, array: np.ndarray) -> Block | None:
        if not self.facts.shares_memory or array.ctypes.data % _ALIGNED:
            return None
        flags = cl.mem_flags.READ_ONLY | cl.mem_flags.USE_HOST_PTR
        try:
            return Block(cl.Buffer(self._context, flags, hostbuf=array), array.nbytes, array)
        except cl.Error:
            return None

    def synchronize(self) -> None:
        queued = self.queued
        try:
            self.queue.finish()
            self._finished = max(self._finished, queued)
        except cl.Error as error:
            raise named(error, self.facts.name, "failed to run what was queued") from error


_ALIGNED = 16  # bytes, of NumPy's arrays
_BOUNDARY = 128  # bytes: the largest vector of OpenCL C, 16 doubles


class Launcher:
    """A kernel with its arguments and its grid."""

    def __init__(self, device: ClDevice, queue: Any, kernel: Any, arguments: Sequence[Block | int], grid: Grid):
        self._queue, self._kernel, self._device = queue, kernel, device
        (gx, gy), (x, y) = grid.groups, grid.group
        self._global, self._local = (gx * x, gy * y), (x, y)
        for position, argument in enumerate(arguments):
            if isinstance(argument, Block):
                kernel.set_arg(position, argument.pointer)
            else:
                kernel.set_arg(position, np.int64(argument))

    def set(self, position: int, block: Block) -> None:
        self._kernel.set_arg(position, block.pointer)

    def __call__(self) -> None:
        self._device.queued += 1
        try:
            cl.enqueue_nd_range_kernel(self._queue, self._kernel, self._global, self._local)
        except cl.Error as error:
            name = self._device.facts.name
            raise named(error, name, f"cannot run kernel {self._kernel.function_name}") from error


def named(error: Any, device: str, what: str) -> DeviceError:
    """An error of pyopencl, or of Python for want of memory, as one of ours."""
    if not isinstance(error, cl.Error):
        return DeviceMemoryError(f"OpenCL device {device} {what}: {error}")
    code = cl.status_code.to_string(error.code, "error %d")
    kind = DeviceMemoryError if code in _NO_MEMORY else DeviceLost if code in _LOST else DeviceError
    return kind(f"OpenCL device {device} {what}: {code} ({error})")


def facts_of(device: Any, options: Mapping[str, Any]) -> Facts:
    """What core needs to know of a device."""
    name = device.name.strip()
    is_cpu = bool(device.type & cl.device_type.CPU)
    has_float64 = bool(device.double_fp_config)
    extensions = set(device.extensions.split())
    missing = frozenset() if "cl_khr_int64_base_atomics" in extensions else NEEDS_64_BITS
    types, stored = dict(OPENCL.types), {}
    lacks: dict[str, str] = {}
    if not has_float64:
        missing |= {"float64"}
        if options["opencl.float64"] == "float32":
            types["float64"], stored["float64"] = "float", "float32"
        else:
            del types["float64"]
            lacks["float64"] = (
                f"{name} does not have (cl_khr_fp64); use float32 (core.config.floatX), or set the option "
                "opencl.float64='float32' to compute it with less precision"
            )
    assert OPENCL.work is not None
    atomics = {key: word for key, word in OPENCL.work.atomics.items() if key[1] not in missing}
    schedule = options["opencl.schedule"]
    in_pieces = schedule == "pieces" or (schedule == "auto" and is_cpu)
    lanes = 1 if in_pieces else min(_LANES, device.max_work_group_size)
    target = Target(
        units=device.max_compute_units * (_PIECES if in_pieces else _GROUPS),
        lanes=lanes,
        packs_rows=bool(device.type & cl.device_type.GPU),
        has_float64=has_float64,
        settles=not in_pieces and (Combine.MAX, "int64") in atomics,
        atomics=frozenset()
        if in_pieces or options["opencl.deterministic"]
        else frozenset(dtype for combine, dtype in atomics if combine is Combine.ADD),
    )
    preamble = PRAGMAS.format(int64="" if missing & {"int64"} else INT64) + OPENCL.preamble
    return Facts(
        name=name,
        target=target,
        dialect=replace(
            OPENCL,
            types=types,
            lacks=lacks,
            preamble=preamble,
            vectors={dtype: VECTORS[dtype] for dtype in types if dtype not in stored} if in_pieces else {},
            work=replace(OPENCL.work, atomics=atomics),
        ),
        stored=stored,
        memory_bytes=device.global_mem_size,
        largest_bytes=device.max_mem_alloc_size,
        shares_memory=is_cpu and bool(device.host_unified_memory) and _is_fine_grained(device),
    )


def _is_fine_grained(device: Any) -> bool:
    """Whether host and device may look at one buffer without mapping it (OpenCL 2.0)."""
    try:
        return bool(device.svm_capabilities & cl.device_svm_capabilities.FINE_GRAIN_BUFFER)
    except cl.Error:  # a device of OpenCL 1
        return False


PRAGMAS = "#pragma OPENCL EXTENSION cl_khr_fp64 : enable\n{int64}"
INT64 = "#pragma OPENCL EXTENSION cl_khr_int64_base_atomics : enable\n"
