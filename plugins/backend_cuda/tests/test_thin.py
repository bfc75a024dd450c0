"""Products with one small length: kernels of our own, in every layout, against NumPy; and which products take them."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from core.device.contract import Strided
from core.ir.library import LibraryCall
from core.options import config
from plugin_backend_cuda import cache, compiler, cublas, thin

GEMM = LibraryCall("gemm", batch=0)


def strided(device, array):
    """An array on the device, as it lies in its memory."""
    base = array if array.base is None else array.base
    block = device.allocate(max(base.nbytes, 1))
    device.upload(block, np.ascontiguousarray(base).reshape(-1), keep=True)
    size = array.itemsize
    offset = (array.ctypes.data - base.ctypes.data) // size
    return Strided(block, array.dtype.name, array.shape, tuple(s // size for s in array.strides), offset)


def matrix(m, n, dtype="float64", layout="rows", seed=0):
    """Row by row, column by column, or part of a larger matrix that starts on a bad boundary."""
    rng = np.random.default_rng(seed + 10 * m + n)
    if layout == "columns":
        return rng.uniform(-1, 1, (n, m)).astype(dtype).T
    if layout == "part":
        return rng.uniform(-1, 1, (m + 2, n + 3)).astype(dtype)[1:-1, 1 : n + 1]
    return rng.uniform(-1, 1, (m, n)).astype(dtype)


def product(device, a, b, start=None, alpha=1.0, factor=None):
    """a @ b by a routine for products; or start + alpha * factor * (a @ b)."""
    c = np.full((a.shape[0], b.shape[1]), np.nan, a.dtype) if start is None else start.copy()
    out = strided(device, c)
    if start is None:
        cublas.gemm(device, GEMM, [strided(device, a), strided(device, b)], [out])
    else:
        more = [] if factor is None else [strided(device, np.array([factor], a.dtype))]
        call = LibraryCall("gemm_add", (("alpha", alpha),))
        cublas.gemm_add(device, call, [strided(device, a), strided(device, b), out, *more], [out])
    device.download(out.block, c)
    device.synchronize()
    return c


def kernels(driver, act):
    """The names of the kernels that ``act`` launches."""
    before = len(driver.calls)
    act()
    return [arguments[0].name for name, arguments in driver.calls[before:] if name == "launch"]


SHAPES = [
    *[(130, 40, 10), (129, 700, 3), (128, 33, 1), (200, 512, 16)],  # few columns
    *[(10, 40, 130), (1, 33, 128)],  # few rows
    *[(130, 10, 140), (128, 1, 128), (150, 16, 1030)],  # few to sum over
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layouts", [("rows", "rows"), ("columns", "rows"), ("rows", "columns"), ("part", "part")])
@pytest.mark.parametrize("m, k, n", SHAPES)
def test_thin_products_are_right_in_every_layout(device, driver, m, k, n, layouts, dtype):
    a, b = matrix(m, k, dtype, layouts[0]), matrix(k, n, dtype, layouts[1], seed=1)
    launched = kernels(driver, lambda: assert_allclose(
        product(device, a, b), a.astype("float64") @ b.astype("float64"), rtol=1e-5, atol=1e-5
    ))  # fmt: skip
    assert launched and all(name.startswith(f"core_{dtype}_{min(m, k, n)}_") for name in launched)


@pytest.mark.parametrize("m, k, n", [(130, 40, 10), (10, 40, 130), (130, 10, 140)])
@pytest.mark.parametrize("layout", ["rows", "columns"])
@pytest.mark.parametrize("factor", [None, 3.0])
def test_thin_products_are_added_to_what_is_there(device, m, k, n, layout, factor):
    a, b, start = matrix(m, k, layout=layout), matrix(k, n, seed=1), matrix(m, n, seed=2)
    expected = start - 0.5 * (1.0 if factor is None else factor) * (a @ b)
    assert_allclose(product(device, a, b, start, -0.5, factor), expected, rtol=1e-12)


def test_a_long_sum_is_taken_in_parts_and_gives_the_same_bits_again(device, driver):
    a, b = matrix(128, 1000, "float32", "columns"), matrix(1000, 10, "float32", seed=1)
    first = product(device, a, b)
    names = kernels(driver, lambda: product(device, a, b))
    assert names == ["core_float32_10_columns", "core_float32_10_together"]
    assert np.array_equal(first, product(device, a, b))


@pytest.mark.parametrize("m, k, n", [(130, 40, 17), (127, 40, 10), (130, 31, 10), (130, 10, 127), (4, 4, 4)])
def test_other_products_are_those_of_cublas(device, driver, m, k, n):
    a, b = matrix(m, k), matrix(k, n, seed=1)
    assert kernels(driver, lambda: assert_allclose(product(device, a, b), a @ b)) == []


def test_a_precision_on_request_is_that_of_cublas(device, driver):
    a, b = matrix(130, 40, "float32"), matrix(40, 10, "float32", seed=1)
    with config.override({"cuda.products": "tf32"}):
        assert kernels(driver, lambda: product(device, a, b)) == []


def test_infinities_and_nan_go_where_they_belong(device):
    a, b = matrix(130, 40), matrix(40, 10, seed=1)
    a[3, 5], a[7, 39], b[2, 4] = np.inf, np.nan, -np.inf
    with np.errstate(invalid="ignore"):
        assert_allclose(product(device, a, b), a @ b)


@pytest.mark.skipif(compiler.find_nvcc() is None, reason="needs nvcc")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("length", [1, 10, 16])
def test_the_kernels_compile_without_spills(cache_folder, dtype, length):
    used = compiler.usage(cache.build(thin.source(dtype, length), compiler.find_nvcc(), 90).log)
    assert len(used) == 4 and not any(kernel.spill_store_bytes or kernel.stack_bytes for kernel in used.values())
