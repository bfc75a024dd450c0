"""Transforms of real numbers, of whose spectra half is kept: rfft, irfft, those of several axes, hfft and ihfft."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import core.tensor as ct
from core.errors import ArgumentError, DTypeError
from core.tensor import TensorVariable
from plugin_ops_fft.arguments import (
    as_complex,
    as_floats,
    axes_of,
    is_real,
    length_of,
    power_of,
    require_points,
    resized,
    resized_along,
)
from plugin_ops_fft.transforms import Fourier, RealFourier, real_inverse

__all__ = ["hfft", "ihfft", "irfft", "irfft2", "irfftn", "rfft", "rfft2", "rfftn"]


def rfft(x: Any, n: Any = None, axis: int = -1, norm: str | None = None) -> TensorVariable:
    """The first n // 2 + 1 elements of what ``fft`` gives for real x: the others are their mirror image.

    Errors  DTypeError for complex x; the others are those of ``fft``.
    """
    return _to_half("rfft", x, None if n is None else (n,), (axis,), norm)


def irfft(x: Any, n: Any = None, axis: int = -1, norm: str | None = None) -> TensorVariable:
    """The inverse of ``rfft``: ``n`` real numbers, by default 2 (m - 1) where x has m.

    x is cut to n // 2 + 1 elements, or zeros follow it; the imaginary part of what must be real does not count.
    """
    return _from_half("irfft", x, None if n is None else (n,), (axis,), norm)


def rfft2(x: Any, s: Any = None, axes: Sequence[int] = (-2, -1), norm: str | None = None) -> TensorVariable:
    """``rfft`` along the last of two axes, ``fft`` along the other."""
    return _to_half("rfft2", x, s, axes, norm)


def irfft2(x: Any, s: Any = None, axes: Sequence[int] = (-2, -1), norm: str | None = None) -> TensorVariable:
    """The inverse of ``rfft2``; ``s`` has the lengths of the real numbers."""
    return _from_half("irfft2", x, s, axes, norm)


def rfftn(x: Any, s: Any = None, axes: Sequence[int] | None = None, norm: str | None = None) -> TensorVariable:
    """``rfft`` along the last of ``axes``, by default of all, ``fft`` along the others."""
    return _to_half("rfftn", x, s, axes, norm)


def irfftn(x: Any, s: Any = None, axes: Sequence[int] | None = None, norm: str | None = None) -> TensorVariable:
    """The inverse of ``rfftn``; ``s`` has the lengths of the real numbers."""
    return _from_half("irfftn", x, s, axes, norm)


def hfft(x: Any, n: Any = None, axis: int = -1, norm: str | None = None) -> TensorVariable:
    """The spectrum, which is real, of n numbers of which x is half: the others are its mirror image, conjugated.

    n       by default 2 (m - 1) where x has m.      norm  as for ``fft``
    """
    return _from_half("hfft", ct.conj(as_complex(as_floats(x))), None if n is None else (n,), (axis,), norm, False)


def ihfft(x: Any, n: Any = None, axis: int = -1, norm: str | None = None) -> TensorVariable:
    """The inverse of ``hfft``."""
    return ct.conj(_to_half("ihfft", x, None if n is None else (n,), (axis,), norm, True))


def _to_half(who: str, x: Any, s: Any, axes: Any, norm: str | None, inverse: bool = False) -> TensorVariable:
    x, power = as_floats(x), power_of(norm, inverse)
    if not is_real(x):
        raise DTypeError(f"{who} needs real numbers, got {x} of dtype {x.dtype}; take fft, or x.real", blame=x)
    found, lengths = _some(who, x, s, axes)
    for n in lengths:
        require_points(who, n, x)
    *others, last = found
    half = RealFourier(last, power)(resized_along(x, found, lengths))
    return Fourier(others, False, power)(half) if others else half


def _from_half(who: str, x: Any, s: Any, axes: Any, norm: str | None, inverse: bool = True) -> TensorVariable:
    x, power = as_complex(as_floats(x)), power_of(norm, inverse)
    found, lengths = _some(who, x, s, axes)
    *others, last = found
    n = 2 * (length_of(x, last, None) - 1) if lengths[-1] is None else length_of(x, last, lengths[-1])
    for length in (*lengths[:-1], n):
        require_points(who, length, x)
    x = resized_along(x, others, lengths[:-1])
    if lengths[-1] is not None:
        x = resized(x, last, n // 2 + 1)
    if others:
        x = Fourier(others, True, power)(x)
    return real_inverse(last, n, power)(x)


def _some(who: str, x: TensorVariable, s: Any, axes: Any) -> tuple[list[int], list[Any]]:
    found, lengths = axes_of(who, x, s, axes)
    if not found:
        axes_of(who, x, None, -1)  # a number has no axis, which is said there
        raise ArgumentError(f"{who} needs one axis at least")
    return found, lengths
