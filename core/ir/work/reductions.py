"""Reductions over what a device spreads out: parts first, each reduced by one group or work-item, then the parts.

The order in which elements are combined depends on lengths alone, so every run gives the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence

from core.ir.axes import product, unravel
from core.ir.codes import Code
from core.ir.definitions import Value
from core.ir.expr import Expr, cast, const, index, make, maximum, minimum, select
from core.ir.nests.accumulators import Accumulator, combined
from core.ir.nests.items import ordered, root_of
from core.ir.nodes import Loop, LoopKind, Store
from core.ir.passes.groups import Item
from core.ir.target import Target
from core.ir.work.launch import Launch, Work, ceil_div
from core.ir.work.parts import ROWS_OF_A_PART, InParts, none_of_one, partial
from core.ir.work.place import flattened
from core.ir.work.stripes import Stripes

ALONE = 16  # elements for each lane of one group: a second launch would take longer than these
_MOST_TAPS = 1024  # that one work-item takes


def reduction_loops(
    work: Work, items: list[Item], beside: Sequence[Item] = (), after: Sequence[Item] = ()
) -> list[Loop]:
    """Launches for reductions over the same loops, one behind the other.

    beside  elementwise work over all of these loops, on devices with groups: it is done on the way
    after   elementwise work over the loops of the results, which it may read
    """
    first = items[0]
    order = ordered(first.free | first.bound, [*items, *beside])
    free, bound = [v for v in order if v in first.free], [v for v in order if v in first.bound]
    how = (work, items, free, bound, beside, after)
    if not free or (order[-1] in first.bound and not _has_small_windows(work, items)):
        return _Reduction(*how).by_group() if work.target.has_groups else _Reduction(*how).by_piece()
    return Stripes(*how).launches() if work.target.has_groups else _Reduction(*how).by_tile()


def is_short(length: Expr, target: Target) -> bool:
    """Whether one group is certainly enough for a row of that length."""
    return length.is_const and length.payload <= ALONE * target.lanes


def _has_small_windows(work: Work, items: Sequence[Item]) -> bool:
    """Whether each result reads few elements, beside and among those of its neighbours: a convolution, pooling.

    Lanes of a group would mostly be idle, and read nothing side by side that neighbouring results do not.
    """
    first = items[0]
    taps = product(work.lengths(first.bound))
    if not (work.target.has_groups and taps.is_const and taps.payload <= _MOST_TAPS):
        return False
    return any(
        e.args and not (e.args[-1].free.isdisjoint(first.bound) or e.args[-1].free.isdisjoint(first.free))
        for e in first.loads
    )


class _Reduction(InParts):
    """What each group, or work-item, has of it."""

    # --- a group, or a work-item, has the elements of one result side by side -----------------------------------------

    def by_group(self) -> list[Loop]:
        lanes = self.target.lanes
        wanted = const(self.target.units * self.target.waves) // maximum(self.results, 1)
        wanted = select(self.elements <= ALONE * lanes, const(1), wanted)
        parts, size = self.parts(self.elements, wanted, max(lanes, self.target.piece), lanes)

        def several() -> list[Loop]:
            memory = self.memory(none_of_one(parts))
            first = self._groups(parts, size, memory)
            return [first] if self.target.finishes else [first, self._finish_by_group(memory, parts)]

        return self.where_one(parts, lambda: self._groups(const(1), self.elements, None), several)

    def _groups(self, parts: Expr, size: Expr, memory: dict[Item, Value] | None) -> Loop:
        """Each group reduces a part: into ``memory``, or whole results where that is None."""
        launch = Launch(self.work)
        group = launch.open("g", parts * self.results)
        part = self.located(launch, group, parts)
        first = launch.nest.let(part * size)
        accumulators = launch.start(self.items)
        lane = launch.open("lane", minimum(size, self.elements - first))
        element = launch.flat(self.bound)
        launch.nest.know(element, first + lane, launch.nest.depth)
        self.take(launch, accumulators)
        launch.close(LoopKind.LANES, [pair for a in accumulators.values() for pair in a.reductions()])
        which = Accumulator.result if memory is None else partial
        totals = {item: launch.nest.named(which(a)) for item, a in accumulators.items()}
        launch.open("once", const(1))
        self._store_parts(launch, totals, group, memory)
        launch.close(LoopKind.LANES)
        if memory is not None and self.target.finishes:
            result = launch.nest.let(unravel(group, [parts, self.results])[1]) if self.free else const(0)
            most = self.target.units * self.target.waves // 2  # results of which there are several parts
            with self.last_of(launch, result, parts, self.results, most):
                self._finish(launch, memory, parts, result)
        return launch.finished(LoopKind.GROUPS)

    def _store_parts(
        self, launch: Launch, totals: dict[Item, Expr], position: Expr, memory: dict[Item, Value] | None
    ) -> None:
        if memory is None:
            self.store(launch, totals, position)
            return
        for item, total in totals.items():
            launch.nest.emit(Store(memory[item], position, total))

    def _finish_by_group(self, memory: dict[Item, Value], parts: Expr) -> Loop:
        launch = Launch(self.work)
        self._finish(launch, memory, parts, launch.open("g", self.results))
        return launch.finished(LoopKind.GROUPS)

    def _finish(self, launch: Launch, memory: dict[Item, Value], parts: Expr, result: Expr) -> None:
        """A group takes the parts of a result together."""
        accumulators = launch.start(self.items)
        part = launch.open("part", parts)
        self.combine(launch, accumulators, memory, part * self.results + result)
        launch.close(LoopKind.LANES, [pair for a in accumulators.values() for pair in a.reductions()])
        totals = {item: launch.nest.named(a.result()) for item, a in accumulators.items()}
        launch.open("once", const(1))
        self.store(launch, totals, result)
        launch.close(LoopKind.LANES)

    def by_piece(self) -> list[Loop]:
        split = Launch(self.work).split(self.bound, self.items)
        along = self.bound_lengths[0] if split else self.elements
        inside = product(self.bound_lengths[1:]) if split else const(1)
        least = ceil_div(const(4 * self.target.piece), maximum(inside, 1))
        parts, size = self.parts(along, ceil_div(const(self.target.units), maximum(self.results, 1)), least)

        def several() -> list[Loop]:
            memory = self.memory(none_of_one(parts))
            return [self._pieces(split, parts, size, memory), self._finish_by_piece(memory, parts)]

        return self.where_one(parts, lambda: self._pieces(split, const(1), along, None), several)

    def _pieces(self, split: int, parts: Expr, size: Expr, memory: dict[Item, Value] | None) -> Loop:
        """Each work-item reduces some parts: into ``memory``, or whole results where that is None."""
        launch = Launch(self.work)
        along = self.bound_lengths[0] if split else self.elements
        inside = product(self.bound_lengths[1:]) if split else const(1)
        if memory is None and not self.free:
            row = launch.open("once", const(1))
        else:
            least = maximum(const(self.target.piece) // maximum(size * inside, 1), 1)
            first, count = launch.open_piece(parts * self.results, least)
            row = launch.nest.let(first + launch.open("row", count))
        outside = launch.nest.depth
        part = self.located(launch, row, parts)
        begin = launch.nest.let(part * size)
        accumulators = launch.start(self.items)
        step = launch.open("i", minimum(size, along - begin))
        outermost = launch.flat(self.bound[:1] if split else self.bound)
        launch.nest.know(outermost, begin + step, launch.nest.depth)
        for variable in self.bound[1:split]:
            launch.open_own(variable)
        if split:
            launch.nest.open(launch.flat(self.bound[split:]))
        launch.update(accumulators)
        launch.close(LoopKind.SIMD, [pair for a in accumulators.values() for pair in a.reductions()])
        while launch.nest.depth > outside:
            launch.close(LoopKind.ORDER)
        which = Accumulator.result if memory is None else partial
        self._store_parts(launch, {item: which(a) for item, a in accumulators.items()}, row, memory)
        if launch.nest.depth > 1:
            launch.close(LoopKind.GRID)
        return launch.finished(LoopKind.ITEMS)

    def _finish_by_piece(self, memory: dict[Item, Value], parts: Expr) -> Loop:
        launch = Launch(self.work)
        if self.free:
            first, size = launch.open_piece(self.results)
            result = first + launch.open("i", size)
        else:
            result = launch.open("once", const(1))
        accumulators = launch.start(self.items)
        part = launch.open("part", parts)
        self.combine(launch, accumulators, memory, part * self.results + result)
        launch.close(LoopKind.ORDER)
        self.store(launch, {item: a.result() for item, a in accumulators.items()}, launch.nest.let(result))
        if self.free:
            launch.close(LoopKind.GRID)
        return launch.finished(LoopKind.ITEMS)

    # --- the elements of neighbouring results lie side by side, and a work-item has a piece of them -------------------

    def by_tile(self) -> list[Loop]:
        """Each work-item adds one part of the rows into a tile of results, which stays in its cache."""
        launch = Launch(self.work)
        split = launch.split(self.free, self.items)
        rows, columns = product(self.free_lengths[:split]), product(self.free_lengths[split:])
        tiles = ceil_div(columns, self.target.piece)
        parts, size = self.parts(
            self.bound_lengths[0], const(self.target.units) // maximum(rows * tiles, 1), ROWS_OF_A_PART
        )
        memory = self.memory(parts)
        piece = launch.open("piece", parts * rows * tiles)
        at = [index("part"), index("row"), index("tile")]
        part, row, tile = (launch.nest.let(e) for e in flattened(at, [parts, rows, tiles], piece).values())
        launch.where.update(flattened(self.free[:split], self.free_lengths[:split], row))
        left = launch.nest.let(tile * self.target.piece)
        width = launch.nest.let(minimum(columns - left, self.target.piece))
        start = launch.nest.let(part * self.results + row * columns + left)
        clear = launch.open("c", width)
        for item in self.items:
            identity = const(item.definition.combine.identity(memory[item].dtype), memory[item].dtype)
            launch.nest.emit(Store(memory[item], start + clear, identity))
        launch.close(LoopKind.SIMD)
        begin = launch.nest.let(part * size)
        step = launch.open("i", minimum(size, self.bound_lengths[0] - begin))
        launch.nest.know(launch.flat(self.bound[:1]), begin + step, launch.nest.depth)
        for variable in self.bound[1:]:
            launch.open_own(variable)
        column = launch.open("c", width)
        launch.nest.know(launch.flat(self.free[split:]), left + column, launch.nest.depth)
        self._grow(launch, memory, start + column)
        launch.close(LoopKind.SIMD)
        while launch.nest.depth > 1:
            launch.close(LoopKind.ORDER)
        return [launch.finished(LoopKind.ITEMS), self._finish_by_piece(memory, parts)]

    def _grow(self, launch: Launch, memory: dict[Item, Value], at: Expr) -> None:
        places = launch.places()
        roots = [places.expr(root_of(item)) for item in self.items]
        launch.nest.begin(roots)
        for item, root in zip(self.items, roots, strict=True):
            value = memory[item]
            so_far = make(Code.LOAD, value.dtype, (at,), value)
            new = cast(launch.nest.value(root), value.dtype)
            launch.nest.emit(Store(value, at, combined(item.definition.combine, so_far, new)))
