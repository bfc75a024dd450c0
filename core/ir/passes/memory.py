"""The memory plan: which values share a slot of the arena, from the steps between which each is alive."""

from __future__ import annotations

from core import dtypes
from core.ir.axes import product
from core.ir.definitions import Value
from core.ir.expr import Expr
from core.ir.program import HostStep, KernelStep, LibraryStep, OpCall, Program, Step
from core.ir.rebuild import loads_in


def plan(program: Program) -> None:
    """Give each value that steps make, and that is neither an output nor made by a host op, a slot of the arena.

    A slot is used again, after its value was last read, by values whose size is the same expression.
    """
    last = last_uses(program)
    outside = {*program.outputs, *program.inputs, *program.constants}
    homes = _homes(program, last, outside)
    free: dict[Expr, list[int]] = {}
    ending: dict[int, list[Value]] = {}
    for value, position in last.items():
        ending.setdefault(position, []).append(value)
    for position, step in enumerate(program.steps):
        if not isinstance(step, HostStep):
            for value in step.writes:
                home = homes.get(value, value)
                if home in outside and home is not value:
                    program.kept_in[value] = home
                if home in outside:
                    continue
                if home not in program.slots:
                    size = size_bytes(value, program)
                    if not free.get(size):
                        free.setdefault(size, []).append(len(program.slot_sizes))
                        program.slot_sizes.append(size)
                    program.slots[home] = free[size].pop()
                program.slots[value] = program.slots[home]
        for value in ending.get(position, ()):
            if value in program.slots and value not in homes:
                slot = program.slots[value]
                free.setdefault(program.slot_sizes[slot], []).append(slot)


def _homes(program: Program, last: dict[Value, int], outside: set[Value]) -> dict[Value, Value]:
    """Values that a step overwrites, and that nobody reads afterwards: which value takes over their memory."""
    homes: dict[Value, Value] = {}
    made = {value for step in program.steps if not isinstance(step, HostStep) for value in step.writes}
    for position, step in reversed(list(enumerate(program.steps))):
        if isinstance(step, KernelStep):
            homes.update({value: homes.get(target, target) for target, value in step.overwrites.items()})
        for value, target, alone in taken_over(step):
            alike = value.dtype == target.dtype and program.shapes[value] == program.shapes[target]
            if alike and alone and value not in outside and value in made and last[value] == position:
                homes[value] = homes.get(target, target)
    return homes


def taken_over(step: Step) -> list[tuple[Value, Value, bool]]:
    """Values that a library routine or an op's C may find in, or leave to, the memory of an output, that output, and
    whether the step reads the value only once."""
    if isinstance(step, LibraryStep):
        pairs, read = (*step.call.overwrites, *step.call.replaces), [operand.value for operand in step.operands]
    elif isinstance(step, OpCall):
        pairs, read = step.overwrites, list(step.inputs)
    else:
        return []
    return [(read[k], step.outputs[output], read.count(read[k]) == 1) for output, k in pairs]


def last_uses(program: Program) -> dict[Value, int]:
    """The step after which each value is not needed: lengths and checks may be read from memory until the end."""
    last: dict[Value, int] = {}
    for position, step in enumerate(program.steps):
        for value in (*step.reads, *step.writes):
            last[value] = position
    for step in program.steps:
        if isinstance(step, KernelStep):  # checks that kernels ask themselves are looked at when all is done
            last.update(dict.fromkeys(step.kernel.unless, len(program.steps)))
    lengths = [*program.shapes.values(), *((guard.a, guard.b) for guard in program.guards)]
    for parts in lengths:
        for e in loads_in(parts):
            last[e.payload] = len(program.steps)
    return last


def size_bytes(value: Value, program: Program) -> Expr:
    """The bytes that the elements of a value take; the backend rounds up to its alignment."""
    return product(program.shapes[value]) * dtypes.size_bytes(value.dtype)
