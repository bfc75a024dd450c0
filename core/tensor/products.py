"""Products of vectors and matrices: Dot, the stacked MatMul, and NumPy's functions made of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core import dtypes
from core.errors import ShapeError
from core.graph import Apply, Variable
from core.ir.axes import reduce, same_length
from core.ir.codes import Combine
from core.ir.expr import Expr, cast
from core.ir.library import LibraryCall
from core.ir.view import View, broadcast_shapes, broadcast_to
from core.op import Op
from core.tensor.arithmetic import conj
from core.tensor.create import is_identity
from core.tensor.dimshuffle import dimshuffle, expand_dims, squeeze, swapaxes, transpose
from core.tensor.elementwise import broadcast_length
from core.tensor.reshape import ravel, reshape
from core.tensor.shape import input_gradient, length_product, shape_i, specify_shape
from core.tensor.stacks import in_front
from core.tensor.type import TensorType, TensorVariable, as_tensor, broadcast_static, normalize_axis
from core.tensor.unbroadcast import unbroadcast

__all__ = [
    "Dot",
    "MatMul",
    "batched_dot",
    "dot",
    "inner",
    "matmul",
    "outer",
    "tensordot",
    "vdot",
    "vecdot",
]


_IN_LIBRARIES = ("float32", "float64", *dtypes.COMPLEXES)


class Dot(Op):
    """Sums of products over the last axis of ``x`` and the first of ``y``.

    Inputs  x: tensor (k,) or (m, k); y: tensor (k,) or (k, n).
    Output  shape of x without k, then shape of y without k; the promoted dtype.  bool: whether any pair is true.
    Errors  ShapeError for other ndims, or when the two k differ: at once where both are known, else when it runs.
    Source  Error at most k eps |x| |y| for any order of summation: Higham (2002), section 3.1.
    """

    __props__ = ()

    def make_node(self, x: Any, y: Any) -> Apply:
        x, y = as_tensor(x), as_tensor(y)
        for operand in (x, y):
            if operand.ndim not in (1, 2):
                raise ShapeError(f"{self} needs ndim 1 or 2, but {operand} has ndim={operand.ndim}", blame=operand)
        _check_inner(self, x, y, 0)
        shape = (*x.type.shape[:-1], *y.type.shape[1:])
        return Apply(self, [x, y], [TensorType(dtypes.promote(x.dtype, y.dtype), shape)])

    def perform(self, node: Apply, inputs: Sequence[np.ndarray], output_storage: Sequence[list]) -> None:
        x, y = inputs
        if x.shape[-1] != y.shape[0]:
            raise ShapeError(
                f"{self} cannot multiply shapes {x.shape} and {y.shape}: {x.shape[-1]} is not {y.shape[0]}", blame=node
            )
        with np.errstate(all="ignore"):
            output_storage[0][0] = np.asarray(np.matmul(x, y))

    def infer_shape(self, node: Apply, input_shapes: Sequence[tuple]) -> list[tuple]:
        x, y = input_shapes
        return [(*x[:-1], *y[1:])]

    def lower(self, node: Apply, x: View, y: View) -> View:
        k, rows = same_length(x.shape[-1], y.shape[0]), x.ndim - 1

        def at(index: tuple[Expr, ...]) -> Expr:
            return _sum_of_products(node.out.dtype, k, lambda i: (x.at((*index[:rows], i)), y.at((i, *index[rows:]))))

        return View(node.out.dtype, (*x.shape[:-1], *y.shape[1:]), at)

    def library_call(self, node: Apply) -> LibraryCall | None:
        x, y = node.inputs
        if x.dtype != y.dtype or x.dtype not in _IN_LIBRARIES or x.ndim == y.ndim == 1:
            return None
        inner = ((0, -1), (1, -y.ndim))
        if x.ndim == y.ndim:
            return LibraryCall(_routine("gemm", x.dtype), same=(inner,))
        return LibraryCall(_routine("gemv", x.dtype), same=(inner,), stored=(0 if x.ndim == 2 else 1,))

    def grad(self, inputs: Sequence[TensorVariable], output_grads: Sequence[Variable]) -> list[Variable]:
        """d(xy) = dx y + x dy, so g y^T and x^T g; an outer product where an operand is a vector."""
        x, y = inputs
        (g,) = output_grads
        gx = g * y if y.ndim == 1 and x.ndim == 1 else _outer(g, y) if y.ndim == 1 else Dot()(g, transpose(y))
        gy = g * x if y.ndim == 1 and x.ndim == 1 else _outer(x, g) if x.ndim == 1 else Dot()(transpose(x), g)
        return [input_gradient(x, gx), input_gradient(y, gy)]

    def R_op(self, inputs: Sequence[TensorVariable], eval_points: Sequence[Variable | None]) -> list[Variable | None]:
        """The product rule: dx y + x dy."""
        return [_product_rule(self, inputs, eval_points)]

    def batch(self, node: Apply, inputs: Sequence[TensorVariable]) -> list[TensorVariable] | None:
        """One product with a larger matrix where one operand is a stack; of two stacks one product for each pair.

        Unit vectors are the rows of an identity: they pick columns or rows.
        """
        (x, y), (old_x, old_y) = inputs, node.inputs
        if x.ndim == old_x.ndim:
            if is_identity(y):
                return [transpose(x).astype(node.out.dtype)]
            if old_y.ndim == 1:
                return [Dot()(y, transpose(x))]
            return [tensordot(x, y, (0, 1)) if x.ndim == 1 else MatMul()(x, y)]
        if y.ndim == old_y.ndim:
            return [y.astype(node.out.dtype) if is_identity(x) else tensordot(x, y, 1)]
        left = expand_dims(x, 1) if old_x.ndim == 1 else x
        right = expand_dims(y, 2) if old_y.ndim == 1 else y
        gone = [axis for axis, old in ((1, old_x), (2, old_y)) if old.ndim == 1]
        return [squeeze(MatMul()(left, right), gone)]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return _connected(node)

    def flops(self, inputs: Sequence[Any], outputs: Sequence[Any]) -> int | None:
        return 2 * int(np.prod(outputs[0], dtype=np.int64)) * int(inputs[0][-1])


class MatMul(Op):
    """Products of stacked matrices; the leading axes broadcast.

    Inputs  x: tensor (..., m, k); y: tensor (..., k, n), ndim >= 2 each.      Output  (..., m, n), the promoted dtype.
    Errors  ShapeError when the two k differ, or the leading axes do not broadcast.
    """

    __props__ = ()

    def make_node(self, x: Any, y: Any) -> Apply:
        x, y = as_tensor(x), as_tensor(y)
        for operand in (x, y):
            if operand.ndim < 2:
                raise ShapeError(f"{self} needs ndim >= 2, but {operand} has ndim={operand.ndim}", blame=operand)
        _check_inner(self, x, y, -2)
        try:
            lead = broadcast_static(x.type.shape[:-2], y.type.shape[:-2])
        except ShapeError as error:
            raise ShapeError(
                f"{self} cannot broadcast the leading axes of {_named(x)} and {_named(y)}", blame=y
            ) from error
        shape = (*lead, x.type.shape[-2], y.type.shape[-1])
        return Apply(self, [x, y], [TensorType(dtypes.promote(x.dtype, y.dtype), shape)])

    def perform(self, node: Apply, inputs: Sequence[np.ndarray], output_storage: Sequence[list]) -> None:
        x, y = inputs
        try:
            with np.errstate(all="ignore"):
                output_storage[0][0] = np.matmul(x, y)
        except ValueError as error:
            raise ShapeError(f"{self} cannot multiply shapes {x.shape} and {y.shape}: {error}", blame=node) from error

    def infer_shape(self, node: Apply, input_shapes: Sequence[tuple]) -> list[tuple]:
        x, y = input_shapes
        skip = len(x) - len(y)
        lead: list[Any] = []
        for axis in range(node.out.ndim - 2):
            i, j = axis - max(0, -skip), axis - max(0, skip)
            operands = [shape[k] for shape, k in ((x, i), (y, j)) if k >= 0]
            known = node.out.type.shape[axis]
            lead.append(
                known if known is not None else operands[0] if len(operands) == 1 else broadcast_length(*operands)
            )
        return [(*lead, x[-2], y[-1])]

    def lower(self, node: Apply, x: View, y: View) -> View:
        lead = broadcast_shapes(x.shape[:-2], y.shape[:-2])
        k = same_length(x.shape[-1], y.shape[-2])
        left, right = broadcast_to(x, (*lead, *x.shape[-2:])), broadcast_to(y, (*lead, *y.shape[-2:]))

        def at(index: tuple[Expr, ...]) -> Expr:
            *stack, row, column = index
            return _sum_of_products(
                node.out.dtype, k, lambda i: (left.at((*stack, row, i)), right.at((*stack, i, column)))
            )

        return View(node.out.dtype, (*lead, x.shape[-2], y.shape[-1]), at)

    def library_call(self, node: Apply) -> LibraryCall | None:
        x, y = node.inputs
        if x.dtype != y.dtype or x.dtype not in _IN_LIBRARIES:
            return None
        name = _routine("gemm", x.dtype)
        return LibraryCall(name, batch=node.out.ndim - 2, ranks=(2, 2), same=(((0, -1), (1, -2)),))

    def grad(self, inputs: Sequence[TensorVariable], output_grads: Sequence[Variable]) -> list[Variable]:
        """d(xy) = dx y + x dy for each matrix, so g y^T and x^T g, summed over what was broadcast."""
        x, y = inputs
        (g,) = output_grads
        gx = input_gradient(x, self(g, swapaxes(y, -1, -2)))
        gy = input_gradient(y, self(swapaxes(x, -1, -2), g))
        continuous = [z.dtype in dtypes.CONTINUOUS for z in inputs]
        return [
            unbroadcast(gx, x, [_leading(y)]) if continuous[0] else gx,
            unbroadcast(gy, y, [_leading(x)]) if continuous[1] else gy,
        ]

    def R_op(self, inputs: Sequence[TensorVariable], eval_points: Sequence[Variable | None]) -> list[Variable | None]:
        """The product rule: dx y + x dy."""
        return [_product_rule(self, inputs, eval_points)]

    def batch(self, node: Apply, inputs: Sequence[TensorVariable]) -> list[TensorVariable] | None:
        return [self(*(in_front(x, old, node.out.ndim) for x, old in zip(inputs, node.inputs, strict=True)))]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return _connected(node)

    def flops(self, inputs: Sequence[Any], outputs: Sequence[Any]) -> int | None:
        return 2 * int(np.prod(outputs[0], dtype=np.int64)) * int(inputs[0][-1])


def _routine(name: str, dtype: str) -> str:
    """What libraries call a product: not all that multiply real matrices multiply complex ones."""
    return f"complex_{name}" if dtype in dtypes.COMPLEXES else name


def _sum_of_products(dtype: str, k: Expr, factors: Any) -> Expr:
    def term(i: Expr) -> Expr:
        a, b = factors(i)
        return cast(a, dtype) * cast(b, dtype)

    return reduce(Combine.OR if dtype == "bool" else Combine.ADD, [k], term)


def _product_rule(op: Op, inputs: Sequence[Any], eval_points: Sequence[Any]) -> Any:
    (x, y), (dx, dy) = inputs, eval_points
    terms = [op(dx, y)] if dx is not None else []
    terms += [op(x, dy)] if dy is not None else []
    return terms[0] + terms[1] if len(terms) == 2 else terms[0] if terms else None


def _connected(node: Apply) -> list[list[bool]]:
    return [[x.dtype in dtypes.CONTINUOUS] for x in node.inputs]


def _leading(x: TensorVariable) -> TensorVariable:
    """Something that broadcasts like ``x`` along its leading axes, and not at all along the last two."""
    return TensorType(x.dtype, (*x.type.shape[:-2], 1, 1))()


def _outer(a: TensorVariable, b: TensorVariable) -> TensorVariable:
    return dimshuffle(a, 0, "x") * dimshuffle(b, "x", 0)


def _named(x: TensorVariable) -> str:
    return f"{x} with shape ({', '.join('?' if n is None else str(n) for n in x.type.shape)})"


def _check_inner(op: Any, x: TensorVariable, y: TensorVariable, axis: int) -> None:
    n, m = x.type.shape[-1], y.type.shape[axis]
    if n is not None and m is not None and n != m:
        raise ShapeError(f"{op} cannot multiply {_named(x)} and {_named(y)}: {n} is not {m}", blame=y)


# --- NumPy's functions ---------------------------------------------------------------------------------------------


def matmul(x: Any, y: Any) -> TensorVariable:
    """``x @ y``: (..., m, k) and (..., k, n) to (..., m, n); a vector is a row in x, a column in y, and its axis goes.

    Errors: ShapeError, also for a scalar operand.
    """
    x, y = as_tensor(x), as_tensor(y)
    for operand in (x, y):
        if operand.ndim == 0:
            raise ShapeError(f"matmul needs ndim >= 1, but {operand} has ndim=0; use *", blame=operand)
    if x.ndim <= 2 and y.ndim <= 2:
        return Dot()(x, y)
    if x.ndim == 1:
        return squeeze(MatMul()(expand_dims(x, 0), y), -2)
    if y.ndim == 1:
        return squeeze(MatMul()(x, expand_dims(y, 1)), -1)
    return MatMul()(x, y)


def dot(x: Any, y: Any) -> TensorVariable:
    """Sums of products over the last axis of ``x`` and the last but one of ``y`` (its only one, if y is a vector).

    A scalar multiplies.  Errors: ShapeError.
    """
    x, y = as_tensor(x), as_tensor(y)
    if x.ndim == 0 or y.ndim == 0:
        return x * y
    if x.ndim <= 2 and y.ndim <= 2:
        return Dot()(x, y)
    return tensordot(x, y, axes=(x.ndim - 1, max(0, y.ndim - 2)))


def tensordot(x: Any, y: Any, axes: Any = 2) -> TensorVariable:
    """Sums of products over several axes of ``x`` and as many of ``y``.

    axes    an int: that many last axes of x and first axes of y; or a pair, the axes of x and those of y, each an int
            or a sequence
    Output  the other axes of x, then those of y.
    Errors  AxisError; ShapeError when numbers of axes or their lengths differ.
    """
    x, y = as_tensor(x), as_tensor(y)
    summed = _contracted(x, y, axes)
    for a, b in zip(*summed, strict=True):
        n, m = x.type.shape[a], y.type.shape[b]
        if n is not None and m is not None and n != m:
            raise ShapeError(f"tensordot cannot sum axis {a} of {_named(x)} with axis {b} of {_named(y)}", blame=y)
    if len(summed[0]) > 1:  # one length is checked by Dot, a product of lengths says too little
        promised = {b: shape_i(x, a) for a, b in zip(*summed, strict=True)}
        y = specify_shape(y, [promised.get(axis) for axis in range(y.ndim)])
    free = [tuple(k for k in range(z.ndim) if k not in axes) for z, axes in zip((x, y), summed, strict=True)]
    out = Dot()(_matrix(x, free[0], summed[0]), _matrix(y, summed[1], free[1]))
    if len(free[0]) == len(free[1]) == 1:
        return out
    return reshape(out, [*(shape_i(x, k) for k in free[0]), *(shape_i(y, k) for k in free[1])])


def _contracted(x: TensorVariable, y: TensorVariable, axes: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    if hasattr(axes, "__index__"):
        n = int(axes)
        if not 0 <= n <= min(x.ndim, y.ndim):
            raise ShapeError(f"tensordot needs 0 <= axes <= {min(x.ndim, y.ndim)} for {x} and {y}, got {n}", blame=x)
        return tuple(range(x.ndim - n, x.ndim)), tuple(range(n))
    pair = tuple((a,) if hasattr(a, "__index__") else tuple(a) for a in axes)
    if len(pair) != 2 or len(pair[0]) != len(pair[1]):
        raise ShapeError(f"tensordot needs as many axes of {x} as of {y}, got axes={axes}", blame=x)
    found = [tuple(normalize_axis(a, z, op="tensordot") for a in p) for p, z in zip(pair, (x, y), strict=True)]
    for z, chosen in zip((x, y), found, strict=True):
        if len(set(chosen)) != len(chosen):
            raise ShapeError(f"tensordot got an axis of {z} twice in axes={axes}", blame=z)
    return found[0], found[1]


def _matrix(x: TensorVariable, rows: Sequence[int], columns: Sequence[int]) -> TensorVariable:
    """``x`` with ``rows`` merged into the first axis and ``columns`` into the second."""
    moved = dimshuffle(x, (*rows, *columns))
    if len(rows) == len(columns) == 1:
        return moved
    return reshape(moved, [length_product(shape_i(x, k) for k in group) for group in (rows, columns)])


def inner(x: Any, y: Any) -> TensorVariable:
    """Sums of products over the last axes of both; a scalar multiplies.  Errors: ShapeError."""
    x, y = as_tensor(x), as_tensor(y)
    return x * y if x.ndim == 0 or y.ndim == 0 else tensordot(x, y, axes=(x.ndim - 1, y.ndim - 1))


def outer(x: Any, y: Any) -> TensorVariable:
    """All products of an element of ``x`` and one of ``y``, both flattened: (m,) and (n,) to (m, n)."""
    return _outer(ravel(x), ravel(y))


def vdot(x: Any, y: Any) -> TensorVariable:
    """The scalar product of ``x``, conjugated, and ``y``, both flattened.  Errors: ShapeError."""
    x = ravel(x)
    return Dot()(conj(x) if x.dtype in dtypes.COMPLEXES else x, ravel(y))


def vecdot(x: Any, y: Any, axis: int = -1) -> TensorVariable:
    """Scalar products of vectors along ``axis``, x conjugated; the other axes broadcast.

    Errors: AxisError; ShapeError where the lengths along the axis differ, or the others do not broadcast.
    """
    x, y = as_tensor(x), as_tensor(y)
    a, b = (normalize_axis(axis, z, op="vecdot") for z in (x, y))
    left, right = (dimshuffle(z, (*(j for j in range(z.ndim) if j != k), k)) for z, k in ((x, a), (y, b)))
    left = conj(left) if left.dtype in dtypes.COMPLEXES else left
    out = matmul(expand_dims(left, -2), expand_dims(right, -1))
    return squeeze(out, (-2, -1))


def batched_dot(x: Any, y: Any) -> TensorVariable:
    """Products of the matrices (or vectors) that the first axis of both stacks: (b, m, k) and (b, k, n) to (b, m, n).

    Errors: ShapeError unless both have ndim 2 or 3, and equal first lengths where these are known.
    """
    x, y = as_tensor(x), as_tensor(y)
    for operand in (x, y):
        if operand.ndim not in (2, 3):
            raise ShapeError(f"batched_dot needs ndim 2 or 3, but {operand} has ndim={operand.ndim}", blame=operand)
    y = specify_shape(y, [shape_i(x, 0), *(None for _ in range(y.ndim - 1))])
    left = expand_dims(x, 1) if x.ndim == 2 else x
    right = expand_dims(y, 2) if y.ndim == 2 else y
    out = MatMul()(left, right)
    gone = [axis for axis, operand in ((1, x), (2, y)) if operand.ndim == 2]
    return squeeze(out, gone) if gone else out
