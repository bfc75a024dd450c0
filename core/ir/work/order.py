"""Scatters, on a device.

What is independent is spread out; the rest runs in the order of the program, inside one work-item.  Elements that are
set several times need no order where work-items can settle among themselves which of them is the last.
"""

from __future__ import annotations

from collections.abc import Sequence

from core import dtypes
from core.ir.axes import product
from core.ir.codes import Code, Combine
from core.ir.definitions import Pointwise, Scattering, Value
from core.ir.expr import INDEX_DTYPE, Expr, const, equal, make, maximum
from core.ir.nests.accumulators import combined
from core.ir.nodes import Atomic, If, Kernel, Loop, LoopKind, Store
from core.ir.passes.groups import Item
from core.ir.rebuild import loads_in
from core.ir.work.launch import Launch, Work, ceil_div, map_loop
from core.ir.work.place import Places, offset


def scatter_launches(work: Work, value: Value, definition: Scattering, name: str, comment: str) -> Kernel:
    """Store the base; then, in more launches, set or add element by element.

    A loop variable that is itself an index of the target is spread out: its iterations never meet.  The others run in
    order, so that the last of several writers wins, unless the target adds atomically, or settles who is the last.
    """
    base = Item(value, Pointwise(definition.shape, definition.axes, definition.base), loads_in([definition.base]))
    apart = [v for v in definition.bound if any(i is v for i in definition.at)]
    loops = [map_loop(work, [base], _moving(definition.axes))]
    if definition.combine is None and work.target.settles and len(apart) < len(definition.bound):
        loops += _settled(work, value, definition, apart)
    else:
        loops.append(_scatter(work, value, definition, apart))
    loads = loads_in([definition.base, *definition.at, definition.value])
    read = list(dict.fromkeys(e.payload for e in loads))
    return Kernel(name, read, [value, *work.scratch], [*loops], comment)


def _moving(axes: Sequence[Expr]) -> list[Expr]:
    return [axis for axis in axes if axis.code is Code.INDEX]


def _scatter(work: Work, value: Value, definition: Scattering, apart: list[Expr]) -> Loop:
    launch, target = Launch(work), work.target
    in_order = [v for v in definition.bound if v not in apart]
    atomic = definition.combine is not None and dtypes.real_of(value.dtype) in target.atomics and bool(in_order)
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
    where, new = places.offset(value, definition.at), places.expr(definition.value)
    launch.nest.begin([where, new])
    where, new = launch.nest.value(where), launch.nest.value(new)
    if atomic:
        assert definition.combine is not None
        launch.nest.emit(Atomic(value, where, new, definition.combine))
    else:
        if definition.combine is not None:
            new = combined(definition.combine, make(Code.LOAD, value.dtype, (where,), value), new)
        launch.nest.emit(Store(value, where, new))
    return _closed(launch)


def _closed(launch: Launch) -> Loop:
    while launch.nest.depth > 1:
        launch.close(LoopKind.ORDER)
    return launch.finished(LoopKind.ITEMS)


def _settled(work: Work, value: Value, definition: Scattering, apart: list[Expr]) -> list[Loop]:
    """Set elements in any order: every writer names its position, the largest for an element is the one that stores.

    Writers that differ in a variable of ``apart`` never meet, so they name a position together, unless it also decides
    on another axis where they write.  Axes on which all write to the same place tell nobody apart.
    """
    axes = [k for k, i in enumerate(definition.at) if i.free and not any(i is v for v in apart)]
    if any(definition.at[k].free.intersection(apart) for k in axes):
        axes, apart = list(range(len(definition.at))), []
    meet = [v for v in definition.bound if v not in apart]
    last = work.new_value(f"last_{value}", INDEX_DTYPE, [work.shapes[value][k] for k in axes])
    where, at = tuple(definition.axes[k] for k in axes), [definition.at[k] for k in axes]
    nobody = Item(last, Pointwise(tuple(definition.shape[k] for k in axes), where, const(-1)), [])
    return [
        map_loop(work, [nobody], _moving(where)),
        _naming(work, definition, last, at, meet),
        _storing(work, definition, last, at, meet, value),
    ]


def _open_all(launch: Launch, variables: Sequence[Expr]) -> Places:
    """Spread out all of ``variables``."""
    flat = launch.flat(variables)
    if launch.target.has_groups:
        launch.nest.open(flat)
    else:
        first, size = launch.open_piece(product(launch.extents[v] for v in variables))
        launch.nest.know(flat, first + launch.open("i", size), launch.nest.depth)
    return launch.places()


def _position(launch: Launch, places: Places, variables: Sequence[Expr]) -> Expr:
    return offset([places.expr(v) for v in variables], [launch.extents[v] for v in variables])


def _naming(work: Work, definition: Scattering, last: Value, at: Sequence[Expr], meet: Sequence[Expr]) -> Loop:
    launch = Launch(work)
    places = _open_all(launch, meet)
    where, position = places.offset(last, at), _position(launch, places, meet)
    launch.nest.begin([where, position])
    launch.nest.emit(Atomic(last, launch.nest.value(where), launch.nest.value(position), Combine.MAX))
    return _closed(launch)


def _storing(
    work: Work, definition: Scattering, last: Value, at: Sequence[Expr], meet: Sequence[Expr], value: Value
) -> Loop:
    launch = Launch(work)
    places = _open_all(launch, definition.bound)
    mine = equal(places.load(last, at), _position(launch, places, meet))
    where, new = places.offset(value, definition.at), places.expr(definition.value)
    launch.nest.begin([mine, where, new])
    mine, where, new = (launch.nest.value(e) for e in (mine, where, new))
    launch.nest.emit(If(mine, [Store(value, where, new)]))
    return _closed(launch)
