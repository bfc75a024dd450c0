"""A program on a device: a function of arrays that queues its steps.  What one call does is in call.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from core.device.array import DeviceArray
from core.device.call import Call
from core.device.contract import Source
from core.device.pool import Memory
from core.device.space import Space
from core.device.stretches import split
from core.ir.cdevice import print_device_program
from core.ir.program import CheckStep, HostStep, Program


class DeviceProgram:
    """What a driver's ``compile`` returns.  ``sources``: file name -> text."""

    def __init__(self, program: Program, space: Space):
        self.program, self.space, self.device = program, space, space.device
        facts = space.facts
        assert facts.dialect.work is not None
        self.warp = facts.dialect.work.warp
        printed = print_device_program(program, facts.dialect)
        self.launches = printed.steps
        kernels = tuple((kernel, tuple(n)) for found in printed.steps.values() for kernel, n in found)
        name = f"{program.name}.{facts.dialect.name}"
        self.sources = {name: printed.text} if kernels else {}
        self.code = space.device.build(Source(program.name, printed.text, kernels)) if kernels else None
        self.constants = {value: space.place(np.ascontiguousarray(a)) for value, a in program.constants.items()}
        self.made = program.made
        self.asked = {value for step in program.steps if not isinstance(step, HostStep) for value in step.reads}
        self.staged = [(k, value) for k, value in enumerate(program.inputs) if value in self.asked]
        self.checks = any(isinstance(step, CheckStep) for step in program.steps)
        self.stretches = split(program, self.launches)
        self._kept: dict[Any, Memory] = {}  # slots, staged inputs, fetched outputs: the largest so far
        space.pool.under_pressure.add(self)

    def __call__(self, arrays: Sequence[Any]) -> list[np.ndarray]:
        """Errors: GuardFailed where lengths do not fit; DeviceMemoryError, IndexOutOfBounds, what a host op raises."""
        return self.run(arrays, (True,) * len(self.program.outputs))

    def run(self, arrays: Sequence[Any], fetched: tuple[bool, ...]) -> list[Any]:
        """The outputs: where ``fetched``, as NumPy arrays, else as arrays on this device."""
        call = Call(self, arrays, fetched)
        try:
            with self.device.lock:
                call.queue()
            return call.results()
        finally:
            call.close()

    def keep(self, key: Any, size_bytes: int, who: Callable[[], str]) -> Memory:
        """Memory that the next call uses again: for one key, as much as was ever asked for."""
        memory = self._kept.get(key)
        if memory is None or memory.block.size_bytes < size_bytes:
            memory = self._kept[key] = self.space.pool.take(size_bytes, who)
        return memory

    def place(self, array: np.ndarray) -> DeviceArray:
        """An array on the device, for programs that will read it again."""
        return self.space.place(array)

    def holds(self, value: Any) -> bool:
        return self.space.holds(value)

    def free(self) -> None:
        """Give back what is kept for the next call."""
        with self.device.lock:
            for stretch in self.stretches:
                stretch.prepared.clear()
            self._kept.clear()
