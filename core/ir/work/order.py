"""Scatters, on a device.

What is independent is spread out; the rest runs in the order of the program, inside one work-item.
"""

from __future__ import annotations

from core.ir.axes import product
from core.ir.expr import Code, Expr, const, make, maximum
from core.ir.nests.accumulators import combined
from core.ir.nodes import Atomic, Kernel, Loop, LoopKind, Store
from core.ir.passes.fuse import Item
from core.ir.program import Pointwise, Scattering, Value
from core.ir.rebuild import loads_in
from core.ir.work.launch import Launch, Work, ceil_div, map_loop


def scatter_launches(work: Work, value: Value, definition: Scattering, name: str, comment: str) -> Kernel:
    """Store the base; then, in another launch, set or add element by element.

    A loop variable that is itself an index of the target is spread out: its iterations never meet.  The others run in
    order, so that the last of several writers wins, unless the target adds atomically.
    """
    base = Item(value, Pointwise(definition.shape, definition.axes, definition.base), loads_in([definition.base]))
    variables = [axis for axis in definition.axes if axis.code is Code.INDEX]
    apart = [v for v in definition.bound if any(i is v for i in definition.at)]
    loop = _scatter(work, value, definition, apart)
    loads = loads_in([definition.base, *definition.at, definition.value])
    read = list(dict.fromkeys(e.payload for e in loads))
    return Kernel(name, read, [value], [map_loop(work, [base], variables), loop], comment)


def _scatter(work: Work, value: Value, definition: Scattering, apart: list[Expr]) -> Loop:
    launch, target = Launch(work), work.target
    launch.extents.update(zip(definition.bound, definition.extents, strict=True))
    in_order = [v for v in definition.bound if v not in apart]
    atomic = definition.combine is not None and value.dtype in target.atomics and bool(in_order)
    if atomic:
        apart, in_order = list(definition.bound), []
    total = product(launch.extents[v] for v in apart)
    if not apart:
        launch.open("once", const(1))
    elif target.has_groups:
        launch.nest.open(launch.flat(apart))
    else:
        inside = product(launch.extents[v] for v in in_order)
        first, size = launch.open_piece(total, ceil_div(const(target.piece), maximum(inside, 1)))
    for variable in in_order:
        launch.open_own(variable)
    if apart and not target.has_groups:
        flat = launch.flat(apart)
        launch.nest.know(flat, first + launch.open("i", size), launch.nest.depth)
    places = launch.places()
    offset, new = places.offset(value, definition.at), places.expr(definition.value)
    launch.nest.begin([offset, new])
    offset, new = launch.nest.value(offset), launch.nest.value(new)
    if atomic:
        assert definition.combine is not None
        launch.nest.emit(Atomic(value, offset, new, definition.combine))
    else:
        if definition.combine is not None:
            new = combined(definition.combine, make(Code.LOAD, value.dtype, (offset,), value), new)
        launch.nest.emit(Store(value, offset, new))
    while launch.nest.depth > 1:
        launch.close(LoopKind.ORDER)
    return launch.finished(LoopKind.ITEMS)
