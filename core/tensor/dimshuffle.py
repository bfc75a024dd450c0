"""DimShuffle: axes permuted, inserted with length 1, and dropped; and the NumPy functions made of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core import dtypes
from core.errors import AxisError, ShapeError
from core.graph import Apply, Variable
from core.ir.axes import same_length
from core.ir.expr import Expr, as_expr, const
from core.ir.view import View
from core.op import Op
from core.tensor.shape import input_gradient
from core.tensor.type import TensorType, TensorVariable, as_tensor, normalize_axes, normalize_axis

__all__ = [
    "permute_dims",
    "DimShuffle",
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "dimshuffle",
    "expand_dims",
    "moveaxis",
    "squeeze",
    "swapaxes",
    "transpose",
]


class DimShuffle(Op):
    """Axis ``k`` of the output is axis ``pattern[k]`` of the input, or a new one of length 1 where that is "x".

    Input   x: tensor, ndim ``input_ndim``.      Output  a view of x, ndim ``len(pattern)``.
    Axes of x that the pattern does not name are dropped; their length must be 1.
    Errors  AxisError for a pattern that names an axis twice or one that x lacks; ShapeError when a dropped axis has
            another length than 1 (when the function runs, if it is not known before) or when x has another ndim.
    """

    __props__ = ("input_ndim", "pattern")
    view_map = {0: [0]}

    def __init__(self, input_ndim: int, pattern: Sequence[int | str]):
        self.input_ndim, self.pattern = input_ndim, tuple(pattern)
        kept = [p for p in self.pattern if p != "x"]
        if any(isinstance(p, str) or not 0 <= p < input_ndim for p in kept) or len(set(kept)) != len(kept):
            raise AxisError(
                f"{self} needs each of 0 .. {input_ndim - 1} at most once in its pattern, and otherwise 'x'"
            )
        self.dropped = tuple(axis for axis in range(input_ndim) if axis not in kept)

    def make_node(self, x: Any) -> Apply:
        x = as_tensor(x)
        if x.ndim != self.input_ndim:
            raise ShapeError(f"{self} needs ndim={self.input_ndim}, but {x} has ndim={x.ndim}", blame=x)
        known = x.type.shape
        for axis in self.dropped:
            if known[axis] not in (None, 1):
                raise ShapeError(f"{self} drops axis {axis} of {x}, whose length is {known[axis]}, not 1", blame=x)
        return Apply(self, [x], [TensorType(x.dtype, tuple(1 if p == "x" else known[p] for p in self.pattern))])

    def perform(self, node: Apply, inputs: Sequence[np.ndarray], output_storage: Sequence[list]) -> None:
        (x,) = inputs
        for axis in self.dropped:
            if x.shape[axis] != 1:
                raise ShapeError(f"{self} drops axis {axis}, whose length is not 1: got shape {x.shape}", blame=node)
        kept = [p for p in self.pattern if p != "x"]
        lengths = [1 if p == "x" else x.shape[p] for p in self.pattern]
        output_storage[0][0] = x.transpose((*kept, *self.dropped)).reshape(lengths)

    def infer_shape(self, node: Apply, input_shapes: Sequence[tuple]) -> list[tuple]:
        return [tuple(1 if p == "x" else input_shapes[0][p] for p in self.pattern)]

    def lower(self, node: Apply, x: View) -> View:
        one = const(1)
        skipped = {axis: same_length(x.shape[axis], one) - 1 for axis in self.dropped if x.shape[axis] is not one}

        def at(index: tuple[Expr, ...]) -> Expr:
            place = {p: i for p, i in zip(self.pattern, index, strict=True) if p != "x"}
            return x.at([place[axis] if axis in place else skipped.get(axis, const(0)) for axis in range(x.ndim)])

        return View(x.dtype, [one if p == "x" else as_expr(x.shape[p]) for p in self.pattern], at)

    def grad(self, inputs: Sequence[TensorVariable], output_grads: Sequence[Variable]) -> list[Variable]:
        """The transpose of a permutation is its inverse; axes of length 1 come and go."""
        back = tuple(self.pattern.index(axis) if axis in self.pattern else "x" for axis in range(self.input_ndim))
        return [input_gradient(inputs[0], DimShuffle(len(self.pattern), back)(output_grads[0]))]

    def R_op(self, inputs: Sequence[TensorVariable], eval_points: Sequence[Variable | None]) -> list[Variable | None]:
        """Linear in x, so a tangent passes through unchanged."""
        return [None if eval_points[0] is None else self(eval_points[0])]

    def batch(self, node: Apply, inputs: Sequence[TensorVariable]) -> list[TensorVariable] | None:
        return [DimShuffle(self.input_ndim + 1, (0, *("x" if p == "x" else p + 1 for p in self.pattern)))(inputs[0])]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[node.inputs[0].dtype in dtypes.CONTINUOUS]]


def dimshuffle(x: Any, *pattern: Any) -> TensorVariable:
    """``x`` with its axes in the order of ``pattern``, an "x" standing for a new axis; see DimShuffle.

    ``dimshuffle(x, 1, "x", 0)`` and ``dimshuffle(x, (1, "x", 0))`` are the same.
    """
    x = as_tensor(x)
    if len(pattern) == 1 and isinstance(pattern[0], (tuple, list)):
        (pattern,) = pattern
    axes = tuple(p if p == "x" else normalize_axis(p, x, op="dimshuffle") for p in pattern)
    return x if axes == tuple(range(x.ndim)) else DimShuffle(x.ndim, axes)(x)


def transpose(x: Any, axes: Sequence[int] | None = None) -> TensorVariable:
    """``x`` with its axes in the order ``axes``, by default reversed.  Errors: AxisError unless each occurs once."""
    x = as_tensor(x)
    if axes is None:
        return dimshuffle(x, tuple(reversed(range(x.ndim))))
    order = [normalize_axis(axis, x, op="transpose") for axis in axes]
    if sorted(order) != list(range(x.ndim)):
        raise AxisError(f"transpose needs each of the {x.ndim} axes of {x} once, got axes={tuple(axes)}", blame=x)
    return dimshuffle(x, order)


permute_dims = transpose  # the array API's name


def swapaxes(x: Any, axis1: int, axis2: int) -> TensorVariable:
    """``x`` with two axes exchanged.  Errors: AxisError."""
    x = as_tensor(x)
    a, b = normalize_axis(axis1, x, op="swapaxes"), normalize_axis(axis2, x, op="swapaxes")
    order = list(range(x.ndim))
    order[a], order[b] = b, a
    return dimshuffle(x, order)


def moveaxis(x: Any, source: int | Sequence[int], destination: int | Sequence[int]) -> TensorVariable:
    """``x`` with the axes ``source`` at the places ``destination``, the others in their order.  Errors: AxisError."""
    x = as_tensor(x)
    sources, places = (_several(axes, x) for axes in (source, destination))
    if len(sources) != len(places):
        raise AxisError(
            f"moveaxis needs as many places as axes, got source={source} and destination={destination}", blame=x
        )
    order = [axis for axis in range(x.ndim) if axis not in sources]
    for place, axis in sorted(zip(places, sources, strict=True)):
        order.insert(place, axis)
    return dimshuffle(x, order)


def _several(axes: Any, x: TensorVariable) -> list[int]:
    """Axes of moveaxis, in the order given."""
    normalize_axes(axes, x, op="moveaxis")
    return [normalize_axis(axis, x, op="moveaxis") for axis in (axes if isinstance(axes, (tuple, list)) else (axes,))]


def expand_dims(x: Any, axis: int | Sequence[int]) -> TensorVariable:
    """``x`` with new axes of length 1 at the places ``axis`` of the result.  Errors: AxisError."""
    x = as_tensor(x)
    axes = tuple(axis) if isinstance(axis, (tuple, list)) else (axis,)
    ndim = x.ndim + len(axes)
    if not all(hasattr(a, "__index__") and -ndim <= a < ndim for a in axes) or len({a % ndim for a in axes}) != len(
        axes
    ):
        raise AxisError(f"expand_dims needs different axes with {-ndim} <= axis < {ndim}, got axis={axis}", blame=x)
    new = {a % ndim for a in axes}
    old = iter(range(x.ndim))
    return dimshuffle(x, tuple("x" if place in new else next(old) for place in range(ndim)))


def squeeze(x: Any, axis: int | Sequence[int] | None = None) -> TensorVariable:
    """``x`` without the axes ``axis``, which must have length 1; by default without all that are known to have it.

    Errors: AxisError; ShapeError for another length, when the function runs if it is not known before.
    """
    x = as_tensor(x)
    if axis is None:
        gone = tuple(a for a, n in enumerate(x.type.shape) if n == 1)
    else:
        gone = normalize_axes(axis, x, op="squeeze")
    return dimshuffle(x, tuple(a for a in range(x.ndim) if a not in gone))


def atleast_1d(x: Any) -> TensorVariable:
    """``x``, with ndim 1 if it had none."""
    x = as_tensor(x)
    return dimshuffle(x, "x") if x.ndim == 0 else x


def atleast_2d(x: Any) -> TensorVariable:
    """``x``, with new axes in front up to ndim 2."""
    x = as_tensor(x)
    return dimshuffle(x, ("x",) * (2 - x.ndim) + tuple(range(x.ndim)))


def atleast_3d(x: Any) -> TensorVariable:
    """``x`` with ndim 3 at least: () -> (1, 1, 1), (n,) -> (1, n, 1), (m, n) -> (m, n, 1), as in NumPy."""
    x = as_tensor(x)
    patterns = {0: ("x", "x", "x"), 1: ("x", 0, "x"), 2: (0, 1, "x")}
    return dimshuffle(x, patterns.get(x.ndim, tuple(range(x.ndim))))
