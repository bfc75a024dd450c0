"""Join: tensors laid end to end along an axis; concatenate, stack and their kin, and the way back, split."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from core import dtypes
from core.errors import AxisError, ShapeError
from core.graph import Apply, Variable
from core.ir.axes import same_length
from core.ir.expr import Expr, cast, const, guarded
from core.ir.view import View
from core.op import Op
from core.tensor.broadcast import stacked
from core.tensor.dimshuffle import atleast_1d, atleast_2d, expand_dims, transpose
from core.tensor.elementwise import second
from core.tensor.reshape import ravel
from core.tensor.shape import as_length, as_lengths, input_gradient, shape_i, specify_shape, static_length
from core.tensor.type import TensorType, TensorVariable, as_tensor, constant, normalize_axis

__all__ = ["Join", "column_stack", "concat", "concatenate", "hstack", "join", "split", "stack", "vstack"]


class Join(Op):
    """Tensors laid end to end along ``axis``.

    Inputs  one or more tensors of one ndim >= 1, of equal lengths along all other axes.
    Output  dtype: that to which all promote, as in NumPy.
    Errors  AxisError; ShapeError for different ndim, or lengths (when the function runs, if they are not known before).
    """

    __props__ = ("axis",)

    def __init__(self, axis: int):
        self.axis = axis

    def make_node(self, *tensors: Any) -> Apply:
        xs = [as_tensor(x) for x in tensors]
        if not xs:
            raise ShapeError(f"{self} needs at least one tensor to join, got none")
        for x in xs:
            if x.ndim != xs[0].ndim or x.ndim == 0:
                found = ", ".join(str(y.ndim) for y in xs)
                raise ShapeError(f"{self} needs tensors of one ndim >= 1, got ndim {found}", blame=x)
        op = Join(normalize_axis(self.axis, xs[0], op=self))
        return Apply(op, xs, [TensorType(dtypes.promote(*(x.dtype for x in xs)), op._static(xs))])

    def _static(self, xs: Sequence[TensorVariable]) -> list[int | None]:
        """What is known of the output's lengths."""
        known = list(xs[0].type.shape)
        for x in xs[1:]:
            for axis, n in enumerate(x.type.shape):
                if axis != self.axis and known[axis] is None:
                    known[axis] = n
                elif axis != self.axis and n not in (None, known[axis]):
                    raise ShapeError(
                        f"{self} needs equal lengths along axis {axis}, got {known[axis]} and {n}", blame=x
                    )
        along = [x.type.shape[self.axis] for x in xs]
        known[self.axis] = None if None in along else sum(along)  # type: ignore[arg-type]
        return known

    def perform(self, node: Apply, inputs: Sequence[np.ndarray], output_storage: Sequence[list]) -> None:
        try:
            output_storage[0][0] = np.concatenate(inputs, axis=self.axis)
        except ValueError as error:
            found = " and ".join(str(x.shape) for x in inputs)
            raise ShapeError(f"{self} cannot join arrays of shapes {found}", blame=node) from error

    def infer_shape(self, node: Apply, input_shapes: Sequence[tuple]) -> list[tuple]:
        lengths: list[Any] = list(input_shapes[0])
        for shape in input_shapes[1:]:
            lengths[self.axis] = lengths[self.axis] + shape[self.axis]
        return [tuple(n if known is None else known for known, n in zip(node.out.type.shape, lengths, strict=True))]

    def lower(self, node: Apply, *xs: View) -> View:
        dtype, shape = node.out.dtype, list(xs[0].shape)
        starts = [const(0)]
        for x in xs:
            starts.append(starts[-1] + x.shape[self.axis])
            shape = [
                same_length(a, b) if axis != self.axis else a
                for axis, (a, b) in enumerate(zip(shape, x.shape, strict=True))
            ]
        shape[self.axis] = starts[-1]

        def read(x: View, start: Expr, index: tuple[Expr, ...]) -> Expr:
            return cast(x.at((*index[: self.axis], index[self.axis] - start, *index[self.axis + 1 :])), dtype)

        def at(index: tuple[Expr, ...]) -> Expr:
            *before, (last, start, _) = zip(xs, starts, starts[1:], strict=False)
            element = read(last, start, index)
            for x, start, end in reversed(before):
                element = guarded(index[self.axis] < end, read(x, start, index), element)
            return element

        return View(dtype, shape, at)

    def grad(self, inputs: Sequence[TensorVariable], output_grads: Sequence[Variable]) -> list[Variable]:
        """Each input gets its piece of the output's gradient."""
        (g,) = output_grads
        pieces = _pieces(g, [shape_i(x, self.axis) for x in inputs], self.axis)
        return [input_gradient(x, piece) for x, piece in zip(inputs, pieces, strict=True)]

    def R_op(self, inputs: Sequence[TensorVariable], eval_points: Sequence[Variable | None]) -> list[Variable | None]:
        """Linear in each input; an input without tangent contributes zeros."""
        if all(d is None for d in eval_points):
            return [None]
        dtype = dtypes.promote(*(x.dtype for x in inputs))
        zero = constant(0, dtype=dtype)
        return [
            self(*(second(x, zero) if d is None else d.astype(dtype) for x, d in zip(inputs, eval_points, strict=True)))
        ]

    def batch(self, node: Apply, inputs: Sequence[TensorVariable]) -> list[TensorVariable] | None:
        return [Join(self.axis + 1)(*stacked(node, inputs))]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        continuous = node.out.dtype in dtypes.CONTINUOUS
        return [[continuous and x.dtype in dtypes.CONTINUOUS] for x in node.inputs]


def _pieces(x: TensorVariable, lengths: Sequence[Any], axis: int) -> list[TensorVariable]:
    """``x`` cut along ``axis`` into pieces of these lengths."""
    pieces, start = [], as_length(0)
    for n in lengths:
        end = start + n
        known = static_length(end)
        end = end if known is None else as_length(known)
        pieces.append(_slice(x, axis, start, end))
        start = end
    return pieces


def _slice(x: TensorVariable, axis: int, start: Any, end: Any) -> TensorVariable:
    return x[(slice(None),) * axis + (slice(start, end),)]  # type: ignore[index]


def concatenate(tensors: Sequence[Any], axis: int | None = 0) -> TensorVariable:
    """``tensors`` laid end to end along ``axis``; ravelled first if it is None.  See Join."""
    if axis is None:
        return Join(0)(*(ravel(x) for x in tensors))
    return Join(axis)(*tensors)


concat = concatenate  # the array API's name


def join(axis: int, *tensors: Any) -> TensorVariable:
    """``concatenate`` with the axis first, as in Theano."""
    return concatenate(tensors, axis)


def stack(tensors: Sequence[Any], axis: int = 0) -> TensorVariable:
    """Tensors of one shape along a new ``axis`` of the result.  Errors: AxisError; ShapeError; see Join."""
    xs = [as_tensor(x) for x in tensors]
    if not xs:
        raise ShapeError("stack needs at least one tensor, got none")
    if len({x.ndim for x in xs}) > 1:
        raise ShapeError(
            f"stack needs tensors of one ndim, got ndim {', '.join(str(x.ndim) for x in xs)}", blame=xs[-1]
        )
    ndim = xs[0].ndim + 1
    if not -ndim <= axis < ndim:
        raise AxisError(
            f"stack needs {-ndim} <= axis < {ndim}, because {xs[0]} has ndim={ndim - 1}, got axis={axis}", blame=xs[0]
        )
    return Join(axis % ndim)(*(expand_dims(x, axis) for x in xs))


def hstack(tensors: Sequence[Any]) -> TensorVariable:
    """Tensors joined along axis 1, vectors and numbers along axis 0, as in NumPy."""
    xs = [atleast_1d(x) for x in tensors]
    return Join(0 if xs and xs[0].ndim == 1 else 1)(*xs)


def vstack(tensors: Sequence[Any]) -> TensorVariable:
    """Tensors joined along axis 0, vectors being rows."""
    return Join(0)(*(atleast_2d(x) for x in tensors))


def column_stack(tensors: Sequence[Any]) -> TensorVariable:
    """Matrices joined along axis 1, vectors being columns."""
    xs = [as_tensor(x) for x in tensors]
    return Join(1)(*(transpose(atleast_2d(x)) if x.ndim < 2 else x for x in xs))


def split(x: Any, indices_or_sections: Any, axis: int = 0) -> list[TensorVariable]:
    """``x`` cut along ``axis`` into pieces: so many equal ones, or at these positions, as numpy.split does.

    indices_or_sections  an int, or a sequence of ints and symbolic integers, none of them negative
    Errors               AxisError; ShapeError when equal pieces do not come out even (when the function runs, if that
                         is not known before)
    """
    x = as_tensor(x)
    axis = normalize_axis(axis, x, op="split")
    if not hasattr(indices_or_sections, "__index__") or isinstance(indices_or_sections, np.ndarray):
        positions = [as_length(0), *as_lengths(list(indices_or_sections)), shape_i(x, axis)]
        return [_slice(x, axis, a, b) for a, b in pairwise(positions)]
    sections, n = int(indices_or_sections), x.type.shape[axis]
    if sections < 1 or (n is not None and n % sections):
        raise ShapeError(f"split needs a length that {sections} divides along axis {axis} of {x}, got {n}", blame=x)
    each = as_length(n // sections) if n is not None else shape_i(x, axis) // sections
    if n is None:
        x = specify_shape(x, [each * sections if a == axis else None for a in range(x.ndim)])
    return _pieces(x, [each] * sections, axis)
