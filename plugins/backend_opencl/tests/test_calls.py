"""Calls that C queues: they give what Python gives, nobody's elements change, and what fails is left to Python."""

import ctypes

import numpy as np
import pyopencl as cl
import pytest

import core
import core.tensor as ct
from core.device.opened import Opened
from core.device.space import Space
from core.errors import DeviceError
from core.testing.bound_calls import *  # noqa: F403
from core.testing.bound_calls import N, adding
from plugin_backend_opencl import calls
from plugin_backend_opencl import device as device_module
from plugin_backend_opencl.device import ClDevice

pytestmark = pytest.mark.skipif(calls.module() is None, reason="the installer could not build calls.c")

OPTIONS = {
    "opencl.schedule": "auto",
    "opencl.float64": "error",
    "opencl.deterministic": False,
    "opencl.products": "auto",
}


@pytest.fixture(params=[True, False], ids=["shared-memory", "own-memory"])
def own(device, request):
    """A backend on a device of its own, which a test may break."""
    return Opened("opencl", Space(ClDevice(device, {**OPTIONS, "opencl.zero_copy": request.param})))


@pytest.fixture
def launcher():
    return "opencl.launcher"


# --- failures ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def refusing(monkeypatch):
    """The driver as C sees it: the n-th launch from now on is refused, for n in a set."""
    numbers, count = set(), [0]
    real = dict(zip(calls.FUNCTIONS, calls.addresses(), strict=True))
    kind = ctypes.CFUNCTYPE(
        ctypes.c_int32, *[ctypes.c_void_p] * 2, ctypes.c_uint32, *[ctypes.c_void_p] * 3, ctypes.c_uint32,
        *[ctypes.c_void_p] * 2,
    )  # fmt: skip
    launch = kind(real["clEnqueueNDRangeKernel"])

    @kind
    def some(*arguments):
        count[0] += 1
        return -5 if count[0] in numbers else launch(*arguments)

    addresses = {**real, "clEnqueueNDRangeKernel": ctypes.cast(some, ctypes.c_void_p).value}
    monkeypatch.setattr(calls, "addresses", lambda: tuple(addresses.values()))
    yield numbers
    assert some


def test_what_the_driver_refuses_is_queued_again_by_python(own, refusing, by_python):
    w, x = core.shared(np.ones(N), name="w"), ct.vector("x")
    y = w * x
    step = core.function([x], updates={w: y / y.sum()}, backend=own)
    for _ in range(2):
        step(np.ones(N))
    refusing |= {2, 5}  # the second launch of a call, when the first is queued
    by_python.clear()
    for _ in range(5):
        step(np.ones(N))
    assert 1 <= len(by_python) <= 2, "then it has a recording again"
    assert np.allclose(w.get_value(), np.full(N, 1 / N))


def test_an_error_of_the_driver_is_named_and_the_last_good_value_stays(own, refusing, monkeypatch):
    step, w = adding(own)
    step(np.ones(N))

    class Fails(cl.RuntimeError):
        code = cl.status_code.OUT_OF_RESOURCES

    def fail(*arguments, **named):
        raise Fails("made to fail")

    refusing |= {2}
    with monkeypatch.context() as broken:
        broken.setattr(device_module.cl, "enqueue_nd_range_kernel", fail)
        with pytest.raises(DeviceError, match="cannot run kernel .*OUT_OF_RESOURCES"):
            step(np.ones(N))
    assert np.array_equal(w.get_value(), np.ones(N))
    step(np.ones(N))
    assert np.array_equal(w.get_value(), np.full(N, 2.0))


def test_recordings_refuse_what_makes_no_sense(own, by_python):
    module, nothing = calls.module(), (0, None, ())
    rest = None, (None, None), None, None, None
    with pytest.raises(ValueError, match="functions of the driver are needed"):
        module.Recording((1,), nothing, False, (), (), (), *rest)
    addresses = calls.addresses()
    with pytest.raises(ValueError, match="no such launch"):
        inputs = ((np.dtype("float32"), (3,), True, ((0, 0),), None),)
        module.Recording(addresses, nothing, False, inputs, (), (), *rest)
    with pytest.raises(ValueError, match="no such recording"):
        module.Recording(addresses, nothing, False, (), (), (0,), *rest)
    with pytest.raises(TypeError, match="the cell of a shared variable must be a list"):
        module.Call([], None, (1,), (), 3, (), 0, 0)
    with pytest.raises(ValueError, match="2 results cannot have layout 0"):
        module.Call([], None, (), (), 0, (), 0, 2)
    with pytest.raises(TypeError, match="space of Other must be a slot"):
        module.know_classes(type("Other", (), {"space": 1}), object, object, object)
    step, _ = adding(own)
    by_python.clear()
    step(np.ones(N))
    assert by_python == [], "what is refused changes nothing"
