"""The C text around a kernel that threads run in chunks: its arguments as a struct, and a function for one chunk."""

from __future__ import annotations

from collections.abc import Sequence

from core.dataclass import dataclass, replace
from core.ir.clike.cfamily import Dialect, Names
from core.ir.codes import Code
from core.ir.definitions import Value
from core.ir.expr import Expr
from core.ir.nodes import Kernel, Split


@dataclass(frozen=True)
class Task:
    """The text of a ``core_task`` NAME_task, whose arguments are a ``struct NAME_arguments``.

    strides  whose row lengths the struct holds, after the kernel's own arguments
    """

    name: str
    text: str
    strides: Sequence[Value]


class Tasks:
    """The tasks of a program.  Kernels that are one C function, and divided alike, have one task."""

    def __init__(self, dialect: Dialect):
        self.all: dict[str, Task] = {}
        self._dialect = dialect

    def add(self, kernel: Kernel, split: Split, lengths: Sequence[Expr], function: str) -> Task:
        """The task of a kernel that is the C function ``function``."""
        names, text = _written(kernel, split, self._dialect, lengths, function)
        own = Task(kernel.name, text.replace("@", kernel.name), ())
        first = self.all.setdefault(names.numbered(text), own)
        return replace(first, strides=strides_of(split))


def strides_of(split: Split) -> list[Value]:
    """The values whose row lengths a task takes: see Task."""
    return [*split.parts.values(), *split.private.values()]


def _written(
    kernel: Kernel, split: Split, dialect: Dialect, lengths: Sequence[Expr], function: str
) -> tuple[Names, str]:
    """Names of fields, and the text, with @ for the kernel's own name.

    The struct holds, in this order: a pointer for each value written (for scratch, to the rows of all workers), for
    each value read, each of the kernel's ``lengths``; then for each value of ``parts`` a pointer to its parts; the
    length of a row for each of ``strides``; the length of a chunk.
    """
    names = Names(["chunk"])
    fields, passed = [], []
    for value in kernel.writes:
        rows = split.private.get(value)
        name = names.of(rows or value, str(rows or value))
        fields.append(f"{dialect.types[value.dtype]} *{name};")
        if rows is not None:
            passed.append(f"all->{name} + worker * all->{names.of((rows, 1), f'{name}_stride')}")
        elif value in split.parts:
            parts = names.of(split.parts[value], str(split.parts[value]))
            stride = names.of((split.parts[value], 1), f"{parts}_stride")
            passed.append(f"first ? all->{parts} + (first / all->chunk - 1) * all->{stride} : all->{name}")
        else:
            passed.append(f"all->{name}")
    for value in kernel.reads:
        name = names.of(value, str(value))
        fields.append(f"const {dialect.types[value.dtype]} *{name};")
        passed.append(f"all->{name}")
    for number, n in enumerate(lengths):
        name = names.of(n, "{}_n{}".format(*n.payload) if n.code is Code.LENGTH else f"n{number}")
        fields.append(f"{dialect.types['int64']} {name};")
        passed.append(f"all->{name}")
    said = {split.first: "first", split.last: "last", split.number: "first / all->chunk"}
    passed += [said[local] for local in kernel.takes]
    fields += [f"{dialect.types[parts.dtype]} *{names.of(parts, str(parts))};" for parts in split.parts.values()]
    fields += [f"{dialect.types['int64']} {names.of((rows, 1), f'{rows}_stride')};" for rows in strides_of(split)]
    fields.append(f"{dialect.types['int64']} chunk;")
    text = [
        "struct @_arguments {",
        *(f"    {field}" for field in fields),
        "};",
        "",
        "static void @_task(void *given, int64_t first, int64_t last, int64_t worker)",
        "{",
        "    const struct @_arguments *const all = given;",
        f"    {function}({', '.join(passed)});",
        "}",
    ]
    return names, "\n".join(text)
