"""Lengths of one call as Python integers: of inputs, of what is computed from them, of what is read from memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from core.ir.codes import Code
from core.ir.evaluate import evaluate_scalar
from core.ir.expr import INDEX_DTYPE, Expr
from core.ir.walk import walk

_INTEGER: dict[Code, Callable[..., int]] = {
    Code.ADD: lambda a, b: a + b,
    Code.SUB: lambda a, b: a - b,
    Code.MUL: lambda a, b: a * b,
    Code.FLOORDIV: lambda a, b: a // b if b else 0,
    Code.MOD: lambda a, b: a % b if b else 0,
    Code.NEG: lambda a: -a,
    Code.MIN: min,
    Code.MAX: max,
}


class Lengths:
    """The lengths of one call.  ``shapes`` are those of values that come from outside; more may be added.

    read  ``read(value, position)`` gives an element of a stored value; asked when a length depends on it
    """

    def __init__(self, shapes: dict[Any, tuple[int, ...]], read: Callable[[Any, int], Any]):
        self.shapes, self._read = shapes, read
        self._known: dict[Expr, Any] = {}

    def __call__(self, n: Expr) -> int:
        if n not in self._known:
            for e in walk([n], into=lambda e: e not in self._known and e.code is not Code.LENGTH):
                if e not in self._known:
                    self._known[e] = self._one(e)
        return int(self._known[n])

    def all(self, roots: Iterable[Expr]) -> tuple[int, ...]:
        return tuple(map(self, roots))

    def _one(self, e: Expr) -> Any:
        known = self._known
        if e.code is Code.CONST:
            return e.payload
        if e.code is Code.LENGTH:
            value, axis = e.payload
            return self.shapes[value][axis]
        if e.code is Code.LOAD:
            return self._read(e.payload, int(known[e.args[0]]))
        if e.code is Code.UNRAVEL:
            flat, *lengths = (known[arg] for arg in e.args)
            for n in lengths[e.payload + 1 :]:
                flat //= max(n, 1)
            return flat if e.payload == 0 else flat % max(lengths[e.payload], 1)
        if e.dtype == INDEX_DTYPE and e.code in _INTEGER:
            return _INTEGER[e.code](*(known[arg] for arg in e.args))
        values = {arg: np.asarray(known[arg], arg.dtype)[()] for arg in e.args}
        found = evaluate_scalar(e, values)
        return int(found) if e.dtype == INDEX_DTYPE else found
