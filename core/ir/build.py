"""From a lowered graph to a program: lengths, fusion, schedule, memory, in that order.  Each pass is its own file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from core import dtypes
from core.dataclass import replace
from core.ir.axes import ravel
from core.ir.codes import Code
from core.ir.cpu.alike import Schedules
from core.ir.cpu.arrays import with_arrays
from core.ir.cpu.blocks import blocked
from core.ir.cpu.collapse import collapse
from core.ir.cpu.epilogues import with_epilogues
from core.ir.cpu.lanes import lanes
from core.ir.cpu.parallel import split
from core.ir.cpu.periods import with_periods
from core.ir.cpu.ranges import cut
from core.ir.cpu.scatters import scatter_kernel
from core.ir.cpu.schedule import Scheduler
from core.ir.cpu.strips import with_strips
from core.ir.cpu.wide import widen
from core.ir.definitions import (
    FromBlocks,
    FromC,
    FromChoice,
    FromLibrary,
    FromLoops,
    FromSteps,
    Lowered,
    Operand,
    Scattering,
    Value,
    operands_of,
    with_rows_merged,
)
from core.ir.expr import Expr, make
from core.ir.guards import Guard
from core.ir.nodes import Break, Kernel, expressions, statements
from core.ir.passes.donation import donate
from core.ir.passes.fuse import Fused, fuse
from core.ir.passes.groups import Group
from core.ir.passes.in_place import work_in_place
from core.ir.passes.lengths import computable, resolve
from core.ir.passes.memory import last_uses, plan
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
from core.ir.rebuild import loads_in, rebuild
from core.ir.target import HOST, Target

if TYPE_CHECKING:
    from core.ir.row_blocks import Blocks

VERIFY = False  # tests set it: every program is then checked against the rules of the IR


def build(
    lowered: Lowered,
    ones: frozenset[Expr] = frozenset(),
    target: Target = HOST,
    updates: Mapping[int, int] = MappingProxyType({}),
    tall: bool = False,
) -> Program:
    """The program of a graph for a target, for lengths of which those in ``ones`` are 1.  Errors: ShapeError.

    updates  number of an output -> number of the input that it replaces, whose memory a caller may give away
    tall     whether it is for matrices with so many rows that these go by blocks, where the target has blocks
    """
    on_device = target.is_device  # where a launch costs what a million elements do
    resolved, guards = _resolved(_in_plain_dtypes(lowered), ones, by_extremes=not on_device)
    fused = fuse(
        resolved,
        guards,
        tiles=not on_device,
        scatters=not on_device,
        waits=not on_device,
        pulled=on_device,
        crowd=target.units if target.has_groups else 0,
        tall=tall if target.blocks else None,
    )
    plain = computable(resolved.definitions)
    fused.extents = {variable: plain(extent) for variable, extent in fused.extents.items()}
    made = {**resolved.definitions, **fused.definitions}
    shapes = {value: tuple(map(plain, definition.shape)) for value, definition in made.items()}
    hosts = {out: k for k, (_, _, outputs) in enumerate(resolved.host_nodes) for out in outputs}
    steps = _Steps(resolved, fused, shapes, hosts, target)
    for group in fused.groups:
        steps.add(group)
    program = Program(
        name=resolved.name,
        inputs=resolved.inputs,
        outputs=resolved.outputs,
        constants=resolved.constants,
        steps=steps.done,
        guards=[
            *(replace(g, a=plain(g.a), b=plain(g.b), symbols=(g.a, g.b)) for g in fused.guards),
            *steps.guards,
        ],
        shapes=shapes,
        host_nodes=[node for node, _, _ in resolved.host_nodes],
        layouts=resolved.layouts,
    )
    if not target.is_device:
        work_in_place(program, last_uses(program))
    plan(program)
    if not target.is_device:
        donate(program, updates)
    if VERIFY:
        from core.ir.check.verify import verify  # for tests alone

        verify(program)
    return program


def _resolved(lowered: Lowered, ones: frozenset[Expr], by_extremes: bool) -> tuple[Lowered, list[Guard]]:
    """The graph with its lengths decided, those that steps demand among them, and what must hold."""
    resolved, guards = resolve(lowered, ones, by_extremes)
    kinds = set(map(type, resolved.definitions.values()))
    if FromSteps in kinds:
        from core.ir.passes.step_rows import with_rows_once  # who has no loops need not wait for it
        from core.ir.steps import demanded_by_steps

        lowered, demands = demanded_by_steps(lowered, resolved)
        if demands:
            resolved, guards = resolve(lowered, ones, by_extremes)
            guards = [demands.get((guard.kind, guard.a, guard.b), guard) for guard in guards]
        resolved = with_rows_once(resolved)
    if FromLibrary in kinds:
        from core.ir.passes.copies import without_copies  # nor who has no products

        resolved = without_copies(resolved)
    return resolved, guards


def _in_plain_dtypes(lowered: Lowered) -> Lowered:
    """A graph that computes with nothing but what every dialect has; who has no such dtypes need not wait for it."""
    kinds = {value.dtype for value in lowered.definitions}
    if not kinds.isdisjoint(dtypes.COMPLEXES):
        from core.ir.parts.lowered import in_parts

        lowered = in_parts(lowered)
    if "float16" in kinds:
        from core.ir.halves import widened

        lowered = widened(lowered)
    return lowered


class _Steps:
    """Turns groups into steps, one after the other."""

    def __init__(
        self, lowered: Lowered, fused: Fused, shapes: dict[Value, Any], hosts: dict[Value, int], target: Target
    ):
        self.lowered, self.fused, self.shapes, self.hosts, self.target = lowered, fused, shapes, hosts, target
        self.done: list[Step] = []
        self.guards: list[Guard] = []
        self._kept = _read_between_groups(lowered, fused)
        self._schedules = Schedules(fused.extents, shapes, self._kept)
        if target.is_device:
            from core.ir.work.schedule import WorkSchedules  # a CPU need not wait for that

            self._work = WorkSchedules(target, fused.extents, shapes, self._kept)
        self._dtypes = {value.dtype for value in fused.definitions}

    def add(self, group: Group) -> None:
        first = group.items[0]
        definition = first.definition
        if first.value in self.hosts:
            index = self.hosts[first.value]
            _, inputs, outputs = self.lowered.host_nodes[index]
            self.done.append(HostStep(index, inputs, outputs))
        elif isinstance(definition, FromLibrary):
            plain = computable(self.lowered.definitions)
            operands = tuple(operand.map(plain) for operand in definition.operands)
            shapes = [with_rows_merged(self.shapes[value], definition.merged) for value in definition.outputs]
            results = tuple(map(Operand.whole, definition.outputs, shapes))
            self.done.append(LibraryStep(definition.call, operands, results))
        elif isinstance(definition, FromBlocks):
            self.done.append(self._blocks(definition.write))
        elif isinstance(definition, FromSteps):
            self._iteration(definition, group)
        elif isinstance(definition, FromChoice):
            self.done.append(self._choice(definition, first.value))
        elif isinstance(definition, FromC):
            node, n = first.value.node, len(first.value.node.inputs)
            params = definition.inputs[n] if len(definition.inputs) > n else None
            self.done.append(OpCall(node, definition.write, definition.inputs[:n], definition.outputs, params))
        elif isinstance(definition, FromLoops):
            self._launch(self._own_loops(definition, first.value), group)
        elif isinstance(definition, Scattering):
            self._launch(self._scatter(group), group)
        elif self.target.is_device:
            self._launch(self._work.group(group, *self._title_of(group)), group)
        else:
            self._run(self._schedules.kernels(group, *self._title_of(group), self._scheduled))
        for item in group.items:
            if item.value in self.lowered.checks:
                self.done.append(CheckStep(item.value, self.lowered.checks[item.value], item.value.node))

    def _blocks(self, blocks: Blocks) -> BlockStep:
        """A step whose program is for one block, by one thread: others take other blocks."""
        target = replace(self.target, threads=False, blocks=False)
        body = build(replace(blocks.body, kernels=f"b{len(self.done)}_"), target=target)
        body.guards = []  # they are those of the program around, of all rows
        return BlockStep(blocks.map(computable(self.lowered.definitions)), body)

    def _iteration(self, definition: FromSteps, group: Group) -> None:
        """A loop in a kernel, where a step computes a few elements, else a step that is a loop."""
        from core.ir.builder import Buffer, KernelBuilder  # who has no loops need not wait for it
        from core.ir.registers import in_registers
        from core.ir.steps import lifted

        iteration = definition.write.map(computable(self.lowered.definitions))
        is_one_kernel = iteration.done is None or not self.target.is_device  # on a device no loop is left
        found = in_registers(iteration) if is_one_kernel else None
        if found is None:
            self.done.append(self._loop(definition, group.items[0].value))
            return
        write, guards = found
        self.guards += lifted(guards, iteration)
        used: dict[Value, Buffer] = {}
        k, made = KernelBuilder(), set(iteration.writes)

        def buffer(value: Value) -> Buffer:
            return used.setdefault(value, Buffer(k, value, value.dtype, self.shapes[value], value in made))

        write(k, buffer)
        reads, writes = ([value for value in used if (value in made) == is_made] for is_made in (False, True))
        name, comment = self._title(writes)
        body = self._work.own(k.body) if self.target.is_device else k.body
        self._launch(Kernel(name, reads, writes, body, comment), group)

    def _loop(self, definition: FromSteps, value: Value) -> LoopStep:
        """A step whose program runs again and again.  What its lengths must be, is to hold of the program around."""
        from core.ir.steps import loop_step  # who has no loops need not wait for it

        plain = computable(self.lowered.definitions)
        target = replace(self.target, blocks=False)
        name = f"{self.lowered.kernels}{len(self.done)}"
        iteration = definition.write.map(plain)
        step, guards = loop_step(iteration, value.node, name, partial(build, target=target))
        self.guards += guards
        if target.is_device and not target.has_groups:
            from core.ir.work.alone import alone  # on a CPU as a device, which takes the steps one by one else

            by_one = partial(build, target=replace(target, units=1))
            step.alone = alone(loop_step(iteration, value.node, name, by_one)[0], self.shapes, f"{name}_steps")
        return step

    def _choice(self, definition: FromChoice, value: Value) -> BranchStep:
        """A step that runs one of two programs.  What their lengths must be is asked of the one that is taken."""
        from core.ir.steps import branch_step  # as above

        plain = computable(self.lowered.definitions)
        target = replace(self.target, blocks=False)
        name = f"{self.lowered.kernels}{len(self.done)}"
        step, guards = branch_step(definition.write.map(plain), value.node, name, partial(build, target=target))
        self.guards += guards
        return step

    def _launch(self, kernel: Kernel, group: Group) -> None:
        """Add a step for a kernel.  On a device, it asks the checks that must come before it itself."""
        if not self.target.is_device:
            self._run(self._for_cpu(kernel))
            return
        kernel = self._with_lengths(self._in_plain_dtypes(kernel))
        checks = [check for item in group.items for check in self.lowered.requires.get(item.value, ())]
        kernel.unless = tuple(check for check in dict.fromkeys(checks) if check in self.fused.definitions)
        kernel.reads += [check for check in kernel.unless if check not in kernel.reads]
        self._run([kernel])

    def _run(self, pieces: Sequence[Kernel]) -> None:
        first, *then = pieces
        self.done.append(KernelStep(first, then))

    def _for_cpu(self, kernel: Kernel) -> list[Kernel]:
        """The pieces of a kernel after its loops were joined, moved inwards, cut into blocks, and divided."""
        kernel = self._in_plain_dtypes(kernel)
        if any(isinstance(statement, Break) for statement in statements(kernel.body)):
            return [self._with_lengths(kernel)]  # what ends early stays in one piece
        kernel = blocked(collapse(cut(with_periods(kernel))), self.shapes, self._kept)
        kernel = lanes(kernel, self.shapes, self._kept, not self.target.blocks)
        kernel = with_strips(widen(with_epilogues(kernel, self.shapes), self.shapes))
        kernel = self._with_lengths(with_arrays(kernel, self.shapes))
        return split(kernel, self.shapes) if self.target.threads else [kernel]

    def _in_plain_dtypes(self, kernel: Kernel) -> Kernel:
        """A kernel that computes with nothing but what every dialect has."""
        if not self._dtypes.isdisjoint(dtypes.COMPLEXES):
            from core.ir.parts.statements import statements_in_parts

            kernel = replace(kernel, body=statements_in_parts(kernel.body))
        if "float16" in self._dtypes:
            from core.ir.halves import statements_widened

            kernel = replace(kernel, body=statements_widened(kernel.body))
        return kernel

    def _scheduled(self, group: Group, name: str, comment: str) -> list[Kernel]:
        """The kernels of a group on a CPU."""
        return self._for_cpu(Scheduler(group, self.fused.extents, self.shapes, self._kept).kernel(name, comment))

    def _title_of(self, group: Group) -> tuple[str, str]:
        return self._title([item.value for item in group.items])

    def _scatter(self, group: Group) -> Kernel:
        scatters = {item.value: item.definition for item in group.items}
        name, comment = self._title(scatters)
        if self.target.is_device:
            ((value, definition),) = scatters.items()
            return self._work.scatter(value, definition, name, comment)
        return scatter_kernel(scatters, self.fused.extents, self.shapes, name, comment)

    def _own_loops(self, definition: FromLoops, value: Value) -> Kernel:
        from core.ir.builder import Buffer, Computed, KernelBuilder  # few ops have loops of their own

        k = KernelBuilder(has_groups=self.target.is_device and self.target.has_groups)
        elements = definition.elements or (None,) * len(definition.inputs)
        buffers = [
            Buffer(k, v, v.dtype, self.shapes[v], written=False)
            if element is None
            else Computed(k, v, self.shapes[v], partial(self._element, definition.axes, element))
            for v, element in zip(definition.inputs, elements, strict=True)
        ]
        buffers += [Buffer(k, v, v.dtype, self.shapes[v], written=True) for v in definition.outputs]
        definition.write(k, *buffers)
        self.shapes.update(k.scratch)
        name, comment = self._title([value])
        body = self._work.own(k.body) if self.target.is_device else k.body
        computed = (e.payload for e in definition.loads)
        return Kernel(
            name,
            reads=list(dict.fromkeys([*operands_of(definition), *computed])),
            writes=[*definition.outputs, *k.scratch],
            body=body,
            comment=comment,
        )

    def _element(self, axes: Sequence[Expr], element: Expr, at: Sequence[Expr]) -> Expr:
        """What ``element`` of ``axes`` is at an index, in terms of where it lies in memory."""

        def change(node: Expr, args: tuple[Expr, ...]) -> Expr | None:
            if node.code is not Code.LOAD:
                return None
            return make(Code.LOAD, node.dtype, (ravel(args, self.shapes[node.payload]),), node.payload)

        return rebuild(element, change, {v: i for v, i in zip(axes, at, strict=True) if v.code is Code.INDEX})

    def _with_lengths(self, kernel: Kernel) -> Kernel:
        """A kernel also reads the scalars from which lengths are computed."""
        for e in loads_in(expressions(kernel.body)):
            if e.payload not in kernel.reads and e.payload not in (*kernel.writes, *kernel.arrays):
                kernel.reads.append(e.payload)
        return kernel

    def _title(self, values: Iterable[Value]) -> tuple[str, str]:
        """A kernel's name, and a comment that says which ops of the user's program it computes."""
        values = list(values)
        name = f"{self.lowered.kernels}{len(self.done)}_{values[-1].name}"
        lines = []
        for value in values:
            node = value.node
            where = f"  at {node.source.filename.rsplit('/', 1)[-1]}:{node.source.lineno}" if _has_line(node) else ""
            lines.append(f"{value.name}: {node.op if node is not None else 'a copy'}{where}".replace("*/", "* /"))
        return name, "\n".join(dict.fromkeys(lines))


def _has_line(node: Any) -> bool:
    return node is not None and node.source is not None


def _read_between_groups(lowered: Lowered, fused: Fused) -> set[Value]:
    """The values that must be in memory: outputs, and what another group reads, or its own at another index."""
    place = {item.value: number for number, group in enumerate(fused.groups) for item in group.items}
    kept = {*lowered.outputs, *lowered.checks}
    for _, inputs, _ in lowered.host_nodes:
        kept.update(inputs)
    for number, group in enumerate(fused.groups):
        for item in group.items:
            for e in item.loads:
                if place.get(e.payload) != number or e.args != group.values[e.payload].definition.axes:
                    kept.add(e.payload)
            if isinstance(item.definition, FromLibrary):
                kept.update(operand.value for operand in item.definition.operands)
                kept.update(e.payload for e in item.definition.loads)
            elif isinstance(item.definition, FromLoops):
                kept.update(item.definition.inputs)
                kept.update(e.payload for e in item.definition.loads)
    for definition in fused.definitions.values():
        kept.update(e.payload for e in loads_in(definition.shape))
    kept.update(e.payload for guard in fused.guards for e in loads_in([guard.a, guard.b]))
    return kept
