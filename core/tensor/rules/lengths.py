"""Which lengths are surely equal, so that rules know when broadcasting does nothing.  Holds no rule.

A length is an int where it is known, else the set of roots, pairs (variable, axis), that broadcast to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

from core.graph import Apply, Constant, FunctionGraph, Variable
from core.rewriting.pattern import is_number
from core.tensor.create import arange_length
from core.tensor.elementwise import Elementwise, broadcast_length
from core.tensor.shape import ShapeI, shape_of
from core.tensor.type import TensorType

Length: TypeAlias = int | frozenset[tuple[Variable, int]]

_MANY = 8  # roots; a length that more of them broadcast to is a root itself


class _Facts(dict[Variable, tuple[Length, ...]]):
    """The lengths of variables of one graph, and the roots in the order in which they were met."""

    def __init__(self) -> None:
        super().__init__()
        self.order: dict[tuple[Variable, int], int] = {}

    def root(self, variable: Variable, axis: int) -> Length:
        self.order.setdefault((variable, axis), len(self.order))
        return frozenset({(variable, axis)})

    def own(self, variable: Variable) -> tuple[Length, ...]:
        """The lengths of ``variable`` as far as its type says them, otherwise as roots."""
        shape = variable.type.shape  # type: ignore[attr-defined]
        return tuple(self.root(variable, axis) if n is None else n for axis, n in enumerate(shape))

    def held(self, n: Variable) -> Length | None:
        """The length that a scalar holds; None for a computed one of known and unknown parts."""
        if isinstance(n, Constant):
            return int(n.data)
        if n.owner is not None and isinstance(n.owner.op, ShapeI):
            (x,) = n.owner.inputs
            return (self.get(x) or self.own(x))[n.owner.op.axis]
        if n.owner is not None and n.owner.op == broadcast_length:
            a, b = (self.held(part) for part in n.owner.inputs)
            return None if isinstance(a, int) or isinstance(b, int) or a is None or b is None else a | b
        if counted(n) is not None:
            return self.held(counted(n))
        return self.root(n, SCALAR)


def counted(n: Variable) -> Variable | None:
    """The length m if ``n`` is how many numbers 0, 1, ... lie before m, which is m itself; else None."""
    if n.owner is None or n.owner.op != arange_length:
        return None
    start, stop, step = n.owner.inputs
    is_length = stop.owner is not None and isinstance(stop.owner.op, ShapeI)
    return stop if is_length and is_number(start, 0) and is_number(step, 1) else None


SCALAR = -1  # the axis of a root that is a scalar holding a length
_facts: WeakKeyDictionary[FunctionGraph, _Facts] = WeakKeyDictionary()


def lengths(graph: FunctionGraph, variable: Variable) -> tuple[Length, ...]:
    """What is known of the lengths of ``variable``; equal descriptions are equal lengths.  Linear in all."""
    known = _facts.setdefault(graph, _Facts())
    pending = [variable]
    while pending:
        current = pending[-1]
        needed = [] if current in known else [x for x in _reads(current) if x not in known]
        if needed:
            pending.extend(needed)
            continue
        pending.pop()
        if current not in known:
            known[current] = _described(graph, current, known)
    return known[variable]


def held_length(graph: FunctionGraph, n: Variable) -> Length | None:
    """The length that the scalar ``n`` holds, described as ``lengths`` describes them; None when it cannot be."""
    if n.owner is not None and isinstance(n.owner.op, ShapeI):
        return lengths(graph, n.owner.inputs[0])[n.owner.op.axis]
    return _facts.setdefault(graph, _Facts()).held(n)


def in_order(graph: FunctionGraph, length: frozenset[tuple[Variable, int]]) -> list[tuple[Variable, int]]:
    """The roots of a length, the same way in every process."""
    return sorted(length, key=_facts[graph].order.__getitem__)


def _reads(variable: Variable) -> list[Variable]:
    """The variables whose lengths those of ``variable`` may be."""
    node = variable.owner
    if node is None or not isinstance(variable.type, TensorType):
        return []
    if isinstance(node.op, ShapeI) or (None in variable.type.shape and _can_tell(node)):
        return [x for x in node.inputs if isinstance(x.type, TensorType)]
    return []


def _can_tell(node: Apply) -> bool:
    return isinstance(node.op, Elementwise) or node.op.defines("infer_shape")


def _described(graph: FunctionGraph, variable: Variable, known: _Facts) -> tuple[Length, ...]:
    if not isinstance(variable.type, TensorType):
        return ()
    node, own = variable.owner, known.own(variable)
    if node is None or None not in variable.type.shape or not _can_tell(node):
        return own
    if isinstance(node.op, Elementwise):
        found = _broadcast([known[x] for x in node.inputs], variable.type.ndim)
    else:
        found = _inferred(graph, node, variable.index or 0, known)
    return tuple(
        mine if isinstance(mine, int) or theirs is None else theirs for mine, theirs in zip(own, found, strict=True)
    )


def _broadcast(shapes: Sequence[tuple[Length, ...]], ndim: int) -> list[Length | None]:
    out: list[Length | None] = []
    for axis in range(-ndim, 0):
        here = [shape[axis] for shape in shapes if -axis <= len(shape) and shape[axis] != 1]
        fixed = [n for n in here if isinstance(n, int)]
        union: frozenset = frozenset().union(*(n for n in here if not isinstance(n, int)))
        out.append(fixed[0] if fixed else 1 if not here else union if len(union) <= _MANY else None)
    return out


def _inferred(graph: FunctionGraph, node: Apply, index: int, known: _Facts) -> Sequence[Length | None]:
    """What ``infer_shape`` says: a length of an input, a known one, or None for one that is computed."""
    given = [shape_of(x) if isinstance(x.type, TensorType) else None for x in node.inputs]
    found: list[Length | None] = []
    for n in node.op.shapes(graph, node, given)[index]:
        found.append(known.held(n) if isinstance(n, Variable) else int(n))
    return found


def same_lengths(graph: FunctionGraph, a: Variable, b: Variable) -> bool:
    """Whether ``a`` and ``b`` surely have one shape."""
    return a.type.ndim == b.type.ndim and lengths(graph, a) == lengths(graph, b)  # type: ignore[attr-defined]


def covers(graph: FunctionGraph, inputs: Sequence[Variable], out: Variable) -> bool:
    """Whether ``inputs``, broadcast together, surely have the shape of ``out``, to which they broadcast."""
    ndim = out.type.ndim  # type: ignore[attr-defined]
    if max((x.type.ndim for x in inputs), default=-1) < ndim:  # type: ignore[attr-defined]
        return False
    static = out.type.shape  # type: ignore[attr-defined]
    if None not in static:
        return all(n == 1 or any(_static(x, axis - ndim) == n for x in inputs) for axis, n in enumerate(static))
    return tuple(_broadcast([lengths(graph, x) for x in inputs], ndim)) == lengths(graph, out)


def _static(x: Variable, axis: int) -> int | None:
    shape = x.type.shape  # type: ignore[attr-defined]
    return shape[axis] if -axis <= len(shape) else None


_SMALL = 1 << 20  # bytes; looking at each element of a larger constant takes too long


def one_value(x: Constant) -> Any:
    """The value of a constant whose elements all have the same bits, as a NumPy scalar; else None."""
    data = x.data
    if data.size == 0 or data.nbytes > _SMALL:
        return None
    first = data.flat[0]
    if data.size > 1:
        if data.flat[-1].tobytes() != first.tobytes():
            return None
        same = data.tobytes() == first.tobytes() * data.size
        if not same:
            return None
    return first
