"""How long the rows of a scan's results are, told outside of it: what infer_shape of the nodes of a step says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from core.graph import Variable, clone_replace, depends_on, toposort
from core.scanning.form import Form, Inputs, StepInputs
from core.tensor.elementwise import Elementwise
from core.tensor.indexing import Subtensor, getitem
from core.tensor.shape import ShapeI, shape_i, shape_of
from core.tensor.type import TensorType, TensorVariable, as_tensor


def row_lengths(rows: Sequence[Variable], first: Mapping[Variable, Any]) -> list[list[Any]]:
    """All lengths of ``rows``, which depend on the keys of ``first``; these have, in the first step, its values.

    Where lengths follow from those of other variables nothing is computed, else the first step is.
    """
    shapes, lengths = _inferred(rows, {own: _shape(value) for own, value in first.items()})
    replaced = {**first, **lengths}
    return [_outside(row, shapes.get(row), replaced) for row in rows]


def varying(rows: Sequence[Variable], own: StepInputs[Variable]) -> set[Variable]:
    """Those of ``rows`` that may have another shape in each step: a length depends on more than shapes of ``own``."""
    changing = {*own.sequences, *(row for taps in own.taps for row in taps)}
    fixed = {x: shape_of(x.type()) for x in own.flat}  # as it is in each step, and of no value in it
    shapes, lengths = _inferred(rows, fixed)
    found = set()
    for row in rows:
        unknown = [n for n in _outside(row, shapes.get(row), lengths) if isinstance(n, Variable)]
        if any(depends_on(n, changing) for n in unknown):
            found.add(row)
    return found


def _inferred(
    rows: Sequence[Variable], known: Mapping[Variable, Any]
) -> tuple[dict[Variable, Any], dict[Variable, TensorVariable]]:
    """The shapes of what ``rows`` are computed from, those of some being ``known``; and lengths that are read of it."""
    shapes, lengths = dict(known), {}
    for node in toposort(rows, stop_at=known):
        if isinstance(node.op, ShapeI) and node.inputs[0] in shapes:
            lengths[node.out] = as_tensor(shapes[node.inputs[0]][node.op.axis])
        given = [shapes.get(x) if x in shapes else _own(x) for x in node.inputs]
        if None in given or not (isinstance(node.op, Elementwise) or node.op.defines("infer_shape")):
            continue
        found = node.op.shapes(None, node, given)
        shapes.update((out, shape) for out, shape in zip(node.outputs, found, strict=True) if shape is not None)
    return shapes, lengths


def first_step(form: Form, given: Inputs[TensorVariable], own: StepInputs[Variable]) -> dict[Variable, TensorVariable]:
    """What the inputs of the first step are: by the variables that stand for them in a step."""
    first: dict[Variable, Any] = dict(zip(own.constants, given.constants, strict=True))
    place = -1 if form.backwards else 0
    first.update((row, getitem(x, place)) for row, x in zip(own.sequences, given.sequences, strict=True))
    for rows, state, x in zip(own.taps, form.states, given.initials, strict=True):
        first.update((row, getitem(x, state.span + tap)) for row, tap in zip(rows, state.taps, strict=True))
    return first


def _shape(value: TensorVariable) -> Any:
    """Its lengths, those of a row without the row, which there need not be."""
    node = value.owner
    if node is not None and isinstance(node.op, Subtensor) and isinstance(node.op.key.entries[0], int):
        return shape_of(node.inputs[0])[1:]
    return shape_of(value)


def _own(x: Variable) -> Any:
    return shape_of(x) if x.owner is None and isinstance(x.type, TensorType) else None


def _outside(row: Variable, shape: Any, replaced: Mapping[Variable, Any]) -> list[Any]:
    known: Any = row.type.shape  # type: ignore[attr-defined]
    out = []
    for axis, n in enumerate(known):
        if n is not None:
            out.append(n)
            continue
        length = shape_i(row, axis) if shape is None else as_tensor(shape[axis])
        out.append(clone_replace(length, replaced) if depends_on(length, replaced) else length)
    return out
