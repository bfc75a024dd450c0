"""What a graph is lowered to first: values, each with a definition of its elements.  Data only, no passes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from core.dataclass import dataclass, field, replace
from core.ir.axes import product
from core.ir.codes import Combine
from core.ir.expr import Expr, const
from core.ir.layouts import Layout
from core.ir.library import LibraryCall
from core.ir.rebuild import loads_in


class Value:
    """A tensor of the program, before and after it is decided whether it becomes a buffer.  Compares by identity."""

    __slots__ = ("name", "dtype", "node")

    def __init__(self, name: str, dtype: str, node: Any = None):
        self.name, self.dtype, self.node = name, dtype, node

    def __str__(self) -> str:
        return self.name

    __repr__ = __str__


class Defined:
    """What passes ask of every definition again and again: it is worked out once."""

    shape: tuple[Expr, ...]

    @cached_property
    def expressions(self) -> tuple[Expr, ...]:
        """Every expression that it is made of, its axes excepted."""
        return (*self.shape, *self._others())

    @cached_property
    def loads(self) -> tuple[Expr, ...]:
        """Every LOAD below these, once, those inside an index first."""
        return tuple(loads_in(self.expressions))

    def _others(self) -> Iterable[Expr]:
        """The expressions besides the shape."""
        return ()


@dataclass(frozen=True, eq=False)
class Given(Defined):
    """Its elements come from outside: an argument of the function, a constant, or the result of an opaque step."""

    shape: tuple[Expr, ...]
    axes: tuple[Expr, ...]


@dataclass(frozen=True, eq=False)
class Pointwise(Defined):
    """Element ``axes`` is ``expr``."""

    shape: tuple[Expr, ...]
    axes: tuple[Expr, ...]
    expr: Expr

    def _others(self) -> Iterable[Expr]:
        return (self.expr,)


@dataclass(frozen=True, eq=False)
class Reduction(Defined):
    """Element ``axes`` combines ``body`` over all ``bound`` variables, each below its extent."""

    shape: tuple[Expr, ...]
    axes: tuple[Expr, ...]
    combine: Combine
    bound: tuple[Expr, ...]
    extents: tuple[Expr, ...]
    body: Expr

    def _others(self) -> Iterable[Expr]:
        return (*self.extents, self.body)


@dataclass(frozen=True, eq=False)
class Scattering(Defined):
    """Element ``axes`` is ``base``; then, for all ``bound`` in order, ``at`` is set to, or grows by, ``value``."""

    shape: tuple[Expr, ...]
    axes: tuple[Expr, ...]
    base: Expr
    bound: tuple[Expr, ...]
    extents: tuple[Expr, ...]
    at: tuple[Expr, ...]
    value: Expr
    combine: Combine | None  # ADD, or None to set

    def _others(self) -> Iterable[Expr]:
        return (self.base, *self.extents, *self.at, self.value)


@dataclass(frozen=True)
class Operand:
    """An array that a library call reads: elements of a stored value, in place.

    shape    the lengths of its axes;  strides  how many elements apart neighbours along each axis are
    offset   where the first element is, in elements

    Of the last two axes one has stride 1, and the other a stride no less than the length of the first.  Axes before
    them may have stride 0.
    """

    value: Value
    shape: tuple[Expr, ...]
    strides: tuple[Expr, ...]
    offset: Expr = field(default_factory=lambda: const(0))

    @classmethod
    def whole(cls, value: Value, shape: tuple[Expr, ...]) -> Operand:
        """A stored value of that shape as it lies, in row-major order."""
        return cls(value, shape, tuple(product(shape[axis + 1 :]) for axis in range(len(shape))))

    @property
    def lengths(self) -> tuple[Expr, ...]:
        """All that is to be known when the function runs."""
        return (*self.shape, *self.strides, self.offset)

    def map(self, new: Callable[[Expr], Expr]) -> Operand:
        """The same with ``new`` applied to each length."""
        return Operand(self.value, tuple(map(new, self.shape)), tuple(map(new, self.strides)), new(self.offset))

    def __str__(self) -> str:
        strides = ", ".join(map(str, self.strides))
        return f"{self.value}[{self.offset} + ({strides})]"


@dataclass(frozen=True, eq=False)
class FromLibrary(Defined):
    """One output of a library call."""

    shape: tuple[Expr, ...]
    axes: tuple[Expr, ...]
    call: LibraryCall
    operands: tuple[Operand, ...]
    outputs: tuple[Value, ...]
    merged: int = 0  # so many leading axes are one with the next for the call: see with_rows_merged

    def _others(self) -> Iterable[Expr]:
        return [n for operand in self.operands for n in operand.lengths]


def with_rows_merged(shape: tuple[Expr, ...], lead: int) -> tuple[Expr, ...]:
    """A shape whose ``lead`` first axes and the one behind them are seen as one."""
    return (product(shape[: lead + 1]), *shape[lead + 1 :]) if lead else shape


@dataclass(frozen=True, eq=False)
class FromLoops(Defined):
    """One output of an op that writes its own loops; ``write(builder, *buffers)`` does, on inputs and then outputs.

    elements  for each input that the loops may compute where they need it, its element at ``axes``; else None
    """

    shape: tuple[Expr, ...]
    axes: tuple[Expr, ...]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    write: Callable[..., None]
    elements: tuple[Expr | None, ...] = ()

    def _others(self) -> Iterable[Expr]:
        return [e for e in self.elements if e is not None]


@dataclass(frozen=True, eq=False)
class FromC(FromLoops):
    """One output of an op whose author says in C what it computes; ``write`` is the core.ccode.CCode that does.

    Its inputs are those of the op, and then, if it has any, its parameters: a constant of bytes.
    """


@dataclass(frozen=True, eq=False)
class FromBlocks(FromLoops):
    """One output of what is done with rows, block by block; ``write`` is the Blocks that say it."""

    write: Any


@dataclass(frozen=True, eq=False)
class FromSteps(FromLoops):
    """One output of an iteration; ``write`` is the Iteration that says it."""

    write: Any

    def _others(self) -> Iterable[Expr]:
        return self.write.sizes


@dataclass(frozen=True, eq=False)
class FromChoice(FromLoops):
    """One output of a choice; ``write`` is the Choice that says it."""

    write: Any

    def _others(self) -> Iterable[Expr]:
        return self.write.sizes


HOLD_GRAPHS = (FromSteps, FromChoice)  # what they ``write`` has ``sizes``, and ``map`` to change them

Definition: TypeAlias = Given | Pointwise | Reduction | Scattering | FromLibrary | FromLoops


@dataclass
class Lowered:
    """A graph as values with definitions, each after those it reads; nothing decided yet about loops or buffers."""

    name: str
    definitions: dict[Value, Definition]
    inputs: list[Value]
    outputs: list[Value]
    constants: dict[Value, np.ndarray]
    host_nodes: list[tuple[Any, tuple[Value, ...], tuple[Value, ...]]] = field(default_factory=list)
    checks: dict[Value, str] = field(default_factory=dict)  # 0-d bool values that must be false, and the error's text
    requires: dict[Value, list[Value]] = field(default_factory=dict)  # which checks come before a value is computed
    provided: frozenset[str] = frozenset()  # routines that passes may call, because some library has them
    layouts: dict[Value, Layout] = field(default_factory=dict)  # of inputs that do not lie row by row
    kernels: str = "k"  # what names of kernels begin with


def operands_of(definition: Definition) -> tuple[Value, ...]:
    """The values that a definition reads as a whole, from memory."""
    if isinstance(definition, FromLibrary):
        return tuple(operand.value for operand in definition.operands)
    if not isinstance(definition, FromLoops):
        return ()
    if not definition.elements:
        return definition.inputs
    pairs = zip(definition.inputs, definition.elements, strict=True)
    return tuple(value for value, element in pairs if element is None)


def with_elements(definition: FromLoops, new: Callable[[Expr], Expr]) -> FromLoops:
    """The same loops with ``new`` applied to each element that they compute."""
    if not definition.elements:
        return definition
    return replace(definition, elements=tuple(None if e is None else new(e) for e in definition.elements))
