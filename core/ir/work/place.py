"""Where elements lie: loop variables become positions in flattened loops, loads become row-major offsets.

Division and remainder, the price of flattening, go where an array is read in the order of the flattened loop.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from core.ir.axes import product, unravel
from core.ir.codes import Code
from core.ir.expr import Expr, const, make
from core.ir.rebuild import rebuild
from core.ir.walk import walk

Shapes = Mapping[Any, tuple[Expr, ...]]


class Places:
    """Rewrites expressions and offsets: ``where`` says what stands for each loop variable."""

    def __init__(self, where: Mapping[Expr, Expr], shapes: Shapes):
        self._shapes = shapes
        self._memo: dict[Expr, Expr] = dict(where)

    def expr(self, e: Expr) -> Expr:
        """``e`` over the new variables; each load has one index, the offset of the element."""
        return rebuild(e, self._change, self._memo)

    def offset(self, value: Any, at: Sequence[Expr]) -> Expr:
        """The offset of the element of ``value`` at an index over the old variables."""
        return offset([self.expr(i) for i in at], self._shapes[value])

    def load(self, value: Any, at: Sequence[Expr]) -> Expr:
        """The load of that element."""
        return make(Code.LOAD, value.dtype, (self.offset(value, at),), value)

    def _change(self, node: Expr, args: tuple[Expr, ...]) -> Expr | None:
        if node.code is not Code.LOAD:
            return None
        return make(Code.LOAD, node.dtype, (offset(args, self._shapes[node.payload]),), node.payload)


class OneAxis(dict):
    """For a Nest, whose loads have offsets already: every value is as if it had one axis."""

    def __missing__(self, value: Any) -> tuple[Expr, ...]:
        return (const(1),)


def flattened(variables: Sequence[Expr], lengths: Sequence[Expr], flat: Expr) -> dict[Expr, Expr]:
    """What stands for each of ``variables`` when one loop, ``flat``, runs over all of them."""
    return dict(zip(variables, unravel(flat, lengths), strict=True)) if variables else {}


def offset(at: Sequence[Expr], shape: Sequence[Expr]) -> Expr:
    """The row-major position of an index; coordinates of one flat position that lie side by side are one coordinate."""
    pairs = [(i, n) for i, n in zip(at, shape, strict=True) if not (n.is_const and n.payload == 1)]
    flat, k = const(0), 0
    while k < len(pairs):
        count = _together(pairs[k:])
        if count > 1:
            first, last = pairs[k][0], pairs[k + count - 1][0]
            i = _merged(first.args[0], first.args[1:], first.payload, last.payload)
            n = product(first.args[1:][first.payload : last.payload + 1])
        else:
            i, n = pairs[k]
        flat = flat * n + i
        k += max(count, 1)
    return flat


def _together(pairs: Sequence[tuple[Expr, Expr]]) -> int:
    """How many of the first coordinates are consecutive ones of the same flat position, over its own lengths."""
    first = pairs[0][0]
    if first.code is not Code.UNRAVEL:
        return 1
    count = 0
    for i, n in pairs:
        same = i.code is Code.UNRAVEL and i.args == first.args and i.payload == first.payload + count
        if not same or n is not i.args[1:][i.payload]:
            break
        count += 1
    return count


def _merged(flat: Expr, lengths: Sequence[Expr], first: int, last: int) -> Expr:
    """Coordinates ``first`` to ``last`` of a flat position as one."""
    shape = [product(lengths[:first]), product(lengths[first : last + 1]), product(lengths[last + 1 :])]
    if first == 0 and last == len(lengths) - 1:
        return flat
    if first == 0:
        return unravel(flat, shape[1:])[0]
    return unravel(flat, shape if last < len(lengths) - 1 else shape[:2])[1]


def unravels(roots: Sequence[Expr], flat: Expr) -> bool:
    """Whether coordinates of ``flat`` are still needed one by one."""
    return any(e.code is Code.UNRAVEL and flat in e.args[0].free for e in walk(roots))
