"""The launcher, shared variables, threads and memory: nothing is lost, nothing is left behind."""

import gc
import sys
import threading
import time
import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import core
import core.tensor as ct
from core.compile.calling import Caller
from core.errors import ArgumentError, DTypeError, ShapeError
from core.threads import DEPENDS_ON
from plugin_backend_c import compiler, launcher

x, v, w, n = ct.dmatrix("x"), ct.dvector("v"), ct.dvector("w"), ct.lscalar("n")
V, W = np.random.default_rng(0).normal(size=(2, 7))


def launched(*args, **named):
    """A function with the launcher."""
    f = core.function(*args, backend="c", on_unused_input="ignore", **named)
    assert type(f.__call__).__name__ == "Call"
    return f


# --- shared variables -------------------------------------------------------------------------------------------------


def test_shared_variables_are_read_and_updated(slow):
    state, step = core.shared(np.zeros(7), name="state"), core.shared(0, name="step")
    f = launched([v], [state.sum(), step * 1], updates={state: state + v, step: step + 1})
    for k in range(4):
        total, count = f(np.ones(7))
        assert (total, count) == (7 * k, k)
    assert state.get_value().tolist() == [4.0] * 7 and step.get_value() == 4
    state.set_value(np.full(7, 10.0))
    assert f(np.ones(7))[0] == 70
    assert not slow


def test_updates_read_the_old_values_of_all_variables():
    a, b = core.shared(np.array([1.0, 2.0])), core.shared(np.array([3.0, 4.0]))
    f = launched([], None, updates={a: b, b: a + b})
    assert f() is None
    assert a.get_value().tolist() == [3, 4] and b.get_value().tolist() == [4, 6]
    assert not np.shares_memory(a.get_value(borrow=True), b.get_value(borrow=True))


def test_a_value_that_was_taken_out_is_not_overwritten():
    state = core.shared(np.zeros(7))
    f = launched([], state, updates={state: state + 1})
    values = [state.get_value(borrow=True)]
    for _ in range(5):
        f()
        values.append(state.get_value(borrow=True))
    assert [one[0] for one in values] == [0, 1, 2, 3, 4, 5]


def test_a_strided_value_of_a_shared_variable_is_taken():
    state = core.shared(np.zeros((3, 2)))
    f = launched([], state + 1)
    state.set_value(np.arange(6.0).reshape(2, 3).T, borrow=True)
    assert f().tolist() == [[1, 4], [2, 5], [3, 6]]


@pytest.mark.parametrize("bad", [np.ones(3), "text", np.ones((7, 1))])
def test_a_call_that_fails_keeps_every_shared_value(bad):
    state, count = core.shared(np.zeros(7)), core.shared(0)
    f = launched([v], state * v, updates={state: state + v, count: count + 1})
    f(np.ones(7))
    with pytest.raises((ShapeError, DTypeError)):
        f(bad)
    assert state.get_value().tolist() == [1.0] * 7 and count.get_value() == 1


def test_a_new_value_of_the_wrong_static_shape_is_refused():
    state = core.shared(np.zeros(3), name="state", shape=(3,))
    f = core.function([v], updates={state: v}, backend="c")
    f(np.ones(3))
    with pytest.raises(ShapeError, match=r"computed shape \(4,\) for shared variable state"):
        f(np.ones(4))
    assert state.get_value().tolist() == [1, 1, 1]


def test_copies_have_shared_variables_of_their_own():
    a, b = core.shared(np.zeros(2)), core.shared(np.zeros(2))
    f = launched([], a * 1, updates={a: a + 1})
    g = f.copy(swap={a: b})
    assert type(g.__call__).__name__ == "Call"
    for _ in range(3):
        g()
    f()
    assert a.get_value().tolist() == [1, 1] and b.get_value().tolist() == [3, 3]


# --- threads ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [7, 40_000], ids=["small", "large enough to let others run"])
def test_threads_may_call_one_function_at_once(size):
    f = launched([v, w], [ct.sin(v) * w, v.sum()])
    wrong = []

    def work(seed):
        own = np.random.default_rng(seed)
        for _ in range(60 if size > 100 else 2000):
            a, c = own.normal(size=size), own.normal(size=size)
            product, total = f(a, c)
            if not np.allclose(product, np.sin(a) * c) or not np.isclose(total, a.sum()):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def others_run_during(call):
    """Whether another thread gets on while ``call`` runs."""
    ticks, done = [0], threading.Event()

    def count():
        while not done.is_set():
            ticks[0] += 1
            time.sleep(0)  # gives way

    other = threading.Thread(target=count)
    interval = sys.getswitchinterval()
    try:
        sys.setswitchinterval(1000)  # a thread gives way only where it must
        other.start()
        while not ticks[0]:
            done.wait(0.001)
        before = ticks[0]
        call()
        return ticks[0] > before
    finally:
        done.set()
        sys.setswitchinterval(interval)
        other.join()


@pytest.mark.parametrize(
    "inputs, output, arrays",
    [
        ([v], ct.exp(ct.exp(v)).sum(), [np.zeros(2_000_000)]),
        ([n], ct.exp(ct.arange(n) * 1e-9), [np.array(2_000_000)]),
        ([n], ct.cumsum(ct.exp(ct.arange(n) * 1e-9))[-1], [np.array(2_000_000)]),
        ([v, w], ct.exp(v[:, None] * w[None, :]).sum(), [np.zeros(2_000), np.zeros(2_000)]),
        ([x], x @ x, [np.zeros((400, 400))]),
    ],
    ids=["large input", "large output", "large temporary", "deep loops", "product"],
)
def test_other_threads_run_during_long_calls(inputs, output, arrays):
    f = launched(inputs, output)
    assert any(others_run_during(lambda: f(*arrays)) for _ in range(50))  # a busy machine may not run them at once


def test_short_calls_do_not_make_others_run():  # it takes longer than the call
    f = launched([v, w], [v + w, v.sum()])
    gc.collect()
    gc.disable()  # what is collected may make others run
    try:
        assert not others_run_during(lambda: [f(V, W) for _ in range(100)])
    finally:
        gc.enable()


# --- memory -----------------------------------------------------------------------------------------------------------


def test_threads_are_counted_again_where_an_option_or_the_environment_has_changed(monkeypatch):
    extension, asked = launcher.module(compiler.find()[0]), []
    f, value = launched([x], ct.exp(x)), np.ones((400, 400))

    def count():
        asked.append(core.get_num_threads())
        return asked[-1]

    extension.ask_for_threads(count, *DEPENDS_ON)
    try:
        f(value), f(value)
        before = len(asked)
        with core.num_threads(3):
            f(value), f(value)
        monkeypatch.setenv("CORE_NUM_THREADS", "2")
        f(value), f(value)
        monkeypatch.setenv("CORE_NUM_THREADS", "0" * 60 + "1")  # too long to be remembered
        f(value), f(value)
    finally:
        extension.ask_for_threads(core.get_num_threads, *DEPENDS_ON)
    assert before == 1
    assert asked[before:] == [3, 2, 1, 1]


def test_many_calls_leave_nothing_behind():
    state = core.shared(np.zeros(7))
    f = launched([v, w], {"a": v + w, "b": v, "c": v.sum()}, updates={state: state + v})
    strided = np.zeros(14)[::2]
    objects = (V, W, V.dtype, f, f.__call__, state.cell, None)

    def calls(count):
        for _ in range(count):
            f(V, W)
        for _ in range(count // 100):
            f(strided, W)
            for bad in ((V,), (V, W[:3]), (V, "no")):
                with pytest.raises((ArgumentError, ShapeError, DTypeError)):
                    f(*bad)

    calls(1000)
    gc.collect()
    before = [sys.getrefcount(one) for one in objects[:-1]]
    tracemalloc.start()
    try:
        calls(1000)
        gc.collect()
        traced = tracemalloc.get_traced_memory()[0]
        calls(2000)
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - traced
    finally:
        tracemalloc.stop()
    calls(100_000)
    gc.collect()
    after = [sys.getrefcount(one) for one in objects[:-1]]
    assert max(now - then for now, then in zip(after, before, strict=True)) < 1000  # a lost one at each call: 100,000
    assert grown < 20_000


@pytest.fixture
def uncollected():
    """Python's collector runs before, and not meanwhile: the blocks that it frees would be used first."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("size", [10, 5_000, 3_000_000])
def test_memory_of_results_is_used_again(size, uncollected):
    f = launched([v], v + 1)
    a, places = np.zeros(size), set()
    for _ in range(100):
        r = f(a)
        places.add(r.ctypes.data)
    assert len(places) <= 3  # one is in use while the next is made
    del r
    f.free()


def test_blocks_of_results_come_on_a_boundary_that_vectors_like():
    f = launched([v], [v + 1, v * 2])
    for size in (1, 7, 8, 100, 300, 5_000):
        kept = [one for _ in range(20) for one in f(np.zeros(size))]
        assert all(one.ctypes.data % 64 == 0 for one in kept)
        assert len({one.ctypes.data for one in kept}) == 40


def test_a_function_goes_when_nobody_holds_it():
    state = core.shared(np.zeros(7))
    call = launched([v], v + state, updates={state: state + v}).__call__
    (slow_path,) = [one for one in gc.get_referents(call) if type(one) is Caller]
    before = sys.getrefcount(slow_path)
    assert_array_equal(call(V), V)
    del call
    assert sys.getrefcount(slow_path) == before - 1
