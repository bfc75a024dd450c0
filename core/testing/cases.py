"""The inputs at which an op is tried: those given, and what is derived from them: layouts, empty, single, special."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from core.errors import ArgumentError, did_you_mean

VARIANTS = ("strided", "column-major", "empty", "size-1", "0-d", "special")
SAME_VALUES = ("given", "strided", "column-major")  # an op that takes the one takes the others
_SPECIAL = (np.nan, np.inf, -np.inf, -0.0, 0.0)


@dataclass(frozen=True)
class Case:
    """Arrays, and how they came about."""

    kind: str
    arrays: tuple[np.ndarray, ...]

    @property
    def may_be_refused(self) -> bool:
        """Whether an op may raise for these inputs: it was not said that it takes such shapes."""
        return self.kind not in (*SAME_VALUES, "special")

    def __str__(self) -> str:
        return f"{self.kind} inputs {described(self.arrays)}"


def described(arrays: Sequence[np.ndarray]) -> str:
    """``float64(3, 4), int64()``."""
    return ", ".join(f"{a.dtype}{a.shape}".replace(",)", ")") for a in arrays) or "none"


def cases_of(arrays: Sequence[np.ndarray], variants: Sequence[str], nan: bool = False) -> Iterator[Case]:
    """The given arrays first, then what is derived from them.

    strided        the same values, every other element of a larger array, backwards
    column-major   the same values, the first axis innermost
    empty, size-1  for each length that occurs, all axes of that length cut to 0, or to 1
    0-d            the first element of each array
    special        NaN, infinities and both zeros among the floats; only with ``nan``
    Errors         ArgumentError for a variant of another name.
    """
    for name in variants:
        if name not in VARIANTS:
            raise ArgumentError(f"there is no variant {name!r} of inputs.{did_you_mean(name, VARIANTS)}")
    arrays = tuple(arrays)
    yield Case("given", arrays)
    if "strided" in variants and any(a.ndim for a in arrays):
        yield Case("strided", tuple(map(strided, arrays)))
    if "column-major" in variants and any(a.ndim > 1 for a in arrays):
        yield Case("column-major", tuple(np.asfortranarray(a) if a.ndim > 1 else a for a in arrays))
    lengths = dict.fromkeys(n for a in arrays for n in a.shape)
    for kind, length in (("empty", 0), ("size-1", 1)):
        if kind in variants:
            for n in lengths:
                if n > length:
                    yield Case(kind, tuple(_cut(a, n, length) for a in arrays))
    if "0-d" in variants and any(a.ndim for a in arrays) and all(a.size for a in arrays):
        yield Case("0-d", tuple(a.reshape(-1)[0].reshape(()) for a in arrays))
    if nan and any(_is_inexact(a) and a.size for a in arrays):
        yield Case("special", tuple(map(_special, arrays)))


def strided(array: np.ndarray) -> np.ndarray:
    """The same values, each second element of a larger array, from its end."""
    if not array.ndim:
        return array
    around = np.zeros([2 * n for n in array.shape], array.dtype)
    view = around[(slice(None, None, -2),) * array.ndim]
    view[...] = array
    return view


def _cut(array: np.ndarray, n: int, length: int) -> np.ndarray:
    return np.ascontiguousarray(array[tuple(slice(length if m == n else None) for m in array.shape)])


def _is_inexact(array: np.ndarray) -> bool:
    return array.dtype.kind in "fc"


def _special(array: np.ndarray) -> np.ndarray:
    """Every second element becomes one of the special values in turn."""
    if not _is_inexact(array) or not array.size:
        return array
    flat = array.flatten()
    for turn, position in enumerate(range(0, flat.size, 2)):
        flat[position] = _SPECIAL[turn % len(_SPECIAL)]
    return flat.reshape(array.shape)
