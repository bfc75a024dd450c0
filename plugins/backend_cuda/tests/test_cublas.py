"""Products: what cuBLAS is asked for, computed on the host, against NumPy."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from core.device.contract import Strided
from core.errors import DeviceError
from core.ir.program import LibraryCall
from core.options import config
from plugin_backend_cuda import cublas
from plugin_backend_cuda.device import CudaDevice
from plugin_backend_cuda.shim.driver import HostCompiler

GEMM = LibraryCall("gemm", batch=0)


def strided(device, array):
    """An array on the device, as it lies in its memory."""
    base = array if array.base is None else array.base
    block = device.allocate(max(base.nbytes, 1))
    device.upload(block, np.ascontiguousarray(base).reshape(-1), keep=True)
    size = array.itemsize
    offset = (array.ctypes.data - base.ctypes.data) // size
    return Strided(block, array.dtype.name, array.shape, tuple(s // size for s in array.strides), offset)


def product(device, a, b):
    c = np.full((*a.shape[:-1], *b.shape[-1:][: b.ndim - 1]), np.nan, a.dtype)
    out = strided(device, c)
    cublas.gemm(device, GEMM, [strided(device, a), strided(device, b)], [out])
    device.download(out.block, c)
    device.synchronize()
    return c


def matrix(*shape, dtype="float64", seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("m, k, n", [(2, 3, 4), (1, 1, 1), (5, 1, 3), (1, 4, 1), (3, 2, 1)])
def test_row_major_products_are_right(device, dtype, m, k, n):
    a, b = matrix(m, k, dtype=dtype), matrix(k, n, dtype=dtype, seed=1)
    assert_allclose(product(device, a, b), a @ b, rtol=1e-6)


@pytest.mark.parametrize("turned", [(True, False), (False, True), (True, True)])
def test_transposed_operands_are_read_where_they_lie(device, turned):
    a = matrix(3, 2).T if turned[0] else matrix(2, 3)
    b = matrix(4, 3, seed=1).T if turned[1] else matrix(3, 4, seed=1)
    assert_allclose(product(device, a, b), a @ b)


def test_parts_of_matrices_are_read_where_they_lie(device):
    a, b = matrix(6, 7)[1:4, 2:6], matrix(9, 8, seed=1)[3:7, 1:6]
    assert_allclose(product(device, a, b), a @ b)


def test_stacks_of_matrices_are_one_call_along_the_last_axis(device, driver):
    a, b = matrix(2, 3, 4, 5), matrix(2, 3, 5, 2, seed=1)
    assert_allclose(product(device, a, b), a @ b)


def test_one_matrix_serves_a_whole_stack(device):
    a, b = matrix(3, 4, 5), np.broadcast_to(matrix(5, 2, seed=1), (3, 5, 2))
    assert_allclose(product(device, a, b), a @ b)


@pytest.mark.parametrize("step", [1, 2])
def test_a_vector_is_a_row_on_the_left_and_a_column_on_the_right(device, step):
    left, right = matrix(3 * step)[::step], matrix(4 * step, seed=1)[::step]
    a = matrix(3, 4, seed=2)
    assert_allclose(product(device, a, right), a @ right)
    assert_allclose(product(device, a.T, left), a.T @ left)
    assert_allclose(product(device, left, a), left @ a)


@pytest.mark.parametrize("m, k, n", [(0, 3, 4), (2, 0, 4), (2, 3, 0), (0, 0, 0)])
def test_empty_products(device, m, k, n):
    assert_allclose(product(device, matrix(m, k), matrix(k, n)), np.zeros((m, n)))


def test_precision_is_given_up_on_request_alone(device, monkeypatch):
    asked = []
    monkeypatch.setattr(device.products, "products", lambda *arguments: asked.append(arguments[-1]))
    product(device, matrix(2, 2, dtype="float32"), matrix(2, 2, dtype="float32"))
    with config.override({"cuda.products": "tf32"}):
        product(device, matrix(2, 2, dtype="float32"), matrix(2, 2, dtype="float32"))
    assert asked == ["float32", "tf32"]
    assert {precision: table["float64"] for precision, table in cublas.COMPUTE.items()} == dict.fromkeys(
        cublas.COMPUTE, 70
    )


def test_no_library_is_an_error(driver):
    device = CudaDevice(driver, 0, HostCompiler(), None)
    with pytest.raises(DeviceError, match=r"cuda:0 \(host-shim\) has no library of products"):
        product(device, matrix(2, 2), matrix(2, 2))


def test_the_probe_says_how_to_get_cublas(monkeypatch):
    monkeypatch.setattr(cublas, "find", lambda: (None, "libcublas.so: not found"))
    found = cublas.probe()
    assert found.reason == "no cuBLAS 12 or later: libcublas.so: not found"
    assert found.remedy == "pip install nvidia-cublas"
