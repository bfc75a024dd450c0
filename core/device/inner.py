"""Steps that run programs: loops and choices, whose bodies are queued step by step.

What a step of a loop reads and makes lies in rows of the arrays around it: where those begin as accesses want it, as
they are; else they are copied there and back.  A loop that waits for nothing can be part of a recording, as a whole.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from core.device.array import DeviceArray
from core.device.call import Call
from core.device.contract import Block
from core.device.edges import Edges
from core.device.lengths import Lengths
from core.device.pool import Memory
from core.device.prepare import Prepared
from core.device.space import lasting
from core.device.stretches import split
from core.ir.definitions import Value
from core.ir.guards import GuardFailed, StepFailed
from core.ir.iteration import Carried
from core.ir.program import BranchStep, CheckStep, HostStep, LibraryStep, LoopStep, Program


class Placed(Edges):
    """The edges of a body, whose outputs lie where the step around it says.  ``places``: where, for the next call."""

    def __init__(self, program: Program, space: Any):
        super().__init__(program, space)
        self.places: dict[Value, Any] = {}

    def homes(self, value: Value, shape: tuple[int, ...], fetched: tuple[bool, ...]) -> Callable[[], Any]:
        return partial(self.places.__getitem__, value)


class Body:
    """A program inside of a step, as ``Call`` takes it; ``owner``: that around it."""

    records = False  # its rows lie elsewhere in each step

    def __init__(self, program: Program, owner: Any):
        self.program, self.space, self.device = program, owner.space, owner.device
        self.inner, self.codes, self.warp = owner.inner, owner.codes, owner.warp
        self.launches = owner.inner[id(program)]
        self.constants = lasting(program, self.space)
        self.made = program.made
        self.asked = {value for step in program.steps if not isinstance(step, HostStep) for value in step.reads}
        self.staged = [(k, value) for k, value in enumerate(program.inputs) if value in self.asked]
        self.checks = False  # nobody fetches what a step makes
        self.stretches = split(program, self.launches)
        self.edges = Placed(program, self.space)
        self.lent: set[Value] = set()
        self.bodies: dict[int, Any] = {}

    def command(self, step: Any, prepared: Any, lengths: Lengths) -> LoopCommand | ChoiceCommand:
        return command(step, self, prepared, lengths)

    @property
    def waits(self) -> bool:
        """Whether a call of it waits: for a length, a check, or what its own steps wait for."""
        return len(self.stretches) > 1 or bool(self.stretches[0].reads) or any(map(self._waits_for, self.program.steps))

    def _waits_for(self, step: Any) -> bool:
        if isinstance(step, LoopStep):
            return step.iteration.done is not None or body_of(self, step.body).waits
        if isinstance(step, LibraryStep):
            return bool(self.program.routines[step.call.name].fails)
        return isinstance(step, (BranchStep, CheckStep))

    def queue(self, arrays: Sequence[DeviceArray], places: Sequence[Any], node: Any, held: dict[int, Any]) -> None:
        """Queue one call, of a step of ``node``, that leaves its outputs there.

        held    gets what was prepared for it, with the memory that a recording of it uses
        Errors  GuardFailed; StepFailed for what else went wrong: the interpreter says what that was
        """
        self.edges.places = dict(zip(self.program.outputs, places, strict=True))
        call = Call(self, arrays, (False,) * len(self.program.outputs))
        try:
            call.queue()
            call.look()
        except (IndexError, ValueError) as error:  # an index, a shape, a matrix
            raise StepFailed(str(node.op)) from error
        finally:
            for prepared in call.prepared:
                held[id(prepared)] = prepared
                _let_go(prepared)
            call.close()

    def free(self) -> None:
        for stretch in self.stretches:
            stretch.prepared.clear()
        self.edges.free()


def body_of(owner: Any, program: Program) -> Body:
    """The body that is made once for each owner, which keeps its memory for the next call."""
    if id(program) not in owner.bodies:
        owner.bodies[id(program)] = Body(program, owner)
    found: Body = owner.bodies[id(program)]
    return found


def _let_go(prepared: Prepared) -> None:
    """Hold no memory but its own."""
    prepared.let_go([value for value in prepared.memory if value not in prepared.slots])


class _Row:
    """Memory that is part of another's."""

    __slots__ = ("block", "_whole")

    def __init__(self, block: Block, whole: Any):
        self.block, self._whole = block, whole


class _Rows:
    """The rows of a value: where each begins."""

    def __init__(self, owner: Any, prepared: Any, value: Value, shape: Sequence[int], copies: dict[Any, Memory]):
        self._owner, self._memory, self.value, self._copies = owner, prepared.memory, value, copies
        self.count, self.shape, self.dtype = shape[0], tuple(shape[1:]), np.dtype(value.dtype)
        self.size = int(np.prod(self.shape, dtype="int64")) * owner.space.stored_dtype(value.dtype).itemsize
        self._boundary = owner.space.facts.boundary_bytes

    def at(self, row: int) -> _Row:
        whole = self._memory[self.value]
        return _Row(self._owner.device.part(whole.block, row * self.size, self.size), whole)

    def lies_well(self, row: int) -> bool:
        return row * self.size % self._boundary == 0

    def moved(self, source: Any, target: Any) -> None:
        if self.size:
            self._owner.device.copy(source.block, target.block, self.size)

    def read(self, row: int, key: Any) -> Any:
        """Where a step reads a row; ``key`` names memory for a copy of it.  Errors: StepFailed where there is none."""
        if not 0 <= row < self.count:
            raise StepFailed(f"a step reads row {row} of {self.value}, which has {self.count}")
        here = self.at(row)
        if self.lies_well(row):
            return here
        copy = self._copy(key)
        self.moved(here, copy)
        return copy

    def written(self, row: int, key: Any) -> Any:
        """Where a step writes a row."""
        return self.at(row) if self.lies_well(row) else self._copy(key)

    def _copy(self, key: Any) -> Memory:
        """Memory for a copy of a row, the same each time: recordings know it by its address."""
        if key not in self._copies:
            self._copies[key] = self._owner.edges.keep(key, self.size, self.value, self.shape)
        return self._copies[key]

    def leave(self, row: int, place: Any) -> None:
        """The row is there, wherever it was written."""
        if type(place) is not _Row:
            self.moved(place, self.at(row))


class _Trace:
    """Rows that steps carry on: all of them, or the last ones by turns."""

    def __init__(self, state: Carried, rows: _Rows, kept: _Rows, initial: _Rows, number: int):
        self.state, self._rows, self._kept, self._initial, self._number = state, rows, kept, initial, number
        self._in_turn = state.room is not None

    def row(self, number: int) -> int:
        return number % (self.state.span + 1) if self._in_turn else number

    def begin(self) -> None:
        for k in range(self.state.span):
            self._rows.moved(self._initial.at(k), self._rows.at(k))

    def read(self, i: int) -> Iterator[Any]:
        for tap in self.state.taps:
            yield self._rows.read(self.row(i + self.state.span + tap), ("tap", self._number, tap))

    def place(self, i: int) -> Any:
        return self._rows.written(self.row(i + self.state.span), ("state", self._number))

    def leave(self, i: int, place: Any) -> None:
        self._rows.leave(self.row(i + self.state.span), place)

    def end(self, done: int) -> None:
        for k in range(self.state.span if self._in_turn else 0):
            self._rows.moved(self._rows.at(self.row(done + k)), self._kept.at(k))


class LoopCommand:
    """A loop with its lengths known."""

    def __init__(self, step: LoopStep, owner: Any, prepared: Any, lengths: Lengths):
        own = step.iteration
        self._owner, self._body, self._memory = owner, body_of(owner, step.body), prepared.memory
        self._node = step.node
        self._n, self._done, self._wholes = lengths(own.n), own.done, own.wholes
        self._backwards = own.backwards
        shape = {v: lengths.all(owner.program.shapes[v]) for v in (*own.reads, *own.writes)}
        self._held: dict[int, Any] = {}
        copies: dict[Any, Memory] = {}
        rows = {value: _Rows(owner, prepared, value, s, copies) for value, s in shape.items() if s}
        self._sequences = [(rows[one.value], lengths(one.start), lengths(one.step)) for one in own.sequences]
        self._traces = [
            _Trace(state, rows[state.kept if state.room is None else state.room], rows[state.kept],
                   rows[state.initial], k)
            for k, state in enumerate(own.states)
        ]  # fmt: skip
        self._results = [rows[value] for value in own.results]
        read = [rows[one.value].shape for one in own.sequences]
        read += [rows[state.initial].shape for state in own.states for _ in state.taps]
        self._shapes = [*read, *(shape[value] for value in own.wholes)]
        self._waits = self._body.waits
        self._prepared: Prepared | None = None  # for a step, where nothing but places differs from one to the next
        self.can_record = own.done is None and not self._waits

    def __call__(self) -> None:
        """Errors: StepFailed."""
        for trace in self._traces:
            trace.begin()
        try:
            done = next((i + 1 for i in range(self._n) if self._step(i)), self._n)
        finally:
            if self._prepared is not None:
                _let_go(self._prepared)
        for trace in self._traces:
            trace.end(done)
        if self._done is not None:
            self._owner.space.upload(self._memory[self._done], np.array(done, "int64"))

    def _step(self, i: int) -> bool:
        """Queue step i; whether it was the last, as far as that must be asked."""
        given = [rows.read(start + i * step, ("row", k)) for k, (rows, start, step) in enumerate(self._sequences)]
        given += [row for trace in self._traces for row in trace.read(i)]
        given += [self._memory[value] for value in self._wholes]
        places = [trace.place(i) for trace in self._traces]
        made = self._n - 1 - i if self._backwards else i
        places += [rows.written(made, ("result", k)) for k, rows in enumerate(self._results)]
        flag = None if self._done is None else self._flag()
        self._queue(given, places if flag is None else [*places, flag])
        for trace, place in zip(self._traces, places, strict=False):
            trace.leave(i, place)
        for rows, place in zip(self._results, places[len(self._traces) :], strict=True):
            rows.leave(made, place)
        return flag is not None and truth(self._owner.space, flag)

    def _queue(self, given: Sequence[Any], places: Sequence[Any]) -> None:
        """Queue the body: the first time as a call, then, where it waits for nothing, what was prepared for that."""
        program = self._body.program
        try:
            if self._prepared is None:
                self._call(given, places)
            else:
                self._prepared.place((*program.inputs, *program.outputs), (*given, *places))
                self._prepared.queue()
        except (GuardFailed, IndexError, ValueError) as error:  # lengths that a routine refuses
            raise StepFailed(str(self._node.op)) from error

    def _call(self, given: Sequence[Any], places: Sequence[Any]) -> None:
        space, inputs = self._owner.space, self._body.program.inputs
        arrays = [
            DeviceArray(space, memory, shape, np.dtype(value.dtype))
            for value, memory, shape in zip(inputs, given, self._shapes, strict=True)
        ]
        held: dict[int, Any] = {}
        self._body.queue(arrays, places, self._node, held)
        self._held.update(held)
        if not self._waits:
            (self._prepared,) = held.values()

    def _flag(self) -> Memory:
        memory: Memory = self._owner.edges.keep("done", 1, self._done, ())
        return memory


class ChoiceCommand:
    """A choice with its lengths known: it waits for the condition."""

    can_record = False

    def __init__(self, step: BranchStep, owner: Any, prepared: Any, lengths: Lengths):
        self._step, self._owner, self._memory = step, owner, prepared.memory
        self._sides = [(side, body_of(owner, side.body)) for side in step.choice.sides]
        shapes = owner.program.shapes
        self._shapes = {value: lengths.all(shapes[value]) for side, _ in self._sides for value in side.inputs}

    def __call__(self) -> None:
        """Errors: GuardFailed for what the side that is taken demands; StepFailed."""
        space = self._owner.space
        number = 0 if truth(space, self._memory[self._step.choice.condition]) else 1
        side, body = self._sides[number]
        given = [
            DeviceArray(space, self._memory[value], self._shapes[value], np.dtype(value.dtype)) for value in side.inputs
        ]
        try:
            body.queue(given, [self._memory[value] for value in side.outputs], self._step.node, {})
        except GuardFailed as failed:  # said in lengths of the program around
            own = self._step.guards[number][side.body.guards.index(failed.guard)]
            raise GuardFailed(own, failed.a, failed.b) from None


def command(step: Any, owner: Any, prepared: Any, lengths: Lengths) -> LoopCommand | ChoiceCommand:
    """What queues a step that runs programs, for certain lengths."""
    kind: Any = LoopCommand if isinstance(step, LoopStep) else ChoiceCommand
    made: LoopCommand | ChoiceCommand = kind(step, weakref.proxy(owner), prepared, lengths)  # the owner keeps it
    return made


def truth(space: Any, memory: Any) -> bool:
    """A bool on the device, when all that is queued has run."""
    flag = space.download(memory, (), np.dtype("bool"))
    space.device.synchronize()
    return bool(flag[()])
