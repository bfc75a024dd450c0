"""Triangular systems: SolveTriangular, on which the derivatives of most decompositions stand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core.errors import ArgumentError
from core.tensor import TensorVariable, matmul, tril, triu
from plugin_ops_linalg.batched import BatchedOp
from plugin_ops_linalg.errors import LinAlgError
from plugin_ops_linalg.lapack import routine
from plugin_ops_linalg.matrices import adjoint, as_columns, conjugate, matrix_transpose, total, without_column

__all__ = ["SolveTriangular", "solve_triangular"]

TRANS = {0: "N", 1: "T", 2: "C", "N": "N", "T": "T", "C": "C"}


class SolveTriangular(BatchedOp):
    """x with a x = b, a.T x = b or a.H x = b for triangular a; only the triangle that ``lower`` names is read.

    Inputs  a: (..., n, n); b: (..., n, k).      Output  x: (..., n, k).
    trans   "N", "T" or "C": which of the three systems.      unit_diagonal  the diagonal is taken to be 1.
    Errors  LinAlgError naming the first element of the diagonal that is 0.
    Source  LAPACK trtrs; backward stable: Higham (2002), theorem 8.5.  Derivatives: Giles (2008), section 2.3.1.
    """

    __props__ = ("lower", "trans", "unit_diagonal", "check_finite", "on_error")
    signature = "(n,n),(n,k)->(n,k)"
    routine, works_in = "trtrs", (0, 1)

    def __init__(
        self,
        lower: bool = False,
        trans: str = "N",
        unit_diagonal: bool = False,
        check_finite: bool = True,
        on_error: str | None = None,
    ):
        super().__init__(on_error)
        self.lower, self.trans, self.unit_diagonal = bool(lower), trans, bool(unit_diagonal)
        self.check_finite = self.needs_finite = bool(check_finite)

    def with_trans(self, trans: str) -> SolveTriangular:
        """The same matrix, another system."""
        return SolveTriangular(self.lower, trans, self.unit_diagonal, self.check_finite, self.on_error)

    def compute(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        number = "NTC".index(self.trans)
        x, info = routine("trtrs", a)(a, b, lower=self.lower, trans=number, unitdiag=self.unit_diagonal)
        if info > 0:
            raise LinAlgError(self.why(info))
        return x

    def why(self, number: int) -> str:
        return f"the matrix is singular: element {number - 1} of its diagonal is 0"

    def attributes(self) -> dict[str, Any]:
        return {**super().attributes(), "transposed": "NTC".index(self.trans)}

    def pullback(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], grads: Sequence[Any]
    ) -> Sequence[Any]:
        """dx = a^-1 (db - da x), so gb = a^-T g and ga = -gb x^T, on the triangle that is read."""
        (a, _), (x,), (g,) = inputs, outputs, grads
        if self.trans == "C":  # a^H x = b: the transpose of a^-H is conj(a^-1)
            gb = conjugate(self.with_trans("N")(a, conjugate(g)))
            ga = conjugate(matmul(x, matrix_transpose(gb)))
        elif self.trans == "T":
            gb = self.with_trans("N")(a, g)
            ga = matmul(x, matrix_transpose(gb))
        else:
            gb = self.with_trans("T")(a, g)
            ga = matmul(gb, matrix_transpose(x))
        return [self.triangle(-ga), gb]

    def pushforward(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], tangents: Sequence[Any]
    ) -> Sequence[Any]:
        """dx = a^-1 (db - da x)."""
        (a, _), (x,), (da, db) = inputs, outputs, tangents
        if da is not None:
            da = {"N": lambda m: m, "T": matrix_transpose, "C": adjoint}[self.trans](self.triangle(da))
            da = -matmul(da, x)
        return [self(a, total([db, da]))]

    def triangle(self, x: TensorVariable) -> TensorVariable:
        """The part of a matrix that is read."""
        skip = 1 if self.unit_diagonal else 0
        return tril(x, -skip) if self.lower else triu(x, skip)


def solve_triangular(
    a: Any,
    b: Any,
    trans: Any = 0,
    lower: bool = False,
    unit_diagonal: bool = False,
    overwrite_b: bool = False,
    check_finite: bool = True,
    on_error: str | None = None,
) -> TensorVariable:
    """x with a x = b (trans 0), a.T x = b (1) or a.H x = b (2) for triangular ``a``; see SolveTriangular.

    b  (n,), or (..., n, k).  ``overwrite_b`` is SciPy's; what is overwritten is for the compiler to decide.
    """
    if trans not in TRANS:
        raise ArgumentError(f"solve_triangular needs trans 0, 1, 2, 'N', 'T' or 'C', got {trans!r}")
    b, was_vector = as_columns(b)
    op = SolveTriangular(lower, TRANS[trans], unit_diagonal, check_finite, on_error)
    return without_column(op(a, b), was_vector)
