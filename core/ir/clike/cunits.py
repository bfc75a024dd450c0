"""A program as translation units: which C functions it has, and in which text each lies.

Kernels that differ only in names become one function, called with other arguments: the equal steps of an unrolled loop
are compiled once.  Many kernels are dealt out to several units, which can be compiled at the same time.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Hashable, Mapping, Sequence
from types import MappingProxyType

from core.dataclass import dataclass, field, replace
from core.ir.clike import ccalls
from core.ir.clike.centry import Called, Entry
from core.ir.clike.cfamily import Dialect, Names, print_kernel
from core.ir.clike.cfunctions import functions_of
from core.ir.clike.chelpers import helpers_for
from core.ir.clike.cinterface import kernels_of
from core.ir.clike.cruntime import HEAD, THREADS
from core.ir.clike.ctasks import Task, Tasks, strides_of
from core.ir.clike.routine import HAS_LOOPS, Routine
from core.ir.form import Form
from core.ir.nodes import Kernel, lengths_of
from core.ir.program import Program

INITIALIZE = "core_initialize"  # the function of a library that runs ``c_init_code``, if it calls ops
MOST_CHARACTERS = 5000  # of kernels in a unit: about 0.15 s of a C compiler's time, six times what it takes to start


@dataclass
class Function:
    """A kernel as C: comments, and the text from its name on.  ``also`` are what others compute with it."""

    comments: list[str]
    text: str
    also: list[str] = field(default_factory=list)

    @property
    def head(self) -> str:
        return self.text[: self.text.index("\n{")]

    def printed(self, qualifiers: str) -> str:
        also = [f"also: {', '.join(self.also)}"] if self.also else []
        comments = "".join(f"/* {line} */\n" for line in [*self.comments, *also])
        return f"{comments}{qualifiers} {self.text}"


class Functions:
    """The kernels of a program, tasks of those that threads run; ``called``: by a kernel's name, what is called."""

    def __init__(self, program: Program, dialect: Dialect):
        self.all: list[Function] = []
        self.tasks = Tasks(dialect)
        self.called: dict[str, Called] = {}
        self._dialect = dialect
        self._scalars = {value for one in program.all for value in one.inputs if not one.shapes[value]}
        self._first: dict[str, tuple[str, Function]] = {}  # by text, with numbers for names
        # by form: of most there is no need to print
        self._alike: dict[tuple[Hashable, ...], tuple[str, Function, Task | None]] = {}
        for kernel in [kernel for one in program.all for kernel in kernels_of(one)]:
            self._add(kernel)

    def _add(self, kernel: Kernel) -> None:
        form = self._form(kernel)
        if form not in self._alike:
            self._print(kernel, form)
            return
        name, first, task = self._alike[form]
        first.also += _titles(kernel)
        if task is not None and kernel.split is not None:
            task = replace(task, strides=strides_of(kernel.split))
        self.called[kernel.name] = Called(name, lengths_of(kernel.body, self._scalars), task)

    def _form(self, kernel: Kernel) -> tuple[Hashable, ...]:
        """What tells the text of a kernel, but for the names in it."""
        form = Form(lambda value: (value in kernel.shared, value in self._scalars))
        form.note(*map(form.value, kernel.writes))
        form.note(*map(form.value, kernel.reads))
        form.note(*map(form.value, kernel.unless), *((form.value(v), size) for v, size in kernel.arrays.items()))
        form.body(kernel.body)
        form.note(*map(form.register, kernel.takes))
        if kernel.split is not None:  # what the text of its task says besides
            form.note(*map(form.register, (kernel.split.first, kernel.split.last, kernel.split.number)))
            form.note(*map(form.value, kernel.split.parts), *map(form.value, strides_of(kernel.split)))
            form.note(*map(form.value, kernel.split.private))
        return form.key

    def _print(self, kernel: Kernel, form: tuple[Hashable, ...]) -> None:
        names = Names([kernel.name, *self._dialect.reserved])
        printed, lengths = print_kernel(kernel, self._dialect, self._scalars, names)
        comments = kernel.comment.splitlines()
        text = printed.split("\n", len(comments))[-1].removeprefix(f"{self._dialect.kernel} ")
        made = Function(comments, text)
        key = names.numbered(text.removeprefix(kernel.name))
        name, first = self._first.setdefault(key, (kernel.name, made))
        task = self.tasks.add(kernel, kernel.split, lengths, name) if kernel.split else None
        self.called[kernel.name] = Called(name, lengths, task)
        self._alike[form] = name, first, task
        if first is made:
            self.all.append(made)
        else:
            first.also += _titles(kernel)


def _titles(kernel: Kernel) -> list[str]:
    """What a kernel computes, without the lines of the user's program."""
    return [line.partition(":")[0] for line in kernel.comment.splitlines()]


def print_program(program: Program, dialect: Dialect) -> str:
    """A program as one translation unit."""
    (text,) = print_units(program, dialect, most=math.inf)
    return text


def print_units(
    program: Program, dialect: Dialect, most: float = MOST_CHARACTERS, at_once: float = math.inf
) -> list[str]:
    """The translation units of a program, the entry function in the first; one, unless the kernels are long.

    most     how many characters of kernels a unit has, about, while there are not too many units
    at_once  how many units can be compiled at the same time
    """
    functions, ops = Functions(program, dialect), ccalls.OpFunctions(program, dialect)
    entry = [
        *(task.text for task in functions.tasks.all.values()),
        *_of_ops(ops),
        *(Entry(one, dialect, functions.called, ops.called, around=program).text() for one in program.all[:0:-1]),
        Entry(program, dialect, functions.called, ops.called).text(),
    ]
    helpers = functions_of((kernel for one in program.all for kernel in kernels_of(one)), dialect)
    groups = _dealt(functions.all, most, 1 if at_once == 1 else 2 * at_once)  # two each: they end at about one time
    if len(groups) < 2 or not dialect.shared_kernel:
        return [_main(program, dialect, [*(one.printed(dialect.kernel) for one in functions.all), *entry], helpers)]
    prototypes = "\n".join(f"{dialect.shared_kernel} {one.head};" for one in functions.all)
    kernels = [[one.printed(dialect.shared_kernel) for one in group] for group in groups]
    main = _main(program, dialect, [prototypes, *entry], helpers)
    return [main, *(_unit(dialect, texts, helpers) for texts in kernels)]


def _main(program: Program, dialect: Dialect, parts: Sequence[str], own: Mapping[str, str]) -> str:
    """The unit with the entry function, which may call library routines and their helpers."""
    routines = program.routines.values()
    theirs = {name: text for routine in routines for name, text in routine.helpers.items()}
    helpers = {**own, **theirs}
    calls = ccalls.calls_of(program)
    head = "\n".join(filter(None, [HEAD, THREADS, ccalls.HEAD if calls else "", _bodies(program)]))
    include = ccalls.needs_of([(step.node, step.code) for _, step in calls]).include
    made = include + _unit(dialect, parts, helpers, _types(routines), head)
    has_loops = any(text in made and re.search(r"\b(for|while) \(", text) for text in theirs.values())
    return f"{HAS_LOOPS}\n{made}" if has_loops else made


def _types(routines: Collection[Routine]) -> Mapping[str, str]:
    """The C types of library routines."""
    if not routines:
        return {}
    from core.ir.clike.clibrary import declarations  # who calls no library need not wait for it

    return declarations(routines)


def _bodies(program: Program) -> str:
    """What runs the programs inside of a program's steps."""
    if len(program.all) == 1:
        return ""
    from core.ir.clike import cblocks  # few programs have any

    return cblocks.run(program)


def _of_ops(ops: ccalls.OpFunctions) -> list[str]:
    """The functions of ops that say themselves in C what they compute, what these call, and how that begins."""
    if not ops.texts:
        return []
    once = ["    static int begun;", "    if (__atomic_fetch_add(&begun, 1, __ATOMIC_SEQ_CST)) return;"]
    begin = [f"void {INITIALIZE}(void)", "{", *once, *ccalls.init_of(ops.named), "}"]
    return [*ccalls.support_of(ops.named), *ops.texts, "\n".join(begin)]


def _dealt(functions: Sequence[Function], most: float, groups_at_most: float) -> list[list[Function]]:
    """Functions in their order, in as few groups as can be, all of about the same length."""
    total = sum(len(one.text) for one in functions)
    share = total / max(min(round(total / most), groups_at_most), 1)
    groups: list[list[Function]] = [[]]
    done = 0
    for one in functions:
        if groups[-1] and done + len(one.text) / 2 > share * len(groups):
            groups.append([])
        groups[-1].append(one)
        done += len(one.text)
    return groups


def _unit(
    dialect: Dialect,
    parts: Sequence[str],
    helpers: Mapping[str, str],
    types: Mapping[str, str] = MappingProxyType({}),
    head: str = "",
) -> str:
    """One text: what its parts use of ``helpers``, chelpers.py and ``types`` is declared before them."""
    body = "\n\n".join(parts)
    used = set(re.findall(r"\w+", body))
    declared_types = [line for name, line in types.items() if name in used]
    words = used.union(*(re.findall(r"\w+", text) for text in helpers.values()))
    helpers = {**helpers_for(words), **helpers}
    for name, text in reversed([*dialect.declarations.items(), *helpers.items()]):  # what these use stands before them
        if name in used:
            used.update(re.findall(r"\w+", text))
    defined = [text for name, text in helpers.items() if name in used]
    declared = [line for name, line in dialect.declarations.items() if name in used]
    return "\n".join([dialect.preamble, *declared, "", head, *declared_types, *defined, "", body, ""])
