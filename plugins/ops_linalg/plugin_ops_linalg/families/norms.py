"""Norms, traces, and numbers that say how close to singular a matrix is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core import dtypes
from core.errors import ArgumentError
from core.graph import Apply
from core.op import Op, grad_not_implemented
from core.tensor import (
    TensorType,
    TensorVariable,
    abs,
    as_tensor,
    diagonal_length,
    expand_dims,
    moveaxis,
    normalize_axes,
    not_equal,
    ravel,
    shape_of,
    sqrt,
    square,
)
from core.tensor import max as max_along
from core.tensor import min as min_along
from core.tensor import sum as sum_along
from core.tensor.diagonal import Diagonal
from plugin_ops_linalg.batched import lapack_dtype, require_finite
from plugin_ops_linalg.errors import LinAlgError
from plugin_ops_linalg.families.determinant import inv
from plugin_ops_linalg.families.eigen import eigvalsh
from plugin_ops_linalg.families.svd import svdvals
from plugin_ops_linalg.lapack import scipy_linalg

__all__ = ["NullSpace", "cond", "matrix_norm", "matrix_rank", "norm", "null_space", "trace", "vector_norm"]


def trace(x: Any, offset: int = 0) -> TensorVariable:
    """The sum of a diagonal of the matrices in the last two axes: (..., m, n) to (...), as numpy.linalg.trace."""
    return sum_along(Diagonal(offset)(x), axis=-1)


def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> TensorVariable:
    """A norm of vectors or matrices, with the orders and the defaults of numpy.linalg.norm.

    axis    one axis for vectors, two for matrices; None: the whole of a vector or matrix, and with ord None of anything
    ord     vectors: any number, inf, -inf; matrices: "fro", "nuc", 1, -1, 2, -2, inf, -inf
    Errors  ArgumentError for an order that there is not, or more than two axes.
    """
    x = _inexact(x)
    if axis is None and ord is None:
        out = vector_norm(ravel(x), 2)
        return expand_dims(out, tuple(range(x.ndim))) if keepdims else out
    axes = _in_order(axis, x)
    if len(axes) == 1:
        return vector_norm(x, 2 if ord is None else ord, axis=axes, keepdims=keepdims)
    if len(axes) != 2:
        raise ArgumentError(f"norm needs one axis or two of {x}, got axis={axis!r}")
    out = matrix_norm(moveaxis(x, axes, (-2, -1)), "fro" if ord is None else ord)
    return expand_dims(out, tuple(sorted(axes))) if keepdims else out


def vector_norm(x: Any, ord: Any = 2, axis: Any = None, keepdims: bool = False) -> TensorVariable:
    """(sum |x|^ord)^(1/ord) over ``axis``, one, several, or None for all; the largest, smallest or number of elements
    that are not 0 for ord inf, -inf and 0.
    """
    x = _inexact(x)
    axes = tuple(range(x.ndim)) if axis is None else normalize_axes(axis, x, op="vector_norm")
    size = abs(x)
    if ord == np.inf:
        return max_along(size, axis=axes, keepdims=keepdims)
    if ord == -np.inf:
        return min_along(size, axis=axes, keepdims=keepdims)
    if ord == 0:
        return sum_along(not_equal(size, 0).astype(size.dtype), axis=axes, keepdims=keepdims)
    if ord == 1:
        return sum_along(size, axis=axes, keepdims=keepdims)
    if ord == 2:
        return sqrt(sum_along(square(size), axis=axes, keepdims=keepdims))
    if isinstance(ord, str) or not isinstance(ord, (int, float, np.number)):
        raise ArgumentError(f"a norm of vectors needs a number as ord, got {ord!r}")
    return sum_along(size**ord, axis=axes, keepdims=keepdims) ** (1 / ord)


def matrix_norm(x: Any, ord: Any = "fro", keepdims: bool = False) -> TensorVariable:
    """A norm of the matrices in the last two axes: "fro", "nuc", 1, -1, 2, -2, inf or -inf.  Errors: ArgumentError."""
    x = _inexact(x)
    if ord == "fro":
        out = sqrt(sum_along(square(abs(x)), axis=(-2, -1)))
    elif ord == "nuc":
        out = sum_along(svdvals(x), axis=-1)
    elif ord in (2, -2):
        out = (max_along if ord == 2 else min_along)(svdvals(x), axis=-1)
    elif ord in (1, -1, np.inf, -np.inf):
        sums = sum_along(abs(x), axis=-2 if ord in (1, -1) else -1)
        out = (max_along if ord > 0 else min_along)(sums, axis=-1)
    else:
        raise ArgumentError(f"a norm of matrices needs ord 'fro', 'nuc', 1, -1, 2, -2, inf or -inf, got {ord!r}")
    return expand_dims(out, (-2, -1)) if keepdims else out


def cond(x: Any, p: Any = None) -> TensorVariable:
    """The condition number: |x| |x^-1| in the norm of order ``p``, by default 2; inf for a singular matrix.

    (..., m, n), square unless p is None, 2 or -2, to (...).
    """
    x = _inexact(x)
    if p in (None, 2, -2):
        s = svdvals(x)
        return s[..., -1] / s[..., 0] if p == -2 else s[..., 0] / s[..., -1]
    return matrix_norm(x, p) * matrix_norm(inv(x), p)


def matrix_rank(A: Any, tol: Any = None, hermitian: bool = False, *, rtol: Any = None) -> TensorVariable:
    """The number of singular values above a threshold, int64: (..., m, n) to (...).

    tol, rtol   thresholds, the second relative to the largest; by default rtol = max(m, n) eps.  A vector has rank 0
                where all its elements are 0, else 1.
    hermitian   the absolute values of the eigenvalues are taken.
    """
    x = _inexact(A)
    if x.ndim < 2:
        return not_equal(max_along(abs(x)), 0).astype("int64")
    s = abs(eigvalsh(x)) if hermitian else svdvals(x)
    if tol is None:
        if rtol is None:
            m, n = shape_of(x)[-2:]
            rtol = (m + n - diagonal_length(m, n)) * float(np.finfo(s.dtype).eps)  # the longer of the two
        tol = max_along(s, axis=-1) * rtol
    tol = as_tensor(tol)
    return sum_along(s > expand_dims(tol, -1), axis=-1)


class NullSpace(Op):
    """Orthonormal columns that a matrix maps to 0.

    Input   a: (m, n).      Output  (n, n - rank); singular values up to ``rcond`` times the largest count as 0.
    Errors  LinAlgError unless a is finite.
    Source  LAPACK gesdd.  No derivative: the columns are free within their space.
    """

    __props__ = ("rcond",)

    def __init__(self, rcond: float | None = None):
        self.rcond = rcond

    def make_node(self, a: Any) -> Apply:
        a = as_tensor(a, ndim=2)
        dtype = lapack_dtype(self, [a])
        return Apply(self, [a.astype(dtype)], [TensorType(dtype, (a.type.shape[1], None))])

    def perform(self, node: Apply, inputs: Sequence[np.ndarray], output_storage: Sequence[list]) -> None:
        (a,) = inputs
        try:
            require_finite(inputs)
        except LinAlgError as error:
            raise LinAlgError(f"{self}: {error} (shape {a.shape})", blame=node) from error
        if 0 in a.shape:
            output_storage[0][0] = np.eye(a.shape[1], dtype=a.dtype)
        else:
            output_storage[0][0] = np.ascontiguousarray(scipy_linalg().null_space(a, rcond=self.rcond))

    def grad(self, inputs: Sequence[Any], output_grads: Sequence[Any]) -> list[Any]:
        """There is none: the columns are free within their space."""
        return [grad_not_implemented(self, 0, inputs[0], "the columns are free within their space")]


def null_space(A: Any, rcond: float | None = None) -> TensorVariable:
    """Orthonormal columns that span what the matrix ``A`` maps to 0; see NullSpace."""
    return NullSpace(rcond)(A)


def _inexact(x: Any) -> TensorVariable:
    x = as_tensor(x)
    return x.astype("float64") if x.dtype in dtypes.DISCRETE else x


def _in_order(axis: Any, x: TensorVariable) -> tuple[int, ...]:
    """Axes from the front, in the order given: for matrices the first is that of the rows."""
    if axis is None:
        return tuple(range(x.ndim))
    given = tuple(axis) if isinstance(axis, (tuple, list)) else (axis,)
    normalize_axes(given, x, op="norm")
    return tuple(a % x.ndim for a in given)
