"""Choosing among tensors and elements: select, piecewise, choose, compress; copies with parts put in or left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from core import dtypes
from core.errors import ArgumentError, DTypeError, ShapeError
from core.tensor.arithmetic import maximum, minimum, mod
from core.tensor.broadcast import broadcast_arrays, broadcast_to
from core.tensor.create import arange, ones, zeros_like
from core.tensor.dimshuffle import expand_dims, moveaxis
from core.tensor.gather import take_along_axis
from core.tensor.indexing import getitem, set_subtensor, take
from core.tensor.join import concatenate, stack
from core.tensor.logic import equal, logical_or, where
from core.tensor.masks import flatnonzero
from core.tensor.reshape import ravel, reshape
from core.tensor.shape import as_lengths, length_product, shape_i, shape_of, size
from core.tensor.type import TensorVariable, as_tensor, normalize_axis

__all__ = [
    *("choose", "compress", "delete", "extract", "insert", "piecewise", "put_along_axis", "resize", "select"),
]


def select(condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0) -> TensorVariable:
    """At each place the choice of the first condition that holds there, else ``default``.

    Errors  ArgumentError unless there are as many conditions as choices, and one at least;  DTypeError for a condition
    that is no bool.
    """
    if len(condlist) != len(choicelist) or not condlist:
        raise ArgumentError(
            f"select needs a choice for each condition and one at least, got {len(condlist)} conditions and "
            f"{len(choicelist)} choices"
        )
    out = default
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        condition = as_tensor(condition)
        if condition.dtype != "bool":
            raise DTypeError(f"select needs bools as conditions, got {condition} of {condition.dtype}", blame=condition)
        out = where(condition, choice, out)
    return out


def piecewise(x: Any, condlist: Any, funclist: Sequence[Any]) -> TensorVariable:
    """A function of x by cases: of the last condition that holds, a number or a function of x; dtype of x.

    One more function than conditions is what holds elsewhere, else that is 0.  All are computed everywhere, so where
    one has no value mask its operand.      Errors  ArgumentError for another number of functions.
    """
    x = as_tensor(x)
    conditions = list(condlist) if isinstance(condlist, (list, tuple)) else [condlist]
    if len(funclist) not in (len(conditions), len(conditions) + 1):
        raise ArgumentError(f"piecewise needs {len(conditions)} functions or one more, got {len(funclist)}")
    values = [f(x) if isinstance(f, Callable) and not hasattr(f, "type") else f for f in funclist]  # type: ignore
    out = zeros_like(x)
    if len(funclist) > len(conditions):
        anywhere = as_tensor(conditions[0])
        for condition in conditions[1:]:
            anywhere = logical_or(anywhere, condition)
        out = where(anywhere, out, as_tensor(values[-1]).astype(x.dtype))
    for condition, value in zip(conditions, values, strict=False):
        out = where(condition, as_tensor(value).astype(x.dtype), out)
    return out


def choose(a: Any, choices: Any, mode: str = "raise") -> TensorVariable:
    """At each place the element of the choice whose number ``a`` has there; all broadcast together.

    mode    what is done with numbers out of range: "raise", "wrap" or "clip"
    Errors  DTypeError unless a has an integer dtype;  IndexOutOfBounds;  ArgumentError for another mode.
    """
    a = as_tensor(a)
    if a.dtype not in dtypes.DISCRETE:
        raise DTypeError(f"choose needs integers, got {a} of dtype {a.dtype}", blame=a)
    if mode not in ("raise", "wrap", "clip"):
        raise ArgumentError(f"choose knows the modes 'raise', 'wrap' and 'clip', got {mode!r}")
    if not isinstance(choices, (list, tuple)):
        choices = as_tensor(choices)
        n, a = shape_i(choices, 0), broadcast_arrays(a, getitem(choices, 0))[0]
        together = broadcast_to(choices, [n, *shape_of(a)]) if choices.ndim == a.ndim + 1 else choices
    else:
        a, *same = broadcast_arrays(a, *choices)
        together, n = stack(same), len(choices)
    a = a.astype("int64")
    a = mod(a, n) if mode == "wrap" else minimum(maximum(a, 0), n - 1) if mode == "clip" else where(a < 0, n, a)
    return getitem(take_along_axis(together, expand_dims(a, 0), 0), 0)


def compress(condition: Any, x: Any, axis: int | None = None) -> TensorVariable:
    """The slices of ``x`` along ``axis`` where the vector ``condition`` holds, which may be shorter than the axis."""
    return take(x, flatnonzero(condition), axis)


def extract(condition: Any, x: Any) -> TensorVariable:
    """The elements of ``x``, flattened, where ``condition`` holds."""
    return take(ravel(as_tensor(x)), flatnonzero(condition))


def put_along_axis(x: Any, indices: Any, values: Any, axis: int | None = -1) -> TensorVariable:
    """A copy of ``x`` with ``values`` where ``take_along_axis(x, indices, axis)`` reads; x stays as it is."""
    x = as_tensor(x)
    if axis is None:
        changed = set_subtensor(take_along_axis(ravel(x), indices, 0), values)
        return reshape(changed, shape_of(x))
    return set_subtensor(take_along_axis(x, indices, axis), values)


def resize(x: Any, new_shape: Any) -> TensorVariable:
    """``x`` in row-major order, repeated until ``new_shape`` is full; zeros of nothing."""
    x, lengths = ravel(as_tensor(x)), as_lengths(new_shape)
    n = size(x)
    padded = concatenate([x, ones((1,), x.dtype) * 0])  # so that there is something to read of nothing
    places = where(n > 0, mod(arange(length_product(lengths)), maximum(n, 1)), n)
    return reshape(getitem(padded, places), lengths)


# --- put in and left out ---------------------------------------------------------------------------------------------


def _along(x: Any, axis: int | None, who: str) -> tuple[TensorVariable, int]:
    x = as_tensor(x)
    return (ravel(x), 0) if axis is None else (x, normalize_axis(axis, x, op=who))


def _integers(obj: Any, who: str) -> TensorVariable:
    obj = as_tensor(obj)
    if obj.dtype not in dtypes.INTEGERS or obj.ndim > 1:
        raise DTypeError(f"{who} needs an integer or a vector of integers, got {obj} of {obj.type}", blame=obj)
    return obj


def insert(x: Any, obj: Any, values: Any, axis: int | None = None) -> TensorVariable:
    """A copy of ``x`` with ``values`` before the places ``obj`` along ``axis``; x flattened for None.

    obj     an integer, before which all of ``values`` goes, or a vector of integers, each with one of them
    Errors  AxisError;  DTypeError for places that are no integers.
    """
    x, axis = _along(x, axis, "insert")
    obj, values = _integers(obj, "insert"), as_tensor(values).astype(x.dtype)
    x = moveaxis(x, axis, 0)
    rest, n = shape_of(x)[1:], shape_i(x, 0)
    place = where(obj < 0, obj + n, obj)
    if obj.ndim == 0:
        if values.ndim < x.ndim and not (x.ndim == 1 and values.ndim == 1):
            values = expand_dims(broadcast_to(values, rest), 0)
        elif x.ndim > 1:
            values = broadcast_to(moveaxis(values, axis, 0), [shape_i(moveaxis(values, axis, 0), 0), *rest])
        place = getitem(expand_dims(place, 0), 0)
        out = concatenate([getitem(x, slice(None, place)), values, getitem(x, slice(place, None))])
    else:
        m = shape_i(obj, 0)
        values = moveaxis(values, axis, 0) if values.ndim == x.ndim else values
        values = broadcast_to(values, [m, *rest])
        mine, others = expand_dims(place, 1), expand_dims(place, 0)
        later = expand_dims(arange(m), 1) > expand_dims(arange(m), 0)
        before = (mine > others) | (equal(mine, others) & later)
        new = place + before.astype("int64").sum(axis=1)  # as many of the others come before it
        old = arange(n) + (expand_dims(place, 0) <= expand_dims(arange(n), 1)).astype("int64").sum(axis=1)
        out = broadcast_to(as_tensor(0).astype(x.dtype), [n + m, *rest])
        out = set_subtensor(getitem(out, old), x)
        out = set_subtensor(getitem(out, new), values)
    return moveaxis(out, 0, axis)


def delete(x: Any, obj: Any, axis: int | None = None) -> TensorVariable:
    """A copy of ``x`` without the places ``obj`` along ``axis``; of x flattened for None.

    obj     an integer, a slice, a vector of integers, or of bools as long as the axis
    Errors  AxisError, DTypeError, IndexOutOfBounds.
    """
    x, axis = _along(x, axis, "delete")
    if isinstance(obj, int) and not isinstance(obj, bool):
        known = x.type.shape[axis]
        if known is not None:
            getitem(moveaxis(x, axis, 0), obj)  # out of bounds is said here
        first = slice(None, obj)
        last = slice(obj + 1, None) if obj != -1 else slice(0, 0)
        moved = moveaxis(x, axis, 0)
        return moveaxis(concatenate([getitem(moved, first), getitem(moved, last)]), 0, axis)
    kept = ones((shape_i(x, axis),), "bool")
    if not isinstance(obj, slice):
        obj = as_tensor(obj)
        if obj.ndim > 1 or obj.dtype not in dtypes.DISCRETE:
            raise ShapeError(f"delete needs an integer, a slice, a vector of integers or bools, got {obj}", blame=obj)
    kept = set_subtensor(getitem(kept, obj), False)
    return take(x, flatnonzero(kept), axis)
