"""What a lowered graph becomes: a program, which is a list of steps over planned buffers.  Data only, no passes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from core.dataclass import dataclass, field
from core.ir.definitions import Operand, Value
from core.ir.expr import Expr
from core.ir.guards import Guard
from core.ir.layouts import Layout
from core.ir.library import LibraryCall
from core.ir.nodes import Kernel
from core.ir.rebuild import loads_in

if TYPE_CHECKING:  # few programs have any
    from core.ir.choice import Choice
    from core.ir.iteration import Iteration
    from core.ir.row_blocks import Blocks, Part


@dataclass
class KernelStep:
    """Run the pieces of a kernel of loops, one after the other: most have one, those for threads may have more.

    overwrites  values that it writes -> those that lie in the same memory, which it reads there (passes/in_place.py)
    """

    kernel: Kernel
    then: Sequence[Kernel] = ()
    overwrites: dict[Value, Value] = field(default_factory=dict)

    @property
    def kernels(self) -> Sequence[Kernel]:
        return (self.kernel, *self.then)

    @property
    def reads(self) -> Sequence[Value]:
        written = set(self.writes)
        read = [v for kernel in self.kernels for v in kernel.reads if v not in written]
        return list(dict.fromkeys([*read, *self.overwrites.values()]))

    @property
    def writes(self) -> Sequence[Value]:
        """What the pieces store to, counters excepted: of scratch, and of what grows chunk by chunk, there are more."""
        found: dict[Value, None] = {}
        for kernel in self.kernels:
            rows = kernel.split.private if kernel.split is not None else {}
            own = (value for value in kernel.writes if value not in kernel.counters)
            found.update(dict.fromkeys(rows.get(value, value) for value in own))
            if kernel.split is not None:
                found.update(dict.fromkeys(kernel.split.parts.values()))
        return list(found)


@dataclass
class LibraryStep:
    """Call a library routine."""

    call: LibraryCall
    operands: tuple[Operand, ...]
    results: tuple[Operand, ...]  # where the outputs are written, whole

    @property
    def outputs(self) -> tuple[Value, ...]:
        return tuple(result.value for result in self.results)

    @property
    def reads(self) -> Sequence[Value]:
        return list(dict.fromkeys([o.value for o in self.operands] + [e.payload for e in loads_in(self.lengths)]))

    @property
    def writes(self) -> Sequence[Value]:
        return self.outputs

    @property
    def lengths(self) -> tuple[Expr, ...]:
        """All that is to be known of its arrays when it runs."""
        return tuple(n for array in (*self.operands, *self.results) for n in array.lengths)


@dataclass
class OpCall:
    """Call what the author of an op wrote in C.

    code     the core.ccode.CCode that says it;  params  a constant that holds its parameters, as bytes
    """

    node: Any
    code: Any
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    params: Value | None = None

    @property
    def reads(self) -> Sequence[Value]:
        params = () if self.params is None else (self.params,)
        return list(dict.fromkeys([*self.inputs, *params]))

    @property
    def writes(self) -> Sequence[Value]:
        return self.outputs

    @property
    def overwrites(self) -> tuple[tuple[int, int], ...]:
        """Pairs of (output, input): the code finds the elements of that input in the memory of that output."""
        return tuple((out, position) for out, positions in self.node.op.destroy_map.items() for position in positions)


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


@dataclass
class BlockStep:
    """Run a program once for each block of rows; steps of it are kernels without pieces, and products."""

    blocks: Blocks
    body: Program

    @property
    def parts(self) -> tuple[Part, ...]:
        return (*self.blocks.inputs, *self.blocks.outputs)

    @property
    def reads(self) -> Sequence[Value]:
        made = {part.value for part in self.blocks.outputs}
        read = [part.value for part in self.blocks.inputs if part.value not in made]
        read += [part.start for part in self.blocks.outputs if part.start is not None]
        return list(dict.fromkeys([*read, *(e.payload for e in loads_in(self.blocks.sizes))]))

    @property
    def writes(self) -> Sequence[Value]:
        pieces = [part.pieces for part in self.blocks.outputs if part.pieces is not None]
        return list(dict.fromkeys([*(part.value for part in self.blocks.outputs), *pieces]))


@dataclass
class LoopStep:
    """Run a program again and again, each time with other rows of arrays; ``node`` is whose steps they are.

    alone  on a device: a core.ir.work.alone.Alone, which does all of it, for lengths for which that is worth while
    """

    iteration: Iteration
    body: Program
    node: Any = None
    alone: Any = None

    @property
    def reads(self) -> Sequence[Value]:
        return list(dict.fromkeys([*self.iteration.reads, *(e.payload for e in loads_in(self.iteration.sizes))]))

    @property
    def writes(self) -> Sequence[Value]:
        return self.iteration.writes


@dataclass
class BranchStep:
    """Run one of two programs; ``node`` is whose they are.

    guards  of each: what its own demand of lengths, in those of the program around
    """

    choice: Choice
    guards: tuple[Sequence[Guard], Sequence[Guard]]
    node: Any = None

    @property
    def bodies(self) -> tuple[Program, Program]:
        first, second = self.choice.sides
        return first.body, second.body

    @property
    def reads(self) -> Sequence[Value]:
        return list(dict.fromkeys([*self.choice.reads, *(e.payload for e in loads_in(self.choice.sizes))]))

    @property
    def writes(self) -> Sequence[Value]:
        return self.choice.writes


Step: TypeAlias = KernelStep | LibraryStep | OpCall | HostStep | CheckStep | BlockStep | LoopStep | BranchStep


@dataclass
class Program:
    """An ordered list of steps over planned buffers.

    Each value that is stored is an argument, an output, a constant, made by a host step, or has a slot of the arena.
    Of an input in ``layouts``, ``shapes`` says what lies in memory, and the lengths that come with it are those of the
    array, then ``Layout.moves``.  ``guards`` hold before the first step.  ``slots[v]`` is the slot of a value;
    ``slot_sizes`` are in bytes.  A value may be ``kept_in`` the memory of an output that a library call later makes of
    it.
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
    routines: dict[str, Any] = field(default_factory=dict)  # of library calls: what a plugin gave to bind each
    slots: dict[Value, int] = field(default_factory=dict)
    slot_sizes: list[Expr] = field(default_factory=list)
    kept_in: dict[Value, Value] = field(default_factory=dict)
    layouts: dict[Value, Layout] = field(default_factory=dict)
    donors: dict[Value, Value] = field(default_factory=dict)  # outputs -> inputs that they may lie in the place of

    def passed_with(self, value: Value) -> int:
        """How many integers come with an input."""
        layout = self.layouts.get(value)
        return len(self.shapes[value]) if layout is None else layout.ndim + layout.extras

    @cached_property
    def made(self) -> list[Value]:
        """The outputs that steps other than host calls write, each once: what a backend allocates.

        Nobody asks before all steps are there.
        """
        written = {value for step in self.steps if not isinstance(step, HostStep) for value in step.writes}
        return [value for value in dict.fromkeys(self.outputs) if value in written]

    @cached_property
    def counters(self) -> list[Value]:
        """What groups arrive at: memory that is zero before the first call, as it is behind each."""
        kernels = (kernel for step in self.steps if isinstance(step, KernelStep) for kernel in step.kernels)
        return [value for kernel in kernels for value in kernel.counters]

    @cached_property
    def all(self) -> list[Program]:
        """This program, and those inside of its steps, the innermost last."""
        return [self, *(one for step in self.steps for body in bodies_of(step) for one in body.all)]

    def __str__(self) -> str:
        lines = [f"program {self.name}({', '.join(map(str, self.inputs))}) -> {', '.join(map(str, self.outputs))}"]
        lines += [f"  requires {guard}" for guard in self.guards]
        lines += [f"  slot {k}: {size} bytes" for k, size in enumerate(self.slot_sizes)]
        for step in self.steps:
            lines += ["  " + line for line in _shown(step)]
        return "\n".join(lines)


def bodies_of(step: Step) -> Sequence[Program]:
    """The programs inside of a step."""
    if isinstance(step, BranchStep):
        return step.bodies
    return (step.body,) if isinstance(step, (BlockStep, LoopStep)) else ()


def _shown(step: Step) -> list[str]:
    if isinstance(step, KernelStep):
        return [line for kernel in step.kernels for line in str(kernel).splitlines()]
    if isinstance(step, LibraryStep):
        outputs, operands = ", ".join(map(str, step.outputs)), ", ".join(map(str, step.operands))
        return [f"{outputs} = {step.call.name}({operands})"]
    if isinstance(step, OpCall):
        return [f"{', '.join(map(str, step.outputs))} = c_code of {step.node.op}({', '.join(map(str, step.inputs))})"]
    if isinstance(step, HostStep):
        return [f"{', '.join(map(str, step.outputs))} = host call {step.index}({', '.join(map(str, step.inputs))})"]
    if isinstance(step, BlockStep):
        outputs = ", ".join(f"{part.value} ({part.way.value})" for part in step.blocks.outputs)
        head = f"{outputs} = {step.body.name}, for blocks of {step.blocks.rows} of {step.blocks.count} rows"
        return [head, *(f"  {line}" for line in str(step.body).splitlines())]
    if isinstance(step, LoopStep):
        head = f"{', '.join(map(str, step.writes))} = {step.body.name}, {step.iteration.n} times"
        return [head, *(f"  {line}" for line in str(step.body).splitlines())]
    if isinstance(step, BranchStep):
        first, second = step.bodies
        head = f"{', '.join(map(str, step.writes))} = {first.name} if {step.choice.condition} else {second.name}"
        return [head, *(f"  {line}" for body in step.bodies for line in str(body).splitlines())]
    return [f"stop if {step.value}: {step.message}"]
