"""Transforms between complex numbers, whole spectra: fft, ifft, and those of two and of all axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import core.tensor as ct
from core.tensor import TensorVariable
from core.tensor.shape import shape_i
from plugin_ops_fft.arguments import (
    as_complex,
    as_floats,
    axes_of,
    is_real,
    part,
    power_of,
    require_points,
    resized_along,
)
from plugin_ops_fft.transforms import Fourier, RealFourier

__all__ = ["fft", "fft2", "fftn", "ifft", "ifft2", "ifftn"]


def fft(x: Any, n: Any = None, axis: int = -1, norm: str | None = None) -> TensorVariable:
    """y[k] = sum of x[j] exp(-2 pi i j k / n) along ``axis``, as numpy.fft.fft.

    n       the length that is transformed: x is cut to it, or zeros follow it; an int or a symbolic integer
    norm    "backward": nothing is divided here; "ortho": by sqrt(n), "forward": by n
    Output  complex64 of float16, float32 and complex64, else complex128; of real x by half of the work.
    Errors  AxisError; ArgumentError for another norm; ShapeError, with NumPy's text, for a length below 1.
    """
    return _whole("fft", x, None if n is None else (n,), (axis,), norm, inverse=False)


def ifft(x: Any, n: Any = None, axis: int = -1, norm: str | None = None) -> TensorVariable:
    """x[j] = sum of y[k] exp(2 pi i j k / n) / n along ``axis``: the inverse of ``fft`` with the same arguments.

    norm    "backward": it divides by n, "ortho": by sqrt(n), "forward": by nothing
    """
    return _whole("ifft", x, None if n is None else (n,), (axis,), norm, inverse=True)


def fft2(x: Any, s: Any = None, axes: Sequence[int] = (-2, -1), norm: str | None = None) -> TensorVariable:
    """``fft`` along two axes; ``s`` has their lengths, as ``n`` there."""
    return _whole("fft2", x, s, axes, norm, inverse=False)


def ifft2(x: Any, s: Any = None, axes: Sequence[int] = (-2, -1), norm: str | None = None) -> TensorVariable:
    """The inverse of ``fft2``."""
    return _whole("ifft2", x, s, axes, norm, inverse=True)


def fftn(x: Any, s: Any = None, axes: Sequence[int] | None = None, norm: str | None = None) -> TensorVariable:
    """``fft`` along ``axes``, by default all, or as many of the last as ``s`` has lengths."""
    return _whole("fftn", x, s, axes, norm, inverse=False)


def ifftn(x: Any, s: Any = None, axes: Sequence[int] | None = None, norm: str | None = None) -> TensorVariable:
    """The inverse of ``fftn``."""
    return _whole("ifftn", x, s, axes, norm, inverse=True)


def _whole(who: str, x: Any, s: Any, axes: Any, norm: str | None, inverse: bool) -> TensorVariable:
    x, power = as_floats(x), power_of(norm, inverse)
    found, lengths = axes_of(who, x, s, axes)
    for n in lengths:
        require_points(who, n, x)
    x = resized_along(x, found, lengths)
    if not found:
        return as_complex(x)
    if not is_real(x):
        return Fourier(found, inverse, power)(x)
    *others, last = found
    half = RealFourier(last, power)(x)
    half = Fourier(others, False, power)(half) if others else half
    whole = mirrored(half, shape_i(x, last), last, others)
    return ct.conj(whole) if inverse else whole


def mirrored(half: TensorVariable, n: Any, axis: int, others: Sequence[int] = ()) -> TensorVariable:
    """The whole of a spectrum of length ``n`` of real numbers: the element for -k is the conjugate of that for k.

    others  further axes along which it is a spectrum, whole already
    """
    behind = ct.flip(part(half, axis, 1, (n + 1) // 2), axis)
    for other in others:
        behind = ct.roll(ct.flip(behind, other), 1, other)
    return ct.concatenate([half, ct.conj(behind)], axis=axis)
