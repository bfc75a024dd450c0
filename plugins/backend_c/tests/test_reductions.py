"""Reductions of long arrays: every length around blocks and registers, what sums lose, NaN and infinities."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

import core
import core.tensor as ct
from core.ir.cpu.wide import BLOCK, SEARCHED, SHORT
from core.testing import random

a, f32, x = ct.vector("a"), ct.fvector("f32"), ct.matrix("x")
LENGTHS = [0, 1, SEARCHED, SHORT + 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + SHORT + 7]
SPECIAL = [np.nan, np.inf, -np.inf, -0.0]


@pytest.fixture(scope="module")
def compiled():
    """``core.function`` for backend "c", each graph once for all cases of a test."""
    made = {}

    def compile(key, inputs, outputs):
        if key not in made:
            made[key] = core.function(inputs, outputs, backend="c")
        return made[key]

    return compile


@pytest.mark.parametrize("n", LENGTHS)
def test_reductions_of_every_length_are_those_of_numpy(compiled, n):
    f = compiled("all", [a], [a.sum(), a.prod(), (a > 3).any(), (a > -3).all(), (a * a).sum()])
    values = 1 + 0.01 * random((n,), seed=n)
    expected = [values.sum(), values.prod(), (values > 3).any(), (values > -3).all(), (values * values).sum()]
    for got, wanted in zip(f(values), expected, strict=True):
        assert_allclose(got, wanted, rtol=1e-12)


@pytest.mark.parametrize("n", LENGTHS[1:])
@pytest.mark.parametrize("special", SPECIAL)
def test_extremes_of_every_length_keep_nan_wherever_it_stands(compiled, n, special):
    f = compiled("extremes", [a], [a.max(), a.min(), a.argmax(), a.argmin(), a.sum()])
    for at in {0, n // 2, n - 1}:
        values = random((n,), seed=n)
        values[at] = special
        expected = [values.max(), values.min(), values.argmax(), values.argmin(), values.sum()]
        for got, wanted in zip(f(values), expected, strict=True):
            assert_allclose(got, wanted, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("at", [0, 1, BLOCK - 1, BLOCK, 3 * BLOCK + 5])
def test_one_element_decides_any_and_all_wherever_it_stands(compiled, at):
    f = compiled("decided", [a], [(a > 0).any(), (a <= 0).all()])
    values = np.zeros(3 * BLOCK + 6)
    assert [bool(got) for got in f(values)] == [False, True]
    values[at] = 1
    assert [bool(got) for got in f(values)] == [True, False]


def test_infinities_of_both_signs_and_overflow_give_what_addition_gives(compiled):
    f = compiled("sum", [a], a.sum())
    values = np.zeros(3 * BLOCK)
    values[0], values[-1] = np.inf, -np.inf
    assert np.isnan(f(values))
    assert f(np.full(3 * BLOCK, 1e308)) == np.inf


@pytest.mark.parametrize("dtype, vector", [("float64", a), ("float32", f32)])
def test_a_sum_loses_no_more_than_what_one_register_of_a_block_can(compiled, dtype, vector):
    f = compiled(f"sum of {dtype}", [vector], vector.sum())
    terms = BLOCK // (32 if dtype == "float64" else 64)  # that each register takes in
    for values in (np.full(100 * BLOCK + 3, 0.1), 1 + random((100 * BLOCK + 3,))):
        values = values.astype(dtype)
        exact = math.fsum(values)
        assert abs(float(f(values)) - exact) <= terms / 2 * np.finfo(dtype).eps * exact


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("shape", [(3, 2 * BLOCK + 5), (2 * BLOCK + 5, 3), (700, 600)])
def test_sums_and_softmax_along_either_axis(compiled, shape, axis):
    f = compiled(f"axis {axis}", [x], [x.sum(axis=axis), ct.softmax(x, axis=axis)])
    values = random(shape)
    total, soft = f(values)
    exps = np.exp(values - values.max(axis=axis, keepdims=True))
    assert_allclose(total, values.sum(axis), rtol=1e-10, atol=1e-10)
    assert_allclose(soft, exps / exps.sum(axis=axis, keepdims=True), rtol=1e-11)
