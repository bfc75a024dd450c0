"""What goes wrong on a device, seen from a function: the error names who and how much, and shared variables stay."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import core
import core.tensor as ct
from core.device.array import DeviceArray
from core.errors import DeviceError, DeviceLost, DeviceMemoryError
from plugin_backend_cuda.backend import Driver
from plugin_backend_cuda.libcuda import OUT_OF_MEMORY
from plugin_backend_cuda.shim.driver import HostCompiler, HostDriver
from plugin_backend_cuda.shim.recorder import Recorder


def made(**limits):
    """A recording driver and a backend on it."""
    calls = Recorder(HostDriver(**limits))
    return calls, Driver(lambda: calls, lambda: (HostCompiler(), ""))


def stepping(backend):
    """A shared variable and a function that adds to it."""
    w, x = core.shared(np.zeros(3), name="w"), ct.vector("x")
    step = core.function([x], [], updates={w: w + x}, backend=backend, name="step")
    step(np.ones(3))
    return w, step


@pytest.mark.parametrize("name", ["launch", "copy_in", "use"])
def test_a_call_of_the_driver_that_fails_leaves_the_last_good_value(name):
    calls, backend = made()
    w, step = stepping(backend)
    calls.fail(name, code=700)
    with pytest.raises(DeviceError, match="injected 700"):
        step(np.ones(3))
    step(np.ones(3))
    assert_array_equal(w.get_value(), [2, 2, 2])


def test_a_kernel_that_cannot_be_launched_is_named_with_its_op_and_device():
    calls, backend = made()
    _, step = stepping(backend)
    calls.fail("launch", code=1)
    with pytest.raises(
        DeviceError, match=r"kernel k0_add \(add: add  at .*test_faults.py.*\) could not be launched on cuda:0"
    ):
        step(np.ones(3))


def test_a_kernel_that_fails_while_it_runs_is_an_error_of_the_call_that_waits():
    calls, backend = made()
    f = core.function([x := ct.vector("x")], x + 1, backend=backend)
    calls.fail("finish", code=719)
    with pytest.raises(DeviceLost, match="injected 719"):
        f(np.ones(3))


def test_without_memory_the_pool_is_emptied_and_the_device_asked_once_more():
    calls, backend = made()
    x = ct.vector("x")
    f = core.function([x], core.Out(x + 1, borrow=True), backend=backend)
    f(np.ones(1000))  # its result's memory is in the pool now
    calls.calls.clear()
    calls.fail("allocate", code=OUT_OF_MEMORY)
    g = core.function([x], core.Out(x * 2, borrow=True), backend=backend)
    assert_array_equal(g(np.ones(5000)).numpy(), np.full(5000, 2.0))
    order = [name for name in calls.names() if name in ("allocate", "free")]
    assert order[0] == "allocate" and "free" in order[1:] and order.count("allocate") >= 2


def test_no_memory_names_the_op_the_size_and_the_device_and_leaves_the_last_good_value():
    _, backend = made(limit=1 << 24)
    w, x = core.shared(np.zeros(3), name="w"), ct.vector("x")
    step = core.function([x], x[:, None] * x[None, :], updates={w: w + 1}, backend=backend)
    step(np.ones(3))
    with pytest.raises(
        DeviceMemoryError, match=r"shape \(2000, 2000\).*needs 32000000 bytes on host-shim, which has 16777216"
    ):
        step(np.ones(2000))
    step(np.ones(3))
    assert_array_equal(w.get_value(), [2, 2, 2])


@pytest.mark.parametrize("rows", [65535, 65536, 70000])
def test_more_rows_than_a_grid_is_high_are_taken_in_turns(rows):
    _, backend = made()
    x = ct.matrix("x", dtype="float32")
    f = core.function([x], x.sum(axis=1), backend=backend)
    a = np.ones((rows, 3), "float32")
    assert_array_equal(f(a), np.full(rows, 3, "float32"))


# --- several devices --------------------------------------------------------------------------------------------------


def test_functions_on_two_devices_share_a_variable_through_the_host():
    calls, backend = made(devices=2)
    w, x = core.shared(np.zeros(3), name="w"), ct.vector("x")
    first, second = (core.function([x], [], updates={w: w + x}, backend=backend.open(number)) for number in (0, 1))
    for step in (first, second, first, second):
        step(np.ones(3))
    assert type(w.cell[0]) is DeviceArray and w.cell[0].space is backend.open(1).space
    assert_array_equal(w.get_value(), [4, 4, 4])
    assert "copy_out" in calls.names()


def test_a_result_of_one_device_is_an_argument_of_another():
    _, backend = made(devices=2)
    x = ct.vector("x")
    first, second = (
        core.function([x], core.Out(x + 1, borrow=True), backend=backend.open(number)) for number in (0, 1)
    )
    out = second(first(np.zeros(3)))
    assert out.space is backend.open(1).space and out.__dlpack_device__() == (2, 1)
    assert_array_equal(out.numpy(), [2, 2, 2])


def test_each_device_has_a_context_and_a_stream_of_its_own():
    calls, backend = made(devices=2)
    x = ct.vector("x")
    for number in (0, 1):
        core.function([x], x + 1, backend=backend.open(number))(np.ones(3))
    assert [arguments[0] for name, arguments in calls.calls if name == "retain"] == [0, 1]
    used = [arguments[0] for name, arguments in calls.calls if name == "use"]
    assert set(used) == {0, 1}
