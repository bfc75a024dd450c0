"""float16: kept in memory and in registers, computed with in float32, and rounded after each operation as NumPy does.

Behind this no expression of float16 is left but what is read, and what a float32 or float64 is converted to: a dialect
needs a type that holds it, and two conversions.
"""

from __future__ import annotations

from collections.abc import Sequence

from core import dtypes
from core.dataclass import replace
from core.ir.codes import COMPARISONS, Code, Combine
from core.ir.definitions import Definition, Lowered, Pointwise, Reduction, Scattering, Value
from core.ir.expr import Expr, cast, compare, conditional, const, load, make
from core.ir.nodes import Assign, Atomic, If, Let, Loop, Statement, Store
from core.ir.rebuild import remake
from core.ir.walk import walk

HALF, WIDE = "float16", "float32"
_EXACT = frozenset({Code.NEG, Code.MIN, Code.MAX})
_EXACT_CALLS = frozenset({"fabs", "copysign", "floor", "ceil", "trunc", "rint"})
LACKING = frozenset({"nextafter"})  # calls that say something of float16 itself


def lacking(root: Expr) -> str:
    """The name of a function in ``root`` that float32 cannot stand in for, or "" where there is none."""
    calls = (e for e in walk([root]) if e.code is Code.CALL and e.payload in LACKING)
    return next((e.payload for e in calls if e.dtype == HALF), "")


class Halves:
    """Rewrites expressions, each once."""

    def __init__(self) -> None:
        self._wide: dict[Expr, Expr] = {}  # what has the value of an expression of float16, in float32
        self._kept: dict[Expr, Expr] = {}  # any other expression, with no computation in float16 in it

    def kept(self, root: Expr) -> Expr:
        """``root``, of its own dtype, with no computation in float16 in it."""
        self._visit(root)
        return narrowed(self._wide[root]) if root.dtype == HALF else self._kept[root]

    def unrounded(self, root: Expr) -> Expr:
        """An expression of float16 in float32, before its own result is rounded: what a sum adds up."""
        self._visit(root)
        wide = self._wide[root]
        rounded = wide.code is Code.CAST and wide.args[0].code is Code.CAST and wide.args[0].dtype == HALF
        return wide.args[0].args[0] if rounded and wide.args[0].args[0].dtype == WIDE else wide

    def _visit(self, root: Expr) -> None:
        for e in walk([root], into=lambda e: e not in self._wide and e not in self._kept):
            if e in self._wide or e in self._kept:
                continue
            if e.dtype == HALF:
                self._wide[e] = self._half(e)
            else:
                self._kept[e] = self._other(e)

    def _operands(self, e: Expr) -> tuple[Expr, ...]:
        return tuple(self._wide[arg] if arg.dtype == HALF else self._kept[arg] for arg in e.args)

    def _half(self, e: Expr) -> Expr:
        code, args = e.code, self._operands(e)
        if code is Code.CONST:
            return const(e.payload, WIDE)
        if code in (Code.LOAD, Code.LOCAL):
            return make(Code.CAST, WIDE, (e if code is Code.LOCAL else make(code, HALF, args, e.payload),))
        if code in (Code.SELECT, Code.GUARDED):
            return conditional(code, *args)
        if code is Code.CAST:
            (x,) = args
            return _rounded(x if x.dtype in dtypes.FLOATS else cast(x, WIDE))
        found = make(code, WIDE, args, e.payload)
        exact = code in _EXACT or (code is Code.CALL and e.payload in _EXACT_CALLS)
        return found if exact else _rounded(found)

    def _other(self, e: Expr) -> Expr:
        args = self._operands(e)
        if not any(arg.dtype == HALF for arg in e.args):
            return remake(e, args)
        if e.code in COMPARISONS:
            return compare(e.code, *args)
        return cast(args[0], e.dtype) if e.code is Code.CAST else make(e.code, e.dtype, args, e.payload)


def _rounded(x: Expr) -> Expr:
    """``x`` to float16 and back; itself, where it comes from there."""
    if x.code is Code.CAST and x.args[0].dtype == HALF:
        return x
    return make(Code.CAST, WIDE, (make(Code.CAST, HALF, (x,)),))


def narrowed(x: Expr) -> Expr:
    """``x``, of float32, as float16; what it was widened from, where that is known."""
    return x.args[0] if x.code is Code.CAST and x.args[0].dtype == HALF else make(Code.CAST, HALF, (x,))


def widened(lowered: Lowered) -> Lowered:
    """A lowered graph without computation in float16: reductions have float32 values, which are then rounded."""
    if not any(value.dtype == HALF for value in lowered.definitions):
        return lowered
    halves = Halves()
    definitions: dict[Value, Definition] = {}
    for value, own in lowered.definitions.items():
        if isinstance(own, Reduction) and value.dtype == HALF:
            wide = Value(f"{value}_wide", WIDE, value.node)
            body = halves.unrounded(own.body) if own.combine is Combine.ADD else _as_wide(halves.kept(own.body))
            definitions[wide] = replace(own, body=body)
            definitions[value] = Pointwise(own.shape, own.axes, narrowed(load(wide, own.axes, WIDE)))
        elif isinstance(own, Pointwise):
            definitions[value] = replace(own, expr=halves.kept(own.expr))
        elif isinstance(own, Reduction):
            definitions[value] = replace(own, body=halves.kept(own.body))
        elif isinstance(own, Scattering):
            at = tuple(map(halves.kept, own.at))
            definitions[value] = replace(own, base=halves.kept(own.base), at=at, value=halves.kept(own.value))
        else:
            definitions[value] = own
    return replace(lowered, definitions=definitions)


def _as_wide(x: Expr) -> Expr:
    return x.args[0] if x.code is Code.CAST and x.args[0].dtype == WIDE else make(Code.CAST, WIDE, (x,))


def statements_widened(body: Sequence[Statement], halves: Halves | None = None) -> list[Statement]:
    """Statements without computation in float16."""
    own = Halves() if halves is None else halves
    new: list[Statement] = []
    for s in body:
        if isinstance(s, (Let, Assign, Store, Atomic)):
            new.append(replace(s, value=own.kept(s.value)))
        elif isinstance(s, If):
            inside, orelse = (statements_widened(each, own) for each in (s.body, s.orelse))
            new.append(If(own.kept(s.condition), inside, orelse))
        elif isinstance(s, Loop):
            new.append(replace(s, body=statements_widened(s.body, own)))
        else:
            new.append(s)
    return new
