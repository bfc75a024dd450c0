"""Variance and standard deviation, of the sum of squared distances from the mean as one op."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core import dtypes
from core.graph import Apply, Variable
from core.ir.axes import product, reduce
from core.ir.codes import Combine
from core.ir.expr import Expr, cast
from core.ir.view import View
from core.op import Op
from core.tensor.arithmetic import conj, maximum, real, sqrt
from core.tensor.dimshuffle import squeeze
from core.tensor.reduce import Reduce, computed_in, count_where, divided_by, mean
from core.tensor.reduce import sum as sum_along
from core.tensor.shape import input_gradient
from core.tensor.type import TensorType, TensorVariable, as_tensor, normalize_axes

__all__ = ["SquaredDistances", "std", "var"]


class SquaredDistances(Op):
    """The sum of ``(x - mean)**2`` along ``axes`` (a tuple); the mean is that along the same axes.  0 of nothing.

    An op of its own for its derivative: the distances from a mean add up to 0, so no gradient goes through the mean,
    and none has to be added up for it.

    Input   x: float32 or float64.      Output  ndim x.ndim - len(axes), dtype of x.
    Source  Two passes, as in NumPy: Higham (2002), section 1.9.
    """

    __props__ = ("axes",)

    def __init__(self, axes: Sequence[int]):
        self.axes = tuple(axes)

    def make_node(self, x: Any) -> Apply:
        x = as_tensor(x)
        axes = normalize_axes(self.axes, x, op=self)
        shape = [n for axis, n in enumerate(x.type.shape) if axis not in axes]
        return Apply(SquaredDistances(axes), [x], [TensorType(x.dtype, shape)])

    def perform(self, node: Apply, inputs: Sequence[np.ndarray], output_storage: Sequence[list]) -> None:
        (x,) = inputs
        n = np.prod([x.shape[axis] for axis in self.axes], dtype=x.dtype)
        with np.errstate(all="ignore"):
            distance = x - np.sum(x, axis=self.axes, keepdims=True) / n
            output_storage[0][0] = np.asarray(np.sum(distance * distance, axis=self.axes), dtype=x.dtype)

    def infer_shape(self, node: Apply, input_shapes: Sequence[tuple]) -> list[tuple]:
        (shape,) = input_shapes
        return [tuple(n for axis, n in enumerate(shape) if axis not in self.axes)]

    def lower(self, node: Apply, x: View) -> View:
        kept = [axis for axis in range(x.ndim) if axis not in self.axes]
        extents = [x.shape[axis] for axis in self.axes]

        def at(index: tuple[Expr, ...]) -> Expr:
            def element(*k: Expr) -> Expr:
                place = dict(zip((*kept, *self.axes), (*index, *k), strict=True))
                return x.at([place[axis] for axis in range(x.ndim)])

            if not self.axes:
                return (element() - element()) * (element() - element())
            centre = reduce(Combine.ADD, extents, element, x.dtype) / cast(product(extents), x.dtype)

            def term(*k: Expr) -> Expr:
                distance = element(*k) - centre
                return distance * distance

            return reduce(Combine.ADD, extents, term, x.dtype)

        return View(x.dtype, [x.shape[axis] for axis in kept], at)

    def flops(self, inputs: Sequence[Any], outputs: Sequence[Any]) -> int | None:
        return 4 * int(np.prod(inputs[0], dtype="int64"))

    def grad(self, inputs: Sequence[TensorVariable], output_grads: Sequence[Variable]) -> list[Variable]:
        """2 (x - mean) g: what the mean would add is the sum of the distances, which is 0."""
        (x,), (g,) = inputs, output_grads
        own = Reduce(Combine.ADD, normalize_axes(self.axes, x, op=self))
        return [input_gradient(x, self._slope(x) * own.put_back(g, x.ndim))]

    def R_op(self, inputs: Sequence[TensorVariable], eval_points: Sequence[Variable | None]) -> list[Variable | None]:
        """The sum of 2 (x - mean) dx along the axes."""
        (x,), (dx,) = inputs, eval_points
        return [None if dx is None else sum_along(self._slope(x) * dx, self.axes)]

    def batch(self, node: Apply, inputs: Sequence[TensorVariable]) -> list[TensorVariable] | None:
        return [SquaredDistances([axis + 1 for axis in self.axes])(inputs[0])]

    def _slope(self, x: TensorVariable) -> TensorVariable:
        return 2 * (x - mean(x, self.axes, keepdims=True))


def var(
    x: Any, axis: Any = None, dtype: Any = None, *, ddof: int = 0, keepdims: bool = False, where: Any = None
) -> TensorVariable:
    """The variance along ``axis``: the sum of squared distances from the mean, divided by their number less ``ddof``.

    dtype   real; float64 for integers, by default that of (the parts of) x.      Errors  AxisError.
    where   a mask that broadcasts to x: only elements for which it holds count
    """
    x = as_tensor(x)
    out = (
        dtypes.canonical(dtype)
        if dtype is not None
        else dtypes.real_of("float64" if x.dtype in dtypes.DISCRETE else x.dtype)
    )
    count = maximum(count_where(x, where, axis, "var") - ddof, 0)
    x = x.astype(computed_in(x.dtype if dtype is None else dtypes.promote(x.dtype, out)))
    if where is not None:
        distance = x - mean(x, axis, keepdims=True, where=where)
        whole = divided_by(sum_along(real(distance * conj(distance)), axis, None, True, where=where), count).astype(out)
        return whole if keepdims else squeeze(whole, normalize_axes(axis, x, op="var"))
    if x.dtype in dtypes.COMPLEXES:
        distance = x - mean(x, axis, keepdims=True)
        total = sum_along(real(distance * conj(distance)), axis, keepdims=keepdims)
    else:
        axes = normalize_axes(axis, x, op="var")
        total = SquaredDistances(axes)(x)
        total = Reduce(Combine.ADD, axes).put_back(total, x.ndim) if keepdims else total
    return divided_by(total, count).astype(out)


def std(
    x: Any, axis: Any = None, dtype: Any = None, *, ddof: int = 0, keepdims: bool = False, where: Any = None
) -> TensorVariable:
    """The square root of ``var``; its gradient is not finite where that is 0."""
    return sqrt(var(x, axis, dtype, ddof=ddof, keepdims=keepdims, where=where))
