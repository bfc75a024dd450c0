"""What has an order, on a device: scatters, and the loops that an op writes itself.

What is independent is spread out; the rest runs in the order of the program, inside one work-item.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from core.ir.axes import product
from core.ir.expr import Code, Expr, const, index, make, maximum
from core.ir.nests.accumulators import combined
from core.ir.nodes import Assign, Atomic, If, Kernel, Let, Loop, LoopKind, Statement, Store
from core.ir.passes.fuse import Item
from core.ir.program import Pointwise, Scattering, Value
from core.ir.rebuild import loads_in, rebuild
from core.ir.work.launch import Launch, Work, ceil_div, map_loop
from core.ir.work.place import flattened

# --- scatters --------------------------------------------------------------------------------------------------------


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


# --- loops that an op writes -----------------------------------------------------------------------------------------


def own_launches(work: Work, body: Sequence[Statement]) -> list[Statement]:
    """The loops of an op's ``kernel``: where the outermost are all grids, each is spread out; else one item runs."""
    if all(isinstance(statement, Loop) and statement.kind is LoopKind.GRID for statement in body):
        return [_spread(work, statement) for statement in body if isinstance(statement, Loop)]
    return [Loop(index("once"), const(1), list(body), LoopKind.ITEMS)]


def _spread(work: Work, loop: Loop) -> Loop:
    """A grid of one or several axes over all work-items."""
    variables, extents, body = [loop.variable], [loop.extent], loop.body
    while len(body) == 1 and isinstance(body[0], Loop) and body[0].kind is LoopKind.GRID and not body[0].extent.free:
        variables.append(body[0].variable)
        extents.append(body[0].extent)
        body = body[0].body
    launch, total = Launch(work), product(extents)
    if work.target.has_groups:
        position = launch.open("e", total)
    else:
        first, size = launch.open_piece(total, 1)
        position = first + launch.open("i", size)
    where = {v: launch.nest.let(e) for v, e in flattened(variables, extents, position).items()}
    launch.nest.emit(*renamed(body, where))
    if launch.nest.depth > 1:
        launch.close(LoopKind.GRID)
    return launch.finished(LoopKind.ITEMS)


def renamed(body: Sequence[Statement], where: Mapping[Expr, Expr]) -> list[Statement]:
    """Statements with loop variables replaced."""
    memo = dict(where)

    def new(e: Expr) -> Expr:
        return rebuild(e, lambda node, args: None, memo)

    def one(statement: Statement) -> Statement:
        if isinstance(statement, Let):
            return Let(statement.local, new(statement.value), statement.constant)
        if isinstance(statement, Assign):
            return Assign(statement.local, new(statement.value))
        if isinstance(statement, Store):
            return Store(statement.buffer, new(statement.offset), new(statement.value))
        if isinstance(statement, If):
            return If(new(statement.condition), [*map(one, statement.body)], [*map(one, statement.orelse)])
        if isinstance(statement, Atomic):
            return replace(statement, offset=new(statement.offset), value=new(statement.value))
        if not isinstance(statement, Loop):
            return statement
        inside = [*map(one, statement.body)]
        return replace(statement, start=new(statement.start), extent=new(statement.extent), body=inside)

    return [*map(one, body)]
