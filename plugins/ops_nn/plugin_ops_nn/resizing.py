"""Images made larger or smaller: nearest neighbours, or linear interpolation between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import core.tensor as ct
from core import dtypes
from core.errors import ArgumentError, DTypeError, ShapeError
from core.tensor import TensorVariable, as_tensor
from core.tensor.shape import as_length, shape_i, shape_of
from plugin_ops_nn.geometry import per_axis

__all__ = ["resize", "upsample"]


def upsample(x: Any, scale: Any) -> TensorVariable:
    """``x`` (n, c, *spatial) with each element repeated ``scale`` times along each spatial axis.

    scale   an int, or one for each spatial axis
    Errors  ArgumentError unless it is 1 or more; ShapeError for ndim < 3.
    """
    x = _with_spatial_axes("upsample", x)
    times = per_axis("upsample", "scale", scale, x.ndim - 2, least=1)
    lengths = shape_of(x)
    apart: list[Any] = [*lengths[:2]]
    together: list[Any] = [*lengths[:2]]
    pattern: list[Any] = [0, 1]
    for axis, (n, k) in enumerate(zip(lengths[2:], times, strict=True), start=2):
        apart += [n, k]
        together.append(n * k)
        pattern += [axis, "x"]
    return ct.reshape(ct.broadcast_to(ct.dimshuffle(x, pattern), apart), together)


def resize(x: Any, size: Any, method: str = "nearest") -> TensorVariable:
    """``x`` (n, c, *spatial) with spatial axes of the lengths ``size``: an int or a symbolic integer, or one for each.

    method  "nearest": the element whose middle is nearest to that of the new one (the later of two), as
            ``jax.image.resize``; "linear": interpolated between middles, the outermost repeated beyond them, as
            ``torch.nn.functional.interpolate`` with ``align_corners=False``, without smoothing of what shrinks
    Errors  ArgumentError for another method or number of lengths; DTypeError for "linear" of integers; ShapeError for
            ndim < 3; IndexOutOfBounds for elements of none.
    """
    x = _with_spatial_axes("resize", x)
    if method not in ("nearest", "linear"):
        raise ArgumentError(f"resize needs method 'nearest' or 'linear', got {method!r}")
    if method == "linear" and x.dtype not in dtypes.CONTINUOUS:
        raise DTypeError(f"resize needs floats to interpolate, got {x} of dtype {x.dtype}; cast it", blame=x)
    lengths = list(size) if isinstance(size, Sequence) else [size] * (x.ndim - 2)
    if len(lengths) != x.ndim - 2:
        raise ArgumentError(f"resize needs a size for each of {x.ndim - 2} spatial axes, got {len(lengths)}")
    for axis, n in enumerate(map(as_length, lengths), start=2):
        x = (_nearest if method == "nearest" else _linear)(x, axis, n)
    return x


def _nearest(x: TensorVariable, axis: int, n: TensorVariable) -> TensorVariable:
    return ct.take(x, (2 * ct.arange(n) + 1) * shape_i(x, axis) // (2 * n), axis)


def _linear(x: TensorVariable, axis: int, n: TensorVariable) -> TensorVariable:
    real = dtypes.real_of(x.dtype)
    length = shape_i(x, axis)
    doubled = (2 * ct.arange(n) + 1) * length  # of the middle, in units of a half over n
    place = ct.clip(doubled - n, 0, 2 * n * (length - 1))
    low = place // (2 * n)
    share = ct.dimshuffle(
        ((place - low * (2 * n)) / (2 * n)).astype(real), [0 if k == axis else "x" for k in range(x.ndim)]
    )
    return ct.take(x, low, axis) * (1 - share) + ct.take(x, ct.minimum(low + 1, length - 1), axis) * share


def _with_spatial_axes(who: str, x: Any) -> TensorVariable:
    x = as_tensor(x)
    if x.ndim < 3:
        raise ShapeError(
            f"{who} needs ndim >= 3, images, channels and spatial axes, but {x} has ndim={x.ndim}", blame=x
        )
    return x
