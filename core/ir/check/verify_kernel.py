"""What a legal kernel is.  ``verify_kernel`` raises for one whose statements, loops or expressions break a rule."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from core import dtypes
from core.dataclass import replace
from core.ir.check.verify_expr import check_types, fail, meets_another_lane, not_same_lane
from core.ir.check.verify_function import verify_function
from core.ir.check.verify_work import verify_work
from core.ir.codes import Code
from core.ir.combining import combining
from core.ir.cpu.parallel import shared_by
from core.ir.expr import INDEX_DTYPE, Expr, const, make
from core.ir.nodes import (
    NOTHING,
    Arrive,
    Assign,
    Atomic,
    Barrier,
    Break,
    If,
    Kernel,
    Let,
    Local,
    Loop,
    LoopKind,
    Split,
    Statement,
    Store,
    own_expressions,
)
from core.ir.show import show
from core.ir.walk import walk

_ONE = const(1)
_LANES = frozenset({LoopKind.SIMD, LoopKind.LANES})
_APART = frozenset({LoopKind.GRID, LoopKind.ITEMS, LoopKind.GROUPS})  # iterations that share no register


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
    arrived = {s.counter for s in _below(kernel.body) if isinstance(s, Arrive)}
    if arrived != set(kernel.counters) or any(counter.dtype != "uint32" for counter in arrived):
        fail(where, "its counters must be those at which groups arrive, of uint32")
    if not writes.isdisjoint(kernel.arrays):
        fail(where, "a local array is not among what it writes")
    kept = writes if kept is None else set(kept)
    statements = _Statements(where, reads, writes | set(kernel.arrays), kept, {*kernel.scratch, *kernel.arrays})
    statements.apart = kernel.apart
    statements.constant.update(dict.fromkeys(kernel.takes, True))
    statements.body(kernel.body)
    verify_work(kernel)
    for value in kernel.writes:
        stored = any(isinstance(s, (Store, Atomic)) and s.buffer is value for s in _below(kernel.body))
        if value in arrived:
            if stored or any(e.code is Code.LOAD and e.payload is value for e in walk(roots_of(kernel.body))):
                fail(where, f"{value} is a counter, which nobody reads or stores to")
        elif not stored:
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
        self.apart: frozenset[Any] = frozenset()
        self.arrived: dict[Expr, Arrive] = {}  # by what is true in the last group
        self.last: Arrive | None = None  # what is open is run by the last group to come there

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
            if statement.nearer:  # nobody may read the local: it is not declared
                if statement.value.code is not Code.LOAD:
                    fail(where, "only a load brings memory nearer")
                return
            self.constant[statement.local] = statement.constant
            self.depends[statement.local] = self._variables(statement.value)
        elif isinstance(statement, Assign):
            self._assign(statement, where)
        elif isinstance(statement, Store):
            self._store(statement, where)
        elif isinstance(statement, Atomic):
            self._element(statement, where)
        elif isinstance(statement, Arrive):
            self._arrive(statement, where)
        elif isinstance(statement, If):
            self._expr(statement.condition, "bool", where)
            last = self.last
            self.last = self.arrived.get(statement.condition, last)
            self.body(statement.body)
            self.last = last
            self.body(statement.orelse)
        elif isinstance(statement, Loop):
            self._loop(statement, where)
        elif isinstance(statement, Break):
            self._expr(statement.condition, "bool", where)
            loop = self.frames[-1].loop if self.frames else None
            if loop is None or loop.kind is not LoopKind.ORDER or not any(s is statement for s in loop.body):
                fail(where, "only a loop in order is left, from its own body")

    def _arrive(self, statement: Arrive, where: str) -> None:
        if statement.counter not in self.writes:
            fail(where, f"{statement.counter} is not among what the kernel writes")
        if statement.last in self.constant or statement.last.dtype != "bool":
            fail(where, f"{statement.last} must be a bool that is declared here")
        self._expr(statement.offset, INDEX_DTYPE, where)
        self._expr(statement.count, INDEX_DTYPE, where)
        self.constant[statement.last] = True
        self.depends[statement.last] = frozenset(frame.loop.variable for frame in self.frames)
        self.arrived[statement.last.expr] = statement

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
            if frame.loop.kind is LoopKind.GROUPS and self.last is not None:  # one group of those that meet there
                if frame.loop.variable in moves or frame.loop.variable not in self._variables(self.last.offset):
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
            if e.payload in self.apart:
                continue
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
            if e.code is Code.CALL and not isinstance(e.payload, str):
                verify_function(e.payload)
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


def roots_of(body: Iterable[Statement]) -> Iterator[Expr]:
    for statement in _below(body):
        yield from own_expressions(statement)


def _shown(statement: Statement) -> str:
    """A statement in a few words."""
    if isinstance(statement, Loop):
        return f"`{statement.kind.value} {statement.variable} < {show(statement.extent, 60)}`"
    if isinstance(statement, (If, Break)):
        return f"`{'if' if isinstance(statement, If) else 'break if'} {show(statement.condition, 60)}`"
    if isinstance(statement, (Store, Atomic)):
        return f"`{statement.buffer}[{show(statement.offset, 60)}] = {show(statement.value, 60)}`"
    if isinstance(statement, Barrier):
        return "`barrier`"
    if isinstance(statement, Arrive):
        return f"`{statement.last} = last of {show(statement.count, 60)} at {statement.counter}`"
    return f"`{statement.local} = {show(statement.value, 60)}`"
