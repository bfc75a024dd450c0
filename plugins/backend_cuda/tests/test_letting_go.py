"""A device goes with the last program and array of its, at once: nothing waits for the collector of garbage."""

import gc
import weakref

import numpy as np
import pytest

import core
import core.tensor as ct
import plugin_ops_fft as fft
import plugin_ops_linalg as linalg
import plugin_ops_nn as nn
from core import plugins
from core.device.opened import Opened
from core.device.space import Space
from core.records import Probe
from plugin_backend_cuda import cublas, cufft, cusolver
from plugin_backend_cuda.device import CudaDevice
from plugin_backend_cuda.shim.driver import HostCompiler, HostDriver
from plugin_backend_cuda.shim.libraries import makers
from plugin_backend_cuda.shim.recorder import Recorder


@pytest.fixture(autouse=True)
def libraries(monkeypatch, cache_folder):
    """The stand-ins of all libraries are there, and the collector does not run."""
    for library, name in ((cublas, "probe"), (cufft, "probe"), (cusolver, "probe")):
        monkeypatch.setattr(library, name, lambda: Probe(devices=("SciPy",)))
    plugins.reset()
    gc.disable()
    yield
    gc.enable()
    plugins.reset()


def elementwise_work_and_sums(backend):
    x = ct.matrix("x")
    f = core.function([x], [ct.exp(x).sum(axis=0), x.T + 1], backend=backend)
    return f, np.ones((3, 4))


def a_convolution_with_gradients(backend):
    x, w = ct.tensor("x", ndim=4), ct.tensor("w", ndim=4)
    f = core.function([x, w], core.grad((nn.conv2d(x, w) ** 2).sum(), [x, w]), backend=backend)
    return f, np.ones((2, 3, 5, 5)), np.ones((4, 3, 2, 2))


def a_fourier_transform(backend):
    x = ct.vector("x")
    return core.function([x], fft.rfft(x), backend=backend), np.ones(8)


def a_decomposition(backend):
    x = ct.matrix("x")
    return core.function([x], linalg.cholesky(x), backend=backend), 2 * np.eye(3)


def a_loop(backend):
    x = ct.matrix("x")
    h = core.scan(lambda row, h: ct.tanh(row + h), sequences=x, outputs_info=ct.zeros(4))
    return core.function([x], h, backend=backend), np.ones((3, 4))


def a_choice(backend):
    x, which = ct.vector("x"), ct.scalar("which", dtype="bool")
    f = core.function([x, which], core.ifelse(which, ct.exp(x), ct.cumsum(x)), backend=backend)
    return f, np.ones(3), np.True_


WORK = [
    elementwise_work_and_sums,
    a_convolution_with_gradients,
    a_fourier_transform,
    a_decomposition,
    a_loop,
    a_choice,
]


def opened(driver):
    do = getattr(driver, "_driver", driver)._do
    device = CudaDevice(driver, 0, HostCompiler(), *makers(do)[:3])
    return Opened("cuda", Space(device))


def things(backend):
    """What is to go: the stand-in for the driver, which holds all memory, the device, and its pool."""
    device = backend.space.device
    return {"driver": device._driver, "device": device, "pool": backend.space.pool}


@pytest.mark.parametrize("work", WORK)
@pytest.mark.parametrize("wrapped", [lambda driver: driver, Recorder], ids=["driver", "recorder"])
def test_a_device_goes_with_its_last_function(work, wrapped):
    backend = opened(wrapped(HostDriver()))
    left = {name: weakref.ref(thing) for name, thing in things(backend).items()}
    f, *arrays = work(backend)
    for _ in range(4):  # called, repeated, recorded, replayed
        f(*arrays)
    del f, backend
    assert [name for name, thing in left.items() if thing() is not None] == []


def test_an_array_keeps_its_device():
    backend = opened(HostDriver())
    left = {name: weakref.ref(thing) for name, thing in things(backend).items()}
    x = ct.vector("x")
    array = core.function([x], core.Out(x + 1, borrow=True), backend=backend)(np.ones(3))
    del backend
    assert all(thing() is not None for thing in left.values())
    assert np.array_equal(np.asarray(array), [2.0, 2.0, 2.0])
    del array
    assert [name for name, thing in left.items() if thing() is not None] == []
