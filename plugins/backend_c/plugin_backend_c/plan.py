"""What must be known of a program to call it, besides its code: data that can be written to a file."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

MADE, INPUT, EARLIER, CONSTANT = range(4)  # where an output comes from; all but MADE are copied


class Plan(NamedTuple):
    """A program as its caller sees it.

    entry          name of the entry function
    inputs, made   of each argument, and of each output that C makes: dtype, number of axes, and how it lies (None: row
                   by row; else the fields of core.ir.layouts.Layout that tell)
    outputs        where each comes from, and its number there: among what is made, the inputs, the earlier outputs, the
                   constants
    donors         of each output that may lie where an input does: its number among what is made, and among all; the
                   input's
    routines       the library routine, and the function of it, that each address is of
    constants      arrays that the program reads
    report_length  how many integers the entry function may report
    """

    entry: str
    inputs: tuple[tuple[str, int, Any], ...]
    made: tuple[tuple[str, int, Any], ...]
    outputs: tuple[tuple[int, int], ...]
    donors: tuple[tuple[int, int, int], ...]
    routines: tuple[tuple[str, str], ...]
    constants: tuple[np.ndarray, ...]
    report_length: int
