"""Iterations: a program that runs step by step, and where the arrays of each step lie in those of the program around.

Data only; compile/loops.py makes it of a graph, and a ``LoopStep`` of it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from core.dataclass import dataclass, replace
from core.ir.expr import Expr


@dataclass(frozen=True)
class Rows:
    """What step i reads: row ``start + i * step`` of ``value``, which lies row by row."""

    value: Any
    start: Expr
    step: Expr


@dataclass(frozen=True)
class Carried:
    """Rows that steps make, each from rows before it: step i reads those at i + tap, for each of ``taps``.

    initial  the rows before those of the first step: as many as the least tap says
    kept     where all rows are left, ``initial`` among them
    room     instead: memory for one row more than there are initial ones, used in turn; ``kept`` then gets the last
    """

    initial: Any
    taps: tuple[int, ...]
    kept: Any
    room: Any = None

    @property
    def span(self) -> int:
        return -min(self.taps)


@dataclass(frozen=True, eq=False)
class Iteration:
    """``n`` steps of ``body``, a Lowered, or a Program in a step of one.

    Inputs of the body are a row of each of ``sequences``, for each of ``states`` a row for each tap, and ``wholes``;
    its outputs a new row of each state, a row of each of ``results``, and with ``done`` whether that step was the last:
    ``done`` then gets the number of steps.
    lengths   of arrays of the body -> what they are in the program around
    equal     lengths of the program around that must be equal, as rules that say so
    backwards whether step i makes row n - 1 - i of each result, and not row i
    """

    body: Any
    n: Expr
    sequences: tuple[Rows, ...]
    states: tuple[Carried, ...]
    wholes: tuple[Any, ...]
    results: tuple[Any, ...]
    done: Any
    lengths: Mapping[Expr, Expr]
    equal: tuple[Expr, ...] = ()
    backwards: bool = False

    @property
    def sizes(self) -> tuple[Expr, ...]:
        """All lengths that are to be known of the program around."""
        places = [n for rows in self.sequences for n in (rows.start, rows.step)]
        return (self.n, *places, *self.lengths.values(), *self.equal)

    def map(self, new: Callable[[Expr], Expr]) -> Iteration:
        """The same with ``new`` applied to each of ``sizes``."""
        return replace(
            self,
            n=new(self.n),
            sequences=tuple(Rows(rows.value, new(rows.start), new(rows.step)) for rows in self.sequences),
            lengths={inside: new(outside) for inside, outside in self.lengths.items()},
            equal=tuple(map(new, self.equal)),
        )

    @property
    def reads(self) -> list[Any]:
        """The values of the program around that steps read."""
        read = [rows.value for rows in self.sequences] + [state.initial for state in self.states]
        return list(dict.fromkeys([*read, *self.wholes]))

    @property
    def writes(self) -> list[Any]:
        """Those that they make, memory for what is used in turn among them."""
        made = [value for state in self.states for value in (state.kept, state.room) if value is not None]
        return [*made, *self.results, *([] if self.done is None else [self.done])]
