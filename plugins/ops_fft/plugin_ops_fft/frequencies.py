"""What belongs to the elements of a spectrum: frequencies, 0 in the middle, lengths that are fast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import core.tensor as ct
from core.errors import ArgumentError
from core.tensor import TensorVariable, as_tensor, normalize_axes
from core.tensor.shape import as_length, shape_i, static_length

__all__ = ["fftfreq", "fftshift", "ifftshift", "next_fast_len", "rfftfreq"]


def fftfreq(n: Any, d: Any = 1.0) -> TensorVariable:
    """The frequencies of the ``n`` elements of a spectrum: 0, 1, ..., and the negative ones, over n d: (n,), float64.

    n  an int or a symbolic integer.      d  the distance of two samples
    """
    n = _points("fftfreq", n)
    k = ct.arange(n)
    return ct.switch(k < (n + 1) // 2, k, k - n) / (n * as_tensor(d))


def rfftfreq(n: Any, d: Any = 1.0) -> TensorVariable:
    """Those of the n // 2 + 1 elements that ``rfft`` gives of ``n``."""
    n = _points("rfftfreq", n)
    return ct.arange(n // 2 + 1) / (n * as_tensor(d))


def _points(who: str, n: Any) -> TensorVariable:
    n = as_length(n)
    known = static_length(n)
    if known is not None and known < 1:
        raise ArgumentError(f"{who} needs n >= 1, got {known}")
    return n


def fftshift(x: Any, axes: int | Sequence[int] | None = None) -> TensorVariable:
    """``x``, a spectrum, with the element of frequency 0 in the middle of ``axes``, by default of all."""
    return _rolled("fftshift", x, axes, lambda n: n // 2)


def ifftshift(x: Any, axes: int | Sequence[int] | None = None) -> TensorVariable:
    """The inverse of ``fftshift``."""
    return _rolled("ifftshift", x, axes, lambda n: -(n // 2))


def _rolled(who: str, x: Any, axes: Any, shift: Any) -> TensorVariable:
    x = as_tensor(x)
    for axis in normalize_axes(axes, x, op=who):
        x = ct.roll(x, shift(shape_i(x, axis)), axis)
    return x


def next_fast_len(target: Any, real: bool = False) -> Any:
    """The least length >= ``target`` that is fast: a product of 2, 3 and 5, and of 7 and 11 unless ``real``.

    target  an int, which gives an int; or a symbolic integer: then 2, times 3, 5, 9 or 15, and powers of 2 are tried
    Errors: ArgumentError for a target below 1 that is known.
    """
    known = static_length(as_length(target))
    if known is None:
        n, odd = as_length(target), ct.constant(np.array([1, 3, 5, 9, 15]))
        least = (n + odd - 1) // odd
        doublings = (ct.constant(2 ** np.arange(62)) < least[:, None]).sum(axis=1)
        return (odd << doublings).min()
    if known < 1:
        raise ArgumentError(f"next_fast_len needs a target >= 1, got {known}")
    while not _is_product(known, (2, 3, 5) if real else (2, 3, 5, 7, 11)):
        known += 1
    return known


def _is_product(n: int, primes: Sequence[int]) -> bool:
    for p in primes:
        while n % p == 0:
            n //= p
    return n == 1
