"""Products beside those of core.tensor.products: cross and Kronecker products; blocks; a function along an axis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from core.errors import ShapeError
from core.tensor.constructors import vector
from core.tensor.dimshuffle import expand_dims, moveaxis, swapaxes
from core.tensor.indexing import getitem
from core.tensor.join import concatenate, stack
from core.tensor.products import matmul
from core.tensor.reshape import reshape
from core.tensor.shape import length_product, shape_of
from core.tensor.type import TensorVariable, as_tensor, normalize_axis
from core.tensor.vectorize import vectorize_graph

__all__ = ["apply_along_axis", "block", "cross", "kron", "matrix_transpose", "matvec", "vecmat"]


def cross(a: Any, b: Any, axis: int = -1) -> TensorVariable:
    """The vector product along ``axis``, which both have with length 3; the other axes broadcast.

    Errors  AxisError;  ShapeError for a length that is known to be another one.
    """
    parts = []
    for x in map(as_tensor, (a, b)):
        place = normalize_axis(axis, x, op="cross")
        if x.type.shape[place] not in (None, 3):
            raise ShapeError(f"cross needs length 3 along axis {axis}, but {x} has {x.type.shape[place]}", blame=x)
        parts.append([getitem(moveaxis(x, place, -1), (..., k)) for k in range(3)])
    (a0, a1, a2), (b0, b1, b2) = parts
    out = stack([a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0], axis=-1)
    return moveaxis(out, -1, axis)


def kron(a: Any, b: Any) -> TensorVariable:
    """The Kronecker product: ``b`` times each element of ``a``, in the place of that element."""
    a, b = as_tensor(a), as_tensor(b)
    ndim = max(a.ndim, b.ndim)
    a, b = (expand_dims(x, list(range(ndim - x.ndim))) if x.ndim < ndim else x for x in (a, b))
    rows, columns = shape_of(a), shape_of(b)
    product = expand_dims(a, list(range(1, 2 * ndim, 2))) * expand_dims(b, list(range(0, 2 * ndim, 2)))
    return reshape(product, [n * m for n, m in zip(rows, columns, strict=True)]) if ndim else product


def matrix_transpose(x: Any) -> TensorVariable:
    """The last two axes exchanged.  Errors: ShapeError for ndim < 2."""
    x = as_tensor(x)
    if x.ndim < 2:
        raise ShapeError(f"matrix_transpose needs ndim >= 2, but {x} has ndim={x.ndim}", blame=x)
    return swapaxes(x, -1, -2)


def matvec(x: Any, y: Any) -> TensorVariable:
    """Matrices times vectors, (..., m, n) and (..., n); the leading axes broadcast."""
    return getitem(matmul(x, expand_dims(as_tensor(y), -1)), (..., 0))


def vecmat(x: Any, y: Any) -> TensorVariable:
    """Vectors, conjugated, times matrices, (..., m) and (..., m, n); the leading axes broadcast."""
    return getitem(matmul(expand_dims(as_tensor(x).conj(), -2), y), (..., 0, slice(None)))


def block(nested: Any) -> TensorVariable:
    """Tensors put together as nested lists say: the innermost lists along the last axis, their lists along that before.

    Errors  ShapeError for an empty list, and where lists and tensors are mixed.
    """
    depth = _depth(nested)
    widest = max(depth, _widest(nested))
    return _joined(nested, depth, depth, widest)


def _depth(nested: Any) -> int:
    if not isinstance(nested, list):
        return 0
    depths = {_depth(inner) for inner in nested}
    if len(depths) != 1:
        raise ShapeError(f"block needs lists of equal depth that are not empty, got depths {sorted(depths)}")
    return depths.pop() + 1


def _widest(nested: Any) -> int:
    return max(map(_widest, nested)) if isinstance(nested, list) else as_tensor(nested).ndim


def _joined(nested: Any, left: int, depth: int, ndim: int) -> TensorVariable:
    if not left:
        x = as_tensor(nested)
        return expand_dims(x, list(range(ndim - x.ndim))) if x.ndim < ndim else x
    parts = [_joined(inner, left - 1, depth, ndim) for inner in nested]
    return concatenate(parts, axis=ndim - left)


def apply_along_axis(func1d: Callable[[TensorVariable], Any], axis: int, x: Any) -> TensorVariable:
    """``func1d``, of a vector, on each line of ``x`` along ``axis``; what it gives takes the place of that axis.

    Errors  AxisError;  ArgumentError naming an op in it that has no ``batch``.
    """
    x = as_tensor(x)
    axis = normalize_axis(axis, x, op="apply_along_axis")
    lines = moveaxis(x, axis, -1)
    front = shape_of(lines)[:-1]
    line = vector("line", dtype=x.dtype)
    found = as_tensor(func1d(line))
    out = vectorize_graph(found, {line: reshape(lines, [length_product(front), shape_of(lines)[-1]])})
    out = reshape(out, [*front, *shape_of(out)[1:]])
    return moveaxis(out, list(range(len(front), out.ndim)), list(range(axis, axis + out.ndim - len(front))))
