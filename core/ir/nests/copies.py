"""Copies of statements, with other loop variables and locals of their own, for schedules that repeat a loop's body."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from core.ir.expr import Expr
from core.ir.nodes import Assign, If, Let, Local, Loop, Statement, Store, statements
from core.ir.rebuild import rebuild


class Copy:
    """Writes statements anew with each key of ``mapping`` (a loop variable, what reads a local) replaced.

    With a ``suffix``, locals that the statements declare become fresh ones of that name.  A local that turns out to be
    constant is not declared.
    """

    def __init__(self, mapping: Mapping[Expr, Expr], suffix: str = ""):
        self._memo: dict[Expr, Expr] = dict(mapping)
        self._locals: dict[Local, Local] = {}
        self._suffix = suffix

    def rename(self, old: Local, new: Local) -> None:
        """From now on ``new`` is written for ``old``."""
        self._locals[old] = new
        self._memo[old.expr] = new.expr

    def expr(self, root: Expr) -> Expr:
        return rebuild(root, lambda node, args: None, self._memo)

    def body(self, body: Iterable[Statement]) -> list[Statement]:
        return [new for statement in body if (new := self._one(statement)) is not None]

    def _one(self, s: Statement) -> Statement | None:
        if isinstance(s, Let):
            value = self.expr(s.value)
            if value.is_const and s.constant:
                self._memo[s.local.expr] = value
                return None
            if self._suffix:
                self.rename(s.local, Local(f"{s.local.name}{self._suffix}", s.local.dtype))
            return Let(self._locals.get(s.local, s.local), value, s.constant, s.nearer)
        if isinstance(s, Assign):
            return Assign(self._locals.get(s.local, s.local), self.expr(s.value))
        if isinstance(s, Store):
            return Store(s.buffer, self.expr(s.offset), self.expr(s.value))
        if isinstance(s, If):
            return If(self.expr(s.condition), self.body(s.body), self.body(s.orelse))
        assert isinstance(s, Loop)
        reductions = [(combine, self._locals.get(local, local)) for combine, local in s.reductions]
        return Loop(s.variable, self.expr(s.extent), self.body(s.body), s.kind, s.reverse, reductions)


def declared(body: list[Statement]) -> set[Local]:
    """The locals that statements below ``body`` declare."""
    return {s.local for s in statements(body) if isinstance(s, Let)}


def assigned(body: list[Statement]) -> set[Local]:
    """The locals that statements below ``body`` assign."""
    return {s.local for s in statements(body) if isinstance(s, Assign)}
