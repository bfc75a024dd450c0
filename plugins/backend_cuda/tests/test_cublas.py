"""Products: what cuBLAS is asked for, computed on the host, against NumPy."""

import cffi
import numpy as np
import pytest
from numpy.testing import assert_allclose

import core
import core.tensor as ct
from core import plugins
from core.device.contract import Strided
from core.errors import DeviceError
from core.ir.library import LibraryCall
from core.ir.program import LibraryStep
from core.options import config
from core.records import Probe
from plugin_backend_cuda import cublas
from plugin_backend_cuda.backend import Driver
from plugin_backend_cuda.device import CudaDevice
from plugin_backend_cuda.shim.blas import HostBlas
from plugin_backend_cuda.shim.driver import HostCompiler, HostDriver

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
    rng = np.random.default_rng(seed)
    imaginary = 1j * rng.uniform(-1, 1, shape) if dtype.startswith("complex") else 0
    return (rng.uniform(-1, 1, shape) + imaginary).astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("m, k, n", [(2, 3, 4), (1, 1, 1), (5, 1, 3), (1, 4, 1), (3, 2, 1)])
def test_row_major_products_are_right(device, dtype, m, k, n):
    a, b = matrix(m, k, dtype=dtype), matrix(k, n, dtype=dtype, seed=1)
    assert_allclose(product(device, a, b), a @ b, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("turned", [(True, False), (False, True), (True, True)])
def test_transposed_operands_are_read_where_they_lie(device, turned, dtype):
    a = matrix(3, 2, dtype=dtype).T if turned[0] else matrix(2, 3, dtype=dtype)
    b = matrix(4, 3, dtype=dtype, seed=1).T if turned[1] else matrix(3, 4, dtype=dtype, seed=1)
    assert_allclose(product(device, a, b), a @ b)


def test_complex_products_that_are_thin_are_for_cublas_too(device):
    a, b = matrix(200, 40, dtype="complex64"), matrix(40, 3, dtype="complex64", seed=1)
    assert_allclose(product(device, a, b), a @ b, rtol=1e-4)


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
    monkeypatch.setattr(device.products, "products", lambda *arguments: asked.append(arguments[-2]))
    product(device, matrix(2, 2, dtype="float32"), matrix(2, 2, dtype="float32"))
    with config.override({"cuda.products": "tf32"}):
        product(device, matrix(2, 2, dtype="float32"), matrix(2, 2, dtype="float32"))
    assert asked == ["float32", "tf32"]
    assert {precision: table["float64"] for precision, table in cublas.COMPUTE.items()} == dict.fromkeys(
        cublas.COMPUTE, 70
    )


KINDS = {
    "float32": (0, 68),
    "float64": (1, 70),
    "complex64": (4, 68),
    "complex128": (5, 70),
}  # library_types.h, cublas_api.h


@pytest.mark.parametrize("dtype", KINDS)
def test_cublas_is_told_what_kind_of_numbers_they_are(monkeypatch, dtype):
    ffi, asked = cffi.FFI(), []
    ffi.cdef(cublas._DECLARATIONS)

    class Noting:
        """Every call goes well."""

        def __getattr__(self, name):
            return lambda *arguments: asked.append((name, arguments)) or 0

    monkeypatch.setattr(cublas, "find", lambda: ((ffi, Noting()), ""))
    library = cublas.Cublas(0, 1 << 20)
    places = (0x1000, 0x2000, 0x3000)
    library.products(dtype, (False, True), (2, 3, 4, 5), places, (3, 4, 3), (15, 20, 12), "float32", cublas.Scale(-2.0))
    name, (_, left, right, m, n, k, alpha, a, kind_a, _, _, b, kind_b, _, _, beta, c, kind_c, *rest) = asked[-1]
    kind, compute = KINDS[dtype]
    assert name == "cublasGemmStridedBatchedEx_64" and (left, right, m, n, k) == (0, 1, 3, 4, 5)
    assert [int(ffi.cast("intptr_t", place)) for place in (a, b, c)] == [*places]
    assert (kind_a, kind_b, kind_c, rest[-2]) == (kind, kind, kind, compute)
    real = "float" if dtype in ("float32", "complex64") else "double"
    assert [ffi.cast(f"{real} *", alpha)[k] for k in range(2)] == [-2.0, 0.0]
    assert [ffi.cast(f"{real} *", beta)[k] for k in range(2)] == [0.0, 0.0]


def test_no_library_is_an_error(driver):
    device = CudaDevice(driver, 0, HostCompiler(), None)
    with pytest.raises(DeviceError, match=r"cuda:0 \(host-shim\) has no library of products"):
        product(device, matrix(2, 2), matrix(2, 2))


def test_the_probe_says_how_to_get_cublas(monkeypatch):
    monkeypatch.setattr(cublas, "find", lambda: (None, "libcublas.so: not found"))
    found = cublas.probe()
    assert found.reason == "no cuBLAS 12 or later: libcublas.so: not found"
    assert found.remedy == "pip install nvidia-cublas"


# --- products that are added to what is there ----------------------------------------------------------------------


@pytest.mark.parametrize("in_place", [True, False])
@pytest.mark.parametrize("factor", [None, 3.0])
@pytest.mark.parametrize("shape", [(3, 4, 2), (3, 0, 2), (0, 4, 2)])
def test_a_product_is_added_to_a_matrix(device, shape, factor, in_place):
    m, k, n = shape
    a, b, s = (
        matrix(m, k, dtype="float32"),
        matrix(k, n, dtype="float32", seed=1),
        matrix(m, n, dtype="float32", seed=2),
    )
    start = strided(device, s)
    out = start if in_place else strided(device, np.full_like(s, np.nan))
    given = [] if factor is None else [strided(device, np.full((), factor, "float32"))]
    call = LibraryCall("gemm_add", (("alpha", -0.5),))
    cublas.gemm_add(device, call, [strided(device, a), strided(device, b), start, *given], [out])
    got = np.empty_like(s)
    device.download(out.block, got)
    device.synchronize()
    assert_allclose(got, s - 0.5 * (factor or 1) * (a @ b), rtol=1e-5)


def test_products_of_complex_matrices_are_calls_of_the_library_and_of_vectors_loops():
    calls = HostDriver()
    driver = Driver(
        lambda: calls, lambda: (HostCompiler(), ""),
        lambda stream, number, workspace: HostBlas(stream, calls._do, workspace),
    )  # fmt: skip
    a, b = ct.tensor("a", dtype="complex64", ndim=3), ct.tensor("b", dtype="complex64", ndim=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cublas, "probe", lambda: Probe(devices=("NumPy",)))
        plugins.reset()
        f = core.function([a, b], [a @ b, b @ b[0]], backend=driver)
    plugins.reset()
    assert [s.call.name for s in f.program.steps if isinstance(s, LibraryStep)] == ["complex_gemm"]
    x, y = matrix(2, 3, 4, dtype="complex64"), matrix(4, 4, dtype="complex64", seed=1)
    for got, want in zip(f(x, y), [x @ y, y @ y[0]], strict=True):
        assert_allclose(got, want, rtol=1e-5)


def test_a_training_step_lets_products_make_the_update():
    calls = HostDriver()
    driver = Driver(
        lambda: calls, lambda: (HostCompiler(), ""),
        lambda stream, number, workspace: HostBlas(stream, calls._do, workspace),
    )  # fmt: skip
    w, rate, x = core.shared(matrix(4, 3), name="w"), core.shared(np.float64(0.1)), ct.matrix("x")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cublas, "probe", lambda: Probe(devices=("NumPy",)))
        plugins.reset()
        step = core.function([x], [], updates={w: w - rate * (x.T @ ct.tanh(x @ w))}, backend=driver)
    plugins.reset()
    assert [s.call.name for s in step.program.steps if isinstance(s, LibraryStep)] == ["gemm", "gemm_add"]
    expected, a = w.get_value().copy(), matrix(6, 4, seed=1)
    for _ in range(3):
        expected = expected - 0.1 * (a.T @ np.tanh(a @ expected))
        step(a)
    assert_allclose(w.get_value(), expected)
