"""Normalisation of images by the statistics of channels, over the batch or within an image; dropout.

Expressions of core's ops.  Layer normalisation is ``core.tensor.layer_norm``.
"""

from __future__ import annotations

from typing import Any

import core.tensor as ct
from core import dtypes
from core.errors import ArgumentError, DTypeError, ShapeError
from core.tensor import TensorVariable, as_tensor
from core.tensor.shape import shape_of
from plugin_ops_nn.geometry import per_axis

__all__ = ["batch_norm", "batch_norm_train", "dropout", "group_norm", "instance_norm"]


def batch_norm(x: Any, mean: Any, var: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> TensorVariable:
    """``(x - mean) / sqrt(var + eps)`` times ``weight`` plus ``bias``, each (c,), for ``x`` (n, c, *spatial).

    For predictions: mean and var are what was found in training.
    Errors  DTypeError for integers; ShapeError for ndim < 2, or what is no vector of the length of the channels.
    Source  Ioffe, Szegedy (2015), "Batch normalization".
    """
    x = _checked("batch_norm", x)
    mean, var = (_along_channels("batch_norm", name, v, x) for name, v in (("mean", mean), ("var", var)))
    return _scaled("batch_norm", (x - mean) * (1 / ct.sqrt(var + eps)), weight, bias)


def batch_norm_train(
    x: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> tuple[TensorVariable, TensorVariable, TensorVariable]:
    """``x`` (n, c, *spatial) normalised by its own mean and variance over all axes but the channels: (y, mean, var).

    mean, var  (c,); var divides by the number of elements of a channel, n.  Running averages are updates of shared
               variables: ``{m: 0.9 * m + 0.1 * mean}``; PyTorch keeps var * n / (n - 1).
    Derivatives go through mean and variance.      Errors  as of batch_norm.
    """
    x = _checked("batch_norm_train", x)
    axes = tuple(k for k in range(x.ndim) if k != 1)
    mean, var = ct.mean(x, axes, keepdims=True), ct.var(x, axes, keepdims=True)
    y = _scaled("batch_norm_train", (x - mean) * (1 / ct.sqrt(var + eps)), weight, bias)
    return y, ct.squeeze(mean, axes), ct.squeeze(var, axes)


def group_norm(x: Any, groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> TensorVariable:
    """``x`` (n, c, *spatial) normalised by mean and variance of each of ``groups`` parts of the channels of each image.

    Errors  as of batch_norm; ShapeError unless groups divides the channels.
    Source  Wu, He (2018), "Group normalization".
    """
    x, (groups,) = _checked("group_norm", x), per_axis("group_norm", "groups", groups, 1, least=1)
    channels = x.type.shape[1]
    if channels is not None and channels % groups:
        raise ShapeError(f"group_norm needs channels that groups={groups} divides, got {channels}", blame=x)
    lengths = shape_of(x)
    parts = ct.reshape(x, (lengths[0], groups, lengths[1] // groups, *lengths[2:]))
    y = ct.layer_norm(parts, tuple(range(2, parts.ndim)), eps)
    return _scaled("group_norm", ct.reshape(y, lengths), weight, bias)


def instance_norm(x: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> TensorVariable:
    """``x`` (n, c, *spatial) normalised by mean and variance of each channel of each image.

    Errors  as of batch_norm; ShapeError for ndim < 3.
    Source  Ulyanov, Vedaldi, Lempitsky (2016), "Instance normalization".
    """
    x = _checked("instance_norm", x, 3)
    return _scaled("instance_norm", ct.layer_norm(x, tuple(range(2, x.ndim)), eps), weight, bias)


def dropout(x: Any, rate: Any, stream: Any, whole_channels: bool = False) -> TensorVariable:
    """``x`` with each element 0 with probability ``rate``, and the others divided by ``1 - rate``.

    stream          a RandomStream of core.ops.random: another choice in each call
    whole_channels  of ``x`` (n, c, *spatial) channels of images are kept or not, with all of their elements
    Errors          ArgumentError unless 0 <= rate < 1, and for what is no stream; DTypeError for integers.
    """
    x = _checked("dropout", x, 2 if whole_channels else 0)
    if not hasattr(stream, "bernoulli"):
        raise ArgumentError(f"dropout needs a RandomStream of core.ops.random, got {stream!r}")
    if isinstance(rate, (int, float)) and not 0 <= rate < 1:
        raise ArgumentError(f"dropout needs 0 <= rate < 1, got {rate}")
    shape = shape_of(x)
    if whole_channels:
        shape = (*shape[:2], *(1 for _ in shape[2:]))
    return ct.where(stream.bernoulli(1 - rate, shape), x * (1 / (1 - rate)), 0)


def _checked(who: str, x: Any, ndim: int = 2) -> TensorVariable:
    x = as_tensor(x)
    if x.ndim < ndim:
        raise ShapeError(f"{who} needs ndim >= {ndim}, but {x} has ndim={x.ndim}", blame=x)
    if x.dtype not in dtypes.CONTINUOUS:
        raise DTypeError(f"{who} needs floats, got {x} of dtype {x.dtype}; cast it", blame=x)
    return x


def _along_channels(who: str, name: str, v: Any, x: TensorVariable) -> TensorVariable:
    """A vector with an element for each channel, so that it broadcasts to ``x``."""
    v = as_tensor(v)
    if v.ndim != 1:
        raise ShapeError(f"{who} needs {name} with ndim=1, one for each channel, got ndim={v.ndim}", blame=v)
    n, m = v.type.shape[0], x.type.shape[1]
    if n is not None and m is not None and n != m:
        raise ShapeError(f"{who} needs {name} for each of {m} channels, got {n}", blame=v)
    return ct.dimshuffle(v, ("x", 0, *("x" for _ in range(x.ndim - 2))))


def _scaled(who: str, y: TensorVariable, weight: Any, bias: Any) -> TensorVariable:
    if weight is not None:
        y = y * _along_channels(who, "weight", weight, y)
    return y if bias is None else y + _along_channels(who, "bias", bias, y)
