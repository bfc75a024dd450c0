"""Order statistics and running totals that leave NaN out."""

from __future__ import annotations

from typing import Any

import numpy as np

from core import dtypes
from core.tensor.arithmetic import cast, floor
from core.tensor.cumulative import cumprod, cumsum
from core.tensor.dimshuffle import expand_dims, transpose
from core.tensor.gather import take_along_axis
from core.tensor.indexing import getitem
from core.tensor.join import stack
from core.tensor.logic import equal, isnan, less, logical_not, where
from core.tensor.reduce import argmax, argmin
from core.tensor.reduce import sum as sum_along
from core.tensor.reshape import ravel, reshape
from core.tensor.shape import shape_i
from core.tensor.sort import sort
from core.tensor.type import TensorVariable, as_tensor, normalize_axes

__all__ = ["nanargmax", "nanargmin", "nancumprod", "nancumsum", "nanmedian", "nanpercentile", "nanquantile"]


def _filled(x: Any, value: Any) -> TensorVariable:
    x = as_tensor(x)
    return x if x.dtype in dtypes.DISCRETE else where(isnan(x), value, x)


def nanargmax(x: Any, axis: Any = None, keepdims: bool = False) -> TensorVariable:
    """Where the largest element along ``axis`` is that is not NaN; 0 where there is none."""
    return argmax(_filled(x, -np.inf), axis, keepdims)


def nanargmin(x: Any, axis: Any = None, keepdims: bool = False) -> TensorVariable:
    """Where the least element along ``axis`` is that is not NaN; 0 where there is none."""
    return argmin(_filled(x, np.inf), axis, keepdims)


def nancumsum(x: Any, axis: int | None = None) -> TensorVariable:
    """Running sums with 0 for NaN."""
    return cumsum(_filled(x, 0), axis)


def nancumprod(x: Any, axis: int | None = None) -> TensorVariable:
    """Running products with 1 for NaN."""
    return cumprod(_filled(x, 1), axis)


def nanquantile(x: Any, q: Any, axis: Any = None, keepdims: bool = False) -> TensorVariable:
    """``quantile`` along ``axis`` of what is not NaN, by the line between two numbers; NaN of nothing.

    q   a number, or a sequence of numbers, whose axis comes first in the output
    """
    if isinstance(q, (list, tuple)) or getattr(q, "ndim", 0) == 1:
        qs = list(q) if isinstance(q, (list, tuple)) else [getitem(as_tensor(q), k) for k in range(len(q))]
        return stack([nanquantile(x, one, axis, keepdims) for one in qs])
    x = as_tensor(x)
    x = x.astype("float64") if x.dtype in dtypes.DISCRETE else x
    axes = normalize_axes(axis, x, op="nanquantile")
    kept = [k for k in range(x.ndim) if k not in axes]
    moved = transpose(x, [*kept, *axes])
    moved = reshape(moved, [*(shape_i(x, k) for k in kept), -1]) if kept else ravel(moved)
    ordered = sort(moved)  # NaN last
    count = sum_along(logical_not(isnan(ordered)), -1, "int64", keepdims=True)
    place = as_tensor(q).astype("float64") * cast(count - 1, "float64")
    below = where(less(place, 0), 0, floor(place))
    share = cast(place - below, x.dtype)
    low = cast(below, "int64")
    high = where(less(low + 1, count), low + 1, where(less(0, count), count - 1, 0))
    a, b = (take_along_axis(ordered, i, -1) for i in (low, high))
    between = where(less(share, 0.5), a + (b - a) * share, b - (b - a) * (1 - share))
    out = where(equal(count, 0), np.nan, where(equal(a, b), a, between)).astype(x.dtype)
    out = getitem(out, (..., 0))
    return expand_dims(out, list(axes)) if keepdims and axes else out


def nanmedian(x: Any, axis: Any = None, keepdims: bool = False) -> TensorVariable:
    """The middle of what is not NaN along ``axis``; NaN of nothing."""
    return nanquantile(x, 0.5, axis, keepdims)


def nanpercentile(x: Any, q: Any, axis: Any = None, keepdims: bool = False) -> TensorVariable:
    """``nanquantile`` with ``q`` from 0 to 100."""
    many = isinstance(q, (list, tuple))
    return nanquantile(x, [one / 100 for one in q] if many else q / 100, axis, keepdims)
