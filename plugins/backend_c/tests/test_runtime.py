"""Calls without the launcher: what becomes of their results' memory, and of the library that keeps it."""

import gc
import threading

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import core
import core.tensor as ct
from core.options import config
from plugin_backend_c import runtime
from plugin_backend_c.compiler import Compiler, find

v, m = ct.dvector("v"), ct.dmatrix("m")
LARGE = np.arange(100_000.0)


@pytest.fixture(autouse=True)
def no_launcher():
    with config.override({"c.launcher": False}):
        yield


def made(*graph):
    return core.function(*graph, backend="c")


def address(array):
    return array.__array_interface__["data"][0]


def test_the_memory_of_a_large_result_is_used_again():
    f = made([v], v + 1)
    f(LARGE)  # with it the library is found
    one = f(LARGE)
    place = address(one)
    del one
    again = f(LARGE)
    assert address(again) == place
    assert_array_equal(again, LARGE + 1)


def test_a_result_that_lives_is_left_alone():
    f = made([v], [v + 1, v * 2])
    kept = [one for k in range(5) for one in f(LARGE + k)]
    assert len({address(one) for one in kept}) == 10
    views = [one[10:20] for one in kept]
    del kept
    gc.collect()
    more = [f(LARGE) for _ in range(5)]
    for k in range(5):
        assert_array_equal(views[2 * k], LARGE[10:20] + k + 1)
        assert_array_equal(views[2 * k + 1], (LARGE[10:20] + k) * 2)
    del more


@pytest.mark.parametrize("shape", [(0, 1 << 20), (1 << 20, 0), (1, 1), (1, 1 << 13), (1 << 13, 1)])
def test_any_shape_comes_and_goes(shape):
    f = made([m], [m + 1, ct.exp(m).sum(axis=0)])
    for _ in range(4):
        results = f(np.zeros(shape))
        assert_array_equal(results[0], np.ones(shape))
        assert_array_equal(results[1], np.full(shape[1], float(shape[0])))


def test_small_results_need_no_library(monkeypatch):
    monkeypatch.setattr(runtime, "address", lambda *_: pytest.fail("nobody asked for it"))
    f = made([v], v + 1)
    assert_array_equal(f(np.zeros(1000)), np.ones(1000))


def test_where_the_library_cannot_be_built_memory_is_new_each_time(monkeypatch):
    monkeypatch.setattr(runtime, "library", lambda compiler: None)
    f = made([v], v + 1)
    for _ in range(3):
        assert_array_equal(f(LARGE), LARGE + 1)
    f.free()


def test_a_compiler_that_refuses_its_text_leaves_it_out(fake, cache):
    found, _ = find()
    refuses = fake("refuses", 'for word; do case "$word" in *.c) echo "$word:1:1: error: no" >&2; exit 1; esac; done')
    assert runtime.library.__wrapped__(Compiler((refuses,), "refuses 1", found.flags, found.linker)) is None


def test_threads_that_call_at_once_share_no_memory():
    f, wrong = made([v], v + 1), []

    def call(k):
        for _ in range(50):
            result = f(LARGE + k)
            if not np.array_equal(result, LARGE + k + 1):
                wrong.append(k)

    f(LARGE)
    callers = [threading.Thread(target=call, args=(k,)) for k in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert wrong == []
