"""What becomes of each window: its largest element and where that is, its sum; and the transposes of these.

Each op works on the last axes of its input, as many as the window has; axes before them are images and channels.  What
users call is in pooling.py.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

import core.tensor as ct
from core import dtypes
from core.errors import DTypeError, ShapeError
from core.graph import Apply, Variable
from core.ir.axes import ravel, reduce, same_length
from core.ir.expr import Combine, Expr, as_expr, cast, const, equal, guarded, maximum, minimum, not_equal, select
from core.ir.view import View
from core.op import Op, disconnected
from core.tensor import TensorType, TensorVariable, as_tensor
from core.tensor.shape import as_length, input_gradient, shape_i
from plugin_ops_nn.geometry import Geometry, require_windows, too_short

PLACE = "int32"  # the dtype of a tap's number, in row-major order
MOST_WRITTEN_OUT = 9
_COMBINED = {Combine.MAX: maximum, Combine.MIN: minimum, Combine.ADD: operator.add}


class _Windows(Op):
    """What they have in common: the window, a tuple of lengths, and where it lies."""

    __props__: ClassVar[tuple[str, ...]] = ("window", "geometry")
    explains_lengths = True

    def __init__(self, window: Sequence[int], geometry: Geometry):
        self.window, self.geometry = tuple(window), geometry

    @property
    def _taps(self) -> tuple[Expr, ...]:
        return tuple(const(k) for k in self.window)

    def _first(self, x: Any) -> int:
        """The first of the axes that have windows."""
        return x.ndim - len(self.window)

    def _checked(self, x: Any) -> TensorVariable:
        x = as_tensor(x)
        if x.ndim < len(self.window):
            raise ShapeError(f"{self} needs ndim >= {len(self.window)}, but {x} has ndim={x.ndim}", blame=x)
        return x

    def _out(self, x: TensorVariable) -> tuple[int | None, ...]:
        first = self._first(x)
        return (*x.type.shape[:first], *require_windows(self, x.type.shape[first:], self.window, self.geometry, x))

    def _counted(self, node: Apply, x: np.ndarray) -> tuple[int, ...]:
        """How many windows an array has.  Errors: ShapeError where it has none."""
        lengths = x.shape[self._first(x) :]
        counts = self.geometry.counts(lengths, self.window)
        if any(n < 1 for n in counts):
            raise too_short(self, lengths, self.window, self.geometry, node)
        return counts

    def infer_shape(self, node: Apply, input_shapes: Sequence[tuple]) -> list[tuple]:
        x, first = input_shapes[0], self._first(node.inputs[0])
        found = (*x[:first], *self.geometry.counts(x[first:], self.window))
        return [tuple(n if known is None else known for known, n in zip(node.out.type.shape, found, strict=True))]

    def batch(self, node: Apply, inputs: Sequence[TensorVariable]) -> list[TensorVariable] | None:
        """Axes in front are left alone: a stack has one more.  What is no stack is the same for all of it."""
        pairs = list(zip(inputs, node.inputs, strict=True))
        stack = next(x for x, old in pairs if x.ndim != old.ndim)
        if stack.ndim == 1:  # of lengths
            return None
        first = shape_i(stack, 0)
        return [
            self(
                *(x if x.ndim != old.ndim or not x.ndim else ct.broadcast_to(x, (first, *x.shape)) for x, old in pairs)
            )
        ]

    def _lowered(self, dtype: str, x: View, element: Any) -> View:
        """A view whose element is ``element(lead, window)``."""
        first = self._first(x)
        counts = self.geometry.checked_counts(x.shape[first:], self._taps)
        return View(dtype, (*x.shape[:first], *counts), lambda index: element(index[:first], index[first:]))

    def _place(self, x: View) -> Any:
        return self.geometry.places(x.shape[self._first(x) :], self._taps)

    def _over_taps(self, combine: Combine, term: Callable[..., Expr]) -> Expr:
        """``term(*tap)`` of all taps, combined; few are written out, so that loops over windows are SIMD."""
        if math.prod(self.window) > MOST_WRITTEN_OUT:
            return reduce(combine, self._taps, term)
        return functools.reduce(_COMBINED[combine], (term(*map(const, tap)) for tap in np.ndindex(*self.window)))

    def _number(self, tap: Sequence[Expr]) -> Expr:
        return cast(ravel(tap, self._taps), PLACE)


class WindowMax(_Windows):
    """The largest element of each window; NaN where it holds one.

    Input   x: (..., *spatial), real numbers.      Output  (..., *windows), dtype of x.
    Errors  ShapeError for an axis without a window; DTypeError for complex numbers.
    """

    def make_node(self, x: Any) -> Apply:
        x = self._checked(x)
        if x.dtype in dtypes.COMPLEXES:
            raise DTypeError(f"{self} needs real numbers, got {x} of dtype {x.dtype}", blame=x)
        return Apply(self, [x], [TensorType(x.dtype, self._out(x))])

    def perform(self, node: Apply, inputs: Sequence[np.ndarray], output_storage: Sequence[list]) -> None:
        (x,) = inputs
        self._counted(node, x)
        found = self.geometry.windows(x, self.window, Combine.MAX.identity(x.dtype.name))
        axes = tuple(range(x.ndim, x.ndim + len(self.window)))
        with np.errstate(invalid="ignore"):
            output_storage[0][0] = np.asarray(found.max(axis=axes))

    def lower(self, node: Apply, x: View) -> View:
        place, nothing = self._place(x), as_expr(Combine.MAX.identity(x.dtype), x.dtype)

        def element(lead: Sequence[Expr], window: Sequence[Expr]) -> Expr:
            def term(*tap: Expr) -> Expr:
                inside, at = place(window, tap)
                return guarded(inside, x.at((*lead, *at)), nothing)

            return self._over_taps(Combine.MAX, term)

        return self._lowered(x.dtype, x, element)

    def _where(self, x: TensorVariable) -> TensorVariable:
        return WindowPlace(self.window, self.geometry)(x, self(x))

    def grad(self, inputs: Sequence[TensorVariable], output_grads: Sequence[Variable]) -> list[Variable]:
        """The first of the largest elements gets the window's gradient, where several are one of many derivatives."""
        (x,) = inputs
        if x.dtype in dtypes.DISCRETE:
            return [disconnected()]
        return [input_gradient(x, placed(self.window, self.geometry, output_grads[0], self._where(x), x))]

    def R_op(self, inputs: Sequence[TensorVariable], eval_points: Sequence[Variable | None]) -> list[Variable | None]:
        """The tangent of the first of the largest elements."""
        if eval_points[0] is None:
            return [None]
        return [TakenFromWindow(self.window, self.geometry)(eval_points[0], self._where(inputs[0]))]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[node.inputs[0].dtype in dtypes.CONTINUOUS]]


class WindowPlace(_Windows):
    """The number of the first tap of each window that is ``y``, the largest element; of the first NaN.

    Inputs  x: (..., *spatial); y: WindowMax of it.      Output  (..., *windows), int32.
    """

    def make_node(self, x: Any, y: Any) -> Apply:
        x, y = self._checked(x), as_tensor(y)
        return Apply(self, [x, y], [TensorType(PLACE, self._out(x))])

    def perform(self, node: Apply, inputs: Sequence[np.ndarray], output_storage: Sequence[list]) -> None:
        x, y = inputs
        self._counted(node, x)
        found = self.geometry.windows(x, self.window, Combine.MAX.identity(x.dtype.name))
        found = found.reshape(*y.shape, math.prod(self.window))
        output_storage[0][0] = np.asarray(((found == y[..., None]) | (found != found)).argmax(axis=-1), PLACE)

    def lower(self, node: Apply, x: View, y: View) -> View:
        place, nowhere = self._place(x), as_expr(Combine.MIN.identity(PLACE), PLACE)

        def element(lead: Sequence[Expr], window: Sequence[Expr]) -> Expr:
            def term(*tap: Expr) -> Expr:
                inside, at = place(window, tap)
                one = x.at((*lead, *at))
                found = equal(one, y.at((*lead, *window))) | not_equal(one, one)
                return guarded(inside, select(found, self._number(tap), nowhere), nowhere)

            return self._over_taps(Combine.MIN, term)

        return self._lowered(PLACE, x, element)

    def grad(self, inputs: Sequence[TensorVariable], output_grads: Sequence[Variable]) -> list[Variable]:
        """A number of a tap: there is no derivative."""
        return [disconnected(), disconnected()]

    def R_op(self, inputs: Sequence[TensorVariable], eval_points: Sequence[Variable | None]) -> list[Variable | None]:
        """A number of a tap: there is no derivative."""
        return [None]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[False], [False]]


class TakenFromWindow(_Windows):
    """The element of each window that is its tap number ``place``.

    Inputs  x: (..., *spatial), floats; place: (..., *windows), integers.      Output  (..., *windows), dtype of x.
    """

    def make_node(self, x: Any, place: Any) -> Apply:
        x, place = self._checked(x), as_tensor(place)
        return Apply(self, [x, place], [TensorType(x.dtype, self._out(x))])

    def perform(self, node: Apply, inputs: Sequence[np.ndarray], output_storage: Sequence[list]) -> None:
        x, place = inputs
        self._counted(node, x)
        found = self.geometry.windows(x, self.window).reshape(*place.shape, math.prod(self.window))
        output_storage[0][0] = np.take_along_axis(found, place[..., None].astype("int64"), axis=-1)[..., 0]

    def lower(self, node: Apply, x: View, place: View) -> View:
        where, zero = self._place(x), as_expr(0, x.dtype)

        def element(lead: Sequence[Expr], window: Sequence[Expr]) -> Expr:
            def term(*tap: Expr) -> Expr:
                inside, at = where(window, tap)
                chosen = equal(place.at((*lead, *window)), self._number(tap))
                return guarded(inside, select(chosen, x.at((*lead, *at)), zero), zero)

            return self._over_taps(Combine.ADD, term)

        return self._lowered(x.dtype, x, element)

    def grad(self, inputs: Sequence[TensorVariable], output_grads: Sequence[Variable]) -> list[Variable]:
        """The transpose of taking is putting each gradient where its element was."""
        x, place = inputs
        return [input_gradient(x, placed(self.window, self.geometry, output_grads[0], place, x)), disconnected()]

    def R_op(self, inputs: Sequence[TensorVariable], eval_points: Sequence[Variable | None]) -> list[Variable | None]:
        """Linear in x, so a tangent is taken at the same places."""
        return [None if eval_points[0] is None else self(eval_points[0], inputs[1])]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[True], [False]]


class WindowSum(_Windows):
    """The sum of each window.

    Input   x: (..., *spatial), floats.      Output  (..., *windows), dtype of x.
    Errors  ShapeError for an axis without a window; DTypeError for integers.
    """

    def make_node(self, x: Any) -> Apply:
        x = self._checked(x)
        if x.dtype not in dtypes.CONTINUOUS:
            raise DTypeError(f"{self} needs floats, got {x} of dtype {x.dtype}; cast it", blame=x)
        return Apply(self, [x], [TensorType(x.dtype, self._out(x))])

    def perform(self, node: Apply, inputs: Sequence[np.ndarray], output_storage: Sequence[list]) -> None:
        (x,) = inputs
        self._counted(node, x)
        axes = tuple(range(x.ndim, x.ndim + len(self.window)))
        with np.errstate(all="ignore"):
            output_storage[0][0] = np.asarray(self.geometry.windows(x, self.window).sum(axis=axes))

    def lower(self, node: Apply, x: View) -> View:
        place, zero = self._place(x), as_expr(0, x.dtype)

        def element(lead: Sequence[Expr], window: Sequence[Expr]) -> Expr:
            def term(*tap: Expr) -> Expr:
                inside, at = place(window, tap)
                return guarded(inside, x.at((*lead, *at)), zero)

            return self._over_taps(Combine.ADD, term)

        return self._lowered(x.dtype, x, element)

    def grad(self, inputs: Sequence[TensorVariable], output_grads: Sequence[Variable]) -> list[Variable]:
        """The transpose of summing windows: each element gets the gradients of those that hold it."""
        (x,) = inputs
        lengths, unknown = _lengths_of(x, len(self.window))
        return [input_gradient(x, WindowSpread(self.window, self.geometry, lengths)(output_grads[0], *unknown))]

    def R_op(self, inputs: Sequence[TensorVariable], eval_points: Sequence[Variable | None]) -> list[Variable | None]:
        """Linear in x, so a tangent is summed likewise."""
        return [None if eval_points[0] is None else self(eval_points[0])]


# --- transposes -----------------------------------------------------------------------------------------------------


class _Back(_Windows):
    """From windows to axes of the given ``lengths``; int64 scalars follow ``own`` inputs for those that are None."""

    __props__: ClassVar[tuple[str, ...]] = ("window", "geometry", "lengths")
    own: ClassVar[int]

    def __init__(self, window: Sequence[int], geometry: Geometry, lengths: Sequence[int | None]):
        super().__init__(window, geometry)
        self.lengths = tuple(lengths)

    def make_node(self, y: Any, *rest: Any) -> Apply:
        y = self._checked(y)
        first = self._first(y)
        counts = require_windows(self, self.lengths, self.window, self.geometry, y)
        for n, m in zip(counts, y.type.shape[first:], strict=True):
            if n is not None and m is not None and n != m:
                raise ShapeError(f"{self} needs {n} windows along each axis, got {y} with {m}", blame=y)
        others = [as_tensor(other) for other in rest[: self.own - 1]]
        unknown = [as_length(n) for n in rest[self.own - 1 :]]
        return Apply(self, [y, *others, *unknown], [TensorType(y.dtype, (*y.type.shape[:first], *self.lengths))])

    def _filled(self, unknown: Sequence[Any]) -> list[Any]:
        remaining = iter(unknown)
        return [next(remaining) if n is None else n for n in self.lengths]

    def infer_shape(self, node: Apply, input_shapes: Sequence[tuple]) -> list[tuple]:
        y, first = input_shapes[0], self._first(node.inputs[0])
        found = (*y[:first], *self._filled(node.inputs[self.own :]))
        return [tuple(n if known is None else known for known, n in zip(node.out.type.shape, found, strict=True))]

    def perform(self, node: Apply, inputs: Sequence[np.ndarray], output_storage: Sequence[list]) -> None:
        y = inputs[0]
        lengths, first = tuple(int(n) for n in self._filled(inputs[self.own :])), self._first(y)
        counts = self.geometry.counts(lengths, self.window)
        if any(n < 1 for n in counts):
            raise too_short(self, lengths, self.window, self.geometry, node)
        if counts != y.shape[first:]:
            raise ShapeError(f"{self} needs {counts} windows, got {y.shape[first:]}", blame=node)
        part = self._part(*inputs[: self.own])
        with np.errstate(all="ignore"):
            output_storage[0][0] = self.geometry.folded(y.shape[:first], lengths, self.window, y.dtype, part)

    def _part(self, *given: np.ndarray) -> Any:
        """A function of a tap: what its elements get, as an array like that of the windows."""
        raise NotImplementedError

    def lower(self, node: Apply, y: View, *rest: View) -> View:
        others, first = rest[: self.own - 1], self._first(y)
        filled = self._filled(rest[self.own - 1 :])
        lengths = tuple(as_expr(n.at() if isinstance(n, View) else n) for n in filled)
        counts = self.geometry.checked_counts(lengths, self._taps)
        counts = tuple(same_length(n, m) for n, m in zip(y.shape[first:], counts, strict=True))
        holder, zero = self.geometry.holders(lengths, self._taps, counts), as_expr(0, y.dtype)
        many = [self.geometry.covering(axis, k) for axis, k in enumerate(self._taps)]

        def at(index: tuple[Expr, ...]) -> Expr:
            lead = index[:first]

            def term(*number: Expr) -> Expr:
                found, window, tap = holder(index[first:], number)
                return guarded(found, self._given((*lead, *window), tap, y, *others), zero)

            return reduce(Combine.ADD, many, term)

        return View(y.dtype, (*y.shape[:first], *lengths), at)

    def _given(self, at: Sequence[Expr], tap: Sequence[Expr], y: View, *others: View) -> Expr:
        """What an element gets of the window ``at`` in which it is ``tap``."""
        raise NotImplementedError

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[True], *([False] for _ in node.inputs[1:])]


class WindowSpread(_Back):
    """The sum, for each element, of ``y`` of the windows that hold it: the transpose of WindowSum.

    Inputs  y: (..., *windows), floats; lengths, see _Back.      Output  (..., *lengths), dtype of y.
    """

    own = 1

    def _part(self, *given: np.ndarray) -> Any:
        return lambda tap: given[0]

    def _given(self, at: Sequence[Expr], tap: Sequence[Expr], y: View, *others: View) -> Expr:
        return y.at(at)

    def grad(self, inputs: Sequence[TensorVariable], output_grads: Sequence[Variable]) -> list[Variable]:
        """The transpose's transpose: sums of windows."""
        y, *unknown = inputs
        return [input_gradient(y, WindowSum(self.window, self.geometry)(output_grads[0])), *_none_for(unknown)]

    def R_op(self, inputs: Sequence[TensorVariable], eval_points: Sequence[Variable | None]) -> list[Variable | None]:
        """Linear in y, so a tangent is spread likewise."""
        return [None if eval_points[0] is None else self(eval_points[0], *inputs[1:])]


class PlacedInWindow(_Back):
    """The sum, for each element, of ``y`` of the windows whose tap number ``place`` it is: TakenFromWindow's transpose.

    Inputs  y: (..., *windows), floats; place: the same shape, integers; lengths, see _Back.
    Output  (..., *lengths), dtype of y.
    """

    own = 2

    def _part(self, *given: np.ndarray) -> Any:
        y, place = given
        return lambda tap: np.where(place == np.ravel_multi_index(tap, self.window), y, y.dtype.type(0))

    def _given(self, at: Sequence[Expr], tap: Sequence[Expr], y: View, *others: View) -> Expr:
        return select(equal(others[0].at(at), self._number(tap)), y.at(at), as_expr(0, y.dtype))

    def grad(self, inputs: Sequence[TensorVariable], output_grads: Sequence[Variable]) -> list[Variable]:
        """The transpose of putting is taking."""
        y, place, *unknown = inputs
        taken = TakenFromWindow(self.window, self.geometry)(output_grads[0], place)
        return [input_gradient(y, taken), disconnected(), *_none_for(unknown)]

    def R_op(self, inputs: Sequence[TensorVariable], eval_points: Sequence[Variable | None]) -> list[Variable | None]:
        """Linear in y, so a tangent is put at the same places."""
        return [None if eval_points[0] is None else self(eval_points[0], *inputs[1:])]


def placed(
    window: Sequence[int], geometry: Geometry, y: Any, place: TensorVariable, x: TensorVariable
) -> TensorVariable:
    """PlacedInWindow, with the spatial lengths of ``x``."""
    lengths, unknown = _lengths_of(x, len(window))
    return PlacedInWindow(window, geometry, lengths)(y, place, *unknown)


def _lengths_of(x: TensorVariable, count: int) -> tuple[tuple[int | None, ...], list[TensorVariable]]:
    """The last lengths of ``x``, and those of them that its type does not know."""
    first = x.ndim - count
    lengths = x.type.shape[first:]
    return lengths, [shape_i(x, first + axis) for axis, n in enumerate(lengths) if n is None]


def _none_for(inputs: Sequence[Any]) -> list[Variable]:
    return [disconnected() for _ in inputs]
