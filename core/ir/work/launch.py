"""Writing one launch for a device: loops over work-items, pieces and lanes, and the items of a group inside them.

Two shapes of loops serve two kinds of hardware, by a fact of the target: groups with lanes (a GPU), or few work-items
that each take a contiguous piece (a CPU).  Which launches a group becomes is in group.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from core.dataclass import replace
from core.ir.axes import product
from core.ir.definitions import Value
from core.ir.expr import Expr, const, index, maximum, minimum
from core.ir.nests.accumulators import Accumulator
from core.ir.nests.items import again_in, root_of
from core.ir.nests.nest import Nest
from core.ir.nests.vector_access import fit, widen
from core.ir.nodes import NOTHING, Loop, LoopKind, Store
from core.ir.passes.groups import Item
from core.ir.target import Target
from core.ir.work.barriers import with_barriers
from core.ir.work.place import OneAxis, Places, flattened, unravels


class Work:
    """What all schedules for devices need: the target, the lengths of loops and values, and who is read from memory.

    ``kept`` are the values that something outside their group reads.  ``scratch`` is memory that only the kernel uses,
    ``arrays`` memory that the lanes of a group share, with its elements, and at
    ``counters`` groups arrive.
    """

    def __init__(self, target: Target, extents: Mapping[Expr, Expr], shapes: dict[Value, Any], kept: set[Value]):
        self.target, self.extents, self.shapes, self.kept = target, extents, shapes, kept
        self.scratch: list[Value] = []
        self.arrays: dict[Value, int] = {}
        self.counters: list[Value] = []

    def new_value(self, name: str, dtype: str, shape: Sequence[Expr]) -> Value:
        """Memory that only this kernel uses."""
        value = Value(name, dtype)
        self.shapes[value] = tuple(shape)
        self.scratch.append(value)
        return value

    def new_counter(self, name: str, size: int) -> Value:
        """Memory for groups to arrive at."""
        value = Value(name, "uint32")
        self.shapes[value] = (const(size),)
        self.counters.append(value)
        return value

    def lengths(self, variables: Iterable[Expr]) -> list[Expr]:
        return [self.extents[v] for v in variables]


class Launch:
    """One launch while it is written: a nest of loops, and where the loop variables of the items lie in it."""

    def __init__(self, work: Work):
        self.work, self.target = work, work.target
        self.extents = dict(work.extents)
        self.nest = Nest(self.extents, OneAxis())
        self.where: dict[Expr, Expr] = {}
        self._flat: dict[tuple[Expr, ...], Expr] = {}
        self._accumulators = 0
        self.taken = 0  # how many elements of a row that fits a lane takes; 0: it is not for such

    # --- loops ------------------------------------------------------------------------------------------------------

    def open(self, name: str, extent: Expr) -> Expr:
        """Open a loop over a fresh variable."""
        variable = index(name)
        self.extents[variable] = extent
        self.nest.open(variable)
        return variable

    def open_piece(self, total: Expr, least: Expr | int | None = None) -> tuple[Expr, Expr]:
        """Open a loop over contiguous pieces of ``total`` elements, one a work-item; where this one begins, how long.

        Pieces have ``least`` elements or more (left out: what the target says), and no more than keep it busy.
        """
        if total is NOTHING:
            self.open("piece", NOTHING)
            return NOTHING, NOTHING
        if self.target.units == 1:
            self.open("piece", const(1))
            return const(0), total
        least = self.target.piece if least is None else least
        wanted = maximum(minimum(const(self.target.units), ceil_div(total, least)), 1)
        size = ceil_div(total, wanted)
        piece = self.open("piece", ceil_div(total, maximum(size, 1)))
        first = self.nest.let(piece * size)
        return first, minimum(size, total - first)

    def close(self, kind: LoopKind, reductions: Sequence[Any] = ()) -> None:
        self.nest.close(kind, reductions)

    def flat(self, variables: Sequence[Expr]) -> Expr:
        """The variable of one loop over all of ``variables``; the same for the same ones."""
        key = tuple(variables)
        if len(key) == 1:
            self.where.pop(key[0], None)
            return key[0]
        flat = self._flat.setdefault(key, index("e"))
        lengths = self.work.lengths(variables)
        self.extents[flat] = product(lengths)
        self.where.update(flattened(variables, lengths, flat))
        return flat

    def open_own(self, variable: Expr) -> None:
        """Open the loop of one variable of the items."""
        self.nest.open(self.flat([variable]))

    def places(self) -> Places:
        return Places(self.where, self.work.shapes)

    def finished(self, kind: LoopKind, fits: Expr | None = None) -> Loop:
        """Close the outermost loop; the whole launch.  What is the same everywhere is named inside it.

        fits  the length of rows that lanes share, where the launch is for such as fit: see ``fit``
        """
        self.close(kind)
        *outside, loop = self.nest.body
        assert isinstance(loop, Loop)
        loop = replace(loop, body=[*outside, *loop.body])
        widen([loop])
        if fits is not None:
            self.taken = fit([loop], fits)
        return with_barriers(loop)

    def split(self, variables: Sequence[Expr], items: Sequence[Item]) -> int:
        """How many outer variables need a loop of their own, so that the others run as one without any division."""
        for k in range(len(variables) - 1):
            inner = variables[k:]
            flat = index("e")
            where = {**self.where, **flattened(inner, self.work.lengths(inner), flat)}
            places = Places(where, self.work.shapes)
            offsets = [places.offset(item.value, item.definition.axes) for item in items]
            if not unravels([*(places.expr(root_of(item)) for item in items), *offsets], flat):
                return k
        return max(len(variables) - 1, 0)

    # --- what items compute -----------------------------------------------------------------------------------------

    def announce(self, items: Sequence[Item]) -> tuple[Places, list[Expr]]:
        """The expressions of items as they are written here; the nest knows what they share."""
        places = self.places()
        roots = [places.expr(root_of(item)) for item in items]
        self.nest.begin([*roots, *(places.offset(item.value, item.definition.axes) for item in items)])
        return places, roots

    def store(self, places: Places, item: Item, new: Expr) -> Store:
        return Store(item.value, self.nest.value(places.offset(item.value, item.definition.axes)), new)

    def pointwise(self, items: Sequence[Item], readers: Sequence[Item]) -> None:
        """Store items, here, one after the other; what reads them at the same point takes them from registers."""
        places, roots = self.announce(items)
        for item, root in zip(items, roots, strict=True):
            again = again_in(item, readers)
            if again is not None:
                self.nest.know(places.expr(again), self.nest.named(root), self.nest.depth)
            self.nest.emit(self.store(places, item, self.nest.value(root)))

    def start(self, items: Sequence[Item]) -> dict[Item, Accumulator]:
        """Registers for reductions, declared here."""
        made = {}
        for item in items:
            self._accumulators += 1
            wide = self.target.has_float64
            made[item] = Accumulator(
                item.value, item.definition, self._accumulators, wide, keeps_nan=self.target.keeps_nan
            )
            for local, init in made[item].start():
                self.nest.declare(local, init)
        return made

    def update(self, accumulators: Mapping[Item, Accumulator]) -> None:
        """Take one more element into each."""
        _, roots = self.announce(list(accumulators))
        for root, accumulator in zip(roots, accumulators.values(), strict=True):
            self.nest.emit(*accumulator.update(self.nest.value(root), self.nest.let))


def ceil_div(a: Expr, b: Expr | int) -> Expr:
    return (a + (b - 1)) // b


def map_loop(work: Work, items: Sequence[Item], variables: Sequence[Expr]) -> Loop:
    """Elementwise work over ``variables``."""
    launch = Launch(work)
    if work.target.has_groups or not variables:
        if variables:
            launch.nest.open(launch.flat(variables))
        else:
            launch.open("once", const(1))
        launch.pointwise(items, items)
        return launch.finished(LoopKind.ITEMS)
    open_pieces(launch, variables, launch.split(variables, items))
    launch.pointwise(items, items)
    launch.close(LoopKind.SIMD)
    if launch.nest.depth > 1:
        launch.close(LoopKind.GRID)
    return launch.finished(LoopKind.ITEMS)


def open_pieces(launch: Launch, variables: Sequence[Expr], split: int) -> None:
    """Open loops over a contiguous piece of the elements of ``variables``, whose last ones run as one loop.

    A piece begins and ends anywhere in a row of that loop.
    """
    nest, lengths = launch.nest, launch.work.lengths(variables)
    row_length, total = product(lengths[split:]), product(lengths)
    first, size = launch.open_piece(total)
    inner = launch.flat(variables[split:])
    if split == 0:
        step = launch.open("j", size)
        nest.know(inner, first + step, nest.depth)
        return
    end = nest.let(first + size)
    first_row = nest.let(first // row_length)
    count = (end - 1) // row_length - first_row + 1
    row = nest.let(first_row + launch.open("row", count))
    begin = nest.let(maximum(first - row * row_length, 0))
    step = launch.open("j", minimum(end - row * row_length, row_length) - begin)
    nest.know(inner, begin + step, nest.depth)
    launch.where.update(flattened(variables[:split], lengths[:split], row))
