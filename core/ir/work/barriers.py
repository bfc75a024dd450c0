"""Where the lanes of a group must meet: before one reads what another may have written."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from core.dataclass import replace
from core.ir.codes import Code
from core.ir.expr import Expr
from core.ir.nodes import Arrive, Barrier, If, Loop, LoopKind, Statement, Store, expressions, statements
from core.ir.rebuild import substitute
from core.ir.walk import walk

Stored: TypeAlias = list[tuple[Store, Loop]]  # what lanes have stored, each with the loop in which they did


def with_barriers(loop: Loop) -> Loop:
    """A loop over groups with a barrier before each statement that reads what lanes stored since the last one."""
    if loop.kind is not LoopKind.GROUPS:
        return loop
    body, _ = _barred(loop.body, [])
    return replace(loop, body=body)


def _barred(body: Iterable[Statement], stored: Stored) -> tuple[list[Statement], Stored]:
    """Statements with their barriers, and what lanes stored since the last one; ``stored``: before the first."""
    new: list[Statement] = []
    for statement in body:
        if isinstance(statement, (Barrier, Arrive)):
            stored = []
        if isinstance(statement, If) and not statement.orelse and _holds(statement.body):
            inside, left = _barred(statement.body, stored)
            new.append(replace(statement, body=inside))
            stored = [*stored, *left]
            continue
        if holds_lanes(statement):
            assert isinstance(statement, Loop)
            inside, left = _barred(statement.body, [*stored, *_stores(statement)])  # the last turn's come before it
            new.append(replace(statement, body=inside))
            stored = [*stored, *left]  # there may be no turn at all
            continue
        lanes = statement if isinstance(statement, Loop) else None
        if not all(same_lane(e, lanes, store, by) for e in _loads([statement]) for store, by in _to(e, stored)):
            new.append(Barrier())
            stored = []
        new.append(statement)
        if lanes is not None:
            stored = stored + [(s, lanes) for s in statements(lanes.body) if isinstance(s, Store)]
    return new, stored


def holds_lanes(statement: Statement) -> bool:
    """Whether it is a loop in order around loops over lanes."""
    return isinstance(statement, Loop) and statement.kind is LoopKind.ORDER and _holds(statement.body)


def _holds(body: list[Statement]) -> bool:
    return any(isinstance(s, Loop) and s.kind is LoopKind.LANES for s in statements(body))


def _stores(outside: Loop) -> Stored:
    """What the loops over lanes inside a loop store."""
    lanes = [s for s in statements(outside.body) if isinstance(s, Loop) and s.kind is LoopKind.LANES]
    return [(s, loop) for loop in lanes for s in statements(loop.body) if isinstance(s, Store)]


def _loads(body: list[Statement]) -> list[Expr]:
    return [e for e in walk(expressions(body)) if e.code is Code.LOAD]


def _to(e: Expr, stored: Iterable[tuple[Store, Loop]]) -> Stored:
    return [(store, by) for store, by in stored if store.buffer is e.payload]


def same_lane(read: Expr, loop: Loop | None, store: Store, by: Loop) -> bool:
    """Whether the lane that reads an element, in ``loop``, is the one that stored it, in the loop ``by``."""
    if loop is None or loop.extent is not by.extent or (loop.width, loop.fits) != (by.width, by.fits):
        return False
    if loop.width > 1 and not loop.fits:  # where a row starts decides who takes which elements
        return False
    return substitute(read.args[0], {loop.variable: by.variable}) is store.offset
