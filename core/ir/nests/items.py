"""What every schedule asks of the items of a group: the order of their loops, what one computes, who reads it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from core.ir.definitions import Reduction, Scattering
from core.ir.expr import Expr
from core.ir.passes.groups import Item


def ordered(variables: Iterable[Expr], items: Sequence[Item]) -> list[Expr]:
    """Loop order: outermost first; innermost the variable that most accesses have last."""
    distance: dict[Expr, list[int]] = {variable: [] for variable in variables}
    first: dict[Expr, int] = {}
    for item in items:
        for at in (*(e.args for e in item.loads), item.definition.axes, item.definition.axes):
            for position, i in enumerate(at):
                for variable in i.free & distance.keys():
                    distance[variable].append(len(at) - 1 - position)
        for variable in (*item.definition.axes, *getattr(item.definition, "bound", ())):
            first.setdefault(variable, len(first))
    mean = {v: sum(d) / len(d) if d else 0.0 for v, d in distance.items()}
    return sorted(distance, key=lambda v: (-mean[v], first.get(v, 0)))


def root_of(item: Item) -> Expr:
    """What an item computes at one point of its loops."""
    definition = item.definition
    if isinstance(definition, Scattering):
        return definition.value
    return definition.body if isinstance(definition, Reduction) else definition.expr


def again_in(item: Item, readers: Iterable[Item]) -> Expr | None:
    """The load by which another item reads this one at the same point, if there is one."""
    for other in readers:
        for e in other.loads:
            if e.payload is item.value and e.args == item.definition.axes:
                return e
    return None
