"""In place: a value that a kernel reads for the last time lies where the value that the kernel makes of it will lie.

That is safe where each of its elements is read at the place where the new one is stored, and never after that.
"""

from __future__ import annotations

from collections.abc import Iterable

from core import dtypes
from core.dataclass import replace
from core.ir.codes import Code
from core.ir.definitions import Value
from core.ir.expr import Expr, make
from core.ir.nodes import Atomic, If, Kernel, Loop, Statement, Store, own_expressions, rewritten
from core.ir.program import HostStep, KernelStep, Program
from core.ir.rebuild import loads_in, rebuild


def work_in_place(program: Program, last: dict[Value, int]) -> None:
    """Change kernels, and note in ``KernelStep.overwrites`` what they overwrite.  ``last``: when a value is last read.

    Only values that steps of the program make are overwritten, never arguments, constants or outputs.
    """
    made = {v for step in program.steps if not isinstance(step, HostStep) for v in step.writes}
    free = made - {*program.outputs, *program.inputs, *program.constants}
    for position, step in enumerate(program.steps):
        if isinstance(step, KernelStep) and not step.kernel.unless:
            _try_step(program, step, {v for v in step.reads if v in free and last[v] == position})


def _try_step(program: Program, step: KernelStep, ending: set[Value]) -> None:
    kernels = list(step.kernels)
    touched = [{*kernel.reads, *kernel.writes} for kernel in kernels]
    for number, kernel in enumerate(kernels):
        alone = {v for v in touched[number] if sum(v in each for each in touched) == 1} - {*kernel.scratch}
        values = [v for v in kernel.reads if v in ending and v in alone]
        if not values:
            continue
        places = Places(kernel)
        for target in kernel.writes:
            if target not in alone or places.loads.get(target):
                continue
            value = next((v for v in values if _alike(program, v, target) and places.are_safe(v, target)), None)
            if value is not None:
                step.overwrites[target] = value
                values.remove(value)
        mine = {value: target for target, value in step.overwrites.items() if value in kernel.reads}
        kernels[number] = overwriting(kernel, mine) if mine else kernel
    step.kernel, *step.then = kernels


def _alike(program: Program, value: Value, target: Value) -> bool:
    return value.dtype == target.dtype and program.shapes[value] == program.shapes[target]


def overwriting(kernel: Kernel, values: dict[Value, Value]) -> Kernel:
    """``kernel`` with each of ``values`` read from where its target is stored."""

    def change(node: Expr, args: tuple[Expr, ...]) -> Expr | None:
        if node.code is Code.LOAD and node.payload in values:
            return make(Code.LOAD, node.dtype, args, values[node.payload])
        return None

    memo: dict[Expr, Expr] = {}
    body = [rewritten(s, lambda e: rebuild(e, change, memo)) for s in kernel.body]
    return replace(kernel, body=body, reads=[v for v in kernel.reads if v not in values])


class Places:
    """Where a kernel reads and stores: each access with its number in the order of the statements."""

    def __init__(self, kernel: Kernel):
        self.loads: dict[Value, list[tuple[int, Expr]]] = {}
        self.stores: dict[Value, list[tuple[int, Statement, tuple[Loop, ...]]]] = {}
        for number, (s, around) in enumerate(_in_order(kernel.body, ())):
            for e in loads_in(own_expressions(s)):
                self.loads.setdefault(e.payload, []).append((number, e.args[0]))
            if isinstance(s, (Store, Atomic)):
                self.stores.setdefault(s.buffer, []).append((number, s, around))

    def are_safe(self, value: Value, target: Value) -> bool:
        """Whether no element of ``value`` is read once the element of ``target`` at its place is stored.

        There is one store, or one for each part of a complex number; its place moves with each loop around it, so that
        no iteration comes back to it; and all reads are at that place and stand before it.
        """
        ends: dict[Expr, int] = {}
        for position, store, around in self.stores.get(target, ()):
            if not isinstance(store, Store) or any(loop.variable not in store.offset.free for loop in around):
                return False
            ends[store.offset] = position
        is_element = len(ends) == len(self.stores.get(target, ())) and self._is_element(target, list(ends))
        return is_element and all(number <= ends.get(at, -1) for number, at in self.loads.get(value, ()))

    @staticmethod
    def _is_element(target: Value, offsets: list[Expr]) -> bool:
        """Whether stores write one element."""
        if len(offsets) == 2 and target.dtype in dtypes.COMPLEXES:
            return offsets[1] is offsets[0] + 1
        return len(offsets) == 1


def _in_order(body: list[Statement], around: tuple[Loop, ...]) -> Iterable[tuple[Statement, tuple[Loop, ...]]]:
    """Every statement with the loops around it, in the order in which they stand."""
    for s in body:
        yield s, around
        if isinstance(s, Loop):
            yield from _in_order(s.body, (*around, s))
        elif isinstance(s, If):
            yield from _in_order([*s.body, *s.orelse], around)
