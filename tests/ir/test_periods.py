"""Periods: loops over what was merged, or repeats, become loops over its factors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import core.tensor as ct
from core.ir.check.oracle import run_kernel
from core.ir.codes import Code
from core.ir.cpu.periods import UNROLLED, with_periods
from core.ir.definitions import Value
from core.ir.expr import const, index, load
from core.ir.nodes import Kernel, Loop, LoopKind, Store, expressions
from core.ir.walk import walk
from core.testing import random

x, a, t = ct.matrix("x"), ct.vector("a"), ct.tensor4("t")
DIVISIONS = {Code.FLOORDIV, Code.MOD, Code.UNRAVEL}


def divisions(kernel):
    return [e for e in walk(expressions(kernel.body)) if e.code in DIVISIONS and e.free]


@pytest.mark.parametrize(
    "function, lengths",
    [
        (lambda m, x: x.T.reshape((-1,)), (4, 3)),
        (lambda m, x: x.T.reshape((x.shape[0], x.shape[1])), (4, 3)),
        (lambda m, x: x[:, ::-1].T.reshape((-1,)) * 2, (4, 3)),
        (lambda m, x: m.tile(x, (2, 3)), (4, 3)),
        (lambda m, x: m.repeat(x, 3, 0), (4, 3)),
        (lambda m, x: m.repeat(m.repeat(x, 2, 0), 2, 1), (4, 3)),
        (lambda m, x: m.repeat(x, 7, 1) + 1, (4, 3)),
        (lambda m, x: m.repeat(m.tile(x.T.reshape((-1,)), 2), 9), (4, 3)),
        (lambda m, x: m.stack([x, x * 2, x + 1], 2).reshape((-1,)), (4, 3)),
        (lambda m, t: t.transpose((0, 2, 3, 1)).reshape((-1, t.shape[1])), (2, 3, 4, 5)),
        (lambda m, t: t.transpose((0, 2, 3, 1)).reshape((-1,)), (2, 3, 4, 5)),
        (lambda m, t: t.transpose((3, 1, 0, 2)).reshape((t.shape[3] * t.shape[1], -1)).sum(1), (2, 3, 4, 5)),
    ],
)
def test_no_element_of_what_was_merged_or_repeats_is_divided_for(compiled, kernels, function, lengths):
    given = x if len(lengths) == 2 else t
    f = compiled([given], function(ct, given))
    assert not any(divisions(kernel) for kernel in kernels(f))
    array = random(lengths)
    assert_allclose(f(array), function(np, array))
    nothing = random([0, *lengths[1:]])
    assert f(nothing).size == 0 or not f(nothing).any()  # a sum of nothing


def test_a_short_period_that_is_known_is_written_out(compiled, kernels, loops):
    (kernel,) = kernels(compiled([a], ct.repeat(a, UNROLLED)))
    assert len(loops(kernel)) == 1
    (kernel,) = kernels(compiled([a], ct.repeat(a, UNROLLED + 1)))
    assert len(loops(kernel)) == 2


@pytest.mark.parametrize("columns", [1, 3, 4, 12])
def test_a_length_that_says_nothing_of_the_factors_leaves_a_loop_for_what_is_no_whole_period(
    compiled, kernels, columns
):
    f = compiled([x], x[::-1].reshape((-1, columns)) * 2)
    (kernel,) = kernels(f)
    assert sum(isinstance(s, Loop) for s in kernel.body) == (1 if columns == 1 else 2)
    X = random((4, 3))
    assert_array_equal(f(X), X[::-1].reshape((-1, columns)) * 2)


def test_a_period_that_may_be_no_period_stays(compiled, kernels):
    n = ct.lscalar("n")
    f = compiled([a, n], a[ct.arange(6) % n])
    assert any(divisions(kernel) for kernel in kernels(f))
    A = random((4,))
    assert_array_equal(f(A, 3), A[np.arange(6) % 3])
    assert_array_equal(f(A, -3), A[np.arange(6) % -3])
    assert_array_equal(f(A, 0), A[[0] * 6])


def test_what_runs_from_the_end_keeps_its_order(compiled):
    f = compiled([x], ct.cumsum(x.T.reshape((-1,))[::-1]))
    X = random((4, 3))
    assert_allclose(f(X), np.cumsum(X.T.reshape(-1)[::-1]))


@given(st.integers(0, 40), st.integers(1, 9), st.integers(1, 9), st.integers(1, 9))
def test_positions_of_any_digits_stay_what_they_are(n, p, q, r):
    """All forms at once: quotients, remainders and digits of the same variable, whatever divides what."""
    source, out = Value("source", "int64"), Value("out", "int64")
    i = index("i")
    digits = [i // p, i % q, (i // p) % r, (i // (p * q)) % r, i]
    place = sum((e * w for e, w in zip(digits, (1, 50, 500, 5000, 50000), strict=True)), const(0))
    loop = Loop(i, const(n), [Store(out, i, load(source, [const(0)], "int64") + place)], LoopKind.SIMD)
    kernel = Kernel("k", [source], [out], [loop])
    results = []
    for one in (kernel, with_periods(kernel)):
        arrays = {source: np.ones(1, "int64"), out: np.zeros(n, "int64")}
        run_kernel(one, arrays)
        results.append(arrays[out])
    assert_array_equal(*results)
