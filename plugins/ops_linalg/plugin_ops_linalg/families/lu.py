"""LU factors with row exchanges, and systems that are solved with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from core import dtypes
from core.errors import ArgumentError, DTypeError
from core.gradient import Lop
from core.op import disconnected, grad_not_implemented
from core.tensor import (
    TensorVariable,
    arange,
    argmax,
    as_tensor,
    cast,
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
from plugin_ops_linalg.batched import BatchedOp, lapack_dtype, parsed
from plugin_ops_linalg.errors import LinAlgError
from plugin_ops_linalg.families.triangular import TRANS, SolveTriangular
from plugin_ops_linalg.formulas import WithFormula
from plugin_ops_linalg.lapack import require, routine
from plugin_ops_linalg.matrices import as_columns, matrix_transpose, without_column

__all__ = [
    "LUFactor",
    "LUInverse",
    "LUSolve",
    "PivotToPermutation",
    "lu",
    "lu_factor",
    "lu_solve",
    "pivot_to_permutation",
]


class LUFactor(BatchedOp):
    """Both factors of a in one matrix, and the row exchanges: row i was exchanged with row piv[i], in this order.

    Input    a: (..., m, n).
    Outputs  lu: (..., m, n), U in the upper triangle and L below it, whose diagonal of ones is not stored;
             piv: (..., min(m, n)), int32.  A singular matrix has a 0 on the diagonal of U.
    Source   LAPACK getrf; error bounds: Higham (2002), theorem 9.3.  Derivatives: de Hoog, Anderssen, Lukas (2011).
    """

    __props__ = ("check_finite", "on_error")
    signature = "(m,n)->(m,n),(k)"
    routine = "getrf"

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


class FactoredOp(BatchedOp):
    """What is computed from LU factors: the first input is lu, the second piv, and stays an integer.

    Errors  LinAlgError naming the pivot that is exactly 0.
    """

    def operands(self, inputs: Sequence[Any]) -> list[TensorVariable]:
        takes = parsed(self.signature)[0]
        if len(inputs) != len(takes):
            raise ArgumentError(f"{self} needs {len(takes)} inputs, got {len(inputs)}")
        lu, piv, *rest = map(as_tensor, inputs)
        dtype = lapack_dtype(self, [lu, *rest])
        if piv.dtype not in dtypes.INTEGERS:
            raise DTypeError(f"{self} needs integers as exchanges of rows, got {piv.dtype}", blame=piv)
        cast_to = [x if x.dtype == dtype else cast(x, dtype) for x in (lu, *rest)]
        return [cast_to[0], piv if piv.dtype == "int32" else cast(piv, "int32"), *cast_to[1:]]

    def why(self, number: int) -> str:
        return f"the matrix is singular: pivot {number - 1} is 0"

    def require_regular(self, lu: np.ndarray) -> None:
        """Errors: LinAlgError when a pivot is 0."""
        zero = np.flatnonzero(lu.diagonal() == 0)
        if zero.size:
            raise LinAlgError(self.why(int(zero[0]) + 1))

    def connection_pattern(self, node: Any) -> list[list[bool]]:
        return [[k != 1] for k in range(len(node.inputs))]


class LUSolve(WithFormula, FactoredOp):
    """x with a x = b, a.T x = b or a.H x = b, from the LU factors of a.

    Inputs  lu: (..., n, n) and piv: (..., n) as LUFactor gives them; b: (..., n, k).      Output  x: (..., n, k).
    trans   "N", "T" or "C": which of the three systems.
    Source  LAPACK getrs; backward stable up to the growth of the factors: Higham (2002), theorem 9.4.
    """

    __props__ = ("trans", "check_finite", "on_error")
    signature = "(n,n),(n),(n,k)->(n,k)"
    routine, works_in = "getrs", (0, 2)

    def __init__(self, trans: str = "N", check_finite: bool = True, on_error: str | None = None):
        super().__init__(on_error)
        self.trans, self.check_finite = trans, bool(check_finite)
        self.needs_finite = self.check_finite

    def compute(self, lu: np.ndarray, piv: np.ndarray, b: np.ndarray) -> np.ndarray:
        self.require_regular(lu)
        return routine("getrs", lu)(lu, piv, b, trans="NTC".index(self.trans))[0]

    def attributes(self) -> dict[str, Any]:
        return {**super().attributes(), "transposed": "NTC".index(self.trans)}

    def formula(self, lu: TensorVariable, piv: TensorVariable, b: TensorVariable) -> TensorVariable:
        """The same by triangular systems, as a graph that can be differentiated."""
        order = permutation_matrix(piv, shape_i(lu, -1), dtypes.real_of(lu.dtype)).astype(lu.dtype)
        lower, upper = (
            SolveTriangular(is_lower, self.trans, is_lower, self.check_finite, self.on_error)
            for is_lower in (True, False)
        )
        if self.trans == "N":
            return upper(lu, lower(lu, matmul(matrix_transpose(order), b)))
        return matmul(order, lower(lu, upper(lu, b)))

    def pullback(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], grads: Sequence[Any]
    ) -> Sequence[Any]:
        """That of ``formula``."""
        lu, piv, b = inputs
        of_lu, of_b = Lop(self.formula(lu, piv, b), [lu, b], grads[0])
        return [of_lu, disconnected(), of_b]


class LUInverse(FactoredOp):
    """The inverse of a from its LU factors, for the rule that shares these: its derivatives have been taken before.

    Inputs  lu: (..., n, n) and piv: (..., n) as LUFactor gives them.      Output  (..., n, n).
    Source  LAPACK getri.
    """

    __props__ = ("on_error",)
    signature = "(n,n),(n)->(n,n)"
    routine = "lu_inverse"
    needs_finite = False

    def compute(self, lu: np.ndarray, piv: np.ndarray) -> np.ndarray:
        self.require_regular(lu)
        work, _ = routine("getri_lwork", lu)(len(lu))
        return routine("getri", lu)(lu, piv, lwork=int(1.01 * work.real))[0]

    def pullback(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], grads: Sequence[Any]
    ) -> Sequence[Any]:
        """There is none."""
        return [grad_not_implemented(self, 0, inputs[0], "inv(a) has one"), disconnected()]


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

    def kernel(self, k: Any, piv: Any, row: Any, p: Any) -> None:
        """One exchange after the other; one that is not of two rows is passed over."""
        with k.grid(p.shape[:-1]) as stack:
            at = stack[len(stack) - (piv.ndim - 1) :]
            with k.loop(p.shape[-1]) as i:
                p[(*stack, i)] = i
            with k.loop(piv.shape[-1]) as i:
                other, kept = k.local("int64", piv[(*at, i)]), k.local("int64", p[(*stack, i)])
                with k.when((other.value >= 0) & (other.value < p.shape[-1])):
                    p[(*stack, i)] = p[(*stack, other)]
                    p[(*stack, other)] = kept

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
    b, was_vector = as_columns(b)
    if trans not in TRANS:
        raise ArgumentError(f"lu_solve needs trans 0, 1, 2, 'N', 'T' or 'C', got {trans!r}")
    return without_column(LUSolve(TRANS[trans], check_finite, on_error)(factors, pivots, b), was_vector)


def pivot_to_permutation(piv: Any, inverse: bool = False) -> TensorVariable:
    """The permutation p of the rows of a square matrix with L U = a[p], or the inverse one, from row exchanges."""
    piv = as_tensor(piv)
    p = PivotToPermutation()(piv, piv)
    return argmax(one_hot(p, shape_i(piv, -1)), axis=-2) if inverse else p
