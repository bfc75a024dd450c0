"""Sums of short rows of floats, of every length around what fills the lanes of a vector."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import core
import core.tensor as ct
from core.testing import random

x, y, w = ct.fmatrix("x"), ct.fmatrix("y"), ct.fvector("w")
at = ct.tensor("at", dtype="int64", shape=(None,))
LENGTHS = [0, 1, 3, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 50]


@pytest.fixture(scope="module")
def functions():
    inputs = [x, y, w, at]
    rows = {
        "sum": x.sum(axis=1),
        "of products": (x * y * w).sum(axis=1),
        "softmax": ct.softmax(x, axis=1),
        "layer norm": ct.layer_norm(x, -1, 1e-5, w, w),
        "at positions": (x[:, at] * w).sum(axis=1),
        "with its largest": ct.logsumexp(x, 1) + x.max(axis=1),
        "of a row with zeros": ct.concatenate([x, ct.zeros_like(x[:, :2])], 1).sum(axis=1),
        "product": x.prod(axis=1),
        "number": ct.exp(x * w).sum(),
    }
    return core.function(inputs, rows, backend="c", on_unused_input="ignore")


@pytest.fixture(scope="module")
def in_float64():
    x, y = ct.matrix("x"), ct.matrix("y")
    p = y / y.sum(axis=1, keepdims=True)
    return core.function([x, y], [(p * ct.log(p)).sum(axis=1), ct.softmax(x, axis=1), ct.exp(x * y).sum()], backend="c")


def expected(x, y, w, at):
    x, y, w = (a.astype("float64") for a in (x, y, w))
    shifted = np.exp(x - x.max(axis=1, keepdims=True, initial=-1e300))
    centred = x - x.mean(axis=1, keepdims=True)
    return {
        "sum": x.sum(axis=1),
        "of products": (x * y * w).sum(axis=1),
        "softmax": shifted / shifted.sum(axis=1, keepdims=True),
        "layer norm": centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-5) * w + w,
        "at positions": (x[:, at] * w).sum(axis=1),
        "with its largest": np.log(shifted.sum(axis=1)) + 2 * x.max(axis=1, initial=-np.inf),
        "of a row with zeros": x.sum(axis=1),
        "product": x.prod(axis=1),
        "number": np.exp(x * w).sum(),
    }


def arrays(m, n):
    a, b = (random((m, n), "float32", seed=k) for k in range(2))
    return a, b, random((n,), "float32", seed=2), np.arange(n)[::-1].copy()


@pytest.mark.filterwarnings("ignore:Mean of empty slice", "ignore:invalid value")
@pytest.mark.parametrize("n", LENGTHS[1:])
def test_rows_of_every_length_are_those_of_numpy(functions, n):
    given = arrays(5, n)
    wanted = expected(*given)
    for name, got in functions(*given).items():
        assert_allclose(got, wanted[name], rtol=2e-5, atol=2e-6, err_msg=name)


@pytest.mark.parametrize("n", [1, 5, 7, 8, 9, 15, 16, 17, 30])
def test_sums_of_functions_of_float64_are_those_of_numpy(in_float64, n):
    a, b = random((6, n), seed=n), 0.1 + np.abs(random((6, n), seed=n + 1))
    p = b / b.sum(axis=1, keepdims=True)
    shifted = np.exp(a - a.max(axis=1, keepdims=True))
    entropy, softmax, total = in_float64(a, b)
    assert_allclose(entropy, (p * np.log(p)).sum(axis=1), rtol=1e-12)
    assert_allclose(softmax, shifted / shifted.sum(axis=1, keepdims=True), rtol=1e-12)
    assert_allclose(total, np.exp(a * b).sum(), rtol=1e-12)


def test_rows_of_no_elements_have_the_value_of_an_empty_sum():
    f = core.function([x], [x.sum(axis=1), x.prod(axis=1)], backend="c")
    total, product = f(np.empty((3, 0), "float32"))
    assert_array_equal(total, np.zeros(3))
    assert_array_equal(product, np.ones(3))


@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("n", [3, 13, 16, 29])
def test_what_is_no_number_is_met_in_every_place(functions, n, special):
    for place in range(n):
        a, b, c, d = arrays(2, n)
        a[1, place] = special
        got, clean = functions(a, b, c, d), functions(*arrays(2, n))
        assert_array_equal(got["sum"][1], np.float32(special))
        assert_array_equal(got["sum"][0], clean["sum"][0])
        assert_array_equal(got["softmax"][0], clean["softmax"][0])


def test_sums_do_not_depend_on_what_lies_behind_a_row():
    a = random((4, 13), "float32")
    padded = np.full((4, 29), np.nan, "float32")
    padded[:, :13] = a
    f = core.function([x], x.sum(axis=1), backend="c")
    assert_array_equal(f(padded[:, :13]), f(a))
