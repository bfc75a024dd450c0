"""Schur factors: unitary times triangular."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from core import dtypes
from core.errors import ArgumentError, did_you_mean
from core.gradient import Lop
from core.op import grad_not_implemented
from core.tensor import TensorVariable, as_tensor, cast, matmul, tril, triu, zeros_like
from plugin_ops_linalg.batched import BatchedOp
from plugin_ops_linalg.lapack import scipy_linalg
from plugin_ops_linalg.matrices import adjoint, matrix_transpose, product, total

__all__ = ["Schur", "SchurTurn", "checked_output", "checked_sort", "schur"]

OUTPUTS = {"real": "real", "r": "real", "complex": "complex", "c": "complex"}
SORTS = ("lhp", "rhp", "iuc", "ouc")
_REAL_BLOCKS = "a pair of complex eigenvalues makes a block; output='complex' has derivatives"


class Schur(BatchedOp):
    """a = Z T Z^H with unitary Z and triangular T, whose diagonal holds the eigenvalues.

    Input    a: (..., n, n).
    Outputs  T and Z: (..., n, n), of the dtype of a.  T of a real matrix has a block of 2 by 2 for each pair of complex
             eigenvalues.  With ``sort``, a third: how many eigenvalues come first because it chose them, (...), int64.
    sort     None, "lhp", "rhp" (real part below, not below 0), "iuc", "ouc" (inside, outside the unit circle), or a
             function of an eigenvalue.
    Errors   LinAlgError when the iteration does not converge.
    Source   LAPACK gees.  Derivatives of complex factors, from a Z = Z T and Z^H Z = I: with M = Z^H da Z and X the
             strictly lower matrix for which X T - T X has M's strict lower triangle, W = X - X^H, they are dZ = Z W and
             dT = M - W T + T W.  They exist where eigenvalues differ, for functions that do not depend on the phases of
             Z's columns.  Real factors have none: NullType.
    """

    __props__ = ("sort", "on_error")

    def __init__(self, sort: str | Callable | None = None, on_error: str | None = None):
        super().__init__(on_error)
        self.sort = sort

    @property
    def signature(self) -> str:  # type: ignore[override]
        return "(n,n)->(n,n),(n,n)" + ("" if self.sort is None else ",()")

    @property
    def routine(self) -> str | None:  # type: ignore[override]
        return None if callable(self.sort) else "gees"

    def output_dtypes(self, dtype: str) -> Sequence[str]:
        return [dtype, dtype, *([] if self.sort is None else ["int64"])]

    def compute(self, a: np.ndarray) -> tuple:
        output = "complex" if a.dtype.kind == "c" else "real"
        return scipy_linalg().schur(a, output=output, sort=self.sort, check_finite=False)

    def pullback(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], grads: Sequence[Any]
    ) -> Sequence[Any]:
        """The transpose of ``pushforward``, which is linear."""
        (a,) = inputs
        if a.dtype not in dtypes.COMPLEXES:
            return [grad_not_implemented(self, 0, a, _REAL_BLOCKS)]
        along = zeros_like(a)  # any matrix of that shape will do
        tangents = self.pushforward(inputs, outputs, [along])
        pairs = [(dt, g) for dt, g in zip(tangents[:2], grads[:2], strict=True) if g is not None]
        return [Lop([dt for dt, _ in pairs], along, [g for _, g in pairs])]

    def pushforward(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], tangents: Sequence[Any]
    ) -> Sequence[Any]:
        """See the class."""
        if inputs[0].dtype not in dtypes.COMPLEXES:
            return super().pushforward(inputs, outputs, tangents)
        t, z = outputs[:2]
        m = product(adjoint(z), tangents[0], z)
        lower = SchurTurn()(t, m)
        turn = lower - adjoint(lower)
        dt = triu(m - matmul(turn, t) + matmul(t, turn))
        return [dt, matmul(z, turn), *([] if self.sort is None else [None])]


class SchurTurn(BatchedOp):
    """x, strictly lower triangular, for which x t - t x has the strict lower triangle of m.

    Inputs  t: (..., n, n), of which the upper triangle is read; m: (..., n, n), of which the strict lower one is.
    Output  x: (..., n, n).  Where t_jj and t_ii are equal up to rounding, x_ij is 0; see plugin_ops_linalg/gaps.py.
    transposed  the transpose of that map of m, which solves x t^T - t^T x instead.
    Source  Substitution along diagonals, n^3 / 3 operations: as Bartels, Stewart (1972) for triangular matrices.
    """

    __props__ = ("transposed",)
    signature = "(n,n),(n,n)->(n,n)"
    routine = "schur_turn"
    needs_finite = False

    def __init__(self, transposed: bool = False):
        super().__init__("raise")
        self.transposed = bool(transposed)

    def compute(self, t: np.ndarray, m: np.ndarray) -> np.ndarray:
        n, d = len(t), t.diagonal()
        x, least = np.zeros_like(m), np.finfo(m.dtype).eps * np.abs(d).sum()
        for apart in range(1, n) if self.transposed else range(n - 1, 0, -1):
            for j in range(n - apart):
                i = j + apart
                if self.transposed:
                    rest = x[i, j + 1 : i] @ t[j, j + 1 : i] - t[j + 1 : i, i] @ x[j + 1 : i, j]
                else:
                    rest = x[i, :j] @ t[:j, j] - t[i, i + 1 :] @ x[i + 1 :, j]
                gap = d[j] - d[i]
                x[i, j] = 0 if abs(gap) <= least else (m[i, j] - rest) / gap
        return x

    def pullback(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], grads: Sequence[Any]
    ) -> Sequence[Any]:
        """gm = s, what the transposed map makes of g; gt = s x^T - x^T s, or x s^T - s^T x, on the upper triangle."""
        (t, _), (x,) = inputs, outputs
        s = SchurTurn(not self.transposed)(t, grads[0])
        if self.transposed:
            st = matrix_transpose(s)
            return [triu(matmul(x, st) - matmul(st, x)), s]
        xt = matrix_transpose(x)
        return [triu(matmul(s, xt) - matmul(xt, s)), s]

    def pushforward(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], tangents: Sequence[Any]
    ) -> Sequence[Any]:
        """dx solves for dm - (x dt - dt x)."""
        (t, _), (x,), (dt, dm) = inputs, outputs, tangents
        change = None
        if dt is not None:
            dt = matrix_transpose(triu(dt)) if self.transposed else triu(dt)
            change = matmul(dt, x) - matmul(x, dt)
        return [self(t, tril(total([dm, change]), -1))]


def checked_output(who: str, output: str) -> str:
    """ "real" or "complex".  Errors: ArgumentError for another word."""
    if output not in OUTPUTS:
        raise ArgumentError(f"{who} needs output 'real' or 'complex', got {output!r}.{did_you_mean(output, OUTPUTS)}")
    return OUTPUTS[output]


def checked_sort(who: str, sort: Any) -> Any:
    """``sort`` itself.  Errors: ArgumentError unless it is one of SciPy's words, or a function."""
    if not callable(sort) and sort not in SORTS:
        raise ArgumentError(f"{who} needs sort from {', '.join(map(repr, SORTS))}, or a function, got {sort!r}")
    return sort


def schur(
    a: Any,
    output: str = "real",
    lwork: Any = None,
    overwrite_a: bool = False,
    sort: Any = None,
    check_finite: bool = True,
    on_error: str | None = None,
) -> tuple[TensorVariable, ...]:
    """T and Z with a = Z T Z^H, and how many eigenvalues ``sort`` chose, where it is given; see Schur.

    output  "real" or "complex": complex factors also of a real matrix.  ``lwork`` and ``overwrite_a`` are SciPy's.
    """
    a = as_tensor(a)
    if checked_output("schur", output) == "complex" and a.dtype not in dtypes.COMPLEXES:
        a = cast(a, dtypes.promote(a.dtype, "complex64"))
    return tuple(Schur(None if sort is None else checked_sort("schur", sort), on_error)(a))
