"""Scatters: loops that add to, or set, elements whose places are known only when they run, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from core.ir.axes import ravel
from core.ir.codes import Code
from core.ir.definitions import Scattering, Value
from core.ir.expr import Expr, make
from core.ir.nests.accumulators import combined
from core.ir.nests.nest import Nest
from core.ir.nodes import Kernel, LoopKind, Store
from core.ir.rebuild import loads_in


def scatter_kernel(
    scatters: dict[Value, Scattering],
    extents: dict[Expr, Expr],
    shapes: dict[Value, tuple[Expr, ...]],
    name: str,
    comment: str,
) -> Kernel:
    """Store the bases; then set or add element by element, in order, in one nest: all have the same bound variables."""
    nest = Nest(extents, shapes)
    for value, definition in scatters.items():
        begin(value, definition, shapes, nest)
    bound = next(iter(scatters.values())).bound
    for variable in bound:
        nest.open(variable)
    nest.begin([e for definition in scatters.values() for e in (*definition.at, definition.value)])
    for value, definition in scatters.items():
        nest.emit(taken(value, definition, shapes, nest.value))
    for _ in bound:
        nest.close(LoopKind.ORDER)
    parts = [e for own in scatters.values() for e in (own.base, *own.at, own.value)]
    read: list[Any] = list(dict.fromkeys(e.payload for e in loads_in(parts)))
    return Kernel(name, read, list(scatters), nest.body, comment)


def begin(value: Value, definition: Scattering, shapes: dict[Value, tuple[Expr, ...]], nest: Nest) -> None:
    """Store the base of a scatter."""
    outside = nest.depth
    for axis in definition.axes:
        if axis.code is Code.INDEX:
            nest.open(axis)
    nest.begin([definition.base])
    nest.emit(Store(value, ravel(definition.axes, shapes[value]), nest.value(definition.base)))
    for k in range(nest.depth - outside):
        nest.close(LoopKind.SIMD if k == 0 else LoopKind.GRID)


def taken(
    value: Value, definition: Scattering, shapes: dict[Value, tuple[Expr, ...]], written: Callable[[Expr], Expr]
) -> Store:
    """What a scatter does in one iteration."""
    offset = ravel([written(i) for i in definition.at], shapes[value])
    new = written(definition.value)
    if definition.combine is not None:
        new = combined(definition.combine, make(Code.LOAD, new.dtype, (offset,), value), new)
    return Store(value, offset, new)
