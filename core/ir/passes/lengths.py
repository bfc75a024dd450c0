"""Which lengths are equal: broadcasting and shape checks, decided once, so that loops need no test.

Two lengths that are not known when the function is compiled may broadcast: either may turn out to be 1.  The
program is made for the common case, that they are equal, and a guard says so.  When a guard fails because a length is
1, the program is made once more with that length known to be 1 (``ones``): one more variant, and again without a test
in any loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from core.dataclass import replace
from core.errors import ShapeError
from core.ir.axes import product, ravel
from core.ir.codes import HOLDS_RULE, LENGTH_RULES, Code, Combine
from core.ir.definitions import (
    HOLD_GRAPHS,
    Definition,
    FromLibrary,
    FromLoops,
    Lowered,
    Pointwise,
    Reduction,
    Scattering,
    Value,
    with_elements,
)
from core.ir.expr import INDEX_DTYPE, Expr, cast, const, index, load, make, select
from core.ir.guards import Guard
from core.ir.rebuild import lengths_in, loads_in, rebuild, remake, rules_in, substitute
from core.ir.walk import walk


class LengthSolver:
    """Classes of equal lengths, and the guards under which they are equal."""

    def __init__(self, ones: frozenset[Expr], late: Iterable[Value] = ()):
        self.ones = ones
        self._late = {value: k + 1 for k, value in enumerate(late)}  # not known at entry, in the order of the program
        self.guards: dict[tuple, Guard] = {}
        self.changed = False
        self.node: Any = None
        self._parent: dict[Expr, Expr] = {}

    def find(self, n: Expr) -> Expr:
        """The expression that stands for all lengths equal to ``n``."""
        while n in self._parent:
            n = self._parent[n]
        if n in self.ones:
            self._guard("one", n, const(1))
            return const(1)
        return n

    def _guard(self, kind: str, a: Expr, b: Expr) -> None:
        if (kind, a, b) not in self.guards:
            who = str(self.node.op) if self.node is not None else "the function"
            self.guards[kind, a, b] = Guard(kind, a, b, who, self.node)

    def equate(self, kind: str, a: Expr, b: Expr, known: bool = False) -> Expr:
        """Take two lengths for equal from now on.  ``known``: no assumption about other lengths led to these two."""
        a, b = self.find(a), self.find(b)
        if a is b:
            return a
        if a.is_const and b.is_const:
            if kind == "join" and 1 in (a.payload, b.payload):
                return b if a.payload == 1 else a
            if known:
                both = f"{a.payload} and {b.payload}"
                raise ShapeError(f"{self.node.op} needs equal lengths, got {both}", blame=self.node)
            # never holds; but a guard before it fails where a length is 1, and that is another program
            self._guard(kind, a, b)
            return a
        if kind == "join" and (_one(a) or _one(b)):
            return b if _one(a) else a
        self._guard(kind, a, b)
        keep, drop = (b, a) if self._rank(b) < self._rank(a) else (a, b)
        self._parent[drop] = keep
        self.changed = True
        return keep

    def _rank(self, n: Expr) -> tuple[bool, int, int]:
        """Which of two equal lengths stands for both: a constant, the one that is known first, the simpler one."""
        values = [e.payload[0] for e in lengths_in([n])] + [e.payload for e in loads_in([n])]
        known = max((self._late.get(value, 0) for value in values), default=0)
        return (not n.is_const, known, n.cost)

    def change(self, node: Expr, args: tuple[Expr, ...]) -> Expr | None:
        """The rule for ``rebuild``: an expression once its lengths are decided."""
        code = node.code
        if code is Code.JOIN or code is Code.SAME:
            known = all(arg.is_const for arg in node.args)
            a, b = args
            return self.find(self.equate("join" if code is Code.JOIN else "same", a, b, known))
        if code is Code.STRETCH:
            return const(0) if _one(args[1]) else args[0]
        if code is Code.SPREAD:
            big, small = args
            if _one(small):
                return big
            self.equate("join", small, big)
            return const(1)
        new = remake(node, args)
        return self.find(new) if new.dtype == INDEX_DTYPE and code is not Code.INDEX else new


def _one(n: Expr) -> bool:
    return n.is_const and n.payload == 1


def resolve(
    lowered: Lowered, ones: frozenset[Expr] = frozenset(), by_extremes: bool = False
) -> tuple[Lowered, list[Guard]]:
    """``lowered`` with every length decided, axes of length 1 gone from the loops, and indices checked.

    ``by_extremes``: of arrays of indices, the least and the greatest are, in a step of its own.
    Returns it with the guards that must hold.  Errors: ShapeError when two known lengths differ.
    """
    solver = LengthSolver(ones, [value for value in lowered.definitions if value not in lowered.inputs])
    rules = _length_rules(lowered)
    while True:
        solver.changed = False
        memo: dict[Expr, Expr] = {}
        for rule, value in rules:
            solver.node = value.node
            rebuild(rule, solver.change, memo)
        if not solver.changed:
            break
    memo = _vanishing(lowered, solver)
    definitions: dict[Value, Definition] = {}
    for value, definition in lowered.definitions.items():
        solver.node = value.node
        definitions[value] = rebuilt(definition, lambda e: rebuild(e, solver.change, memo))
    resolved = replace(lowered, definitions=definitions, checks={}, requires={})
    _guard_empty(lowered, resolved, solver)
    return _with_checked_indices(resolved, solver, by_extremes), list(solver.guards.values())


def _length_rules(lowered: Lowered) -> list[tuple[Expr, Value]]:
    """Every expression that equates lengths, with the first value that needs it; first those that assume nothing."""
    found: dict[Expr, Value] = {}
    seen: set[Expr] = set()
    for value, definition in lowered.definitions.items():
        parts = walk(definition.expressions, into=lambda e: bool(e.marks & HOLDS_RULE) and e not in seen)
        for e in parts:
            if e.code in LENGTH_RULES:
                found.setdefault(e, value)
        seen.update(parts)
    assumes: dict[Expr, bool] = {}
    for e in walk(found):
        assumes[e] = e.code in (Code.JOIN, Code.SPREAD) or any(assumes[arg] for arg in e.args)
    return sorted(found.items(), key=lambda rule: assumes[rule[0]])


def _vanishing(lowered: Lowered, solver: LengthSolver) -> dict[Expr, Expr]:
    """Index variables that can only be 0, because their axis has length 1."""
    memo: dict[Expr, Expr] = {}
    gone: dict[Expr, Expr] = {}
    for value, definition in lowered.definitions.items():
        solver.node = value.node
        pairs: Iterable[tuple[Expr, Expr]] = zip(definition.axes, definition.shape, strict=True)
        if isinstance(definition, (Reduction, Scattering)):
            pairs = [*pairs, *zip(definition.bound, definition.extents, strict=True)]
        for axis, extent in pairs:
            if _one(rebuild(extent, solver.change, memo)):
                gone[axis] = const(0)
    return gone


def rebuilt(definition: Definition, new: Any) -> Definition:
    """A definition with ``new`` applied to its expressions; bound variables that are gone are dropped."""
    shape, axes = tuple(map(new, definition.shape)), tuple(map(new, definition.axes))
    if isinstance(definition, Pointwise):
        return Pointwise(shape, axes, new(definition.expr))
    if isinstance(definition, (Reduction, Scattering)):
        kept = [
            (v, new(n)) for v, n in zip(definition.bound, definition.extents, strict=True) if new(v).code is Code.INDEX
        ]
        bound, extents = tuple(v for v, _ in kept), tuple(n for _, n in kept)
        if isinstance(definition, Scattering):
            at = tuple(map(new, definition.at))
            own = definition
            return Scattering(shape, axes, new(own.base), bound, extents, at, new(own.value), own.combine)
        body = new(definition.body)
        if bound:
            return Reduction(shape, axes, definition.combine, bound, extents, body)
        return Pointwise(shape, axes, body)
    if isinstance(definition, FromLibrary):
        operands = tuple(operand.map(new) for operand in definition.operands)
        return replace(definition, shape=shape, axes=axes, operands=operands)
    if isinstance(definition, HOLD_GRAPHS):
        return replace(definition, shape=shape, axes=axes, write=definition.write.map(new))
    definition = replace(definition, shape=shape, axes=axes)
    return with_elements(definition, new) if isinstance(definition, FromLoops) else definition


def _guard_empty(lowered: Lowered, resolved: Lowered, solver: LengthSolver) -> None:
    """A maximum or minimum of nothing does not exist (as in NumPy)."""
    needy = (Combine.MAX, Combine.MIN)
    nothing = const(0)
    for value, definition in resolved.definitions.items():
        if isinstance(definition, Reduction) and definition.combine in needy:
            if nothing in getattr(lowered.definitions[value], "extents", ()):
                raise ShapeError(f"{value.node.op} of an empty axis has no identity", blame=value.node)
            solver.node = value.node
            for extent in definition.extents:
                if not extent.is_const or extent is nothing:  # nothing: only if other lengths are as assumed
                    solver._guard("positive", extent, nothing)


# --- indices -------------------------------------------------------------------------------------------------------


def _with_checked_indices(lowered: Lowered, solver: LengthSolver, by_extremes: bool) -> Lowered:
    """Every WRAP becomes plain arithmetic; what it demands becomes a guard, or a check that runs before its reader."""
    definitions: dict[Value, Definition] = {}
    made: dict[tuple[Expr, Expr], Value] = {}
    for value, definition in lowered.definitions.items():
        wraps = [e for e in rules_in(definition.expressions) if e.code is Code.WRAP]
        if not wraps:
            definitions[value] = definition
            continue
        extents = dict(zip(definition.axes, definition.shape, strict=True))
        if isinstance(definition, (Reduction, Scattering)):
            extents.update(zip(definition.bound, definition.extents, strict=True))
        memo: dict[Expr, Expr] = {}
        for wrap in wraps:
            i, n = (rebuild(arg, _unwrap, memo) for arg in wrap.args)
            solver.node = value.node
            if i.code is Code.INDEX:  # a loop's own variable: in range when the loop is short enough
                if extents[i] is not n:
                    solver._guard("within", extents[i], n)
                continue
            if _known_at_entry(i, lowered):
                solver._guard("range", i, n)
                continue
            if (i, n) not in made:
                made[i, n] = check = Value(f"bad_index{len(made)}", "bool", value.node)
                outside = _extremes_outside if by_extremes and _is_loaded(i, lowered.definitions) else _any_outside
                definitions.update(outside(check, i, n, extents))
                lowered.checks[check] = f"an index of {value.node.op} is out of range"
            lowered.requires.setdefault(value, []).append(made[i, n])
        definitions[value] = rebuilt(definition, lambda e, memo=memo: rebuild(e, _unwrap, memo))
    return replace(lowered, definitions=definitions)


def _unwrap(node: Expr, args: tuple[Expr, ...]) -> Expr | None:
    if node.code is not Code.WRAP:
        return None
    i, n = args
    if i.code is Code.INDEX:
        return i
    if i.is_const:
        return i if i.payload >= 0 else n + i.payload
    return select(i < 0, i + n, i)


def computable(definitions: Mapping[Value, Definition]) -> Callable[[Expr], Expr]:
    """A function that turns a length into what a backend can compute: loads by row-major position, no WRAP."""
    memo: dict[Expr, Expr] = {}

    def change(node: Expr, args: tuple[Expr, ...]) -> Expr | None:
        if node.code is not Code.LOAD:
            return _unwrap(node, args)
        shape = [rebuild(n, change, memo) for n in definitions[node.payload].shape]
        return make(Code.LOAD, node.dtype, (ravel(args, shape),), node.payload)

    return lambda n: rebuild(n, change, memo)


def _known_at_entry(i: Expr, lowered: Lowered) -> bool:
    """Whether an index depends on nothing but lengths and 0-d inputs."""
    return not i.free and all(e.payload in lowered.inputs for e in loads_in([i]))


def _any_outside(check: Value, i: Expr, n: Expr, extents: dict[Expr, Expr]) -> dict[Value, Definition]:
    """The check whether index ``i`` leaves an axis of length ``n`` anywhere."""
    fresh = {v: index("k") for v in extents if v in i.free}
    here, limit = (substitute(e, fresh) for e in (i, n))
    outside = (here < -limit) | (here >= limit)
    if not fresh:
        return {check: Pointwise((), (), outside)}
    return {check: Reduction((), (), Combine.OR, tuple(fresh.values()), tuple(extents[v] for v in fresh), outside)}


_KEPT_BY_INT64 = frozenset({"int8", "int16", "int32", "uint8", "uint16", "uint32"})


def _as_loaded(i: Expr) -> Expr:
    """An index as it is in memory, where int64 keeps its value."""
    return i.args[0] if i.code is Code.CAST and i.args[0].dtype in _KEPT_BY_INT64 else i


def _is_loaded(i: Expr, definitions: Mapping[Value, Definition]) -> bool:
    """Whether an index that changes is read as it is, but perhaps for its dtype, from what depends on data."""
    element, seen = _as_loaded(i), set[Value]()
    pending = [element.payload] if i.free and element.code is Code.LOAD else []
    while pending:
        value = pending.pop()
        definition = definitions[value]
        if not isinstance(definition, Pointwise):
            return True
        pending += [e.payload for e in loads_in([definition.expr]) if e.payload not in seen]
        seen.update(pending)
    return False


def _extremes_outside(check: Value, i: Expr, n: Expr, extents: dict[Expr, Expr]) -> dict[Value, Definition]:
    """The same check by the least and the greatest index, found by vectors of elements as narrow as the indices are.

    Several axes that one array of indices goes along share these.  Without indices, none is outside.
    """
    made: dict[Value, Definition] = {}
    outside = const(False, "bool")
    is_signed = not _as_loaded(i).dtype.startswith("u")
    for combine in (Combine.MIN, Combine.MAX) if is_signed else (Combine.MAX,):
        fresh = {v: index("k") for v in extents if v in i.free}
        here = substitute(_as_loaded(i), fresh)
        bound, lengths = tuple(fresh.values()), tuple(extents[v] for v in fresh)
        extreme = Value(f"{combine.value}_index", here.dtype, check.node)
        made[extreme] = Reduction((), (), combine, bound, lengths, here)
        found = cast(load(extreme, (), here.dtype), INDEX_DTYPE)
        outside = outside | (found < -n if combine is Combine.MIN else n <= found)
    if not is_signed:  # the greatest of none is 0 then, which an axis of length 0 lacks
        outside = outside & (const(0) < product(lengths))
    return {**made, check: Pointwise((), (), outside)}
