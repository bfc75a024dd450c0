"""Printing loops that take several elements at once: whole pieces first, one by one what is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core import dtypes
from core.ir.nodes import Loop, Store
from core.ir.wide import ACCESS_BYTES, accesses

if TYPE_CHECKING:
    from core.ir.cfamily import Printer


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


def wide_loop(printer: Printer, loop: Loop, indent: str) -> list[str]:
    """The two loops.  A piece is read, its elements are computed side by side, and it is written."""
    work = printer.dialect.work
    assert work is not None
    width, index, found = loop.width, printer.type("int64"), accesses(loop)
    i, n = printer.names.of(loop.variable, loop.variable.payload), printer.expr(loop.extent)
    names = printer.names
    wholes, piece, k = (names.of((word, loop.variable), word) for word in ("wholes", "piece", "k"))
    starts = [text for text in dict.fromkeys(printer.expr(access.start) for access in found) if text != "0"]
    whole = f"({n}) / {width}"
    if starts:
        whole = f"(({' | '.join(f'({start})' for start in starts)}) & {width - 1}) == 0 ? {whole} : 0"
    first, step = work.spread(loop.kind)
    known, reads, writes = dict(printer.known), [], []
    out = [
        f"{indent}const {index} {wholes} = {whole};",
        f"{indent}for ({index} {piece} = {first}; {piece} < {wholes}; {piece} += {step}) {{",
    ]
    stored: dict[int, str] = {}
    for access in found:
        kind, name = piece_type(access.buffer.dtype, width), names.of(access.buffer, str(access.buffer))
        own = names.of(access, f"{name}_{width}")
        start = printer.expr(access.start)
        at = f"{name}" if start == "0" else f"({name} + ({start}))"
        if isinstance(access.node, Store):
            reads.append(f"{kind} {own};")
            writes.append(f"(({work.pointer}{kind} *){at})[{piece}] = {own};")
            stored[id(access.node)] = f"{own}.at[{k}]"
        else:
            reads.append(f"const {kind} {own} = ((const {work.pointer}{kind} *){at})[{piece}];")
            printer.known[access.node] = f"{own}.at[{k}]"
    inner = indent + "    "
    out += [inner + line for line in reads]
    out += [f"{inner}#pragma unroll", f"{inner}for (int {k} = 0; {k} < {width}; {k}++) {{"]
    out.append(f"{inner}    const {index} {i} = {piece} * {width} + {k};")
    printer.places.update(stored)
    out += printer.lines(loop.body, inner + "    ")
    printer.places.clear()
    printer.known = known
    out += [f"{inner}}}", *(inner + line for line in writes), f"{indent}}}"]
    out.append(f"{indent}for ({index} {i} = {wholes} * {width} + {first}; {i} < {n}; {i} += {step}) {{")
    return [*out, *printer.lines(loop.body, indent + "    "), f"{indent}}}"]
