"""Updates in place: a shared value that nobody else holds is written over, and nobody ever sees it half done."""

import gc
import os
import pickle
import sys
import threading
import time
import weakref

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import core
import core.tensor as ct
from core.cells import Taken, value_in
from core.errors import BackendError, IndexOutOfBounds, ShapeError
from core.options import config

x, v, i = ct.dmatrix("x"), ct.dvector("v"), ct.lvector("i")
M = np.arange(12.0).reshape(3, 4) / 7


@pytest.fixture
def w():
    return core.shared(M + 1, name="w")


def where(state):
    return state.get_value(borrow=True).__array_interface__["data"][0]


def made(inputs, outputs, updates, launcher=True):
    with config.override({"c.launcher": launcher}):
        return core.function(inputs, outputs, updates=updates, backend="c")


UPDATES = {
    "elementwise": (lambda w: w - 0.1 * ct.exp(x), lambda w: w - 0.1 * np.exp(M)),
    "product": (lambda w: w - 0.5 * (x @ (x.T @ x)), lambda w: w - 0.5 * (M @ (M.T @ M))),
    "fill": (lambda w: ct.zeros_like(w) + x.sum(), lambda w: w * 0 + M.sum()),
    "column sums": (lambda w: w - x.sum(axis=0), lambda w: w - M.sum(axis=0)),
}


@pytest.mark.parametrize("name", UPDATES)
def test_a_value_that_nobody_else_holds_is_written_over(w, name):
    update, expected = UPDATES[name]
    f, place, want = made([x], w.sum(), {w: update(w)}), where(w), M + 1
    for _ in range(3):
        assert_allclose(f(M), want.sum())
        want = expected(want)
        assert_allclose(w.get_value(), want)
    assert where(w) == place


def test_without_the_launcher_the_same_comes_out(w):
    f = made([x], w.sum(), {w: w - x}, launcher=False)
    for times in range(3):
        assert_allclose(f(M), (M + 1 - times * M).sum())
    assert_allclose(w.get_value(), M + 1 - 3 * M)


HOLDERS = {
    "the array": lambda value: value,
    "a view": lambda value: value[1:],
    "a memoryview": memoryview,
    "a weak reference": weakref.ref,
}


@pytest.mark.parametrize("name", HOLDERS)
def test_a_value_that_somebody_holds_is_kept(w, name):
    f = made([x], [], {w: w - x})
    held = HOLDERS[name](w.get_value(borrow=True))
    before = w.get_value()
    f(M)
    found = held() if isinstance(held, weakref.ref) else held
    if found is not None:
        assert_array_equal(np.asarray(found), before[1:] if name == "a view" else before)
    assert_allclose(w.get_value(), before - M)


def test_an_argument_that_is_the_shared_value_itself_is_kept(w):
    f = made([x], [], {w: w - 0.5 * x})
    value = w.get_value(borrow=True)
    f(value)
    assert_array_equal(value, M + 1)
    assert_allclose(w.get_value(), (M + 1) / 2)


def test_a_read_only_value_and_one_that_is_not_its_own_memory_are_kept(w):
    f, other = made([x], [], {w: w - x}), np.array(M)
    other.flags.writeable = False
    w.set_value(other, borrow=True)
    del other
    whole = np.array([M, M])
    for value in (None, whole[0]):
        if value is not None:
            w.set_value(value, borrow=True)
        f(M)
        assert_allclose(w.get_value(), M - M)
    assert_array_equal(whole, [M, M])


def test_two_variables_with_one_array_are_told_apart():
    a, b, array = core.shared(0.0 * M), core.shared(0.0 * M), M.copy()
    a.set_value(array, borrow=True)
    b.set_value(array, borrow=True)
    del array
    f = made([], [], {a: a + 1, b: b * 2})
    f()
    assert_allclose(a.get_value(), M + 1)
    assert_allclose(b.get_value(), M * 2)


def test_a_function_of_other_variables_writes_over_those(w):
    f, other = made([x], [], {w: w - x}), core.shared(10 * M)
    g, place = f.copy(swap={w: other}), where(other)
    g(M)
    assert_allclose(other.get_value(), 9 * M)
    assert_array_equal(w.get_value(), M + 1)
    assert where(other) == place


@pytest.mark.parametrize("dtype", ["complex128", "complex64", "float16"])
def test_values_that_are_computed_in_another_dtype_are_written_over_too(dtype):
    w, v = core.shared(M.astype(dtype), name="w"), ct.tensor("v", dtype=dtype, shape=(None, None))
    f, place = made([v], [], {w: w * w - v}), where(w)
    a, expected = M.astype(dtype), M.astype(dtype)
    for _ in range(2):
        f(a)
        expected = expected * expected - a
        assert_allclose(w.get_value(), expected, rtol=1e-6)
    assert where(w) == place


@pytest.mark.parametrize(
    "bad, error", [((M[:2], [0]), ShapeError), ((M, [3]), IndexOutOfBounds), ((M, [-4]), IndexOutOfBounds)]
)
def test_a_call_that_fails_leaves_every_value_as_it_was(w, bad, error):
    b = core.shared(np.zeros(4))
    f = made([x, i], x[i].sum(), {w: w - x, b: b + w[0]})
    with pytest.raises(error):
        f(bad[0], np.array(bad[1]))
    assert_array_equal(w.get_value(), M + 1)
    assert_array_equal(b.get_value(), np.zeros(4))
    f(M, np.array([2]))
    assert_allclose(w.get_value(), 1 + 0 * M)


# --- long work, while which others run --------------------------------------------------------------------------------

N = 700


@pytest.fixture
def long():
    """A shared matrix of one number, and a function that adds 1 to it, slowly."""
    state = core.shared(np.zeros((N, N)), name="state")
    return state, made([], [], {state: state + 1 + 0 * ct.sin(ct.sin(ct.sin(ct.cos(state))))})


def test_long_work_is_in_place_too(long):
    state, f = long
    place = where(state)
    for _ in range(3):
        f()
    assert where(state) == place
    assert_array_equal(state.get_value(), np.full((N, N), 3.0))


def test_nobody_sees_a_value_half_done(long):
    state, f = long
    reads = core.function([], [state.min(), state.max(), state[0, 0]], backend="c")
    done, seen, failures = threading.Event(), [], []

    def read():
        while not done.is_set():
            try:
                value = state.get_value()
                seen.append((value.min(), value.max()))
                seen.append(tuple(map(float, reads()[:2])))
                seen.append((pickle.loads(pickle.dumps(state)).get_value()[0, 0],) * 2)
            except BaseException as error:
                failures.append(error)
                return

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(30):
        f()
        time.sleep(0.001)
    done.set()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(seen) > 3 and all(low == high for low, high in seen)
    assert_array_equal(state.get_value(), np.full((N, N), 30.0))


def test_calls_of_many_threads_at_once_leave_whole_values(long):
    state, f = long
    threads = [threading.Thread(target=lambda: [f() for _ in range(10)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    value = state.get_value()
    assert 1 <= value[0, 0] <= 40
    assert_array_equal(value, np.full((N, N), value[0, 0]))


def test_a_value_that_is_set_while_a_call_is_at_work_is_replaced_when_it_is_done(long):
    state, f = long
    thread = threading.Thread(target=lambda: [f() for _ in range(20)])
    thread.start()
    for _ in range(20):
        state.set_value(np.full((N, N), 100.0))
        time.sleep(0.001)
    thread.join()
    value = state.get_value()
    assert_array_equal(value, np.full((N, N), value[0, 0]))


def test_an_interruption_while_threads_are_counted_leaves_the_value(long, monkeypatch):
    from core.threads import DEPENDS_ON
    from plugin_backend_c import compiler, launcher

    state, f = long
    extension = launcher.module(compiler.find()[0])

    def interrupted():
        raise KeyboardInterrupt

    extension.ask_for_threads(interrupted, *DEPENDS_ON)
    try:
        with pytest.raises(KeyboardInterrupt):
            f()
    finally:
        extension.ask_for_threads(core.get_num_threads, *DEPENDS_ON)
    assert_array_equal(state.get_value(), np.zeros((N, N)))
    f()
    assert_array_equal(state.get_value(), np.ones((N, N)))


def test_many_updates_leave_nothing_behind(w):
    f, g, own = made([x], w.sum(), {w: w - x}), made([], [], {w: w * 1.0}), M.copy()
    for _ in range(10):
        f(own), g()
    gc.collect()
    value = w.get_value(borrow=True)
    before = sys.getrefcount(value), sys.getrefcount(own)
    del value
    for _ in range(200):
        f(own), g()
    gc.collect()
    value = w.get_value(borrow=True)
    assert (sys.getrefcount(value), sys.getrefcount(own)) == before


# --- cells ------------------------------------------------------------------------------------------------------------


def test_who_wants_a_value_that_is_taken_waits():
    cell = [Taken()]
    timer = threading.Timer(0.05, lambda: cell.__setitem__(0, 5))
    timer.start()
    assert value_in(cell) == 5
    timer.join()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_value_that_was_at_work_when_the_process_was_forked_is_said_to_be_lost():
    cell = [Taken()]
    child = os.fork()
    if not child:
        try:
            value_in(cell)
        except BackendError as error:
            os._exit(7 if "forked" in str(error) else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
