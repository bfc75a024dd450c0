"""What becomes of each window: its largest element and where that is, its sum; and the transposes of these.

Each op works on the last axes of its input, as many as the window has; axes before them are images and channels.  What
users call is in pooling.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from core import dtypes
from core.errors import DTypeError
from core.graph import Apply, Variable
from core.ir.codes import Combine
from core.ir.expr import Expr, as_expr, equal, guarded, not_equal, select
from core.ir.library import LibraryCall
from core.ir.view import View
from core.op import disconnected
from core.tensor import TensorType, TensorVariable, as_tensor
from core.tensor.shape import input_gradient, shape_i
from plugin_ops_nn.geometry import Geometry
from plugin_ops_nn.window_ops import PLACE, Back, Windows


class WindowMax(Windows):
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


class WindowPlace(Windows):
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


class TakenFromWindow(Windows):
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


class WindowSum(Windows):
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


class WindowSpread(Back):
    """The sum, for each element, of ``y`` of the windows that hold it: the transpose of WindowSum.

    Inputs  y: (..., *windows), floats; lengths, see Back.      Output  (..., *lengths), dtype of y.
    """

    own = 1

    def _part(self, *given: np.ndarray) -> Any:
        return lambda tap: given[0]

    def _given(self, at: Sequence[Expr], tap: Sequence[Expr], y: View, *others: View) -> Expr:
        return y.at(at)

    def grad(self, inputs: Sequence[TensorVariable], output_grads: Sequence[Variable]) -> list[Variable]:
        """The transpose's transpose: sums of windows."""
        y, *unknown = inputs
        return [input_gradient(y, WindowSum(self.window, self.geometry)(output_grads[0])), *none_for(unknown)]

    def R_op(self, inputs: Sequence[TensorVariable], eval_points: Sequence[Variable | None]) -> list[Variable | None]:
        """Linear in y, so a tangent is spread likewise."""
        return [None if eval_points[0] is None else self(eval_points[0], *inputs[1:])]


class PlacedInWindow(Back):
    """The sum, for each element, of ``y`` of the windows whose tap number ``place`` it is: TakenFromWindow's transpose.

    Inputs  y: (..., *windows), floats; place: the same shape, integers; lengths, see Back.
    Output  (..., *lengths), dtype of y.
    """

    own = 2

    def _part(self, *given: np.ndarray) -> Any:
        y, place = given
        return lambda tap: np.where(place == np.ravel_multi_index(tap, self.window), y, y.dtype.type(0))

    def _given(self, at: Sequence[Expr], tap: Sequence[Expr], y: View, *others: View) -> Expr:
        return select(equal(others[0].at(at), self._number(tap)), y.at(at), as_expr(0, y.dtype))

    def library_call(self, node: Apply) -> LibraryCall | None:
        """Each window puts its element where it belongs, instead of each element asking all windows that hold it."""
        y, place, *unknown = node.inputs
        if y.dtype not in ("float32", "float64") or place.dtype != PLACE or place.ndim != y.ndim:
            return None
        attributes = (("window", self.window), ("geometry", self.geometry))
        ranks = (len(self.window), len(self.window), *(0 for _ in unknown))
        same = tuple(((0, -axis), (1, -axis)) for axis in range(1, y.ndim + 1))
        return LibraryCall("placed_in_window", attributes, self._first(y), ranks, same)

    def grad(self, inputs: Sequence[TensorVariable], output_grads: Sequence[Variable]) -> list[Variable]:
        """The transpose of putting is taking."""
        y, place, *unknown = inputs
        taken = TakenFromWindow(self.window, self.geometry)(output_grads[0], place)
        return [input_gradient(y, taken), disconnected(), *none_for(unknown)]

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


def none_for(inputs: Sequence[Any]) -> list[Variable]:
    return [disconnected() for _ in inputs]
