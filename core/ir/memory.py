"""The memory plan: which values share a slot of the arena, from the steps between which each is alive."""

from __future__ import annotations

from core import dtypes
from core.ir.axes import product
from core.ir.expr import Expr
from core.ir.program import HostStep, Program, Value
from core.ir.rebuild import loads_in


def plan(program: Program) -> None:
    """Give each value that steps make, and that is neither an output nor made by a host op, a slot of the arena.

    A slot is used again, after its value was last read, by values whose size is the same expression.
    """
    last = _last_uses(program)
    outside = {*program.outputs, *program.inputs, *program.constants}
    free: dict[Expr, list[int]] = {}
    ending: dict[int, list[Value]] = {}
    for value, position in last.items():
        ending.setdefault(position, []).append(value)
    for position, step in enumerate(program.steps):
        if not isinstance(step, HostStep):
            for value in step.writes:
                if value in outside or value in program.slots:
                    continue
                size = size_bytes(value, program)
                if free.get(size):
                    program.slots[value] = free[size].pop()
                else:
                    program.slots[value] = len(program.slot_sizes)
                    program.slot_sizes.append(size)
        for value in ending.get(position, ()):
            if value in program.slots:
                slot = program.slots[value]
                free.setdefault(program.slot_sizes[slot], []).append(slot)


def _last_uses(program: Program) -> dict[Value, int]:
    """The step after which each value is not needed: lengths may be read from memory until the end."""
    last: dict[Value, int] = {}
    for position, step in enumerate(program.steps):
        for value in (*step.reads, *step.writes):
            last[value] = position
    lengths = [*program.shapes.values(), *((guard.a, guard.b) for guard in program.guards)]
    for parts in lengths:
        for e in loads_in(parts):
            last[e.payload] = len(program.steps)
    return last


def size_bytes(value: Value, program: Program) -> Expr:
    """The bytes that the elements of a value take; the backend rounds up to its alignment."""
    return product(program.shapes[value]) * dtypes.size_bytes(value.dtype)
