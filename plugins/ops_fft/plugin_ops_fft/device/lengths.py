"""How a length is transformed: by which radices, as two factors, or by way of a longer one; and tables for that."""

from __future__ import annotations

import math
from functools import cache

import numpy as np

MOST_RADIX = 31  # see lines.h


@cache
def radices(n: int) -> tuple[int, ...] | None:
    """Factors of n, of which each is 4 or a prime that is no larger than MOST_RADIX; None where there are none such."""
    found = []
    for r in (4, 2, 3, 5, *range(7, MOST_RADIX + 1, 2)):
        while n % r == 0:
            found.append(r)
            n //= r
    return tuple(found) if n == 1 else None


def packed(factors: tuple[int, ...]) -> int:
    """Factors in five bits each, the first in the lowest."""
    return sum(r << 5 * k for k, r in enumerate(factors))


@cache
def halves(n: int, most: int) -> tuple[int, int]:
    """Two factors of n, of which the first is at most ``most``: the second too, if that can be, and then much alike."""
    fitting = [a for a in range(2, most + 1) if n % a == 0]
    both = [a for a in fitting if n // a <= most]
    first = min(both, key=lambda a: abs(a - n // a)) if both else max(fitting)
    return first, n // first


def longer(n: int) -> int:
    """The length of the transforms that convolve n elements with a chirp."""
    return 1 << (2 * n - 2).bit_length()


def turns(n: int, *behind: float) -> np.ndarray:
    """exp(-2 pi i k / n) for k < n, exact to the last bit or two, as pairs; then other numbers."""
    k = np.arange(n)
    eighths, rest = np.divmod(8 * k, n)  # angles of an eighth of a turn at most
    angle = 2 * np.pi * np.where(eighths % 2, n - rest, rest) / (8 * n)
    c, s = np.cos(angle), np.sin(angle)
    swapped = np.isin(eighths % 8, (1, 2, 5, 6))
    re, im = np.where(swapped, s, c), np.where(swapped, c, s)
    re = np.where(np.isin(eighths, (2, 3, 4, 5)), -re, re)
    im = np.where(eighths >= 4, -im, im)
    return np.append(np.stack([re, -im], axis=1).reshape(-1), behind)


def chirp(n: int, *behind: float) -> np.ndarray:
    """exp(-pi i k k / n) for k < n, as pairs; then other numbers."""
    every = turns(2 * n).reshape(-1, 2)
    places = np.array([k * k % (2 * n) for k in range(n)], "int64")
    return np.append(every[places].reshape(-1), behind)


def spectrum_of_chirp(n: int, m: int) -> np.ndarray:
    """What the conjugate of the chirp becomes by a transform of length m, divided by m, as pairs."""
    pairs = chirp(n).reshape(-1, 2)
    c = pairs[:, 0] - 1j * pairs[:, 1]
    long = np.zeros(m, complex)
    long[:n] = c
    long[m - n + 1 :] = c[:0:-1]
    found = np.fft.fft(long) / m
    return np.stack([found.real, found.imag], axis=1).reshape(-1)


def power_of(n: int, power: float) -> float:
    return math.pow(n, -power)
