"""Several GPUs: functions and shared variables with a home, and copies between GPUs that do not go through the host."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import core
import core.backend
import core.tensor as ct
from core.errors import ArgumentError, BackendError, DeviceError
from core.records import Backend
from plugin_backend_cuda.backend import Driver
from plugin_backend_cuda.shim.driver import HostCompiler, HostDriver
from plugin_backend_cuda.shim.recorder import Recorder

A = np.arange(6.0)


@pytest.fixture
def calls(monkeypatch):
    """Two GPUs behind the name "cuda", with every call of the driver noted."""
    noted = Recorder(HostDriver(devices=2))
    driver = Driver(lambda: noted, lambda: (HostCompiler(), ""))

    def named(text):
        number = text.partition(":")[2]
        return core.backend.Choice(Backend("cuda", "cuda", driver), driver, int(number) if number else None)

    monkeypatch.setattr(core.backend, "_named", named)
    return noted


def shared(device, value=A):
    return core.shared(value, name=f"on_{device.replace(':', '_')}" if device else "anywhere", device=device)


def on(value):
    """The number of the GPU where a shared variable's value lies; None: on the host."""
    found = value.get_value(return_internal_type=True)
    return None if isinstance(found, np.ndarray) else found.space.device.number


def since(calls, act):
    """The names of the driver's calls while ``act`` runs, without those that only choose a context."""
    before = len(calls.calls)
    act()
    return [name for name in calls.names()[before:] if name != "use"]


def test_a_function_runs_where_its_shared_variables_are_at_home(calls):
    w = shared("cuda:1")
    step = core.function([], [w.sum()], updates={w: w + 1})
    assert step.backend == "cuda:1" and step()[0] == A.sum() and step()[0] == A.sum() + 6
    assert on(w) == 1
    assert_array_equal(w.get_value(), A + 2)


def test_variables_without_a_home_go_along(calls):
    w, v = shared("cuda:1"), shared(None)
    f = core.function([], w * v)
    assert f.backend == "cuda:1"
    assert_array_equal(f(), A * A)
    assert on(v) == 1


def test_several_homes_need_a_word(calls):
    w, v = shared("cuda:0"), shared("cuda:1")
    with pytest.raises(
        BackendError, match="at home on several: on_cuda_0 on 'cuda:0', on_cuda_1 on 'cuda:1'; say where"
    ):
        core.function([], w + v)
    f = core.function([], w + v, backend="cuda:0")
    assert_array_equal(f(), 2 * A)


def test_the_first_device_has_two_names(calls):
    f = core.function([], shared("cuda") + shared("cuda:0"))
    assert_array_equal(f(), 2 * A)


def test_a_guest_is_copied_between_the_gpus_once_and_stays_at_home(calls):
    w = shared("cuda:1")
    home, away = core.function([], w + 1), core.function([], 2 * w, backend="cuda:0")
    home()
    made = since(calls, lambda: assert_array_equal(away(), 2 * A))
    assert made.count("copy_between") == 1 and made.count("copy_out") == 1  # which brings the result
    assert on(w) == 1
    assert "copy_between" not in since(calls, away)
    w.set_value(-A)
    home()
    assert_array_equal(away(), -2 * A)


def test_the_copy_waits_for_what_is_queued_there_and_is_waited_for(calls):
    w = shared("cuda:1")
    home, away = core.function([], [], updates={w: w + 1}), core.function([], 2 * w, backend="cuda:0")
    home()
    made = since(calls, away)
    place = made.index("copy_between")
    assert made[place - 2 : place + 3] == ["record", "await_event", "copy_between", "record", "await_event"]
    arguments = next(arguments for name, arguments in calls.calls if name == "copy_between")
    assert arguments[1] == 0 and arguments[3] == 1 and arguments[4] == A.nbytes


def test_a_value_without_a_home_moves_to_who_reads_it(calls):
    v = shared(None)
    first, second = (core.function([], v + 1, backend=f"cuda:{number}") for number in (0, 1))
    first()
    assert on(v) == 0
    assert "copy_between" in since(calls, second)
    assert on(v) == 1


def test_an_update_from_elsewhere_comes_home_when_it_is_read_there(calls):
    w = shared("cuda:1")
    away, home = core.function([], [], updates={w: w + 1}, backend="cuda:0"), core.function([], w * 1.0)
    away()
    assert_array_equal(home(), A + 1)
    assert on(w) == 1


def test_results_that_stay_are_arguments_of_the_other_gpu(calls):
    x = ct.dvector("x")
    first = core.function([x], core.Out(x + 1, borrow=True), backend="cuda:0")
    second = core.function([x], 2 * x, backend="cuda:1")
    made = since(calls, lambda: assert_array_equal(second(first(A)), 2 * (A + 1)))
    assert made.count("copy_between") == 1 and made.count("copy_in") == 1


def test_empty_values_need_no_copy(calls):
    w = shared("cuda:1", np.zeros((0, 3)))
    home, away = core.function([], w + 1), core.function([], w.sum(), backend="cuda:0")
    home()
    assert away() == 0 and "copy_between" not in calls.names()


def test_a_copy_that_fails_leaves_the_value_where_it_is(calls):
    w = shared("cuda:1")
    home, away = core.function([], w + 1), core.function([], 2 * w, backend="cuda:0")
    home()
    calls.fail("copy_between", code=1)
    with pytest.raises(DeviceError, match="copy_between failed"):
        away()
    assert on(w) == 1
    assert_array_equal(w.get_value(), A)
    assert_array_equal(away(), 2 * A)


def test_a_home_is_a_name_and_is_pickled(calls):
    with pytest.raises(ArgumentError, match='shared needs device= as a name \\("cuda:1"\\), got 1 of type int'):
        core.shared(A, device=1)
    w = pickle.loads(pickle.dumps(shared("cuda:1")))
    assert w.device == "cuda:1" and core.function([], w + 1).backend == "cuda:1"
