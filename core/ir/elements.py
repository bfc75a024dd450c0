"""Functions of scalars by NumPy, many elements at once: each has its own way through loops and conditions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core.ir.evaluate import evaluate_scalar
from core.ir.expr import Expr
from core.ir.nodes import Assign, Break, If, Let, Loop, Statement


def evaluate_function(function: Any, args: Sequence[Any]) -> np.ndarray:
    """A ScalarFunction of many elements at once; those that have left a loop wait for the others."""
    args = np.broadcast_arrays(*args)
    shape = args[0].shape
    if 0 in shape:
        return np.zeros(shape, function.dtype)
    flat = {p.expr: np.array(x, p.dtype).reshape(-1) for p, x in zip(function.parameters, args, strict=True)}
    elements = _Elements(flat, int(np.prod(shape)))
    elements.run(function.body)
    return elements.value(function.result, function.dtype).reshape(shape)[()]


class _Elements:
    """``count`` elements that run the same statements; ``known``: what each has for a local or a loop's variable."""

    def __init__(self, known: dict[Expr, np.ndarray], count: int):
        self.known, self.count = known, count

    def value(self, root: Expr, dtype: str) -> np.ndarray:
        """An array of its own, for it may be written to."""
        return np.array(np.broadcast_to(evaluate_scalar(root, self.known), (self.count,)), dtype)

    def run(self, body: Sequence[Statement]) -> None:
        for statement in body:
            if isinstance(statement, (Let, Assign)):
                self.known[statement.local.expr] = self.value(statement.value, statement.local.dtype)
            elif isinstance(statement, If):
                holds = self.value(statement.condition, "bool")
                for chosen, inside in ((holds, statement.body), (~holds, statement.orelse)):
                    some = self._some(chosen)
                    if some.count:
                        some.run(inside)
                        self._give(some, chosen)
            else:
                assert isinstance(statement, Loop)
                self._loop(statement)

    def _some(self, chosen: np.ndarray) -> _Elements:
        return _Elements({e: array[chosen] for e, array in self.known.items()}, int(np.count_nonzero(chosen)))

    def _give(self, some: _Elements, chosen: np.ndarray) -> None:
        """Take over what has become of the chosen elements."""
        for e, array in self.known.items():
            array[chosen] = some.known[e]

    def _loop(self, loop: Loop) -> None:
        places, inside = np.arange(self.count), self._some(np.ones(self.count, "bool"))
        turn, extents = self.value(loop.start, loop.start.dtype), self.value(loop.extent, loop.extent.dtype)
        while True:
            places, inside, turn, extents = self._left(places, inside, turn >= extents, turn, extents)
            if not inside.count:
                return
            inside.known[loop.variable] = turn.copy()
            for statement in loop.body:
                if isinstance(statement, Break):
                    ends = inside.value(statement.condition, "bool")
                    places, inside, turn, extents = self._left(places, inside, ends, turn, extents)
                    if not inside.count:
                        return
                else:
                    inside.run([statement])
            turn = turn + 1

    def _left(self, places: np.ndarray, inside: _Elements, ends: np.ndarray, *more: np.ndarray) -> tuple[Any, ...]:
        """Those that stay in a loop, once those that end are given back."""
        if not ends.any():
            return places, inside, *more
        self._give(inside._some(ends), places[ends])
        return places[~ends], inside._some(~ends), *(array[~ends] for array in more)
