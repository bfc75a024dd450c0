"""A launch whose shared loops are rows: each is run by one group, or one after the other by a work-item.

Inside a row (of softmax, of layer norm) items run in stages, one loop for each level and set of inner loops, which
lanes share.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core.ir.axes import product
from core.ir.expr import Expr, const, maximum
from core.ir.nests.items import again_in, ordered
from core.ir.nodes import Loop, LoopKind
from core.ir.passes.fuse import Item
from core.ir.work.launch import Launch, Work
from core.ir.work.place import Places


class Stage:
    """Items of one level with the same inner loops: ``free`` ones of their own axes, ``bound`` ones to reduce over."""

    def __init__(self, free: list[Expr], bound: list[Expr], items: list[Item]):
        self.free, self.bound, self.items = free, bound, items


class Rows:
    """The launch, while it is written.  ``stored`` are the items that must be in memory."""

    def __init__(self, work: Work, items: list[Item], shared: list[Expr], stored: set[Item]):
        self.work, self.items, self.shared, self.launch = work, items, shared, Launch(work)
        self._stored = stored

    def loop(self) -> Loop:
        launch, shared = self.launch, self.shared
        total = product(self.work.lengths(shared))
        if launch.target.has_groups:
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
        if depth > 1:
            launch.close(LoopKind.GRID)
        return launch.finished(LoopKind.GROUPS if launch.target.has_groups else LoopKind.ITEMS)

    def _stages(self) -> list[Stage]:
        """Items by level and inner loops, in an order in which they can run: of one level, fewer loops come first."""
        shared = frozenset(self.shared)
        found: dict[tuple[int, frozenset[Expr], frozenset[Expr]], list[Item]] = {}
        for item in self.items:
            found.setdefault((item.level, item.free - shared, item.bound), []).append(item)
        keys = sorted(found, key=lambda key: (key[0], len(key[1]) + len(key[2])))
        return [Stage(ordered(key[1], found[key]), ordered(key[2], found[key]), found[key]) for key in keys]

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
            launch.pointwise(stage.items, self.items)
        self._close_lanes(opened, [])

    def _over_row(self, stage: Stage) -> None:
        """All lanes reduce together; afterwards each knows the results."""
        launch, depth = self.launch, self.launch.nest.depth
        accumulators = launch.start(stage.items)
        opened = self._open_lanes(stage.bound, stage.items)
        launch.update(accumulators)
        self._close_lanes(opened, [pair for a in accumulators.values() for pair in a.reductions()])
        places = launch.places()
        for item, accumulator in accumulators.items():
            result = launch.nest.named(accumulator.result())
            again = again_in(item, self.items)
            if again is not None:
                launch.nest.know(places.expr(again), result, depth)
            if item in self._stored:
                self._store_once(places, item, result)

    def _scalars(self, stage: Stage) -> None:
        launch = self.launch
        places, roots = launch.announce(stage.items)
        for item, root in zip(stage.items, roots, strict=True):
            new = launch.nest.named(root)
            again = again_in(item, self.items)
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
