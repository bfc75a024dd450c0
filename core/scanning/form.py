"""What the arguments and results of a Scan are: kinds of them, in one order that is only known here."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Generic, TypeVar

from core.dataclass import dataclass, replace

T = TypeVar("T")


class Keep(enum.Enum):
    """Which rows of a state the scan gives back."""

    ALL = "all"  # those it starts from, then one for each step
    LAST = "last"  # as many as it starts from, as they are after the last step


@dataclass(frozen=True)
class State:
    """A value that each step makes from those of steps before: of the row at ``i + tap`` for each of ``taps``.

    taps  negative, each once: -1 is the step before.      keep  which rows are given back
    """

    taps: tuple[int, ...]
    keep: Keep = Keep.ALL

    @property
    def span(self) -> int:
        """How many rows it starts from."""
        return -min(self.taps)


@dataclass(frozen=True)
class Inputs(Generic[T]):
    """One thing for each input of a scan.

    n          how many steps
    sequences  tensors of n rows;  initials  for each state the rows it starts from
    constants  what is the same in each step
    lengths    for each result, the lengths of its rows that its type does not know
    """

    n: T
    sequences: list[T]
    initials: list[T]
    constants: list[T]
    lengths: list[list[T]]

    @property
    def flat(self) -> list[T]:
        lengths = [n for of_one in self.lengths for n in of_one]
        return [self.n, *self.sequences, *self.initials, *self.constants, *lengths]


@dataclass(frozen=True)
class Outputs(Generic[T]):
    """One thing for each output of a scan: states, results (a row for each step), and how many steps were done."""

    states: list[T]
    results: list[T]
    done: T | None

    @property
    def flat(self) -> list[T]:
        return [*self.states, *self.results, *([] if self.done is None else [self.done])]


@dataclass(frozen=True)
class StepInputs(Generic[T]):
    """One thing for each input of a step: rows of sequences, for each state one row for each tap, and constants."""

    sequences: list[T]
    taps: list[list[T]]
    constants: list[T]

    @property
    def flat(self) -> list[T]:
        return [*self.sequences, *(row for of_one in self.taps for row in of_one), *self.constants]


@dataclass(frozen=True)
class StepOutputs(Generic[T]):
    """One thing for each output of a step: new rows of states, rows of results, and whether to stop after it."""

    states: list[T]
    results: list[T]
    stop: T | None

    @property
    def flat(self) -> list[T]:
        return [*self.states, *self.results, *([] if self.stop is None else [self.stop])]


@dataclass(frozen=True)
class Form:
    """How many arguments of each kind there are.

    results   for each result the shape of its rows: None where a length is an input of the scan
    until     whether each step says if it was the last
    truncate  how many steps the gradient goes back, or -1 for all
    backwards whether the first step has the last row of each sequence, and makes the last row of each result, and so on
              to the first; rows of states are in the order of the steps all the same.  Not with ``until``.
    """

    sequences: int
    states: tuple[State, ...]
    constants: int
    results: tuple[tuple[int | None, ...], ...] = ()
    until: bool = False
    truncate: int = -1
    backwards: bool = False

    def __repr__(self) -> str:
        states = ", ".join(f"{list(state.taps)}{' last' * (state.keep is Keep.LAST)}" for state in self.states)
        parts = [f"sequences: {self.sequences}", f"states at taps: {states or 'none'}", f"results: {len(self.results)}"]
        parts += ["until"] * self.until + [f"truncated to {self.truncate}"] * (self.truncate >= 0)
        parts += ["backwards"] * self.backwards
        return f"<{'; '.join(parts)}>"

    def inputs(self, flat: Sequence[T]) -> Inputs[T]:
        rest = iter(flat)
        return Inputs(
            next(rest),
            _take(rest, self.sequences),
            _take(rest, len(self.states)),
            _take(rest, self.constants),
            [_take(rest, shape.count(None)) for shape in self.results],
        )

    def outputs(self, flat: Sequence[T]) -> Outputs[T]:
        rest = iter(flat)
        return Outputs(_take(rest, len(self.states)), _take(rest, len(self.results)), next(rest, None))

    def step_inputs(self, flat: Sequence[T]) -> StepInputs[T]:
        rest = iter(flat)
        return StepInputs(
            _take(rest, self.sequences),
            [_take(rest, len(state.taps)) for state in self.states],
            _take(rest, self.constants),
        )

    def step_outputs(self, flat: Sequence[T]) -> StepOutputs[T]:
        rest = iter(flat)
        return StepOutputs(_take(rest, len(self.states)), _take(rest, len(self.results)), next(rest, None))

    def keeping_all(self) -> Form:
        """The same with all rows of its states given back."""
        return replace(self, states=tuple(State(state.taps) for state in self.states))


def filled(shape: Sequence[int | None], lengths: Sequence[Any]) -> tuple:
    """A shape with ``lengths`` in the place of those that are not known."""
    rest = iter(lengths)
    return tuple(next(rest) if n is None else n for n in shape)


def _take(rest: Iterator[Any], count: int) -> list[Any]:
    return list(islice(rest, count))
