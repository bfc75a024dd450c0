"""A scan of stacks of its inputs: one scan, whose steps compute a whole stack of steps at once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from core.graph import Apply, Variable, depends_on
from core.scanning.assembly import Assembly
from core.scanning.form import StepOutputs, filled
from core.tensor.broadcast import Alloc
from core.tensor.dimshuffle import DimShuffle
from core.tensor.shape import shape_i, shape_of
from core.tensor.type import TensorType, TensorVariable
from core.tensor.vectorize import stacked_or_none


def stacked_scan(op: Any, node: Apply, inputs: Sequence[TensorVariable]) -> list[TensorVariable] | None:
    """What ``Scan.batch`` returns; None where the number of steps, or a length, would differ within the stack."""
    form = op.form
    given, old = form.inputs(list(inputs)), form.inputs(node.inputs)
    if given.n.ndim or any(n.ndim for lengths in given.lengths for n in lengths):
        return None
    count = next(shape_i(x, 0) for x, before in zip(inputs, node.inputs, strict=True) if x.ndim > before.type.ndim)
    is_stack = [x.ndim > before.type.ndim for x, before in zip(given.initials, old.initials, strict=True)]
    while True:
        step = op.inner.unfrozen()
        own = form.step_inputs(step.inputs)
        stacks: dict[Variable, TensorVariable] = {}
        for row, x, before in zip(own.sequences, given.sequences, old.sequences, strict=True):
            stacks.update({row: _stack_of(row, x.type.shape[0])} if x.ndim > before.type.ndim else {})  # type: ignore[attr-defined]
        for x_own, x, before in zip(own.constants, given.constants, old.constants, strict=True):
            stacks.update({x_own: _stack_of(x_own, x.type.shape[0])} if x.ndim > before.type.ndim else {})  # type: ignore[attr-defined]
        for rows, is_one in zip(own.taps, is_stack, strict=True):
            stacks.update({row: _stack_of(row, None) for row in rows} if is_one else {})
        made = form.step_outputs(step.outputs)
        found = _stacked(made, stacks)
        if found is None:
            return None
        more = [
            was or new.ndim > before.type.ndim  # type: ignore[attr-defined]
            for was, new, before in zip(is_stack, found.states, made.states, strict=True)
        ]
        if more == is_stack:
            break
        is_stack = more
    loop = Assembly(partial(op.anew, label=op.label), given.n, form.backwards)
    for x, before, row in zip(given.sequences, old.sequences, own.sequences, strict=True):
        loop.sequence(_steps_first(x) if x.ndim > before.type.ndim else x, stacks.get(row, row))
    for x, own_x in zip(given.constants, own.constants, strict=True):
        loop.constant(x, stacks.get(own_x, own_x))
    for k, (x, state, rows) in enumerate(zip(given.initials, form.states, own.taps, strict=True)):
        new: Any = found.states[k]
        if is_stack[k]:
            if x.ndim == old.initials[k].type.ndim:
                x = Alloc()(x, count, *shape_of(x))
            x, new = _steps_first(x), _repeated(new, made.states[k], count)
        loop.state(x, state, [stacks.get(row, row) for row in rows], new)
    for row, before, shape, lengths in zip(found.results, made.results, form.results, given.lengths, strict=True):
        is_one = row.ndim > before.type.ndim  # type: ignore[attr-defined]
        loop.result(row, [*([count] if is_one else []), *filled(shape, lengths)])
    out = loop.made(found.stop, form.truncate)
    outputs = [*out.states, *out.results, *([] if out.done is None else [out.done])]
    return [
        _steps_first(x) if x.ndim > before.type.ndim else x  # type: ignore[attr-defined]
        for x, before in zip(outputs, node.outputs, strict=True)
    ]


def _stack_of(x: Variable, n: int | None) -> Any:
    return TensorType(x.type.dtype, (n, *x.type.shape))(x.name)  # type: ignore[attr-defined]


def _stacked(made: StepOutputs[Variable], stacks: dict[Variable, TensorVariable]) -> StepOutputs[Any] | None:
    """Outputs of a step for stacks; those that are the same for all of a stack are not repeated.

    None where an op on the way has no form for stacks, or where elements of a stack would end after different steps.
    """
    moving = [x for x in made.flat if depends_on(x, stacks)]
    found = stacked_or_none(moving, stacks) if moving else []  # type: ignore[arg-type]
    if found is None or (made.stop is not None and made.stop in moving):
        return None
    known: dict[Variable, Any] = dict(zip(moving, found, strict=True))
    return StepOutputs([known.get(x, x) for x in made.states], [known.get(x, x) for x in made.results], made.stop)


def _repeated(x: TensorVariable, before: Variable, n: Any) -> TensorVariable:
    return x if x.ndim > before.type.ndim else Alloc()(x, n, *shape_of(x))  # type: ignore[attr-defined]


def _steps_first(x: TensorVariable) -> TensorVariable:
    """From (stack, steps, ...) to (steps, stack, ...), or back."""
    return DimShuffle(x.ndim, (1, 0, *range(2, x.ndim)))(x)
