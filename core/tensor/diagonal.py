"""Diagonals: taking one out of matrices, and laying one into them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core import dtypes
from core.errors import AxisError, ShapeError
from core.graph import Apply, Variable
from core.ir.axes import same_length
from core.ir.expr import Expr, const, equal, guarded, select
from core.ir.view import View
from core.op import Op, disconnected
from core.tensor.dimshuffle import moveaxis
from core.tensor.elementwise import elementwise
from core.tensor.reduce import sum as sum_along
from core.tensor.shape import as_length, checked_length, input_gradient, require_nonnegative, shape_i, static_length
from core.tensor.type import TensorType, TensorVariable, as_tensor, normalize_axis

__all__ = ["Diagonal", "FromDiagonal", "diag", "diagonal", "diagonal_length", "trace"]


@elementwise
def diagonal_length(rows, columns):
    """The length of the diagonal that starts at the corner of what is left: the smaller, or 0 if either is negative."""
    shorter = select(rows < columns, rows, columns)
    return select(shorter < 0, 0, shorter)


class Diagonal(Op):
    """y[..., i] = x[..., i + below, i + above], where ``offset`` is above - below and one of the two is 0.

    Input   x: tensor (..., m, n).      Output  (..., number of such elements), dtype of x.
    Errors  ShapeError unless x has ndim >= 2.
    """

    __props__ = ("offset",)

    def __init__(self, offset: int = 0):
        self.offset = offset
        self.below, self.above = max(-offset, 0), max(offset, 0)

    def make_node(self, x: Any) -> Apply:
        x = as_tensor(x)
        if x.ndim < 2:
            raise ShapeError(f"{self} needs ndim >= 2, but {x} has ndim={x.ndim}", blame=x)
        *batch, m, n = x.type.shape
        known = None if m is None or n is None else max(min(m - self.below, n - self.above), 0)
        return Apply(self, [x], [TensorType(x.dtype, (*batch, known))])

    def perform(self, node: Apply, inputs: Sequence[np.ndarray], output_storage: Sequence[list]) -> None:
        output_storage[0][0] = np.array(np.diagonal(inputs[0], self.offset, axis1=-2, axis2=-1))

    def infer_shape(self, node: Apply, input_shapes: Sequence[tuple]) -> list[tuple]:
        *batch, m, n = input_shapes[0]
        known = node.out.type.shape[-1]
        return [(*batch, diagonal_length(m - self.below, n - self.above) if known is None else known)]

    def lower(self, node: Apply, x: View) -> View:
        *batch, m, n = x.shape
        known = node.out.type.shape[-1]
        length = diagonal_length.scalar(m - self.below, n - self.above) if known is None else const(known)

        def at(index: tuple[Expr, ...]) -> Expr:
            return x.at((*index[:-1], index[-1] + self.below, index[-1] + self.above))

        return View(x.dtype, (*batch, length), at)

    def grad(self, inputs: Sequence[TensorVariable], output_grads: Sequence[Variable]) -> list[Variable]:
        """The transpose of taking a diagonal is laying it into zeros."""
        (x,) = inputs
        laid = FromDiagonal(self.offset)(output_grads[0], shape_i(x, -2), shape_i(x, -1))
        return [input_gradient(x, laid)]

    def R_op(self, inputs: Sequence[TensorVariable], eval_points: Sequence[Variable | None]) -> list[Variable | None]:
        """Linear in x, so a tangent passes through unchanged."""
        return [None if eval_points[0] is None else self(eval_points[0])]

    def batch(self, node: Apply, inputs: Sequence[TensorVariable]) -> list[TensorVariable] | None:
        return [self(inputs[0])]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[node.inputs[0].dtype in dtypes.CONTINUOUS]]


class FromDiagonal(Op):
    """Matrices that are 0 but for the diagonal ``offset``: y[..., i + below, i + above] = d[..., i].

    Inputs  d: tensor (..., k); m, n: int64 scalars, the lengths of the matrices, whose diagonal must have length k.
    Output  (..., m, n), dtype of d.
    Errors  ShapeError when the diagonal of an m by n matrix has not k elements (when the function runs).
    """

    __props__ = ("offset",)

    def __init__(self, offset: int = 0):
        self.offset = offset
        self.below, self.above = max(-offset, 0), max(offset, 0)

    def make_node(self, d: Any, m: Any, n: Any) -> Apply:
        d, m, n = as_tensor(d), as_length(m), as_length(n)
        if d.ndim < 1:
            raise ShapeError(f"{self} needs a diagonal with ndim >= 1, but {d} has ndim=0", blame=d)
        require_nonnegative(self, [m, n])
        return Apply(self, [d, m, n], [TensorType(d.dtype, (*d.type.shape[:-1], static_length(m), static_length(n)))])

    def perform(self, node: Apply, inputs: Sequence[np.ndarray], output_storage: Sequence[list]) -> None:
        d, m, n = inputs[0], int(inputs[1]), int(inputs[2])
        length = max(min(m - self.below, n - self.above), 0)
        if min(m, n) < 0 or d.shape[-1] != length:
            raise ShapeError(f"{self} of a {m} by {n} matrix needs {length} elements, got shape {d.shape}", blame=node)
        out = np.zeros((*d.shape[:-1], m, n), dtype=d.dtype)
        i = np.arange(length)
        out[..., i + self.below, i + self.above] = d
        output_storage[0][0] = out

    def infer_shape(self, node: Apply, input_shapes: Sequence[tuple]) -> list[tuple]:
        known = node.out.type.shape[-2:]
        return [(*input_shapes[0][:-1], *(n if k is None else k for k, n in zip(known, node.inputs[1:], strict=True)))]

    def lower(self, node: Apply, d: View, m: View, n: View) -> View:
        known = node.out.type.shape[-2:]
        rows, columns = (checked_length(x.at()) if k is None else const(k) for k, x in zip(known, (m, n), strict=True))
        length = diagonal_length.scalar(rows - self.below, columns - self.above)
        checked = same_length(d.shape[-1], length) - length  # 0, once it has been checked

        def at(index: tuple[Expr, ...]) -> Expr:
            *batch, i, j = index
            place = i - self.below + checked
            return guarded(
                equal(j - self.above, i - self.below) & (place >= 0), d.at((*batch, place)), const(0, d.dtype)
            )

        return View(d.dtype, (*d.shape[:-1], rows, columns), at)

    def grad(self, inputs: Sequence[TensorVariable], output_grads: Sequence[Variable]) -> list[Variable]:
        """The transpose of laying a diagonal into zeros is taking it out."""
        return [input_gradient(inputs[0], Diagonal(self.offset)(output_grads[0])), disconnected(), disconnected()]

    def R_op(self, inputs: Sequence[TensorVariable], eval_points: Sequence[Variable | None]) -> list[Variable | None]:
        """Linear in d, so a tangent passes through unchanged."""
        return [None if eval_points[0] is None else self(eval_points[0], *inputs[1:])]

    def batch(self, node: Apply, inputs: Sequence[TensorVariable]) -> list[TensorVariable] | None:
        return [self(*inputs)] if inputs[1].ndim == inputs[2].ndim == 0 else None

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[node.inputs[0].dtype in dtypes.CONTINUOUS], [False], [False]]


def diagonal(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> TensorVariable:
    """The elements ``x[i, i + offset]`` of the matrices in two axes of ``x``, as new last axis.  Errors: AxisError."""
    x = as_tensor(x)
    a, b = normalize_axis(axis1, x, op="diagonal"), normalize_axis(axis2, x, op="diagonal")
    if a == b:
        raise AxisError(f"diagonal needs two different axes of {x}, got axis1={axis1} and axis2={axis2}", blame=x)
    return Diagonal(offset)(moveaxis(x, (a, b), (-2, -1)))


def diag(x: Any, k: int = 0) -> TensorVariable:
    """The diagonal ``k`` of a matrix, or the square matrix whose diagonal ``k`` is a vector.  Errors: ShapeError."""
    x = as_tensor(x)
    if x.ndim == 1:
        n = shape_i(x, 0) + abs(k)
        return FromDiagonal(k)(x, n, n)
    if x.ndim == 2:
        return Diagonal(k)(x)
    raise ShapeError(f"diag needs a vector or a matrix, but {x} has ndim={x.ndim}", blame=x)


def trace(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> TensorVariable:
    """The sum of a diagonal; see diagonal."""
    return sum_along(diagonal(x, offset, axis1, axis2), axis=-1)
