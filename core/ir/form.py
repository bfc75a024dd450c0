"""Forms: what is left of expressions and statements when the things that they name are numbered.

Things are values, loop variables, registers and lengths.  Where two forms are equal, whatever is derived from one is
right for the other, with the things of one in the place of those of the other: ``things`` has them in the same order.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any

from core.ir.codes import Code
from core.ir.expr import Expr
from core.ir.nodes import Arrive, Assign, Atomic, If, Let, Loop, Statement, Store
from core.ir.walk import walk


class Form:
    """Grows by what is put into it, in that order.

    ``about`` says what must be the same of a value, besides its dtype, for another to take its place.
    """

    def __init__(self, about: Callable[[Any], Hashable]):
        self._about = about
        self._numbers: dict[Any, int] = {}
        self._done: dict[Expr, Hashable] = {}
        self._parts: list[Hashable] = []

    @property
    def key(self) -> tuple[Hashable, ...]:
        return tuple(self._parts)

    @property
    def things(self) -> list[Any]:
        """Values and registers, and the expressions of loop variables and lengths, in the order of their numbers."""
        return list(self._numbers)

    def note(self, *parts: Any) -> None:
        """Something that must be the same."""
        self._parts.append(parts)

    def value(self, value: Any) -> int:
        """The number of a value."""
        known = self._numbers.get(value)
        if known is None:
            known = self._number(value)
            self._parts.append((value.dtype, self._about(value)))
        return known

    def register(self, local: Any) -> int:
        known = self._numbers.get(local)
        if known is None:
            known = self._number(local)
            self._parts.append(local.dtype)
        return known

    def _number(self, thing: Any) -> int:
        self._numbers[thing] = number = len(self._numbers)
        return number

    def exprs(self, roots: Iterable[Expr]) -> tuple[Hashable, ...]:
        return tuple([self.expr(root) for root in roots])

    def expr(self, root: Expr) -> Hashable:
        """A constant, or the number of what else it is: each subexpression has one."""
        done = self._done
        if root not in done:
            for e in walk([root], into=lambda e: e not in done):
                if e not in done:
                    done[e] = self._one(e)
        return done[root]

    def _one(self, e: Expr) -> Hashable:
        code = e.code
        if code is Code.CONST:
            return e
        payload: Hashable = None
        if code is Code.LOAD:
            payload = self.value(e.payload)
        elif code is Code.LOCAL:
            payload = self.register(e.payload)
        elif code is Code.INDEX:
            payload = (self._number(e), e.payload)
        elif code is Code.LENGTH:
            payload = self._number(e)
        elif code is Code.REDUCE:
            payload = (e.payload[0], self.exprs(e.payload[1]))
        else:
            payload = e.payload
        self._parts.append((code, e.dtype, payload, *[self._done[arg] for arg in e.args]))
        return len(self._parts)

    def body(self, body: Iterable[Statement]) -> None:
        """Statements, with those inside them."""
        for s in body:
            if isinstance(s, (Let, Assign)):
                kind = (s.constant, s.nearer) if isinstance(s, Let) else None
                self.note(type(s), self.expr(s.value), self.register(s.local), kind)
            elif isinstance(s, (Store, Atomic)):
                how = getattr(s, "combine", None)
                self.note(type(s), self.value(s.buffer), self.expr(s.offset), self.expr(s.value), how)
            elif isinstance(s, Loop):
                ends = self.exprs((s.variable, s.start, s.extent))
                reductions = tuple([(combine, self.register(local)) for combine, local in s.reductions])
                self.note(Loop, ends, s.kind, s.reverse, s.width, s.fits, reductions)
                self._inside(s.body)
            elif isinstance(s, If):
                self.note(If, self.expr(s.condition))
                self._inside(s.body)
                self._inside(s.orelse)
            elif isinstance(s, Arrive):
                self.note(Arrive, self.value(s.counter), *self.exprs((s.offset, s.count)), self.register(s.last))
            else:
                self.note(type(s))

    def _inside(self, body: Iterable[Statement]) -> None:
        self.body(body)
        self.note("end")
