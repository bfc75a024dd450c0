"""Reductions in parts: how much goes into a part, where parts lie, how they are taken together.

The order in which elements are combined depends on lengths alone, so every run gives the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from core.dataclass import replace
from core.ir.axes import product
from core.ir.codes import Code
from core.ir.definitions import Value
from core.ir.expr import Expr, const, make, maximum, minimum, select
from core.ir.nests.accumulators import Accumulator
from core.ir.nests.items import again_in
from core.ir.nodes import Arrive, Local, Loop
from core.ir.passes.groups import Item
from core.ir.work.launch import Launch, Work, ceil_div
from core.ir.work.place import flattened

ROWS_OF_A_PART = 16  # where neighbouring results are reduced side by side


class InParts:
    """Reductions of ``items`` over ``bound`` for each point of ``free``.

    Part p of value v at f lies in ``memory[v]`` at (p, f).
    beside  elementwise work over all of these loops;  after  elementwise work on the results
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

    def parts(self, along: Expr, wanted: Expr, least: Expr | int, multiple: int = 1) -> tuple[Expr, Expr]:
        """How many parts of ``along`` iterations, and how long each is; ``wanted`` of ``least`` at least.

        The length is a multiple of ``multiple``, so that each part starts on as good a boundary as the first.
        """
        most = const(1) if self.target.units == 1 else ceil_div(along, least)
        if most is const(1):
            return most, along
        count = maximum(minimum(wanted, most), 1)
        size = ceil_div(ceil_div(along, count), multiple) * multiple
        return maximum(ceil_div(along, maximum(size, 1)), 1), size

    def memory(self, parts: Expr) -> dict[Item, Value]:
        """Where parts lie."""
        return {
            item: self.work.new_value(f"parts_of_{item.value}", accumulator.total.dtype, (parts, self.results))
            for item, accumulator in self._accumulators().items()
        }

    def shared(self, name: str, size: int) -> dict[Item, Value]:
        """Memory that the lanes of a group share, for a part of each lane."""
        found = {item: Value(f"{name}_of_{item.value}", a.total.dtype) for item, a in self._accumulators().items()}
        self.work.arrays.update(dict.fromkeys(found.values(), size))
        return found

    def _accumulators(self) -> dict[Item, Accumulator]:
        return {item: Accumulator(item.value, item.definition, 0, self.target.has_float64) for item in self.items}

    def where_one(self, parts: Expr, direct: Callable[[], Loop], several: Callable[[], list[Loop]]) -> list[Loop]:
        """Launches for both cases, of which one has nothing to do: results at once, where each has one part."""
        one = parts <= 1
        if one.is_const:
            return [direct()] if one.payload else several()
        nothing, loop, pair = const(0), direct(), several()
        return [
            replace(loop, extent=select(one, loop.extent, nothing)),
            *(replace(each, extent=select(one, nothing, each.extent)) for each in pair),
        ]

    def located(self, launch: Launch, position: Expr, parts: Expr) -> Expr:
        """Where a position among (part, result) is: the variables of the result are known, the part is returned."""
        if parts.is_const and parts.payload == 1:
            launch.where.update(flattened(self.free, self.free_lengths, position))
            return const(0)
        if not self.free:
            return position
        part, *rest = flattened([const(0), *self.free], [parts, *self.free_lengths], position).values()
        launch.where.update(zip(self.free, rest, strict=True))
        return part

    def take(self, launch: Launch, accumulators: dict[Item, Accumulator]) -> None:
        """Take in one more element, and do what is to be done on the way."""
        if self.beside:
            launch.pointwise(self.beside, [*self.beside, *self.items])
        launch.update(accumulators)

    def combine(
        self, launch: Launch, accumulators: dict[Item, Accumulator], memory: dict[Item, Value], at: Expr
    ) -> None:
        """Take in what lies there."""
        loads = {item: make(Code.LOAD, memory[item].dtype, (at,), memory[item]) for item in self.items}
        launch.nest.begin(list(loads.values()))
        for item, accumulator in accumulators.items():
            launch.nest.emit(*accumulator.update(launch.nest.value(loads[item]), launch.nest.let))

    @contextmanager
    def last_of(self, launch: Launch, at: Expr, count: Expr, places: Expr, most: int) -> Iterator[None]:
        """What is written inside is done by the last of ``count`` groups to come to place ``at``.

        places  how many such places there are;  most: what that is certainly no more than, if lengths decide
        """
        n = places.payload if places.is_const else most
        counter = self.work.new_counter(f"done_of_{self.items[0].value}", n)
        last = Local("last", "bool")
        launch.nest.emit(Arrive(last, counter, at, count))
        launch.nest.open_if()
        yield
        launch.nest.close_if(last.expr)

    def store(self, launch: Launch, totals: dict[Item, Expr], result: Expr) -> None:
        """Store what was reduced to the result of that number, and what is made of it."""
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


def none_of_one(parts: Expr) -> Expr:
    """How many parts lie in memory: none where there is one, which is the result."""
    return select(parts <= 1, const(0), parts)


def partial(accumulator: Accumulator) -> Expr:
    """What is known of a part: the register as wide as it is, NaN instead of a flag."""
    return accumulator.result() if accumulator.flag is not None else accumulator.total.expr
