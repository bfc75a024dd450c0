"""Sequences: convolution and correlation, phases, slopes, polynomials."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from core import dtypes
from core.errors import ArgumentError, ShapeError
from core.tensor.arithmetic import abs as magnitude
from core.tensor.arithmetic import conj, maximum, minimum, mod
from core.tensor.arrange import pad
from core.tensor.create import arange, zeros
from core.tensor.cumulative import cumsum
from core.tensor.dimshuffle import expand_dims, moveaxis
from core.tensor.functions import power
from core.tensor.indexing import diff, flip, getitem
from core.tensor.join import concatenate
from core.tensor.logic import equal, greater, less, logical_and, where
from core.tensor.reduce import sum as sum_along
from core.tensor.reshape import ravel, reshape
from core.tensor.shape import shape_of, static_length
from core.tensor.type import TensorVariable, as_tensor, normalize_axis

__all__ = [
    *(
        "convolve",
        "correlate",
        "ediff1d",
        "gradient",
        "polyadd",
        "polyder",
        "polyint",
        "polymul",
        "polysub",
        "polyval",
        "unwrap",
    ),
]


# --- products of sequences -------------------------------------------------------------------------------------------


def _vector(x: Any, who: str) -> TensorVariable:
    x = as_tensor(x)
    if x.ndim > 1 or 0 in x.type.shape:
        raise ShapeError(f"{who} needs vectors that are not empty, got {x} of {x.type}", blame=x)
    return reshape(x, (1,)) if x.ndim == 0 else x


def _full(a: TensorVariable, v: TensorVariable) -> TensorVariable:
    """out[i] = the sum of a[i - k] v[k]: a loop of products, which holds no window in memory."""
    n, m = shape_of(a)[0], shape_of(v)[0]
    padded = pad(a, [(m - 1, m - 1)])
    places = expand_dims(arange(n + m - 1), 1) + expand_dims(arange(m), 0)
    return sum_along(getitem(padded, places) * flip(v), axis=1, dtype=dtypes.promote(a.dtype, v.dtype))


def _cut(full: TensorVariable, n: Any, m: Any, mode: str, mirrored: bool, who: str) -> TensorVariable:
    """The part of all products that a mode keeps; ``mirrored`` where the second operand is longer and comes first."""
    longest, shortest = maximum(n, m), minimum(n, m)
    if mode == "full":
        return full
    if mode == "valid":
        return getitem(full, slice(shortest - 1, longest))
    if mode != "same":
        raise ArgumentError(f"{who} knows the modes 'full', 'same' and 'valid', got {mode!r}")
    start = (shortest - 1) // 2
    if mirrored:
        start = where(less(n, m), shortest - 1 - start, start)
    return getitem(full, slice(start, start + longest))


def convolve(a: Any, v: Any, mode: str = "full") -> TensorVariable:
    """The sums of a[i - k] v[k] over k, of two vectors.

    mode    "full": wherever they overlap, length n + m - 1;  "same": the middle of that, max(n, m);  "valid": where one
            lies within the other, max(n, m) - min(n, m) + 1
    Errors  ShapeError for what is no vector or empty;  ArgumentError for another mode.
    """
    a, v = _vector(a, "convolve"), _vector(v, "convolve")
    return _cut(_full(a, v), shape_of(a)[0], shape_of(v)[0], mode, False, "convolve")


def correlate(a: Any, v: Any, mode: str = "valid") -> TensorVariable:
    """The sums of a[i + k] conj(v[k]) over k, of two vectors.  Modes and errors as of ``convolve``."""
    a, v = _vector(a, "correlate"), _vector(v, "correlate")
    return _cut(_full(a, flip(conj(v))), shape_of(a)[0], shape_of(v)[0], mode, True, "correlate")


# --- differences -----------------------------------------------------------------------------------------------------


def ediff1d(x: Any, to_end: Any = None, to_begin: Any = None) -> TensorVariable:
    """The differences of neighbours in ``x``, flattened, with something before or behind them."""
    parts = [to_begin, diff(ravel(as_tensor(x))), to_end]
    return concatenate([ravel(as_tensor(part)) for part in parts if part is not None])


def gradient(f: Any, *spacing: Any, axis: Any = None, edge_order: int = 1) -> Any:
    """Slopes of ``f`` along its axes by central differences, at the ends by one-sided ones of order 1 or 2.

    spacing  none (1), one for all axes, or one for each: a number, or a vector of places
    axis     one or several; None: all
    Output   one tensor, or a list where there are several axes; float64 for integers.
    Errors   AxisError; ArgumentError for another number of spacings or another order.
    """
    f = as_tensor(f)
    f = f.astype("float64") if f.dtype in dtypes.DISCRETE else f
    axes = range(f.ndim) if axis is None else axis if isinstance(axis, (tuple, list)) else [axis]
    axes = [normalize_axis(one, f, op="gradient") for one in axes]
    spacings = list(spacing) or [1.0]
    spacings = spacings * len(axes) if len(spacings) == 1 else spacings
    if len(spacings) != len(axes) or edge_order not in (1, 2):
        raise ArgumentError(
            f"gradient needs one spacing or one for each of {len(axes)} axes and edge_order 1 or 2, got "
            f"{len(spacing)} and edge_order={edge_order!r}"
        )
    found = [_slopes(f, k, as_tensor(h), edge_order) for k, h in zip(axes, spacings, strict=True)]
    return found[0] if len(found) == 1 else found


def _slopes(f: TensorVariable, axis: int, h: TensorVariable, order: int) -> TensorVariable:
    f = moveaxis(f, axis, -1)

    def at(start: Any, stop: Any) -> TensorVariable:
        return getitem(f, (..., slice(start, stop)))

    if h.ndim == 0:
        middle = (at(2, None) - at(None, -2)) / (2 * h)
        if order == 1:
            ends = (at(1, 2) - at(0, 1)) / h, (at(-1, None) - at(-2, -1)) / h
        else:
            ends = (
                (-1.5 * at(0, 1) + 2 * at(1, 2) - 0.5 * at(2, 3)) / h,
                (1.5 * at(-1, None) - 2 * at(-2, -1) + 0.5 * at(-3, -2)) / h,
            )
    else:
        d = diff(h).astype(dtypes.promote(h.dtype, "float64") if h.dtype in dtypes.DISCRETE else h.dtype)
        p, q = getitem(d, slice(None, -1)), getitem(d, slice(1, None))
        middle = (p * p * at(2, None) + (q * q - p * p) * at(1, -1) - q * q * at(None, -2)) / (p * q * (p + q))
        p, q = getitem(d, slice(0, 1)), getitem(d, slice(1, 2))
        r, s = getitem(d, slice(-1, None)), getitem(d, slice(-2, -1))
        if order == 1:
            ends = (at(1, 2) - at(0, 1)) / p, (at(-1, None) - at(-2, -1)) / r
        else:
            ends = (
                -(2 * p + q) / (p * (p + q)) * at(0, 1) + (p + q) / (p * q) * at(1, 2) - p / (q * (p + q)) * at(2, 3),
                (2 * r + s) / (r * (r + s)) * at(-1, None)
                - (r + s) / (r * s) * at(-2, -1)
                + r / (s * (r + s)) * at(-3, -2),
            )
    return moveaxis(concatenate([ends[0], middle, ends[1]], axis=-1), -1, axis)


def unwrap(p: Any, discont: Any = None, axis: int = -1, *, period: Any = 2 * math.pi) -> TensorVariable:
    """``p`` along ``axis`` with multiples of ``period`` added, so that no step is more than half of it.

    discont  steps below this are left as they are
    """
    p = as_tensor(p)
    p = p.astype("float64") if p.dtype in dtypes.DISCRETE else p
    axis = normalize_axis(axis, p, op="unwrap")
    p = moveaxis(p, axis, -1)
    step, half = diff(p), period / 2
    inside = mod(step + half, period) - half
    inside = where(logical_and(equal(inside, -half), greater(step, 0)), half, inside)
    change = where(less(magnitude(step), half if discont is None else maximum(discont, half)), 0, inside - step)
    rest = getitem(p, (..., slice(1, None))) + cumsum(change, axis=-1)
    return moveaxis(concatenate([getitem(p, (..., slice(0, 1))), rest], axis=-1), -1, axis).astype(p.dtype)


# --- polynomials, the highest power first ----------------------------------------------------------------------------


def polyval(p: Any, x: Any) -> TensorVariable:
    """The polynomial with coefficients ``p``, the highest power first, at ``x``; by Horner, if it is known how many."""
    p, x = _vector(p, "polyval"), as_tensor(x)
    n = p.type.shape[0]
    if n is None:
        powers = flip(arange(shape_of(p)[0])).astype(dtypes.promote(x.dtype, "float32"))
        return sum_along(p * power(expand_dims(x, -1), powers), axis=-1)
    total = getitem(p, 0) + 0 * x
    for k in range(1, n):
        total = total * x + getitem(p, k)
    return total


def _in_front(p: TensorVariable, n: Any) -> TensorVariable:
    """``p`` with zeros before it, to length ``n``."""
    return concatenate([zeros([n - shape_of(p)[0]], p.dtype), p])


def polyadd(p: Any, q: Any) -> TensorVariable:
    """The sum of two polynomials."""
    p, q = _vector(p, "polyadd"), _vector(q, "polyadd")
    n = maximum(shape_of(p)[0], shape_of(q)[0])
    known = static_length(n)
    n = n if known is None else known
    return _in_front(p, n) + _in_front(q, n)


def polysub(p: Any, q: Any) -> TensorVariable:
    """The difference of two polynomials."""
    return polyadd(p, -as_tensor(q))


def polymul(p: Any, q: Any) -> TensorVariable:
    """The product of two polynomials."""
    return convolve(p, q)


def polyder(p: Any, m: int = 1) -> TensorVariable:
    """The derivative of order ``m`` of a polynomial; that of a number is []."""
    p = _vector(p, "polyder")
    for _ in range(m):
        n = shape_of(p)[0]
        p = getitem(p, slice(None, -1)) * flip(arange(1, maximum(n, 1)))
    return p


def polyint(p: Any, m: int = 1, k: Any = 0) -> TensorVariable:
    """The integral of order ``m`` of a polynomial; ``k``: the constants, one or a sequence."""
    p = _vector(p, "polyint").astype(dtypes.promote(as_tensor(p).dtype, "float64"))
    constants: Sequence[Any] = k if isinstance(k, (list, tuple)) else [k] * m
    for constant in constants[:m]:
        powers = flip(arange(1, shape_of(p)[0] + 1)).astype("float64")
        p = concatenate([p / powers, reshape(as_tensor(constant).astype(p.dtype), (1,))])
    return p
