"""Products of several matrices and powers of one; inverses and systems of tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core.errors import ArgumentError, ShapeError
from core.tensor import (
    TensorVariable,
    as_tensor,
    broadcast_to,
    matmul,
    moveaxis,
    ravel,
    reshape,
    shape_of,
    specify_shape,
    stack,
)
from core.tensor import outer as flat_outer
from core.tensor.shape import length_product
from core.tensor.type import normalize_axis
from plugin_ops_linalg.errors import LinAlgError
from plugin_ops_linalg.families.determinant import inv
from plugin_ops_linalg.families.solve import solve
from plugin_ops_linalg.matrices import identity_like, product

__all__ = ["cross", "matrix_dot", "matrix_power", "multi_dot", "outer", "tensorinv", "tensorsolve"]


def matrix_power(a: Any, n: int) -> TensorVariable:
    """The product of ``n`` factors ``a``, or of -n inverses, by repeated squaring; the identity for n = 0.

    Errors  LinAlgError unless the matrices are square; ArgumentError unless n is an int.
    """
    a = as_tensor(a)
    if isinstance(n, bool) or not hasattr(n, "__index__"):
        raise ArgumentError(f"matrix_power needs an int as n, got {n!r} of type {type(n).__name__}")
    require_square("matrix_power", a)
    exponent = int(n)
    if exponent == 0:
        return broadcast_to(identity_like(a), shape_of(a))
    square, factors = inv(a) if exponent < 0 else a, []
    remaining = abs(exponent)
    while remaining:
        if remaining % 2:
            factors.append(square)
        square, remaining = matmul(square, square), remaining // 2
    return product(*factors)


def require_square(who: str, a: TensorVariable) -> None:
    """Errors: ShapeError for ndim < 2; LinAlgError where the last two lengths are known to differ."""
    if a.ndim < 2:
        raise ShapeError(f"{who} needs ndim >= 2, but {a} has ndim={a.ndim}", blame=a)
    m, n = a.type.shape[-2:]
    if m is not None and n is not None and m != n:
        raise LinAlgError(f"{who} needs square matrices, got shape {a.type.shape}", blame=a)


def multi_dot(arrays: Sequence[Any]) -> TensorVariable:
    """The product of two or more matrices, in the order that costs least where all shapes are known, else from the
    left, or from the right where the last is a vector.

    The first and the last may be vectors: a row and a column.  Errors: ArgumentError for fewer than two; ShapeError.
    Source  Cormen et al. (2009), section 15.2.
    """
    factors = [as_tensor(x) for x in arrays]
    if len(factors) < 2:
        raise ArgumentError(f"multi_dot needs two matrices at least, got {len(factors)}")
    for position, x in enumerate(factors):
        allowed = (1, 2) if position in (0, len(factors) - 1) else (2,)
        if x.ndim not in allowed:
            raise ShapeError(
                f"multi_dot needs ndim {' or '.join(map(str, allowed))} of factor {position}, got {x.ndim}", blame=x
            )
    lengths = [factors[0].type.shape[0] if factors[0].ndim == 2 else 1, *(x.type.shape[0] for x in factors[1:])]
    if factors[0].ndim == 1:
        lengths[1] = factors[0].type.shape[0] if lengths[1] is None else lengths[1]
    lengths.append(factors[-1].type.shape[1] if factors[-1].ndim == 2 else 1)
    if None not in lengths:
        return _in_best_order(factors, lengths)  # type: ignore[arg-type]
    if factors[-1].ndim == 1:
        out = factors[-1]
        for x in reversed(factors[:-1]):
            out = matmul(x, out)
        return out
    return product(*factors)


def _in_best_order(factors: Sequence[TensorVariable], lengths: Sequence[int]) -> TensorVariable:
    n = len(factors)
    cost = {(i, i): 0 for i in range(n)}
    where: dict[tuple[int, int], int] = {}
    for span in range(1, n):
        for i in range(n - span):
            j = i + span
            choices = [
                (cost[i, k] + cost[k + 1, j] + lengths[i] * lengths[k + 1] * lengths[j + 1], k) for k in range(i, j)
            ]
            cost[i, j], where[i, j] = min(choices)

    def made(i: int, j: int) -> TensorVariable:
        return factors[i] if i == j else matmul(made(i, where[i, j]), made(where[i, j] + 1, j))

    return made(0, n - 1)


def matrix_dot(*factors: Any) -> TensorVariable:
    """The product of the factors, as ``multi_dot``; Theano's name."""
    return multi_dot(factors)


def outer(x1: Any, x2: Any) -> TensorVariable:
    """All products of an element of one vector and one of the other: (m,) and (n,) to (m, n).  Errors: ShapeError."""
    x1, x2 = as_tensor(x1), as_tensor(x2)
    for x in (x1, x2):
        if x.ndim != 1:
            raise ShapeError(f"outer needs vectors, but {x} has ndim={x.ndim}", blame=x)
    return flat_outer(x1, x2)


def cross(x1: Any, x2: Any, axis: int = -1) -> TensorVariable:
    """The vector product of vectors of length 3 along ``axis``; the other axes broadcast.

    Errors  ShapeError where a length along the axis is known not to be 3; AxisError.
    """
    moved = []
    for x in (as_tensor(x1), as_tensor(x2)):
        x = moveaxis(x, normalize_axis(axis, x, op="cross"), -1)
        if x.type.shape[-1] not in (None, 3):
            raise ShapeError(f"cross needs length 3 along axis {axis}, got shape {x.type.shape}", blame=x)
        moved.append(specify_shape(x, [*(None,) * (x.ndim - 1), 3]))
    a, b = moved
    parts = [a[..., i] * b[..., j] - a[..., j] * b[..., i] for i, j in ((1, 2), (2, 0), (0, 1))]
    return moveaxis(stack(parts, axis=-1), -1, axis)


def tensorsolve(a: Any, b: Any, axes: Any = None, on_error: str | None = None) -> TensorVariable:
    """x with tensordot(a, x, x.ndim) = b, where ``a`` has the axes of b and then those of x, as in NumPy.

    axes  axes of a to be moved behind the others first.
    """
    a, b = as_tensor(a), as_tensor(b)
    if axes is not None:
        moved = [normalize_axis(axis, a, op="tensorsolve") for axis in axes]
        a = moveaxis(a, moved, list(range(a.ndim - len(moved), a.ndim)))
    of_x = shape_of(a)[b.ndim :]
    n = length_product(of_x)
    x = solve(reshape(a, (length_product(shape_of(a)[: b.ndim]), n)), ravel(b), on_error=on_error)
    return reshape(x, of_x, ndim=len(of_x))


def tensorinv(a: Any, ind: int = 2, on_error: str | None = None) -> TensorVariable:
    """The inverse of ``a`` for tensordot over ``ind`` axes: the first ``ind`` axes are those of the result's end.

    Errors  ArgumentError unless ind is positive; LinAlgError unless both groups of axes have one size.
    """
    a = as_tensor(a)
    if ind <= 0:
        raise ArgumentError(f"tensorinv needs ind > 0, got {ind}")
    front, behind = shape_of(a)[:ind], shape_of(a)[ind:]
    y = inv(reshape(a, (length_product(front), length_product(behind))), on_error=on_error)
    return reshape(y, (*behind, *front), ndim=a.ndim)
