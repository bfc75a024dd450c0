"""Products of matrices by every means: the host's BLAS, CLBlast, and tiles of our own."""

import json

import numpy as np
import pytest

import core
import core.tensor as ct
from core.device.contract import Strided
from core.device.opened import Opened
from core.device.space import Space
from core.errors import BackendError
from core.ir.check.verify import verify_kernel
from core.ir.clike.cfamily import print_kernel
from core.ir.program import LibraryStep
from plugin_backend_opencl import blas, clblast, tuning
from plugin_backend_opencl.added import ONCE
from plugin_backend_opencl.device import ClDevice
from plugin_backend_opencl.tiles import Tile, TileProducts, column_kernel, pack_kernel, vector_kernel

MEANS = [
    pytest.param(
        "blas", marks=pytest.mark.skipif(blas.find()[0] is None, reason="SciPy, which brings BLAS, is not installed")
    ),
    pytest.param("clblast", marks=pytest.mark.skipif(clblast.find()[0] is None, reason="CLBlast is not installed")),
    "kernels",
]
TOLERANCE = {"float32": 3e-5, "float64": 1e-12}


@pytest.fixture(params=MEANS)
def means(request):
    with core.config.override({"opencl.products": request.param}):
        yield request.param


def matrices(*shapes, dtype="float64"):
    rng = np.random.default_rng(0)
    return [rng.normal(size=shape).astype(dtype) for shape in shapes]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("m, k, n", [(1, 1, 1), (5, 3, 17), (13, 29, 40), (64, 64, 64), (100, 7, 3), (7, 300, 33)])
def test_products_of_all_shapes(means, dtype, m, k, n):
    x, y = ct.tensor("x", dtype=dtype, ndim=2), ct.tensor("y", dtype=dtype, ndim=2)
    a, b = matrices((m, k), (k, n), dtype=dtype)
    got = core.function([x, y], x @ y, backend="opencl")(a, b)
    np.testing.assert_allclose(got, a @ b, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype] * k)


def test_transposed_sliced_and_computed_operands(means):
    x, y = ct.dmatrix("x"), ct.dmatrix("y")
    a, b = matrices((23, 23), (23, 23))
    outputs = [x.T @ y, x @ y.T, x.T @ y.T, x[3:9] @ y[:, 4:], x @ y[0], y[1] @ x, ct.exp(x) @ (y + 1), x[::2] @ y]
    wanted = [a.T @ b, a @ b.T, a.T @ b.T, a[3:9] @ b[:, 4:], a @ b[0], b[1] @ a, np.exp(a) @ (b + 1), a[::2] @ b]
    for got, want in zip(core.function([x, y], outputs, backend="opencl")(a, b), wanted, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-11)


def test_stacks_and_what_is_broadcast_to_them(means):
    x, y = ct.dtensor4("x"), ct.dtensor3("y")
    f = core.function([x, y], x @ y, backend="opencl")
    for left, right in [
        ((2, 3, 5, 7), (3, 7, 4)),
        ((2, 3, 5, 7), (1, 7, 4)),
        ((2, 1, 5, 7), (3, 7, 4)),
        ((0, 3, 2, 2), (3, 2, 2)),
    ]:
        a, b = matrices(left, right)
        np.testing.assert_allclose(f(a, b), a @ b, rtol=1e-12, atol=1e-12)


def test_products_of_nothing(means):
    x, y = ct.fmatrix("x"), ct.fmatrix("y")
    f = core.function([x, y], x @ y, backend="opencl")
    for m, k, n in [(0, 3, 2), (2, 0, 3), (2, 3, 0), (0, 0, 0)]:
        got = f(np.ones((m, k), "float32"), np.ones((k, n), "float32"))
        assert got.shape == (m, n) and not got.any()


def test_what_is_not_finite_stays(means):
    x, y = ct.dmatrix("x"), ct.dmatrix("y")
    a, b = matrices((20, 20), (20, 20))
    a[3, 4], b[5, 6], a[7, 7] = np.nan, np.inf, -np.inf
    with np.errstate(all="ignore"):
        want = a @ b
    got = core.function([x, y], x @ y, backend="opencl")(a, b)
    np.testing.assert_array_equal(np.isfinite(got), np.isfinite(want))
    np.testing.assert_allclose(got[np.isfinite(want)], want[np.isfinite(want)], rtol=1e-12)


def test_a_training_step_multiplies_what_stays_on_the_device(means):
    w, x = core.shared(np.eye(40)), ct.dmatrix("x")
    step = core.function([x], updates={w: ct.tanh(w @ x)}, backend="opencl")
    (a,) = matrices((40, 40))
    want = np.eye(40)
    for _ in range(3):
        step(a)
        want = np.tanh(want @ a)
    np.testing.assert_allclose(w.get_value(), want, rtol=1e-11)


def routines_of(f):
    return [step.call.name for step in f.program.steps if isinstance(step, LibraryStep)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("m, k, n", [(1, 1, 1), (13, 29, 40), (64, 64, 64), (7, 300, 33), (3, 0, 2), (0, 4, 2)])
def test_a_product_is_added_to_what_is_there(means, dtype, m, k, n):
    x, y, z = (ct.tensor(name, dtype=dtype, ndim=2) for name in "xyz")
    a, b, c = matrices((m, k), (k, n), (m, n), dtype=dtype)
    f = core.function([x, y, z], [z - 0.5 * (x @ y), z], backend="opencl")
    assert routines_of(f) == ["gemm_add"]
    for _ in range(2):
        got, same = f(a, b, c)
        np.testing.assert_allclose(got, c - 0.5 * (a @ b), rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype] * max(k, 1))
        assert np.array_equal(same, c)


def test_a_sum_of_products_is_one_matrix(means):
    x, y, u, v = (ct.dmatrix(name) for name in "xyuv")
    a, b, c, d = matrices((17, 33), (33, 21), (17, 5), (5, 21))
    f = core.function([x, y, u, v], ct.tanh(x @ y + u @ v + 1), backend="opencl")
    assert routines_of(f) == ["gemm", "gemm_add"]
    np.testing.assert_allclose(f(a, b, c, d), np.tanh(a @ b + c @ d + 1), rtol=1e-11)


@pytest.mark.parametrize("shape", [(50, 40, 30), (5, 4, 3)])
def test_an_update_takes_its_factor_from_the_device(means, shape):
    m, k, n = shape
    (start, a) = matrices((k, n), (m, k))
    w, rate, x = core.shared(start, name="w"), core.shared(np.float64(0.1), name="rate"), ct.dmatrix("x")
    step = core.function([x], updates={w: w - rate * (x.T @ ct.tanh(x @ w)), rate: rate / 2}, backend="opencl")
    assert routines_of(step) == ["gemm", "gemm_add"]
    want, factor = start.copy(), 0.1
    for _ in range(4):
        step(a)
        want, factor = want - factor * (a.T @ np.tanh(a @ want)), factor / 2
    np.testing.assert_allclose(w.get_value(), want, rtol=1e-11, atol=1e-12)


def test_stacks_are_added_to_stacks(means):
    x, y, z = ct.dtensor3("x"), ct.dtensor3("y"), ct.dtensor3("z")
    f = core.function([x, y, z], z + 2.0 * (x @ y), backend="opencl")
    assert routines_of(f) == ["gemm_add"]
    for left, right in [((4, 5, 7), (4, 7, 6)), ((4, 5, 7), (1, 7, 6)), ((1, 5, 7), (4, 7, 6)), ((0, 5, 7), (0, 7, 6))]:
        a, b = matrices(left, right)
        c = np.ones((max(left[0], right[0]) if left[0] else 0, 5, 6))
        np.testing.assert_allclose(f(a, b, c), c + 2 * (a @ b), rtol=1e-12, atol=1e-12)


def test_what_is_not_finite_in_what_a_product_is_added_to_stays(means):
    x, y, z = ct.dmatrix("x"), ct.dmatrix("y"), ct.dmatrix("z")
    a, b, c = matrices((20, 20), (20, 20), (20, 20))
    c[3, 4], c[5, 6], a[7, 7] = np.nan, np.inf, -np.inf
    with np.errstate(all="ignore"):
        want = c + a @ b
    np.testing.assert_allclose(core.function([x, y, z], z + x @ y, backend="opencl")(a, b, c), want, rtol=1e-12)


@pytest.mark.skipif(
    blas.find()[0] is None or blas.threads() is None, reason="BLAS whose threads can be set is not there"
)
def test_blas_works_with_the_threads_that_a_call_may_use(monkeypatch):
    x, y = ct.dmatrix("x"), ct.dmatrix("y")
    a, b = matrices((50, 50), (50, 50))
    with core.config.override({"opencl.products": "blas"}):
        f = core.function([x, y], x @ y, backend="opencl")
        f(a, b)
    get, put = blas.threads()
    before, asked = get(), []
    monkeypatch.setattr(blas, "threads", lambda: (get, lambda n: (asked.append(n), put(n))))
    with core.num_threads(before + 1):
        np.testing.assert_allclose(f(a, b), a @ b, rtol=1e-12, atol=1e-12)
    assert asked == [before + 1, before] and get() == before


@pytest.mark.parametrize("tile", [Tile(1, 4), Tile(3, 8), Tile(6, 16)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_kernels_of_tiles_are_legal_and_print(space, tile, dtype):
    products = [make("p", dtype, tile, adds) for make in (vector_kernel, column_kernel) for adds in (False, True)]
    for kernel in (pack_kernel(dtype, tile), *products):
        verify_kernel(kernel)
        assert "__kernel" in print_kernel(kernel, space.facts.dialect)[0]


def options(**changed):
    values = {"schedule": "auto", "float64": "error", "deterministic": False, "products": "kernels", "zero_copy": True}
    return {f"opencl.{name}": value for name, value in {**values, **changed}.items()}


def test_tiles_for_work_items_that_run_side_by_side(device):
    backend = Opened("opencl", Space(ClDevice(device, options(schedule="groups"))))
    x, y = ct.fmatrix("x"), ct.fmatrix("y")
    f = core.function([x, y], [x @ y, x.T @ y, y - 2 * (x @ y)], backend=backend)
    a, b = matrices((19, 19), (19, 31), dtype="float32")
    for got, want in zip(f(a, b), [a @ b, a.T @ b, b - 2 * (a @ b)], strict=True):
        np.testing.assert_allclose(got, want, rtol=3e-5, atol=1e-4)


@pytest.mark.parametrize("tile", tuning.candidates("float64", False), ids=str)
def test_tiles_of_several_columns_take_each_column_once(device, tile):
    side_by_side = ClDevice(device, options(schedule="groups"))
    products = TileProducts(side_by_side, "float64", tile)
    for m, k, n in [(1, 1, 1), (19, 5, 31), (8, 3, 4), (33, 7, 130)]:
        (left, right) = matrices((m, k), (n, k))
        a, b, c = (side_by_side.allocate(8 * size) for size in (m * k, k * n, m * n))
        side_by_side.upload(a, left, keep=False)
        side_by_side.upload(b, right, keep=False)
        strided = [(a, (m, k), (k, 1)), (b, (k, n), (1, k)), (c, (m, n), (n, 1))]
        products.multiply(
            *(Strided(one, "float64", (1, *shape), (0, *by), 0) for one, shape, by in strided), None, ONCE
        )
        side_by_side.download(c, got := np.empty((m, n)))
        side_by_side.synchronize()
        np.testing.assert_allclose(got, left @ right.T, rtol=1e-12, atol=1e-12)


def test_the_best_tile_is_found_once_and_remembered(device, tmp_path, monkeypatch):
    monkeypatch.setattr(tuning, "_TRIED", 32)
    monkeypatch.setattr(tuning, "_LARGE", 30**3)
    x, y = ct.fmatrix("x"), ct.fmatrix("y")
    a, b = matrices((30, 30), (30, 30), dtype="float32")
    made = []
    real = TileProducts.__init__

    def counted(self, device, dtype, tile, adds=False):
        made.append(tile)
        real(self, device, dtype, tile, adds)

    monkeypatch.setattr(TileProducts, "__init__", counted)
    with core.config.override(cache_dir=str(tmp_path)):
        for first in (True, False):
            made.clear()
            f = core.function([x, y], x @ y, backend=Opened("opencl", Space(ClDevice(device, options()))))
            np.testing.assert_allclose(f(a, b), a @ b, rtol=3e-5, atol=1e-4)
            tried = tuning.candidates("float32", bool(ClDevice(device, options()).facts.dialect.vectors))
            assert made == ([*tried, made[-1]] if first else made[-1:]), "the second device was told"
        (file,) = (tmp_path / "opencl").glob("tiles-*.json")
        assert json.loads(file.read_text()) == {"float32": [made[-1].rows, made[-1].columns]}
        file.write_text("damaged")
        f = core.function([x, y], x @ y, backend=Opened("opencl", Space(ClDevice(device, options()))))
        np.testing.assert_allclose(f(a, b), a @ b, rtol=3e-5, atol=1e-4)


def test_a_library_that_is_asked_for_and_absent_is_an_error(device, monkeypatch):
    monkeypatch.setattr(clblast, "find", lambda: (None, "no library clblast"))
    monkeypatch.setattr(blas, "find", lambda: (None, "No module named 'scipy'"))
    with pytest.raises(BackendError, match="opencl.products='clblast' cannot be used: no library clblast"):
        _ = ClDevice(device, options(products="clblast")).products
    assert ClDevice(device, options(products="auto")).products.means == "kernels"
