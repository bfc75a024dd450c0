"""When the driver fails: named errors, and shared variables that keep their last good values."""

import numpy as np
import pyopencl as cl
import pytest

import core
import core.tensor as ct
from core.device.opened import Opened
from core.device.space import Space
from core.errors import BackendError, DeviceError, DeviceLost, DeviceMemoryError
from plugin_backend_opencl import backend as driver_module
from plugin_backend_opencl import device as device_module
from plugin_backend_opencl.backend import driver
from plugin_backend_opencl.device import ClDevice

OPTIONS = {
    "opencl.schedule": "auto",
    "opencl.float64": "error",
    "opencl.deterministic": False,
    "opencl.products": "auto",
    "opencl.zero_copy": True,
}


class Fails(cl.RuntimeError):
    """An error of the driver with a code of our choice."""

    code = 0

    def __init__(self, code):
        super().__init__(f"made to fail: {code}")
        self.code = code


@pytest.fixture(params=[True, False], ids=["shared-memory", "own-memory"])
def own(device, request):
    """A backend on a device of its own, which a test may break."""
    return Opened("opencl", Space(ClDevice(device, {**OPTIONS, "opencl.zero_copy": request.param})))


def step_and_variable(own):
    w, x = core.shared(np.arange(3.0), name="w"), ct.vector("x")
    step = core.function([x], (w * x).sum(), updates={w: w + x}, backend=own)
    assert step(np.ones(3)) == 3.0
    return step, w


@pytest.mark.parametrize(
    "code, kind",
    [("DEVICE_NOT_AVAILABLE", DeviceLost), ("INVALID_COMMAND_QUEUE", DeviceLost), ("INVALID_KERNEL_ARGS", DeviceError)],
)
@pytest.mark.parametrize("where", ["enqueue_nd_range_kernel", "finish"])
def test_a_device_that_fails_is_named_and_shared_variables_keep_their_values(own, monkeypatch, code, kind, where):
    step, w = step_and_variable(own)

    def fail(*arguments, **named):
        raise Fails(getattr(cl.status_code, code))

    with monkeypatch.context() as broken:
        if where == "finish":

            class Queue:
                def __init__(self, real):
                    self._real, self.finish = real, fail

                def __getattr__(self, name):
                    return getattr(self._real, name)

            holder = own.space.device.transfers or own.space.device
            broken.setattr(holder, "queue", Queue(holder.queue))
        else:
            broken.setattr(device_module.cl, where, fail)
        with pytest.raises(kind, match=f"OpenCL device {own.space.name} .*{code}"):
            step(np.ones(3))
    assert np.array_equal(w.get_value(), [1.0, 2.0, 3.0]), "the update of the call that failed is not seen"
    assert step(np.ones(3)) == 6.0 and np.array_equal(w.get_value(), [2.0, 3.0, 4.0])


def test_memory_that_runs_out_is_asked_for_once_more_after_the_pool_was_emptied(own, monkeypatch):
    x = ct.vector("x")
    f = core.function([x], x + 1, backend=own)
    f(np.ones(50_000))  # its memory is kept now
    asked, real = [], own.space.device.allocate

    def scarce(size_bytes):
        asked.append(size_bytes)
        if len(asked) == 1:
            raise DeviceMemoryError("none left")
        return real(size_bytes)

    monkeypatch.setattr(own.space.device, "allocate", scarce)
    assert np.array_equal(f(np.zeros(90_000)), np.ones(90_000))
    assert asked[0] == asked[1], "the same once more"


def test_memory_that_is_not_there_says_what_is_asked_for_and_held(own, monkeypatch):
    step, w = step_and_variable(own)

    def none(size_bytes):
        raise DeviceMemoryError("none left")

    monkeypatch.setattr(own.space.device, "allocate", none)
    own.space.pool.empty()
    with pytest.raises(DeviceMemoryError, match=r"needs \d+ bytes on .*, which has \d+ .*; \d+ are held"):
        step(np.ones(3))
    assert np.array_equal(w.get_value(), [1.0, 2.0, 3.0])


def test_codes_of_the_driver_that_mean_no_memory_are_told_apart():
    named = device_module.named(Fails(cl.status_code.MEM_OBJECT_ALLOCATION_FAILURE), "d", "cannot give 8 bytes")
    assert type(named) is DeviceMemoryError and "OpenCL device d cannot give 8 bytes" in str(named)
    assert type(device_module.named(MemoryError("no"), "d", "cannot")) is DeviceMemoryError


def test_a_device_that_cannot_be_opened_is_named(device, monkeypatch):
    def fail(*arguments, **named):
        raise Fails(cl.status_code.OUT_OF_HOST_MEMORY)

    monkeypatch.setattr(device_module.cl, "Context", fail)
    with pytest.raises(DeviceMemoryError, match="cannot be opened: OUT_OF_HOST_MEMORY"):
        ClDevice(device, OPTIONS)


def test_a_machine_without_a_platform_says_what_to_install(monkeypatch):
    def fail():
        raise Fails(-1001)  # of the loader: no platform

    monkeypatch.setattr(cl, "get_platforms", fail)
    found = driver.probe()
    assert not found.works and "no OpenCL platform with a device" in found.reason and "pocl" in found.remedy
    with pytest.raises(BackendError, match="finds no device; install the driver of your GPU"):
        driver.open()


def test_a_platform_without_devices_is_passed_over(monkeypatch):
    class Platform:
        name = "empty"

        def get_devices(self):
            raise Fails(cl.status_code.DEVICE_NOT_FOUND)

    monkeypatch.setattr(cl, "get_platforms", lambda: [Platform()])
    assert driver_module.devices() == []


def test_pyopencl_that_cannot_be_imported_is_the_reason(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyopencl", None)
    assert "pyopencl cannot be used" in driver.probe().reason
