"""Kernels: statements over scalar expressions, as a schedule leaves them and a printer spells them.

kernel     = name, what it reads, what it writes, body
statement  = Let local = e | Assign local = e | Store buffer[e] = e | Loop i < e: body | If e: body else: body
           | Atomic buffer[e] op= e | Barrier | Arrive last, counter[e], e | Break e

On a device, a kernel is a list of loops; each is launched by itself, when the one before it has ended.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Iterator
from typing import Any, TypeAlias

from core.dataclass import dataclass, field, replace
from core.ir.codes import HOLDS_LENGTH, HOLDS_LOAD, Code, Combine
from core.ir.expr import INDEX_DTYPE, Expr, const, register
from core.ir.walk import walk


class Local:
    """A scalar in a register.  ``expr`` reads it."""

    __slots__ = ("name", "dtype", "expr")

    def __init__(self, name: str, dtype: str):
        self.name, self.dtype = name, dtype
        self.expr = register(dtype, self)

    def __str__(self) -> str:
        return self.name

    __repr__ = __str__


NOTHING = const(0)


class LoopKind(enum.Enum):
    """How the iterations of a loop relate."""

    ORDER = "for"  # one after the other
    GRID = "grid"  # independent but for the loop's reductions: in any order, also with a share of these for each thread
    COMBINE = "combine"  # in any order: what iterations share, they only combine into (a sum, a maximum, ...)
    SIMD = "simd"  # independent but for the loop's reductions: may run in vector lanes
    # on a device; the first two are outermost
    ITEMS = "items"  # independent: spread over all work-items
    GROUPS = "groups"  # independent: each is run by a group, whose work-items all run the body
    LANES = "lanes"  # inside GROUPS, independent but for its reductions: spread over the work-items of the group


SPREAD_OUT = frozenset({LoopKind.ITEMS, LoopKind.GROUPS})


@dataclass
class Let:
    """Declare a local.  ``constant`` ones are never assigned again.

    ``nearer``: an element is loaded for the sake of its neighbours in memory, which come nearer, though nobody reads
    the local.
    """

    local: Local
    value: Expr
    constant: bool = True
    nearer: bool = False


@dataclass
class Assign:
    """Give a local another value."""

    local: Local
    value: Expr


@dataclass
class Store:
    """buffer[offset] = value; ``offset`` counts elements in row-major order."""

    buffer: Any
    offset: Expr
    value: Expr


@dataclass
class Loop:
    """Run the body for each value of ``variable`` from ``start`` up to ``extent``, or down from its end.

    width  how many neighbouring iterations of a loop that is spread out one work-item may take together
    fits   of a loop over lanes, where not 0: it is only run with an extent that is a multiple of ``width``, and that
           the lanes of a full group cover in so many turns; so a lane has the same elements in every such loop
    """

    variable: Expr
    extent: Expr
    body: list[Statement]
    kind: LoopKind = LoopKind.ORDER
    reverse: bool = False
    reductions: list[tuple[Combine, Local]] = field(default_factory=list)
    width: int = 1
    start: Expr = NOTHING
    fits: int = 0


@dataclass
class If:
    """Run one of two bodies."""

    condition: Expr
    body: list[Statement]
    orelse: list[Statement] = field(default_factory=list)


@dataclass
class Break:
    """Leave the loop in order in whose body this stands, where the condition holds.

    In functions, see function.py, and in kernels of iterations, see registers.py: these no pass divides or reorders.
    """

    condition: Expr


@dataclass
class Atomic:
    """Combine ``buffer[offset]`` with a value; other work-items may do the same at the same time, in any order."""

    buffer: Any
    offset: Expr
    value: Expr
    combine: Combine = Combine.ADD


@dataclass
class Barrier:
    """All work-items of the group come here before one goes on, and then see what the others have stored."""


@dataclass
class Arrive:
    """A group comes to ``counter[offset]``, a Barrier too: ``last``, a bool, is true in the last of ``count`` to come.

    That one sees what all of them have stored before they came, so it can take their parts of something together, in
    an order of its own.  Nobody waits for others to come.  The counter is 0 before the first came, and after the last.
    """

    last: Local
    counter: Any
    offset: Expr
    count: Expr


Statement: TypeAlias = Let | Assign | Store | Loop | If | Break | Atomic | Barrier | Arrive


@dataclass(eq=False)
class Split:
    """How the iterations of a kernel's one loop are divided: into chunks, which threads run in any order.

    first, last   the bounds of a chunk, and ``number``, which one it is: locals that the kernel takes
    chunk, count  how many iterations a chunk has, and how many chunks there are: locals that the entry function makes
                  of ``extent``, ``work``, ``least`` and ``multiple`` (``chunk_length``), so of lengths alone
    extent        how many iterations there are;  work  of one, in units of 1/16 ns
    least         the least work of a chunk;  multiple  of what its length is a multiple
    parts         what grows in memory -> its parts: chunk 0 works in the value itself, chunk k in row k - 1 of these
    private       scratch -> as many rows as ``workers``, of which each has its own
    """

    extent: Expr
    work: Expr
    least: Expr
    multiple: int
    parts: dict[Any, Any] = field(default_factory=dict)
    private: dict[Any, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = ("first", "last", "number", "chunk", "chunks", "workers")
        self.first, self.last, self.number, self.chunk, self.count, self.workers = (
            Local(name, INDEX_DTYPE) for name in names
        )

    def __str__(self) -> str:
        return f"in chunks of {self.extent}, each iteration of work {self.work}"


@dataclass
class Kernel:
    """A nest of loops that runs as one.  ``reads`` and ``writes`` are the stored values it touches.

    unless   0-d bools among what it reads: where one is true, the kernel does nothing.  A device asks them, which
             learns of a bad index only when all is done
    scratch  those of ``writes`` that hold nothing from one iteration of the outermost loop to the next
    counters  those of ``writes`` at which groups arrive: memory of its own, which holds zeros before and after
    arrays   such scratch that lies in the kernel itself, and how many elements each has; on a device, a group shares it
    split    how threads share the loop, where they may;  takes  locals that come from outside, as arguments
    shared   values of which two may lie in the same memory: see donation.py
    apart    values of which an iteration of a loop in order reads other rows than it writes, see work/alone.py: what is
             inside that loop never reads there what it writes
    in_parts  whether arrays may be parts of others, so that it must be told where they begin
    """

    name: str
    reads: list[Any]
    writes: list[Any]
    body: list[Statement]
    comment: str = ""
    unless: tuple[Any, ...] = ()
    scratch: list[Any] = field(default_factory=list)
    arrays: dict[Any, int] = field(default_factory=dict)
    split: Split | None = None
    takes: list[Local] = field(default_factory=list)
    shared: frozenset[Any] = frozenset()
    apart: frozenset[Any] = frozenset()
    in_parts: bool = False
    counters: tuple[Any, ...] = ()

    def __str__(self) -> str:
        head = f"kernel {self.name}({', '.join(map(str, self.reads))}) -> {', '.join(map(str, self.writes))}"
        head += f" unless {', '.join(map(str, self.unless))}" if self.unless else ""
        if self.split is not None:
            head += f", {self.split}"
        arrays = [f"  array {value}[{size}] of {value.dtype}" for value, size in self.arrays.items()]
        return "\n".join([head, *arrays, *_lines(self.body, "  ")])


def statements(body: list[Statement]) -> Iterator[Statement]:
    """Every statement below ``body``, outer ones first."""
    pending = list(reversed(body))
    while pending:
        statement = pending.pop()
        yield statement
        if isinstance(statement, Loop):
            pending.extend(reversed(statement.body))
        elif isinstance(statement, If):
            pending.extend(reversed([*statement.body, *statement.orelse]))


def own_expressions(statement: Statement) -> tuple[Expr, ...]:
    """The root expressions of a statement, without those of statements inside it."""
    if isinstance(statement, (Let, Assign)):
        return (statement.value,)
    if isinstance(statement, (Store, Atomic)):
        return (statement.offset, statement.value)
    if isinstance(statement, Loop):
        return (statement.extent,) if statement.start is NOTHING else (statement.extent, statement.start)
    if isinstance(statement, Arrive):
        return (statement.offset, statement.count)
    return (statement.condition,) if isinstance(statement, (If, Break)) else ()


def expressions(body: list[Statement]) -> Iterator[Expr]:
    """The root expressions of every statement below ``body``."""
    for statement in statements(body):
        yield from own_expressions(statement)


def rewritten(statement: Statement, new: Callable[[Expr], Expr]) -> Statement:
    """A statement with every expression put through ``new``, and so every statement inside it."""
    if isinstance(statement, (Let, Assign)):
        return replace(statement, value=new(statement.value))
    if isinstance(statement, (Store, Atomic)):
        return replace(statement, offset=new(statement.offset), value=new(statement.value))
    if isinstance(statement, Arrive):
        return replace(statement, offset=new(statement.offset), count=new(statement.count))
    if isinstance(statement, Loop):
        body = [rewritten(inner, new) for inner in statement.body]
        return replace(statement, extent=new(statement.extent), start=new(statement.start), body=body)
    if isinstance(statement, If):
        body, orelse = ([rewritten(inner, new) for inner in inside] for inside in (statement.body, statement.orelse))
        return If(new(statement.condition), body, orelse)
    if isinstance(statement, Break):
        return Break(new(statement.condition))
    assert isinstance(statement, Barrier)
    return statement


_COMPUTED = 3  # from this cost on, a length is computed once, outside
_OF_LENGTHS = frozenset(
    {Code.CONST, Code.LENGTH, Code.ADD, Code.SUB, Code.MUL, Code.FLOORDIV, Code.MOD, Code.NEG, Code.MIN, Code.MAX}
    | {Code.SELECT, Code.CAST, Code.LT, Code.LE, Code.EQ, Code.NE}
)


def lengths_of(body: list[Statement], scalars: Collection[Any] = (), asked: Collection[Any] = ()) -> list[Expr]:
    """What ``body`` needs to know of run-time lengths: the largest expressions of nothing else, and single ones.

    scalars  0-d values that may take part in them, because they are known before the kernel runs
    asked    0-d values that whoever runs it must read anyway: of these alone may be expressions, too
    """
    found: dict[Expr, None] = {}
    holds, either = HOLDS_LENGTH | HOLDS_LOAD if asked else HOLDS_LENGTH, {*scalars, *asked}
    seen: set[Expr] = set()
    pending = list(expressions(body))[::-1]
    while pending:
        e = pending.pop()
        if e in seen or not e.marks & holds:
            continue
        seen.add(e)
        if e.code is Code.LENGTH or _is_computed_length(e, either if e.marks & HOLDS_LENGTH else asked):
            found[e] = None
        else:
            pending.extend(reversed(e.args))
    return list(found)


def _is_computed_length(e: Expr, scalars: Collection[Any]) -> bool:
    if e.dtype != INDEX_DTYPE or e.free or e.cost < _COMPUTED:
        return False
    return all(part.code in _OF_LENGTHS or (part.code is Code.LOAD and part.payload in scalars) for part in walk([e]))


def _lines(body: list[Statement], indent: str) -> list[str]:
    lines: list[str] = []
    for statement in body:
        if isinstance(statement, Let):
            word = "near" if statement.nearer else "let" if statement.constant else "var"
            lines.append(f"{indent}{word} {statement.local} = {statement.value}")
        elif isinstance(statement, Assign):
            lines.append(f"{indent}{statement.local} = {statement.value}")
        elif isinstance(statement, Store):
            lines.append(f"{indent}{statement.buffer}[{statement.offset}] = {statement.value}")
        elif isinstance(statement, Loop):
            order = " reversed" if statement.reverse else ""
            start = "" if statement.start is NOTHING else f"{statement.start} <= "
            lines.append(
                f"{indent}{statement.kind.value} {start}{statement.variable.payload} < {statement.extent}{order}"
                f"{f' in {statement.fits} turns of {statement.width}' if statement.fits else ''}:"
            )
            lines += _lines(statement.body, indent + "  ")
        elif isinstance(statement, Atomic):
            place = f"{statement.buffer}[{statement.offset}]"
            lines.append(f"{indent}atomic {place} {statement.combine.value}= {statement.value}")
        elif isinstance(statement, Barrier):
            lines.append(f"{indent}barrier")
        elif isinstance(statement, Arrive):
            place = f"{statement.counter}[{statement.offset}]"
            lines.append(f"{indent}let {statement.last} = last of {statement.count} at {place}")
        elif isinstance(statement, Break):
            lines.append(f"{indent}break if {statement.condition}")
        else:
            lines.append(f"{indent}if {statement.condition}:")
            lines += _lines(statement.body, indent + "  ")
            if statement.orelse:
                lines += [f"{indent}else:", *_lines(statement.orelse, indent + "  ")]
    return lines
