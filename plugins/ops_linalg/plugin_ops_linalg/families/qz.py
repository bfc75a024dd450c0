"""Generalised Schur factors of two matrices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from core import dtypes
from core.errors import ArgumentError
from core.gradient import Lop
from core.op import grad_not_implemented
from core.tensor import TensorVariable, as_tensor, cast, expand_dims, matmul, real, tril, triu, zeros_like
from plugin_ops_linalg.batched import BatchedOp
from plugin_ops_linalg.families.schur import checked_output, checked_sort
from plugin_ops_linalg.gaps import inverse_nonzero
from plugin_ops_linalg.lapack import scipy_linalg
from plugin_ops_linalg.matrices import adjoint, diagonal_of, matrix_transpose, product

__all__ = ["OrderedQZ", "QZ", "QZTurn", "ordqz", "qz"]

_REAL_BLOCKS = "a pair of complex eigenvalues makes a block; output='complex' has derivatives"


class QZ(BatchedOp):
    """a = Q AA Z^H and b = Q BB Z^H with unitary Q and Z and triangular AA and BB.

    Inputs   a, b: (..., n, n).
    Outputs  AA, BB, Q and Z: (..., n, n).  AA of real matrices has a block of 2 by 2 for each pair of complex
             eigenvalues.
    Errors   LinAlgError when the iteration does not converge.
    Source   LAPACK gges: Moler, Stewart (1973).  Derivatives of complex factors, from a Z = Q AA and b Z = Q BB: with
             M = Q^H da Z, N = Q^H db Z and QZTurn's X and Y for them, W = X - X^H + D and V = Y - Y^H, they are
             dQ = Q W, dZ = Z V, dAA = M - W AA + AA V, dBB = N - W BB + BB V; D is diagonal, imaginary, and keeps the
             diagonal of BB real, as LAPACK has it.  They exist where eigenvalues differ, for functions that do not
             depend on the phases of pairs of columns.  Real factors have none: NullType.
    """

    __props__ = ("on_error",)
    signature = "(n,n),(n,n)->(n,n),(n,n),(n,n),(n,n)"
    routine: str | None = "gges"

    def compute(self, a: np.ndarray, b: np.ndarray) -> tuple:
        output = "complex" if a.dtype.kind == "c" else "real"
        return scipy_linalg().qz(a, b, output=output, check_finite=False)

    def pullback(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], grads: Sequence[Any]
    ) -> Sequence[Any]:
        """The transpose of ``pushforward``, which is linear."""
        if inputs[0].dtype not in dtypes.COMPLEXES:
            return [grad_not_implemented(self, k, x, _REAL_BLOCKS) for k, x in enumerate(inputs)]
        along = [zeros_like(x) for x in inputs]  # any matrices of these shapes will do
        tangents = self.pushforward(inputs, outputs, along)
        pairs = [(dt, g) for dt, g in zip(tangents, grads, strict=True) if g is not None]
        return Lop([dt for dt, _ in pairs], along, [g for _, g in pairs])

    def pushforward(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], tangents: Sequence[Any]
    ) -> Sequence[Any]:
        """See the class."""
        if inputs[0].dtype not in dtypes.COMPLEXES:
            return super().pushforward(inputs, outputs, tangents)
        aa, bb, *_, q, z = outputs
        m, n = (product(adjoint(q), zeros_like(aa) if dx is None else dx, z) for dx in tangents)
        x, y = QZTurn()(aa, bb, m, n)
        w, v = x - adjoint(x), y - adjoint(y)
        daa, dbb = (dx - matmul(w, factor) + matmul(factor, v) for dx, factor in ((m, aa), (n, bb)))
        imaginary = real(diagonal_of(dbb) * (-1j)).astype(aa.dtype)  # ``imag``, which has no derivative
        turn = 1j * expand_dims(imaginary * inverse_nonzero(real(diagonal_of(bb))).astype(aa.dtype), -1)
        daa, dbb = (triu(dx - turn * factor) for dx, factor in ((daa, aa), (dbb, bb)))
        return self._with_eigenvalues(daa, dbb, matmul(q, w) + q * matrix_transpose(turn), matmul(z, v))

    def _with_eigenvalues(self, daa: Any, dbb: Any, dq: Any, dz: Any) -> list[Any]:
        """The tangents in the order of the outputs."""
        return [daa, dbb, dq, dz]


class OrderedQZ(QZ):
    """As QZ, with the eigenvalues that ``sort`` chooses first, and the eigenvalues alpha / beta.

    Outputs  AA, BB (..., n, n), alpha, beta (..., n), Q, Z (..., n, n); alpha is complex.
    sort     "lhp", "rhp" (real part below, not below 0), "iuc", "ouc" (inside, outside the unit circle), or a function
             of alpha and beta.
    Source   LAPACK gges, tgsen: Kågström, Poromaa (1996).
    """

    __props__ = ("sort", "on_error")
    signature = "(n,n),(n,n)->(n,n),(n,n),(n),(n),(n,n),(n,n)"

    def __init__(self, sort: str | Callable = "lhp", on_error: str | None = None):
        super().__init__(on_error)
        self.sort = sort

    @property
    def routine(self) -> str | None:  # type: ignore[override]
        return None if callable(self.sort) else "gges"

    def output_dtypes(self, dtype: str) -> Sequence[str]:
        return [dtype, dtype, dtypes.promote(dtype, "complex64"), dtype, dtype, dtype]

    def compute(self, a: np.ndarray, b: np.ndarray) -> tuple:
        output = "complex" if a.dtype.kind == "c" else "real"
        return scipy_linalg().ordqz(a, b, sort=self.sort, output=output, check_finite=False)

    def _with_eigenvalues(self, daa: Any, dbb: Any, dq: Any, dz: Any) -> list[Any]:
        return [daa, dbb, diagonal_of(daa), diagonal_of(dbb), dq, dz]


class QZTurn(BatchedOp):
    """x and y, strictly lower triangular, for which x s - s y and x t - t y have the strict lower triangles of m and n.

    Inputs   s, t, m, n: (..., n, n); of s and t the upper triangles are read, of m and n the strict lower ones.
    Outputs  x, y: (..., n, n).  Where an eigenvalue is repeated up to rounding, elements are 0; see gaps.py.
    transposed  the transpose of that map of m and n: given for x and y, what is given back for m and n.
    Source   Substitution along diagonals, as for generalised Sylvester equations: Kågström, Westin (1989).
    """

    __props__ = ("transposed",)
    signature = "(n,n),(n,n),(n,n),(n,n)->(n,n),(n,n)"
    routine = "qz_turn"
    needs_finite = False

    def __init__(self, transposed: bool = False):
        super().__init__("raise")
        self.transposed = bool(transposed)

    def compute(self, s: np.ndarray, t: np.ndarray, m: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        order, x, y = len(s), np.zeros_like(m), np.zeros_like(m)
        ds, dt = s.diagonal(), t.diagonal()
        least = np.finfo(m.dtype).eps * np.abs(ds).sum() * np.abs(dt).sum()
        for apart in range(1, order) if self.transposed else range(order - 1, 0, -1):
            for j in range(order - apart):
                i = j + apart
                gap = ds[i] * dt[j] - ds[j] * dt[i]
                if abs(gap) <= least:
                    continue
                if self.transposed:
                    k = slice(j + 1, i)
                    p = m[i, j] - x[i, k] @ s[j, k] - y[i, k] @ t[j, k]
                    q = -n[i, j] - s[k, i] @ x[k, j] - t[k, i] @ y[k, j]
                    x[i, j], y[i, j] = (dt[j] * q - dt[i] * p) / gap, (ds[i] * p - ds[j] * q) / gap
                else:
                    p = m[i, j] - x[i, :j] @ s[:j, j] + s[i, i + 1 :] @ y[i + 1 :, j]
                    q = n[i, j] - x[i, :j] @ t[:j, j] + t[i, i + 1 :] @ y[i + 1 :, j]
                    x[i, j], y[i, j] = (ds[i] * q - dt[i] * p) / gap, (ds[j] * q - dt[j] * p) / gap
        return x, y

    def pullback(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], grads: Sequence[Any]
    ) -> Sequence[Any]:
        """(gm, gn) = (c, d), what the transposed map makes of (gx, gy); gs = c y^T - x^T c, gt = d y^T - x^T d on the
        upper triangle; of the transposed map with the roles of (x, y) and (c, d) exchanged.
        """
        s, t = inputs[:2]
        back = QZTurn(not self.transposed)(s, t, *(zeros_like(s) if g is None else g for g in grads))
        (x, y), (c, d) = (back, outputs) if self.transposed else (outputs, back)
        of_factors = [triu(matmul(f, matrix_transpose(y)) - matmul(matrix_transpose(x), f)) for f in (c, d)]
        return [*of_factors, *back]

    def pushforward(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], tangents: Sequence[Any]
    ) -> Sequence[Any]:
        """(dx, dy) solve for (dm, dn) less what a change of s and t makes of (x, y)."""
        s, t = inputs[:2]
        x, y = outputs
        ds, dt, dm, dn = (zeros_like(s) if dx is None else dx for dx in tangents)
        ds, dt = triu(ds), triu(dt)
        if self.transposed:
            dst, dtt = matrix_transpose(ds), matrix_transpose(dt)
            dm = dm - matmul(x, dst) - matmul(y, dtt)
            dn = dn + matmul(dst, x) + matmul(dtt, y)
        else:
            dm = dm - matmul(x, ds) + matmul(ds, y)
            dn = dn - matmul(x, dt) + matmul(dt, y)
        return list(self(s, t, tril(dm, -1), tril(dn, -1)))


def qz(
    A: Any,
    B: Any,
    output: str = "real",
    lwork: Any = None,
    sort: None = None,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    check_finite: bool = True,
    on_error: str | None = None,
) -> tuple[TensorVariable, ...]:
    """AA, BB, Q and Z with A = Q AA Z^H and B = Q BB Z^H; see QZ.  As in SciPy, ``ordqz`` is what sorts.

    output  "real" or "complex": complex factors also of real matrices.  ``lwork`` and ``overwrite_*`` are SciPy's.
    """
    if sort is not None:
        raise ArgumentError(f"qz does not sort, got sort={sort!r}; ordqz does")
    return tuple(QZ(on_error)(*_as_kind("qz", output, A, B)))


def ordqz(
    A: Any,
    B: Any,
    sort: Any = "lhp",
    output: str = "real",
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    check_finite: bool = True,
    on_error: str | None = None,
) -> tuple[TensorVariable, ...]:
    """AA, BB, alpha, beta, Q and Z: as ``qz``, with the eigenvalues alpha / beta that ``sort`` chooses first."""
    return tuple(OrderedQZ(checked_sort("ordqz", sort), on_error)(*_as_kind("ordqz", output, A, B)))


def _as_kind(who: str, output: str, *matrices: Any) -> list[TensorVariable]:
    """The matrices, complex where ``output`` asks for it."""
    found = [as_tensor(x) for x in matrices]
    if checked_output(who, output) == "complex":
        found = [x if x.dtype in dtypes.COMPLEXES else cast(x, dtypes.promote(x.dtype, "complex64")) for x in found]
    return found
