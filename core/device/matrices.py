"""Operands of products as BLAS takes them: matrices with rows or columns side by side, and a leading dimension."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from core.dataclass import replace
from core.device.contract import Strided


def row(one: Strided) -> Strided:
    """A vector as a matrix (1, n)."""
    if len(one.shape) > 1:
        return one
    (n,), (step,) = one.shape, one.strides
    return replace(one, shape=(1, n), strides=(max(n, 1), 1) if step == 1 else (1, step))


def column(one: Strided) -> Strided:
    """A vector as a matrix (n, 1)."""
    return one if len(one.shape) > 1 else replace(one, shape=(*one.shape, 1), strides=(*one.strides, 1))


def as_matrices(operands: Sequence[Strided], result: Strided) -> tuple[Strided, Strided, Strided]:
    """The operands and the output of a product: a vector is a row on the left and a column on the right."""
    c = column(result) if len(operands[1].shape) == 1 else row(result)
    return row(operands[0]), column(operands[1]), c


def transposed(matrix: Strided) -> bool:
    """Whether a matrix lies column by column."""
    return matrix.strides[-1] != 1


def leading(matrix: Strided) -> int:
    """The distance of two rows of a matrix, or of two columns where it is transposed; BLAS wants at least a row."""
    turned = transposed(matrix)
    return max(matrix.strides[-1 if turned else -2], matrix.shape[-2 if turned else -1], 1)


def stacks(matrices: Sequence[Strided]) -> Iterator[tuple[Strided, ...]]:
    """Matrices that lie in stacks, as stacks of one axis: those of a call that takes one stride for a whole stack."""
    lead = matrices[-1].shape[:-2]
    if not lead:
        yield tuple(replace(one, shape=(1, *one.shape), strides=(0, *one.strides)) for one in matrices)
        return
    for place in itertools.product(*map(range, lead[:-1])):
        yield tuple(
            replace(
                one,
                shape=one.shape[-3:],
                strides=one.strides[-3:],
                offset=one.offset + sum(i * s for i, s in zip(place, one.strides, strict=False)),
            )
            for one in matrices
        )
