"""Printing loops that take several elements at once: whole pieces first, one by one what is left."""

from __future__ import annotations

from typing import Any

from core import dtypes
from core.ir.codes import Code
from core.ir.cpu.computed_again import computed_again
from core.ir.expr import Expr, cast, const
from core.ir.nests.accumulators import narrow_sum, narrowed
from core.ir.nests.vector_access import (
    ACCESS_BYTES,
    KEPT_PIECES,
    Access,
    accesses,
    kept,
    own_arrays,
    same_for_all,
)
from core.ir.nodes import Assign, Let, Loop, LoopKind, Store, expressions
from core.ir.rebuild import substitute
from core.ir.walk import walk
from core.ir.work.barriers import holds_lanes


def piece_type(dtype: str, width: int) -> str:
    """The name of the type that holds ``width`` neighbouring elements."""
    return f"core_{dtype}x{width}"


def declared(text: str, template: str, types: dict[str, str]) -> list[str]:
    """Definitions of the types of that kind that ``text`` uses."""
    found = []
    for dtype, ctype in types.items():
        for width in (2, 4):
            if piece_type(dtype, width) in text:
                size = min(ACCESS_BYTES, width * dtypes.size_bytes(dtype))
                found.append(template.format(name=piece_type(dtype, width), type=ctype, width=width, size_bytes=size))
    return found


def keep_rows(printer: Any, loop: Loop, indent: str) -> list[str]:
    """Registers for what the loops over the lanes of a group hold; from now on ``printer`` knows of them.

    That is what several of them load or compute, and, for a loop over groups, arrays of which each lane has its own.
    """
    lines, holding = [], kept(loop)
    for array, lanes in own_arrays(loop, printer.own).items() if loop.kind is LoopKind.GROUPS else ():
        lines.append(f"{indent}{piece_type(array.dtype, lanes.width)} {printer.own[array]}[{lanes.fits}];")
    for turns in loop.body if loop.kind is LoopKind.GROUPS else ():
        if holds_lanes(turns):
            lines += _hold_for_all(printer, turns, indent)
    for (buffer, start), loops in holding.items():
        name = printer.names.of((loop.variable, buffer, start), f"{buffer}_kept")
        lines.append(f"{indent}{piece_type(buffer.dtype, loops[0].width)} {name}[{KEPT_PIECES}];")
        for lanes in loops:
            printer.kept[id(lanes), buffer, start] = (name, lanes is loops[0])
    _load_early(printer, loop, holding)
    if loop.kind is LoopKind.ORDER and printer.dialect.work.ahead:
        _look_ahead(printer, loop, holding)
    for again in computed_again(loop):
        if again.place is not None:
            buffer, start = again.place
            name = printer.names.of((loop.variable, buffer, start), f"{buffer}_kept")
        else:
            name = printer.names.of(again, "computed")
            lines.append(f"{indent}{piece_type(again.node.dtype, again.first.width)} {name}[{KEPT_PIECES}];")
        for lanes, node in ((again.first, again.node), *again.later):
            printer.computed.setdefault(id(lanes), {})[node] = (name, lanes is again.first)
    return lines


def _hold_for_all(printer: Any, turns: Any, indent: str) -> list[str]:
    """Registers for what every row of a group reads, weights, if there is not much of it; loaded here, once."""
    found = {place: loops for place, loops in same_for_all(turns).items() if (id(loops[0]), *place) not in printer.kept}
    lines = []
    for (buffer, start), (lanes, *more) in found.items():
        name = printer.names.of((turns.variable, buffer, start), f"{buffer}_kept")
        kind = piece_type(buffer.dtype, lanes.width)
        lines.append(f"{indent}{kind} {name}[{lanes.fits}];")
        head, deep, r, piece = _turns_of_pieces(printer, lanes, indent)
        one = _Piece(printer, Access(buffer, start, turns.variable), lanes.width)
        lines += [*head, f"{deep}{name}[{r}] = {one.at(piece, 'const ')};", f"{indent}    }}", f"{indent}}}"]
        for each in (lanes, *more):
            printer.kept[id(each), buffer, start] = (name, False)
    return lines


def _turns_of_pieces(printer: Any, loop: Loop, indent: str) -> tuple[list[str], str, str, str]:
    """The head of a loop over the pieces of a row that fits, how far its body is indented, its variables."""
    work, width = printer.dialect.work, loop.width
    piece, r = (printer.names.of((word, loop.variable), word) for word in ("piece", "r"))
    first, step = work.spread(loop.kind, printer.lanes)
    extent = loop.extent
    wholes = str(extent.payload // width) if extent.is_const else f"(int)({_closed(printer.expr(extent))} / {width})"
    head = [f"{indent}#pragma unroll", f"{indent}for (int {r} = 0; {r} < {loop.fits}; {r}++) {{"]
    head.append(f"{indent}    const int {piece} = (int){first} + {r} * {step if step.isdecimal() else f'(int){step}'};")
    head.append(f"{indent}    if ({piece} < {wholes}) {{")
    return head, indent + "        ", r, piece


def _load_early(printer: Any, loop: Loop, holding: dict[tuple[Any, Expr], list[Loop]]) -> None:
    """Let the first loop over a row that fits load what later ones hold, where it starts in the same place there."""
    position = {id(statement): number for number, statement in enumerate(loop.body)}
    for (buffer, start), loops in holding.items():
        together = [first for (_, other), (first, *_) in holding.items() if other is start and first.fits]
        earliest = min(together, key=lambda lanes: position[id(lanes)], default=loops[0])
        if earliest is not loops[0]:
            name, _ = printer.kept[id(loops[0]), buffer, start]
            printer.kept[id(loops[0]), buffer, start] = (name, False)
            printer.early.setdefault(id(earliest), []).append((buffer, start, name))


def _look_ahead(printer: Any, turns: Loop, holding: dict[tuple[Any, Expr], list[Loop]]) -> None:
    """While a group is at one row, the next that it takes comes nearer: else it would only wait for memory then.

    A group that holds much shares its part of the hardware with few others, whose work does not fill that time.
    """
    settled = {s.local.expr: s.value for s in turns.body if isinstance(s, Let) and s.constant}
    next_turn = turns.variable + 1
    for (buffer, start), loops in holding.items():
        here = substitute(start, settled)
        if turns.variable in here.free and loops[0].fits and not any(e in settled for e in walk([here])):
            earliest = next(loop for loop in turns.body if isinstance(loop, Loop) and loop.fits)
            _, places = printer.ahead.setdefault(id(earliest), (next_turn < turns.extent, []))
            places.append((buffer, substitute(here, {turns.variable: next_turn})))


def wide_loop(printer: Any, loop: Loop, indent: str) -> list[str]:
    """The two loops, in a block, by a Printer of core.ir.clike.cfamily.

    A piece is read, its elements are computed side by side, and it is written.  A float32 sum that grows in float64
    takes the sum of a piece: turning a number into float64 is slow on GPUs.  Where registers hold pieces from one loop
    to the next, the first pieces of each work-item have a loop of their own, which is unrolled, over 32-bit positions.
    """
    work, index, width = printer.dialect.work, printer.type("int64"), loop.width
    assert work is not None
    wholes, piece, r = (printer.names.of((word, loop.variable), word) for word in ("wholes", "piece", "r"))
    i, n = printer.names.of(loop.variable, loop.variable.payload), _closed(printer.expr(loop.extent))
    first, step = work.spread(loop.kind, printer.lanes)
    pieces = [_Piece(printer, a, width) for a in accesses(loop) if a.buffer not in printer.own]
    if loop.fits:
        return _fitting_loop(printer, loop, pieces, indent)
    starts = " | ".join(dict.fromkeys(_closed(one.start) for one in pieces if one.start != "0"))
    starts = f"({starts})" if " | " in starts else starts
    count = f"({starts} & {width - 1}) == 0 ? {n} / {width} : 0" if starts else f"{n} / {width}"
    inner = indent + "    "
    lines = [f"{indent}{{", f"{inner}const {index} {wholes} = {count};"]
    held = {one: printer.kept[id(loop), *one.place] for one in pieces if (id(loop), *one.place) in printer.kept}
    begin = first
    if held:
        registers = {one: f"{name}[{r}]" for one, (name, _) in held.items()}
        values = {e: (f"{name}[{r}]", is_first) for e, (name, is_first) in printer.computed.get(id(loop), {}).items()}
        stride = step if step.isdecimal() else f"(int){step}"
        head = [f"{inner}#pragma unroll", f"{inner}for (int {r} = 0; {r} < {KEPT_PIECES}; {r}++) {{"]
        head.append(f"{inner}    const int {piece} = (int){first} + {r} * {stride};")
        head.append(f"{inner}    if ({piece} < {wholes}) {{")
        end, deep = [f"{inner}    }}", f"{inner}}}"], inner + "        "
        new = [one for one, (_, is_first) in held.items() if is_first]
        if new:  # all are on their way before the first is waited for
            lines += [*head, *(f"{deep}{registers[one]} = {one.at(piece, 'const ')};" for one in new), *end]
        lines += [*head, *_one_piece(printer, loop, pieces, registers, values, deep), *end]
        begin = f"{first} + {KEPT_PIECES} * ({index}){step}"
    lines.append(f"{inner}for ({index} {piece} = {begin}; {piece} < {wholes}; {piece} += {step}) {{")
    lines += [*_one_piece(printer, loop, pieces, {}, {}, inner + "    "), f"{inner}}}"]
    if not starts:  # less than a piece is left
        lines.append(f"{inner}#pragma unroll 1")
    lines.append(f"{inner}for ({index} {i} = {wholes} * {width} + {first}; {i} < {n}; {i} += {step}) {{")
    return [*lines, *printer.lines(loop.body, inner + "    "), f"{inner}}}", f"{indent}}}"]


def _fitting_loop(printer: Any, loop: Loop, pieces: list[_Piece], indent: str) -> list[str]:
    """A loop over a row that fits: so many pieces for each work-item, none of them after the last whole one."""
    inner = indent + "    "
    head, deep, r, piece = _turns_of_pieces(printer, loop, inner)
    end = [f"{inner}    }}", f"{inner}}}"]
    held = {one: printer.kept[id(loop), *one.place] for one in pieces if (id(loop), *one.place) in printer.kept}
    registers = {one: f"{name}[{r}]" for one, (name, _) in held.items()}
    values = {e: (f"{name}[{r}]", new) for e, (name, new) in printer.computed.get(id(loop), {}).items()}
    loaded = [f"{deep}{registers[one]} = {one.at(piece, 'const ')};" for one, (_, new) in held.items() if new]
    for buffer, start, name in printer.early.get(id(loop), ()):
        other = _Piece(printer, Access(buffer, start, loop.variable), loop.width)
        loaded.append(f"{deep}{name}[{r}] = {other.at(piece, 'const ')};")
    lines = [f"{indent}{{"]
    if loaded:  # all are on their way before the first is waited for
        lines += [*head, *loaded, *end]
    lines += _next_pieces(printer, loop, head, deep, piece, end)
    return [*lines, *head, *_one_piece(printer, loop, pieces, registers, values, deep), *end, f"{indent}}}"]


def _next_pieces(printer: Any, loop: Loop, head: list[str], deep: str, piece: str, end: list[str]) -> list[str]:
    """Bring the pieces nearer that the next turn reads."""
    if id(loop) not in printer.ahead:
        return []
    there, places = printer.ahead[id(loop)]
    others = (_Piece(printer, Access(buffer, start, loop.variable), loop.width) for buffer, start in places)
    fetched = [f"{deep}{printer.dialect.work.ahead.format(at='&' + one.at(piece, 'const '))}" for one in others]
    return [
        f"{deep[:-8]}if ({printer.expr(there)}) {{",
        *(f"    {line}" for line in [*head, *fetched, *end]),
        f"{deep[:-8]}}}",
    ]


def _one_piece(
    printer: Any,
    loop: Loop,
    pieces: list[_Piece],
    registers: dict[_Piece, str],
    values: dict[Expr, tuple[str, bool]],
    indent: str,
) -> list[str]:
    """Reading, computing and writing one piece.

    ``registers`` says which pieces were read before, and where they lie; ``values`` where some of what is computed
    lies, and whether it is computed here.
    """
    index, width = printer.type("int64"), loop.width
    piece, k, r = (printer.names.of((word, loop.variable), word) for word in ("piece", "k", "r"))
    i = printer.names.of(loop.variable, loop.variable.payload)
    known, places, lines = dict(printer.known), dict(printer.places), []
    loaded: dict[str, str] = {}
    for one in pieces:
        own = registers.get(one, one.own)
        if isinstance(one.node, Store):
            printer.places[id(one.node)] = f"{own}.at[{k}]"
            lines.append(f"{indent}{one.kind} {own};")
            continue
        printer.known[one.node] = f"{own}.at[{k}]"
        if one not in registers:
            loaded[own] = f"{indent}const {one.kind} {own} = {one.at(piece, 'const ')};"
    for e in walk(list(expressions(loop.body))):
        if e.code is Code.LOAD and e.payload in printer.own:
            printer.known[e] = f"{printer.own[e.payload]}[{r}].at[{k}]"
    for statement in loop.body:
        if isinstance(statement, Store) and statement.buffer in printer.own:
            printer.places[id(statement)] = f"{printer.own[statement.buffer]}[{r}].at[{k}]"
    sums = {local: part for c, local in loop.reductions if (part := narrow_sum(c, local, loop.body)) is not None}
    lines += printer.lines([Let(part, const(0.0, part.dtype), constant=False) for part in sums.values()], indent)
    lines += [f"{indent}#pragma unroll", f"{indent}for (int {k} = 0; {k} < {width}; {k}++) {{"]
    lines.append(f"{indent}    const {index} {i} = {piece} * {width} + {k};")
    left = []  # for later loops, when this one has asked what the registers held before
    for e, (own, is_first) in values.items():
        name = f"{own}.at[{k}]"
        if is_first:
            name = printer.names.of((loop.variable, e), "value")
            lines.append(f"{indent}    const {printer.type(e.dtype)} {name} = {printer.expr(e)};")
            left.append(f"{indent}    {own}.at[{k}] = {name};")
        printer.known[e] = name
    lines += [*printer.lines(narrowed(loop.body, sums), indent + "    "), *left, f"{indent}}}"]
    totals = [Assign(total, total.expr + cast(part.expr, total.dtype)) for total, part in sums.items()]
    lines += printer.lines(totals, indent)
    printer.known, printer.places = known, places
    text = "\n".join(lines)  # registers may hold what some loads were for
    needed = [line for name, line in loaded.items() if f"{name}." in text]
    return [
        *needed,
        *lines,
        *(f"{indent}{one.at(piece)} = {one.own};" for one in pieces if isinstance(one.node, Store)),
    ]


def _closed(text: str) -> str:
    """An expression that anything may stand beside."""
    return text if text.isidentifier() or text.isdecimal() else f"({text})"


class _Piece:
    """Neighbouring elements of one buffer: ``kind`` is their type, ``own`` a name for them."""

    def __init__(self, printer: Any, access: Access, width: int):
        self.node, self.start, self.place = access.node, printer.expr(access.start), (access.buffer, access.start)
        self.kind = piece_type(access.buffer.dtype, width)
        self._name = printer.names.of(access.buffer, str(access.buffer))
        self.own = printer.names.of(access, f"{self._name}_{width}")
        assert printer.dialect.work is not None
        self._pointer = printer.dialect.work.pointer

    def at(self, piece: str, qualifier: str = "") -> str:
        """The piece in memory."""
        address = self._name if self.start == "0" else f"({self._name} + {_closed(self.start)})"
        return f"(({qualifier}{self._pointer}{self.kind} *){address})[{piece}]"
