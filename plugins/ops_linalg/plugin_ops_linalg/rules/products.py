"""Rules for products: inverses that become systems, diagonals and traces of products, products with diagonals."""

from __future__ import annotations

from core import dtypes
from core.graph import Apply, FunctionGraph, Variable
from core.tensor import (
    Diagonal,
    DimShuffle,
    Dot,
    FromDiagonal,
    MatMul,
    broadcast_to,
    expand_dims,
    eye,
    shape_of,
    squeeze,
)
from core.tensor import sum as sum_along
from core.tensor.rules.lengths import lengths
from plugin_ops_linalg.families.assumptions import Assume
from plugin_ops_linalg.families.cholesky import CholeskyInverse, CholeskySolve
from plugin_ops_linalg.families.determinant import Inv
from plugin_ops_linalg.families.solve import Solve
from plugin_ops_linalg.matrices import diagonal_of, matrix_transpose
from plugin_ops_linalg.rules.sets import fuse, specialize, stabilize
from plugin_ops_linalg.rules.systems import is_square
from plugin_ops_linalg.structure import factors, is_adjoint, kinds, transposed


def _inverse(x: Variable) -> tuple[Variable, Solve] | None:
    """The matrix that ``x`` is the inverse of, and what solves with it, or None; inv(a).T is the inverse of a.T."""
    inner = transposed(x)
    node = x.owner if inner is None else inner.owner
    if node is None or not isinstance(node.op, Inv):
        return None
    a = node.inputs[0] if inner is None else matrix_transpose(node.inputs[0])
    return a, Solve("gen", False, node.op.check_finite, node.op.on_error)


@stabilize.node_rule(Dot, MatMul, reads=(Inv, DimShuffle))
def inverse_times_is_solve(graph: FunctionGraph, node: Apply) -> Variable | None:
    """inv(a) @ b -> solve(a, b), and b @ inv(a) -> solve(a.T, b.T).T.  Fewer operations, and backward stable, which a
    product with an inverse is not: Higham (2002), section 14.1.
    """
    x, y = node.inputs
    left, right = _inverse(x), _inverse(y)
    if left is not None:
        a, solve = left
        return squeeze(solve(a, expand_dims(y, 1)), 1) if y.type.ndim == 1 else solve(a, y)
    if right is None:
        return None
    a, solve = matrix_transpose(right[0]), right[1]
    if x.type.ndim == 1:
        return squeeze(solve(a, expand_dims(x, 1)), 1)
    return matrix_transpose(solve(a, matrix_transpose(x)))


@stabilize.node_rule(Diagonal, reads=(Dot, MatMul))
def diagonal_of_product_is_sums_of_products(graph: FunctionGraph, node: Apply) -> Variable | None:
    """diag(x @ y) -> sum(x * y.T, axis=-1), so that trace(x @ y) needs no product: n^2 operations where it took n^3.

    For products that nobody else reads and that are surely square.
    """
    pair = factors(node.inputs[0])
    if pair is None or node.op.offset != 0 or len(graph.clients[node.inputs[0]]) > 1:
        return None
    x, y = pair
    if lengths(graph, x)[-2] != lengths(graph, y)[-1] or x.type.ndim != y.type.ndim or x.type.dtype != y.type.dtype:
        return None
    return sum_along(x * matrix_transpose(y), axis=-1, dtype=x.type.dtype)


@specialize.node_rule(Diagonal, reads=(Solve, CholeskySolve))
def diagonal_of_solution_takes_the_inverse(graph: FunctionGraph, node: Apply) -> Variable | None:
    """diag(solve(a, b)) -> sum(inv(a) * b.T, axis=-1) for general and positive definite a.

    So that the traces of solve(a, b) for several b, derivatives of a by its parameters, take one inverse, and n^2
    operations each instead of 2 n^3.  Where nobody else reads the solution and it is surely square.
    """
    solution = node.inputs[0]
    a, b = solution.owner.inputs  # type: ignore[union-attr]
    if node.op.offset != 0 or len(graph.clients[solution]) > 1:
        return None
    if lengths(graph, b)[-1] != lengths(graph, a)[-1] or a.type.ndim != b.type.ndim:
        return None
    op = solution.owner.op  # type: ignore[union-attr]
    if isinstance(op, CholeskySolve):
        inverse = CholeskyInverse(op.lower, True, op.on_error)(a)
    elif op.assume_a == "gen":
        inverse = Inv(op.check_finite, op.on_error)(a)
    else:
        return None
    return sum_along(inverse * matrix_transpose(b), axis=-1, dtype=solution.type.dtype)


def _diagonal_of(x: Variable) -> Variable | None:
    """The diagonal that ``x`` was laid out from, square, or None."""
    node = x.owner
    if (
        node is None
        or not isinstance(node.op, FromDiagonal)
        or node.op.offset != 0
        or node.inputs[1] is not node.inputs[2]
    ):
        return None
    return node.inputs[0]


@specialize.node_rule(Dot, MatMul, reads=(FromDiagonal,))
def product_with_diagonal_is_elementwise(graph: FunctionGraph, node: Apply) -> Variable | None:
    """diag(d) @ x -> d[:, None] * x and x @ diag(d) -> x * d.  n^2 operations; 0 * inf, which a product meets off the
    diagonal, does not arise.
    """
    x, y = node.inputs
    d = _diagonal_of(x)
    if d is not None and d.type.dtype == y.type.dtype and _same_stack(d, y):
        return d * y if y.type.ndim == 1 else expand_dims(d, -1) * y
    d = _diagonal_of(y)
    if d is not None and d.type.dtype == x.type.dtype and _same_stack(d, x):
        return x * d if x.type.ndim == 1 else x * expand_dims(d, -2)
    return None


@specialize.node_rule(Dot, MatMul)
def product_with_what_is_diagonal_is_elementwise(graph: FunctionGraph, node: Apply) -> Variable | None:
    """s * eye(n) @ x -> s * x, and so for any matrix that is surely diagonal and square."""
    for position, d in enumerate(node.inputs):
        x = node.inputs[1 - position]
        if d.type.ndim != 2 or x.type.ndim > 2 or d.type.dtype != x.type.dtype or "diagonal" not in kinds(d, graph):
            continue
        if is_square(graph, d):
            weights = diagonal_of(d)
            return x * (weights if position or x.type.ndim == 1 else expand_dims(weights, -1))
    return None


@specialize.node_rule(Dot, MatMul)
def orthonormal_columns_cancel(graph: FunctionGraph, node: Apply) -> Variable | None:
    """q.H @ q -> I where the columns of q are orthonormal, q.H @ (q @ x) and (x @ q.H) @ q -> x, so for rows q @ q.H.

    Of factors q of qr, svd, eigh and schur, and of what is promised to be orthogonal.
    """
    x, y = node.inputs
    if x.type.ndim == y.type.ndim and _cancel(graph, x, y):
        *stack, _, n = shape_of(y)
        identity = eye(n, dtype=node.out.type.dtype)
        return broadcast_to(identity, (*stack, n, n)) if stack else identity
    pair = factors(y) if x.type.ndim == 2 else None
    if pair is not None and pair[0].type.ndim == pair[1].type.ndim == 2 and _cancel(graph, x, pair[0]):
        return pair[1]
    pair = factors(x) if y.type.ndim == 2 else None
    if pair is not None and pair[0].type.ndim == pair[1].type.ndim == 2 and _cancel(graph, pair[1], y):
        return pair[0]
    return None


def _cancel(graph: FunctionGraph, x: Variable, y: Variable) -> bool:
    """Whether x @ y is surely the identity: y has orthonormal columns, and x is its adjoint."""
    return y.type.ndim >= 2 and is_adjoint(x, y) and "orthonormal_columns" in kinds(y, graph)


@specialize.node_rule(Dot, MatMul)
def product_of_column_and_row_is_elementwise(graph: FunctionGraph, node: Apply) -> Variable | None:
    """x @ y -> x * y for a column x and a row y of floats: what reads it reads two vectors, not a matrix.  Exact."""
    x, y = node.inputs
    if x.type.ndim != 2 or y.type.ndim != 2 or x.type.shape[-1] != 1 or y.type.shape[-2] != 1:
        return None
    return x * y if x.type.dtype == y.type.dtype and x.type.dtype in dtypes.CONTINUOUS else None


def _same_stack(d: Variable, x: Variable) -> bool:
    """Whether a product of vectors and matrices is meant, without leading axes, which may broadcast otherwise."""
    return d.type.ndim == 1 and x.type.ndim in (1, 2)


@fuse.node_rule(Assume)
def a_promise_is_its_matrix(graph: FunctionGraph, node: Apply) -> Variable | None:
    """assume(x) -> x, once all rules have read what was promised."""
    return node.inputs[0]
