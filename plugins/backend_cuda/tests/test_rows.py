"""Kernels of rows: 16-byte accesses, and rows that stay in registers between the stages, of lengths that fit or not."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import core
import core.tensor as ct
from core.ir.nests.vector_access import KEPT_PIECES
from plugin_backend_cuda.backend import Driver
from plugin_backend_cuda.shim.driver import HostCompiler, HostDriver

DRIVER = Driver(HostDriver, lambda: (HostCompiler(), ""))
LENGTHS = [1, 3, 4, 8, 31, 128, 1000, 1024, 4 * 256 * KEPT_PIECES, 4 * 256 * KEPT_PIECES + 4, 4 * 256 * KEPT_PIECES + 5]


def softmax(m, x):
    e = m.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def layer_norm(m, x):
    d = x - x.mean(axis=1, keepdims=True)
    return d / m.sqrt((d * d).mean(axis=1, keepdims=True) + 1e-5)


@pytest.fixture(scope="module", params=["float32", "float64"])
def compiled(request):
    x = ct.matrix("x", dtype=request.param)
    functions = {f: core.function([x], f(ct, x), backend=DRIVER) for f in (softmax, layer_norm)}
    return request.param, functions


@pytest.mark.parametrize("formula", [softmax, layer_norm])
@pytest.mark.parametrize("n", LENGTHS)
def test_rows_of_any_length_are_what_numpy_says(compiled, formula, n):
    dtype, functions = compiled
    x = np.random.default_rng(n).standard_normal((3, n)).astype(dtype)
    expected = formula(np, x.astype("float64"))
    assert_allclose(functions[formula](x), expected, rtol=1e-5 if dtype == "float32" else 1e-12, atol=1e-6)


def test_a_row_is_loaded_once_for_all_stages(compiled):
    _, functions = compiled
    (text,) = functions[softmax].sources.values()
    assert text.count("x_kept[r] = ") == 1 and text.count("x_kept[r].at") >= 3


def test_what_is_written_between_the_stages_is_not_kept():
    x = ct.matrix("x", dtype="float64")
    y = x - x.max(axis=1, keepdims=True)
    f = core.function([x], [y, y / ct.exp(y).sum(axis=1, keepdims=True)], backend=DRIVER)
    a = np.random.default_rng(0).standard_normal((3, 1030))
    shifted = a - a.max(axis=1, keepdims=True)
    got = f(a)
    assert_allclose(got[0], shifted, rtol=1e-12)
    assert_allclose(got[1], shifted / np.exp(shifted).sum(axis=1, keepdims=True), rtol=1e-12)


@pytest.mark.parametrize("n", [1, 6, 300, 1025])
def test_lanes_sort_a_row_together(n):
    x = ct.fmatrix("x")
    f = core.function([x], [ct.sort(x, axis=1), ct.argsort(x, axis=1)], backend=DRIVER)
    a = np.random.default_rng(n).integers(0, 40, (3, n)).astype("float32")
    values, order = f(a)
    assert_array_equal(values, np.sort(a, axis=1))
    assert_array_equal(order, np.argsort(a, axis=1, stable=True))
