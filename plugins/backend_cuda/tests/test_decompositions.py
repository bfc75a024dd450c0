"""Linear algebra: what cuSOLVER and cuBLAS are asked for, computed on the host, against the interpreter."""

import numpy as np
import pytest

import core
import core.tensor as ct
import plugin_backend_cuda
from core import plugins
from core.errors import BackendError, CoreWarning
from core.ir.program import HostStep
from core.records import Probe
from core.testing import random
from plugin_backend_cuda import cublas, cusolver
from plugin_backend_cuda.backend import Driver
from plugin_backend_cuda.decompositions import GENERAL, ROUTINES
from plugin_backend_cuda.shim.driver import HostCompiler, HostDriver
from plugin_backend_cuda.shim.libraries import makers
from plugin_backend_cuda.shim.recorder import Recorder
from plugin_backend_cuda.systems import NOT_SQUARE, STACKED

linalg = pytest.importorskip("plugin_ops_linalg")
failures = pytest.importorskip("plugin_ops_linalg.failures")

CholeskyInverse = pytest.importorskip("plugin_ops_linalg.families.cholesky").CholeskyInverse

CALLS = HostDriver()
DRIVER = Driver(
    lambda: CALLS,
    lambda: (HostCompiler(), ""),
    *makers(CALLS._do)[:2],
)
PROBE, PROBE_GENERAL = cusolver.probe, cusolver.probe_general
TOLERANCE = {"float64": 1e-8, "float32": 2e-3, "complex128": 1e-8, "complex64": 2e-3}
UNIQUE = {  # what is one matrix, whoever computes it
    "cholesky": linalg.cholesky,
    "upper": lambda a: linalg.cholesky(a, lower=False),
    "gradient": lambda a: core.grad(ct.real(linalg.cholesky(a) * 2.0).sum(), a),
    "inv": linalg.inv,
    "det": linalg.det,
    "slogdet": linalg.slogdet,
    "eigvalsh": linalg.eigvalsh,
    "svdvals": linalg.svdvals,
    "r": lambda a: abs(linalg.qr(a, "r")),
}
SYSTEMS = {
    "lower": lambda a, b: linalg.solve_triangular(a, b, lower=True),
    "upper": lambda a, b: linalg.solve_triangular(a, b, lower=False),
    "transposed": lambda a, b: linalg.solve_triangular(a, b, trans=1, lower=True),
    "adjoint": lambda a, b: linalg.solve_triangular(a, b, trans=2, lower=True),
    "unit": lambda a, b: linalg.solve_triangular(a, b, lower=True, unit_diagonal=True),
    "factored": lambda a, b: linalg.cho_solve((a, True), b),
    "factored upper": lambda a, b: linalg.cho_solve((a, False), b),
    "general": linalg.solve,
    "symmetric": lambda a, b: linalg.solve(a, b, assume_a="sym"),
    "symmetric lower": lambda a, b: linalg.solve(a, b, assume_a="sym", lower=True),
    "hermitian": lambda a, b: linalg.solve(a, b, assume_a="her"),
    "hermitian lower": lambda a, b: linalg.solve(a, b, assume_a="her", lower=True),
    "tridiagonal": lambda a, b: linalg.solve(a, b, assume_a="tridiagonal"),
}


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


def matrices(*shape, dtype="float64", seed=0):
    return random(shape, dtype, seed)


def adjoint(x):
    return np.swapaxes(x, -1, -2).conj()


def positive(*shape, dtype="float64"):
    x = matrices(*shape, dtype=dtype)
    return (x @ adjoint(x) + np.eye(shape[-1])).astype(dtype)


def both(op, *arrays):
    """The results on the device and of the interpreter; the device must not ask Python."""
    inputs = [ct.tensor(f"x{k}", dtype=x.dtype.name, shape=(None,) * x.ndim) for k, x in enumerate(arrays)]
    out = op(*inputs)
    outputs = list(out) if isinstance(out, (list, tuple)) else [out]
    f, g = (core.function(inputs, outputs, backend=backend) for backend in (DRIVER, "interpreter"))
    assert not f.program.host_nodes
    return f(*arrays), g(*arrays)


def assert_same(pair, tol):
    for mine, theirs in zip(*pair, strict=True):
        assert mine.dtype == theirs.dtype
        np.testing.assert_allclose(mine, theirs, rtol=tol, atol=tol)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shape", [(0, 0), (1, 1), (5, 5), (3, 4, 4), (2, 0, 0), (0, 3, 3), (2, 3, 4, 4)], ids=str)
@pytest.mark.parametrize("name", UNIQUE)
def test_factors_are_those_of_the_interpreter(name, shape, dtype):
    assert_same(both(UNIQUE[name], positive(*shape, dtype=dtype)), TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("n, k", [(0, 2), (4, 0), (1, 1), (5, 1), (5, 3)])
@pytest.mark.parametrize("name", SYSTEMS)
def test_solutions_are_those_of_the_interpreter(name, n, k, dtype):
    a = (matrices(n, n, dtype=dtype) + n * np.eye(n)).astype(dtype)
    assert_same(both(SYSTEMS[name], a, matrices(n, k, dtype=dtype, seed=1)), TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.parametrize("leads", [((3,), (3,)), ((3,), ()), ((), (3,)), ((2, 1), (3,))], ids=str)
def test_stacks_of_systems_broadcast(name, leads, dtype):
    a, b = matrices(*leads[0], 4, 4, dtype=dtype) + 4 * np.eye(4), matrices(*leads[1], 4, 2, dtype=dtype, seed=1)
    assert_same(both(SYSTEMS[name], a, b), 1e-8)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("name", SYSTEMS)
def test_transposed_matrices_and_parts_are_read_where_they_lie(name, dtype):
    def of_a_view(a, b):
        return SYSTEMS[name](a[1:6, 2:7].T, b[1:, :3])

    a = matrices(8, 9, dtype=dtype) + 8 * np.eye(8, 9, 1)
    assert_same(both(of_a_view, a, matrices(6, 5, dtype=dtype, seed=1)), 1e-6)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("name", ["det", "slogdet", "eigvalsh", "svdvals", "r"])
def test_transposed_matrices_are_decomposed_where_they_lie(name, dtype):
    assert_same(both(lambda a: UNIQUE[name](a[1:, 1:].T), positive(6, 6, dtype=dtype)), 1e-8)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("shape", [(1, 1), (6, 6), (3, 5, 5), (2, 33, 33), (0, 0), (2, 0, 0)], ids=str)
def test_eigenvectors_diagonalise_the_triangle_that_is_read(shape, lower, dtype):
    a = matrices(*shape, dtype=dtype)
    (w, v), (expected, _) = both(lambda x: linalg.eigh(x, lower=lower), a)
    half = np.tril(a) if lower else np.triu(a)
    whole = half + adjoint(half) - half.conj() * np.eye(shape[-1])
    whole = np.where(np.eye(shape[-1]), whole.real, whole)
    np.testing.assert_allclose(w, expected, atol=1e-10)
    np.testing.assert_allclose(whole @ v, v * w[..., None, :], atol=1e-10)
    np.testing.assert_allclose(adjoint(v) @ v, np.broadcast_to(np.eye(shape[-1]), v.shape), atol=1e-10)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shape", [(1, 1), (6, 6), (3, 5, 5), (0, 0)], ids=str)
def test_eigenvectors_of_general_matrices(shape, dtype):
    a, tol = matrices(*shape, dtype=dtype), TOLERANCE[dtype]
    (w, v), (w2, v2) = both(lambda x: list(linalg.eig(x)), a)
    assert (w.dtype, v.dtype, w.shape, v.shape) == (w2.dtype, v2.dtype, w2.shape, v2.shape)
    np.testing.assert_allclose(a @ v, v * w[..., None, :], atol=tol)
    np.testing.assert_allclose(np.linalg.norm(v, axis=-2), np.ones(w.shape), rtol=1e-5)
    np.testing.assert_allclose(np.sort_complex(w), np.sort_complex(w2), atol=tol)
    assert_same(both(lambda x: linalg.eigvals(x).sum(axis=-1), a), tol)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize(
    "shape",
    [(5, 3), (3, 5), (4, 4), (1, 6), (6, 1), (2, 5, 3), (2, 3, 5), (2, 33, 3), (2, 3, 33), (0, 3), (3, 0), (2, 0, 3)],
    ids=str,
)
def test_singular_vectors_give_the_matrix_back(shape, full, dtype):
    a = matrices(*shape, dtype=dtype)
    (u, s, vh), (u2, s2, vh2) = both(lambda x: linalg.svd(x, full_matrices=full), a)
    k = min(shape[-2:])
    assert (u.shape, vh.shape) == (u2.shape, vh2.shape)
    np.testing.assert_allclose(s, s2, atol=1e-10)
    np.testing.assert_allclose(u[..., :k] * s[..., None, :] @ vh[..., :k, :], a, atol=1e-10)
    for one in (adjoint(u) @ u, vh @ adjoint(vh)):
        np.testing.assert_allclose(one, np.broadcast_to(np.eye(one.shape[-1]), one.shape), atol=1e-10)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("mode", ["reduced", "complete"])
@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4), (2, 5, 3), (1, 1), (0, 3), (3, 0)], ids=str)
def test_q_and_r_give_the_matrix_back(shape, mode, dtype):
    a = matrices(*shape, dtype=dtype)
    (q, r), (q2, r2) = both(lambda x: linalg.qr(x, mode), a)
    assert (q.shape, r.shape) == (q2.shape, r2.shape)
    np.testing.assert_allclose(q @ r, a, atol=1e-10)
    np.testing.assert_allclose(adjoint(q) @ q, np.eye(q.shape[-1]) + np.zeros((*shape[:-2], 1, 1)), atol=1e-10)
    np.testing.assert_array_equal(r, np.triu(r))


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4), (2, 4, 4), (1, 1), (0, 3)], ids=str)
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_lu_factors_and_their_exchanges_are_those_of_the_interpreter(shape, dtype):
    assert_same(both(lambda a: list(linalg.lu_factor(a)), matrices(*shape, dtype=dtype)), 1e-10)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("trans", [0, 1, 2])
@pytest.mark.parametrize("leads", [((), ()), ((3,), (3,)), ((2, 1), (3,))], ids=str)
def test_lu_factors_serve_systems(leads, trans, dtype):
    def solved(a, b):
        return linalg.lu_solve(linalg.lu_factor(a), b, trans=trans)

    a, b = matrices(*leads[0], 5, 5, dtype=dtype), matrices(*leads[1], 5, 2, dtype=dtype, seed=1)
    assert_same(both(solved, a, b), 1e-8)


def test_one_factorisation_serves_an_inverse_and_a_determinant():
    a = matrices(3, 4, 4) + 2 * np.eye(4)
    assert_same(both(lambda x: [linalg.inv(x), linalg.det(x), linalg.solve(x, x.sum(axis=-1, keepdims=True))], a), 1e-8)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("whole", [True, False])
def test_inverses_from_cholesky_factors(lower, whole, dtype):
    factor = linalg.cholesky
    both_ways = both(lambda a: CholeskyInverse(lower, whole)(factor(a, lower=lower)), positive(2, 4, 4, dtype=dtype))
    assert_same(both_ways, 1e-8)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("lower", [True, False])
def test_matrices_of_more_than_a_warp_are_factored_by_the_library(lower, dtype):
    a = positive(2, 40, 40, dtype=dtype)
    assert_same(both(lambda x: [linalg.cholesky(x, lower=lower), linalg.cholesky(x[0], lower=lower)], a), 1e-8)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_large_matrices_are_factored_one_by_one(dtype):
    a = positive(2, STACKED + 1, STACKED + 1, dtype=dtype) / STACKED + np.eye(STACKED + 1)
    assert_same(both(lambda x: [linalg.cholesky(x), linalg.inv(x)], a), 1e-8)


# --- matrices that fail ---------------------------------------------------------------------------------------------

FAILING = {
    "cholesky": (lambda a: linalg.cholesky(a), np.array([[1.0, 2.0], [2.0, 1.0]]), "leading minor of order 2"),
    "inv": (lambda a: linalg.inv(a), np.ones((2, 2)), "singular"),
    "solve": (lambda a: linalg.solve(a, np.ones((2, 1))), np.zeros((2, 2)), "singular: pivot 0 is 0"),
    "triangular": (
        lambda a: linalg.solve_triangular(a, np.ones((2, 1)), lower=True), np.array([[1.0, 0], [1, 0]]),
        "element 1 of its diagonal is 0",
    ),
    "not finite": (lambda a: linalg.eigvalsh(a), np.array([[1.0, np.nan], [0, 1]]), r"input 0 is nan at \(0, 1\)"),
    "infinite": (lambda a: linalg.svdvals(a), np.array([[1.0, 0], [-np.inf, 1]]), r"input 0 is -inf at \(1, 0\)"),
    "small and infinite": (
        lambda a: linalg.cholesky(a), np.array([[1.0, 0], [np.inf, np.nan]]), r"input 0 is inf at \(1, 0\), not finite",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAILING)
def test_a_matrix_that_fails_is_an_error_that_says_why_and_changes_nothing(name):
    op, bad, why = FAILING[name]
    x, w = ct.matrix("x"), core.shared(np.zeros(2))
    f = core.function([x], op(x), updates={w: w + 1}, backend=DRIVER)
    with pytest.raises(linalg.LinAlgError, match=why):
        f(bad)
    assert w.get_value().sum() == 0
    f(np.eye(2))
    assert w.get_value().sum() == 2


def test_an_update_that_fails_leaves_the_last_good_value():
    w, x = core.shared(np.eye(3)), ct.matrix("x")
    step = core.function([x], [], updates={w: linalg.cholesky(w @ x)}, backend=DRIVER)
    step(4 * np.eye(3))
    with pytest.raises(linalg.LinAlgError, match="not positive definite"):
        step(-np.eye(3))
    np.testing.assert_array_equal(w.get_value(), 2 * np.eye(3))


def test_the_matrix_that_failed_is_named_by_its_place():
    x = ct.tensor("x", ndim=4)
    f = core.function([x], linalg.cholesky(x), backend=DRIVER)
    a = np.broadcast_to(np.eye(2), (2, 3, 2, 2)).copy()
    a[1, 2] = -1
    with pytest.raises(
        linalg.LinAlgError, match=r"order 1 is not positive \(shape \(2, 2\), matrix \(1, 2\) of the st"
    ):
        f(a)


def test_nan_takes_the_place_of_a_matrix_that_fails_where_that_is_wanted():
    a = np.stack([np.eye(2), np.ones((2, 2)), np.full((2, 2), np.nan)])
    got, expected = both(lambda x: linalg.inv(x, on_error="nan"), a)
    np.testing.assert_array_equal(got[0], expected[0])


def test_matrices_that_are_not_square_are_an_error():
    x = ct.matrix("x")
    f = core.function([x], linalg.inv(x), backend=DRIVER)
    with pytest.raises(linalg.LinAlgError, match=r"needs square matrices, got shape \(2, 3\)"):
        f(np.ones((2, 3)))
    assert NOT_SQUARE == failures.NOT_SQUARE


def test_decompositions_are_not_recorded_for_graphs():
    calls = Recorder(HostDriver())
    driver = Driver(
        lambda: calls,
        lambda: (HostCompiler(), ""),
        *makers(HostDriver()._do)[:2],
    )
    x = ct.matrix("x")
    f = core.function([x], linalg.cholesky(x) + 1, backend=driver)
    for _ in range(3):
        f(np.eye(3))
    assert "begin_capture" not in calls.names()


# --- the library ----------------------------------------------------------------------------------------------------


def test_every_routine_that_is_announced_is_there():
    announced = {one.name: set(one.provides) for one in plugin_backend_cuda.libraries()}
    assert announced["cusolver"] == set(ROUTINES) and announced["cusolver-general"] == set(GENERAL)


def test_a_library_without_a_routine_leaves_that_one_to_python(monkeypatch):
    monkeypatch.setattr(cusolver, "probe_general", PROBE_GENERAL)
    monkeypatch.setattr(cusolver, "find", lambda: ((None, object()), ""))
    plugins.reset()
    x = ct.matrix("x")
    with pytest.warns(CoreWarning, match=r"Eigvals.* has no code for the cuda backend: Python computes it"):
        f = core.function([x], [linalg.eigvals(linalg.inv(x))], backend=DRIVER)
    assert [type(step.outputs[0].node.op).__name__ for step in f.program.steps if isinstance(step, HostStep)] == [
        "Eigvals"
    ]
    np.testing.assert_allclose(f(2 * np.eye(3))[0], [0.5] * 3)
    assert PROBE_GENERAL().reason == "this cuSOLVER is too old: it has no Xgeev"
    plugins.reset()


def test_without_the_library_python_computes_and_it_is_said(monkeypatch):
    monkeypatch.setattr(cusolver, "probe", lambda: Probe(reason="no cuSOLVER: not found"))
    plugins.reset()
    x = ct.matrix("x")
    with pytest.warns(CoreWarning, match="Python computes it, which is slow"):
        f = core.function([x], linalg.eigvalsh(linalg.inv(x)), backend=DRIVER)
    np.testing.assert_allclose(f(2 * np.eye(3)), [0.5] * 3)
    plugins.reset()


def test_the_probe_says_how_to_get_the_library(monkeypatch):
    monkeypatch.setattr(cusolver, "find", lambda: (None, "libcusolver.so: not found"))
    found = PROBE()
    assert found.reason == "no cuSOLVER: libcusolver.so: not found" and found.remedy == "pip install nvidia-cusolver"


def test_lengths_that_do_not_fit_are_refused():
    with pytest.raises(BackendError, match=r"potrf of cuSOLVER needs lengths below 2\*\*31, got 2147483648"):
        cusolver._short("potrf", 2**31)
