"""What a legal program is.  ``verify`` raises for one that is not: a mistake of a pass, or of an op's ``kernel``.

Tests verify every program they compile; nothing here runs for users.  Whether the numbers are right is not asked here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from itertools import pairwise
from typing import Any

from core.ir.axes import product
from core.ir.check.verify_expr import check_types, fail
from core.ir.check.verify_kernel import roots_of, verify_kernel
from core.ir.codes import Code
from core.ir.definitions import Operand, Value
from core.ir.expr import INDEX_DTYPE, Expr, length
from core.ir.library import PRODUCTS
from core.ir.nodes import (
    Local,
)
from core.ir.passes.donation import beginnings
from core.ir.passes.in_place import Places
from core.ir.passes.memory import size_bytes, taken_over
from core.ir.program import (
    BlockStep,
    BranchStep,
    CheckStep,
    HostStep,
    KernelStep,
    LibraryStep,
    LoopStep,
    OpCall,
    Program,
    Step,
)
from core.ir.rebuild import loads_in
from core.ir.row_blocks import Part, Way
from core.ir.show import show
from core.ir.walk import walk

_GUARDS = frozenset({"join", "same", "one", "range", "within", "positive", "short", "tall", "alike"})


def verify(program: Program) -> None:
    """Errors: VerifyError, which names the step or kernel, the statement and the rule that is broken."""
    _Steps(program).check()
    _check_slots(program)
    _check_donors(program)


# --- programs ------------------------------------------------------------------------------------------------------


class _Steps:
    """Walks over the steps; ``known`` are the values that hold something so far, ``measured`` those with lengths."""

    def __init__(self, program: Program):
        self.program = program
        self.known: set[Any] = {*program.inputs, *program.constants}
        self.measured: set[Any] = set(self.known)

    def check(self) -> None:
        program, names = self.program, set()
        kept = _read_elsewhere(program)
        _check_scratch(program)
        for position, step in enumerate(program.steps):
            where = f"step {position} of {program.name}"
            for kernel in step.kernels if isinstance(step, KernelStep) else ():
                if kernel.name in names:
                    fail(where, f"the name {kernel.name!r} belongs to another kernel")
                names.add(kernel.name)
                verify_kernel(kernel, kept.get(position, set()))
            self._step(step, where)
        for value in program.outputs:
            if value not in self.known:
                fail(program.name, f"no step writes the output {value}")
        for guard in program.guards:
            if guard.kind not in _GUARDS:
                fail(program.name, f"a guard of kind {guard.kind!r} means nothing")
            self._lengths([guard.a, guard.b], f"the guard {guard}")

    def _step(self, step: Step, where: str) -> None:
        for value in step.reads:
            if value not in self.known:
                fail(where, f"it reads {value}, which no step before it writes")
        for value in step.writes:
            if value in self.known:
                fail(where, f"it writes {value}, which has its elements already")
        if isinstance(step, HostStep):
            self._lengths([n for value in step.inputs for n in self.program.shapes[value]], where)
            self.measured.update(step.outputs)
        else:
            splits = [k.split for k in step.kernels if k.split] if isinstance(step, KernelStep) else []
            known = {local for split in splits for local in (split.count, split.workers)}
            self._lengths([n for value in step.writes for n in self.program.shapes[value]], where, known)
            self._lengths([n for split in splits for n in (split.extent, split.work, split.least)], where)
        if isinstance(step, KernelStep):
            roots = [e for kernel in step.kernels for e in walk(roots_of(kernel.body))]
            self._lengths([e for e in roots if e.code is Code.LENGTH], where)
        elif isinstance(step, LibraryStep):
            self._library(step, where)
        elif isinstance(step, OpCall):
            self._op_call(step, where)
        elif isinstance(step, BlockStep):
            self._blocks(step, where)
        elif isinstance(step, LoopStep):
            self._loop(step, where)
        elif isinstance(step, BranchStep):
            self._branch(step, where)
        elif isinstance(step, CheckStep) and (step.value.dtype != "bool" or self.program.shapes[step.value]):
            fail(where, f"a check needs a 0-d bool, got {step.value} of {step.value.dtype}")
        self.known.update(step.writes)

    def _library(self, step: LibraryStep, where: str) -> None:
        """Operands have a stride for each axis; outputs are written whole."""
        self._lengths(step.lengths, where)
        for array in (*step.operands, *step.results):
            if len(array.shape) != len(array.strides):
                fail(where, f"{array} needs a stride for each of its {len(array.shape)} axes")
        for result in step.results:
            whole = self.program.shapes[result.value]
            if result != Operand.whole(result.value, result.shape) or product(result.shape) is not product(whole):
                fail(where, f"it must write all of {result.value}")
        for output, operand in (*step.call.overwrites, *step.call.replaces):
            if step.operands[operand] != Operand.whole(step.operands[operand].value, step.results[output].shape):
                fail(where, f"{step.outputs[output]} can only start as a whole value of its own shape")

    def _blocks(self, step: BlockStep, where: str) -> None:
        """A block's program is legal, cannot stop, and has as its arrays what lies where it is said to."""
        blocks, body = step.blocks, step.body
        self._lengths(blocks.sizes, where)
        verify(body)
        for inner in body.steps:
            splits = isinstance(inner, KernelStep) and any(kernel.split for kernel in inner.kernels)
            product = isinstance(inner, LibraryStep) and inner.call.name in (*PRODUCTS, "gemm_add")
            if splits or not (product or isinstance(inner, KernelStep)):
                fail(where, f"a block of {body.name} does more than loops and products by one thread")
        if body.guards or body.constants or body.layouts or body.donors:
            fail(where, f"{body.name} may need nothing but its arrays")
        if len(body.shapes[body.inputs[0]]) != 2 + len(blocks.limits) + len(blocks.lengths):
            fail(where, f"the first input of {body.name} has other lengths than its blocks")
        inside = [*body.inputs[1:], *body.outputs]
        if len(inside) != len(step.parts) or len(set(inside)) != len(inside):
            fail(where, f"{body.name} needs a part for each of its arrays")
        for part, value in zip(step.parts, inside, strict=True):
            self._part(part, value, step, where)

    def _loop(self, step: LoopStep, where: str) -> None:
        """A step's program is legal, asks nobody, and has for each of its arrays one that lies around it."""
        own, body = step.iteration, step.body
        self._lengths(own.sizes, where)
        verify(body)
        if step.alone is not None:
            kernel = step.alone.kernel
            self._lengths(step.alone.sizes, where)
            self._lengths([e for e in walk(roots_of(kernel.body)) if e.code is Code.LENGTH], where)
            verify_kernel(kernel, set(own.writes))
            if not {*kernel.reads, *kernel.writes} <= {*self.known, *own.writes, *step.alone.memory}:
                fail(where, f"{kernel.name} uses what is neither around {body.name} nor made by a step")
        for inner in body.steps:
            if isinstance(inner, HostStep):
                fail(where, f"a step of {body.name} needs Python")
        if body.constants or body.layouts or body.donors:
            fail(where, f"{body.name} may need nothing but its arrays")
        read = [(rows.value, 1) for rows in own.sequences]
        read += [(state.kept, 1) for state in own.states for _ in state.taps] + [(value, 0) for value in own.wholes]
        made = [(state.kept, 1) for state in own.states] + [(value, 1) for value in own.results]
        ends = [] if own.done is None else [body.outputs[-1]]
        inside = [*body.inputs, *body.outputs[: len(body.outputs) - len(ends)]]
        if len(read) != len(body.inputs) or len(read) + len(made) != len(inside) or len(set(inside)) != len(inside):
            fail(where, f"{body.name} needs an array around it for each of its own")
        for (value, less), here in zip([*read, *made], inside, strict=True):
            if value.dtype != here.dtype or len(self.program.shapes[value]) - less != len(body.shapes[here]):
                fail(where, f"{here} of {body.name} cannot lie in {value}")
        if any(end.dtype != "bool" or body.shapes[end] for end in ends):
            fail(where, f"{body.name} needs a 0-d bool to say whether it was the last step, got {ends[0]}")
        if own.backwards and own.done is not None:
            fail(where, f"{body.name} may not end early, from the last row to the first")
        for state in own.states:
            if max(state.taps) >= 0 or state.initial in own.writes:
                fail(where, f"{state.kept} cannot start as {state.initial} and be read at {list(state.taps)}")
        for value in body.inputs:
            for axis, n in enumerate(body.shapes[value]):
                if n is length(value, axis) and n not in own.lengths:
                    fail(where, f"nobody knows the length of axis {axis} of {value} in {body.name}")

    def _branch(self, step: BranchStep, where: str) -> None:
        """Both programs are legal, ask nobody, and have for each of their arrays one that lies around them."""
        choice = step.choice
        self._lengths(choice.sizes, where)
        if choice.condition.dtype != "bool" or self.program.shapes[choice.condition]:
            fail(where, f"a choice needs a 0-d bool, got {choice.condition} of {choice.condition.dtype}")
        for side, guards in zip(choice.sides, step.guards, strict=True):
            body = side.body
            verify(body)
            if any(isinstance(inner, HostStep) for inner in body.steps):
                fail(where, f"{body.name} needs Python")
            if body.constants or body.layouts or body.donors or len(guards) != len(body.guards):
                fail(where, f"{body.name} may need nothing but its arrays")
            inside, around = [*body.inputs, *body.outputs], [*side.inputs, *side.outputs]
            if len(inside) != len(around) or len(set(inside)) != len(inside):
                fail(where, f"{body.name} needs an array around it for each of its own")
            for here, value in zip(inside, around, strict=True):
                if value.dtype != here.dtype or len(self.program.shapes[value]) != len(body.shapes[here]):
                    fail(where, f"{here} of {body.name} cannot lie in {value}")
            for value in body.inputs:
                for axis, n in enumerate(body.shapes[value]):
                    if n is length(value, axis) and n not in side.lengths:
                        fail(where, f"nobody knows the length of axis {axis} of {value} in {body.name}")

    def _part(self, part: Part, value: Value, step: BlockStep, where: str) -> None:
        """A part has the axes that its way leaves of its value, and what grows has pieces to grow in."""
        outer, inner = len(self.program.shapes[part.value]), len(step.body.shapes[value])
        if part.value.dtype != value.dtype or outer - inner != (part.way is Way.EACH):
            fail(where, f"{value} cannot be a part of {part.value}")
        made = value in step.body.outputs
        if part.way is Way.WHOLE and made:
            fail(where, f"all blocks would write all of {part.value}")
        if part.way is Way.EACH and not made:
            fail(where, f"a block reads {part.value}, which other blocks write")
        if part.way is not Way.GROWN and not made and part.value in step.writes:
            fail(where, f"a block reads {part.value}, of which others write rows")
        if part.way is Way.GROWN:
            pieces = self.program.shapes.get(part.pieces, ())
            if len(pieces) != 2 or pieces[1] is not product(self.program.shapes[part.value]):
                fail(where, f"{part.value} needs pieces to grow in")
            if part.start is not None and self.program.shapes[part.start] != self.program.shapes[part.value]:
                fail(where, f"{part.value} can only start as a value of its shape")

    def _op_call(self, step: OpCall, where: str) -> None:
        """What it overwrites is of the type of the output that takes its place."""
        self._lengths([n for value in step.reads for n in self.program.shapes[value]], where)
        for value, target, _ in taken_over(step):
            ndims = len(self.program.shapes[value]), len(self.program.shapes[target])
            if value.dtype != target.dtype or ndims[0] != ndims[1]:
                fail(where, f"{target} cannot lie where {value} does, which is of another type")
        if step.params is not None and step.params not in self.program.constants:
            fail(where, f"the parameters {step.params} must be a constant")

    def _lengths(self, roots: Iterable[Expr], where: str, locals: Collection[Local] = ()) -> None:
        """Lengths are int64, and made of what is there by now; ``locals`` say how loops are divided."""
        for root in roots:
            check_types(root, where)
            if root.dtype != INDEX_DTYPE or root.free:
                fail(where, f"the length {show(root)} must be of int64 and free of loop variables")
            for e in walk([root]):
                if e.code is Code.LENGTH and e.payload[0] not in self.measured:
                    fail(
                        where,
                        f"{show(e)} is not known yet: {e.payload[0]} is neither an input nor made by Python before",
                    )
                if e.code is Code.LOAD and e.payload not in self.known:
                    fail(where, f"the length {show(root)} needs {e.payload}, which no step before it writes")
                if e.code is Code.LOCAL and e.payload not in locals:
                    fail(where, f"the length {show(root)} must not depend on a local")


def _check_donors(program: Program) -> None:
    """An output lies in the place of an input that is as large and not read again, when nothing can fail any more."""
    first = beginnings(program)
    for output, given in program.donors.items():
        where = f"the output {output} of {program.name} in the place of {given}"
        if output not in first or given not in program.inputs or given in program.outputs:
            fail(where, "it must be made, and of an input that is no output")
        position, value = first[output]
        if given.dtype != value.dtype or program.shapes[given] != program.shapes[value] or given in program.layouts:
            fail(where, "both must have one dtype and shape, row by row")
        if any(given in step.reads for step in program.steps[position + 1 :]):
            fail(where, "the input is read after it was written over")
        if any(isinstance(step, (HostStep, CheckStep)) for step in program.steps[position:]):
            fail(where, "a step that may fail comes after it")
        step = program.steps[position]
        if isinstance(step, LibraryStep) and given in step.reads:
            pairs = [(step.outputs[target], step.operands[operand].value) for target, operand in step.call.replaces]
            if (value, given) not in pairs or sum(operand.value is given for operand in step.operands) > 1:
                fail(where, f"{step.call.name} does not work in place")
        for kernel in step.kernels if isinstance(step, KernelStep) else ():
            if {value, given} <= {*kernel.reads, *kernel.writes}:
                if not {value, given} <= kernel.shared:
                    fail(where, f"{kernel.name} takes them for two places in memory")
                if not Places(kernel).are_safe(given, value):
                    fail(where, f"{kernel.name} overwrites elements before all of them were read")


def _read_elsewhere(program: Program) -> dict[int, set[Any]]:
    """For each step, the values it writes that are an output or that another step reads."""
    readers: dict[Any, set[int]] = {}
    for position, step in enumerate(program.steps):
        for value in step.reads:
            readers.setdefault(value, set()).add(position)
    return {
        position: {value for value in step.writes if value in program.outputs or readers.get(value, set()) - {position}}
        for position, step in enumerate(program.steps)
    }


def _check_scratch(program: Program) -> None:
    """What is scratch to one step is of no use to anybody else."""
    scratch: dict[Any, int] = {}
    for position, step in enumerate(program.steps):
        for kernel in step.kernels if isinstance(step, KernelStep) else ():
            scratch.update(dict.fromkeys(kernel.scratch, position))
    for position, step in enumerate(program.steps):
        for value in step.reads:
            if scratch.get(value, position) != position:
                fail(f"step {position} of {program.name}", f"it reads {value}, which is scratch of another step")
    for value in program.outputs:
        if value in scratch:
            fail(program.name, f"the output {value} is scratch of a kernel")


def _check_slots(program: Program) -> None:
    """Every value that a step other than a host step makes has memory of its own while it is needed."""
    outside = {*program.outputs, *program.inputs, *program.constants}
    span: dict[Value, list[int]] = {}
    for position, step in enumerate(program.steps):
        for value in step.writes:
            if not isinstance(step, HostStep) and value not in outside:
                span[value] = [position, position]
        for value in step.reads:
            if value in span:
                span[value][1] = position
    lengths = [n for shape in program.shapes.values() for n in shape]
    lengths += [n for guard in program.guards for n in (guard.a, guard.b)]
    for e in loads_in(lengths):
        if e.payload in span:
            span[e.payload][1] = len(program.steps)
    overwritten = {
        (value, target, position)
        for position, step in enumerate(program.steps)
        for value, target, alone in taken_over(step)
        if alone
    }
    for position, step in enumerate(program.steps):
        if not isinstance(step, KernelStep):
            continue
        for target, value in step.overwrites.items():
            makers = [kernel for kernel in step.kernels if target in kernel.writes]
            if len(makers) != 1 or not Places(makers[0]).are_safe(target, target):
                fail(f"step {position} of {program.name}", f"it overwrites {value} before all of it was read")
            overwritten.add((value, target, position))
    made_of = {(value, position): target for value, target, position in overwritten}
    ends = {value: position for position, step in enumerate(program.steps) for value in step.reads}
    for value, home in program.kept_in.items():
        _check_home(program, value, home, span.pop(value, [0, len(program.steps)])[1], made_of, ends)
    users: dict[int, list[Value]] = {}
    for value in span:
        slot = program.slots.get(value)
        if slot is None or not 0 <= slot < len(program.slot_sizes):
            fail(program.name, f"{value} is stored but has no slot")
        if program.slot_sizes[slot] is not size_bytes(value, program):
            fail(program.name, f"slot {slot} has not the size of {value}")
        users.setdefault(slot, []).append(value)
    for slot, values in users.items():
        values.sort(key=lambda value: span[value][0])
        for before, after in pairwise(values):
            if span[after][0] <= span[before][1] and (before, after, span[after][0]) not in overwritten:
                fail(program.name, f"{before} and {after} are needed at the same time but share slot {slot}")


def _check_home(
    program: Program,
    value: Value,
    home: Value,
    end: int,
    made_of: Mapping[tuple[Value, int], Value],
    ends: Mapping[Value, int],
) -> None:
    """A value may lie in the memory of an output of its size that is made of it, in place, when it is last read."""
    now = value
    while now is not home:
        after = made_of.get((now, end))
        if after is None or size_bytes(after, program) is not size_bytes(value, program):
            fail(program.name, f"{value} is kept in {home}, which is not made of it in place")
        now, end = after, ends.get(after, end)
    if home not in program.outputs:
        fail(program.name, f"{value} is kept in {home}, which is no output")
