"""What PoCL does wrong, each as small as it can be: a test fails when a new version has mended it."""

import subprocess
import sys

import pytest

STATIC = r"""
import numpy as np
import pyopencl as cl

TEXT = '''
static double total(double value, __local double *memory)
{
    const int lane = get_local_id(0), lanes = get_local_size(0);
    memory[lane] = value;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int near = lanes / 2; near > 0; near /= 2) {
        if (lane < near) memory[lane] += memory[lane + near];
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    value = memory[0];
    barrier(CLK_LOCAL_MEM_FENCE);
    return value;
}
__kernel void deviations(__global double *y, __global const double *x, long rows, long n)
{
    __local double memory[128];
    for (long i = get_global_id(1); i < rows; i += get_global_size(1)) {
        double sum = 0.0, squares = 0.0;
        for (long k = get_local_id(0); k < n; k += get_local_size(0)) sum += x[i * n + k];
        const double mean = total(sum, memory) / n;
        for (long k = get_local_id(0); k < n; k += get_local_size(0)) {
            const double d = x[i * n + k] - mean;
            squares += d * d;
        }
        const double all = total(squares, memory);
        if (get_local_id(0) == 0) y[i] = sqrt(all / n);
    }
}
'''
(device,) = [d for p in cl.get_platforms() for d in p.get_devices() if "Portable" in p.name][:1]
context = cl.Context([device])
queue = cl.CommandQueue(context)
x, found = np.random.default_rng(0).normal(size=(37, 70)), np.empty(37)
flags = cl.mem_flags.READ_WRITE | cl.mem_flags.COPY_HOST_PTR
buffers = [cl.Buffer(context, flags, hostbuf=a) for a in (found, x)]
program = cl.Program(context, TEXT.replace("static ", {qualifier!r})).build(cache_dir=False)
program.deviations(queue, (128, 37), (128, 1), *buffers, np.int64(37), np.int64(70))
cl.enqueue_copy(queue, found, buffers[0])
assert np.allclose(found, x.std(axis=1)), abs(found - x.std(axis=1)).max()
"""


def works(qualifier):
    text = STATIC.replace("{qualifier!r}", repr(qualifier))
    return subprocess.run([sys.executable, "-c", text], check=False, capture_output=True).returncode == 0


@pytest.fixture(autouse=True)
def pocl_3(device):
    if "Portable" not in device.platform.name or not device.driver_version.startswith("3."):
        pytest.skip("this is about PoCL 3")


def test_a_function_with_a_barrier_is_right():
    assert works("")


def test_a_static_function_with_a_barrier_is_not():  # if it is, WorkItems.function of dialect.py can go
    assert not works("static ")
