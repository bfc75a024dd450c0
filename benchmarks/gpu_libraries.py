"""What needs a GPU and libraries: linear algebra against NumPy, packs and loops, arrays to and from other libraries."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import gpu_packs
import numpy as np


def check() -> dict[str, str]:
    """What came out of each: "right", or what is wrong."""
    exchanges = {f"arrays of {name}": exchange for name, exchange in EXCHANGES.items()}
    steps = {**_linear_algebra(), **gpu_packs.steps(), **exchanges}
    found = {}
    for name, step in steps.items():
        try:
            step()
            found[name] = "right"
        except ImportError as error:
            print(f"  {name}: left out: {error}")
            continue
        except Exception as error:  # each is a check of its own
            found[name] = f"{type(error).__name__}: {str(error)[:300]}"
        print(f"  {name}: {found[name]}", flush=True)
    return found


# --- linear algebra ---------------------------------------------------------------------------------------------------


def _matrix(*shape: int, dtype: str = "float64", seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(dtype)


def _run(op: Callable[..., Any], *arrays: np.ndarray) -> list[np.ndarray]:
    import core
    import core.tensor as ct

    inputs = [ct.tensor(f"x{k}", dtype=a.dtype.name, shape=(None,) * a.ndim) for k, a in enumerate(arrays)]
    out = op(*inputs)
    f = core.function(inputs, list(out) if isinstance(out, (list, tuple)) else [out], backend="cuda")
    assert not f.program.host_nodes, "Python computes a part of it"
    f(*arrays)
    return f(*arrays)


def _near(got: np.ndarray, want: np.ndarray, dtype: str) -> None:
    np.testing.assert_allclose(
        got, want, rtol=2e-3 if dtype == "float32" else 1e-8, atol=1e-3 if dtype == "float32" else 1e-8
    )


def _linear_algebra() -> dict[str, Callable[[], None]]:
    steps: dict[str, Callable[[], None]] = {}
    for dtype in ("float32", "float64"):
        for shape in ((70, 70), (400, 400), (5, 33, 33)):
            steps[f"factors, {dtype}, {shape}"] = lambda shape=shape, dtype=dtype: _factors(shape, dtype)
            steps[f"systems, {dtype}, {shape}"] = lambda shape=shape, dtype=dtype: _systems(shape, dtype)
        for shape in ((70, 40), (40, 70), (64, 64), (3, 20, 9)):
            steps[f"svd and qr, {dtype}, {shape}"] = lambda shape=shape, dtype=dtype: _of_any_shape(shape, dtype)
    steps["failures"] = _failures
    return steps


def _factors(shape: tuple[int, ...], dtype: str) -> None:
    import core
    import plugin_ops_linalg as linalg

    x = _matrix(*shape, dtype=dtype)
    n = shape[-1]
    a = (x @ x.swapaxes(-1, -2) / n + np.eye(n)).astype(dtype)
    inverse, det, sign, logabs, w, values = _run(
        lambda a: [linalg.inv(a), linalg.det(a), *linalg.slogdet(a), linalg.eigvalsh(a), linalg.svdvals(a)], a
    )
    exact = a.astype("float64")
    for lower in (True, False):
        (factor,) = _run(lambda a, lower=lower: linalg.cholesky(a, lower=lower), a)
        want = np.linalg.cholesky(exact)
        _near(factor, want if lower else want.swapaxes(-1, -2), dtype)
    _near(inverse, np.linalg.inv(exact), dtype)
    if n < 100:  # else it is too large for float32
        _near(det, np.linalg.det(exact), dtype)
    _near(sign * logabs, np.linalg.slogdet(exact)[1], dtype)
    _near(w, np.linalg.eigvalsh(exact), dtype)
    _near(values, np.linalg.svd(exact, compute_uv=False), dtype)
    w, v = _run(linalg.eigh, a)
    _near(a @ v, v * w[..., None, :], dtype)
    (g,) = _run(lambda a: core.grad((linalg.cholesky(a) ** 2).sum(), a), a)
    _near(np.triu(g, 1) * 0 + g, 2 * np.broadcast_to(np.eye(n), a.shape) * 0.5, dtype)  # |L|^2 is the trace of a


def _systems(shape: tuple[int, ...], dtype: str) -> None:
    import plugin_ops_linalg as linalg

    n = shape[-1]
    a, b = (_matrix(*shape, dtype=dtype) / n + np.eye(n)).astype(dtype), _matrix(*shape[:-1], 7, dtype=dtype, seed=1)
    for turned in (False, True):

        def seen(a: Any, turned: bool = turned) -> Any:
            return a.swapaxes(-1, -2) if turned else a

        exact = a.astype("float64")
        exact = exact.swapaxes(-1, -2) if turned else exact
        (x,) = _run(lambda a, b: linalg.solve(seen(a), b), a, b)
        _near(x, np.linalg.solve(exact, b), dtype)
        for lower in (True, False):
            triangle = np.tril(exact) if lower else np.triu(exact)
            for trans in (0, 1):
                (x,) = _run(lambda a, b: linalg.solve_triangular(seen(a), b, trans=trans, lower=lower), a, b)  # noqa: B023
                _near(x, np.linalg.solve(triangle.swapaxes(-1, -2) if trans else triangle, b), dtype)
            (x,) = _run(lambda a, b: linalg.cho_solve((seen(a), lower), b), a, b)  # noqa: B023
            t = triangle.swapaxes(-1, -2)
            _near(x, np.linalg.solve(triangle @ t if lower else t @ triangle, b), dtype)


def _of_any_shape(shape: tuple[int, ...], dtype: str) -> None:
    import plugin_ops_linalg as linalg

    a, k = _matrix(*shape, dtype=dtype), min(shape[-2:])
    for full in (False, True):
        u, s, vh = _run(lambda a, full=full: linalg.svd(a, full_matrices=full), a)
        _near(u[..., :k] * s[..., None, :] @ vh[..., :k, :], a, dtype)
        _near(u.swapaxes(-1, -2) @ u, np.broadcast_to(np.eye(u.shape[-1]), (*shape[:-2], *[u.shape[-1]] * 2)), dtype)
        _near(
            vh @ vh.swapaxes(-1, -2), np.broadcast_to(np.eye(vh.shape[-2]), (*shape[:-2], *[vh.shape[-2]] * 2)), dtype
        )
    q, r = _run(linalg.qr, a)
    _near(q @ r, a, dtype)
    _near(q.swapaxes(-1, -2) @ q, np.broadcast_to(np.eye(q.shape[-1]), (*shape[:-2], *[q.shape[-1]] * 2)), dtype)


def _failures() -> None:
    import core
    import core.tensor as ct
    import plugin_ops_linalg as linalg

    x, w = ct.matrix("x"), core.shared(np.zeros(2))
    for op, bad, why in (
        (linalg.cholesky, [[1.0, 2.0], [2.0, 1.0]], "order 2"),
        (linalg.inv, np.ones((2, 2)), "singular"),
        (linalg.eigvalsh, [[np.nan, 0], [0, 1]], "not finite"),
    ):
        f = core.function([x], op(x), updates={w: w + 1}, backend="cuda")
        try:
            f(np.asarray(bad))
        except linalg.LinAlgError as error:
            assert why in str(error), str(error)
        else:
            raise AssertionError(f"{op} of {bad} did not fail")
        assert w.get_value().sum() == 0


# --- arrays of other libraries ----------------------------------------------------------------------------------------


def _exchanged(into: Callable[[np.ndarray], Any], out: Callable[[Any], Any], host: Callable[[Any], np.ndarray]) -> None:
    """Arguments of their kind, straight, transposed and shifted, many times over; results go back to them."""
    import core
    import core.tensor as ct

    x = ct.matrix("x", dtype="float32")
    f = core.function([x], core.Out(x * 2 + 1, borrow=True), backend="cuda")
    a = _matrix(513, 1027, dtype="float32")
    theirs = into(a)
    for view in (lambda t: t, lambda t: t.T, lambda t: t[1:, 1:], lambda t: t + 1):
        want = view(a) * 2 + 1
        for _ in range(3):
            np.testing.assert_allclose(host(out(f(view(theirs))) + 0), want, rtol=1e-5)
    again = theirs
    for _ in range(20):  # work on both sides in turns, nobody waiting
        again = out(f(again)) * 0.5
    want = a
    for _ in range(20):
        want = (want * 2 + 1) * np.float32(0.5)
    np.testing.assert_allclose(host(again), want, rtol=1e-4)


def _torch() -> None:
    torch: Any = importlib.import_module("torch")
    _exchanged(lambda a: torch.from_numpy(a).cuda(), torch.from_dlpack, lambda t: t.cpu().numpy())
    with torch.cuda.stream(torch.cuda.Stream()):
        _exchanged(lambda a: torch.from_numpy(a).cuda(), torch.from_dlpack, lambda t: t.cpu().numpy())
    _exchanged(
        lambda a: torch.from_numpy(a).cuda(), lambda t: torch.as_tensor(t, device="cuda"), lambda t: t.cpu().numpy()
    )


def _cupy() -> None:
    cupy: Any = importlib.import_module("cupy")
    _exchanged(cupy.asarray, cupy.from_dlpack, cupy.asnumpy)
    _exchanged(cupy.asarray, cupy.asarray, cupy.asnumpy)


def _jax() -> None:
    jax: Any = importlib.import_module("jax")
    _exchanged(lambda a: jax.device_put(a, jax.devices("gpu")[0]), jax.dlpack.from_dlpack, np.asarray)


EXCHANGES = {"PyTorch": _torch, "CuPy": _cupy, "JAX": _jax}
