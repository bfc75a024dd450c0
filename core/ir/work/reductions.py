"""Reductions over what a device spreads out: parts first, each reduced by one group or work-item, then the parts.

The order in which elements are combined depends on lengths alone, so every run gives the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from core.dataclass import replace
from core.ir.axes import product, unravel
from core.ir.codes import Code
from core.ir.definitions import Value
from core.ir.expr import Expr, cast, const, index, make, maximum, minimum, select
from core.ir.nests.accumulators import Accumulator, combined
from core.ir.nests.items import again_in, ordered, root_of
from core.ir.nodes import Barrier, Loop, LoopKind, Store
from core.ir.passes.fuse import Item
from core.ir.work.launch import Launch, Work, ceil_div
from core.ir.work.place import flattened

_ROWS_OF_A_PART = 16  # where neighbouring results are reduced side by side
_ALONE = 16  # elements for each lane of one group: a second launch would take longer than these
_MOST_TAPS = 1024  # that one work-item takes
_TURNS = 32  # in which a group takes parts together, at most


def reduction_loops(
    work: Work, items: list[Item], beside: Sequence[Item] = (), after: Sequence[Item] = ()
) -> list[Loop]:
    """Launches for reductions over the same loops, one behind the other.

    beside  elementwise work over all of these loops, where the elements of neighbouring results lie side by side: it is
            done on the way
    after   elementwise work over the loops of the results, which it may read
    """
    first = items[0]
    order = ordered(first.free | first.bound, [*items, *beside])
    free, bound = [v for v in order if v in first.free], [v for v in order if v in first.bound]
    reduction = _Reduction(work, items, free, bound, beside, after)
    if not free or (order[-1] in first.bound and not _has_small_windows(work, items)):
        return reduction.by_group() if work.target.has_groups else reduction.by_piece()
    return reduction.by_column() if work.target.has_groups else reduction.by_tile()


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


def finish_parts(
    work: Work,
    items: list[Item],
    free: list[Expr],
    bound: list[Expr],
    memory: dict[Item, Value],
    parts: Expr,
    after: Sequence[Item] = (),
) -> Loop:
    """The second launch of such reductions, over parts that another one made: part p at (p, result)."""
    return _Reduction(work, items, free, bound, (), after).finish_by_tile(memory, parts)


class _Reduction:
    """Reductions of ``items`` over ``bound`` for each point of ``free``.

    ``splits`` parts along the reduced loops are wanted; part p of value v at f lies in ``parts[v]`` at (p, f).
    """

    def __init__(
        self,
        work: Work,
        items: list[Item],
        free: list[Expr],
        bound: list[Expr],
        beside: Sequence[Item] = (),
        after: Sequence[Item] = (),
    ):
        self.work, self.target, self.beside, self.after = work, work.target, list(beside), list(after)
        self.items, self.free, self.bound = items, free, bound
        self.free_lengths, self.bound_lengths = work.lengths(free), work.lengths(bound)
        self.results, self.elements = product(self.free_lengths), product(self.bound_lengths)

    # --- how much goes into a part ----------------------------------------------------------------------------------

    def _parts(self, along: Expr, wanted: Expr, least: Expr | int, multiple: int = 1) -> tuple[Expr, Expr]:
        """How many parts of ``along`` iterations, and how long each is; ``wanted`` of ``least`` at least.

        The length is a multiple of ``multiple``, so that each part starts on as good a boundary as the first.
        """
        most = const(1) if self.target.units == 1 else ceil_div(along, least)
        if most is const(1):
            return most, along
        count = maximum(minimum(wanted, most), 1)
        size = ceil_div(ceil_div(along, count), multiple) * multiple
        return maximum(ceil_div(along, maximum(size, 1)), 1), size

    def _memory(self, parts: Expr) -> dict[Item, Value]:
        wide = self.target.has_float64
        return {
            item: self.work.new_value(
                f"parts_of_{item.value}",
                Accumulator(item.value, item.definition, 0, wide).total.dtype,
                (parts, self.results),
            )
            for item in self.items
        }

    def _where_one(self, parts: Expr, direct: Callable[[], Loop], several: Callable[[], list[Loop]]) -> list[Loop]:
        """Launches for both cases, of which one has nothing to do: results at once, where each has one part."""
        one = parts <= 1
        if one.is_const:
            return [direct()] if one.payload else several()
        nothing, loop, pair = const(0), direct(), several()
        return [
            replace(loop, extent=select(one, loop.extent, nothing)),
            *(replace(each, extent=select(one, nothing, each.extent)) for each in pair),
        ]

    # --- a group, or a work-item, has the elements of one result side by side -----------------------------------------

    def by_group(self) -> list[Loop]:
        lanes = self.target.lanes
        wanted = const(self.target.units * self.target.waves) // maximum(self.results, 1)
        wanted = select(self.elements <= _ALONE * lanes, const(1), wanted)
        parts, size = self._parts(self.elements, wanted, max(lanes, self.target.piece), lanes)

        def several() -> list[Loop]:
            memory = self._memory(_none_of_one(parts))
            return [self._groups(parts, size, memory), self._finish_by_group(memory, parts)]

        return self._where_one(parts, lambda: self._groups(const(1), self.elements, None), several)

    def _groups(self, parts: Expr, size: Expr, memory: dict[Item, Value] | None) -> Loop:
        """Each group reduces a part: into ``memory``, or whole results where that is None."""
        launch = Launch(self.work)
        group = launch.open("g", parts * self.results)
        part = self._located(launch, group, parts)
        first = launch.nest.let(part * size)
        accumulators = launch.start(self.items)
        lane = launch.open("lane", minimum(size, self.elements - first))
        element = launch.flat(self.bound)
        launch.nest.know(element, first + lane, launch.nest.depth)
        launch.update(accumulators)
        launch.close(LoopKind.LANES, [pair for a in accumulators.values() for pair in a.reductions()])
        which = Accumulator.result if memory is None else _partial
        totals = {item: launch.nest.named(which(a)) for item, a in accumulators.items()}
        launch.open("once", const(1))
        self._store_parts(launch, totals, group, memory)
        launch.close(LoopKind.LANES)
        return launch.finished(LoopKind.GROUPS)

    def _store_parts(
        self, launch: Launch, totals: dict[Item, Expr], position: Expr, memory: dict[Item, Value] | None
    ) -> None:
        if memory is None:
            self._store_results(launch, totals, position)
            return
        for item, total in totals.items():
            launch.nest.emit(Store(memory[item], position, total))

    def _located(self, launch: Launch, position: Expr, parts: Expr) -> Expr:
        """Where a position among (part, result) is: the variables of the result are known, the part is returned."""
        if parts.is_const and parts.payload == 1:
            launch.where.update(flattened(self.free, self.free_lengths, position))
            return const(0)
        if not self.free:
            return position
        part, *rest = flattened([const(0), *self.free], [parts, *self.free_lengths], position).values()
        launch.where.update(zip(self.free, rest, strict=True))
        return part

    def _finish_by_group(self, memory: dict[Item, Value], parts: Expr) -> Loop:
        launch = Launch(self.work)
        result = launch.open("g", self.results)
        accumulators = launch.start(self.items)
        part = launch.open("part", parts)
        self._combine_parts(launch, accumulators, memory, part * self.results + result)
        launch.close(LoopKind.LANES, [pair for a in accumulators.values() for pair in a.reductions()])
        totals = {item: launch.nest.named(a.result()) for item, a in accumulators.items()}
        launch.open("once", const(1))
        self._store_results(launch, totals, result)
        launch.close(LoopKind.LANES)
        return launch.finished(LoopKind.GROUPS)

    def _combine_parts(
        self, launch: Launch, accumulators: dict[Item, Accumulator], memory: dict[Item, Value], at: Expr
    ) -> None:
        loads = {item: make(Code.LOAD, memory[item].dtype, (at,), memory[item]) for item in self.items}
        launch.nest.begin(list(loads.values()))
        for item, accumulator in accumulators.items():
            launch.nest.emit(*accumulator.update(launch.nest.value(loads[item]), launch.nest.let))

    def _store_results(self, launch: Launch, totals: dict[Item, Expr], result: Expr) -> None:
        launch.where.update(flattened(self.free, self.free_lengths, result))
        places = launch.places()
        for item, total in totals.items():
            again = again_in(item, self.after)
            if again is not None:
                launch.nest.know(places.expr(again), total, launch.nest.depth)
            if again is None or item.value in self.work.kept:
                launch.nest.emit(launch.store(places, item, total))
        if self.after:
            launch.pointwise(self.after, self.after)

    def by_piece(self) -> list[Loop]:
        split = Launch(self.work).split(self.bound, self.items)
        along = self.bound_lengths[0] if split else self.elements
        inside = product(self.bound_lengths[1:]) if split else const(1)
        least = ceil_div(const(4 * self.target.piece), maximum(inside, 1))
        parts, size = self._parts(along, ceil_div(const(self.target.units), maximum(self.results, 1)), least)

        def several() -> list[Loop]:
            memory = self._memory(_none_of_one(parts))
            return [self._pieces(split, parts, size, memory), self._finish_by_piece(memory, parts)]

        return self._where_one(parts, lambda: self._pieces(split, const(1), along, None), several)

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
        part = self._located(launch, row, parts)
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
        which = Accumulator.result if memory is None else _partial
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
        self._combine_parts(launch, accumulators, memory, part * self.results + result)
        launch.close(LoopKind.ORDER)
        self._store_results(launch, {item: a.result() for item, a in accumulators.items()}, launch.nest.let(result))
        if self.free:
            launch.close(LoopKind.GRID)
        return launch.finished(LoopKind.ITEMS)

    # --- the elements of neighbouring results lie side by side --------------------------------------------------------

    def by_column(self) -> list[Loop]:
        """Each work-item has one part of one result; neighbours read neighbours."""
        wanted = const(self.target.units * self.target.lanes) // maximum(self.results, 1)
        parts, size = self._parts(self.bound_lengths[0], wanted, _ROWS_OF_A_PART)

        def several() -> list[Loop]:
            memory = self._memory(_none_of_one(parts))
            return [self._columns(parts, size, memory), self._finish_by_group(memory, parts)]

        return self._where_one(parts, lambda: self._columns(const(1), self.bound_lengths[0], None), several)

    def _columns(self, parts: Expr, size: Expr, memory: dict[Item, Value] | None) -> Loop:
        launch = Launch(self.work)
        position = launch.open("e", parts * self.results)
        part = self._located(launch, position, parts)
        begin = launch.nest.let(part * size)
        accumulators = launch.start(self.items)
        step = launch.open("i", minimum(size, self.bound_lengths[0] - begin))
        launch.nest.know(launch.flat(self.bound[:1]), begin + step, launch.nest.depth)
        for variable in self.bound[1:]:
            launch.open_own(variable)
        if self.beside:
            launch.pointwise(self.beside, [*self.beside, *self.items])
        launch.update(accumulators)
        while launch.nest.depth > 1:
            launch.close(LoopKind.ORDER)
        which = Accumulator.result if memory is None else _partial
        self._store_parts(launch, {item: which(a) for item, a in accumulators.items()}, position, memory)
        return launch.finished(LoopKind.ITEMS)

    def finish_by_tile(self, memory: dict[Item, Value], parts: Expr) -> Loop:
        """A group has a few neighbouring results: lanes beside each other read those, and turns of them the parts."""
        across = max(self.target.lanes // _TURNS, min(self.target.lanes, 2))
        turns, launch = self.target.lanes // across, Launch(self.work)
        group = launch.open("g", ceil_div(self.results, across))
        lane = launch.open("lane", const(across * turns))
        turn, column = (launch.nest.let(e) for e in unravel(lane, [const(turns), const(across)]))
        result = launch.nest.let(group * across + column)
        accumulators = launch.start(self.items)
        step = launch.open("i", ceil_div(parts - turn, turns))
        part = launch.nest.let(turn + step * turns)
        self._combine_parts(launch, accumulators, memory, part * self.results + minimum(result, self.results - 1))
        launch.close(LoopKind.ORDER)
        arrays = {item: Value(f"turns_of_{item.value}", a.total.dtype) for item, a in accumulators.items()}
        for item, accumulator in accumulators.items():
            launch.nest.emit(Store(arrays[item], lane, accumulator.total.expr))
        launch.close(LoopKind.LANES)
        column = launch.open("column", minimum(self.results - group * across, across))
        accumulators = launch.start(self.items)
        turn = launch.open("turn", const(turns))
        self._combine_parts(launch, accumulators, arrays, turn * across + column)
        launch.close(LoopKind.ORDER)
        totals = {item: launch.nest.let(a.result()) for item, a in accumulators.items()}
        self._store_results(launch, totals, launch.nest.let(group * across + column))
        launch.close(LoopKind.LANES)
        launch.nest.emit(Barrier())
        self.work.arrays.update(dict.fromkeys(arrays.values(), across * turns))
        return launch.finished(LoopKind.GROUPS)

    def by_tile(self) -> list[Loop]:
        """Each work-item adds one part of the rows into a tile of results, which stays in its cache."""
        launch = Launch(self.work)
        split = launch.split(self.free, self.items)
        rows, columns = product(self.free_lengths[:split]), product(self.free_lengths[split:])
        tiles = ceil_div(columns, self.target.piece)
        parts, size = self._parts(
            self.bound_lengths[0], const(self.target.units) // maximum(rows * tiles, 1), _ROWS_OF_A_PART
        )
        memory = self._memory(parts)
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


def _none_of_one(parts: Expr) -> Expr:
    """How many parts lie in memory: none where there is one, which is the result."""
    return select(parts <= 1, const(0), parts)


def _partial(accumulator: Accumulator) -> Expr:
    """What is known of a part: the register as wide as it is, NaN instead of a flag."""
    return accumulator.result() if accumulator.flag is not None else accumulator.total.expr
