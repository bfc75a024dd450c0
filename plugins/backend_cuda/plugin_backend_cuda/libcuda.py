"""The CUDA driver, through NVIDIA's own bindings: the calls that the plugin makes, with Python values and named errors.

The driver's library is called, not the toolkit's runtime: it comes with the driver, so whoever can run a kernel has it.
Importing this touches nothing; ``load`` imports the bindings, ``Driver.start`` starts the driver.
Reference: CUDA Driver API, version 12 and later.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

from core.errors import DeviceError, DeviceLost, DeviceMemoryError

OLDEST = 12000  # of the driver

ATTRIBUTES = {  # CUdevice_attribute, by the names that the plugin uses
    "threads_of_block": "CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK",
    "shared_of_block": "CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK",
    "shared_of_block_optin": "CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN",
    "multiprocessors": "CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT",
    "compute_major": "CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR",
    "compute_minor": "CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR",
}
OUT_OF_MEMORY, NO_DEVICE = 2, 100  # CUresult
# CUresult after which a context is of no more use: an illegal address, a trap, an ECC error, ...
_FATAL = frozenset({214, 219, 220, 700, 702, 708, 709, 710, 714, 715, 716, 717, 718, 719, 999})
_KINDS = {"P": ctypes.c_uint64, "q": ctypes.c_int64}


class CudaError(DeviceError):
    """A call of the driver that failed: which one, and what the driver says.  ``code`` is its CUresult."""

    def __init__(self, message: str, code: int):
        super().__init__(message)
        self.code = code


class OutOfDeviceMemory(CudaError, DeviceMemoryError):
    """The device has not as much memory left as was asked for."""


class CudaLost(CudaError, DeviceLost):
    """A kernel did what it must not; nothing on the device works any more until the process ends."""


def failed(what: str, said: str, code: int) -> CudaError:
    """The error for a CUresult."""
    kind = OutOfDeviceMemory if code == OUT_OF_MEMORY else CudaLost if code in _FATAL else CudaError
    return kind(f"{what} failed: {said}", code)


class Packed:
    """The arguments of a launch, as memory that the driver reads."""

    def __init__(self, kinds: str, values: Sequence[int]):
        self._kinds = kinds
        self.values = [_KINDS[kind](value) for kind, value in zip(kinds, values, strict=True)]
        self._pointers = (ctypes.c_void_p * max(len(self.values), 1))(*map(ctypes.addressof, self.values))
        self.address = ctypes.addressof(self._pointers)

    def set(self, position: int, value: int) -> None:
        self.values[position].value = value

    def copy(self) -> Packed:
        return Packed(self._kinds, [one.value for one in self.values])


def load() -> Driver:
    """The driver of this machine.  Errors: ImportError without the bindings."""
    from cuda.bindings import driver  # 75 ms, so not where plugins are discovered

    return Driver(driver)


class Driver:
    """The calls.  Contexts, streams, events, modules, functions and graphs are opaque to its callers.

    Every call but those on devices acts on the context that ``use`` made current in this thread.
    Errors  CudaError and its subclasses.
    """

    def __init__(self, api: Any):
        self._api = api

    def _call(self, name: str, *arguments: Any, about: str = "") -> Any:
        code, *results = getattr(self._api, name)(*arguments)
        if code:
            self._fail(name, code, about)
        return results[0] if len(results) == 1 else results

    def _fail(self, name: str, code: Any, about: str) -> None:
        found, text = self._api.cuGetErrorString(code)
        said = text.decode() if not found and text else "unknown error"
        raise failed(f"{name}{about}", f"{getattr(code, 'name', code)} ({said})", int(code))

    # --- devices ----------------------------------------------------------------------------------------------------

    def start(self) -> int:
        """Start the driver; its version (12040 is 12.4).  Errors: RuntimeError where there is no driver."""
        self._call("cuInit", 0)
        return int(self._call("cuDriverGetVersion"))

    def device_count(self) -> int:
        return int(self._call("cuDeviceGetCount"))

    def device_name(self, device: int) -> str:
        text = self._call("cuDeviceGetName", 256, self._call("cuDeviceGet", device))
        return text.split(b"\0")[0].decode()

    def attribute(self, device: int, name: str) -> int:
        wanted = getattr(self._api.CUdevice_attribute, ATTRIBUTES[name])
        return int(self._call("cuDeviceGetAttribute", wanted, self._call("cuDeviceGet", device)))

    def retain(self, device: int) -> Any:
        """The primary context of a device: the one that CuPy, PyTorch, JAX and PyCUDA's autoprimaryctx use too."""
        return self._call("cuDevicePrimaryCtxRetain", self._call("cuDeviceGet", device))

    def use(self, context: Any) -> None:
        """Make a context the current one of this thread."""
        self._call("cuCtxSetCurrent", context)

    def memory(self) -> tuple[int, int]:
        """Bytes that are free, and that there are."""
        available, total = self._call("cuMemGetInfo")
        return int(available), int(total)

    # --- memory -----------------------------------------------------------------------------------------------------

    def allocate(self, size: int) -> int:
        """Device memory, on a boundary of 256 bytes.  Errors: OutOfDeviceMemory."""
        return int(self._call("cuMemAlloc", size, about=f" of {size} bytes"))

    def free(self, address: int) -> None:
        self._call("cuMemFree", address)

    def allocate_pinned(self, size: int) -> int:
        """Memory of the host that the device copies from and to without the driver's help."""
        return int(self._call("cuMemAllocHost", size, about=f" of {size} bytes"))

    def free_pinned(self, address: int) -> None:
        self._call("cuMemFreeHost", address)

    def copy_in(self, to: int, source: int, size: int, stream: Any) -> None:
        """Queue a copy from the host's address ``source``, which must stay as it is until the stream has done it."""
        self._call("cuMemcpyHtoDAsync", to, source, size, stream)

    def copy_out(self, to: int, source: int, size: int, stream: Any) -> None:
        """Queue a copy to the host's address ``to``."""
        self._call("cuMemcpyDtoHAsync", to, source, size, stream)

    def copy(self, to: int, source: int, size: int, stream: Any) -> None:
        """Queue a copy within the device."""
        self._call("cuMemcpyDtoDAsync", to, source, size, stream)

    def copy_between(self, to: int, context: Any, source: int, other: Any, size: int, stream: Any) -> None:
        """Queue a copy from memory of the context ``other`` into memory of ``context``."""
        self._call("cuMemcpyPeerAsync", to, context, source, other, size, stream)

    def fill(self, to: int, byte: int, size: int, stream: Any) -> None:
        self._call("cuMemsetD8Async", to, byte, size, stream)

    # --- order ------------------------------------------------------------------------------------------------------

    def new_stream(self) -> Any:
        """A stream that does not wait for the default stream of other libraries."""
        return self._call("cuStreamCreate", self._api.CUstream_flags.CU_STREAM_NON_BLOCKING)

    def free_stream(self, stream: Any) -> None:
        self._call("cuStreamDestroy", stream)

    def finish(self, stream: Any) -> None:
        """Wait until a stream has done all that was queued.  Errors: CudaError, also for what failed earlier."""
        self._call("cuStreamSynchronize", stream)

    def stream_number(self, stream: Any) -> int:
        """The stream as other libraries take it."""
        return int(stream)

    def number(self, thing: Any) -> int:
        """A context, a function or a graph as C takes it."""
        return int(thing)

    def addresses(self, names: Sequence[str]) -> tuple[int, ...] | None:
        """Where functions of the driver are, in their versions of ``OLDEST``; None where it does not say."""
        found = []
        for name in names:
            code, address, *_ = self._api.cuGetProcAddress(name.encode(), OLDEST, 0)
            if code or not address:
                return None
            found.append(int(address))
        return tuple(found)

    def new_event(self) -> Any:
        return self._call("cuEventCreate", 0)

    def free_event(self, event: Any) -> None:
        self._call("cuEventDestroy", event)

    def record(self, event: Any, stream: Any) -> None:
        self._call("cuEventRecord", event, stream)

    def wait_event(self, event: Any) -> None:
        """Wait until the stream has come to an event."""
        self._call("cuEventSynchronize", event)

    def await_event(self, stream: Any, event: Any) -> None:
        """Let a stream wait for an event, without the host."""
        self._call("cuStreamWaitEvent", stream, event, 0)

    def elapsed_ms(self, start: Any, end: Any) -> float:
        """Milliseconds between two events, after waiting for the second."""
        self._call("cuEventSynchronize", end)
        return float(self._call("cuEventElapsedTime", start, end))

    # --- code -------------------------------------------------------------------------------------------------------

    def load_module(self, image: bytes) -> Any:
        """Load a cubin.  Errors: CudaError when it is not for this device."""
        return self._call("cuModuleLoadData", image)

    def free_module(self, module: Any) -> None:
        self._call("cuModuleUnload", module)

    def function(self, module: Any, name: str) -> Any:
        return self._call("cuModuleGetFunction", module, name.encode(), about=f" of {name!r}")

    def launch(
        self,
        function: Any,
        grid: tuple[int, int, int],
        block: tuple[int, int, int],
        shared: int,
        stream: Any,
        packed: Packed,
    ) -> None:
        """Queue a kernel.  Errors: CudaError for a shape that the device cannot run."""
        code, *_ = self._api.cuLaunchKernel(function, *grid, *block, shared, stream, packed.address, 0)
        if code:
            self._fail("cuLaunchKernel", code, f" of grid {grid}, block {block}, {shared} bytes of shared memory")

    # --- graphs -----------------------------------------------------------------------------------------------------

    def begin_capture(self, stream: Any) -> None:
        """From now on ``stream`` notes what is queued instead of doing it; other threads may allocate meanwhile."""
        self._call("cuStreamBeginCapture", stream, self._api.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_RELAXED)

    def end_capture(self, stream: Any) -> Any:
        """What was noted, as something that ``replay`` queues at once."""
        graph = self._call("cuStreamEndCapture", stream)
        try:
            return self._call("cuGraphInstantiate", graph, 0)
        finally:
            self._call("cuGraphDestroy", graph)

    def abandon_capture(self, stream: Any) -> None:
        """End a capture in which something failed; what it noted is lost."""
        code, graph = self._api.cuStreamEndCapture(stream)
        if not code and int(graph):
            self._call("cuGraphDestroy", graph)

    def replay(self, graph: Any, stream: Any) -> None:
        self._call("cuGraphLaunch", graph, stream)

    def free_graph(self, graph: Any) -> None:
        self._call("cuGraphExecDestroy", graph)
