"""Linear systems with one matrix: general, symmetric, Hermitian, positive definite, tridiagonal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core.errors import ArgumentError, did_you_mean
from core.tensor import TensorVariable, as_tensor, expand_dims, matmul, tril, triu
from plugin_ops_linalg.batched import BatchedOp
from plugin_ops_linalg.errors import LinAlgError
from plugin_ops_linalg.families.triangular import SolveTriangular
from plugin_ops_linalg.lapack import routine
from plugin_ops_linalg.matrices import (
    as_columns,
    conjugate,
    diagonal_of,
    hermitian,
    hermitian_transposed,
    matrix_transpose,
    symmetric,
    symmetric_transposed,
    total,
    without_column,
)

__all__ = ["Solve", "solve"]

NAMES = {  # SciPy's names and their short forms
    "general": "gen",
    "symmetric": "sym",
    "hermitian": "her",
    "positive definite": "pos",
}
TRIANGLES = {"upper triangular": False, "lower triangular": True}
ASSUMED = ("gen", "sym", "her", "pos", "tridiagonal")  # what Solve itself serves


class Solve(BatchedOp):
    """x with a x = b.

    Inputs    a: (..., n, n); b: (..., n, k).      Output  x: (..., n, k).
    assume_a  "gen", "sym", "her", "pos" or "tridiagonal".  Of a symmetric or Hermitian matrix the triangle that
              ``lower`` names is read, of a tridiagonal one its three diagonals.
    Errors    LinAlgError naming the pivot that is exactly 0, or the leading minor that is not positive.
    Source    LAPACK gesv, sysv, hesv, posv, gtsv; Higham (2002), chapters 9 to 11.  Derivatives: Giles (2008), 2.3.1.
    """

    __props__ = ("assume_a", "lower", "check_finite", "on_error")
    signature = "(n,n),(n,k)->(n,k)"
    works_in = (0, 1)

    def __init__(
        self, assume_a: str = "gen", lower: bool = False, check_finite: bool = True, on_error: str | None = None
    ):
        super().__init__(on_error)
        self.assume_a, self.lower = assume_a, bool(lower)
        self.check_finite = self.needs_finite = bool(check_finite)

    def compute(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        if self.assume_a == "gen" or (self.assume_a == "tridiagonal" and len(a) == 1):  # gtsv needs 2 rows
            *_, x, info = routine("gesv", a)(a, b)
        elif self.assume_a == "pos":
            _, x, info = routine("posv", a)(a, b, lower=self.lower)
        elif self.assume_a == "tridiagonal":
            below, middle, above = (np.diagonal(a, offset).copy() for offset in (-1, 0, 1))
            *_, x, info = routine("gtsv", a)(below, middle, above, b)
        else:
            name = "hesv" if self.assume_a == "her" and a.dtype.kind == "c" else "sysv"
            a, lower = (a, self.lower) if name == "hesv" else (a.T, not self.lower)  # as C sees it
            *_, x, info = routine(name, a)(a, b, lower=lower)
        if info > 0:
            raise LinAlgError(self.why(info))
        return x

    def why(self, number: int) -> str:
        if self.assume_a == "pos":
            return f"the matrix is not positive definite: its leading minor of order {number} is not positive"
        return f"the matrix is singular: pivot {number - 1} is 0"

    @property
    def routine(self) -> str | None:  # type: ignore[override]
        return {"gen": "gesv", "sym": "sysv", "her": "hesv", "tridiagonal": "gtsv"}.get(self.assume_a)

    def pullback(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], grads: Sequence[Any]
    ) -> Sequence[Any]:
        """dx = a^-1 (db - da x), so gb = a^-T g and ga = -gb x^T, on what is read of a."""
        (a, _), (x,), (g,) = inputs, outputs, grads
        if self.assume_a in ("gen", "tridiagonal"):
            gb = self(matrix_transpose(a), g)
        elif self.assume_a == "sym":
            gb = self(a, g)
        else:  # a^T = conj(a)
            gb = conjugate(self(a, conjugate(g)))
        return [self.gradient_of_what_is_read(-matmul(gb, matrix_transpose(x))), gb]

    def pushforward(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], tangents: Sequence[Any]
    ) -> Sequence[Any]:
        """dx = a^-1 (db - da x)."""
        (a, _), (x,), (da, db) = inputs, outputs, tangents
        return [self(a, total([db, None if da is None else -matmul(self.what_is_read(da), x)]))]

    def what_is_read(self, a: TensorVariable) -> TensorVariable:
        """The matrix that is meant by an ``a`` of which a part is read."""
        if self.assume_a == "gen":
            return a
        if self.assume_a == "tridiagonal":
            return tril(triu(a, -1), 1)
        return symmetric(a, self.lower) if self.assume_a == "sym" else hermitian(a, self.lower)

    def gradient_of_what_is_read(self, g: TensorVariable) -> TensorVariable:
        """The transpose of ``what_is_read``."""
        if self.assume_a in ("gen", "tridiagonal"):
            return self.what_is_read(g)
        transposed = symmetric_transposed if self.assume_a == "sym" else hermitian_transposed
        return transposed(g, self.lower)


def solve(
    a: Any,
    b: Any,
    lower: bool = False,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    check_finite: bool = True,
    assume_a: str = "gen",
    transposed: bool = False,
    on_error: str | None = None,
) -> TensorVariable:
    """x with a x = b, or a.T x = b where ``transposed``.

    b         (n,), or (..., n, k) with leading axes that broadcast against those of a.
    assume_a  what is known of a: "gen", "sym", "her", "pos", "diagonal", "tridiagonal", "banded", "upper triangular",
              "lower triangular", or a long name of SciPy's.  What the structure does not hold is not read.
    Errors    those of Solve and SolveTriangular; ArgumentError for an unknown ``assume_a``.
    """
    assume_a = NAMES.get(assume_a, assume_a)
    a, (b, was_vector) = as_tensor(a), as_columns(b)
    if transposed:
        a, lower = matrix_transpose(a), not lower
    if assume_a in TRIANGLES:
        op: BatchedOp = SolveTriangular(TRIANGLES[assume_a] != transposed, "N", False, check_finite, on_error)
    elif assume_a == "diagonal":
        return without_column(b / expand_dims(diagonal_of(a), -1), was_vector)
    elif assume_a == "banded":  # LU with pivoting keeps no more of a band than LAPACK finds by itself
        op = Solve("gen", False, check_finite, on_error)
    elif assume_a in ASSUMED:
        op = Solve(assume_a, lower, check_finite, on_error)
    else:
        known = (*ASSUMED, *TRIANGLES, "diagonal", "banded", *NAMES)
        raise ArgumentError(
            f"solve needs assume_a from {', '.join(map(repr, known))}, got {assume_a!r}.{did_you_mean(assume_a, known)}"
        )
    return without_column(op(a, b), was_vector)
