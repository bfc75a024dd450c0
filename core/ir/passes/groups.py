"""What fusion puts together: the work of one value, and groups of such that share loops."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.dataclass import dataclass, field
from core.ir.codes import Code
from core.ir.definitions import Reduction, Scattering, Value
from core.ir.expr import Expr


@dataclass(eq=False)
class Item:
    """The work of storing one value, or of reducing to it.  ``level``: after which stages of its group it can run.

    ``measures`` are the values that lengths are made of: they must be there before the kernel of the item starts.
    """

    value: Value
    definition: Any
    loads: list[Expr]
    measures: frozenset[Value] = frozenset()
    size: int = 1
    level: int = 0

    @property
    def scatters(self) -> bool:
        """Whether it stores at places that are known only when it runs."""
        return isinstance(self.definition, Scattering)

    @property
    def free(self) -> frozenset[Expr]:
        if self.scatters:
            return frozenset()
        return frozenset(axis for axis in self.definition.axes if axis.code is Code.INDEX)

    @property
    def bound(self) -> frozenset[Expr]:
        has_bound = isinstance(self.definition, (Reduction, Scattering))
        return frozenset(self.definition.bound) if has_bound else frozenset()


@dataclass(eq=False)
class Group:
    """Items that share the loops ``outer``.  A reduction over one of these is complete only after the group."""

    outer: frozenset[Expr]
    items: list[Item] = field(default_factory=list)
    values: dict[Value, Item] = field(default_factory=dict)
    loads: set[Expr] = field(default_factory=set)
    size: int = 0
    closed: bool = False  # nothing may join: library and host steps, and scatters, which only scatters join
    read: bool = False  # another group, or a length, needs a value of it
    became: Mapping[Expr, Value] = field(default_factory=dict)  # values that expressions of the items hold: for names

    def add(self, item: Item, outer: frozenset[Expr]) -> None:
        self.outer = outer
        self.items.append(item)
        self.values[item.value] = item
        self.size += item.size
        self.loads.update(item.loads)
