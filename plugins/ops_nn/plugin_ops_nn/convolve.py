"""Convolution and its transpose as users call them: 1, 2 or 3 spatial axes, channels first, as in PyTorch and JAX."""

from __future__ import annotations

from typing import Any

import core.tensor as ct
from core.errors import ArgumentError, ShapeError
from core.tensor import TensorVariable, as_tensor
from core.tensor.shape import shape_i, static_length
from plugin_ops_nn.convolution import Convolution, ConvolutionTransposed
from plugin_ops_nn.geometry import SAME, Geometry, geometry, per_axis

__all__ = [
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
]


def conv1d(
    x: Any,
    w: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    flip: bool = False,
) -> TensorVariable:
    """Sums of products of filters ``w`` (f, c / groups, k) with windows of ``x`` (n, c, length): (n, f, windows).

    See conv2d for the arguments and errors.
    """
    return _convolution("conv1d", 1, x, w, bias, stride, padding, dilation, groups, flip)


def conv2d(
    x: Any,
    w: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    flip: bool = False,
) -> TensorVariable:
    """Sums of products of filters ``w`` (f, c / groups, kh, kw) with windows of ``x`` (n, c, h, w): (n, f, oh, ow).

    bias      (f,), added to each filter's results
    stride    from one window to the next: an int, or one for each spatial axis
    padding   zeros around x: an int, one for each spatial axis, or a pair (before, behind) for each; "valid": none;
              "same": so many that there are as many windows as elements, divided by the stride and rounded up
    dilation  from one element of a window to the next
    groups    how many parts the channels are divided into, and the filters: each filter sees one part
    flip      turn the filters, as signal processing convolves; networks, PyTorch and JAX do not
    Output    floor((h + padding - dilation (kh - 1) - 1) / stride) + 1 windows along each axis, the promoted dtype.
    Errors    ArgumentError for what is no stride, padding, dilation or number of groups; DTypeError for integers;
              ShapeError for another ndim, channels that do not fit, or an axis that holds no window: at once where
              lengths are known, else when it runs.
    """
    return _convolution("conv2d", 2, x, w, bias, stride, padding, dilation, groups, flip)


def conv3d(
    x: Any,
    w: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    flip: bool = False,
) -> TensorVariable:
    """Sums of products of filters ``w`` (f, c / groups, kd, kh, kw) with windows of ``x`` (n, c, d, h, w).

    See conv2d for the arguments and errors.
    """
    return _convolution("conv3d", 3, x, w, bias, stride, padding, dilation, groups, flip)


def conv_transpose1d(
    x: Any,
    w: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> TensorVariable:
    """The transpose of conv1d: ``x`` (n, c, windows) and ``w`` (c, f / groups, k) to (n, f, length).

    See conv_transpose2d for the arguments and errors.
    """
    return _transposed("conv_transpose1d", 1, x, w, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose2d(
    x: Any,
    w: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> TensorVariable:
    """The transpose of conv2d: each element of ``x`` (n, c, h, w) adds a filter of ``w`` (c, f / groups, kh, kw) to the
    output, ``stride`` apart.

    stride, padding, groups, dilation  those of the conv2d whose transpose it is: padding is cut off
    output_padding                     elements more behind, less than the stride: such a conv2d gives the same windows
    Output  (n, f, (h - 1) stride - padding + dilation (kh - 1) + 1 + output_padding, ...); h stride for "same".
    Errors  as of conv2d.
    """
    return _transposed("conv_transpose2d", 2, x, w, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose3d(
    x: Any,
    w: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> TensorVariable:
    """The transpose of conv3d: ``x`` (n, c, d, h, w) and ``w`` (c, f / groups, kd, kh, kw).

    See conv_transpose2d for the arguments and errors.
    """
    return _transposed("conv_transpose3d", 3, x, w, bias, stride, padding, output_padding, groups, dilation)


def _convolution(
    who: str,
    ndim: int,
    x: Any,
    w: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: Any,
    flip: bool,
) -> TensorVariable:
    x, w, (groups,) = as_tensor(x), as_tensor(w), per_axis(who, "groups", groups, 1, least=1)
    op = Convolution(geometry(who, ndim, stride, padding, dilation), groups)
    if flip:
        w = ct.flip(w, tuple(range(2, w.ndim)))
    return _with_bias(who, op(x, w), bias)


def _transposed(
    who: str,
    ndim: int,
    x: Any,
    w: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: Any,
    dilation: Any,
) -> TensorVariable:
    x, w, (groups,) = as_tensor(x), as_tensor(w), per_axis(who, "groups", groups, 1, least=1)
    found = geometry(who, ndim, stride, padding, dilation)
    more = per_axis(who, "output_padding", output_padding, ndim, least=0)
    if any(n >= s for n, s in zip(more, found.stride, strict=True)):
        raise ArgumentError(f"{who} needs output_padding < stride={found.stride}, got {output_padding!r}")
    for each in (x, w):
        if each.ndim != ndim + 2:
            raise ShapeError(f"{who} needs ndim={ndim + 2}, but {each} has ndim={each.ndim}", blame=each)
    wanted = [_stretched(found, axis, shape_i(x, axis + 2), shape_i(w, axis + 2), more[axis]) for axis in range(ndim)]
    lengths = [static_length(n) for n in wanted]
    if any(n is not None and n < 1 for n in lengths):
        raise ShapeError(f"{who} needs padding that leaves something, got an output of lengths {lengths}", blame=x)
    unknown = [n for n, known in zip(wanted, lengths, strict=True) if known is None]
    return _with_bias(who, ConvolutionTransposed(found, groups, lengths)(x, w, *unknown), bias)


def _stretched(found: Geometry, axis: int, count: Any, k: Any, more: int) -> Any:
    """The length of an axis with ``count`` windows, and ``more`` elements behind them."""
    if found.padding == SAME:
        return count * found.stride[axis]
    return (count - 1) * found.stride[axis] + found.span(axis, k) + (more - sum(found.padding[axis]))


def _with_bias(who: str, y: TensorVariable, bias: Any) -> TensorVariable:
    if bias is None:
        return y
    bias = as_tensor(bias)
    if bias.ndim != 1:
        raise ShapeError(f"{who} needs a bias with ndim=1, one for each filter, got ndim={bias.ndim}", blame=bias)
    n, m = bias.type.shape[0], y.type.shape[1]
    if n is not None and m is not None and n != m:
        raise ShapeError(f"{who} needs a bias for each of {m} filters, got {n}", blame=bias)
    return y + ct.dimshuffle(bias, ("x", 0, *("x" for _ in range(y.ndim - 2))))
