"""Arrays of routines that lie otherwise than row by row: axes that go together, and pieces of few axes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

from core.device.contract import Strided


def simplified(x: Strided) -> list[tuple[int, int]]:
    """Lengths and distances of the axes: neighbours that lie like one axis are one, and none has length 1."""
    found: list[tuple[int, int]] = []
    for n, step in zip(x.shape, x.strides, strict=True):
        if n == 1:
            continue
        if found and found[-1][1] == n * step:
            found[-1] = (found[-1][0] * n, step)
        else:
            found.append((n, step))
    return found


def lies_in_rows(x: Strided) -> bool:
    """Whether elements lie one behind the other, in row-major order."""
    return simplified(x) in ([], [(math.prod(x.shape), 1)])


def pieces(x: Strided, axes: int) -> Iterator[tuple[int, tuple[int, ...], tuple[int, ...], int]]:
    """Pieces of so many axes: the number of the first element, lengths and distances, where it lies in ``x``."""
    every = simplified(x)
    lead, rest = every[:-axes], every[-axes:]
    rest = [(1, 0)] * (axes - len(rest)) + rest
    shape, strides = zip(*rest, strict=True)
    for number, place in enumerate(itertools.product(*(range(n) for n, _ in lead))):
        offset = sum(i * step for i, (_, step) in zip(place, lead, strict=True))
        yield number * math.prod(shape), shape, strides, offset
