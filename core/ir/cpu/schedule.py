"""Schedules: a group of items becomes one kernel, a nest of loops for a CPU.

The shared loops are opened once; inside, items run in stages, one loop nest for each level and set of inner loops.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from core.dataclass import dataclass
from core.ir.axes import ravel
from core.ir.codes import Code, Combine
from core.ir.cpu.scatters import begin, taken
from core.ir.definitions import Reduction, Value
from core.ir.expr import Expr, cast, const, make
from core.ir.nests.accumulators import Accumulator, combined
from core.ir.nests.items import ordered, root_of
from core.ir.nests.nan import blind
from core.ir.nests.nest import Nest
from core.ir.nodes import Kernel, Local, Loop, LoopKind, Statement, Store
from core.ir.passes.groups import Group, Item
from core.ir.passes.storage import EXPENSIVE
from core.ir.walk import walk


@dataclass(eq=False)
class Row:
    """Where an expression that changes along one loop waits for later stages: in a row of its own, or in the result
    that the last of those stages will store at the same place."""

    expr: Expr
    value: Value
    axes: Sequence[Expr]


class Stage:
    """Items of one level that share their inner loops, and the rows that it writes for later stages, or reads."""

    def __init__(self, inner: list[Expr], items: list[Item]):
        self.inner, self.items = inner, items
        self.keeps: list[Row] = []
        self.finds: list[Row] = []

    @property
    def roots(self) -> list[Expr]:
        return list(map(root_of, self.items))


class Scheduler:
    """Writes the kernel of one group.  ``kept`` are the values that something outside the group reads."""

    def __init__(
        self, group: Group, extents: dict[Expr, Expr], shapes: dict[Value, tuple[Expr, ...]], kept: set[Value]
    ):
        self.group, self.extents, self.shapes, self.kept = group, extents, shapes, kept
        self.outer = ordered(self._shared(group), group.items)
        self.stages = self._stages()
        self.scratch: list[Value] = []
        self.own: dict[Value, Value] = {}  # values of which only one iteration of the shared loops is kept, in a row
        self.nest = Nest(extents, shapes, group.became)
        self.accumulators: dict[Item, Accumulator] = {}
        self.blind = blind(group.items, kept)

    def kernel(self, name: str, comment: str) -> Kernel:
        prelude = [s for stage in self.stages for item in stage.items for s in self._cleared(item, stage)]
        for item in self.group.items:
            if item.scatters:
                begin(item.value, item.definition, self.shapes, self.nest)
        self._keep_own()
        self._keep_rows()
        for variable in self.outer:
            self.nest.open(variable)
        for stage in self.stages:
            self._run(stage)
        self._close_shared_loops()
        results = [item.value for stage in self.stages for item in stage.items if self._in_memory(item, stage)]
        written = [value for value in results if value not in self.own]
        loads = dict.fromkeys(e.payload for item in self.group.items for e in item.loads)
        read = [value for value in loads if value not in self.group.values]
        writes = [*written, *self.scratch]
        return Kernel(name, read, writes, [*prelude, *self.nest.body], comment, scratch=self.scratch)

    # --- what runs where --------------------------------------------------------------------------------------------

    @staticmethod
    def _shared(group: Group) -> frozenset[Expr]:
        """The loops around all stages.  Reductions alike run inside the loops over their elements, in registers."""
        domains = {(item.free, item.bound, item.scatters) for item in group.items}
        return group.outer - group.items[0].bound if len(domains) == 1 else group.outer

    def _stages(self) -> list[Stage]:
        """Items by level and inner loops, in an order in which they can run: of one level, fewer loops come first."""
        found: dict[tuple[int, frozenset[Expr]], list[Item]] = {}
        for item in self.group.items:
            found.setdefault((item.level, (item.free | item.bound).difference(self.outer)), []).append(item)
        stages = []
        for level, variables in sorted(found, key=lambda key: (key[0], len(key[1]))):
            items = found[level, variables]
            stages.append(Stage(ordered(variables, items), items))
        return stages

    def _depth(self, item: Item, stage: Stage) -> int:
        """The level inside the last loop that runs over the item's own axes."""
        order = self.outer + stage.inner
        return max((k + 1 for k, v in enumerate(order) if v in item.free), default=0)

    def _grows(self, item: Item, stage: Stage) -> bool:
        """Whether a loop that is reduced over lies outside one of the item's own: then it grows in memory."""
        order = self.outer + stage.inner
        return any(v in item.bound for v in order[: self._depth(item, stage)])

    def _in_memory(self, item: Item, stage: Stage) -> bool:
        """What has one element in an iteration of the shared loops, and is read in that alone, stays in a register."""
        if item.value in self.kept or self._depth(item, stage) > len(self.outer):
            return True
        return not item.bound.isdisjoint(self.outer)

    def _cleared(self, item: Item, stage: Stage) -> list[Statement]:
        """Loops that set a value that grows in memory to its identity."""
        if not isinstance(item.definition, Reduction) or not self._grows(item, stage):
            return []
        start = const(item.definition.combine.identity(item.value.dtype), item.value.dtype)
        return over(item.definition.axes, self.extents, [self._store(item.value, item.definition.axes, start)])

    def _keep_own(self) -> None:
        """Give what nobody reads after an iteration of the shared loops memory for one iteration."""
        for stage in self.stages if self.outer else ():
            for item in stage.items:
                if item.value in self.kept or not self._in_memory(item, stage):
                    continue
                if item.free.issuperset(self.outer) and not self._grows(item, stage):
                    row = Value(f"{item.value}_row", item.value.dtype)
                    lengths = zip(item.definition.axes, self.shapes[item.value], strict=True)
                    self.shapes[row] = tuple(n for axis, n in lengths if axis not in self.outer)
                    self.scratch.append(row)
                    self.own[item.value] = row

    def _keep_rows(self) -> None:
        """Give memory to costly expressions that two stages share: the first computes them, the others read.

        The others may have loops inside the one along the row, so that each element serves many times.
        """
        first = self._computed_again()
        hosts: set[Value] = set()
        for e, stage in first.items():
            later = self._readers(e, first)
            if not later:
                continue
            host = self._host(e, stage, later[-1], hosts)
            if host is not None:
                hosts.add(host.value)
                row = Row(e, host.value, host.definition.axes)
            else:
                value = Value(f"row{len(self.scratch) + 1}_of_{self.group.items[0].value}", e.dtype)
                self.shapes[value] = (self.extents[stage.inner[0]],)
                self.scratch.append(value)
                row = Row(e, value, stage.inner)
            stage.keeps.append(row)
            for reader in later:
                reader.finds.append(row)

    def _computed_again(self) -> dict[Expr, Stage]:
        """Costly expressions that a later stage would compute again, with the first stage, which has no other loop."""
        first: dict[Expr, Stage] = {}
        found: dict[Expr, Stage] = {}
        covered: set[Expr] = set()
        for stage in self.stages:
            for e in reversed(walk(stage.roots, into=lambda e: e.code is not Code.GUARDED)):
                variable = self._along(e, stage)
                if e.cost < EXPENSIVE or variable is None or e in covered or e.code is Code.LOAD:
                    continue
                earlier = first.setdefault(e, stage)
                if earlier is stage or earlier.inner != [variable]:
                    continue
                if _cost_inside(e, variable, self._there(earlier, found)) >= EXPENSIVE:
                    covered.update(walk([e]))
                    found[e] = earlier
        return found

    def _there(self, stage: Stage, first: dict[Expr, Stage]) -> set[Expr]:
        """The expressions that earlier stages than this one have kept."""
        before = self.stages[: self.stages.index(stage)]
        return {e for e, one in first.items() if one in before}

    def _readers(self, e: Expr, first: dict[Expr, Stage]) -> list[Stage]:
        """The stages that read a kept expression, and nothing larger that is kept in its place."""
        after = self.stages[self.stages.index(first[e]) + 1 :]
        return [stage for stage in after if e in _besides(stage.roots, self._there(stage, first))]

    def _host(self, e: Expr, first: Stage, last: Stage, taken: set[Value]) -> Item | None:
        """An item of the ``last`` stage to read ``e`` whose result has an element for each of ``e``, of its dtype."""
        loops = {*self.outer, *first.inner}
        for item in last.items if last.inner == first.inner else ():
            alike = not isinstance(item.definition, Reduction) and item.value.dtype == e.dtype
            if alike and item.value not in taken and loops.issubset(item.definition.axes):
                return item
        return None

    @staticmethod
    def _along(e: Expr, stage: Stage) -> Expr | None:
        """The only loop of a stage with which an expression changes; None where there are several or none."""
        moving = [variable for variable in stage.inner if variable in e.free]
        return moving[0] if len(moving) == 1 else None

    # --- writing ----------------------------------------------------------------------------------------------------

    def _run(self, stage: Stage) -> None:
        """Write one stage into the shared loops that are open."""
        places = [i for item in stage.items if item.scatters for i in item.definition.at]
        self.nest.begin([*stage.roots, *places])
        reductions = [item for item in stage.items if isinstance(item.definition, Reduction)]
        for number, item in enumerate(reductions, start=len(self.accumulators) + 1):
            self.accumulators[item] = Accumulator(item.value, item.definition, number, blind=item in self.blind)
        self._open_loops(stage, reductions)
        self._find_own(stage)
        rows = self._rows(stage)
        for item, root in zip(stage.items, stage.roots, strict=True):
            self._keep(root, rows)
            self._reduce(item, stage) if item in self.accumulators else self._write(item, stage)
        self._close_loops(stage, reductions)
        for item in reductions:
            again = self._read_again(item)
            if again is not None and self._depth(item, stage) == len(self.outer) and not self._full_depth(item, stage):
                result = self.nest.named(self.accumulators[item].result(), item.value.name)
                self.nest.know(again, result, len(self.outer))

    def _open_loops(self, stage: Stage, reductions: Sequence[Item]) -> None:
        """Open the stage's own loops; each register is declared inside the last loop that its value depends on."""
        shared = len(self.outer)
        for level in range(shared + len(stage.inner) + 1):
            for item in reductions:
                if self._depth(item, stage) == level and not self._full_depth(item, stage):
                    for local, init in self.accumulators[item].start():
                        self.nest.declare(local, init, min(level, self.nest.depth))
            if shared <= level < shared + len(stage.inner):
                self.nest.open(stage.inner[level - shared])

    def _close_loops(self, stage: Stage, reductions: Sequence[Item]) -> None:
        """Close the stage's own loops; a register goes to memory behind the loops that it was reduced over."""
        shared = len(self.outer)
        for item in reductions:
            if self._depth(item, stage) < shared:
                self.nest.later(*self._finished(item, stage), level=self._depth(item, stage))
        innermost = shared + len(stage.inner) - 1
        for level in range(innermost, shared - 1, -1):
            self.nest.close(*self._kind(stage, reductions) if level == innermost else (LoopKind.ORDER, ()))
            for item in reductions:
                if self._depth(item, stage) == level:
                    self.nest.emit(*self._finished(item, stage))

    def _read_again(self, item: Item) -> Expr | None:
        """The load by which another item of the group reads this one at the same point, if there is one."""
        again = make(Code.LOAD, item.value.dtype, item.definition.axes, item.value)
        return again if any(again in other.loads for other in self.group.items) else None

    def _full_depth(self, item: Item, stage: Stage) -> bool:
        """Whether no loop lies inside the item's own, so that there is nothing to keep in a register."""
        return self._depth(item, stage) == len(self.outer) + len(stage.inner)

    def _kind(self, stage: Stage, reductions: Sequence[Item]) -> tuple[LoopKind, list[tuple[Combine, Local]]]:
        registers = [self.accumulators[item] for item in reductions if not self._full_depth(item, stage)]
        return LoopKind.SIMD, [pair for accumulator in registers for pair in accumulator.reductions()]

    def _close_shared_loops(self) -> None:
        flat = [stage for stage in self.stages if not stage.inner]
        for level in range(len(self.outer) - 1, -1, -1):
            kind: tuple[LoopKind, Sequence] = (LoopKind.GRID, ())
            if level == len(self.outer) - 1 and len(flat) == len(self.stages):
                items = [item for stage in flat for item in stage.items]
                reductions = [item for item in items if item in self.accumulators]
                kind = self._kind(Stage([], items), reductions)
                if any(item.scatters for item in items):
                    kind = (LoopKind.ORDER, ())
            elif any(self.outer[level] in item.bound for item in self.group.items):
                kind = (LoopKind.COMBINE, ())
            self.nest.close(*kind)

    def _find_own(self, stage: Stage) -> None:
        """Let what earlier stages kept for this iteration be read from there."""
        for item in self.group.items:
            again = self._read_again(item)
            if item.value in self.own and again is not None and item not in stage.items:
                buffer, offset = self._place(item.value, item.definition.axes)
                level = max((k + 1 for k, v in enumerate(stage.inner) if v in item.free), default=0)
                element = make(Code.LOAD, item.value.dtype, (offset,), buffer)
                self.nest.know(again, element, len(self.outer) + level)

    def _place(self, value: Value, axes: Sequence[Expr]) -> tuple[Value, Expr]:
        """Where an element of a value of the group is."""
        row = self.own.get(value)
        if row is None:
            return value, ravel(axes, self.shapes[value])
        return row, ravel([axis for axis in axes if axis not in self.outer], self.shapes[row])

    def _rows(self, stage: Stage) -> dict[Expr, Row]:
        """The rows that this stage is to keep; those that an earlier one kept are known from now on."""
        own = [item.value for item in stage.items]
        for row in stage.finds:
            variable = self._along(row.expr, stage)
            assert variable is not None
            level = len(self.outer) + stage.inner.index(variable) + 1
            buffer, offset = self._place(row.value, row.axes)
            element = make(Code.LOAD, row.expr.dtype, (offset,), buffer)
            self.nest.know(row.expr, element, level)
            if row.value in own:  # where a result is stored soon
                self.nest.named(row.expr)
        return {row.expr: row for row in stage.keeps}

    def _keep(self, root: Expr, rows: dict[Expr, Row]) -> None:
        """Write those of ``rows`` that ``root`` needs: not before, for they may read what earlier items store."""
        for e in walk([root]) if rows else ():
            if e in rows:
                row = rows.pop(e)
                self.nest.emit(self._store(row.value, row.axes, self.nest.named(e)))

    def _write(self, item: Item, stage: Stage) -> None:
        """Store a pointwise value, if need be; what reads it at the same point takes it from its register."""
        if item.scatters:
            self.nest.emit(taken(item.value, item.definition, self.shapes, self.nest.value))
            return
        expr = item.definition.expr
        again = self._read_again(item)
        if again is not None:
            self.nest.know(again, self.nest.named(expr, f"{item.value.name}_here"), self.nest.depth)
        if self._in_memory(item, stage):
            self.nest.emit(self._store(item.value, item.definition.axes, self.nest.value(expr)))

    def _reduce(self, item: Item, stage: Stage) -> None:
        """Take one more element into a reduction's register, or into memory where it grows there."""
        new = self.nest.value(item.definition.body)
        if self._full_depth(item, stage):
            self.nest.emit(self._grown(item, cast(new, item.value.dtype)))
        else:
            self.nest.emit(*self.accumulators[item].update(new, self.nest.let))

    def _grown(self, item: Item, new: Expr) -> Store:
        """The element in memory combined with ``new``."""
        offset = ravel(item.definition.axes, self.shapes[item.value])
        so_far = make(Code.LOAD, item.value.dtype, (offset,), item.value)
        return Store(item.value, offset, combined(item.definition.combine, so_far, new))

    def _finished(self, item: Item, stage: Stage) -> list[Statement]:
        """Statements that put a finished register into memory."""
        if self._full_depth(item, stage) or not self._in_memory(item, stage):
            return []
        result = self.accumulators[item].result()
        if self._grows(item, stage):
            return [self._grown(item, result)]
        return [self._store(item.value, item.definition.axes, result)]

    def _store(self, value: Value, axes: Sequence[Expr], new: Expr) -> Store:
        return Store(*self._place(value, axes), new)


def _cost_inside(root: Expr, variable: Expr, there: Collection[Expr] = ()) -> int:
    """What an expression costs each time that ``variable`` moves on, where the expressions in ``there`` are known."""
    parts = [e for e in _besides([root], there) if variable in e.free and e not in there]
    return sum(e.cost - sum(arg.cost for arg in e.args) for e in parts)


def _besides(roots: Sequence[Expr], there: Collection[Expr]) -> list[Expr]:
    """Every expression below ``roots``, without what only those in ``there`` need."""
    return walk(roots, into=lambda e: e not in there)


def over(
    axes: Sequence[Expr], extents: dict[Expr, Expr], body: list[Statement], kind: LoopKind = LoopKind.SIMD
) -> list[Statement]:
    """Loops over ``axes`` around ``body``; constant axes have none."""
    variables = [axis for axis in axes if axis.code is Code.INDEX]
    for number, variable in enumerate(reversed(variables)):
        outer = LoopKind.GRID if kind is LoopKind.SIMD else kind
        body = [Loop(variable, extents[variable], body, kind if number == 0 else outer)]
    return body
