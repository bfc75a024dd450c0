"""The GPU that is a CPU: threads, barriers, shared memory, exchanges, atomics mean what they mean in CUDA."""

import re

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from plugin_backend_cuda import cache
from plugin_backend_cuda.dialect import CUDA
from plugin_backend_cuda.libcuda import CudaError, Packed
from plugin_backend_cuda.shim.driver import HostCompiler, HostDriver, kernel_names, waiting


def run(body, out, grid=(1, 1, 1), block=(64, 1, 1), parameters="", values=()):
    """What a kernel leaves in ``out``."""
    text = f'{CUDA.preamble}\nextern "C" __global__ void k(int32_t *out{parameters})\n{{\n{body}\n}}\n'
    driver = HostDriver()
    binary = cache.build(text, HostCompiler(), 0)
    function = driver.function(driver.load_module(binary.image), "k")
    memory = driver.allocate(out.nbytes)
    driver.copy_in(memory, out.ctypes.data, out.nbytes, None)
    kinds = "P" + "q" * len(values)
    driver.launch(function, grid, block, 0, None, Packed(kinds, [memory, *values]))
    result = np.empty_like(out)
    driver.copy_out(result.ctypes.data, memory, out.nbytes, None)
    return result


NUMBER = "(blockIdx.x * blockDim.x + threadIdx.x)"


def test_every_thread_of_every_block_runs_once():
    got = run(f"out[{NUMBER}] += 1;", np.zeros(192, "int32"), grid=(3, 1, 1))
    assert_array_equal(got, np.ones(192))


def test_threads_and_blocks_know_their_place_in_three_dimensions():
    place = "threadIdx.x + 2 * (threadIdx.y + 3 * (threadIdx.z + 2 * (blockIdx.x + 2 * (blockIdx.y + 2 * blockIdx.z))))"
    got = run(f"out[{place}] = {place};", np.zeros(12 * 8, "int32"), grid=(2, 2, 2), block=(2, 3, 2))
    assert_array_equal(got, np.arange(96))


def test_a_barrier_shows_what_other_threads_stored():
    body = "__shared__ int32_t s[64]; s[threadIdx.x] = threadIdx.x;\n"
    body += "__syncthreads(); out[threadIdx.x] = s[63 - threadIdx.x];"
    assert_array_equal(run(body, np.zeros(64, "int32")), np.arange(63, -1, -1))


@pytest.mark.parametrize("read", ["63 - threadIdx.x", "(threadIdx.x + 1) % 64"])
def test_a_barrier_that_is_missing_shows_in_the_numbers(read):
    body = f"__shared__ int32_t s[64]; s[threadIdx.x] = threadIdx.x; __syncwarp(); out[threadIdx.x] = s[{read}];"
    once = f"__shared__ int32_t s[64]; s[threadIdx.x] = 7; out[threadIdx.x] = s[{read}];"
    assert not np.array_equal(run(once, np.zeros(64, "int32")), np.full(64, 7))
    assert run(body, np.zeros(64, "int32")).shape == (64,)


def test_shared_memory_holds_garbage_when_a_block_starts():
    body = "__shared__ int32_t s[2]; if (threadIdx.x == 0) { out[blockIdx.x] = s[0]; s[0] = 1; }"
    assert_array_equal(run(body, np.zeros(2, "int32"), grid=(2, 1, 1)), np.full(2, 0xA5A5A5A5, "uint32").view("int32"))


def test_a_counter_begins_again_when_it_has_reached_its_most():
    body = "out[0] = 0; for (int k = 0; k < 7; k++) out[1 + k] = (int32_t)atomicInc((unsigned *)out, 2);"
    assert_array_equal(run(body, np.zeros(8, "int32"), block=(1, 1, 1)), [1, 0, 1, 2, 0, 1, 2, 0])


def test_lanes_of_a_warp_exchange_values():
    body = "out[threadIdx.x] = __shfl_xor_sync(0xffffffffu, (int)threadIdx.x, 5);"
    assert_array_equal(run(body, np.zeros(64, "int32")), np.arange(64) ^ 5)
    body = "out[threadIdx.x] = __shfl_down_sync(0xffffffffu, (int)threadIdx.x, 3);"
    lane = np.arange(64) % 32
    assert_array_equal(run(body, np.zeros(64, "int32")), np.where(lane < 29, np.arange(64) + 3, np.arange(64)))
    body = "out[threadIdx.x] = __shfl_up_sync(0xffffffffu, (int)threadIdx.x, 1);"
    assert_array_equal(run(body, np.zeros(64, "int32")), np.where(lane > 0, np.arange(64) - 1, np.arange(64)))
    body = "out[threadIdx.x] = __shfl_sync(0xffffffffu, (int)threadIdx.x, 7);"
    assert_array_equal(run(body, np.zeros(64, "int32")), np.arange(64) // 32 * 32 + 7)


def test_eight_byte_values_are_exchanged_whole():
    body = "int64_t v = (int64_t)threadIdx.x << 40; v = __shfl_xor_sync(0xffffffffu, v, 1); out[threadIdx.x] = v >> 40;"
    assert_array_equal(run(body, np.zeros(64, "int32")), np.arange(64) ^ 1)


def test_many_exchanges_in_a_row_do_not_overtake_each_other():
    body = """int32_t v = threadIdx.x;
    for (int k = 0; k < 3; k++) for (int d = 16; d > 0; d /= 2) v += __shfl_xor_sync(0xffffffffu, v, d);
    out[threadIdx.x] = v;"""
    warp = np.arange(64).reshape(2, 32).sum(axis=1) * 32 * 32
    assert_array_equal(run(body, np.zeros(64, "int32")), np.repeat(warp, 32))


@pytest.mark.parametrize("kind", ["int", "unsigned", "unsigned long long", "float", "double"])
def test_atomics_add_what_every_thread_gives(kind):
    body = (
        f"__shared__ {kind} total; if (threadIdx.x == 0) total = 0; __syncthreads();\natomicAdd(&total, ({kind})2);\n"
    )
    body += "__syncthreads(); if (threadIdx.x == 0) out[0] = (int32_t)total;"
    assert_array_equal(run(body, np.zeros(1, "int32")), [128])


@pytest.mark.parametrize(
    "body, reached, line",
    [
        ("if (threadIdx.x < 10)\n__syncthreads();\nout[0] = 1;", 10, 2),
        ("if (threadIdx.x < 10)\n__syncthreads();\nelse\n__syncthreads();", 10, 2),
        ("if (threadIdx.x == 3) return;\nint v = __shfl_xor_sync(0xffffffffu, 1, 1);\nout[0] = v;", 31, 2),
    ],
)
def test_threads_that_part_where_they_must_meet_are_found_out(body, reached, line):
    first = CUDA.preamble.count("\n") + 3  # the line of the body's first line
    with pytest.raises(CudaError, match=rf"k failed: {reached} of 64 threads reached line {first + line}"):
        run(body, np.zeros(4, "int32"))


def test_arguments_arrive():
    got = run("out[0] = (int32_t)(n - m);", np.zeros(1, "int32"), parameters=", int64_t n, int64_t m", values=(50, 8))
    assert_array_equal(got, [42])


@pytest.mark.parametrize(
    "grid, block",
    [((1, 1, 1), (1025, 1, 1)), ((0, 1, 1), (1, 1, 1)), ((1, 65536, 1), (1, 1, 1)), ((1, 1, 1), (32, 33, 1))],
)
def test_shapes_that_no_gpu_runs_are_refused(grid, block):
    with pytest.raises(CudaError, match=re.escape(f"grid {grid}, block {block} failed: CUDA_ERROR_INVALID_VALUE")):
        run("out[0] = 1;", np.zeros(1, "int32"), grid=grid, block=block)


def test_kernels_are_found_in_a_text():
    text = (
        'extern "C" __global__ void __launch_bounds__(256) a(int *x)\n{\n}\nextern "C" __global__ void b(void)\n{\n}\n'
    )
    assert kernel_names(text) == ["a", "b"]


def test_a_kernel_waits_where_a_function_that_it_calls_does():
    text = """static int inner(int x)
{
    return __shfl_xor_sync(0xffffffffu, x, 1);
}
static int outer(int x)
{
    return inner(x);
}
extern "C" __global__ void __launch_bounds__(256) a(int *x)
{
    x[0] = outer(x[0]);
}
extern "C" __global__ void b(int *x)
{
    x[0] = 1;
}
"""
    assert waiting(text) == {"inner", "outer", "a"}


def test_memory_that_nobody_freed_goes_with_the_driver():
    driver = HostDriver()
    heap, left = driver._heap, driver.allocate(1 << 20)
    assert driver.memory()[0] == driver.limit - (1 << 20)
    del driver
    assert heap.used == 0
    heap.free(left)  # too late, and harmless: nothing uses the driver any more
