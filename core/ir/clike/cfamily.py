"""Kernels as text of a C-like language.  The only file that writes expressions and loops as C.

What differs between languages is a table, ``Dialect``; what they share is here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from core import dtypes
from core.dataclass import dataclass, field
from core.errors import BackendError
from core.ir.clike.cparens import is_bare
from core.ir.codes import COMPARISONS, Code, Combine
from core.ir.expr import Expr, const, make
from core.ir.nodes import (
    Arrive,
    Assign,
    Atomic,
    Barrier,
    Break,
    If,
    Kernel,
    Let,
    Loop,
    LoopKind,
    Statement,
    Store,
    expressions,
    lengths_of,
)
from core.ir.walk import walk

if TYPE_CHECKING:  # only devices have work-items
    from core.ir.clike.cwork import WorkItems

_TYPES = {
    "bool": "uint8_t",
    **{name: f"{name}_t" for name in dtypes.INTEGERS},
    "float32": "float",
    "float64": "double",
    "complex64": "float",  # an element is two of them
    "complex128": "double",
}


@dataclass(frozen=True)
class Dialect:
    """How one C-like language spells what all of them have.

    types      dtype -> type; a dtype that is missing is not supported.  One that has float16, as a type of 16 bits,
               declares core_from_half, core_to_half_float32 and core_to_half_float64
    kernel, shared_kernel  what stands before a kernel's name: in the unit that calls it, in another; "" for never
    op_function  what stands before a function that is an op's own ``c_code``; "" where that is not understood
    runs_programs  whether steps may run programs of their own, loops and choices; where it prints a function that calls
               kernels, they do
    entry      what stands before the function that calls the kernels; ``long_entry``, before one with many steps
    calls      (function, dtype) -> name, where it is not C99's (sin, sinf)
    simd       the line before a loop whose iterations may share vector lanes; ``{clauses}`` are its reductions
    lanes      whether a loop that reduces is written lane by lane; see clanes.py
    preamble   text that every translation unit starts with
    declarations  of functions, by name: those that a unit uses stand at its beginning
    function   qualifiers of the small functions that kernels use;  looping  of those with loops, "" for the same
    reserved   words that cannot be names, besides C's
    vectors    dtype -> the type to which a number of lanes is added, for a vector of them; see csimd.py.  Empty: none
    lacks      dtypes that the device does not have, each with what to say of it and what to do
    work       how work-items are spelled; None where kernels are called like any function
    """

    name: str
    types: Mapping[str, str] = field(default_factory=lambda: dict(_TYPES))
    calls: Mapping[tuple[str, str], str] = field(default_factory=dict)
    kernel: str = "static void"
    shared_kernel: str = ""
    entry: str = ""
    op_function: str = ""
    runs_programs: bool = False
    long_entry: str = ""
    pointer: str = ""
    restrict: str = "restrict"
    simd: str = ""
    reduction_clause: str = ""
    lanes: bool = False
    infinity: Mapping[str, str] = field(default_factory=lambda: {"float32": "INFINITY", "float64": "INFINITY"})
    nan: str = "NAN"
    preamble: str = ""
    declarations: Mapping[str, str] = field(default_factory=dict)
    function: str = "static inline"
    looping: str = ""
    float_suffix: str = "f"  # of C99's functions of float32
    long_suffix: str = "LL"  # of constants of int64
    reserved: frozenset[str] = frozenset()
    vectors: Mapping[str, str] = field(default_factory=dict)
    lacks: Mapping[str, str] = field(default_factory=dict)
    work: WorkItems | None = None

    @property
    def has_inner_programs(self) -> bool:
        return bool(self.op_function) or self.runs_programs

    def supports(self, dtype: str) -> bool:
        return dtype in self.types

    def supports_by_hand(self, dtype: str) -> bool:
        """Whether C that is written by hand has a type for an element: there are only the parts of a complex one, and
        the bits of a float16."""
        return self.supports(dtype) and dtype not in (*dtypes.COMPLEXES, "float16")


class Names:
    """Identifiers for values, variables and locals of one text: readable, legal and all different."""

    def __init__(self, taken: Sequence[str] = ()):
        self._names: dict[Any, str] = {}
        self._taken = {*taken, *_RESERVED}
        self._numbers: dict[str, int] = {}  # how often a name was wished for

    def of(self, thing: Any, wish: str) -> str:
        """The identifier of ``thing``, as like ``wish`` as can be."""
        if thing not in self._names:
            base = identifier(wish)
            if base.startswith(("core_", "_")):  # ours, and the compiler's
                base = f"v_{base}"
            name, number = base, self._numbers.get(base, 1)
            while name in self._taken:
                number += 1
                name = f"{base}_{number}"
            self._numbers[base] = number
            self._taken.add(name)
            self._names[thing] = name
        return self._names[thing]

    def numbered(self, text: str) -> str:
        """``text`` with numbers for the names that are from here: the same for texts that differ in names alone."""
        own = set(self._names.values())
        numbers: dict[str, int] = {}

        def number(match: re.Match[str]) -> str:
            word = match[0]
            return f"#{numbers.setdefault(word, len(numbers))}" if word in own else word

        return _WORD.sub(number, text)


_WORD = re.compile(r"\b[A-Za-z_]\w*")
_FOREIGN = re.compile(r"[^A-Za-z0-9_]")


def identifier(text: str) -> str:
    """``text`` as a C identifier."""
    name = _FOREIGN.sub("_", text) or "v"
    return f"v{name}" if name[0].isdigit() else name


_RESERVED = frozenset(
    """auto break case char const continue default do double else enum extern float for goto if inline int long register
    restrict return short signed sizeof static struct switch typedef union unsigned void volatile while main
    exp exp2 expm1 log log2 log10 log1p sqrt cbrt sin cos tan asin acos atan atan2 sinh cosh tanh asinh acosh atanh
    floor ceil trunc rint fabs fmod pow erf erfc tgamma lgamma hypot copysign nextafter malloc free gamma
    y0 y1 yn j0 j1 jn
    kernel global local private half constant int8_t int16_t int32_t int64_t uint8_t uint16_t uint32_t uint64_t
    NAN INFINITY asm typeof linux unix i386 size_t aligned_alloc""".split()
)
_RESERVED |= {f"{name}f" for name in _RESERVED}  # sinf too


# --- expressions ---------------------------------------------------------------------------------------------------


class Printer:
    """Expressions and statements of one kernel."""

    def __init__(self, dialect: Dialect, names: Names):
        self.dialect, self.names = dialect, names
        self.known: dict[Expr, str] = {}  # expressions that have a name here
        self.places: dict[int, str] = {}  # where else than into memory some stores go, by their id
        self.kept: dict[tuple, tuple[str, bool]] = {}  # registers that hold loads between loops, see cvector.keep_rows
        self.computed: dict[int, dict[Expr, tuple[str, bool]]] = {}  # and values, by the loop: likewise
        self.early: dict[int, list[tuple[Any, Expr, str]]] = {}  # by the loop: what it loads for later ones
        self.ahead: dict[int, tuple[Expr, list[tuple[Any, Expr]]]] = {}  # what the next turn reads: see cvector
        self.own: dict[Any, str] = {}  # arrays of which each lane has elements of its own, and the registers for them
        self.lanes = "" if dialect.work is None else dialect.work.lanes  # how many a group has

    def expr(self, root: Expr) -> str:
        text: dict[Expr, str] = {}
        for e in walk([root], into=lambda e: e not in self.known):
            if e in self.known:
                text[e] = self.known[e]
                continue
            args = [text[arg] for arg in e.args]
            for k, arg in enumerate(args):
                if arg[0] == "(" and e.args[k] not in self.known and is_bare(e, k, e.args[k]):
                    args[k] = arg[1:-1]
            text[e] = self._one(e, args)
        out = text[root]
        return out[1:-1] if out.startswith("(") and _closes_at_end(out) else out

    def _one(self, e: Expr, args: list[str]) -> str:
        code = e.code
        if code in _PRINT:
            return _PRINT[code](self, e, args)
        if code in COMPARISONS:
            return f"({args[0]} {code.value} {args[1]})"
        raise BackendError(f"the {self.dialect.name} dialect cannot print {code.name}: {e}")

    def const(self, e: Expr) -> str:
        value, dtype = e.payload, e.dtype
        if dtype == "bool":
            return "1" if value else "0"
        if dtype in dtypes.INTEGERS:
            return self._integer(value, dtype)
        if math.isnan(value):
            return f"(({self.dialect.types[dtype]}){self.dialect.nan})"
        if math.isinf(value):
            sign = "-" if value < 0 else ""
            return f"({sign}({self.dialect.types[dtype]}){self.dialect.infinity[dtype]})"
        if dtype == "float32":
            shortest = str(np.float32(value))
            text = shortest if any(c in shortest for c in ".e") else shortest + ".0"
            text += "f"
        else:
            text = repr(value)
        return f"({text})" if text.startswith("-") else text

    def _integer(self, value: int, dtype: str) -> str:
        if dtype == "int64":
            if value == -(2**63):
                return f"(-9223372036854775807{self.dialect.long_suffix} - 1)"
            text = str(value) if abs(value) < 2**31 else f"{value}{self.dialect.long_suffix}"
        elif dtype == "uint64":
            text = f"{value}U{self.dialect.long_suffix}"
        elif dtype == "int32" and value == -(2**31):
            return "(-2147483647 - 1)"
        else:
            text = f"{value}U" if dtype == "uint32" else str(value)
        return f"({text})" if value < 0 else text

    def load(self, e: Expr, args: list[str]) -> str:
        name = self.names.of(e.payload, str(e.payload))
        offset = args[0] if args else "0"
        return f"{name}[{offset}]"

    def length(self, e: Expr) -> str:
        value, axis = e.payload
        return self.names.of(e, f"{value}_n{axis}")

    def call(self, e: Expr, args: list[str]) -> str:
        if not isinstance(e.payload, str):
            return f"{e.payload.c_name}({', '.join(args)})"
        dtype = e.args[0].dtype
        x = args[0]
        if e.payload == "isnan":
            return f"({x} != {x})"
        if e.payload == "isinf":
            return f"({self.function('fabs', dtype)}({x}) == {self.dialect.infinity[dtype]})"
        if e.payload == "isfinite":
            return f"({self.function('fabs', dtype)}({x}) < {self.dialect.infinity[dtype]})"
        call = f"{self.function(e.payload, dtype)}({', '.join(args)})"
        return f"({call} != 0)" if e.payload == "signbit" else call

    def function(self, name: str, dtype: str) -> str:
        spelled = self.dialect.calls.get((name, dtype))
        return spelled or (f"{name}{self.dialect.float_suffix}" if dtype == "float32" else name)

    def type(self, dtype: str) -> str:
        return self.dialect.types[dtype]

    # --- statements -------------------------------------------------------------------------------------------------

    def lines(self, body: Sequence[Statement], indent: str) -> list[str]:
        out: list[str] = []
        for statement in body:
            if isinstance(statement, Let) and statement.nearer:
                kind = f"const volatile {self.dialect.pointer}{self.type(statement.value.dtype)} *"
                out.append(f"{indent}(void)*({kind})&{self.expr(statement.value)};")
            elif isinstance(statement, Let):
                const = "const " if statement.constant else ""
                name = self.names.of(statement.local, statement.local.name)
                out.append(f"{indent}{const}{self.type(statement.local.dtype)} {name} = {self.expr(statement.value)};")
            elif isinstance(statement, Assign):
                name = self.names.of(statement.local, statement.local.name)
                out.append(f"{indent}{self.assignment(name, statement.local.expr, statement.value)}")
            elif isinstance(statement, Store):
                place = self.places.get(id(statement)) or self.element(statement)
                so_far = make(Code.LOAD, statement.value.dtype, (statement.offset,), statement.buffer)
                out.append(f"{indent}{self.assignment(place, so_far, statement.value)}")
            elif isinstance(statement, Loop):
                out += self._loop(statement, indent)
            elif isinstance(statement, If):
                out.append(f"{indent}if ({self.expr(statement.condition)}) {{")
                out += self.lines(statement.body, indent + "    ")
                if statement.orelse:
                    out += [f"{indent}}} else {{", *self.lines(statement.orelse, indent + "    ")]
                out.append(f"{indent}}}")
            elif isinstance(statement, Break):
                out.append(f"{indent}if ({self.expr(statement.condition)}) break;")
            elif isinstance(statement, Arrive):
                out.append(f"{indent}{self._arrival(statement)}")
            elif not (isinstance(statement, Barrier) and self.lanes == "1"):  # one lane waits for nobody
                out.append(indent + self._together(statement))
        return out

    def assignment(self, place: str, so_far: Expr, value: Expr) -> str:
        """``place = value;``, or ``place += more;`` where the value is ``so_far + more``."""
        if value.code in _COMPOUND and value.args[0] is so_far and value not in self.known:
            return f"{place} {value.code.value}= {self.expr(value.args[1])};"
        return f"{place} = {self.expr(value)};"

    def element(self, store: Store) -> str:
        return f"{self.names.of(store.buffer, str(store.buffer))}[{self.expr(store.offset)}]"

    def _together(self, statement: Atomic | Barrier) -> str:
        """What work-items do in view of each other."""
        work = self.dialect.work
        if work is None:
            raise BackendError(f"the {self.dialect.name} dialect has no work-items, so it cannot print {statement}")
        if isinstance(statement, Barrier):
            return work.barrier if self.lanes.isdecimal() else f"if ({self.lanes} > 1) {work.barrier}"
        name = self.names.of(statement.buffer, str(statement.buffer))
        function = work.atomics[statement.combine, dtypes.real_of(statement.buffer.dtype)]
        return f"{function}(&{name}[{self.expr(statement.offset)}], {self.expr(statement.value)});"

    def _arrival(self, statement: Arrive) -> str:
        """Where a group learns whether it is the last to come."""
        work = self.dialect.work
        if work is None or not work.arrive:
            raise BackendError(f"the {self.dialect.name} dialect cannot tell which group is the last to come")
        place = f"{self.names.of(statement.counter, str(statement.counter))}[{self.expr(statement.offset)}]"
        last = self.names.of(statement.last, statement.last.name)
        call = work.arrive.format(at=f"&{place}", count=self.expr(statement.count))
        return f"const {self.type('bool')} {last} = {call};"

    def _loop(self, loop: Loop, indent: str) -> list[str]:
        i, n, index = self.names.of(loop.variable, loop.variable.payload), self.expr(loop.extent), self.type("int64")
        n = f"({n})" if "?" in n else n  # a conditional binds weaker than <
        start = self.expr(loop.start)
        head = f"for ({index} {i} = {start}; {i} < {n}; {i}++) {{"
        most = [e.payload for e in loop.extent.args if e.is_const] if loop.extent.code is Code.MIN else []
        if most and loop.kind is LoopKind.GRID:  # a compiler that knows how few they are makes no vectors of them
            head = f"for ({index} {i} = {start}; {i} < {most[0]} && {i} < {n}; {i}++) {{"
        if loop.reverse:
            head = f"for ({index} {i} = ({n}) - 1; {i} >= {start}; {i}--) {{"
        if self.dialect.work is not None and loop.kind in (LoopKind.ITEMS, LoopKind.GROUPS, LoopKind.LANES):
            if loop.width > 1 and self.dialect.work.wide:
                from core.ir.clike.cvector import wide_loop  # a CPU need not wait for that

                return [*wide_loop(self, loop, indent), *self._met(loop, indent)]
            head = self.dialect.work.head(loop.kind, index, i, n, self.lanes)
            return [
                indent + head,
                *self._kept(loop, indent + "    "),
                *self.lines(loop.body, indent + "    "),
                f"{indent}}}",
                *self._met(loop, indent),
            ]
        if loop.kind is LoopKind.SIMD and self.dialect.vectors:
            from core.ir.clike.csimd import vector_loop  # few dialects need it

            lines = vector_loop(self, loop, indent)
            if lines is not None:
                return lines
        if loop.kind is LoopKind.SIMD and self.dialect.lanes and loop.reductions:
            from core.ir.clike.clanes import lane_loop  # who reduces nothing need not wait for it

            lines = lane_loop(self, loop, indent)
            if lines is not None:
                return lines
        out = []
        if loop.kind is LoopKind.SIMD and self.dialect.simd:
            out.append(indent + self.dialect.simd.format(clauses=self._clauses(loop)).rstrip())
        kept = self._kept(loop, indent + "    ")
        return [*out, indent + head, *kept, *self.lines(loop.body, indent + "    "), f"{indent}}}"]

    def _kept(self, loop: Loop, indent: str) -> list[str]:
        """Registers for rows, declared in the loop over groups and in the innermost one around loops over lanes."""
        if self.dialect.work is None or not self.dialect.work.wide:
            return []
        from core.ir.clike.cvector import keep_rows  # a CPU need not wait for that
        from core.ir.work.barriers import holds_lanes

        return keep_rows(self, loop, indent) if loop.kind is LoopKind.GROUPS or holds_lanes(loop) else []

    def _met(self, loop: Loop, indent: str) -> list[str]:
        """After a loop over lanes: each has its share of the reductions, and gets the whole."""
        from core.ir.clike.cwork import group_function, group_memory  # a CPU need not wait for that

        out = []
        for combine, local in loop.reductions:
            name, function = self.names.of(local, local.name), group_function(combine, local.dtype)
            out.append(f"{indent}{name} = {function}({name}, {group_memory(local.dtype)}, {self.lanes});")
        return out

    def _clauses(self, loop: Loop) -> str:
        signs: dict[Combine, str] = {
            Combine.ADD: "+",
            Combine.MUL: "*",
            Combine.MAX: "max",
            Combine.MIN: "min",
            Combine.OR: "|",
            Combine.AND: "&",
        }
        by_sign: dict[str, list[str]] = {}
        for combine, local in loop.reductions:
            by_sign.setdefault(signs[combine], []).append(self.names.of(local, local.name))
        return " ".join(self.dialect.reduction_clause.format(sign=s, names=", ".join(n)) for s, n in by_sign.items())


_COMPOUND = frozenset({Code.ADD, Code.SUB, Code.MUL, Code.DIV, Code.AND, Code.OR, Code.XOR})


def _closes_at_end(text: str) -> bool:
    """Whether the first parenthesis closes with the last character."""
    depth = 0
    for position, c in enumerate(text):
        depth += (c == "(") - (c == ")")
        if depth == 0:
            return position == len(text) - 1
    return False


def _infix(printer: Printer, e: Expr, args: list[str]) -> str:
    text = f"({args[0]} {e.code.value} {args[1]})"
    if e.code is Code.ADD and e.args[1].is_const and e.dtype in dtypes.INTEGERS and e.args[1].payload < 0:
        text = f"({args[0]} - {printer.const(const(-e.args[1].payload, e.dtype))})"  # the least is its own opposite
    small = e.dtype in ("int8", "int16", "uint8", "uint16")  # C computes these in int
    return f"(({printer.type(e.dtype)}){text})" if small else text


def _helper(name: str) -> Callable[[Printer, Expr, list[str]], str]:
    return lambda printer, e, args: f"core_{name}_{e.dtype}({', '.join(args)})"


def _power(printer: Printer, e: Expr, args: list[str]) -> str:
    if e.dtype in dtypes.FLOATS:
        return f"{printer.function('pow', e.dtype)}({', '.join(args)})"
    return f"core_pow_{e.dtype}({', '.join(args)})"


def _not(printer: Printer, e: Expr, args: list[str]) -> str:
    return f"(!{args[0]})" if e.dtype == "bool" else f"(({printer.type(e.dtype)})~{args[0]})"


def _negative(printer: Printer, e: Expr, args: list[str]) -> str:
    return f"(-{args[0]})" if e.dtype in dtypes.FLOATS else f"(({printer.type(e.dtype)})-{args[0]})"


def _cast(printer: Printer, e: Expr, args: list[str]) -> str:
    if e.dtype == "float16":
        return f"core_to_half_{e.args[0].dtype}({args[0]})"
    if e.args[0].dtype == "float16":
        return f"core_from_half({args[0]})"
    if e.dtype == "bool":
        return f"({args[0]} != 0)"
    if e.args[0].dtype in dtypes.FLOATS and e.dtype in dtypes.INTEGERS and e.dtype not in ("int32", "int64"):
        # C leaves what does not fit undefined; NumPy's negative numbers wrap around
        if e.dtype == "uint64":
            return f"core_to_uint64_{e.args[0].dtype}({args[0]})"
        wide = "int64" if e.dtype == "uint32" else "int32"
        return f"(({printer.type(e.dtype)})({printer.type(wide)}){args[0]})"
    return f"(({printer.type(e.dtype)}){args[0]})"


def _extreme(printer: Printer, e: Expr, args: list[str]) -> str:
    if e.dtype in dtypes.FLOATS:
        return f"core_{e.code.value}_{e.dtype}({', '.join(args)})"
    a, b = args
    return f"({a} {'<' if e.code is Code.MIN else '>'} {b} ? {a} : {b})"


def _conditional(printer: Printer, e: Expr, args: list[str]) -> str:
    return f"({args[0]} ? {args[1]} : {args[2]})"


def _unravel(printer: Printer, e: Expr, args: list[str]) -> str:
    flat, *lengths = args
    later = lengths[e.payload + 1 :]
    if printer.dialect.work is not None and printer.dialect.work.long_positions:
        from core.ir.work.positions import is_countable  # a CPU need not wait for that

        if is_countable(e):
            quotient = f"core_quotient({flat}, {' * '.join(later)})" if later else flat
            return quotient if e.payload == 0 else f"core_rest({quotient}, {lengths[e.payload]})"
    quotient = f"({flat} / ({' * '.join(later)}))" if later else flat
    return quotient if e.payload == 0 else f"({quotient} % {lengths[e.payload]})"


_PRINT: dict[Code, Callable[[Printer, Expr, list[str]], str]] = {
    Code.CONST: lambda printer, e, args: printer.const(e),
    Code.INDEX: lambda printer, e, args: printer.names.of(e, e.payload),
    Code.LENGTH: lambda printer, e, args: printer.length(e),
    Code.LOCAL: lambda printer, e, args: printer.names.of(e.payload, e.payload.name),
    Code.LOAD: Printer.load,
    Code.CALL: Printer.call,
    **dict.fromkeys((Code.ADD, Code.SUB, Code.MUL, Code.DIV, Code.AND, Code.OR, Code.XOR), _infix),
    **{code: _helper(code.name.lower()) for code in (Code.FLOORDIV, Code.MOD, Code.SHL, Code.SHR)},
    Code.POW: _power,
    Code.NEG: _negative,
    Code.NOT: _not,
    Code.MIN: _extreme,
    Code.MAX: _extreme,
    Code.CAST: _cast,
    Code.SELECT: _conditional,
    Code.GUARDED: _conditional,
    Code.UNRAVEL: _unravel,
}


# --- kernels -------------------------------------------------------------------------------------------------------


def print_kernel(
    kernel: Kernel,
    dialect: Dialect,
    scalars: Collection[Any] = (),
    names: Names | None = None,
    asked: Collection[Any] = (),
) -> tuple[str, list[Expr]]:
    """The text of a kernel, and the lengths that it takes as arguments, after its pointers.

    Parameters: a pointer for each value written, then for each value read, then the lengths: ``lengths_of`` its body,
    then the locals that it takes; ``in_parts``, then for each pointer how many bytes behind it the array begins.
    """
    names = Names([kernel.name, *dialect.reserved]) if names is None else names
    printer = Printer(dialect, names)
    if dialect.work is not None and dialect.work.has_full_groups:
        from core.ir.work.launches import fixed_lanes  # a CPU need not wait for that

        lanes = fixed_lanes(kernel, dialect.work.largest_group, dialect.work.warp)
        printer.lanes = printer.lanes if lanes is None else str(lanes)
    shared = {*kernel.shared, *_exchanged(kernel)}
    pointers = [_pointer(value, kernel, dialect, value in shared) for value in (*kernel.writes, *kernel.reads)]
    arrays = [names.of(value, str(value)) for value in (*kernel.writes, *kernel.reads)]
    taken = [names.of((array, "whole"), f"{array}_whole") for array in arrays] if kernel.in_parts else arrays
    parameters = [pointer + name for pointer, name in zip(pointers, taken, strict=True)]
    lengths = lengths_of(kernel.body, scalars, asked)
    for n in lengths:
        printer.known[n] = printer.length(n) if n.code is Code.LENGTH else names.of(n, "n")
    parameters += [f"{dialect.types['int64']} {printer.known[n]}" for n in lengths]
    parameters += [f"{dialect.types[local.dtype]} {names.of(local, local.name)}" for local in kernel.takes]
    begun = []
    if kernel.in_parts:
        places = [names.of((array, "at"), f"{array}_at") for array in arrays]
        parameters += [f"{dialect.types['int64']} {at}" for at in places]
        begun = [
            f"    {pointer}{array} = ({pointer.partition('*')[0]}*)(({dialect.pointer}const char *){whole} + {at});"
            for pointer, array, whole, at in zip(pointers, arrays, taken, places, strict=True)
        ]
    comment = "".join(f"/* {line} */\n" for line in kernel.comment.splitlines())
    head = f"{comment}{dialect.kernel} {kernel.name}({', '.join(parameters) or 'void'})"
    if dialect.work is not None and dialect.work.wide:
        from core.ir.nests.vector_access import own_arrays  # as above

        own = [array for s in kernel.body if isinstance(s, Loop) for array in own_arrays(s, kernel.arrays)]
        printer.own = {array: names.of(array, str(array)) for array in own}
    lines = [
        *begun,
        *_arrays(kernel, dialect, names, printer.own),
        *(f"    if ({names.of(v, str(v))}[0]) return;" for v in kernel.unless),
    ]
    return "\n".join([head, "{", *lines, *printer.lines(kernel.body, "    "), "}"]), lengths


def _pointer(value: Any, kernel: Kernel, dialect: Dialect, is_shared: bool) -> str:
    """What stands before the name of a pointer to a value that the kernel uses, others perhaps too."""
    const = "" if value in kernel.writes else "const "
    restrict = "" if is_shared else f"{dialect.restrict} "
    return f"{dialect.pointer}{const}{dialect.types[value.dtype]} *{restrict}"


def _exchanged(kernel: Kernel) -> set[Any]:
    """What groups store for the last of them to read: memory that others change while a kernel runs."""
    if not kernel.counters:
        return set()
    loaded = {e.payload for e in walk(expressions(kernel.body)) if e.code is Code.LOAD}
    return {*kernel.counters, *loaded.intersection(kernel.writes)}


def _arrays(kernel: Kernel, dialect: Dialect, names: Names, own: Collection[Any] = ()) -> list[str]:
    """Declarations of local arrays, and of the memory that a group needs for its reductions; not those in ``own``."""
    # a complex element is two numbers
    sizes = {value: size * (1 + (value.dtype in dtypes.COMPLEXES)) for value, size in kernel.arrays.items()}
    if dialect.work is None:
        return [f"    {dialect.types[v.dtype]} {names.of(v, str(v))}[{size}];" for v, size in sizes.items()]
    from core.ir.clike.cwork import group_memory, lane_reductions  # a CPU need not wait for that

    found = dict.fromkeys(dtype for _, dtype in lane_reductions(kernel.body))
    shared = [(dtype, group_memory(dtype), dialect.work.largest_group) for dtype in found]
    shared += [(v.dtype, names.of(v, str(v)), size) for v, size in sizes.items() if v not in own]
    return [f"    {dialect.work.local}{dialect.types[dtype]} {name}[{size}];" for dtype, name, size in shared]
