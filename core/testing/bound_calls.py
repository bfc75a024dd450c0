"""Calls that C queues, on any backend that binds them: they give what Python gives, and nobody's elements change.

A test file of a backend has ``from core.testing.bound_calls import *``, a fixture ``own``, an opened backend on a
device of its own that a test may break, and a fixture ``launcher``, the name of the option that leaves calls to Python.
"""

import gc
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import core.tensor as ct
from core.compile.arguments import Out
from core.compile.function import function
from core.compile.shared import shared
from core.device.array import DeviceArray
from core.device.program import DeviceProgram
from core.errors import ArgumentError, DeviceMemoryError, DTypeError, ShapeError
from core.options import config
from core.testing.graphs import graphs

N = 1000


@pytest.fixture
def by_python(monkeypatch):
    """Calls that Python was asked to queue, by the time they come."""
    seen, real = [], DeviceProgram.run

    def run(self, arrays, fetched):
        seen.append([np.shape(array) for array in arrays])
        return real(self, arrays, fetched)

    monkeypatch.setattr(DeviceProgram, "run", run)
    return seen


def adding(own, n=N):
    """A step that adds its argument to a shared variable, called until C has it."""
    w, x = shared(np.zeros(n), name="w"), ct.vector("x")
    step = function([x], updates={w: w + x}, backend=own)
    step(np.zeros(n)), step(np.zeros(n))
    return step, w


def test_calls_of_lengths_that_were_met_twice_are_queued_by_c(own, by_python):
    step, w = adding(own)
    by_python.clear()
    for k in range(5):
        step(np.full(N, float(k)))
    assert by_python == []
    assert np.array_equal(w.get_value(), np.full(N, 10.0))
    step(x=np.ones(N))
    assert by_python == [[(N,), (N,)]], "by name is Python's"
    w.set_value(np.zeros(3))
    step(np.ones(3)), step(np.ones(3)), step(np.ones(3))
    assert len(by_python) == 3, "one to place the value, which has no recording yet, one to make it"
    assert np.array_equal(w.get_value(), np.full(3, 3.0))


@pytest.mark.parametrize(
    "how", [lambda y, z: Out(y, borrow=True), list, tuple, dict], ids="one list tuple dict".split()
)
def test_results_that_stay_are_laid_out_as_python_does(own, by_python, how):
    x, w = ct.vector("x"), shared(np.arange(3.0))
    y, z = Out(x + w, borrow=True), Out(x * w, borrow=True)
    outputs = {list: [y, z, y], tuple: (y, z), dict: {"y": y, "z": z}}.get(how, y)
    f = function([x], outputs, updates={w: w + 1}, backend=own)

    def values(found):
        parts = found.values() if isinstance(found, dict) else found if isinstance(found, (list, tuple)) else [found]
        assert all(type(part) is DeviceArray for part in parts)
        return [np.asarray(part).tolist() for part in parts]

    want = []
    for _ in range(2):
        want.append(values(f(np.arange(3.0))))
    by_python.clear()
    w.set_value(np.arange(3.0))
    f(np.arange(3.0))
    by_python.clear()
    again = f(np.arange(3.0))
    assert by_python == [] and type(again) is type(f(np.arange(3.0)))
    assert values(again) == want[1]


def test_an_argument_may_change_as_soon_as_the_call_is_over_however_many_calls_wait(own):
    step, w = adding(own)
    values = np.zeros(N)
    for k in range(700):
        values[:] = k
        step(values)
    values[:] = np.nan
    assert np.array_equal(w.get_value(), np.full(N, 700 * 699 / 2))


def test_arrays_that_somebody_holds_never_change(own):
    x = ct.vector("x")
    f = function([x], Out(x * 2, borrow=True), backend=own)
    held = [f(np.full(N, float(k))) for k in range(20)]
    for _ in range(3):
        f(np.full(N, -1.0))
    assert all(np.array_equal(array, np.full(N, 2.0 * k)) for k, array in enumerate(held))
    seen = [array.numpy() for array in held[:5]]
    del held
    for _ in range(20):
        f(np.full(N, -1.0))
    own.space.device.synchronize()
    assert all(np.array_equal(array, np.full(N, 2.0 * k)) for k, array in enumerate(seen)), (
        "a view of the memory holds it"
    )


def test_results_of_a_call_can_be_arguments_of_the_next(own, by_python):
    x = ct.vector("x")
    f = function([x], Out(x + 1, borrow=True), backend=own)
    y = np.zeros(N)
    for _ in range(3):
        y = f(y)
    by_python.clear()
    for _ in range(50):
        y = f(y)
    assert by_python == [] and np.array_equal(y, np.full(N, 53.0))
    assert np.array_equal(f(f(f(y))), np.full(N, 56.0))


def test_memory_is_used_by_turns_and_goes_with_the_function(own):
    step, w = adding(own)
    for _ in range(10):
        step(np.ones(N))
    own.space.device.synchronize()
    held = own.space.pool.held_bytes
    for _ in range(300):
        step(np.ones(N))
        own.space.device.synchronize()
    assert own.space.pool.held_bytes == held
    step.free()
    w.set_value(np.zeros(N))
    own.space.pool.trim()
    assert own.space.pool.held_bytes == 0
    step(np.ones(N))
    assert np.array_equal(w.get_value(), np.ones(N))
    del step
    w.set_value(np.zeros(N))
    gc.collect()
    own.space.pool.trim()
    assert own.space.pool.held_bytes == 0


@pytest.mark.parametrize(
    "given, error",
    [
        ((), ArgumentError),
        ((np.ones(3), np.ones(3)), ArgumentError),
        ((np.ones((3, 3)),), ShapeError),
        ((np.ones(3, "complex128"),), DTypeError),
        ((np.ones(4),), ShapeError),
    ],
    ids=["none", "too many", "too many axes", "another dtype", "another length"],
)
def test_what_does_not_fit_is_said_by_python(own, given, error):
    step, w = adding(own, 3)
    step(np.ones(3))
    with pytest.raises(error):
        step(*given)
    assert np.array_equal(w.get_value(), np.ones(3))


@pytest.mark.parametrize(
    "given",
    [
        [1, 1, 1],
        np.ones(3, "float32"),
        np.ones(6)[::2],
        np.ones(3, ">f8"),
        np.frombuffer(b"\0" + np.ones(3).tobytes(), "uint8")[1:].view("float64"),
    ],
    ids=["list", "smaller dtype", "strided", "other order of bytes", "unaligned"],
)
def test_arguments_of_other_kinds_are_converted_as_ever(own, given):
    step, w = adding(own, 3)
    for _ in range(3):
        step(given)
    assert np.array_equal(w.get_value(), np.full(3, 3.0))


@pytest.mark.parametrize("shape", [(), (0,), (1,), (0, 3), (2, 3)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "bool", "float16", "complex64"])
def test_all_shapes_and_dtypes_are_what_python_gives(own, shape, dtype):
    x, w = ct.tensor("x", dtype=dtype, shape=(None,) * len(shape)), shared(np.ones(shape, dtype))
    new = w | x if dtype == "bool" else w + x
    step = function([x], Out(new, borrow=True), updates={w: new}, backend=own)
    expected = np.ones(shape, dtype)
    for k in range(5):
        argument = np.full(shape, k, dtype)
        expected = (expected | argument) if dtype == "bool" else expected + argument
        found = step(argument)
        assert np.array_equal(found, expected) and found.dtype == dtype and found.shape == shape
    assert np.array_equal(w.get_value(), expected)


def test_several_shapes_each_have_a_recording(own, by_python):
    x = ct.matrix("x")
    f = function([x], Out(ct.softmax(x, axis=1), borrow=True), backend=own)
    shapes = [(n, m) for n in (1, 2, 5) for m in (1, 3, 40)]
    values = {shape: np.random.default_rng(0).normal(size=shape) for shape in shapes}
    for _ in range(2):
        first = [np.asarray(f(values[shape])) for shape in shapes]
    by_python.clear()
    again = [np.asarray(f(values[shape])) for shape in shapes]
    assert by_python == [] and all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


def test_copies_of_a_function_write_to_variables_of_their_own(own):
    step, w = adding(own)
    v = shared(np.ones(N), name="v")
    other = step.copy(swap={w: v})
    for _ in range(4):
        step(np.ones(N)), other(np.ones(N))
    assert np.array_equal(w.get_value(), np.full(N, 4.0)) and np.array_equal(v.get_value(), np.full(N, 5.0))


def test_threads_that_call_one_function_get_results_of_their_own(own):
    x = ct.vector("x")
    f = function([x], Out(x * 2, borrow=True), backend=own)

    def call(k):
        return np.array_equal(f(np.full(N, float(k))), np.full(N, 2.0 * k))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(call, range(400)))


def test_a_call_waits_for_the_thread_that_uses_the_device(own, by_python):
    step, w = adding(own)
    by_python.clear()
    with ThreadPoolExecutor(1) as pool:
        with own.space.device.lock:
            waiting = pool.submit(step, np.ones(N))
            with pytest.raises(TimeoutError):
                waiting.result(0.05)
        waiting.result()
    assert len(by_python) == 1 and np.array_equal(w.get_value(), np.ones(N))


def test_without_the_module_python_queues_and_numbers_are_the_same(own, by_python, launcher):
    with config.override({launcher: False}):
        step, w = adding(own)
    by_python.clear()
    step(np.ones(N))
    assert len(by_python) == 1 and np.array_equal(w.get_value(), np.ones(N))


@pytest.mark.parametrize("seed", range(6))
def test_any_order_of_calls_keeps_every_value_that_somebody_holds(own, seed):
    """Functions that share variables, arrays that are kept, dropped, looked at and passed on, new values in between."""
    rng = np.random.default_rng(seed)
    v, w, x = shared(np.zeros(7), name="v"), shared(np.ones(7), name="w"), ct.vector("x")
    y = Out(x * 2 + v, borrow=True)
    functions = [
        (function([x], updates={v: w + x, w: v - x}, backend=own), lambda v, w, x: (None, w + x, v - x)),
        (function([x], y, updates={v: v + 1}, backend=own), lambda v, w, x: (x * 2 + v, v + 1, w)),
        (function([x], [y, y], updates={w: v}, backend=own), lambda v, w, x: (x * 2 + v, v, v)),
        (function([], updates={v: w, w: v}, backend=own), lambda v, w, x: (None, w, v)),
        (function([x], x.sum() + v.sum(), backend=own), lambda v, w, x: (x.sum() + v.sum(), v, w)),
    ]
    now, held = [v.get_value(), w.get_value()], []
    for _ in range(300):
        f, expected = functions[rng.integers(len(functions))]
        value = rng.integers(-5, 5, 7).astype("float64")
        passed = value
        if held and rng.random() < 0.3:
            passed, value = held[rng.integers(len(held))]
        result, *now = expected(*now, value)
        found = f() if f is functions[3][0] else f(passed)
        found = found[0] if isinstance(found, list) else found
        if type(found) is DeviceArray and rng.random() < 0.5:
            held.append((found, result))
        elif found is not None and rng.random() < 0.3:
            assert np.array_equal(found, result)
        del found, passed
        if rng.random() < 0.1:
            held.append((v.get_value(return_internal_type=True), now[0]))
            held.append((v.get_value(borrow=True), now[0]))
        if rng.random() < 0.03:
            now[1] = rng.integers(-5, 5, 7).astype("float64")
            w.set_value(now[1])
        if rng.random() < 0.02:
            functions[rng.integers(len(functions))][0].free()
        while len(held) > 8:
            assert np.array_equal(*held.pop(rng.integers(len(held))))
        if np.abs(now).max() > 1e6:  # so that all stay whole numbers
            now = [np.zeros(7), np.ones(7)]
            v.set_value(now[0]), w.set_value(now[1])
    assert all(np.array_equal(array, value) for array, value in held)
    assert np.array_equal(v.get_value(), now[0]) and np.array_equal(w.get_value(), now[1])


def test_random_graphs_whose_results_stay_have_the_bits_of_those_that_are_fetched(own):
    bound = []

    @settings(max_examples=8, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(graph=graphs())
    def check(graph):
        plain = function(graph.inputs, graph.outputs, backend=own, on_unused_input="ignore")
        stays = [Out(output, borrow=True) for output in graph.outputs]
        f = function(graph.inputs, stays, backend=own, on_unused_input="ignore")
        want = plain(*graph.arrays)
        for _ in range(4):
            found = f(*graph.arrays)
            for got, expected in zip(found, want, strict=True):
                assert np.asarray(got).tobytes() == expected.tobytes(), graph
        bound.append(bool(getattr(f._run._main, "recordings", None)))

    check()
    assert sum(bound) >= 2, "the others look at indices, or return an input"


# --- failures ---------------------------------------------------------------------------------------------------------


def test_memory_that_runs_out_names_the_op_and_values_stay(own, monkeypatch):
    x = ct.vector("x")
    w = shared(np.zeros(N), name="w")
    f = function([x], Out(ct.exp(x), borrow=True), updates={w: w + 1}, backend=own)
    held = [f(np.ones(N)) for _ in range(3)]

    def none(size_bytes):
        raise DeviceMemoryError("none left")

    monkeypatch.setattr(own.space.device, "allocate", none)
    with pytest.raises(DeviceMemoryError, match=r"(exp|add) of shape \(1000,\) .*needs 8000 bytes"):
        for _ in range(50):
            held.append(f(np.ones(N)))
    monkeypatch.undo()
    assert np.array_equal(w.get_value(), np.full(N, float(len(held))))
    assert np.array_equal(f(np.zeros(N)), np.ones(N))


def test_a_program_that_is_called_while_memory_is_asked_for_is_right(own, monkeypatch):
    """The pool asks programs to let go of what they keep: also of the recording that is being queued."""
    step, w = adding(own)
    real = own.space.pool._new

    def pressed(size):
        step.free()
        gc.collect()
        return real(size)

    monkeypatch.setattr(own.space.pool, "_new", pressed)
    for _ in range(30):
        held = w.get_value(return_internal_type=True)
        step(np.ones(N))
        assert np.array_equal(held, np.asarray(held))
    assert np.array_equal(w.get_value(), np.full(N, 30.0))


def test_a_call_in_the_course_of_a_call_has_memory_of_its_own(own, monkeypatch):
    """As where the collector of garbage runs code while memory is asked for."""
    step, w = adding(own)
    x = ct.vector("x")
    f = function([x], Out(x * 2, borrow=True), backend=own)
    f(np.ones(N)), f(np.ones(N))
    inner, real = [], own.space.pool.fresh

    def calling(size_bytes, who):
        if len(inner) < 3:
            inner.append(None)
            number = len(inner) - 1
            inner[number] = f(np.full(N, float(number)))
            step(np.ones(N))
        return real(size_bytes, who)

    monkeypatch.setattr(own.space.pool, "fresh", calling)
    outer = [f(np.full(N, 10.0 + k)) for k in range(8)]
    assert len(inner) == 3
    assert all(np.array_equal(found, np.full(N, 2.0 * k)) for k, found in enumerate(inner))
    assert all(np.array_equal(found, np.full(N, 20.0 + 2 * k)) for k, found in enumerate(outer))
    assert np.array_equal(w.get_value(), np.full(N, 3.0))


def test_nothing_is_kept_of_what_a_call_was_given(own):
    step, _ = adding(own)
    argument = np.ones(N)
    step(argument)
    before = sys.getrefcount(argument)
    for _ in range(20):
        step(argument)
    assert sys.getrefcount(argument) == before
