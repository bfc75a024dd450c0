"""QR factors: a = Q R with orthonormal columns in Q."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from core.errors import ArgumentError
from core.gradient import Lop
from core.op import grad_not_implemented
from core.tensor import (
    TensorVariable,
    broadcast_to,
    concatenate,
    expand_dims,
    imag,
    matmul,
    shape_i,
    shape_of,
    take_along_axis,
    tril,
    triu,
)
from plugin_ops_linalg.batched import BatchedOp
from plugin_ops_linalg.families.lu import shorter
from plugin_ops_linalg.families.triangular import SolveTriangular
from plugin_ops_linalg.lapack import require, routine, scipy_linalg
from plugin_ops_linalg.matrices import (
    adjoint,
    conjugate,
    diagonal_matrix,
    diagonal_of,
    hermitian,
    is_complex,
    matrix_transpose,
    total,
)

__all__ = ["QR", "qr"]

MODES = {"reduced": "reduced", "economic": "reduced", "complete": "complete", "full": "complete", "r": "r"}


class QR(BatchedOp):
    """a = Q R, or a[:, p] = Q R with pivoting.

    Input    a: (..., m, n); k = min(m, n).
    Outputs  "reduced": Q (..., m, k) and R (..., k, n);  "complete": Q (..., m, m) and R (..., m, n);  "r": R alone,
             (..., k, n).  With pivoting, p: (..., n), int32, behind them.
    Source   LAPACK geqrf, geqp3, orgqr; Higham (2002), theorem 19.4.  Derivatives: Walter, Lehmann (2010) for m >= n,
             Roberts, Roberts (2020) for m < n; with pivoting where the order stays. A "complete" Q of m > n has no
             derivative: its last columns are free.
    """

    __props__ = ("mode", "pivoting", "on_error")

    def __init__(self, mode: str = "reduced", pivoting: bool = False, on_error: str | None = None):
        super().__init__(on_error)
        self.mode, self.pivoting = mode, bool(pivoting)

    @property
    def routine(self) -> str | None:  # type: ignore[override]
        if self.pivoting:
            return "geqp3"
        return "geqrf_complete" if self.mode == "complete" else "geqrf"

    @property
    def signature(self) -> str:  # type: ignore[override]
        outputs = {"reduced": "(m,k),(k,n)", "complete": "(m,m),(m,n)", "r": "(k,n)"}[self.mode]
        return f"(m,n)->{outputs}{',(n)' if self.pivoting else ''}"

    def lengths(self, sizes: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"k": shorter(sizes["m"], sizes["n"])}

    def output_dtypes(self, dtype: str) -> Sequence[str]:
        return [*[dtype] * (1 if self.mode == "r" else 2), *(["int32"] if self.pivoting else [])]

    def compute(self, a: np.ndarray) -> tuple[np.ndarray, ...]:
        if self.pivoting:
            mode = {"reduced": "economic", "complete": "full", "r": "r"}[self.mode]
            *factors, p = scipy_linalg().qr(a, mode=mode, pivoting=True)
            factors[-1] = factors[-1][: min(a.shape)] if self.mode == "r" else factors[-1]
            return (*factors, p)
        (m, n), k = a.shape, min(a.shape)
        raw, tau, _, info = routine("geqrf", a)(a)
        require("geqrf", info)
        if self.mode == "r":
            return (np.triu(raw[:k]),)
        columns = m if self.mode == "complete" else k
        reflectors = np.zeros((m, columns), a.dtype)
        reflectors[:, : min(n, columns)] = raw[:, : min(n, columns)]
        name = "ungqr" if a.dtype.kind == "c" else "orgqr"
        q, _, info = routine(name, a)(reflectors, tau)
        require(name, info)
        return q, np.triu(raw[:columns])

    def compute_empty(self, outputs: Sequence[np.ndarray]) -> None:
        if self.mode == "complete":
            outputs[0][...] = np.eye(outputs[0].shape[-1])
        if self.pivoting:
            outputs[-1][...] = np.arange(outputs[-1].shape[-1])

    def pullback(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], grads: Sequence[Any]
    ) -> Sequence[Any]:
        """gX = (gQ' + Q herm(M)) U^-H and gY = Q gV, for a = [X | Y] and R = [U | V], where U is square.

        gQ' = gQ + Y gV^H, M = U gU^H - gQ'^H Q, and herm(M) is the Hermitian matrix with M's lower triangle.
        """
        if self._is_free(inputs[0]):
            return [grad_not_implemented(self, 0, inputs[0], "the last columns of a complete Q are free")]
        (a,) = inputs
        if self.pivoting:
            ordered, plain = self._ordered(a, outputs[-1]), QR(self.mode, False, self.on_error)
            (g,) = plain.pullback([ordered], outputs[:-1], grads[:-1])
            return [Lop(ordered, a, g)]
        q, r = self._factors(a, outputs)
        gq, gr = (None, grads[0]) if self.mode == "r" else grads
        gq, gr = (None if g is None else conjugate(g) for g in (gq, gr))
        k = shape_i(r, -2)
        y, u = a[..., k:], r[..., :k]
        m, behind = None, None
        if gr is not None:
            gu, gv = gr[..., :k], gr[..., k:]
            gq = total([gq, matmul(y, adjoint(gv))])
            m, behind = matmul(u, adjoint(triu(gu))), matmul(q, gv)
        m = total([m, None if gq is None else -matmul(adjoint(gq), q)])
        x_part = total([gq, matmul(q, hermitian(m))])
        gx = adjoint(SolveTriangular(False, "N", False, False)(u, adjoint(x_part)))
        ga = gx if behind is None else concatenate([gx, behind], axis=-1)
        return [conjugate(ga if behind is not None else _widened(ga, a, k))]

    def pushforward(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], tangents: Sequence[Any]
    ) -> Sequence[Any]:
        """With W = Q^H dX U^-1: dQ = Q (S - W) + dX U^-1, dU = (W - S) U, S the skew matrix with the triangle of W."""
        if self._is_free(inputs[0]):
            return super().pushforward(inputs, outputs, tangents)
        (a,), (da,) = inputs, tangents
        if self.pivoting:
            order, plain = outputs[-1], QR(self.mode, False, self.on_error)
            ordered, moved = self._ordered(a, order), self._ordered(da, order)
            return [*plain.pushforward([ordered], outputs[:-1], [moved]), None]
        q, r = self._factors(a, outputs)
        k = shape_i(r, -2)
        y, dy, u = a[..., k:], da[..., k:], r[..., :k]
        scaled = matrix_transpose(SolveTriangular(False, "T", False, False)(u, matrix_transpose(da[..., :k])))
        w = matmul(adjoint(q), scaled)
        skew = tril(w, -1)
        skew = skew - adjoint(skew)
        if is_complex(w):
            skew = skew + diagonal_matrix(imag(diagonal_of(w)).astype(w.dtype) * 1j)
        dq = matmul(q, skew - w) + scaled
        du = triu(matmul(w - skew, u))
        dr = concatenate([du, matmul(adjoint(dq), y) + matmul(adjoint(q), dy)], axis=-1)
        return [dr] if self.mode == "r" else [dq, dr]

    def _is_free(self, a: TensorVariable) -> bool:
        m, n = a.type.shape[-2:]
        return self.mode == "complete" and (m is None or n is None or m > n)

    def _ordered(self, a: TensorVariable, order: TensorVariable) -> TensorVariable:
        """a[:, p], which has the same factors without pivoting."""
        return take_along_axis(a, broadcast_to(expand_dims(order, -2), shape_of(a)), axis=-1)

    def _factors(self, a: TensorVariable, outputs: Sequence[TensorVariable]) -> Sequence[TensorVariable]:
        return QR("reduced", False, self.on_error)(a) if self.mode == "r" else outputs


def _widened(gx: TensorVariable, a: TensorVariable, k: Any) -> TensorVariable:
    """Zeros for the columns behind the first k, which Q does not depend on."""
    return concatenate([gx, a[..., k:] * 0], axis=-1)


def qr(a: Any, mode: str = "reduced", pivoting: bool = False, on_error: str | None = None) -> Any:
    """Q and R, or R alone, with NumPy's modes "reduced", "complete", "r" and SciPy's "economic", "full"; see QR."""
    if mode not in MODES:
        raise ArgumentError(f"qr needs mode from {', '.join(map(repr, MODES))}, got {mode!r}")
    return QR(MODES[mode], pivoting, on_error)(a)
