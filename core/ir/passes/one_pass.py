"""Groups that a device may make in one pass over all of their loops, however these are shared out.

They are reductions over the same loops, elementwise work beside them, over all loops, that they may take in, and
elementwise work behind them, on what they gave.  Nothing goes over a row twice, so a row need not be one group's.
"""

from __future__ import annotations

from collections.abc import Sequence

from core.dataclass import dataclass
from core.ir.definitions import Pointwise, Reduction
from core.ir.expr import Expr
from core.ir.passes.groups import Item


@dataclass(frozen=True)
class OnePass:
    """The items in their parts; ``free`` are the loops of the results, ``bound`` those over which all are reduced."""

    beside: list[Item]
    reductions: list[Item]
    after: list[Item]
    free: frozenset[Expr]
    bound: frozenset[Expr]


def one_pass(items: Sequence[Item]) -> OnePass | None:
    """The parts of a group that is like that, or None."""
    reductions = [item for item in items if isinstance(item.definition, Reduction)]
    if not reductions:
        return None
    free, bound = reductions[0].free, reductions[0].bound
    if any((item.free, item.bound) != (free, bound) for item in reductions):
        return None
    others = [item for item in items if item not in reductions]
    beside = [item for item in others if item.free == free | bound]
    after = [item for item in others if item.free == free]
    if len(beside) + len(after) < len(others) or not all(isinstance(item.definition, Pointwise) for item in others):
        return None
    late = {item.value for item in (*reductions, *after)}
    if any(e.payload in late for item in (*beside, *reductions) for e in item.loads):
        return None
    made = {item.value: item for item in items}
    if any(e.args != made[e.payload].definition.axes for item in items for e in item.loads if e.payload in made):
        return None
    by_level = (sorted(found, key=lambda item: item.level) for found in (beside, after))
    beside, after = by_level
    return OnePass(beside, reductions, after, free, bound)
