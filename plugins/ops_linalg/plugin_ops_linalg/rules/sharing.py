"""Rules that let one decomposition serve all that need it: LU factors, singular values, eigenvalues."""

from __future__ import annotations

import numpy as np

from core.graph import Apply, FunctionGraph, Variable
from core.tensor import (
    DimShuffle,
    TensorVariable,
    abs,
    arange,
    expand_dims,
    eye,
    log,
    matmul,
    maximum,
    not_equal,
    prod,
    shape_i,
    sign,
    where,
)
from core.tensor import sum as sum_along
from plugin_ops_linalg.families.determinant import Adjugate, Det, Inv, SLogDet
from plugin_ops_linalg.families.eigen import Eigh, Eigvalsh
from plugin_ops_linalg.families.lu import LUFactor, LUInverse, LUSolve
from plugin_ops_linalg.families.pseudoinverse import LeastSquares, Pinv
from plugin_ops_linalg.families.solve import Solve
from plugin_ops_linalg.families.svd import SVD
from plugin_ops_linalg.matrices import adjoint, diagonal_of, is_complex, matrix_transpose
from plugin_ops_linalg.rules.sets import specialize
from plugin_ops_linalg.structure import kinds, transposed

_SIMPLER = frozenset(
    {"lower_triangular", "upper_triangular", "orthogonal", "positive_definite"}
)  # have their own rules


@specialize.node_rule(Solve, Det, SLogDet, Inv)
def one_factorisation_serves_all(graph: FunctionGraph, node: Apply) -> Variable | list[Variable] | None:
    """solve(a, b), solve(a.T, c), det(a), slogdet(a), inv(a), two or more of them -> from one lu_factor(a).

    The operations are the same but for the 2/3 n^3 of each factorisation that is saved.
    """
    if not _takes_factors(node):
        return None
    a = node.inputs[0]
    inner = transposed(a)
    base = a if inner is None else inner
    if kinds(base, graph) & _SIMPLER:
        return None
    factors = _factors(graph, base, node)
    if factors is None:
        return None
    lu, pivots = factors
    op = node.op
    if isinstance(op, Solve):
        return LUSolve("N" if inner is None else "T", op.check_finite, op.on_error)(lu, pivots, node.inputs[1])
    if isinstance(op, Inv):
        inverse = LUInverse(op.on_error)(lu, pivots)
        return inverse if inner is None else matrix_transpose(inverse)
    d = diagonal_of(lu)
    exchanges = sum_along(not_equal(pivots, arange(shape_i(lu, -1))).astype("int64"), axis=-1)
    parity = (1 - 2 * (exchanges % 2)).astype(lu.dtype)
    if isinstance(op, Det):
        return parity * prod(d, axis=-1)
    return [parity * prod(sign(d), axis=-1), sum_along(log(abs(d)), axis=-1)]


def _takes_factors(node: Apply) -> bool:
    op = node.op
    if isinstance(op, SLogDet):
        return not is_complex(node.inputs[0])
    return isinstance(op, (Det, Inv)) or (isinstance(op, Solve) and op.assume_a == "gen")


def _factors(graph: FunctionGraph, a: Variable, node: Apply) -> list[TensorVariable] | None:
    """The LU factors of ``a`` that are there already, or new ones where somebody besides ``node`` needs them."""
    also, on_error = [node], node.op.on_error
    for client in _clients(graph, a):
        if isinstance(client.op, LUFactor) and client.op.on_error == on_error:
            return list(client.outputs)
        if isinstance(client.op, DimShuffle) and transposed(client.out) is a:
            also += [other for other in _clients(graph, client.out) if _is_like(other, client.out, on_error)]
        if _is_like(client, a, on_error):
            also.append(client)
    if len(set(also)) < 2:
        return None
    checked = any(getattr(other.op, "check_finite", False) for other in also)
    return LUFactor(checked, on_error)(a)


def _clients(graph: FunctionGraph, x: Variable) -> list[Apply]:
    return [client for client, _ in graph.clients[x] if isinstance(client, Apply)] if x in graph.clients else []


def _is_like(node: Apply, a: Variable, on_error: str) -> bool:
    return node.inputs[0] is a and _takes_factors(node) and node.op.on_error == on_error


# --- singular values and eigenvalues ---------------------------------------------------------------------------------


@specialize.node_rule(SVD, Eigvalsh)
def values_come_with_their_vectors(graph: FunctionGraph, node: Apply) -> Variable | None:
    """svdvals(a) where svd(a) is computed too -> the values of that one; so for eigvalsh(a) and eigh(a)."""
    (a,), op = node.inputs, node.op
    for client in _clients(graph, a):
        other = client.op
        if other == op or type(other) is not (SVD if isinstance(op, SVD) else Eigh) or other.on_error != op.on_error:
            continue
        if isinstance(op, SVD) and not op.compute_uv and other.compute_uv:
            return client.outputs[1]
        if isinstance(op, Eigvalsh) and other.lower == op.lower:
            return client.outputs[0]
    return None


@specialize.node_rule(Pinv)
def pseudoinverse_is_made_of_singular_vectors(graph: FunctionGraph, node: Apply) -> Variable | None:
    """pinv(a) -> V diag(1 / s) U^H, without the s that count as 0: what it is, in products that are compiled."""
    (a,), op = node.inputs, node.op
    u, s, vh = SVD(False, True, op.on_error)(a)
    if op.rcond is None:
        least = maximum(shape_i(a, -2), shape_i(a, -1)).astype(s.dtype) * _eps(s)
    else:
        least = op.rcond
    return matmul(adjoint(vh) * expand_dims(_reciprocals(s, least), -2).astype(a.dtype), adjoint(u))


@specialize.node_rule(LeastSquares)
def least_squares_are_made_of_singular_vectors(graph: FunctionGraph, node: Apply) -> Variable | None:
    """lstsq(a, b) -> V diag(1 / s) (U^H b), without the s that count as 0, as gelsd does it.

    The decomposition serves the rank, the singular values and the gradient too.
    """
    (a, b), op = node.inputs, node.op
    u, s, vh = SVD(False, True, op.on_error)(a)
    reciprocals = _reciprocals(s, _eps(s) if op.cond is None else op.cond)
    return matmul(adjoint(vh), expand_dims(reciprocals, -1).astype(a.dtype) * matmul(adjoint(u), b))


@specialize.node_rule(Adjugate)
def adjugate_is_made_of_singular_vectors(graph: FunctionGraph, node: Apply) -> Variable | None:
    """adj(a) -> det(U) det(Vh) V diag(products of the other singular values) U^H: what it is, in compiled parts."""
    (a,), op = node.inputs, node.op
    u, s, vh = SVD(False, True, op.on_error)(a)
    n = shape_i(s, -1)
    others = prod(where(eye(n, dtype="bool"), 1, expand_dims(s, -2)), axis=-1).astype(a.dtype)
    phase = Det(op.on_error)(u) * Det(op.on_error)(vh)
    return expand_dims(phase, (-2, -1)) * matmul(adjoint(vh) * expand_dims(others, -2), adjoint(u))


def _reciprocals(s: TensorVariable, least: float | TensorVariable) -> TensorVariable:
    """1 / s, and 0 for what is up to ``least`` times the largest."""
    kept = s > least * s[..., :1]
    return where(kept, 1 / where(kept, s, 1), 0)


def _eps(s: TensorVariable) -> float:
    return float(np.finfo(s.dtype).eps)
