"""Calls of the driver through NVIDIA's bindings, against a libcuda that notes them; its prototypes are the header's."""

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from plugin_backend_cuda import calls

# what the stand-in defines; the bindings ask for each by name
TYPES = """
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
"""
FUNCTIONS = """
CUresult cuInit(unsigned int flags);
CUresult cuDriverGetVersion(int *version);
CUresult cuGetErrorString(CUresult error, const char **text);
CUresult cuDeviceGetCount(int *count);
CUresult cuDeviceGet(CUdevice *device, int ordinal);
CUresult cuDeviceGetName(char *name, int length, CUdevice device);
CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice device);
CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device);
CUresult cuCtxSetCurrent(CUcontext context);
CUresult cuMemGetInfo_v2(size_t *available, size_t *total);
CUresult cuMemAlloc_v2(CUdeviceptr *address, size_t size);
CUresult cuMemFree_v2(CUdeviceptr address);
CUresult cuMemAllocHost_v2(void **address, size_t size);
CUresult cuMemFreeHost(void *address);
CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t size, CUstream stream);
CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t size, CUstream stream);
CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t size, CUstream stream);
CUresult cuMemcpyPeerAsync(CUdeviceptr to, CUcontext context, CUdeviceptr from, CUcontext other, size_t size,
                           CUstream stream);
CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t size, CUstream stream);
CUresult cuStreamCreate(CUstream *stream, unsigned int flags);
CUresult cuStreamDestroy_v2(CUstream stream);
CUresult cuStreamSynchronize(CUstream stream);
CUresult cuStreamBeginCapture_v2(CUstream stream, CUstreamCaptureMode mode);
CUresult cuStreamEndCapture(CUstream stream, CUgraph *graph);
CUresult cuGraphInstantiateWithFlags(CUgraphExec *executable, CUgraph graph, unsigned long long flags);
CUresult cuGraphLaunch(CUgraphExec executable, CUstream stream);
CUresult cuGraphDestroy(CUgraph graph);
CUresult cuGraphExecDestroy(CUgraphExec executable);
CUresult cuEventCreate(CUevent *event, unsigned int flags);
CUresult cuEventRecord(CUevent event, CUstream stream);
CUresult cuEventQuery(CUevent event);
CUresult cuEventSynchronize(CUevent event);
CUresult cuEventElapsedTime(float *milliseconds, CUevent start, CUevent end);
CUresult cuEventDestroy_v2(CUevent event);
CUresult cuModuleLoadData(CUmodule *module, const void *image);
CUresult cuModuleUnload(CUmodule module);
CUresult cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name);
CUresult cuLaunchKernel(CUfunction function, unsigned int grid_x, unsigned int grid_y, unsigned int grid_z,
    unsigned int block_x, unsigned int block_y, unsigned int block_z, unsigned int shared_bytes, CUstream stream,
    void **parameters, void **extra);
"""
PROTOTYPES = re.findall(r"CUresult (\w+)\(([^;]*)\);", FUNCTIONS)
_NOTING = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static char noted[100000];
static const char *failing = "";
static int code;

/* the bindings ask for every function here; the newest version that they know of is the one that we define */
int cuGetProcAddress_v2(const char *name, void **function, int version, uint64_t flags, int *found)
{
    char versioned[200];
    snprintf(versioned, 200, "%s_v2", name);
    *function = dlsym(RTLD_DEFAULT, versioned);
    if (!*function) *function = dlsym(RTLD_DEFAULT, name);
    if (found) *found = *function ? 0 : 1;
    return 0;
}

const char *core_noted(void) { return noted; }
void core_fail(const char *name, int with) { failing = name; code = with; }
static int note(const char *name, const char *values)
{
    strcat(noted, name); strcat(noted, values); strcat(noted, "\\n");
    return strcmp(failing, name) ? 0 : code;
}
"""


def header():
    nvcc = shutil.which("nvcc")
    places = [Path("/usr/local/cuda/include"), *([Path(nvcc).resolve().parent.parent / "include"] if nvcc else [])]
    return next((place for place in places if (place / "cuda.h").exists()), None)


NUMBERS = """int, unsigned int, size_t, unsigned char, unsigned long long, CUdeviceptr, CUdevice, CUdevice_attribute,
CUfunction_attribute, CUstreamCaptureMode""".replace("\n", " ").split(", ")


def _function(name, parameters):
    """A definition: notes the numbers that it is given, and puts 41 where it is to leave a result."""
    pairs = [re.match(r"\s*(.*?)(\w+)$", one, re.S).groups() for one in parameters.split(",") if one != "void"]
    kinds = {word: kind.strip() for kind, word in pairs}
    numbers = [word for word, kind in kinds.items() if kind in NUMBERS]
    left = re.compile(r"(int|float|size_t|CU\w+|void \*) ?\*")
    results = {
        word: kind[:-1].strip()
        for word, kind in kinds.items()
        if left.fullmatch(kind) and word not in ("parameters", "extra")
    }
    said, given = "".join(f" {word}=%lld" for word in numbers), "".join(f", (long long){word}" for word in numbers)
    body = [f'char b[500]; snprintf(b, 500, "{said}"{given});']
    body += [f"*{word} = ({kind})41;" for word, kind in results.items()]
    if name.startswith("cuGetError"):
        body.append('*text = "the text";')
    return f'CUresult {name}({parameters}) {{ {" ".join(body)} return note("{name}", b); }}'


@pytest.mark.skipif(header() is None, reason="no cuda.h: there is no toolkit here")
def test_the_stand_in_has_the_prototypes_of_the_header(tmp_path):
    source = tmp_path / "prototypes.c"
    lines = [f"CUresult {name}({parameters});" for name, parameters in PROTOTYPES]
    source.write_text("#include <stddef.h>\n#include <cuda.h>\n" + "\n".join(lines))
    done = subprocess.run(["gcc", "-fsyntax-only", f"-I{header()}", str(source)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """A folder with a libcuda that notes calls with the numbers that they are given, and gives 41 for every result."""
    place = tmp_path_factory.mktemp("libcuda")
    functions = [_function(name, parameters) for name, parameters in PROTOTYPES]
    source = place / "cuda.c"
    source.write_text("#include <stddef.h>\n" + _NOTING + TYPES + "\n" + "\n".join(functions))
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-w", "-o", str(place / "libcuda.so.1"), str(source), "-ldl"], check=True
    )
    return place


@pytest.fixture
def noted(library):
    """Runs a program on a driver ``d``: what the driver was asked for, and the lines that the program printed."""

    def run(text, fail="", code=0):
        start = f"""
            import ctypes
            raw = ctypes.CDLL("libcuda.so.1", mode=ctypes.RTLD_GLOBAL)
            raw.core_noted.restype = ctypes.c_char_p
            from plugin_backend_cuda.libcuda import CudaError, Packed, load
            d = load()
            raw.core_fail({fail.encode()!r}, {code})
        """
        end = "print('noted:'); print(raw.core_noted().decode())"
        program = "\n".join([textwrap.dedent(start), textwrap.dedent(text), end])
        variables = {**os.environ, "LD_LIBRARY_PATH": str(library)}
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=variables)
        assert done.returncode == 0, done.stderr
        said, _, calls = done.stdout.partition("noted:\n")
        return [line for line in calls.splitlines() if line], said.splitlines()

    return run


def test_copies_pass_their_arguments_in_order(noted):
    calls, _ = noted("""
        s = d.new_stream()
        d.copy_in(1000, 2000, 30, s); d.copy_out(1000, 2000, 30, s); d.copy(1000, 2000, 30, s); d.fill(1000, 7, 30, s)
        d.copy_between(1000, d.retain(0), 2000, d.retain(1), 30, s)
    """)
    assert [line for line in calls if "Mem" in line] == [
        "cuMemcpyHtoDAsync_v2 to=1000 size=30",
        "cuMemcpyDtoHAsync_v2 from=2000 size=30",
        "cuMemcpyDtoDAsync_v2 to=1000 from=2000 size=30",
        "cuMemsetD8Async to=1000 value=7 size=30",
        "cuMemcpyPeerAsync to=1000 from=2000 size=30",
    ]


def test_results_come_back(noted):
    calls, said = noted("""
        print(d.start(), d.device_count(), d.allocate(64), d.allocate_pinned(64), d.attribute(3, "multiprocessors"))
        print(*d.memory(), d.elapsed_ms(d.new_event(), d.new_event()))
    """)
    assert said == ["41 41 41 41 41", "41 41 41.0"]
    assert "cuDeviceGetAttribute attribute=16 device=41" in calls and "cuDeviceGet ordinal=3" in calls


def test_a_launch_passes_grid_block_and_arguments(noted):
    calls, _ = noted("""
        f = d.function(d.load_module(b"image"), "k")
        d.launch(f, (1, 2, 3), (4, 5, 6), 7, d.new_stream(), Packed("Pq", [8, -9]))
    """)
    assert calls[-1] == "cuLaunchKernel grid_x=1 grid_y=2 grid_z=3 block_x=4 block_y=5 block_z=6 shared_bytes=7"


def test_a_capture_becomes_a_graph_that_can_be_replayed(noted):
    calls, _ = noted("""
        s = d.new_stream()
        d.begin_capture(s)
        g = d.end_capture(s)
        d.replay(g, s)
        d.free_graph(g)
        d.begin_capture(s)
        d.abandon_capture(s)
    """)
    assert [line.split()[0] for line in calls if "Graph" in line or "Capture" in line] == [
        *("cuStreamBeginCapture_v2", "cuStreamEndCapture", "cuGraphInstantiateWithFlags", "cuGraphDestroy"),
        *("cuGraphLaunch", "cuGraphExecDestroy"),
        *("cuStreamBeginCapture_v2", "cuStreamEndCapture", "cuGraphDestroy"),
    ]


CALLS = {
    "cuInit": "d.start()",
    "cuDeviceGetCount": "d.device_count()",
    "cuDeviceGetName": "d.device_name(0)",
    "cuDevicePrimaryCtxRetain": "d.retain(0)",
    "cuCtxSetCurrent": "d.use(d.retain(0))",
    "cuMemFree_v2": "d.free(5)",
    "cuMemFreeHost": "d.free_pinned(5)",
    "cuStreamSynchronize": "d.finish(d.new_stream())",
    "cuEventSynchronize": "d.wait_event(d.new_event())",
    "cuModuleLoadData": "d.load_module(b'x')",
    "cuModuleUnload": "d.free_module(d.load_module(b'x'))",
    "cuModuleGetFunction": "d.function(d.load_module(b'x'), 'k')",
    "cuGraphInstantiateWithFlags": "d.end_capture(d.new_stream())",
    "cuGraphLaunch": "d.replay(d.end_capture(d.new_stream()), d.new_stream())",
}


def test_an_error_names_the_call_and_what_the_driver_says(noted):
    for name, text in CALLS.items():
        program = f"try: {text}\nexcept CudaError as error: print(type(error).__name__, error.code, error)"
        _, said = noted(program, fail=name, code=719)
        (line,) = said
        assert line.startswith(f"CudaLost 719 {name.removesuffix('_v2').removesuffix('WithFlags')}")
        assert line.endswith("failed: CUDA_ERROR_LAUNCH_FAILED (the text)")


@pytest.mark.parametrize(
    "name, text", [("cuMemAlloc_v2", "d.allocate(12345)"), ("cuMemAllocHost_v2", "d.allocate_pinned(12345)")]
)
def test_no_memory_says_how_much_was_asked_for(noted, name, text):
    _, said = noted(f"try: {text}\nexcept MemoryError as error: print(type(error).__name__, error)", fail=name, code=2)
    asked = f"{name.removesuffix('_v2')} of 12345 bytes failed: CUDA_ERROR_OUT_OF_MEMORY (the text)"
    assert said == [f"OutOfDeviceMemory {asked}"]


def test_functions_are_shown_to_c_and_none_is_missing(noted):
    _, said = noted("""
        from plugin_backend_cuda.calls import FUNCTIONS
        found = d.addresses(FUNCTIONS)
        here = [getattr(raw, f"{n}_v2", None) if hasattr(raw, f"{n}_v2") else getattr(raw, n) for n in FUNCTIONS]
        print([ctypes.cast(one, ctypes.c_void_p).value for one in here] == list(found))
        print(d.addresses(["cuNoSuchFunction"]), d.number(d.new_stream()))
    """)
    assert said == ["True", "None 41"]


@pytest.mark.skipif(calls.module() is None, reason="the installer could not build calls.c")
def test_c_passes_what_the_driver_needs(noted):
    """A kernel alone, and an argument that is copied from memory of the host."""
    lines, said = noted("""
        import numpy as np
        from core.device.array import DeviceArray
        from core.device.contract import Block
        from core.device.pool import Memory
        from plugin_backend_cuda import calls

        class Space:
            take_back = staticmethod(lambda block: None)

        space, host = Space(), np.zeros(3)
        memory = lambda: Memory(Block(64, 24, handle=64), space)
        recording = calls.module().Recording(
            d.addresses(calls.FUNCTIONS), (41, 41, ((41, (1, 2, 3), (4, 5, 6), (0, 0, -1)),), None), True,
            ((np.dtype("float64"), (3,), True, ((0, 1),), None),), (((0, 0),),), (0,), space, (lambda wait: True, int),
            lambda k: DeviceArray(space, memory(), (3,), np.dtype("float64")),
            lambda k: (memory(), host.ctypes.data, host), None,
        )

        class Executable:
            recordings = [recording]

        call = calls.module().Call([Executable], None, (), (), 0, (), 1, 1)
        print(type(call(np.arange(3.0))).__name__, host, recording.is_broken)
    """)
    assert said == ["DeviceArray [0. 1. 2.] 0"]
    grid = "grid_x=1 grid_y=2 grid_z=3 block_x=4 block_y=5 block_z=6 shared_bytes=0"
    queued = lines[lines.index("cuMemcpyHtoDAsync_v2 to=64 size=24") - 1 :]
    assert queued == [
        *("cuCtxSetCurrent", "cuMemcpyHtoDAsync_v2 to=64 size=24", f"cuLaunchKernel {grid}"),
        *("cuEventCreate flags=2", "cuEventRecord"),
    ]
