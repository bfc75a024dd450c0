"""Positions as sums over loop variables: how far each step of a loop moves in memory, and which loops run as one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from core.ir.codes import Code
from core.ir.expr import Expr, const
from core.ir.nodes import Arrive, Barrier, Break, If, Loop, Statement, Store, expressions, statements
from core.ir.walk import walk

Factors = tuple[Expr, ...]  # a product of lengths, in an order that does not depend on how it was written


class Linear:
    """A position ``rest + sum(stride(v) * v)`` over loop variables; strides are products of lengths."""

    def __init__(self, strides: dict[Expr, tuple[int, Factors]], rest: Expr):
        self.strides, self.rest = strides, rest

    def stride(self, variable: Expr) -> tuple[int, Factors]:
        """By how much the position grows with ``variable``: a number times lengths."""
        return self.strides.get(variable, (0, ()))

    def is_consecutive(self, variable: Expr) -> bool:
        """Whether the next value of ``variable`` lies next in memory."""
        return self.stride(variable) == (1, ())

    def moves_like(self, outer: Expr, inner: Expr, extent: Expr) -> bool:
        """Whether a step of ``outer`` moves as far as ``extent`` steps of ``inner``."""
        number, factors = self.stride(inner)
        times, more = product_of(extent)
        return number != 0 and self.stride(outer) == (number * times, _sorted((*factors, *more)))

    def joined(self, outer: Expr, inner: Expr, both: Expr) -> Expr:
        """The position with ``both`` in place of the two variables, where both run as one."""
        strides = {v: s for v, s in self.strides.items() if v is not outer and v is not inner}
        strides[both] = self.stride(inner)
        total = self.rest
        for variable, (number, factors) in strides.items():
            step = const(number)
            for factor in factors:
                step = step * factor
            total = variable * step + total
        return total


def linear(position: Expr, variables: Iterable[Expr]) -> Linear | None:
    """``position`` over ``variables``; None where it is no such sum."""
    wanted = frozenset(variables)
    parts: dict[Expr, Linear | None] = {}
    for e in walk([position], into=lambda e: not wanted.isdisjoint(e.free)):
        parts[e] = _linear(e, wanted, parts)
    return parts[position]


def _linear(e: Expr, wanted: frozenset[Expr], parts: dict[Expr, Linear | None]) -> Linear | None:
    if wanted.isdisjoint(e.free):
        return Linear({}, e)
    if e.code is Code.INDEX:
        return Linear({e: (1, ())}, const(0))
    if e.code is Code.NEG:
        inner = parts[e.args[0]]
        return inner and Linear({v: (-n, f) for v, (n, f) in inner.strides.items()}, -inner.rest)
    if e.code not in (Code.ADD, Code.SUB, Code.MUL):
        return None
    a, b = (parts[arg] for arg in e.args)
    if a is None or b is None:
        return None
    if e.code is Code.MUL:
        if a.strides and b.strides:
            return None
        moving, factor = (a, b.rest) if a.strides else (b, a.rest)
        number, factors = product_of(factor)
        strides = {v: (n * number, _sorted((*f, *factors))) for v, (n, f) in moving.strides.items()}
        return Linear(strides, moving.rest * factor)
    sign = 1 if e.code is Code.ADD else -1
    strides = dict(a.strides)
    for v, (number, factors) in b.strides.items():
        if v in strides and strides[v][1] != factors:
            return None
        total = strides.get(v, (0, ()))[0] + sign * number
        strides[v] = (total, factors)
        if total == 0:
            del strides[v]
    return Linear(strides, a.rest + b.rest if sign == 1 else a.rest - b.rest)


def product_of(length: Expr) -> tuple[int, Factors]:
    """A length as a number times lengths that are no products."""
    number, factors, pending = 1, [], [length]
    while pending:
        e = pending.pop()
        if e.is_const:
            number *= e.payload
        elif e.code is Code.MUL:
            pending.extend(e.args)
        else:
            factors.append(e)
    return number, _sorted(factors)


def _sorted(factors: Iterable[Expr]) -> Factors:
    return tuple(sorted(factors, key=lambda e: (str(e), id(e))))


def positions(body: list[Statement]) -> Iterator[Expr]:
    """Where in memory the statements below ``body`` read and write."""
    for statement in statements(body):
        if isinstance(statement, Store):
            yield statement.offset
    for root in expressions(body):
        yield from (e.args[0] for e in walk([root]) if e.code is Code.LOAD)


def work(body: list[Statement]) -> int:
    """A rough count of the operations of one pass through ``body``, index arithmetic and inner loops left out."""
    seen: set[Expr] = set()
    total = 0
    for statement in body:
        if isinstance(statement, Loop):
            continue
        if isinstance(statement, If):
            total += work(statement.body) + work(statement.orelse)
        assert not isinstance(statement, (Barrier, Arrive))
        root = statement.condition if isinstance(statement, (If, Break)) else statement.value
        pending = [root]
        total += isinstance(statement, Store)
        while pending:
            e = pending.pop()
            if e in seen:
                continue
            seen.add(e)
            if e.code is Code.LOAD:
                total += 1
                continue
            total += e.cost - sum(arg.cost for arg in e.args)
            pending.extend(e.args)
    return total
