"""Convolution as three ops, each linear in both of its inputs, and each the derivative of the others.

The sum of all products y[n, f, o] x[n, c, i] w[f, c, t], where element i is tap t of window o, is linear in y, x and w:
Convolution, ConvolutionTransposed and ConvolutionFilters are what multiplies each.  What users call is in convolve.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import numpy as np

import core.tensor as ct
from core import dtypes
from core.errors import DTypeError, ShapeError
from core.graph import Apply, Variable
from core.ir.axes import reduce, same_length
from core.ir.expr import Combine, Expr, as_expr, cast, guarded
from core.ir.library import LibraryCall
from core.ir.view import View
from core.op import Op, disconnected
from core.tensor import TensorType, TensorVariable, as_tensor
from core.tensor.shape import as_length, input_gradient, shape_i, shape_of
from plugin_ops_nn.geometry import Geometry, require_windows, too_short

BLOCK_BYTES = 1 << 22  # of windows that NumPy copies at once


class _Bilinear(Op):
    """What the three have in common: a geometry, groups of channels, and the product rule.

    Tensors     x (n, c, *spatial), w (f, c / groups, *taps), y (n, f, *windows)
    """

    explains_lengths = True
    routine: ClassVar[str]  # what a library calls it
    merged: ClassVar[tuple[tuple[int, int], ...]]  # for each operand an axis, and that of the output which it makes

    def __init__(self, geometry: Geometry, groups: int = 1, lengths: Sequence[int | None] = ()):
        self.geometry, self.groups, self.lengths = geometry, groups, tuple(lengths)

    def operands(self, *given: Any) -> tuple[list[TensorVariable], str]:
        """Two tensors of as many axes as the geometry asks for, and the dtype of their product."""
        tensors = [as_tensor(each) for each in given]
        wanted = self.geometry.ndim + 2
        for tensor in tensors:
            if tensor.ndim != wanted:
                raise ShapeError(f"{self} needs ndim={wanted}, but {tensor} has ndim={tensor.ndim}", blame=tensor)
            if tensor.dtype not in dtypes.CONTINUOUS:
                raise DTypeError(f"{self} needs floats, got {tensor} of dtype {tensor.dtype}; cast it", blame=tensor)
        return tensors, dtypes.promote(*(tensor.dtype for tensor in tensors))

    def filled(self, unknown: Sequence[Any]) -> list[Any]:
        """``lengths``, with what is known only when the function runs put in."""
        remaining = iter(unknown)
        return [next(remaining) if n is None else n for n in self.lengths]

    def divided(self, who: str, tensor: TensorVariable, axis: int) -> int | None:
        """The length of an axis over groups, where it is known.  Errors: ShapeError where they do not divide it."""
        n = tensor.type.shape[axis]
        if n is not None and n % self.groups:
            raise ShapeError(f"{self} needs a multiple of groups={self.groups} as {who}, got {n}", blame=tensor)
        return None if n is None else n // self.groups

    def fits(self, what: str, n: int | None, m: int | None, blame: TensorVariable) -> None:
        if n is not None and m is not None and n != m:
            raise ShapeError(f"{self} needs {what} to agree, got {n} and {m}", blame=blame)

    def check(self, node: Apply, what: str, n: int, m: int) -> None:
        if n != m:
            raise ShapeError(f"{self} needs {what} to agree, got {n} and {m}", blame=node)

    def R_op(self, inputs: Sequence[TensorVariable], eval_points: Sequence[Variable | None]) -> list[Variable | None]:
        """The product rule: one operand's tangent with the other operand."""
        (a, b, *rest), (da, db, *_) = inputs, eval_points
        terms = [self(*pair, *rest) for pair, d in (((da, b), da), ((a, db), db)) if d is not None]
        return [terms[0] + terms[1] if len(terms) == 2 else terms[0] if terms else None]  # type: ignore[operator]

    def batch(self, node: Apply, inputs: Sequence[TensorVariable]) -> list[TensorVariable] | None:
        """One stack only: its axis is merged with an axis of that operand which is one of the output's, too."""
        stacked = [k for k, (x, old) in enumerate(zip(inputs, node.inputs, strict=True)) if x.ndim != old.ndim]
        if len(stacked) != 1 or stacked[0] > 1:
            return None
        (number,) = stacked
        theirs, ours = self.merged[number]
        if self.groups != 1 and (theirs, ours) != (0, 0):
            return None
        lengths = shape_of(inputs[number])
        moved = ct.moveaxis(inputs[number], 0, theirs)
        length = lengths[0] * lengths[theirs + 1]
        wide = ct.reshape(moved, (*lengths[1 : theirs + 1], length, *lengths[theirs + 2 :]))
        out = self(*(wide if k == number else x for k, x in enumerate(inputs)))
        found = shape_of(out)
        apart = (*found[:ours], lengths[0], lengths[theirs + 1], *found[ours + 1 :])
        return [ct.moveaxis(ct.reshape(out, apart), ours, 0)]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[True], [True], *([False] for _ in node.inputs[2:])]

    def flops(self, inputs: Sequence[Any], outputs: Sequence[Any]) -> int | None:
        _, w, y = self.roles(tuple(inputs[0]), tuple(inputs[1]), tuple(outputs[0]))
        return 2 * int(np.prod(y, dtype=np.int64)) * int(np.prod(w[1:], dtype=np.int64))

    def roles(self, a: Any, b: Any, out: Any) -> tuple[Any, Any, Any]:
        """Which of inputs and output are x, w and y."""
        raise NotImplementedError

    def _fitting(self, channels: Expr, w: Sequence[Expr]) -> list[tuple[Expr, Expr]]:
        """Pairs that are equal where the channels are those of the filters, and groups divide both."""
        if self.groups == 1:
            return [(channels, w[1])]
        return [(channels, w[1] * self.groups), (w[0], w[0] // self.groups * self.groups)]

    def library_call(self, node: Apply) -> LibraryCall | None:
        """Loops that know the processor; they take any lengths, and elements of one of two dtypes."""
        if {variable.dtype for variable in node.inputs[:2]} not in ({"float32"}, {"float64"}):
            return None
        return LibraryCall(self.routine, (("geometry", self.geometry), ("groups", self.groups)))


class Convolution(_Bilinear):
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
        _check_groups(self, node, x.shape[1], w.shape)
        counts = _counts(self, node, x.shape[2:], taps)
        out = np.zeros((x.shape[0], w.shape[0], *counts), node.out.dtype)
        filters = _rows(w, groups)
        for some in _blocks(x.shape[0], x.shape[1] * int(np.prod((*counts, *taps))) * filters.itemsize):
            columns = _columns(_computing(x[some]), self, taps)
            with np.errstate(all="ignore"):
                out[some] = np.matmul(filters, columns).reshape(out[some].shape)
        output_storage[0][0] = out

    def infer_shape(self, node: Apply, input_shapes: Sequence[tuple]) -> list[tuple]:
        x, w = input_shapes
        return [_known(node, (x[0], w[0], *self.geometry.counts(x[2:], w[2:])))]

    def lower(self, node: Apply, x: View, w: View) -> View:
        counts = self.geometry.checked_counts(x.shape[2:], w.shape[2:])
        filters = demanding(w.shape[0], self._fitting(x.shape[1], w.shape))
        place = self.geometry.places(x.shape[2:], w.shape[2:])

        def at(index: tuple[Expr, ...]) -> Expr:
            n, f, *window = index
            first = 0 if self.groups == 1 else f // (w.shape[0] // self.groups) * w.shape[1]

            def term(c: Expr, *tap: Expr) -> Expr:
                inside, element = place(window, tap)
                a = guarded(inside, x.at((n, c + first, *element)), as_expr(0, x.dtype))
                return _product(node, a, w.at((f, c, *tap)))

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


class ConvolutionTransposed(_Bilinear):
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
        _check_groups(self, node, w.shape[1] * groups, w.shape)
        counts = _counts(self, node, lengths, taps)
        self.check(node, "windows", counts, y.shape[2:])
        lead = (y.shape[0], w.shape[1] * groups)
        out = np.zeros((*lead, *lengths), node.out.dtype)
        filters = _rows(w, groups).swapaxes(1, 2)
        whole = int(np.prod(counts))
        for some in _blocks(y.shape[0], lead[1] * whole * int(np.prod(taps)) * filters.itemsize):
            g = _computing(y[some]).reshape(some.stop - some.start, groups, w.shape[0] // groups, whole)
            with np.errstate(all="ignore"):
                columns = np.matmul(filters, g).reshape(len(g), lead[1], *taps, *counts)
                part = lambda tap, columns=columns: columns[(slice(None), slice(None), *tap)]  # noqa: E731
                out[some] = self.geometry.folded((len(g), lead[1]), lengths, taps, columns.dtype, part)
        output_storage[0][0] = out

    def infer_shape(self, node: Apply, input_shapes: Sequence[tuple]) -> list[tuple]:
        y, w = input_shapes[:2]
        return [_known(node, (y[0], _times(w[1], self.groups), *self.filled(node.inputs[2:])))]

    def lower(self, node: Apply, y: View, w: View, *unknown: View) -> View:
        lengths, taps = _as_lengths(self.filled(unknown)), w.shape[2:]
        pairs = list(zip(y.shape[2:], self.geometry.checked_counts(lengths, taps), strict=True))
        lengths = tuple(demanding(n, [pair]) for n, pair in zip(lengths, pairs, strict=True))
        whole = w.shape[1] * self.groups
        channels = demanding(whole, [(y.shape[1], w.shape[0]), *self._fitting(whole, w.shape)])
        holder = self.geometry.holders(lengths, taps, y.shape[2:])
        per_group = w.shape[0] if self.groups == 1 else w.shape[0] // self.groups
        many = [self.geometry.covering(axis, k) for axis, k in enumerate(taps)]

        def at(index: tuple[Expr, ...]) -> Expr:
            n, c, *element = index
            first, own = (0, c) if self.groups == 1 else (c // w.shape[1] * per_group, c % w.shape[1])

            def term(f: Expr, *number: Expr) -> Expr:
                found, window, tap = holder(element, number)
                a, b = y.at((n, f + first, *window)), w.at((f + first, own, *tap))
                return guarded(found, _product(node, a, b), as_expr(0, node.out.dtype))

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


class ConvolutionFilters(_Bilinear):
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
        _check_groups(self, node, x.shape[1], shape)
        counts = _counts(self, node, x.shape[2:], taps)
        self.check(node, "windows", counts, y.shape[2:])
        whole = int(np.prod(counts))
        total: Any = 0
        for some in _blocks(x.shape[0], x.shape[1] * whole * int(np.prod(taps)) * x.itemsize):
            columns = _columns(_computing(x[some]), self, taps)
            g = _computing(y[some]).reshape(some.stop - some.start, groups, y.shape[1] // groups, whole)
            with np.errstate(all="ignore"):
                total = total + np.matmul(g, columns.swapaxes(-1, -2)).sum(axis=0)
        out = np.zeros(shape, node.out.dtype)
        if x.shape[0]:
            out[...] = total.reshape(shape)
        output_storage[0][0] = out

    def infer_shape(self, node: Apply, input_shapes: Sequence[tuple]) -> list[tuple]:
        x, y = input_shapes[:2]
        channels = x[1] if self.groups == 1 else x[1] // self.groups
        return [_known(node, (y[1], channels, *self.filled(node.inputs[2:])))]

    def lower(self, node: Apply, x: View, y: View, *unknown: View) -> View:
        taps = _as_lengths(self.filled(unknown))
        pairs = list(zip(y.shape[2:], self.geometry.checked_counts(x.shape[2:], taps), strict=True))
        taps = tuple(demanding(n, [pair]) for n, pair in zip(taps, pairs, strict=True))
        own = x.shape[1] if self.groups == 1 else x.shape[1] // self.groups
        filters = demanding(y.shape[1], [(x.shape[0], y.shape[0]), *self._fitting(x.shape[1], (y.shape[1], own))])
        place = self.geometry.places(x.shape[2:], taps)

        def at(index: tuple[Expr, ...]) -> Expr:
            f, c, *tap = index
            first = 0 if self.groups == 1 else f // (y.shape[1] // self.groups) * own

            def term(n: Expr, *window: Expr) -> Expr:
                inside, element = place(window, tap)
                a = guarded(inside, x.at((n, c + first, *element)), as_expr(0, x.dtype))
                return _product(node, a, y.at((n, f, *window)))

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


# --- lengths --------------------------------------------------------------------------------------------------------


def _known(node: Apply, shape: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(n if known is None else known for known, n in zip(node.out.type.shape, shape, strict=True))


def _times(n: Any, groups: int) -> Any:
    return n if groups == 1 else n * groups


def _as_lengths(filled: Sequence[Any]) -> tuple[Expr, ...]:
    return tuple(as_expr(n.at() if isinstance(n, View) else n) for n in filled)


def demanding(n: Expr, pairs: Iterable[tuple[Expr, Expr]]) -> Expr:
    """``n``, which demands when the function runs that two lengths of each pair are equal."""
    for a, b in pairs:
        n = n + (same_length(a, b) - b)
    return n


def _counts(op: _Bilinear, node: Apply, lengths: Sequence[int], taps: Sequence[int]) -> tuple[int, ...]:
    counts = op.geometry.counts(lengths, taps)
    if any(n < 1 for n in counts):
        raise too_short(op, lengths, taps, op.geometry, node)
    return counts


def _check_groups(op: _Bilinear, node: Apply, channels: int, w: Sequence[int]) -> None:
    if channels % op.groups or w[0] % op.groups:
        raise ShapeError(
            f"{op} needs multiples of groups={op.groups} as channels and filters, got {channels} and {w[0]}", blame=node
        )
    op.check(node, f"the channels over groups={op.groups} and those of a filter", channels // op.groups, w[1])


# --- elements -------------------------------------------------------------------------------------------------------


def _product(node: Apply, a: Expr, b: Expr) -> Expr:
    return cast(a, node.out.dtype) * cast(b, node.out.dtype)


def _computing(x: np.ndarray) -> np.ndarray:
    """In what NumPy multiplies matrices of."""
    return x.astype("float32") if x.dtype == "float16" else x


def _rows(w: np.ndarray, groups: int) -> np.ndarray:
    """(groups, filters, channels * taps): a row for each filter."""
    return _computing(w).reshape(groups, w.shape[0] // groups, int(np.prod(w.shape[1:])))


def _columns(x: np.ndarray, op: _Bilinear, taps: Sequence[int]) -> np.ndarray:
    """(n, groups, channels * taps, windows): a column for each window."""
    found = op.geometry.windows(x, taps)
    first, ndim = 2, op.geometry.ndim
    order = (0, 1, *range(first + ndim, first + 2 * ndim), *range(first, first + ndim))
    whole = int(np.prod(found.shape[first : first + ndim]))
    rows = x.shape[1] // op.groups * int(np.prod(taps))
    return found.transpose(order).reshape(x.shape[0], op.groups, rows, whole)


def _blocks(n: int, size_bytes: int) -> list[slice]:
    """Slices of a batch of ``n``, whose windows take that much for each."""
    step = max(1, BLOCK_BYTES // max(size_bytes, 1))
    return [slice(first, min(first + step, n)) for first in range(0, n, step)]
