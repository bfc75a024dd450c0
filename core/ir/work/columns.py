"""Sums over rows, made in the launch that makes the rows: gradients of weights beside those of what they act on.

Where rows are elementwise work, each work-item goes down a column, makes its elements, and adds them up.  Where rows
hold reductions, few groups take many rows each, one after the other, and add up columns in registers: that serves rows
that lanes hold as a whole; which ones these are, lengths decide when the function runs.  A second launch adds the
parts, in their order, and a row is read once.
"""

from __future__ import annotations

from collections.abc import Sequence

from core.dataclass import dataclass, replace
from core.ir.axes import product
from core.ir.codes import Combine
from core.ir.definitions import Pointwise, Reduction, Value
from core.ir.expr import Expr, const, equal, maximum, minimum, select
from core.ir.nests.items import ordered
from core.ir.nests.vector_access import KEPT_PIECES, MOST_ELEMENTS
from core.ir.nodes import Loop
from core.ir.passes.groups import Item
from core.ir.target import Target
from core.ir.work.launch import Work, ceil_div
from core.ir.work.reductions import reduction_loops
from core.ir.work.rows import Columns, Rows
from core.ir.work.stripes import ACROSS_PARTS, Stripes

MOST_SUMS = 2  # in one launch of rows: each takes 16 registers
SHARE = 4  # one part in so many of the lanes that fill a device takes rows: each has many, and much to hold
FEWEST_LANES = 32  # of a group
FEWEST_ROWS = 4  # that a group takes


@dataclass
class ColumnSums:
    """Items of a group: ``rows``, the ``sums`` over these, and elementwise work ``after`` them, on the sums.

    free, bound  the loops over the results of the sums, and those over rows
    """

    rows: list[Item]
    sums: list[Item]
    after: list[Item]
    free: list[Expr]
    bound: list[Expr]


def column_sums(items: Sequence[Item]) -> ColumnSums | None:
    """The items in their parts, where sums over rows can be launched with what is beside them, and gain by it."""
    sums = [item for item in items if _is_column_sum(item)]
    if not sums:
        return None
    free, bound = sums[0].free, sums[0].bound
    rows = [item for item in items if bound <= item.free]
    after = [item for item in items if item not in rows and item not in sums]
    if not (rows or after) or any((item.free, item.bound) != (free, bound) for item in sums):
        return None
    if any((item.free - bound) | item.bound not in (free, frozenset()) for item in rows):
        return None
    if any(item.free != free or not isinstance(item.definition, Pointwise) for item in after):
        return None
    late = {item.value for item in (*sums, *after)}
    if any(e.payload in late for item in (*rows, *sums) for e in item.loads):
        return None
    made, read = {item.value for item in rows}, {e for item in rows for e in item.loads}
    if rows and not all(any(e.payload in made or e in read for e in item.loads) for item in sums):
        return None
    order = ordered(free | bound, [*rows, *sums])
    by_level = sorted(rows, key=lambda item: item.level), sorted(after, key=lambda item: item.level)
    return ColumnSums(by_level[0], sums, by_level[1], [v for v in order if v in free], [v for v in order if v in bound])


def _is_column_sum(item: Item) -> bool:
    own = item.definition
    if not isinstance(own, Reduction) or own.combine is not Combine.ADD or not item.free or not item.bound:
        return False
    return ordered(item.free | item.bound, [item])[-1] in item.free


def launches(work: Work, found: ColumnSums, stored: set[Item]) -> tuple[Expr | bool, list[Loop]] | None:
    """The launches, and for which lengths: always, or where the returned condition holds.  None: there are no such."""
    whole = {*found.free, *found.bound}
    if all(item.free == whole for item in found.rows):
        if found.rows and ordered(whole, [*found.rows, *found.sums])[-1] not in found.free:
            return None
        return True, reduction_loops(work, found.sums, found.rows, found.after)
    return _by_rows(work, found, stored) if work.target.holds_rows and len(found.sums) <= MOST_SUMS else None


def _by_rows(work: Work, found: ColumnSums, stored: set[Item]) -> tuple[Expr | bool, list[Loop]] | None:
    """Each group makes some rows, and its part of the sums."""
    lanes, length, count = work.target.lanes, product(work.lengths(found.free)), product(work.lengths(found.bound))
    memory = {item: Value(f"parts_of_{item.value}", item.value.dtype) for item in found.sums}
    parts = _parts(work.target, length, count)
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
    finish = Stripes(work, found.sums, found.free, found.bound, (), found.after, ACROSS_PARTS)
    return fits, [loop, finish.take_together(memory, parts)]


def _parts(target: Target, length: Expr, count: Expr) -> Expr:
    """How many groups take the rows: so many that their lanes are a share of those that fill the device."""
    lanes = maximum(minimum(length // (KEPT_PIECES * MOST_ELEMENTS), target.lanes), min(target.lanes, FEWEST_LANES))
    wanted = const(max(target.units * target.lanes // SHARE, 1)) // lanes
    return maximum(minimum(wanted, ceil_div(count, FEWEST_ROWS)), 1)


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
