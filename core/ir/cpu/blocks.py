"""Blocks: a long loop around short ones runs for a block of its iterations at a time, one in each vector lane.

In a mixture's density, ``for each point: for each component: for each coordinate: ...``, the inner loops are as short
as there are components and coordinates, so vectors over them are mostly empty.  Here they run once for a block of
points, in loops of constant length over the lanes; what was a register of one point becomes an array with an element a
lane, and what the points share takes in a block's total.  How long the inner loops are is asked when the function runs:
where they are long, or no whole block is left, the loop runs as it was.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from core import dtypes
from core.dataclass import replace
from core.ir.axes import product, ravel
from core.ir.codes import Code, Combine
from core.ir.combining import combining
from core.ir.cpu.lanes import Laned, gains_by_lanes, holds_loop, varies, varying_in
from core.ir.cpu.parallel import Shared, shared_by
from core.ir.definitions import Value
from core.ir.expr import Expr, cast, const, index, make, minimum
from core.ir.nests.accumulators import combined, narrow_sum, narrowed
from core.ir.nests.copies import Copy, declared
from core.ir.nests.strides import linear, work
from core.ir.nodes import (
    Assign,
    If,
    Kernel,
    Let,
    Local,
    Loop,
    LoopKind,
    Statement,
    Store,
    expressions,
    own_expressions,
    statements,
)
from core.ir.passes.storage import EXPENSIVE
from core.ir.rebuild import guarded_loads, loads_in, rebuild
from core.ir.walk import walk

BLOCK_BYTES = 256  # of a block of numbers: eight vectors of 32 bytes
SHORT = 32  # elements of a row that fills few vectors by itself
SHORT_AGAIN = 8  # where rows are set side by side anew in each iteration of a loop around


def blocked(kernel: Kernel, shapes: dict[Any, tuple[Expr, ...]], kept: set[Any]) -> Kernel:
    """``kernel`` with loops in blocks, outer ones first, where those inside them are, or may be, short.

    ``kept`` are the values that somebody reads after the kernel; ``shapes`` learns those of new local arrays.
    """
    arrays: list[Value] = []

    def visit(body: list[Statement], nested: bool) -> list[Statement]:
        new: list[Statement] = []
        for s in body:
            if isinstance(s, Loop) and s.kind in (LoopKind.GRID, LoopKind.COMBINE):
                shared = shared_by(s, kernel.scratch)
                if shared is not None and _can(kernel, s, shared) and _gains(s, nested, kept):
                    s = _Blocked(kernel, s, shared, SHORT_AGAIN if nested else SHORT, shapes, arrays).loop()
                else:
                    s = replace(s, body=visit(s.body, True))
            new.append(s)
        return new

    body = visit(kernel.body, False)
    return replace(kernel, body=body, writes=[*kernel.writes, *arrays], scratch=[*kernel.scratch, *arrays])


# --- where ------------------------------------------------------------------------------------------------------------


def _can(kernel: Kernel, loop: Loop, shared: Shared) -> bool:
    """Whether the iterations of ``loop``, which share nothing else, can run side by side."""
    varying = varying_in(loop) - shared.registers.keys()
    for s in statements(loop.body):
        if isinstance(s, If) and (holds_loop(s) or any(_takes(t, shared) for t in statements([*s.body, *s.orelse]))):
            return False
        if isinstance(s, Loop) and varies(s.extent, loop.variable, varying):
            return False
        if isinstance(s, (Assign, Store)) and _takes(s, shared) and combining(_so_far(s), s.value) is None:
            return False
    inside = {s.buffer for s in statements(loop.body) if isinstance(s, Store)}.intersection(kernel.scratch)
    mine = {id(s) for s in statements(loop.body)}
    others = [root for s in statements(kernel.body) if id(s) not in mine for root in own_expressions(s)]
    return inside.isdisjoint(e.payload for e in loads_in(others)) and not _reads_a_register(loop, shared)


def _takes(s: Statement, shared: Shared) -> bool:
    """Whether a statement takes more into what iterations share."""
    return (isinstance(s, Assign) and s.local in shared.registers) or (
        isinstance(s, Store) and s.buffer in shared.grown
    )


def _so_far(s: Assign | Store) -> Expr:
    """What a statement changes, before it does."""
    if isinstance(s, Assign):
        return s.local.expr
    return make(Code.LOAD, dtypes.real_of(s.buffer.dtype), (s.offset,), s.buffer)


def _reads_a_register(loop: Loop, shared: Shared) -> bool:
    """Whether a register that iterations share is read where it takes nothing in."""
    registers = {local.expr for local in shared.registers}
    for s in statements(loop.body):
        own = s.local.expr if isinstance(s, Assign) and _takes(s, shared) else None
        if isinstance(s, (Let, Assign, Store)) and not (registers - {own}).isdisjoint(walk([s.value])):
            return True
        if isinstance(s, If) and not registers.isdisjoint(walk([s.condition])):
            return True
    return False


def _gains(loop: Loop, nested: bool, kept: set[Any]) -> bool:
    """Whether the loops inside are known to be short, and reduce or call functions, or may be both.

    Of three loops one in the other, the innermost tends to be short.  ``nested``: ``loop`` lies inside another one.
    """
    inside = [s for s in statements(loop.body) if isinstance(s, Loop)]
    few = loop.extent.is_const and loop.extent.payload < _width(loop)
    if not inside or few or gains_by_lanes(loop):
        return False
    if any(s.extent.is_const and s.extent.payload > (SHORT_AGAIN if nested else SHORT) for s in inside):
        return False
    innermost = [s for s in inside if not any(isinstance(t, Loop) for t in s.body)]
    unknown = {s.variable for s in inside if not s.extent.is_const}
    reductions = sum(bool(s.reductions) for s in inside)
    calls = any(e.code in (Code.CALL, Code.POW) and e.cost >= EXPENSIVE for e in walk(expressions(loop.body)))
    if not unknown:
        return (calls or reductions > 0) and not all(_fills_vectors(s, _width(loop)) for s in innermost)
    if nested:
        deep, much = True, reductions > 0 and (len(inside) > 1 or work(loop.body) >= EXPENSIVE // 2)
    else:
        deep, much = len(innermost) < len(inside), reductions > 1
    return deep and (calls or much) and not _makes_rows(loop, unknown, kept)


def _fills_vectors(loop: Loop, width: int) -> bool:
    """Whether a loop of known length leaves no lane of a few vectors empty."""
    return loop.extent.payload >= width // 2 and loop.extent.payload % (width // 4) == 0


def _makes_rows(loop: Loop, inside: set[Expr], kept: set[Any]) -> bool:
    """Whether each iteration makes a row, over loops of unknown length, of what somebody needs: it may well be long."""
    stores = [s for s in statements(loop.body) if isinstance(s, Store) and s.buffer in kept]
    return any(loop.variable in s.offset.free and not inside.isdisjoint(s.offset.free) for s in stores)


def _width(loop: Loop) -> int:
    """How many iterations a block has."""
    kinds = {e.dtype for e in loads_in(expressions(loop.body)) if e.dtype in dtypes.FLOATS}
    return BLOCK_BYTES // (4 if kinds == {"float32"} else 8)


# --- how --------------------------------------------------------------------------------------------------------------


class _Blocked(Laned):
    """Rewrites one loop."""

    def __init__(
        self,
        kernel: Kernel,
        loop: Loop,
        shared: Shared,
        most: int,
        shapes: dict[Any, tuple[Expr, ...]],
        arrays: list[Value],
    ):
        self.original, self.shared, self.most, self.shapes = loop, shared, most, shapes
        self._block = const(_width(loop))
        columns, body = _with_columns(loop, kernel.reads, shapes)
        self._columns = set(columns)
        loop = replace(loop, body=[*columns.values(), *_with_narrow_sums(body)])
        super().__init__(kernel, loop, shapes, set(), arrays)
        self.varying -= shared.registers.keys()
        self.width = self._block

    def loop(self) -> Loop:
        """The loop over blocks; as it was where some row is known to be too long."""
        whole = self.tile * self.width + self.width <= self.original.extent
        for size in self._sizes():
            whole = whole & (size <= self.most)
        if whole.is_const and not whole.payload:
            return self.original
        tree = self._split(self.source.body)
        self._expand(tree)
        self.arrays += self.own_rows.values()
        blocks = (self.original.extent + (self.width.payload - 1)) // self.width
        return replace(
            self.original, variable=self.tile, extent=blocks, body=[If(whole, self._written(tree), [self._rest()])]
        )

    def _rest(self) -> Loop:
        """The iterations of one block as they were."""
        variable, start = index(self.original.variable.payload), self.tile * self.width
        body = Copy({self.original.variable: start + variable}).body(self.original.body)
        extent = minimum(self.width, self.original.extent - start)
        return replace(self.original, variable=variable, extent=extent, body=body)

    def _sizes(self) -> list[Expr]:
        """What must be short."""
        inside = [s.extent for s in statements(self.source.body) if isinstance(s, Loop)]
        return list(dict.fromkeys([*inside, *(product(self.shapes[row]) for row in self.own_rows)]))

    def _scratch(self, kept: set[Any]) -> dict[Any, Any]:
        own = {s.buffer for s in statements(self.source.body) if isinstance(s, Store)}
        rows = {}
        for row in sorted(own.intersection([*self.kernel.scratch, *self._columns]), key=str):
            size = product(self.shapes[row])
            rows[row] = Value(f"{row}_of_lanes", row.dtype)
            self.shapes[rows[row]] = (size if size.is_const else const(self.most), self._block)
        return rows

    def _inner(self, loop: Loop, inside: list[Any]) -> list[Statement]:
        return [replace(loop, body=self._written(inside), kind=LoopKind.ORDER, reductions=[])]

    def _over_lanes(self, body: list[Statement]) -> Loop:
        return Loop(self.lane, self.width, body, LoopKind.SIMD)

    def _pass(self, body: list[Statement]) -> list[Statement]:
        """What all lanes share takes in what they have together."""
        first: list[Statement] = []
        inside: list[Statement] = []
        last: list[Statement] = []
        reductions = []
        for s in body:
            if _takes(s, self.shared):
                assert isinstance(s, (Assign, Store))
                taken = combining(_so_far(s), s.value)
                assert taken is not None
                total, part, s = _together(s)
                first.append(Let(part, const(taken[0].identity(part.dtype), part.dtype), False))
                reductions.append((taken[0], part))
                last.append(
                    replace(total, value=combined(taken[0], _so_far(total), cast(part.expr, total.value.dtype)))
                )
            inside.append(s)
        return [*first, replace(self._over_lanes(self._moved(inside)), reductions=reductions), *last]


def _together(s: Assign | Store) -> tuple[Assign | Store, Local, Assign]:
    """A statement that takes more into a total; a register for what a block takes, and the statement for that."""
    name = s.local.name if isinstance(s, Assign) else str(s.buffer)
    total = _so_far(s)
    narrow = narrow_sum(Combine.ADD, s.local, [s]) if isinstance(s, Assign) else None
    part = Local(f"{name}_here", total.dtype if narrow is None else narrow.dtype)
    if narrow is not None:
        return s, part, Assign(part, part.expr + s.value.args[1].args[0])
    return s, part, Assign(part, rebuild(s.value, lambda node, args: None, {total: part.expr}))


def _with_narrow_sums(body: list[Statement]) -> list[Statement]:
    """``body`` with the sums of its innermost loops, which are short, in the dtype of their terms."""
    new: list[Statement] = []
    for s in body:
        if not isinstance(s, Loop):
            new.append(s)
            continue
        pairs = ((local, narrow_sum(combine, local, s.body)) for combine, local in s.reductions)
        sums = {local: part for local, part in pairs if part is not None}
        new += [Let(part, const(0.0, part.dtype), False) for part in sums.values()]
        new.append(replace(s, body=narrowed(_with_narrow_sums(s.body), sums), reductions=[]))
        new += [Assign(total, total.expr + cast(part.expr, total.dtype)) for total, part in sums.items()]
    return new


def _with_columns(
    loop: Loop, reads: Iterable[Value], shapes: dict[Any, tuple[Expr, ...]]
) -> tuple[dict[Value, Loop], list[Statement]]:
    """The body of ``loop`` with what it reads row by row in rows of its own, and the loops that fill these.

    To lanes side by side such rows are far apart; those of their own they have side by side.
    """
    inside = {s.variable: s.extent for s in statements(loop.body) if isinstance(s, Loop)}
    variables = [loop.variable, *inside]
    here = {local.expr for local in declared(loop.body)}
    roots = list(expressions(loop.body))
    guarded = set(guarded_loads(roots))
    known: dict[tuple[Any, ...], Value] = {}
    columns: dict[Value, Loop] = {}
    replaced: dict[Expr, Expr] = {}
    for e in loads_in(roots):
        form = linear(e.args[0], variables)
        if e in guarded or e.payload not in reads or form is None or form.stride(loop.variable) in ((0, ()), (1, ())):
            continue
        moving = [v for v in inside if v in form.strides]
        parts = walk([form.rest, *(inside[v] for v in moving)])
        if not moving or any(part in here or part.code is Code.LOAD for part in parts):
            continue
        key = (e.payload, form.rest, form.stride(loop.variable), *((form.stride(v), inside[v]) for v in moving))
        row = known.get(key)
        if row is None:
            row = known[key] = Value(f"{e.payload}_here", e.dtype)
            shapes[row] = tuple(inside[v] for v in moving)
            columns[row] = _filled(row, e, moving, inside, shapes)
        replaced[e] = make(Code.LOAD, e.dtype, (ravel(moving, shapes[row]),), row)
    return columns, Copy(replaced).body(loop.body)


def _filled(row: Value, e: Expr, variables: list[Expr], extents: dict[Expr, Expr], shapes: Any) -> Loop:
    """Loops that store what ``e`` loads in ``row``."""
    fresh = {v: index(v.payload) for v in variables}
    copy = Copy(fresh)
    body: list[Statement] = [Store(row, copy.expr(ravel(variables, shapes[row])), copy.expr(e))]
    for v in reversed(variables):
        body = [Loop(fresh[v], extents[v], body, LoopKind.GRID)]
    (loop,) = body
    assert isinstance(loop, Loop)
    return loop
