"""Rules for determinants and their logarithms: of products, inverses, transposes, parts, and known kinds."""

from __future__ import annotations

from core import dtypes
from core.graph import Apply, FunctionGraph, Variable
from core.tensor import (
    TensorVariable,
    abs,
    cast,
    equal,
    less,
    log,
    ones_like,
    prod,
    shape_i,
    sign,
    where,
)
from core.tensor import sum as sum_along
from plugin_ops_linalg.families.assembled import BlockDiagonal, Kron
from plugin_ops_linalg.families.cholesky import Cholesky
from plugin_ops_linalg.families.determinant import Det, Inv, SLogDet
from plugin_ops_linalg.matrices import diagonal_of
from plugin_ops_linalg.rules.sets import specialize, stabilize
from plugin_ops_linalg.rules.systems import is_square, square_parts
from plugin_ops_linalg.structure import factors, kinds, transposed


def _determinant(x: Variable) -> Apply | None:
    """The node of ``det`` that made a real ``x``, or None."""
    real = x.owner is not None and isinstance(x.owner.op, Det) and x.type.dtype in dtypes.FLOATS
    return x.owner if real else None


@stabilize.node_rule(log, reads=(Det, abs))
def logarithm_of_determinant_does_not_overflow(graph: FunctionGraph, node: Apply) -> TensorVariable | None:
    """log(det(a)) -> the second of slogdet(a), NaN where the first is -1; log(abs(det(a))) -> the second.

    The determinant of a matrix of 1000 rows leaves the range of floats; its logarithm does not.
    """
    (x,) = node.inputs
    within_abs = x.owner is not None and x.owner.op == abs
    found = _determinant(x.owner.inputs[0] if within_abs else x)  # type: ignore[union-attr]
    if found is None:
        return None
    sign_of, logabs = SLogDet(found.op.on_error)(*found.inputs)
    return logabs if within_abs else where(less(sign_of, 0), float("nan"), logabs)


# --- matrices made of others -----------------------------------------------------------------------------------------


@stabilize.node_rule(SLogDet)
def logarithm_of_determinant_of_product_is_a_sum(graph: FunctionGraph, node: Apply) -> list[Variable] | None:
    """slogdet(a @ b) -> sums and products of slogdet(a) and slogdet(b), for surely square a and b.

    Also slogdet(a.T) -> slogdet(a), and slogdet(inv(a)) -> that of a with the other sign.
    """
    (x,), op = node.inputs, node.op
    pair, inner = factors(x), transposed(x)
    if inner is not None:
        return list(op(inner))
    if pair is not None and all(is_square(graph, x) for x in pair):
        (s, u), (t, v) = (op(part) for part in pair)
        return [s * t, u + v]
    if x.owner is not None and isinstance(x.owner.op, Inv) and x.type.dtype in dtypes.FLOATS:
        s, u = op(x.owner.inputs[0])
        return [s, -u]
    return None


@stabilize.node_rule(SLogDet, reads=(Kron, BlockDiagonal))
def logarithm_of_determinant_of_parts_is_a_sum(graph: FunctionGraph, node: Apply) -> list[Variable] | None:
    """slogdet(kron(a, b)), a of order m and b of order n -> n logdet(a) + m logdet(b); of block_diag(a, b) -> a sum."""
    (x,), op = node.inputs, node.op
    parts = square_parts(graph, x)
    if parts is None or x.type.dtype not in dtypes.FLOATS:
        return None
    found = [op(part) for part in parts]
    if isinstance(x.owner.op, Kron):  # type: ignore[union-attr]
        powers = [shape_i(part, -1) for part in reversed(parts)]
        found = [
            (where(equal(n % 2, 0), s * s, s), u * cast(n, u.dtype)) for (s, u), n in zip(found, powers, strict=True)
        ]
    signs, logs = zip(*found, strict=True)
    return [_product(signs), sum(logs[1:], logs[0])]


def _product(values: tuple) -> TensorVariable:
    out = values[0]
    for value in values[1:]:
        out = out * value
    return out


@stabilize.node_rule(Det)
def determinant_of_product_is_a_product(graph: FunctionGraph, node: Apply) -> TensorVariable | None:
    """det(a @ b) -> det(a) det(b) for surely square a and b; det(a.T) -> det(a); det(inv(a)) -> 1 / det(a);
    det(block_diag(a, b)) -> det(a) det(b); det(kron(a, b)), a of order m and b of order n -> det(a)^n det(b)^m.
    """
    (x,), op = node.inputs, node.op
    pair, inner = factors(x), transposed(x)
    if inner is not None:
        return op(inner)
    if pair is not None and all(is_square(graph, x) for x in pair):
        return op(pair[0]) * op(pair[1])
    made_by = x.owner.op if x.owner is not None else None
    if isinstance(made_by, Inv):
        return 1 / op(x.owner.inputs[0])  # type: ignore[union-attr]
    parts = square_parts(graph, x)
    if parts is None:
        return None
    found = [op(part) for part in parts]
    if isinstance(made_by, Kron):
        if x.type.dtype not in dtypes.FLOATS:
            return None
        powers = [cast(shape_i(part, -1), x.type.dtype) for part in reversed(parts)]
        found = [d**n for d, n in zip(found, powers, strict=True)]
    return _product(tuple(found))


# --- matrices of a known kind ----------------------------------------------------------------------------------------


@specialize.node_rule(SLogDet)
def logarithm_of_determinant_of_known_kind_is_simpler(graph: FunctionGraph, node: Apply) -> list[Variable] | None:
    """slogdet(a) -> from the diagonal for a triangular a, from that of cholesky(a) for a positive definite one."""
    (a,), op = node.inputs, node.op
    known = kinds(a, graph)
    if known & {"lower_triangular", "upper_triangular"} and a.type.dtype in dtypes.FLOATS:
        d = diagonal_of(a)
        return [prod(sign(d), axis=-1), sum_along(log(abs(d)), axis=-1)]
    if "positive_definite" in known:
        d = diagonal_of(Cholesky(True, True, op.on_error)(a))
        logabs = 2 * sum_along(log(d.real if d.dtype in dtypes.COMPLEXES else d), axis=-1)
        return [cast(ones_like(logabs), a.type.dtype), logabs]
    return None


@specialize.node_rule(Det)
def determinant_of_positive_definite_is_that_of_its_factor_squared(
    graph: FunctionGraph, node: Apply
) -> TensorVariable | None:
    """det(a) -> prod(diag(cholesky(a)))^2 for a positive definite a: half the operations, of a factor others use."""
    (a,) = node.inputs
    known = kinds(a, graph)
    if "positive_definite" not in known or known & {"lower_triangular", "upper_triangular"}:
        return None
    d = prod(diagonal_of(Cholesky(True, True, node.op.on_error)(a)), axis=-1)
    return d * d


@specialize.node_rule(Det)
def determinant_of_triangular_is_product_of_diagonal(graph: FunctionGraph, node: Apply) -> TensorVariable | None:
    """det(a) -> prod(diag(a)) for a triangular a."""
    (a,) = node.inputs
    return prod(diagonal_of(a), axis=-1) if kinds(a, graph) & {"lower_triangular", "upper_triangular"} else None
