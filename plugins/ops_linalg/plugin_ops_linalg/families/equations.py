"""Matrix equations: Sylvester, Lyapunov, Riccati."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core.tensor import TensorVariable, as_tensor, matmul
from plugin_ops_linalg.batched import BatchedOp
from plugin_ops_linalg.errors import LinAlgError
from plugin_ops_linalg.families.solve import Solve
from plugin_ops_linalg.lapack import routine, scipy_linalg
from plugin_ops_linalg.matrices import adjoint, conjugate, matrix_transpose, product, total

__all__ = [
    "DiscreteLyapunov",
    "DiscreteRiccati",
    "Sylvester",
    "solve_continuous_lyapunov",
    "solve_discrete_are",
    "solve_discrete_lyapunov",
    "solve_sylvester",
]


class Sylvester(BatchedOp):
    """x with a x + x b = q.

    Inputs  a: (..., m, m); b: (..., n, n); q: (..., m, n).      Output  x: (..., m, n).
    Errors  LinAlgError when an eigenvalue of a is that of -b.
    Source  Bartels, Stewart (1972).  Derivatives: Kao, Hennequin (2020), section 3.
    """

    __props__ = ("on_error",)
    signature = "(m,m),(n,n),(m,n)->(m,n)"
    routine, works_in = "sylvester", (0, 2)

    def compute(self, a: np.ndarray, b: np.ndarray, q: np.ndarray) -> np.ndarray:
        schur = scipy_linalg().schur
        (r, u), (s, v) = schur(a, output="real"), schur(b.conj().T, output="real")
        y, scale, info = routine("trsyl", q)(r, s, u.conj().T @ q @ v, tranb="C")
        if info > 0:
            raise LinAlgError(self.why(info))
        return u @ (y / scale) @ v.conj().T

    def why(self, number: int) -> str:
        return "the equation is singular: an eigenvalue of a is, up to rounding, one of -b"

    def pullback(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], grads: Sequence[Any]
    ) -> Sequence[Any]:
        """With a^T s + s b^T = g: gq = s, ga = -s x^T, gb = -x^T s."""
        (a, b, _), (x,) = inputs, outputs
        s = self(matrix_transpose(a), matrix_transpose(b), grads[0])
        xt = matrix_transpose(x)
        return [-matmul(s, xt), -matmul(xt, s), s]

    def pushforward(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], tangents: Sequence[Any]
    ) -> Sequence[Any]:
        """a dx + dx b = dq - da x - x db."""
        (a, b, _), (x,), (da, db, dq) = inputs, outputs, tangents
        terms = [dq, None if da is None else -matmul(da, x), None if db is None else -matmul(x, db)]
        return [self(a, b, total(terms))]


class DiscreteLyapunov(BatchedOp):
    """x with a x a^H - x + q = 0.

    Inputs  a, q: (..., n, n).      Output  x: (..., n, n).
    Errors  LinAlgError when the equation is singular: the product of two eigenvalues of a, one conjugated, is 1.
    Source  Schur factors of a, and triangular systems for one column after the other: Kitagawa (1977); n^3 operations
            where SciPy's default solves n^2 equations.  Derivatives: Kao, Hennequin (2020), section 3.
    """

    __props__ = ("on_error",)
    signature = "(n,n),(n,n)->(n,n)"
    routine, works_in = "discrete_lyapunov", (0, 1)

    def compute(self, a: np.ndarray, q: np.ndarray) -> np.ndarray:
        n, eps = len(a), np.finfo(a.dtype).eps
        t, z = scipy_linalg().schur(a, output="complex")
        f, y = z.conj().T @ q @ z, np.zeros_like(t)
        d = t.diagonal()
        products = d[:, None] * d.conj()
        if (np.abs(1 - products) <= eps * (1 + np.abs(products))).any():
            raise LinAlgError(self.why(1))
        solve = routine("trtrs", t)
        for k in range(n - 1, -1, -1):  # (I - conj(t_kk) t) y_k = f_k + t (sum over j > k of conj(t_kj) y_j)
            known = f[:, k] + t @ (y[:, k + 1 :] @ t[k, k + 1 :].conj())
            y[:, k] = solve(np.eye(n) - d[k].conj() * t, known)[0]
        x = z @ y @ z.conj().T
        return x if a.dtype.kind == "c" else x.real

    def why(self, number: int) -> str:
        return "the equation is singular: the product of two eigenvalues of a, one conjugated, is 1 up to rounding"

    def pullback(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], grads: Sequence[Any]
    ) -> Sequence[Any]:
        """With s = a^T s conj(a) + g: gq = s, ga = s conj(a) x^T + conj(s^T a x)."""
        (a, _), (x,) = inputs, outputs
        s = self(matrix_transpose(a), grads[0])
        ga = product(s, conjugate(a), matrix_transpose(x)) + conjugate(product(matrix_transpose(s), a, x))
        return [ga, s]

    def pushforward(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], tangents: Sequence[Any]
    ) -> Sequence[Any]:
        """dx = a dx a^H + dq + da x a^H + a x da^H."""
        (a, _), (x,), (da, dq) = inputs, outputs, tangents
        changes = [] if da is None else [product(da, x, adjoint(a)), product(a, x, adjoint(da))]
        return [self(a, total([dq, *changes]))]


class DiscreteRiccati(BatchedOp):
    """The stabilising x with a^H x a - x - a^H x b (r + b^H x b)^-1 b^H x a + q = 0.

    Inputs  a, q: (..., n, n), q Hermitian; b: (..., n, m); r: (..., m, m), Hermitian.      Output  x: (..., n, n).
    Errors  LinAlgError when there is no such x.
    Source  Laub (1979), Van Dooren (1981), Benner (2001).  Derivatives: Kao, Hennequin (2020), section 4.
    """

    __props__ = ("on_error",)
    signature = "(n,n),(n,m),(n,n),(m,m)->(n,n)"
    routine = "riccati"

    def compute(self, a: np.ndarray, b: np.ndarray, q: np.ndarray, r: np.ndarray) -> np.ndarray:
        try:
            return scipy_linalg().solve_discrete_are(a, b, _hermitian_part(q), _hermitian_part(r))
        except np.linalg.LinAlgError as error:
            raise LinAlgError(self.why(1)) from error

    def why(self, number: int) -> str:
        return "there is no stabilising solution: the pencil has eigenvalues on the unit circle, or too close to it"

    def pullback(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], grads: Sequence[Any]
    ) -> Sequence[Any]:
        """With c = a - b k, k the gain, and s = c s c^H + sym(conj(g)): the transpose of ``pushforward``."""
        (x,), g = outputs, conjugate(grads[0])
        gain, closed = self._loop(inputs, x)
        s = DiscreteLyapunov(self.on_error)(closed, _symmetrised(g))
        ga = 2 * product(x, closed, s)
        return [conjugate(t) for t in (ga, -matmul(ga, adjoint(gain)), s, product(gain, s, adjoint(gain)))]

    def pushforward(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], tangents: Sequence[Any]
    ) -> Sequence[Any]:
        """dx = c^H dx c + dq + k^H dr k + (da - db k)^H x c + c^H x (da - db k), c = a - b k."""
        (x,), (da, db, dq, dr) = outputs, tangents
        gain, closed = self._loop(inputs, x)
        moved = total([da, None if db is None else -matmul(db, gain)])
        terms = [None if dq is None else _symmetrised(dq)]
        terms += [None if dr is None else product(adjoint(gain), _symmetrised(dr), gain)]
        if moved is not None:
            half = product(adjoint(moved), x, closed)
            terms += [half, adjoint(half)]
        return [DiscreteLyapunov(self.on_error)(adjoint(closed), total(terms))]

    def _loop(self, inputs: Sequence[TensorVariable], x: TensorVariable) -> tuple[TensorVariable, TensorVariable]:
        """The gain k = (r + b^H x b)^-1 b^H x a, and a - b k."""
        a, b, _, r = inputs
        bx = matmul(adjoint(b), x)
        gain = Solve("gen", on_error=self.on_error)(_symmetrised(r) + matmul(bx, b), matmul(bx, a))
        return gain, a - matmul(b, gain)


def _hermitian_part(x: np.ndarray) -> np.ndarray:
    return (x + x.conj().T) / 2


def _symmetrised(x: TensorVariable) -> TensorVariable:
    return (x + adjoint(x)) / 2


def solve_sylvester(a: Any, b: Any, q: Any, on_error: str | None = None) -> TensorVariable:
    """x with a x + x b = q; see Sylvester."""
    return Sylvester(on_error)(a, b, q)


def solve_continuous_lyapunov(a: Any, q: Any, on_error: str | None = None) -> TensorVariable:
    """x with a x + x a^H = q."""
    a = as_tensor(a)
    return Sylvester(on_error)(a, adjoint(a), q)


def solve_discrete_lyapunov(a: Any, q: Any, on_error: str | None = None) -> TensorVariable:
    """x with a x a^H - x + q = 0; see DiscreteLyapunov."""
    return DiscreteLyapunov(on_error)(a, q)


def solve_discrete_are(a: Any, b: Any, q: Any, r: Any, on_error: str | None = None) -> TensorVariable:
    """The stabilising solution of the discrete algebraic Riccati equation; see DiscreteRiccati.

    q and r count by their Hermitian parts.
    """
    return DiscreteRiccati(on_error)(a, b, q, r)
