"""Neighbouring elements taken together: loops whose loads and stores can be of several elements at once.

A GPU moves 16 bytes with one instruction.  A loop that is spread out over work-items may let each take ``width``
neighbouring iterations; a load or store at the loop's variable, or at that and something that does not change inside,
is then one access.  Iterations are independent anyway, so this changes no meaning; printing does the rest.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from core import dtypes
from core.dataclass import dataclass
from core.ir.codes import Code
from core.ir.expr import INDEX_DTYPE, Expr, const
from core.ir.nodes import Assign, Atomic, If, Let, Loop, LoopKind, Statement, Store, own_expressions, statements
from core.ir.rebuild import functions_in, unconditional
from core.ir.walk import walk

ACCESS_BYTES = 16
MOST_ELEMENTS = 4
LARGEST_BODY = 150  # nodes: a body is written out once for each element, and all of them need registers
KEPT_PIECES = 4  # of a row, that one work-item holds between loops: with 256 lanes, rows of 4096 elements fit
KEPT_BYTES = 64  # of all that it holds: more registers mean fewer groups at once
KEPT_BYTES_OF_FITTING = 128  # where rows fit, so that there are no other loops that need registers
LARGEST_KEEPING_BODY = 60  # nodes: it is written out once more for each piece; those of rows that fit are so anyway


@dataclass(frozen=True, eq=False)
class Access:
    """One element of ``buffer``, at the loop's variable plus ``start``, which does not change inside the loop."""

    buffer: Any
    start: Expr
    node: Expr | Store


def widen(body: list[Statement]) -> None:
    """Set the width of each loop in ``body`` that gains by it."""
    for statement in statements(body):
        if isinstance(statement, Loop) and statement.kind in (LoopKind.ITEMS, LoopKind.LANES):
            statement.width = _width(statement)


def _width(loop: Loop) -> int:
    found = accesses(loop)
    if not found or len(walk(_roots(loop.body))) > LARGEST_BODY or functions_in(_roots(loop.body)):
        return 1  # what loops for each element waits for no memory
    smallest = min(dtypes.size_bytes(access.buffer.dtype) for access in found)
    return min(MOST_ELEMENTS, ACCESS_BYTES // smallest)


def fit(body: list[Statement], extent: Expr) -> int:
    """Let the loops over lanes in ``body`` promise that ``extent``, theirs, fits; how many elements a lane then takes.

    0 where they cannot: loops of other extents, accesses that do not start where rows do, bodies that are too long.
    """
    lanes = [
        s for s in statements(body) if isinstance(s, Loop) and s.kind is LoopKind.LANES and s.extent is not const(1)
    ]
    settled = {s.local.expr: s.value for s in statements(body) if isinstance(s, Let) and s.constant}
    found = [access for loop in lanes for access in accesses(loop)]
    width = max((loop.width for loop in lanes), default=0)
    if width < 2 or any(loop.extent is not extent or loop.width == 1 for loop in lanes):
        return 0
    if not all(_starts_a_row(access.start, extent, width, settled) for access in found):
        return 0
    for loop in lanes:
        loop.width, loop.fits = width, KEPT_PIECES
    return KEPT_PIECES * width


def _starts_a_row(start: Expr, extent: Expr, width: int, settled: dict[Expr, Expr]) -> bool:
    """Whether ``start`` is a multiple of ``extent``, which is one of ``width``."""
    start = settled.get(start, start)
    if start.is_const:
        return start.payload % width == 0
    if start is extent:
        return True
    if start.code is Code.ADD or start.code is Code.SUB:
        return all(_starts_a_row(arg, extent, width, settled) for arg in start.args)
    if start.code is not Code.MUL:
        return False
    factors, left = _factors(start), _factors(extent)
    if extent.is_const:
        return any(e.is_const and e.payload % width == 0 for e in factors)
    for e in factors:
        if e in left:
            left.remove(e)
    return not left or any(_starts_a_row(arg, extent, width, settled) for arg in start.args)


def _factors(e: Expr) -> list[Expr]:
    return [one for arg in e.args for one in _factors(arg)] if e.code is Code.MUL else [e]


def own_arrays(loop: Loop, arrays: Iterable[Any]) -> dict[Any, Loop]:
    """Those of ``arrays`` of which each lane only touches elements of its own, with one of the loops that do.

    Registers can hold them: in all of these loops a lane has the same elements.
    """
    found: dict[Any, Loop] = {}
    shared: set[Any] = set()

    def visit(statement: Statement, lanes: Loop | None) -> None:
        inner = lanes
        if isinstance(statement, Loop):
            inner = statement if statement.kind is LoopKind.LANES else lanes
        for buffer, offset in _touched(statement):
            if lanes is None or not lanes.fits or offset is not lanes.variable:
                shared.add(buffer)
                continue
            first = found.setdefault(buffer, lanes)
            if (first.extent, first.width, first.fits) != (lanes.extent, lanes.width, lanes.fits):
                shared.add(buffer)
        if isinstance(statement, (Loop, If)):
            for one in [*statement.body, *(statement.orelse if isinstance(statement, If) else [])]:
                visit(one, inner)

    for statement in loop.body:
        visit(statement, None)
    return {buffer: found[buffer] for buffer in arrays if buffer in found and buffer not in shared}


def _touched(statement: Statement) -> list[tuple[Any, Expr]]:
    """The elements that a statement reads or writes itself."""
    roots = own_expressions(statement)
    found = [(e.payload, e.args[0]) for e in walk(roots) if e.code is Code.LOAD and e.args]
    return found + [(statement.buffer, statement.offset)] if isinstance(statement, (Store, Atomic)) else found


def accesses(loop: Loop) -> list[Access]:
    """The loads and stores of ``loop`` that neighbouring iterations make side by side, each once.

    None where the body has more than plain statements.  A load under a guard is not among them: its neighbours may not
    be there.  Nor is any access to a buffer that the loop touches in another way too.
    """
    if not all(isinstance(statement, (Let, Assign, Store, Atomic)) for statement in loop.body):
        return []
    inside = {statement.local.expr for statement in loop.body if isinstance(statement, Let)}
    changing = inside | {statement.local.expr for statement in loop.body if isinstance(statement, Assign)}
    stores = [statement for statement in loop.body if isinstance(statement, (Store, Atomic))]
    written = [statement.buffer for statement in stores]
    roots = _roots(loop.body)
    always = unconditional(roots)
    found = []
    for e in walk(roots):
        if e.code is Code.LOAD and e in always and e.payload not in written and len(e.args) == 1:
            start = _start(e.args[0], loop.variable, changing)
            if start is not None:
                found.append(Access(e.payload, start, e))
    loaded = {e.payload for e in walk(roots) if e.code is Code.LOAD}
    for statement in stores:
        start = _start(statement.offset, loop.variable, changing)
        alone = written.count(statement.buffer) == 1 and statement.buffer not in loaded
        if isinstance(statement, Store) and alone and start is not None:
            found.append(Access(statement.buffer, start, statement))
    return found


def kept(loop: Loop) -> dict[tuple[Any, Expr], list[Loop]]:
    """Loads that several of the loops over lanes in ``loop`` make in the same places: buffer and start, and the loops.

    The first of the loops can hold what it loads in registers for the others.  All of them go the same way: extent,
    width and the starts that decide whether elements are taken together are the same.  It is all of them or none: where
    some are loaded again anyway, that hides behind other groups, which fewer registers leave room for (on an H100, a
    row kernel with two such buffers took 686 us keeping neither, 747 keeping one, 885 keeping both).  Of rows that fit,
    more is held, but not what is the same for every row, which lies near: weights.
    """
    written = {s.buffer for s in statements(loop.body) if isinstance(s, (Store, Atomic))}
    found: dict[tuple, list[Loop]] = {}
    for lanes in loop.body:
        if not isinstance(lanes, Loop) or lanes.kind is not LoopKind.LANES or lanes.width == 1:
            continue
        if not lanes.fits and len(walk(_roots(lanes.body))) > LARGEST_KEEPING_BODY:
            continue
        every = accesses(lanes)
        starts = (access.start for access in every)
        way = (lanes.extent, lanes.width, frozenset(s for s in starts if not (s.is_const and s.payload == 0)))
        for access in every:
            for_all_rows = bool(lanes.fits) and access.start.is_const
            if not isinstance(access.node, Store) and access.buffer not in written and not for_all_rows:
                found.setdefault((access.buffer, access.start, way), []).append(lanes)
    out, size, room = {}, 0, KEPT_BYTES
    for (buffer, start, way), loops in found.items():
        if len(loops) > 1 and (buffer, start) not in out:
            out[buffer, start] = loops
            size += KEPT_PIECES * way[1] * dtypes.size_bytes(buffer.dtype)
            room = KEPT_BYTES_OF_FITTING if loops[0].fits else room
    return out if size <= room else {}


def same_for_all(turns: Loop) -> dict[tuple[Any, Expr], list[Loop]]:
    """Loads of rows that fit which are the same in every turn of ``turns``, likewise; none where they are too many."""
    written = {s.buffer for s in statements(turns.body) if isinstance(s, (Store, Atomic))}
    found: dict[tuple, list[Loop]] = {}
    size = 0
    for lanes in turns.body:
        if not isinstance(lanes, Loop) or lanes.kind is not LoopKind.LANES or not lanes.fits:
            continue
        for access in accesses(lanes):
            if isinstance(access.node, Store) or access.buffer in written or not access.start.is_const:
                continue
            if (access.buffer, access.start) not in found:
                size += lanes.fits * lanes.width * dtypes.size_bytes(access.buffer.dtype)
            found.setdefault((access.buffer, access.start), []).append(lanes)
    return found if size <= KEPT_BYTES else {}


def _roots(body: list[Statement]) -> list[Expr]:
    """What a body of plain statements computes in every iteration."""
    roots = []
    for statement in body:
        assert isinstance(statement, (Let, Assign, Store, Atomic))
        roots.append(statement.value)
        if isinstance(statement, (Store, Atomic)):
            roots.append(statement.offset)
    return roots


def _start(offset: Expr, variable: Expr, changing: set[Expr]) -> Expr | None:
    """``offset - variable`` where that does not change inside the loop, else None."""
    if offset is variable:
        return const(0)
    if offset.code is not Code.ADD or variable not in offset.args:
        return None
    (start,) = [arg for arg in offset.args if arg is not variable] or [variable]
    parts = walk([start])
    fixed = variable not in start.free and not any(e in changing or e.code is Code.LOAD for e in parts)
    return start if fixed and start.dtype == INDEX_DTYPE else None
