"""Scatters that name each element at most once, as elementwise work: ``zeros.at[arange(n), y].add(v)``, a gradient.

Where every loop of a scatter is itself an index of the target, an element knows which iteration could have named it,
and asks whether that one did.  Nothing is filled first, no order is needed, and what reads the result takes it element
by element, so that it need not be in memory at all.
"""

from __future__ import annotations

from collections.abc import Sequence

from core import dtypes
from core.dataclass import replace
from core.ir.codes import Code, Combine
from core.ir.definitions import Definition, Pointwise, Reduction, Scattering, Value
from core.ir.expr import Expr, const, equal, guarded, select
from core.ir.nests.accumulators import combined
from core.ir.rebuild import loads_in, rebuild, substitute


class _Pulled:
    """What a scatter does to the element at ``axes``, which one iteration alone can name.

    only   the axes on which that iteration names one index, and which
    short  conditions under which there is that iteration;  value: what it leaves there;  base: what is there otherwise
    """

    def __init__(self, definition: Scattering, where: dict[Expr, int], at: Sequence[Expr], base: Expr):
        axes = definition.axes
        taken = set(where.values())
        mapping = {variable: axes[axis] for variable, axis in where.items()}
        extents = dict(zip(definition.bound, definition.extents, strict=True))
        self.short = [
            axes[axis] < extents[variable]
            for variable, axis in where.items()
            if extents[variable] is not definition.shape[axis]
        ]
        self.only = {k: substitute(i, mapping) for k, i in enumerate(at) if k not in taken}
        value = substitute(definition.value, mapping)
        self.value = value if definition.combine is None else combined(definition.combine, base, value)
        self.base, self.axes = base, axes

    def element(self, axes_left: Sequence[int]) -> Expr:
        """The element, where it is asked on these axes whether it was named."""
        same = [equal(self.axes[k], self.only[k]) for k in axes_left]
        if not self.short:
            return _chosen(same, self.value, self.base)
        return guarded(_all(self.short), _chosen(same, self.value, self.base), self.base)


def pull(definitions: dict[Value, Definition]) -> dict[Value, Definition]:
    """The definitions, with such scatters into what reads no memory as elementwise work, and sums over them shorter."""
    if not any(isinstance(definition, Scattering) for definition in definitions.values()):
        return definitions
    found: dict[Value, _Pulled] = {}
    new: dict[Value, Definition] = {}
    for value, definition in definitions.items():
        pulled = _pulled(definition, definitions) if isinstance(definition, Scattering) else None
        if pulled is not None:
            found[value] = pulled
            definition = Pointwise(definition.shape, definition.axes, pulled.element([*pulled.only]))
        elif (
            isinstance(definition, Reduction) and definition.body.code is Code.LOAD and definition.body.payload in found
        ):
            definition = _shorter(definition, found[definition.body.payload])
        new[value] = definition
    return new


def _pulled(definition: Scattering, definitions: dict[Value, Definition]) -> _Pulled | None:
    """None where two iterations could name one element, or where the base lies in memory that may be taken over.

    Neither for dtypes whose elements are parts or wider than they are in memory: these are in that form already.
    """
    if definition.base.dtype in (*dtypes.COMPLEXES, "float16"):
        return None

    def change(e: Expr, args: tuple[Expr, ...]) -> Expr | None:
        if e.code is not Code.LOAD:
            return None
        source = definitions[e.payload]
        if not isinstance(source, Pointwise) or source.loads:
            return None
        return substitute(source.expr, dict(zip(source.axes, args, strict=True)))

    memo: dict[Expr, Expr] = {}
    base, *at = (rebuild(e, change, memo) for e in (definition.base, *definition.at))
    if loads_in([base]) or any(axis.code is not Code.INDEX for axis in definition.axes):
        return None
    where: dict[Expr, int] = {}
    for k, i in enumerate(at):
        if any(i is variable for variable in definition.bound):
            where.setdefault(i, k)
    return _Pulled(definition, where, at, base) if len(where) == len(definition.bound) else None


def _shorter(own: Reduction, pulled: _Pulled) -> Definition:
    """A sum over an axis on which one element alone is not 0 is that element: 0 + x, for a sum is never -0."""
    if own.combine is not Combine.ADD or not (pulled.base.is_const and pulled.base.payload == 0):
        return own
    at = own.body.args
    gone = {
        k: i
        for k, i in enumerate(at)
        if k in pulled.only and i in own.bound and sum(i in other.free for other in at) == 1
    }
    if not gone:
        return own
    left = [k for k in pulled.only if k not in gone]
    mapping = {axis: i for k, (axis, i) in enumerate(zip(pulled.axes, at, strict=True)) if k not in gone}
    body = substitute(pulled.element(left), mapping)
    rest = [(v, n) for v, n in zip(own.bound, own.extents, strict=True) if v not in gone.values()]
    if not rest:
        return Pointwise(own.shape, own.axes, const(0, body.dtype) + body)
    return replace(own, bound=tuple(v for v, _ in rest), extents=tuple(n for _, n in rest), body=body)


def _chosen(conditions: Sequence[Expr], value: Expr, other: Expr) -> Expr:
    return select(_all(conditions), value, other) if conditions else value


def _all(conditions: Sequence[Expr]) -> Expr:
    first, *rest = conditions
    for condition in rest:
        first = first & condition
    return first
