"""Values that several loops over the lanes of a row compute for the same elements: the first may hold them for all.

Softmax sums the exponentials of a row, then stores each of them scaled: where the row itself stays in registers
(core/ir/nests/vector_access.py), so can its exponentials, and each is computed once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core import dtypes
from core.dataclass import dataclass, replace
from core.ir.codes import Code
from core.ir.expr import Expr
from core.ir.nests.vector_access import KEPT_BYTES, KEPT_PIECES, accesses, kept
from core.ir.nodes import Assign, Atomic, Let, Loop, Store, expressions, statements
from core.ir.rebuild import substitute, unconditional
from core.ir.walk import walk

WORTH_KEEPING = 12  # operations: what costs less is computed again in the time that a register costs, if none is free


@dataclass(frozen=True, eq=False)
class Again:
    """A value for each element: how the first loop says it, and how the later ones do.

    place  what registers held until then, that now hold the value; None: it has some of its own
    """

    first: Loop
    node: Expr
    later: tuple[tuple[Loop, Expr], ...]
    place: tuple[Any, Expr] | None = None

    def replaces(self, buffer: Any, loops: Sequence[Loop]) -> bool:
        """Whether registers that hold ``buffer`` for ``loops`` can take the value: later loops do not ask for loads."""
        if self.node.dtype != buffer.dtype or not any(loop is self.first for loop in loops):
            return False
        nodes = {id(loop): e for loop, e in self.later}
        for loop in loops[next(k for k, loop in enumerate(loops) if loop is self.first) + 1 :]:
            stop = nodes.get(id(loop))
            if any(e.code is Code.LOAD and e.payload is buffer for e in _besides(loop, stop)):
                return False
        return True


def _besides(loop: Loop, stop: Expr | None) -> list[Expr]:
    """What a loop computes, without what only ``stop`` needs."""
    return walk(list(expressions(loop.body)), into=lambda e: e is not stop)


def computed_again(rows: Loop) -> list[Again]:
    """What loops over lanes in ``rows`` compute again, in an order in which it can be declared.

    Only loops that hold their loads in registers are looked at: they go the same way over a row.  A value depends on
    such loads and on what does not change in a row after the first loop.  It takes registers that are free, because
    later loops do not ask any more for what they held; where there are none, only what costs much gets some of its own.
    """
    holders: list[Loop] = []
    holding = kept(rows)
    for loops in holding.values():
        holders += [loop for loop in loops if not any(loop is one for one in holders)]
    holders.sort(key=lambda loop: next(k for k, one in enumerate(rows.body) if one is loop))
    unchanged = _Unchanged(rows)
    found: list[Again] = []
    taken: set[tuple[int, Expr]] = set()
    room = KEPT_BYTES
    for number, first in enumerate(holders):
        known = unchanged.values(first)
        later: dict[Expr, list[tuple[Loop, Expr]]] = {}
        for loop in holders[number + 1 :]:
            same = {e: substitute(e, {loop.variable: first.variable}) for e in unchanged.values(loop)}
            new = {e for e, node in same.items() if node in known and (id(loop), e) not in taken}
            for e in _outermost(loop, new):
                later.setdefault(same[e], []).append((loop, e))
        for node, uses in later.items():
            again = Again(first, node, tuple(uses))
            place = next((place for place, loops in holding.items() if again.replaces(place[0], loops)), None)
            size = KEPT_PIECES * first.width * dtypes.size_bytes(node.dtype)
            if place is None and (node.cost < WORTH_KEEPING or size > room):
                continue
            if place is None:
                room -= size
            else:
                del holding[place]
            found.append(replace(again, place=place))
            taken.update((id(loop), e) for loop, e in uses)
    return found


class _Unchanged:
    """What is the same whenever lanes of a row compute it."""

    def __init__(self, rows: Loop):
        inside = list(statements(rows.body))
        self._written = {s.buffer for s in inside if isinstance(s, (Store, Atomic))}
        declared = {s.local.expr for s in rows.body if isinstance(s, Let)}
        self._settled = declared - {s.local.expr for s in inside if isinstance(s, Assign)}

    def values(self, loop: Loop) -> set[Expr]:
        """What is computed of every element of a loop."""
        taken = {access.node for access in accesses(loop) if isinstance(access.node, Expr)}
        return {e for e in unconditional(expressions(loop.body)) if self._holds(e, loop, taken)}

    def _holds(self, e: Expr, loop: Loop, taken: set[Expr]) -> bool:
        if e.code is Code.LOAD or loop.variable not in e.free or e.dtype not in dtypes.FLOATS:
            return False
        parts = walk([e])
        loads = [part for part in parts if part.code is Code.LOAD]
        return (
            all(part in self._settled for part in parts if part.code is Code.LOCAL)
            and all(part.payload not in self._written for part in loads)
            and all(part in taken for part in loads if loop.variable in part.free)
        )


def _outermost(loop: Loop, values: set[Expr]) -> list[Expr]:
    """Those of ``values`` that are not part of another, in the order of the loop's body."""
    inside = {part for e in values for arg in e.args for part in walk([arg]) if part in values}
    return [e for e in walk(list(expressions(loop.body))) if e in values and e not in inside]
