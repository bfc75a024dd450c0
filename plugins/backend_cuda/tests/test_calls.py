"""Calls that C queues, through the driver's functions as the stand-in plays them: kernels alone, graphs, failures."""

import gc

import numpy as np
import pytest

import core
import core.tensor as ct
from core import plugins
from core.device.opened import Opened
from core.device.space import Space
from core.errors import DeviceError, IndexOutOfBounds
from core.records import Probe
from core.testing.bound_calls import *  # noqa: F403
from core.testing.bound_calls import N, adding
from plugin_backend_cuda import calls, cublas

pytestmark = pytest.mark.skipif(calls.module() is None, reason="the installer could not build calls.c")


@pytest.fixture
def own(device):
    return Opened("cuda", Space(device))


@pytest.fixture
def launcher():
    return "cuda.launcher"


def since(driver, act):
    before = len(driver.calls)
    act()
    return [name for name in driver.names()[before:] if name != "use"]


def test_a_kernel_alone_is_launched_and_its_argument_copied(own, driver):
    step, w = adding(own)
    step(np.ones(N)), step(np.ones(N))
    names = since(driver, lambda: step(np.ones(N)))
    assert names == ["status", "free_event", "copy_in", "launch", "new_event", "record"]
    assert np.array_equal(w.get_value(), np.full(N, 3.0))


def normalizing(own):
    """A step of several kernels, called until C has graphs for both places in which its value lies."""
    w, x = core.shared(np.full(N, 2.0), name="w"), ct.vector("x")
    y = w * x
    step = core.function([x], updates={w: y / y.sum()}, backend=own)
    for _ in range(6):
        step(np.ones(N))
    return step, w


def test_several_kernels_are_one_graph(own, driver, by_python):
    step, w = normalizing(own)
    by_python.clear()
    names = since(driver, lambda: step(np.ones(N)))
    assert names == ["status", "free_event", "copy_in", "replay", "new_event", "record"] and by_python == []
    assert np.allclose(w.get_value(), np.full(N, 1 / N))


def test_without_graphs_all_kernels_are_launched(own, driver, by_python):
    with core.config.override({"cuda.graphs": False}):
        step, w = normalizing(own)
        by_python.clear()
        names = since(driver, lambda: step(np.full(N, 2.0)))
    assert names.count("launch") > 1 and "replay" not in names and by_python == []
    assert np.allclose(w.get_value(), np.full(N, 1 / N))


def product_step(own):
    w = core.shared(np.eye(40), name="w")
    step = core.function([], updates={w: ct.tanh(w @ w) + 1}, backend=own)
    expected = np.eye(40)
    for _ in range(6):
        step()
        expected = np.tanh(expected @ expected) + 1
    return step, w, expected


def test_products_are_part_of_a_graph(own, driver, by_python, monkeypatch):
    monkeypatch.setattr(cublas, "probe", lambda: Probe(devices=("NumPy",)))
    plugins.reset()
    try:
        step, w, expected = product_step(own)
        by_python.clear()
        assert since(driver, step) == ["replay"] and by_python == []
        assert np.allclose(w.get_value(), np.tanh(expected @ expected) + 1)
        with core.config.override({"cuda.graphs": False}):
            step, w, expected = product_step(own)
            by_python.clear()
            step()
            assert len(by_python) == 1, "what cuBLAS queues is Python's"
    finally:
        plugins.reset()


def test_a_step_with_checked_indices_waits_for_new_ones_alone(own, driver, by_python):
    w, i = core.shared(np.zeros(3), name="w"), core.shared(np.array([2, 0]), name="i")
    step = core.function([], updates={w: ct.inc_subtensor(w[i], 1.0)}, backend=own)
    for _ in range(6):
        step()
    by_python.clear()
    assert since(driver, step) == ["replay"] and by_python == []
    i.set_value(np.array([1, 7]))
    with pytest.raises(IndexOutOfBounds):
        step()
    assert np.array_equal(w.get_value(), [7, 0, 7])
    i.set_value(np.array([1, 1]))
    for _ in range(6):
        step()
    by_python.clear()
    step()
    assert by_python == [] and np.array_equal(w.get_value(), [7, 14, 7])


def test_results_that_somebody_holds_make_graphs_come_and_go(own, driver):
    x = ct.vector("x")
    f = core.function([x], core.Out(x / x.sum(), borrow=True), backend=own)
    held = [f(np.full(N, float(k + 1))) for k in range(40)]
    assert all(np.allclose(array, 1 / N) for array in held)
    assert len(driver.alive["graph"]) <= 2 * 8
    del f, held
    gc.collect()
    assert driver.alive["graph"] == []


def test_pinned_memory_of_arguments_goes_with_the_function(own, driver):
    step, w = adding(own)
    for _ in range(5):
        step(np.ones(N))
    own.space.device.synchronize()
    assert driver.alive["pinned"]
    w.set_value(np.zeros(N))
    step.free()
    gc.collect()
    staging = 2
    assert len(driver.alive["pinned"]) <= staging and len(driver.alive["event"]) <= staging


# --- the driver refuses -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call, after", [("use", 1), ("copy_in", 0), ("replay", 0), ("new_event", 0), ("record", 0)], ids=lambda p: str(p)
)
def test_what_the_driver_refuses_is_queued_again_by_python(own, driver, by_python, call, after):
    step, w = normalizing(own)
    by_python.clear()
    driver.fail(call, after, code=1)
    step(np.full(N, 3.0))
    assert len(by_python) == 1 and np.allclose(w.get_value(), np.full(N, 1 / N))
    for _ in range(3):
        step(np.ones(N))
    assert len(by_python) <= 2, "then it has a recording again"
    own.space.device.synchronize()


def test_an_error_of_the_driver_is_named_and_the_last_good_value_stays(own, driver):
    step, w = adding(own)
    step(np.ones(N))
    driver.fail("launch", code=701, times=2)
    with pytest.raises(DeviceError, match="kernel .* could not be launched"):
        step(np.ones(N))
    assert np.array_equal(w.get_value(), np.ones(N))
    step(np.ones(N))
    assert np.array_equal(w.get_value(), np.full(N, 2.0))


def test_threads_that_fetch_get_results_of_their_own_from_python_too(own):
    with core.config.override({"cuda.launcher": False}):
        test_threads_that_call_one_function_get_results_of_their_own(own)  # noqa: F405


def test_where_the_driver_does_not_show_its_functions_python_queues(own, driver, by_python, monkeypatch):
    monkeypatch.setattr(driver, "addresses", lambda names: None)
    step, w = adding(own)
    by_python.clear()
    step(np.ones(N))
    assert len(by_python) == 1 and np.array_equal(w.get_value(), np.ones(N))


def test_recordings_refuse_what_makes_no_sense(own):
    module, rest = calls.module(), (None, (None, None), None, None, None)
    with pytest.raises(ValueError, match="10 functions of the driver are needed"):
        module.Recording((1,), (0, 0, (), None), True, (), (), (), *rest)
    addresses = own.space.device.addresses
    with pytest.raises(ValueError, match="no such launch"):
        inputs = ((np.dtype("float32"), (3,), True, ((0, 0),), None),)
        module.Recording(addresses, (0, 0, (), None), True, inputs, (), (), *rest)
    launch = (0, (1, 1, 1), (1, 1, 1), (5,))
    with pytest.raises(ValueError, match="no such argument"):
        inputs = ((np.dtype("float32"), (3,), True, ((0, 1),), None),)
        module.Recording(addresses, (0, 0, (launch,), None), True, inputs, (), (), *rest)
