"""Keys of stacks: ``x[key]`` for each of many computations whose indices differ, as one gather or scatter.

What ``batch`` of the indexing ops uses where a part of the key is a stack; where x alone is one, a slice in front does.
"""

from __future__ import annotations

from collections.abc import Sequence

from core.graph import Variable
from core.tensor.create import arange
from core.tensor.dimshuffle import DimShuffle
from core.tensor.keys import Entry, Key, Part, Slice
from core.tensor.shape import shape_i
from core.tensor.stacks import in_front
from core.tensor.type import TensorVariable, constant


def stacked_key(
    key: Key, inputs: Sequence[TensorVariable], old: Sequence[Variable]
) -> tuple[Key, list[TensorVariable], list[int]] | None:
    """The key with index arrays that names the places of all computations at once, its parts, and an order of axes.

    ``inputs`` are x and the parts of ``key``, of which some are stacks of what they are in ``old``.  The axes of
    ``x[key]`` in this order are the stack's, and then those of one result.

    Returns None where a bound of a slice differs within the stack: the results might have different lengths.
    """
    ndim = max((part.type.ndim for part in old[1:]), default=0)  # type: ignore[attr-defined]
    remaining = zip(inputs[1:], old[1:], strict=True)
    entries: list[Entry] = []
    parts: list[TensorVariable] = []
    for entry in key.entries:
        if isinstance(entry, Slice):
            for _ in range(entry.count(Part.SCALAR)):
                bound, one = next(remaining)
                if bound.ndim != one.type.ndim:  # type: ignore[attr-defined]
                    return None
                parts.append(bound)
            entries.append(entry)
        elif entry is Part.NEWAXIS:
            entries.append(entry)
        else:
            entries.append(Part.ARRAY)
            index = constant(entry, dtype="int64") if isinstance(entry, int) else in_front(*next(remaining), ndim)
            parts.append(index)
    if inputs[0].ndim > old[0].type.ndim:  # type: ignore[attr-defined]
        entries.insert(0, Part.ARRAY)
        parts.insert(0, DimShuffle(1, (0, *"x" * ndim))(arange(shape_i(inputs[0], 0))))
    new = Key(tuple(entries))
    return new, parts, _order(new.block, key.block if Part.ARRAY in key.entries else 0, ndim, entries)


def _order(block: int, old_block: int, ndim: int, entries: Sequence[Entry]) -> list[int]:
    """Axes of the result: the stack's is at ``block``; ``ndim`` ones of the arrays follow, and go to ``old_block``."""
    count = sum(entry is not Part.ARRAY for entry in entries)
    rest = [axis if axis < block else axis + 1 + ndim for axis in range(count)]
    return [block, *rest[:old_block], *range(block + 1, block + 1 + ndim), *rest[old_block:]]
