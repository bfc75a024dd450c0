"""From a Scan to an iteration: its step is lowered by itself, and told where its arrays lie around it.

What has no code in some step has none at all: the whole scan is then left to Python.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from core.compile.lazy import opened, with_branches
from core.dataclass import dataclass, replace
from core.graph import Apply, Variable
from core.ir.axes import same_length
from core.ir.clike.cfamily import Dialect
from core.ir.codes import Code
from core.ir.definitions import Definition, FromSteps, Given, Lowered, Pointwise, Value
from core.ir.expr import INDEX_DTYPE, Expr, const, index, load
from core.ir.iteration import Carried, Iteration, Rows
from core.ir.rebuild import loads_in, rebuild
from core.scanning.form import Inputs, Keep
from core.scanning.op import Scan, filled
from core.tensor.shape import checked_length


@dataclass(frozen=True)
class Promised:
    """Lengths of rows that a step computes, and that must be what the program around has room for.

    shapes   of rows of results, in lengths that the step is given;  scalars  these lengths: in the step, and around it
    """

    shapes: dict[Value, tuple[Expr, ...]]
    scalars: list[tuple[Value, Value]]

    def add(self, row: Value, known: Sequence[int | None], lengths: Sequence[Value]) -> None:
        """``row`` has the shape ``known``, with ``lengths`` where that says None."""
        own = [Value(f"length_of_{row.name}", INDEX_DTYPE, row.node) for _ in lengths]
        self.scalars.extend(zip(own, lengths, strict=True))
        self.shapes[row] = tuple(map(_expr, filled(known, [load(n, (), INDEX_DTYPE) for n in own])))


class Loop:
    """One scan on its way.  ``body`` is its lowered step; None where nodes of it, ``host_nodes``, need Python."""

    def __init__(self, node: Apply, dialect: Dialect, lower: Callable[..., Lowered]):
        self.node, self.op = node, node.op
        assert isinstance(self.op, Scan)
        body = lower(opened(with_branches(self.op.inner.unfrozen())), dialect, "step")
        self.host_nodes = [node for node, _, _ in body.host_nodes]
        self.body: Lowered | None = None if body.host_nodes else with_own_outputs(body)

    def defined(
        self,
        values: Mapping[Variable, Value],
        definitions: dict[Value, Definition],
        constants: dict[Value, Any],
        element: Callable[[Variable], Expr],
        new: Callable[[str, str], Value],
        arguments: Sequence[Value],
    ) -> dict[Variable, Value]:
        """The values of the node's outputs, once all that makes them is among ``definitions``.

        values     of the node's inputs;  element  what an input that is a scalar is, as an expression
        arguments  values of the program around that are there when it begins
        """
        self.definitions, self.new, self.element = definitions, new, element
        form, body = self.op.form, self.body
        assert body is not None
        given = form.inputs([values[x] for x in self.node.inputs])
        lengths = self._lengths_inside(body, given)
        lengths.update(self._scalars_inside(body, set(arguments)))
        n = checked_length(element(self.node.inputs[0]))
        for x in given.sequences:
            n = same_length(n, definitions[x].shape[0])
        shapes, promised = self._result_shapes(body, given, lengths)
        carried, memory = self._states(given.initials, n)
        outputs = form.outputs(self.node.outputs).results
        results = [self.new(_name(out), out.type.dtype) for out in outputs]  # type: ignore[attr-defined]
        memory += [(value, (n, *shape)) for value, shape in zip(results, shapes, strict=True)]
        done = self.new("done", "int64") if form.until else None
        memory += [] if done is None else [(done, ())]
        spans = [
            same_length(definitions[x].shape[0], const(state.span))
            for x, state in zip(given.initials, form.states, strict=True)
        ]
        closed = _closed(body, form.step_inputs(body.inputs), form.step_outputs(body.outputs))
        iteration = Iteration(
            body=_promising(closed, promised),
            n=n,
            sequences=tuple(self._rows(x, n) for x in given.sequences),
            states=tuple(carried),
            wholes=(*given.constants, *self._constants(body, constants), *(n for _, n in promised.scalars)),
            results=tuple(results),
            done=done,
            lengths=lengths,
            equal=tuple(spans),
            backwards=form.backwards,
        )
        made, inputs = tuple(value for value, _ in memory), tuple(iteration.reads)
        for value, shape in memory:
            definitions[value] = FromSteps(shape, fresh_axes(shape), inputs, made, iteration)
        return self._handed_out(iteration, done)

    def _lengths_inside(self, body: Lowered, given: Inputs[Value]) -> dict[Expr, Expr]:
        """What the lengths of the arrays of a step are around it."""
        own = self.op.form.step_inputs(body.inputs)
        shape_of = {value: self.definitions[value].shape for value in given.flat}
        lengths: dict[Expr, Expr] = {}
        for row, x in zip(own.sequences, given.sequences, strict=True):
            lengths.update(lengths_outside(body, row, shape_of[x][1:]))
        for rows, x in zip(own.taps, given.initials, strict=True):
            for row in rows:
                lengths.update(lengths_outside(body, row, shape_of[x][1:]))
        for inside, x in zip(own.constants, given.constants, strict=True):
            lengths.update(lengths_outside(body, inside, shape_of[x]))
        return lengths

    def _scalars_inside(self, body: Lowered, arguments: set[Value]) -> dict[Expr, Expr]:
        """Integers that are the same in each step, from which lengths may be computed: what they are outside.

        Those that are there when the program around begins, for what is known of these is known of lengths.
        """
        found: dict[Expr, Expr] = {}
        own, given = self.op.form.step_inputs(body.inputs), self.op.form.inputs(self.node.inputs)
        for inside, x in zip(own.constants, given.constants, strict=True):
            if inside.dtype == INDEX_DTYPE and not body.definitions[inside].shape:
                element = self.element(x)
                if all(e.payload in arguments for e in loads_in([element])):
                    found[load(inside, (), inside.dtype)] = element
        return found

    def _states(self, initials: Sequence[Value], n: Expr) -> tuple[list[Carried], list[tuple[Value, tuple]]]:
        """What is carried from step to step, and memory for it."""
        carried, memory = [], []
        outputs = self.op.form.outputs(self.node.outputs).states
        for state, initial, out in zip(self.op.form.states, initials, outputs, strict=True):
            rest = self.definitions[initial].shape[1:]
            kept, room = self.new(_name(out), initial.dtype), None
            if state.keep is Keep.LAST:
                room = self.new(f"{kept}_in_turn", initial.dtype)
                memory += [(kept, (const(state.span), *rest)), (room, (const(state.span + 1), *rest))]
            else:
                memory.append((kept, (n + state.span, *rest)))
            carried.append(Carried(initial, state.taps, kept, room))
        return carried, memory

    def _result_shapes(
        self, body: Lowered, given: Inputs[Value], lengths: Mapping[Expr, Expr]
    ) -> tuple[list[tuple[Expr, ...]], Promised]:
        """The shapes of rows of results in lengths of the program around, and what steps that compute one must keep.

        Where a step computes a length from what changes, the scan was told what it is, and asks that in each step.
        """
        form, memo, found, promised = self.op.form, dict(lengths), [], Promised({}, [])
        rows = form.step_outputs(body.outputs).results
        given_lengths = form.inputs(self.node.inputs).lengths
        for row, known, told, values in zip(rows, form.results, given_lengths, given.lengths, strict=True):
            said = tuple(map(_expr, filled(known, [checked_length(self.element(x)) for x in told])))
            shape = body.definitions[row].shape
            if all(e in memo for e in loads_in(shape)):
                made = [rebuild(n, lambda e, args: None, memo) for n in shape]
                said = tuple(same_length(a, b) for a, b in zip(said, made, strict=True))
            else:
                promised.add(row, known, values)
            found.append(said)
        return found, promised

    def _constants(self, body: Lowered, constants: dict[Value, Any]) -> tuple[Value, ...]:
        """The arrays that a step holds, as values of the program around."""
        found = []
        for value, array in body.constants.items():
            outer = self.new(value.name, value.dtype)
            self.definitions[outer] = Given(body.definitions[value].shape, fresh_axes(body.definitions[value].shape))
            constants[outer] = array
            found.append(outer)
        return tuple(found)

    def _rows(self, value: Value, n: Expr) -> Rows:
        """The rows of a sequence in the order of the steps."""
        return Rows(value, n - 1, const(-1)) if self.op.form.backwards else Rows(value, const(0), const(1))

    def _handed_out(self, iteration: Iteration, done: Value | None) -> dict[Variable, Value]:
        """The node's outputs: what the steps have made, cut behind the last one that was done."""
        made = [*(state.kept for state in iteration.states), *iteration.results]
        if done is None:
            return dict(zip(self.node.outputs, made, strict=True))
        count, found = load(done, (), "int64"), []
        beyond = [0 if state.room is not None else state.span for state in iteration.states]
        for k, value in enumerate(made):
            shape = self.definitions[value].shape
            if k < len(iteration.states) and iteration.states[k].room is not None:
                found.append(value)
                continue
            shape = (count + (beyond[k] if k < len(beyond) else 0), *shape[1:])
            axes = tuple(const(0) if n.is_const and n.payload == 1 else index("i") for n in shape)
            cut = self.new(value.name, value.dtype)
            self.definitions[cut] = Pointwise(shape, axes, load(value, axes, value.dtype))
            found.append(cut)
        return dict(zip(self.node.outputs, [*found, done], strict=True))


def with_own_outputs(body: Lowered) -> Lowered:
    """A body each of whose outputs is made by it, once."""
    definitions, outputs = dict(body.definitions), []
    seen: set[Value] = {*body.inputs, *body.constants}
    for value in body.outputs:
        if value in seen:
            definition = definitions[value]
            copy = Value(f"{value.name}_next", value.dtype, value.node)
            axes = fresh_axes(definition.shape)
            definitions[copy] = Pointwise(definition.shape, axes, load(value, axes, value.dtype))
            value = copy
        seen.add(value)
        outputs.append(value)
    return replace(body, definitions=definitions, outputs=outputs)


def _closed(body: Lowered, own: Any, made: Any) -> Lowered:
    """A body whose constants are inputs, and whose rows of states are as long as those that they follow."""
    definitions = dict(body.definitions)
    for rows, new in zip(own.taps, made.states, strict=True):
        wanted = definitions[rows[0]].shape
        for row in rows[1:]:
            wanted = tuple(map(same_length, wanted, definitions[row].shape))
        shape = tuple(same_length(n, m) for n, m in zip(definitions[new].shape, wanted, strict=True))
        definitions[new] = replace(definitions[new], shape=shape)
    inputs = [*body.inputs, *body.constants]
    return replace(body, definitions=definitions, inputs=inputs, constants={})


def _promising(body: Lowered, promised: Promised) -> Lowered:
    """A body that is given ``promised`` lengths after all else, and makes rows of these."""
    definitions: dict[Value, Definition] = {own: Given((), ()) for own, _ in promised.scalars}
    definitions.update(body.definitions)
    for row, wanted in promised.shapes.items():
        shape = tuple(map(same_length, definitions[row].shape, wanted))
        definitions[row] = replace(definitions[row], shape=shape)
    return replace(body, definitions=definitions, inputs=[*body.inputs, *(own for own, _ in promised.scalars)])


def lengths_outside(body: Lowered, value: Value, shape: Sequence[Expr]) -> dict[Expr, Expr]:
    """The lengths of an input of a body that are not known there: what they are outside."""
    own = body.definitions[value].shape
    return {inside: outside for inside, outside in zip(own, shape, strict=True) if inside.code is Code.LENGTH}


def fresh_axes(shape: Sequence[Expr]) -> tuple[Expr, ...]:
    return tuple(const(0) if n.is_const and n.payload == 1 else index("i") for n in shape)


def _name(variable: Variable) -> str:
    return variable.name or "steps"


def _expr(n: Any) -> Expr:
    return n if isinstance(n, Expr) else const(int(n))
