"""Strips: loops that jump between lines of memory go a few elements at a time along all of the lines."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import core.tensor as ct
from core.ir.cpu.strips import STRIP, STRIP_OF_SMALL
from core.ir.expr import const
from core.testing import random

x, a, t = ct.matrix("x"), ct.vector("a"), ct.tensor4("t")


def strips(loops, kernel, length=STRIP):
    return [loop for loop in loops(kernel, "simd") if loop.extent.is_const and loop.extent.payload == length]


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (1, 1), (7, 9), (8, 8), (9, 7), (17, 16), (3, 40), (40, 3)])
def test_a_transposed_matrix_is_read_in_strips_of_lines_that_are_still_near(compiled, kernels, loops, shape):
    f = compiled([x], [x.T * 2, x.T.reshape((-1,))])
    assert all(len(strips(loops, kernel)) == 1 for kernel in kernels(f))
    X = random(shape)
    for got, wanted in zip(f(X), [X.T * 2, X.T.reshape(-1)], strict=True):
        assert_array_equal(got, wanted)


@pytest.mark.parametrize("n", [1, 5, 8, 19])
def test_one_transposed_operand_is_enough(compiled, kernels, loops, n):
    f = compiled([x, a], (x + x.T) * a)
    (kernel,) = kernels(f)
    assert len(strips(loops, kernel)) == 1
    X, A = random((n, n)), random((n,), seed=1)
    assert_array_equal(f(X, A), (X + X.T) * A)


@pytest.mark.parametrize("order", [(0, 2, 3, 1), (0, 3, 1, 2), (3, 2, 1, 0), (1, 0, 3, 2), (2, 0, 1, 3)])
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (2, 9, 10, 11), (1, 16, 3, 8)])
def test_the_loop_that_walks_along_the_lines_comes_next_to_the_strips_whatever_lies_between(compiled, order, shape):
    T = random(shape)
    assert_array_equal(compiled([t], t.transpose(order) + 1)(T), T.transpose(order) + 1)


def test_strips_of_small_elements_are_longer(compiled, kernels, loops):
    small = ct.tensor("small", dtype="uint8", shape=(None, None))
    f = compiled([small], small.T + 1)
    assert len(strips(loops, kernels(f)[0], STRIP_OF_SMALL)) == 1
    values = np.arange(19 * 21, dtype="uint8").reshape(19, 21)
    assert_array_equal(f(values), values.T + 1)


@pytest.mark.parametrize(
    "out",
    [
        x * 2,  # walks along memory itself
        x[:, ::-1] * 2,  # backwards, too
        x[:, ::2] * 2,  # a few elements further are mostly in the same line
        x.T.sum(axis=1),  # a reduction: lanes.py
        ct.softmax(x.T, axis=1),  # several loops beside each other
    ],
)
def test_other_loops_stay_as_they_are(compiled, kernels, loops, out):
    f = compiled([x], out)
    assert not any(loop.extent is const(STRIP) for kernel in kernels(f) for loop in loops(kernel))


def test_a_length_that_is_known_leaves_nothing_for_rows_that_are_short(compiled, kernels, loops):
    for n, count in ((2 * STRIP, 1), (2 * STRIP + 1, 2), (STRIP, 1)):
        known = ct.tensor("known", dtype="float64", shape=(n, None))
        f = compiled([known], known.T * 2)
        assert len(loops(kernels(f)[0], "simd")) == count
        K = random((n, 5))
        assert_array_equal(f(K), K.T * 2)
