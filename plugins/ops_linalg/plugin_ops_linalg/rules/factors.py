"""Rules for gradients that come through a Cholesky factor: of log-determinants and systems, without the factor."""

from __future__ import annotations

from core.graph import Apply, FunctionGraph, Variable
from core.tensor import Diagonal, FromDiagonal, TensorVariable, expand_dims
from core.tensor.arithmetic import add, multiply, negative, subtract, true_divide
from core.tensor.elementwise import Elementwise
from core.tensor.unbroadcast import Unbroadcast
from plugin_ops_linalg.families.cholesky import CholeskyGradient, CholeskyInverse, GramGradient
from plugin_ops_linalg.matrices import (
    diagonal_matrix,
    diagonal_of,
    hermitian_transposed,
    is_complex,
    matrix_transpose,
    total,
)
from plugin_ops_linalg.rules.sets import specialize, stabilize
from plugin_ops_linalg.structure import transposed


@stabilize.node_rule(CholeskyGradient)
def gradient_through_factor_is_that_of_its_matrix(graph: FunctionGraph, node: Apply) -> Variable | None:
    """The gradient of a matrix a through its Cholesky factor, part by part: what a system that is solved with it gives
    is the gradient of a already, and what sum(log(diag(factor))) gives is inv(a) / 2, by potri.

    n^2 and 2/3 n^3 operations, where a product of whole matrices and the gradient of the factor take 2 n^3 and 2/3 n^3:
    the pullbacks of a = L L^H and of the factorisation undo each other, and log det a = 2 sum(log(diag(L))).
    """
    factor, g = node.inputs
    if is_complex(factor):
        return None
    found, logarithms, rest = [], [], []
    for term, negated in _terms(g):
        of_matrix, weight = _of_matrix(term, factor), _of_logarithms(term, factor)
        if of_matrix is not None:
            found.append(-of_matrix if negated else of_matrix)
        elif weight is not None:
            logarithms.append((-weight if negated else weight, -term if negated else term))
        else:
            rest.append(-term if negated else term)
    if rest:  # a factorisation is differentiated for them anyway
        rest += [term for _, term in logarithms]
        logarithms = []
    if not found and not logarithms:
        return None
    parts = [hermitian_transposed(g) for g in found]
    if logarithms:
        inverse = CholeskyInverse(True, False, node.op.on_error)(factor)
        halved = inverse - diagonal_matrix(0.5 * diagonal_of(inverse))
        parts.append(expand_dims(total([weight for weight, _ in logarithms]), (-2, -1)) * halved)
    if rest:
        parts.append(node.op(factor, total(rest)))
    return total(parts)


@specialize.node_rule(CholeskyGradient)
def gradient_of_complex_factor_is_by_systems(graph: FunctionGraph, node: Apply) -> Variable | None:
    """What is left of CholeskyGradient, of complex matrices -> products and triangular systems, which are compiled."""
    return node.op.formula(*node.inputs) if is_complex(node.inputs[0]) else None


def _terms(g: Variable, negated: bool = False) -> list[tuple[Variable, bool]]:
    """The terms of a sum, through transposes, and whether each is subtracted."""
    node = g.owner
    inner = transposed(g)
    if inner is not None:
        return [(_flipped(term), sign) for term, sign in _terms(inner, negated)]
    if node is None or node.op not in (add, subtract, negative) or any(x.type.ndim != g.type.ndim for x in node.inputs):
        return [(g, negated)]
    out = []
    for position, x in enumerate(node.inputs):
        flips = node.op == negative or (node.op == subtract and position == 1)
        out += _terms(x, negated != flips)
    return out


def _flipped(x: Variable) -> Variable:
    """x^T; of a transpose, what it is the transpose of."""
    inner = transposed(x)
    return matrix_transpose(x) if inner is None else inner


def _of_matrix(term: Variable, factor: Variable) -> TensorVariable | None:
    """The gradient of a, or its transpose, where ``term`` is what GramGradient makes of it for this lower factor.

    Of a factor that was repeated along leading axes, the sums along these.
    """
    if term.owner is not None and isinstance(term.owner.op, Unbroadcast):
        summed, *lengths = term.owner.inputs
        g = _of_matrix(summed, factor)
        return None if g is None else term.owner.op(g, *lengths)
    inner = transposed(term)
    node = term.owner if inner is None else inner.owner
    if node is None or not isinstance(node.op, GramGradient) or node.op.lower != (inner is None):
        return None
    of, g = node.inputs
    same = of is factor if inner is None else transposed(factor) is of
    return g if same else None


def _of_logarithms(term: Variable, factor: Variable) -> TensorVariable | None:
    """w, where ``term`` is diag(w / diag(factor)) with one w for all of a diagonal; without the last axis, or 0-d."""
    inner = transposed(term)
    node = term.owner if inner is None else inner.owner
    if node is None or not isinstance(node.op, FromDiagonal) or node.op.offset != 0:
        return None
    return _weight(node.inputs[0], factor)


def _weight(x: Variable, factor: Variable) -> TensorVariable | None:
    node = x.owner
    if node is None or not isinstance(node.op, Elementwise):
        return None
    if node.op == negative:
        weight = _weight(node.inputs[0], factor)
        return None if weight is None else -weight
    if node.op == true_divide:
        above, below = node.inputs
        weight = _without_last_axis(above)
        return weight if _is_diagonal(below, factor) else None
    if node.op == multiply:
        x, y = node.inputs
        for one, other in ((x, y), (y, x)):
            weight, scale = _weight(one, factor), _without_last_axis(other)
            if weight is not None and scale is not None:
                return weight * scale
    return None


def _without_last_axis(x: Variable) -> TensorVariable | None:
    """What is the same along the last axis, without it."""
    if x.type.ndim == 0:
        return x
    return x[..., 0] if x.type.shape[-1] == 1 else None


def _is_diagonal(x: Variable, factor: Variable) -> bool:
    node = x.owner
    if node is None or not isinstance(node.op, Diagonal) or node.op.offset != 0:
        return False
    return node.inputs[0] is factor or transposed(factor) is node.inputs[0]


@specialize.node_rule(GramGradient)
def gradient_of_factor_is_a_product(graph: FunctionGraph, node: Apply) -> Variable | None:
    """What is left of GramGradient -> (g + g^H) conj(L), or conj(U) (g + g^H), on the triangle."""
    return node.op.formula(*node.inputs)
