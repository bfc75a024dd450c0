"""Constant folding: nodes whose inputs are all known are computed once, when the graph is compiled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core.graph import Apply, Constant, FunctionGraph, Variable, toposort
from core.op import Op
from core.rewriting.stages import canonicalize

LIMIT_BYTES = 1 << 16  # a larger constant costs more to load than to compute, unless its inputs are as large
_FEW = 64  # nodes that a length may take to compute


@canonicalize.node_rule(Op, reads=(Constant,))
def constant_folding(graph: FunctionGraph, node: Apply) -> list[Variable] | None:
    """f(constants) -> its value, as ``perform`` computes it.  An error is left for run time, where it is the user's."""
    if not node.inputs or not all(isinstance(x, Constant) for x in node.inputs):
        return None
    if node.op.destroy_map or not node.op.do_constant_folding(node):
        return None
    given: list[int] = [getattr(x.data, "nbytes", 0) for x in node.inputs]
    room = max(LIMIT_BYTES, sum(given))
    if any(n is None or n > room for n in _sizes_bytes(graph, node)):
        return None
    values = _performed(node, [x.data for x in node.inputs])
    if values is None:
        return None
    try:
        return [out.type.make_constant(value) for out, value in zip(node.outputs, values, strict=True)]
    except (
        TypeError,
        ValueError,
    ):  # perform broke its promise; running the node will say so
        return None


def _performed(node: Apply, values: Sequence[Any]) -> list[Any] | None:
    storage: list[list] = [[None] for _ in node.outputs]
    try:
        with np.errstate(all="ignore"):
            node.op.perform(node, list(values), storage)
    except Exception:  # whatever an op may raise, it must raise for the one who runs the graph
        return None
    return [cell[0] for cell in storage]


def _sizes_bytes(graph: FunctionGraph, node: Apply) -> list[int | None]:
    """The size of each output: 0 for what is no array, None when it cannot be told without computing it."""
    types = [out.type for out in node.outputs]
    shapes: list[Any] = [getattr(kind, "shape", ()) for kind in types]
    if any(None in shape for shape in shapes):
        shapes = _inferred_shapes(graph, node) or shapes
    return [
        None if None in shape else int(np.prod(shape, dtype=float)) * _itemsize(kind)
        for shape, kind in zip(shapes, types, strict=True)
    ]


def _itemsize(kind: Any) -> int:
    return np.dtype(kind.dtype).itemsize if hasattr(kind, "dtype") else 0


def _inferred_shapes(graph: FunctionGraph, node: Apply) -> list[tuple] | None:
    if not node.op.defines("infer_shape"):
        return None
    try:
        shapes = node.op.shapes(graph, node, [np.shape(x.data) for x in node.inputs])  # type: ignore[attr-defined]
    except Exception:  # lengths that do not fit: running the node will say so
        return None
    return [tuple(_known(n) for n in shape) for shape in shapes]


def _known(length: Any) -> int | None:
    """A length that is a number, a constant, or a short expression of constants."""
    if not isinstance(length, Variable):
        return int(length)
    nodes = toposort([length])
    if len(nodes) > _FEW:
        return None
    values: dict[Variable, Any] = {}
    for node in nodes:
        inputs = [x.data if isinstance(x, Constant) else values.get(x) for x in node.inputs]
        found = None if any(value is None for value in inputs) else _performed(node, inputs)
        if found is None:
            return None
        values.update(zip(node.outputs, found, strict=True))
    value = length.data if isinstance(length, Constant) else values.get(length)
    return None if value is None else int(value)
