"""Donation: an output lies where an argument does, if the caller gives that away and nothing can fail any more.

An update ``w - 0.1 * g`` then needs no second array of the size of ``w``, and a product is added to ``w`` in place.  A
caller decides at each call; where it keeps the argument, the output has memory of its own, as any other.
"""

from __future__ import annotations

from collections.abc import Mapping

from core.dataclass import replace
from core.ir.definitions import Operand, Value
from core.ir.library import PRODUCTS
from core.ir.passes.in_place import Places
from core.ir.passes.memory import last_uses
from core.ir.program import KernelStep, LibraryStep, Program, Step

_NEVER_FAIL = PRODUCTS | {"gemm_add"}


def donate(program: Program, updates: Mapping[int, int]) -> None:
    """Note in ``program.donors`` which outputs may lie where which inputs do.

    updates  number of an output -> number of the input that a caller may give away for it

    From the step on that makes the first of them, no step may fail, and each is made of its input element by element:
    by a kernel that reads each element where and before it stores the new one, or by a product that starts as it.
    """
    last, steps = last_uses(program), program.steps
    sound = next((k + 1 for k in reversed(range(len(steps))) if _may_fail(steps[k])), 0)
    first = beginnings(program)
    for number, source in updates.items():
        output, given = program.outputs[number], program.inputs[source]
        if output not in first or program.outputs.count(output) > 1 or given in program.layouts:
            continue
        position, value = first[output]
        alone = given not in (*program.outputs, *program.donors.values())
        alike = given.dtype == value.dtype and program.shapes[given] == program.shapes[value]
        if not (alone and alike and position >= sound and last.get(given, 0) <= position):
            continue
        if _in_place(steps[position], given, value):
            program.donors[output] = given
            _share(steps[position], {given, value})


def beginnings(program: Program) -> dict[Value, tuple[int, Value]]:
    """For each output that steps make: the step that first writes to its memory, and what that writes there."""
    first: dict[Value, tuple[int, Value]] = {}
    for position, step in enumerate(program.steps):
        for value in step.writes:
            first.setdefault(program.kept_in.get(value, value), (position, value))
    return {output: first[output] for output in program.made}


def _may_fail(step: Step) -> bool:
    if isinstance(step, LibraryStep):
        return step.call.name not in _NEVER_FAIL
    return not isinstance(step, KernelStep) or bool(step.kernel.unless)


def _in_place(step: Step, given: Value, output: Value) -> bool:
    """Whether a step may write ``output`` over ``given``."""
    if given not in step.reads:
        return True
    if isinstance(step, LibraryStep):
        starts = [(step.results[target], step.operands[operand]) for target, operand in step.call.replaces]
        whole = Operand.whole(given, step.results[0].shape)
        return (
            any(result.value is output and start == whole for result, start in starts)
            and sum(operand.value is given for operand in step.operands) == 1
        )
    assert isinstance(step, KernelStep)
    touching = [kernel for kernel in step.kernels if {given, output} & {*kernel.reads, *kernel.writes}]
    if len(touching) != 1 or given in step.overwrites.values() or output in step.overwrites:
        return False
    return Places(touching[0]).are_safe(given, output) and not Places(touching[0]).loads.get(output)


def _share(step: Step, pair: set[Value]) -> None:
    """Let the kernel that touches both know that they may lie in the same memory."""
    if isinstance(step, KernelStep):
        step.kernel, *step.then = (
            replace(kernel, shared=kernel.shared | pair) if pair <= {*kernel.reads, *kernel.writes} else kernel
            for kernel in step.kernels
        )
