"""Steps of which one of two programs runs, in C: a test, and a call of the entry function of what is taken.

That is written by centry.py as any other, but for its outputs: whoever calls it says where these lie.
"""

from __future__ import annotations

from core.ir.choice import Side
from core.ir.clike.cblocks import Around
from core.ir.expr import length
from core.ir.program import BranchStep

REPORT = 256  # integers: of what failed inside only lengths are read


def call_lines(step: BranchStep, around: Around, failed: str) -> list[str]:
    """The lines that run the side that is taken.

    failed  what to do where it fails, with ``core_side``, ``core_status`` and ``core_said``, as a statement of C
    """
    first, second = step.choice.sides
    return [
        "{",
        f"    int64_t core_said[{REPORT}] = {{0}};",
        f"    const int core_side = !{around.pointer(step.choice.condition)}[0];",
        "    int32_t core_status = 0;",
        "    if (!core_side) {",
        *(f"        {line}" for line in _call(first, around)),
        "    } else {",
        *(f"        {line}" for line in _call(second, around)),
        "    }",
        f"    if (core_status) {failed}",
        "}",
    ]


def _call(side: Side, around: Around) -> list[str]:
    if not side.outputs:
        return []
    inputs = ", ".join(f"(void *){around.pointer(value)}" for value in side.inputs) or "0"
    outputs = ", ".join(f"(void *){around.pointer(value)}" for value in side.outputs)
    return [
        f"void *core_in[] = {{{inputs}}};",
        f"void *core_out[] = {{{outputs}}};",
        f"const int64_t core_of[] = {{{', '.join(_lengths(side, around)) or '0'}}};",
        f"core_status = {side.body.name}(core_in, core_of, 0, routines, core_out, 0, core_said, call);",
    ]


def _lengths(side: Side, around: Around) -> list[str]:
    """The lengths of the inputs of a side, one after the other."""
    found = []
    for value in side.body.inputs:
        for axis in range(len(side.body.shapes[value])):
            outside = side.lengths.get(length(value, axis))
            found.append("0" if outside is None else around.length(outside))
    return found
