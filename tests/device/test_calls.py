"""Calls of programs on a device made of NumPy: what is queued, what is waited for, what is kept."""

import warnings

import numpy as np
import pytest

import core
import core.tensor as ct
from core.compile.function import function
from core.device.array import DeviceArray
from core.errors import DeviceMemoryError, IndexOutOfBounds, ShapeError
from core.ir.target import Target
from core.testing.devices import numpy_backend


@pytest.fixture(params=[Target(units=3, lanes=1, piece=2), Target(units=3, lanes=4, piece=2)], ids=["pieces", "groups"])
def backend(request):
    return numpy_backend(request.param)


def log_of(backend):
    """What the device was asked for since the last time."""
    log, backend.space.device.log = backend.space.device.log, []
    return log


def test_a_call_queues_everything_and_waits_once(backend):
    x = ct.matrix("x")
    f = function([x], ct.softmax(x.T, axis=0).sum(axis=1) * 2, backend=backend)
    f(np.ones((3, 4)))
    log_of(backend)
    assert np.allclose(f(np.ones((3, 4))), 2 * np.ones(4) * 3 / 4)
    log = log_of(backend)
    assert log.count("synchronize") == 1 and log[-1] == "synchronize"
    assert not any(entry.startswith(("allocate", "build")) for entry in log), "a repeated call asks for nothing new"


def test_a_step_without_results_does_not_wait(backend):
    w, x = core.shared(np.zeros(3)), ct.vector("x")
    step = function([x], updates={w: w + x}, backend=backend)
    for _ in range(4):
        step(np.ones(3))
    assert "synchronize" not in log_of(backend)
    assert np.array_equal(w.get_value(), [4.0, 4.0, 4.0])


def test_a_shared_variable_goes_to_the_device_once(backend):
    w, x = core.shared(np.arange(3.0)), ct.vector("x")
    f = function([x], (w * x).sum(), backend=backend)
    f(np.ones(3))
    log_of(backend)
    assert f(np.ones(3)) == 3.0
    assert log_of(backend).count("upload") == 1, "the argument alone"


def test_arrays_that_were_given_away_are_never_written_to(backend):
    x = ct.vector("x")
    f = function([x], core.Out(x + 1, borrow=True), backend=backend)
    first = f(np.zeros(3))
    second = f(first)
    assert type(first) is DeviceArray
    assert np.array_equal(first, [1.0, 1.0, 1.0]) and np.array_equal(second, [2.0, 2.0, 2.0])
    assert first.ndim == 1 and first.size == 3 and len(first) == 3 and first[0] == 1.0
    assert repr(first) == "<float64[3] on numpy>"


def test_an_input_and_a_constant_can_be_results(backend):
    x = ct.vector("x")
    f = function([x], [x, ct.constant([1.0, 2.0]), x, core.Out(x, borrow=True)], backend=backend)
    given = np.array([3.0, 4.0])
    one, two, three, four = f(given)
    given[:] = 0
    assert np.array_equal(one, [3.0, 4.0]) and np.array_equal(two, [1.0, 2.0])
    assert np.array_equal(three, [3.0, 4.0]) and np.array_equal(four, [3.0, 4.0])


def test_a_length_that_the_program_computes_is_waited_for(backend):
    x = ct.lvector("x")
    f = function([x], ct.arange(x.max()) * 2, backend=backend)
    assert np.array_equal(f(np.array([1, 4, 2])), [0, 2, 4, 6])
    assert np.array_equal(f(np.array([2, 0])), [0, 2])


def test_python_gets_copies_and_gives_arrays_of_any_length(backend):
    class Evens(core.Op):
        """The even ones among integers."""

        __props__ = ()

        def make_node(self, x):
            x = ct.as_tensor(x)
            return core.Apply(self, [x], [x.type()])

        def perform(self, node, inputs, output_storage):
            inputs[0].flags.writeable = True
            output_storage[0][0] = inputs[0][inputs[0] % 2 == 0]
            inputs[0][:] = -1

    x = ct.lvector("x")
    y = x + 1
    with warnings.catch_warnings():  # it is said once, of whichever backend comes first
        warnings.simplefilter("ignore")
        f = function([x], [Evens()(y) * 10, y], backend=backend)
    for values in (np.arange(5), np.arange(3), np.arange(5)):
        got, same = f(values)
        assert np.array_equal(same, values + 1)
        assert np.array_equal(got, [10 * v for v in values + 1 if v % 2 == 0])


def test_a_bad_index_is_found_in_the_end_and_changes_nothing(backend):
    w, i = core.shared(np.arange(4.0)), ct.lvector("i")
    f = function([i], w[i] + 1, updates={w: w * 2}, backend=backend)
    with pytest.raises(IndexOutOfBounds, match="index 4 is out of bounds for axis 0 with size 4"):
        f([0, 4])
    assert np.array_equal(w.get_value(), np.arange(4.0))
    assert np.array_equal(f([0, -1]), [1.0, 4.0])
    assert np.array_equal(w.get_value(), 2 * np.arange(4.0))


def test_lengths_that_broadcast_after_all_are_another_program(backend):
    x, y = ct.matrix("x"), ct.matrix("y")
    f = function([x, y], x + y, backend=backend)
    a, b = np.arange(6.0).reshape(2, 3), np.arange(3.0).reshape(1, 3)
    assert np.array_equal(f(a, a), a + a) and np.array_equal(f(a, b), a + b) and np.array_equal(f(b, a), a + b)
    with pytest.raises(ShapeError, match="cannot broadcast"):
        f(a, np.ones((2, 4)))


def test_memory_is_asked_for_once_more_after_unused_memory_was_given_back():
    backend = numpy_backend(memory_bytes=40_000)
    x = ct.vector("x")
    f, g = (function([x], core.Out(x * k, borrow=True), backend=backend) for k in (2, 3))
    f(np.ones(1500))  # 12,000 bytes of argument stay with f for its next call, and as many are free
    assert np.array_equal(np.asarray(g(np.ones(2000)))[:2], [3.0, 3.0])
    with pytest.raises(DeviceMemoryError, match=r"x of shape \(4000,\) and dtype float64 needs 32000 bytes"):
        g(np.ones(4000))


def test_free_gives_back_what_a_function_keeps():
    backend = numpy_backend()
    x = ct.vector("x")
    f = function([x], x.sum() + x, backend=backend)
    f(np.ones(1000))
    f.free()
    backend.space.pool.trim()
    assert backend.space.device.held_bytes == 0
    assert f(np.ones(2))[0] == 3.0


# --- checks that passed -----------------------------------------------------------------------------------------------


def step_at(backend, i, inputs=()):
    """A step that adds 1 to the elements of a shared variable that an index array names."""
    w = core.shared(np.zeros(4))
    return w, function(inputs, updates={w: ct.inc_subtensor(w[i], 1)}, backend=backend)


def test_nobody_waits_for_an_index_that_was_found_good(backend):
    i = core.shared(np.array([0, 3]))
    w, step = step_at(backend, i)
    for _ in range(2):
        step()
    log_of(backend)
    step()
    assert not {"synchronize", "download"} & set(log_of(backend))
    assert np.array_equal(w.get_value(), [3.0, 0.0, 0.0, 3.0])


def test_another_value_of_the_index_is_looked_at_again_and_changes_nothing_where_it_is_bad(backend):
    i = core.shared(np.array([0, 3]))
    w, step = step_at(backend, i)
    for _ in range(3):
        step()
    i.set_value(np.array([0, 4]))
    for _ in range(2):
        with pytest.raises(IndexOutOfBounds):
            step()
    i.set_value(np.array([1, 1]))
    step()
    assert np.array_equal(w.get_value(), [3.0, 2.0, 0.0, 3.0])


def test_an_index_that_the_host_brings_is_looked_at_each_time(backend):
    i = ct.lvector("i")
    w, step = step_at(backend, i, [i])
    for _ in range(3):
        step(np.array([0, 3]))
    with pytest.raises(IndexOutOfBounds):
        step(np.array([0, 4]))
    assert np.array_equal(w.get_value(), [3.0, 0.0, 0.0, 3.0])


def test_an_index_that_is_computed_from_what_changes_is_looked_at_each_time(backend):
    k, w = core.shared(np.array([0, 1])), core.shared(np.zeros(3))
    step = function([], updates={w: ct.inc_subtensor(w[k], 1), k: k + 1}, backend=backend)
    step(), step()
    with pytest.raises(IndexOutOfBounds):
        step()
    assert np.array_equal(w.get_value(), [1.0, 2.0, 1.0]) and np.array_equal(k.get_value(), [2, 3])


def test_results_are_fetched_though_the_index_need_not_be_looked_at(backend):
    i, x = core.shared(np.array([2, 0])), ct.vector("x")
    f = function([x], x[i], backend=backend)
    for k in range(4):
        assert np.array_equal(f(np.arange(3.0) + k), [2.0 + k, k])
