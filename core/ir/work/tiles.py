"""Elementwise work that reads some operand across its rows, ``x + x.T``, for groups with lanes: tile by tile.

Lanes take neighbouring elements of the result, so what lies the other way is read a row apart: of every line of memory
that is fetched, one element is used.  Here a group first brings a tile of such an operand into the memory that it
shares, along the operand's own rows, and then reads it from there, along those of the result.
"""

from __future__ import annotations

from collections.abc import Sequence

from core.ir.axes import product, unravel
from core.ir.codes import Code
from core.ir.definitions import Value
from core.ir.expr import Expr, const, guarded, index, make
from core.ir.nests.items import root_of
from core.ir.nodes import Barrier, Loop, LoopKind, Store
from core.ir.passes.groups import Item
from core.ir.rebuild import unconditional
from core.ir.work.launch import Launch, Work, ceil_div
from core.ir.work.place import flattened

SIDE = 32  # of a tile, in elements: a row of it is what a warp moves at once
PITCH = SIDE + 1  # from row to row, so that the elements of a column lie in different banks
ROWS = 8  # that a group of 256 lanes moves at once
MOST = 3  # tiles of a launch: with more, fewer groups find room at once


def tile_loop(work: Work, items: Sequence[Item], variables: Sequence[Expr]) -> Loop | None:
    """The launch over ``variables``, the last of them innermost; None where nothing is read across."""
    found = _across(work, items, variables)
    if found is None:
        return None
    return _Tiles(work, items, variables, *found).loop()


def _across(work: Work, items: Sequence[Item], variables: Sequence[Expr]) -> tuple[Expr, list[Expr]] | None:
    """The variable along which some loads lie, which is not the innermost one, and those loads."""
    if len(variables) < 2:
        return None
    inner, always = variables[-1], unconditional([root_of(item) for item in items])
    written = {item.value for item in items}
    loads: dict[Expr, dict[Expr, None]] = {}
    for item in items:
        for e in item.loads:
            last = e.args[-1] if e.args else inner
            if e not in always or e.payload in written or last is inner or last not in variables:
                continue
            others = e.args[:-1]
            if sum(i is inner for i in others) == 1 and not any(
                i is not inner and (inner in i.free or last in i.free) for i in others
            ):
                loads.setdefault(last, {})[e] = None
    if not loads:
        return None
    across = max(loads, key=lambda v: len(loads[v]))
    if any(_is_short(work.extents[v]) for v in (across, inner)):
        return None
    return across, list(loads[across])[:MOST]


def _is_short(extent: Expr) -> bool:
    """Whether most of a tile would be empty."""
    return extent.is_const and extent.payload < SIDE // 2


class _Tiles:
    """The launch while it is written: ``loads`` lie along ``across``, the result along ``inner``."""

    def __init__(
        self, work: Work, items: Sequence[Item], variables: Sequence[Expr], across: Expr, loads: Sequence[Expr]
    ):
        self.work, self.items, self.launch = work, items, Launch(work)
        self.across, self.inner, self.loads = across, variables[-1], loads
        self.outer = [v for v in variables if v is not across and v is not self.inner]
        self.tiles = [Value(f"tile_of_{e.payload}", e.dtype) for e in loads]

    def loop(self) -> Loop:
        launch, work = self.launch, self.work
        lengths = work.lengths([self.across, self.inner])
        counts = [ceil_div(n, SIDE) for n in lengths]
        at = [index("down"), index("right")]
        group = launch.open("g", product([*work.lengths(self.outer), *counts]))
        places = flattened([*self.outer, *at], [*work.lengths(self.outer), *counts], group)
        launch.where.update({v: launch.nest.let(places[v]) for v in self.outer})
        top, left = (launch.nest.let(places[v] * SIDE) for v in at)
        self._bring(top, left, lengths)
        self._compute(top, left, lengths)
        launch.nest.emit(Barrier())  # nobody brings the next tile before all have read this one
        work.arrays.update(dict.fromkeys(self.tiles, SIDE * PITCH))
        return launch.finished(LoopKind.GROUPS)

    def _bring(self, top: Expr, left: Expr, lengths: Sequence[Expr]) -> None:
        """Neighbouring lanes read neighbours along ``across``."""
        launch = self.launch
        first, column = self._open_lanes()
        row = self._open_rows(first)
        down, right = top + column, left + row
        inside = (down < lengths[0]) & (right < lengths[1])
        launch.where.update({self.across: down, self.inner: right})
        places = launch.places()
        for load, tile in zip(self.loads, self.tiles, strict=True):
            value = guarded(inside, places.expr(load), const(0, load.dtype))
            launch.nest.emit(Store(tile, row * PITCH + column, value))
        launch.close(LoopKind.ORDER)
        launch.close(LoopKind.LANES)

    def _compute(self, top: Expr, left: Expr, lengths: Sequence[Expr]) -> None:
        """Neighbouring lanes make neighbours along ``inner``.  Beyond an edge nothing is read, in no row either."""
        launch = self.launch
        first, column = self._open_lanes()
        launch.nest.open_if()
        right = launch.nest.let(left + column)  # what it alone decides is computed here, for all rows
        row = self._open_rows(first)
        down = top + row
        launch.where.update({self.across: down, self.inner: right})
        places = launch.places()
        for load, tile in zip(self.loads, self.tiles, strict=True):
            here = make(Code.LOAD, load.dtype, (column * PITCH + row,), tile)
            launch.nest.know(places.expr(load), here, launch.nest.depth)
        launch.pointwise(self.items, self.items)
        launch.nest.close(LoopKind.ORDER, condition=down < lengths[0])
        launch.nest.close_if(left + column < lengths[1])
        launch.close(LoopKind.LANES)

    def _open_lanes(self) -> tuple[Expr, Expr]:
        """Open the loop over lanes: the first row of a tile and the column that one has."""
        launch = self.launch
        first, column = unravel(launch.open("lane", const(ROWS * SIDE)), [const(ROWS), const(SIDE)])
        return launch.nest.let(first), launch.nest.let(column)

    def _open_rows(self, first: Expr) -> Expr:
        """Open the loop over the rows that a lane has: every so many from its first."""
        return first + self.launch.open("step", const(SIDE // ROWS)) * ROWS
