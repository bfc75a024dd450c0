"""Sums that need another launch elsewhere: on CUDA the last block to be done takes the parts together."""

import re

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import core
import core.tensor as ct
from core.device.opened import Opened
from core.device.space import Space


@pytest.fixture
def own(device, cache_folder):
    return Opened("cuda", Space(device))


def launched(driver, act):
    before = len(driver.calls)
    act()
    return driver.names()[before:].count("launch")


@pytest.mark.parametrize("rows, columns", [(5000, 3), (4097, 33), (700, 64), (3000, 1)])
def test_sums_over_the_first_axis_are_one_launch(own, driver, rows, columns):
    x = ct.tensor("x", dtype="float32", shape=(rows, columns))
    f = core.function([x], x.sum(axis=0), backend=own)
    a = np.random.default_rng(0).standard_normal((rows, columns)).astype("float32")
    assert launched(driver, lambda: f(a)) == 1
    assert_allclose(f(a), a.sum(axis=0, dtype="float64"), rtol=1e-5, atol=1e-4)


def test_a_sum_of_everything_is_one_launch_whose_lengths_may_change(own, driver):
    x = ct.tensor("x", dtype="float64", shape=(None, None))
    f = core.function([x], [x.sum(), x.max()], backend=own)
    for shape in [(100, 1000), (3, 4), (0, 4), (100, 1001)]:
        a = np.random.default_rng(1).standard_normal(shape)
        if a.size:
            total, largest = f(a)
            assert_allclose(total, a.sum(), rtol=1e-10)
            assert largest == a.max()
    big = np.ones((100, 1000))
    assert launched(driver, lambda: f(big)) == 1


def test_blocks_find_their_counters_at_zero_in_every_call_and_every_replay(own, driver):
    """The stand-in runs blocks forwards and backwards by turns, so that another one is the last each time."""
    x = ct.tensor("x", dtype="float32", shape=(6000, 40))
    f = core.function([x], [x.sum(axis=0), (x * x).sum()], backend=own)
    a = np.random.default_rng(2).standard_normal((6000, 40)).astype("float32")
    first = f(a)
    for _ in range(5):
        for got, want in zip(f(a), first, strict=True):
            assert_array_equal(got, want)
    assert "replay" in driver.names()


def test_what_blocks_leave_to_each_other_may_change_under_the_reader(own):
    x = ct.tensor("x", dtype="float32", shape=(5000, 3))
    (text,) = core.function([x], x.sum(axis=0), backend=own).sources.values()
    (head,) = re.findall(r"__global__[^{]*", text)
    assert re.search(r"double \*parts_of_sum\b", head) and re.search(r"uint32_t \*done_of_sum\b", head)
    assert "float *__restrict__ sum" in head and "const float *__restrict__ x" in head
    assert "core_is_last(&done_of_sum[" in text and text.count("__threadfence();") == 2
