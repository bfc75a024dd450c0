"""Statistics beside sum, mean and variance: medians and quantiles, averages, covariances, reductions without NaN."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from core import dtypes
from core.errors import ArgumentError, ShapeError
from core.tensor.arithmetic import cast, clip, conj, floor, real, sqrt
from core.tensor.diagonal import diagonal
from core.tensor.dimshuffle import atleast_2d, expand_dims, moveaxis, transpose
from core.tensor.indexing import getitem
from core.tensor.join import concatenate
from core.tensor.logic import equal, isinf, isnan, less, logical_and, logical_not, not_equal, where
from core.tensor.products import dot
from core.tensor.reduce import all as all_along
from core.tensor.reduce import max as max_along
from core.tensor.reduce import mean, prod
from core.tensor.reduce import min as min_along
from core.tensor.reduce import sum as sum_along
from core.tensor.reshape import ravel, reshape
from core.tensor.shape import shape_i, shape_of
from core.tensor.sort import sort
from core.tensor.type import TensorVariable, as_tensor, normalize_axes, normalize_axis

__all__ = [
    *("average", "corrcoef", "count_nonzero", "cov", "median", "percentile", "quantile", "trapezoid"),
    *("nan_to_num", "nanmax", "nanmean", "nanmin", "nanprod", "nanstd", "nansum", "nanvar"),
]


# --- order statistics ----------------------------------------------------------------------------------------------


def _sorted_last(x: Any, axis: Any, who: str) -> tuple[TensorVariable, tuple[int, ...]]:
    """``x`` sorted along ``axis``, one or several, which become the last one; and the axes."""
    x = as_tensor(x)
    axes = normalize_axes(axis, x, op=who)
    kept = [k for k in range(x.ndim) if k not in axes]
    moved = transpose(x, [*kept, *axes])
    if len(axes) != 1:
        moved = reshape(moved, [*(shape_i(x, k) for k in kept), -1]) if kept else ravel(moved)
    return sort(moved), axes


def _put_back(y: TensorVariable, axes: Sequence[int], keepdims: bool, before: int = 0) -> TensorVariable:
    return expand_dims(y, [axis + before for axis in axes]) if keepdims and axes else y


def median(x: Any, axis: Any = None, keepdims: bool = False) -> TensorVariable:
    """The middle number along ``axis``, the mean of the two middle ones of an even number; NaN where there is one.

    Output  float64 for integers, else the dtype of x.      Errors  AxisError; IndexOutOfBounds of nothing.
    """
    ordered, axes = _sorted_last(x, axis, "median")
    ordered = ordered.astype("float64") if ordered.dtype in dtypes.DISCRETE else ordered
    n = shape_i(ordered, -1)
    middle = [getitem(ordered, (..., place)) for place in ((n - 1) // 2, n // 2)]
    out = where(equal(n % 2, 1), middle[0], mean(concatenate([expand_dims(m, 0) for m in middle]), axis=0))
    return _put_back(_nan_where_any(ordered, out), axes, keepdims)


def _nan_where_any(ordered: TensorVariable, out: TensorVariable) -> TensorVariable:
    """NaN is last in order: then all that was found along that line is NaN."""
    last = getitem(ordered, (..., -1))
    return where(isnan(last), last, out)


_METHODS = ("linear", "lower", "higher", "nearest", "midpoint")


def quantile(x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False) -> TensorVariable:
    """The number below which the share ``q`` (0 to 1) of the numbers along ``axis`` lies; NaN where there is one.

    q        a number or a tensor, whose axes come first in the output
    method   between two numbers: "linear", "lower", "higher", "nearest" or "midpoint"
    Output   the dtype of x for "lower", "higher" and "nearest"; otherwise float64 for integers, and that to which x and
             q promote.
    Errors   AxisError; ArgumentError for another method; IndexOutOfBounds of nothing.
    Source   Hyndman and Fan (1996), method 7, as NumPy's default.
    """
    if method not in _METHODS:
        raise ArgumentError(f"quantile knows the methods {', '.join(map(repr, _METHODS))}, got {method!r}")
    ordered, axes = _sorted_last(x, axis, "quantile")
    if method in ("linear", "midpoint"):
        weak = isinstance(q, (int, float)) and not isinstance(q, np.floating)
        dtype = "float64" if ordered.dtype in dtypes.DISCRETE else ordered.dtype
        ordered = ordered.astype(dtype if weak else dtypes.promote(dtype, dtypes.float_of(as_tensor(q).dtype)))
    q, n = as_tensor(q).astype("float64"), shape_i(ordered, -1)
    place = q * (n - 1).astype("float64")
    below = floor(place)
    share = _share(method, place - below, below)
    low = clip(below.astype("int64"), 0, n - 1)
    high = clip(low + 1, 0, n - 1)
    a, b = (getitem(ordered, (..., i)) for i in (low, high))
    if method in ("linear", "midpoint"):
        t = share.astype(ordered.dtype)
        between = where(less(t, 0.5), a + (b - a) * t, b - (b - a) * (1 - t))  # exact at both ends
        between = where(equal(a, b), a, between)  # also where both are infinite
    else:
        between = where(equal(share, 0), a, b)
    last = getitem(ordered, (..., slice(-1, None) if q.ndim else -1))
    last = reshape(last, [*shape_of(last)[:-1], *(1 for _ in range(q.ndim))]) if q.ndim else last
    out = where(isnan(last), last, between)
    out = moveaxis(out, list(range(out.ndim - q.ndim, out.ndim)), list(range(q.ndim))) if q.ndim else out
    return _put_back(out, axes, keepdims, q.ndim)


def _share(method: str, share: TensorVariable, below: TensorVariable) -> TensorVariable:
    """How far from the number at ``below`` towards the next one: for "nearest" halves go to the even place."""
    if method == "linear":
        return share
    if method == "midpoint":
        return where(less(0, share), 0.5, 0.0)
    if method == "nearest":
        return cast(less(0.5, share) | (equal(share, 0.5) & equal(below % 2, 1)), "float64")
    return cast(less(0, share), "float64") if method == "higher" else share * 0


def percentile(x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False) -> TensorVariable:
    """``quantile`` with ``q`` from 0 to 100."""
    return quantile(x, q / 100 if isinstance(q, (int, float)) else as_tensor(q) / 100, axis, method, keepdims)


# --- averages and covariances --------------------------------------------------------------------------------------


def average(x: Any, axis: Any = None, weights: Any = None, keepdims: bool = False) -> TensorVariable:
    """The mean along ``axis`` with ``weights``: of the shape of x, or a vector of the length of one axis.

    Errors: AxisError; ShapeError for weights of another ndim.
    """
    x = as_tensor(x)
    if weights is None:
        return mean(x, axis, keepdims=keepdims)
    weights = as_tensor(weights)
    if weights.ndim == 1 and x.ndim > 1 and axis is not None:
        place = normalize_axis(axis, x, op="average")
        weights = expand_dims(weights, [k for k in range(x.ndim) if k != place])
    elif weights.ndim != x.ndim:
        raise ShapeError(
            f"average needs weights with ndim={x.ndim}, or a vector and one axis, got {weights}", blame=weights
        )
    total = x * weights
    dtype = "float64" if total.dtype in dtypes.DISCRETE else total.dtype
    weight = sum_along(weights + x * 0 if axis is None else weights, axis, keepdims=keepdims)
    return sum_along(total, axis, dtype, keepdims) / weight.astype(dtype)


def cov(m: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: int | None = None) -> TensorVariable:
    """The covariances of variables, one a row of ``m`` (one a column if not ``rowvar``), with those of ``y`` below.

    ddof   what the number of observations is lessened by: by default 1, or 0 with ``bias``
    """
    x = as_tensor(m)
    x = x.astype(dtypes.promote(x.dtype, "float64")) if x.dtype in dtypes.DISCRETE else x
    one = x.ndim < 2
    x = _variables(x, rowvar)
    if y is not None:
        one, x = False, concatenate([x, _variables(as_tensor(y), rowvar)])
    n = shape_i(x, 1) - ((0 if bias else 1) if ddof is None else ddof)
    x = x - mean(x, axis=1, keepdims=True)
    out = dot(x, transpose(conj(x))) / n.astype(dtypes.real_of(x.dtype))
    return getitem(out, (0, 0)) if one else out


def _variables(x: TensorVariable, rowvar: bool) -> TensorVariable:
    return atleast_2d(x) if rowvar or x.ndim < 2 else transpose(x)


def corrcoef(m: Any, y: Any = None, rowvar: bool = True) -> TensorVariable:
    """The correlations of variables, as ``cov`` takes them, cut to what correlations can be."""
    c = cov(m, y, rowvar)
    if c.ndim == 0:
        return c / c
    d = sqrt(real(diagonal(c)))
    out = c / expand_dims(d, 1) / expand_dims(d, 0)
    return clip(out, -1, 1) if out.dtype in dtypes.FLOATS else out


def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> TensorVariable:
    """The integral along ``axis`` of the lines through ``y``, at the places ``x`` or ``dx`` apart."""
    y = as_tensor(y)
    axis = normalize_axis(axis, y, op="trapezoid")
    front = (slice(None),) * axis
    if x is not None:
        x = as_tensor(x)
        if x.ndim == 1:
            d = getitem(x, slice(1, None)) - getitem(x, slice(None, -1))
            dx = expand_dims(d, [k for k in range(y.ndim) if k != axis]) if y.ndim > 1 else d
        else:
            dx = getitem(x, (*front, slice(1, None))) - getitem(x, (*front, slice(None, -1)))
    pairs = getitem(y, (*front, slice(1, None))) + getitem(y, (*front, slice(None, -1)))
    return sum_along(dx * pairs / 2.0, axis)


# --- without NaN ---------------------------------------------------------------------------------------------------


def count_nonzero(x: Any, axis: Any = None, keepdims: bool = False) -> TensorVariable:
    """How many elements along ``axis`` are not 0; NaN is not.  int64."""
    return sum_along(not_equal(x, 0), axis, "int64", keepdims)


def _filled(x: Any, value: Any) -> TensorVariable:
    """``x`` with ``value`` for NaN."""
    x = as_tensor(x)
    return x if x.dtype in dtypes.DISCRETE else where(isnan(x), value, x)


def nansum(x: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> TensorVariable:
    """The sum along ``axis`` of what is not NaN."""
    return sum_along(_filled(x, 0), axis, dtype, keepdims)


def nanprod(x: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> TensorVariable:
    """The product along ``axis`` of what is not NaN."""
    return prod(_filled(x, 1), axis, dtype, keepdims)


def nanmean(x: Any, axis: Any = None, keepdims: bool = False) -> TensorVariable:
    """The mean along ``axis`` of what is not NaN; NaN of nothing."""
    x = as_tensor(x)
    if x.dtype in dtypes.DISCRETE:
        return mean(x, axis, keepdims=keepdims)
    count = sum_along(logical_not(isnan(x)), axis, "int64", keepdims)
    return nansum(x, axis, keepdims=keepdims) / count.astype(dtypes.real_of(x.dtype))


def nanvar(x: Any, axis: Any = None, *, ddof: int = 0, keepdims: bool = False) -> TensorVariable:
    """The variance along ``axis`` of what is not NaN; NaN where there are no more than ``ddof``."""
    x = as_tensor(x)
    x = x.astype("float64") if x.dtype in dtypes.DISCRETE else x
    kind = dtypes.real_of(x.dtype)
    distance = where(isnan(x), 0, x - nanmean(x, axis, keepdims=True))
    left = sum_along(logical_not(isnan(x)), axis, "int64", keepdims) - ddof
    total = sum_along(real(distance * conj(distance)), axis, keepdims=keepdims)
    return where(less(0, left), total / left.astype(kind), np.nan).astype(kind)


def nanstd(x: Any, axis: Any = None, *, ddof: int = 0, keepdims: bool = False) -> TensorVariable:
    """The square root of ``nanvar``."""
    return sqrt(nanvar(x, axis, ddof=ddof, keepdims=keepdims))


def _extreme(reduced: Callable[..., Any], worst: float, x: Any, axis: Any, keepdims: bool) -> TensorVariable:
    x = as_tensor(x)
    if x.dtype in dtypes.DISCRETE:
        return reduced(x, axis, keepdims=keepdims)
    return where(all_along(isnan(x), axis, keepdims), np.nan, reduced(_filled(x, worst), axis, keepdims=keepdims))


def nanmax(x: Any, axis: Any = None, keepdims: bool = False) -> TensorVariable:
    """The largest along ``axis`` of what is not NaN; NaN where all are."""
    return _extreme(max_along, -np.inf, x, axis, keepdims)


def nanmin(x: Any, axis: Any = None, keepdims: bool = False) -> TensorVariable:
    """The smallest along ``axis`` of what is not NaN; NaN where all are."""
    return _extreme(min_along, np.inf, x, axis, keepdims)


def nan_to_num(x: Any, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> TensorVariable:
    """``x`` with numbers for NaN and for the infinities, which by default become the largest of their dtype."""
    x = as_tensor(x)
    if x.dtype in dtypes.DISCRETE:
        return x
    if x.dtype in dtypes.COMPLEXES:
        parts = (nan_to_num(part, nan, posinf, neginf) for part in (x.real, x.imag))
        return next(parts) + 1j * next(parts)
    ends = np.finfo(x.dtype)
    posinf, neginf = ends.max if posinf is None else posinf, ends.min if neginf is None else neginf
    out = where(isnan(x), nan, x)
    infinite = isinf(x)
    return where(logical_and(infinite, less(0, x)), posinf, where(infinite & less(x, 0), neginf, out))
