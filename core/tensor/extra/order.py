"""Parts of an order: partitions, the k largest, orders by several keys, sets of values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core import dtypes
from core.errors import ArgumentError, DTypeError
from core.tensor.arithmetic import maximum
from core.tensor.create import arange, zeros
from core.tensor.cumulative import cumsum
from core.tensor.dimshuffle import moveaxis
from core.tensor.gather import take_along_axis
from core.tensor.indexing import flip, getitem, set_subtensor
from core.tensor.join import concatenate
from core.tensor.logic import equal, isnan, logical_and, logical_not, not_equal
from core.tensor.masks import flatnonzero
from core.tensor.reshape import ravel, reshape
from core.tensor.search import isin
from core.tensor.shape import shape_of, size
from core.tensor.sort import argsort, sort
from core.tensor.type import TensorVariable, as_tensor, normalize_axis

__all__ = [
    *("argpartition", "argtopk", "intersect1d", "inverse_permutation", "lexsort", "partition", "setdiff1d", "setxor1d"),
    *("topk", "topk_and_argtopk", "union1d", "unique"),
    *("unique_all", "unique_counts", "unique_inverse", "unique_values"),
]


def partition(x: Any, kth: Any, axis: int | None = -1) -> TensorVariable:
    """``x`` with what belongs at place ``kth`` of the order there, lesser elements before it; here, all in order."""
    return sort(x, axis)


def argpartition(x: Any, kth: Any, axis: int | None = -1) -> TensorVariable:
    """The indices that make a ``partition``; here, those of ``argsort``."""
    return argsort(x, axis)


def topk_and_argtopk(x: Any, k: int, axis: int = -1) -> tuple[TensorVariable, TensorVariable]:
    """The ``k`` largest elements along ``axis``, the largest first, and their indices; the -k least for k < 0.

    Of equal elements the first comes first; NaN counts as larger than all.
    Errors  ArgumentError for k = 0; AxisError.
    """
    x = as_tensor(x)
    if not isinstance(k, int) or k == 0:
        raise ArgumentError(f"topk needs an int other than 0, got {k!r}")
    axis = normalize_axis(axis, x, op="topk")
    last = moveaxis(x, axis, -1)
    if k < 0:
        order = getitem(argsort(last), (..., slice(None, -k)))
    else:  # by the order of the mirrored line, in which of equal elements the last of the line is the first
        mirrored = argsort(flip(last, -1))
        order = shape_of(last)[-1] - 1 - flip(getitem(mirrored, (..., slice(-k, None))), -1)
    return tuple(moveaxis(part, -1, axis) for part in (take_along_axis(last, order), order))  # type: ignore[return-value]


def topk(x: Any, k: int, axis: int = -1) -> TensorVariable:
    """The ``k`` largest elements along ``axis``, the largest first; see topk_and_argtopk."""
    return topk_and_argtopk(x, k, axis)[0]


def argtopk(x: Any, k: int, axis: int = -1) -> TensorVariable:
    """The indices of the ``k`` largest elements along ``axis``; see topk_and_argtopk."""
    return topk_and_argtopk(x, k, axis)[1]


def lexsort(keys: Sequence[Any], axis: int = -1) -> TensorVariable:
    """The indices that sort by the last of ``keys``, equal ones by the one before it, and so on."""
    keys = list(keys) if isinstance(keys, (list, tuple)) else [*as_rows(as_tensor(keys))]
    if not keys:
        raise ArgumentError("lexsort needs at least one key, got none")
    order = argsort(keys[0], axis)
    for key in keys[1:]:
        order = take_along_axis(order, argsort(take_along_axis(as_tensor(key), order, axis), axis), axis)
    return order


def as_rows(x: TensorVariable) -> list[TensorVariable]:
    """The entries along the first axis.  Errors: ArgumentError where their number is not known."""
    n = x.type.shape[0] if x.ndim else None
    if n is None:
        raise ArgumentError(f"lexsort needs to know how many keys there are: give a list, not {x} of {x.type}")
    return [getitem(x, k) for k in range(n)]


def inverse_permutation(p: Any) -> TensorVariable:
    """q with q[p] = 0, 1, 2, ... for a vector ``p`` of integers, or for each line along its last axis."""
    p = as_tensor(p)
    if p.dtype not in dtypes.INTEGERS:
        raise DTypeError(f"inverse_permutation needs integers, got {p} of dtype {p.dtype}", blame=p)
    return argsort(p)


# --- sets ------------------------------------------------------------------------------------------------------------


def _runs(x: Any) -> tuple[TensorVariable, TensorVariable, TensorVariable]:
    """x flattened in order, the order, and whether an element is the first of its value; all NaN are one."""
    x = ravel(as_tensor(x))
    order = argsort(x)
    ordered = getitem(x, order)
    places = arange(size(x))
    before = getitem(ordered, maximum(places - 1, 0))
    differs = not_equal(ordered, before)
    if x.dtype in dtypes.FLOATS:
        differs = logical_and(differs, logical_not(isnan(ordered) & isnan(before)))
    return ordered, order, equal(places, 0) | differs


def unique(
    x: Any, return_index: bool = False, return_inverse: bool = False, return_counts: bool = False, axis: None = None
) -> Any:
    """The values of ``x``, each once, in order; their number is known when the function runs.

    return_index    also where each comes first in x, flattened
    return_inverse  also of which value each element is: the shape of x
    return_counts   also how often each comes
    Output  a vector, or a tuple with it first; the others are int64.
    Errors  ArgumentError for an axis;  DTypeError for complex numbers.
    """
    if axis is not None:
        raise ArgumentError(f"unique takes values alone, not slices along an axis, got axis={axis!r}")
    x = as_tensor(x)
    ordered, order, first = _runs(x)
    starts = flatnonzero(first)
    found = [getitem(ordered, starts)]
    if return_index:
        found.append(getitem(order, starts))
    if return_inverse:
        numbers = cumsum(first.astype("int64")) - 1
        found.append(reshape(set_subtensor(getitem(zeros(shape_of(order), "int64"), order), numbers), shape_of(x)))
    if return_counts:
        ends = concatenate([getitem(starts, slice(1, None)), reshape(size(order), (1,))])
        found.append(getitem(ends, slice(None, size(starts))) - starts)
    return found[0] if len(found) == 1 else tuple(found)


def unique_values(x: Any) -> TensorVariable:
    """``unique(x)``."""
    return unique(x)


def unique_counts(x: Any) -> Any:
    """Values and counts of ``unique``."""
    return unique(x, return_counts=True)


def unique_inverse(x: Any) -> Any:
    """Values and inverse of ``unique``."""
    return unique(x, return_inverse=True)


def unique_all(x: Any) -> Any:
    """Values, indices, inverse and counts of ``unique``."""
    return unique(x, True, True, True)


def union1d(a: Any, b: Any) -> TensorVariable:
    """The values that are in ``a`` or in ``b``, in order."""
    return unique(concatenate([ravel(as_tensor(a)), ravel(as_tensor(b))]))


def setdiff1d(a: Any, b: Any) -> TensorVariable:
    """The values of ``a`` that are not in ``b``, in order."""
    values = unique(a)
    return getitem(values, flatnonzero(isin(values, ravel(as_tensor(b)), invert=True)))


def intersect1d(a: Any, b: Any) -> TensorVariable:
    """The values that are in ``a`` and in ``b``, in order."""
    values = unique(a)
    return getitem(values, flatnonzero(isin(values, ravel(as_tensor(b)))))


def setxor1d(a: Any, b: Any) -> TensorVariable:
    """The values that are in one of ``a`` and ``b`` alone, in order."""
    return sort(concatenate([setdiff1d(a, b), setdiff1d(b, a)]))
