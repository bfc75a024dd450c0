"""The steps of a program in stretches, each of which is queued at once.

A new stretch begins where lengths are needed that an earlier step computes, and behind a call of Python.  A program
without either is one stretch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from core.dataclass import dataclass, field
from core.device.prepare import Prepared
from core.ir.codes import Code
from core.ir.definitions import Value
from core.ir.expr import Expr
from core.ir.guards import Guard
from core.ir.nodes import Kernel, Loop
from core.ir.program import BranchStep, HostStep, LibraryStep, LoopStep, Program, Step
from core.ir.walk import walk
from core.ir.work.launches import lane_extents

Launches = Mapping[int, list[tuple[Kernel, list[Expr]]]]  # of each kernel step, by its position


@dataclass
class Stretch:
    """Steps with their positions.  ``host`` is the call of Python that ends it, if one does.

    guards    what is checked before the first step
    reads     elements that lengths are made of, and that are known when it begins but were not needed before
    prepared  for the same lengths: what is queued
    """

    steps: list[tuple[int, Step]] = field(default_factory=list)
    host: HostStep | None = None
    guards: list[Guard] = field(default_factory=list)
    reads: list[Expr] = field(default_factory=list)
    prepared: dict[tuple, Prepared] = field(default_factory=dict)


def split(program: Program, launches: Launches) -> list[Stretch]:
    """The stretches of a program, in order; guards are checked as early as can be, and before the results are there."""
    return _Split(program, launches).done


class _Split:
    def __init__(self, program: Program, launches: Launches):
        self.program, self.launches = program, launches
        self.known: set[Any] = {*program.inputs, *program.constants}
        self.written: set[Value] = set()
        self.waiting = list(program.guards)
        self.seen: set[Expr] = set()
        self.done: list[Stretch] = []
        self._begin()
        for position, step in enumerate(program.steps):
            self._add(position, step)
        if any(self._of(guard) <= self.known | self.written for guard in self.waiting):
            self._begin()

    def _begin(self) -> None:
        self.known |= self.written
        self.written = set()
        stretch = Stretch(guards=[guard for guard in self.waiting if self._of(guard) <= self.known])
        self.waiting = [guard for guard in self.waiting if guard not in stretch.guards]
        self.done.append(stretch)
        self._reads(n for guard in stretch.guards for n in (guard.a, guard.b))

    def _of(self, guard: Guard) -> set[Value]:
        return {_source(e) for e in _elements([guard.a, guard.b])}

    def _add(self, position: int, step: Step) -> None:
        lengths = self._lengths_of(position, step)
        if any(_source(e) in self.written for e in _elements(lengths)):
            self._begin()
        self._reads(lengths)
        self.written.update(step.writes)
        if isinstance(step, HostStep):
            self.done[-1].host = step
            self._begin()
        else:
            self.done[-1].steps.append((position, step))

    def _reads(self, lengths: Iterable[Expr]) -> None:
        new = [e for e in _elements(lengths) if e.code is Code.LOAD and e not in self.seen]
        self.seen.update(new)
        self.done[-1].reads += new

    def _lengths_of(self, position: int, step: Step) -> list[Expr]:
        """Every length that must be known to queue a step."""
        shapes = self.program.shapes
        if isinstance(step, HostStep):
            return [n for value in step.inputs for n in shapes[value]]
        found = [n for value in step.writes for n in shapes[value]]
        if isinstance(step, LibraryStep):
            found += step.lengths
        elif isinstance(step, LoopStep):
            found += step.iteration.sizes
            found += step.alone.sizes if step.alone is not None else []
        elif isinstance(step, BranchStep):
            found += step.choice.sizes
        for kernel, lengths in self.launches.get(position, ()):
            (loop,) = kernel.body
            assert isinstance(loop, Loop)
            found += [*lengths, loop.extent, *lane_extents(kernel)]
        return found


def _source(e: Expr) -> Value:
    """The value that a load or a length is of."""
    return e.payload[0] if e.code is Code.LENGTH else e.payload


def _elements(lengths: Iterable[Expr]) -> list[Expr]:
    """The loads and lengths that lengths are made of."""
    return [e for e in walk(lengths) if e.code in (Code.LOAD, Code.LENGTH)]
