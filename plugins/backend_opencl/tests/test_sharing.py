"""Memory that host and device share: arrays are used where they lie, and nobody's elements change."""

import gc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import core
import core.tensor as ct

LARGE = 100_000


@pytest.fixture(autouse=True)
def sharing(space):
    if not space.facts.shares_memory:
        pytest.skip(f"{space.name} has memory of its own")


def address(array):
    return array.__array_interface__["data"][0]


def test_a_large_result_lies_in_memory_that_comes_back_when_the_array_is_gone(space):
    space.pool.empty()  # a full one would let go of it
    x = ct.vector("x")
    f = core.function([x], x * 2, backend="opencl")
    values = np.arange(float(LARGE))
    first = f(values)
    second = f(values + 1)
    assert address(first) != address(second)
    assert np.array_equal(first, values * 2) and np.array_equal(second, values * 2 + 2)
    part = first[10:]  # a view keeps it too
    place = address(first)
    del first
    gc.collect()
    third = f(values)
    assert address(third) != place and part[0] == 20.0
    del part, third
    gc.collect()
    assert place in map(address, [f(values) for _ in range(20)])


def test_results_belong_to_who_called():
    x = ct.vector("x")
    f = core.function([x], [x + 1, x - 1], backend="opencl")
    values = np.zeros(LARGE)
    one, two = f(values)
    one[:] = 7
    again, _ = f(values)
    assert np.all(again == 1) and np.all(two == -1) and np.all(one == 7) and np.all(values == 0)


def test_one_value_that_is_returned_twice_is_two_arrays():
    x = ct.vector("x")
    y = x + 1
    one, two = core.function([x], [y, y], backend="opencl")(np.zeros(LARGE))
    one[:] = 5
    assert np.all(two == 1)


def test_arguments_that_cannot_be_written_or_are_strided_are_read():
    x = ct.matrix("x")
    f = core.function([x], x.sum(axis=0), backend="opencl")
    values = np.random.default_rng(0).normal(size=(400, 300))
    locked = values.copy()
    locked.flags.writeable = False
    for given in (values, locked, np.asfortranarray(values), values[::-1], values):
        np.testing.assert_allclose(f(given), given.sum(axis=0), rtol=1e-12)


def test_an_argument_is_not_kept():
    x = ct.vector("x")
    f = core.function([x], x.sum(), backend="opencl")
    values = np.ones(LARGE)
    f(values), f(values)
    before = values.copy()
    values[:] = 3
    assert f(values) == 3 * LARGE and f(before) == LARGE


def test_threads_that_call_the_same_function_get_results_of_their_own():
    x = ct.vector("x")
    f = core.function([x], [x * 2, x.sum()], backend="opencl")

    def call(k):
        doubled, total = f(np.full(50 if k % 2 else LARGE, float(k)))
        return np.all(doubled == 2 * k) and total == k * doubled.size

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(call, range(200)))


def test_a_shared_variable_is_seen_where_it_lies_and_keeps_its_value():
    w, x = core.shared(np.zeros(LARGE), name="w"), ct.scalar("x")
    step = core.function([x], updates={w: w + x}, backend="opencl")
    step(1.0)
    seen = w.get_value(borrow=True)
    step(1.0)
    assert np.all(seen == 1) and np.all(w.get_value() == 2)
