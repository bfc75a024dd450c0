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
    kernels = text.split("__global__")[1:]  # one for rows that fit, one for others
    assert len(kernels) == 2
    assert all(one.count("x_kept[r] = ") == 1 and one.count("x_kept[r].at") >= 3 for one in kernels)


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


def norm_gradients(x, w, b, g):
    d = x - x.mean(axis=1, keepdims=True)
    y = d / ct.sqrt((d * d).mean(axis=1, keepdims=True) + 1e-5) * w + b
    return core.grad((y * g).sum(), [x, w, b])


def norm_gradients_by_hand(x, w, b, g):
    mean = x.mean(axis=1, keepdims=True)
    root = np.sqrt(((x - mean) ** 2).mean(axis=1, keepdims=True) + 1e-5)
    h = (x - mean) / root
    gh = g * w
    dx = (gh - gh.mean(axis=1, keepdims=True) - h * (gh * h).mean(axis=1, keepdims=True)) / root
    return dx, (g * h).sum(axis=0), g.sum(axis=0)


@pytest.fixture(scope="module")
def gradients():
    xs = [ct.tensor(name, dtype="float32", ndim=ndim) for name, ndim in (("x", 2), ("w", 1), ("b", 1), ("g", 2))]
    return core.function(xs, norm_gradients(*xs), backend=DRIVER)


@pytest.mark.parametrize("n", [1026, 5000])
def test_long_lines_are_sorted_in_pieces_by_many_blocks(n):
    x = ct.matrix("x", dtype="float32")
    f = core.function([x], [ct.sort(x), ct.argsort(x)], backend=DRIVER)
    a = np.random.default_rng(n).integers(0, 500, (2, n)).astype("float32")
    a[:, ::7] = np.nan
    values, order = f(a)
    assert_array_equal(values, np.sort(a))
    assert_array_equal(order, np.argsort(a, stable=True))


@pytest.mark.parametrize("rows", [1, 37])
@pytest.mark.parametrize("n", [4, 12, 31, 128, 512, 1000, 4 * 256 * KEPT_PIECES, 4 * 256 * KEPT_PIECES + 4])
def test_rows_and_sums_of_their_columns_are_what_numpy_says(gradients, rows, n):
    rng = np.random.default_rng(n)
    values = [rng.standard_normal(shape).astype("float32") for shape in ((rows, n), (n,), (n,), (rows, n))]
    expected = norm_gradients_by_hand(*(a.astype("float64") for a in values))
    for got, want in zip(gradients(*values), expected, strict=True):
        assert_allclose(got, want, rtol=1e-4, atol=1e-4)


def test_sums_of_columns_stay_in_registers(gradients):
    (text,) = gradients.sources.values()
    assert "core_float32x4 sums_of_" in text and "__shared__ float sums_of_" not in text


@pytest.mark.parametrize("n", [4, 60, 512])
def test_several_rows_of_a_warp_each_are_one_group(compiled, n):
    """Without a barrier: warps leave their loops at different times."""
    dtype, functions = compiled
    x = np.random.default_rng(n).standard_normal((8 * 256 + 3, n)).astype(dtype)
    expected = softmax(np, x.astype("float64"))
    assert_allclose(functions[softmax](x), expected, rtol=1e-5 if dtype == "float32" else 1e-12)


def test_rows_of_one_lane_wait_for_nobody():
    """Several of them are one block, and threads that have no row must not be waited for."""
    x = ct.tensor("x", shape=(2, 2), dtype="float64")
    column = x.reshape((2, 2, 1))
    f = core.function([x], [ct.concatenate([column, column], axis=2), column], backend=DRIVER)
    assert "__syncthreads" not in "".join(f.sources.values())
    a = np.arange(4.0).reshape(2, 2)
    both, alone = f(a)
    assert_array_equal(both, np.stack([a, a], axis=2))
    assert_array_equal(alone, a[..., None])
