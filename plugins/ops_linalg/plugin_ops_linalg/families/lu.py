"""LU factors with row exchanges, and systems that are solved with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from core import dtypes
from core.tensor import (
    TensorVariable,
    arange,
    argmax,
    as_tensor,
    diagonal_length,
    eye,
    matmul,
    one_hot,
    set_subtensor,
    shape_i,
    shape_of,
    tril,
    triu,
    where,
    zeros,
)
from plugin_ops_linalg.batched import BatchedOp
from plugin_ops_linalg.families.triangular import TRANS, SolveTriangular
from plugin_ops_linalg.lapack import require, routine
from plugin_ops_linalg.matrices import as_columns, matrix_transpose, without_column

__all__ = ["LUFactor", "PivotToPermutation", "lu", "lu_factor", "lu_solve", "pivot_to_permutation"]


class LUFactor(BatchedOp):
    """Both factors of a in one matrix, and the row exchanges: row i was exchanged with row piv[i], in this order.

    Input    a: (..., m, n).
    Outputs  lu: (..., m, n), U in the upper triangle and L below it, whose diagonal of ones is not stored;
             piv: (..., min(m, n)), int32.  A singular matrix has a 0 on the diagonal of U.
    Source   LAPACK getrf; error bounds: Higham (2002), theorem 9.3.  Derivatives: de Hoog, Anderssen, Lukas (2011).
    """

    __props__ = ("check_finite", "on_error")
    signature = "(m,n)->(m,n),(k)"

    def __init__(self, check_finite: bool = True, on_error: str | None = None):
        super().__init__(on_error)
        self.check_finite = self.needs_finite = bool(check_finite)

    def lengths(self, sizes: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"k": shorter(sizes["m"], sizes["n"])}

    def output_dtypes(self, dtype: str) -> Sequence[str]:
        return [dtype, "int32"]

    def compute(self, a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        factors, pivots, info = routine("getrf", a)(a)
        require("getrf", min(info, 0))  # a positive one says that U is singular, which it may be
        return factors, pivots

    def pullback(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], grads: Sequence[Any]
    ) -> Sequence[Any]:
        """With P^T da = L S U: dL = L tril(S, -1) and dU = triu(S) U; this is their transpose."""
        lu, pivots = outputs
        lower, upper, k = padded_factors(lu)
        g = grads[0]
        of_lower = tril(matmul(matrix_transpose(lower), tril(g, -1)), -1)[..., :k]
        of_upper = triu(matmul(triu(g), matrix_transpose(upper)))[..., :k, :]
        rows, columns = shape_i(lu, -2), shape_i(lu, -1)
        inner = padded(of_lower, rows, columns) + padded(of_upper, rows, columns)
        left = SolveTriangular(True, "T", True, False)(lower, inner)
        right = matrix_transpose(SolveTriangular(False, "N", False, False)(upper, matrix_transpose(left)))
        return [matmul(permutation_matrix(pivots, rows, lu.dtype), right)]

    def pushforward(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], tangents: Sequence[Any]
    ) -> Sequence[Any]:
        """With P^T da = L S U: dL = L tril(S, -1) and dU = triu(S) U."""
        lu, pivots = outputs
        lower, upper, k = padded_factors(lu)
        moved = matmul(matrix_transpose(permutation_matrix(pivots, shape_i(lu, -2), lu.dtype)), tangents[0])
        left = SolveTriangular(True, "N", True, False)(lower, moved)
        inner = matrix_transpose(SolveTriangular(False, "T", False, False)(upper, matrix_transpose(left)))
        rows, columns = shape_i(lu, -2), shape_i(lu, -1)
        of_lower = padded(matmul(lower, tril(inner, -1))[..., :k], rows, columns)
        of_upper = padded(matmul(triu(inner), upper)[..., :k, :], rows, columns)
        return [tril(of_lower, -1) + triu(of_upper), None]


class PivotToPermutation(BatchedOp):
    """From row exchanges to a permutation p of m rows: L U = a[p].

    Inputs  piv: (..., k), integers; row: (m,), anything, for its length.      Output  p: (..., m), int64.
    """

    __props__ = ()
    signature = "(k),(m)->(m)"
    needs_finite = False

    def __init__(self) -> None:
        super().__init__("raise")

    def operands(self, inputs: Sequence[Any]) -> list[TensorVariable]:
        return [as_tensor(x) for x in inputs]

    def output_dtypes(self, dtype: str) -> Sequence[str]:
        return ["int64"]

    def compute(self, pivots: np.ndarray, row: np.ndarray) -> np.ndarray:
        p = np.arange(row.size)
        for i, j in enumerate(pivots):
            p[i], p[j] = p[j], p[i]
        return p

    def compute_empty(self, outputs: Sequence[np.ndarray]) -> None:
        outputs[0][...] = np.arange(outputs[0].shape[-1])

    def connection_pattern(self, node: Any) -> list[list[bool]]:
        return [[False], [False]]


def shorter(m: Any, n: Any) -> Any:
    """The smaller of two lengths, ints or symbolic integers."""
    return min(m, n) if isinstance(m, (int, np.integer)) and isinstance(n, (int, np.integer)) else diagonal_length(m, n)


def padded_factors(lu: TensorVariable) -> tuple[TensorVariable, TensorVariable, TensorVariable]:
    """L as (m, m) and U as (n, n), the smaller filled up with columns or rows of the identity; and min(m, n)."""
    m, n = shape_i(lu, -2), shape_i(lu, -1)
    k = shorter(m, n)
    lower = padded(tril(lu[..., :k], -1), m, m) + eye(m, dtype=lu.dtype)
    upper = padded(triu(lu[..., :k, :]), n, n) + where(arange(n) >= k, eye(n, dtype=lu.dtype), 0)
    return lower, upper, k


def padded(x: TensorVariable, m: Any, n: Any) -> TensorVariable:
    """Matrices with rows and columns of 0 behind, up to (m, n)."""
    whole = zeros((*shape_of(x)[:-2], m, n), dtype=x.dtype)
    return set_subtensor(whole[..., : shape_i(x, -2), : shape_i(x, -1)], x)


def permutation_matrix(pivots: TensorVariable, rows: Any, dtype: str) -> TensorVariable:
    """P with a = P L U."""
    p = PivotToPermutation()(pivots, arange(rows))
    return matrix_transpose(one_hot(p, rows, dtype=dtype))


def lu_factor(
    a: Any, overwrite_a: bool = False, check_finite: bool = True, on_error: str | None = None
) -> tuple[TensorVariable, TensorVariable]:
    """The pair ``(lu, piv)`` that ``lu_solve`` takes; see LUFactor."""
    factors, pivots = LUFactor(check_finite, on_error)(a)
    return factors, pivots


def lu(
    a: Any,
    permute_l: bool = False,
    overwrite_a: bool = False,
    check_finite: bool = True,
    p_indices: bool = False,
    on_error: str | None = None,
) -> tuple[TensorVariable, ...]:
    """P, L and U with a = P L U, for a of (..., m, n): (m, m), (m, k) and (k, n), k = min(m, n).

    permute_l   P L and U instead.      p_indices  in place of P the indices p with a = L[p] U, (..., m).
    """
    factors, pivots = lu_factor(a, overwrite_a, check_finite, on_error)
    m, k = shape_i(factors, -2), shape_i(pivots, -1)
    lower = tril(factors[..., :k], -1) + eye(m, k, dtype=factors.dtype)
    upper = triu(factors[..., :k, :])
    permutation = permutation_matrix(pivots, m, dtypes.real_of(factors.dtype))
    if permute_l:
        return matmul(permutation, lower), upper
    if p_indices:
        return argmax(permutation, axis=-1), lower, upper
    return permutation, lower, upper


def lu_solve(
    lu_and_piv: Any,
    b: Any,
    trans: Any = 0,
    overwrite_b: bool = False,
    check_finite: bool = True,
    on_error: str | None = None,
) -> TensorVariable:
    """x with a x = b (trans 0), a.T x = b (1) or a.H x = b (2), given lu_factor(a).  b: (n,) or (..., n, k)."""
    factors, pivots = lu_and_piv
    factors, (b, was_vector) = as_tensor(factors), as_columns(b)
    order = permutation_matrix(as_tensor(pivots), shape_i(factors, -1), dtypes.real_of(factors.dtype))
    lower, upper = (
        SolveTriangular(is_lower, TRANS[trans], is_lower, check_finite, on_error) for is_lower in (True, False)
    )
    if TRANS[trans] == "N":
        x = upper(factors, lower(factors, matmul(matrix_transpose(order), b)))
    else:
        x = matmul(order, lower(factors, upper(factors, b)))
    return without_column(x, was_vector)


def pivot_to_permutation(piv: Any, inverse: bool = False) -> TensorVariable:
    """The permutation p of the rows of a square matrix with L U = a[p], or the inverse one, from row exchanges."""
    piv = as_tensor(piv)
    p = PivotToPermutation()(piv, piv)
    return argmax(one_hot(p, shape_i(piv, -1)), axis=-2) if inverse else p
