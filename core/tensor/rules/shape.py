"""Rules for lengths, views and fills: asking for a length never runs an op, and a view of a view is one view."""

from __future__ import annotations

from core.graph import Apply, FunctionGraph, Variable
from core.rewriting import canonicalize
from core.tensor.broadcast import Alloc
from core.tensor.create import arange_length
from core.tensor.dimshuffle import DimShuffle
from core.tensor.elementwise import Elementwise, broadcast_length, second
from core.tensor.reshape import Reshape
from core.tensor.rules.lengths import SCALAR, counted, covers, held_length, in_order, lengths
from core.tensor.shape import ShapeI, SpecifyShape, shape_i, shape_of
from core.tensor.type import TensorType, TensorVariable, as_tensor, constant
from core.tensor.unbroadcast import Unbroadcast

# --- lengths -------------------------------------------------------------------------------------------------------


@canonicalize.node_rule(ShapeI)
def length_is_inferred(graph: FunctionGraph, node: Apply) -> TensorVariable | None:
    """f(x).shape[i] -> what f's infer_shape says, so that f itself need not run.  Exact where f(x) raises no error."""
    (y,), axis = node.inputs, node.op.axis
    found = lengths(graph, y)[axis]
    if isinstance(found, int):
        return constant(found, dtype="int64")
    if (y, axis) not in found:
        return _broadcast_together(in_order(graph, found))
    if y.owner is None or isinstance(y.owner.op, Elementwise) or not y.owner.op.defines("infer_shape"):
        return None
    given = [shape_of(x) if isinstance(x.type, TensorType) else None for x in y.owner.inputs]
    length = as_tensor(y.owner.op.shapes(graph, y.owner, given)[y.index][axis])
    return length if length.dtype == "int64" else length.astype("int64")


def _broadcast_together(found: list[tuple[Variable, int]]) -> TensorVariable:
    """The length to which these roots broadcast."""
    total = None
    for variable, axis in found:
        n = variable if axis == SCALAR else shape_i(variable, axis)
        n = n if n.type.dtype == "int64" else n.astype("int64")
        total = n if total is None else broadcast_length(total, n)
    return total


@canonicalize.node_rule(broadcast_length)
def length_broadcast_with_itself_or_one_is_itself(graph: FunctionGraph, node: Apply) -> Variable | None:
    """broadcast(n, n) -> n;  broadcast(n, 1) -> n;  broadcast(broadcast(a, b), b) -> broadcast(a, b).  Exact."""
    a, b = node.inputs
    if _is_one(b) or a is b or (b in _parts(a)):
        return a
    return b if _is_one(a) or (a in _parts(b)) else None


@canonicalize.node_rule(arange_length)
def counting_up_to_a_length_gives_that_length(graph: FunctionGraph, node: Apply) -> Variable | None:
    """len(arange(0, n, 1)) -> n for a length n.  Exact, since a length is not negative."""
    return counted(node.out)


def _is_one(n: Variable) -> bool:
    return getattr(n, "data", None) == 1


def _parts(n: Variable) -> list[Variable]:
    return n.owner.inputs if n.owner is not None and n.owner.op == broadcast_length else []


@canonicalize.node_rule(SpecifyShape)
def promise_that_holds_is_dropped(graph: FunctionGraph, node: Apply) -> Variable | None:
    """specify_shape(x, n) -> x, where x has these lengths already.  Exact."""
    x, *promised = node.inputs
    known = lengths(graph, x)
    for axis, n in zip(node.op.axes, promised, strict=True):
        if known[axis] != held_length(graph, n):
            return None
    return x


# --- views ---------------------------------------------------------------------------------------------------------


@canonicalize.node_rule(DimShuffle)
def dimshuffle_that_moves_nothing_is_dropped(graph: FunctionGraph, node: Apply) -> Variable | None:
    """x.dimshuffle(0, 1, ...) -> x; also x.T of a vector.  Exact."""
    return node.inputs[0] if node.op.pattern == tuple(range(node.op.input_ndim)) else None


@canonicalize.node_rule(DimShuffle)
def dimshuffle_of_dimshuffle_is_one_dimshuffle(graph: FunctionGraph, node: Apply) -> Variable | None:
    """x.dimshuffle(p).dimshuffle(q) -> x.dimshuffle(p[q]), so x.T.T -> x.  Exact."""
    inner = node.inputs[0].owner
    if inner is None or not isinstance(inner.op, DimShuffle):
        return None
    pattern = tuple("x" if p == "x" else inner.op.pattern[p] for p in node.op.pattern)
    return DimShuffle(inner.op.input_ndim, pattern)(inner.inputs[0])


@canonicalize.node_rule(Reshape)
def reshape_of_reshape_is_one_reshape(graph: FunctionGraph, node: Apply) -> Variable | None:
    """x.reshape(a).reshape(b) -> x.reshape(b).  Exact: both keep the row-major order."""
    inner = node.inputs[0].owner
    if inner is None or not isinstance(inner.op, Reshape):
        return None
    return node.op(inner.inputs[0], *node.inputs[1:])


@canonicalize.node_rule(Reshape)
def reshape_to_the_same_shape_is_dropped(graph: FunctionGraph, node: Apply) -> Variable | None:
    """x.reshape(x.shape) -> x, where the lengths are surely the same.  Exact."""
    x = node.inputs[0]
    if x.type.ndim != node.out.type.ndim:
        return None
    wanted = [held_length(graph, n) for n in node.inputs[1:]]
    return x if list(lengths(graph, x)) == wanted else None


# --- fills ---------------------------------------------------------------------------------------------------------


@canonicalize.node_rule(Alloc)
def broadcast_to_the_same_shape_is_dropped(graph: FunctionGraph, node: Apply) -> Variable | None:
    """broadcast_to(x, x.shape) -> x.  Exact."""
    x = node.inputs[0]
    if x.type.ndim != node.out.type.ndim:
        return None
    return x if list(lengths(graph, x)) == [held_length(graph, n) for n in node.inputs[1:]] else None


@canonicalize.node_rule(Unbroadcast)
def unbroadcast_of_what_was_not_broadcast_is_dropped(graph: FunctionGraph, node: Apply) -> Variable | None:
    """unbroadcast(g, shape) -> g, where g has that shape.  Exact."""
    g = node.inputs[0]
    if g.type.ndim != node.out.type.ndim:
        return None
    remaining = iter(node.inputs[1:])
    wanted = [held_length(graph, next(remaining)) if n is None else n for n in node.op.shape]
    return g if list(lengths(graph, g)) == wanted else None


@canonicalize.node_rule(DimShuffle)
def dimshuffle_of_a_fill_is_a_scalar(graph: FunctionGraph, node: Apply) -> Variable | None:
    """second(like, c).dimshuffle(p) -> second(like.dimshuffle(p), c) for a scalar c.  Exact."""
    inner = node.inputs[0].owner
    if (
        inner is None
        or inner.op != second
        or inner.inputs[1].type.ndim
        or not covers(graph, inner.inputs[:1], inner.out)
    ):
        return None
    like, value = inner.inputs
    return second(node.op(like), value)
