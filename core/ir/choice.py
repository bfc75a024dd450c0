"""Choices: one of two programs runs, and where the arrays of each lie among those of the program around.

Data only; compile/choices.py makes it of a graph, and a ``BranchStep`` of it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from core.dataclass import dataclass, replace
from core.ir.expr import Expr


@dataclass(frozen=True, eq=False)
class Side:
    """What is done when it is taken: ``body``, a Lowered, or a Program in a step of one.

    inputs   values of the program around that its inputs are;  outputs  those that its outputs are
    lengths  of arrays of the body -> what they are in the program around
    """

    body: Any
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]
    lengths: Mapping[Expr, Expr]


@dataclass(frozen=True, eq=False)
class Choice:
    """The first of ``sides`` runs where ``condition``, a 0-d bool of the program around, holds; else the second.

    alike  pairs of lengths that both sides would give an axis of an output: the program is for those that are equal
    """

    condition: Any
    sides: tuple[Side, Side]
    alike: tuple[tuple[Expr, Expr], ...]

    @property
    def sizes(self) -> tuple[Expr, ...]:
        """All lengths that are to be known of the program around."""
        inside = [n for side in self.sides for n in side.lengths.values()]
        return (*inside, *(n for pair in self.alike for n in pair))

    def map(self, new: Callable[[Expr], Expr]) -> Choice:
        """The same with ``new`` applied to each of ``sizes``."""
        first, second = (
            replace(side, lengths={inside: new(outside) for inside, outside in side.lengths.items()})
            for side in self.sides
        )
        return replace(self, sides=(first, second), alike=tuple((new(a), new(b)) for a, b in self.alike))

    @property
    def reads(self) -> list[Any]:
        """The values of the program around that are read: by one side, or by both."""
        return list(dict.fromkeys([self.condition, *(value for side in self.sides for value in side.inputs)]))

    @property
    def writes(self) -> list[Any]:
        """Those that are made: by both sides, or by one, where nobody reads them when the other one is taken."""
        return list(dict.fromkeys(value for side in self.sides for value in side.outputs))
