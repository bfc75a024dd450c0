"""A call with lengths that were met before: nothing is looked up or computed but where arrays lie.

Only programs that are one stretch, without Python in the middle or lengths that are read from memory, are called so;
the first call, and every call of the others, is in call.py.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np

from core.dataclass import dataclass
from core.device.array import DeviceArray
from core.device.checked import Passed
from core.device.edges import Wrapped
from core.device.exchange import Borrowed
from core.device.pool import Memory
from core.device.prepare import Prepared
from core.errors import IndexOutOfBounds

_BOOL = np.dtype("bool")


def can_repeat(owner: Any) -> bool:
    """Whether calls of a program differ in nothing but where arrays lie, once their lengths are known."""
    (first, *rest) = owner.stretches
    one = not rest and first.host is None and not first.reads and not owner.may_fail
    return one and all(value in owner.made and value not in owner.constants for value in owner.program.outputs)


@dataclass(frozen=True)
class _Asked:
    """Checks that were queued: their ``flags``, and what they are about, for ``Passed.note``."""

    flags: list[Any]
    about: tuple[Memory, ...] | None


class Repeat:
    """Calls of one program, which keeps it, for certain lengths.  ``shapes`` are those of its outputs.

    Nobody waits for checks that passed for the same arguments before.
    """

    def __init__(self, owner: Any, prepared: Prepared, fetched: tuple[bool, ...], shapes: Sequence[tuple[int, ...]]):
        self.owner: Any = weakref.proxy(owner)
        self.space, self.device, self.edges = owner.space, owner.space.device, owner.edges
        self._staged = owner.staged
        self.prepared, self.fetched = prepared, fetched
        self._fetches = True in fetched
        self._passed = Passed(owner.checked) if prepared.checks else None
        self._results = [
            (value, shape, np.dtype(value.dtype), goes, value in owner.lent)
            for value, shape, goes in zip(owner.program.outputs, shapes, fetched, strict=True)
        ]
        self._homes = [(value, self.edges.homes(value, shape, fetched)) for value, shape in prepared.outputs]
        self.recording: Any = None  # of the driver; False where there can be none
        self._is_old = False  # whether checks have passed for other arguments since it was made
        self._waited = self._passed is not None  # whether the last call waited for checks
        self._borrows = False  # whether the call uses memory that is not the device's own
        self._each_once = len(set(owner.program.outputs)) == len(self._results)

    @property
    def waits(self) -> bool:
        """Whether calls with these arguments wait, for results or for checks."""
        return self._fetches or self._waited

    @property
    def only(self) -> dict[int, weakref.ref[Memory]]:
        """The arguments for which checks have passed: by their number, where they lie."""
        return {} if self._passed is None else self._passed.last

    @property
    def wants_recording(self) -> bool:
        """Whether the driver was not asked for a recording, or has one that serves no more."""
        if self._waited or self.recording is False:
            return False
        return self.recording is None or self._is_old or self.recording.is_broken

    def is_recorded(self) -> None:
        """The driver has a recording for the arguments of the last call."""
        self._is_old = False

    def queue(self, arrays: Sequence[Any]) -> tuple[_Asked | None, list[Any]]:
        """Queue everything: what ``results`` takes.  Errors: DeviceError."""
        prepared, edges, passed = self.prepared, self.edges, self._passed
        about = None if passed is None else passed.asked(arrays)
        self._waited = asks = passed is not None and not passed.holds(about)
        waits = asks or self._fetches
        for k, value in self._staged:
            memory = edges.arrived(value, arrays[k], waits)
            if type(memory) is not Memory:
                self._borrows = True
            prepared.put(value, memory)
        for value, home in self._homes:
            prepared.put(value, home())
        for value, home in prepared.homes:
            prepared.put(value, prepared.memory[home])
        prepared.queue()
        places = prepared.memory
        if not waits:
            return None, [places[value] for value, *_ in self._results]
        asked = (
            _Asked([edges.leaving(places[step.value], (), _BOOL) for step in prepared.checks], about) if asks else None
        )
        leaving = [
            edges.leaving(places[value], shape, dtype) if goes else places[value]
            for value, shape, dtype, goes, _ in self._results
        ]
        return asked, leaving

    def results(self, asked: _Asked | None, leaving: Sequence[Any]) -> list[Any]:
        """The outputs, when they are there.  Errors: IndexOutOfBounds, DeviceError."""
        if asked is None and not self._fetches and self._each_once:
            space = self.space
            return [
                DeviceArray(space, memory, shape, dtype)
                for memory, (_, shape, dtype, *_) in zip(leaving, self._results, strict=True)
            ]
        if asked is not None or self._fetches:
            self.device.synchronize()
        if asked is not None:
            self._look(asked)
        given: dict[Any, DeviceArray] = {}
        found = []
        for one, (value, shape, dtype, goes, lend) in zip(leaving, self._results, strict=True):
            if goes:
                found.append(self.edges.left(one, shape, dtype, lend))
            else:
                found.append(given.setdefault(value, DeviceArray(self.space, one, shape, dtype)))
        return found

    def _look(self, asked: _Asked) -> None:
        """At what the checks said."""
        for step, flag in zip(self.prepared.checks, asked.flags, strict=True):
            if self.edges.left(flag, (), _BOOL, False)[()]:
                raise IndexOutOfBounds(step.message, blame=step.node)
        assert self._passed is not None
        self._passed.note(asked.about)
        self._is_old = True

    def close(self) -> None:
        """Forget the arrays of the call."""
        if self._borrows:
            self.prepared.forget(Wrapped, Borrowed)
            self._borrows = False
