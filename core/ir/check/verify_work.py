"""What a legal kernel of a device is, beyond the rules of verify.py: where work-items may be, and what they share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NoReturn

from core.errors import VerifyError
from core.ir.codes import Code
from core.ir.expr import Expr
from core.ir.nodes import (
    SPREAD_OUT,
    Arrive,
    Atomic,
    Barrier,
    Break,
    If,
    Kernel,
    Loop,
    LoopKind,
    Statement,
    Store,
    statements,
)
from core.ir.show import show
from core.ir.walk import walk
from core.ir.work.barriers import holds_lanes, same_lane


def verify_work(kernel: Kernel) -> None:
    """Errors: VerifyError.  A kernel without loops for work-items is not asked."""
    loops = [s for s in statements(kernel.body) if isinstance(s, Loop)]
    if not any(loop.kind in (*SPREAD_OUT, LoopKind.LANES) for loop in loops):
        return
    where = f"kernel {kernel.name}"
    for value in kernel.unless:
        if value not in kernel.reads or value.dtype != "bool":
            _fail(where, f"it asks {value}, which must be a bool that it reads")
    for statement in kernel.body:
        if not isinstance(statement, Loop) or statement.kind not in SPREAD_OUT:
            _fail(where, "every outermost statement of a kernel of a device is a loop over items or groups")
        for inner in statements(statement.body):
            if isinstance(inner, Loop) and inner.kind in SPREAD_OUT:
                _fail(where, f"the loop over {inner.variable} must be outermost")
        _fitting(where, statement)
        if statement.kind is LoopKind.GROUPS:
            _Group(where, statement).body(statement.body)
            _ends(where, statement, kernel)
        elif any(isinstance(s, (Barrier, Arrive)) or _is_lanes(s) for s in statements(statement.body)):
            _fail(where, f"there is no group in the loop over {statement.variable}, so no barrier and no lanes")


def _fitting(where: str, loop: Loop) -> None:
    """Loops over rows that fit are of lanes, of one length and width: a lane has the same elements in all of them."""
    found = [s for s in statements(loop.body) if isinstance(s, Loop) and s.fits]
    if any(s.kind is not LoopKind.LANES for s in found):
        _fail(where, f"only rows that lanes share can fit, and a loop in {loop.variable} is of another kind")
    if len({(s.extent, s.width, s.fits) for s in found}) > 1:
        _fail(where, f"rows of several lengths or widths cannot all fit in the loop over {loop.variable}")


def _ends(where: str, loop: Loop, kernel: Kernel) -> None:
    """A group takes one turn after the other: what it shares is read by all lanes before one writes the next."""
    shared = [s.buffer for s in statements(loop.body) if isinstance(s, Store) and s.buffer in kernel.arrays]
    if shared and not isinstance(loop.body[-1], Barrier):
        _fail(f"{where}, the groups of {loop.variable}", f"lanes share {shared[0]}, so they must meet in the end")


class _Group:
    """Walks over what one group does: ``stored`` is what lanes wrote since they last met, and in which loop."""

    def __init__(self, kernel: str, loop: Loop):
        self.where = f"{kernel}, the groups of {loop.variable}"
        self.stored: list[tuple[Store, Loop]] = []
        self.arrived: set[Expr] = set()  # what is true in the last group to come: all of its lanes know

    def body(self, body: Iterable[Statement], conditional: bool = False) -> None:
        for statement in body:
            if isinstance(statement, (Store, Atomic)):
                _fail(self.where, f"every lane would write to {statement.buffer}: a store needs a loop over lanes")
            elif isinstance(statement, Barrier):
                if conditional:
                    _fail(self.where, "some lanes may never come to a barrier under a condition")
                self.stored = []
            elif isinstance(statement, Arrive):
                if conditional:
                    _fail(self.where, "some lanes may never arrive under a condition")
                self._reads([statement.offset, statement.count], None)
                self.stored = []
                self.arrived.add(statement.last.expr)
            elif isinstance(statement, If):
                self._reads([statement.condition], None)
                some = conditional or statement.condition not in self.arrived
                before = self.stored
                self.body(statement.body, some)
                after, self.stored = self.stored, before
                self.body(statement.orelse, some)
                self.stored = [*after, *self.stored]
            elif isinstance(statement, Loop) and statement.kind is LoopKind.LANES:
                if conditional and statement.reductions:
                    _fail(self.where, "lanes cannot combine what they have under a condition")
                self._lanes(statement)
            elif isinstance(statement, Loop):
                self._reads([statement.extent], None)
                before = self.stored
                for _ in range(2 if holds_lanes(statement) else 1):  # what one turn stores, the next one may read
                    self.body(statement.body, conditional)
                self.stored = [*before, *self.stored] if holds_lanes(statement) else self.stored
            elif isinstance(statement, Break):
                _fail(self.where, "no device leaves the loops of a kernel")
            else:
                self._reads([statement.value], None)

    def _lanes(self, loop: Loop) -> None:
        new: list[tuple[Store, Loop]] = []
        for statement in statements(loop.body):
            if isinstance(statement, (Barrier, Arrive)) or _is_lanes(statement):
                _fail(self.where, f"a barrier or lanes inside the loop over {loop.variable}, which not all lanes run")
            if isinstance(statement, Store):
                new.append((statement, loop))
                self._reads([statement.offset, statement.value], loop)
            elif isinstance(statement, Loop):
                self._reads([statement.extent], loop)
            elif isinstance(statement, (If, Break)):
                self._reads([statement.condition], loop)
            elif not isinstance(statement, Barrier):
                self._reads([statement.value], loop)
        self.stored += new

    def _reads(self, roots: Iterable[Expr], loop: Loop | None) -> None:
        """What is read was not written by another lane since the last barrier."""
        if not self.stored:
            return
        for e in walk(roots):
            if e.code is not Code.LOAD:
                continue
            for store, by in self.stored:
                if store.buffer is e.payload and not same_lane(e, loop, store, by):
                    _fail(self.where, f"it reads {show(e)}, which another lane may have written: a barrier is missing")


def _is_lanes(statement: Statement) -> bool:
    return isinstance(statement, Loop) and statement.kind is LoopKind.LANES


def _fail(where: str, rule: str) -> NoReturn:
    raise VerifyError(f"{where}: {rule}")
