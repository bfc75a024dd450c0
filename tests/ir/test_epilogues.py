"""Epilogues: costly functions of what rows were reduced to are computed for a tile of rows at once."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import core.tensor as ct
from core.ir.codes import Code
from core.ir.cpu.epilogues import FEW, LONG, TILE
from core.ir.nodes import expressions
from core.ir.walk import walk
from core.testing import random

x, y = ct.matrix("x"), ct.matrix("y")
a = ct.vector("a")


def is_tiled(loops, kernel):
    return loops(kernel)[0].variable.payload.endswith("_tile")


def called(loop):
    return {e.payload for e in walk(list(expressions(loop.body))) if e.code is Code.CALL}


def test_logarithms_of_sums_of_rows_are_taken_in_lanes(compiled, kernels, loops):
    (kernel,) = kernels(compiled([x], ct.logsumexp(x, axis=1)))
    assert is_tiled(loops, kernel)
    *_, last = loops(kernel, "simd")
    assert called(last) == {"log"}


def test_rows_that_end_in_cheap_arithmetic_or_in_a_loop_stay_as_they_are(compiled, kernels, loops):
    for out in (x.sum(axis=1), 2 * x.max(axis=1) + a, ct.softmax(x, axis=1), ct.log_softmax(x, axis=1)):
        assert not any(is_tiled(loops, kernel) for kernel in kernels(compiled([x, a], out)))


def test_rows_known_to_be_long_and_few_rows_stay_as_they_are(compiled, kernels, loops):
    for shape in ((None, LONG + 1), (FEW - 1, None)):
        m = ct.matrix("m", shape=shape)
        (kernel,) = kernels(compiled([m], ct.log(ct.sqr(m).sum(axis=1))))
        assert not is_tiled(loops, kernel)


@pytest.mark.parametrize("rows", [0, 1, TILE - 1, TILE, TILE + 1, 3 * TILE + 2])
def test_tiles_of_rows_are_right_at_their_ends(compiled, rows):
    s = ct.exp(x - x.max(axis=1, keepdims=True)).sum(axis=1)
    f = compiled([x, y, a], [ct.log(s) * a, ct.tanh(y.sum(axis=1) - a), ct.logsumexp(x, axis=1), y.sum(axis=1)])
    values, others, vector = random((rows, 3), seed=1), random((rows, 3), seed=2), random((rows,), seed=3)
    if rows > 1:
        values[1, 0], values[0], others[-1, 1] = np.nan, -np.inf, np.inf
    with np.errstate(all="ignore"):
        sums = np.exp(values - values.max(axis=1, keepdims=True)).sum(axis=1)
        total = np.log(np.exp(values).sum(axis=1))
        wanted = [np.log(sums) * vector, np.tanh(others.sum(axis=1) - vector), total, others.sum(axis=1)]
    for got, expected in zip(f(values, others, vector), wanted, strict=True):
        assert_allclose(got, expected, rtol=1e-12, atol=1e-14)


def test_rows_of_a_stack_have_tiles_in_each_of_its_matrices(compiled, kernels, loops):
    cube = ct.tensor3("cube")
    f = compiled([cube], ct.logsumexp(cube, axis=2))
    values = random((3, TILE + 1, 4))
    assert_allclose(f(values), np.log(np.exp(values).sum(axis=2)))
