"""Rows by blocks in C: that threads change no bit of it, which program runs, and that the numbers stay."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import core
import core.ir.passes.rows as rows
import core.tensor as ct
from core.errors import IndexOutOfBounds
from core.testing import random

N = 1003
SHAPES = {"w": (20, 16), "b": (16,), "v": (16, 5)}


@pytest.fixture(autouse=True)
def short_blocks_pay(monkeypatch):
    monkeypatch.setattr(rows, "TALL", 500 * 8 * 20)
    monkeypatch.setattr(rows, "BLOCK", 1)


def network(dtype, backend):
    """A step of a network with one hidden layer; its parameters."""
    x, k = ct.matrix("x", dtype=dtype), ct.lvector("k")
    w, b, v = parameters = [
        core.shared(random(shape, dtype, seed=seed), name=name) for seed, (name, shape) in enumerate(SHAPES.items())
    ]
    loss = -ct.log_softmax(ct.tanh(x @ w + b) @ v, axis=1)[ct.arange(k.shape[0]), k].mean()
    updates = {p: p - np.asarray(0.1, dtype) * g for p, g in zip(parameters, core.grad(loss, parameters), strict=True)}
    return core.function([x, k], loss, updates=updates, backend=backend), parameters


def goes_by_blocks(f):
    return any("core_blocks core_b" in text for text in f.sources.values())


def examples(n, dtype):
    return random((n, 20), dtype, seed=7), np.arange(n) * 7 % 5


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_steps_by_blocks_are_those_of_the_interpreter(dtype):
    f, here = network(dtype, "c")
    want, there = network(dtype, "interpreter")
    tolerance = {"rtol": 1e-10, "atol": 1e-12} if dtype == "float64" else {"rtol": 1e-3, "atol": 1e-5}
    for n in (N, 3, N, 700, 0, 1):  # tall ones and others, in turn
        given = examples(n, dtype)
        with np.errstate(invalid="ignore", divide="ignore"):
            assert_allclose(f(*given), want(*given), **tolerance)
        for a, b in zip(here, there, strict=True):
            assert_allclose(a.get_value(), b.get_value(), **tolerance)
            if n == 0:  # a mean of nothing is NaN, and so is all that follows
                a.set_value(random(a.get_value().shape, dtype))
                b.set_value(a.get_value())
    assert goes_by_blocks(f)


def test_threads_change_no_bit():
    results = []
    for threads in (1, 2, 3, 7):
        with core.num_threads(threads):
            f, parameters = network("float64", "c")
            losses = [f(*examples(20 * N, "float64")) for _ in range(3)]
        results.append([*losses, *(p.get_value() for p in parameters)])
    assert goes_by_blocks(f)
    for other in results[1:]:
        for got, want in zip(other, results[0], strict=True):
            assert_array_equal(got, want)


def test_a_label_out_of_range_changes_nothing():
    f, parameters = network("float64", "c")
    x, k = examples(N, "float64")
    f(x, k)
    before = [p.get_value() for p in parameters]
    k[N - 1] = 5
    with pytest.raises(IndexOutOfBounds):
        f(x, k)
    for p, value in zip(parameters, before, strict=True):
        assert_array_equal(p.get_value(), value)


def test_rows_that_lie_in_another_order_are_read_where_they_lie():
    x, w = ct.matrices("x w")
    f = core.function([x, w], [ct.exp(x.T @ w).sum(axis=0), x @ ct.exp(x.T @ w)], backend="c")
    value, weights = random((20, N)), random((20, 6), seed=1)
    for given in (value, np.asfortranarray(value), np.concatenate([value, value])[::2]):
        sums, product = f(given, weights)
        assert_allclose(sums, np.exp(given.T @ weights).sum(axis=0), rtol=1e-10)
        assert_allclose(product, given @ np.exp(given.T @ weights), rtol=1e-10)
    assert goes_by_blocks(f)


def test_blocks_of_one_program_have_names_of_their_own():
    x, y, w = ct.matrices("x y w")
    f = core.function([x, y, w], [ct.tanh(x @ w).sum(), ct.exp(y @ w).sum(axis=0)], backend="c")
    a, b, c = random((N, 20)), random((2 * N, 20), seed=1), random((20, 6), seed=2)
    total, sums = f(a, b, c)
    assert_allclose(total, np.tanh(a @ c).sum(), rtol=1e-10)
    assert_allclose(sums, np.exp(b @ c).sum(axis=0), rtol=1e-10)
