"""How long statements take, by estimate: an expression of lengths, in units of 1/16 ns on one core of today.

Rough on purpose: it decides whether work is worth sharing, and nothing that a result depends on but its rounding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from core.ir.axes import product
from core.ir.codes import Code
from core.ir.expr import INDEX_DTYPE, Expr, const
from core.ir.nodes import Assign, If, Let, Local, Loop, LoopKind, Statement, Store, statements
from core.ir.program import LibraryStep
from core.ir.rebuild import rebuild, substitute
from core.ir.walk import walk

GRAIN = 240_000  # the least work of a chunk: 15 us, far more than it takes to hand one out
BUSY = 320_000  # from 20 us on, a call lets others run, and asks for threads
PART = 1024  # of a chunk for each element of its parts, which are cleared and taken together besides
_SCALAR = 6  # times as long takes what is not computed in vector lanes
_MEMORY = 1  # more for an element that is read or written
_LOOP, _ITERATION = 64, 12  # to start a loop, and for each time around
_ONE = const(1)
NONE: Mapping[Local, Expr] = MappingProxyType({})
_UNKNOWN = 8  # iterations of a loop whose length is computed inside another


def work_of(loop: Loop, lets: Mapping[Local, Expr] = NONE) -> Expr:
    """The work of one iteration of ``loop``; ``lets`` are the values of locals from outside."""
    return _sum(_iteration(loop, _known(loop.body, lets)))


def total_work(body: Sequence[Statement]) -> Expr:
    """The work of statements outside all loops."""
    return _sum(_body(body, False, _known(body, NONE)))


def resolved(e: Expr, lets: Mapping[Local, Expr]) -> Expr:
    """``e`` with the values of locals in their place."""

    def value(node: Expr, args: tuple[Expr, ...]) -> Expr | None:
        return resolved(lets[node.payload], lets) if node.code is Code.LOCAL and node.payload in lets else None

    return rebuild(e, value, {})


def _known(body: Sequence[Statement], lets: Mapping[Local, Expr]) -> dict[Local, Expr]:
    """The values of constant locals, those declared in ``body`` among them."""
    inside = {s.local: s.value for s in statements(list(body)) if isinstance(s, Let) and s.constant}
    return {**lets, **inside}


def library_work(step: LibraryStep) -> Expr:
    """The work of a library call: for each element of its results, as many terms as a row of its operands is long."""
    elements = product(n for result in step.results for n in result.shape)
    return product([elements, *(operand.shape[-1] for operand in step.operands[:1] if operand.shape)])


def _sum(terms: dict[Expr, int]) -> Expr:
    total = const(0)
    for lengths, units in terms.items():
        total = total + lengths * units
    return total


def _iteration(loop: Loop, lets: Mapping[Local, Expr]) -> dict[Expr, int]:
    terms = _body(loop.body, loop.kind is LoopKind.SIMD, lets)
    if loop.kind is not LoopKind.SIMD:
        _add(terms, {_ONE: _ITERATION})
    return terms


def _body(body: Sequence[Statement], lanes: bool, lets: Mapping[Local, Expr]) -> dict[Expr, int]:
    """Units for each product of lengths."""
    terms: dict[Expr, int] = {}
    for statement in body:
        if isinstance(statement, Loop):
            n = _extent(statement, lets)
            _add(terms, {_times(n, lengths): units for lengths, units in _iteration(statement, lets).items()})
            _add(terms, {_ONE: _LOOP})
        elif isinstance(statement, If):
            a, b = (_body(inside, lanes, lets) for inside in (statement.body, statement.orelse))
            _add(terms, {lengths: max(a.get(lengths, 0), b.get(lengths, 0)) for lengths in {**a, **b}})
            _add(terms, {_ONE: _cost(statement.condition, lanes)})
        elif isinstance(statement, Store):
            _add(terms, {_ONE: _cost(statement.value, lanes) + _MEMORY + 1})
        elif isinstance(statement, (Let, Assign)):
            _add(terms, {_ONE: _cost(statement.value, lanes)})
    return {lengths: units for lengths, units in terms.items() if units}


def _add(terms: dict[Expr, int], more: dict[Expr, int]) -> None:
    for lengths, units in more.items():
        terms[lengths] = terms.get(lengths, 0) + units


def _times(n: Expr, lengths: Expr) -> Expr:
    return n if lengths is _ONE else n * lengths


def _cost(e: Expr, lanes: bool) -> int:
    parts = walk([e])
    cost = sum(part.cost - sum(arg.cost for arg in part.args) for part in parts if part.dtype != INDEX_DTYPE)
    cost += sum(_MEMORY for part in parts if part.code is Code.LOAD)
    return max(cost, 0) * (1 if lanes else _SCALAR)


def _extent(loop: Loop, lets: Mapping[Local, Expr]) -> Expr:
    n = resolved(loop.extent, lets)
    if n.code is Code.MIN and any(arg.is_const for arg in n.args):  # a block of many: as long as the first
        n = substitute(n, dict.fromkeys(n.free, const(0)))
    if n.free or any(part.code in (Code.LOAD, Code.LOCAL) for part in walk([n])):
        return const(_most(n))
    return n


def _most(n: Expr) -> int:
    """About what a length is that is computed inside a loop: what bounds it, or else a guess."""
    if n.is_const:
        return int(n.payload)
    if n.code is Code.MIN:
        return min((int(arg.payload) for arg in n.args if arg.is_const), default=_UNKNOWN)
    if n.code is Code.FLOORDIV and n.args[1].is_const:
        return max(_most(n.args[0]) // max(n.args[1].payload, 1), 1)
    return _UNKNOWN
