"""What derivatives of many ops are made of: transposes, diagonals, triangles, Hermitian matrices of one triangle."""

from __future__ import annotations

from typing import Any

from core import dtypes
from core.tensor import (
    Diagonal,
    FromDiagonal,
    TensorVariable,
    as_tensor,
    conj,
    expand_dims,
    eye,
    matmul,
    real,
    shape_i,
    squeeze,
    swapaxes,
    tril,
    triu,
)


def matrix_transpose(x: Any) -> TensorVariable:
    """The matrices in the last two axes transposed.  Errors: AxisError for ndim < 2."""
    return swapaxes(as_tensor(x), -1, -2)


def is_complex(x: TensorVariable) -> bool:
    return x.dtype in dtypes.COMPLEXES


def conjugate(x: TensorVariable) -> TensorVariable:
    """The complex conjugate; a real tensor itself, without a node."""
    return conj(x) if is_complex(x) else x


def adjoint(x: TensorVariable) -> TensorVariable:
    """The conjugate transpose of the matrices in the last two axes."""
    return conjugate(matrix_transpose(x))


def identity_like(x: TensorVariable) -> TensorVariable:
    """The identity of the length of the last axis of ``x``, of its dtype."""
    return eye(shape_i(x, -1), dtype=x.dtype)


def diagonal_of(x: TensorVariable) -> TensorVariable:
    """(..., m, n) -> (..., min(m, n))."""
    return Diagonal(0)(x)


def diagonal_matrix(d: TensorVariable) -> TensorVariable:
    """(..., n) -> (..., n, n)."""
    n = shape_i(d, -1)
    return FromDiagonal(0)(d, n, n)


def half_diagonal(x: TensorVariable) -> TensorVariable:
    """The lower triangle, with half of the diagonal: what Murray (2016) calls Phi."""
    return tril(x) * (1 - 0.5 * identity_like(x).real.astype(dtypes.real_of(x.dtype)))


def hermitian(x: TensorVariable, lower: bool = True) -> TensorVariable:
    """The Hermitian matrix that one triangle of ``x`` describes; imaginary parts on its diagonal do not count."""
    off = tril(x, -1) if lower else triu(x, 1)
    return off + adjoint(off) + diagonal_matrix(_real_part(diagonal_of(x)))


def hermitian_transposed(g: TensorVariable, lower: bool = True) -> TensorVariable:
    """The transpose of ``hermitian``: what the gradient of the Hermitian matrix is for the triangle that was read."""
    both = g + adjoint(g)
    off = tril(both, -1) if lower else triu(both, 1)
    return off + diagonal_matrix(_real_part(diagonal_of(g)))


def symmetric(x: TensorVariable, lower: bool = True) -> TensorVariable:
    """The symmetric matrix that one triangle of ``x`` describes."""
    return tril(x) + matrix_transpose(tril(x, -1)) if lower else triu(x) + matrix_transpose(triu(x, 1))


def symmetric_transposed(g: TensorVariable, lower: bool = True) -> TensorVariable:
    """The transpose of ``symmetric``."""
    both = g + matrix_transpose(g)
    return (
        tril(both, -1) + diagonal_matrix(diagonal_of(g)) if lower else triu(both, 1) + diagonal_matrix(diagonal_of(g))
    )


def _real_part(d: TensorVariable) -> TensorVariable:
    return real(d).astype(d.dtype) if is_complex(d) else d


def product(*factors: TensorVariable) -> TensorVariable:
    """The matrix product of the factors, from the left."""
    out = factors[0]
    for factor in factors[1:]:
        out = matmul(out, factor)
    return out


def total(terms: Any) -> Any:
    """The sum of the terms that are there; None when there is none."""
    present = [term for term in terms if term is not None]
    if not present:
        return None
    out = present[0]
    for term in present[1:]:
        out = out + term
    return out


def as_columns(b: Any) -> tuple[TensorVariable, bool]:
    """``b`` as matrices, and whether it was one vector, whose axis goes again."""
    b = as_tensor(b)
    return (expand_dims(b, -1), True) if b.ndim == 1 else (b, False)


def without_column(x: TensorVariable, was_vector: bool) -> TensorVariable:
    return squeeze(x, -1) if was_vector else x
