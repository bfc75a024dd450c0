"""Advanced indexing: index arrays mixed with slices, read, set and added to.

Masks become index arrays in masks.py.  What the user calls is in indexing.py: ``x[key]``, ``set_subtensor``,
``inc_subtensor``, ``take``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core import dtypes
from core.errors import ArgumentError, DTypeError, ShapeError
from core.graph import Apply, Variable
from core.ir.axes import same_length, wrap_index
from core.ir.codes import Combine
from core.ir.expr import Expr, as_expr
from core.ir.scatter import Scatter
from core.ir.view import View, broadcast_shapes, broadcast_to
from core.op import Op, disconnected
from core.tensor.arithmetic import cast
from core.tensor.create import arange
from core.tensor.dimshuffle import dimshuffle, moveaxis, transpose
from core.tensor.elementwise import broadcast_length
from core.tensor.keys import (
    ALL,
    Entry,
    Key,
    Part,
    Slice,
    check_index,
    plain,
    resolve,
    scalar_of,
    static_slice_length,
)
from core.tensor.logic import equal, where
from core.tensor.reshape import ravel, reshape
from core.tensor.shape import shape_i, shape_of, size
from core.tensor.type import TensorConstant, TensorType, TensorVariable, as_tensor, broadcast_static, normalize_axis
from core.tensor.updates import Update, read, zeros_of

__all__ = [
    "AdvancedIncSubtensor",
    "AdvancedSetSubtensor",
    "AdvancedSubtensor",
    "take_along_axis",
]


class AdvancedSubtensor(Op):
    """``x[key]`` where the key holds index arrays, which broadcast together; the rest are slices and new axes.

    Inputs  x: tensor; for each symbolic part of a slice an int64 scalar, for each ARRAY a tensor of integers, in order.
    Output  dtype of x.  The axes of the broadcast arrays stand where the arrays do if these are side by side, else in
            front, as in NumPy.
    Errors  IndexOutOfBounds for an index that its axis lacks; ShapeError for arrays that do not broadcast.
    """

    __props__ = ("key",)

    def __init__(self, key: Key):
        self.key = key

    def make_node(self, x: Any, *parts: Any) -> Apply:
        x = as_tensor(x)
        needed = sum(entry is not Part.NEWAXIS for entry in self.key.entries)
        if needed != x.ndim or len(parts) != self.key.count:
            raise ArgumentError(
                f"{self} needs ndim={needed} and {self.key.count} indices, got {x} with ndim={x.ndim} and {len(parts)}"
            )
        given = [as_tensor(part) for part in parts]
        arrays, rest, axis = [], [], 0
        for entry in self.key.filled(given):
            if entry is Part.NEWAXIS:
                rest.append(1)
                continue
            n = x.type.shape[axis]
            if isinstance(entry, Slice):
                rest.append(static_slice_length(entry, n))
            else:
                _check_array(entry, n, axis, x, self)
                arrays.append(entry)
            axis += 1
        return Apply(self, [x, *given], [TensorType(x.dtype, self._shape(_block_of(arrays, self), rest))])

    def _shape(self, block: Sequence[Any], rest: Sequence[Any]) -> tuple:
        at = self.key.block
        return (*rest[:at], *block, *rest[at:])

    def perform(self, node: Apply, inputs: Sequence[np.ndarray], output_storage: Sequence[list]) -> None:
        output_storage[0][0] = read(inputs[0], self.key.filled(inputs[1:]), node)

    def infer_shape(self, node: Apply, input_shapes: Sequence[tuple]) -> list[tuple]:
        x_shape, *part_shapes = input_shapes
        lengths, shapes, rest = iter(x_shape), iter(self.key.filled(part_shapes)), []
        block: list[Any] = []
        for entry, shape in zip(self.key.filled(node.inputs[1:]), shapes, strict=True):
            if entry is Part.NEWAXIS:
                rest.append(1)
            elif isinstance(entry, Slice):
                rest.append(resolve(entry, next(lengths))[1])
            else:
                next(lengths)
                block = _broadcast_lengths(block, list(shape))
        shape = self._shape(block, rest)
        return [tuple(n if known is None else known for known, n in zip(node.out.type.shape, shape, strict=True))]

    def _places(self, x: View, parts: Sequence[View]) -> tuple[tuple[Expr, ...], Any]:
        """The shape of ``x[key]``, and the function from its index to the index in ``x``."""
        values = iter(parts)
        entries: list[Any] = []
        for entry in self.key.entries:
            if isinstance(entry, Slice):
                entry = Slice(*(scalar_of(next(values)) if part is Part.SCALAR else part for part in entry))
            entries.append(next(values) if entry is Part.ARRAY else entry)
        block = broadcast_shapes(*(entry.shape for entry in entries if isinstance(entry, View)))
        lengths, rest, rules = iter(x.shape), [], []
        for entry in entries:
            if entry is Part.NEWAXIS:
                rest.append(1)
                rules.append(None)
            elif isinstance(entry, Slice):
                n = next(lengths)
                start, count, step = resolve(entry, plain(n))
                rest.append(count)
                rules.append((start, step))
            else:
                rules.append((broadcast_to(entry, block), next(lengths)))
        first, last = self.key.block, self.key.block + len(block)

        def place(index: Sequence[Expr]) -> tuple[Expr, ...]:
            inner, others = index[first:last], iter((*index[:first], *index[last:]))
            found = []
            for entry, rule in zip(entries, rules, strict=True):
                if isinstance(entry, View):
                    found.append(wrap_index(rule[0].at(inner), rule[1]))
                else:
                    i = next(others)
                    if rule is not None:
                        found.append(i * rule[1] + rule[0])
            return tuple(found)

        return tuple(as_expr(n) for n in self._shape(block, rest)), place

    def lower(self, node: Apply, x: View, *parts: View) -> View:
        shape, place = self._places(x, parts)
        return View(x.dtype, shape, lambda index: x.at(place(index)))

    def grad(self, inputs: Sequence[TensorVariable], output_grads: Sequence[Variable]) -> list[Variable]:
        """The transpose of gathering is adding each gradient to the place its element came from."""
        x, *parts = inputs
        rest = [disconnected() for _ in parts]
        if x.dtype in dtypes.DISCRETE:
            return [disconnected(), *rest]
        return [AdvancedIncSubtensor(self.key)(zeros_of(x), output_grads[0], *parts), *rest]

    def R_op(self, inputs: Sequence[TensorVariable], eval_points: Sequence[Variable | None]) -> list[Variable | None]:
        """Linear in x, so a tangent is read at the same places."""
        return [None if eval_points[0] is None else self(eval_points[0], *inputs[1:])]

    def batch(self, node: Apply, inputs: Sequence[TensorVariable]) -> list[TensorVariable] | None:
        x, *parts = inputs
        if any(part.ndim != old.ndim for part, old in zip(parts, node.inputs[1:], strict=True)):
            return gathered(self.key, node, inputs)
        key = Key((ALL, *self.key.entries))
        out = AdvancedSubtensor(key)(x, *parts)
        return [moveaxis(out, self._stack_axis(key, parts), 0)]

    def _stack_axis(self, key: Key, parts: Sequence[TensorVariable]) -> int:
        """Where the first axis, a whole slice, comes out: behind those of the arrays, if these are not side by side."""
        return 0 if key.block else max(part.ndim for part in parts)

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[node.inputs[0].dtype in dtypes.CONTINUOUS], *([False] for _ in node.inputs[1:])]


def gathered(key: Key, node: Apply, inputs: Sequence[TensorVariable]) -> list[TensorVariable] | None:
    """``x[key]`` for a stack of keys: one gather, whose first axis is the stack's."""
    from core.tensor.stacked_keys import stacked_key  # few programs have stacks of keys

    found = stacked_key(key, inputs, node.inputs)
    if found is None:
        return None
    new, parts, order = found
    return [transpose(AdvancedSubtensor(new)(inputs[0], *parts), order)]


def _check_array(array: TensorVariable, n: int | None, axis: int, x: TensorVariable, op: Any) -> None:
    if array.dtype not in dtypes.INTEGERS:
        raise DTypeError(f"{op} needs integers as indices, got {array} of dtype {array.dtype}", blame=array)
    if n is not None and isinstance(array, TensorConstant) and array.data.size:
        check_index(int(array.data.min()), n, axis, x)
        check_index(int(array.data.max()), n, axis, x)


def _block_of(arrays: Sequence[TensorVariable], op: Any) -> tuple[int | None, ...]:
    try:
        return broadcast_static(*(array.type.shape for array in arrays))
    except ShapeError as error:
        names = " and ".join(f"{array} of {array.type}" for array in arrays)
        raise ShapeError(f"{op} cannot broadcast the index arrays {names}", blame=arrays[0]) from error


def _broadcast_lengths(a: list[Any], b: list[Any]) -> list[Any]:
    """Lengths of two shapes broadcast together; a Python int 1 gives way at once."""
    a, b = [1] * (len(b) - len(a)) + a, [1] * (len(a) - len(b)) + b
    pairs = zip(a, b, strict=True)
    return [
        n if isinstance(m, int) and m == 1 else m if isinstance(n, int) and n == 1 else broadcast_length(m, n)
        for m, n in pairs
    ]


class AdvancedUpdate(Update):
    """An update at the places that index arrays name; see Update and AdvancedSubtensor."""

    reads = AdvancedSubtensor

    def lower(self, node: Apply, x: View, y: View, *parts: View) -> Scatter:
        shape, place = AdvancedSubtensor(self.key)._places(x, parts)
        extents = tuple(same_length(n, m) for n, m in zip(shape, y.shape, strict=True))
        return Scatter(
            x.dtype, x.shape, x, extents, index=lambda *k: place(k), value=lambda *k: y.at(k), combine=self.combine
        )

    def _laid(self, y: TensorVariable, parts: Sequence[TensorVariable]) -> TensorVariable:
        return moveaxis(y, 0, AdvancedSubtensor(self.key)._stack_axis(Key((ALL, *self.key.entries)), parts))


class AdvancedSetSubtensor(AdvancedUpdate):
    """``y`` replaces the elements of ``x`` that the key names; the last of several values for one place wins."""

    def grad(self, inputs: Sequence[TensorVariable], output_grads: Sequence[Variable]) -> list[Variable]:
        """``y`` gets the gradient where its value is the one that stayed; ``x`` gets nothing where it was replaced."""
        gx, gy, *rest = super().grad(inputs, output_grads)
        if inputs[0].dtype in dtypes.DISCRETE:
            return [gx, gy, *rest]
        x, y, *parts = inputs
        number = _numbered(y)
        writer = AdvancedSubtensor(self.key)(self(cast(zeros_of(x), "int64"), number, *parts), *parts)
        return [gx, where(equal(writer, number), gy, 0), *rest]


class AdvancedIncSubtensor(AdvancedUpdate):
    """``y`` is added to the elements of ``x`` that the key names; an element named twice grows twice."""

    combine = Combine.ADD


AdvancedSetSubtensor.sets = AdvancedIncSubtensor.sets = AdvancedSetSubtensor
AdvancedSetSubtensor.scatters, AdvancedIncSubtensor.scatters = AdvancedSetSubtensor, AdvancedIncSubtensor


def _numbered(y: TensorVariable) -> TensorVariable:
    """An int64 tensor of the shape of ``y`` that counts its elements from 0."""
    return reshape(arange(size(y)), shape_of(y))


def index_axis(x: Any, indices: Any, axis: int) -> TensorVariable:
    """``x`` at the integer tensor ``indices`` along ``axis``, which must be counted from the front."""
    entries: list[Entry] = [ALL] * x.ndim
    entries[axis] = Part.ARRAY
    return AdvancedSubtensor(Key(tuple(entries)))(x, indices)


def take_along_axis(x: Any, indices: Any, axis: int | None = -1) -> TensorVariable:
    """``out[.., j, ..] = x[.., indices[.., j, ..], ..]`` along ``axis``; None flattens x first, as in NumPy.

    x and indices have the same ndim, and broadcast along the other axes.
    Errors: AxisError, ShapeError, DTypeError for indices that are no integers, IndexOutOfBounds.
    """
    x, indices = as_tensor(x), as_tensor(indices)
    if axis is None:
        x, axis = ravel(x), 0
    axis = normalize_axis(axis, x, op="take_along_axis")
    if indices.ndim != x.ndim:
        raise ShapeError(
            f"take_along_axis needs indices with ndim={x.ndim}, got ndim={indices.ndim}",
            blame=indices,
        )
    grid = [indices if k == axis else _counted(x, k) for k in range(x.ndim)]
    return AdvancedSubtensor(Key((Part.ARRAY,) * x.ndim))(x, *grid)


def _counted(x: TensorVariable, axis: int) -> TensorVariable:
    """0, 1, ... along ``axis``, with length 1 along the others."""
    pattern = tuple(0 if k == axis else "x" for k in range(x.ndim))
    return dimshuffle(arange(shape_i(x, axis)), pattern)
