"""What kinds of matrices a variable holds, as far as its op and the kinds of its inputs tell.

The kinds are those of ``families/assumptions.py``, what follows from them, "square", and "orthonormal_columns" and
"_rows", of matrices that need not be.  Nothing is computed, and nothing is guessed: what is not told is not known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from core import dtypes
from core.graph import Apply, Constant, FunctionGraph, Variable
from core.tensor import DimShuffle, Dot, FromDiagonal, MatMul, TensorType
from core.tensor.arithmetic import Cast, abs, add, conj, multiply, negative, square, subtract, true_divide
from core.tensor.elementwise import Elementwise
from core.tensor.functions import exp
from core.tensor.logic import where
from core.tensor.rules.lengths import lengths
from plugin_ops_linalg import masks
from plugin_ops_linalg.families.assembled import BlockDiagonal, Kron
from plugin_ops_linalg.families.assumptions import Assume
from plugin_ops_linalg.families.cholesky import Cholesky, CholeskyInverse
from plugin_ops_linalg.families.determinant import Inv
from plugin_ops_linalg.families.eigen import Eigh
from plugin_ops_linalg.families.qr import QR
from plugin_ops_linalg.families.schur import Schur
from plugin_ops_linalg.families.svd import SVD
from plugin_ops_linalg.families.triangular import SolveTriangular

Kinds = frozenset[str]

_NONE: Kinds = frozenset()
_FOLLOWS = {  # what each kind implies
    "positive_definite": ("positive_semidefinite", "positive_diagonal"),
    "positive_semidefinite": ("symmetric",),
    "symmetric": ("square",),
    "orthogonal": ("square", "orthonormal_columns", "orthonormal_rows"),
    "diagonal": ("lower_triangular", "upper_triangular"),
    "permutation": ("orthogonal",),
}
_SWAPPED = {
    "lower_triangular": "upper_triangular",
    "upper_triangular": "lower_triangular",
    "orthonormal_columns": "orthonormal_rows",
    "orthonormal_rows": "orthonormal_columns",
}
_TRIANGLES = frozenset(("lower_triangular", "upper_triangular"))
_LINEAR = ("diagonal", "lower_triangular", "upper_triangular", "positive_diagonal", "symmetric")
_ALL_PARTS = (*_LINEAR, "positive_semidefinite", "positive_definite", "orthogonal", "permutation")

_known: WeakKeyDictionary[Any, dict[Variable, Kinds]] = WeakKeyDictionary()  # by graph
_anywhere: WeakKeyDictionary[Variable, Kinds] = WeakKeyDictionary()  # without one


def kinds(variable: Variable, graph: FunctionGraph | None = None) -> Kinds:
    """What is known of the matrices in the last two axes of ``variable``.  Does not recurse.

    ``graph`` tells which lengths are equal where types do not say it.
    """
    known = _anywhere if graph is None else _known.setdefault(graph, {})
    pending = [variable]
    while pending:
        current = pending[-1]
        node = current.owner
        needed = [] if current in known or node is None else [x for x in node.inputs if x not in known]
        if needed:
            pending.extend(needed)
            continue
        pending.pop()
        if current not in known:
            known[current] = closed(_told(current, _Known(known, graph)), current)
    return known[variable]


class _Known:
    """What is known of the inputs of a node: ``known(x)`` are the kinds of one of them."""

    def __init__(self, known: Any, graph: FunctionGraph | None):
        self._known, self._graph = known, graph

    def __call__(self, x: Variable) -> Kinds:
        return self._known[x]

    def of_one_shape(self, matrices: Sequence[Variable]) -> bool:
        """Whether the matrices are surely of one shape, so that none is repeated."""
        first, *others = matrices
        return all(self._lengths(x) == self._lengths(first) for x in others) and (
            not others or self._lengths(first) is not None
        )

    def is_square(self, x: Variable) -> bool:
        found = self._lengths(x)
        return found is not None and found[0] == found[1]

    def _lengths(self, x: Variable) -> tuple | None:
        """Descriptions of the last two lengths; None where nothing is known."""
        own = x.type.shape[-2:]
        if None not in own:
            return own
        return None if self._graph is None else lengths(self._graph, x)[-2:]


def closed(given: Kinds, variable: Variable) -> Kinds:
    """``given`` with all that follows."""
    found, pending = set(), list(given)
    while pending:
        kind = pending.pop()
        if kind not in found:
            found.add(kind)
            pending.extend(_FOLLOWS.get(kind, ()))
    if {"lower_triangular", "upper_triangular"} <= found:
        found.add("diagonal")
    if {"diagonal", "square"} <= found and (_is_real(variable) or "positive_diagonal" in found):
        found.add("symmetric")
        if "positive_diagonal" in found:
            found.update(("positive_definite", "positive_semidefinite"))
    return frozenset(found)


def _told(variable: Variable, known: _Known) -> Kinds:
    node = variable.owner
    if node is None or not isinstance(variable.type, TensorType) or variable.type.ndim < 2:
        return _NONE
    square = {"square"} if known.is_square(variable) else _NONE
    for op, tell in _TELL:
        if isinstance(node.op, op):
            return frozenset({*tell(node, variable.index or 0, known), *square})
    return frozenset(square)


def _is_real(variable: Variable) -> bool:
    return variable.type.dtype not in dtypes.COMPLEXES


def _is_square(variable: Variable) -> bool:
    m, n = variable.type.shape[-2:]
    return m is not None and m == n


# --- matching --------------------------------------------------------------------------------------------------------


def transposed(variable: Variable) -> Variable | None:
    """What ``variable`` is the transpose of, matrix by matrix, or None."""
    node = variable.owner
    if node is None or not isinstance(node.op, DimShuffle):
        return None
    n = variable.type.ndim
    return node.inputs[0] if n >= 2 and node.op.pattern == (*range(n - 2), n - 1, n - 2) else None


def factors(variable: Variable) -> tuple[Variable, Variable] | None:
    """The two matrices that ``variable`` is the product of, or None; vectors do not count."""
    node = variable.owner
    if node is None or not isinstance(node.op, (Dot, MatMul)):
        return None
    x, y = node.inputs
    return (x, y) if x.type.ndim >= 2 and y.type.ndim >= 2 else None


def is_adjoint(x: Variable, y: Variable) -> bool:
    """Whether ``x`` is surely the conjugate transpose of ``y``."""
    return x in _adjoints(y) or y in _adjoints(x)


def _adjoints(y: Variable) -> list[Variable]:
    """Variables that are the conjugate transpose of ``y``, seen from how ``y`` was made."""
    if y.owner is not None and y.owner.op == conj:
        inner = transposed(y.owner.inputs[0])
        return [] if inner is None else [inner]
    inner = transposed(y)
    if inner is None:
        return [y] if "symmetric" in kinds(y) else []
    if _is_real(y):
        return [inner]
    return [inner.owner.inputs[0]] if inner.owner is not None and inner.owner.op == conj else []


def _spread(variable: Variable) -> Variable | None:
    """The scalar that ``variable`` repeats along the last two axes, or None."""
    if variable.type.ndim == 0:
        return variable
    if variable.type.shape[-2:] != (1, 1):
        return None
    node = variable.owner
    return node.inputs[0] if node is not None and isinstance(node.op, DimShuffle) else variable


def _is_positive(scalar: Variable) -> bool:
    """Whether a scalar is a constant above 0, exp of something, or made of such by sums, products and quotients."""
    return _has_sign(scalar, lambda constant: constant > 0, (exp,))


def _is_not_negative(scalar: Variable) -> bool:
    """As ``_is_positive``, squares and absolute values included."""
    return _has_sign(scalar, lambda constant: constant >= 0, (exp, square, abs))


def _has_sign(scalar: Variable, holds: Callable[[float], bool], functions: Sequence[Any], depth: int = 0) -> bool:
    if isinstance(scalar, Constant):
        return bool(np.all(np.isreal(scalar.data))) and all(holds(float(v.real)) for v in np.ravel(scalar.data))
    node = scalar.owner
    if node is None or not _is_real(scalar) or depth > 20:
        return False
    if isinstance(node.op, (DimShuffle, Cast)) or node.op in (add, multiply, true_divide):
        return all(_has_sign(x, holds, functions, depth + 1) for x in node.inputs)
    return node.op in functions and _is_real(node.inputs[0])


# --- what each op tells ----------------------------------------------------------------------------------------------


def _transpose(node: Apply, index: int, known: _Known) -> Any:
    if transposed(node.outputs[0]) is None:
        return _NONE
    return {_SWAPPED.get(kind, kind) for kind in known(node.inputs[0])}


def _product(node: Apply, index: int, known: _Known) -> Any:
    pair = factors(node.outputs[0])
    if pair is None:
        return _NONE
    x, y = known(pair[0]), known(pair[1])
    both = x & y
    found = set(both & {"square", "diagonal", "orthogonal", "permutation", "orthonormal_columns", "orthonormal_rows"})
    for triangle in _TRIANGLES:
        if triangle in both:
            found.add(triangle)
            found.update({"positive_diagonal"} & both)
    if is_adjoint(*pair):
        found.add("positive_semidefinite")
        if any("positive_diagonal" in k and k & _TRIANGLES for k in (x, y)):
            found.add("positive_definite")
    return found


def _elementwise(node: Apply, index: int, known: _Known) -> Any:
    matrices = [x for x in node.inputs if _spread(x) is None]
    if isinstance(node.op, Cast):
        return _cast(node, known)
    if not matrices or any(x.type.ndim < 2 for x in matrices) or not known.of_one_shape(matrices):
        return _NONE  # of two unknown lengths one may be 1, and then its matrix is repeated
    found = {"square"} & frozenset.union(*map(known, matrices))
    if node.op == where:
        return found | _where(node, known)
    common = frozenset.intersection(*map(known, matrices))
    if all(map(_is_real, node.inputs)):
        found |= {"symmetric"} & common
    if len(matrices) == len(node.inputs):
        found |= _of_matrices(node.op, [known(x) for x in matrices], common)
    elif len(matrices) == 1 and (node.op == multiply or (node.op == true_divide and matrices[0] is node.inputs[0])):
        scalars = [s for x in node.inputs if (s := _spread(x)) is not None]
        found |= _scaled(common, scalars)
    return found


def _of_matrices(op: Any, of_each: Sequence[Kinds], common: Kinds) -> set[str]:
    """Of sums, differences and elementwise products of matrices of one shape."""
    either = frozenset.union(*of_each)
    if op == add:
        found = set(common & {*_LINEAR, "positive_semidefinite", "positive_definite"})
        if "positive_semidefinite" in common:
            found |= {"positive_definite"} & either
        return found
    if op in (subtract, negative):
        return set(common & {*_LINEAR} - {"positive_diagonal"})
    if op == multiply:  # Schur's theorem: Horn, Johnson (2013), 7.5.3
        zeros = either & {"diagonal", *_TRIANGLES}
        return set(zeros | common & {"positive_diagonal", "positive_semidefinite", "positive_definite"})
    return set()


def _scaled(of_matrix: Kinds, scalars: Sequence[Variable]) -> set[str]:
    """Of a matrix times scalars, or divided by them."""
    found = set(of_matrix & {"diagonal", *_TRIANGLES})
    if all(map(_is_positive, scalars)):
        found |= of_matrix & {"positive_diagonal", "positive_definite", "symmetric"}
    if all(map(_is_not_negative, scalars)):
        found |= of_matrix & {"positive_semidefinite"}
    return found


def _where(node: Apply, known: _Known) -> Any:
    """Of ``tril`` and ``triu``: where(mask, x, 0) and where(mask, 0, x)."""
    mask, x, y = node.inputs
    band, rest = masks.where_true(mask), x
    if masks.number(y) != 0:
        band, rest = masks.where_false(mask), y
        if masks.number(x) != 0:
            return _NONE
    of_rest = known(rest) if rest.type.ndim >= 2 else _NONE
    found = set(of_rest & {"diagonal", *_TRIANGLES}) | _of_band(band)
    if band[0] <= 0 <= band[1]:
        found |= of_rest & {"positive_diagonal"}
    return found


def _cast(node: Apply, known: _Known) -> Any:
    """Of ``eye``, which casts a comparison; of others what their zeros tell."""
    (x,), out = node.inputs, node.out.type.dtype
    if x.type.dtype == "bool":
        band = masks.where_true(x)
        found = _of_band(band)
        if band == (0, 0):
            found |= {"positive_diagonal", *(["permutation"] if known.is_square(node.out) else [])}
        return found
    lossless = {x.type.dtype, out} <= set(dtypes.CONTINUOUS)
    return known(x) & {"square", "diagonal", *_TRIANGLES, *(_ALL_PARTS if lossless and out == x.type.dtype else ())}


def _of_band(band: masks.Interval) -> set[str]:
    found = set()
    if band[1] <= 0:
        found.add("lower_triangular")
    if band[0] >= 0:
        found.add("upper_triangular")
    return found


def _inverse(node: Apply, index: int, known: _Known) -> Any:
    """Of an inverse: the same, but that a positive diagonal alone tells nothing of it."""
    of_matrix = known(node.inputs[0])
    keeps = of_matrix & {*_TRIANGLES, "positive_definite", "permutation"}
    if "positive_semidefinite" in of_matrix:  # what has an inverse has no eigenvalue 0
        of_matrix |= {"positive_definite"}
    return of_matrix if keeps else of_matrix - {"positive_diagonal"}


def _system(node: Apply, index: int, known: _Known) -> Any:
    """Of solve_triangular: triangular where both matrices are."""
    op = node.op
    triangle = "lower_triangular" if op.lower == (op.trans == "N") else "upper_triangular"
    return known(node.inputs[1]) & {triangle}


def _parts(node: Apply, index: int, known: _Known) -> Any:
    """Of Kronecker products and block diagonals: what all of the parts are."""
    common = frozenset.intersection(*map(known, node.inputs))
    return common & {"square", *_ALL_PARTS, "orthonormal_columns", "orthonormal_rows"}


def _qr(node: Apply, index: int, known: _Known) -> Any:
    if index == 0 and node.op.mode != "r":
        return {"orthogonal"} if node.op.mode == "complete" or _is_square(node.outputs[0]) else {"orthonormal_columns"}
    last = len(node.outputs) - (2 if node.op.pivoting else 1)
    return {"upper_triangular"} if index == last else _NONE


def _svd(node: Apply, index: int, known: _Known) -> Any:
    if index == 1 or not node.op.compute_uv:
        return _NONE
    if node.op.full_matrices or _is_square(node.outputs[index]):
        return {"orthogonal"}
    return {"orthonormal_columns" if index == 0 else "orthonormal_rows"}


def _laid_out(node: Apply, index: int, known: _Known) -> Any:
    if node.op.offset != 0:
        return _NONE
    _, rows, columns = node.inputs
    return {"diagonal", *(["square"] if rows is columns else [])}


def _triangle(op: Any) -> str:
    return "lower_triangular" if op.lower else "upper_triangular"


_TELL: tuple[tuple[type, Callable[[Apply, int, _Known], Any]], ...] = (
    (Assume, lambda node, index, known: {"square", *node.op.kinds, *known(node.inputs[0])}),
    (DimShuffle, _transpose),
    (Dot, _product),
    (MatMul, _product),
    (Elementwise, _elementwise),
    (FromDiagonal, _laid_out),
    (Cholesky, lambda node, index, known: {_triangle(node.op), "positive_diagonal", "square"}),
    (CholeskyInverse, lambda node, index, known: {"positive_definite"} if node.op.whole else {_triangle(node.op)}),
    (SolveTriangular, _system),
    (Inv, _inverse),
    (Kron, _parts),
    (BlockDiagonal, _parts),
    (Eigh, lambda node, index, known: {"orthogonal"} if index == 1 else _NONE),
    (Schur, lambda node, index, known: {"orthogonal"} if index == 1 else _NONE),
    (QR, _qr),
    (SVD, _svd),
)
