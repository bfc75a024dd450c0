"""Loops that reduce, in C whose compiler puts loops of constant length into vector lanes.

Told of a reduction, GCC takes its lanes together one after the other and leaves what does not fill a vector to a loop
of single elements: a row of ten costs as much as one of a hundred.  So each lane has a register of its own here, an
element of an array, and what is left over goes through all lanes once more, those switched off that are beyond the end.
At last the lanes are taken together by halves.  Their number does not depend on the processor, so neither do sums.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from core import dtypes
from core.ir.clike.chelpers import fold
from core.ir.codes import Code, Combine
from core.ir.expr import INDEX_DTYPE, Expr, const
from core.ir.nests.accumulators import combined
from core.ir.nests.copies import declared
from core.ir.nests.strides import work
from core.ir.nodes import Assign, Let, Local, Loop, Store, expressions
from core.ir.passes.storage import EXPENSIVE
from core.ir.rebuild import guarded_loads, loads_in
from core.ir.walk import walk

VECTOR_BYTES = 64  # that lanes hold together: one register or, on smaller processors, several
CALL_BYTES = 128  # where nothing but a function is waited for: two calls side by side
FEW = 8  # elements with little work are quicker one by one than in lanes of which the others are switched off
LITTLE_WORK = 8  # operations an element
NOTHING: Mapping[Any, str] = MappingProxyType({})


def lane_loop(printer: Any, loop: Loop, indent: str) -> list[str] | None:
    """The lines of a loop that sums, by a Printer of core.ir.clike.cfamily; None where it must stay as it is.

    So do extremes and flags, which are taken together by halves anyway, and sums of float64 without functions: eight
    lanes are soon taken together, and so are up to seven elements one by one.
    """
    totals = {local for _, local in loop.reductions}
    own = declared(loop.body)
    for s in loop.body:
        if not isinstance(s, (Let, Assign, Store)) or (isinstance(s, Assign) and s.local not in totals | own):
            return None
    sums = {local.dtype for combine, local in loop.reductions if combine in (Combine.ADD, Combine.MUL)}
    if not sums or loop.reverse:
        return None
    gains = not sums.isdisjoint(("float32", "int32")) if _widest(loop) == 4 else "float64" in sums and _calls(loop)
    return _Lanes(printer, loop).lines(indent) if gains else None


def _calls(loop: Loop) -> bool:
    """Whether each element costs a function, which takes several times as long for one as for a vector's share."""
    return any(e.code in (Code.CALL, Code.POW) and e.cost >= EXPENSIVE for e in walk(expressions(loop.body)))


def _widest(loop: Loop) -> int:
    """The bytes of the largest element that the lanes hold or read."""
    kinds = [local.dtype for _, local in loop.reductions]
    kinds += [e.dtype for e in loads_in(expressions(loop.body)) if loop.variable in e.free]
    return max(map(dtypes.size_bytes, kinds))


class _Lanes:
    """Writes one loop."""

    def __init__(self, printer: Any, loop: Loop):
        self.printer, self.loop = printer, loop
        stores = any(isinstance(s, Store) for s in loop.body)
        waits = _calls(loop) and not stores and self._moving_loads() is not None
        self.width = (CALL_BYTES if waits else VECTOR_BYTES) // _widest(loop)
        self.narrow = VECTOR_BYTES // _widest(loop)  # lanes that what is left over goes through at a time
        self.index = printer.type(INDEX_DTYPE)
        self.small = printer.type("int32" if _widest(loop) == 4 else "int64")  # lanes are counted as wide as they are
        self.i = printer.names.of(loop.variable, loop.variable.payload)
        self.at, self.end, self.lane, self.left = (
            printer.names.of((word, loop.variable), word) for word in ("at", "end", "lane", "left")
        )
        self.light = work(loop.body) <= LITTLE_WORK
        self.lanes = {local: self._array(local, local.name, local.dtype) for _, local in loop.reductions}

    def lines(self, indent: str) -> list[str]:
        start, n = self.loop.start, self.loop.extent
        known = n.payload - start.payload if n.is_const and start.is_const else None
        body = [f"const {self.index} {self.end} = {self.printer.expr(n)};"]
        body.append(f"{self.index} {self.at} = {self.printer.expr(start)};")
        for combine, local in self.loop.reductions:
            identity = self.printer.expr(const(combine.identity(local.dtype), local.dtype))
            body.append(f"{self.printer.type(local.dtype)} {self.lanes[local]}[{self.width}];")
            body += self._each([f"{self.lanes[local]}[{self.lane}] = {identity};"])
        if known is None or known >= self.width:
            head = f"for (; {self.at} + {self.width} <= {self.end}; {self.at} += {self.width}) {{"
            body += [head, *_indented(self._each(self._body())), "}"]
        whole = known is not None and known % self.width == 0
        last = None if whole else self._last()
        body += last or []
        for combine, local in self.loop.reductions:
            body.append(self._fold(combine, local))
        if not whole and (last is None or self.light):
            body += self._one_by_one()
        return [f"{indent}{line}" for line in ("{", *_indented(body), "}")]

    # --- parts ------------------------------------------------------------------------------------------------------

    def _array(self, thing: Any, wish: str, dtype: str) -> str:
        return str(self.printer.names.of(("lanes", self.loop.variable, thing), f"{wish}_lanes"))

    def _each(self, body: Sequence[str], width: int | None = None) -> list[str]:
        """A loop over the lanes, or over the first ones."""
        pragma = self.printer.dialect.simd.format(clauses="").rstrip()
        head = f"for ({self.small} {self.lane} = 0; {self.lane} < {width or self.width}; {self.lane}++) {{"
        return [pragma, head, *_indented(body), "}"]

    def _body(
        self, found: Mapping[Expr, str] = NOTHING, kept: Mapping[int, str] = NOTHING, last: bool = False
    ) -> list[str]:
        """The body for one lane.  ``last``: some lanes are beyond the end, and take nothing in.

        found, kept  arrays with an element a lane, for loads, and for stores by their id
        """
        printer, known = self.printer, dict(self.printer.known)
        printer.known.update({local.expr: f"{name}[{self.lane}]" for local, name in self.lanes.items()})
        printer.known.update({e: f"{name}[{self.lane}]" for e, name in found.items()})
        lines = [f"const {self.index} {self.i} = {self.at} + {self.lane};"]
        for s in self.loop.body:
            if isinstance(s, Assign) and s.local in self.lanes:
                place = f"{self.lanes[s.local]}[{self.lane}]"
                if last:
                    lines.append(f"{place} = {self.lane} < {self.left} ? ({printer.expr(s.value)}) : {place};")
                else:
                    lines.append(printer.assignment(place, s.local.expr, s.value))
            elif id(s) in kept:
                assert isinstance(s, Store)
                lines.append(f"{kept[id(s)]}[{self.lane}] = {printer.expr(s.value)};")
            else:
                lines += printer.lines([s], "")
        printer.known = known
        return lines

    def _last(self) -> list[str] | None:
        """What does not fill all lanes, unless it is little; None where some lane might then read what is not there.

        A lane beyond the end reads the first element: nothing new can come of that.  What is read and written is set
        apart from what is computed, because only loops without jumps are sure to go into vector lanes.
        """
        loads = self._moving_loads()
        if loads is None:
            return None
        found = {e: self._array(e, f"{e.payload}_left", e.dtype) for e in loads}
        stores = [s for s in self.loop.body if isinstance(s, Store)]
        kept = {id(s): self._array(id(s), f"{s.buffer}_out", s.buffer.dtype) for s in stores}
        arrays = [(e.dtype, name) for e, name in found.items()]
        arrays += [(s.buffer.dtype, kept[id(s)]) for s in stores]
        body = [f"const {self.small} {self.left} = ({self.small})({self.end} - {self.at});"]
        body += [f"{self.printer.type(dtype)} {name}[{self.narrow}];" for dtype, name in arrays]
        reads = [f"const {self.index} {self.i} = {self.at} + {self.lane};"] if found else []
        for e, name in found.items():
            first = self.printer.names.of(("first", self.loop.variable, e), f"{e.payload}_first")
            body.append(f"const {self.printer.type(e.dtype)} {first} = {self._at_first(e)};")
            reads.append(f"{name}[{self.lane}] = {self.lane} < {self.left} ? {self.printer.expr(e)} : {first};")
        body += self._each(reads, self.narrow) if reads else []
        body += self._each(self._body(found, kept, last=True), self.narrow)
        for s in stores:
            place = self.printer.element(s)
            inside = [f"const {self.index} {self.i} = {self.at} + {self.lane};"]
            line = f"if ({self.lane} < {self.left}) {place} = {kept[id(s)]}[{self.lane}];"
            body += self._each([*inside, line], self.narrow)
        if self.light:
            body.append(f"{self.at} = {self.end};")
        head = f"if ({self.at}{f' + {FEW}' if self.light else ''} < {self.end})"
        if self.narrow < self.width:
            head = f"for (; {self.at} < {self.end}; {self.at} += {self.narrow})"
        return [f"{head} {{", *_indented(body), "}"]

    def _moving_loads(self) -> list[Expr] | None:
        """The loads whose position is computed of the loop's variable; None where lanes beyond the end cannot do them.

        A load at a position that was itself read is done by such lanes as by the first one.
        """
        roots = list(expressions(self.loop.body))
        inside = {local.expr for local in declared(self.loop.body)}
        written = {s.buffer for s in self.loop.body if isinstance(s, Store)}
        loads = loads_in(roots)
        if guarded_loads(roots) or any(e.payload in written for e in loads):
            return None
        moving = []
        for e in [*loads, *(s.offset for s in self.loop.body if isinstance(s, Store))]:
            offset = e.args[0] if e.code is Code.LOAD else e
            parts = walk([offset], into=lambda part: part.code is not Code.LOAD)
            indirect = any(part.code is Code.LOAD or part in inside for part in parts)
            if self.loop.variable in parts and indirect or (e.code is not Code.LOAD and indirect):
                return None
            if e.code is Code.LOAD and self.loop.variable in parts:
                moving.append(e)
        return moving

    def _at_first(self, load: Expr) -> str:
        """A load at the first of the elements that are left."""
        known = self.printer.known
        self.printer.known = {**known, self.loop.variable: self.at}
        text = str(self.printer.expr(load))
        self.printer.known = known
        return text

    def _one_by_one(self) -> list[str]:
        """What does not fill all lanes, straight into the totals."""
        head = f"for ({self.index} {self.i} = {self.at}; {self.i} < {self.end}; {self.i}++) {{"
        return [head, *self.printer.lines(self.loop.body, "    "), "}"]

    def _fold(self, combine: Combine, local: Local) -> str:
        """Take all lanes into the total."""
        name = fold(combine, local.dtype, self.width)
        return self._combined(combine, local, self.printer.names.of(local, local.name), f"{name}({self.lanes[local]})")

    def _combined(self, combine: Combine, local: Local, place: str, other: str) -> str:
        a, b = Local("a", local.dtype).expr, Local("b", local.dtype).expr
        known = self.printer.known
        self.printer.known = {**known, a: place, b: other}
        line = str(self.printer.assignment(place, a, combined(combine, a, b)))
        self.printer.known = known
        return line


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"    {line}" for line in lines]
