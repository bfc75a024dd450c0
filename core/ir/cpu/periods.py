"""Periods: a loop over what was merged, or repeats, becomes loops over its factors, so that no element is divided for.

A reshaped, tiled or repeated array reads ``x[i // n, i % n]``.  As two loops over ``h`` and ``d``, with ``h * n + d``
in place of ``i``, that is ``x[h, d]``: plain strides, which later passes join, cut and move as any others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from core.dataclass import replace
from core.ir.axes import product, quotient
from core.ir.codes import HOLDS_LOCAL, Code
from core.ir.cpu.collapse import collapse
from core.ir.effort import resolved
from core.ir.expr import Expr, const, index
from core.ir.nests.copies import Copy
from core.ir.nests.places import with_places_inlined
from core.ir.nests.strides import product_of
from core.ir.nodes import If, Kernel, Let, Local, Loop, LoopKind, Statement, expressions, rewritten
from core.ir.rebuild import rebuild
from core.ir.walk import walk

MOST_SPLITS = 4  # of one loop
UNROLLED = 4  # a period no longer than this is written out
LARGEST = 300  # nodes of the loop's body, all that is written out taken together
_DIVIDING = frozenset({Code.FLOORDIV, Code.MOD, Code.UNRAVEL})


def with_periods(kernel: Kernel) -> Kernel:
    """``kernel`` with its loops split where they divide their variable by what is the same in all iterations."""
    parts = walk(expressions(kernel.body))
    if not any(e.code in _DIVIDING and (e.free or e.marks & HOLDS_LOCAL) for e in parts):
        return kernel
    kernel = collapse(replace(kernel, body=with_places_inlined(kernel.body)))
    return replace(kernel, body=_visit(kernel.body, {}))


def _visit(body: Sequence[Statement], lets: Mapping[Local, Expr]) -> list[Statement]:
    new: list[Statement] = []
    known = dict(lets)
    for s in body:
        if isinstance(s, Let) and s.constant and not s.value.free:
            known[s.local] = s.value
        if isinstance(s, Loop):
            for part in _split(s, known, MOST_SPLITS):
                new.append(replace(part, body=_visit(part.body, known)) if isinstance(part, Loop) else part)
        elif isinstance(s, If):
            new.append(If(s.condition, _visit(s.body, known), _visit(s.orelse, known)))
        else:
            new.append(s)
    return new


def _split(loop: Loop, known: Mapping[Local, Expr], most: int) -> list[Statement]:
    """``loop`` as it is, or as loops over periods and over what is within one, and one over what is left."""
    if most == 0 or loop.reverse or loop.extent is const(0) or loop.variable not in _divided(loop):
        return [loop]
    found = _period(loop, known)
    if found is None:
        return [loop]
    period, whole, is_all = found
    outer, inner = index(loop.variable.payload), index(loop.variable.payload)
    parts = _within(loop, outer, inner, period, known, whole, most)
    if not is_all:
        left = index(loop.variable.payload)
        body = _Divided(loop.variable, whole, left, period, known).body(loop.body)
        parts.append(replace(loop, variable=left, extent=loop.extent - whole * period, body=body))
    return parts


def _within(
    loop: Loop, outer: Expr, inner: Expr, period: Expr, known: Mapping[Local, Expr], whole: Expr, most: int
) -> list[Statement]:
    """The loops over whole periods."""
    divided = _Divided(loop.variable, outer, inner, period, known)
    short = period.is_const and period.payload <= UNROLLED and not any(isinstance(s, Loop) for s in loop.body)
    if short and len(walk(expressions(loop.body))) * period.payload <= LARGEST:
        body: list[Statement] = []
        for k in range(period.payload):
            body += _Divided(loop.variable, outer, const(k), period, known).body(loop.body, f"_{k}")
        return _split(replace(loop, variable=outer, extent=whole, body=body), known, most - 1)
    inside = _split(replace(loop, variable=inner, extent=period, body=divided.body(loop.body)), known, most - 1)
    around = LoopKind.COMBINE if loop.reductions else LoopKind.GRID if loop.kind is LoopKind.SIMD else loop.kind
    around_all = replace(loop, variable=outer, extent=whole, body=inside, kind=around)
    return _split(around_all if around is loop.kind else replace(around_all, reductions=[]), known, most - 1)


def _divided(loop: Loop) -> set[Expr]:
    """The expressions that something below ``loop`` is divided into."""
    return {e.args[0] for e in walk(expressions(loop.body)) if e.code in _DIVIDING}


def _period(loop: Loop, known: Mapping[Local, Expr]) -> tuple[Expr, Expr, bool] | None:
    """The longest period that something in ``loop`` has, how many whole ones there are, and whether nothing is left.

    Either the length of the loop is a multiple of it, as far as can be seen; or it cannot be 0, being a number, or else
    there are no positions to be unravelled.  None if there is no period.
    """
    found: dict[Expr, bool] = {}
    for e in walk(expressions(loop.body)):
        if e.code in _DIVIDING:
            for n in _periods_of(e, loop.variable):
                n = resolved(n, known)
                if not n.free and not any(part.code is Code.LOCAL for part in walk([n])):
                    found[n] = n.is_const or e.code is Code.UNRAVEL
    extent = resolved(loop.extent, known)
    for n in sorted(found, key=lambda n: (len(product_of(n)[1]), product_of(n)[0]), reverse=True):
        if n.is_const and n.payload < 2:
            continue
        whole = quotient(extent, n)
        if whole is not None and whole is not const(1):
            return n, whole, True
        if whole is None and found[n] and not (n.is_const and extent.is_const and extent.payload < n.payload):
            return n, loop.extent // n, False
    return None


def _periods_of(e: Expr, variable: Expr) -> list[Expr]:
    """After how many steps of ``variable`` something in ``e`` begins anew."""
    if e.args[0] is variable:
        return [product(e.args[1 + k :]) for k in range(1, len(e.args) - 1)] if e.code is Code.UNRAVEL else [e.args[1]]
    return [product([e.args[0].args[1], e.args[1]])] if _is_digit(e, variable) else []


def _is_digit(e: Expr, variable: Expr) -> bool:
    """Whether ``e`` is ``variable // n % m``."""
    return e.code is Code.MOD and e.args[0].code is Code.FLOORDIV and e.args[0].args[0] is variable


class _Divided:
    """Writes statements anew with ``outer * period + inner`` for ``variable``; ``inner`` is less than ``period``."""

    def __init__(self, variable: Expr, outer: Expr, inner: Expr, period: Expr, known: Mapping[Local, Expr]):
        self.variable, self.outer, self.inner, self.period, self.known = variable, outer, inner, period, known
        self._memo = {variable: outer * period + inner}

    def body(self, body: Sequence[Statement], suffix: str = "") -> list[Statement]:
        """With a ``suffix``, locals that are declared there are new ones."""
        return Copy({}, suffix).body([rewritten(s, self._expr) for s in body])

    def _expr(self, root: Expr) -> Expr:
        return rebuild(root, self._change, self._memo)

    def _change(self, node: Expr, args: tuple[Expr, ...]) -> Expr | None:
        if node.code is Code.UNRAVEL and node.args[0] is self.variable:
            lengths = [resolved(n, self.known) for n in node.args[1:]]
            axis = node.payload
            e = self._over(product(lengths[axis + 1 :]))
            return e if axis == 0 else self._modulo(e, product(lengths[axis + 1 :]), lengths[axis])
        if node.code is Code.FLOORDIV and node.args[0] is self.variable:
            return self._over(resolved(node.args[1], self.known))
        if node.code is Code.MOD and node.args[0] is self.variable:
            return self._modulo(self.outer * self.period + self.inner, const(1), resolved(node.args[1], self.known))
        if _is_digit(node, self.variable):
            return self._modulo(args[0], *(resolved(n, self.known) for n in (node.args[0].args[1], node.args[1])))
        return None

    def _over(self, n: Expr) -> Expr:
        """The variable divided by ``n``."""
        per = quotient(self.period, n)
        if per is not None:
            return self.outer * per + _divide(self.inner, n, self.period)
        times = quotient(n, self.period)
        return (self.outer * self.period + self.inner) // n if times is None else self.outer // times

    def _modulo(self, e: Expr, n: Expr, length: Expr) -> Expr:
        """``e``, the variable divided by ``n``, modulo ``length``."""
        per = quotient(self.period, n)
        if per is None:
            times, turns = quotient(n, self.period), None
            return (self.outer // times if times is not None else e) % length
        inside = _divide(self.inner, n, self.period)
        if quotient(per, length) is not None:
            return inside if quotient(length, per) is not None else inside % length
        turns = quotient(length, per)
        return e % length if turns is None else (self.outer % turns) * per + inside


def _divide(e: Expr, n: Expr, period: Expr) -> Expr:
    """``e // n`` of what is less than ``period``."""
    return const(0) if quotient(n, period) is not None else e // n
