"""The transpose of broadcasting: summing a gradient back to the shape of the operand that was broadcast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core.graph import Apply, Variable
from core.ir.axes import reduce, spread, stretch
from core.ir.codes import Combine
from core.ir.expr import Expr, as_expr
from core.ir.view import View
from core.op import Op, disconnected
from core.tensor.type import TensorType, TensorVariable, as_tensor


class Unbroadcast(Op):
    """Sum ``g`` over the axes along which a tensor of the given shape was broadcast to the shape of ``g``.

    Inputs  g: tensor, ndim n; then one int64 scalar for each None in ``shape``: that length.
    Output  dtype of g, static shape ``shape``.
    """

    __props__ = ("shape",)

    def __init__(self, shape: Sequence[int | None]):
        self.shape = tuple(shape)

    def make_node(self, g: Any, *lengths: Any) -> Apply:
        g = as_tensor(g)
        return Apply(
            self, [g, *(as_tensor(n, dtype="int64", ndim=0) for n in lengths)], [TensorType(g.dtype, self.shape)]
        )

    def _lengths(self, unknown: Sequence[Any]) -> list[Any]:
        remaining = iter(unknown)
        return [next(remaining) if n is None else n for n in self.shape]

    def perform(self, node: Apply, inputs: Sequence[np.ndarray], output_storage: Sequence[list]) -> None:
        g, *unknown = inputs
        target = [int(n) for n in self._lengths(unknown)]
        skip = g.ndim - len(target)
        axes = tuple(range(skip)) + tuple(skip + k for k, n in enumerate(target) if n == 1 and g.shape[skip + k] != 1)
        output_storage[0][0] = np.add.reduce(g, axis=axes, keepdims=True).reshape(target) if axes else g.copy()

    def infer_shape(self, node: Apply, input_shapes: Sequence[tuple]) -> list[tuple]:
        return [tuple(self._lengths(node.inputs[1:]))]

    def lower(self, node: Apply, g: View, *unknown: View) -> View:
        lengths = [as_expr(n.at() if isinstance(n, View) else n) for n in self._lengths(unknown)]
        skip = g.ndim - len(lengths)
        extents = [*g.shape[:skip], *(spread(big, n) for big, n in zip(g.shape[skip:], lengths, strict=True))]

        def at(index: tuple[Expr, ...]) -> Expr:
            def term(*k: Expr) -> Expr:
                kept = [
                    stretch(i, n, big) + offset
                    for i, n, big, offset in zip(index, lengths, g.shape[skip:], k[skip:], strict=True)
                ]
                return g.at((*k[:skip], *kept))

            return reduce(Combine.ADD, extents, term)

        return View(g.dtype, lengths, at)

    def grad(self, inputs: Sequence[TensorVariable], output_grads: Sequence[Variable]) -> list[Variable]:
        """A sum's gradient is its output's, broadcast back."""
        return [inputs[0].fill(output_grads[0]), *(disconnected() for _ in inputs[1:])]

    def R_op(self, inputs: Sequence[TensorVariable], eval_points: Sequence[Variable | None]) -> list[Variable | None]:
        """Linear in g, so a tangent passes through unchanged."""
        return [None if eval_points[0] is None else self(eval_points[0], *inputs[1:])]

    def batch(self, node: Apply, inputs: Sequence[TensorVariable]) -> list[TensorVariable] | None:
        """What new axes in front add up to is a sum; the other axes follow that of the stack."""
        g, *lengths = inputs
        if any(n.ndim for n in lengths):
            return None
        for _ in range(g.ndim - 1 - len(self.shape)):
            g = g.sum(axis=1)
        known = g.type.shape[0]
        return [Unbroadcast((known, *self.shape))(g, *([g.shape[0]] if known is None else []), *lengths)]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[True], *([False] for _ in node.inputs[1:])]


def unbroadcast(g: TensorVariable, x: TensorVariable, others: Sequence[TensorVariable]) -> TensorVariable:
    """``g``, of the shape to which ``x`` and ``others`` broadcast, summed back to the shape of ``x``."""
    skip = g.ndim - x.ndim
    alone = all(
        known == 1 and g.type.shape[axis + skip] == 1 or _only(x, axis, g.ndim, others)
        for axis, known in enumerate(x.type.shape)
    )
    if skip == 0 and alone:
        return g
    return Unbroadcast(x.type.shape)(g, *(x.shape[axis] for axis, n in enumerate(x.type.shape) if n is None))


def _only(x: TensorVariable, axis: int, ndim: int, others: Sequence[TensorVariable]) -> bool:
    """Whether nothing can have stretched this axis of ``x``: its length is not 1, or every other operand's is."""
    if x.type.shape[axis] not in (None, 1):
        return True
    position = axis + ndim - x.ndim
    lengths = (y.type.shape[position - (ndim - y.ndim)] for y in others if position >= ndim - y.ndim)
    return all(n == 1 for n in lengths)
