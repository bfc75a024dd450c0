"""Reductions of which neighbouring results lie side by side, as sums over the first axis, for groups with lanes.

A group has a stripe of neighbouring results and a heap of what is reduced: lanes beside each other read neighbours, the
turns of them take one iteration each, and what the turns have is added up in memory that the group shares.  Where a
stripe has several heaps, the last group to be done with one takes what they left together; on devices where no group
can know that it is the last, another launch does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

from core.ir.axes import product, unravel
from core.ir.definitions import Value
from core.ir.expr import Expr, const, maximum, minimum, select
from core.ir.nests.accumulators import Accumulator
from core.ir.nodes import Barrier, Loop, LoopKind, Store
from core.ir.passes.groups import Item
from core.ir.work.launch import Launch, Work, ceil_div
from core.ir.work.parts import ROWS_OF_A_PART, InParts, partial
from core.ir.work.place import flattened

ACROSS = 32  # results of a stripe: what a warp reads at once.  The fewer, the more groups take heaps together
ACROSS_PARTS = 8  # where nothing is left but to take parts together


class Stripes(InParts):
    """The launches, for stripes of at most ``across`` results.

    along, inner  the reduced loops that turns and heaps share, ``rows`` iterations of them, and those inside: none
                  where all can run as one without any division
    """

    def __init__(
        self,
        work: Work,
        items: list[Item],
        free: list[Expr],
        bound: list[Expr],
        beside: Sequence[Item] = (),
        after: Sequence[Item] = (),
        across: int = ACROSS,
    ):
        super().__init__(work, items, free, bound, beside, after)
        lanes = self.target.lanes
        self._widest = min(across, max(lanes // 2, 1))
        self.across = maximum(minimum(self.results, self._widest), 1)
        self.turns = const(lanes) // self.across
        self.stripes = ceil_div(self.results, self.across)
        split = Launch(work).split(bound, [*items, *beside])
        self.along, self.inner = (bound[:1], bound[1:]) if split else (bound, [])
        self.rows = product(work.lengths(self.along))

    @cached_property
    def turned(self) -> dict[Item, Value]:
        """What each lane has of its result."""
        return self.shared("turns", self.target.lanes)

    def launches(self) -> list[Loop]:
        """By work-items, each with one result, where there are enough of these; else by groups."""
        wanted = const(self.target.units * self.target.lanes) // maximum(self.results, 1)
        parts, _ = self.parts(self.rows, wanted, ROWS_OF_A_PART)
        return self.where_one(parts, self._alone, lambda: self._in_heaps(parts))

    def _alone(self) -> Loop:
        """Each work-item has one result; neighbours read neighbours."""
        launch = Launch(self.work)
        position = launch.open("e", self.results)
        self.located(launch, position, const(1))
        accumulators = launch.start(self.items)
        for variable in self.bound:
            launch.open_own(variable)
        self.take(launch, accumulators)
        while launch.nest.depth > 1:
            launch.close(LoopKind.ORDER)
        self.store(launch, {item: a.result() for item, a in accumulators.items()}, position)
        return launch.finished(LoopKind.ITEMS)

    def _in_heaps(self, parts: Expr) -> list[Loop]:
        """By groups; ``parts``: 1 where these launches have nothing to do."""
        wanted = const(self.target.units) // maximum(self.stripes, 1)
        heaps, size = self.parts(self.rows, wanted, self.turns * ROWS_OF_A_PART)
        if heaps is const(1):
            return [self._heaps(heaps, size, None, False)]
        memory = self.memory(select(parts <= 1, const(0), heaps))
        if self.target.finishes:
            return [self._heaps(heaps, size, memory, True)]
        return [self._heaps(heaps, size, memory, False), self._narrow().take_together(memory, heaps)]

    def _narrow(self) -> Stripes:
        return Stripes(self.work, self.items, self.free, self.bound, (), self.after, ACROSS_PARTS)

    def _heaps(self, heaps: Expr, size: Expr, memory: dict[Item, Value] | None, finishes: bool) -> Loop:
        """Each group takes a heap: into ``memory``, or whole results where that is None."""
        launch = Launch(self.work)
        group = launch.open("g", heaps * self.stripes)
        heap, stripe = (launch.nest.let(e) for e in unravel(group, [heaps, self.stripes]))
        begin, first = launch.nest.let(heap * size), launch.nest.let(stripe * self.across)
        turn, result = self._open_lanes(launch, first)
        there = result if self._is_whole else launch.nest.let(minimum(result, self.results - 1))
        launch.where.update(flattened(self.free, self.free_lengths, there))  # what a lane reads before it takes turns
        accumulators = launch.start(self.items)
        count = ceil_div(minimum(size, self.rows - begin) - turn, self.turns)
        step = launch.open("i", self._if_there(result, count))
        taken = launch.nest.let(begin + turn + step * self.turns)
        launch.nest.know(launch.flat(self.along), taken, launch.nest.depth)
        for variable in self.inner:
            launch.open_own(variable)
        self.take(launch, accumulators)
        self._close_lanes(launch, accumulators)

        def leave(launch: Launch, accumulators: dict[Item, Accumulator], result: Expr) -> None:
            assert memory is not None
            for item, accumulator in accumulators.items():
                launch.nest.emit(Store(memory[item], heap * self.results + result, partial(accumulator)))

        self._over_turns(launch, first, self._results if memory is None else leave)
        if memory is not None and finishes:
            most = self.target.units * self.target.lanes // 2  # results of which there are several parts
            with self.last_of(launch, stripe, heaps, self.stripes, most // self._widest + 1):
                self._over_heaps(launch, memory, heaps, first)
        launch.nest.emit(Barrier())
        return launch.finished(LoopKind.GROUPS)

    def take_together(self, memory: dict[Item, Value], heaps: Expr) -> Loop:
        """A launch that does so, of what lies in ``memory``."""
        launch = Launch(self.work)
        stripe = launch.open("g", self.stripes)
        self._over_heaps(launch, memory, heaps, launch.nest.let(stripe * self.across))
        launch.nest.emit(Barrier())
        return launch.finished(LoopKind.GROUPS)

    def _over_heaps(self, launch: Launch, memory: dict[Item, Value], heaps: Expr, first: Expr) -> None:
        """Turns of lanes take what the heaps have of a stripe that begins at ``first``."""
        turn, result = self._open_lanes(launch, first)
        accumulators = launch.start(self.items)
        step = launch.open("i", self._if_there(result, ceil_div(heaps - turn, self.turns)))
        heap = launch.nest.let(turn + step * self.turns)
        self.combine(launch, accumulators, memory, heap * self.results + result)
        self._close_lanes(launch, accumulators)
        self._over_turns(launch, first, self._results)

    def _open_lanes(self, launch: Launch, first: Expr) -> tuple[Expr, Expr]:
        """Open the loop over lanes: the turn of a lane, and the result that it is about, which may not be there."""
        self._lane, self._depth = launch.open("lane", self.across * self.turns), launch.nest.depth
        turn, column = (launch.nest.let(e) for e in unravel(self._lane, [self.turns, self.across]))
        return turn, launch.nest.let(first + column)

    @property
    def _is_whole(self) -> bool:
        """Whether the last stripe is certainly as wide as the others."""
        n, across = self.results, self.across
        return n.is_const and across.is_const and n.payload % across.payload == 0

    def _if_there(self, result: Expr, count: Expr) -> Expr:
        """How many iterations there are: none for what lies behind the last result."""
        return count if self._is_whole else select(result < self.results, count, const(0))

    def _close_lanes(self, launch: Launch, accumulators: dict[Item, Accumulator]) -> None:
        """Close the loops inside the one over lanes, leave what each lane has to the group, and close that."""
        while launch.nest.depth > self._depth:
            launch.close(LoopKind.ORDER)
        for item, accumulator in accumulators.items():
            launch.nest.emit(Store(self.turned[item], self._lane, partial(accumulator)))
        launch.close(LoopKind.LANES)

    def _over_turns(
        self, launch: Launch, first: Expr, leave: Callable[[Launch, dict[Item, Accumulator], Expr], None]
    ) -> None:
        """One lane for each result takes together what the turns have, in their order."""
        column = launch.open("column", minimum(self.results - first, self.across))
        accumulators = launch.start(self.items)
        turn = launch.open("turn", self.turns)
        self.combine(launch, accumulators, self.turned, turn * self.across + column)
        launch.close(LoopKind.ORDER)
        leave(launch, accumulators, launch.nest.let(first + column))
        launch.close(LoopKind.LANES)

    def _results(self, launch: Launch, accumulators: dict[Item, Accumulator], result: Expr) -> None:
        self.store(launch, {item: launch.nest.let(a.result()) for item, a in accumulators.items()}, result)
