"""A device over the driver's calls: what it allocates, copies, launches, in which order, and what happens on errors."""

import gc

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from core.device.contract import Grid, Source
from core.errors import CompileError, DeviceError, DeviceMemoryError
from core.ir.nodes import Kernel
from plugin_backend_cuda import device as devices
from plugin_backend_cuda.dialect import CUDA
from plugin_backend_cuda.libcuda import OUT_OF_MEMORY

DOUBLE = (
    CUDA.preamble
    + """
/* y: x + x  at model.py:3 */
extern "C" __global__ void twice(double *__restrict__ y, const double *__restrict__ x, int64_t n)
{
    for (int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; i < n; i += gridDim.x * (int64_t)blockDim.x)
        y[i] = x[i] + x[i];
}
"""
)
SOURCE = Source("twice", DOUBLE, ((Kernel("twice", [], [], [], "y: x + x  at model.py:3"), ()),))
GRID = Grid((2, 1), (64, 1))


def uploaded(device, array):
    block = device.allocate(array.nbytes)
    device.upload(block, array, keep=True)
    return block


def downloaded(device, block, like):
    out = np.empty_like(like)
    device.download(block, out)
    device.synchronize()
    return out


def test_a_kernel_computes_on_what_was_uploaded(device):
    x = np.arange(300.0)
    a, b = uploaded(device, x), device.allocate(x.nbytes)
    device.launcher(device.build(SOURCE), "twice", [b, a, x.size], GRID)()
    assert_array_equal(downloaded(device, b, x), 2 * x)


def test_an_argument_can_be_replaced(device):
    x = np.arange(10.0)
    a, b, other = uploaded(device, x), device.allocate(x.nbytes), uploaded(device, -x)
    launch = device.launcher(device.build(SOURCE), "twice", [b, a, x.size], GRID)
    launch.set(1, other)
    launch()
    assert_array_equal(downloaded(device, b, x), -2 * x)


@pytest.mark.parametrize("pieces", [0.25, 1, 2, 3.5])
def test_arrays_of_any_size_go_through_pinned_memory_and_back(device, driver, monkeypatch, pieces):
    monkeypatch.setattr(devices, "PIECE", 1024)
    x = np.random.default_rng(0).integers(0, 255, int(1024 * pieces)).astype("uint8")
    assert_array_equal(downloaded(device, uploaded(device, x), x), x)
    assert len(driver.alive["pinned"]) == 2
    assert sum(name == "copy_in" for name in driver.names()) == -(-x.size // 1024)


def test_an_array_may_change_as_soon_as_upload_returns(device):
    x = np.arange(10.0)
    block = device.allocate(x.nbytes)
    device.upload(block, x, keep=False)
    x[:] = 0
    assert_array_equal(downloaded(device, block, x), np.arange(10.0))


def test_empty_arrays_are_not_copied(device, driver):
    x = np.empty((0, 3))
    block = device.allocate(8)
    device.upload(block, x, keep=False)
    device.download(block, x)
    device.copy(block, block, 0)
    assert not {"copy_in", "copy_out", "copy"}.intersection(driver.names())


def test_a_copy_stays_on_the_device(device):
    x = np.arange(5.0)
    a, b = uploaded(device, x), device.allocate(x.nbytes)
    device.copy(a, b, x.nbytes)
    assert_array_equal(downloaded(device, b, x), x)


def test_what_is_recorded_runs_when_it_is_replayed_and_not_before(device):
    x = np.arange(5.0)
    a, b = uploaded(device, x), device.allocate(x.nbytes)
    launch = device.launcher(device.build(SOURCE), "twice", [b, a, x.size], GRID)
    device.begin_recording()
    launch()
    replay = device.end_recording()
    assert not np.array_equal(downloaded(device, b, x), 2 * x)
    replay()
    assert_array_equal(downloaded(device, b, x), 2 * x)


def test_modules_and_graphs_are_freed_with_what_holds_them(device, driver):
    code = device.build(SOURCE)
    device.begin_recording()
    replay = device.end_recording()
    assert len(driver.alive["module"]) == len(driver.alive["graph"]) == 1
    del code, replay
    gc.collect()
    assert not driver.alive["module"] and not driver.alive["graph"]


def test_released_memory_is_freed_once(device, driver):
    block = device.allocate(100)
    device.release(block)
    assert not driver.alive["memory"]


def test_no_memory_is_an_error_that_names_the_size(device, driver):
    driver.fail("allocate", code=OUT_OF_MEMORY)
    with pytest.raises(DeviceMemoryError, match="allocate failed"):
        device.allocate(1000)
    with pytest.raises(MemoryError, match=f"of {1 << 40} bytes failed: CUDA_ERROR_OUT_OF_MEMORY"):
        device.allocate(1 << 40)


def test_a_launch_that_fails_says_which_kernel_and_which_op(device, driver):
    block = device.allocate(8)
    launch = device.launcher(device.build(SOURCE), "twice", [block, block, 1], GRID)
    driver.fail("launch")
    with pytest.raises(DeviceError, match=r"kernel twice \(y: x \+ x  at model.py:3\) could not be launched on cuda:0"):
        launch()


def test_a_grid_over_the_limit_is_an_error_with_its_shape(device):
    block = device.allocate(8)
    code = device.build(SOURCE)
    with pytest.raises(DeviceError, match=r"grid \(1, 70000, 1\), block \(64, 1, 1\)"):
        device.launcher(code, "twice", [block, block, 1], Grid((1, 70000), (64, 1)))()
    with pytest.raises(DeviceError, match=r"block \(2048, 1, 1\)"):
        device.launcher(code, "twice", [block, block, 1], Grid((1, 1), (2048, 1)))()


@pytest.mark.parametrize(
    "name", ["copy_in", "copy_out", "record", "finish", "wait_event", "allocate_pinned", "new_event"]
)
def test_an_error_of_any_copying_call_is_raised_and_the_next_copy_is_right(device, driver, name):
    x = np.arange(5.0)
    block = device.allocate(x.nbytes)
    driver.fail(name)
    with pytest.raises(DeviceError, match=f"{name} failed"):
        device.upload(block, x, keep=False)
        downloaded(device, block, x)
    device.upload(block, x, keep=False)
    assert_array_equal(downloaded(device, block, x), x)


def test_text_that_does_not_compile_names_the_op(device):
    with pytest.raises(CompileError, match=r"in the loops of y: x \+ x  at model.py:3"):
        device.build(Source("twice", DOUBLE.replace("x[i] + x[i]", "x[i] + nothing"), SOURCE.kernels))
