"""Lanes: a loop over elements that lie side by side moves inside the loops that it contains, tile by tile.

``for j: (m = max over k of x[k, j]; s = sum over k of exp(x[k, j] - m); ...)`` walks down one column at a time.  Here a
tile of columns walks down together: each loop over ``k`` gets a vectorised loop over the lanes of the tile inside, and
what was a register of column ``j`` becomes an array with an element a lane, which stays in the nearest cache.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from core import dtypes
from core.dataclass import dataclass, field, replace
from core.ir.axes import product
from core.ir.codes import Code
from core.ir.cpu.common import with_common_named
from core.ir.definitions import Value
from core.ir.expr import INDEX_DTYPE, Expr, const, index, make, minimum, select
from core.ir.nests.accumulators import narrow_sum, narrowed
from core.ir.nests.copies import Copy, assigned
from core.ir.nests.strides import linear, positions, work
from core.ir.nodes import Assign, If, Kernel, Let, Local, Loop, LoopKind, Statement, Store, expressions, statements
from core.ir.rebuild import guarded_loads, loads_in, rebuild
from core.ir.walk import walk

TILE = 64  # lanes where several loops come back to the same elements: a tile of them should stay in a near cache
LONG_TILE = 512  # lanes where each element is met once: the longer, the fewer jumps
LONGEST_TILE = 1024  # of elements of up to four bytes, of which a page still holds that many
STEP_WORK = 64  # operations that one pass over the lanes should at least have, so that registers are worth loading
MOST_STEPS = 8  # elements of the inner loop that one pass over the lanes takes at most
NARROW_STEPS = 4  # elements of float32 that are summed in float32
# Several rows at once confuse prefetching where a tile holds whole rows of a few dozen lines: from memory, half as fast
# (Zen 4).  One row at a time goes through memory in order; so do short ones at once, if a load for each line brings
# them into the nearest cache before.  What lies in a cache needs no prefetching: several at once take two thirds
NARROW_BYTES = 128  # of a row: so few need no such care
NEAR_BYTES, LINE_BYTES = 4096, 64  # of rows that are taken at once; of what memory hands out
CACHED_BYTES = 2**22  # of arrays that the last cache still holds, as a rule, from whoever wrote them


def lanes(kernel: Kernel, shapes: dict[Any, tuple[Expr, ...]], kept: set[Any], in_block: bool = False) -> Kernel:
    """``kernel`` with its loops over side-by-side elements moved innermost, where that is most of its reading.

    ``kept`` are the values that somebody reads after the kernel; ``shapes`` learns those of new local arrays.
    ``in_block``: what it reads may be part of something larger than its shape says.
    """
    arrays: list[Value] = []

    def visit(body: list[Statement]) -> list[Statement]:
        new: list[Statement] = []
        for statement in body:
            if isinstance(statement, If):
                new.append(If(statement.condition, visit(statement.body), visit(statement.orelse)))
            elif not isinstance(statement, Loop):
                new.append(statement)
            elif statement.kind is LoopKind.GRID and gains_by_lanes(statement):
                new.append(Laned(kernel, statement, shapes, kept, arrays, in_block).loop())
            else:
                new.append(replace(statement, body=visit(statement.body)))
        return new

    body = visit(kernel.body)
    return replace(kernel, body=body, writes=[*kernel.writes, *arrays], scratch=[*kernel.scratch, *arrays])


def gains_by_lanes(loop: Loop) -> bool:
    """Whether ``loop`` has loops inside, can move into them, and memory is then gone through more in order."""
    inner = [s for s in statements(loop.body) if isinstance(s, Loop)]
    if not inner or any(isinstance(s, If) and holds_loop(s) for s in statements(loop.body)):
        return False
    varying = varying_in(loop)
    if any(varies(s.extent, loop.variable, varying) for s in inner):
        return False
    variables = [loop.variable, *(s.variable for s in inner)]
    changing = {s.variable for s in inner} | {local.expr for s in inner for local in varying_in(s)}
    as_lanes = as_it_is = 0  # places that are jumped to
    for position in positions([s for s in loop.body if isinstance(s, Loop)]):
        form = linear(position, position.free.intersection(variables)) or linear(position, [loop.variable])
        if form is not None:
            moving = [v for v in form.strides if v is not loop.variable]
            jumps = bool(moving) or (loop.variable in form.strides and _is_looked_up(form.rest, changing))
            as_it_is += jumps and not any(form.is_consecutive(v) for v in moving)
            as_lanes += loop.variable in form.strides and not form.is_consecutive(loop.variable)
    return as_lanes < as_it_is


def _is_looked_up(position: Expr, changing: set[Expr]) -> bool:
    """Whether a position follows from what changes in an inner loop: it is that of a row which an index names."""
    return not changing.isdisjoint(walk([position]))


def _long_tile(loop: Loop) -> int:
    sizes = [dtypes.size_bytes(e.dtype) for e in loads_in(expressions(loop.body)) if loop.variable in e.free]
    return LONGEST_TILE if max(sizes, default=8) <= 4 else LONG_TILE


def holds_loop(statement: If) -> bool:
    return any(isinstance(s, Loop) for s in statements([statement]))


def varies(e: Expr, variable: Expr, varying: set[Local]) -> bool:
    return variable in e.free or any(part.code is Code.LOCAL and part.payload in varying for part in walk([e]))


def varying_in(loop: Loop) -> set[Local]:
    """The locals inside ``loop`` that may differ from one of its iterations to another."""
    varying = assigned(loop.body)
    written = {s.buffer for s in statements(loop.body) if isinstance(s, Store)}
    for s in statements(loop.body):
        if isinstance(s, Let) and (
            not s.constant
            or varies(s.value, loop.variable, varying)
            or any(e.payload in written for e in loads_in([s.value]))
        ):
            varying.add(s.local)
    return varying


@dataclass(eq=False)
class Run:
    """Statements without loops between them: they share one loop over the lanes."""

    statements: list[Statement] = field(default_factory=list)


class Laned:
    """Rewrites one loop.  What a pass over the lanes is, and a loop inside, blocks.py says otherwise."""

    def __init__(
        self,
        kernel: Kernel,
        loop: Loop,
        shapes: dict[Any, tuple[Expr, ...]],
        kept: set[Any],
        arrays: list[Value],
        in_block: bool = False,
    ):
        self.varying = varying_in(loop)
        loop = with_common_named(loop, self.varying)
        self.kernel, self.source, self.shapes, self.arrays = kernel, loop, shapes, arrays
        self.in_block = in_block
        again = sum(isinstance(s, Loop) for s in loop.body) > 1
        self.width = const(TILE if again else _long_tile(loop))
        self.tile, self.lane = index(f"{loop.variable.payload}_tile"), index(loop.variable.payload)
        self.count = Local("lanes", self.lane.dtype)
        self.home: dict[Local, Value] = {}
        self.own_rows = self._scratch(kept)

    def loop(self) -> Loop:
        tree = self._split(self.source.body)
        self._expand(tree)
        count = minimum(self.width, self.source.extent - self.tile * self.width)
        tiles = (self.source.extent + (self.width.payload - 1)) // self.width
        body = [Let(self.count, count), *self._written(tree)]
        return Loop(self.tile, tiles, body, LoopKind.GRID)

    # --- what goes where --------------------------------------------------------------------------------------------

    def _scratch(self, kept: set[Any]) -> dict[Any, Any]:
        """The arrays that each iteration of the loop has for itself, each with what has an element a lane for it."""
        loop, own = self.source, set()
        for s in statements(loop.body):
            if isinstance(s, Store) and s.buffer not in kept and loop.variable not in s.offset.free:
                own.add(s.buffer)
        for buffer in own:
            self.shapes[buffer] = (*self.shapes[buffer], self.width)
        return {buffer: buffer for buffer in own}

    def _split(self, body: list[Statement]) -> list[Any]:
        """The statements as runs, loops (with such a list inside), and what all lanes have in common."""
        tree: list[Any] = []
        run: Run | None = None
        for s in body:
            if isinstance(s, Loop):
                tree.append((s, self._split(s.body)))
                run = None
            elif isinstance(s, Let) and s.local not in self.varying:
                tree.insert(len(tree) - 1 if run else len(tree), s)
            else:
                if run is None:
                    run = Run()
                    tree.append(run)
                run.statements.append(s)
        return tree

    def _expand(self, tree: list[Any]) -> None:
        """An array for every local that more than one run needs."""
        seen: dict[Local, set[Run]] = {}
        for run in runs_in(tree):
            for local in (*_read(run.statements), *_set(run.statements)):
                if local in self.varying:
                    seen.setdefault(local, set()).add(run)
        for local, runs in seen.items():
            if len(runs) > 1:
                value = Value(f"{local.name}_of_{self.kernel.name}", local.dtype)
                self.shapes[value] = (self.width,)
                self.arrays.append(value)
                self.home[local] = value

    # --- writing ----------------------------------------------------------------------------------------------------

    def _written(self, tree: list[Any]) -> list[Statement]:
        body: list[Statement] = []
        for part in tree:
            if isinstance(part, Run):
                body += self._pass(part.statements)
            elif isinstance(part, tuple):
                loop, inside = part
                body += self._inner(loop, inside)
            else:
                body.append(part)
        return body

    def _pass(self, body: list[Statement]) -> list[Statement]:
        """Statements without loops, for all lanes."""
        return [self._over_lanes(self._moved(body))]

    def _inner(self, loop: Loop, inside: list[Any]) -> list[Statement]:
        """A loop inside: where a pass over the lanes has little to do, it takes several of its elements."""
        steps = self._steps(loop, inside)
        if steps == 1:
            kind = LoopKind.ORDER if loop.kind is LoopKind.ORDER or loop.reductions else LoopKind.GRID
            return [replace(loop, body=self._written(inside), kind=kind, reductions=[])]
        *common, run = inside
        last, whole = index(loop.variable.payload), Local("chunks", INDEX_DTYPE)
        copy = Copy({loop.variable: whole.expr * steps + last})
        rest = [*copy.body(common), self._over_lanes(self._moved(copy.body(run.statements)))]
        near, pays, together = self._near(run.statements, loop, steps)
        together += self._together(common, run.statements, loop, steps)
        return [
            *near,
            Let(whole, select(pays, loop.extent // const(steps), const(0))),
            Loop(loop.variable, whole.expr, together, LoopKind.ORDER),
            Loop(last, loop.extent - whole.expr * steps, rest, LoopKind.ORDER),
        ]

    def _near(self, body: list[Statement], loop: Loop, steps: int) -> tuple[list[Statement], Expr, list[Statement]]:
        """Whether ``steps`` rows at once pay, and loops that meet their memory in order; first what these need."""
        n, roots = self.source.extent, list(expressions(body))
        rows = [e for e in loads_in(roots) if {loop.variable, self.source.variable} <= e.free]
        sizes = [dtypes.size_bytes(e.dtype) for e in rows]
        row_bytes = n * sum(sizes)
        is_long = const(min(LONG_TILE, self.width.payload)) < n
        pays = (row_bytes <= NARROW_BYTES) | is_long | self._is_cached(rows, row_bytes * steps)
        follow = bool(rows) and not guarded_loads(roots) and all(self._follow(e, loop) for e in rows)
        near = (const(LINE_BYTES) <= row_bytes) & (row_bytes * steps <= NEAR_BYTES) & (n <= self.width)
        if not follow or near is const(False, "bool"):
            return [], pays, []
        known, lines = Local("near", "bool"), Local("lines", INDEX_DTYPE)
        count = select(near if near.is_const else known.expr, n * steps * min(sizes) // LINE_BYTES, const(0))
        lets: list[Statement] = [] if near.is_const else [Let(known, near)]
        meeting: list[Statement] = [self._met(e, loop, steps, lines.expr) for e in rows]
        return [*lets, Let(lines, count)], pays | (near if near.is_const else known.expr), meeting

    def _is_cached(self, rows: list[Expr], bytes_at_once: Expr) -> Expr:
        """Whether rows that are too long to be met before are likely to come from a cache."""
        if self.in_block:
            return const(False, "bool")
        sizes = [product(self.shapes[v]) * dtypes.size_bytes(v.dtype) for v in dict.fromkeys(e.payload for e in rows)]
        return (const(NEAR_BYTES) < bytes_at_once) & (sum(sizes, const(0)) <= CACHED_BYTES)

    def _met(self, e: Expr, loop: Loop, steps: int, lines: Expr) -> Loop:
        """A loop that meets the memory of the next ``steps`` rows in the order in which it lies."""
        line, elements = index("line"), LINE_BYTES // dtypes.size_bytes(e.dtype)
        place = {loop.variable: loop.variable * const(steps), self.source.variable: line * elements}
        return Loop(line, lines, [Let(Local("met", e.dtype), Copy(place).expr(e), nearer=True)], LoopKind.ORDER)

    def _follow(self, e: Expr, loop: Loop) -> bool:
        """Whether rows that a load moves over follow each other without a gap."""
        form = linear(e.args[0], (loop.variable, self.source.variable))
        return (
            form is not None
            and not varies(form.rest, loop.variable, self.varying)
            and form.is_consecutive(self.source.variable)
            and form.moves_like(loop.variable, self.source.variable, self.source.extent)
        )

    def _steps(self, loop: Loop, inside: list[Any]) -> int:
        *common, run = inside
        if not all(isinstance(s, Let) for s in common) or not isinstance(run, Run):
            return 1
        if loop.reverse or not loop.reductions or any(isinstance(s, (Store, If)) for s in run.statements):
            return 1
        if assigned(run.statements) != {local for _, local in loop.reductions}:
            return 1
        operations = max(work(run.statements), 1)
        steps = 1
        while steps < MOST_STEPS and operations * steps * 2 <= STEP_WORK:
            steps *= 2
        return steps

    def _together(self, common: list[Statement], body: list[Statement], loop: Loop, steps: int) -> list[Statement]:
        """``steps`` elements of ``loop``, one after the other; a few of float32 are summed before they are widened.

        ``common`` is what all lanes have in common.
        """
        outside: list[Statement] = []
        inside: list[Statement] = []
        for first in range(0, steps, NARROW_STEPS):
            own = {local: narrow for combine, local in loop.reductions if (narrow := narrow_sum(combine, local, body))}
            inside += [Let(part, const(0, part.dtype), False) for part in own.values()]
            for k in range(first, min(first + NARROW_STEPS, steps)):
                copy = Copy({loop.variable: loop.variable * const(steps) + k}, suffix=f"_{k + 1}")
                outside += copy.body(common)
                inside += copy.body(narrowed(body, own))
            for local, part in own.items():
                inside.append(Assign(local, local.expr + make(Code.CAST, local.dtype, (part.expr,))))
        return [*outside, self._over_lanes(self._moved(inside))]

    def _over_lanes(self, body: list[Statement]) -> Loop:
        return Loop(self.lane, self.count.expr, body, LoopKind.SIMD)

    def _moved(self, body: list[Statement]) -> list[Statement]:
        """The statements for one lane: its share of what other runs need is read first and written back last."""
        copy = Copy({self.source.variable: self.tile * self.width + self.lane})
        own = {s.local for s in body if isinstance(s, Let)}
        changed = [local for local in _set(body) if local in self.home]
        found = [local for local in _read(body) if local in self.home and local not in own]
        found += [local for local in changed if local not in own and local not in found]
        first: list[Statement] = []
        for local in found:
            value = make(Code.LOAD, local.dtype, (self.lane,), self.home[local])
            first.append(Let(local, value, constant=local not in changed))
        last = [Store(self.home[local], self.lane, local.expr) for local in changed]
        return [*first, *(self._own(s) for s in copy.body(body)), *last]

    def _own(self, s: Statement) -> Statement:
        """``s`` with the arrays of one iteration read and written at this lane's elements."""
        if not self.own_rows:
            return s
        return at_lanes(s, self.own_rows, self.width, self.lane)


def at_lanes(s: Statement, rows: Mapping[Any, Any], width: Expr, lane: Expr) -> Statement:
    """``s`` with every access to a row at element ``position * width + lane`` of what stands for it in ``rows``."""

    def change(node: Expr, args: tuple[Expr, ...]) -> Expr | None:
        if node.code is Code.LOAD and node.payload in rows:
            return make(Code.LOAD, node.dtype, (args[0] * width + lane,), rows[node.payload])
        return None

    memo: dict[Expr, Expr] = {}

    def new(e: Expr) -> Expr:
        return rebuild(e, change, memo)

    if isinstance(s, (Let, Assign)):
        return replace(s, value=new(s.value))
    if isinstance(s, If):
        inside, orelse = ([at_lanes(t, rows, width, lane) for t in body] for body in (s.body, s.orelse))
        return If(new(s.condition), inside, orelse)
    assert isinstance(s, Store)
    offset = new(s.offset)
    if s.buffer in rows:
        return Store(rows[s.buffer], offset * width + lane, new(s.value))
    return Store(s.buffer, offset, new(s.value))


def runs_in(tree: list[Any]) -> Iterable[Run]:
    for part in tree:
        if isinstance(part, Run):
            yield part
        elif isinstance(part, tuple):
            yield from runs_in(part[1])


def _read(body: list[Statement]) -> list[Local]:
    found = (e.payload for root in expressions(body) for e in walk([root]) if e.code is Code.LOCAL)
    return list(dict.fromkeys(found))


def _set(body: list[Statement]) -> list[Local]:
    return list(dict.fromkeys(s.local for s in statements(body) if isinstance(s, (Let, Assign))))
