"""Calls of library routines as C: what a plugin says of a routine, and the lines that call it.

A plugin's ``Library`` record names, in ``ref``, a mapping from the names of the routines it provides to ``Routine``
objects.  Which C function serves, and what its arguments are, is for the plugin to say; pointers, lengths, stacks of
matrices and errors are dealt with here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from core import dtypes
from core.dataclass import dataclass, replace
from core.ir.clike.routine import Routine
from core.ir.definitions import Operand
from core.ir.expr import Expr
from core.ir.program import LibraryStep


@dataclass(frozen=True)
class Failure:
    """A call that failed: its number, where in the stack of calls it was, and the shapes of one call's operands."""

    number: int
    place: tuple[int, ...]
    shapes: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Array:
    """An operand or output of one call, in C: where its first element lies, how long its axes are, and how to move.

    Complex elements are of C's ``_Complex`` types.  Lengths and strides are text of type int64_t, digits where they are
    known, and an operand of any operator: a name, or in parentheses.  Strides count elements.  Of a matrix, one
    stride is ``"1"`` and the other no less than the length of that axis; a vector has any positive stride.
    """

    dtype: str
    pointer: str
    shape: tuple[str, ...]
    strides: tuple[str, ...]
    next: str = "0"

    @property
    def transposed(self) -> bool:
        """Whether a matrix lies column by column."""
        return self.strides[-1] != "1"

    @property
    def leading(self) -> str:
        """The distance of two rows of a matrix, or of two columns where it is transposed."""
        return self.strides[-2] if not self.transposed else self.strides[-1]


class Call:
    """One call while it is written: ``operands``, ``outputs`` and ``attributes``.

    ``stack`` is how many there are, of a routine that makes stacks and a step that has one; else it is empty.  With
    the variable ``index`` ``write`` may then count them; ``check`` reports it.

    An output that starts as an operand (``LibraryCall.overwrites``) holds its elements already.
    """

    def __init__(
        self, step: LibraryStep, operands: Sequence[Array], outputs: Sequence[Array], hooks: Hooks, stack: str = ""
    ):
        self.stack = stack
        self._place = [f"core_b{axis}" for axis in range(step.call.batch)]
        self.index = self._place[-1] if stack else ""
        self._lengths = [n for operand in operands for n in operand.shape]
        self.attributes: dict[str, Any] = dict(step.call.attributes)
        self.operands, self.outputs = tuple(operands), tuple(outputs)
        self._hooks = hooks
        self._names: dict[tuple[str, str], str] = {}
        self.head: list[str] = []

    def address(self, name: str) -> str:
        """The address of a function of the routine."""
        return self._hooks.address(name)

    def function(self, name: str) -> str:
        """A function of the routine, ready to be called."""
        return f"((core_{name}){self.address(name)})"

    def integer(self, length: str, least: int = 0) -> str:
        """A name for a length as a C ``int``, at least ``least``; where it is too long for one, the program stops."""
        text = length if length.isdecimal() or length.isidentifier() else f"({length})"
        if least:
            text = f"({text} > {least} ? {text} : {least})"
        if ("int", text) not in self._names:
            if not (length.isdecimal() and int(length) < 2**31):
                self.head.append(f"if ({text} > __INT_MAX__) {self._hooks.too_long(text)}")
            self._declare("int", text, f"(int){text}")
        return self._names["int", text]

    def constant(self, value: float, dtype: str) -> str:
        """A name for a number, so that its address can be given."""
        kind = element_type(dtype, self._hooks.types)
        if (kind, repr(value)) not in self._names:
            self._declare(kind, repr(value), repr(value))
        return self._names[kind, repr(value)]

    def variable(self, kind: str, start: str = "0") -> str:
        """A name for a variable of its own for this call, such as the ``info`` of LAPACK."""
        name = f"core_v{len(self._names)}"
        self._names[kind, name] = name
        self.head.append(f"{kind} {name} = {start};")
        return name

    def check(self, number: str) -> str:
        """A line that stops the program where ``number`` is not 0; see Routine.failed."""
        return f"if ({number}) {self._hooks.failed([number, *self._place, *self._lengths])}"

    def _declare(self, kind: str, key: str, value: str) -> None:
        name = self._names[kind, key] = f"core_v{len(self._names)}"
        self.head.append(f"const {kind} {name} = {value};")


@dataclass(frozen=True)
class Hooks:
    """What writing a call needs of the function around it, as functions that give C text."""

    types: Mapping[str, str]
    pointer: Callable[[Any], str]  # of a value
    length: Callable[[Expr], str]
    address: Callable[[str], str]  # of a C function's name
    too_long: Callable[[str], str]  # of a length
    failed: Callable[[Sequence[str]], str]  # of what read_failure reads


def element_type(dtype: str, types: Mapping[str, str]) -> str:
    """The C type of an element.  ``types`` says how arrays of it are seen by loops: complex ones by their parts."""
    return f"{types[dtype]} _Complex" if dtype in dtypes.COMPLEXES else types[dtype]


def call_lines(step: LibraryStep, routine: Routine, hooks: Hooks) -> list[str]:
    """The lines of a step: a block, with a loop for each axis along which calls are stacked that no call goes along."""
    names = [f"core_a{k}" for k in range(len(step.operands))], [f"core_c{k}" for k in range(len(step.outputs))]
    stacked = step.call.batch
    looped = stacked - (routine.stacks and stacked > 0)
    hooks = replace(hooks, length=_enclosed(hooks.length))
    arrays: list[list[Array]] = []
    moves: list[str] = []
    for given, own in zip((step.operands, step.results), names, strict=True):
        made = []
        for operand, name in zip(given, own, strict=True):
            array, move = _array(operand, name, (looped, stacked), hooks, constant=given is step.operands)
            made.append(array)
            moves += move
        arrays.append(made)
    copies = [_copied(step, *pair, hooks) for pair in step.call.overwrites]
    loops = [hooks.length(n) for n in step.results[0].shape[:stacked]]
    stack = "".join(loops[looped:])
    call = Call(step, arrays[0], arrays[1], hooks, stack)
    body = [*moves, *routine.write(call)]
    del loops[looped:]
    for axis, n in enumerate(loops):
        call.head.append(f"for (int64_t core_b{axis} = 0; core_b{axis} < {n}; core_b{axis}++)")
    return _block([*copies, *call.head, *(_block(body) if loops else body)])


def read_failure(step: LibraryStep, report: Sequence[int]) -> Failure:
    """What ``Call.check`` reports: a number, the place in the stack, the lengths of each operand behind that."""
    number, *rest = report
    place, at, shapes = tuple(rest[: step.call.batch]), step.call.batch, []
    for operand in step.operands:
        ndim = len(operand.shape) - step.call.batch
        shapes.append(tuple(rest[at : at + ndim]))
        at += ndim
    return Failure(number, place, tuple(shapes))


def failure_length(step: LibraryStep) -> int:
    """How many integers ``read_failure`` reads."""
    return 1 + step.call.batch + sum(len(operand.shape) - step.call.batch for operand in step.operands)


def _block(lines: Iterable[str]) -> list[str]:
    return ["{", *(f"    {line}" for line in lines), "}"]


def _enclosed(length: Callable[[Expr], str]) -> Callable[[Expr], str]:
    """``length``, whose text may stand beside any operator: that of ``x[1:]`` has a choice, which binds least."""

    def text(n: Expr) -> str:
        plain = length(n)
        return plain if plain.isidentifier() or plain.isdecimal() else f"({plain})"

    return text


def _array(operand: Operand, name: str, axes: tuple[int, int], hooks: Hooks, constant: bool) -> tuple[Array, list[str]]:
    """An array without its stacked axes, and the line that finds the one at hand.

    axes  how many axes loops go along, and how many there are before those of one call
    """
    looped, stacked = axes
    lengths = [hooks.length(n) for n in operand.shape[stacked:]]
    strides = [hooks.length(n) for n in operand.strides]
    dtype, pointer = operand.value.dtype, hooks.pointer(operand.value)
    kind = element_type(dtype, hooks.types)
    terms = [] if operand.offset.is_const and operand.offset.payload == 0 else [hooks.length(operand.offset)]
    terms += [f"core_b{axis} * {stride}" for axis, stride in enumerate(strides[:looped]) if stride != "0"]
    line = []
    if dtype in dtypes.COMPLEXES:
        pointer = f"(({kind} *){pointer})"
    if terms:
        line = [f"{'const ' if constant else ''}{kind} *{name} = {pointer} + {' + '.join(terms)};"]
        pointer = name
    following = "".join(strides[looped:stacked]) or "0"
    return Array(dtype, pointer, tuple(lengths), tuple(strides[stacked:]), following), line


def _copied(step: LibraryStep, output: int, operand: int, hooks: Hooks) -> str:
    """A line that puts an operand into the memory of the output that overwrites it, unless both are one."""
    source, target = step.operands[operand].value, step.outputs[output]
    n = " * ".join(hooks.length(n) for n in step.results[output].shape) or "1"
    to, start = hooks.pointer(target), hooks.pointer(source)
    size = dtypes.size_bytes(target.dtype)
    return f"if ({to} != {start}) __builtin_memcpy({to}, {start}, (size_t)({n}) * {size});"


def declarations(routines: Iterable[Routine]) -> dict[str, str]:
    """Types of pointers to the functions of ``routines``: name of the type -> its declaration."""
    return {
        f"core_{name}": f"typedef {prototype.format(f'(*core_{name})')};"
        for routine in routines
        for name, prototype in routine.functions.items()
    }
