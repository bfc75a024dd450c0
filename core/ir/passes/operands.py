"""Operands of library calls: which views of a stored array a routine can read where it lies, without a copy.

Transposed matrices, rows or columns of a matrix, a matrix of a stack, every second row: each axis of the view moves
along an axis of its own of the stored array, by a constant step, or along several that lie like one: a stack of
matrices is a tall one.  Stacked matrices may be one and the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from core.dataclass import replace
from core.errors import BackendError
from core.ir.axes import product, same_length, stretch
from core.ir.codes import Code
from core.ir.definitions import Definition, Operand, Pointwise, Value, with_rows_merged
from core.ir.expr import Expr, const
from core.ir.library import LibraryCall
from core.ir.rebuild import substitute


def operand(value: Value, definitions: Mapping[Value, Definition]) -> Operand:
    """The elements of ``value``, in the memory of what it is a view of where a routine can read them there."""
    definition = definitions[value]
    base, at = source(value, definitions)
    if base is not value:
        found = _in_place(base, definitions[base].shape, at, definition.axes, definition.shape)
        if found is not None:
            return found
    return Operand.whole(value, definition.shape)


def source(value: Value, definitions: Mapping[Value, Definition]) -> tuple[Value, tuple[Expr, ...]]:
    """The value that is no view of another, and the index in it of an element of ``value``."""
    at = definitions[value].axes
    while True:
        definition = definitions[value]
        if not isinstance(definition, Pointwise) or definition.expr.code is not Code.LOAD:
            return value, at
        mapping = {axis: i for axis, i in zip(definition.axes, at, strict=True) if axis.code is Code.INDEX}
        at = tuple(substitute(i, mapping) for i in definition.expr.args)
        value = definition.expr.payload


def _in_place(
    source: Value, lengths: Sequence[Expr], at: Sequence[Expr], axes: Sequence[Expr], shape: tuple[Expr, ...]
) -> Operand | None:
    """The operand, if each axis moves forwards along its own axis of ``source``."""
    strides: dict[Expr, Expr] = {}
    offset = const(0)
    for i, step in _flattened(at, lengths):
        moving = [axis for axis in axes if axis in i.free]
        if not moving:
            offset = offset + i * step
            continue
        split = _moved(i, moving[0])
        if len(moving) > 1 or moving[0] in strides or split is None:
            return None
        strides[moving[0]] = step * split[1]
        offset = offset + split[0] * step
    found = [strides.get(axis) for axis in axes]
    if any(stride is None and axis.code is Code.INDEX for stride, axis in zip(found[-2:], axes[-2:], strict=True)):
        return None  # the same elements again and again
    core = _core_strides(found[-2:], shape[-2:])
    if len(core) == 2 and const(1) not in core:
        return None
    return Operand(source, shape, (*(const(0) if n is None else n for n in found[:-2]), *core), offset)


def _flattened(at: Sequence[Expr], lengths: Sequence[Expr]) -> list[tuple[Expr, Expr]]:
    """The parts of an index with how far apart neighbours along each are; those that count one position are one."""
    found: list[tuple[Expr, Expr]] = []
    position = 0
    while position < len(at):
        flat, start, count = _counted(at[position:], lengths[position:])
        position += count
        step = product(lengths[position:])
        found.append((flat, step))
        if start is not const(0):
            found.append((start, step))
    return found


def _counted(at: Sequence[Expr], lengths: Sequence[Expr]) -> tuple[Expr, Expr, int]:
    """What the first parts of an index count together, where that starts, and how many parts they are."""
    first, start = _moved_from(at[0])
    if first.code is not Code.UNRAVEL or first.payload != 0:
        return at[0], const(0), 1
    flat, *shape = first.args
    if len(shape) > len(at) or any(n is not m for n, m in zip(shape[1:], lengths[1:], strict=False)):
        return at[0], const(0), 1
    for axis in range(1, len(shape)):
        own, more = _moved_from(at[axis])
        is_next = own.code is Code.UNRAVEL and own.payload == axis and own.args == first.args
        if not is_next and not (shape[axis] is const(1) and own is const(0)):
            return at[0], const(0), 1
        start = start * lengths[axis] + more
    return flat, start, len(shape)


def _moved_from(i: Expr) -> tuple[Expr, Expr]:
    """``i`` as something that moves and what is added to it."""
    start = const(0)
    while i.code in (Code.ADD, Code.SUB) and not i.args[1].free:
        start = start + i.args[1] if i.code is Code.ADD else start - i.args[1]
        i = i.args[0]
    return i, start


def _core_strides(strides: Sequence[Expr | None], shape: Sequence[Expr]) -> list[Expr]:
    """Those of a vector or matrix; an axis of length 1, which has none, gets one that it could have."""
    if len(strides) < 2:
        return [const(1) if stride is None else stride for stride in strides]
    rows, columns = strides
    if columns is None:
        columns = const(1) if rows is None or rows is not const(1) else shape[0]
    if rows is None:
        rows = shape[1] if columns is const(1) else const(1)
    return [rows, columns]


def _is_step(n: Expr) -> bool:
    """Whether an axis that moves by so many elements goes forwards: a number, or what a layout passes."""
    return n.payload > 0 if n.is_const else n.code is Code.LENGTH


def _moved(i: Expr, axis: Expr) -> tuple[Expr, Expr] | None:
    """``start`` and ``step`` of ``i = start + step * axis``; None where it is nothing like that, or goes backwards."""
    start, step = const(0), const(1)
    while i is not axis:
        if i.code is Code.ADD and axis not in i.args[1].free:
            i, start = i.args[0], start + i.args[1] * step
        elif i.code is Code.ADD and axis not in i.args[0].free:
            i, start = i.args[1], start + i.args[0] * step
        elif i.code is Code.SUB and axis not in i.args[1].free:
            i, start = i.args[0], start - i.args[1] * step
        elif i.code is Code.MUL and _is_step(i.args[1]):
            i, step = i.args[0], step * i.args[1]
        elif i.code is Code.MUL and _is_step(i.args[0]):
            i, step = i.args[1], step * i.args[0]
        else:
            return None
    return start, step


def stacked(call: LibraryCall, operands: Sequence[Operand], shapes: Sequence[tuple[Expr, ...]]) -> tuple[Operand, ...]:
    """The operands of a call, their leading axes brought to those of the outputs, their paired lengths compared."""
    lead = shapes[0][: call.batch]
    ranks = call.ranks or tuple(len(each.shape) - call.batch for each in operands)
    fits = [rank <= len(each.shape) <= call.batch + rank for each, rank in zip(operands, ranks, strict=False)]
    if len(ranks) != len(operands) or not all(fits):
        raise BackendError(
            f"the call of {call.name!r} has batch={call.batch} and ranks={ranks}, which does not fit its operands of "
            f"ndim {', '.join(str(len(each.shape)) for each in operands)}; where a routine does not serve, "
            f"library_call returns None"
        )
    found = [_broadcast(each, lead, rank) for each, rank in zip(operands, ranks, strict=True)]
    for (first, axis), (second, other) in call.same:
        n = same_length(found[first].shape[axis], found[second].shape[other])
        found[first], found[second] = _with_length(found[first], axis, n), _with_length(found[second], other, n)
    return tuple(found)


def _broadcast(each: Operand, lead: tuple[Expr, ...], rank: int) -> Operand:
    """An operand with the leading axes ``lead``: it stays where it is along those that it lacks, or has once."""
    own = len(each.shape) - rank
    missing = len(lead) - own
    moved = [
        stride * stretch(const(1), n, out)
        for stride, n, out in zip(each.strides[:own], each.shape[:own], lead[missing:], strict=True)
    ]
    strides = (*(const(0) for _ in range(missing)), *moved, *each.strides[own:])
    return replace(each, shape=(*lead, *each.shape[own:]), strides=strides)


def merged(given: Operand, operands: Sequence[Operand], batch: int) -> tuple[Operand, Operand] | None:
    """Stacked matrices times one matrix, seen as one tall matrix times it; None where they do not lie like that.

    given  the left operand before it was brought to the stack of the outputs
    """
    left, right = operands
    in_a_row = len(given.shape) == batch + 2 and given.strides == Operand.whole(given.value, given.shape).strides
    if not in_a_row or any(stride is not const(0) for stride in right.strides[:batch]):
        return None
    tall = replace(left, shape=with_rows_merged(left.shape, batch), strides=left.strides[batch:])
    return tall, replace(right, shape=right.shape[batch:], strides=right.strides[batch:])


def _with_length(each: Operand, axis: int, n: Expr) -> Operand:
    axis %= len(each.shape)
    return replace(each, shape=(*each.shape[:axis], n, *each.shape[axis + 1 :]))
