"""The plan of a program: how it is to be called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core.ir.clike.cinterface import functions_of, report_length
from core.ir.program import Program
from plugin_backend_c.plan import CONSTANT, EARLIER, INPUT, MADE, Plan


def plan_of(program: Program) -> Plan | None:
    """How the launcher calls a program; None for one that calls Python, which the launcher leaves to Python."""
    if program.host_nodes:
        return None

    def kinds(values: Sequence[Any]) -> tuple[tuple[str, int, Any], ...]:
        return tuple((value.dtype, *_lying(program, value)) for value in values)

    constants = tuple(np.ascontiguousarray(a).reshape(a.shape) for a in program.constants.values())
    return Plan(
        program.name,
        kinds(program.inputs),
        kinds(program.made),
        _origins(program),
        _donors(program),
        _routines(program),
        constants,
        report_length(program),
    )


def _lying(program: Program, value: Any) -> tuple[int, Any]:
    """How many axes an array has, and how it lies."""
    layout = program.layouts.get(value)
    if layout is None:
        return len(program.shapes[value]), None
    return layout.ndim, (layout.order, layout.backwards, layout.is_packed, layout.is_unit)


def _origins(program: Program) -> tuple[tuple[int, int], ...]:
    """Where each output comes from."""
    made, constants = program.made, list(program.constants)
    origins: list[tuple[int, int]] = []
    for k, value in enumerate(program.outputs):
        earlier = program.outputs.index(value)
        if earlier < k:
            origins.append((EARLIER, earlier))
        elif value in made:
            origins.append((MADE, made.index(value)))
        elif value in program.constants:
            origins.append((CONSTANT, constants.index(value)))
        else:
            origins.append((INPUT, program.inputs.index(value)))
    return tuple(origins)


def _donors(program: Program) -> tuple[tuple[int, int, int], ...]:
    made, outputs, inputs = program.made, program.outputs, program.inputs
    return tuple((made.index(v), outputs.index(v), inputs.index(given)) for v, given in program.donors.items())


def _routines(program: Program) -> tuple[tuple[str, str], ...]:
    """The functions whose addresses a program takes, each with the name of a routine that has it."""
    names = {id(routine): name for name, routine in program.routines.items()}
    return tuple((names[id(routine)], function) for function, routine in functions_of(program).items())
