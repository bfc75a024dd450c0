"""One call of a program on a device: inputs go there, the steps are queued, results come back."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from core import dtypes
from core.device.array import DeviceArray, on_host
from core.device.edges import Wrapped
from core.device.exchange import Borrowed
from core.device.lengths import Lengths
from core.device.prepare import FailingCall, LibraryCommand, Prepared, grid_of
from core.device.repeat import Repeat
from core.device.room import Room
from core.device.space import described, what
from core.device.stretches import Stretch
from core.errors import IndexOutOfBounds, ShapeError
from core.ir.check.run import holds
from core.ir.definitions import Value
from core.ir.expr import Expr
from core.ir.guards import GuardFailed
from core.ir.nodes import Kernel
from core.ir.program import BranchStep, CheckStep, HostStep, KernelStep, LibraryStep, LoopStep

PREPARED = 16  # sets of lengths for which a stretch stays prepared
_LARGEST = 1 << 48  # bytes of one array: more is a mistake, of a shape that was read from memory


class Call:
    """``memory`` says where each value lies now, ``host`` which have their elements on the host."""

    def __init__(self, owner: Any, arrays: Sequence[Any], fetched: tuple[bool, ...]):
        self.owner, self.program, self.space, self.device = owner, owner.program, owner.space, owner.device
        self.edges = owner.edges
        self.fetched = fetched
        self.arrays = list(arrays)
        self.waits = owner.checks or True in fetched
        self.key: tuple = (fetched, *[a.shape for a in self.arrays])
        self.memory: dict[Value, Any] = {}
        self.host: dict[Value, np.ndarray] = {}
        self._lengths: Lengths | None = None
        self._flags: list[tuple[CheckStep, np.ndarray]] = []
        self._failing: list[FailingCall] = []
        self._shapes: dict[Value, tuple[int, ...]] = {}
        self._used: list[Prepared] = []
        self._results: list[Any] = []

    # --- queueing ---------------------------------------------------------------------------------------------------

    def queue(self) -> None:
        """Queue everything.  Errors: GuardFailed; DeviceError, IndexOutOfBounds and what a host op raises."""
        for k, value in self.owner.staged:
            self.memory[value] = self.edges.arrived(value, self.arrays[k], self.waits)
        for value, constant in self.owner.constants.items():
            self.memory[value] = constant.memory
        for stretch in self.owner.stretches:
            if stretch.reads:
                self.key += tuple(self.lengths(e) for e in stretch.reads)
            prepared = stretch.prepared.get(self.key)
            if prepared is None:
                prepared = self._prepare(stretch)
            else:
                self._again(prepared)
            self._used.append(prepared)
            prepared.queue()
            for step in prepared.checks:
                self._flags.append((step, self.space.download(self.memory[step.value], (), np.dtype("bool"))))
            self._failing += prepared.failing
            if stretch.host is not None:
                self._call_python(stretch.host)
        self._collect()

    def _again(self, prepared: Prepared) -> None:
        """Put what this call brings where the steps look for it."""
        for value, shape in prepared.outputs:
            self._shapes[value] = shape
            self.memory[value] = self.edges.homes(value, shape, self.fetched)()
        for value, home in prepared.homes:
            self.memory[value] = self.memory[home]
        self.memory.update(prepared.slots)
        for value in prepared.moving:
            prepared.put(value, self.memory[value])

    # --- preparing --------------------------------------------------------------------------------------------------

    @property
    def lengths(self) -> Lengths:
        if self._lengths is None:
            shapes = {value: a.shape for value, a in zip(self.program.inputs, self.arrays, strict=True)}
            self._lengths = Lengths(shapes, self._element)
        return self._lengths

    def _prepare(self, stretch: Stretch) -> Prepared:
        lengths = self.lengths
        for guard in stretch.guards:
            a, b = lengths(guard.a), lengths(guard.b)
            if not holds(guard.kind, a, b):
                raise GuardFailed(guard, a, b)
        prepared = Prepared(self.device, self.owner.records)
        for _, step in stretch.steps:
            for value in step.writes:
                self._place(prepared, value, lengths.all(self.program.shapes[value]))
        reads = {value for _, step in stretch.steps for value in step.reads}
        touched = reads.union(*(step.writes for _, step in stretch.steps))
        prepared.moving = [v for v in self.memory if v in touched and v not in prepared.slots]
        prepared.memory.update(self.memory)
        for position, step in stretch.steps:
            if isinstance(step, KernelStep):
                for kernel, needed in self.owner.launches[position]:
                    self._launch(prepared, kernel, needed)
            elif isinstance(step, LibraryStep):
                self._library(prepared, step)
            elif isinstance(step, CheckStep):
                prepared.checks.append(step)
            elif isinstance(step, LoopStep) and step.alone is not None and self._can_be_alone(step):
                self._alone(prepared, position, step.alone)
            elif isinstance(step, (LoopStep, BranchStep)):
                self._inner(prepared, step)
        while len(stretch.prepared) >= PREPARED:
            del stretch.prepared[next(iter(stretch.prepared))]
        stretch.prepared[self.key] = prepared
        return prepared

    def _launch(self, prepared: Prepared, kernel: Kernel, needed: Sequence[Expr]) -> None:
        grid = grid_of(kernel, self.space.facts.target, self.owner.warp, self.lengths)
        if grid is None:
            return
        values = [*kernel.writes, *kernel.reads]
        blocks = [self.memory[value].block for value in values]
        arguments = [*blocks, *self.lengths.all(needed)]
        code = self.owner.codes.of(kernel, self.lengths)
        prepared.use(self.device.launcher(code, kernel.name, arguments, grid), values)

    def _can_be_alone(self, step: LoopStep) -> bool:
        """Whether a loop is to be one launch: its steps do little, and all rows that they read are there."""
        own, lengths = step.iteration, self.lengths
        n = lengths(own.n)
        ends = [lengths(rows.start) + k * lengths(rows.step) for rows in own.sequences for k in (0, n - 1)]
        counts = [lengths(self.program.shapes[rows.value][0]) for rows in own.sequences for _ in range(2)]
        there = all(0 <= end < count for end, count in zip(ends, counts, strict=True))
        if not (there or n <= 0) or not step.alone.is_worth_while(lengths):
            return False
        return all(holds(guard.kind, lengths(guard.a), lengths(guard.b)) for guard in step.alone.guards)

    def _alone(self, prepared: Prepared, position: int, found: Any) -> None:
        """A loop as one launch, with memory for what its steps make."""
        for value, shape in found.memory.items():
            size = self.space.size_bytes(self.lengths.all(shape), value.dtype)
            memory = self.edges.keep(("step", value), size, value, self.lengths.all(shape))
            prepared.slots[value] = prepared.memory[value] = self.memory[value] = memory
        for kernel, needed in self.owner.launches[position]:
            self._launch(prepared, kernel, needed)

    def _inner(self, prepared: Prepared, step: LoopStep | BranchStep) -> None:
        command = self.owner.command(step, prepared, self.lengths)
        prepared.commands.append(command)
        prepared.can_record = prepared.can_record and command.can_record

    def _library(self, prepared: Prepared, step: LibraryStep) -> None:
        routine = self.program.routines[step.call.name]
        kind = FailingCall if routine.fails else LibraryCommand
        command = kind(step, routine, self.space, prepared, self.lengths)
        if routine.fails or routine.takes_room:
            keep, value, shape = self.edges.keep, step.outputs[0], command.shape
            command.room = Room(self.space, lambda name, size: keep(("scratch", name), size, value, shape))
        prepared.commands.append(command)
        if isinstance(command, FailingCall):
            prepared.failing.append(command)

    def _place(self, prepared: Prepared, value: Value, shape: tuple[int, ...]) -> None:
        """Memory for a value that a step writes."""
        if any(n < 0 for n in shape):
            raise ShapeError(f"{what(value)} needs lengths of 0 or more, got shape {shape}", blame=value.node)
        size = math.prod(shape) * dtypes.size_bytes(value.dtype)
        if size > _LARGEST:
            raise MemoryError(f"{described(value, shape)} needs {size} bytes, more than there are")
        home = self.program.kept_in.get(value, value)
        if home in self.owner.made:
            if home not in self.memory:
                prepared.outputs.append((home, shape))
                self._shapes[home] = shape
                self.memory[home] = self.edges.homes(home, shape, self.fetched)()
            if home is not value:
                prepared.homes.append((value, home))
                self.memory[value] = self.memory[home]
        else:
            slot = self.program.slots[value]
            memory = self.edges.keep(("slot", slot), size, value, shape)
            prepared.slots[value] = self.memory[value] = memory

    # --- elements on the host ---------------------------------------------------------------------------------------

    def _element(self, value: Value, position: int) -> Any:
        """An element that a length is made of: it may have to be waited for."""
        return self._on_host([value])[0].reshape(-1)[position]

    def _on_host(self, values: Sequence[Value]) -> list[np.ndarray]:
        program, found = self.program, {}
        for value in values:
            if value in program.inputs:
                self.host.setdefault(value, on_host(self.arrays[program.inputs.index(value)]))
            elif value in program.constants:
                self.host.setdefault(value, program.constants[value])
            elif value not in self.host and value not in found:
                shape = self.lengths.all(program.shapes[value])
                found[value] = self.space.download(self.memory[value], shape, np.dtype(value.dtype))
        if found:
            self._wait()
            self.host.update({value: array.astype(value.dtype, copy=False) for value, array in found.items()})
        return [on_host(self.host[value]) for value in values]

    def _call_python(self, step: HostStep) -> None:
        there = getattr(self.program.host_calls[step.index], "on_device", None)
        if there is not None:
            self._choose(step, there)
            return
        arrays = [np.array(array, order="C") for array in self._on_host(step.inputs)]  # the op may keep them
        self._wait()
        results = self.program.host_calls[step.index](arrays)
        for value, result in zip(step.outputs, results, strict=True):
            array = np.require(result, requirements=["C", "A"]).reshape(result.shape)
            self.host[value] = array
            self.lengths.shapes[value] = array.shape
            self.key += (array.shape,)
            if value in self.owner.asked:
                size = array.size * dtypes.size_bytes(value.dtype)
                self.memory[value] = self.space.pool.take(size, partial(described, value, array.shape))
                self.space.upload(self.memory[value], array)

    def _choose(self, step: HostStep, there: Callable[[Any, Sequence[Any]], list[Any]]) -> None:
        """Queue one of two programs, once the first input has told which."""
        (condition,) = self._on_host(step.inputs[:1])
        given = [self._as_it_lies(value) for value in step.inputs[1:]]
        mine = {array.memory for array in given if type(array) is DeviceArray}
        for value, result in zip(step.outputs, there(condition, given), strict=True):
            if type(result) is not DeviceArray:
                result = self.space.place(result)
            elif result.memory in mine:  # where others may soon be
                result = self.space.copied(result)
            self.host[value], self.memory[value] = result, result.memory
            self.lengths.shapes[value] = result.shape
            self.key += (result.shape,)

    def _as_it_lies(self, value: Value) -> Any:
        """A value as an array of the device, or of the host where it has not been there yet."""
        if value in self.host:
            return self.host[value]
        if value in self.program.inputs:
            return self.arrays[self.program.inputs.index(value)]
        shape = self._shape(value)
        return DeviceArray(self.space, self.memory[value], shape, np.dtype(value.dtype))

    @property
    def prepared(self) -> list[Prepared]:
        """What was queued."""
        return self._used

    def look(self) -> None:
        """Wait for what may have failed, if there is such: an index that was bad, or a matrix."""
        if self._failing or self._flags:
            self._wait()

    def _wait(self) -> None:
        """Wait for what is queued, and look whether an index was bad, or a matrix."""
        self.device.synchronize()
        for command in self._failing:
            command.check()
        for step, flag in self._flags:
            if flag[()]:
                raise IndexOutOfBounds(step.message, blame=step.node)

    # --- results ----------------------------------------------------------------------------------------------------

    def _collect(self) -> None:
        """Queue the copies of what goes back to the host; ``_results`` are what gives it."""
        given: dict[Value, DeviceArray] = {}
        for fetched, value in zip(self.fetched, self.program.outputs, strict=True):
            if value not in self.owner.made and value not in self.owner.constants:
                self._results.append(self._passed_through(value, fetched))
                continue
            shape, dtype, memory = self._shape(value), np.dtype(value.dtype), self.memory[value]
            if fetched:
                lend = value in self.owner.lent
                leaving = self.edges.leaving(memory, shape, dtype)
                self._results.append(partial(self.edges.left, leaving, shape, dtype, lend))
            else:
                self._results.append(given.setdefault(value, DeviceArray(self.space, memory, shape, dtype)))

    def _shape(self, value: Value) -> tuple[int, ...]:
        if value in self.program.constants:
            return self.program.constants[value].shape
        known = self._shapes.get(value)
        return self.lengths.all(self.program.shapes[value]) if known is None else known

    def _passed_through(self, value: Value, fetched: bool) -> Any:
        """An output that no step on the device makes: an input, or what Python made."""
        array = self.host.get(value)
        if array is None:
            array = self.arrays[self.program.inputs.index(value)]
        if fetched:
            return np.array(on_host(array), order="C")
        if type(array) is not DeviceArray:
            return self.space.place(array)
        return self.space.copied(array) if type(array.memory) is Borrowed else array

    def results(self) -> list[Any]:
        """The outputs, when they are there.  Errors: IndexOutOfBounds, DeviceError."""
        if self.waits:
            self._wait()
        return [one() if type(one) is partial else one for one in self._results]

    def repeat(self) -> Repeat:
        """The next call with these lengths, of a program that can be repeated."""
        return Repeat(self.owner, self._used[0], self.fetched, [self._shape(v) for v in self.program.outputs])

    def close(self) -> None:
        """Let go of everything: what asks for lengths leads back here, and memory must not wait for garbage."""
        for prepared in self._used:
            prepared.forget(Wrapped, Borrowed)  # nobody's arrays are kept
        self._lengths = None
        self._used.clear()
        self.memory.clear()
