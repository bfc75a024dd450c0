"""Roll: elements move along an axis, and what falls off one end comes in at the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core import dtypes
from core.errors import ArgumentError
from core.graph import Apply, Variable
from core.ir.expr import Expr, as_expr, guarded, maximum, minimum
from core.ir.view import View
from core.op import Op, disconnected
from core.tensor.keys import scalar_of
from core.tensor.reshape import ravel, reshape
from core.tensor.shape import as_length, shape_of
from core.tensor.type import TensorVariable, as_tensor, normalize_axis

__all__ = ["Roll", "roll"]


class Roll(Op):
    """y[(i + shift) mod n] = x[i] along ``axis``, of length n.

    Inputs  x: tensor, ndim >= 1; shift: an int64 scalar.      Output  shape and dtype of x.
    Errors  AxisError unless -x.ndim <= axis < x.ndim.
    """

    __props__ = ("axis",)

    def __init__(self, axis: int):
        self.axis = axis

    def make_node(self, x: Any, shift: Any) -> Apply:
        x = as_tensor(x)
        return Apply(Roll(normalize_axis(self.axis, x, op=self)), [x, as_length(shift)], [x.type])

    def perform(self, node: Apply, inputs: Sequence[np.ndarray], output_storage: Sequence[list]) -> None:
        x, shift = inputs
        output_storage[0][0] = np.roll(x, int(shift), self.axis)

    def infer_shape(self, node: Apply, input_shapes: Sequence[tuple]) -> list[tuple]:
        return [input_shapes[0]]

    def lower(self, node: Apply, x: View, shift: View) -> View:
        axis, n = self.axis, x.shape[self.axis]
        by = as_expr(scalar_of(shift))
        first = by % n  # how many come in from the other end

        def source(i: Expr) -> Expr:
            """Where the element at ``i`` comes from.  Of neighbours it is known where that changes, whatever n is."""
            if by.is_const and by.payload in (1, 2):
                place = n - by + i if by.payload == 1 else maximum(n - by + i, 0)  # 0: of an axis of length 1
                return guarded(i < by, place, i - by)
            if by.is_const and by.payload in (-1, -2):
                place = i - by - n if by.payload == -1 else minimum(i - by - n, n - 1)
                return guarded(i < n + by, i - by, place)
            return guarded(i < first, i + (n - first), i - first)

        def at(index: tuple[Expr, ...]) -> Expr:
            return x.at((*index[:axis], source(index[axis]), *index[axis + 1 :]))

        return View(x.dtype, x.shape, at)

    def grad(self, inputs: Sequence[TensorVariable], output_grads: Sequence[Variable]) -> list[Variable]:
        """What moved there moves back."""
        x, shift = inputs
        g = disconnected() if x.dtype in dtypes.DISCRETE else self(output_grads[0], -shift)
        return [g, disconnected()]

    def R_op(self, inputs: Sequence[TensorVariable], eval_points: Sequence[Variable | None]) -> list[Variable | None]:
        """Linear in x: a tangent moves with it."""
        return [None if eval_points[0] is None else self(eval_points[0], inputs[1])]

    def batch(self, node: Apply, inputs: Sequence[TensorVariable]) -> list[TensorVariable] | None:
        """Those of a stack move alike, unless each has a shift of its own."""
        x, shift = inputs
        return None if shift.ndim else [Roll(self.axis + 1)(x, shift)]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[node.inputs[0].dtype in dtypes.CONTINUOUS], [False]]


def roll(x: Any, shift: Any, axis: int | Sequence[int] | None = None) -> TensorVariable:
    """``x`` moved by ``shift`` (an int or a symbolic integer) along ``axis``; what falls off comes in at the other end.

    Of ravelled ``x``, in its own shape, if ``axis`` is None.  With several axes, a shift for each or one for all.
    Errors: AxisError; ArgumentError where there are several shifts, but not one for each axis.
    """
    x = as_tensor(x)
    if axis is None:
        return reshape(roll(ravel(x), shift, 0), shape_of(x))
    axes = tuple(axis) if isinstance(axis, (tuple, list)) else (axis,)
    shifts = tuple(shift) if isinstance(shift, (tuple, list)) else (shift,) * len(axes)
    if len(shifts) != len(axes):
        raise ArgumentError(f"roll needs a shift for each of {len(axes)} axes, or one for all, got {shift}")
    for each, by in zip(axes, shifts, strict=True):
        x = Roll(each)(x, by)
    return x
