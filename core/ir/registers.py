"""Iterations of few elements: one kernel whose loop runs over the steps, with what is carried in registers.

A step that computes scalars, or arrays of a few elements each, is written out element by element; nothing is called in
a step, and nothing that the next one reads goes through memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import product as tuples
from typing import Any

from core import dtypes
from core.ir.builder import Buffer, KernelBuilder, Variable
from core.ir.codes import Code, Combine
from core.ir.definitions import Given, Lowered, Pointwise, Reduction, Value
from core.ir.expr import INDEX_DTYPE, Expr, const, make
from core.ir.guards import Guard
from core.ir.iteration import Carried, Iteration
from core.ir.passes.lengths import resolve
from core.ir.rebuild import loads_in, rebuild, substitute
from core.ir.steps import known_inside, rule_for_lengths
from core.ir.walk import walk

MOST_ELEMENTS = 24  # of all that is carried
MOST_WORK = 4000  # of a step, in the cost of expressions
WORTH_A_NAME = 3  # from this cost on, what is read twice is computed once
_PLAIN = frozenset({"bool", "float32", "float64", *dtypes.INTEGERS})

Element = tuple[Value, tuple[int, ...]]
Write = Callable[..., None]


class _TooMuch(Exception):
    """Something that is not written out in registers."""


def in_registers(iteration: Iteration) -> tuple[Write, list[Guard]] | None:
    """What writes the kernel, with a builder and a function that gives buffers, and what must hold of lengths.

    None where steps do more than arithmetic of a few elements, or may fail.
    """
    body = known_inside(iteration)
    if any(value.dtype not in _PLAIN for value in body.definitions):
        return None
    resolved, guards = resolve(body)
    if resolved.checks or any(loads_in([guard.a, guard.b]) for guard in guards):
        return None
    try:
        steps = _Steps(iteration, resolved)
    except _TooMuch:
        return None
    return steps.write, guards


class _Steps:
    """One step, element by element.

    ``made`` are the elements of the rows that it makes, as expressions of elements that are read: each of those is a
    LOAD of its value at known places, or of what is the same in each step at any.
    """

    def __init__(self, iteration: Iteration, body: Lowered):
        self.iteration, self.body = iteration, body
        inputs = iter(body.inputs)
        self.rows = [next(inputs) for _ in iteration.sequences]
        self.taps = [[next(inputs) for _ in state.taps] for state in iteration.states]
        self.wholes = list(inputs)
        self._known: dict[Element, Expr] = {}
        self._work = 0
        self.shapes: dict[Value, tuple[int, ...]] = {}
        carried = 0
        for rows, state in zip(self.taps, iteration.states, strict=True):
            carried += len(self._places(rows[0])) * state.span
            if carried > MOST_ELEMENTS:
                raise _TooMuch
        self.made = [
            {at: self._element(value, tuple(map(const, at))) for at in self._places(value)} for value in body.outputs
        ]
        self.lengths = rule_for_lengths(iteration)

    def _places(self, value: Value) -> list[tuple[int, ...]]:
        """The index of each element of a value of known shape."""
        if value not in self.shapes:
            shape = self.body.definitions[value].shape
            if not all(n.is_const for n in shape):
                raise _TooMuch
            self.shapes[value] = tuple(n.payload for n in shape)
        places = list(tuples(*map(range, self.shapes[value])))
        if len(places) > MOST_ELEMENTS:
            raise _TooMuch
        return places

    def _element(self, value: Value, at: tuple[Expr, ...]) -> Expr:
        """An element, in terms of what a step reads."""
        definition = self.body.definitions[value]
        if isinstance(definition, Given):
            if not all(i.is_const for i in at) and value not in self.wholes and value not in self.rows:
                raise _TooMuch
            return make(Code.LOAD, value.dtype, at, value)
        if not all(i.is_const for i in at):
            raise _TooMuch
        key = (value, tuple(i.payload for i in at))
        if key not in self._known:
            self._known[key] = self._computed(definition, at)
            self._work += self._known[key].cost
            if self._work > MOST_WORK:
                raise _TooMuch
        return self._known[key]

    def _computed(self, definition: Any, at: tuple[Expr, ...]) -> Expr:
        place = {axis: i for axis, i in zip(definition.axes, at, strict=True) if axis.code is Code.INDEX}
        if isinstance(definition, Pointwise):
            return self._of_elements(substitute(definition.expr, place))
        if not isinstance(definition, Reduction) or definition.combine not in (Combine.ADD, Combine.MUL):
            raise _TooMuch
        if not all(n.is_const and n.payload <= MOST_ELEMENTS for n in definition.extents):
            raise _TooMuch
        total: Expr | None = None
        dtype = definition.body.dtype
        for k in tuples(*(range(n.payload) for n in definition.extents)):
            inner = {**place, **dict(zip(definition.bound, map(const, k), strict=True))}
            term = self._of_elements(substitute(definition.body, inner))
            start = const(definition.combine.identity(dtype), dtype) if total is None else total
            total = start + term if definition.combine is Combine.ADD else start * term
        return const(definition.combine.identity(dtype), dtype) if total is None else total

    def _of_elements(self, e: Expr) -> Expr:
        def change(node: Expr, args: tuple[Expr, ...]) -> Expr | None:
            return self._element(node.payload, args) if node.code is Code.LOAD else None

        return rebuild(e, change, {})

    # --- writing ----------------------------------------------------------------------------------------------------

    def write(self, k: KernelBuilder, buffer: Callable[[Value], Buffer]) -> None:
        """The loop over all steps."""
        own = self.iteration
        registers = [self._begun(k, buffer, state, rows) for state, rows in zip(own.states, self.taps, strict=True)]
        count = None if own.done is None else k.local(INDEX_DTYPE, 0, "count")
        with k.loop(own.n) as i:
            read = self._read(i, buffer, registers)
            made = [[self._placed(e, read) for e in elements.values()] for elements in self.made]
            made = _named(k, made)
            places: list[Any] = [
                None if state.room is not None else (state.kept, i + state.span) for state in own.states
            ]
            places += [(value, own.n - 1 - i if own.backwards else i) for value in own.results]
            for place, elements, values in zip(places, self.made, made, strict=False):
                if place is not None:
                    value, row = place
                    for at, e in zip(elements, values, strict=True):
                        buffer(value)[(row, *at)] = e
            for values, waiting in zip(made, registers, strict=False):
                for e, line in zip(values, waiting.values(), strict=True):
                    for older, newer in zip(line[::-1], line[-2::-1], strict=False):
                        older.set(newer.value)
                    line[0].set(e)
            if count is not None:
                count.set(i + 1)
                k.leave_if(made[-1][0])
        if count is not None:
            buffer(own.done)[()] = count.value
        for state, waiting in zip(own.states, registers, strict=True):
            for at, line in waiting.items() if state.room is not None else ():
                for row, register in enumerate(reversed(line)):
                    buffer(state.kept)[(row, *at)] = register.value

    def _begun(
        self, k: KernelBuilder, buffer: Callable[[Value], Buffer], state: Carried, rows: Sequence[Value]
    ) -> dict[tuple[int, ...], list[Variable]]:
        """Registers for each element of a state: what it was one step before, two steps, and so on."""
        initial = buffer(state.initial)
        found = {}
        for at in self._places(rows[0]):
            name = str(state.kept)
            line = [
                k.local(initial.dtype, initial[(state.span - back, *at)], name) for back in range(1, state.span + 1)
            ]
            found[at] = line
            for row in range(state.span) if state.room is None else ():
                buffer(state.kept)[(row, *at)] = initial[(row, *at)]
        return found

    def _read(
        self, i: Expr, buffer: Callable[[Value], Buffer], registers: Sequence[Mapping[tuple[int, ...], list[Variable]]]
    ) -> Callable[[Value, tuple[Expr, ...]], Expr]:
        """A function that gives an element that step ``i`` reads."""
        own = self.iteration
        rows = dict(zip(self.rows, own.sequences, strict=True))
        wholes = dict(zip(self.wholes, own.wholes, strict=True))
        carried = {
            row: (-tap, waiting)
            for state, taps, waiting in zip(own.states, self.taps, registers, strict=True)
            for tap, row in zip(state.taps, taps, strict=True)
        }

        def read(value: Value, at: tuple[Expr, ...]) -> Expr:
            if value in carried:
                back, waiting = carried[value]
                return waiting[tuple(n.payload for n in at)][back - 1].value
            if value in rows:
                return buffer(rows[value].value)[(rows[value].start + i * rows[value].step, *at)]
            return buffer(wholes[value])[at]

        return read

    def _placed(self, e: Expr, read: Callable[[Value, tuple[Expr, ...]], Expr]) -> Expr:
        def change(node: Expr, args: tuple[Expr, ...]) -> Expr | None:
            if node.code is Code.LENGTH:
                return self.lengths(node)
            return read(node.payload, args) if node.code is Code.LOAD else None

        return rebuild(e, change, {})


def _named(k: KernelBuilder, made: Sequence[Sequence[Expr]]) -> list[list[Expr]]:
    """The same with names for what is read twice, and for what is made: registers may change only after that."""
    roots = [e for elements in made for e in elements]
    parts = walk(roots, into=lambda e: e.code is not Code.GUARDED)
    readers = Counter(arg for part in parts if part.code is not Code.GUARDED for arg in part.args)
    memo: dict[Expr, Expr] = {}
    wanted = set(roots)
    for part in parts:
        if not part.args or part in memo:
            continue
        if (readers[part] > 1 and part.cost >= WORTH_A_NAME) or part in wanted:
            new = rebuild(part, lambda e, args: None, memo)
            memo[part] = k.local(part.dtype, new, "part").value
    changing = {e for e in roots if e.code is Code.LOCAL}  # a register that is handed on
    memo.update((e, k.local(e.dtype, e, "part").value) for e in changing)
    return [[rebuild(e, lambda node, args: None, memo) for e in elements] for elements in made]
