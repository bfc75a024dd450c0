"""Loops by name: index variables of different values that run over the same axis become one variable."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from core.dataclass import replace
from core.ir.codes import Code
from core.ir.definitions import (
    Definition,
    FromLoops,
    Pointwise,
    Reduction,
    Scattering,
    Value,
    with_elements,
)
from core.ir.expr import Expr
from core.ir.rebuild import rebuild


class LoopNames:
    """Union-find over index variables: variables of one class run over the same loop.

    Two variables of one value are never united, else ``x + x.T`` would collapse; a refused union only costs sharing.
    """

    def __init__(self) -> None:
        self._parent: dict[Expr, Expr] = {}
        self._owners: dict[Expr, set[Value]] = {}
        self.extents: dict[Expr, Expr] = {}

    def add(self, variable: Expr, extent: Expr, owner: Value) -> None:
        self._owners.setdefault(variable, set()).add(owner)
        self.extents[variable] = extent

    def find(self, variable: Expr) -> Expr:
        root = variable
        while root in self._parent:
            root = self._parent[root]
        while variable is not root:
            self._parent[variable], variable = root, self._parent[variable]
        return root

    def unite(self, a: Expr, b: Expr) -> None:
        a, b = self.find(a), self.find(b)
        if a is b or self.extents[a] is not self.extents[b]:
            return
        if len(self._owners[a]) < len(self._owners[b]):
            a, b = b, a
        if self._owners[a].isdisjoint(self._owners[b]):
            self._parent[b] = a
            self._owners[a] |= self._owners.pop(b)


def variables_of(definition: Definition) -> Iterator[tuple[Expr, Expr]]:
    """The loop variables of a definition with their extents: its axes, then what it is reduced or scattered over."""
    for axis, extent in zip(definition.axes, definition.shape, strict=True):
        if axis.code is Code.INDEX:
            yield axis, extent
    if isinstance(definition, (Reduction, Scattering)):
        yield from zip(definition.bound, definition.extents, strict=True)


def name_loops(definitions: dict[Value, Definition]) -> tuple[dict[Value, Definition], dict[Expr, Expr]]:
    """The definitions over shared loop variables, and each variable's extent."""
    names = LoopNames()
    for value, definition in definitions.items():
        for variable, extent in variables_of(definition):
            names.add(variable, extent, value)
    for definition in definitions.values():
        for e in definition.loads:
            for i, axis in zip(e.args, definitions[e.payload].axes, strict=True):
                if i.code is Code.INDEX and axis.code is Code.INDEX and i in names.extents:
                    names.unite(i, axis)
    memo = {variable: names.find(variable) for variable in names.extents}
    extents = {variable: names.extents[variable] for variable in memo.values()}
    return {value: _over(definition, memo) for value, definition in definitions.items()}, extents


def _over(definition: Definition, memo: dict[Expr, Expr]) -> Definition:
    def new(e: Expr) -> Expr:
        return rebuild(e, lambda node, args: None, memo)

    def many(items: Iterable[Expr]) -> tuple[Expr, ...]:
        return tuple(map(new, items))

    axes = many(definition.axes)
    if isinstance(definition, Pointwise):
        expr = new(definition.expr)
        is_same = axes == definition.axes and expr is definition.expr
        return definition if is_same else replace(definition, axes=axes, expr=expr)
    if isinstance(definition, Reduction):
        return replace(definition, axes=axes, bound=many(definition.bound), body=new(definition.body))
    if isinstance(definition, Scattering):
        own = definition
        at, value = many(own.at), new(own.value)
        return replace(own, axes=axes, base=new(own.base), bound=many(own.bound), at=at, value=value)
    if isinstance(definition, FromLoops):
        return with_elements(replace(definition, axes=axes), new)
    return definition if axes == definition.axes else replace(definition, axes=axes)
