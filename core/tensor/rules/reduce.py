"""Rules for reductions."""

from __future__ import annotations

from typing import Any

from core.graph import Apply, FunctionGraph
from core.ir.codes import Combine
from core.rewriting import canonicalize, specialize
from core.tensor.arithmetic import cast, negative
from core.tensor.dimshuffle import DimShuffle
from core.tensor.elementwise import second
from core.tensor.reduce import Reduce
from core.tensor.type import TensorVariable, constant

_POSITIONS = (Combine.ARGMAX, Combine.ARGMIN)


def is_sum(op: Any) -> bool:
    return isinstance(op, Reduce) and op.combine is Combine.ADD


@canonicalize.node_rule(Reduce)
def reduction_of_one_element_is_that_element(graph: FunctionGraph, node: Apply) -> TensorVariable | None:
    """reduce(x, axes of length 1) -> x without those axes; argmax and argmin -> 0.  Exact, but that 0 + -0.0 is 0.0."""
    (x,), op = node.inputs, node.op
    if any(x.type.shape[axis] != 1 for axis in op.axes):
        return None
    kept = [axis for axis in range(x.type.ndim) if axis not in op.axes]
    if op.axes:
        x = DimShuffle(x.type.ndim, kept)(x)
    return second(x, constant(0, node.out.dtype)) if op.combine in _POSITIONS else cast(x, node.out.dtype)


@specialize.node_rule(Reduce)
def reduction_of_same_reduction_is_one_reduction(graph: FunctionGraph, node: Apply) -> TensorVariable | None:
    """sum(sum(x, a), b) -> sum(x, a and b); so for prod, max, min, any, all.  Float sums and products round otherwise.

    Not where the inner result is rounded to a dtype in between.
    """
    inner = node.inputs[0].owner
    if inner is None or not isinstance(inner.op, Reduce) or inner.op.combine is not node.op.combine:
        return None
    if node.op.combine in _POSITIONS or inner.out.dtype != node.out.dtype or len(graph.clients[inner.out]) > 1:
        return None
    kept = [axis for axis in range(inner.inputs[0].type.ndim) if axis not in inner.op.axes]
    axes = sorted([*inner.op.axes, *(kept[axis] for axis in node.op.axes)])
    return Reduce(node.op.combine, axes, node.op.dtype or inner.op.dtype)(inner.inputs[0])


@specialize.node_rule(Reduce)
def sum_of_negative_is_negative_of_sum(graph: FunctionGraph, node: Apply) -> TensorVariable | None:
    """sum(-x) -> -sum(x) for floats.  Exact but for the sign of a zero: rounding to nearest is symmetric."""
    inner = node.inputs[0].owner
    if (
        not is_sum(node.op)
        or inner is None
        or inner.op != negative
        or not node.out.dtype.startswith(("float", "complex"))
    ):
        return None
    (x,) = inner.inputs
    return -node.op(x) if x.type.dtype.startswith(("float", "complex")) else None
