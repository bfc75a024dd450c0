"""Rules for products of matrices."""

from __future__ import annotations

from core.graph import Apply, FunctionGraph, Variable
from core.rewriting import canonicalize
from core.tensor.dimshuffle import DimShuffle, transpose
from core.tensor.products import Dot

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
