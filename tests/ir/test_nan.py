"""Extremes that may pass over NaN: which do, which must not, and that every result is NaN where NumPy's is."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import core.tensor as ct
from core.compile.function import function
from core.gradient import Lop
from core.ir.codes import Combine
from core.ir.definitions import Value
from core.ir.expr import Call, const, index, load, maximum, select
from core.ir.nests.nan import is_nan_with
from core.testing import random

x, g, r = ct.matrix("x", shape=(None, 20)), ct.matrix("g", shape=(None, 20)), ct.vector("r")
LARGEST = x.max(axis=1, keepdims=True)
SUM = ct.exp(x - LARGEST).sum(axis=1, keepdims=True)
BLIND = {
    "softmax": ct.softmax(x, axis=1),
    "log_softmax": ct.log_softmax(x, axis=1),
    "logsumexp": ct.logsumexp(x, axis=1),
    "columns": ct.softmax(x, axis=0),
    "by hand": ct.exp(x - LARGEST) / SUM,
    "smallest": ct.exp(x.min(axis=1, keepdims=True) - x).sum(axis=1),
    "softmax_gradient": Lop(ct.softmax(x, axis=1), x, g),
    "logsumexp_gradient": Lop(ct.logsumexp(x, axis=1), x, r),
}
SEEING = {
    "extreme": x.max(axis=1),
    "extreme beside its reader": [LARGEST, SUM],
    "distance": x - LARGEST,
    "choice": ct.where(x > 0, x - LARGEST, 0).sum(axis=1),
    "count": (x >= LARGEST).sum(axis=1),
    "reader without the sum": [SUM, LARGEST * g],
    "sum of others": (g - LARGEST).sum(axis=1),
    "sum of all": (x - LARGEST).sum(),
    "largest of larger": (x - LARGEST).max(axis=1),
}


def flags(kernels, loops, f):
    return [
        how
        for kernel in kernels(f)
        for loop in loops(kernel)
        for how, local in loop.reductions
        if how is Combine.OR and local.name.startswith("nan")
    ]


@pytest.mark.parametrize("name", BLIND)
def test_an_extreme_passes_over_nan_where_a_sum_brings_it_everywhere(compiled, kernels, loops, name):
    f = compiled([x, g, r], BLIND[name])
    assert len(kernels(f)) == 1
    assert not flags(kernels, loops, f)


@pytest.mark.parametrize("name", SEEING)
def test_an_extreme_looks_for_nan_where_nothing_else_does(compiled, kernels, loops, name):
    assert flags(kernels, loops, compiled([x, g, r], SEEING[name]))


def op_by_op(out, *arrays):
    outs = out if isinstance(out, list) else [out]
    return function([x, g, r], outs, backend="interpreter", mode="none", on_unused_input="ignore")(*arrays)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [*BLIND, *SEEING])
@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
def test_results_on_rows_that_are_not_finite_are_those_of_each_op_by_itself(compiled, name, special):
    out = BLIND.get(name, SEEING.get(name))
    values, weights, rows = random((6, 20)), random((6, 20), seed=1), random(6, seed=2)
    for k in range(4):
        values[k, k] = special
    values[4] = special
    apart = op_by_op(out, values, weights, rows)
    got = compiled([x, g, r], out)(values, weights, rows)
    for one, expected in zip(got if isinstance(got, list) else [got], apart, strict=True):
        assert_allclose(one, expected, rtol=1e-12)


def test_only_what_no_number_can_stop_passes_nan_on():
    v, i = Value("v", "float64"), index()
    a, b = load(v, [i], "float64"), load(v, [i + 1], "float64")
    passes = [a + b, b - a, a * 0, 1 / a, -a, Call("exp", a - b), maximum(a, b), select(b < a, a, a * b)]
    stops = [select(a < b, a, b), Call("copysign", b, a), Call("hypot", a, b), a**0.0, Call("isnan", a), b, const(1.0)]
    assert all(is_nan_with(e, {a}) for e in passes)
    assert not any(is_nan_with(e, {a}) for e in stops)
