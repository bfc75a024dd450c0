"""Strips: where a loop jumps between lines of memory that the loop around it walks along, it goes a strip at a time.

``for i: for j: y[i, j] = x[j, i]`` meets a line of ``x`` in each step of ``j``, and comes back to it for the next
``i``: after a long row it has left the near cache.  In strips of a few ``j`` it is still there.  A strip has a constant
length, so compilers turn small squares in registers.
"""

from __future__ import annotations

from core import dtypes
from core.dataclass import replace
from core.ir.codes import Code
from core.ir.expr import Expr, const, index, select
from core.ir.nests.copies import Copy
from core.ir.nests.strides import Linear, linear
from core.ir.nodes import NOTHING, If, Kernel, Let, Loop, LoopKind, Statement, Store, expressions
from core.ir.walk import walk

LINE_BYTES = 64  # of what memory hands out
STRIP, STRIP_OF_SMALL = 8, 16  # elements: not more lines than one set of a near cache holds; of one or two bytes, more


def with_strips(kernel: Kernel) -> Kernel:
    """``kernel`` with its loops over elements that are far from each other in strips."""
    return replace(kernel, body=_visit(kernel.body))


def _visit(body: list[Statement]) -> list[Statement]:
    new: list[Statement] = []
    for s in body:
        if isinstance(s, Loop):
            nest = _nest(s)
            along = _along(nest) if nest else None
            new += [replace(s, body=_visit(s.body))] if along is None else _strips(nest, along)
        elif isinstance(s, If):
            new.append(If(s.condition, _visit(s.body), _visit(s.orelse)))
        else:
            new.append(s)
    return new


def _nest(loop: Loop) -> list[Loop]:
    """Loops one in the other, with nothing between them, that may run in any order; none where there are others."""
    found = [loop]
    while len(loop.body) == 1 and isinstance(loop.body[0], Loop):
        loop = loop.body[0]
        found.append(loop)
    plain = all(isinstance(s, (Let, Store)) for s in loop.body)
    free = {loop.variable for loop in found}
    for one in found:
        kind = LoopKind.SIMD if one is loop else LoopKind.GRID
        if one.kind is not kind or one.reductions or one.reverse or one.start is not NOTHING:
            return []
        if not free.isdisjoint(one.extent.free) or any(e.code is Code.LOCAL for e in walk([one.extent])):
            return []
    return found if plain and len(found) > 1 else []


def _along(nest: list[Loop]) -> Loop | None:
    """The loop around the innermost that walks along the lines that this jumps between; None if it does not jump."""
    *around, inner = nest
    if inner.extent.is_const and inner.extent.payload <= _length(inner):
        return None
    variables = [loop.variable for loop in nest]
    places = [(e.payload.dtype, e.args[0]) for e in walk(expressions(inner.body)) if e.code is Code.LOAD]
    places += [(s.buffer.dtype, s.offset) for s in inner.body if isinstance(s, Store)]
    for dtype, place in places:
        form = linear(place, variables)
        if form is not None and _jumps(form, inner.variable, dtype):
            for loop in around:
                if form.is_consecutive(loop.variable):
                    return loop
    return None


def _jumps(form: Linear, variable: Expr, dtype: str) -> bool:
    number, factors = form.stride(variable)
    return number != 0 and (bool(factors) or abs(number) * dtypes.size_bytes(dtype) >= LINE_BYTES)


def _length(loop: Loop) -> int:
    """How many elements a strip has."""
    stored = [s.buffer.dtype for s in loop.body if isinstance(s, Store)]
    return STRIP_OF_SMALL if all(dtypes.size_bytes(dtype) < 4 for dtype in stored) else STRIP


def _strips(nest: list[Loop], along: Loop) -> list[Statement]:
    """The nest strip by strip, ``along`` inside each; then what fills none.

    A row that may be shorter than a strip also has loops of its own: there ``along`` is innermost.
    """
    inner, length = nest[-1], _length(nest[-1])
    n, strip = inner.extent, index(inner.variable.payload)
    count = n // length
    rest = _in_strip(inner, along, count * length, select(n < length, const(0), n - count * length))
    body: list[Statement] = [
        Loop(strip, count, [_in_strip(inner, along, strip * length, const(length))], LoopKind.GRID)
    ]
    if not n.is_const:
        body += [rest, _short(inner, along, select(n < length, n, const(0)))]
    elif n.payload % length:
        body.append(rest)
    for loop in reversed([loop for loop in nest[:-1] if loop is not along]):
        body = [replace(loop, body=body)]
    return body


def _in_strip(inner: Loop, along: Loop, start: Expr, length: Expr) -> Loop:
    """A strip from ``start`` on."""
    lane, walking = index(inner.variable.payload), index(along.variable.payload)
    body = Copy({inner.variable: start + lane, along.variable: walking}).body(inner.body)
    return Loop(walking, along.extent, [replace(inner, variable=lane, extent=length, body=body)], LoopKind.GRID)


def _short(inner: Loop, along: Loop, length: Expr) -> Loop:
    """The nest the other way round."""
    element, walking = index(inner.variable.payload), index(along.variable.payload)
    body = Copy({inner.variable: element, along.variable: walking}).body(inner.body)
    walk_along = replace(inner, variable=walking, extent=along.extent, body=body)
    return Loop(element, length, [walk_along], LoopKind.GRID)
