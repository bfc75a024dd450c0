"""A whole program by NumPy, slowly and plainly: an oracle of everything between lowering and printed text.

Nothing here is fast.  With it a wrong number is found in lowering, in a pass, or in a dialect, and never "somewhere".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from core.errors import BackendError, IndexOutOfBounds, VerifyError
from core.ir.axes import product
from core.ir.check.oracle import evaluate_at, evaluate_lengths, run_kernel
from core.ir.check.verify import verify
from core.ir.clike.cfamily import Dialect
from core.ir.codes import Code
from core.ir.definitions import Operand, Value
from core.ir.expr import Expr
from core.ir.guards import Guard, GuardFailed
from core.ir.iteration import Rows
from core.ir.layouts import Layout, layout_of, passed, window
from core.ir.library import PRODUCTS
from core.ir.nodes import Kernel, Local, Split
from core.ir.passes.memory import size_bytes
from core.ir.program import BlockStep, BranchStep, HostStep, KernelStep, LibraryStep, LoopStep, OpCall, Program, Step
from core.ir.row_blocks import Part, Way
from core.ir.target import HOST, Target
from core.ir.walk import walk
from core.ir.work.launches import launches

_GARBAGE = 0xFF  # what fresh memory is filled with: NaN, -1 and True, which nobody takes for zeros


class Driver:
    """Stands for a backend: ``core.function(..., backend=Driver())`` verifies each program and runs it here.

    It takes the place of the backend of ``dialect``: the same lowerings, libraries and rewrites.  ``target`` chooses
    the schedule, and ``chunk`` how many iterations a chunk has where loops are divided for threads.
    """

    name = "ir"

    def __init__(self, dialect: str = "c", target: Target = HOST, chunk: int | None = None):
        types = {**Dialect(dialect).types, "float16": "uint16_t"}
        table = Dialect(dialect, types, op_function="" if target.is_device else "static int32_t")
        self.dialect, self.dialect_table, self.target, self.chunk = dialect, table, target, chunk

    def compile(self, program: Program, device: Any = None) -> Run:
        """Errors: VerifyError for a program that is not legal."""
        verify(program)
        return Run(program, self.chunk)


class Noting(Driver):
    """Keeps the programs that it is given; ``target``: a device's."""

    def __init__(self, target: Target):
        super().__init__("c", target)
        self.programs: list[Program] = []

    def compile(self, program: Program, device: Any = None) -> Run:
        self.programs.append(program)
        return super().compile(program, device)

    def kernels(self) -> list[Kernel]:
        """The launches of the first program, in order."""
        steps = [step for step in self.programs[0].steps if isinstance(step, KernelStep)]
        return [one for step in steps for one in launches(step.kernel)]


class Run:
    """A program as a function of arrays."""

    def __init__(self, program: Program, chunk: int | None = None):
        self.program, self.chunk = program, chunk
        self.sources: dict[str, str] = {}

    def __call__(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Errors: GuardFailed where lengths do not fit; IndexOutOfBounds for any access outside an array."""
        call = _Call(self.program, arrays, self.chunk)
        for step in self.program.steps:
            call.step(step)
        return [np.array(call.arrays[value]) for value in self.program.outputs]


class _Call:
    """What is in memory during one call.  Values of one slot lie in the same memory."""

    def __init__(self, program: Program, arrays: Sequence[np.ndarray], chunk: int | None):
        self.program, self.chunk = program, chunk
        self.takes: dict[Local, int] = {}  # how loops are divided
        self.arrays: dict[Value, np.ndarray] = {}
        self._slots: dict[int, np.ndarray] = {}
        self.places: dict[Value, np.ndarray] = {}  # outputs that lie where somebody else says
        self._homes: dict[Value, np.ndarray] = {}  # outputs that hold other values before they are made
        self._guards = list(program.guards)
        for value, array in [*zip(program.inputs, arrays, strict=True), *program.constants.items()]:
            self.arrays[value] = (
                _placed(array, program.layouts[value]) if value in program.layouts else _read_only(array)
            )
        for given in program.donors.values():  # the caller gives away whatever may be given
            self.arrays[given] = np.array(self.arrays[given])
        self._check_guards()

    def step(self, step: Step) -> None:
        if isinstance(step, KernelStep):
            for kernel in step.kernels:
                if kernel.split is not None:
                    self._divide(kernel.split)
            for value in step.writes:
                self.arrays[value] = self._memory(value)
            for kernel in step.kernels:
                self._begin(kernel)
                if kernel.split is not None:
                    self._in_chunks(kernel, kernel.split)
                else:
                    run_kernel(kernel, self.arrays, self.takes)
                if any(self.arrays[counter].any() for counter in kernel.counters):
                    raise VerifyError(f"kernel {kernel.name} leaves counters of groups that did not come")
        elif isinstance(step, LibraryStep):
            self._library(step)
        elif isinstance(step, BlockStep):
            self._blocks(step)
        elif isinstance(step, LoopStep):
            self._loop(step)
        elif isinstance(step, BranchStep):
            self._branch(step)
        elif isinstance(step, OpCall):
            self._op_call(step)
        elif isinstance(step, HostStep):
            results = self.program.host_calls[step.index]([self.arrays[value] for value in step.inputs])
            for value, array in zip(step.outputs, results, strict=True):
                self.arrays[value] = _read_only(array)
        elif self.arrays[step.value][()]:
            raise IndexOutOfBounds(step.message, blame=step.node)
        self._check_guards()

    def _begin(self, kernel: Kernel) -> None:
        for counter in kernel.counters:
            self.arrays[counter] = np.zeros(evaluate_lengths(self.program.shapes[counter], {}), counter.dtype)

    def _divide(self, split: Split) -> None:
        n = int(evaluate_at(split.extent, {}, self.arrays))
        self.takes[split.chunk] = chunk = self.chunk or max(n, 1)
        self.takes[split.count] = max(-(-n // chunk), 1)
        self.takes[split.workers] = 2

    def _in_chunks(self, kernel: Kernel, split: Split) -> None:
        """Run the chunks of a loop from the last to the first, by workers in turn."""
        n, chunk = int(evaluate_at(split.extent, {}, self.arrays)), self.takes[split.chunk]
        for number in reversed(range(self.takes[split.count])):
            arrays = dict(self.arrays)
            for value, rows in split.private.items():
                size = int(evaluate_at(product(self.program.shapes[value]), {}, self.arrays))
                arrays[value] = self.arrays[rows][number % 2, :size]
            for value, parts in split.parts.items() if number else ():
                arrays[value] = self.arrays[parts][number - 1, : self.arrays[value].size]
            first = number * chunk
            bounds = {split.first: first, split.last: min(first + chunk, n), split.number: number}
            run_kernel(kernel, arrays, bounds)

    def _memory(self, value: Value) -> np.ndarray:
        """Fresh memory for an output, that of its slot for anything else."""
        shape = evaluate_lengths(self.program.shapes[value], self.arrays, self.takes)
        if value in self.program.kept_in:
            home = self.program.kept_in[value]
            self._homes.setdefault(home, self._memory(home))
            return self._homes[home]
        if value in self._homes:
            return self._homes[value]
        if value in self.places:
            return self.places[value]
        if value in self.program.donors:
            return self.arrays[self.program.donors[value]]
        if value in self.program.outputs:
            return (
                np.full(int(np.prod(shape)) * np.dtype(value.dtype).itemsize, _GARBAGE, "uint8")
                .view(value.dtype)
                .reshape(shape)
            )
        size, slot = self._bytes(size_bytes(value, self.program)), self.program.slots[value]
        if slot not in self._slots:
            self._slots[slot] = np.full(self._bytes(self.program.slot_sizes[slot]), _GARBAGE, "uint8")
        return self._slots[slot][:size].view(value.dtype).reshape(shape)

    def _bytes(self, size: Expr) -> int:
        return int(evaluate_at(size, {}, self.arrays, self.takes))

    def _library(self, step: LibraryStep) -> None:
        """What a routine computes: gemm is known here, of any other the op's own ``perform`` says it."""
        operands = [self._operand(operand) for operand in step.operands]
        for value in step.outputs:
            self.arrays[value] = self._memory(value)
        if step.call.name in PRODUCTS:
            results = [np.matmul(*operands)]
        elif step.call.name == "gemm_add":
            a, b, start, *factor = operands
            alpha = np.asarray(dict(step.call.attributes)["alpha"], a.dtype)
            results = [start + (alpha * factor[0] if factor else alpha) * np.matmul(a, b)]
        else:
            node = step.outputs[0].node
            if node is None:
                raise BackendError(f"the oracle knows gemm, and no op of the library routine {step.call.name!r}")
            storage: list[list] = [[None] for _ in step.outputs]
            node.op.perform(node, operands, storage)
            results = [cell[0] for cell in storage]
        for value, placed, result in zip(step.outputs, step.results, results, strict=True):
            shape = self.arrays[value].shape
            if result.shape != evaluate_lengths(placed.shape, self.arrays):
                raise BackendError(f"{step.call.name} of {value} needs shape {shape}, got {result.shape}")
            self.arrays[value][...] = result.reshape(shape)

    def _blocks(self, step: BlockStep) -> None:
        """Run a program for each block, from the last piece to the first."""
        for value in step.writes:
            self.arrays[value] = self._memory(value)
        for part in step.blocks.outputs:
            if part.way is Way.GROWN:
                self.arrays[part.value][...] = 0 if part.start is None else self.arrays[part.start]
                self.arrays[part.pieces][...] = 0
        blocks = step.blocks
        count, rows, together = (self._bytes(n) for n in (blocks.count, blocks.rows, blocks.together))
        for first in reversed(range(0, count, rows * together)):
            for at in range(first, min(first + rows * together, count), rows):
                self._block(step, at, min(rows, count - at), first // (rows * together), at // rows)
        for part in step.blocks.outputs:
            for more in self.arrays[part.pieces] if part.way is Way.GROWN else ():
                self.arrays[part.value][...] += more.reshape(self.arrays[part.value].shape)

    def _block(self, step: BlockStep, first: int, rows: int, piece: int, number: int) -> None:
        """What is done with some rows: its arrays are windows of those that are here."""
        limits, lengths = (list(map(self._bytes, all)) for all in (step.blocks.limits, step.blocks.lengths))
        here = [max(min(limit - first, rows), 0) for limit in limits]
        measures = np.broadcast_to(np.zeros((), "bool"), (rows, first, *here, *lengths))
        body = step.body

        def window(part: Part, value: Value) -> np.ndarray:
            whole = self.arrays[part.value]
            if part.way is Way.GROWN and piece:
                return self.arrays[part.pieces][piece - 1].reshape(whole.shape)
            if part.way is Way.ROWS:
                n = evaluate_lengths(body.shapes[value], {body.inputs[0]: measures})[0]
                return whole[first : first + n]
            if part.way is Way.EACH:
                return whole[number : number + 1].reshape(whole.shape[1:])
            return whole

        pairs = [*zip(step.blocks.inputs, body.inputs[1:], strict=True)]
        call = _Call(body, [measures, *(window(*pair) for pair in pairs)], None)
        for part, value in zip(step.blocks.outputs, body.outputs, strict=True):
            call.places[value] = window(part, value)
        for inner in body.steps:
            call.step(inner)

    def _loop(self, step: LoopStep) -> None:
        """Run a program for each step, on windows of the arrays that are here."""
        for value in step.writes:
            self.arrays[value] = self._memory(value)
        own, body = step.iteration, step.body
        n = self._bytes(own.n)
        traces = []
        for state in own.states:
            initial = self.arrays[state.initial]
            rows = np.full((state.span + n) * initial[:1].nbytes, _GARBAGE, "uint8").view(initial.dtype)
            traces.append(rows.reshape(state.span + n, *initial.shape[1:]))
            traces[-1][: state.span] = initial
        done = n
        for i in range(n):
            given = [self._row(rows, i) for rows in own.sequences]
            pairs = list(zip(own.states, traces, strict=True))
            given += [trace[i + state.span + tap, ...] for state, trace in pairs for tap in state.taps]
            call = _Call(body, [*given, *(self.arrays[value] for value in own.wholes)], self.chunk)
            stop = np.zeros((), "bool")
            places = [trace[i + state.span, ...] for state, trace in pairs]
            made = n - 1 - i if own.backwards else i
            places += [self.arrays[value][made, ...] for value in own.results] + [stop]
            call.places.update(zip(body.outputs, places, strict=False))
            for inner in body.steps:
                call.step(inner)
            if stop:
                done = i + 1
                break
        for state, trace in zip(own.states, traces, strict=True):
            rows = trace if state.room is None else trace[done : done + state.span]
            self.arrays[state.kept][...] = rows
        if own.done is not None:
            self.arrays[own.done][...] = done

    def _branch(self, step: BranchStep) -> None:
        """Run the program that is taken; nobody reads what only the other one makes."""
        for value in step.writes:
            self.arrays[value] = self._memory(value)
        number = 0 if self.arrays[step.choice.condition][()] else 1
        side = step.choice.sides[number]
        try:
            call = _Call(side.body, [self.arrays[value] for value in side.inputs], self.chunk)
        except GuardFailed as failed:
            own = step.guards[number][side.body.guards.index(failed.guard)]
            raise GuardFailed(own, failed.a, failed.b) from None
        call.places.update(zip(side.body.outputs, (self.arrays[value] for value in side.outputs), strict=True))
        for inner in side.body.steps:
            call.step(inner)

    def _row(self, rows: Rows, i: int) -> np.ndarray:
        start, step = (int(evaluate_at(n, {}, self.arrays)) for n in (rows.start, rows.step))
        at = start + i * step
        if not 0 <= at < len(self.arrays[rows.value]):
            raise IndexOutOfBounds(f"a step reads row {at} of {rows.value}")
        return self.arrays[rows.value][at, ...]

    def _op_call(self, step: OpCall) -> None:
        """What an op's C computes: its ``perform`` says it."""
        if not step.node.op.defines("perform"):
            raise BackendError(f"the oracle runs no C, and {step.node.op} has no perform", blame=step.node)
        inputs = [np.array(self.arrays[value]) for value in step.inputs]
        storage: list[list] = [[None] for _ in step.outputs]
        step.node.op.perform(step.node, inputs, storage)
        for value, (result,) in zip(step.outputs, storage, strict=True):
            memory = self._memory(value)
            if np.shape(result) != memory.shape:
                raise BackendError(
                    f"infer_shape of {step.node.op} gives {memory.shape}, but perform made {np.shape(result)}",
                    blame=step.node,
                )
            memory[...] = result
            self.arrays[value] = memory

    def _operand(self, operand: Operand) -> np.ndarray:
        """The elements that a library call reads.  Errors: IndexOutOfBounds where some lie outside the array."""
        array = self.arrays[operand.value]
        shape = evaluate_lengths(operand.shape, self.arrays)
        strides = [int(evaluate_at(n, {}, self.arrays)) for n in operand.strides]
        offset = int(evaluate_at(operand.offset, {}, self.arrays))
        at = np.full(shape, offset)
        for axis, (n, stride) in enumerate(zip(shape, strides, strict=True)):
            at += (stride * np.arange(n)).reshape((n,) + (1,) * (len(shape) - 1 - axis))
        if at.size and not (0 <= at.min() and at.max() < array.size):
            raise IndexOutOfBounds(f"a library call reads elements {at.min()} to {at.max()} of {operand.value}")
        return array.reshape(-1)[at] if array.size else np.zeros(shape, array.dtype)

    def _check_guards(self) -> None:
        """Check each guard as soon as what it speaks of is there."""
        waiting: list[Guard] = []
        for guard in self._guards:
            if not self._is_known(guard):
                waiting.append(guard)
                continue
            a, b = (int(evaluate_at(n, {}, self.arrays)) for n in (guard.a, guard.b))
            if not holds(guard.kind, a, b):
                raise GuardFailed(guard, a, b)
        self._guards = waiting

    def _is_known(self, guard: Guard) -> bool:
        return all(value in self.arrays for value in mentioned([guard.a, guard.b]))


def mentioned(roots: Iterable[Expr]) -> set[Value]:
    """The values that expressions load from or take lengths of."""
    found = set()
    for e in walk(roots):
        if e.code is Code.LOAD:
            found.add(e.payload)
        elif e.code is Code.LENGTH:
            found.add(e.payload[0])
    return found


def holds(kind: str, a: int, b: int) -> bool:
    """Whether a guard is content with its two lengths."""
    if kind == "range":
        return -b <= a < b
    if kind in ("within", "short"):
        return a <= b
    if kind == "tall":
        return a > b
    return a > 0 if kind == "positive" else a == b


class _Placed(np.ndarray):
    """The memory of an array that does not lie row by row; ``passed`` are the integers that come with it."""

    passed: list[int]


def _placed(array: np.ndarray, layout: Layout) -> np.ndarray:
    """Errors: BackendError for an array that does not lie like that."""
    if layout_of(array) != layout:
        raise BackendError(f"the program is for an array that lies as {layout}, not as {layout_of(array)}")
    placed = _read_only(window(array)).view(_Placed)
    placed.passed = passed(array, layout)
    return placed


def _read_only(array: np.ndarray) -> np.ndarray:
    """A copy in row-major order that nobody may write to; what only stands for lengths is not written out."""
    if array.ndim and not any(array.strides):
        return array
    array = np.array(array, order="C")
    array.flags.writeable = False
    return array
