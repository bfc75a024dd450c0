"""What is stored: which pointwise values become buffers, and which are computed inside whatever reads them."""

from __future__ import annotations

from collections.abc import Sequence

from core import dtypes
from core.dataclass import dataclass, field, replace
from core.ir.codes import HOLDS_GUARD, HOLDS_LOAD, HOLDS_REDUCE, Code
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
    operands_of,
    with_elements,
)
from core.ir.expr import INDEX_DTYPE, Expr, make
from core.ir.guards import Guard
from core.ir.nests.strides import linear
from core.ir.passes.loops import variables_of
from core.ir.rebuild import guarded_loads, lengths_in, loads_in, rebuild, substitute
from core.ir.walk import walk

LARGEST_UNDER_A_GUARD = 8  # a costlier value is stored: branches with much in them are slow to compile and to run
EXPENSIVE = 16  # from this cost on, computing an element twice is worse than storing it
LARGEST_EXPRESSION = 120  # nodes of one inlined expression
MOST_STAGES = 6  # reductions behind each other in one: a reader further on would compute all of them again


def demanded(lowered: Lowered, guards: Sequence[Guard] = ()) -> set[Value]:
    """The values that outputs and guards need; a value whose length alone is asked for is not among them."""
    hosts = {out: (inputs, outputs) for _, inputs, outputs in lowered.host_nodes for out in outputs}
    needed: set[Value] = set()
    asked = [n for guard in guards for n in (guard.a, guard.b)]
    pending = [*lowered.outputs, *(e.payload for e in loads_in(asked))]
    pending += [e.payload[0] for e in lengths_in(asked) if e.payload[0] in hosts]
    while pending:
        value = pending.pop()
        if value in needed:
            continue
        needed.add(value)
        definition = lowered.definitions[value]
        pending.extend(e.payload for e in definition.loads)
        if hosts:
            pending.extend(e.payload[0] for e in lengths_in(definition.expressions) if e.payload[0] in hosts)
        pending.extend(operands_of(definition))
        pending.extend(lowered.requires.get(value, ()))
        if value in hosts:
            pending.extend(value for values in hosts[value] for value in values)
        if isinstance(definition, (FromLibrary, FromLoops)):
            pending.extend(definition.outputs)
    return needed


@dataclass
class Uses:
    """Who reads what: at which indices, which values only in memory (``stored``), which of these only as operands of
    library calls, which under a guard."""

    readers: dict[Value, list[tuple[Value, tuple[Expr, ...]]]] = field(default_factory=dict)
    stored: set[Value] = field(default_factory=set)
    operands: set[Value] = field(default_factory=set)
    guarded: set[Value] = field(default_factory=set)


def _uses(lowered: Lowered, needed: set[Value], guards: Sequence[Guard]) -> Uses:
    uses = Uses(stored={*lowered.outputs, *lowered.checks})
    uses.stored.update(e.payload for guard in guards for e in loads_in([guard.a, guard.b]))
    for _, inputs, _ in lowered.host_nodes:
        uses.stored.update(inputs)
    for value, definition in lowered.definitions.items():
        if value not in needed:
            continue
        parts = definition.expressions
        for e in definition.loads:
            uses.readers.setdefault(e.payload, []).append((value, e.args))
        uses.guarded.update(e.payload for e in guarded_loads(parts))
        (uses.operands if isinstance(definition, FromLibrary) else uses.stored).update(operands_of(definition))
        lengths = parts if isinstance(definition, (FromLibrary, *HOLD_GRAPHS)) else definition.shape
        lengths = (*lengths, *getattr(definition, "extents", ()))
        uses.stored.update(e.payload for e in loads_in(lengths))  # a length read from memory
    uses.operands -= uses.stored
    uses.stored |= uses.operands
    return uses


@dataclass
class Inlined:
    """Definitions that read only stored values and reductions, the pointwise values that are ``stored``, and which
    others ``became`` parts of what reads them, by the expression that each is there."""

    definitions: dict[Value, Definition]
    stored: set[Value]
    became: dict[Expr, Value]


def inline(lowered: Lowered, guards: Sequence[Guard] = ()) -> Inlined:
    """Decide what is stored, and write everything else into what reads it."""
    needed = demanded(lowered, guards)
    uses = _uses(lowered, needed, guards)
    uses.stored |= _computed_twice(lowered, needed, uses)
    inlined: dict[Value, Definition] = {}
    became: dict[Expr, Value] = {}
    sizes: dict[Value, int] = {}
    stages: dict[Value, int] = {}
    twins: dict[Value, Value] = {}  # a reduction, a check or an operand that equals an earlier value -> that one
    first: dict[tuple, Value] = {}
    for value, definition in lowered.definitions.items():
        if value not in needed:
            continue
        _inherit_checks(value, definition, lowered.requires, uses.stored, twins)
        stages[value] = _stages(definition, stages, uses.stored)
        definition, size = _inline_into(definition, inlined, uses.stored, sizes, twins)
        key = _same_when(value, definition, lowered, uses.stored)
        twin = value if key is None else first.setdefault(key, value)
        twin = value if _must_be(value, definition, lowered, uses) else twin
        if twin is not value:
            twins[value] = twin
            continue
        inlined[value] = definition
        if isinstance(definition, Pointwise):
            sizes[value] = size
            is_deep = stages[value] >= MOST_STAGES and definition.expr.free and definition.expr.cost >= EXPENSIVE
            if value not in uses.stored and (
                is_deep or _worth_storing(value, definition, size, uses, lowered.definitions)
            ):
                uses.stored.add(value)
            if value not in uses.stored:
                became.setdefault(definition.expr, value)
    return Inlined(inlined, uses.stored, became)


def _same_when(value: Value, definition: Definition, lowered: Lowered, stored: set[Value]) -> tuple | None:
    """What tells a value that may stand for its equals from others; else None.

    Reductions, checks of indices, and what is stored: where two products are added, the gradient of each is the same.
    """
    is_check = value in lowered.checks
    if isinstance(definition, Reduction) and (is_check or value not in stored):
        return (is_check, definition.combine, definition.axes, definition.bound, definition.body)
    if isinstance(definition, Pointwise) and is_check:
        return (is_check, definition.expr)
    if isinstance(definition, Pointwise) and value in stored:
        checks = tuple(lowered.requires.get(value, ()))
        return (definition.shape, definition.axes, definition.expr, checks)
    return None


def _must_be(value: Value, definition: Definition, lowered: Lowered, uses: Uses) -> bool:
    """Whether a stored value is wanted as itself: it is more than an operand."""
    is_stored = isinstance(definition, Pointwise) and value in uses.stored and value not in lowered.checks
    return is_stored and value not in uses.operands


def _stages(definition: Definition, stages: dict[Value, int], stored: set[Value]) -> int:
    """How many reductions lie behind each other between memory and a value."""
    if not isinstance(definition, (Pointwise, Reduction)):
        return 0
    sources = {e.payload for e in definition.loads} - stored
    return max((stages.get(source, 0) for source in sources), default=0) + isinstance(definition, Reduction)


def _inherit_checks(
    value: Value,
    definition: Definition,
    requires: dict[Value, list[Value]],
    stored: set[Value],
    twins: dict[Value, Value],
) -> None:
    """What is computed inside its reader passes on the checks that must come before it; of equal ones, the first."""
    if not requires:
        return
    if value in requires:
        requires[value] = list(dict.fromkeys(twins.get(check, check) for check in requires[value]))
    sources = dict.fromkeys(e.payload for e in definition.loads)
    more = [check for source in sources if source not in stored for check in requires.get(source, ())]
    if more:
        requires[value] = list(dict.fromkeys([*requires.get(value, ()), *more]))


def _computed_twice(lowered: Lowered, needed: set[Value], uses: Uses) -> set[Value]:
    """Costly values that kernels on both sides of a barrier (product, scatter, call of Python) would compute anew.

    A value that is not stored is computed wherever its readers are; their depths, in barriers, tell kernels apart.
    """
    hosts = {out: inputs for _, inputs, outputs in lowered.host_nodes for out in outputs}
    depth: dict[Value, int] = {}
    cost: dict[Value, int] = {}
    order = [value for value in lowered.definitions if value in needed]
    for value in order:
        definition = lowered.definitions[value]
        sources = [e.payload for e in definition.loads]
        barrier = value in hosts or isinstance(definition, (FromLibrary, FromLoops, Scattering))
        below = [*sources, *operands_of(definition), *hosts.get(value, ())]
        depth[value] = max((depth.get(source, 0) for source in below), default=0) + barrier
        if isinstance(definition, Pointwise):
            inherited = sum(cost.get(source, 0) for source in set(sources) - uses.stored)
            cost[value] = min(definition.expr.cost + inherited, LARGEST_EXPRESSION * EXPENSIVE)
    found: set[Value] = set()
    places: dict[Value, set[int]] = {}  # at which depths a value's elements are computed
    for value in reversed(order):
        is_item = value not in cost or value in uses.stored
        if not is_item:
            where = set().union(*(places[reader] for reader, _ in uses.readers.get(value, ()) if reader in places))
            if len(where) > 1 and cost[value] >= EXPENSIVE:
                found.add(value)
                is_item = True
        places[value] = {depth[value]} if is_item else where
    return found


def proved_at_entry(lowered: Lowered, inlined: dict[Value, Definition]) -> list[Guard]:
    """Checks that only compare a loop with an axis: they leave the program, and become guards on lengths."""
    guards = []
    for check in [value for value in inlined if value in lowered.checks]:
        definition = inlined[check]
        if not isinstance(definition, Reduction):
            continue
        body, extents = definition.body, dict(zip(definition.bound, definition.extents, strict=True))
        never = body.is_const and not body.payload
        if never or (body.code is Code.LE and body.args[1] in extents and not body.args[0].free):
            del inlined[check]
            if not never and extents[body.args[1]] is not body.args[0]:
                node = check.node
                guards.append(Guard("within", extents[body.args[1]], body.args[0], str(node.op), node))
    return guards


def _inline_into(
    definition: Definition,
    inlined: dict[Value, Definition],
    stored: set[Value],
    sizes: dict[Value, int],
    twins: dict[Value, Value],
) -> tuple[Definition, int]:
    """``definition`` with loads of values that are not stored replaced by what they are; and the size of that."""
    size = 1

    def change(node: Expr, args: tuple[Expr, ...]) -> Expr | None:
        nonlocal size
        if node.code is not Code.LOAD:
            return None
        if node.payload in twins:
            return make(Code.LOAD, node.dtype, args, twins[node.payload])
        source = inlined[node.payload]
        if not isinstance(source, Pointwise) or node.payload in stored:
            return None
        size += sizes[node.payload]
        mapping = {axis: i for axis, i in zip(source.axes, args, strict=True) if axis is not i}
        return substitute(source.expr, mapping)

    memo: dict[Expr, Expr] = {}

    def new(e: Expr) -> Expr:
        return rebuild(e, change, memo)

    if isinstance(definition, Pointwise):
        expr = new(definition.expr)
        definition = definition if expr is definition.expr else replace(definition, expr=expr)
        if size > LARGEST_EXPRESSION:
            size = len(walk([definition.expr]))
        return definition, size
    if isinstance(definition, Reduction):
        return replace(definition, body=new(definition.body)), size
    if isinstance(definition, Scattering):
        at = tuple(map(new, definition.at))
        return replace(definition, base=new(definition.base), at=at, value=new(definition.value)), size
    if isinstance(definition, FromLibrary) and any(operand.value in twins for operand in definition.operands):
        operands = (replace(operand, value=twins.get(operand.value, operand.value)) for operand in definition.operands)
        return replace(definition, operands=tuple(operands)), size
    return (with_elements(definition, new) if isinstance(definition, FromLoops) else definition), size


def _worth_storing(
    value: Value, definition: Pointwise, size: int, uses: Uses, definitions: dict[Value, Definition]
) -> bool:
    """Whether a pointwise value is better stored than computed by each of its readers."""
    reads = uses.readers.get(value, ())
    if any(isinstance(definitions[reader], FromLoops) for reader, _ in reads) and not _is_simple(definition.expr):
        return True
    cost = _cost_of_an_element(definition.expr)
    if size > LARGEST_EXPRESSION:
        return True
    if value in uses.guarded and cost > LARGEST_UNDER_A_GUARD:
        is_long = cost > LARGEST_EXPRESSION  # parts that are shared count each time: under a guard, none has a name
        if is_long or not _is_read_in_pieces(reads, uses, definitions):
            return True
    if cost < EXPENSIVE:
        return False
    return len({at for _, at in reads}) > 1 or any(_repeats(at, definitions[reader]) for reader, at in reads)


def _is_read_in_pieces(
    reads: Sequence[tuple[Value, tuple[Expr, ...]]], uses: Uses, definitions: dict[Value, Definition]
) -> bool:
    """Whether a value under a guard makes up some ranges of a stored one, as where a block is written into zeros.

    Loops are cut at comparisons of their variables (core/ir/cpu/ranges.py).  More than two guards make many pieces.
    """
    reader = definitions[reads[0][0]] if len(reads) == 1 else None
    if not isinstance(reader, Pointwise) or reads[0][0] not in uses.stored:
        return False
    guards = [e for e in walk([reader.expr]) if e.code is Code.GUARDED]
    return len(guards) <= 2 and all(_is_of_ranges(e.args[0]) for e in guards)


def _is_of_ranges(condition: Expr) -> bool:
    """Whether a condition says from where to where variables of loops go."""
    if condition.code is Code.AND:
        return all(map(_is_of_ranges, condition.args))
    if condition.code not in (Code.LT, Code.LE):
        return False
    a, b = condition.args
    variables = a.free | b.free
    form = linear(a - b, variables) if len(variables) == 1 and a.dtype == INDEX_DTYPE else None
    return form is not None and form.stride(*variables) in ((1, ()), (-1, ())) and not form.rest.marks & HOLDS_LOAD


def _is_simple(e: Expr) -> bool:
    """Whether an op's own loops may compute ``e``: they name no parts of it, and have no vectors."""
    kinds = {part.dtype for part in walk([e])}
    return e.cost < EXPENSIVE and not e.marks & HOLDS_GUARD and kinds.isdisjoint((*dtypes.COMPLEXES, "float16"))


def _cost_of_an_element(root: Expr) -> int:
    """What an expression costs in a loop: where a slice starts is computed before."""
    if root.cost <= LARGEST_UNDER_A_GUARD:
        return root.cost
    costs: dict[Expr, int] = {}
    for e in walk([root], into=lambda e: not _is_of_lengths(e)):
        costs[e] = 0 if _is_of_lengths(e) else e.cost - sum(arg.cost - costs[arg] for arg in e.args)
    return costs[root]


def _is_of_lengths(e: Expr) -> bool:
    """Whether ``e`` is index arithmetic that is the same for all elements."""
    return e.dtype == INDEX_DTYPE and not e.free and not e.marks & HOLDS_REDUCE


def _repeats(at: tuple[Expr, ...], reader: Definition) -> bool:
    """Whether the reader's loops come back to the same element: a loop that the index lacks lies outside one it has."""
    used = frozenset().union(*(i.free for i in at))
    order = [variable for variable, _ in variables_of(reader)]
    inner = max((k for k, variable in enumerate(order) if variable in used), default=-1)
    return any(variable not in used for variable in order[: max(inner, 0)])
