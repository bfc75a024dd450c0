"""What Fourier transforms are used for: convolution of long arrays, spectra of signals in windows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import core.tensor as ct
from core.errors import ArgumentError, ShapeError
from core.tensor import TensorVariable, normalize_axes
from core.tensor.shape import shape_i, static_length
from plugin_ops_fft.arguments import as_floats, is_real, part
from plugin_ops_fft.frequencies import next_fast_len
from plugin_ops_fft.half import irfftn, rfftn
from plugin_ops_fft.whole import fftn, ifftn

__all__ = ["fftconvolve"]

MODES = ("full", "same", "valid")


def fftconvolve(in1: Any, in2: Any, mode: str = "full", axes: int | Sequence[int] | None = None) -> TensorVariable:
    """The convolution of two arrays along ``axes``, by default all, as scipy.signal.fftconvolve; others broadcast.

    mode    "full": n + m - 1 elements along each axis; "same": the n in the middle, for in1 of n; "valid": those for
            which nothing outside is met, n - m + 1, where in1 is the longer along each axis, or in2 is
    Errors  ArgumentError for another mode; ShapeError for another ndim, or "valid" where neither is the longer
    """
    if mode not in MODES:
        raise ArgumentError(f"fftconvolve needs mode 'full', 'same' or 'valid', got {mode!r}")
    x, y = as_floats(in1), as_floats(in2)
    if x.ndim != y.ndim:
        raise ShapeError(f"fftconvolve needs two arrays of one ndim, got {x.ndim} and {y.ndim}", blame=y)
    found = normalize_axes(axes, x, op="fftconvolve")
    if not found:
        return x * y
    ns, ms = ([_length(one, axis) for axis in found] for one in (x, y))
    fulls = [n + m - 1 for n, m in zip(ns, ms, strict=True)]
    real = is_real(x) and is_real(y)
    forth, back = (rfftn, irfftn) if real else (fftn, ifftn)
    lengths = [next_fast_len(n, real) for n in fulls]
    whole = back(forth(x, lengths, found) * forth(y, lengths, found), lengths, found)
    for axis, first, n in zip(found, *_kept(mode, x, ns, ms, fulls), strict=True):
        whole = part(whole, axis, first, first + n)
    return whole


def _length(x: TensorVariable, axis: int) -> Any:
    """An int where it is known."""
    n = shape_i(x, axis)
    known = static_length(n)
    return n if known is None else known


def _kept(
    mode: str, x: TensorVariable, ns: Sequence[Any], ms: Sequence[Any], fulls: Sequence[Any]
) -> tuple[list, list]:
    """Where the result begins along each axis, and how long it is."""
    if mode == "full":
        return [0 for _ in fulls], list(fulls)
    if mode == "same":
        return [(m - 1) // 2 for m in ms], list(ns)
    pairs = [(n, m) for n, m in zip(ns, ms, strict=True) if isinstance(n, int) and isinstance(m, int)]
    if any(n < m for n, m in pairs) and any(n > m for n, m in pairs):
        raise ShapeError(
            f"fftconvolve with mode 'valid' needs one array that is at least as long as the other along each axis, got "
            f"lengths {', '.join(f'{n} and {m}' for n, m in pairs)}",
            blame=x,
        )
    short = [_least(n, m) for n, m in zip(ns, ms, strict=True)]
    return [k - 1 for k in short], [n + m - 2 * k + 1 for n, m, k in zip(ns, ms, short, strict=True)]


def _least(n: Any, m: Any) -> Any:
    return min(n, m) if isinstance(n, int) and isinstance(m, int) else ct.minimum(n, m)
