"""Printing loops that take several elements at once: whole pieces first, one by one what is left."""

from __future__ import annotations

from typing import Any

from core import dtypes
from core.ir.nodes import Loop, Store
from core.ir.vector_access import ACCESS_BYTES, Access, accesses


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


def wide_loop(printer: Any, loop: Loop, indent: str) -> list[str]:
    """The two loops, in a block, by a Printer of core.ir.cfamily.

    A piece is read, its elements are computed side by side, and it is written.
    """
    work, index, width = printer.dialect.work, printer.type("int64"), loop.width
    assert work is not None
    wholes, piece, k = (printer.names.of((word, loop.variable), word) for word in ("wholes", "piece", "k"))
    i, n = printer.names.of(loop.variable, loop.variable.payload), _closed(printer.expr(loop.extent))
    first, step = work.spread(loop.kind)
    found = accesses(loop)
    elements = [_Piece(printer, access, width) for access in found]
    starts = " | ".join(dict.fromkeys(_closed(one.start) for one in elements if one.start != "0"))
    starts = f"({starts})" if " | " in starts else starts
    count = f"({starts} & {width - 1}) == 0 ? {n} / {width} : 0" if starts else f"{n} / {width}"
    known, places = dict(printer.known), dict(printer.places)
    printer.known.update({one.node: f"{one.own}.at[{k}]" for one in elements if not isinstance(one.node, Store)})
    printer.places.update({id(one.node): f"{one.own}.at[{k}]" for one in elements if isinstance(one.node, Store)})
    wide = printer.lines(loop.body, indent + " " * 12)
    printer.known, printer.places = known, places
    lines = [
        f"const {index} {wholes} = {count};",
        f"for ({index} {piece} = {first}; {piece} < {wholes}; {piece} += {step}) {{",
        *(f"    {one.begin(piece)}" for one in elements),
        "    #pragma unroll",
        f"    for (int {k} = 0; {k} < {width}; {k}++) {{",
        f"        const {index} {i} = {piece} * {width} + {k};",
    ]
    middle = ["    }", *(f"    {one.end(piece)}" for one in elements if isinstance(one.node, Store)), "}"]
    rest = f"for ({index} {i} = {wholes} * {width} + {first}; {i} < {n}; {i} += {step}) {{"
    inner = indent + "    "
    return [
        f"{indent}{{",
        *(inner + line for line in lines),
        *wide,
        *(inner + line for line in [*middle, rest]),
        *printer.lines(loop.body, inner + "    "),
        f"{inner}}}",
        f"{indent}}}",
    ]


def _closed(text: str) -> str:
    """An expression that anything may stand beside."""
    return text if text.isidentifier() or text.isdecimal() else f"({text})"


class _Piece:
    """Neighbouring elements of one buffer, in registers."""

    def __init__(self, printer: Any, access: Access, width: int):
        self.node, self.start = access.node, printer.expr(access.start)
        self._kind = piece_type(access.buffer.dtype, width)
        self._name = printer.names.of(access.buffer, str(access.buffer))
        self.own = printer.names.of(access, f"{self._name}_{width}")
        assert printer.dialect.work is not None
        self._pointer = printer.dialect.work.pointer

    def _at(self, piece: str, qualifier: str = "") -> str:
        address = self._name if self.start == "0" else f"({self._name} + {_closed(self.start)})"
        return f"(({qualifier}{self._pointer}{self._kind} *){address})[{piece}]"

    def begin(self, piece: str) -> str:
        if isinstance(self.node, Store):
            return f"{self._kind} {self.own};"
        return f"const {self._kind} {self.own} = {self._at(piece, 'const ')};"

    def end(self, piece: str) -> str:
        return f"{self._at(piece)} = {self.own};"
