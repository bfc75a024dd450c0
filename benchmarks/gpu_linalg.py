"""Linear algebra on a GPU against NumPy and SciPy: factors, systems, decompositions of every dtype, failures; times."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

ROUGH = {"float32": 2e-3, "complex64": 2e-3, "float64": 1e-8, "complex128": 1e-8}
SQUARE, SMALL_SQUARE = ((70, 70), (400, 400), (5, 33, 33)), ((9, 9), (2, 34, 34))
ANY, SMALL_ANY = ((70, 40), (40, 70), (64, 64), (3, 20, 9)), ((7, 4), (4, 7), (2, 5, 3))
BANDS, SMALL_BANDS = ((1, 1, (5000,)), (3, 2, (2000, 50)), (40, 30, (500,))), ((1, 1, (30,)), (3, 2, (4, 20)))


def steps(small: bool = False) -> dict[str, Callable[[], None]]:
    """Checks by their names; ``small``: of sizes for a GPU that is a CPU."""
    found: dict[str, Callable[[], None]] = {}
    for dtype in ROUGH:
        for shape in SMALL_SQUARE if small else SQUARE:
            for name, check in (("factors", _factors), ("systems", _systems), ("eigenvalues", _eigenvalues)):
                found[f"{name}, {dtype}, {shape}"] = lambda c=check, shape=shape, dtype=dtype: c(shape, dtype)
        for shape in SMALL_ANY if small else ANY:
            found[f"svd and qr, {dtype}, {shape}"] = lambda shape=shape, dtype=dtype: _of_any_shape(shape, dtype)
        for below, above, shape in SMALL_BANDS if small else BANDS:
            found[f"banded, {dtype}, {below} and {above}, {shape}"] = (
                lambda below=below, above=above, shape=shape, dtype=dtype: _banded(below, above, shape, dtype)
            )
    found["failures"] = _failures
    return found


# --- what they share --------------------------------------------------------------------------------------------------


def _matrix(*shape: int, dtype: str = "float64", seed: int = 0) -> np.ndarray:
    draw = np.random.default_rng(seed).uniform
    values = draw(-1, 1, shape)
    return (values + 1j * draw(-1, 1, shape) if dtype.startswith("complex") else values).astype(dtype)


def _adjoint(x: np.ndarray) -> np.ndarray:
    return x.swapaxes(-1, -2).conj()


def _exactly(x: np.ndarray) -> np.ndarray:
    return x.astype("complex128" if x.dtype.kind == "c" else "float64")


def _function(op: Callable[..., Any], *arrays: np.ndarray) -> Callable[..., list[np.ndarray]]:
    import core
    import core.tensor as ct

    inputs = [ct.tensor(f"x{k}", dtype=a.dtype.name, shape=(None,) * a.ndim) for k, a in enumerate(arrays)]
    out = op(*inputs)
    f = core.function(inputs, list(out) if isinstance(out, (list, tuple)) else [out], backend="cuda")
    assert not f.program.host_nodes, "Python computes a part of it"
    return f


def _run(op: Callable[..., Any], *arrays: np.ndarray) -> list[np.ndarray]:
    f = _function(op, *arrays)
    f(*arrays)
    return f(*arrays)


def _near(got: np.ndarray, want: np.ndarray, dtype: str) -> None:
    tol = ROUGH[dtype]
    np.testing.assert_allclose(got, want, rtol=tol, atol=tol * max(1.0, float(np.abs(want).max(initial=0))))


def _orthonormal(x: np.ndarray, dtype: str) -> None:
    n = x.shape[-1]
    _near(_adjoint(x) @ x, np.broadcast_to(np.eye(n), (*x.shape[:-2], n, n)), dtype)


# --- checks -----------------------------------------------------------------------------------------------------------


def _factors(shape: tuple[int, ...], dtype: str) -> None:
    import core
    import plugin_ops_linalg as linalg
    from core import tensor as ct

    x = _matrix(*shape, dtype=dtype)
    n = shape[-1]
    a = (x @ _adjoint(x) / n + np.eye(n)).astype(dtype)
    exact = _exactly(a)
    inverse, det, sign, logabs = _run(lambda a: [linalg.inv(a), linalg.det(a), *linalg.slogdet(a)], a)
    for lower in (True, False):
        (factor,) = _run(lambda a, lower=lower: linalg.cholesky(a, lower=lower), a)
        want = np.linalg.cholesky(exact)
        _near(factor, want if lower else _adjoint(want), dtype)
    _near(inverse, np.linalg.inv(exact), dtype)
    if n < 100:  # else it is too large for float32
        _near(det, np.linalg.det(exact), dtype)
    _near(sign * logabs, np.linalg.slogdet(exact)[1], dtype)
    (g,) = _run(lambda a: core.grad((ct.abs(linalg.cholesky(a)) ** 2).sum(), a), a)
    _near(g, np.broadcast_to(np.eye(n), a.shape), dtype)  # |L|^2 is the trace of a


def _systems(shape: tuple[int, ...], dtype: str) -> None:
    import plugin_ops_linalg as linalg

    n = shape[-1]
    a, b = (_matrix(*shape, dtype=dtype) / n + np.eye(n)).astype(dtype), _matrix(*shape[:-1], 7, dtype=dtype, seed=1)
    for turned in (False, True):

        def seen(a: Any, turned: bool = turned) -> Any:
            return a.swapaxes(-1, -2) if turned else a

        exact = seen(_exactly(a))
        triangles = {True: np.tril(exact), False: np.triu(exact)}
        (x,) = _run(lambda a, b: linalg.solve(seen(a), b), a, b)
        _near(x, np.linalg.solve(exact, b), dtype)
        wide = np.where(np.abs(np.subtract.outer(np.arange(n), np.arange(n))) <= 1, exact, 0)
        (x,) = _run(lambda a, b: linalg.solve(seen(a), b, assume_a="tridiagonal"), a, b)
        _near(x, np.linalg.solve(wide, b), dtype)
        for lower, t in triangles.items():
            for trans, meant in ((0, t), (1, t.swapaxes(-1, -2)), (2, _adjoint(t))):
                (x,) = _run(lambda a, b: linalg.solve_triangular(seen(a), b, trans=trans, lower=lower), a, b)  # noqa: B023
                _near(x, np.linalg.solve(meant, b), dtype)
            (x,) = _run(lambda a, b: linalg.cho_solve((seen(a), lower), b), a, b)  # noqa: B023
            _near(x, np.linalg.solve(t @ _adjoint(t) if lower else _adjoint(t) @ t, b), dtype)
            strict = t - t * np.eye(n)
            for assume_a, meant in (
                ("sym", t + strict.swapaxes(-1, -2)),
                ("her", strict + _adjoint(strict) + (t * np.eye(n)).real),
            ):
                (x,) = _run(lambda a, b: linalg.solve(seen(a), b, assume_a=assume_a, lower=lower), a, b)  # noqa: B023
                _near(x, np.linalg.solve(meant, b), dtype)


def _banded(below: int, above: int, shape: tuple[int, ...], dtype: str) -> None:
    from scipy.linalg import solve_banded

    import plugin_ops_linalg as linalg

    *lead, n = shape
    ab, b = _matrix(*lead, below + above + 1, n, dtype=dtype), _matrix(*lead, n, 3, dtype=dtype, seed=1)
    ab[..., above, :] += 0.6 * (below + above)  # regular, and rows are exchanged all the same
    (x,) = _run(lambda ab, b: linalg.solve_banded((below, above), ab, b), ab, b)
    for place in np.ndindex(*lead):
        _near(x[place], solve_banded((below, above), _exactly(ab[place]), _exactly(b[place])), dtype)


def _eigenvalues(shape: tuple[int, ...], dtype: str) -> None:
    import plugin_ops_linalg as linalg

    a = _matrix(*shape, dtype=dtype)
    whole = (a + _adjoint(a)).astype(dtype)
    w, v = _run(linalg.eigh, whole)
    _near(w, np.linalg.eigvalsh(_exactly(whole)), dtype)
    _near(whole @ v, v * w[..., None, :], dtype)
    _orthonormal(v, dtype)
    w, v = _run(linalg.eig, a)
    _near(a @ v, v * w[..., None, :], dtype)
    (values,) = _run(linalg.eigvals, a)
    _near(values.sum(axis=-1), np.trace(_exactly(a), axis1=-2, axis2=-1), dtype)


def _of_any_shape(shape: tuple[int, ...], dtype: str) -> None:
    import plugin_ops_linalg as linalg

    a, k = _matrix(*shape, dtype=dtype), min(shape[-2:])
    (values,) = _run(linalg.svdvals, a)
    _near(values, np.linalg.svd(_exactly(a), compute_uv=False), dtype)
    for full in (False, True):
        u, s, vh = _run(lambda a, full=full: linalg.svd(a, full_matrices=full), a)
        _near(u[..., :k] * s[..., None, :] @ vh[..., :k, :], a, dtype)
        _orthonormal(u, dtype)
        _orthonormal(_adjoint(vh), dtype)
    for mode in ("reduced", "complete"):
        q, r = _run(lambda a, mode=mode: linalg.qr(a, mode), a)
        _near(q @ r, a, dtype)
        _orthonormal(q, dtype)


def _failures() -> None:
    import core
    import core.tensor as ct
    import plugin_ops_linalg as linalg

    x, w = ct.matrix("x"), core.shared(np.zeros(2))
    for op, bad, why in (
        (linalg.cholesky, [[1.0, 2.0], [2.0, 1.0]], "order 2"),
        (linalg.inv, np.ones((2, 2)), "singular"),
        (lambda a: linalg.solve_banded((1, 1), a, np.ones(2)), np.zeros((3, 2)), "pivot 0 is 0"),
        (linalg.eigvalsh, [[np.nan, 0], [0, 1]], "not finite"),
        (linalg.eigvals, [[np.inf, 0], [0, 1]], "not finite"),
    ):
        f = core.function([x], op(x), updates={w: w + 1}, backend="cuda")
        try:
            f(np.asarray(bad))
        except linalg.LinAlgError as error:
            assert why in str(error), str(error)
        else:
            raise AssertionError(f"{op} of {bad} did not fail")
        assert w.get_value().sum() == 0


# --- times ------------------------------------------------------------------------------------------------------------


def times(small: bool = False) -> dict[str, tuple[float, float]]:
    """Seconds of a call on the GPU, copies to and fro included, and of NumPy or SciPy on the host: medians."""
    import scipy.linalg as host

    import plugin_ops_linalg as linalg

    n, count = (20, 5) if small else (1024, 1000)
    found = {}
    for dtype in ("float64", "complex128"):
        x = _matrix(n, n, dtype=dtype)
        a, b = x @ _adjoint(x) / n + np.eye(n), _matrix(n, 16, dtype=dtype, seed=1)
        ab, many = _matrix(count, 6, n, dtype=dtype), _matrix(count, n, 1, dtype=dtype, seed=1)
        ab[:, 2] += 3
        cases = {
            f"cholesky, {n}": (linalg.cholesky, np.linalg.cholesky, (a,)),
            f"Hermitian system, {n}": (
                lambda a, b: linalg.solve(a, b, assume_a="her"),
                lambda a, b: host.solve(a, b, assume_a="her"),
                (a, b),
            ),
            f"banded, {count} x {n}": (
                lambda ab, b: linalg.solve_banded((3, 2), ab, b),
                lambda ab, b: [host.solve_banded((3, 2), *pair) for pair in zip(ab, b, strict=True)],
                (ab, many),
            ),
            f"banded, one of {count * n}": (
                lambda ab, b: linalg.solve_banded((1, 1), ab, b),
                lambda ab, b: host.solve_banded((1, 1), ab, b),
                (np.ascontiguousarray(ab[:, 1:4].swapaxes(0, 1).reshape(3, -1)), many.reshape(-1, 1)),
            ),
            f"eigh, {n}": (linalg.eigh, np.linalg.eigh, (a,)),
            f"eig, {n}": (linalg.eig, np.linalg.eig, (x,)),
            f"singular values, {n}": (linalg.svdvals, lambda a: np.linalg.svd(a, compute_uv=False), (x,)),
        }
        for name, (op, of_host, arrays) in cases.items():
            seconds = _median(_function(op, *arrays), arrays), _median(of_host, arrays)
            found[f"{name}, {dtype}"] = seconds
            print(f"  {name}, {dtype}: {1e3 * seconds[0]:.2f} ms, on the host {1e3 * seconds[1]:.2f} ms", flush=True)
    return found


def _median(run: Callable[..., Any], arrays: tuple[np.ndarray, ...], repeats: int = 3) -> float:
    run(*arrays)
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        run(*arrays)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)
