"""NaN: which extremes need not look for it, because it reaches every result on another way.

``exp(x - max(x)) / sum(exp(x - max(x)))`` is NaN on a row with a NaN whatever the maximum is there: the sum has met it.
So the maximum may be that of the numbers alone, which takes one operation for each element and no flag.
"""

from __future__ import annotations

from collections.abc import Iterable

from core import dtypes
from core.ir.codes import Code, Combine
from core.ir.definitions import Reduction, Value
from core.ir.expr import Expr
from core.ir.nests.items import root_of
from core.ir.passes.groups import Item
from core.ir.walk import walk

_STRICT = frozenset({Code.ADD, Code.SUB, Code.MUL, Code.DIV, Code.NEG, Code.MIN, Code.MAX})
# C99, F.10: functions of one argument that give NaN for it
_STRICT_CALLS = frozenset(
    """exp exp2 expm1 log log2 log10 log1p sqrt cbrt sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh
    floor ceil trunc rint fabs erf erfc tgamma lgamma""".split()
)


def blind(items: Iterable[Item], kept: set[Value]) -> set[Item]:
    """The maxima and minima among the items of a group that may pass over a NaN.

    Somebody adds up, over the same elements, what is NaN wherever an element is; and whoever else reads the extreme is
    NaN where that sum is.  ``kept``: the values that are read outside the group, or at another index.
    """
    items = list(items)
    extremes = [item for item in items if _is_extreme(item) and item.value not in kept]
    if not extremes:
        return set()
    readers: dict[Value, list[Item]] = {}
    for item in items:
        for value in {e.payload for e in item.loads}:
            readers.setdefault(value, []).append(item)
    return {item for item in extremes if _reaches_all(item, readers.get(item.value, []))}


def _is_extreme(item: Item) -> bool:
    definition = item.definition
    return (
        isinstance(definition, Reduction)
        and definition.combine in (Combine.MAX, Combine.MIN)
        and definition.body.dtype in dtypes.FLOATS
    )


def _reaches_all(extreme: Item, readers: list[Item]) -> bool:
    sums = [reader for reader in readers if _meets_the_same(reader, extreme)]
    loads = [e for reader in readers for e in reader.loads if e.payload in {item.value for item in sums}]
    same_row = {e for e in loads if e.args == extreme.definition.axes}
    return bool(sums) and all(reader in sums or is_nan_with(root_of(reader), same_row) for reader in readers)


def _meets_the_same(item: Item, extreme: Item) -> bool:
    """Whether an item sums over the elements of the extreme, for the same point, something that is NaN with them."""
    own, other = item.definition, extreme.definition
    return (
        isinstance(own, Reduction)
        and own.combine is Combine.ADD
        and own.axes == other.axes
        and frozenset(own.bound) == frozenset(other.bound)
        and is_nan_with(own.body, {other.body})
    )


def is_nan_with(root: Expr, parts: set[Expr]) -> bool:
    """Whether ``root`` is NaN wherever one of ``parts`` is, whatever else it depends on.  False where in doubt."""
    found: dict[Expr, bool] = {}
    for e in walk([root], into=lambda e: e not in parts):
        found[e] = e in parts or _passes_on(e, found)
    return found[root]


def _passes_on(e: Expr, found: dict[Expr, bool]) -> bool:
    if e.dtype not in dtypes.FLOATS or not e.args:
        return False
    if e.code in (Code.SELECT, Code.GUARDED):
        return found[e.args[1]] and found[e.args[2]]
    strict = e.code in _STRICT or e.code is Code.CAST or (e.code is Code.CALL and e.payload in _STRICT_CALLS)
    return strict and any(found[arg] for arg in e.args)
