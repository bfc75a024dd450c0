"""What stands between the brackets of ``x[key]``: a pattern that ops can hold as a prop, and the arithmetic of slices.

The ops are in indexing.py (basic) and gather.py (with index arrays).
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

from core.dataclass import dataclass
from core.errors import IndexOutOfBounds, ShapeError
from core.ir.expr import Expr
from core.ir.view import View
from core.tensor.arithmetic import maximum, minimum
from core.tensor.logic import less, where
from core.tensor.type import TensorVariable


class Part(enum.Enum):
    """An entry, or a part of a slice, whose value is not in the pattern."""

    SCALAR = "i"  # the next input: an int64 scalar
    ARRAY = "array"  # the next input: an array of integers
    NEWAXIS = "newaxis"  # no input: a new axis of length 1

    def __repr__(self) -> str:
        return self.value


class Slice(NamedTuple):
    """``start:stop:step``: None where absent, an int where known, Part.SCALAR where symbolic."""

    start: Any = None
    stop: Any = None
    step: Any = None

    def __repr__(self) -> str:
        start, stop, step = ("" if part is None else repr(part) for part in self)
        return f"{start}:{stop}" + (f":{step}" if step else "")


Entry: TypeAlias = "int | Slice | Part"
ALL = Slice()


@dataclass(frozen=True)
class Key:
    """One entry for each axis of the indexed tensor, and NEWAXIS entries between them.  Compares by value."""

    entries: tuple[Entry, ...]

    def __repr__(self) -> str:
        return f"[{', '.join(map(repr, self.entries))}]"

    @property
    def count(self) -> int:
        """How many inputs the pattern asks for."""
        return sum(part in (Part.SCALAR, Part.ARRAY) for part in self._parts())

    def _parts(self) -> Iterator[Any]:
        for entry in self.entries:
            yield from entry if isinstance(entry, Slice) else (entry,)

    @property
    def block(self) -> int:
        """The axis of the result where those of the arrays begin: in their place if side by side, else in front."""
        arrays = [position for position, entry in enumerate(self.entries) if entry is Part.ARRAY]
        return arrays[0] if arrays[-1] - arrays[0] + 1 == len(arrays) else 0

    def filled(self, parts: Iterable[Any]) -> list[Any]:
        """The entries with the inputs' values put in; slices stay Slice."""
        remaining = iter(parts)

        def fill(part: Any) -> Any:
            return next(remaining) if part in (Part.SCALAR, Part.ARRAY) else part

        return [Slice(*map(fill, entry)) if isinstance(entry, Slice) else fill(entry) for entry in self.entries]


def numpy_key(entries: Sequence[Any]) -> tuple:
    """Filled entries as NumPy takes them."""
    return tuple(
        slice(*(None if part is None else int(part) for part in entry))
        if isinstance(entry, Slice)
        else None
        if entry is Part.NEWAXIS
        else entry
        for entry in entries
    )


def scalar_of(part: View) -> Expr | int:
    """The value of a 0-d view, an int where it is known."""
    value = part.at()
    return value.payload if value.is_const else value


def plain(n: Any) -> Any:
    """A length as an int where it is known."""
    return n.payload if isinstance(n, Expr) and n.is_const else n


def check_index(i: int, n: int | None, axis: int, x: TensorVariable) -> None:
    """Errors: IndexOutOfBounds when both are known and ``i`` lies outside the axis."""
    if n is not None and not -n <= i < n:
        raise IndexOutOfBounds(
            f"an index needs {-n} <= i < {n}, because axis {axis} of {x} has length {n}, got {i}", blame=x
        )


# --- slices --------------------------------------------------------------------------------------------------------


def resolve(s: Slice, n: Any) -> tuple[Any, Any, Any]:
    """``(start, length, step)``: element k of the slice is element ``start + k * step`` of an axis of length ``n``.

    All of them ints, or expressions, or tensors.  Bounds beyond the ends are cut, as in Python; where the length is 0,
    ``start`` may be anything.
    """
    step = 1 if s.step is None else s.step
    if all(part is None or isinstance(part, int) for part in (*s, n)):
        found = range(*slice(*s).indices(n))
        return found.start, len(found), step
    if not isinstance(step, int):
        return _resolve_by_step(s, n, step)
    if step > 0:
        return _forwards(s, n, step)
    start = n - 1 if s.start is None else _inside(s.start, n, -1, n - 1)
    stop = -1 if s.stop is None else _inside(s.stop, n, -1, n - 1)
    count = n if s.start is None and s.stop is None else maximum(start - stop, 0)
    return start, _steps(count, -step), step


def _forwards(s: Slice, n: Any, step: int) -> tuple[Any, Any, int]:
    """Lengths of ``x[a:]``, ``x[:-a]`` and ``x[b:b-a]`` are the same expression, so nobody need compare them later."""
    a, b = 0 if s.start is None else s.start, s.stop
    start = a if isinstance(a, int) and a >= 0 else _inside(a, n, 0, n)
    if isinstance(a, int) and a >= 0 and (b is None or (isinstance(b, int) and b < 0)):
        cut = a - (b or 0)
        count = maximum(n - cut, 0) if cut else n
    elif isinstance(a, int) and a < 0 and b is None:
        count = minimum(n, -a)
    else:
        stop = n if b is None else _inside(b, n, 0, n)
        count = stop if isinstance(a, int) and a == 0 else maximum(stop - start, 0)
    return start, _steps(count, step), step


def _resolve_by_step(s: Slice, n: Any, step: Any) -> tuple[Any, Any, Any]:
    """The sign of the step is known only when the function runs."""
    back = less(step, 0)
    low, high = where(back, -1, 0), where(back, n - 1, n)
    start = where(back, high, low) if s.start is None else _inside(s.start, n, low, high)
    stop = where(back, low, high) if s.stop is None else _inside(s.stop, n, low, high)
    return start, maximum(-((start - stop) // step), 0), step


def _inside(bound: Any, n: Any, low: Any, high: Any) -> Any:
    """A bound, counted from the end if negative, cut to low .. high."""
    if isinstance(bound, int):
        return maximum(bound + n, low) if bound < 0 else minimum(bound, high)
    return maximum(minimum(where(less(bound, 0), bound + n, bound), high), low)


def _steps(count: Any, size: int) -> Any:
    return count if size == 1 else (count + (size - 1)) // size


def static_slice_length(s: Slice, n: int | None) -> int | None:
    """The length of the slice of an axis of length ``n`` where that is known.  Errors: ShapeError for a step of 0."""
    if s.step == 0:
        raise ShapeError(f"a slice needs a step that is not 0, got {s}")
    if all(part is None or isinstance(part, int) for part in s):
        if n is not None:
            return len(range(*slice(*s).indices(n)))
        if s.stop == 0 and (s.step is None or s.step > 0):
            return 0
    return None
