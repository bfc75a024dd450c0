"""Guards: what lengths must be for a program to be right, and what is raised where they are not."""

from __future__ import annotations

from typing import Any

from core.dataclass import dataclass
from core.ir.expr import Expr

_SIGNS = {"range": "indexes", "within": "<=", "positive": ">", "short": "<=", "tall": ">"}  # others say "=="


@dataclass(frozen=True)
class Guard:
    """A condition on lengths, checked before anything is written.

    kind  "join": a == b, or else one of them is 1 and the function is specialised for that
          "same": a == b;  "one": a == 1 (this program was made for that);  "range": -b <= a < b;  "within": a <= b;
          "positive": a > 0;  "short": a <= b;  "tall": a > b - these two say which of two programs serves;
          "alike": a == b, or else the interpreter serves
    ``who`` says which op needs it, for the error's text; ``node`` leads to the user's line.  ``symbols`` are the two
    lengths as the graph has them, ``a`` and ``b`` as a backend computes them.
    """

    kind: str
    a: Expr
    b: Expr
    who: str
    node: Any = None
    symbols: tuple[Expr, Expr] | None = None

    def __str__(self) -> str:
        return f"{self.a} {_SIGNS.get(self.kind, '==')} {self.b} for {self.who}"


class GuardFailed(Exception):
    """A guard did not hold: which one, and the two lengths."""

    def __init__(self, guard: Guard, a: int, b: int):
        super().__init__(f"{guard}: {a} and {b}")
        self.guard, self.a, self.b = guard, a, b


class StepFailed(Exception):
    """Something in a step of a loop was not as it must be.  What it was, the interpreter will say."""


class Unserved(Exception):
    """An executable that was made from what an earlier process has kept cannot serve these arrays, or failed on them.

    Which of these, and how, the program of the graph will say: nothing has changed, so that can be run.
    """
