"""Donation: an output lies where an argument does, if the caller gives that away and nothing can fail any more.

An update ``w - 0.1 * g`` then needs no second array of the size of ``w``, and a product is added to ``w`` in place.  A
caller decides at each call; where it keeps the argument, the output has memory of its own, as any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from core.ir.in_place import Places
from core.ir.memory import last_uses
from core.ir.nodes import Kernel
from core.ir.program import KernelStep, LibraryStep, Operand, Program, Step, Value

_NEVER_FAIL = frozenset({"gemm", "gemv", "gemm_add"})


def donate(program: Program, updates: Mapping[int, int]) -> None:
    """Note in ``program.donors`` which outputs may lie where which inputs do.

    updates  number of an output -> number of the input that a caller may give away for it

    From the step on that makes the first of them, no step may fail, and each is made of its input element by element:
    by a kernel that reads each element where and before it stores the new one, or by a product that starts as it.
    """
    last, steps = last_uses(program), program.steps
    sound = next((k + 1 for k in reversed(range(len(steps))) if _may_fail(steps[k])), 0)
    makers = {value: k for k, step in enumerate(steps) for value in step.writes}
    for number, source in updates.items():
        output, given = program.outputs[number], program.inputs[source]
        position = makers.get(output, -1)
        alone = program.outputs.count(output) == 1 and given not in (*program.outputs, *program.donors.values())
        if not alone or output in program.kept_in.values() or given in program.layouts:
            continue
        alike = given.dtype == output.dtype and program.shapes[given] == program.shapes[output]
        if alike and position >= sound and last.get(given, 0) <= position and _in_place(steps[position], given, output):
            program.donors[output] = given
    for step in steps:
        if isinstance(step, KernelStep):
            step.kernel, *step.then = (_shared(kernel, program.donors) for kernel in step.kernels)


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


def _shared(kernel: Kernel, donors: Mapping[Value, Value]) -> Kernel:
    """A kernel that knows which of its values may lie in the same memory."""
    pairs = {
        value
        for output, given in donors.items()
        if output in kernel.writes and given in kernel.reads
        for value in (output, given)
    }
    return replace(kernel, shared=frozenset(pairs)) if pairs else kernel
