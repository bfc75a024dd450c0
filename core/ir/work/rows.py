"""A launch whose shared loops are rows: each is run by one group, or one after the other by a work-item.

Inside a row (of softmax, of layer norm) items run in stages, one loop for each level and set of inner loops, which
lanes share.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from core.ir.axes import product
from core.ir.codes import Code
from core.ir.definitions import Value
from core.ir.expr import Expr, const, make, maximum
from core.ir.nests.accumulators import combined
from core.ir.nests.items import again_in, ordered
from core.ir.nodes import Barrier, Loop, LoopKind, Store
from core.ir.passes.groups import Item
from core.ir.work.launch import Launch, Work, ceil_div
from core.ir.work.place import Places


class Stage:
    """Items of one level with the same inner loops: ``free`` ones of their own axes, ``bound`` ones to reduce over."""

    def __init__(self, free: list[Expr], bound: list[Expr], items: list[Item]):
        self.free, self.bound, self.items = free, bound, items


class Columns:
    """Sums over rows that are made with them: each group adds up those of its own rows.

    items  the sums;  free  the loops of their results, which lanes share
    parts  how many groups there are: that many sums each becomes
    memory where they lie, (parts, results);  own  what a group has of them, an array that its lanes share
    """

    def __init__(self, items: list[Item], free: list[Expr], parts: Expr, memory: dict[Item, Value], size: int):
        self.items, self.free, self.parts, self.memory, self.size = items, free, parts, memory, size
        self.own = {item: Value(f"sums_of_{item.value}", item.value.dtype) for item in items}

    @property
    def level(self) -> int:
        return max(item.level for item in self.items)


class Rows:
    """The launch, while it is written.  ``stored`` are the items that must be in memory.

    columns  sums over the rows that are made as they pass
    """

    def __init__(
        self, work: Work, items: list[Item], shared: list[Expr], stored: set[Item], columns: Columns | None = None
    ):
        self.work, self.items, self.shared, self.launch = work, items, shared, Launch(work)
        self._stored, self.columns = stored, columns
        self.readers = items if columns is None else [*items, *columns.items]

    def loop(self, fits: Expr | None = None) -> Loop:
        """The whole launch; ``fits``: the length of its rows, where it is for such as fit (nests/vector_access.py)."""
        launch, shared = self.launch, self.shared
        total = product(self.work.lengths(shared))
        if self.columns is not None:
            group = launch.open("g", self.columns.parts)
            self._over_columns(lambda own, at: Store(own, at, const(0, own.dtype)))
            turn = launch.open("turn", ceil_div(total - group, self.columns.parts))
            launch.nest.know(launch.flat(shared), launch.nest.let(group + turn * self.columns.parts), 2)
        elif launch.target.has_groups:
            launch.nest.open(launch.flat(shared))
        else:
            widest = max(self._stages(), key=lambda stage: len(stage.free) + len(stage.bound))
            length = product(self.work.lengths([*widest.free, *widest.bound]))
            first, size = launch.open_piece(total, maximum(const(launch.target.piece) // maximum(length, 1), 1))
            row = launch.flat(shared)
            launch.nest.know(row, first + launch.open("row", size), launch.nest.depth)
        depth = launch.nest.depth
        for stage in self._stages():
            self._stage(stage)
            assert launch.nest.depth == depth
        if self.columns is not None:
            launch.close(LoopKind.ORDER)
            self._leave(self.columns, group)
        elif depth > 1:
            launch.close(LoopKind.GRID)
        return launch.finished(LoopKind.GROUPS if launch.target.has_groups else LoopKind.ITEMS, fits)

    def _over_columns(self, store: Callable[[Value, Expr], Store]) -> None:
        """A loop over the columns that stores something for each sum."""
        assert self.columns is not None
        launch = self.launch
        at = launch.flat(self.columns.free)
        launch.nest.open(at)
        launch.nest.emit(*(store(own, at) for own in self.columns.own.values()))
        launch.close(LoopKind.LANES)

    def _leave(self, columns: Columns, group: Expr) -> None:
        """What a group has summed goes to memory."""
        results = product(self.work.lengths(columns.free))
        memory = {own: columns.memory[item] for item, own in columns.own.items()}
        self._over_columns(
            lambda own, at: Store(memory[own], group * results + at, make(Code.LOAD, own.dtype, (at,), own))
        )
        self.launch.nest.emit(Barrier())
        self.work.arrays.update(dict.fromkeys(columns.own.values(), columns.size))

    def _grow(self, columns: Columns) -> None:
        """Here, in a loop over columns, each sum takes one more."""
        launch = self.launch
        at, (_, roots) = launch.flat(columns.free), launch.announce(columns.items)
        for item, root in zip(columns.items, roots, strict=True):
            own, combine = columns.own[item], item.definition.combine
            so_far = make(Code.LOAD, own.dtype, (at,), own)
            launch.nest.emit(Store(own, at, combined(combine, so_far, launch.nest.value(root))))

    def _stages(self) -> list[Stage]:
        """Items by level and inner loops, in an order in which they can run: of one level, fewer loops come first."""
        shared = frozenset(self.shared)
        found: dict[tuple[int, frozenset[Expr], frozenset[Expr]], list[Item]] = {}
        for item in self.items:
            found.setdefault((item.level, item.free - shared, item.bound), []).append(item)
        keys = sorted(found, key=lambda key: (key[0], len(key[1]) + len(key[2])))
        stages = [Stage(ordered(key[1], found[key]), ordered(key[2], found[key]), found[key]) for key in keys]
        if self.columns is not None:
            places = [stage for stage, key in zip(stages, keys, strict=True) if self._may_grow(stage, key[0], stages)]
            self._growing = places[0] if places else Stage(self.columns.free, [], [])
            stages += [] if places else [self._growing]
        return stages

    def _may_grow(self, stage: Stage, level: int, stages: Sequence[Stage]) -> bool:
        """Whether a stage goes over the columns when all that their sums read is there.

        The first such stage is the best: what they alone read need not be held any longer.
        """
        assert self.columns is not None
        free, over = frozenset(self.columns.free), frozenset([*stage.free, *stage.bound])
        if over != free or (stage.free and stage.bound) or level < self.columns.level:
            return False
        read = {e.payload for item in self.columns.items for e in item.loads}
        done = stages.index(stage) + (1 if stage.free else 0)
        return not any(item.value in read for later in stages[done:] for item in later.items)

    def _stage(self, stage: Stage) -> None:
        if stage.free:
            self._over_elements(stage)
        elif stage.bound:
            self._over_row(stage)
        else:
            self._scalars(stage)

    def _over_elements(self, stage: Stage) -> None:
        """Each lane makes its elements; reductions run inside a lane."""
        launch = self.launch
        opened = self._open_lanes(stage.free, stage.items)
        if stage.bound:
            accumulators = launch.start(stage.items)
            for variable in stage.bound:
                launch.open_own(variable)
            launch.update(accumulators)
            for _ in stage.bound:
                launch.close(LoopKind.ORDER)
            places = launch.places()
            for item, accumulator in accumulators.items():
                launch.nest.emit(launch.store(places, item, accumulator.result()))
        else:
            launch.pointwise(stage.items, self.readers)
            if self.columns is not None and stage is self._growing:
                self._grow(self.columns)
        self._close_lanes(opened, [])

    def _over_row(self, stage: Stage) -> None:
        """All lanes reduce together; afterwards each knows the results."""
        launch, depth = self.launch, self.launch.nest.depth
        accumulators = launch.start(stage.items)
        opened = self._open_lanes(stage.bound, stage.items)
        launch.update(accumulators)
        if self.columns is not None and stage is self._growing:
            self._grow(self.columns)
        self._close_lanes(opened, [pair for a in accumulators.values() for pair in a.reductions()])
        places = launch.places()
        for item, accumulator in accumulators.items():
            result = launch.nest.named(accumulator.result())
            again = again_in(item, self.readers)
            if again is not None:
                launch.nest.know(places.expr(again), result, depth)
            if item in self._stored:
                self._store_once(places, item, result)

    def _scalars(self, stage: Stage) -> None:
        launch = self.launch
        places, roots = launch.announce(stage.items)
        for item, root in zip(stage.items, roots, strict=True):
            new = launch.nest.named(root)
            again = again_in(item, self.readers)
            if again is not None:
                launch.nest.know(places.expr(again), new, launch.nest.depth)
            self._store_once(places, item, new)

    def _store_once(self, places: Places, item: Item, new: Expr) -> None:
        """One lane stores what all have."""
        launch = self.launch
        store = launch.store(places, item, new)
        if not launch.target.has_groups:
            launch.nest.emit(store)
            return
        launch.open("once", const(1))
        launch.nest.emit(store)
        launch.close(LoopKind.LANES)

    def _open_lanes(self, variables: Sequence[Expr], items: Sequence[Item]) -> int:
        """Open the loops over ``variables`` that lanes share; how many loops that are."""
        launch = self.launch
        if launch.target.has_groups:
            launch.nest.open(launch.flat(variables))
            return 1
        split = launch.split(variables, items)
        for variable in variables[:split]:
            launch.open_own(variable)
        launch.nest.open(launch.flat(variables[split:]))
        return split + 1

    def _close_lanes(self, opened: int, reductions: Sequence[Any]) -> None:
        if self.launch.target.has_groups:
            self.launch.close(LoopKind.LANES, reductions)
            return
        self.launch.close(LoopKind.SIMD, reductions)
        for _ in range(opened - 1):
            self.launch.close(LoopKind.ORDER)
