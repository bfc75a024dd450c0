"""Conversions of float16 in C: all numbers that there are, and what lies between them."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import core
import core.tensor as ct
from core.ir.program import HostStep

ALL = np.arange(65536, dtype="uint16").view("float16")


def converted(x, dtype):
    v = ct.tensor("v", dtype=x.dtype.name, shape=(None,))
    f = core.function([v], v.astype(dtype), backend="c")
    assert not any(isinstance(step, HostStep) for step in f.program.steps)
    return f(x)


def same_bits(got, expected):
    numbers = ~np.isnan(expected)
    assert_array_equal(np.isnan(got), ~numbers)
    assert_array_equal(got[numbers].view("uint16"), expected[numbers].view("uint16"))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_number_is_widened_as_numpy_does(dtype):
    expected = ALL.astype(dtype)
    got = converted(ALL, dtype)
    assert_array_equal(got, expected)
    assert_array_equal(np.signbit(got[~np.isnan(got)]), np.signbit(expected[~np.isnan(expected)]))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_ties_and_their_neighbours_are_rounded_once(dtype):
    finite = ALL[np.isfinite(ALL)].astype(dtype)
    ties = 0.5 * (finite[:-1] + finite[1:])
    with np.errstate(all="ignore"):
        near = [np.nextafter(ties, np.asarray(end, dtype)) for end in (-np.inf, np.inf)]
        special = np.array([0, -0.0, 65519.99, 65520, -65520, 1e30, -1e-30, np.inf, -np.inf, np.nan], dtype)
        x = np.concatenate([finite, ties, *near, special])
        same_bits(converted(x, "float16"), x.astype("float16"))


def test_a_sum_of_float16_in_c_is_numpys_bit_by_bit():
    x, y = ct.tensor("x", dtype="float16", shape=(None,)), ct.tensor("y", dtype="float16", shape=(None,))
    a = np.random.default_rng(0).choice(ALL[np.isfinite(ALL)], 5000)
    b = np.roll(a, 1)
    with np.errstate(all="ignore"):
        same_bits(core.function([x, y], x * y + x, backend="c")(a, b), a * b + a)
