"""What a graph is, in words that are the same in every process: equal graphs of equal code become equal programs.

Names of variables and lines of the user's program say nothing of what is computed, and are left out.
"""

from __future__ import annotations

import enum
import sys
from collections.abc import Collection, Iterable
from hashlib import sha256
from types import FunctionType
from typing import Any

import numpy as np

from core.dataclass import fields, is_dataclass
from core.graph import Constant, FunctionGraph, Variable
from core.inner import InnerGraph
from core.op import Op
from core.tensor.type import TensorType

_PLAIN = (type(None), bool, int, float, complex, str, bytes, slice)


class _Unknown(Exception):
    """Something that another process cannot be sure to have."""


def identity(graph: FunctionGraph, packages: Collection[str], about: Iterable[Any] = ()) -> str | None:
    """A hash of a graph and of what else decides what it becomes: numbers, strings, and tuples of these.

    packages  those whose code the caller vouches for
    None      for a graph that holds anything else: an op of the user's own program, an op without ``__props__``, a
              type that is no TensorType, a value of a class of somebody else's
    """
    words = _Words(packages)
    try:
        words.lines.append(words.value(tuple(about)))
        words.graph(graph)
    except _Unknown:
        return None
    return sha256("\n".join(words.lines).encode()).hexdigest()


class _Words:
    """A graph as lines of text: what is met for the first time is told, and has a number from then on."""

    def __init__(self, packages: Collection[str]):
        self.lines: list[str] = []
        self._packages = packages
        self._variables: dict[Variable, int] = {}
        self._ops: dict[int, str] = {}  # by identity: each is asked once
        self._types: dict[TensorType, str] = {}

    def graph(self, graph: FunctionGraph | InnerGraph) -> None:
        for variable in graph.inputs:
            self._new(variable)
            self.lines.append(f"input {self._type(variable)}")
        for node in graph.toposort():
            reads = [self._number(variable) for variable in node.inputs]
            for out in node.outputs:
                self._new(out)
            self.lines.append(f"{self._op(node.op)} {reads} {[self._type(out) for out in node.outputs]}")
        self.lines.append(f"outputs {[self._number(variable) for variable in graph.outputs]}")

    def _new(self, variable: Variable) -> int:
        self._variables[variable] = number = len(self._variables)
        return number

    def _number(self, variable: Variable) -> int:
        number = self._variables.get(variable)
        if number is None:
            if not isinstance(variable, Constant):
                raise _Unknown
            kind, number = self._type(variable), self._new(variable)
            self.lines.append(f"constant {kind} {_array(variable.data)}")
        return number

    def _type(self, variable: Variable) -> str:
        kind = variable.type
        if type(kind) is not TensorType:
            raise _Unknown
        told = self._types.get(kind)
        if told is None:
            told = self._types[kind] = f"t{len(self._types)}"
            self.lines.append(f"{told} = {kind}")
        return told

    def _op(self, op: Any) -> str:
        told = self._ops.get(id(op))
        if told is None:
            words = self.value(op)
            told = self._ops[id(op)] = f"op{len(self._ops)}"
            self.lines.append(f"{told} = {words}")
        return told

    def value(self, value: Any) -> str:
        """A prop of an op, or the op itself.  Errors: _Unknown."""
        kind = type(value)
        if kind in _PLAIN:
            return f"{kind.__name__} {value!r}"
        if isinstance(value, (tuple, list)):
            return f"{self._class(kind)} ({', '.join(map(self.value, value))})"
        if isinstance(value, (set, frozenset)):
            return f"{kind.__name__} {{{', '.join(sorted(map(self.value, value)))}}}"
        if isinstance(value, (np.ndarray, np.generic)):
            return _array(np.asarray(value))
        if isinstance(value, np.dtype):
            return f"dtype {value.str}"
        if isinstance(value, enum.Enum):
            return f"{self._class(kind)} {value.name}"
        if kind is TensorType:
            return repr(value)
        if isinstance(value, (type, FunctionType)):
            return self._class(value)
        if isinstance(value, Op) and hasattr(value, "__props__"):
            self._vouched(value.__module__)  # of an op made of a function: that one's
            names = getattr(value, "computed_from", value.__props__)
            return f"{self._class(kind)} {', '.join(self.value(getattr(value, name)) for name in names)}"
        if isinstance(value, InnerGraph):
            inside = _Words(self._packages)
            inside.graph(value)
            return f"graph {sha256(chr(10).join(inside.lines).encode()).hexdigest()}"
        if not is_dataclass(kind):
            raise _Unknown
        return f"{self._class(kind)} {', '.join(self.value(getattr(value, field.name)) for field in fields(kind))}"

    def _class(self, kind: Any) -> str:
        """A class or function, which is what its name stands for: not a local one, a lambda, or one that wraps it."""
        module = kind.__module__
        if module != "builtins":
            self._vouched(module)
        found: Any = sys.modules[module]
        for name in kind.__qualname__.split("."):
            found = getattr(found, name, None)
        if found is not kind:
            raise _Unknown
        return f"{module}:{kind.__qualname__}"

    def _vouched(self, module: str) -> None:
        if module.partition(".")[0] not in self._packages:
            raise _Unknown


def _array(array: np.ndarray) -> str:
    """An array with every bit of it."""
    if array.dtype.hasobject:
        raise _Unknown
    data = np.ascontiguousarray(array).tobytes()
    return f"array {array.dtype.str} {array.shape} {data.hex() if len(data) <= 32 else sha256(data).hexdigest()}"
