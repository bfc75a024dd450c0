"""The entry function of a program as its callers see it: what it takes, what it returns, what it reports.

    int32_t NAME(void **inputs, const int64_t *lengths, void **constants, void **routines, void **outputs,
                 int64_t *output_lengths, int64_t *report, core_call *call)

``lengths`` holds the shapes of the inputs one after the other, each with what its layout passes besides.  ``outputs``
are those that steps write (``Program.made``); they belong to the caller, their shapes go to ``output_lengths``.
Returns 0, or a Status; ``report`` then says what was met, and there are no outputs.  The caller offers ``call``:

    memory(call, block, size)  ``size`` bytes on a boundary of 64, or NULL, when ``block`` is NULL; else it takes back a
                               block of that size, which may also go to ``free``.  NULL: that of the C library
    python(number, inputs, lengths, outputs, output_lengths)  a step that only Python can compute
    busy(call)                 called once, before more than 20 us of work, by estimate: sets ``threads``.  May be NULL
    run(task, arguments, n, chunk, threads)  runs all chunks of 0 ... n, by so many threads at most.  NULL: by this one
    given                      for each output the memory that it takes, where the caller gives it an argument's
                               (``Program.donors``), or NULL; read after ``busy``.  NULL: it gives none
    work, threads              how much was done so far, in units of 1/16 ns; how many threads may take part: 0 and 1
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from core.ir.clike import ccalls
from core.ir.nodes import Kernel
from core.ir.program import KernelStep, LibraryStep, OpCall, Program

if TYPE_CHECKING:
    from core.ir.clike.routine import Routine

SAID = 3  # integers of the report of a guard, that of a step inside of another among them


class Status(enum.IntEnum):
    """What the entry function returns.  ``report`` holds, in order, what is named here."""

    DONE = 0
    GUARD = 1  # number of the guard, its two lengths
    MEMORY = 2  # number of the value in Program.shapes, its lengths; or -1 and the bytes of all intermediate values
    HOST = 3  # number of the host op that raised
    CHECK = 4  # number of the step
    LIBRARY = 5  # number of the step; a length that is too long for the library's integers
    ROUTINE = 6  # number of the step; what clibrary.read_failure reads
    OP = 7  # number of the step; what ccalls.read_error reads
    STEP = 8  # number of the step of which some step failed
    BRANCH = 9  # number of the step; which side failed, its status, the beginning of its report


def report_length(program: Program) -> int:
    """How many integers ``report`` has room for."""
    shapes = [len(shape) for shape in program.shapes.values()]
    failures = [ccalls.REPORT_LENGTH for step in program.steps if isinstance(step, OpCall)]
    calls = [step for step in program.steps if isinstance(step, LibraryStep)]
    if calls:
        from core.ir.clike.clibrary import failure_length  # who calls no library need not wait for it

        failures += map(failure_length, calls)
    return 3 + SAID + max([0, *shapes, *failures])


def kernels_of(program: Program) -> list[Kernel]:
    """The kernels of all steps, in the order in which they run."""
    return [kernel for step in program.steps if isinstance(step, KernelStep) for kernel in step.kernels]


def functions_of(program: Program) -> dict[str, Routine]:
    """The C functions whose addresses the entry function takes in ``routines``, in that order, and whose each is."""
    found: dict[str, Routine] = {}
    for step in [step for one in program.all for step in one.steps]:
        if isinstance(step, LibraryStep):
            routine = program.routines[step.call.name]
            names = routine.functions if routine.asked is None else routine.asked(step)
            found.update(dict.fromkeys(names, routine))
    return found
