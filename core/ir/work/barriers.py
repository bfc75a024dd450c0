"""Where the lanes of a group must meet: before one reads what another may have written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from core.ir.expr import Code, Expr, walk
from core.ir.nodes import Barrier, Loop, LoopKind, Statement, Store, expressions, statements
from core.ir.rebuild import substitute


def with_barriers(loop: Loop) -> Loop:
    """A loop over groups with a barrier before each statement that reads what lanes stored since the last one."""
    if loop.kind is not LoopKind.GROUPS:
        return loop
    body: list[Statement] = []
    stored: list[tuple[Store, Loop]] = []
    for statement in loop.body:
        if isinstance(statement, Barrier):
            stored = []
        lanes = statement if isinstance(statement, Loop) else None
        if not all(same_lane(e, lanes, store, by) for e in _loads([statement]) for store, by in _to(e, stored)):
            body.append(Barrier())
            stored = []
        body.append(statement)
        if lanes is not None:
            stored += [(s, lanes) for s in statements(lanes.body) if isinstance(s, Store)]
    return replace(loop, body=body)


def _loads(body: list[Statement]) -> list[Expr]:
    return [e for e in walk(expressions(body)) if e.code is Code.LOAD]


def _to(e: Expr, stored: Iterable[tuple[Store, Loop]]) -> list[tuple[Store, Loop]]:
    return [(store, by) for store, by in stored if store.buffer is e.payload]


def same_lane(read: Expr, loop: Loop | None, store: Store, by: Loop) -> bool:
    """Whether the lane that reads an element, in ``loop``, is the one that stored it, in the loop ``by``."""
    if loop is None or loop.extent is not by.extent or (loop.width, by.width) != (1, 1):
        return False
    return substitute(read.args[0], {loop.variable: by.variable}) is store.offset
