"""Copies around products that nobody needs: operands are read, and results written, where elements lie alike.

In: a graph whose lengths are decided (lengths.py), for only then is it known that a sum over what was broadcast is no
sum, and so a copy.

- A product that is only wanted elsewhere, perhaps as a stack of matrices, is written there.
- Products read what a copy is of.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from core.dataclass import replace
from core.ir.axes import factors_of, ravel
from core.ir.codes import Code
from core.ir.definitions import (
    Definition,
    FromLibrary,
    Lowered,
    Operand,
    Pointwise,
    Value,
    operands_of,
    with_rows_merged,
)
from core.ir.expr import Expr
from core.ir.library import PRODUCTS
from core.ir.passes.operands import operand, source


def without_copies(lowered: Lowered) -> Lowered:
    """The same with fewer values that are copies of others."""
    definitions = dict(lowered.definitions)
    _write_in_shape(definitions, lowered)
    definitions = {value: _read_in_place(definition, definitions) for value, definition in definitions.items()}
    return replace(lowered, definitions=definitions)


def _write_in_shape(definitions: dict[Value, Definition], lowered: Lowered) -> None:
    """Products that nobody reads but one who needs them in memory, perhaps in another shape, are written there."""
    wanted = [*lowered.outputs, *(value for _, inputs, _ in lowered.host_nodes for value in inputs)]
    wanted += [value for d in definitions.values() for value in operands_of(d)]
    readers = Counter([*wanted, *(e.payload for d in definitions.values() for e in d.loads)])
    stored = set(wanted)
    for value in [value for value in definitions if value in stored]:
        way = _way_to_memory(value, definitions)
        view, product = definitions[value], definitions[way[-1]]
        if len(way) == 1 or any(readers[step] != 1 for step in way[1:]) or not isinstance(product, FromLibrary):
            continue
        if len(product.outputs) > 1:
            continue
        at = source(value, definitions)[1]
        merged = product.merged if view.shape == product.shape and at == view.axes else _taller(view, at, product)
        if merged is not None:
            written = replace(product, shape=view.shape, axes=view.axes, outputs=(value,), merged=merged)
            definitions[value] = written
            for step in way[1:]:
                del definitions[step]


def _way_to_memory(value: Value, definitions: Mapping[Value, Definition]) -> list[Value]:
    """A value, what it is a view of, and so on."""
    way = [value]
    while isinstance(definition := definitions[way[-1]], Pointwise) and definition.expr.code is Code.LOAD:
        way.append(definition.expr.payload)
    return way


def _taller(view: Definition, at: tuple[Expr, ...], product: FromLibrary) -> int | None:
    """How many axes too many ``view`` has, if it is the matrix ``product`` as a stack of matrices of its columns."""
    lead = len(view.shape) - 2
    if product.call.name not in PRODUCTS or product.call.batch or product.merged or len(product.shape) != 2 or lead < 1:
        return None
    rows, columns = with_rows_merged(view.shape, lead)
    is_same = factors_of([rows]) == factors_of(product.shape[:1]) and columns is product.shape[1]
    return lead if is_same and at == (ravel(view.axes[:-1], view.shape[:-1]), view.axes[-1]) else None


def _read_in_place(definition: Definition, definitions: Mapping[Value, Definition]) -> Definition:
    """A library call on what its operands are copies of."""
    if not isinstance(definition, FromLibrary):
        return definition
    kept = {k for _, k in (*definition.call.overwrites, *definition.call.replaces)}
    operands = tuple(each if k in kept else _in_place(each, definitions) for k, each in enumerate(definition.operands))
    return definition if operands == definition.operands else replace(definition, operands=operands)


def _in_place(each: Operand, definitions: Mapping[Value, Definition]) -> Operand:
    """An operand where the elements of its value lie in the same order, behind an offset."""
    found = operand(each.value, definitions)
    if each == Operand.whole(each.value, definitions[each.value].shape):
        return found
    if found.value is each.value or found.strides != Operand.whole(each.value, found.shape).strides:
        return each
    return replace(each, value=found.value, offset=each.offset + found.offset)
