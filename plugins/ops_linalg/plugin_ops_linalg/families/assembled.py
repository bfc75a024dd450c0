"""Matrices that are put together: Kronecker products, block diagonals, Toeplitz and circulant matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from core.errors import ArgumentError, ShapeError
from core.graph import Apply
from core.ir.expr import Expr, const, guarded
from core.ir.view import View, broadcast_shapes, broadcast_to
from core.tensor import (
    TensorVariable,
    arange,
    as_tensor,
    concatenate,
    expand_dims,
    flip,
    reshape,
    shape_i,
    shape_of,
    take,
    zeros,
)
from core.tensor import sum as sum_along
from plugin_ops_linalg.batched import BatchedOp
from plugin_ops_linalg.matrices import conjugate, total

__all__ = ["BlockDiagonal", "Kron", "block_diag", "circulant", "kron", "toeplitz"]


class Kron(BatchedOp):
    """The Kronecker product: block (i, j) is x[i, j] y.

    Inputs  x: (..., m, n); y: (..., p, q).      Output  (..., m p, n q).
    """

    __props__ = ()
    signature = "(m,n),(p,q)->(s,t)"
    needs_finite = False
    computes_empty = True

    def __init__(self) -> None:
        super().__init__("raise")

    def lengths(self, sizes: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"s": sizes["m"] * sizes["p"], "t": sizes["n"] * sizes["q"]}

    def compute(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.kron(x, y)

    def lower(self, node: Apply, x: View, y: View) -> View:
        p, q = y.shape[-2:]
        lead = broadcast_shapes(x.shape[:-2], y.shape[:-2])
        left, right = (broadcast_to(view, (*lead, *view.shape[-2:])) for view in (x, y))

        def at(index: tuple[Expr, ...]) -> Expr:
            *stack, i, j = index
            return left.at((*stack, i // p, j // q)) * right.at((*stack, i % p, j % q))

        return View(node.out.type.dtype, (*lead, x.shape[-2] * p, x.shape[-1] * q), at)

    def pullback(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], grads: Sequence[Any]
    ) -> Sequence[Any]:
        """Linear in each factor: sums over the blocks, and over the places in a block."""
        x, y = inputs
        (m, n), (p, q) = shape_of(x)[-2:], shape_of(y)[-2:]
        lead = shape_of(grads[0])[:-2]
        g = reshape(grads[0], (*lead, m, p, n, q), ndim=len(lead) + 4)
        gx = sum_along(g * expand_dims(y, (-4, -2)), axis=(-3, -1))
        gy = sum_along(g * expand_dims(x, (-3, -1)), axis=(-4, -2))
        return [gx, gy]

    def pushforward(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], tangents: Sequence[Any]
    ) -> Sequence[Any]:
        """The product rule."""
        (x, y), (dx, dy) = inputs, tangents
        return [total([None if dx is None else self(dx, y), None if dy is None else self(x, dy)])]


class BlockDiagonal(BatchedOp):
    """The inputs along the diagonal, 0 elsewhere.

    Inputs  ``blocks`` tensors (..., m_i, n_i).      Output  (..., sum m_i, sum n_i).
    """

    __props__ = ("blocks",)
    needs_finite = False
    computes_empty = True

    def __init__(self, blocks: int):
        super().__init__("raise")
        self.blocks = int(blocks)

    @property
    def signature(self) -> str:  # type: ignore[override]
        return ",".join(f"(m{k},n{k})" for k in range(self.blocks)) + "->(m,n)"

    def lengths(self, sizes: Mapping[str, Any]) -> Mapping[str, Any]:
        return {letter: total([sizes[f"{letter}{k}"] for k in range(self.blocks)]) for letter in "mn"}

    def compute(self, *blocks: np.ndarray) -> np.ndarray:
        rows, columns = (np.cumsum([0, *(block.shape[axis] for block in blocks)]) for axis in (0, 1))
        out = np.zeros((rows[-1], columns[-1]), blocks[0].dtype)
        for k, block in enumerate(blocks):
            out[rows[k] : rows[k + 1], columns[k] : columns[k + 1]] = block
        return out

    def lower(self, node: Apply, *blocks: View) -> View:
        lead = broadcast_shapes(*(block.shape[:-2] for block in blocks))
        stretched = [broadcast_to(block, (*lead, *block.shape[-2:])) for block in blocks]
        corners = [(const(0), const(0))]
        for block in blocks:
            (row, column), (m, n) = corners[-1], block.shape[-2:]
            corners.append((row + m, column + n))

        def at(index: tuple[Expr, ...]) -> Expr:
            *stack, i, j = index
            out = const(0, node.out.type.dtype)
            for block, (row, column), (below, beside) in zip(stretched, corners, corners[1:], strict=False):
                inside = (i >= row) & (i < below) & (j >= column) & (j < beside)
                out = guarded(inside, block.at((*stack, i - row, j - column)), out)
            return out

        return View(node.out.type.dtype, (*lead, *corners[-1]), at)

    def pullback(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], grads: Sequence[Any]
    ) -> Sequence[Any]:
        """Each input is in the output once."""
        (g,), row, column, found = grads, 0, 0, []
        for x in inputs:
            m, n = shape_of(x)[-2:]
            found.append(g[..., row : row + m, column : column + n])
            row, column = row + m, column + n
        return found

    def pushforward(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], tangents: Sequence[Any]
    ) -> Sequence[Any]:
        """Linear; what does not change is 0."""
        return [self(*(x * 0 if dx is None else dx for x, dx in zip(inputs, tangents, strict=True)))]


def kron(a: Any, b: Any) -> TensorVariable:
    """The Kronecker product of the matrices in the last two axes; a vector is a row, as in NumPy.

    (m, n) and (p, q) to (m p, n q).  Unlike NumPy's, leading axes broadcast.
    """
    a, b = as_tensor(a), as_tensor(b)
    vectors = a.ndim < 2 and b.ndim < 2
    if a.ndim == 0 or b.ndim == 0:
        return a * b
    rows = [expand_dims(x, 0) if x.ndim == 1 else x for x in (a, b)]
    found = Kron()(*rows)
    return found[0] if vectors else found


def block_diag(*arrs: Any) -> TensorVariable:
    """The matrices along the diagonal of a matrix that is 0 elsewhere; a vector is a row, a scalar 1 by 1, as in SciPy.

    Leading axes broadcast.  Errors: ArgumentError without any.
    """
    if not arrs:
        raise ArgumentError("block_diag needs one matrix at least, got none")
    blocks = [as_tensor(x) for x in arrs]
    blocks = [expand_dims(x, tuple(range(2 - x.ndim))) if x.ndim < 2 else x for x in blocks]
    return BlockDiagonal(len(blocks))(*blocks)


def toeplitz(c: Any, r: Any = None) -> TensorVariable:
    """t[..., i, j] = c[..., i - j] on and below the diagonal, r[..., j - i] above it; r is conj(c) unless given.

    c: (..., m), r: (..., n), whose first element is not read; leading axes broadcast.      Output  (..., m, n).
    """
    c = as_tensor(c)
    r = conjugate(c) if r is None else as_tensor(r)
    for x in (c, r):
        if x.ndim < 1:
            raise ShapeError(f"toeplitz needs ndim >= 1, but {x} has ndim=0", blame=x)
    m, n = shape_i(c, -1), shape_i(r, -1)
    c, r = of_one_stack(c, r)
    values = concatenate([flip(r[..., 1:], axis=-1), c], axis=-1)
    places = expand_dims(arange(m), 1) - expand_dims(arange(n), 0) + (n - 1)
    return take(values, places, axis=-1)


def of_one_stack(*vectors: TensorVariable) -> list[TensorVariable]:
    """Vectors in the last axis, each repeated along the leading axes of the others."""
    if all(x.ndim == 1 for x in vectors):
        return list(vectors)
    leads = [expand_dims(zeros(shape_of(x)[:-1], dtype=x.dtype), -1) for x in vectors]
    return [total([x, *(lead for lead in leads if lead is not own)]) for x, own in zip(vectors, leads, strict=True)]


def circulant(c: Any) -> TensorVariable:
    """t[..., i, j] = c[..., (i - j) mod n]: (..., n) to (..., n, n)."""
    c = as_tensor(c)
    if c.ndim < 1:
        raise ShapeError(f"circulant needs ndim >= 1, but {c} has ndim=0", blame=c)
    n = shape_i(c, -1)
    places = (expand_dims(arange(n), 1) - expand_dims(arange(n), 0)) % n
    return take(c, places, axis=-1)
