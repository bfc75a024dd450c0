"""Places: where in memory statements read and write, without the names that parts of it have."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from core.dataclass import replace
from core.ir.codes import Code
from core.ir.effort import resolved
from core.ir.expr import INDEX_DTYPE
from core.ir.nests.copies import Copy
from core.ir.nodes import If, Let, Local, Loop, Statement, statements
from core.ir.walk import walk


def with_places_inlined(body: Sequence[Statement]) -> list[Statement]:
    """``body`` with the names of index arithmetic written out, for passes that make sums over loop variables of it."""
    places = {s.local: s.value for s in statements(list(body)) if isinstance(s, Let) and _is_place(s)}
    return Copy({local.expr: resolved(value, places) for local, value in places.items()}).body(_without(body, places))


def _without(body: Sequence[Statement], locals: Collection[Local]) -> list[Statement]:
    """``body`` without the declarations of ``locals``."""
    new: list[Statement] = []
    for s in body:
        if isinstance(s, Loop):
            s = replace(s, body=_without(s.body, locals))
        elif isinstance(s, If):
            s = If(s.condition, _without(s.body, locals), _without(s.orelse, locals))
        if not (isinstance(s, Let) and s.local in locals):
            new.append(s)
    return new


def _is_place(let: Let) -> bool:
    """Whether it names index arithmetic."""
    is_index = let.constant and let.local.dtype == INDEX_DTYPE
    return is_index and not any(e.code in (Code.LOAD, Code.CALL) for e in walk([let.value]))
