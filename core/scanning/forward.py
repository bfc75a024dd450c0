"""The tangents of a scan: the scan itself, with the tangent of each state that moves as a state beside it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from core.gradient.common import is_differentiable, is_missing, is_null
from core.gradient.forward import Rop
from core.graph import Variable
from core.scanning.assembly import Assembly
from core.scanning.connections import of_states, of_step
from core.scanning.lengths import first_step, row_lengths
from core.tensor.type import TensorVariable
from core.tensor.updates import zeros_of


def tangents(
    op: Any, inputs: Sequence[TensorVariable], eval_points: Sequence[Variable | None]
) -> list[Variable | None]:
    """What ``Scan.R_op`` returns: the derivative of each step along the tangents of what it reads."""
    given, points = op.form.inputs(inputs), op.form.inputs([None if is_missing(p) else p for p in eval_points])
    step = op.inner.unfrozen()
    own, made = op.form.step_inputs(step.inputs), op.form.step_outputs(step.outputs)
    moving = _moving(op, points)
    moves: dict[Variable, Any] = {}  # of what a step reads: its tangent in the step
    for row, point in zip(own.sequences, points.sequences, strict=True):
        moves.update({row: row.type()} if point is not None else {})
    for rows, moved in zip(own.taps, moving, strict=True):
        moves.update({row: row.type() for row in rows} if moved else {})
    for x, point in zip(own.constants, points.constants, strict=True):
        moves.update({x: x.type()} if point is not None else {})
    outputs = [*made.states, *made.results]
    found = Rop(outputs, list(moves), list(moves.values()), "ignore", "none") if moves else [None] * len(outputs)
    null = next((tangent for tangent in found if is_null(tangent)), None)
    if null is not None:
        return [null] * (len(outputs) + op.form.until)
    loop = Assembly(partial(op.anew, label=f"tangents of {op.label}"), given.n, op.form.backwards)
    for x, point, row in zip(given.sequences, points.sequences, own.sequences, strict=True):
        loop.sequence(x, row)
        if row in moves:
            loop.sequence(point, moves[row])
    for x, point, own_x in zip(given.constants, points.constants, own.constants, strict=True):
        loop.constant(x, own_x)
        if own_x in moves:
            loop.constant(point, moves[own_x])
    for k, (x, state, rows) in enumerate(zip(given.initials, op.form.states, own.taps, strict=True)):
        loop.state(x, state, rows, made.states[k])
        if moving[k]:
            start = zeros_of(x) if points.initials[k] is None else points.initials[k]
            new: Any = zeros_of(made.states[k]) if found[k] is None else found[k]  # type: ignore[arg-type]
            loop.state(start, state, [moves[row] for row in rows], new)
    first = first_step(op.form, given, own)
    for row, shape, tangent in zip(made.results, row_lengths(made.results, first), found[len(moving) :], strict=True):
        loop.result(row, shape)
        if tangent is not None:
            loop.result(tangent, shape)
    out = loop.made(made.stop)
    states, results = iter(out.states), iter(out.results)
    answer: list[Variable | None] = []
    for moved in moving:
        next(states)
        answer.append(next(states) if moved else None)
    for tangent in found[len(moving) :]:
        next(results)
        answer.append(next(results) if tangent is not None else None)
    return [*answer, *([None] if op.form.until else [])]


def _moving(op: Any, points: Any) -> list[bool]:
    """The states that have a tangent after some steps."""
    step, states, own = of_step(op), of_states(op), op.form.step_inputs(op.inner.inputs)
    moved = {row for row, point in zip(own.sequences, points.sequences, strict=True) if point is not None}
    moved |= {x for x, point in zip(own.constants, points.constants, strict=True) if point is not None}
    begun = {k for k, point in enumerate(points.initials) if point is not None}
    begun |= {k for k, on in enumerate(step.states) if not on.isdisjoint(moved)}
    return [is_differentiable(rows[0]) and not begun.isdisjoint(on) for rows, on in zip(own.taps, states, strict=True)]
