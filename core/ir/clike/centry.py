"""A whole program as one C function: checks lengths, gets memory, runs the steps.  For backends whose host is C.

What it takes and returns is said in cinterface.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from core import dtypes
from core.dataclass import dataclass
from core.ir.clike import ccalls
from core.ir.clike.cfamily import Dialect, Names, Printer
from core.ir.clike.cinterface import SAID, Status, functions_of, kernels_of
from core.ir.clike.csections import LONG, Declared, constant, cut
from core.ir.clike.ctasks import Task
from core.ir.codes import Code
from core.ir.definitions import Value
from core.ir.effort import library_work, total_work
from core.ir.expr import INDEX_DTYPE, Expr, length
from core.ir.guards import Guard
from core.ir.nodes import Kernel, Split
from core.ir.passes.donation import beginnings
from core.ir.passes.memory import size_bytes
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
from core.ir.rebuild import lengths_in, loads_in
from core.ir.walk import walk

if TYPE_CHECKING:
    from core.ir.clike.cblocks import Around

# what the entry function calls its own; slots, kernels and host calls add to it
_OWN_NAMES = """inputs lengths constants routines outputs output_lengths report call status arena arena_size failed
done""".split()


_WORTH_A_NAME = 4  # from this cost on, a length that is read twice has a name
_LONG = 60  # characters, from which on any has
_ON_STACK, _ALL_ON_STACK = 4096, 32768  # bytes of a slot that needs no arena, and of all these together
_HARDLY_ANY = 1600  # work that is not worth a line: 100 ns


@dataclass(frozen=True)
class Called:
    """A kernel as the entry function calls it: the name of its C function, the lengths that this takes, its task."""

    name: str
    lengths: Sequence[Expr]
    task: Task | None = None


class Entry:
    """Writes the entry function.

    called        how each kernel is called, by its name
    op_functions  what a step calls that calls an op's own C: see ccalls.OpFunctions
    around        the program of whose blocks this one is, whose ``routines`` it gets; what it makes has its place then
    """

    def __init__(
        self,
        program: Program,
        dialect: Dialect,
        called: Mapping[str, Called],
        op_functions: Mapping[int, str],
        around: Program | None = None,
    ):
        self.program, self.dialect, self.called, self._op_functions = program, dialect, called, op_functions
        self._around = around
        self.kernels = kernels_of(program)
        slots = [f"{name}{k}" for k in range(len(program.slot_sizes)) for name in ("at", "slot")]
        functions = [one.name for one in called.values()] + [
            f"{one.task.name}_task" for one in called.values() if one.task
        ]
        functions += [*op_functions.values(), *(one.name for one in program.all)]
        self.names = Names([program.name, *_OWN_NAMES, *functions, *slots])
        self.printer = Printer(dialect, self.names)
        self.lines: list[str] = []
        self._texts: dict[Expr, str] = {}  # of lengths
        self._declared: dict[str, Declared] = {}
        self._heading: str | None = None
        self.made = {value: k for k, value in enumerate(program.made)}
        self._ready: set[Value] = {*program.inputs, *program.constants}
        self._known: set[Expr] = set()
        self._guards = list(enumerate(program.guards))
        self._allocated: set[Value] = set()
        self._numbers = {value: k for k, value in enumerate(program.shapes)}
        self._fitting = {(program.shapes[value], dtypes.size_bytes(value.dtype)) for value in program.inputs}
        self._late_slots: dict[int, str] = {}
        self._chunks: dict[str, str] = {}  # how loops are divided: the names of their chunks
        self._taken = {local for kernel in self.kernels for local in kernel.takes}
        self._functions = {name: k for k, name in enumerate(functions_of(around or program))}
        self._donors = dict(program.donors)
        self._announced = False  # whether all work that is left was said
        self._splits = {
            local: kernel
            for kernel in self.kernels
            if kernel.split
            for local in (kernel.split.chunk, kernel.split.count, kernel.split.workers)
        }

    def text(self) -> str:
        self._arguments()
        self._paragraph("what the lengths must be")
        self._check_guards()
        self._paragraph("memory for what is needed in between")
        self._arena()
        first_over_input, starts = self._first_donation(), []
        for position, step in enumerate(self.program.steps):
            self._paragraph()
            starts.append(len(self.lines))
            if position == first_over_input:
                self._take_over(self.program.steps[position:])
                self._paragraph()
            self._allocate(step)
            self._run(position, step)
            self._ready.update(step.writes)
            self._check_guards()
        self._paragraph("what was made")
        starts.append(len(self.lines))
        if self._around is not None:
            return "\n".join(self._framed("static ", self.lines))
        self._hand_over()
        if len(self.lines) <= LONG or self._late_slots or not self.dialect.long_entry:
            return "\n".join(self._framed(self.dialect.entry, self.lines))
        sections = cut(self.lines, starts, self._declared, self.dialect.long_entry)
        return "\n".join([sections.before, "", *self._framed(self.dialect.long_entry, sections.lines)])

    def _framed(self, qualifiers: str, lines: Sequence[str]) -> list[str]:
        head = (
            f"{qualifiers}int32_t {self.program.name}(\n"
            "    void **inputs, const int64_t *lengths, void **constants, void **routines,\n"
            "    void **outputs, int64_t *output_lengths, int64_t *report, core_call *call)"
        )
        late = [f"void *{name} = 0;" for name in self._late_slots.values()]
        prologue = ["int32_t status = 0;", "char *arena = 0;", "int64_t arena_size = 0;", *late]
        prologue.append("if (!call->memory) call->memory = core_own_memory;")
        count = len(self.made)
        owned = bool(self.made) and self._around is None
        each, k = (f"for (int k = 0; k < {count}; k++) ", "k") if count > 1 else ("", "0")
        prologue += [f"{each}outputs[{k}] = 0;"] if owned else []
        free_late = [f"free({name});" for name in self._late_slots.values()]
        own = f"if (!call->given || outputs[{k}] != call->given[{k}]) " if self._donors else ""
        failed = [f"{each}{{ {own}free(outputs[{k}]); outputs[{k}] = 0; }}"] if owned else []
        return [
            head,
            "{",
            *(f"    {line}" for line in prologue),
            "    {",
            *(f"        {line}" if line else "" for line in lines),
            "    }",
            "    goto done;",
            *(["failed:"] if any("goto failed" in line for line in lines) else []),
            *(f"    {line}" for line in failed),
            "done:",
            "    if (arena) call->memory(call, arena, arena_size);",
            *(f"    {line}" for line in free_late),
            "    return status;",
            "}",
        ]

    def _say(self, line: str) -> None:
        if self._heading is not None:
            self.lines += [""] if self.lines else []
            self.lines += [f"/* {self._heading} */"] if self._heading else []
            self._heading = None
        self.lines.append(line)

    def _declare(self, kind: str, name: str, value: str) -> None:
        """Name what does not change, for this paragraph and all that follow."""
        self._say(constant(kind, name, value))
        self._declared[name] = Declared(kind, len(self.lines) - 1)

    def _paragraph(self, heading: str = "") -> None:
        """An empty line and perhaps a comment before the next line, if there is one in this paragraph."""
        self._heading = heading

    def _fail(self, status: Status, *report: str) -> str:
        said = " ".join(f"report[{k}] = {value};" for k, value in enumerate(report))
        return f"{{ status = {int(status)}; {said} goto failed; }}"

    # --- arguments and lengths --------------------------------------------------------------------------------------

    def _name(self, value: Value) -> str:
        return self.names.of(value, value.name)

    def _pointer(self, value: Value, source: str) -> None:
        self._declare(f"{self.dialect.types.get(value.dtype, 'void')} *", self._name(value), source)

    def _arguments(self) -> None:
        first = 0
        for k, value in enumerate(self.program.inputs):
            if value in self._used:
                self._pointer(value, f"inputs[{k}]")
            for number in range(self.program.passed_with(value)):
                self._know(length(value, number), f"lengths[{first + number}]")
            first += self.program.passed_with(value)
        for k, value in enumerate(self.program.constants):
            if value in self._used:
                self._pointer(value, f"constants[{k}]")

    @cached_property
    def _used(self) -> set[Value]:
        """The values that the function needs by name."""
        used = {value for step in self.program.steps for value in step.reads}
        roots = [e for shape in self.program.shapes.values() for e in shape]
        roots += [e for guard in self.program.guards for e in (guard.a, guard.b)]
        return used | {e.payload for e in loads_in(roots)}

    def _know(self, length: Expr, source: str) -> None:
        self._known.add(length)
        if length in self._mentioned:
            self._declare("int64_t", self.printer.length(length), source)

    @cached_property
    def _mentioned(self) -> set[Expr]:
        """The lengths that the function needs by name."""
        roots = [e for shape in self.program.shapes.values() for e in shape]
        roots += [e for guard in self.program.guards for e in (guard.a, guard.b)]
        roots += [e for called in self.called.values() for e in called.lengths]
        roots += [e for kernel in self.kernels for e in _said_of(kernel.split) or (total_work(kernel.body),)]
        roots += [e for step in self.program.steps if isinstance(step, LibraryStep) for e in step.lengths]
        roots += [e for step in self.program.steps if isinstance(step, BlockStep) for e in step.blocks.sizes]
        roots += [e for step in self.program.steps if isinstance(step, LoopStep) for e in step.iteration.sizes]
        roots += [e for step in self.program.steps if isinstance(step, BranchStep) for e in step.choice.sizes]
        return set(lengths_in(roots))

    def _text(self, n: Expr) -> str:
        """A length in C, after giving names to what it is made of: written out, lengths of slices of slices double."""
        if n not in self._texts:
            self._texts[n] = self._written(n)
        return self._texts[n]

    def _call(self, e: Expr, name: str) -> None:
        """Give an expression a name: from now on, whatever holds it is written with that."""
        self.printer.known[e] = name
        self._texts.clear()

    def _written(self, n: Expr) -> str:
        known = self.printer.known
        for part in walk([n], into=lambda e: e not in known):
            if part.code is Code.LOCAL and part not in known:
                self._divide(self._splits[part.payload])
        parts = walk([n], into=lambda e: e not in known)
        readers = Counter(arg for part in parts if part not in known for arg in part.args)
        for part in parts:
            if part not in known and part.args and part.dtype == INDEX_DTYPE and part.cost >= _WORTH_A_NAME:
                text = self.printer.expr(part)
                if readers[part] > 1 or len(text) > _LONG:
                    self._call(part, self.names.of(part, "n"))
                    self._declare("int64_t", known[part], text)
        return self.printer.expr(n)

    def _computable(self, roots: Iterable[Expr]) -> bool:
        """Whether all that the expressions are made of is known by now."""
        roots = list(roots)
        divisions = {self._splits[e.payload].split for e in walk(roots) if e.code is Code.LOCAL}
        roots += [e for split in divisions for e in _said_of(split)]
        return self._known.issuperset(lengths_in(roots)) and all(e.payload in self._ready for e in loads_in(roots))

    def _check_guards(self) -> None:
        waiting = []
        for number, guard in self._guards:
            if self._computable([guard.a, guard.b]):
                a, b = self._text(guard.a), self._text(guard.b)
                self._say(f"if ({_violated(guard, a, b)}) {self._fail(Status.GUARD, str(number), a, b)}")
            else:
                waiting.append((number, guard))
        self._guards = waiting

    # --- memory -----------------------------------------------------------------------------------------------------

    def _arena(self) -> None:
        """One allocation for every slot whose size is known before the first step."""
        sizes = self.program.slot_sizes
        stack = self._stack
        for k in sorted(stack):
            self._say(f"_Alignas(64) char slot{k}[{max(sizes[k].payload, 1)}];")
            self._declared[f"slot{k}"] = Declared("char *", len(self.lines) - 1)
        early = [k for k, size in enumerate(sizes) if k not in stack and self._computable([size])]
        self._late_slots = {k: f"slot{k}" for k in range(len(sizes)) if k not in early and k not in stack}
        if not early:
            return
        for value, slot in self.program.slots.items():
            if slot in early and self._computable(self.program.shapes[value]):
                self._check_fit(value)
        total = "0"
        for k in early:
            self._declare("int64_t", f"at{k}", total)
            total = f"at{k} + core_padded({self._text(self.program.slot_sizes[k])})"
        self._say(f"arena_size = {total};")
        self._declared["arena"] = Declared("char *", len(self.lines) - 1)
        no_memory = self._fail(Status.MEMORY, "-1", "arena_size")
        self._say(f"if (arena_size && !(arena = call->memory(call, 0, arena_size))) {no_memory}")

    @cached_property
    def _stack(self) -> set[int]:
        """Slots that are arrays of the function itself: small ones, as many as there is room for."""
        chosen, room = set(), _ALL_ON_STACK
        for slot, size in enumerate(self.program.slot_sizes):
            if size.is_const and size.payload <= min(_ON_STACK, room):
                chosen.add(slot)
                room -= max(size.payload, 64)
        return chosen

    def _check_fit(self, value: Value) -> None:
        """Refuse negative lengths, and a size that no machine has or no integer holds, before it is computed."""
        shape, itemsize = self.program.shapes[value], dtypes.size_bytes(value.dtype)
        if all(n.is_const for n in shape) or (shape, itemsize) in self._fitting:
            return
        self._fitting.add((shape, itemsize))
        lengths = ", ".join(map(self._text, shape))
        fits = f"core_fits({itemsize}, {len(shape)}, (const int64_t[]){{{lengths}}})"
        self._say(f"if (!{fits}) {self._no_memory(value)}")

    def _no_memory(self, value: Value) -> str:
        return self._fail(Status.MEMORY, str(self._numbers[value]), *map(self._text, self.program.shapes[value]))

    def _allocate(self, step: Step, later: Collection[Value] = ()) -> None:
        """Memory for what a step writes, but for the values ``later``."""
        for value in step.writes if not isinstance(step, HostStep) else ():
            if value in later or value in self._allocated:
                continue
            home = self.program.kept_in.get(value, value)
            if home not in self._allocated:
                self._allocated.add(home)
                self._allocate_one(home)
            if home is not value:
                self._allocated.add(value)
                self._pointer(value, self._name(home))

    def _first_donation(self) -> int | None:
        """The first step that may write over an input: from there on nothing may be left that can fail."""
        return min((beginnings(self.program)[output][0] for output in self._donors), default=None)

    def _take_over(self, steps: Sequence[Step]) -> None:
        """All that may fail, or that lets others run, comes before the first output that lies where an input does."""
        values = [value for step in steps for value in step.writes]
        lengths = [n for value in values for n in self.program.shapes[value]]
        lengths += [n for step in steps for n in _works(step)]
        if self._guards or not self._computable(lengths):
            self._donors = {}
            return
        for step in steps:
            if isinstance(step, LibraryStep):
                self._say(f"core_work(call, {self._text(library_work(step))});")
            for kernel in step.kernels if isinstance(step, KernelStep) else ():
                self._work(kernel)
        self._announced = True
        for later in (self._donors, ()):  # whose sizes may ask for threads, which changes what is given
            for step in steps:
                self._allocate(step, later)

    def _allocate_one(self, value: Value) -> None:
        if value in self.made and self._around is not None:
            self._pointer(value, f"outputs[{self.made[value]}]")
            return
        self._check_fit(value)
        size = self._text(size_bytes(value, self.program))
        if value in self.made:
            k = self.made[value]
            if value in self._donors:
                self._say(f"outputs[{k}] = call->given ? call->given[{k}] : 0;")
            unless = f"!outputs[{k}] && " if value in self._donors else ""
            self._say(f"if ({unless}!(outputs[{k}] = call->memory(call, 0, {size}))) {self._no_memory(value)}")
            self._pointer(value, f"outputs[{k}]")
            return
        slot = self.program.slots[value]
        if slot in self._late_slots:
            name = self._late_slots[slot]
            self._say(f"if (!{name} && !({name} = call->memory(call, 0, {size}))) {self._no_memory(value)}")
            self._pointer(value, name)
        else:
            self._pointer(value, f"(void *)slot{slot}" if slot in self._stack else f"(void *)(arena + at{slot})")

    def _hand_over(self) -> None:
        position = 0
        for value in self.made:
            for n in self.program.shapes[value]:
                self._say(f"output_lengths[{position}] = {self._text(n)};")
                position += 1

    # --- steps ------------------------------------------------------------------------------------------------------

    def _run(self, position: int, step: Step) -> None:
        if isinstance(step, KernelStep):
            for kernel in step.kernels:
                self._kernel(kernel)
        elif isinstance(step, LibraryStep):
            self._library(position, step)
        elif isinstance(step, OpCall):
            self._op_call(position, step)
        elif isinstance(step, HostStep):
            self._host(step)
        elif isinstance(step, BlockStep):
            self._blocks(step)
        elif isinstance(step, LoopStep):
            self._loop(position, step)
        elif isinstance(step, BranchStep):
            self._branch(position, step)
        elif isinstance(step, CheckStep):
            self._say(f"if ({self._name(step.value)}[0]) {self._fail(Status.CHECK, str(position))}")

    def _kernel(self, kernel: Kernel) -> None:
        self._work(kernel)
        if kernel.split is not None:
            self._in_chunks(kernel)
        else:
            self._at_once(kernel)

    def _work(self, kernel: Kernel) -> None:
        """Say how much work follows; a kernel without loops has hardly any."""
        if self._announced:
            return
        split = kernel.split
        if split is not None:
            self._text(split.chunk.expr)
        work = _work_of(kernel)
        if not work.is_const or work.payload > _HARDLY_ANY:
            self._say(f"core_work(call, {self._text(work)});")

    def _at_once(self, kernel: Kernel) -> None:
        arguments = [self._name(value) for value in (*kernel.writes, *kernel.reads)]
        arguments += [self._text(n) for n in (*self.called[kernel.name].lengths, *(t.expr for t in kernel.takes))]
        self._say(f"{self.called[kernel.name].name}({', '.join(arguments)});")

    def _in_chunks(self, kernel: Kernel) -> None:
        """Leave the chunks of a loop to whoever takes them."""
        split, task = kernel.split, self.called[kernel.name].task
        assert split is not None and task is not None
        given = [self._name(split.private.get(value, value)) for value in (*kernel.writes, *kernel.reads)]
        given += [self._text(n) for n in self.called[kernel.name].lengths]
        given += [self._name(parts) for parts in split.parts.values()]
        given += [self._text(self.program.shapes[rows][1]) for rows in task.strides]
        chunk, extent = self._text(split.chunk.expr), self._text(split.extent)
        arguments = f"{kernel.name}_given"
        self._say(f"struct {task.name}_arguments {arguments} = {{{', '.join([*given, chunk])}}};")
        self._say(f"core_parallel(call, {task.name}_task, &{arguments}, {extent}, {chunk});")

    def _divide(self, kernel: Kernel) -> None:
        """Names for how a loop is divided."""
        split = kernel.split
        assert split is not None
        known = self.printer.known
        extent, work, least = (self._text(e) for e in _said_of(split))
        if not split.work.is_const and split.work not in known:
            self._call(split.work, self.names.of((split, "work"), f"{kernel.name}_work"))
            self._declare("int64_t", known[split.work], work)
            work = known[split.work]
        division = f"core_chunk({extent}, {work}, {least}, {split.multiple})"
        if division not in self._chunks:
            self._chunks[division] = self.names.of(split.chunk, f"{kernel.name}_chunk")
            self._declare("int64_t", self._chunks[division], division)
        known[split.chunk.expr] = chunk = self._chunks[division]
        known[split.count.expr] = self.names.of(split.count, f"{kernel.name}_chunks")
        if split.parts or split.count in self._taken:
            self._declare("int64_t", known[split.count.expr], f"core_chunks({extent}, {chunk})")
        known[split.workers.expr] = self.names.of(split.workers, f"{kernel.name}_workers")
        if split.private:
            self._declare("int64_t", known[split.workers.expr], f"core_workers(call, {extent}, {chunk})")

    def _library(self, position: int, step: LibraryStep) -> None:
        from core.ir.clike.clibrary import Hooks, call_lines  # as above

        if not self._announced:
            self._say(f"core_work(call, {self._text(library_work(step))});")
        where = str(position)
        hooks = Hooks(
            types=self.dialect.types,
            pointer=self._name,
            length=self._text,
            address=lambda name: f"routines[{self._functions[name]}]",
            too_long=lambda length: self._fail(Status.LIBRARY, where, length),
            failed=lambda report: self._fail(Status.ROUTINE, where, *report),
        )
        for line in call_lines(step, self.program.routines[step.call.name], hooks):
            self._say(line)

    def _surroundings(self, failed: Callable[[str], str]) -> Around:
        from core.ir.clike.cblocks import Around  # few programs need it

        return Around(self._name, self._text, self.program.shapes.__getitem__, failed, self.dialect.types)

    def _blocks(self, step: BlockStep) -> None:
        from core.ir.clike import cblocks  # as above

        for line in cblocks.call_lines(step, self._surroundings(lambda size: self._fail(Status.MEMORY, "-1", size))):
            self._say(line)

    def _loop(self, position: int, step: LoopStep) -> None:
        from core.ir.clike import cloops  # as above

        around = self._surroundings(lambda _: self._fail(Status.STEP, str(position)))
        for line in cloops.call_lines(step, around):
            self._say(line)

    def _branch(self, position: int, step: BranchStep) -> None:
        from core.ir.clike import cbranches  # few programs need it

        said = [f"core_said[{k}]" for k in range(SAID)]
        failed = self._fail(Status.BRANCH, str(position), "core_side", "core_status", *said)
        for line in cbranches.call_lines(step, self._surroundings(lambda _: failed), failed):
            self._say(line)

    def _op_call(self, position: int, step: OpCall) -> None:
        """Call an op's own C.  How long that takes nobody knows: other threads need not wait for it."""
        lengths = {v: list(map(self._text, self.program.shapes[v])) for v in (*step.inputs, *step.outputs)}
        failed = self._fail(Status.OP, str(position))
        self._say("core_busy(call);")
        for line in ccalls.call_lines(self._op_functions[id(step)], step, self._name, lengths, failed):
            self._say(line)

    def _host(self, step: HostStep) -> None:
        """Call Python: it reads the inputs, and gives back where its outputs are and how long."""
        op = str(self.program.host_nodes[step.index].op).replace("*/", "* /")
        self._say(f"/* {op}: computed by Python */")
        inputs = ", ".join(self._name(value) for value in step.inputs)
        lengths = ", ".join(self._text(n) for value in step.inputs for n in self.program.shapes[value])
        ndims = [len(self.program.shapes[value]) for value in step.outputs]
        given, sizes, made, made_sizes = (
            self.names.of((step.index, role), f"host{step.index}_{role}")
            for role in ("inputs", "lengths", "outputs", "output_lengths")
        )
        self._say(f"void *{given}[] = {{{inputs or '0'}}};")
        self._say(f"const int64_t {sizes}[] = {{{lengths or '0'}}};")
        self._say(f"void *{made}[{len(ndims)}];")
        self._say(f"int64_t {made_sizes}[{max(sum(ndims), 1)}];")
        call = f"call->python({step.index}, {given}, {sizes}, {made}, {made_sizes})"
        self._say(f"if ({call}) {self._fail(Status.HOST, str(step.index))}")
        first = 0
        for k, value in enumerate(step.outputs):
            self._pointer(value, f"{made}[{k}]")
            for axis in range(ndims[k]):
                self._know(length(value, axis), f"{made_sizes}[{first + axis}]")
            first += ndims[k]


def _work_of(kernel: Kernel) -> Expr:
    return total_work(kernel.body) if kernel.split is None else kernel.split.extent * kernel.split.work


def _works(step: Step) -> list[Expr]:
    """The work of each part of a step."""
    if isinstance(step, KernelStep):
        return [_work_of(kernel) for kernel in step.kernels]
    return [library_work(step)] if isinstance(step, LibraryStep) else []


def _said_of(split: Split | None) -> tuple[Expr, ...]:
    """The expressions that decide how a loop is divided."""
    return (split.extent, split.work, split.least) if split is not None else ()


def _violated(guard: Guard, a: str, b: str) -> str:
    a, b = (f"({n})" if set(n) & _LOOSE else n for n in (a, b))
    if guard.kind == "range":
        return f"{a} < -({b}) || {a} >= {b}"
    signs = {"positive": "<=", "within": ">", "short": ">", "tall": "<="}
    return f"{a} {signs.get(guard.kind, '!=')} {b}"


_LOOSE = frozenset("?<>=!&|^")  # operators that bind no tighter than a comparison
