"""What a legal program is.  ``verify`` raises for one that is not: a mistake of a pass, or of an op's ``kernel``.

Tests verify every program they compile; nothing here runs for users.  Whether the numbers are right is not asked here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from core import dtypes
from core.ir.axes import product
from core.ir.check.verify_expr import check_types, fail, meets_another_lane, not_same_lane
from core.ir.check.verify_work import verify_work
from core.ir.combining import combining
from core.ir.cpu.parallel import shared_by
from core.ir.expr import INDEX_DTYPE, Code, Expr, const, make, show, walk
from core.ir.nodes import (
    NOTHING,
    Assign,
    Atomic,
    Barrier,
    If,
    Kernel,
    Let,
    Local,
    Loop,
    LoopKind,
    Split,
    Statement,
    Store,
)
from core.ir.passes.donation import beginnings
from core.ir.passes.in_place import Places
from core.ir.passes.memory import size_bytes, taken_over
from core.ir.program import CheckStep, HostStep, KernelStep, LibraryStep, OpCall, Operand, Program, Step, Value
from core.ir.rebuild import loads_in

_ONE = const(1)
_LANES = frozenset({LoopKind.SIMD, LoopKind.LANES})
_APART = frozenset({LoopKind.GRID, LoopKind.ITEMS, LoopKind.GROUPS})  # iterations that share no register
_GUARDS = frozenset({"join", "same", "one", "range", "within", "positive"})


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
            roots = [e for kernel in step.kernels for e in walk(_roots(kernel.body))]
            self._lengths([e for e in roots if e.code is Code.LENGTH], where)
        elif isinstance(step, LibraryStep):
            self._library(step, where)
        elif isinstance(step, OpCall):
            self._op_call(step, where)
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


# --- kernels -------------------------------------------------------------------------------------------------------


def _at_most_one(extent: Expr) -> bool:
    """Whether a loop certainly has no second iteration."""
    choices = extent.args[1:] if extent.code is Code.SELECT else (extent,)
    return all(n.is_const and n.payload <= 1 for n in choices)


def verify_kernel(kernel: Kernel, kept: Iterable[Any] | None = None) -> None:
    """Errors: VerifyError.  ``kept`` are the values that somebody needs after the kernel; None: all that it writes."""
    reads, writes = set(kernel.reads), set(kernel.writes)
    where = f"kernel {kernel.name}"
    if len(reads) < len(kernel.reads) or len(writes) < len(kernel.writes) or reads & writes:
        fail(where, "a value may stand only once among what it reads and writes")
    if not writes.issuperset(kernel.scratch):
        fail(where, "scratch must be among what it writes")
    if not writes.isdisjoint(kernel.arrays):
        fail(where, "a local array is not among what it writes")
    kept = writes if kept is None else set(kept)
    statements = _Statements(where, reads, writes | set(kernel.arrays), kept, {*kernel.scratch, *kernel.arrays})
    statements.constant.update(dict.fromkeys(kernel.takes, True))
    statements.body(kernel.body)
    verify_work(kernel)
    for value in kernel.writes:
        if not any(isinstance(s, (Store, Atomic)) and s.buffer is value for s in _below(kernel.body)):
            fail(where, f"it says that it writes {value}, but no statement does")
    if kernel.split is not None:
        _check_split(kernel, kernel.split, where)


def _check_split(kernel: Kernel, split: Split, where: str) -> None:
    """Chunks of a loop may run at once: what its iterations share, each chunk has for itself."""
    loops = [s for s in kernel.body if isinstance(s, Loop) and s.start is split.first.expr]
    if len(loops) != 1 or loops[0].extent is not split.last.expr:
        fail(where, "it is divided, so it needs one loop from the first to the last iteration of a chunk")
    (loop,) = loops
    shared = shared_by(replace(loop, start=NOTHING), (*kernel.scratch, *kernel.arrays))
    if shared is None:
        fail(where, f"it is divided, but iterations of {_shown(loop)} need an order")
    if shared.grown.keys() != split.parts.keys():
        fail(where, f"it is divided, so {', '.join(map(str, shared.grown))} must have parts, and nothing else")
    inside = {s.buffer for s in _below(loop.body) if isinstance(s, Store)}
    if inside.intersection(kernel.scratch) != split.private.keys():
        fail(where, "it is divided, so each worker needs its own scratch")
    after = kernel.body[kernel.body.index(loop) + 1 :]
    left = {s.value for s in after if isinstance(s, Store) and s.offset is split.number.expr}
    if len(left) < len(after) or left != {local.expr for local in shared.registers}:
        fail(where, "it is divided, so each chunk must leave its registers at its number, and do no more")
    for statement in kernel.body[: kernel.body.index(loop)]:
        if any(isinstance(s, Store) and s.buffer not in split.parts for s in _below([statement])):
            fail(where, f"it is divided, so every chunk would do {_shown(statement)}")


class _Frame:
    """An open loop: the locals that were declared when it was opened are from ``outside``."""

    def __init__(self, loop: Loop, outside: set[Local]):
        self.loop, self.outside = loop, outside
        self.listed = {local for _, local in loop.reductions}
        self.assigned: set[Local] = set()
        self.stores: list[Store] = []
        self.loads: list[Expr] = []


class _Statements:
    """Walks over the statements of a kernel with what is declared and open at each."""

    def __init__(self, kernel: str, reads: set[Any], writes: set[Any], kept: set[Any], scratch: set[Any]):
        self.kernel, self.reads, self.writes, self.kept, self.scratch = kernel, reads, writes, kept, scratch
        self.constant: dict[Local, bool] = {}  # the locals in scope
        self.depends: dict[Local, frozenset[Expr]] = {}  # the loop variables that a local's value comes from
        self.frames: list[_Frame] = []

    def body(self, body: Sequence[Statement]) -> None:
        before = set(self.constant)
        for statement in body:
            self._one(statement)
        for local in [local for local in self.constant if local not in before]:
            del self.constant[local]

    def _one(self, statement: Statement) -> None:
        where = f"{self.kernel}, {_shown(statement)}"
        if isinstance(statement, Let):
            if statement.local in self.constant:
                fail(where, f"{statement.local} is declared already")
            self._expr(statement.value, statement.local.dtype, where)
            self.constant[statement.local] = statement.constant
            self.depends[statement.local] = self._variables(statement.value)
        elif isinstance(statement, Assign):
            self._assign(statement, where)
        elif isinstance(statement, Store):
            self._store(statement, where)
        elif isinstance(statement, Atomic):
            self._element(statement, where)
        elif isinstance(statement, If):
            self._expr(statement.condition, "bool", where)
            self.body(statement.body)
            self.body(statement.orelse)
        elif isinstance(statement, Loop):
            self._loop(statement, where)

    def _assign(self, statement: Assign, where: str) -> None:
        local = statement.local
        if self.constant.get(local) is not False:
            fail(where, f"{local} is constant" if local in self.constant else f"{local} is not declared here")
        self._expr(statement.value, local.dtype, where, target=local)
        self.depends[local] = self.depends[local] | self._variables(statement.value)
        for frame in self.frames:
            if local not in frame.outside:
                continue
            frame.assigned.add(local)
            kind, variable = frame.loop.kind.value, frame.loop.variable
            if frame.loop.kind in _APART and local not in frame.listed:
                fail(where, f"it changes {local} from outside the {kind} loop over {variable}")
            if frame.loop.kind in _LANES and local not in frame.listed:
                fail(where, f"{local} is no reduction of the {kind} loop over {variable}")
            if frame.loop.kind is LoopKind.COMBINE:
                self._combines(local.expr, statement.value, frame, where)

    def _combines(self, target: Expr, value: Expr, frame: _Frame, where: str) -> None:
        """What iterations in any order share only takes more in, or stays as it is whichever comes last."""
        if combining(target, value) is None and not value.is_const and value is not target:
            fail(where, f"iterations of the combine loop over {frame.loop.variable} need an order")

    def _element(self, statement: Store | Atomic, where: str) -> None:
        if statement.buffer not in self.writes:
            fail(where, f"{statement.buffer} is not among what the kernel writes")
        self._expr(statement.offset, INDEX_DTYPE, where)
        self._expr(statement.value, dtypes.real_of(statement.buffer.dtype), where)

    def _store(self, statement: Store, where: str) -> None:
        buffer = statement.buffer
        self._element(statement, where)
        moves = self._variables(statement.offset)
        never = any(frame.loop.extent is NOTHING for frame in self.frames)  # then its strides may have folded to 0
        for frame in self.frames if not never else ():
            frame.stores.append(statement)
            if frame.loop.kind is LoopKind.COMBINE:
                if frame.loop.variable not in moves and buffer not in self.scratch:
                    so_far = make(Code.LOAD, dtypes.real_of(buffer.dtype), (statement.offset,), buffer)
                    self._combines(so_far, statement.value, frame, where)
                continue
            shared = frame.loop.kind is not LoopKind.ORDER and (
                frame.loop.kind is not LoopKind.GRID or buffer in self.kept
            )
            if frame.loop.kind is LoopKind.GROUPS and buffer in self.scratch:  # each group has its own
                continue
            if shared and frame.loop.variable not in moves and not _at_most_one(frame.loop.extent):
                kind, variable = frame.loop.kind.value, frame.loop.variable
                fail(where, f"every iteration of the {kind} loop over {variable} writes to the same place")

    def _loop(self, loop: Loop, where: str) -> None:
        if loop.variable.code is not Code.INDEX:
            fail(where, f"{loop.variable} is no loop variable")
        if any(frame.loop.variable is loop.variable for frame in self.frames):
            fail(where, f"the loop over {loop.variable} is open already")
        self._expr(loop.extent, INDEX_DTYPE, where)
        self._expr(loop.start, INDEX_DTYPE, where)
        if loop.reductions and loop.kind not in _LANES | {LoopKind.GRID}:
            fail(where, "only grid and simd loops and loops over lanes list reductions")
        frame = _Frame(loop, set(self.constant))
        self.frames.append(frame)
        self.body(loop.body)
        self.frames.pop()
        for _, local in loop.reductions:
            if local not in frame.assigned:
                fail(where, f"its reduction {local} is not assigned in it")
        if loop.kind in _LANES:
            self._lanes(frame, where)

    def _lanes(self, frame: _Frame, where: str) -> None:
        """No lane of a vector reads what another one writes."""
        places: dict[Any, set[Expr]] = {}
        for store in frame.stores:
            places.setdefault(store.buffer, set()).add(store.offset)
        for e in frame.loads:
            (read,), written = e.args, places.get(e.payload, set())
            clash = meets_another_lane if read in written else not_same_lane
            if any(clash(read, place, frame.loop.variable) for place in written):
                fail(where, f"it reads {show(e)}, but writes {e.payload} elsewhere")

    # --- expressions ------------------------------------------------------------------------------------------------

    def _expr(self, root: Expr, dtype: str, where: str, target: Local | None = None) -> None:
        """``root`` is of ``dtype`` and made of what is known here.  ``target``: the local that it is assigned to."""
        if root.dtype != dtype:
            fail(where, f"it needs {dtype}, got {root.dtype}: {show(root)}")
        check_types(root, where)
        for variable in root.free:
            if not any(frame.loop.variable is variable for frame in self.frames):
                fail(where, f"{variable} is used outside its loop")
        for e in walk([root]):
            if e.code is Code.LOCAL:
                self._read_local(e.payload, target, where)
            elif e.code is Code.LOAD:
                if e.payload not in self.reads and e.payload not in self.writes:
                    fail(where, f"{e.payload} is not among what the kernel reads")
                for frame in self.frames:
                    frame.loads.append(e)

    def _read_local(self, local: Local, target: Local | None, where: str) -> None:
        if local not in self.constant:
            fail(where, f"{local} is not declared here")
        for frame in self.frames:
            if frame.loop.kind in _LANES and local in frame.listed and local is not target:
                kind, variable = frame.loop.kind.value, frame.loop.variable
                fail(where, f"a lane of the {kind} loop over {variable} has only its share of {local}")

    def _variables(self, root: Expr) -> frozenset[Expr]:
        """The loop variables that an expression comes from, through locals too."""
        found = set(root.free)
        for e in walk([root]):
            if e.code is Code.LOCAL:
                found |= self.depends.get(e.payload, frozenset())
        return frozenset(found)


# --- walking -------------------------------------------------------------------------------------------------------


def _below(body: Iterable[Statement]) -> Iterator[Statement]:
    pending = list(body)
    while pending:
        statement = pending.pop()
        yield statement
        if isinstance(statement, (Loop, If)):
            pending.extend(statement.body)
        if isinstance(statement, If):
            pending.extend(statement.orelse)


def _roots(body: Iterable[Statement]) -> Iterator[Expr]:
    for statement in _below(body):
        if isinstance(statement, Loop):
            yield statement.extent
            yield statement.start
        elif isinstance(statement, If):
            yield statement.condition
        elif not isinstance(statement, Barrier):
            yield statement.value
            if isinstance(statement, (Store, Atomic)):
                yield statement.offset


def _shown(statement: Statement) -> str:
    """A statement in a few words."""
    if isinstance(statement, Loop):
        return f"`{statement.kind.value} {statement.variable} < {show(statement.extent, 60)}`"
    if isinstance(statement, If):
        return f"`if {show(statement.condition, 60)}`"
    if isinstance(statement, (Store, Atomic)):
        return f"`{statement.buffer}[{show(statement.offset, 60)}] = {show(statement.value, 60)}`"
    if isinstance(statement, Barrier):
        return "`barrier`"
    return f"`{statement.local} = {show(statement.value, 60)}`"
