"""Patterns: expressions with holes, and how they match variables of a graph.  Rules are in stages.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Number
from typing import Any

import numpy as np

from core.errors import ArgumentError
from core.graph import Constant, Variable

_commutative: set[Any] = set()


def declare_commutative(*ops: Any) -> None:
    """Let patterns match the two inputs of these ops in either order.  An op may also have ``commutative = True``."""
    _commutative.update(ops)


def is_commutative(op: Any) -> bool:
    return getattr(op, "commutative", False) is True or op in _commutative


class Pattern:
    """An expression with holes, made by applying ops to holes: ``log(1 + X)``.

    A hole (``op`` is None) matches any variable that its predicate accepts; a hole that occurs twice matches one
    variable, or equal constants.  Otherwise a pattern matches the output of a node of ``op``.  A number in a pattern
    matches a constant scalar (no axes) of that value and, where it is zero, that sign.
    """

    __slots__ = ("inputs", "name", "op", "predicate")
    __array_ufunc__ = None  # makes numpy scalar + pattern call the pattern's operator

    def __init__(
        self,
        name: str | None = None,
        predicate: Callable[[Variable], bool] | None = None,
        op: Any = None,
        inputs: Sequence[Any] = (),
    ):
        if (name is None) == (op is None):
            raise ArgumentError(f"a pattern needs either a name or an op, got name={name!r} and op={op}")
        for position, part in enumerate(inputs):
            if not isinstance(part, (Pattern, Number, np.generic)):
                raise ArgumentError(
                    f"a pattern of {op} needs patterns and numbers as inputs, "
                    f"but input {position} is {part!r} of type {type(part).__name__}"
                )
        self.name, self.predicate, self.op, self.inputs = (
            name,
            predicate,
            op,
            tuple(inputs),
        )

    def such_that(self, predicate: Callable[[Variable], bool]) -> Pattern:
        """The same hole, for variables that ``predicate`` accepts.  Errors: ArgumentError when this is no hole."""
        if self.op is not None:
            raise ArgumentError(f"only a pattern variable can have a predicate, got the pattern {self}")
        old = self.predicate
        both = predicate if old is None else lambda variable: old(variable) and predicate(variable)
        return type(self)(self.name, both)

    def __apply_op__(self, op: Any, inputs: Sequence[Any]) -> Pattern:
        return type(self)(op=op, inputs=inputs)

    def names(self) -> list[str]:
        """The names of the holes, in order of first appearance."""
        if self.name is not None:
            return [self.name]
        found = [name for part in self.inputs if isinstance(part, Pattern) for name in part.names()]
        return list(dict.fromkeys(found))

    def may_match(self, makers: Sequence[Any]) -> bool:
        """Whether a node of this op on inputs with these makers can match, as far as that tells: False is certain."""
        if len(makers) != len(self.inputs):
            return False
        either_way = len(makers) == 2 and is_commutative(self.op)
        return _may_all(self.inputs, makers) or (either_way and _may_all(self.inputs, makers[::-1]))

    def __str__(self) -> str:
        return self.name if self.name is not None else f"{self.op}({', '.join(map(str, self.inputs))})"

    __repr__ = __str__


def maker(variable: Variable) -> Any:
    """What can be told of a variable at a glance: the op that made it, Constant, or None."""
    if variable.owner is not None:
        return variable.owner.op
    return Constant if isinstance(variable, Constant) else None


def _may_all(parts: Sequence[Any], makers: Sequence[Any]) -> bool:
    for part, made_by in zip(parts, makers, strict=True):
        if not isinstance(part, Pattern):
            if made_by is not Constant:
                return False
        elif part.op is not None and made_by != part.op:
            return False
    return True


def match(pattern: Pattern, variable: Variable) -> dict[str, Variable] | None:
    """What each hole of ``pattern`` stands for if ``variable`` matches it, else None."""
    return _match_all([(pattern, variable)], {})


def _match_all(pairs: Sequence[tuple[Any, Variable]], bound: dict[str, Variable]) -> dict[str, Variable] | None:
    """``bound``, extended so that each pattern matches its variable, or None.  As deep as patterns are."""
    for position, (pattern, variable) in enumerate(pairs):
        if not isinstance(pattern, Pattern):
            if not is_number(variable, pattern):
                return None
        elif pattern.name is not None:
            if pattern.predicate is not None and not pattern.predicate(variable):
                return None
            known = bound.get(pattern.name)
            if known is None:
                bound = {**bound, pattern.name: variable}
            elif not same_value(known, variable):
                return None
        else:
            for inputs in _ways(pattern, variable):
                below = zip(pattern.inputs, inputs, strict=True)
                found = _match_all([*below, *pairs[position + 1 :]], bound)
                if found is not None:
                    return found
            return None
    return bound


def _ways(pattern: Pattern, variable: Variable) -> list[list[Variable]]:
    """In which orders the inputs of the node that made ``variable`` may be those of ``pattern``."""
    node = variable.owner
    if node is None or len(node.outputs) != 1 or len(node.inputs) != len(pattern.inputs) or node.op != pattern.op:
        return []
    both = len(node.inputs) == 2 and is_commutative(node.op)
    return [node.inputs, node.inputs[::-1]] if both else [node.inputs]


def is_number(variable: Variable, number: Any) -> bool:
    """Whether ``variable`` is a constant scalar equal to ``number``, a zero having the same sign."""
    if not isinstance(variable, Constant) or np.ndim(variable.data):
        return False
    value = np.asarray(variable.data)[()]
    if not isinstance(value, (np.generic, Number)):
        return False
    rounded = (
        value.dtype.type(number) if isinstance(value, np.floating) and isinstance(number, (int, float)) else number
    )
    if value == 0 and number == 0:
        return _signs(value) == _signs(number)
    return bool(value == rounded)


def _signs(zero: Any) -> tuple[bool, bool]:
    return bool(np.signbit(np.real(zero))), bool(np.signbit(np.imag(zero)))


def same_value(a: Variable, b: Variable) -> bool:
    """Whether two variables are one, or constants equal in type and bits."""
    if a is b:
        return True
    return isinstance(a, Constant) and isinstance(b, Constant) and a.type == b.type and a.signature() == b.signature()
