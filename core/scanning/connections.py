"""What each output of a step, and of a whole scan, depends on differentiably."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core.gradient.common import is_differentiable
from core.gradient.reverse import connections
from core.graph import Apply, Variable
from core.scanning.form import StepOutputs


def reached(
    inputs: Sequence[Variable], nodes: Sequence[Apply], outputs: Sequence[Variable]
) -> list[frozenset[Variable]]:
    """For each of ``outputs`` the ``inputs`` on which it depends differentiably."""
    found: dict[Variable, frozenset[Variable]] = {x: frozenset([x]) for x in inputs if is_differentiable(x)}
    nothing: frozenset[Variable] = frozenset()
    for node in nodes:
        if not any(x in found for x in node.inputs):
            continue
        pattern = connections(node)
        for k, out in enumerate(node.outputs):
            parts = [found[x] for x, row in zip(node.inputs, pattern, strict=True) if row[k] and x in found]
            if parts and is_differentiable(out):
                found[out] = frozenset().union(*parts)
    return [found.get(out, nothing) for out in outputs]


def of_step(op: Any) -> StepOutputs[frozenset[Variable]]:
    """For each output of a step the inputs of the step on which it depends."""
    return op.form.step_outputs(reached(op.inner.inputs, op.inner.nodes, op.inner.outputs))


def of_states(op: Any) -> list[frozenset[int]]:
    """For each state those, by their number, on which it depends after some steps: itself among them."""
    step, taps = of_step(op), op.form.step_inputs(op.inner.inputs).taps
    direct = [frozenset(k for k, rows in enumerate(taps) if not on.isdisjoint(rows)) for on in step.states]
    found = [frozenset([k]) | on for k, on in enumerate(direct)]
    while True:
        more = [on.union(*(found[k] for k in on)) for on in found]
        if more == found:
            return found
        found = more


def pattern(op: Any) -> list[list[bool]]:
    """The connection pattern of a scan: a row for each input, a column for each output."""
    form, step, states = op.form, of_step(op), of_states(op)
    own = form.step_inputs(op.inner.inputs)
    columns: list[list[bool]] = []
    lengths = [False] * sum(shape.count(None) for shape in form.results)
    for number, on in enumerate([*step.states, *step.results]):
        through = {number} if number < len(step.states) else set()
        through |= {k for k, rows in enumerate(own.taps) if not on.isdisjoint(rows)}
        through = through.union(*(states[k] for k in through))
        all_on = on.union(*(step.states[k] for k in through))
        columns.append(
            [
                False,
                *(row in all_on for row in own.sequences),
                *(k in through and is_differentiable(rows[0]) for k, rows in enumerate(own.taps)),
                *(x in all_on for x in own.constants),
                *lengths,
            ]
        )
    if form.until:
        columns.append([False] * len(columns[0]) if columns else [False] * (1 + len(op.inner.inputs)))
    return [list(row) for row in zip(*columns, strict=True)]
