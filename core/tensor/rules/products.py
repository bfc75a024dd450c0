"""Rules for products of matrices."""

from __future__ import annotations

import math

from core import dtypes
from core.graph import Apply, FunctionGraph, Variable
from core.rewriting import canonicalize, specialize
from core.tensor.arithmetic import multiply, negative
from core.tensor.dimshuffle import DimShuffle, transpose
from core.tensor.products import Dot, MatMul

_TRANSPOSE = DimShuffle(2, (1, 0))


@canonicalize.node_rule(_TRANSPOSE)
def transpose_of_product_is_product_of_transposes(graph: FunctionGraph, node: Apply) -> Variable | None:
    """(x.T @ y.T).T -> y @ x;  (x.T @ y).T -> y.T @ x;  (x @ y.T).T -> y @ x.T.

    Exact: the same sums of the same products.  (x @ y).T stays, and so does a product that somebody else reads.
    """
    product = node.inputs[0].owner
    if product is None or product.op != Dot() or len(graph.clients[product.out]) > 1:
        return None
    x, y = product.inputs
    if not any(factor.owner is not None and factor.owner.op == _TRANSPOSE for factor in (x, y)):
        return None
    return Dot()(transpose(y), transpose(x))


@specialize.node_rule((Dot, MatMul), reads=(negative,))
def sign_of_a_factor_goes_outside(graph: FunctionGraph, node: Apply) -> Variable | None:
    """-x @ y -> -(x @ y), and so for y: nothing is written to change a sign.  Floats and complex numbers.

    Exact but for the sign of a zero, which a sum that starts from 0.0 loses: rounding to nearest is symmetric.
    """
    for position, x in enumerate(node.inputs):
        if _only_here(graph, x) and x.owner.op == negative and node.out.dtype in dtypes.CONTINUOUS:
            return negative(_with(node, position, x.owner.inputs[0]))
    return None


@specialize.node_rule((Dot, MatMul), reads=(multiply,))
def scalar_of_a_factor_goes_outside(graph: FunctionGraph, node: Apply) -> Variable | None:
    """(s * x) @ y -> s * (x @ y) for a scalar s, and so for y: no scaled copy of x is written.  Floats.

    The sums of products round otherwise, as those of any order do, and overflow elsewhere.  Not where the result is
    known to be larger than x, or somebody else reads s * x.
    """
    for position, scaled in enumerate(node.inputs):
        if not _only_here(graph, scaled) or scaled.owner.op != multiply or node.out.dtype not in dtypes.FLOATS:
            continue
        for s, x in (scaled.owner.inputs, scaled.owner.inputs[::-1]):
            is_scalar = all(n == 1 for n in s.type.shape) and x.type.ndim == scaled.type.ndim
            if is_scalar and x.dtype == node.out.dtype and not _is_larger(node.out, x):
                s = DimShuffle(s.type.ndim, ())(s) if s.type.ndim else s
                return multiply(s, _with(node, position, x))
    return None


@specialize.node_rule(Dot, reads=(Dot,))
def products_are_taken_in_the_cheaper_order(graph: FunctionGraph, node: Apply) -> Variable | None:
    """(x @ y) @ z -> x @ (y @ z), or back, where all lengths are known and it takes fewer operations.

    Products of matrices are associative: exact for integers and bool, for floats the sums round in another order.  Not
    where somebody else reads the inner product.
    """
    left, right = node.inputs
    if left.owner is not None and left.owner.op == Dot() and _only_here(graph, left):
        x, y, z = *left.owner.inputs, right
        now, other = _operations(x, y) + _operations(left, z), _operations(y, z)
        if y.type.ndim == 2 and other + _operations(x, Dot()(y, z)) < now:
            return Dot()(x, Dot()(y, z))
    if right.owner is not None and right.owner.op == Dot() and _only_here(graph, right):
        x, y, z = left, *right.owner.inputs
        now, other = _operations(y, z) + _operations(x, right), _operations(x, y)
        if y.type.ndim == 2 and other + _operations(Dot()(x, y), z) < now:
            return Dot()(Dot()(x, y), z)
    return None


def _only_here(graph: FunctionGraph, x: Variable) -> bool:
    """Whether ``x`` is made by a node, for one reader."""
    return x.owner is not None and len(graph.clients[x]) == 1


def _with(node: Apply, position: int, x: Variable) -> Variable:
    """The product with another factor at ``position``."""
    factors = list(node.inputs)
    factors[position] = x
    return node.op(*factors)


def _is_larger(out: Variable, x: Variable) -> bool:
    lengths = [*out.type.shape, *x.type.shape]
    return None not in lengths and math.prod(out.type.shape) > math.prod(x.type.shape)


def _operations(x: Variable, y: Variable) -> float:
    """Multiplications of ``x @ y``; NaN, which is never less than a number, where a length is unknown."""
    lengths = [*x.type.shape, *y.type.shape[1:]]
    return math.nan if None in lengths else math.prod(lengths)
