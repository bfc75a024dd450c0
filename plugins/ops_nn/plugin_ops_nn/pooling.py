"""Pooling: the largest element of each window, or the mean, over 1, 2 or 3 spatial axes, or over all of them."""

from __future__ import annotations

from typing import Any

import core.tensor as ct
from core import dtypes
from core.errors import ArgumentError, DTypeError, ShapeError
from core.tensor import TensorVariable, as_tensor
from core.tensor.shape import shape_i
from plugin_ops_nn.geometry import SAME, Geometry, geometry, per_axis
from plugin_ops_nn.windows import WindowMax, WindowSum

__all__ = [
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "global_avg_pool",
    "global_max_pool",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
]


def max_pool1d(x: Any, window: Any, stride: Any = None, padding: Any = 0) -> TensorVariable:
    """The largest element of each window on the last axis of ``x``.  See max_pool2d for the arguments and errors."""
    return _max_pool("max_pool1d", 1, x, window, stride, padding)


def max_pool2d(x: Any, window: Any, stride: Any = None, padding: Any = 0) -> TensorVariable:
    """The largest element of each window on the last two axes of ``x`` (..., h, w); NaN where it holds one.

    window   an int, or a length for each axis
    stride   from one window to the next; None: as long as the window
    padding  elements around x that are never the largest, fewer than the window has: an int, one for each axis, or a
             pair (before, behind) for each; "valid": none; "same": so many that there are as many windows as
             elements, divided by the stride and rounded up
    Output   floor((h + padding - window) / stride) + 1 along each axis, dtype of x.
    Of several largest elements the first gets the gradient.
    Errors   ArgumentError for what is no window, stride or padding; ShapeError for too few axes, or one that holds no
             window: at once where lengths are known, else when it runs.
    """
    return _max_pool("max_pool2d", 2, x, window, stride, padding)


def max_pool3d(x: Any, window: Any, stride: Any = None, padding: Any = 0) -> TensorVariable:
    """The largest element of each window on the last three axes of ``x``.  See max_pool2d for arguments and errors."""
    return _max_pool("max_pool3d", 3, x, window, stride, padding)


def avg_pool1d(
    x: Any, window: Any, stride: Any = None, padding: Any = 0, count_include_pad: bool = True
) -> TensorVariable:
    """The mean of each window on the last axis of ``x``.  See avg_pool2d for the arguments and errors."""
    return _avg_pool("avg_pool1d", 1, x, window, stride, padding, count_include_pad)


def avg_pool2d(
    x: Any, window: Any, stride: Any = None, padding: Any = 0, count_include_pad: bool = True
) -> TensorVariable:
    """The mean of each window on the last two axes of ``x`` (..., h, w); padded elements are 0.

    count_include_pad  whether the sum is divided by the size of the window; else by how many elements of x are in it
    The other arguments, the output's shape and errors are those of max_pool2d; DTypeError for integers.
    """
    return _avg_pool("avg_pool2d", 2, x, window, stride, padding, count_include_pad)


def avg_pool3d(
    x: Any, window: Any, stride: Any = None, padding: Any = 0, count_include_pad: bool = True
) -> TensorVariable:
    """The mean of each window on the last three axes of ``x``.  See avg_pool2d for the arguments and errors."""
    return _avg_pool("avg_pool3d", 3, x, window, stride, padding, count_include_pad)


def global_max_pool(x: Any, keepdims: bool = False) -> TensorVariable:
    """The largest element of each channel of ``x`` (n, c, *spatial): (n, c), or (n, c, 1, ...) with ``keepdims``.

    Errors  ShapeError for ndim < 3, and for channels without elements.
    """
    x = _with_spatial_axes("global_max_pool", x)
    return ct.max(x, axis=tuple(range(2, x.ndim)), keepdims=keepdims)


def global_avg_pool(x: Any, keepdims: bool = False) -> TensorVariable:
    """The mean of each channel of ``x`` (n, c, *spatial): (n, c), or (n, c, 1, ...) with ``keepdims``.

    Errors  ShapeError for ndim < 3.
    """
    x = _with_spatial_axes("global_avg_pool", x)
    return ct.mean(x, axis=tuple(range(2, x.ndim)), keepdims=keepdims)


def _max_pool(who: str, ndim: int, x: Any, window: Any, stride: Any, padding: Any) -> TensorVariable:
    return WindowMax(*_windows(who, ndim, window, stride, padding))(_with_axes(who, ndim, x))


def _avg_pool(
    who: str, ndim: int, x: Any, window: Any, stride: Any, padding: Any, count_include_pad: bool
) -> TensorVariable:
    taps, found = _windows(who, ndim, window, stride, padding)
    x = _with_axes(who, ndim, x)
    if x.dtype not in dtypes.CONTINUOUS:
        raise DTypeError(f"{who} needs floats, got {x} of dtype {x.dtype}; cast it", blame=x)
    total = WindowSum(taps, found)(x)
    size = 1
    for k in taps:
        size *= k
    if count_include_pad or not any(map(found.is_padded, range(ndim))):
        return total * (1.0 / size) if size & (size - 1) == 0 else total / size
    for axis, k in enumerate(taps):
        inside = _inside(found, axis, shape_i(x, x.ndim - ndim + axis), k)
        pattern = ["x"] * x.ndim
        pattern[x.ndim - ndim + axis] = 0
        total = total / ct.dimshuffle(inside.astype(dtypes.real_of(x.dtype)), pattern)
    return total


def _inside(found: Geometry, axis: int, n: Any, k: int) -> TensorVariable:
    """How many elements of an axis of length ``n`` each window holds."""
    start = ct.arange(found.count(axis, n, k)) * found.stride[axis] - found.before(axis, n, k)
    return ct.minimum(start + k, n) - ct.maximum(start, 0)


def _windows(who: str, ndim: int, window: Any, stride: Any, padding: Any) -> tuple[tuple[int, ...], Geometry]:
    """Errors: ArgumentError."""
    taps = per_axis(who, "window", window, ndim, least=1)
    found = geometry(who, ndim, taps if stride is None else stride, padding)
    if found.padding != SAME:
        for k, pair in zip(taps, found.padding, strict=True):
            if max(pair) >= k:
                raise ArgumentError(f"{who} needs less padding than a window of {k} has elements, got {max(pair)}")
    return taps, found


def _with_axes(who: str, ndim: int, x: Any) -> TensorVariable:
    x = as_tensor(x)
    if x.ndim < ndim:
        raise ShapeError(f"{who} needs ndim >= {ndim}, but {x} has ndim={x.ndim}", blame=x)
    return x


def _with_spatial_axes(who: str, x: Any) -> TensorVariable:
    x = as_tensor(x)
    if x.ndim < 3:
        raise ShapeError(
            f"{who} needs ndim >= 3, images, channels and spatial axes, but {x} has ndim={x.ndim}", blame=x
        )
    return x
