"""What users give with a transform: lengths, axes and a norm; and an axis brought to a length by cutting or zeros."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import core.tensor as ct
from core import dtypes
from core.errors import ArgumentError, AxisError, ShapeError
from core.tensor import TensorVariable, as_tensor, normalize_axis
from core.tensor.shape import as_length, as_lengths, shape_i, static_length

POWERS = {None: 0, "backward": 0, "ortho": 0.5, "forward": 1}  # by what power of its length a transform is divided


def power_of(norm: str | None, inverse: bool = False) -> float:
    """By what power of the number of elements results are divided.  Errors: ArgumentError, with the text of NumPy."""
    if norm not in POWERS:
        raise ArgumentError(f'Invalid norm value {norm!r}; should be "backward", "ortho" or "forward".')
    return 1 - POWERS[norm] if inverse else POWERS[norm]


def as_floats(x: Any) -> TensorVariable:
    """``x`` as a tensor of a dtype that is transformed: float64 for integers, float32 for float16."""
    x = as_tensor(x)
    if x.dtype in dtypes.DISCRETE:
        return x.astype("float64")
    return x.astype("float32") if x.dtype == "float16" else x


def as_complex(x: TensorVariable) -> TensorVariable:
    """``x`` as complex numbers of its precision."""
    return x if x.dtype in dtypes.COMPLEXES else x.astype("complex64" if x.dtype == "float32" else "complex128")


def is_real(x: TensorVariable) -> bool:
    return x.dtype not in dtypes.COMPLEXES


def axes_of(who: str, x: TensorVariable, s: Any, axes: Any) -> tuple[list[int], list[Any]]:
    """The axes that are transformed, counted from the front, and for each its length, None where none is given.

    s     a length for each axis; -1: that which it has.     axes  by default the last, as many as lengths, or all
    Errors: AxisError for an axis that ``x`` lacks, or names twice; ShapeError for another number of lengths.
    """
    if s is not None:
        s = list(s) if isinstance(s, (tuple, list)) else as_lengths(s)
    if axes is None:
        axes = range(x.ndim) if s is None else range(-len(s), 0)
    axes = list(axes) if isinstance(axes, (tuple, list, range)) else [axes]
    found = [normalize_axis(axis, x, op=who) for axis in axes]
    if len(set(found)) != len(found):
        raise AxisError(f"{who} needs each axis once, got axes={tuple(axes)}", blame=x)
    lengths = [None] * len(found) if s is None else s
    if len(lengths) != len(found):
        raise ShapeError(f"{who} needs as many lengths as axes, got s={tuple(lengths)} and axes={tuple(axes)}", blame=x)
    pairs = zip(found, lengths, strict=True)
    return found, [shape_i(x, axis) if isinstance(n, int) and n == -1 else n for axis, n in pairs]


def length_of(x: TensorVariable, axis: int, n: Any) -> Any:
    """``n`` as an int or a symbolic integer; None: the length of the axis."""
    n = shape_i(x, axis) if n is None else as_length(n)
    known = static_length(n)
    return n if known is None else known


def require_points(who: str, n: Any, x: TensorVariable) -> None:
    """Errors: ShapeError, with the text of NumPy, for a length that is known and below 1."""
    if isinstance(n, int) and n < 1:
        raise ShapeError(f"Invalid number of FFT data points ({n}) specified: {who} needs one at least", blame=x)


def resized(x: TensorVariable, axis: int, n: Any) -> TensorVariable:
    """``x`` with ``n`` elements along an axis: the first of them, or zeros behind them."""
    have = x.type.shape[axis]
    known = static_length(n)
    if known is not None and known == have:
        return x
    if known is not None and have is not None and known < have:
        return part(x, axis, 0, known)
    kept = ct.minimum(n, shape_i(x, axis))
    if known is not None and have is not None:
        kept = have
    lengths = [n if k == axis else shape_i(x, k) for k in range(x.ndim)]
    inside = (*(slice(None),) * axis, slice(0, kept))
    return ct.set_subtensor(ct.zeros(lengths, x.dtype)[inside], x if kept is have else x[inside])


def part(x: TensorVariable, axis: int, start: Any, stop: Any) -> TensorVariable:
    """The elements from ``start`` to ``stop`` of an axis."""
    return x[(*(slice(None),) * axis, slice(start, stop))]


def along(values: TensorVariable, axis: int, ndim: int) -> TensorVariable:
    """A vector, shaped to broadcast along an axis of so many."""
    return values[(*(None,) * axis, slice(None), *(None,) * (ndim - axis - 1))]


def resized_along(x: TensorVariable, axes: Sequence[int], lengths: Sequence[Any]) -> TensorVariable:
    """``x`` resized along each of the axes whose length is given."""
    for axis, n in zip(axes, lengths, strict=True):
        if n is not None:
            x = resized(x, axis, n)
    return x
