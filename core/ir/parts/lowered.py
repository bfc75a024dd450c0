"""A lowered graph in parts: sums of complex numbers become two sums, and each element a PAIR of real expressions.

Values keep their dtypes, so that memory, arguments, results and library calls are of complex numbers as before.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

from core import dtypes
from core.dataclass import replace
from core.ir.codes import Code, Combine
from core.ir.definitions import Definition, FromLoops, Lowered, Pointwise, Reduction, Scattering, Value
from core.ir.expr import load, pair
from core.ir.parts.split import Parts, is_complex


def in_parts(lowered: Lowered) -> Lowered:
    """``lowered`` with every expression of real numbers; itself, where it has no complex ones."""
    if not any(value.dtype in dtypes.COMPLEXES for value in lowered.definitions):
        return lowered
    definitions: dict[Value, Definition] = {}
    parts = Parts()
    for value, definition in lowered.definitions.items():
        if isinstance(definition, Reduction) and is_complex(definition.body):
            more = _sum if definition.combine is Combine.ADD else _product
            definitions.update(more(value, definition, parts))
        else:
            definitions[value] = _rebuilt(definition, parts)
    return replace(lowered, definitions=definitions)


def _rebuilt(definition: Definition, parts: Parts) -> Definition:
    if isinstance(definition, Pointwise):
        return replace(definition, expr=parts.whole(definition.expr))
    if isinstance(definition, Reduction):
        return replace(definition, body=parts.real(definition.body))
    if isinstance(definition, Scattering):
        at = tuple(map(parts.real, definition.at))
        return replace(definition, base=parts.whole(definition.base), at=at, value=parts.whole(definition.value))
    return definition


def _sum(value: Value, definition: Reduction, parts: Parts) -> dict[Value, Definition]:
    """The sums of both parts, over the same loops."""
    found: dict[Value, Definition] = {}
    sums = []
    for name, body in zip(("re", "im"), parts.pair(definition.body), strict=True):
        part = Value(f"{value}_{name}", body.dtype, value.node)
        found[part] = replace(definition, body=body)
        sums.append(load(part, definition.axes, body.dtype))
    return {**found, value: Pointwise(definition.shape, definition.axes, pair(*sums))}


def _product(value: Value, definition: Reduction, parts: Parts) -> dict[Value, Definition]:
    """A loop in order: the parts of a product depend on each other."""
    variables = (*definition.axes, *definition.bound)
    body, before = definition.body, {}
    if body.code is Code.LOAD and len({*body.args}) == len(body.args) and {*body.args} == {*variables}:
        factors, order = body.payload, [variables.index(i) for i in body.args]  # where it lies already
    else:
        factors, order = Value(f"{value}_factors", value.dtype, value.node), [*range(len(variables))]
        before = {factors: Pointwise((*definition.shape, *definition.extents), variables, parts.whole(body))}
    write = partial(_multiplied, order)
    return {**before, value: FromLoops(definition.shape, definition.axes, (factors,), (value,), write)}


def _multiplied(order: Sequence[int], k: Any, factors: Any, out: Any) -> None:
    """Write the loops, over the axes of ``out`` and then over the others; ``order``: which is each axis of factors."""
    lengths = dict(zip(order, factors.shape, strict=True))
    with k.grid(out.shape) as at:
        total = k.local(out.dtype, 1, "product")
        with ExitStack() as loops:
            inner = [loops.enter_context(k.loop(lengths[axis])) for axis in range(len(at), len(order))]
            total *= factors[tuple((*at, *inner)[axis] for axis in order)]
        out[at] = total.value
