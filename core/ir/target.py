"""What schedules ask of the hardware: numbers, never names."""

from __future__ import annotations

from core.dataclass import dataclass


@dataclass(frozen=True)
class Target:
    """Where kernels run.

    units       how many independent pieces of work keep it busy: work-items on a CPU, groups on a GPU.  0: this is the
                host itself, whose threads core/ir/cpu/parallel.py takes care of
    lanes       work-items of the largest group that kernels use.  1: there are no groups to speak of (a CPU as a
                device), so each work-item takes a contiguous piece and nothing waits for anything
    waves       how many times ``units`` groups are worth starting where the work is cut into equal shares: with several
                waves of them, the last ones leave less of the hardware idle
    packs_rows  whether a group may take several rows that need one lane each: its work-items then leave a loop at
                different times, which compilers for CPUs as devices do not bear where the loop could have barriers
    holds_rows  whether lanes of a group can hold rows, and sums of their columns, in registers or memory of their own
    piece       how many elements are worth a work-item of their own
    has_float64 whether sums of float32 may be taken in float64
    threads     whether chunks of a loop may run at once on the host (core/ir/cpu/parallel.py)
    layouts     whether a program may be made for arguments that do not lie row by row (core/ir/layouts.py)
    blocks      whether rows of tall matrices may go by blocks (core/ir/passes/row_blocks.py)
    finishes    whether the last group to come somewhere knows that it is, and sees what others have stored: it takes
                their parts of a reduction together, where that else needs a launch of its own
    keeps_nan   float dtypes whose larger and smaller numbers keep NaN in one instruction, so that maxima need no flag
    settles     whether work-items that set the same element find out at once which is the last, by atomic maxima of
                int64; else they run in the order of the program
    atomics     dtypes in which a scatter adds atomically, in any order; the others add in the order of the program
    """

    units: int = 0
    waves: int = 1
    lanes: int = 1
    packs_rows: bool = True
    holds_rows: bool = False
    piece: int = 1024
    has_float64: bool = True
    threads: bool = False
    layouts: bool = False
    blocks: bool = False
    finishes: bool = False
    keeps_nan: frozenset[str] = frozenset()
    settles: bool = False
    atomics: frozenset[str] = frozenset()

    @property
    def is_device(self) -> bool:
        return self.units > 0

    @property
    def has_groups(self) -> bool:
        return self.lanes > 1


HOST = Target()
