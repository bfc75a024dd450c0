"""What kinds of matrices a variable holds, as far as its op and the kinds of its inputs tell.

The kinds are those of ``families/assumptions.py``, with what follows from them.  Nothing is computed, and nothing is
guessed: a kind that is not told is not known.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from core import dtypes
from core.graph import Apply, Constant, Variable
from core.tensor import DimShuffle, Dot, FromDiagonal, MatMul, TensorType
from core.tensor.arithmetic import abs, add, conj, multiply, square
from core.tensor.elementwise import Elementwise
from core.tensor.functions import exp
from plugin_ops_linalg.families.assembled import BlockDiagonal, Kron
from plugin_ops_linalg.families.assumptions import Assume
from plugin_ops_linalg.families.cholesky import Cholesky
from plugin_ops_linalg.families.determinant import Inv
from plugin_ops_linalg.families.eigen import Eigh
from plugin_ops_linalg.families.qr import QR
from plugin_ops_linalg.families.svd import SVD

Kinds = frozenset[str]

_NONE: Kinds = frozenset()
_FOLLOWS = {  # what each kind implies
    "positive_definite": ("positive_semidefinite", "positive_diagonal"),
    "positive_semidefinite": ("symmetric",),
    "diagonal": ("lower_triangular", "upper_triangular"),
    "permutation": ("orthogonal",),
}
_SWAPPED = {"lower_triangular": "upper_triangular", "upper_triangular": "lower_triangular"}
_LINEAR = ("diagonal", "lower_triangular", "upper_triangular", "positive_diagonal", "symmetric")
_ALL_PARTS = (*_LINEAR, "positive_semidefinite", "positive_definite", "orthogonal", "permutation")

_known: WeakKeyDictionary[Variable, Kinds] = WeakKeyDictionary()


def kinds(variable: Variable) -> Kinds:
    """What is known of the matrices in the last two axes of ``variable``.  Does not recurse."""
    pending = [variable]
    while pending:
        current = pending[-1]
        node = current.owner
        needed = [] if current in _known or node is None else [x for x in node.inputs if x not in _known]
        if needed:
            pending.extend(needed)
            continue
        pending.pop()
        if current not in _known:
            _known[current] = closed(_told(current), current)
    return _known[variable]


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
    if "diagonal" in found and (_is_real(variable) or "positive_diagonal" in found):
        found.add("symmetric")
        if "positive_diagonal" in found:
            found.update(("positive_definite", "positive_semidefinite"))
    return frozenset(found)


def _told(variable: Variable) -> Kinds:
    node = variable.owner
    if node is None or not isinstance(variable.type, TensorType) or variable.type.ndim < 2:
        return _NONE
    for op, tell in _TELL:
        if isinstance(node.op, op):
            return frozenset(tell(node, variable.index or 0))
    return _NONE


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
    """Whether a scalar is a constant above 0, or exp of something."""
    if isinstance(scalar, Constant):
        return bool(np.all(np.isreal(scalar.data) & (np.real(scalar.data) > 0)))
    return scalar.owner is not None and scalar.owner.op == exp and _is_real(scalar)


def _is_not_negative(scalar: Variable) -> bool:
    owner = scalar.owner
    return _is_positive(scalar) or (owner is not None and owner.op in (square, abs) and _is_real(owner.inputs[0]))


# --- what each op tells ----------------------------------------------------------------------------------------------


def _transpose(node: Apply, index: int) -> Any:
    if transposed(node.outputs[0]) is None:
        return _NONE
    return {_SWAPPED.get(kind, kind) for kind in kinds(node.inputs[0])}


def _product(node: Apply, index: int) -> Any:
    pair = factors(node.outputs[0])
    if pair is None:
        return _NONE
    x, y = kinds(pair[0]), kinds(pair[1])
    both = x & y
    found = {kind for kind in ("diagonal", "orthogonal", "permutation") if kind in both}
    for triangle in ("lower_triangular", "upper_triangular"):
        if triangle in both:
            found.add(triangle)
            found.update({"positive_diagonal"} & both)
    if is_adjoint(*pair):
        found.add("positive_semidefinite")
        if any("positive_diagonal" in k and k & {"lower_triangular", "upper_triangular"} for k in (x, y)):
            found.add("positive_definite")
    return found


def _elementwise(node: Apply, index: int) -> Any:
    matrices = [x for x in node.inputs if _spread(x) is None]
    if not matrices or any(x.type.ndim < 2 or None in x.type.shape[-2:] and len(matrices) > 1 for x in matrices):
        return _NONE  # of two unknown lengths one may be 1, and then its matrix is repeated
    if any(x.type.shape[-2:] != matrices[0].type.shape[-2:] for x in matrices):
        return _NONE
    common = frozenset.intersection(*(kinds(x) for x in matrices))
    found = {"symmetric"} & common if all(map(_is_real, node.inputs)) else set()
    if node.op == add and len(matrices) == len(node.inputs):
        found |= common & {*_LINEAR, "positive_semidefinite", "positive_definite"}
        if all("positive_semidefinite" in kinds(x) for x in matrices):
            found |= {"positive_definite"} & frozenset.union(*map(kinds, matrices))
    if node.op == multiply and len(matrices) == 1:
        found |= common & {"diagonal", "lower_triangular", "upper_triangular"}
        scalars = [s for x in node.inputs if (s := _spread(x)) is not None]
        if all(map(_is_positive, scalars)):
            found |= common & {"positive_diagonal", "positive_definite", "symmetric"}
        if all(map(_is_not_negative, scalars)):
            found |= common & {"positive_semidefinite"}
    return found


def _svd_is_square(node: Apply, index: int) -> bool:
    return node.op.full_matrices or (node.op.compute_uv and _is_square(node.outputs[index]))


def _parts(node: Apply, index: int) -> Any:
    """Of Kronecker products and block diagonals: what all of the parts are."""
    common = frozenset.intersection(*map(kinds, node.inputs))
    return common & set(_ALL_PARTS)


_TELL: tuple[tuple[type, Callable[[Apply, int], Any]], ...] = (
    (Assume, lambda node, index: {*node.op.kinds, *kinds(node.inputs[0])}),
    (DimShuffle, _transpose),
    (Dot, _product),
    (MatMul, _product),
    (Elementwise, _elementwise),
    (FromDiagonal, lambda node, index: {"diagonal"} if node.op.offset == 0 else _NONE),
    (Cholesky, lambda node, index: {f"{'lower' if node.op.lower else 'upper'}_triangular", "positive_diagonal"}),
    (Inv, lambda node, index: kinds(node.inputs[0])),
    (Kron, _parts),
    (BlockDiagonal, _parts),
    (Eigh, lambda node, index: {"orthogonal"} if index == 1 else _NONE),
    (
        QR,
        lambda node, index: (
            {"orthogonal"}
            if index == 0 and node.op.mode != "r" and _is_square(node.outputs[0])
            else {"upper_triangular"}
            if index == len(node.outputs) - 1 and not node.op.pivoting
            else _NONE
        ),
    ),
    (SVD, lambda node, index: {"orthogonal"} if index != 1 and _svd_is_square(node, index) else _NONE),
)
