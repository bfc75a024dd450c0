"""What ops on windows have in common, and what their transposes have: where windows lie, lengths, stacks."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

import core.tensor as ct
from core.errors import ShapeError
from core.graph import Apply
from core.ir.axes import ravel, reduce, same_length
from core.ir.codes import Combine
from core.ir.expr import Expr, as_expr, cast, const, guarded, maximum, minimum
from core.ir.view import View
from core.op import Op
from core.tensor import TensorType, TensorVariable, as_tensor
from core.tensor.shape import as_length, shape_i
from plugin_ops_nn.geometry import Geometry, require_windows, too_short

PLACE = "int32"  # the dtype of a tap's number, in row-major order
MOST_WRITTEN_OUT = 9
_COMBINED = {Combine.MAX: maximum, Combine.MIN: minimum, Combine.ADD: operator.add}


class Windows(Op):
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
        if any(x.ndim != old.ndim and not old.ndim for x, old in pairs):  # a stack of lengths
            return None
        stack = next(x for x, old in pairs if x.ndim != old.ndim)
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


class Back(Windows):
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
