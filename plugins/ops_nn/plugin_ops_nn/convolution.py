"""Convolution as three ops, each linear in both of its inputs, and each the derivative of the others.

The sum of all products y[n, f, o] x[n, c, i] w[f, c, t], where element i is tap t of window o, is linear in y, x and w:
Convolution, ConvolutionTransposed and ConvolutionFilters are what multiplies each.  What users call is in convolve.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core.graph import Apply, Variable
from core.ir.axes import reduce
from core.ir.codes import Combine
from core.ir.expr import Expr, as_expr, guarded
from core.ir.view import View
from core.op import disconnected
from core.tensor import TensorType, TensorVariable
from core.tensor.shape import as_length, input_gradient, shape_i
from plugin_ops_nn.bilinear import (
    Bilinear,
    as_exprs,
    blocks,
    check_groups,
    columns_of,
    computing,
    counts_of,
    demanding,
    known,
    product_of,
    rows_of,
    times,
)
from plugin_ops_nn.geometry import Geometry, require_windows


class Convolution(Bilinear):
    """y[n, f, o] = sum of x[n, c, o stride + t dilation - before] w[f, c, t] over channels c of the group of f, taps t.

    Inputs  x: (n, c, *spatial); w: (f, c / groups, *taps), floats.      Output  (n, f, *windows), the promoted dtype.
            The filter is not turned: what signal processing calls correlation, and networks convolution.
            Padded elements are zeros like any others: times an infinite element of w they are NaN.
    Errors  DTypeError for integers; ShapeError for another ndim, channels that do not fit, or an axis without a window.
    Source  Error at most k eps of the sum of absolute products, of k terms: Higham (2002), section 3.1.
    """

    __props__ = ("geometry", "groups")
    routine = "convolution"
    merged = ((0, 0), (0, 1))

    def __init__(self, geometry: Geometry, groups: int = 1):
        super().__init__(geometry, groups)

    def make_node(self, x: Any, w: Any) -> Apply:
        (x, w), dtype = self.operands(x, w)
        self.divided("filters", w, 0)
        channels = self.divided("channels", x, 1)
        self.fits(f"the channels of {x} over groups={self.groups} and those of {w}", channels, w.type.shape[1], w)
        counts = require_windows(self, x.type.shape[2:], w.type.shape[2:], self.geometry, w)
        return Apply(self, [x, w], [TensorType(dtype, (x.type.shape[0], w.type.shape[0], *counts))])

    def perform(self, node: Apply, inputs: Sequence[np.ndarray], output_storage: Sequence[list]) -> None:
        x, w = inputs
        taps, groups = w.shape[2:], self.groups
        check_groups(self, node, x.shape[1], w.shape)
        counts = counts_of(self, node, x.shape[2:], taps)
        out = np.zeros((x.shape[0], w.shape[0], *counts), node.out.dtype)
        filters = rows_of(w, groups)
        for some in blocks(x.shape[0], x.shape[1] * int(np.prod((*counts, *taps))) * filters.itemsize):
            columns = columns_of(computing(x[some]), self, taps)
            with np.errstate(all="ignore"):
                out[some] = np.matmul(filters, columns).reshape(out[some].shape)
        output_storage[0][0] = out

    def infer_shape(self, node: Apply, input_shapes: Sequence[tuple]) -> list[tuple]:
        x, w = input_shapes
        return [known(node, (x[0], w[0], *self.geometry.counts(x[2:], w[2:])))]

    def lower(self, node: Apply, x: View, w: View) -> View:
        counts = self.geometry.checked_counts(x.shape[2:], w.shape[2:])
        filters = demanding(w.shape[0], self.fitting(x.shape[1], w.shape))
        place = self.geometry.places(x.shape[2:], w.shape[2:])

        def at(index: tuple[Expr, ...]) -> Expr:
            n, f, *window = index
            first = 0 if self.groups == 1 else f // (w.shape[0] // self.groups) * w.shape[1]

            def term(c: Expr, *tap: Expr) -> Expr:
                inside, element = place(window, tap)
                a = guarded(inside, x.at((n, c + first, *element)), as_expr(0, x.dtype))
                return product_of(node, a, w.at((f, c, *tap)))

            return reduce(Combine.ADD, w.shape[1:], term)

        return View(node.out.dtype, (x.shape[0], filters, *counts), at)

    def grad(self, inputs: Sequence[TensorVariable], output_grads: Sequence[Variable]) -> list[Variable]:
        """Linear in each: the transposes, of what multiplies x and of what multiplies w."""
        x, w = inputs
        (g,) = output_grads
        return [
            input_gradient(x, transposed(self.geometry, self.groups, g, w, x)),
            input_gradient(w, filters_of(self.geometry, self.groups, x, g, w)),
        ]

    def roles(self, a: Any, b: Any, out: Any) -> tuple[Any, Any, Any]:
        return a, b, out


class ConvolutionTransposed(Bilinear):
    """x[n, c, i] = sum of y[n, f, o] w[f, c, t] over filters f of the group of c, where element i is tap t of window o.

    Inputs  y: (n, f, *windows); w: (f, c / groups, *taps); an int64 scalar for each None in ``lengths``.
    Output  (n, c, *lengths).
    Errors  as of Convolution; ShapeError unless axes of these lengths have as many windows as y.
    """

    __props__ = ("geometry", "groups", "lengths")
    routine = "convolution_transposed"
    merged = ((0, 0), (1, 1))

    def make_node(self, y: Any, w: Any, *unknown: Any) -> Apply:
        (y, w), dtype = self.operands(y, w)
        self.divided("filters", w, 0)
        self.fits(f"the channels of {y} and the filters of {w}", y.type.shape[1], w.type.shape[0], w)
        counts = require_windows(self, self.lengths, w.type.shape[2:], self.geometry, w)
        for n, m in zip(counts, y.type.shape[2:], strict=True):
            self.fits(f"the windows on axes of {self.lengths} and those in {y}", n, m, y)
        channels = None if w.type.shape[1] is None else w.type.shape[1] * self.groups
        inputs = [y, w, *map(as_length, unknown)]
        return Apply(self, inputs, [TensorType(dtype, (y.type.shape[0], channels, *self.lengths))])

    def perform(self, node: Apply, inputs: Sequence[np.ndarray], output_storage: Sequence[list]) -> None:
        y, w, *unknown = inputs
        lengths, taps, groups = tuple(int(n) for n in self.filled(unknown)), w.shape[2:], self.groups
        self.check(node, "channels and filters", y.shape[1], w.shape[0])
        check_groups(self, node, w.shape[1] * groups, w.shape)
        counts = counts_of(self, node, lengths, taps)
        self.check(node, "windows", counts, y.shape[2:])
        lead = (y.shape[0], w.shape[1] * groups)
        out = np.zeros((*lead, *lengths), node.out.dtype)
        filters = rows_of(w, groups).swapaxes(1, 2)
        whole = int(np.prod(counts))
        for some in blocks(y.shape[0], lead[1] * whole * int(np.prod(taps)) * filters.itemsize):
            g = computing(y[some]).reshape(some.stop - some.start, groups, w.shape[0] // groups, whole)
            with np.errstate(all="ignore"):
                columns = np.matmul(filters, g).reshape(len(g), lead[1], *taps, *counts)
                part = lambda tap, columns=columns: columns[(slice(None), slice(None), *tap)]  # noqa: E731
                out[some] = self.geometry.folded((len(g), lead[1]), lengths, taps, columns.dtype, part)
        output_storage[0][0] = out

    def infer_shape(self, node: Apply, input_shapes: Sequence[tuple]) -> list[tuple]:
        y, w = input_shapes[:2]
        return [known(node, (y[0], times(w[1], self.groups), *self.filled(node.inputs[2:])))]

    def lower(self, node: Apply, y: View, w: View, *unknown: View) -> View:
        lengths, taps = as_exprs(self.filled(unknown)), w.shape[2:]
        pairs = list(zip(y.shape[2:], self.geometry.checked_counts(lengths, taps), strict=True))
        lengths = tuple(demanding(n, [pair]) for n, pair in zip(lengths, pairs, strict=True))
        whole = w.shape[1] * self.groups
        channels = demanding(whole, [(y.shape[1], w.shape[0]), *self.fitting(whole, w.shape)])
        holder = self.geometry.holders(lengths, taps, y.shape[2:])
        per_group = w.shape[0] if self.groups == 1 else w.shape[0] // self.groups
        many = [self.geometry.covering(axis, k) for axis, k in enumerate(taps)]

        def at(index: tuple[Expr, ...]) -> Expr:
            n, c, *element = index
            first, own = (0, c) if self.groups == 1 else (c // w.shape[1] * per_group, c % w.shape[1])

            def term(f: Expr, *number: Expr) -> Expr:
                found, window, tap = holder(element, number)
                a, b = y.at((n, f + first, *window)), w.at((f + first, own, *tap))
                return guarded(found, product_of(node, a, b), as_expr(0, node.out.dtype))

            return reduce(Combine.ADD, [per_group, *many], term)

        return View(node.out.dtype, (y.shape[0], channels, *lengths), at)

    def grad(self, inputs: Sequence[TensorVariable], output_grads: Sequence[Variable]) -> list[Variable]:
        """Linear in each: Convolution, of the gradient with w, and the filters that take it to y."""
        y, w, *unknown = inputs
        (g,) = output_grads
        return [
            input_gradient(y, Convolution(self.geometry, self.groups)(g, w)),
            input_gradient(w, filters_of(self.geometry, self.groups, g, y, w)),
            *(disconnected() for _ in unknown),
        ]

    def roles(self, a: Any, b: Any, out: Any) -> tuple[Any, Any, Any]:
        return out, b, a


class ConvolutionFilters(Bilinear):
    """w[f, c, t] = sum of x[n, c, o stride + t dilation - before] y[n, f, o] over all n and windows o.

    Inputs  x: (n, c, *spatial); y: (n, f, *windows); an int64 scalar for each None in ``lengths``, those of the taps.
    Output  (f, c / groups, *lengths).
    Errors  as of Convolution; ShapeError unless axes of x have as many windows of these lengths as y.
    """

    __props__ = ("geometry", "groups", "lengths")
    routine = "convolution_filters"
    merged = ((1, 1), (1, 0))

    def make_node(self, x: Any, y: Any, *unknown: Any) -> Apply:
        (x, y), dtype = self.operands(x, y)
        self.divided("filters", y, 1)
        channels = self.divided("channels", x, 1)
        self.fits(f"the first axes of {x} and {y}", x.type.shape[0], y.type.shape[0], y)
        counts = require_windows(self, x.type.shape[2:], self.lengths, self.geometry, y)
        for n, m in zip(counts, y.type.shape[2:], strict=True):
            self.fits(f"the windows on {x} and those in {y}", n, m, y)
        inputs = [x, y, *map(as_length, unknown)]
        return Apply(self, inputs, [TensorType(dtype, (y.type.shape[1], channels, *self.lengths))])

    def perform(self, node: Apply, inputs: Sequence[np.ndarray], output_storage: Sequence[list]) -> None:
        x, y, *unknown = inputs
        taps, groups = tuple(int(n) for n in self.filled(unknown)), self.groups
        self.check(node, "first axes", x.shape[0], y.shape[0])
        shape = (y.shape[1], x.shape[1] // groups, *taps)
        check_groups(self, node, x.shape[1], shape)
        counts = counts_of(self, node, x.shape[2:], taps)
        self.check(node, "windows", counts, y.shape[2:])
        whole = int(np.prod(counts))
        total: Any = 0
        for some in blocks(x.shape[0], x.shape[1] * whole * int(np.prod(taps)) * x.itemsize):
            columns = columns_of(computing(x[some]), self, taps)
            g = computing(y[some]).reshape(some.stop - some.start, groups, y.shape[1] // groups, whole)
            with np.errstate(all="ignore"):
                total = total + np.matmul(g, columns.swapaxes(-1, -2)).sum(axis=0)
        out = np.zeros(shape, node.out.dtype)
        if x.shape[0]:
            out[...] = total.reshape(shape)
        output_storage[0][0] = out

    def infer_shape(self, node: Apply, input_shapes: Sequence[tuple]) -> list[tuple]:
        x, y = input_shapes[:2]
        channels = x[1] if self.groups == 1 else x[1] // self.groups
        return [known(node, (y[1], channels, *self.filled(node.inputs[2:])))]

    def lower(self, node: Apply, x: View, y: View, *unknown: View) -> View:
        taps = as_exprs(self.filled(unknown))
        pairs = list(zip(y.shape[2:], self.geometry.checked_counts(x.shape[2:], taps), strict=True))
        taps = tuple(demanding(n, [pair]) for n, pair in zip(taps, pairs, strict=True))
        own = x.shape[1] if self.groups == 1 else x.shape[1] // self.groups
        filters = demanding(y.shape[1], [(x.shape[0], y.shape[0]), *self.fitting(x.shape[1], (y.shape[1], own))])
        place = self.geometry.places(x.shape[2:], taps)

        def at(index: tuple[Expr, ...]) -> Expr:
            f, c, *tap = index
            first = 0 if self.groups == 1 else f // (y.shape[1] // self.groups) * own

            def term(n: Expr, *window: Expr) -> Expr:
                inside, element = place(window, tap)
                a = guarded(inside, x.at((n, c + first, *element)), as_expr(0, x.dtype))
                return product_of(node, a, y.at((n, f, *window)))

            return reduce(Combine.ADD, [y.shape[0], *y.shape[2:]], term)

        return View(node.out.dtype, (filters, own, *taps), at)

    def grad(self, inputs: Sequence[TensorVariable], output_grads: Sequence[Variable]) -> list[Variable]:
        """Linear in each: with the gradient as filters, what takes y to x, and x to y."""
        x, y, *unknown = inputs
        (g,) = output_grads
        return [
            input_gradient(x, transposed(self.geometry, self.groups, y, g, x)),
            input_gradient(y, Convolution(self.geometry, self.groups)(x, g)),
            *(disconnected() for _ in unknown),
        ]

    def roles(self, a: Any, b: Any, out: Any) -> tuple[Any, Any, Any]:
        return a, out, b


# --- nodes ----------------------------------------------------------------------------------------------------------


def transposed(geometry: Geometry, groups: int, y: Any, w: Any, x: TensorVariable) -> TensorVariable:
    """ConvolutionTransposed to the spatial lengths of ``x``."""
    lengths, unknown = _lengths_of(x)
    return ConvolutionTransposed(geometry, groups, lengths)(y, w, *unknown)


def filters_of(geometry: Geometry, groups: int, x: Any, y: Any, w: TensorVariable) -> TensorVariable:
    """ConvolutionFilters with the taps of ``w``."""
    lengths, unknown = _lengths_of(w)
    return ConvolutionFilters(geometry, groups, lengths)(x, y, *unknown)


def _lengths_of(x: TensorVariable) -> tuple[tuple[int | None, ...], list[TensorVariable]]:
    lengths = x.type.shape[2:]
    return lengths, [shape_i(x, axis + 2) for axis, n in enumerate(lengths) if n is None]
