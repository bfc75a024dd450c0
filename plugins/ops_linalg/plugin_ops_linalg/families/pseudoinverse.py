"""Pseudo-inverses and least squares, of any shape and rank."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core.tensor import TensorVariable, abs, as_tensor, matmul, square
from core.tensor import sum as sum_along
from plugin_ops_linalg.batched import BatchedOp
from plugin_ops_linalg.families.svd import svdvals
from plugin_ops_linalg.lapack import require, routine, scipy_linalg
from plugin_ops_linalg.matrices import (
    adjoint,
    as_columns,
    conjugate,
    identity_like,
    matrix_transpose,
    product,
    total,
    without_column,
)

__all__ = ["LeastSquares", "Pinv", "lstsq", "pinv"]


class Pinv(BatchedOp):
    """The Moore-Penrose inverse, by singular values; those up to ``rcond`` times the largest count as 0.

    Input   a: (..., m, n).      Output  (..., n, m).
    rcond   None: max(m, n) eps, as in SciPy.
    Source  Golub, Van Loan (2013), section 5.5.2.  Derivatives: Golub, Pereyra (1973), theorem 4.3; they hold where the
            rank does not change.
    """

    __props__ = ("rcond", "on_error")
    signature = "(m,n)->(n,m)"

    def __init__(self, rcond: float | None = None, on_error: str | None = None):
        super().__init__(on_error)
        self.rcond = None if rcond is None else float(rcond)

    def compute(self, a: np.ndarray) -> np.ndarray:
        u, s, vh, info = routine("gesdd", a)(a, full_matrices=False)
        require("gesdd", info)
        kept = int(np.sum(s > cutoff(self.rcond, a) * s[0]))
        return ((u[:, :kept] / s[:kept]) @ vh[:kept]).conj().T

    def pullback(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], grads: Sequence[Any]
    ) -> Sequence[Any]:
        """The transpose of ``pushforward``: -P^H G P^H + (I - a P) G^H P P^H + P^H P G^H (I - P a), G conjugated."""
        (a,), (p,) = inputs, outputs
        g, ph = conjugate(grads[0]), adjoint(p)
        beside, behind = self._complements(a, p)
        terms = [-product(ph, g, ph), product(beside, adjoint(g), p, ph), product(ph, p, adjoint(g), behind)]
        return [conjugate(total(terms))]

    def pushforward(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], tangents: Sequence[Any]
    ) -> Sequence[Any]:
        """dP = -P da P + P P^H da^H (I - a P) + (I - P a) da^H P^H P."""
        (a,), (p,), (da,) = inputs, outputs, tangents
        beside, behind = self._complements(a, p)
        ph = adjoint(p)
        return [total([-product(p, da, p), product(p, ph, adjoint(da), beside), product(behind, adjoint(da), ph, p)])]

    def _complements(self, a: TensorVariable, p: TensorVariable) -> tuple[TensorVariable, TensorVariable]:
        """I - a P and I - P a: what the columns, and the rows, of a do not reach."""
        return identity_like(p) - matmul(a, p), identity_like(a) - matmul(p, a)


class LeastSquares(BatchedOp):
    """The shortest x that minimises |a x - b|.

    Inputs  a: (..., m, n); b: (..., m, k).      Output  x: (..., n, k).
    cond    singular values up to ``cond`` times the largest count as 0; None: eps, as in SciPy.
    Source  LAPACK gelsd; Higham (2002), chapter 20.  Derivatives: those of Pinv.
    """

    __props__ = ("cond", "on_error")
    signature = "(m,n),(m,k)->(n,k)"

    def __init__(self, cond: float | None = None, on_error: str | None = None):
        super().__init__(on_error)
        self.cond = None if cond is None else float(cond)

    def compute(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return scipy_linalg().lstsq(a, b, cond=self.cond, check_finite=False)[0]

    def pullback(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], grads: Sequence[Any]
    ) -> Sequence[Any]:
        """x = P b with P the pseudo-inverse: gP = g b^T and gb = P^T g."""
        (a, b), (g,) = inputs, grads
        p = self._pinv()(a)
        (ga,) = self._pinv().pullback([a], [p], [matmul(g, matrix_transpose(b))])
        return [ga, matmul(matrix_transpose(p), g)]

    def pushforward(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], tangents: Sequence[Any]
    ) -> Sequence[Any]:
        """dx = dP b + P db."""
        (a, b), (da, db) = inputs, tangents
        p = self._pinv()(a)
        terms = [] if da is None else [matmul(self._pinv().pushforward([a], [p], [da])[0], b)]
        return [total([*terms, None if db is None else matmul(p, db)])]

    def _pinv(self) -> Pinv:
        return Pinv(self.cond, self.on_error)


def cutoff(rcond: float | None, a: np.ndarray) -> float:
    """How small a singular value is, relative to the largest, when it counts as 0."""
    return max(a.shape) * float(np.finfo(a.dtype).eps) if rcond is None else rcond


def pinv(a: Any, rcond: float | None = None, on_error: str | None = None) -> TensorVariable:
    """The Moore-Penrose inverse of ``a``: (..., m, n) to (..., n, m); see Pinv."""
    return Pinv(rcond, on_error)(a)


def lstsq(
    a: Any, b: Any, cond: float | None = None, on_error: str | None = None
) -> tuple[TensorVariable, TensorVariable, TensorVariable, TensorVariable]:
    """x, the squared residuals of each column, the rank of ``a``, and its singular values.

    b  (m,), or (..., m, k).  Unlike NumPy's, the residuals are there for every rank and shape: () or (..., k).
    """
    a, (columns, was_vector) = as_tensor(a), as_columns(b)
    x = LeastSquares(cond, on_error)(a, columns)
    residuals = sum_along(square(abs(columns - matmul(a, x))), axis=-2)
    s = svdvals(a, on_error)
    eps = float(np.finfo(s.dtype).eps) if cond is None else cond
    rank = sum_along(s > eps * s[..., :1], axis=-1)
    return without_column(x, was_vector), without_column(residuals, was_vector), rank, s
