"""Rows of steps: each is made once, and read where it lies.

In: a graph whose lengths are decided (lengths.py), for only then is it known that a sum over what was broadcast is no
sum, and so a copy: gradients of two that were added are the same rows.
"""

from __future__ import annotations

from collections.abc import Mapping

from core.dataclass import replace
from core.ir.codes import Code
from core.ir.definitions import Definition, FromSteps, Lowered, Pointwise, Value
from core.ir.expr import Expr, const, load
from core.ir.iteration import Iteration, Rows
from core.ir.passes.lengths import resolve
from core.ir.passes.operands import source
from core.ir.steps import known_inside


def with_rows_once(lowered: Lowered) -> Lowered:
    """Results that are others of the same steps become views of these, and no step makes them."""
    definitions = dict(lowered.definitions)
    for first, definition in lowered.definitions.items():
        if not isinstance(definition, FromSteps) or definition.outputs[0] is not first:
            continue
        iteration: Iteration = definition.write
        twins = {b: a for b, a in _twins(iteration).items() if b not in lowered.outputs}
        new = _reading(_without(iteration, twins) if twins else iteration, definitions)
        if new is iteration:
            continue
        for value in iteration.writes:
            old = definitions[value]
            if value in twins:
                element = load(twins[value], old.axes, value.dtype)
                definitions[value] = Pointwise(old.shape, old.axes, element)
            else:
                definitions[value] = FromSteps(old.shape, old.axes, tuple(new.reads), tuple(new.writes), new)
    return replace(lowered, definitions=definitions)


def _twins(iteration: Iteration) -> dict[Value, Value]:
    """Results -> earlier results of which each row is the same."""
    if len(iteration.results) < 2:
        return {}
    body = resolve(known_inside(iteration))[0]
    first: dict[Value, Value] = {}
    twins = {}
    for outer, inner in zip(iteration.results, body.outputs[len(iteration.states) :], strict=False):
        base, at = source(inner, body.definitions)
        same = first.setdefault(base if at == body.definitions[inner].axes else inner, outer)
        if same is not outer:
            twins[outer] = same
    return twins


def _without(iteration: Iteration, twins: Mapping[Value, Value]) -> Iteration:
    """The same without some results."""
    behind = len(iteration.states)
    outputs = iteration.body.outputs
    gone = {inner for outer, inner in zip(iteration.results, outputs[behind:], strict=False) if outer in twins}
    body = replace(iteration.body, outputs=[value for value in outputs if value not in gone])
    return replace(iteration, body=body, results=tuple(value for value in iteration.results if value not in twins))


def _reading(iteration: Iteration, definitions: Mapping[Value, Definition]) -> Iteration:
    """The same on what is copied to what it reads."""
    sequences = tuple(_lying(rows, definitions) for rows in iteration.sequences)
    states = tuple(replace(state, initial=_original(state.initial, definitions)) for state in iteration.states)
    wholes = tuple(_original(value, definitions) for value in iteration.wholes)
    if (sequences, states, wholes) == (iteration.sequences, iteration.states, iteration.wholes):
        return iteration
    return replace(iteration, sequences=sequences, states=states, wholes=wholes)


def _original(value: Value, definitions: Mapping[Value, Definition]) -> Value:
    """What ``value`` is a copy of, element by element."""
    base, at = source(value, definitions)
    own, other = definitions[value], definitions[base]
    is_whole = at == own.axes and all(n is m for n, m in zip(own.shape, other.shape, strict=True))
    return base if is_whole else value


def _lying(rows: Rows, definitions: Mapping[Value, Definition]) -> Rows:
    """Where rows lie: in what they are rows of by way of slices, if these leave rows as they are."""
    base, at = source(rows.value, definitions)
    own, other = definitions[rows.value], definitions[base]
    is_rows = base is not rows.value and len(at) == len(own.axes) and at[1:] == own.axes[1:]
    if is_rows and all(n is m for n, m in zip(own.shape[1:], other.shape[1:], strict=True)):
        place = affine(at[0], own.axes[0]) if own.axes[0].code is Code.INDEX else (at[0], const(1))
        if place is not None and not any(n.free for n in place):
            start, step = place
            return Rows(base, start + rows.start * step, rows.step * step)
    return rows


def affine(i: Expr, axis: Expr) -> tuple[Expr, Expr] | None:
    """``start`` and ``step`` of ``i = start + step * axis``; None where it is nothing like that."""
    start, step = const(0), const(1)
    while i is not axis:
        a, b = i.args if len(i.args) == 2 else (None, None)
        if a is None or b is None or (axis in a.free) == (axis in b.free):
            return None
        moving, fixed = (a, b) if axis in a.free else (b, a)
        if i.code is Code.ADD:
            start = start + fixed * step
        elif i.code is Code.SUB and moving is a:
            start = start - fixed * step
        elif i.code is Code.SUB:
            start, step = start + fixed * step, -step
        elif i.code is Code.MUL:
            step = step * fixed
        else:
            return None
        i = moving
    return start, step
