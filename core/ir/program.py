"""What a graph is lowered to: values with definitions, then a program of steps over buffers.  Data only, no passes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from core.ir.expr import Combine, Expr, show
from core.ir.nodes import Kernel

# --- values --------------------------------------------------------------------------------------------------------


class Value:
    """A tensor of the program, before and after it is decided whether it becomes a buffer.  Compares by identity."""

    __slots__ = ("name", "dtype", "node")

    def __init__(self, name: str, dtype: str, node: Any = None):
        self.name, self.dtype, self.node = name, dtype, node

    def __str__(self) -> str:
        return self.name

    __repr__ = __str__


@dataclass(frozen=True, eq=False)
class Given:
    """Its elements come from outside: an argument of the function, a constant, or the result of an opaque step."""

    shape: tuple[Expr, ...]
    axes: tuple[Expr, ...]


@dataclass(frozen=True, eq=False)
class Pointwise:
    """Element ``axes`` is ``expr``."""

    shape: tuple[Expr, ...]
    axes: tuple[Expr, ...]
    expr: Expr


@dataclass(frozen=True, eq=False)
class Reduction:
    """Element ``axes`` combines ``body`` over all ``bound`` variables, each below its extent."""

    shape: tuple[Expr, ...]
    axes: tuple[Expr, ...]
    combine: Combine
    bound: tuple[Expr, ...]
    extents: tuple[Expr, ...]
    body: Expr


@dataclass(frozen=True, eq=False)
class Scattering:
    """Element ``axes`` is ``base``; then, for all ``bound`` in order, ``at`` is set to, or grows by, ``value``."""

    shape: tuple[Expr, ...]
    axes: tuple[Expr, ...]
    base: Expr
    bound: tuple[Expr, ...]
    extents: tuple[Expr, ...]
    at: tuple[Expr, ...]
    value: Expr
    combine: Combine | None  # ADD, or None to set


@dataclass(frozen=True)
class LibraryCall:
    """A named routine that a library plugin binds.  ``gemm``: operands (m, k) and (k, n), float32 or float64."""

    name: str
    attributes: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True)
class Operand:
    """An argument of a library call: a stored matrix, read as it lies or transposed."""

    value: Value
    transposed: bool = False


@dataclass(frozen=True, eq=False)
class FromLibrary:
    """The result of a library call."""

    shape: tuple[Expr, ...]
    axes: tuple[Expr, ...]
    call: LibraryCall
    operands: tuple[Operand, ...]
    sizes: tuple[Expr, ...]  # gemm: m, n, k


@dataclass(frozen=True, eq=False)
class FromLoops:
    """One output of an op that writes its own loops; ``write(builder, *buffers)`` does, on inputs and then outputs."""

    shape: tuple[Expr, ...]
    axes: tuple[Expr, ...]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    write: Callable[..., None]


Definition: TypeAlias = Given | Pointwise | Reduction | Scattering | FromLibrary | FromLoops


# --- guards --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Guard:
    """A condition on lengths, checked before anything is written.

    kind  "join": a == b, or else one of them is 1 and the function is specialised for that
          "same": a == b;  "one": a == 1 (this program was made for that);  "range": -b <= a < b;  "within": a <= b;
          "positive": a > 0
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
        sign = {"join": "==", "same": "==", "one": "==", "range": "indexes", "within": "<=", "positive": ">"}[self.kind]
        return f"{show(self.a)} {sign} {show(self.b)} for {self.who}"


class GuardFailed(Exception):
    """A guard did not hold: which one, and the two lengths."""

    def __init__(self, guard: Guard, a: int, b: int):
        super().__init__(f"{guard}: {a} and {b}")
        self.guard, self.a, self.b = guard, a, b


# --- steps ---------------------------------------------------------------------------------------------------------


@dataclass
class KernelStep:
    """Run a kernel of loops."""

    kernel: Kernel

    @property
    def reads(self) -> Sequence[Value]:
        return self.kernel.reads

    @property
    def writes(self) -> Sequence[Value]:
        return self.kernel.writes


@dataclass
class LibraryStep:
    """Call a library routine."""

    call: LibraryCall
    operands: tuple[Operand, ...]
    output: Value
    sizes: tuple[Expr, ...]  # gemm: m, n, k

    @property
    def reads(self) -> Sequence[Value]:
        return [operand.value for operand in self.operands]

    @property
    def writes(self) -> Sequence[Value]:
        return [self.output]


@dataclass
class HostStep:
    """Call back into Python for an op that only has ``perform``."""

    index: int  # among the program's host ops
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]

    @property
    def reads(self) -> Sequence[Value]:
        return self.inputs

    @property
    def writes(self) -> Sequence[Value]:
        return self.outputs


@dataclass
class CheckStep:
    """Stop with an error when the 0-d bool ``value`` is true: an index was out of range."""

    value: Value
    message: str
    node: Any = None

    @property
    def reads(self) -> Sequence[Value]:
        return [self.value]

    @property
    def writes(self) -> Sequence[Value]:
        return []


Step: TypeAlias = KernelStep | LibraryStep | HostStep | CheckStep


@dataclass
class Program:
    """An ordered list of steps over planned buffers.

    Each value that is stored is an argument, an output, a constant, made by a host step, or has a slot of the arena.
    ``guards`` hold before the first step.  ``slots[v]`` is the slot of a value; ``slot_sizes`` are in bytes.
    """

    name: str
    inputs: list[Value]
    outputs: list[Value]
    constants: dict[Value, np.ndarray]
    steps: list[Step]
    guards: list[Guard]
    shapes: dict[Value, tuple[Expr, ...]]
    host_nodes: list[Any] = field(default_factory=list)
    host_calls: list[Callable[[Sequence[np.ndarray]], list[np.ndarray]]] = field(default_factory=list)
    slots: dict[Value, int] = field(default_factory=dict)
    slot_sizes: list[Expr] = field(default_factory=list)

    @property
    def made(self) -> list[Value]:
        """The outputs that steps other than host calls write, each once: what a backend allocates."""
        written = {value for step in self.steps if not isinstance(step, HostStep) for value in step.writes}
        return [value for value in dict.fromkeys(self.outputs) if value in written]

    def __str__(self) -> str:
        lines = [f"program {self.name}({', '.join(map(str, self.inputs))}) -> {', '.join(map(str, self.outputs))}"]
        lines += [f"  requires {guard}" for guard in self.guards]
        lines += [f"  slot {k}: {show(size)} bytes" for k, size in enumerate(self.slot_sizes)]
        for step in self.steps:
            lines += ["  " + line for line in _shown(step)]
        return "\n".join(lines)


def _shown(step: Step) -> list[str]:
    if isinstance(step, KernelStep):
        return str(step.kernel).splitlines()
    if isinstance(step, LibraryStep):
        operands = ", ".join(f"{o.value}.T" if o.transposed else f"{o.value}" for o in step.operands)
        return [f"{step.output} = {step.call.name}({operands})"]
    if isinstance(step, HostStep):
        return [f"{', '.join(map(str, step.outputs))} = host call {step.index}({', '.join(map(str, step.inputs))})"]
    return [f"stop if {step.value}: {step.message}"]


# --- before the passes ---------------------------------------------------------------------------------------------


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


def expressions_of(definition: Definition) -> tuple[Expr, ...]:
    """Every expression that a definition is made of, its axes excepted."""
    if isinstance(definition, Pointwise):
        return (*definition.shape, definition.expr)
    if isinstance(definition, Reduction):
        return (*definition.shape, *definition.extents, definition.body)
    if isinstance(definition, FromLibrary):
        return (*definition.shape, *definition.sizes)
    if isinstance(definition, Scattering):
        own = definition
        return (*own.shape, own.base, *own.extents, *own.at, own.value)
    return definition.shape


def operands_of(definition: Definition) -> tuple[Value, ...]:
    """The values that a definition reads as a whole, from memory."""
    if isinstance(definition, FromLibrary):
        return tuple(operand.value for operand in definition.operands)
    return definition.inputs if isinstance(definition, FromLoops) else ()
