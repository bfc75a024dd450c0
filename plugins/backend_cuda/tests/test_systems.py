"""Symmetric, tridiagonal and banded systems on the device, their gradients, and every function of linear algebra."""

import numpy as np
import pytest

import core
import core.tensor as ct
from core import plugins
from core.compile.lower import lower
from core.errors import DeviceError, ShapeError
from core.records import Probe
from core.testing import random
from plugin_backend_cuda import cublas, cusolver, systems
from plugin_backend_cuda.backend import Driver
from plugin_backend_cuda.shim.driver import HostCompiler, HostDriver
from plugin_backend_cuda.shim.lapack import at
from plugin_backend_cuda.shim.libraries import makers
from plugin_backend_cuda.shim.sparse import HostSparse

linalg = pytest.importorskip("plugin_ops_linalg")
scipy_linalg = pytest.importorskip("scipy.linalg")
examples = pytest.importorskip("plugin_ops_linalg.examples")

CALLS = HostDriver()
DRIVER = Driver(
    lambda: CALLS,
    lambda: (HostCompiler(), ""),
    *makers(CALLS._do),
)
DTYPES = ("float32", "float64", "complex64", "complex128")
ON_HOST = {  # what is computed by Python, for want of a routine
    "expm", "logm", "sqrtm", "schur", "qz", "ordqz", "null_space", "solve_circulant", "solve_toeplitz",
    "solve_continuous_lyapunov", "solve_discrete_are", "solve_discrete_lyapunov", "solve_sylvester",
    "qr(pivoting=True)",
}  # fmt: skip
VECTORS = {
    "eigh",
    "eigh(b)",
    "svd",
    "svd(full_matrices=False)",
    "qr",
    "qr(mode='complete')",
}  # whose columns are free up to a factor
FREE = {"svd", "qr(mode='complete')"}  # which have no gradient, therefore


@pytest.fixture(scope="module", autouse=True)
def libraries():
    """The libraries are there, whatever this machine has."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (cublas, cusolver):
            patch.setattr(module, "probe", lambda: Probe(devices=("SciPy",)))
        patch.setattr(cusolver, "probe_general", cusolver.probe)
        plugins.reset()
        yield
    plugins.reset()


def compiled(op, *arrays):
    """A function on the device, which must not ask Python, and one of the interpreter."""
    inputs = [ct.tensor(f"x{k}", dtype=x.dtype.name, ndim=x.ndim) for k, x in enumerate(arrays)]
    out = op(*inputs)
    outputs = list(out) if isinstance(out, (list, tuple)) else [out]
    f, g = (core.function(inputs, outputs, backend=backend) for backend in (DRIVER, "interpreter"))
    assert not f.program.host_nodes
    return f, g


def assert_agree(op, *arrays, tol=1e-9):
    f, g = compiled(op, *arrays)
    for mine, theirs in zip(f(*arrays), g(*arrays), strict=True):
        assert mine.dtype == theirs.dtype and mine.shape == theirs.shape
        np.testing.assert_allclose(mine, theirs, rtol=tol, atol=tol * max(1, np.abs(theirs).max(initial=0)))


def diagonals(below, above, *shape, dtype="float64"):
    """A band whose main diagonal is small, so that rows are exchanged."""
    ab = random((*shape[:-1], below + above + 1, shape[-1]), dtype)
    ab[..., above, :] *= 0.1
    return ab


# --- banded systems -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("below, above", [(0, 0), (1, 0), (0, 2), (1, 1), (2, 1), (1, 3), (7, 9)])
@pytest.mark.parametrize("n, k", [(1, 1), (2, 3), (9, 1), (9, 40), (0, 2), (5, 0)])
def test_banded_systems_are_those_of_lapack(below, above, n, k, dtype):
    ab, b = diagonals(below, above, n, dtype=dtype), random((n, k), dtype, seed=1)
    assert_agree(lambda ab, b: linalg.solve_banded((below, above), ab, b), ab, b, tol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_banded_systems_of_single_precision(dtype):
    ab, b = diagonals(2, 1, 9, dtype=dtype), random((9, 3), dtype, seed=1)
    ab[1] += 2
    assert_agree(lambda ab, b: linalg.solve_banded((2, 1), ab, b), ab, b, tol=1e-4)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("below, above", [(1, 1), (3, 2)])
@pytest.mark.parametrize("leads", [((4,), (4,)), ((4,), ()), ((), (4,)), ((2, 1), (3,)), ((0,), (0,))], ids=str)
def test_stacks_of_banded_systems_broadcast(leads, below, above, dtype):
    ab, b = diagonals(below, above, *leads[0], 12, dtype=dtype), random((*leads[1], 12, 2), dtype, seed=1)
    assert_agree(lambda ab, b: linalg.solve_banded((below, above), ab, b), ab, b, tol=1e-7)


def test_wide_bands_are_shared_by_many_threads():
    ab, b = diagonals(20, 20, 60), random((60, 3), seed=1)
    x = compiled(lambda ab, b: linalg.solve_banded((20, 20), ab, b), ab, b)[0](ab, b)[0]
    np.testing.assert_allclose(x, scipy_linalg.solve_banded((20, 20), ab, b), rtol=1e-7, atol=1e-7)


def test_rows_are_exchanged_where_the_diagonal_is_zero():
    ab = np.array([[0.0, 1, 1, 1], [0, 0, 0, 0], [1, 1, 1, 0]])
    f, _ = compiled(lambda ab, b: linalg.solve_banded((1, 1), ab, b), ab, np.ones((4, 1)))
    np.testing.assert_array_equal(f(ab, np.ones((4, 1)))[0], scipy_linalg.solve_banded((1, 1), ab, np.ones((4, 1))))


def test_a_pivot_that_is_zero_is_named():
    ab = np.ones((3, 5))
    ab[:, 2:] = 0
    f, g = compiled(lambda ab, b: linalg.solve_banded((1, 1), ab, b), ab, np.ones((5, 1)))
    for one in (f, g):
        with pytest.raises(linalg.LinAlgError, match="the matrix is singular: pivot 2 is 0"):
            one(ab, np.ones((5, 1)))


def test_a_band_of_another_number_of_diagonals_is_an_error():
    f, _ = compiled(lambda ab, b: linalg.solve_banded((1, 1), ab, b), np.ones((3, 5)), np.ones((5, 1)))
    with pytest.raises(ShapeError, match="needs ab with 3 rows, its diagonals, got 4"):
        f(np.ones((4, 5)), np.ones((5, 1)))


# --- long tridiagonal systems, by cuSPARSE --------------------------------------------------------------------------


@pytest.fixture
def asked(monkeypatch):
    """How many rows a system must have is less here; the systems that cuSPARSE was asked for, as (n, k)."""
    found, solve = [], HostSparse.gtsv

    def noting(self, dtype, n, k, *rest):
        found.append((n, k))
        solve(self, dtype, n, k, *rest)

    monkeypatch.setattr(systems, "ROWS_AT_ONCE", 4)
    monkeypatch.setattr(HostSparse, "gtsv", noting)
    return found


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(9,), (2, 9)], ids=str)
def test_few_long_tridiagonal_systems_are_solved_by_parts(asked, shape, dtype):
    ab, b = diagonals(1, 1, *shape, dtype=dtype), random((9, 2), dtype, seed=1)
    tol = 1e-8 if dtype in ("float64", "complex128") else 2e-3
    ab[..., 1, :] += 1.5
    assert_agree(lambda ab, b: linalg.solve_banded((1, 1), ab, b), ab, b, tol=tol)
    assert asked == [(9, 2)] * (2 if len(shape) == 2 else 1)


def test_of_a_matrix_too_three_diagonals_are_solved_by_parts(asked):
    a, b = random((9, 9)) + 2 * np.eye(9), random((9, 1), seed=1)
    assert_agree(lambda a, b: linalg.solve(a.T, b, assume_a="tridiagonal"), a, b, tol=1e-8)
    assert asked == [(9, 1)]


@pytest.mark.parametrize("below, above, shape", [(1, 1, (2,)), (1, 1, (5, 9)), (2, 1, (9,))], ids=str)
def test_short_and_many_and_wider_systems_are_not(asked, below, above, shape):
    ab, b = diagonals(below, above, *shape), random((shape[-1], 1), seed=1)
    assert_agree(lambda ab, b: linalg.solve_banded((below, above), ab, b), ab, b, tol=1e-6)
    assert asked == []


def test_what_cusparse_cannot_solve_is_eliminated_row_by_row(asked, monkeypatch):
    ab, b = diagonals(1, 1, 2, 9), random((9, 2), seed=1)
    f, g = compiled(lambda ab, b: linalg.solve_banded((1, 1), ab, b), ab, b)
    solve = HostSparse.gtsv

    def failing(self, dtype, n, k, three, x, work):
        solve(self, dtype, n, k, three, x, work)
        self._do(self._stream, lambda: at(x, dtype, n * k).__setitem__(5, np.inf))

    monkeypatch.setattr(HostSparse, "gtsv", failing)
    np.testing.assert_allclose(f(ab, b)[0], g(ab, b)[0], rtol=1e-6)
    ab[1, :, :2] = 0  # the first columns are 0
    with pytest.raises(
        linalg.LinAlgError, match=r"pivot 0 is 0 \(shape \(3, 9\) and \(9, 2\), matrix \(1,\) of the stack"
    ):
        f(ab, b)


def test_a_call_of_cusparse_that_fails_is_an_error_and_leaves_the_last_good_value(asked, monkeypatch):
    def failing(self, *given):
        raise DeviceError("cusparseDgtsv2 failed: injected")

    ab, b = diagonals(1, 1, 9), random((9, 2), seed=1)
    x, y, w = ct.matrix("x"), ct.matrix("y"), core.shared(np.zeros(2))
    step = core.function([x, y], linalg.solve_banded((1, 1), x, y), updates={w: w + 1}, backend=DRIVER)
    step(ab, b)
    with monkeypatch.context() as patch:
        patch.setattr(HostSparse, "gtsv", failing)
        with pytest.raises(DeviceError, match="cusparseDgtsv2 failed: injected"):
            step(ab, b)
    step(ab, b)
    assert w.get_value().tolist() == [2, 2]


# --- symmetric and tridiagonal systems ------------------------------------------------------------------------------

ASSUMED = ("sym", "her", "tridiagonal", "pos", "gen")


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("assume_a", ["sym", "her"])
def test_of_indefinite_matrices_one_triangle_is_read(assume_a, lower, dtype):
    a, b = random((3, 6, 6), dtype), random((6, 2), dtype, seed=1)
    a[..., *(np.triu_indices(6, 1) if lower else np.tril_indices(6, -1))] = 7
    assert_agree(lambda a, b: linalg.solve(a, b, assume_a=assume_a, lower=lower), a, b, tol=1e-8)


@pytest.mark.parametrize("assume_a", ["sym", "her", "tridiagonal"])
def test_a_singular_matrix_is_an_error(assume_a):
    a, b = np.zeros((3, 3)), np.ones((3, 1))
    f, _ = compiled(lambda a, b: linalg.solve(a, b, assume_a=assume_a), a, b)
    with pytest.raises(linalg.LinAlgError, match="singular: pivot 0 is 0"):
        f(a, b)


@pytest.mark.parametrize("assume_a", ["sym", "her", "tridiagonal"])
def test_what_is_not_finite_is_named(assume_a):
    a = np.eye(3) * (1 + 0j)
    a[1, 1] = complex(1, -np.inf)
    f, _ = compiled(lambda a, b: linalg.solve(a, b, assume_a=assume_a), a, np.ones((3, 1)) * (1 + 0j))
    with pytest.raises(linalg.LinAlgError, match=r"input 0 is -inf at \(1, 1\), not finite"):
        f(a, np.ones((3, 1)) * (1 + 0j))


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("assume_a", ASSUMED)
def test_gradients_of_systems_stay_on_the_device(assume_a, dtype):
    x = random((2, 5, 5), dtype)
    a, b = x @ np.swapaxes(x, -1, -2).conj() + np.eye(5), random((5, 2), dtype, seed=1)

    def gradients(a, b):
        return core.grad((ct.abs(linalg.solve(a, b, assume_a=assume_a)) ** 2).sum(), [a, b])

    assert_agree(gradients, a, b, tol=1e-7)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_gradients_of_banded_systems_stay_on_the_device(dtype):
    ab, b = diagonals(2, 1, 2, 7, dtype=dtype), random((7, 2), dtype, seed=1)

    def gradients(ab, b):
        return core.grad((ct.abs(linalg.solve_banded((2, 1), ab, b)) ** 2).sum(), [ab, b])

    assert_agree(gradients, ab, b, tol=1e-6)


# --- failures of stacks ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_results_of_other_dtypes_become_nan_or_zero_where_a_matrix_fails(dtype):
    a = np.stack([np.eye(3), np.full((3, 3), np.nan), 2 * np.eye(3)]).astype(dtype)

    def found(a):
        return [
            *linalg.lu_factor(a, on_error="nan"),
            *linalg.eigh(a, on_error="nan"),
            linalg.svdvals(a, on_error="nan"),
            linalg.solve(a, a, assume_a="sym", on_error="nan"),
        ]

    f, g = compiled(found, a)
    for mine, theirs in zip(f(a), g(a), strict=True):
        np.testing.assert_array_equal(
            np.isnan(mine).any(axis=tuple(range(1, mine.ndim))), [False, mine.dtype.kind != "i", False]
        )
        np.testing.assert_array_equal(mine[1], theirs[1])


# --- every function of the pack -------------------------------------------------------------------------------------


def in_python(inputs, outputs):
    """The ops that a device goes back to Python for."""
    graph = core.function(inputs, outputs, backend="interpreter", on_unused_input="ignore").graph
    return {type(node.op).__name__ for node, _, _ in lower(graph, DRIVER.dialect_table).host_nodes}


def is_on_host(example):
    return example.of in ON_HOST or example.name in ON_HOST


@pytest.mark.filterwarnings("ignore:.*Python computes it")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("example", examples.EXAMPLES, ids=lambda one: one.name)
def test_every_function_runs_on_the_device_but_for_what_has_no_routine(example, dtype):
    assert bool(in_python(*example.symbolic(dtype))) == is_on_host(example)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("example", [one for one in examples.EXAMPLES if not is_on_host(one)], ids=lambda one: one.name)
def test_every_function_and_its_gradient_give_what_the_interpreter_gives(example, dtype):
    inputs, outputs = example.symbolic(dtype)
    cost = sum((ct.sum(ct.abs(x) ** 2) for x in outputs if x.dtype.startswith(("float", "complex"))), ct.as_tensor(0.0))
    results = [] if example.name in VECTORS else list(outputs)
    if example.name not in FREE and cost.owner is not None:
        results += core.grad(cost, inputs, disconnected_inputs="ignore")
    f, g = (
        core.function(inputs, results, backend=backend, on_unused_input="ignore") for backend in (DRIVER, "interpreter")
    )
    assert not f.program.host_nodes
    arrays = example.arrays(dtype)
    for mine, theirs in zip(f(*arrays), g(*arrays), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-7, atol=1e-7 * max(1, np.abs(theirs).max(initial=0)))
