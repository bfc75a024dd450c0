"""Discrete cosine and sine transforms of types 1 to 4, by Fourier transforms of rearranged elements.

Unscaled, for elements x[0] ... x[n - 1], as SciPy has them:

    dct 1   x[0] + (-1)^k x[n-1] + 2 sum x[j] cos(pi j k / (n - 1))     dst 1   2 sum x[j] sin(pi (j+1)(k+1) / (n + 1))
    dct 2   2 sum x[j] cos(pi (2j + 1) k / 2n)                          dst 2   2 sum x[j] sin(pi (2j+1)(k+1) / 2n)
    dct 3   x[0] + 2 sum x[j] cos(pi j (2k + 1) / 2n)                   dst 3   the transpose of dst 2, but for scales
    dct 4   2 sum x[j] cos(pi (2j + 1)(2k + 1) / 4n)                    dst 4   2 sum x[j] sin(pi (2j+1)(2k+1) / 4n)

Source: Makhoul (1980) for type 2; types 3 and 4 by the same substitution; sines by turning signs and order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import core.tensor as ct
from core.errors import ArgumentError, ShapeError
from core.tensor import TensorVariable, normalize_axis
from core.tensor.shape import as_length, shape_i, static_length
from plugin_ops_fft.arguments import along, as_complex, as_floats, is_real, part, power_of, require_points, resized
from plugin_ops_fft.half import irfft, rfft
from plugin_ops_fft.whole import fft

__all__ = ["dct", "dctn", "dst", "dstn", "idct", "idctn", "idst", "idstn"]

INVERSE = {1: 1, 2: 3, 3: 2, 4: 4}  # the type of the inverse, but for a factor


def dct(
    x: Any, type: int = 2, n: Any = None, axis: int = -1, norm: str | None = None, orthogonalize: bool | None = None
) -> TensorVariable:
    """The cosine transform of ``type`` 1, 2, 3 or 4 along ``axis``, as scipy.fft.dct; see cosines.py for the sums.

    n              the length that is transformed: x is cut to it, or zeros follow it; an int or a symbolic integer
    norm           "backward": nothing is divided here; "ortho": by sqrt(2 n), "forward": by 2 n; n - 1 for type 1
    orthogonalize  scale the first element, of type 1 the last, too, so that "ortho" is an orthogonal matrix; by default
                   just where norm is "ortho"
    Output         float32 of float32 and float16, float64 of other real x; complex x by its parts
    Errors         ArgumentError for another type or norm; ShapeError for a length below 1, or 2 for type 1; AxisError.
    """
    return _transformed("dct", x, type, n, axis, norm, orthogonalize, False)


def idct(
    x: Any, type: int = 2, n: Any = None, axis: int = -1, norm: str | None = None, orthogonalize: bool | None = None
) -> TensorVariable:
    """The inverse of ``dct`` with the same arguments."""
    return _transformed("dct", x, type, n, axis, norm, orthogonalize, True)


def dst(
    x: Any, type: int = 2, n: Any = None, axis: int = -1, norm: str | None = None, orthogonalize: bool | None = None
) -> TensorVariable:
    """The sine transform of ``type`` 1, 2, 3 or 4 along ``axis``, as scipy.fft.dst; the rest is as for ``dct``.

    For type 1 "ortho" and "forward" divide by the root of 2 (n + 1), and by it.
    """
    return _transformed("dst", x, type, n, axis, norm, orthogonalize, False)


def idst(
    x: Any, type: int = 2, n: Any = None, axis: int = -1, norm: str | None = None, orthogonalize: bool | None = None
) -> TensorVariable:
    """The inverse of ``dst`` with the same arguments."""
    return _transformed("dst", x, type, n, axis, norm, orthogonalize, True)


def dctn(x: Any, type: int = 2, axes: Any = None, norm: str | None = None, orthogonalize: bool | None = None) -> Any:
    """``dct`` along ``axes``, by default all."""
    return _along_all(dct, x, type, axes, norm, orthogonalize)


def idctn(x: Any, type: int = 2, axes: Any = None, norm: str | None = None, orthogonalize: bool | None = None) -> Any:
    """The inverse of ``dctn``."""
    return _along_all(idct, x, type, axes, norm, orthogonalize)


def dstn(x: Any, type: int = 2, axes: Any = None, norm: str | None = None, orthogonalize: bool | None = None) -> Any:
    """``dst`` along ``axes``, by default all."""
    return _along_all(dst, x, type, axes, norm, orthogonalize)


def idstn(x: Any, type: int = 2, axes: Any = None, norm: str | None = None, orthogonalize: bool | None = None) -> Any:
    """The inverse of ``dstn``."""
    return _along_all(idst, x, type, axes, norm, orthogonalize)


def _along_all(one: Callable[..., Any], x: Any, type: int, axes: Any, norm: Any, orthogonalize: Any) -> TensorVariable:
    x = as_floats(x)
    for axis in ct.normalize_axes(axes, x, op=f"{one.__name__}n"):
        x = one(x, type, axis=axis, norm=norm, orthogonalize=orthogonalize)
    return x


def _transformed(
    who: str, x: Any, type: int, n: Any, axis: int, norm: str | None, orthogonalize: bool | None, inverse: bool
) -> TensorVariable:
    """Scale, transform, scale: those of the first and last elements, then that of all."""
    if type not in INVERSE:
        raise ArgumentError(f"{who} needs type 1, 2, 3 or 4, got {type!r}")
    x, power = as_floats(x), power_of(norm, inverse)
    axis = normalize_axis(axis, x, op=who)
    if n is not None:
        known = static_length(as_length(n))
        require_points(who, known, x)
        x = resized(x, axis, as_length(n) if known is None else known)
    if not is_real(x):
        of_part = (type, None, axis, norm, orthogonalize, inverse)
        real, imaginary = (_transformed(who, one, *of_part) for one in (x.real, x.imag))
        return as_complex(real) + (1j * imaginary).astype(x.dtype)
    length, shift = x.type.shape[axis], {"dct": -1, "dst": 1}[who] if type == 1 else 0
    require_points(who, length, x)
    if length is not None and length + shift < 1:
        raise ShapeError(f"{who} of type 1 needs two elements at least along axis {axis}, got {length}", blame=x)
    kind = INVERSE[type] if inverse else type
    ends = (norm == "ortho") if orthogonalize is None else orthogonalize
    if ends:
        x = _ends(who, x, kind, axis, before=True)
    made = _TRANSFORMS[who, kind](x, axis)
    if ends:
        made = _ends(who, made, kind, axis, before=False)
    period = (2 * (shape_i(x, axis) + shift)).astype(x.dtype)
    return made if not power else made / (period if power == 1 else ct.sqrt(period))


def _ends(who: str, x: TensorVariable, type: int, axis: int, before: bool) -> TensorVariable:
    """What makes the matrix orthogonal: of cosines the first row, or column, shorter by sqrt(2), of sines the last.

    Of cosines of type 1 the last is, too; of type 4, and of sines of type 1, none.
    """
    if type == 4 or (who == "dst" and type == 1) or (type == 2 and before) or (type == 3 and not before):
        return x
    n = shape_i(x, axis)
    k = ct.arange(n)
    first = ct.eq(k, 0) if who == "dct" else ct.eq(k, n - 1)
    chosen = first | ct.eq(k, n - 1) if type == 1 else first
    factor = np.sqrt(2.0) if before else 1 / np.sqrt(2.0)
    return x * along(ct.switch(chosen, factor, 1.0).astype(x.dtype), axis, x.ndim)


# --- cosines ---------------------------------------------------------------------------------------------------------


def _turns(k: Any, n: Any, x: TensorVariable, axis: int) -> TensorVariable:
    """exp(-i pi k / n), along an axis, of the precision of ``x``; k and n are integers."""
    angle = k * (-np.pi / n)
    return along(
        (ct.cos(angle) + 1j * ct.sin(angle)).astype("complex64" if x.dtype == "float32" else "complex128"), axis, x.ndim
    )


def _dct1(x: TensorVariable, axis: int) -> TensorVariable:
    """The spectrum of x and its mirror image, without the ends, is real."""
    n = shape_i(x, axis)
    inner = ct.flip(part(x, axis, 1, n - 1), axis)
    return ct.real(rfft(ct.concatenate([x, inner], axis=axis), axis=axis))


def _dct2(x: TensorVariable, axis: int) -> TensorVariable:
    """Even elements, then the odd ones backwards; the real part of their spectrum, turned by exp(-i pi k / 2n)."""
    n = shape_i(x, axis)
    everything = (slice(None),) * axis
    mixed = ct.concatenate(
        [x[(*everything, slice(0, None, 2))], ct.flip(x[(*everything, slice(1, None, 2))], axis)], axis=axis
    )
    half = rfft(mixed, axis=axis) * _turns(ct.arange(n // 2 + 1), 2 * n, x, axis)
    behind = ct.flip(part(half, axis, 1, (n + 1) // 2), axis)  # of n - k: i times the conjugate
    return 2 * ct.concatenate([ct.real(half), -ct.imag(behind)], axis=axis)


def _dct3(x: TensorVariable, axis: int) -> TensorVariable:
    """What ``_dct2`` does, undone: 2 n times its inverse."""
    n = shape_i(x, axis)
    first, k = part(x, axis, 0, n // 2 + 1), ct.arange(n // 2 + 1)
    mirrored = ct.concatenate(
        [ct.zeros_like(part(x, axis, 0, 1)), ct.flip(part(x, axis, (n + 1) // 2, n), axis)], axis=axis
    )
    half = (first - 1j * part(mirrored, axis, 0, n // 2 + 1)).astype(
        "complex64" if x.dtype == "float32" else "complex128"
    )
    mixed = irfft(half * ct.conj(_turns(k, 2 * n, x, axis)), n, axis=axis, norm="forward")
    return _woven(part(mixed, axis, 0, (n + 1) // 2), ct.flip(part(mixed, axis, (n + 1) // 2, n), axis), axis)


def _woven(even: TensorVariable, odd: TensorVariable, axis: int) -> TensorVariable:
    """An axis whose elements are by turns those of two; ``even`` has as many as ``odd``, or one more."""
    n = shape_i(even, axis) + shape_i(odd, axis)
    lengths = [n if k == axis else shape_i(even, k) for k in range(even.ndim)]
    everything = (slice(None),) * axis
    out = ct.set_subtensor(ct.zeros(lengths, even.dtype)[(*everything, slice(0, None, 2))], even)
    return ct.set_subtensor(out[(*everything, slice(1, None, 2))], odd)


def _dct4(x: TensorVariable, axis: int) -> TensorVariable:
    """(2j+1)(2k+1) / 4n = jk/n + j/2n + (2k+1)/4n: turned, transformed with twice the length, turned."""
    n = shape_i(x, axis)
    k = ct.arange(n)
    turned = part(fft(x * _turns(k, 2 * n, x, axis), 2 * n, axis=axis), axis, 0, n)
    return 2 * ct.real(turned * _turns(2 * k + 1, 4 * n, x, axis))


# --- sines -----------------------------------------------------------------------------------------------------------


def _dst1(x: TensorVariable, axis: int) -> TensorVariable:
    """The spectrum of 0, x, 0 and minus its mirror image is imaginary."""
    n, zero = shape_i(x, axis), ct.zeros_like(part(x, axis, 0, 1))
    whole = ct.concatenate([zero, x, zero, -ct.flip(x, axis)], axis=axis)
    return -ct.imag(part(rfft(whole, axis=axis), axis, 1, n + 1))


def _signs(x: TensorVariable, axis: int) -> TensorVariable:
    """(-1)^j along an axis."""
    return along((1 - 2 * (ct.arange(shape_i(x, axis)) % 2)).astype(x.dtype), axis, x.ndim)


def _dst2(x: TensorVariable, axis: int) -> TensorVariable:
    """sin(a (k+1)) with a = pi (2j+1) / 2n is (-1)^j cos(a (n - 1 - k))."""
    return ct.flip(_dct2(x * _signs(x, axis), axis), axis)


def _dst3(x: TensorVariable, axis: int) -> TensorVariable:
    """The transpose of that."""
    return _dct3(ct.flip(x, axis), axis) * _signs(x, axis)


def _dst4(x: TensorVariable, axis: int) -> TensorVariable:
    """sin(pi (2j+1)(2k+1) / 4n) is (-1)^k cos(pi (2(n-1-j)+1)(2k+1) / 4n)."""
    return _dct4(ct.flip(x, axis), axis) * _signs(x, axis)


_TRANSFORMS = {
    ("dct", 1): _dct1, ("dct", 2): _dct2, ("dct", 3): _dct3, ("dct", 4): _dct4,
    ("dst", 1): _dst1, ("dst", 2): _dst2, ("dst", 3): _dst3, ("dst", 4): _dst4,
}  # fmt: skip
