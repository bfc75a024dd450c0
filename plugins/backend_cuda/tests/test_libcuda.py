"""The binding of the driver library: its prototypes against NVIDIA's header, its calls against one that notes them."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from core.errors import DeviceError, DeviceMemoryError
from plugin_backend_cuda import libcuda
from plugin_backend_cuda.libcuda import DECLARATIONS

PROTOTYPES = re.findall(r"CUresult (\w+)\(([^;]*)\);", DECLARATIONS)
_NOTING = """
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static char noted[100000];
static const char *failing = "";
static int code;
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


@pytest.mark.skipif(header() is None, reason="no cuda.h: there is no toolkit here")
def test_every_prototype_is_that_of_the_header(tmp_path):
    source = tmp_path / "prototypes.c"
    lines = [f"CUresult {name}({parameters});" for name, parameters in PROTOTYPES]
    source.write_text("#include <stddef.h>\n#include <cuda.h>\n" + "\n".join(lines))
    done = subprocess.run(["gcc", "-fsyntax-only", f"-I{header()}", str(source)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(header() is None, reason="no cuda.h: there is no toolkit here")
def test_every_number_is_that_of_the_header(tmp_path):
    names = {
        "threads_of_block": "CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK",
        "largest_grid": "CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X",
        "shared_of_block": "CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK",
        "warp": "CU_DEVICE_ATTRIBUTE_WARP_SIZE",
        "multiprocessors": "CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT",
        "threads_of_multiprocessor": "CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR",
        "compute_major": "CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR",
        "compute_minor": "CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR",
        "shared_of_block_optin": "CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN",
    }
    assert names.keys() == libcuda.ATTRIBUTES.keys()
    checks = [f"{theirs} == {libcuda.ATTRIBUTES[ours]}" for ours, theirs in names.items()]
    checks += [
        f"CUDA_ERROR_OUT_OF_MEMORY == {libcuda.OUT_OF_MEMORY}",
        f"CUDA_ERROR_NO_DEVICE == {libcuda.NO_DEVICE}",
        f"CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES == {libcuda.MAX_DYNAMIC_SHARED}",
        f"CU_STREAM_NON_BLOCKING == {libcuda._NON_BLOCKING}",
        f"CU_STREAM_CAPTURE_MODE_RELAXED == {libcuda._RELAXED}",
    ]
    source = tmp_path / "numbers.c"
    source.write_text("#include <cuda.h>\n" + "\n".join(f'_Static_assert({check}, "{check}");' for check in checks))
    done = subprocess.run(["gcc", "-fsyntax-only", f"-I{header()}", str(source)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


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


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """A libcuda that does nothing, notes calls with the numbers that they are given, and gives 41 for every result."""
    place = tmp_path_factory.mktemp("libcuda")
    typedefs = "\n".join(re.findall(r"typedef [^;]*;", DECLARATIONS))
    functions = [_function(name, parameters) for name, parameters in PROTOTYPES]
    source = place / "cuda.c"
    source.write_text("#include <stdint.h>\n#include <stddef.h>\n" + _NOTING + typedefs + "\n" + "\n".join(functions))
    made = place / "libcuda.so.1"
    subprocess.run(["gcc", "-shared", "-fPIC", "-w", "-o", str(made), str(source)], check=True)
    return str(made)


@pytest.fixture
def noting(library):
    """The driver on that library, what it noted since, and a way to let a call fail."""
    import ctypes

    raw = ctypes.CDLL(library)
    raw.core_noted.restype = ctypes.c_char_p
    raw.core_fail(b"", 0)
    start = len(raw.core_noted())
    driver = libcuda.load(library)
    driver.noted = lambda: raw.core_noted()[start:].decode().splitlines()
    kept = []
    driver.fail = lambda name, code: (kept.append(name.encode()), raw.core_fail(kept[-1], code))
    yield driver
    raw.core_fail(b"", 0)


def test_calls_pass_their_arguments_in_order(noting):
    noting.copy_in(1000, 2000, 30, noting.new_stream())
    noting.copy_out(1000, 2000, 30, noting.new_stream())
    noting.copy(1000, 2000, 30, noting.new_stream())
    noting.fill(1000, 7, 30, noting.new_stream())
    got = [line for line in noting.noted() if not line.startswith("cuStreamCreate")]
    assert got == [
        "cuMemcpyHtoDAsync_v2 to=1000 size=30",
        "cuMemcpyDtoHAsync_v2 from=2000 size=30",
        "cuMemcpyDtoDAsync_v2 to=1000 from=2000 size=30",
        "cuMemsetD8Async to=1000 value=7 size=30",
    ]


def test_results_come_back(noting):
    assert noting.start() == 41 and noting.device_count() == 41
    assert noting.allocate(64) == 41 and noting.allocate_pinned(64) == 41
    assert noting.attribute(3, "warp") == 41
    assert noting.memory() == (41, 41)
    assert noting.elapsed_ms(noting.new_event(), noting.new_event()) == 41.0
    assert "cuDeviceGetAttribute attribute=10 device=41" in noting.noted()


def test_a_launch_passes_grid_and_block(noting):
    function = noting.function(noting.load_module(b"image"), "k")
    noting.launch(function, (1, 2, 3), (4, 5, 6), 7, noting.new_stream(), noting.pack("Pqdf", [8, -9, 0.5, 0.25]))
    said = "grid_x=1 grid_y=2 grid_z=3 block_x=4 block_y=5 block_z=6 shared_bytes=7"
    assert noting.noted()[-1] == f"cuLaunchKernel {said}"


def test_a_capture_becomes_a_graph_that_can_be_replayed(noting):
    stream = noting.new_stream()
    noting.begin_capture(stream)
    graph = noting.end_capture(stream)
    noting.replay(graph, stream)
    noting.free_graph(graph)
    assert [line.split()[0] for line in noting.noted()[-6:]] == [
        "cuStreamBeginCapture_v2", "cuStreamEndCapture", "cuGraphInstantiateWithFlags", "cuGraphDestroy",
        "cuGraphLaunch", "cuGraphExecDestroy",
    ]  # fmt: skip


CALLS = {
    "cuInit": lambda d: d.start(),
    "cuDeviceGetCount": lambda d: d.device_count(),
    "cuDeviceGetName": lambda d: d.device_name(0),
    "cuDevicePrimaryCtxRetain": lambda d: d.retain(0),
    "cuCtxSetCurrent": lambda d: d.use(d.retain(0)),
    "cuMemFree_v2": lambda d: d.free(5),
    "cuMemFreeHost": lambda d: d.free_pinned(5),
    "cuStreamSynchronize": lambda d: d.finish(d.new_stream()),
    "cuEventSynchronize": lambda d: d.wait_event(d.new_event()),
    "cuModuleLoadData": lambda d: d.load_module(b"x"),
    "cuModuleUnload": lambda d: d.free_module(d.load_module(b"x")),
    "cuModuleGetFunction": lambda d: d.function(d.load_module(b"x"), "k"),
    "cuFuncSetAttribute": lambda d: d.allow_shared(d.function(d.load_module(b"x"), "k"), 1000),
    "cuGraphInstantiateWithFlags": lambda d: d.end_capture(d.new_stream()),
    "cuGraphLaunch": lambda d: d.replay(d.end_capture(d.new_stream()), d.new_stream()),
}


@pytest.mark.parametrize("name", CALLS)
def test_an_error_names_the_call_and_what_the_driver_says(noting, name):
    noting.fail(name, 719)
    with pytest.raises(DeviceError, match=rf"{name.removesuffix('_v2')}.* failed: the text \(the text\)") as error:
        CALLS[name](noting)
    assert error.value.code == 719


@pytest.mark.parametrize("name", ["cuMemAlloc_v2", "cuMemAllocHost_v2"])
def test_no_memory_says_how_much_was_asked_for(noting, name):
    noting.fail(name, libcuda.OUT_OF_MEMORY)
    with pytest.raises(DeviceMemoryError, match="of 12345 bytes failed"):
        (noting.allocate if name == "cuMemAlloc_v2" else noting.allocate_pinned)(12345)


def test_a_machine_without_a_driver_says_so():
    with pytest.raises(OSError, match="libthere_is_none"):
        libcuda.load("libthere_is_none.so.1")
