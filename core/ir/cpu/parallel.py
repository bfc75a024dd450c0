"""Loops for threads: a kernel becomes pieces, of which those with a loop in any order may run in chunks.

What the chunks of a loop must not share is derived from its statements.  A register, or a value that grows in memory at
a place that does not move with the loop, has parts, one for each chunk, which a last piece takes together in the order
of the chunks.  How many chunks there are follows from lengths alone: no result depends on how many threads there are,
nor on which of them was first.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Sequence

from core import dtypes
from core.dataclass import dataclass, field, replace
from core.ir.axes import product
from core.ir.codes import Code, Combine
from core.ir.combining import combining
from core.ir.definitions import Value
from core.ir.effort import GRAIN, PART, resolved, work_of
from core.ir.expr import Expr, const, index, make, maximum
from core.ir.nests.accumulators import combined
from core.ir.nodes import (
    NOTHING,
    Assign,
    Atomic,
    Barrier,
    Kernel,
    Let,
    Local,
    Loop,
    LoopKind,
    Split,
    Statement,
    Store,
    expressions,
    own_expressions,
    statements,
)
from core.ir.rebuild import loads_in
from core.ir.walk import walk

MOST_CHUNKS = 256
_LINE = 64  # bytes of memory that two cores should not write to at once, and elements that fill vectors whole
_ANY_ORDER = frozenset({LoopKind.GRID, LoopKind.SIMD, LoopKind.COMBINE})


def chunk_length(n: int, work: int, least: int, multiple: int) -> int:
    """How many of ``n`` iterations a chunk has: all, unless there is enough work for two.  What ``core_chunk`` does."""
    enough = least // work if least > work > 0 else 1
    if n // 2 < enough:
        return max(n, 1)
    length = max(enough, n // MOST_CHUNKS + 1)
    return (length + multiple - 1) // multiple * multiple


def split(kernel: Kernel, shapes: dict[Value, tuple[Expr, ...]]) -> list[Kernel]:
    """The pieces of a kernel, in the order in which they run: itself alone where no loop may be divided.

    ``shapes`` grows by what the pieces keep for each other.
    """
    pieces = _Pieces(kernel, shapes)
    for statement in kernel.body:
        pieces.add(statement)
    made = pieces.finished()
    if not any(piece.split for piece in made) or not all(_is_closed(piece) for piece in made):
        return [kernel]
    shapes.update(pieces.shapes.maps[0])
    return made


# --- what the iterations of a loop share ------------------------------------------------------------------------------


@dataclass
class Shared:
    """What the iterations of a loop combine into, and how: registers, and values that grow in memory."""

    registers: dict[Local, Combine] = field(default_factory=dict)
    grown: dict[Value, Combine] = field(default_factory=dict)


def shared_by(loop: Loop, scratch: Iterable[Value]) -> Shared | None:
    """What the iterations of ``loop`` share, or None where they cannot run in any order.

    Registers that the loop lists as reductions may be combined in any order: whoever listed them has seen to that.
    """
    if loop.kind not in _ANY_ORDER or loop.reverse or loop.start is not NOTHING:
        return None
    found, scratch = Shared({local: combine for combine, local in loop.reductions}), set(scratch)
    listed = set(found.registers)
    inside = {s.local for s in statements(loop.body) if isinstance(s, Let)}
    moves = _moving(loop)
    own: set[Expr] = set()  # loads of what combining stores add to
    still: set[Value] = set()
    for statement in statements(loop.body):
        if isinstance(statement, (Atomic, Barrier)):
            return None
        if isinstance(statement, Assign) and statement.local not in inside and statement.local not in listed:
            taken = combining(statement.local.expr, statement.value)
            if taken is None or found.registers.setdefault(statement.local, taken[0]) is not taken[0]:
                return None
        elif isinstance(statement, Store) and statement.buffer not in scratch:
            buffer = statement.buffer
            if moves(statement.offset):
                still.add(buffer)
                continue
            so_far = make(Code.LOAD, dtypes.real_of(buffer.dtype), (statement.offset,), buffer)
            taken = combining(so_far, statement.value)
            if taken is None or found.grown.setdefault(buffer, taken[0]) is not taken[0]:
                return None
            own.add(so_far)
    if not still.isdisjoint(found.grown) or _reads_unfinished(loop, found, listed, own):
        return None
    return found


def _reads_unfinished(loop: Loop, shared: Shared, listed: set[Local], own: set[Expr]) -> bool:
    """Whether anything but the combining statements themselves reads what the iterations combine into."""
    registers = {local.expr for local in shared.registers if local not in listed}
    for statement in statements(loop.body):
        roots = list(own_expressions(statement))
        if isinstance(statement, Assign) and statement.local.expr in registers:
            taken = combining(statement.local.expr, statement.value)
            roots = [taken[1]] if taken else roots
        for e in walk(roots):
            if e in registers or (e.code is Code.LOAD and e.payload in shared.grown and e not in own):
                return True
    return False


def _moving(loop: Loop):
    """A test: whether an expression changes with the loop's variable, through locals too."""
    depends = {loop.variable}
    for statement in statements(loop.body):  # outer ones first, in order
        if isinstance(statement, (Let, Assign)) and not depends.isdisjoint(walk([statement.value])):
            depends.add(statement.local.expr)
    return lambda e: not depends.isdisjoint(walk([e]))


# --- pieces -----------------------------------------------------------------------------------------------------------


class _Pieces:
    """Takes the statements of a kernel one by one; ``waiting`` are those that no piece has yet."""

    def __init__(self, kernel: Kernel, shapes: dict[Value, tuple[Expr, ...]]):
        self.kernel = kernel
        self.shapes = ChainMap({}, shapes)
        self.done: list[Kernel] = []
        self.waiting: list[Statement] = []
        self.takes: list[Local] = []
        self.lets: dict[Local, Let] = {}  # constants: each piece makes those it needs for itself

    def add(self, statement: Statement) -> None:
        if isinstance(statement, Let) and statement.constant and self._is_constant(statement.value):
            self.lets[statement.local] = statement
        elif _is_clearing(statement) or not (isinstance(statement, Loop) and self._divided(statement)):
            self.waiting.append(statement)

    def finished(self) -> list[Kernel]:
        self._flush()
        return self.done

    def _is_constant(self, e: Expr) -> bool:
        """Whether an expression has the same value in every piece."""
        if any(load.payload in self.kernel.writes for load in loads_in([e])):
            return False
        return all(part.payload in self.lets for part in walk([e]) if part.code is Code.LOCAL)

    def _flush(self) -> None:
        """Make pieces of what waits; what no loop has asked to be cleared is cleared here, by threads too."""
        waiting, takes = self.waiting, self.takes
        self.waiting, self.takes = [], []
        serial = [s for s in waiting if not (isinstance(s, Loop) and _is_clearing(s) and self._divided(s))]
        if serial:
            self._piece(serial, "_end" if self.done else "_start", takes)

    def _piece(self, body: list[Statement], suffix: str, takes: list[Local], division: Split | None = None) -> None:
        body = [*self._constants(body), *body]
        stored = [s.buffer for s in statements(body) if isinstance(s, Store)]
        order = dict.fromkeys([*self.kernel.writes, *stored])
        writes = [value for value in order if value in stored and value not in self.kernel.arrays]
        lengths = [division.extent, division.work, division.least] if division else []
        read = dict.fromkeys(load.payload for load in loads_in([*expressions(body), *lengths]))
        name = self.kernel.name + suffix
        while any(piece.name == name for piece in self.done):
            name += "_"
        comment = self.kernel.comment if division or not self.done else f"{self.kernel.name}: what its chunks left"
        scratch = [value for value in self.kernel.scratch if value in stored]
        reads = [value for value in read if value not in stored]
        arrays = {value: size for value, size in self.kernel.arrays.items() if value in stored}
        made = Kernel(name, reads, writes, body, comment, scratch=scratch, arrays=arrays, split=division, takes=takes)
        self.done.append(made)

    def _constants(self, body: list[Statement]) -> list[Let]:
        """The constants that statements use, those first that others use."""
        needed: dict[Local, None] = {}
        pending = list(expressions(body))
        while pending:
            for part in walk([pending.pop()]):
                if part.code is Code.LOCAL and part.payload in self.lets and part.payload not in needed:
                    needed[part.payload] = None
                    pending.append(self.lets[part.payload].value)
        return [let for local, let in self.lets.items() if local in needed]

    # --- a loop that is divided -------------------------------------------------------------------------------------

    def _divided(self, loop: Loop) -> bool:
        """Make a piece of a loop whose chunks threads may run, and have what they leave taken together after it."""
        shared = shared_by(loop, (*self.kernel.scratch, *self.kernel.arrays))
        lets = {local: let.value for local, let in self.lets.items()}
        extent, work = resolved(loop.extent, lets), work_of(loop, lets)
        if shared is None or extent is NOTHING or not self._is_length(extent) or not self._is_length(work):
            return False
        if extent.is_const and work.is_const and extent.payload * work.payload < 2 * GRAIN:
            return False
        registers = self._starts(shared)
        clearings = [s for value, how in shared.grown.items() if (s := self._clearing(value, how)) is not None]
        if registers is None or len(clearings) < len(shared.grown):
            return False
        self.waiting = [s for s in self.waiting if not any(s is taken for taken in (*registers, *clearings))]
        self._flush()
        scratch = [s.buffer for s in statements(loop.body) if isinstance(s, Store) and s.buffer in self.kernel.scratch]
        multiple = _LINE if loop.kind is LoopKind.SIMD else 1
        sizes = [product(self.shapes[value]) for value in shared.grown]
        least = maximum(const(GRAIN), sum(sizes, NOTHING) * PART) if sizes else const(GRAIN)
        division = Split(extent, work, least, multiple)
        division.parts = {value: self._rows("parts", value, division.count.expr - 1) for value in shared.grown}
        for value in dict.fromkeys(scratch):
            division.private[value] = self._rows("rows", value, division.workers.expr)
        left = [self._left_by(register.local) for register in registers]
        body: list[Statement] = [*registers, *clearings]
        body.append(replace(loop, start=division.first.expr, extent=division.last.expr))
        body += [Store(where, division.number.expr, local.expr) for local, where in left]
        takes = [division.first, division.last, *([division.number] if left else [])]
        self._piece(body, "", takes, division)
        self.waiting = [*self._folds(shared, division), *self._folded_registers(shared, left, registers, division)]
        self.takes = [division.count] if self.waiting else []
        return True

    def _is_length(self, e: Expr) -> bool:
        """Whether the entry function can compute it before the kernel runs."""
        return not e.free and all(
            part.code is not Code.LOCAL and not (part.code is Code.LOAD and part.payload in self.kernel.writes)
            for part in walk([e])
        )

    def _starts(self, shared: Shared) -> list[Let] | None:
        """The declarations of registers, which must start as what changes nothing; None where one does not."""
        found = []
        for local, how in shared.registers.items():
            let = next((s for s in self.waiting if isinstance(s, Let) and s.local is local), None)
            if let is None or let.value is not const(how.identity(local.dtype), local.dtype):
                return None
            found.append(let)
        return found

    def _clearing(self, value: Value, how: Combine) -> Statement | None:
        """The waiting loops that set every element of a value to what changes nothing."""
        identity = const(how.identity(value.dtype), value.dtype)
        for clearing in self.waiting:
            loops = [s for s in statements([clearing]) if isinstance(s, Loop)]
            if _is_clearing(clearing) and product(loop.extent for loop in loops) is product(self.shapes[value]):
                (clear,) = (s for s in statements([clearing]) if isinstance(s, Store))
                if clear.buffer is value and clear.value is identity:
                    return clearing
        return None

    def _rows(self, word: str, value: Value, count: Expr) -> Value:
        """A value of ``count`` rows, each a line of memory longer than ``value``, so that no two share one."""
        rows = Value(f"{word}_of_{value}", value.dtype)
        per_line = _LINE // dtypes.size_bytes(value.dtype)
        size = product(self.shapes[value])
        self.shapes[rows] = (count, size + per_line)
        return rows

    def _left_by(self, register: Local) -> tuple[Local, Value]:
        """Where each chunk leaves its share of a register."""
        where = Value(f"{register.name}_of_chunks", register.dtype)
        self.shapes[where] = (const(MOST_CHUNKS),)
        return register, where

    def _folds(self, shared: Shared, division: Split) -> list[Statement]:
        """Loops that take the parts of values together, chunk by chunk."""
        folds: list[Statement] = []
        for value, how in shared.grown.items():
            parts, row, e = division.parts[value], index("part"), index("e")
            part = make(Code.LOAD, value.dtype, (row * self.shapes[parts][1] + e,), parts)
            new = combined(how, make(Code.LOAD, value.dtype, (e,), value), part)
            add = Loop(e, product(self.shapes[value]), [Store(value, e, new)], LoopKind.SIMD)
            folds.append(Loop(row, division.count.expr - 1, [add]))
        return folds

    def _folded_registers(
        self, shared: Shared, left: Sequence[tuple[Local, Value]], registers: Sequence[Let], division: Split
    ) -> list[Statement]:
        """Registers with what the chunks left of them, taken together chunk by chunk."""
        chunk = index("chunk")
        takes: list[Statement] = []
        for local, where in left:
            new = make(Code.LOAD, local.dtype, (chunk,), where)
            takes.append(Assign(local, combined(shared.registers[local], local.expr, new)))
        return [*registers, Loop(chunk, division.count.expr, takes)] if takes else []


def _is_clearing(statement: Statement) -> bool:
    """Whether a statement is loops that set the elements of one value to a constant."""
    inside = [s for s in statements([statement]) if not isinstance(s, Loop)]
    return (
        isinstance(statement, Loop) and len(inside) == 1 and isinstance(inside[0], Store) and inside[0].value.is_const
    )


def _is_closed(kernel: Kernel) -> bool:
    """Whether a piece declares every local that it uses, and no register that another piece goes on with."""
    declared = {s.local for s in statements(kernel.body) if isinstance(s, Let)} | set(kernel.takes)
    used = {e.payload for e in walk(expressions(kernel.body)) if e.code is Code.LOCAL}
    return used <= declared and all(s.local in declared for s in statements(kernel.body) if isinstance(s, Assign))
