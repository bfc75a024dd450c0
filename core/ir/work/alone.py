"""A loop whose steps do little, as one kernel: one work-item runs all of them, one after the other.

Where a step is worth less than its launches cost, that is faster than any number of work-items; lengths decide.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from core import dtypes
from core.dataclass import dataclass, replace
from core.ir.axes import product
from core.ir.definitions import Value
from core.ir.effort import total_work
from core.ir.expr import INDEX_DTYPE, Code, Expr, const, equal, index, make
from core.ir.guards import Guard
from core.ir.iteration import Carried
from core.ir.nodes import (
    Assign,
    Atomic,
    Barrier,
    If,
    Kernel,
    Let,
    Local,
    Loop,
    LoopKind,
    Statement,
    Store,
    expressions,
    own_expressions,
    statements,
)
from core.ir.program import BranchStep, KernelStep, LoopStep, Program
from core.ir.rebuild import loads_in, rebuild
from core.ir.steps import rule_for_lengths

LAUNCH = 160_000  # what a launch costs, in the units of effort.py: 10 us


@dataclass(frozen=True, eq=False)
class Alone:
    """``memory``: values of steps, for which the kernel needs memory, with shapes in lengths of the program around.

    guards    what choices in a step demand of lengths: where one does not hold, steps are launched,
              for it is an error only where that side is taken
    work      of one step;  launches  how many a step is otherwise
    """

    kernel: Kernel
    memory: Mapping[Value, tuple[Expr, ...]]
    guards: Sequence[Guard]
    work: Expr
    launches: int

    @property
    def sizes(self) -> list[Expr]:
        """All lengths that are to be known of the program around, to say whether it serves, and to run it."""
        demanded = [n for guard in self.guards for n in (guard.a, guard.b)]
        return [self.work, *demanded, *(n for shape in self.memory.values() for n in shape)]

    def is_worth_while(self, lengths: Callable[[Expr], int]) -> bool:
        """Whether steps are so small that one work-item does them in less time than they are launched."""
        return lengths(self.work) <= LAUNCH * self.launches


class _Launched(Exception):
    """What a step does is more than one work-item can do, or is known too late."""


def alone(step: LoopStep, shapes: Mapping[Value, tuple[Expr, ...]], name: str) -> Alone | None:
    """The kernel of a loop, whose body is made for one work-item; ``shapes`` are those of the program around.

    None where a step is more than kernels, loops and choices of such, or where lengths depend on what it computes.
    """
    try:
        return _Alone(step, shapes).kernel(name)
    except _Launched:
        return None


class _Alone:
    """The kernel while it is written.

    places  for each value of a step, whose memory it lies in, and from which element on
    inside  lengths of programs inside of a step -> what they are in the step
    """

    def __init__(self, step: LoopStep, shapes: Mapping[Value, tuple[Expr, ...]]):
        self.own, self.body, self.shapes = step.iteration, step.body, shapes
        self.lengths = rule_for_lengths(self.own)
        self.i = index("step")
        self.places = self._around()
        self.inside: dict[Expr, Expr] = {}
        self.memory: dict[Value, tuple[Expr, ...]] = {}
        self.guards: list[Guard] = []
        self.apart: frozenset[Value] = frozenset()
        self.launches = 0
        self.comments: dict[str, None] = {}
        self._memo: dict[Expr, Expr] = {}

    def _around(self) -> dict[Value, tuple[Value, Expr]]:
        """The arrays of a step that lie in those around it."""
        own, inputs, outputs = self.own, iter(self.body.inputs), iter(self.body.outputs)
        places = {}
        for rows in own.sequences:
            places[next(inputs)] = rows.value, (rows.start + self.i * rows.step) * self._size(rows.value)
        for state in own.states:
            for tap in state.taps:
                places[next(inputs)] = self._row(state, self.i + (state.span + tap))
        places.update((here, (value, const(0))) for here, value in zip(inputs, own.wholes, strict=True))
        for state in own.states:
            places[next(outputs)] = self._row(state, self.i + state.span)
        for value in own.results:
            row = own.n - 1 - self.i if own.backwards else self.i
            places[next(outputs)] = value, row * self._size(value)
        return places

    def _size(self, value: Value) -> Expr:
        """How many numbers a row has: a complex element is two."""
        return product(self.shapes[value][1:]) * (2 if value.dtype in dtypes.COMPLEXES else 1)

    def _row(self, state: Carried, number: Expr) -> tuple[Value, Expr]:
        if state.room is None:
            return state.kept, number * self._size(state.kept)
        return state.room, number % (state.span + 1) * self._size(state.room)

    # --- what a step does -------------------------------------------------------------------------------------------

    def _program(self, body: Program) -> list[Statement]:
        """All that a program does, in order.  Errors: _Launched."""
        if body.constants:
            raise _Launched
        for guard in body.guards:
            self.guards.append(replace(guard, a=self._expr(guard.a), b=self._expr(guard.b)))
        found: list[Statement] = []
        for one in body.steps:
            for value in one.writes:
                if value not in self.places:
                    self._needs(value, body.shapes[value])
            if isinstance(one, BranchStep):
                found.append(self._choice(one))
            elif isinstance(one, KernelStep):
                found += [s for kernel in one.kernels for s in self._kernel(kernel)]
            elif isinstance(one, LoopStep) and one.alone is not None:
                for value, shape in one.alone.memory.items():
                    self._needs(value, shape)
                self.guards += [replace(g, a=self._expr(g.a), b=self._expr(g.b)) for g in one.alone.guards]
                found += self._kernel(one.alone.kernel)
            else:
                raise _Launched
        return found

    def _needs(self, value: Value, shape: Sequence[Expr]) -> None:
        self.memory[value] = tuple(map(self._expr, shape))
        if loads_in(self.memory[value]):
            raise _Launched

    def _kernel(self, kernel: Kernel) -> list[Statement]:
        inside = list(statements(kernel.body))
        lengths = [e for s in inside if isinstance(s, Loop) for e in own_expressions(s)]
        if kernel.unless or kernel.arrays or loads_in(lengths):
            raise _Launched
        if any(isinstance(s, (Atomic, Barrier)) for s in inside):
            raise _Launched
        self.launches += len(kernel.body)
        self.apart |= {self.places.get(value, (value,))[0] for value in kernel.apart}
        self.comments.update(dict.fromkeys(kernel.comment.splitlines()))
        return list(map(self._statement, kernel.body))

    def _choice(self, step: BranchStep) -> If:
        own = step.choice
        sides = []
        for side in own.sides:
            self.inside.update(side.lengths)
            inside, around = (*side.body.inputs, *side.body.outputs), (*side.inputs, *side.outputs)
            for here, value in zip(inside, around, strict=True):
                self.places[here] = self.places.get(value, (value, const(0)))
            sides.append(self._program(side.body))
        return If(self._expr(make(Code.LOAD, "bool", (const(0),), own.condition)), *sides)

    def _expr(self, e: Expr) -> Expr:
        def change(node: Expr, args: tuple[Expr, ...]) -> Expr | None:
            if node.code is Code.LENGTH:
                return self._expr(self.inside[node]) if node in self.inside else self.lengths(node)
            if node.code is not Code.LOAD or node.payload not in self.places:
                return None
            value, start = self.places[node.payload]
            return make(Code.LOAD, node.dtype, (start + (args[0] if args else 0),), value)

        return rebuild(e, change, self._memo)

    def _statement(self, s: Statement) -> Statement:
        if isinstance(s, (Let, Assign)):
            return replace(s, value=self._expr(s.value))
        if isinstance(s, Store):
            value, start = self.places.get(s.buffer, (s.buffer, const(0)))
            return Store(value, start + self._expr(s.offset), self._expr(s.value))
        if isinstance(s, If):
            return If(self._expr(s.condition), list(map(self._statement, s.body)), list(map(self._statement, s.orelse)))
        assert isinstance(s, Loop)
        kind = LoopKind.ORDER if s.kind is LoopKind.ITEMS else s.kind
        extent, start = self._expr(s.extent), self._expr(s.start)
        return replace(s, extent=extent, start=start, kind=kind, body=list(map(self._statement, s.body)))

    # --- the loop over steps ----------------------------------------------------------------------------------------

    def kernel(self, name: str) -> Alone:
        """Errors: _Launched."""
        own = self.own
        one_step = self._program(self.body)
        work = total_work(one_step)
        count = Local("count", INDEX_DTYPE)
        body: list[Statement] = [Let(count, const(0), constant=False)]
        body += [self._begun(state) for state in own.states]
        last = self.body.outputs[-1]
        body.append(Loop(self.i, own.n, self._until(one_step, count, last), LoopKind.ORDER))
        body += [
            self._copied(state.kept, const(row), state.room, (count.expr + row) % (state.span + 1))
            for state in own.states
            if state.room is not None
            for row in range(state.span)
        ]
        if own.done is not None:
            body.append(Store(own.done, const(0), count.expr))
        body = [Loop(index("once"), const(1), body, LoopKind.ITEMS)]
        if loads_in([work, *(n for guard in self.guards for n in (guard.a, guard.b))]):
            raise _Launched
        stored = dict.fromkeys(s.buffer for s in statements(body) if isinstance(s, Store))
        read = dict.fromkeys(e.payload for e in loads_in(expressions(body)))
        reads = [value for value in read if value not in stored]
        apart = frozenset(state.kept if state.room is None else state.room for state in own.states)
        made = Kernel(name, reads, list(stored), body, "\n".join(self.comments), apart=apart | self.apart)
        return Alone(made, self.memory, self.guards, work, self.launches)

    def _until(self, one_step: list[Statement], count: Local, last: Value) -> list[Statement]:
        """A step, and how many there were: none behind one that says that it was the last."""
        counted = Assign(count, count.expr + 1)
        if self.own.done is None:
            return [*one_step, counted]
        going = make(Code.LOAD, "bool", (const(0),), last)
        first: Statement = If(self.i <= 0, [Store(last, const(0), const(False, "bool"))])
        more = [*one_step, counted]
        return [first, If(equal(going, const(False, "bool")), more)]

    def _begun(self, state: Carried) -> Loop:
        target = state.kept if state.room is None else state.room
        return self._moved(target, const(0), state.initial, const(0), self._size(target) * state.span)

    def _copied(self, target: Value, row: Expr, source: Any, from_row: Expr) -> Loop:
        size = self._size(target)
        return self._moved(target, row * size, source, from_row * size, size)

    def _moved(self, target: Value, at: Expr, source: Value, start: Expr, n: Expr) -> Loop:
        e = index("e")
        new = make(Code.LOAD, dtypes.real_of(source.dtype), (start + e,), source)
        return Loop(e, n, [Store(target, at + e, new)], LoopKind.SIMD)
