"""An OpenCL device as core.device.contract describes one: a context, a queue in order, memory, kernels.

A device with memory of its own has a second queue, for copies; see transfers.py.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from threading import RLock
from typing import Any

import numpy as np
import pyopencl as cl

from core.dataclass import replace
from core.device.bound import Bindable
from core.device.contract import Block, Facts, Grid, Source
from core.device.facts import target_for
from core.errors import DeviceError, DeviceLost, DeviceMemoryError
from core.ir.nodes import Kernel
from plugin_backend_opencl import building, calls
from plugin_backend_opencl.dialect import HALVES, NEEDS_64_BITS, OPENCL, VECTORS
from plugin_backend_opencl.products import Products
from plugin_backend_opencl.transfers import ClBlock, Transfers

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
        self._copies: deque[Any] = deque()  # events of copies, with their arrays: to drop one is to wait for it
        self._copied_bytes = 0  # by these, since the last look at who has run
        try:
            self._context = cl.Context([device])
            self.queue = cl.CommandQueue(self._context, device)
            self.transfers = None if self.facts.shares_memory else Transfers(self._context, device, self.queue)
        except cl.Error as error:
            raise named(error, self.facts.name, "cannot be opened") from error

    # --- code -------------------------------------------------------------------------------------------------------

    def build(self, source: Source) -> Code:
        program = building.build(self._context, self.cl_device, self.facts, source)
        return Code(program, {kernel.name: kernel for kernel, _ in source.kernels})

    def launcher(self, code: Code, name: str, arguments: Sequence[Block | int], grid: Grid) -> Launcher:
        kernel, of = cl.Kernel(code.program, name), code.kernels[name]
        if self.transfers is None:
            return Launcher(self, kernel, arguments, grid, of.in_parts)
        return WaitingLauncher(self, kernel, arguments, grid, of.in_parts, len(of.writes))

    def bind(self, *how: Any) -> Callable[..., Any] | None:
        """See core.device.contract.Binder."""
        return calls.bound(*how)

    def record(self, call: Bindable) -> Any:
        return calls.recorded(self, call)

    # --- memory -----------------------------------------------------------------------------------------------------

    def allocate(self, size_bytes: int) -> Block:
        try:
            host = self._shared(size_bytes) if self.facts.shares_memory else None
            if host is not None:
                flags = cl.mem_flags.READ_WRITE | cl.mem_flags.USE_HOST_PTR
                buffer = cl.Buffer(self._context, flags, hostbuf=host)
                return Block(buffer, size_bytes, host, buffer.int_ptr)
            buffer = cl.Buffer(self._context, cl.mem_flags.READ_WRITE, size_bytes)
            block = ClBlock(buffer, size_bytes) if self.transfers is not None else Block(buffer, size_bytes)
            block.handle = buffer.int_ptr
            with self.lock:
                self._write_to(block, 0, 1, 0)  # it may fail only at its first use
        except (cl.Error, MemoryError) as error:
            raise named(error, self.facts.name, f"cannot give {size_bytes} bytes") from error
        return block

    def part(self, block: Block, offset_bytes: int, size_bytes: int) -> Block:
        """Some of the bytes of a block: OpenCL has no pointers into buffers, and sub-buffers on few places alone."""
        return block.named_part(offset_bytes, size_bytes)

    def _shared(self, size_bytes: int) -> np.ndarray:
        """Memory that the host may touch whenever the device does not (OpenCL 2.0, 5.6: fine-grain buffers)."""
        if size_bytes > self.facts.largest_bytes:
            raise MemoryError("INVALID_BUFFER_SIZE")
        flags = cl.svm_mem_flags.READ_WRITE | cl.svm_mem_flags.SVM_FINE_GRAIN_BUFFER
        return cl.svm_empty(self._context, flags, size_bytes, "uint8", alignment=_BOUNDARY)

    def release(self, block: Block) -> None:
        if block.host is not None and not self.idle:
            self.synchronize()
        if self.transfers is not None:
            with self.lock:
                self.transfers.release(block)
        block.pointer.release()

    @property
    def idle(self) -> bool:
        return self.queued == self._finished

    def upload(self, block: Block, array: np.ndarray, keep: bool) -> None:
        self.queued += 1
        try:
            if self.transfers is not None:
                self.transfers.upload(block, array)
                return
            source = array if keep else array.copy()  # it lives as long as the event
            at = block.offset_bytes
            event = cl.enqueue_copy(self.queue, block.pointer, source, dst_offset=at, is_blocking=False)
            self._keep_copy(event, array.nbytes)
        except cl.Error as error:
            raise self._failed(error, "cannot be written to") from error

    def download(self, block: Block, array: np.ndarray) -> None:
        self.queued += 1
        try:
            if self.transfers is not None:
                self.transfers.download(block, array)
                return
            at = block.offset_bytes
            event = cl.enqueue_copy(self.queue, array, block.pointer, src_offset=at, is_blocking=False)
            self._keep_copy(event, array.nbytes)
        except cl.Error as error:
            raise self._failed(error, "cannot be read from") from error

    def _keep_copy(self, event: Any, size_bytes: int) -> None:
        """Keep the event of a copy until it has run: pyopencl waits for it when its last reference goes."""
        self._copies.append(event)
        self._copied_bytes += size_bytes
        if len(self._copies) < _MOST_COPIES and self._copied_bytes < _MOST_COPIED:
            return
        self._drop_copies()
        if len(self._copies) >= _MOST_COPIES:
            self._copies.popleft()
        self._copied_bytes = 0

    def _drop_copies(self) -> None:
        """Let go of those that have run, with their arrays."""
        try:
            while self._copies[0].command_execution_status <= cl.command_execution_status.COMPLETE:
                self._copies.popleft()
        except IndexError:  # all have
            pass

    def copy(self, source: Block, target: Block, size_bytes: int) -> None:
        def queue(**waits: Any) -> Any:
            at = {"src_offset": source.offset_bytes, "dst_offset": target.offset_bytes}
            return cl.enqueue_copy(self.queue, target.pointer, source.pointer, byte_count=size_bytes, **at, **waits)

        try:
            self.in_order(queue, (target, source), 1)
        except cl.Error as error:
            raise self._failed(error, "cannot copy") from error

    def fill(self, block: Block, byte: int, size_bytes: int, offset_bytes: int = 0) -> None:
        """Queue setting every byte."""
        try:
            self._write_to(block, byte, size_bytes, offset_bytes)
        except cl.Error as error:
            raise self._failed(error, "cannot be written to") from error

    def _write_to(self, block: Block, byte: int, size_bytes: int, offset_bytes: int) -> None:
        pattern, start = np.full(1, byte, "uint8"), block.offset_bytes + offset_bytes

        def queue(**waits: Any) -> Any:
            return cl.enqueue_fill_buffer(self.queue, block.pointer, pattern, start, size_bytes, **waits)

        self.in_order(queue, (block,), 1)

    def in_order(self, queue: Callable[..., Any], blocks: Sequence[Block], written: int) -> None:
        """Queue a command on the queue of kernels, ``queue(wait_for=events)``, that changes the first ``written``."""
        self.queued += 1
        if self.transfers is None:
            queue()
            return
        blocks = [block.whole for block in blocks]
        waits = self.transfers.before(blocks, written)
        self.transfers.after(queue(wait_for=waits), blocks, written)

    def _failed(self, error: Any, what: str) -> DeviceError:
        """The error of a command that could not be queued: no later one shall wait for what came before it."""
        if self.transfers is not None:
            self.transfers.forget()
        return named(error, self.facts.name, what)

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
            if self.transfers is not None:
                self.transfers.finish(self.lock)
            else:
                self.queue.finish()
                self._drop_copies()
            self._finished = max(self._finished, queued)
        except cl.Error as error:
            raise named(error, self.facts.name, "failed to run what was queued") from error


_ALIGNED = 16  # bytes, of NumPy's arrays
_BOUNDARY = 128  # bytes: the largest vector of OpenCL C, 16 doubles
_MOST_COPIES = 64  # that may wait in the queue, each with its array
_MOST_COPIED = 1 << 24  # bytes, after which it is looked which of them have run


@dataclass(frozen=True)
class Code:
    """A program, and its kernels by their names: the blocks that they write are the first of their arguments."""

    program: Any
    kernels: Mapping[str, Kernel]


class Launcher:
    """A kernel with its arguments and its grid; ``in_parts``: behind them, where each of its blocks begins."""

    def __init__(self, device: ClDevice, kernel: Any, arguments: Sequence[Block | int], grid: Grid, in_parts: bool):
        self._kernel, self._device, self._queue = kernel, device, device.queue
        self._places = len(arguments) if in_parts else 0
        (gx, gy), (x, y) = grid.groups, grid.group
        self._global, self._local = (gx * x, gy * y), (x, y)
        self._lengths = {k: np.int64(n) for k, n in enumerate(arguments) if not isinstance(n, Block)}
        for position, argument in enumerate(arguments):
            if isinstance(argument, Block):
                Launcher.set(self, position, argument)
            else:
                kernel.set_arg(position, self._lengths[position])

    def again(self, blocks: Mapping[int, Block]) -> Launcher:
        """Another one with the same lengths, and these of its blocks; the rest must be set."""
        made = copy(self)
        made._kernel = cl.Kernel(self._kernel.program, self._kernel.function_name)
        for position, n in self._lengths.items():
            made._kernel.set_arg(position, n)
        for position, block in blocks.items():
            made._kernel.set_arg(position, block.pointer)
        return made

    @property
    def numbers(self) -> tuple[int, ...]:
        """The driver's number of the kernel, and how many work-items there are, and in a group, along x and y."""
        return self._kernel.int_ptr, *self._global, *self._local

    def set(self, position: int, block: Block) -> None:
        self._kernel.set_arg(position, block.pointer)
        if self._places:
            self._kernel.set_arg(self._places + position, np.int64(block.offset_bytes))

    def __call__(self) -> None:
        self._device.queued += 1
        try:
            cl.enqueue_nd_range_kernel(self._queue, self._kernel, self._global, self._local)
        except cl.Error as error:
            raise self._refused(error) from error

    def _refused(self, error: Any) -> DeviceError:
        return self._device._failed(error, f"cannot run kernel {self._kernel.function_name}")


class WaitingLauncher(Launcher):
    """The same beside a queue of copies: ``written`` of its blocks, the first, are changed."""

    def __init__(
        self, device: ClDevice, kernel: Any, arguments: Sequence[Block | int], grid: Grid, in_parts: bool, written: int
    ) -> None:
        super().__init__(device, kernel, arguments, grid, in_parts)
        self._blocks: list[Any] = [argument.whole for argument in arguments if isinstance(argument, Block)]
        self._written = written

    def set(self, position: int, block: Block) -> None:
        super().set(position, block)
        self._blocks[position] = block.whole

    def __call__(self) -> None:
        try:
            self._device.in_order(self._queued, self._blocks, self._written)
        except cl.Error as error:
            raise self._refused(error) from error

    def _queued(self, wait_for: Sequence[Any]) -> Any:
        return cl.enqueue_nd_range_kernel(self._queue, self._kernel, self._global, self._local, wait_for=wait_for)


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
            types.update(float64="float", complex128="float")
            stored.update(float64="float32", complex128="complex64")
        else:
            for dtype, smaller in (("float64", "float32"), ("complex128", "complex64")):
                del types[dtype]
                lacks[dtype] = (
                    f"{name} does not have (cl_khr_fp64); use {smaller} (core.config.floatX), or set the option "
                    "opencl.float64='float32' to compute it with less precision"
                )
    assert OPENCL.work is not None
    atomics = {key: word for key, word in OPENCL.work.atomics.items() if key[1] not in missing}
    schedule = options["opencl.schedule"]
    in_pieces = schedule == "pieces" or (schedule == "auto" and is_cpu)
    lanes = 1 if in_pieces else min(_LANES, device.max_work_group_size)
    work = replace(OPENCL.work, atomics=atomics)
    target = target_for(
        work,
        units=device.max_compute_units * (_PIECES if in_pieces else _GROUPS),
        lanes=lanes,
        packs_rows=bool(device.type & cl.device_type.GPU),
        has_float64=has_float64,
        deterministic=options["opencl.deterministic"],
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
            declarations={name: text.replace("double", types.get("float64", "")) for name, text in HALVES.items()},
            vectors={dtype: base for dtype, base in VECTORS.items() if dtype in types.keys() - stored}
            if in_pieces
            else {},
            work=work,
        ),
        stored=stored,
        memory_bytes=device.global_mem_size,
        largest_bytes=device.max_mem_alloc_size,
        shares_memory=options["opencl.zero_copy"]
        and is_cpu
        and bool(device.host_unified_memory)
        and _is_fine_grained(device),
        boundary_bytes=1,  # vectors are packed, see csimd.py
    )


def _is_fine_grained(device: Any) -> bool:
    """Whether host and device may look at one buffer without mapping it (OpenCL 2.0)."""
    try:
        return bool(device.svm_capabilities & cl.device_svm_capabilities.FINE_GRAIN_BUFFER)
    except cl.Error:  # a device of OpenCL 1
        return False


PRAGMAS = "#pragma OPENCL EXTENSION cl_khr_fp64 : enable\n{int64}"
INT64 = "#pragma OPENCL EXTENSION cl_khr_int64_base_atomics : enable\n"
