"""The driver's calls on a CPU: device memory is the host's, a stream does everything at once, a graph is a list."""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import tempfile
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import cffi

from plugin_backend_cuda.libcuda import OUT_OF_MEMORY, Packed, failed
from plugin_backend_cuda.shim.pointers import Pointers

FLAGS = (
    *("-std=c++17", "-shared", "-fPIC", "-x", "c++", "-fwrapv", "-ffp-contract=off", "-fno-strict-aliasing", "-w"),
    *("-U_FORTIFY_SOURCE", "-fcf-protection=none"),  # which some systems turn on: both forbid jumps between stacks
)
SANITIZE = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
ATTRIBUTES = {
    "threads_of_block": 1024,
    "shared_of_block": 48 * 1024,
    "shared_of_block_optin": 227 * 1024,
    "multiprocessors": 4,
    "compute_major": 9,
    "compute_minor": 0,
}
_WAITS = re.compile(r"__syncthreads|__syncwarp|__shfl")
_INVALID_VALUE, _LAUNCH_FAILED = 1, 719
_DECLARATIONS = """
typedef struct { int line, reached, threads; } core_error;
core_error core_launch(void (*body)(void **), const unsigned *grid, const unsigned *block, int fibers,
    void **arguments);
"""


@dataclass(frozen=True)
class HostCompiler:
    """g++, in the place of NVRTC: a "cubin" is a shared library."""

    flags: tuple[str, ...] = ("-O1",)
    version: str = "the host's C++ compiler"

    def __str__(self) -> str:
        return self.version

    def identity(self, architecture: int) -> str:
        return "\n".join([_version(), *FLAGS, *self.flags, _header()])

    def compile(self, text: str, architecture: int, folder: Path) -> tuple[bytes | None, str]:
        with tempfile.TemporaryDirectory(dir=folder) as place:
            source, made = Path(place, "kernel.cu"), Path(place, "kernel.so")
            names = kernel_names(text)
            waits = waiting(text)
            starts = "".join(f"CORE_KERNEL({name}, {int(name in waits)})\n" for name in names)
            source.write_text(f'{_header()}\n#line 1 "kernel.cu"\n{text}\n{starts}')
            command = ["g++", *FLAGS, *self.flags, "-o", str(made), str(source)]
            variables = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}  # a sanitizer
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", env=variables)
            if done.returncode:
                return None, re.sub(r"kernel\.cu:(\d+)", r"kernel.cu(\1)", done.stderr)
            return made.read_bytes(), done.stderr


@cache
def _header() -> str:
    return (files("plugin_backend_cuda.shim") / "cuda.h").read_text()


@cache
def _version() -> str:
    return subprocess.run(["g++", "--version"], capture_output=True, text=True).stdout.splitlines()[0]


def kernel_names(text: str) -> list[str]:
    """The kernels of a text, in order."""
    return re.findall(r"__global__[^;{]*?\b(\w+)\s*\((?!\s*\d)", text)


def waiting(text: str) -> set[str]:
    """The functions of a text, kernels and others, in which threads wait for each other."""
    heads = list(re.finditer(r"^(?:static|extern)[^;{]*?(\w+)\([^()]*\)\s*\{", text, re.M))
    ends = [head.start() for head in heads[1:]] + [len(text)]
    words = {
        head.group(1): set(re.findall(r"\w+", text[head.end() : end])) for head, end in zip(heads, ends, strict=True)
    }
    found = {name for name, used in words.items() if any(_WAITS.match(word) for word in used)}
    while more := {name for name, used in words.items() if used & found} - found:
        found |= more
    return found


@dataclass
class _Stream:
    noting: list[Callable[[], None]] | None = None


@dataclass(eq=False)
class _Event:
    """``at``: when the host came to it, for a stream does everything at once."""

    at: float = 0.0


@dataclass
class _Function:
    name: str
    start: Any
    waits: bool
    library: Any


class _Heap:
    """Memory of the "device", and what is pinned; what is left of it goes with the driver."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None)
        self._sizes: dict[int, int] = {}
        self._is_closed = False

    @property
    def used(self) -> int:
        return sum(self._sizes.values())

    def allocate(self, size: int, boundary: int) -> int:
        """Memory of exactly this size at its end, so that a sanitizer sees what goes past it; full of garbage."""
        out = ctypes.c_void_p()
        if self._libc.posix_memalign(ctypes.byref(out), ctypes.c_size_t(boundary), ctypes.c_size_t(size)):
            raise failed(f"cuMemAlloc of {size} bytes", "CUDA_ERROR_OUT_OF_MEMORY", OUT_OF_MEMORY)
        assert out.value is not None
        ctypes.memset(out.value, 0xA5, size)
        self._sizes[out.value] = size
        return out.value

    def free(self, address: int) -> None:
        if self._is_closed:  # by the collector of garbage, which takes a driver before what used it
            return
        if self._sizes.pop(address, None) is None:
            raise failed("cuMemFree", "CUDA_ERROR_INVALID_VALUE", _INVALID_VALUE)
        self._libc.free(ctypes.c_void_p(address))

    def close(self) -> None:
        self._is_closed = True
        while self._sizes:
            self._libc.free(ctypes.c_void_p(self._sizes.popitem()[0]))


@dataclass
class HostDriver:
    """Has the methods of libcuda.Driver.  ``limit`` is the memory of a device, ``devices`` how many it plays."""

    limit: int = 1 << 32
    devices: int = 1
    _heap: _Heap = field(default_factory=lambda: _Heap())
    _numbered: dict[int, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._ffi = cffi.FFI()
        self._ffi.cdef(_DECLARATIONS)
        weakref.finalize(self, self._heap.close).atexit = False

    # --- devices ----------------------------------------------------------------------------------------------------

    def start(self) -> int:
        return 13000

    def device_count(self) -> int:
        return self.devices

    def device_name(self, device: int) -> str:
        return "host-shim"

    def attribute(self, device: int, name: str) -> int:
        return ATTRIBUTES[name]

    def retain(self, device: int) -> Any:
        return device

    def use(self, context: Any) -> None:
        pass

    def memory(self) -> tuple[int, int]:
        return self.limit - self._heap.used, self.limit

    # --- memory -----------------------------------------------------------------------------------------------------

    def allocate(self, size: int) -> int:
        if size <= 0:
            raise failed(f"cuMemAlloc of {size} bytes", "CUDA_ERROR_INVALID_VALUE", _INVALID_VALUE)
        if size > self.memory()[0]:
            raise failed(f"cuMemAlloc of {size} bytes", "CUDA_ERROR_OUT_OF_MEMORY", OUT_OF_MEMORY)
        return self._heap.allocate(size, 256)

    def free(self, address: int) -> None:
        self._heap.free(address)

    def allocate_pinned(self, size: int) -> int:
        return self._heap.allocate(size, 64)

    def free_pinned(self, address: int) -> None:
        self.free(address)

    def copy_in(self, to: int, source: int, size: int, stream: Any) -> None:
        self._do(stream, lambda: ctypes.memmove(to, source, size))

    copy_out = copy = copy_in

    def copy_between(self, to: int, context: Any, source: int, other: Any, size: int, stream: Any) -> None:
        self._do(stream, lambda: ctypes.memmove(to, source, size))

    def fill(self, to: int, byte: int, size: int, stream: Any) -> None:
        self._do(stream, lambda: ctypes.memset(to, byte, size))

    # --- order ------------------------------------------------------------------------------------------------------

    def _do(self, stream: Any, act: Callable[[], Any]) -> None:
        if stream is not None and stream.noting is not None:
            stream.noting.append(act)
        else:
            act()

    def new_stream(self) -> _Stream:
        return _Stream()

    def free_stream(self, stream: Any) -> None:
        pass

    def finish(self, stream: Any) -> None:
        if stream is not None and stream.noting is not None:
            raise failed("cuStreamSynchronize", "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", 900)

    def stream_number(self, stream: Any) -> int:
        return 1

    def number(self, thing: Any) -> int:
        """A number that stands for a thing from now on: an address where nothing else lies."""
        if isinstance(thing, int):
            return thing
        self._numbered[id(thing)] = thing
        return id(thing)

    def thing(self, number: int) -> Any:
        """What a number stands for."""
        return self._numbered[number]

    def addresses(self, names: Sequence[str]) -> tuple[int, ...]:
        return self.pointers_to(self)

    def pointers_to(self, driver: Any) -> tuple[int, ...]:
        """The functions of ``driver``, which knows things by the numbers that this one gave."""
        self._pointers = Pointers(weakref.proxy(driver), weakref.proxy(self))
        return self._pointers.addresses

    def status(self, event: Any) -> int:
        """0, or 600 while what came before an event has not run."""
        return 0

    def new_event(self) -> Any:
        return _Event()

    def free_event(self, event: Any) -> None:
        self._numbered.pop(id(event), None)

    def record(self, event: Any, stream: Any) -> None:
        event.at = time.perf_counter()

    def wait_event(self, event: Any) -> None:
        pass

    def await_event(self, stream: Any, event: Any) -> None:
        pass

    def elapsed_ms(self, start: Any, end: Any) -> float:
        return 1e3 * (end.at - start.at)

    # --- code -------------------------------------------------------------------------------------------------------

    def load_module(self, image: bytes) -> Any:
        with tempfile.NamedTemporaryFile(suffix=".so") as file:
            file.write(image)
            file.flush()
            return self._ffi.dlopen(file.name, self._ffi.RTLD_NOW), ctypes.CDLL(file.name)

    def free_module(self, module: Any) -> None:
        pass

    def function(self, module: Any, name: str) -> _Function:
        library, symbols = module
        try:
            address = ctypes.cast(getattr(symbols, f"core_start_{name}"), ctypes.c_void_p).value
        except AttributeError as error:
            raise failed(f"cuModuleGetFunction of {name!r}", "CUDA_ERROR_NOT_FOUND", 500) from error
        start = self._ffi.cast("void (*)(void **)", address)
        waits = ctypes.c_int.in_dll(symbols, f"core_waits_{name}").value
        return _Function(name, start, bool(waits), library)

    def launch(self, function: Any, grid: Any, block: Any, shared: int, stream: Any, packed: Any) -> None:
        threads = block[0] * block[1] * block[2]
        if not 0 < threads <= 1024 or min(grid) < 1 or grid[0] >= 2**31 or max(grid[1:]) > 65535:
            raise failed(f"cuLaunchKernel of grid {grid}, block {block}", "CUDA_ERROR_INVALID_VALUE", _INVALID_VALUE)
        given = packed.copy()  # arguments are those of now, also where the launch is noted for a graph
        self._do(stream, lambda: self._run(function, grid, block, given))

    def _run(self, function: _Function, grid: Any, block: Any, packed: Packed) -> None:
        met = function.library.core_launch(
            function.start,
            self._ffi.new("unsigned[]", grid),
            self._ffi.new("unsigned[]", block),
            function.waits,
            self._ffi.cast("void **", packed.address),
        )
        if met.line:
            reached = f"{met.reached} of {met.threads} threads reached line {met.line}"
            raise failed(function.name, f"{reached}, where all must wait for each other", _LAUNCH_FAILED)

    # --- graphs -----------------------------------------------------------------------------------------------------

    def begin_capture(self, stream: Any) -> None:
        stream.noting = []

    def end_capture(self, stream: Any) -> Any:
        noted, stream.noting = stream.noting, None
        return noted

    def abandon_capture(self, stream: Any) -> None:
        stream.noting = None

    def replay(self, graph: Any, stream: Any) -> None:
        for act in graph:
            act()

    def free_graph(self, graph: Any) -> None:
        self._numbered.pop(id(graph), None)
