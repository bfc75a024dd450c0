"""Collapse: two nested loops that walk through memory without a gap become one loop.

It fires where every position that depends on either variable moves, per step of the outer one, as far as the inner
loop goes; contiguous arrays of any number of axes end up with one loop, operands that broadcast along the last axes
keep the loops over those apart.
"""

from __future__ import annotations

from core.dataclass import replace
from core.ir.codes import Code
from core.ir.expr import Expr, index, make
from core.ir.nests.strides import linear
from core.ir.nodes import Assign, If, Kernel, Let, Loop, LoopKind, Statement, Store, statements
from core.ir.rebuild import rebuild


def collapse(kernel: Kernel) -> Kernel:
    """``kernel`` with loops joined where that changes no position."""
    return replace(kernel, body=_body(kernel.body))


def _body(body: list[Statement]) -> list[Statement]:
    return [_joined(statement) if isinstance(statement, Loop) else statement for statement in body]


def _joined(loop: Loop) -> Loop:
    inside = _body(loop.body)
    loop = replace(loop, body=inside)
    while len(loop.body) == 1 and isinstance(loop.body[0], Loop):
        both = _one_loop(loop, loop.body[0])
        if both is None:
            return loop
        loop = both
    return loop


def _one_loop(outer: Loop, inner: Loop) -> Loop | None:
    """The two as one, or None where they must stay two."""
    if outer.variable in inner.extent.free or outer.reverse or inner.reverse or not _independent(outer, inner):
        return None
    both = index(outer.variable.payload)
    change = _Change(outer, inner, both)
    body = change.statements(inner.body)
    if body is None:
        return None
    reductions = [*outer.reductions, *(pair for pair in inner.reductions if pair not in outer.reductions)]
    return Loop(both, outer.extent * inner.extent, body, inner.kind, False, reductions)


def _independent(outer: Loop, inner: Loop) -> bool:
    """Whether the iterations of the two loops together are as independent as those of the inner one."""
    if outer.kind is LoopKind.GRID:
        return inner.kind is not LoopKind.ORDER
    only_reduces = not any(isinstance(s, Store) for s in statements(inner.body))
    return outer.kind is LoopKind.ORDER and inner.kind is LoopKind.SIMD and bool(inner.reductions) and only_reduces


class _Change:
    """Writes ``both`` for the two variables in positions; fails where they occur in any other way."""

    def __init__(self, outer: Loop, inner: Loop, both: Expr):
        self.i, self.j, self.both = outer.variable, inner.variable, both
        self.extent = inner.extent
        self._memo: dict[Expr, Expr] = {}
        self._gaps = False

    def statements(self, body: list[Statement]) -> list[Statement] | None:
        new: list[Statement] = []
        for s in body:
            if isinstance(s, (Let, Assign)):
                new.append(replace(s, value=self._expr(s.value)))
            elif isinstance(s, Store):
                new.append(Store(s.buffer, self._position(s.offset), self._expr(s.value)))
            elif isinstance(s, If):
                inside, orelse = self.statements(s.body), self.statements(s.orelse)
                if inside is None or orelse is None:
                    return None
                new.append(If(self._expr(s.condition), inside, orelse))
            else:
                assert isinstance(s, Loop)
                inside = self.statements(s.body)
                if inside is None:
                    return None
                new.append(replace(s, extent=self._expr(s.extent), body=inside))
        return None if self._gaps else new

    def _expr(self, root: Expr) -> Expr:
        new = rebuild(root, self._load, self._memo)
        if self.i in new.free or self.j in new.free:
            self._gaps = True
        return new

    def _load(self, node: Expr, args: tuple[Expr, ...]) -> Expr | None:
        if node.code is not Code.LOAD or (self.i not in node.free and self.j not in node.free):
            return None
        return make(Code.LOAD, node.dtype, (self._position(node.args[0]),), node.payload)

    def _position(self, position: Expr) -> Expr:
        if self.i not in position.free and self.j not in position.free:
            return position
        form = linear(position, position.free)
        if form is not None:
            if form.moves_like(self.i, self.j, self.extent):
                return form.joined(self.i, self.j, self.both)
        elif not {self.i, self.j}.isdisjoint(position.free):
            position = rebuild(position, self._unravelled, {})
            if {self.i, self.j}.isdisjoint(position.free):
                return position
        self._gaps = True
        return position

    def _unravelled(self, node: Expr, args: tuple[Expr, ...]) -> Expr | None:
        """A position that is taken apart again may be one of both loops as well."""
        form = linear(node.args[0], node.args[0].free) if node.code is Code.UNRAVEL else None
        if form is None or not form.moves_like(self.i, self.j, self.extent):
            return None
        return make(Code.UNRAVEL, node.dtype, (form.joined(self.i, self.j, self.both), *args[1:]), node.payload)
