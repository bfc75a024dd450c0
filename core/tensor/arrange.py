"""Rearrangements made of others: padding, turning, pieces, places as flat numbers, triangles' places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core.errors import ArgumentError, AxisError, ShapeError
from core.graph import Variable
from core.tensor.arithmetic import clip, maximum, minimum, mod
from core.tensor.create import arange, eye, full, tri
from core.tensor.dimshuffle import atleast_3d, dimshuffle, expand_dims, swapaxes
from core.tensor.functions import power
from core.tensor.indexing import flip, getitem, set_subtensor, take
from core.tensor.join import concatenate, split, stack
from core.tensor.logic import where
from core.tensor.reshape import ravel
from core.tensor.shape import as_length, as_lengths, length_product, shape_i, shape_of
from core.tensor.type import TensorVariable, as_tensor, constant, normalize_axis

__all__ = [
    *("append", "dsplit", "dstack", "fill_diagonal", "fliplr", "flipud", "hsplit", "pad", "ravel_multi_index"),
    *("rollaxis", "rot90", "shape_padaxis", "shape_padleft", "shape_padright", "stacklists", "tril_indices"),
    *("triu_indices", "unravel_index", "unstack", "vander", "vsplit"),
]


# --- padding -------------------------------------------------------------------------------------------------------

_PADDING = ("constant", "edge", "reflect", "symmetric", "wrap")


def pad(x: Any, pad_width: Any, mode: str = "constant", constant_values: Any = 0) -> TensorVariable:
    """``x`` with elements before and behind it along each axis.

    pad_width  how many: one number, a pair (before, behind), or a pair for each axis; ints or symbolic integers
    mode       "constant": ``constant_values``; "edge": the last element; "wrap": from the other end; "reflect" and
               "symmetric": back again from the end, without and with its element
    Errors     ArgumentError for another mode; ShapeError for widths that fit no axes.
    """
    x = as_tensor(x)
    if mode not in _PADDING:
        raise ArgumentError(f"pad knows the modes {', '.join(map(repr, _PADDING))}, got {mode!r}")
    widths = _widths(x, pad_width)
    if mode == "constant":
        lengths = [before + n + behind for (before, behind), n in zip(widths, shape_of(x), strict=True)]
        inside = tuple(slice(before, before + n) for (before, _), n in zip(widths, shape_of(x), strict=True))
        frame = full(lengths, as_tensor(constant_values).astype(x.dtype))
        return set_subtensor(getitem(frame, inside), x) if x.ndim else x
    for axis, (before, behind) in enumerate(widths):
        n = shape_i(x, axis)
        x = take(x, _read(mode, arange(-before, n + behind), n), axis)
    return x


def _widths(x: TensorVariable, given: Any) -> list[tuple[TensorVariable, TensorVariable]]:
    if isinstance(given, np.ndarray):
        given = given.tolist()
    if not isinstance(given, (tuple, list)):
        given = (given, given)
    if len(given) == 1 and not isinstance(given[0], (tuple, list)):
        given = (given[0], given[0])
    if not any(isinstance(entry, (tuple, list)) for entry in given):
        given = [given]
    pairs = [tuple(entry) * 2 if len(entry) == 1 else tuple(entry) for entry in given]
    pairs = pairs * x.ndim if len(pairs) == 1 else pairs
    if len(pairs) != x.ndim or any(len(pair) != 2 for pair in pairs):
        raise ShapeError(f"pad needs a pair of widths for each of the {x.ndim} axes of {x}, got {given}", blame=x)
    return [(as_length(before), as_length(behind)) for before, behind in pairs]


def _read(mode: str, i: TensorVariable, n: TensorVariable) -> TensorVariable:
    """Which element of an axis of length ``n`` stands at each place ``i``, beyond its ends, too."""
    if mode == "edge":
        return clip(i, 0, n - 1)
    if mode == "wrap":
        return mod(i, n)
    if mode == "symmetric":
        i = mod(i, 2 * n)
        return minimum(i, 2 * n - 1 - i)
    period = maximum(2 * n - 2, 1)
    i = mod(i, period)
    return minimum(i, period - i)


# --- turning and cutting -------------------------------------------------------------------------------------------


def fliplr(x: Any) -> TensorVariable:
    """``x`` with the order of its columns (axis 1) reversed."""
    return flip(x, 1)


def flipud(x: Any) -> TensorVariable:
    """``x`` with the order of its rows (axis 0) reversed."""
    return flip(x, 0)


def rot90(x: Any, k: int = 1, axes: Sequence[int] = (0, 1)) -> TensorVariable:
    """``x`` turned ``k`` times by 90 degrees, from the first of two ``axes`` towards the second."""
    x = as_tensor(x)
    a, b = (normalize_axis(axis, x, op="rot90") for axis in axes)
    if a == b:
        raise AxisError(f"rot90 needs two different axes, got {tuple(axes)}", blame=x)
    turns = k % 4
    if turns == 0:
        return x
    if turns == 2:
        return flip(x, (a, b))
    return swapaxes(flip(x, b), a, b) if turns == 1 else flip(swapaxes(x, a, b), b)


def rollaxis(x: Any, axis: int, start: int = 0) -> TensorVariable:
    """``x`` with ``axis`` moved back until it stands before the axis ``start``."""
    x = as_tensor(x)
    axis = normalize_axis(axis, x, op="rollaxis")
    if not -x.ndim <= start <= x.ndim:
        raise AxisError(f"rollaxis needs {-x.ndim} <= start <= {x.ndim}, got {start}", blame=x)
    start = start + x.ndim if start < 0 else start
    order = [k for k in range(x.ndim) if k != axis]
    order.insert(start - (axis < start), axis)
    return dimshuffle(x, order)


def unstack(x: Any, axis: int = 0) -> tuple[TensorVariable, ...]:
    """The pieces of ``x`` along ``axis``, without it.  Errors: ShapeError where its length is not known."""
    x = as_tensor(x)
    axis = normalize_axis(axis, x, op="unstack")
    n = x.type.shape[axis]
    if n is None:
        raise ShapeError(f"unstack needs a known length, but that of axis {axis} of {x} is not", blame=x)
    return tuple(getitem(x, (slice(None),) * axis + (i,)) for i in range(n))


def vsplit(x: Any, indices_or_sections: Any) -> list[TensorVariable]:
    """``split`` along axis 0."""
    return split(x, indices_or_sections, 0)


def hsplit(x: Any, indices_or_sections: Any) -> list[TensorVariable]:
    """``split`` along axis 1, of a vector along axis 0."""
    x = as_tensor(x)
    return split(x, indices_or_sections, 0 if x.ndim == 1 else 1)


def dsplit(x: Any, indices_or_sections: Any) -> list[TensorVariable]:
    """``split`` along axis 2."""
    return split(x, indices_or_sections, 2)


def dstack(tensors: Sequence[Any]) -> TensorVariable:
    """Tensors joined along axis 2, each with ndim 3 at least."""
    return concatenate([atleast_3d(x) for x in tensors], axis=2)


def append(x: Any, values: Any, axis: int | None = None) -> TensorVariable:
    """``values`` behind ``x`` along ``axis``; both ravelled if it is None."""
    return concatenate([x, values], axis=axis)


def stacklists(nested: Any) -> TensorVariable:
    """Scalars in nested lists as one tensor: [[a, b], [c, d]] is a matrix."""
    if isinstance(nested, (list, tuple)):
        return stack([stacklists(item) for item in nested])
    return as_tensor(nested)


def shape_padleft(x: Any, n_ones: int = 1) -> TensorVariable:
    """``x`` with ``n_ones`` new axes of length 1 in front."""
    return expand_dims(x, tuple(range(n_ones)))


def shape_padright(x: Any, n_ones: int = 1) -> TensorVariable:
    """``x`` with ``n_ones`` new axes of length 1 behind."""
    return expand_dims(x, tuple(range(-n_ones, 0)))


def shape_padaxis(x: Any, axis: int) -> TensorVariable:
    """``x`` with a new axis of length 1 at the place ``axis``."""
    return expand_dims(x, axis)


# --- places --------------------------------------------------------------------------------------------------------


def unravel_index(indices: Any, shape: Any) -> tuple[TensorVariable, ...]:
    """Places in a flattened tensor of ``shape`` as one index for each axis.  They are not checked against the shape."""
    rest, out = as_tensor(indices), []
    for n in reversed(as_lengths(shape)):
        out.append(mod(rest, n))
        rest = rest // n
    return tuple(reversed(out))


def ravel_multi_index(multi_index: Sequence[Any], dims: Any) -> TensorVariable:
    """One index for each axis of a tensor of shape ``dims`` as a place in the flattened tensor, unchecked."""
    lengths = as_lengths(dims)
    parts = list(multi_index)
    if len(parts) != len(lengths):
        raise ShapeError(f"ravel_multi_index needs {len(lengths)} indices for {len(lengths)} axes, got {len(parts)}")
    total: Any = 0
    for axis, part in enumerate(parts):
        total = total + as_tensor(part) * length_product(lengths[axis + 1 :])
    return as_tensor(total)


def tril_indices(n: Any, k: int = 0, m: Any = None) -> tuple[TensorVariable, ...]:
    """The places on and below diagonal ``k`` of an n by m matrix (m is n if None): two int64 vectors."""
    if isinstance(n, Variable) or isinstance(m, Variable):
        return _places(tri(n, m, k, dtype="bool"))
    return tuple(constant(i) for i in np.tril_indices(n, k, m))


def triu_indices(n: Any, k: int = 0, m: Any = None) -> tuple[TensorVariable, ...]:
    """The places on and above diagonal ``k`` of an n by m matrix (m is n if None): two int64 vectors."""
    if isinstance(n, Variable) or isinstance(m, Variable):
        return _places(~tri(n, m, k - 1, dtype="bool"))
    return tuple(constant(i) for i in np.triu_indices(n, k, m))


def _places(chosen: TensorVariable) -> tuple[TensorVariable, ...]:
    from core.tensor.masks import nonzero  # few programs ask for places

    return nonzero(chosen)


def fill_diagonal(x: Any, value: Any, offset: int = 0) -> TensorVariable:
    """The matrices in the last two axes of ``x`` with ``value`` on the diagonal ``offset``; x is not changed."""
    x = as_tensor(x)
    if x.ndim < 2:
        raise ShapeError(f"fill_diagonal needs ndim >= 2, but {x} has ndim={x.ndim}", blame=x)
    return where(eye(*shape_of(x)[-2:], offset, dtype="bool"), as_tensor(value).astype(x.dtype), x)


def vander(x: Any, n: Any = None, increasing: bool = False) -> TensorVariable:
    """Powers of the vector ``x``, one a column: ``x**(n-1), ..., x, 1``, or from 1 on where ``increasing``."""
    x = ravel(x)
    count = shape_i(x, 0) if n is None else as_length(n)
    powers = arange(count)
    return power(expand_dims(x, 1), powers if increasing else count - 1 - powers)
