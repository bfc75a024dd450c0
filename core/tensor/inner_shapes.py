"""Shapes of the outputs of a graph inside of an op, in terms of the shapes of its inputs, without computing outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core.graph import Variable, clone_replace
from core.inner import InnerGraph
from core.tensor.shape import shape_of
from core.tensor.type import TensorType


def shapes_through(graph: InnerGraph, inputs: Sequence[Variable], input_shapes: Sequence[Any]) -> list[Any]:
    """What ``infer_shape`` of an op on ``inputs`` returns that computes ``graph``: a tuple of lengths for each output.

    A length that depends on values is computed from ``inputs``, and so are those of an op without ``infer_shape``.
    """
    shapes: dict[Variable, Any] = dict(zip(graph.inputs, input_shapes, strict=True))
    for node in graph.nodes:
        if node.op.defines("infer_shape"):
            given = [shapes[x] if x in shapes else _own_shape(x) for x in node.inputs]
            found = node.op.shapes(None, node, given)
        else:
            found = [_own_shape(out) for out in node.outputs]
        shapes.update((out, _with_known(out, shape)) for out, shape in zip(node.outputs, found, strict=True))
    wanted = [shapes[out] if out in shapes else _own_shape(out) for out in graph.outputs]
    symbolic = [n for shape in wanted for n in shape or () if isinstance(n, Variable)]
    outside = dict(zip(symbolic, clone_replace(symbolic, dict(zip(graph.inputs, inputs, strict=True))), strict=True))
    return [
        None if shape is None else tuple(outside[n] if isinstance(n, Variable) else n for n in shape)
        for shape in wanted
    ]


def _own_shape(x: Variable) -> Any:
    return shape_of(x) if isinstance(x.type, TensorType) else None


def _with_known(out: Variable, shape: Any) -> Any:
    if shape is None or not isinstance(out.type, TensorType):
        return shape
    return tuple(n if known is None else known for known, n in zip(out.type.shape, shape, strict=True))
