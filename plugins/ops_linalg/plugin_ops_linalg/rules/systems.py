"""Rules for systems, inverses, factors and spectra of matrices of a known kind."""

from __future__ import annotations

from core import dtypes
from core.graph import Apply, FunctionGraph, Variable
from core.tensor import cast, expand_dims, matmul
from core.tensor.rules.lengths import lengths
from plugin_ops_linalg.families.assembled import BlockDiagonal, Kron
from plugin_ops_linalg.families.cholesky import Cholesky, CholeskyInverse, CholeskySolve
from plugin_ops_linalg.families.determinant import Inv
from plugin_ops_linalg.families.eigen import Eig, Eigh, Eigvals, Eigvalsh
from plugin_ops_linalg.families.solve import Solve
from plugin_ops_linalg.families.triangular import SolveTriangular
from plugin_ops_linalg.matrices import adjoint, diagonal_matrix, diagonal_of, identity_like
from plugin_ops_linalg.rules.sets import specialize, stabilize
from plugin_ops_linalg.structure import factors, is_adjoint, kinds, transposed


@specialize.node_rule(Solve)
def system_of_known_kind_is_solved_by_its_kind(graph: FunctionGraph, node: Apply) -> Variable | None:
    """solve(a, b), a general matrix for all that it says: b / diag(a) for a diagonal a, a.H @ b for an orthogonal one,
    solve_triangular for a triangular one, cho_solve(cholesky(a), b) for a positive definite one.

    n^2 k operations where it took 2/3 n^3 + 2 n^2 k, or half as many for the last.  A diagonal matrix that may hold 0
    is solved as a triangular one, which names the 0.
    """
    (a, b), op = node.inputs, node.op
    known = kinds(a, graph)
    if op.assume_a != "gen":
        return None
    if {"diagonal", "positive_diagonal"} <= known:
        return b / expand_dims(diagonal_of(a), -1)
    if "orthogonal" in known:
        return matmul(adjoint(a), b)
    for triangle in ("lower_triangular", "upper_triangular"):
        if triangle in known:
            return SolveTriangular(triangle == "lower_triangular", "N", False, op.check_finite, op.on_error)(a, b)
    if "positive_definite" in known:
        return _by_cholesky(graph, op, a, b)
    return None


@specialize.node_rule(Solve)
def positive_definite_system_is_solved_by_its_factor(graph: FunctionGraph, node: Apply) -> Variable | None:
    """solve(a, b, assume_a="pos") -> cho_solve(cholesky(a), b): the same LAPACK in two steps, of which the first is
    shared by all systems, determinants and gradients that need it.
    """
    return _by_cholesky(graph, node.op, *node.inputs) if node.op.assume_a == "pos" else None


def _by_cholesky(graph: FunctionGraph, op: Solve, a: Variable, b: Variable) -> Variable:
    """By the factor of the triangle that is read; where both may be, by the lower one, so that systems share it."""
    lower = op.lower or op.assume_a == "gen" or "symmetric" in kinds(a, graph)
    factor = Cholesky(lower, op.check_finite, op.on_error)(a)
    return CholeskySolve(lower, op.check_finite, op.on_error)(factor, b)


@specialize.node_rule(SolveTriangular)
def two_triangular_systems_are_one_positive_definite(graph: FunctionGraph, node: Apply) -> Variable | None:
    """solve_triangular(L, solve_triangular(L, b), trans=1) -> cho_solve((L, True), b) for real L.  The same operations,
    in one call.  Not where others read what the first gives.
    """
    (a, inner), op = node.inputs, node.op
    first = inner.owner
    if first is None or not isinstance(first.op, SolveTriangular) or len(graph.clients[inner]) > 1:
        return None
    if op.unit_diagonal or first.op.unit_diagonal or first.inputs[0] is not a or op.lower != first.op.lower:
        return None
    order = (first.op.trans, op.trans) if op.lower else (op.trans, first.op.trans)
    adjoints = ("T", "C") if a.type.dtype in dtypes.FLOATS else ("C",)
    if order[0] != "N" or order[1] not in adjoints:
        return None
    return CholeskySolve(op.lower, op.check_finite, op.on_error)(a, first.inputs[1])


# --- inverses --------------------------------------------------------------------------------------------------------


@stabilize.node_rule(Inv, reads=(Inv,))
def inverse_of_inverse_is_itself(graph: FunctionGraph, node: Apply) -> Variable | None:
    """inv(inv(a)) -> a.  Without the rounding of two inversions."""
    inner = node.inputs[0].owner
    return inner.inputs[0] if inner is not None and isinstance(inner.op, Inv) else None


@specialize.node_rule(Inv)
def inverse_of_known_kind_is_simpler(graph: FunctionGraph, node: Apply) -> Variable | None:
    """inv(a) -> a.H for an orthogonal a, 1 / its diagonal for a diagonal one, solve_triangular(a, I) for a triangular
    one, and from cholesky(a) for a positive definite one.
    """
    (a,), op = node.inputs, node.op
    known = kinds(a, graph)
    if "orthogonal" in known:
        return adjoint(a)
    if {"diagonal", "positive_diagonal"} <= known:
        return diagonal_matrix(1 / diagonal_of(a))
    for triangle in ("lower_triangular", "upper_triangular"):
        if triangle in known:
            solve = SolveTriangular(triangle == "lower_triangular", "N", False, op.check_finite, op.on_error)
            return solve(a, identity_like(a))
    if "positive_definite" in known:
        return CholeskyInverse(True, True, op.on_error)(Cholesky(True, op.check_finite, op.on_error)(a))
    return None


@specialize.node_rule(Inv, reads=(Kron, BlockDiagonal))
def inverse_of_parts_is_parts_of_inverses(graph: FunctionGraph, node: Apply) -> Variable | None:
    """inv(kron(a, b)) -> kron(inv(a), inv(b)), and so for block_diag, of parts that are surely square."""
    parts = square_parts(graph, node.inputs[0])
    return None if parts is None else node.inputs[0].owner.op(*(node.op(part) for part in parts))  # type: ignore[union-attr]


def square_parts(graph: FunctionGraph, x: Variable) -> list[Variable] | None:
    """The factors of a Kronecker product or the blocks of a block diagonal, if all are surely square."""
    node = x.owner
    if node is None or not isinstance(node.op, (Kron, BlockDiagonal)):
        return None
    return list(node.inputs) if all(is_square(graph, part) for part in node.inputs) else None


def is_square(graph: FunctionGraph, x: Variable) -> bool:
    """Whether matrices are surely square: their lengths say so, or their kind."""
    m, n = lengths(graph, x)[-2:]
    return m == n or "square" in kinds(x, graph)


# --- factors and spectra ---------------------------------------------------------------------------------------------


@specialize.node_rule(Cholesky)
def factor_of_product_with_its_transpose_is_itself(graph: FunctionGraph, node: Apply) -> Variable | None:
    """cholesky(L @ L.H) -> L for lower triangular L with a positive diagonal, and cholesky(U.H @ U, lower=False) -> U.

    The factor is unique: Golub, Van Loan (2013), theorem 4.2.7.
    """
    pair = factors(node.inputs[0])
    if pair is None or not is_adjoint(*pair):
        return None
    triangle = "lower_triangular" if node.op.lower else "upper_triangular"
    found = pair[0] if node.op.lower else pair[1]
    if {triangle, "positive_diagonal"} <= kinds(found, graph):
        return found
    other = pair[1] if node.op.lower else pair[0]  # L.H @ L has another factor
    swapped = {"lower_triangular": "upper_triangular", "upper_triangular": "lower_triangular"}[triangle]
    inner = transposed(other)
    return inner if inner is found and {swapped, "positive_diagonal"} <= kinds(other, graph) else None


@specialize.node_rule(Cholesky)
def factor_of_diagonal_is_square_root(graph: FunctionGraph, node: Apply) -> Variable | None:
    """cholesky(a) -> diag(sqrt(diag(a))) for a diagonal a that is positive definite."""
    (a,) = node.inputs
    known = kinds(a, graph)
    if not {"diagonal", "positive_definite"} <= known:
        return None
    return diagonal_matrix(diagonal_of(a) ** 0.5)


@specialize.node_rule(Eig)
def spectrum_of_symmetric_is_real(graph: FunctionGraph, node: Apply) -> list[Variable] | None:
    """eig(a) -> eigh(a) for a symmetric a: real, orthogonal, a tenth of the operations.  In ascending order then."""
    (a,) = node.inputs
    if "symmetric" not in kinds(a, graph):
        return None
    found = Eigh(True, node.op.on_error)(a)
    return [cast(value, out.type.dtype) for value, out in zip(found, node.outputs, strict=True)]


@specialize.node_rule(Eigvals)
def eigenvalues_of_symmetric_are_real(graph: FunctionGraph, node: Apply) -> Variable | None:
    """eigvals(a) -> eigvalsh(a) for a symmetric a.  In ascending order then."""
    (a,) = node.inputs
    return cast(Eigvalsh(True, node.op.on_error)(a), node.out.type.dtype) if "symmetric" in kinds(a, graph) else None
