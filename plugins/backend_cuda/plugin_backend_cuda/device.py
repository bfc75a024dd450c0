"""A GPU as core sees it: memory, code and one queue, over the driver's calls.

Commands go to one stream, which runs them in order.  Copies between ordinary memory of the host and the device go
through pinned memory in pieces, so that the copy of one piece and the host's part in the next overlap.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from threading import RLock
from typing import Any

import numpy as np

from core.device.bound import Bindable
from core.device.contract import Block, Facts, Grid, Source
from core.device.facts import target_for
from core.errors import DeviceError
from core.options import config
from plugin_backend_cuda import cache, calls, cublas, exchange
from plugin_backend_cuda.compiler import Usage, usage
from plugin_backend_cuda.convolutions import Patches
from plugin_backend_cuda.dialect import CUDA, LARGEST_BLOCK
from plugin_backend_cuda.fourier import Mover
from plugin_backend_cuda.libcuda import CudaError, Packed
from plugin_backend_cuda.matrices import Kernels
from plugin_backend_cuda.thin import Thin

PIECE = 4 << 20  # bytes of one piece of pinned memory
BLOCKS_A_MULTIPROCESSOR = 8  # of LARGEST_BLOCK threads: as many as a multiprocessor holds at once
WAVES = 8  # kernels with many registers have fewer blocks at once, and then one more wave that is nearly empty


class Code:
    """A module that is loaded.  ``usage`` says what each kernel needs of registers, ``comments`` what it computes."""

    def __init__(self, module: Any, binary: cache.Binary, comments: dict[str, str]):
        self.module, self.file, self.comments = module, binary.file, comments
        self.usage: dict[str, Usage] = usage(binary.log)


class CudaDevice:
    """An open device: core.device.contract.Device, and its Recorder.  What it makes for itself holds it weakly, so that
    it goes, and lets go of the driver, with the last program and array of its.

    driver    the calls: libcuda.Driver, or what stands in for it
    compiler  text to machine code;  blas: (stream, stream number, workspace) -> a library of products, or None
    solver    (stream, stream number) -> a library of decompositions, or None
    fft       (stream, stream number, allocate) -> a library of Fourier transforms, or None
    sparse    (stream, stream number) -> a library of tridiagonal systems, or None
    """

    def __init__(
        self,
        driver: Any,
        number: int,
        compiler: Any,
        blas: Callable[..., Any] | None,
        solver: Callable[..., Any] | None = None,
        fft: Callable[..., Any] | None = None,
        sparse: Callable[..., Any] | None = None,
    ):
        self._driver, self.number, self._compiler = driver, number, compiler
        self._make_blas, self._make_solver, self._make_fft, self._make_sparse = blas, solver, fft, sparse
        self.lock = RLock()
        self._context = driver.retain(number)
        self._enter()
        attribute = {
            name: driver.attribute(number, name) for name in ("multiprocessors", "compute_major", "compute_minor")
        }
        self.architecture = 10 * attribute["compute_major"] + attribute["compute_minor"]
        units = BLOCKS_A_MULTIPROCESSOR * attribute["multiprocessors"]
        assert CUDA.work is not None
        target = target_for(CUDA.work, units, LARGEST_BLOCK, WAVES, deterministic=bool(config["cuda.deterministic"]))
        memory_bytes = driver.memory()[1]
        name = driver.device_name(number)
        self.facts = Facts(name, target, CUDA, memory_bytes=memory_bytes, largest_bytes=memory_bytes)
        self._stream = driver.new_stream()
        self._staging = Staging(driver, self._stream)
        self._blas: Any = None
        self._solver: Any = None
        self._fft: Any = None
        self._sparse: Any = None
        self._movers: dict[str, Mover] = {}
        self._matrices: dict[str, Kernels] = {}
        self._thin: dict[tuple[str, int], Thin] = {}
        self._patches: dict[str, Patches] = {}
        self._scratch: dict[tuple[str, int], int] = {}
        self._event: Any = None
        self._exchange = exchange.Exchange()

    def __str__(self) -> str:
        return f"cuda:{self.number} ({self.facts.name})"

    def _enter(self) -> None:
        """Make this device's context current: another device, or another library, may have put its own in place."""
        self._driver.use(self._context)

    # --- code -------------------------------------------------------------------------------------------------------

    def build(self, source: Source) -> Code:
        """Errors: CompileError."""
        binary = cache.build(source.text, self._compiler, self.architecture)
        self._enter()
        code = Code(self._driver.load_module(binary.image), binary, {k.name: k.comment for k, _ in source.kernels})
        driver, context = self._driver, self._context  # not the device, which may hold the code that it waits for
        weakref.finalize(code, _freed, driver.free_module, driver, context, code.module).atexit = False
        return code

    def launcher(self, code: Code, name: str, arguments: Sequence[Block | int], grid: Grid) -> Launcher:
        self._enter()
        return Launcher(self, code, name, self._driver.function(code.module, name), arguments, grid)

    def bind(self, *how: Any) -> Callable[..., Any] | None:
        """See core.device.contract.Binder."""
        return calls.bound(self, *how)

    def record(self, call: Bindable) -> Any:
        return calls.recorded(self, call)

    @cached_property
    def addresses(self) -> tuple[int, ...] | None:
        """Where the driver's functions are that C calls."""
        found: tuple[int, ...] | None = self._driver.addresses(calls.FUNCTIONS)
        return found

    @property
    def numbers(self) -> tuple[int, int]:
        """The driver's of the context and of the stream."""
        return self._driver.number(self._context), self._driver.number(self._stream)

    # --- memory -----------------------------------------------------------------------------------------------------

    def allocate(self, size_bytes: int) -> Block:
        """Errors: OutOfDeviceMemory."""
        self._enter()
        address = self._driver.allocate(size_bytes)
        return Block(address, size_bytes, handle=address)

    def part(self, block: Block, offset_bytes: int, size_bytes: int) -> Block:
        """Some of the bytes of a block, as one of its own."""
        return Block(block.pointer + offset_bytes, size_bytes, handle=block.pointer + offset_bytes)

    def pinned(self, size_bytes: int) -> Pinned:
        """Memory of the host that is copied from without the driver's help."""
        self._enter()
        return Pinned(self, size_bytes)

    def release(self, block: Block) -> None:
        """The driver waits for what is queued before it takes the memory back."""
        self._enter()
        self._driver.free(block.pointer)

    def upload(self, block: Block, array: np.ndarray, keep: bool) -> None:
        if array.nbytes:
            self._enter()
            self._staging.upload(block.pointer, array.ctypes.data, array.nbytes)

    def download(self, block: Block, array: np.ndarray) -> None:
        if array.nbytes:
            self._enter()
            self._staging.download(array, block.pointer)

    def copy(self, source: Block, target: Block, size_bytes: int) -> None:
        if size_bytes:
            self._enter()
            self._driver.copy(target.pointer, source.pointer, size_bytes, self._stream)

    def wrap(self, array: np.ndarray) -> None:
        return None

    def synchronize(self) -> None:
        self._enter()
        self._driver.finish(self._stream)  # other threads may queue meanwhile
        with self.lock:
            self._staging.finish()

    # --- library routines -------------------------------------------------------------------------------------------

    @property
    def products(self) -> Any:
        """The library of products for this device's stream, made when it is first needed."""
        if self._blas is None:
            if self._make_blas is None:
                raise DeviceError(f"{self} has no library of products")
            self._enter()
            workspace = self._driver.allocate(cublas.WORKSPACE + cublas.FACTORS)
            self._blas = self._make_blas(self._stream, self._driver.stream_number(self._stream), workspace)
        return self._blas

    @property
    def solver(self) -> Any:
        """The library of decompositions for this device's stream, made when it is first needed."""
        if self._solver is None:
            if self._make_solver is None:
                raise DeviceError(f"{self} has no library of linear algebra")
            self._enter()
            self._solver = self._make_solver(self._stream, self._driver.stream_number(self._stream))
        return self._solver

    @property
    def sparse(self) -> Any:
        """The library of tridiagonal systems for this device's stream, made when it is first needed; None without."""
        if self._sparse is None and self._make_sparse is not None:
            self._enter()
            self._sparse = self._make_sparse(self._stream, self._driver.stream_number(self._stream))
        return self._sparse

    @property
    def transforms(self) -> Any:
        """The library of Fourier transforms for this device's stream, made when it is first needed."""
        if self._fft is None:
            if self._make_fft is None:
                raise DeviceError(f"{self} has no library of Fourier transforms")
            self._enter()
            self._fft = self._make_fft(self._stream, self._driver.stream_number(self._stream), self._driver.allocate)
        return self._fft

    def mover(self, dtype: str) -> Mover:
        """The kernel that Fourier transforms use."""
        if dtype not in self._movers:
            self._movers[dtype] = Mover(weakref.proxy(self), dtype)
        return self._movers[dtype]

    def matrices(self, dtype: str) -> Kernels:
        """The kernels that decompositions use."""
        if dtype not in self._matrices:
            self._matrices[dtype] = Kernels(weakref.proxy(self), dtype)
        return self._matrices[dtype]

    def thin(self, dtype: str, length: int) -> Thin:
        """The kernels of products with one small length."""
        if (dtype, length) not in self._thin:
            self._thin[dtype, length] = Thin(weakref.proxy(self), dtype, length)
        return self._thin[dtype, length]

    def patches(self, dtype: str) -> Patches:
        """The kernels of convolutions."""
        if dtype not in self._patches:
            self._patches[dtype] = Patches(weakref.proxy(self), dtype)
        return self._patches[dtype]

    def scratch(self, name: str, size_bytes: int, least: int) -> int:
        """Where routines keep what they need for a moment: the same place each time, for graphs know it by its address.

        Every call of that name on this device shares it, as the queue comes to them.
        """
        size = max(least, 1 << max(size_bytes - 1, 0).bit_length())
        if (name, size) not in self._scratch:
            self._enter()
            self._scratch[name, size] = self._driver.allocate(size)
        return self._scratch[name, size]

    def function(self, code: Code, name: str) -> Any:
        """A kernel of ``code``, for ``run``."""
        self._enter()
        return self._driver.function(code.module, name)

    def run(self, function: Any, blocks: int, threads: int, packed: Packed) -> None:
        """Queue a kernel with these arguments."""
        self._enter()
        self._driver.launch(function, (blocks, 1, 1), (threads, 1, 1), 0, self._stream, packed)

    def fill(self, block: Block, byte: int, size_bytes: int, offset_bytes: int = 0) -> None:
        """Queue setting every byte."""
        self._enter()
        self._driver.fill(block.pointer + offset_bytes, byte, size_bytes, self._stream)

    # --- graphs -----------------------------------------------------------------------------------------------------

    @property
    def records(self) -> bool:
        """Whether repeated calls are to be replayed as graphs: the option ``cuda.graphs``."""
        return bool(config["cuda.graphs"])

    def begin_recording(self) -> None:
        self._enter()
        self._driver.begin_capture(self._stream)

    def end_recording(self) -> Callable[[], None]:
        graph = self._driver.end_capture(self._stream)
        return Replay(self, graph)

    def abandon_recording(self) -> None:
        """End a recording in which something failed."""
        self._driver.abandon_capture(self._stream)

    # --- other libraries ----------------------------------------------------------------------------------------------

    @property
    def dlpack_device(self) -> tuple[int, int]:
        return exchange.KIND, self.number

    def dlpack(self, array: Any, stream: Any) -> Any:
        return self._exchange.dlpack(self, array, stream)

    def interface(self, array: Any) -> dict[str, Any]:
        return exchange.interface(array.memory.block.pointer, array.shape, array.dtype, self.stream)

    def adopt(self, array: Any, allocate: Callable[[int], Any]) -> tuple[Any, tuple[int, ...], str]:
        return self._exchange.adopt(self, array, allocate)

    def let_wait(self, other: int) -> None:
        """What is queued later on stream ``other`` runs after what is queued here now."""
        self._ordered(self._stream, other)

    def wait_for(self, other: int) -> None:
        """What is queued here later runs after what is queued on stream ``other`` now."""
        self._ordered(other, self._stream)

    def _ordered(self, first: Any, second: Any) -> None:
        event = self._own_event()
        self._driver.record(event, first)
        self._driver.await_event(second, event)

    def _own_event(self) -> Any:
        """An event of this device, whose context is current from now on."""
        self._enter()
        if self._event is None:
            self._event = self._driver.new_event()
        return self._event

    def drain(self) -> None:
        """Wait for what is queued, and leave what comes back to the host to ``synchronize``."""
        self._enter()
        self._driver.finish(self._stream)

    # --- other GPUs ---------------------------------------------------------------------------------------------------

    def reaches(self, other: Any) -> bool:
        """Every GPU of the driver: where two have no way to each other, the driver takes one by the host."""
        return type(other) is CudaDevice and other._driver is self._driver

    def copy_from(self, other: CudaDevice, source: Block, target: Block, size_bytes: int) -> None:
        if not size_bytes:
            return
        here, there = self._own_event(), other._own_event()
        self._driver.record(there, other._stream)
        self._enter()
        self._driver.await_event(self._stream, there)
        places = target.pointer, self._context, source.pointer, other._context
        self._driver.copy_between(*places, size_bytes, self._stream)
        self._driver.record(here, self._stream)
        other._enter()
        self._driver.await_event(other._stream, here)  # before the memory there may hold something else

    # --- for measurements -------------------------------------------------------------------------------------------

    def stopwatch(self) -> Stopwatch:
        """Time on the device between two moments of the queue."""
        return Stopwatch(self._driver, self._stream, self._enter)

    @property
    def stream(self) -> int:
        """The number of the stream, as other libraries take it."""
        return self._driver.stream_number(self._stream)


class Launcher:
    """One kernel with its arguments and its grid."""

    def __init__(
        self, device: CudaDevice, code: Code, name: str, function: Any, arguments: Sequence[Block | int], grid: Grid
    ):
        self._device, self._code, self._name, self._function = device, code, name, function
        kinds = "".join("P" if isinstance(one, Block) else "q" for one in arguments)
        values = [one.pointer if isinstance(one, Block) else one for one in arguments]
        self._packed = Packed(kinds, values)
        self._grid, self._block = (*grid.groups, 1), (*grid.group, 1)

    def set(self, position: int, block: Block) -> None:
        self._packed.set(position, block.pointer)

    def numbers(self, blocks: Mapping[int, Block]) -> tuple[Any, ...]:
        """The driver's number of the kernel, its grid and its arguments, some of which are these."""
        values = [blocks[k].pointer if k in blocks else one.value for k, one in enumerate(self._packed.values)]
        return self._device._driver.number(self._function), self._grid, self._block, tuple(values)

    def __call__(self) -> None:
        device = self._device
        try:
            device._driver.use(device._context)
            device._driver.launch(self._function, self._grid, self._block, 0, device._stream, self._packed)
        except CudaError as error:
            comment = self._code.comments.get(self._name, "").replace("\n", "; ")
            raise DeviceError(f"kernel {self._name} ({comment}) could not be launched on {device}: {error}") from error


class Replay:
    """Commands that were recorded, queued as one.  ``number``: the driver's of the graph."""

    def __init__(self, device: CudaDevice, graph: Any):
        self._device, self._graph = device, graph
        self.number = device._driver.number(graph)
        weakref.finalize(self, device._driver.free_graph, graph).atexit = False

    def __call__(self) -> None:
        self._device._enter()
        self._device._driver.replay(self._graph, self._device._stream)


class Pinned:
    """Memory of the host at ``address``, as long as this object lives."""

    def __init__(self, device: CudaDevice, size_bytes: int):
        self.address = device._driver.allocate_pinned(size_bytes)
        driver = device._driver
        weakref.finalize(self, _freed, driver.free_pinned, driver, device._context, self.address).atexit = False


def _freed(free: Callable[[Any], None], driver: Any, context: Any, what: Any) -> None:
    """Free what the driver made in a context."""
    driver.use(context)
    free(what)


class Staging:
    """Two pieces of pinned memory, used by turns; an event says when the device is done with each."""

    def __init__(self, driver: Any, stream: Any):
        self._driver, self._stream = driver, stream
        self._pieces: list[tuple[int, Any]] = []
        self._turn = 0
        self._busy = [False, False]
        self._waiting: list[tuple[int, int, int, Any]] = []  # downloads: turn, offset, size, array

    def _piece(self) -> tuple[int, int, Any]:
        """The next piece, when the device is done with it."""
        if not self._pieces:
            self._pieces = [(self._driver.allocate_pinned(PIECE), self._driver.new_event()) for _ in range(2)]
        self._turn = turn = 1 - self._turn
        address, event = self._pieces[turn]
        if self._busy[turn]:
            self._driver.wait_event(event)
            self._busy[turn] = False
            self._settle(turn)
        return turn, address, event

    def _settle(self, turn: int) -> None:
        """Hand over what a piece holds for the host."""
        address = self._pieces[turn][0]
        for _, offset, size, array in [one for one in self._waiting if one[0] == turn]:
            ctypes.memmove(array.ctypes.data + offset, address, size)
        self._waiting = [one for one in self._waiting if one[0] != turn]

    def upload(self, to: int, source: int, size: int) -> None:
        for offset in range(0, size, PIECE):
            turn, address, event = self._piece()
            part = min(PIECE, size - offset)
            ctypes.memmove(address, source + offset, part)
            self._driver.copy_in(to + offset, address, part, self._stream)
            self._driver.record(event, self._stream)
            self._busy[turn] = True

    def download(self, array: np.ndarray, source: int) -> None:
        for offset in range(0, array.nbytes, PIECE):
            turn, address, event = self._piece()
            part = min(PIECE, array.nbytes - offset)
            self._driver.copy_out(address, source + offset, part, self._stream)
            self._driver.record(event, self._stream)
            self._busy[turn] = True
            self._waiting.append((turn, offset, part, array))

    def finish(self) -> None:
        """Wait for the downloads and hand them over."""
        for turn in (1 - self._turn, self._turn):
            if self._busy[turn]:
                self._driver.wait_event(self._pieces[turn][1])
                self._busy[turn] = False
                self._settle(turn)


class Stopwatch:
    """``start``, ``stop``, then ``milliseconds``."""

    def __init__(self, driver: Any, stream: Any, enter: Callable[[], None]):
        self._driver, self._stream, self._enter = driver, stream, enter
        enter()
        self._events = (driver.new_event(), driver.new_event())

    def start(self) -> None:
        self._enter()
        self._driver.record(self._events[0], self._stream)

    def stop(self) -> None:
        self._enter()
        self._driver.record(self._events[1], self._stream)

    def milliseconds(self) -> float:
        self._enter()
        return self._driver.elapsed_ms(*self._events)
