"""Sums over rows, made in the launch that makes the rows: gradients of weights and biases beside those of what they act on.

Few groups take many rows each, one after the other, and add up their columns in registers; a second launch adds what the
groups have, in their order.  So a row is read once.  It serves rows that lanes hold in registers as a whole; which ones
these are, lengths decide when the function runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from core.ir.axes import product
from core.ir.expr import Combine, Expr, const, equal, maximum, minimum, select
from core.ir.nests.items import ordered
from core.ir.nests.vector_access import KEPT_PIECES, MOST_ELEMENTS
from core.ir.nodes import Loop
from core.ir.passes.fuse import Item
from core.ir.program import Pointwise, Reduction, Value
from core.ir.work.launch import Work
from core.ir.work.reductions import finish_parts
from core.ir.work.rows import Columns, Rows

MOST_SUMS = 2  # in one launch: each takes 16 registers
SHARE = 4  # one part in so many of the groups that fill a device takes rows: each has many, and much to hold


@dataclass
class ColumnSums:
    """Items of a group: ``rows``, the ``sums`` over these, and what is made of the sums ``after`` them.

    free, bound  the loops over the results of the sums, and those over rows
    """

    rows: list[Item]
    sums: list[Item]
    after: list[Item]
    free: list[Expr]
    bound: list[Expr]


def column_sums(items: Sequence[Item]) -> ColumnSums | None:
    """The items in their parts, where rows and sums over them can be one launch and gain by it."""
    sums = [item for item in items if _is_column_sum(item)]
    if not 0 < len(sums) <= MOST_SUMS:
        return None
    free, bound = sums[0].free, sums[0].bound
    rows = [item for item in items if bound <= item.free]
    after = [item for item in items if item not in rows and item not in sums]
    if not rows or any((item.free, item.bound) != (free, bound) for item in sums):
        return None
    if any((item.free - bound) | item.bound and (item.free - bound) | item.bound != free for item in rows):
        return None
    if any(item.free != free or not isinstance(item.definition, Pointwise) for item in after):
        return None
    late = {item.value for item in (*sums, *after)}
    if any(e.payload in late for item in (*rows, *sums) for e in item.loads):
        return None
    made, read = {item.value for item in rows}, {e for item in rows for e in item.loads}
    if not all(any(e.payload in made or e in read for e in item.loads) for item in sums):
        return None
    order = ordered(free | bound, [*rows, *sums])
    return ColumnSums(rows, sums, after, [v for v in order if v in free], [v for v in order if v in bound])


def _is_column_sum(item: Item) -> bool:
    own = item.definition
    if not isinstance(own, Reduction) or own.combine is not Combine.ADD or not item.free or not item.bound:
        return False
    return ordered(item.free | item.bound, [item])[-1] in item.free


def fused(
    work: Work, found: ColumnSums, stored: set[Item], rest: Callable[[list[Item], list[Expr]], list[Loop]]
) -> tuple[Expr | bool, list[Loop]] | None:
    """The launches, and for which lengths: always, or where the returned condition holds.  None: rows cannot fit."""
    lanes, groups = work.target.lanes, work.target.units
    length, count = product(work.lengths(found.free)), product(work.lengths(found.bound))
    wanted = maximum(const(max(groups // SHARE, 1)), const(groups * lanes) // maximum(length, 1))
    parts = maximum(minimum(wanted, count), 1)
    memory = {item: Value(f"parts_of_{item.value}", item.value.dtype) for item in found.sums}
    columns = Columns(found.sums, found.free, parts, memory, KEPT_PIECES * MOST_ELEMENTS * lanes)
    rows = Rows(work, found.rows, found.bound, stored, columns)
    loop, taken = rows.loop(length), rows.launch.taken
    fits = does_fit(length, taken // KEPT_PIECES, taken * lanes) if taken else False
    if fits is False:
        for array in columns.own.values():
            del work.arrays[array]
        return None
    work.arrays.update(dict.fromkeys(columns.own.values(), taken * lanes))
    lying = parts if fits is True else select(fits, parts, const(0))
    for item in found.sums:
        work.shapes[memory[item]] = (lying, length)
        work.scratch.append(memory[item])
    loops = [loop, finish_parts(work, found.sums, found.free, found.bound, memory, parts)]
    return fits, loops + (rest(found.after, found.free) if found.after else [])


def does_fit(length: Expr, width: int, capacity: int) -> Expr | bool:
    """Whether a row is a whole number of pieces that the lanes of a group can hold."""
    if length.is_const:
        return length.payload % width == 0 and 0 < length.payload <= capacity
    return select(equal(length % width, 0), length <= capacity, const(False, "bool"))


def either(condition: Expr, loops: Sequence[Loop], others: Sequence[Loop]) -> list[Loop]:
    """Launches of which lengths decide: ``loops`` where ``condition`` holds, else the others."""
    nothing = const(0)
    return [
        *(replace(loop, extent=select(condition, loop.extent, nothing)) for loop in loops),
        *(replace(loop, extent=select(condition, nothing, loop.extent)) for loop in others),
    ]
