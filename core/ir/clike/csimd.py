"""Loops whose iterations share vector lanes, in languages that have vector types and functions of vectors.

A compiler vectorises a loop of additions by itself, but hardly one with an ``exp`` in it, nor a sum, whose order it
must keep.  So the loop is written with vectors, and again, element by element, for what is left.  Truth is a vector of
integers that are 0 or -1, as many bytes wide as what was compared.  What has no vector form leaves the loop as it is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from core import dtypes
from core.ir.axes import stride_of
from core.ir.clike.chelpers import COMBINED
from core.ir.codes import COMPARISONS, HOLDS_FUNCTION, Code, Combine
from core.ir.expr import INDEX_DTYPE, Expr, const
from core.ir.nodes import Assign, Let, Local, Loop, LoopKind, Statement, Store, statements
from core.ir.walk import walk

_INTEGER_OF_SIZE = {1: "int8", 2: "int16", 4: "int32", 8: "int64"}
_INFIX = frozenset({Code.ADD, Code.SUB, Code.MUL, Code.DIV, Code.AND, Code.OR, Code.XOR})
_OF_BOOLS = frozenset({Code.AND, Code.OR, Code.XOR})
_LANES = "0123456789abcdef"
_REGISTER_BYTES = 32
_SIDE_BY_SIDE = 4  # registers of one sum: an addition waits for the one before it
_SMALL_BODY = 24  # nodes: of a larger one, several of each would not stay in registers


def packed_type(vector: str) -> str:
    """The name of a type for vectors that lie on any boundary."""
    return f"core_{vector}_packed"


def packed_types(text: str) -> list[str]:
    """Definitions of those that a text uses."""
    found = dict.fromkeys(re.findall(r"core_(\w+?)_packed", text))
    return [f"typedef struct __attribute__((packed)) {{ {one} v; }} {packed_type(one)};" for one in found]


class _Scalar(Exception):
    """Something has no vector form."""


def vector_loop(printer: Any, loop: Loop, indent: str) -> list[str] | None:
    """The lines of a loop, by a Printer of core.ir.clike.cfamily; None where it must stay as it is."""
    if not _is_plain(loop.body) or loop.start is not const(0):
        return None
    try:
        return _Vectors(printer, loop, *_lanes(loop)).lines(indent)
    except _Scalar:
        return None


def _is_plain(body: Sequence[Statement]) -> bool:
    """Whether there are no conditions, and loops inside run in order, all lanes together."""
    return all(
        isinstance(s, (Let, Assign, Store))
        or (isinstance(s, Loop) and s.kind is LoopKind.ORDER and not s.reverse and _is_plain(s.body))
        for s in body
    )


def _lanes(loop: Loop) -> tuple[int, int]:
    """How many lanes a register has for what the loop computes, and how many registers to fill side by side.

    Never more than a register: PoCL on x86 passes longer vectors to functions in a way that its own code does not take.
    """
    values = [statement.value for statement in statements(loop.body) if isinstance(statement, (Let, Assign, Store))]
    parts = walk(values, into=lambda e: e.code is not Code.LOAD)
    lanes = min(_REGISTER_BYTES // max(dtypes.size_bytes(e.dtype) for e in parts), 16)
    calls = any(e.code in (Code.CALL, Code.POW) for e in parts)
    if loop.width > 1:
        return lanes, max(loop.width // lanes, 1)
    return lanes, _SIDE_BY_SIDE if loop.reductions and not calls and len(parts) < _SMALL_BODY else 1


class _Vectors:
    """Writes one loop with vectors of ``lanes`` elements, ``copies`` of them at a time."""

    def __init__(self, printer: Any, loop: Loop, lanes: int, copies: int):
        self.printer, self.loop, self.lanes, self.copies = printer, loop, lanes, copies
        self.copy = 0
        self.bases = printer.dialect.vectors
        self.inside = {s.local: s for s in statements(loop.body) if isinstance(s, (Let, Assign))}
        self.masks: dict[Local, int] = {}  # locals that are truth, and how many bytes wide
        self._done: dict[Expr, tuple[str, int]] = {}
        self._named: list[str] = []  # declarations that the statement at hand needs before it
        self._count = 0  # of them

    def lines(self, indent: str) -> list[str]:
        loop, printer, index = self.loop, self.printer, self.printer.type(INDEX_DTYPE)
        i, n = printer.names.of(loop.variable, loop.variable.payload), printer.expr(loop.extent)
        n = f"({n})" if "?" in n else n
        starts, body = [], []
        for copy in range(self.copies):
            self.copy = copy
            starts += [self._start(combine, local) for combine, local in loop.reductions]
        body += self._block(loop.body, i)
        folds = [line for combine, local in loop.reductions for line in self._fold(combine, local)]
        rest = printer.lines(loop.body, indent + " " * 8)
        step, inner = self.lanes * self.copies, indent + "    "
        return [
            f"{indent}{{",
            f"{inner}{index} {i} = 0;",
            *(inner + line for line in starts),
            f"{inner}for (; {i} + {step} <= {n}; {i} += {step}) {{",
            *(f"{inner}    {line}" for line in body),
            f"{inner}}}",
            *(inner + line for line in folds),
            f"{inner}for (; {i} < {n}; {i}++) {{",
            *rest,
            f"{inner}}}",
            f"{indent}}}",
        ]

    def _block(self, body: Sequence[Statement], i: str) -> list[str]:
        """Statements for all copies of the vector: what stands between loops is written for one after the other."""
        lines: list[str] = []
        for is_loop, group in groupby(body, key=lambda statement: isinstance(statement, Loop)):
            if is_loop:
                for loop in group:
                    lines += self._inner(loop, i)  # type: ignore[arg-type]
                continue
            straight = list(group)
            for copy in range(self.copies):
                self.copy = copy
                lines += self._body(straight, i)
        return lines

    def _inner(self, loop: Loop, i: str) -> list[str]:
        """A loop that all lanes run together."""
        if not self._is_uniform(loop.extent) or not self._is_uniform(loop.start) or loop.reductions:
            raise _Scalar
        k, index = self.printer.names.of(loop.variable, loop.variable.payload), self.printer.type(INDEX_DTYPE)
        start, n = self._scalar(loop.start), self._scalar(loop.extent)
        n = f"({n})" if "?" in n else n
        body = self._block(loop.body, i)
        return [f"for ({index} {k} = {start}; {k} < {n}; {k}++) {{", *(f"    {line}" for line in body), "}"]

    def _body(self, body: Sequence[Statement], i: str) -> list[str]:
        """Statements without loops for one vector, ``copy`` vectors further on."""
        self._done.clear()
        known, lines = self.printer.known, []
        if self.copy:
            known[self.loop.variable] = f"({i} + {self.copy * self.lanes})"
        for statement in body:
            own = self._statement(statement)
            lines += [*self._named, *own]
            self._named = []
        known.pop(self.loop.variable, None)
        return lines

    def _start(self, combine: Combine, local: Local) -> str:
        identity = self.printer.expr(const(combine.identity(local.dtype), local.dtype))
        return f"{self._type(local.dtype)} {self._register(local)} = {self._spread(identity, local.dtype)};"

    # --- names and types --------------------------------------------------------------------------------------------

    def _type(self, dtype: str) -> str:
        if dtype not in self.bases:
            raise _Scalar
        return f"{self.bases[dtype]}{self.lanes}"

    def _mask_type(self, size: int) -> str:
        return self._type(_INTEGER_OF_SIZE[size])

    def _register(self, local: Local) -> str:
        """The vector that stands for a local of the loop."""
        return self.printer.names.of((self.loop.variable, local, self.copy), f"{local.name}_lanes")

    def _spread(self, text: str, dtype: str) -> str:
        return f"({self._type(dtype)})({text})"

    def _fold(self, combine: Combine, local: Local) -> list[str]:
        """Take all lanes into the scalar: halves first, so that rounding errors stay small."""
        total, kind = self.printer.names.of(local, local.name), self.printer.type(local.dtype)
        parts, out = [], []
        for copy in range(self.copies):
            self.copy = copy
            parts += [f"{self._register(local)}.s{_LANES[k]}" for k in range(self.lanes)]
        name = f"{self._register(local)}_"
        while len(parts) > 1:
            half = len(parts) // 2
            pairs = list(zip(parts[:half], parts[half:], strict=True))
            parts = [f"{name}{half}_{k}" for k in range(half)]
            for part, (a, b) in zip(parts, pairs, strict=True):
                out.append(f"const {kind} {part} = {COMBINED[combine].format(a=a, b=b)};")
        return [*out, f"{total} = {COMBINED[combine].format(a=total, b=parts[0])};"]

    # --- statements -------------------------------------------------------------------------------------------------

    def _statement(self, statement: Statement) -> list[str]:
        if isinstance(statement, Store):
            return self._store(statement)
        assert isinstance(statement, (Let, Assign))
        local, (text, size) = statement.local, self._vector(statement.value)
        name = self._register(local)
        self._done = {e: found for e, found in self._done.items() if not self._reads(e, local)}
        if isinstance(statement, Assign):
            if local.dtype == "bool":
                raise _Scalar
            return [f"{name} = {text};"]
        if size:
            self.masks[local] = size
            return [f"{'const ' if statement.constant else ''}{self._mask_type(size)} {name} = {text};"]
        return [f"{'const ' if statement.constant else ''}{self._type(local.dtype)} {name} = {text};"]

    def _store(self, store: Store) -> list[str]:
        text, size = self._vector(store.value)
        dtype = store.buffer.dtype
        if size:
            text = f"(convert_{self._type('bool')}({text}) & {self._spread('1', 'bool')})"
        name = self.printer.names.of(store.buffer, str(store.buffer))
        stride = self._stride(store.offset)
        if stride == 1:
            return [f"{self._packed(dtype, name, store.offset)} = {text};"]
        if not self._can_shift(store.offset):
            raise _Scalar
        moved = self.printer.names.of(("lanes", id(store), self.copy), "lanes")
        lines = [f"const {self._type(dtype)} {moved} = {text};"]
        for k in range(self.lanes):
            lines.append(f"{name}[{self._shifted(store.offset, k)}] = {moved}.s{_LANES[k]};")
        return ["{", *(f"    {line}" for line in lines), "}"]

    # --- expressions ------------------------------------------------------------------------------------------------

    def _scalar(self, e: Expr) -> str:
        return self.printer.expr(e)

    def _is_uniform(self, e: Expr) -> bool:
        """Whether an expression is the same in all lanes."""
        return self.loop.variable not in e.free and not any(
            part.code is Code.LOCAL and part.payload in self.inside for part in walk([e])
        )

    def _reads(self, e: Expr, local: Local) -> bool:
        return any(part.code is Code.LOCAL and part.payload is local for part in walk([e]))

    def _vector(self, root: Expr) -> tuple[str, int]:
        """The text of an expression as a vector, and the bytes of its elements where it is truth, else 0."""
        stop = (Code.LOAD, Code.LOCAL, Code.INDEX)
        for e in walk([root], into=lambda e: e not in self._done and e.code not in stop and not self._is_uniform(e)):
            if e not in self._done:
                self._done[e] = self._one(e)
        return self._done[root]

    def _one(self, e: Expr) -> tuple[str, int]:
        if e.code is Code.LOCAL and e.payload in self.inside:
            return self._register(e.payload), self.masks.get(e.payload, 0)
        if e.code is Code.INDEX and e is self.loop.variable:
            steps = ", ".join(map(str, range(self.lanes)))
            return f"({self._spread(self._scalar(e), INDEX_DTYPE)} + ({self._type(INDEX_DTYPE)})({steps}))", 0
        if self._is_uniform(e):
            if e.dtype == "bool":
                return f"({self._mask_type(1)})(-({self._scalar(e)}))", 1
            return self._spread(self._scalar(e), e.dtype), 0
        if e.code is Code.LOAD:
            text = self._load(e)
            if e.dtype == "bool":
                return f"(convert_{self._mask_type(1)}({text}) != ({self._mask_type(1)})(0))", 1
            return text, 0
        if e.code is Code.CAST and e.args[0].code is Code.LOAD and e.args[0].dtype == "bool":
            return f"convert_{self._type(e.dtype)}({self._load(e.args[0])})", 0  # truth lies in memory as 0 or 1
        if e.code is Code.GUARDED and any(part.code is Code.LOAD for part in walk(e.args[1:])):
            raise _Scalar
        args = [self._done[arg] for arg in e.args]
        if e.dtype == "bool":
            return self._truth(e, args)
        return self._number(e, args), 0

    def _load(self, e: Expr) -> str:
        offset, name = e.args[0], self.printer.names.of(e.payload, str(e.payload))
        if self._stride(offset) == 1:
            return self._packed(e.dtype, name, offset, "const ")
        if not self._can_shift(offset):
            raise _Scalar
        parts = ", ".join(f"{name}[{self._shifted(offset, k)}]" for k in range(self.lanes))
        return f"({self._type(e.dtype)})({parts})"

    def _packed(self, dtype: str, name: str, offset: Expr, qualifier: str = "") -> str:
        """The vector that lies at a position, as something that can be read or assigned to.

        vload and vstore would say it too, but PoCL (3.0) calls them as functions, which keep no vector in a register.
        """
        pointer = f"{self.printer.dialect.pointer}{qualifier}{packed_type(self._type(dtype))} *"
        return f"(({pointer})({name} + {self._scalar(offset)}))->v"

    def _stride(self, offset: Expr) -> int | None:
        """By how much a position grows with the loop, where that is a known number."""
        if any(part.code is Code.LOCAL and part.payload in self.inside for part in walk([offset])):
            return None
        stride = stride_of(offset, self.loop.variable)
        return stride.payload if stride is not None and stride.is_const else None

    def _can_shift(self, offset: Expr) -> bool:
        return not any(part.code is Code.LOCAL and part.payload in self.inside for part in walk([offset]))

    def _shifted(self, offset: Expr, lane: int) -> str:
        """A position in the lane that is ``lane`` further."""
        known, variable = self.printer.known, self.loop.variable
        before = known.get(variable)
        known[variable] = f"({self._scalar(variable)} + {lane})"
        text = self._scalar(offset)
        if before is None:
            del known[variable]
        else:
            known[variable] = before
        return text

    def _widened(self, mask: tuple[str, int], size: int) -> str:
        text, own = mask
        return text if own == size else f"convert_{self._mask_type(size)}({text})"

    def _truth(self, e: Expr, args: Sequence[tuple[str, int]]) -> tuple[str, int]:
        if e.code in COMPARISONS:
            if args[0][1] or args[1][1]:
                raise _Scalar
            return f"({args[0][0]} {e.code.value} {args[1][0]})", dtypes.size_bytes(e.args[0].dtype)
        if e.code in _OF_BOOLS:
            size = max(args[0][1], args[1][1])
            return f"({self._widened(args[0], size)} {e.code.value} {self._widened(args[1], size)})", size
        if e.code is Code.NOT:
            return f"(~{args[0][0]})", args[0][1]
        if e.code is Code.CAST and not args[0][1]:
            zero = self._spread("0", e.args[0].dtype)
            return f"({args[0][0]} != {zero})", dtypes.size_bytes(e.args[0].dtype)
        if e.code is Code.CALL:
            return self._classified(e, args[0][0])
        raise _Scalar

    def _classified(self, e: Expr, x: str) -> tuple[str, int]:
        dtype = e.args[0].dtype
        x = self._name(x, dtype)
        infinity = self._spread(self.printer.dialect.infinity[dtype], dtype)
        tests: dict[str, str] = {
            "isnan": f"({x} != {x})",
            "isinf": f"(fabs({x}) == {infinity})",
            "isfinite": f"(fabs({x}) < {infinity})",
            "signbit": f"signbit({x})",
        }
        return tests[e.payload], dtypes.size_bytes(dtype)

    def _number(self, e: Expr, args: Sequence[tuple[str, int]]) -> str:
        self._type(e.dtype)
        texts = [text for text, _ in args]
        if e.code in _INFIX:
            return f"({texts[0]} {e.code.value} {texts[1]})"
        if e.code in (Code.NEG, Code.NOT):
            return f"({'-' if e.code is Code.NEG else '~'}{texts[0]})"
        if e.code is Code.CALL or (e.code is Code.POW and e.dtype in dtypes.FLOATS):
            if e.marks & HOLDS_FUNCTION and not isinstance(e.payload, str):
                raise _Scalar
            function = self.printer.function("pow" if e.code is Code.POW else e.payload, e.args[0].dtype)
            return f"{function}({', '.join(texts)})"
        if e.code in (Code.MIN, Code.MAX):
            return self._extreme(e, *texts)
        if e.code in (Code.SELECT, Code.GUARDED):
            mask = self._widened(args[0], dtypes.size_bytes(e.dtype))
            return f"select({texts[2]}, {texts[1]}, {mask})"
        if e.code is Code.CAST:
            return self._cast(e, args[0])
        raise _Scalar

    def _extreme(self, e: Expr, a: str, b: str) -> str:
        if e.dtype not in dtypes.FLOATS:
            return f"{'min' if e.code is Code.MIN else 'max'}({a}, {b})"
        sign = "<" if e.code is Code.MIN else ">"
        a, b = self._name(a, e.dtype), self._name(b, e.dtype)
        return f"select({b}, {a}, ({a} {sign} {b}) | ({a} != {a}))"

    def _name(self, text: str, dtype: str) -> str:
        """A name for what is written more than once."""
        if text.isidentifier():
            return text
        self._count += 1
        name = self.printer.names.of((self.loop.variable, self._count), "v")  # one text may stand for several values
        self._named.append(f"const {self._type(dtype)} {name} = {text};")
        return name

    def _cast(self, e: Expr, arg: tuple[str, int]) -> str:
        text, size = arg
        source = e.args[0].dtype
        if size:
            return f"convert_{self._type(e.dtype)}(-{text})"
        if source in dtypes.FLOATS and e.dtype in dtypes.INTEGERS and e.dtype not in ("int32", "int64"):
            raise _Scalar
        return f"convert_{self._type(e.dtype)}({text})"
