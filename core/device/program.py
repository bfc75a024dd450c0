"""A program on a device: a function of arrays that queues its steps.  What one call does is in call.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from core.device.array import DeviceArray, on_host
from core.device.bound import bindable, moving
from core.device.call import PREPARED, Call
from core.device.checked import checked_arguments
from core.device.codes import Codes
from core.device.contract import Source
from core.device.edges import Edges
from core.device.exchange import Foreign
from core.device.repeat import Repeat, can_repeat
from core.device.space import Space, lasting
from core.device.stretches import split
from core.ir.clike.cdevice import print_device_program
from core.ir.program import CheckStep, HostStep, LibraryStep, Program


class DeviceProgram:
    """What a driver's ``compile`` returns.

    sources     file name -> text;  inner: by the program inside of a step, its launches
    recordings  of calls that the driver queues by itself, where it can and where anybody calls it so (``bind``)
    """

    records = True  # where the device can

    def __init__(self, program: Program, space: Space):
        self.program, self.space, self.device = program, space, space.device
        self.holds = space.holds
        facts = space.facts
        assert facts.dialect.work is not None
        self.warp = facts.dialect.work.warp
        printed = print_device_program(program, facts.dialect)
        self.launches, self.inner = printed.steps, printed.inner
        every = (found for steps in (printed.steps, *printed.inner.values()) for found in steps.values())
        kernels = tuple((kernel, tuple(n)) for found in every for kernel, n in found)
        name = f"{program.name}.{facts.dialect.name}"
        self.sources = {name: printed.text} if kernels else {}
        self.codes = Codes(Source(program.name, printed.text, kernels), space) if kernels else None
        self.constants = lasting(program, space)
        self.made = program.made
        self.asked = {value for step in program.steps if not isinstance(step, HostStep) for value in step.reads}
        self.staged = [(k, value) for k, value in enumerate(program.inputs) if value in self.asked]
        self.may_fail = any(isinstance(s, LibraryStep) and program.routines[s.call.name].fails for s in program.steps)
        self.checks = self.may_fail or any(isinstance(step, CheckStep) for step in program.steps)
        self.checked = checked_arguments(program)
        self.stretches = split(program, self.launches)
        self.edges = Edges(program, space)
        self.lent = {value for value in self.made if program.outputs.count(value) == 1}
        self._repeats: dict[tuple, Repeat] = {}
        self._can_repeat = can_repeat(self)
        self.recordings: list[Any] = []
        self.bodies: dict[int, Any] = {}  # of programs inside of steps, see inner.py
        self._is_bound = False
        space.pool.under_pressure.add(self)

    def __call__(self, arrays: Sequence[Any]) -> list[np.ndarray]:
        """Errors: GuardFailed where lengths do not fit; DeviceMemoryError, IndexOutOfBounds, what a host op raises."""
        return self.run(arrays, (True,) * len(self.program.outputs))

    def run(self, arrays: Sequence[Any], fetched: tuple[bool, ...]) -> list[Any]:
        """The outputs: where ``fetched``, as NumPy arrays, else as arrays on this device."""
        if Foreign in map(type, arrays):
            return self._borrowing(arrays, fetched)
        space = self.space
        if any(type(array) is DeviceArray and array.space is not space for array in arrays):
            arrays = [array.in_space(space) if type(array) is DeviceArray else array for array in arrays]
        repeat = self._repeats.get((fetched, *[a.shape for a in arrays]))
        if repeat is None:
            return self._first(arrays, fetched)
        results = self._again(repeat, arrays)
        if self._is_bound and repeat.wants_recording:
            self._record(repeat, arrays)
        return results

    def _borrowing(self, arrays: Sequence[Any], fetched: tuple[bool, ...]) -> list[Any]:
        """A call with arrays of other libraries, which get them back when it is over."""
        arrays = [self.space.adopt(array) if type(array) is Foreign else array for array in arrays]
        try:
            return self.run(arrays, fetched)
        finally:
            for repeat in list(self._repeats.values()):
                repeat.close()

    def _again(self, repeat: Repeat, arrays: Sequence[Any]) -> list[Any]:
        with self.device.lock:
            if self.space.facts.shares_memory:  # results lie where the next call would write
                try:
                    return repeat.results(*repeat.queue(arrays))
                finally:
                    repeat.close()
            queued = repeat.queue(arrays)
        return repeat.results(*queued)

    def _first(self, arrays: Sequence[Any], fetched: tuple[bool, ...]) -> list[Any]:
        """A call with lengths that were not met, or of a program that cannot be repeated."""
        call = Call(self, arrays, fetched)
        try:
            with self.device.lock:
                call.queue()
                if self.space.facts.shares_memory:
                    results = call.results()
            if not self.space.facts.shares_memory:
                results = call.results()
            if self._can_repeat:
                while len(self._repeats) >= PREPARED:
                    del self._repeats[next(iter(self._repeats))]
                self._repeats[call.key] = call.repeat()
            return results
        finally:
            call.close()

    def bind(
        self,
        current: list[Any],
        reads: Sequence[list[Any]],
        writes: Sequence[list[Any]],
        layout: str | tuple[str, ...],
        lengths: Sequence[Sequence[int | None]],
        fetched: tuple[bool, ...],
        slow_path: Callable[..., Any],
    ) -> Callable[..., Any] | None:
        """Calls that go round Python, of functions that wait for nothing: see core's Caller.fastest."""
        bind = getattr(self.device, "bind", None)
        if bind is None or not self._can_repeat or self.may_fail or True in fetched:
            return None
        found = bind(current, slow_path, reads, writes, layout, len(lengths), len(fetched) - len(writes))
        self._is_bound = self._is_bound or found is not None
        return found

    def _record(self, repeat: Repeat, arrays: Sequence[Any]) -> None:
        """Let the driver queue calls with these lengths from now on."""
        with self.device.lock:
            if repeat.recording in self.recordings:
                self.recordings.remove(repeat.recording)
            call = bindable(repeat, [array.shape for array in arrays])
            repeat.recording = (call is not None and self.device.record(call)) or False
            if repeat.recording:
                repeat.is_recorded()
                while len(self.recordings) >= PREPARED:
                    del self.recordings[0]
                self.recordings.append(repeat.recording)
                repeat.prepared.let_go(moving(repeat))

    def command(self, step: Any, prepared: Any, lengths: Any) -> Any:
        """What queues a step that runs programs of its own, for certain lengths."""
        from core.device.inner import command  # who has no such steps need not wait for it

        return command(step, self, prepared, lengths)

    def place(self, value: Any) -> DeviceArray:
        """An array of the host or of another device on this one, for programs that will read it again."""
        array: Any = value.in_space(self.space) if type(value) is DeviceArray else on_host(value)
        return array if type(array) is DeviceArray else self.space.place(array)

    def free(self) -> None:
        """Give back what is kept for the next call."""
        with self.device.lock:
            for stretch in self.stretches:
                stretch.prepared.clear()
            self._repeats.clear()
            self.recordings.clear()
            self.edges.free()
            for body in self.bodies.values():
                body.free()
