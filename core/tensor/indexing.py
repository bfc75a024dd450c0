"""Basic indexing: integers, slices and new axes; and what the user calls to read and to write ``x[key]``.

Index arrays and masks go on to gather.py.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from core import dtypes
from core.errors import ArgumentError, DTypeError, IndexOutOfBounds, ShapeError
from core.graph import Apply, Variable
from core.ir.axes import same_length, wrap_index
from core.ir.codes import Combine
from core.ir.expr import Expr, as_expr, const, equal, guarded, not_equal
from core.ir.expr import cast as convert
from core.ir.view import View
from core.op import Op, disconnected
from core.tensor.arithmetic import cast, clip, mod
from core.tensor.dimshuffle import DimShuffle, expand_dims
from core.tensor.elementwise import second
from core.tensor.gather import AdvancedIncSubtensor, AdvancedSetSubtensor, AdvancedSubtensor, gathered, index_axis
from core.tensor.keys import ALL, Entry, Key, Part, Slice, check_index, plain, resolve, scalar_of, static_slice_length
from core.tensor.logic import not_equal as differs
from core.tensor.reshape import ravel
from core.tensor.shape import shape_i, static_length
from core.tensor.type import (
    TensorType,
    TensorVariable,
    as_operands,
    as_tensor,
    normalize_axes,
    normalize_axis,
)
from core.tensor.updates import Update, read, zeros_of

__all__ = [
    "IncSubtensor",
    "SetSubtensor",
    "Subtensor",
    "diff",
    "flip",
    "getitem",
    "inc_subtensor",
    "set_subtensor",
    "take",
]


class Subtensor(Op):
    """``x[key]`` for a key of integers and slices, one entry for each axis of x.

    Inputs  x: tensor; then an int64 scalar for each symbolic part of the key, in order.
    Output  a view of x: dtype of x, without the axes that an integer indexes.
    Errors  IndexOutOfBounds for an integer that its axis lacks: at once where both are known, else when the function
            runs.  Slices are cut at the ends, as in Python; a step of 0 is a ShapeError.
    """

    __props__ = ("key",)
    view_map = {0: [0]}

    def __init__(self, key: Key):
        self.key = key

    def make_node(self, x: Any, *parts: Any) -> Apply:
        x = as_tensor(x)
        if len(self.key.entries) != x.ndim or len(parts) != self.key.count:
            raise ArgumentError(
                f"{self} needs ndim={len(self.key.entries)} and {self.key.count} indices, got {x} with ndim={x.ndim} "
                f"and {len(parts)}"
            )
        given = [_as_index(part) for part in parts]
        shape = []
        for axis, (entry, n) in enumerate(zip(self.key.entries, x.type.shape, strict=True)):
            if isinstance(entry, Slice):
                shape.append(static_slice_length(entry, n))
            elif isinstance(entry, int):
                check_index(entry, n, axis, x)
        return Apply(self, [x, *given], [TensorType(x.dtype, shape)])

    def perform(self, node: Apply, inputs: Sequence[np.ndarray], output_storage: Sequence[list]) -> None:
        output_storage[0][0] = read(inputs[0], self.key.filled(inputs[1:]), node)

    def infer_shape(self, node: Apply, input_shapes: Sequence[tuple]) -> list[tuple]:
        entries = self.key.filled(node.inputs[1:])
        shape = [resolve(e, n)[1] for e, n in zip(entries, input_shapes[0], strict=True) if isinstance(e, Slice)]
        return [tuple(n if known is None else known for known, n in zip(node.out.type.shape, shape, strict=True))]

    def _rules(self, x: View, parts: Sequence[View]) -> list[Any]:
        """For each axis of x: the one index that is read, or the (start, length, step) of a slice."""
        rules: list[Any] = []
        for entry, n in zip(self.key.filled([scalar_of(part) for part in parts]), x.shape, strict=True):
            if not isinstance(entry, Slice):
                rules.append(wrap_index(as_expr(entry), n))
                continue
            start, count, step = resolve(entry, plain(n))
            if isinstance(step, Expr):  # a step of 0 is an error, not an empty slice
                count = count + (same_length(convert(not_equal(step, 0), "int64"), const(1)) - 1)
            rules.append((start, as_expr(count), step))
        return rules

    def lower(self, node: Apply, x: View, *parts: View) -> View:
        rules = self._rules(x, parts)

        def at(index: tuple[Expr, ...]) -> Expr:
            remaining = iter(index)
            return x.at([next(remaining) * rule[2] + rule[0] if isinstance(rule, tuple) else rule for rule in rules])

        return View(x.dtype, [rule[1] for rule in rules if isinstance(rule, tuple)], at)

    def grad(self, inputs: Sequence[TensorVariable], output_grads: Sequence[Variable]) -> list[Variable]:
        """The transpose of reading some elements is putting the gradients at their places, among zeros."""
        x, *parts = inputs
        rest = [disconnected() for _ in parts]
        if x.dtype in dtypes.DISCRETE:
            return [disconnected(), *rest]
        return [IncSubtensor(self.key)(zeros_of(x), output_grads[0], *parts), *rest]

    def R_op(self, inputs: Sequence[TensorVariable], eval_points: Sequence[Variable | None]) -> list[Variable | None]:
        """Linear in x, so a tangent is read at the same places."""
        return [None if eval_points[0] is None else self(eval_points[0], *inputs[1:])]

    def batch(self, node: Apply, inputs: Sequence[TensorVariable]) -> list[TensorVariable] | None:
        x, *parts = inputs
        if any(part.ndim for part in parts):
            return gathered(self.key, node, inputs)
        return [Subtensor(Key((ALL, *self.key.entries)))(x, *parts)]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[node.inputs[0].dtype in dtypes.CONTINUOUS], *([False] for _ in node.inputs[1:])]


class _SliceUpdate(Update):
    """An update at the places that integers and slices name; each is written once, so it can be pulled."""

    reads = Subtensor

    def lower(self, node: Apply, x: View, y: View, *parts: View) -> View:
        rules = Subtensor(self.key)._rules(x, parts)

        def at(index: tuple[Expr, ...]) -> Expr:
            inside: Any = True
            place, lengths = [], iter(y.shape)
            for i, rule in zip(index, rules, strict=True):
                if not isinstance(rule, tuple):
                    inside = inside & equal(i, rule)
                    continue
                start, count, step = rule
                n = next(lengths)
                if rule == (0, n, 1) and n is x.shape[len(place)]:
                    place.append(i)
                    continue
                distance = i - start
                k = distance // step
                inside = inside & (k >= 0) & (k < same_length(count, n))
                if not (isinstance(step, int) and abs(step) == 1):
                    inside = inside & equal(distance % step, 0)
                place.append(k)
            if inside is True:
                return self._written(x, y, index, place)
            return guarded(inside, self._written(x, y, index, place), x.at(index))

        return View(x.dtype, x.shape, at)

    def _written(self, x: View, y: View, index: Sequence[Expr], place: Sequence[Expr]) -> Expr:
        return y.at(place) if self.combine is None else x.at(index) + y.at(place)


class SetSubtensor(_SliceUpdate):
    """``y`` replaces the elements of ``x`` that the key names."""


class IncSubtensor(_SliceUpdate):
    """``y`` is added to the elements of ``x`` that the key names."""

    combine = Combine.ADD


SetSubtensor.sets = IncSubtensor.sets = SetSubtensor
SetSubtensor.scatters, IncSubtensor.scatters = AdvancedSetSubtensor, AdvancedIncSubtensor


# --- reading -------------------------------------------------------------------------------------------------------


def getitem(x: Any, key: Any) -> TensorVariable:
    """``x[key]`` as in NumPy: integers, slices, Ellipsis, newaxis, arrays of integers, masks; all may be symbolic.

    Errors  IndexOutOfBounds for an index outside its axis, or more indices than axes; DTypeError for what is no index;
            ShapeError for index arrays that do not broadcast.  See Subtensor and AdvancedSubtensor.
    """
    x = as_tensor(x)
    entries, parts = _parse(x, key)
    if Part.ARRAY in entries:  # NumPy then counts integers among the arrays
        arrays = iter(parts)
        filled = []
        for entry in entries:
            taken = entry if isinstance(entry, Slice) else (entry,)
            filled += [next(arrays) for part in taken if part in (Part.SCALAR, Part.ARRAY)]
            filled += [as_tensor(entry)] if isinstance(entry, int) else []
        pattern = tuple(Part.ARRAY if isinstance(e, int) or e is Part.SCALAR else e for e in entries)
        return AdvancedSubtensor(Key(pattern))(x, *filled)
    basic = tuple(entry for entry in entries if entry is not Part.NEWAXIS)
    out = x if basic == (ALL,) * x.ndim and len(basic) < len(entries) else Subtensor(Key(basic))(x, *parts)
    kept = [entry for entry in entries if isinstance(entry, Slice) or entry is Part.NEWAXIS]
    places = [place for place, entry in enumerate(kept) if entry is Part.NEWAXIS]
    return expand_dims(out, places) if places else out


def _parse(x: TensorVariable, key: Any) -> tuple[list[Entry], list[TensorVariable]]:
    """The entries of a key, and the tensors in it."""
    items = list(key) if isinstance(key, tuple) else [key]
    items = [_as_array(item) if isinstance(item, (list, tuple, np.ndarray)) else item for item in items]
    used = sum(_axes_of(item) for item in items)
    dots = [place for place, item in enumerate(items) if item is Ellipsis]
    if len(dots) > 1:
        raise IndexOutOfBounds(f"a key may hold '...' once, got it {len(dots)} times in indexing {x}", blame=x)
    if used > x.ndim:
        raise IndexOutOfBounds(f"{x} was given {used} indices, but has ndim={x.ndim}", blame=x)
    place = dots[0] if dots else len(items)
    items[place : place + 1] = [slice(None)] * (x.ndim - used)
    entries: list[Entry] = []
    parts: list[TensorVariable] = []
    axis = 0
    for item in items:
        new, given = _entry(x, axis, item)
        entries += new
        parts += given
        axis += _axes_of(item)
    return entries, parts


def _axes_of(item: Any) -> int:
    """How many axes an item indexes."""
    if item is None or item is Ellipsis:
        return 0
    mask = isinstance(item, TensorVariable) and item.dtype == "bool"
    return item.ndim if mask else 1


def _as_array(item: Any) -> TensorVariable:
    """A sequence as an index array; an empty list is one of integers."""
    found = as_tensor(item)
    return cast(found, "int64") if isinstance(item, (list, tuple)) and 0 in found.type.shape else found


def _entry(x: TensorVariable, axis: int, item: Any) -> tuple[list[Entry], list[TensorVariable]]:
    """An item as entries and their inputs: one entry, or for a mask one for each of its axes."""
    if item is None:
        return [Part.NEWAXIS], []
    if isinstance(item, slice):
        given: list[TensorVariable] = []
        found = [None if part is None else _known(part, given) for part in (item.start, item.stop, item.step)]
        return [Slice(*found)], given
    if isinstance(item, TensorVariable) and item.ndim > 0:
        if item.dtype == "bool":
            lengths = [shape_i(x, axis + k) for k in range(item.ndim)]
            from core.tensor.masks import masked_places  # few programs have masks as indices

            return [Part.ARRAY] * item.ndim, masked_places(item, lengths)
        if item.dtype not in dtypes.INTEGERS:
            raise DTypeError(f"an index must be an integer, got {item} of dtype {item.dtype}", blame=item)
        return [Part.ARRAY], [item]
    given = []
    return [_known(item, given)], given


def _known(part: Any, given: list[TensorVariable]) -> int | Part:
    """An integer as an int where it is known, else SCALAR, and the input goes to ``given``."""
    variable = part if isinstance(part, Variable) else None
    if variable is None and not isinstance(part, (bool, np.bool_)) and hasattr(part, "__index__"):
        return operator.index(part)
    symbolic = _as_index(variable if variable is not None else part)
    known = static_length(symbolic)
    if known is not None:
        return known
    given.append(symbolic)
    return Part.SCALAR


def _as_index(part: Any) -> TensorVariable:
    """``part`` as an int64 scalar.  Errors: DTypeError unless it is an integer with ndim 0."""
    if isinstance(part, Variable):
        if isinstance(part, TensorVariable) and part.ndim == 0 and part.dtype in dtypes.INTEGERS:
            return cast(part, "int64")
        raise DTypeError(f"an index must be an integer with ndim=0, got {part} of type {part.type}", blame=part)
    if isinstance(part, (bool, np.bool_)) or not hasattr(part, "__index__"):
        raise DTypeError(
            f"an index must be an integer, a slice, '...', None or an array, got {part!r} of type {type(part).__name__}"
            + "; == and != compare variables as objects, ct.eq and ct.neq their elements" * isinstance(part, bool)
        )
    return as_tensor(operator.index(part), dtype="int64")


# --- writing -------------------------------------------------------------------------------------------------------


def set_subtensor(x: Any, y: Any) -> TensorVariable:
    """``set_subtensor(a[key], y)`` is a copy of ``a`` with ``y``, broadcast to ``a[key]``, at the places of ``key``.

    Errors: ArgumentError unless x is ``a[key]``; DTypeError unless y can be cast to its dtype within its kind;
    ShapeError unless it broadcasts.
    """
    return _updated("set_subtensor", x, y, SetSubtensor, AdvancedSetSubtensor)


def inc_subtensor(x: Any, y: Any) -> TensorVariable:
    """``inc_subtensor(a[key], y)`` is a copy of ``a`` with ``y`` added at the places of ``key``.

    A place that is named twice grows twice.  Errors: as of set_subtensor.
    """
    return _updated("inc_subtensor", x, y, IncSubtensor, AdvancedIncSubtensor)


def _updated(who: str, view: Any, y: Any, basic: Any, advanced: Any) -> TensorVariable:
    view, y = as_operands(as_tensor(view), y)
    if not np.can_cast(y.dtype, view.dtype, "same_kind"):
        raise DTypeError(
            f"{who} needs a value that can become {view.dtype}, got {y} of dtype {y.dtype}; cast it first", blame=y
        )
    y = cast(y, view.dtype)
    if None in view.type.shape or y.type.shape != view.type.shape:
        known, wanted = y.type.shape, view.type.shape
        pairs = zip(known, wanted[max(0, len(wanted) - len(known)) :], strict=False)
        if y.ndim > view.ndim or any(n not in (None, 1) and m not in (None, n) for n, m in pairs):
            raise ShapeError(f"{who} cannot broadcast {y} of {y.type} to {view} of {view.type}", blame=y)
        y = second(view, y)
    target, node = view, view.owner
    while node is not None and isinstance(node.op, DimShuffle):  # new axes, and transposition, are undone
        pattern = node.op.pattern
        back = [pattern.index(axis) if axis in pattern else "x" for axis in range(node.op.input_ndim)]
        target, y = node.inputs[0], DimShuffle(len(pattern), back)(y)
        node = target.owner
    ops = {Subtensor: basic, AdvancedSubtensor: advanced}
    if node is None or type(node.op) not in ops:
        raise ArgumentError(f"{who} needs x[key] as its first argument, got {view}", blame=view)
    return ops[type(node.op)](node.op.key)(node.inputs[0], y, *node.inputs[1:])


# --- functions made of them ----------------------------------------------------------------------------------------


def take(x: Any, indices: Any, axis: int | None = None, mode: str = "raise") -> TensorVariable:
    """The elements of ``x`` at ``indices`` along ``axis``; of x flattened if that is None.

    indices  integers of any shape; their axes take the place of ``axis``
    mode     "raise": IndexOutOfBounds outside the axis; "wrap": modulo its length; "clip": the nearest element
    Errors   AxisError; DTypeError for indices that are no integers; ArgumentError for another mode.
    """
    x, indices = as_tensor(x), as_tensor(indices)
    if axis is None:
        x, axis = ravel(x), 0
    axis = normalize_axis(axis, x, op="take")
    if mode not in ("raise", "wrap", "clip"):
        raise ArgumentError(f"take needs mode 'raise', 'wrap' or 'clip', got {mode!r}")
    if indices.dtype not in dtypes.INTEGERS:
        raise DTypeError(f"take needs integers as indices, got {indices} of dtype {indices.dtype}", blame=indices)
    if mode != "raise":
        n, indices = shape_i(x, axis), cast(indices, "int64")
        indices = mod(indices, n) if mode == "wrap" else clip(indices, 0, n - 1)
    if indices.ndim == 0:
        return getitem(x, (slice(None),) * axis + (indices,))
    return index_axis(x, indices, axis)


def flip(x: Any, axis: int | Sequence[int] | None = None) -> TensorVariable:
    """``x`` with the order of elements reversed along ``axis``, several, or None for all.  Errors: AxisError."""
    x = as_tensor(x)
    axes = normalize_axes(axis, x, op="flip")
    return getitem(x, tuple(slice(None, None, -1 if k in axes else None) for k in range(x.ndim)))


def diff(x: Any, n: int = 1, axis: int = -1) -> TensorVariable:
    """The ``n``-th difference along ``axis``: ``x[1:] - x[:-1]``, repeated; of bools whether they differ.

    Errors: AxisError; ArgumentError for a negative n.
    """
    x = as_tensor(x)
    axis = normalize_axis(axis, x, op="diff")
    if n < 0:
        raise ArgumentError(f"diff needs n >= 0, got {n}")
    before = (slice(None),) * axis
    for _ in range(n):
        later, earlier = getitem(x, (*before, slice(1, None))), getitem(x, (*before, slice(None, -1)))
        x = differs(later, earlier) if x.dtype == "bool" else later - earlier
    return x
