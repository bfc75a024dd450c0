"""Alloc: a tensor repeated along new or short axes; broadcast_to, broadcast_arrays, and repetition made of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core import dtypes
from core.errors import ShapeError
from core.graph import Apply, Variable
from core.ir import view as views
from core.ir.axes import join_length, same_length
from core.ir.expr import const
from core.ir.view import View
from core.op import Op, disconnected
from core.tensor.dimshuffle import dimshuffle, expand_dims
from core.tensor.elementwise import broadcast_length
from core.tensor.reshape import ravel, reshape
from core.tensor.shape import (
    as_length,
    as_lengths,
    checked_length,
    input_gradient,
    length_product,
    require_nonnegative,
    shape_i,
    shape_of,
    static_length,
    static_shape,
)
from core.tensor.stacks import in_front
from core.tensor.type import TensorType, TensorVariable, as_tensor, broadcast_static, normalize_axis
from core.tensor.unbroadcast import unbroadcast

__all__ = ["Alloc", "broadcast_arrays", "broadcast_shape", "broadcast_to", "repeat", "tile"]


class Alloc(Op):
    """``value`` broadcast to a shape.

    Inputs  value: tensor; then an int64 scalar for each length of the output.      Output  dtype of value.
    Errors  ShapeError unless each axis of value, counted from the last, has length 1 or that of the output; already
            when the graph is built where both are known.
    """

    __props__ = ()

    def make_node(self, value: Any, *lengths: Any) -> Apply:
        value, given = as_tensor(value), [as_length(n) for n in lengths]
        require_nonnegative(self, given)
        known = static_shape(given)
        if value.ndim > len(known):
            raise ShapeError(
                f"{self} cannot broadcast {value}, of ndim={value.ndim}, to ndim={len(known)}", blame=value
            )
        for have, n in zip(value.type.shape[::-1], known[::-1], strict=False):
            if have not in (None, 1) and n not in (None, have):
                raise ShapeError(
                    f"{self} cannot broadcast {value}, of shape {value.type.shape}, to {known}", blame=value
                )
        skip = len(known) - value.ndim
        shape = [
            have if n is None and have != 1 else n
            for have, n in zip(((1,) * skip) + value.type.shape, known, strict=True)
        ]
        return Apply(self, [value, *given], [TensorType(value.dtype, shape)])

    def perform(self, node: Apply, inputs: Sequence[np.ndarray], output_storage: Sequence[list]) -> None:
        value, *lengths = inputs
        shape = tuple(int(n) for n in lengths)
        try:
            output_storage[0][0] = np.array(np.broadcast_to(value, shape))
        except ValueError as error:
            raise ShapeError(
                f"{self} cannot broadcast an array of shape {value.shape} to {shape}", blame=node
            ) from error

    def infer_shape(self, node: Apply, input_shapes: Sequence[tuple]) -> list[tuple]:
        return [tuple(n if k is None else k for k, n in zip(node.out.type.shape, node.inputs[1:], strict=True))]

    def lower(self, node: Apply, value: View, *lengths: View) -> View:
        known = static_shape(node.inputs[1:])
        shape = [const(k) if k is not None else checked_length(n.at()) for k, n in zip(known, lengths, strict=True)]
        skip = len(shape) - value.ndim
        for axis, have in enumerate(value.shape, start=skip):
            shape[axis] = same_length(shape[axis], join_length(have, shape[axis]))
        return views.broadcast_to(value, shape)

    def grad(self, inputs: Sequence[TensorVariable], output_grads: Sequence[Variable]) -> list[Variable]:
        """The transpose of repeating is summing over the repetitions."""
        value, *lengths = inputs
        (g,) = output_grads
        return [unbroadcast(input_gradient(value, g), value, [g]) if _continuous(value) else disconnected()] + [
            disconnected() for _ in lengths
        ]

    def R_op(self, inputs: Sequence[TensorVariable], eval_points: Sequence[Variable | None]) -> list[Variable | None]:
        """Linear in value, so a tangent is repeated likewise."""
        return [None if eval_points[0] is None else self(eval_points[0], *inputs[1:])]

    def batch(self, node: Apply, inputs: Sequence[TensorVariable]) -> list[TensorVariable] | None:
        value, *lengths = inputs
        if any(n.ndim for n in lengths):
            return None
        return [Alloc()(in_front(value, node.inputs[0], len(lengths)), shape_i(value, 0), *lengths)]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[_continuous(node.inputs[0])], *([False] for _ in node.inputs[1:])]

    def do_constant_folding(self, node: Apply) -> bool:
        """Repeating is index arithmetic; an array of repetitions would only cost memory."""
        return False


def stacked(node: Apply, inputs: Sequence[TensorVariable]) -> list[TensorVariable]:
    """``inputs``, for the first inputs of ``node``, of which some are stacks: the others repeated to be stacks, too."""
    pairs = list(zip(inputs, node.inputs, strict=False))
    n = next(shape_i(x, 0) for x, old in pairs if x.ndim > old.type.ndim)
    return [x if x.ndim > old.type.ndim else Alloc()(x, n, *shape_of(x)) for x, old in pairs]


def _continuous(x: Variable) -> bool:
    return x.type.dtype in dtypes.CONTINUOUS


def broadcast_to(x: Any, shape: Any) -> TensorVariable:
    """``x`` broadcast to ``shape``: ints and symbolic integers.  See Alloc."""
    x, lengths = as_tensor(x), as_lengths(shape)
    same = None not in x.type.shape and x.type.shape == static_shape(lengths)
    return x if same else Alloc()(x, *lengths)


def broadcast_shape(*shapes: Sequence[Any]) -> list[Any]:
    """The lengths that tensors of these shapes broadcast to.

    Errors: ShapeError when lengths that are known differ and none is 1.
    """
    known = broadcast_static(*(static_shape(shape) for shape in shapes))
    out: list[Any] = list(known)
    for axis, length in enumerate(known):
        if length is not None:
            continue
        for shape in shapes:
            place = axis - (len(known) - len(shape))
            if place >= 0 and static_length(shape[place]) != 1:
                out[axis] = shape[place] if out[axis] is None else broadcast_length(out[axis], shape[place])
    return out


def broadcast_arrays(*xs: Any) -> list[TensorVariable]:
    """All of ``xs`` broadcast to the one shape that they have together.  Errors: ShapeError."""
    tensors = [as_tensor(x) for x in xs]
    shape = broadcast_shape(*(shape_of(x) for x in tensors))
    return [broadcast_to(x, shape) for x in tensors]


def repeat(x: Any, repeats: Any, axis: int | None = None) -> TensorVariable:
    """Each element of ``x`` ``repeats`` times (an int or a symbolic integer) along ``axis``; of ravelled ``x`` if None.

    Errors: AxisError; DTypeError for several numbers of repeats.
    """
    x, n = as_tensor(x), as_length(repeats)
    if axis is None:
        x, axis = ravel(x), 0
    axis = normalize_axis(axis, x, op="repeat")
    lengths = list(shape_of(x))
    stretched = broadcast_to(expand_dims(x, axis + 1), [*lengths[: axis + 1], n, *lengths[axis + 1 :]])
    return reshape(stretched, [*lengths[:axis], length_product([lengths[axis], n]), *lengths[axis + 1 :]])


def tile(x: Any, reps: Any) -> TensorVariable:
    """``x`` laid out ``reps[k]`` times along axis ``k``; the shorter of shape and ``reps`` gets ones in front."""
    x, times = as_tensor(x), as_lengths(reps)
    ndim = max(x.ndim, len(times))
    times = [as_length(1)] * (ndim - len(times)) + times
    x = dimshuffle(x, ("x",) * (ndim - x.ndim) + tuple(range(x.ndim)))
    lengths = shape_of(x)
    apart = dimshuffle(x, tuple(p for axis in range(ndim) for p in ("x", axis)))
    laid = broadcast_to(apart, [n for pair in zip(times, lengths, strict=True) for n in pair])
    return reshape(laid, [length_product(pair) for pair in zip(times, lengths, strict=True)])
