"""Epilogues: functions of what rows were reduced to are computed for many rows at once, in vector lanes.

``for i: (s = sum over k of exp(x[i, k]); y[i] = log(s))`` takes one logarithm after the other, each of which lasts as
long as a vector of them.  Here a tile of rows is reduced first, and then come the logarithms of the tile.
"""

from __future__ import annotations

from typing import Any

from core.dataclass import replace
from core.ir.codes import Code
from core.ir.definitions import Value
from core.ir.expr import Expr, const, index, make, maximum, minimum
from core.ir.nests.copies import Copy, declared
from core.ir.nodes import NOTHING, Kernel, Let, Local, Loop, LoopKind, Statement, Store, expressions, statements
from core.ir.passes.storage import EXPENSIVE
from core.ir.rebuild import loads_in
from core.ir.walk import walk

TILE = 16  # rows: a vector or two.  Threads take whole tiles, so more would leave few long rows to fewer threads
FEW = 8  # rows that fill no vector
LONG = 512  # elements of a row beside which a function more is nothing


def with_epilogues(kernel: Kernel, shapes: dict[Any, tuple[Expr, ...]]) -> Kernel:
    """``kernel`` with loops over rows in tiles where they end in costly functions.

    ``shapes`` learns those of new local arrays.
    """
    arrays: list[Value] = []

    def visit(body: list[Statement]) -> list[Statement]:
        new: list[Statement] = []
        for s in body:
            if isinstance(s, Loop):
                after = _epilogue(s)
                s = _in_tiles(s, after, kernel.name, shapes, arrays) if after else replace(s, body=visit(s.body))
            new.append(s)
        return new

    body = visit(kernel.body)
    if not arrays:
        return kernel
    return replace(kernel, body=body, writes=[*kernel.writes, *arrays], scratch=[*kernel.scratch, *arrays])


def _epilogue(loop: Loop) -> list[Statement]:
    """What an iteration does behind its last loop, if that can wait for others and is worth it; else nothing."""
    if loop.kind is not LoopKind.GRID or loop.reductions or loop.reverse or loop.start is not NOTHING:
        return []
    if loop.extent.is_const and loop.extent.payload < FEW:
        return []
    last = max((k for k, s in enumerate(loop.body) if isinstance(s, Loop)), default=None)
    if last is None:
        return []
    before, after = loop.body[: last + 1], loop.body[last + 1 :]
    if not all(isinstance(s, Store) or (isinstance(s, Let) and s.constant and not s.nearer) for s in after):
        return []
    if not any(e.code in (Code.CALL, Code.POW) and e.cost >= EXPENSIVE for e in walk(expressions(after))):
        return []
    return after if _can_wait(loop, before, after) and not _is_long(before) else []


def _is_long(before: list[Statement]) -> bool:
    elements = _elements(before)
    return elements.is_const and elements.payload > LONG


def _elements(body: list[Statement]) -> Expr:
    """How often innermost loops run."""
    return sum((s.extent * maximum(_elements(s.body), const(1)) for s in body if isinstance(s, Loop)), const(0))


def _can_wait(loop: Loop, before: list[Statement], after: list[Statement]) -> bool:
    """Whether what is stored behind the last loop is read nowhere, and what is read there stays as it is."""
    set_before = {s.buffer for s in statements(before) if isinstance(s, Store)}
    set_after = {s.buffer for s in after if isinstance(s, Store)}
    read_after = {e.payload for e in loads_in(list(expressions(after)))}
    read_before = {e.payload for e in loads_in(list(expressions(before)))}
    moves = all(loop.variable in s.offset.free for s in after if isinstance(s, Store))
    return moves and set_before.isdisjoint(set_after | read_after) and set_after.isdisjoint(read_before | read_after)


def _in_tiles(
    loop: Loop, after: list[Statement], name: str, shapes: dict[Any, tuple[Expr, ...]], arrays: list[Value]
) -> Loop:
    """The rows of a tile without what is done ``after`` them, then that for all of them."""
    before = loop.body[: len(loop.body) - len(after)]
    tile, row, lane = index(f"{loop.variable.payload}_tile"), index(loop.variable.payload), index("lane")
    count = Local("rows", tile.dtype)
    mine = declared(before)
    read = dict.fromkeys(e.payload for e in walk(expressions(after)) if e.code is Code.LOCAL)
    homes = {local: Value(f"{local.name}_of_{name}", local.dtype) for local in read if local in mine}
    arrays += homes.values()
    shapes.update((home, (const(TILE),)) for home in homes.values())
    rows = Copy({loop.variable: tile * TILE + row}).body(before)
    rows += [Store(home, row, local.expr) for local, home in homes.items()]
    known = {local.expr: make(Code.LOAD, local.dtype, (lane,), home) for local, home in homes.items()}
    lanes = Copy({loop.variable: tile * TILE + lane, **known}).body(after)
    return replace(
        loop,
        variable=tile,
        extent=(loop.extent + (TILE - 1)) // TILE,
        body=[
            Let(count, minimum(const(TILE), loop.extent - tile * TILE)),
            Loop(row, count.expr, rows, LoopKind.GRID),
            Loop(lane, count.expr, lanes, LoopKind.SIMD),
        ],
    )
