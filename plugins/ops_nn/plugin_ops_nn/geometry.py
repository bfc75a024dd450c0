"""Where windows lie on their axes: strides, padding and dilation; how many there are, and which elements they hold.

Window number ``o`` of an axis holds, as its tap number ``t``, element ``o * stride + t * dilation - before`` of it,
where ``before`` elements are padded in front.  Lengths are ints, tensors or expressions.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

import core.tensor as ct
from core.errors import ArgumentError, ShapeError
from core.graph import Variable
from core.ir.axes import same_length
from core.ir.expr import Expr, const, equal
from core.ir.expr import maximum as larger

SAME = "same"


@dataclass(frozen=True, repr=False)
class Geometry:
    """Strides, paddings (before, behind) and dilations, one for each axis; ``padding`` may be SAME instead.

    SAME makes as many windows as the axis has elements, divided by the stride and rounded up; what must be padded for
    that is halved, and the larger half lies behind.
    """

    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...] | str
    dilation: tuple[int, ...]

    def __repr__(self) -> str:
        parts = [f"stride={_short(self.stride)}", f"padding={_short(self.padding)}"]
        parts += [f"dilation={_short(self.dilation)}"] if set(self.dilation) != {1} else []
        return f"<{', '.join(parts)}>"

    @property
    def ndim(self) -> int:
        return len(self.stride)

    def span(self, axis: int, k: Any) -> Any:
        """From the first element of a window of ``k`` taps to its last, both included."""
        d = self.dilation[axis]
        return k if d == 1 else (k - 1) * d + 1

    def before(self, axis: int, n: Any, k: Any) -> Any:
        """How many elements are padded in front of an axis of length ``n``."""
        if self.padding != SAME:
            return self.padding[axis][0]
        return self._total(axis, n, k) // 2

    def behind(self, axis: int, n: Any, k: Any) -> Any:
        if self.padding != SAME:
            return self.padding[axis][1]
        total = self._total(axis, n, k)
        return total - total // 2

    def _total(self, axis: int, n: Any, k: Any) -> Any:
        s, span = self.stride[axis], self.span(axis, k)
        return span - 1 if s == 1 else _maximum((self.count(axis, n, k) - 1) * s + span - n, 0)

    def count(self, axis: int, n: Any, k: Any) -> Any:
        """How many windows of ``k`` taps there are; 0 or less where the axis is too short for one."""
        s = self.stride[axis]
        if self.padding == SAME:
            return n if s == 1 else (n + (s - 1)) // s
        room = n + (sum(self.padding[axis]) + 1) - self.span(axis, k)
        return room if s == 1 else (room + (s - 1)) // s

    def counts(self, lengths: Sequence[Any], taps: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(self.count(axis, n, k) for axis, (n, k) in enumerate(zip(lengths, taps, strict=True)))

    def is_padded(self, axis: int) -> bool:
        return self.padding == SAME or self.padding[axis] != (0, 0)

    # --- as index expressions ---------------------------------------------------------------------------------------

    def checked_counts(self, lengths: Sequence[Expr], taps: Sequence[Expr]) -> tuple[Expr, ...]:
        """``counts``, which demand when the function runs that there is a window on each axis."""
        counts = self.counts(lengths, taps)
        return tuple(n if _is_positive(n) else same_length(n, larger(n, 1)) for n in counts)

    def places(
        self, lengths: Sequence[Expr], taps: Sequence[Expr]
    ) -> Callable[[Sequence[Expr], Sequence[Expr]], tuple[Any, list[Expr]]]:
        """A function of the numbers of a window and of a tap: whether that is an element, and which.

        What it gives first is True where nothing is padded.
        """
        befores = [self.before(axis, n, k) for axis, (n, k) in enumerate(zip(lengths, taps, strict=True))]

        def place(window: Sequence[Expr], tap: Sequence[Expr]) -> tuple[Any, list[Expr]]:
            inside: Any = True
            at = []
            for axis, (o, t, n) in enumerate(zip(window, tap, lengths, strict=True)):
                i = o * self.stride[axis] + t * self.dilation[axis] - befores[axis]
                if self.is_padded(axis):
                    inside = inside & (i >= 0) & (i < n)
                at.append(i)
            return inside, at

        return place

    def covering(self, axis: int, k: Expr) -> Expr:
        """How many windows may hold one element; see ``holders``."""
        s = self.stride[axis]
        return k if self.dilation[axis] != 1 or s == 1 else (k + (s - 1)) // s

    def holders(
        self, lengths: Sequence[Expr], taps: Sequence[Expr], counts: Sequence[Expr]
    ) -> Callable[[Sequence[Expr], Sequence[Expr]], tuple[Any, list[Expr], list[Expr]]]:
        """A function of an element and of a number below ``covering`` of each axis: a window and a tap that hold it.

        What it gives first says whether these exist.
        """
        befores = [self.before(axis, n, k) for axis, (n, k) in enumerate(zip(lengths, taps, strict=True))]

        many = [self.covering(axis, k) for axis, k in enumerate(taps)]

        def holder(element: Sequence[Expr], number: Sequence[Expr]) -> tuple[Any, list[Expr], list[Expr]]:
            found: Any = True
            windows, tap = [], []
            for axis, (i, j, k, count) in enumerate(zip(element, number, taps, counts, strict=True)):
                s, d = self.stride[axis], self.dilation[axis]
                place = i + befores[axis]
                if s == 1:
                    o, t = place - j * d, j
                elif many[axis] is const(1):  # windows that do not overlap
                    o, t = place // s, place % s
                    found = found & (t < k) if s > k.payload else found
                elif d == 1:
                    o, t = place // s - j, place % s + j * s
                    found = found & (t < k)
                else:
                    o, t = (place - j * d) // s, j
                    found = found & equal((place - j * d) % s, 0)
                if many[axis] is not const(1):
                    found = found & (o >= 0)
                found = found & (o < count)
                windows.append(o)
                tap.append(t)
            return found, windows, tap

        return holder

    # --- as arrays --------------------------------------------------------------------------------------------------

    def windows(self, x: np.ndarray, taps: Sequence[int], fill: Any = 0) -> np.ndarray:
        """All windows on the last axes of ``x``, a view of what is padded: (..., *counts, *taps)."""
        first = x.ndim - self.ndim
        padded = self.padded(x, taps, fill)
        spans = tuple(self.span(axis, k) for axis, k in enumerate(taps))
        found = sliding_window_view(padded, spans, tuple(range(first, x.ndim)))
        steps = [slice(None)] * first + [slice(None, None, n) for n in (*self.stride, *self.dilation)]
        return found[tuple(steps)]

    def padded(self, x: np.ndarray, taps: Sequence[int], fill: Any = 0) -> np.ndarray:
        first = x.ndim - self.ndim
        pairs = list(zip(x.shape[first:], taps, strict=True))
        widths = [(self.before(axis, *pair), self.behind(axis, *pair)) for axis, pair in enumerate(pairs)]
        if not any(map(any, widths)):
            return x
        return np.pad(x, [(0, 0)] * first + widths, constant_values=fill)

    def folded(
        self, lead: Sequence[int], lengths: Sequence[int], taps: Sequence[int], dtype: Any, part: Callable
    ) -> np.ndarray:
        """What adds ``part(tap)``, an array of (*lead, *counts), to the places of that tap, for all of them."""
        counts = self.counts(lengths, taps)
        befores = [self.before(axis, *pair) for axis, pair in enumerate(zip(lengths, taps, strict=True))]
        behinds = [self.behind(axis, *pair) for axis, pair in enumerate(zip(lengths, taps, strict=True))]
        whole = [sum(three) for three in zip(befores, lengths, behinds, strict=True)]
        out = np.zeros((*lead, *whole), dtype)
        for tap in np.ndindex(*taps):
            starts = [t * d for t, d in zip(tap, self.dilation, strict=True)]
            stops = [a + (n - 1) * s + 1 for a, n, s in zip(starts, counts, self.stride, strict=True)]
            out[(..., *map(slice, starts, stops, self.stride))] += part(tap)
        return np.ascontiguousarray(out[(..., *(slice(a, a + n) for a, n in zip(befores, lengths, strict=True)))])


def _maximum(a: Any, b: int) -> Any:
    if isinstance(a, Expr):
        return larger(a, b)
    return ct.maximum(a, b) if isinstance(a, Variable) else max(a, b)


def _is_positive(n: Expr) -> bool:
    return n.is_const and n.payload > 0


def _short(values: Any) -> Any:
    """One for all, where they are the same."""
    if isinstance(values, str):
        return values
    values = tuple(_short(value) if isinstance(value, tuple) else value for value in values)
    return values[0] if len(set(values)) == 1 else values


# --- what users give ------------------------------------------------------------------------------------------------


def geometry(who: str, ndim: int, stride: Any, padding: Any, dilation: Any = 1) -> Geometry:
    """Errors: ArgumentError for what is no stride, padding or dilation."""
    steps = per_axis(who, "stride", stride, ndim, least=1)
    dilations = per_axis(who, "dilation", dilation, ndim, least=1)
    return Geometry(steps, paddings(who, padding, ndim), dilations)


def per_axis(who: str, name: str, given: Any, ndim: int, least: int) -> tuple[int, ...]:
    """An int for each of ``ndim`` axes, from one or as many.  Errors: ArgumentError."""
    values = given if isinstance(given, (tuple, list)) else (given,) * ndim
    numbers = tuple(operator.index(n) for n in values if _is_integer(n) and n >= least)
    if len(values) != ndim or len(numbers) != ndim:
        one = "an int" if ndim == 1 else f"an int or {ndim}"
        raise ArgumentError(f"{who} needs {name} >= {least}, {one}, got {given!r}")
    return numbers


def paddings(who: str, padding: Any, ndim: int) -> tuple[tuple[int, int], ...] | str:
    """Errors: ArgumentError."""
    if isinstance(padding, str):
        name = padding.lower()
        if name not in (SAME, "valid"):
            raise ArgumentError(f"{who} needs padding 'same', 'valid', ints or pairs of ints, got {padding!r}")
        return SAME if name == SAME else ((0, 0),) * ndim
    if isinstance(padding, (tuple, list)) and any(isinstance(one, (tuple, list)) for one in padding):
        if len(padding) == ndim and all(isinstance(one, (tuple, list)) and len(one) == 2 for one in padding):
            return tuple((a, b) for a, b in (per_axis(who, "padding", one, 2, least=0) for one in padding))
        raise ArgumentError(f"{who} needs {ndim} pairs of ints >= 0 as padding, got {padding!r}")
    return tuple((n, n) for n in per_axis(who, "padding", padding, ndim, least=0))


def _is_integer(n: Any) -> bool:
    return isinstance(n, (int, np.integer)) and not isinstance(n, (bool, np.bool_))


def too_short(op: Any, lengths: Sequence[int], taps: Sequence[int], geometry: Geometry, blame: Any) -> ShapeError:
    """The error where an axis has no window."""
    axis = next(a for a, n in enumerate(geometry.counts(lengths, taps)) if n < 1)
    n, k = lengths[axis], taps[axis]
    around = geometry.before(axis, n, k) + geometry.behind(axis, n, k)
    room = f"{n} and {around} padded elements" if around else f"{n} elements"
    wide = geometry.span(axis, k)
    return ShapeError(
        f"{op} needs an axis that holds its window of {wide}, got {room} along spatial axis {axis}", blame=blame
    )


def require_windows(
    op: Any, lengths: Sequence[int | None], taps: Sequence[int | None], geometry: Geometry, blame: Any
) -> tuple[int | None, ...]:
    """How many windows there are on each axis, as far as that is known.  Errors: ShapeError where there are none."""
    counts = tuple(
        None if n is None or k is None else geometry.count(axis, n, k)
        for axis, (n, k) in enumerate(zip(lengths, taps, strict=True))
    )
    if any(count is not None and count < 1 for count in counts):
        known = [(n, k) if count is not None else (1, 1) for n, k, count in zip(lengths, taps, counts, strict=True)]
        raise too_short(op, [n for n, _ in known], [k for _, k in known], geometry, blame)
    return counts
