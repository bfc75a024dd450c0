"""The CUDA driver library, bound through cffi: what the plugin calls of it, and nothing else.

The driver's own library is asked, not the toolkit's runtime: it comes with the driver, so whoever can run a kernel has
it, and nothing is built when the plugin is installed.  Loading it starts nothing; ``start`` does.
Reference: CUDA Driver API, version 12 and later.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import cache
from typing import Any

import cffi

from core.errors import DeviceError, DeviceMemoryError

OLDEST = 12000  # of the driver: cuGraphInstantiateWithFlags and graph memory as they are used here

DECLARATIONS = """
typedef int CUresult;
typedef int CUdevice;
typedef int CUdevice_attribute;
typedef int CUfunction_attribute;
typedef int CUstreamCaptureMode;
typedef unsigned long long CUdeviceptr;
typedef struct CUctx_st *CUcontext;
typedef struct CUmod_st *CUmodule;
typedef struct CUfunc_st *CUfunction;
typedef struct CUstream_st *CUstream;
typedef struct CUevent_st *CUevent;
typedef struct CUgraph_st *CUgraph;
typedef struct CUgraphExec_st *CUgraphExec;

CUresult cuInit(unsigned int flags);
CUresult cuDriverGetVersion(int *version);
CUresult cuGetErrorName(CUresult error, const char **text);
CUresult cuGetErrorString(CUresult error, const char **text);
CUresult cuDeviceGetCount(int *count);
CUresult cuDeviceGet(CUdevice *device, int ordinal);
CUresult cuDeviceGetName(char *name, int length, CUdevice device);
CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice device);
CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device);
CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device);
CUresult cuCtxSetCurrent(CUcontext context);
CUresult cuCtxGetCurrent(CUcontext *context);
CUresult cuCtxSynchronize(void);
CUresult cuMemGetInfo_v2(size_t *available, size_t *total);
CUresult cuMemAlloc_v2(CUdeviceptr *address, size_t size);
CUresult cuMemFree_v2(CUdeviceptr address);
CUresult cuMemAllocHost_v2(void **address, size_t size);
CUresult cuMemFreeHost(void *address);
CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t size, CUstream stream);
CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t size, CUstream stream);
CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t size, CUstream stream);
CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t size, CUstream stream);
CUresult cuStreamCreate(CUstream *stream, unsigned int flags);
CUresult cuStreamDestroy_v2(CUstream stream);
CUresult cuStreamSynchronize(CUstream stream);
CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned int flags);
CUresult cuStreamBeginCapture_v2(CUstream stream, CUstreamCaptureMode mode);
CUresult cuStreamEndCapture(CUstream stream, CUgraph *graph);
CUresult cuGraphInstantiateWithFlags(CUgraphExec *executable, CUgraph graph, unsigned long long flags);
CUresult cuGraphLaunch(CUgraphExec executable, CUstream stream);
CUresult cuGraphDestroy(CUgraph graph);
CUresult cuGraphExecDestroy(CUgraphExec executable);
CUresult cuEventCreate(CUevent *event, unsigned int flags);
CUresult cuEventRecord(CUevent event, CUstream stream);
CUresult cuEventSynchronize(CUevent event);
CUresult cuEventElapsedTime(float *milliseconds, CUevent start, CUevent end);
CUresult cuEventDestroy_v2(CUevent event);
CUresult cuModuleLoadData(CUmodule *module, const void *image);
CUresult cuModuleUnload(CUmodule module);
CUresult cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name);
CUresult cuFuncSetAttribute(CUfunction function, CUfunction_attribute attribute, int value);
CUresult cuLaunchKernel(CUfunction function, unsigned int grid_x, unsigned int grid_y, unsigned int grid_z,
    unsigned int block_x, unsigned int block_y, unsigned int block_z, unsigned int shared_bytes, CUstream stream,
    void **parameters, void **extra);
"""

ATTRIBUTES = {  # CUdevice_attribute, by the names that the plugin uses
    "threads_of_block": 1,
    "largest_grid": 5,
    "shared_of_block": 8,
    "warp": 10,
    "multiprocessors": 16,
    "threads_of_multiprocessor": 39,
    "compute_major": 75,
    "compute_minor": 76,
    "shared_of_block_optin": 97,
}
MAX_DYNAMIC_SHARED = 8  # CUfunction_attribute
OUT_OF_MEMORY, NO_DEVICE = 2, 100  # CUresult
_NON_BLOCKING = 1  # CUstream_flags: does not wait for the default stream of other libraries
_RELAXED = 2  # CUstreamCaptureMode: other threads may allocate meanwhile


class CudaError(DeviceError):
    """A call of the driver that failed: which one, and what the driver says.  ``code`` is its CUresult."""

    def __init__(self, message: str, code: int):
        super().__init__(message)
        self.code = code


class OutOfDeviceMemory(CudaError, DeviceMemoryError):
    """The device has not as much memory left as was asked for."""


@cache
def ffi() -> cffi.FFI:
    out = cffi.FFI()
    out.cdef(DECLARATIONS)
    return out


def load(name: str | None = None) -> Driver:
    """The driver of this machine.  Errors: OSError when there is none."""
    if name is None:
        name = os.environ.get("CORE_LIBCUDA") or ("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    return Driver(ffi().dlopen(name))


class Driver:
    """The calls that the plugin makes, with Python values.  Addresses, streams, events, ... are opaque to its callers.

    Every call but ``start`` acts on the context that ``use`` made current in this thread.
    """

    def __init__(self, library: Any):
        self._library, self._ffi = library, ffi()

    def _call(self, name: str, *arguments: Any, about: str = "") -> None:
        code = getattr(self._library, name)(*arguments)
        if code:
            self._fail(name, code, about)

    def _fail(self, name: str, code: int, about: str) -> None:
        said = [self._ffi.new("const char **"), self._ffi.new("const char **")]
        self._library.cuGetErrorName(code, said[0])
        self._library.cuGetErrorString(code, said[1])
        text = [self._ffi.string(one[0]).decode() if one[0] else "unknown" for one in said]
        kind = OutOfDeviceMemory if code == OUT_OF_MEMORY else CudaError
        raise kind(f"{name.removesuffix('_v2')}{about} failed: {text[0]} ({text[1]})", code)

    def _new(self, kind: str, name: str, *arguments: Any, about: str = "") -> Any:
        out = self._ffi.new(f"{kind} *")
        self._call(name, out, *arguments, about=about)
        return out[0]

    # --- devices ----------------------------------------------------------------------------------------------------

    def start(self) -> int:
        """Start the driver; its version (12040 is 12.4).  Errors: CudaError."""
        self._call("cuInit", 0)
        return int(self._new("int", "cuDriverGetVersion"))

    def device_count(self) -> int:
        return int(self._new("int", "cuDeviceGetCount"))

    def device_name(self, device: int) -> str:
        text = self._ffi.new("char[256]")
        self._call("cuDeviceGetName", text, 256, self._new("CUdevice", "cuDeviceGet", device))
        return self._ffi.string(text).decode()

    def attribute(self, device: int, name: str) -> int:
        handle = self._new("CUdevice", "cuDeviceGet", device)
        return int(self._new("int", "cuDeviceGetAttribute", ATTRIBUTES[name], handle))

    def retain(self, device: int) -> Any:
        """The primary context of a device: the one that PyCUDA's autoprimaryctx, CuPy, PyTorch and JAX use too."""
        return self._new("CUcontext", "cuDevicePrimaryCtxRetain", self._new("CUdevice", "cuDeviceGet", device))

    def use(self, context: Any) -> None:
        """Make a context the current one of this thread."""
        self._call("cuCtxSetCurrent", context)

    def memory(self) -> tuple[int, int]:
        """Bytes that are free, and that there are."""
        available, total = self._ffi.new("size_t *"), self._ffi.new("size_t *")
        self._call("cuMemGetInfo_v2", available, total)
        return int(available[0]), int(total[0])

    # --- memory -----------------------------------------------------------------------------------------------------

    def allocate(self, size: int) -> int:
        """Device memory, on a boundary of 256 bytes.  Errors: OutOfDeviceMemory."""
        return int(self._new("CUdeviceptr", "cuMemAlloc_v2", size, about=f" of {size} bytes"))

    def free(self, address: int) -> None:
        self._call("cuMemFree_v2", address)

    def allocate_pinned(self, size: int) -> int:
        """Memory of the host that the device copies from and to without the driver's help."""
        out = self._new("void *", "cuMemAllocHost_v2", size, about=f" of {size} bytes")
        return int(self._ffi.cast("intptr_t", out))

    def free_pinned(self, address: int) -> None:
        self._call("cuMemFreeHost", self._pointer(address))

    def _pointer(self, address: int) -> Any:
        return self._ffi.cast("void *", address)

    def copy_in(self, to: int, source: int, size: int, stream: Any) -> None:
        """Queue a copy from the host's address ``source``, which must stay as it is until the stream has done it."""
        self._call("cuMemcpyHtoDAsync_v2", to, self._pointer(source), size, stream)

    def copy_out(self, to: int, source: int, size: int, stream: Any) -> None:
        """Queue a copy to the host's address ``to``."""
        self._call("cuMemcpyDtoHAsync_v2", self._pointer(to), source, size, stream)

    def copy(self, to: int, source: int, size: int, stream: Any) -> None:
        """Queue a copy within the device."""
        self._call("cuMemcpyDtoDAsync_v2", to, source, size, stream)

    def fill(self, to: int, byte: int, size: int, stream: Any) -> None:
        self._call("cuMemsetD8Async", to, byte, size, stream)

    # --- order ------------------------------------------------------------------------------------------------------

    def new_stream(self) -> Any:
        return self._new("CUstream", "cuStreamCreate", _NON_BLOCKING)

    def free_stream(self, stream: Any) -> None:
        self._call("cuStreamDestroy_v2", stream)

    def finish(self, stream: Any) -> None:
        """Wait until a stream has done all that was queued.  Errors: CudaError, also for what failed earlier."""
        self._call("cuStreamSynchronize", stream)

    def stream_number(self, stream: Any) -> int:
        """The stream as other libraries take it."""
        return int(self._ffi.cast("intptr_t", stream))

    def wait_for(self, stream: Any, event: Any) -> None:
        """Let what is queued from now on wait for an event of another stream."""
        self._call("cuStreamWaitEvent", stream, event, 0)

    def new_event(self) -> Any:
        return self._new("CUevent", "cuEventCreate", 0)

    def free_event(self, event: Any) -> None:
        self._call("cuEventDestroy_v2", event)

    def record(self, event: Any, stream: Any) -> None:
        self._call("cuEventRecord", event, stream)

    def wait_event(self, event: Any) -> None:
        """Wait until the stream has come to an event."""
        self._call("cuEventSynchronize", event)

    def elapsed_ms(self, start: Any, end: Any) -> float:
        """Milliseconds between two events, after waiting for the second."""
        self._call("cuEventSynchronize", end)
        return float(self._new("float", "cuEventElapsedTime", start, end))

    # --- code -------------------------------------------------------------------------------------------------------

    def load_module(self, image: bytes) -> Any:
        """Load a cubin.  Errors: CudaError when it is not for this device."""
        return self._new("CUmodule", "cuModuleLoadData", self._ffi.from_buffer(image))

    def free_module(self, module: Any) -> None:
        self._call("cuModuleUnload", module)

    def function(self, module: Any, name: str) -> Any:
        return self._new("CUfunction", "cuModuleGetFunction", module, name.encode(), about=f" of {name!r}")

    def allow_shared(self, function: Any, size: int) -> None:
        """Let a function have more shared memory than the 48 KiB that need no word."""
        self._call("cuFuncSetAttribute", function, MAX_DYNAMIC_SHARED, size)

    def pack(self, kinds: str, values: Sequence[Any]) -> Any:
        """The arguments of a launch.  ``kinds`` has a letter each: "P" address, "q" int64, "d" and "f" floats."""
        kept = [self._ffi.new(f"{_C_OF[kind]} *", value) for kind, value in zip(kinds, values, strict=True)]
        pointers = self._ffi.new("void *[]", kept or [self._ffi.NULL])
        return pointers, kept

    def launch(
        self,
        function: Any,
        grid: tuple[int, int, int],
        block: tuple[int, int, int],
        shared: int,
        stream: Any,
        packed: Any,
    ) -> None:
        """Queue a kernel with arguments from ``pack``.  Errors: CudaError for a shape that the device cannot run."""
        about = f" of grid {grid}, block {block}, {shared} bytes of shared memory"
        self._call("cuLaunchKernel", function, *grid, *block, shared, stream, packed[0], self._ffi.NULL, about=about)

    # --- graphs -----------------------------------------------------------------------------------------------------

    def begin_capture(self, stream: Any) -> None:
        """From now on ``stream`` notes what is queued instead of doing it."""
        self._call("cuStreamBeginCapture_v2", stream, _RELAXED)

    def end_capture(self, stream: Any) -> Any:
        """What was noted, as something that ``replay`` queues at once."""
        graph = self._ffi.new("CUgraph *")
        self._call("cuStreamEndCapture", stream, graph)
        try:
            return self._new("CUgraphExec", "cuGraphInstantiateWithFlags", graph[0], 0)
        finally:
            self._call("cuGraphDestroy", graph[0])

    def abandon_capture(self, stream: Any) -> None:
        """End a capture in which something failed; what it noted is lost."""
        out = self._ffi.new("CUgraph *")
        if self._library.cuStreamEndCapture(stream, out) == 0 and out[0]:
            self._call("cuGraphDestroy", out[0])

    def replay(self, graph: Any, stream: Any) -> None:
        self._call("cuGraphLaunch", graph, stream)

    def free_graph(self, graph: Any) -> None:
        self._call("cuGraphExecDestroy", graph)


_C_OF = {"P": "CUdeviceptr", "q": "int64_t", "d": "double", "f": "float"}
