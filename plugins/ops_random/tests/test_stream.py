"""Streams: other numbers in each call, the same for the same seed, also across functions and backends."""

import inspect
import pickle

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import core
import plugin_ops_random as random
from core.errors import ArgumentError
from core.testing import available_backends
from plugin_ops_random import distributions


def test_each_call_draws_anew_and_each_draw_is_its_own():
    stream = random.RandomStream(3)
    f = core.function([], [stream.normal(size=4), stream.normal(size=4)])
    first, second = f(), f()
    drawn = np.concatenate([*first, *second])
    assert len(set(drawn)) == 16


@pytest.mark.parametrize("backend", available_backends())
def test_the_seed_decides_on_every_backend(backend):
    def numbers(backend):
        stream = random.RandomStream(5)
        f = core.function([], stream.random(6), backend=backend)
        return np.stack([f() for _ in range(3)])

    assert_array_equal(numbers(backend), numbers("interpreter"))


def test_seeding_again_starts_again():
    stream = random.RandomStream(5)
    f = core.function([], [stream.random(3), stream.integers(100, size=3)])
    before = [f() for _ in range(2)]
    stream.seed(5)
    assert_array_equal(np.array([f() for _ in range(2)]), np.array(before))
    stream.seed(6)
    assert not np.array_equal(f()[0], before[0][0])


def test_without_updates_a_function_repeats_itself():
    stream = random.RandomStream(5)
    x = stream.random(3)
    f = core.function([], x, no_default_updates=True)
    assert_array_equal(f(), f())
    g = core.function([], x, updates=stream.updates(), no_default_updates=True)
    assert not np.array_equal(g(), g())


def test_functions_that_use_one_draw_share_its_key():
    stream = random.RandomStream(5)
    x = stream.random(3)
    f, g = core.function([], x), core.function([], x)
    first = f()
    assert not np.array_equal(first, g())
    stream.seed(5)
    assert_array_equal(g(), first)


def test_a_stream_without_a_seed_has_one_of_its_own():
    one, other = random.RandomStream(), random.RandomStream()
    assert one.initial_seed != other.initial_seed
    same = random.RandomStream(one.initial_seed)
    assert_array_equal(one.random(3).eval(), same.random(3).eval())


def test_a_function_with_draws_can_be_pickled():
    stream = random.RandomStream(5)
    f = core.function([], stream.normal(size=3))
    again = pickle.loads(pickle.dumps(f))
    assert_array_equal(f(), again())


def test_every_distribution_is_a_method_with_the_same_arguments():
    for name in distributions.__all__:
        method, function = getattr(random.RandomStream, name), getattr(distributions, name)
        assert list(inspect.signature(method).parameters)[1:] == list(inspect.signature(function).parameters)[1:]
        assert inspect.getdoc(method) == inspect.getdoc(function)


@pytest.mark.parametrize("seed", [1.5, "a", True])
def test_a_seed_is_an_int(seed):
    with pytest.raises(ArgumentError, match="an int as seed"):
        random.RandomStream(seed)
