"""What the checks of a program ask about: who asks of the same arguments again need not wait for the answer."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

from core.device.array import DeviceArray
from core.device.pool import Memory
from core.ir.nodes import Atomic, statements
from core.ir.program import CheckStep, KernelStep, Program


def checked_arguments(program: Program) -> tuple[int, ...] | None:
    """The positions of the arguments that alone decide what the checks say; None where more does than kernels compute.

    Kernels that add in any order do not count: with other roundings an index may be another one.
    """
    steps = {value: step for step in program.steps for value in step.writes}
    found: set[int] = set()
    pending = [step.value for step in program.steps if isinstance(step, CheckStep)]
    seen = set(pending)
    while pending:
        value = pending.pop()
        if value in program.inputs:
            found.add(program.inputs.index(value))
            continue
        if value in program.constants:
            continue
        step = steps.get(value)
        if not isinstance(step, KernelStep) or _adds_in_any_order(step):
            return None
        pending += [v for v in step.reads if v not in seen]
        seen.update(step.reads)
    return tuple(sorted(found))


def _adds_in_any_order(step: KernelStep) -> bool:
    return any(isinstance(s, Atomic) for kernel in step.kernels for s in statements(kernel.body))


class Passed:
    """The memory of the arguments for which all checks passed last; it is not kept alive by that."""

    def __init__(self, positions: tuple[int, ...] | None):
        self._positions = positions
        self._last: tuple[weakref.ref[Memory], ...] | None = None

    def asked(self, arrays: Sequence[Any]) -> tuple[Memory, ...] | None:
        """Where the arguments lie, for ``note`` when the checks have passed; None where somebody may change them."""
        if self._positions is None:
            return None
        given = [arrays[k] for k in self._positions]
        if any(type(array) is not DeviceArray or type(array.memory) is not Memory for array in given):
            return None
        return tuple(array.memory for array in given)

    def holds(self, asked: tuple[Memory, ...] | None) -> bool:
        """Whether the checks passed for these."""
        if asked is None or self._last is None:
            return False
        return all(last() is memory for last, memory in zip(self._last, asked, strict=True))

    @property
    def last(self) -> dict[int, weakref.ref[Memory]]:
        """Where those arguments lay, by their positions; empty where none passed."""
        return {} if self._last is None else dict(zip(self._positions or (), self._last, strict=True))

    def note(self, asked: tuple[Memory, ...] | None) -> None:
        self._last = None if asked is None else tuple(map(weakref.ref, asked))
