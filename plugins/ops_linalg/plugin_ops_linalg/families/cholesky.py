"""Cholesky factors of positive definite matrices, and systems that are solved with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core.tensor import TensorVariable, as_tensor, matmul, tril
from plugin_ops_linalg.batched import BatchedOp
from plugin_ops_linalg.errors import LinAlgError
from plugin_ops_linalg.families.triangular import SolveTriangular
from plugin_ops_linalg.formulas import WithFormula
from plugin_ops_linalg.lapack import routine
from plugin_ops_linalg.matrices import (
    adjoint,
    as_columns,
    conjugate,
    half_diagonal,
    hermitian,
    hermitian_transposed,
    matrix_transpose,
    product,
    total,
    without_column,
)

__all__ = [
    "Cholesky",
    "CholeskyGradient",
    "CholeskyInverse",
    "CholeskySolve",
    "GramGradient",
    "cho_factor",
    "cho_solve",
    "cholesky",
]


class Cholesky(BatchedOp):
    """The triangular factor with a positive diagonal: a = L L^H with L lower, or a = U^H U with U upper.

    Input   a: (..., n, n), Hermitian; only the triangle that ``lower`` names is read.
    Output  (..., n, n), 0 in the other triangle.
    Errors  LinAlgError naming the order of the first leading minor that is not positive.
    Source  LAPACK potrf; backward stable: Higham (2002), theorem 10.3.  Derivatives: Murray (2016), section 2 and 3.
    """

    __props__ = ("lower", "check_finite", "on_error")
    signature = "(n,n)->(n,n)"
    routine, works_in = "potrf", (0, 0)

    def __init__(self, lower: bool = True, check_finite: bool = True, on_error: str | None = None):
        super().__init__(on_error)
        self.lower = bool(lower)
        self.check_finite = self.needs_finite = bool(check_finite)

    def compute(self, a: np.ndarray) -> np.ndarray:
        factor, info = routine("potrf", a)(a, lower=self.lower, clean=True)
        if info > 0:
            raise LinAlgError(self.why(info))
        return factor

    def why(self, number: int) -> str:
        return f"the matrix is not positive definite: its leading minor of order {number} is not positive"

    def pullback(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], grads: Sequence[Any]
    ) -> Sequence[Any]:
        """See CholeskyGradient."""
        return [self._lower(CholeskyGradient(self.on_error)(self._lower(outputs[0]), self._lower(grads[0])))]

    def pushforward(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], tangents: Sequence[Any]
    ) -> Sequence[Any]:
        """dL = L Phi(L^-1 da L^-H).  Murray (2016), equation 8."""
        factor, solve = self._lower(outputs[0]), self._solver("N")
        left = solve(factor, hermitian(tangents[0], self.lower))
        both = adjoint(solve(factor, adjoint(left)))
        return [self._lower(matmul(factor, half_diagonal(both)))]

    def _lower(self, factor: TensorVariable) -> TensorVariable:
        """From a lower factor to that of this op, or back."""
        return factor if self.lower else adjoint(factor)

    def _solver(self, trans: str) -> SolveTriangular:
        return SolveTriangular(True, trans, check_finite=self.check_finite, on_error=self.on_error)


class CholeskyGradient(WithFormula):
    """The gradient of a, of which the lower triangle is read, from that of its lower Cholesky factor.

    Inputs  factor, g: (..., n, n); of g the lower triangle is read.      Output  (..., n, n), 0 above the diagonal.
    Source  ga = L^-T Phi(L^T g) conj(L)^-1, then on the triangle: Murray (2016), equation 10.  In C by blocks, 2/3 n^3
            operations where products and solves of whole matrices take 4 n^3: section 3.
    """

    __props__ = ("on_error",)
    signature = "(n,n),(n,n)->(n,n)"
    routine, works_in = "potrf_gradient", (0, 1)
    needs_finite = False

    def compute(self, factor: np.ndarray, g: np.ndarray) -> np.ndarray:
        inner = np.tril(factor.T @ np.tril(g))
        inner[np.diag_indices_from(inner)] /= 2
        solve = routine("trtrs", factor)
        left, _ = solve(factor, inner, lower=True, trans=1)
        right, _ = solve(factor, np.asarray(left.T), lower=True, trans=2)
        both = right.T + right.conj()
        both[np.diag_indices_from(both)] = right.diagonal().real
        return np.tril(both)

    @staticmethod
    def formula(factor: TensorVariable, g: TensorVariable) -> TensorVariable:
        """The same, as a graph that can be differentiated."""
        inner = half_diagonal(matmul(matrix_transpose(factor), tril(g)))
        left = SolveTriangular(True, "T", check_finite=False)(factor, inner)
        right = SolveTriangular(True, "C", check_finite=False)(factor, matrix_transpose(left))
        return hermitian_transposed(matrix_transpose(right))


class GramGradient(WithFormula):
    """The gradient of a triangular factor, L or U, from that of a = L L^H, or of a = U^H U.

    Inputs  factor, of which the triangle that ``lower`` names is read, and g: (..., n, n).
    Output  (..., n, n), 0 in the other triangle.
    Source  gL = (g + g^H) conj(L), gU = conj(U) (g + g^H), on the triangle.  CholeskyGradient undoes it; it is an op of
            its own so that a rule sees this, and becomes the formula where none does.
    """

    __props__ = ("lower", "on_error")
    signature = "(n,n),(n,n)->(n,n)"
    needs_finite = False

    def __init__(self, lower: bool = True, on_error: str | None = None):
        super().__init__(on_error)
        self.lower = bool(lower)

    def compute(self, factor: np.ndarray, g: np.ndarray) -> np.ndarray:
        both = g + g.conj().T
        return np.tril(both @ np.tril(factor).conj()) if self.lower else np.triu(np.triu(factor).conj() @ both)

    def formula(self, factor: TensorVariable, g: TensorVariable) -> TensorVariable:
        """The same, as a graph of products."""
        mask = SolveTriangular(self.lower).triangle
        both, factor = g + adjoint(g), conjugate(mask(factor))
        return mask(matmul(both, factor) if self.lower else matmul(factor, both))


class CholeskyInverse(BatchedOp):
    """The inverse of a, from its Cholesky factor; only the triangle of it that ``lower`` names is read.

    Input   factor: (..., n, n).
    Output  (..., n, n): a^-1 where ``whole``, else its triangle that ``lower`` names, and 0 in the other.
    Errors  LinAlgError naming the first element of the factor's diagonal that is 0.
    Source  LAPACK potri, 2/3 n^3 operations: Higham (2002), section 14.4.
    """

    __props__ = ("lower", "whole", "on_error")
    signature = "(n,n)->(n,n)"
    routine, works_in = "potri", (0, 0)
    needs_finite = False

    def __init__(self, lower: bool = True, whole: bool = True, on_error: str | None = None):
        super().__init__(on_error)
        self.lower, self.whole = bool(lower), bool(whole)

    def compute(self, factor: np.ndarray) -> np.ndarray:
        inverse, info = routine("potri", factor)(factor, lower=self.lower)
        if info > 0:
            raise LinAlgError(self.why(info))
        triangle = np.tril(inverse) if self.lower else np.triu(inverse)
        return triangle + np.tril(triangle, -1).conj().T + np.triu(triangle, 1).conj().T if self.whole else triangle

    def why(self, number: int) -> str:
        return f"the factor is singular: element {number - 1} of its diagonal is 0"

    def pullback(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], grads: Sequence[Any]
    ) -> Sequence[Any]:
        """The gradient of a is -y^T g y^T; see GramGradient."""
        y, g = matrix_transpose(self._inverse(inputs[0])), grads[0]
        g = g if self.whole else SolveTriangular(self.lower).triangle(g)
        return [GramGradient(self.lower, self.on_error)(inputs[0], -product(y, g, y))]

    def pushforward(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], tangents: Sequence[Any]
    ) -> Sequence[Any]:
        """dy = -y da y, da = dL L^H + L dL^H."""
        mask, y = SolveTriangular(self.lower).triangle, self._inverse(inputs[0])
        factor, df = mask(inputs[0]), mask(tangents[0])
        half = matmul(df, adjoint(factor)) if self.lower else matmul(adjoint(df), factor)
        dy = -product(y, half + adjoint(half), y)
        return [dy if self.whole else mask(dy)]

    def _inverse(self, factor: TensorVariable) -> TensorVariable:
        return CholeskyInverse(self.lower, True, self.on_error)(factor)


class CholeskySolve(BatchedOp):
    """x with a x = b, where ``factor`` is the Cholesky factor of a; only the triangle that ``lower`` names is read.

    Inputs  factor: (..., n, n); b: (..., n, k).      Output  x: (..., n, k).
    Errors  LinAlgError naming the first element of the factor's diagonal that is 0.
    Source  LAPACK potrs.
    """

    __props__ = ("lower", "check_finite", "on_error")
    signature = "(n,n),(n,k)->(n,k)"
    routine, works_in = "potrs", (0, 1)

    def __init__(self, lower: bool = True, check_finite: bool = True, on_error: str | None = None):
        super().__init__(on_error)
        self.lower = bool(lower)
        self.check_finite = self.needs_finite = bool(check_finite)

    def compute(self, factor: np.ndarray, b: np.ndarray) -> np.ndarray:
        zero = np.flatnonzero(factor.diagonal() == 0)
        if zero.size:
            raise LinAlgError(self.why(int(zero[0]) + 1))
        return routine("potrs", factor)(factor, b, lower=self.lower)[0]

    def why(self, number: int) -> str:
        return f"the factor is singular: element {number - 1} of its diagonal is 0"

    def pullback(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], grads: Sequence[Any]
    ) -> Sequence[Any]:
        """gb = a^-T g = conj(a^-1 conj(g)), and -gb x^T is the gradient of a; see GramGradient."""
        (factor, _), (x,), (g,) = inputs, outputs, grads
        gb = conjugate(self(factor, conjugate(g)))
        return [GramGradient(self.lower, self.on_error)(factor, -matmul(gb, matrix_transpose(x))), gb]

    def pushforward(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], tangents: Sequence[Any]
    ) -> Sequence[Any]:
        """dx = a^-1 (db - da x), da = dL L^H + L dL^H."""
        (factor, _), (x,), (df, db) = inputs, outputs, tangents
        change = None
        if df is not None:
            mask = SolveTriangular(self.lower).triangle
            f, df = mask(factor), mask(df)
            if self.lower:
                change = -(matmul(df, matmul(adjoint(f), x)) + matmul(f, matmul(adjoint(df), x)))
            else:
                change = -(matmul(adjoint(df), matmul(f, x)) + matmul(adjoint(f), matmul(df, x)))
        return [self(factor, total([db, change]))]


def cholesky(
    a: Any, lower: bool = True, overwrite_a: bool = False, check_finite: bool = True, on_error: str | None = None
) -> TensorVariable:
    """The Cholesky factor of ``a``: the lower one, as in NumPy, unless told otherwise; see Cholesky."""
    return Cholesky(lower, check_finite, on_error)(a)


def cho_factor(
    a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True, on_error: str | None = None
) -> tuple[TensorVariable, bool]:
    """The pair ``(factor, lower)`` that ``cho_solve`` takes.  Unlike SciPy's, the other triangle holds zeros."""
    return Cholesky(lower, check_finite, on_error)(a), lower


def cho_solve(
    c_and_lower: Any, b: Any, overwrite_b: bool = False, check_finite: bool = True, on_error: str | None = None
) -> TensorVariable:
    """x with a x = b, given the factor of a and whether it is the lower one.  b: (n,) or (..., n, k)."""
    factor, lower = c_and_lower
    b, was_vector = as_columns(b)
    return without_column(CholeskySolve(lower, check_finite, on_error)(as_tensor(factor), b), was_vector)
