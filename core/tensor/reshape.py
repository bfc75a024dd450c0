"""Reshape: the same elements in row-major order with other lengths; reshape, flatten, ravel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core import dtypes
from core.errors import ShapeError
from core.graph import Apply, Variable
from core.ir import view as views
from core.ir.axes import factors_of, product, quotient, same_length, unravel
from core.ir.expr import as_expr, const, equal, select
from core.ir.view import View
from core.op import Op, disconnected
from core.tensor.dimshuffle import DimShuffle
from core.tensor.elementwise import Elementwise, elementwise
from core.tensor.shape import (
    ShapeI,
    as_length,
    as_lengths,
    cannot_be_negative,
    checked_length,
    input_gradient,
    length_product,
    require_nonnegative,
    shape_i,
    shape_of,
    static_length,
    static_shape,
)
from core.tensor.type import TensorType, TensorVariable, as_tensor

__all__ = ["Reshape", "flatten", "ravel", "reshape", "reshaped_length"]


@elementwise
def reshaped_length(n, total, others):
    """``n``; where that is -1, what ``total`` elements leave for it beside ``others``, and -1 where ``others`` is 0."""
    return select(equal(n, -1), select(equal(others, 0), -1, total // others), n)


class Reshape(Op):
    """``x`` in row-major order with ``ndim`` other lengths, of which one may be -1: it follows from the rest.

    Inputs  x: tensor; then ``ndim`` int64 scalars.      Output  a view of x where its strides allow, else a copy.
    Errors  ShapeError when the number of elements is another, or -1 stands beside a length of 0; already when the graph
            is built where that can be seen.
    """

    __props__ = ("ndim",)
    view_map = {0: [0]}

    def __init__(self, ndim: int):
        self.ndim = ndim

    def make_node(self, x: Any, *lengths: Any) -> Apply:
        x, given = as_tensor(x), [as_length(n) for n in lengths]
        if len(given) != self.ndim:
            raise ShapeError(f"{self} needs {self.ndim} lengths, got {len(given)}", blame=x)
        return Apply(self, [x, *given], [TensorType(x.dtype, self._static(x, static_shape(given)))])

    def _static(self, x: TensorVariable, lengths: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """What is known of the output's lengths."""
        if lengths.count(-1) > 1:
            raise ShapeError(f"{self} allows one length of -1, got {_shown(lengths)}", blame=x)
        require_nonnegative(self, [n for n in lengths if n not in (None, -1)])
        known = tuple(None if n == -1 else n for n in lengths)
        if None in x.type.shape:
            return known
        total, rest = int(np.prod(x.type.shape)), int(np.prod([n for n in known if n is not None]))
        missing = known.count(None)
        if (
            (missing == 0 and rest != total)
            or (missing and rest and total % rest)
            or (-1 in lengths and rest == 0 and missing == 1)
        ):
            raise ShapeError(f"{self} cannot give {x}, of shape {x.type.shape}, the shape {_shown(lengths)}", blame=x)
        return tuple(total // rest if n is None else n for n in known) if missing == 1 and rest else known

    def perform(self, node: Apply, inputs: Sequence[np.ndarray], output_storage: Sequence[list]) -> None:
        x, *lengths = inputs
        shape = tuple(int(n) for n in lengths)
        if any(n < -1 for n in shape):
            raise ShapeError(f"{self} needs lengths >= 0 or one -1, got {shape}", blame=node)
        try:
            output_storage[0][0] = x.reshape(shape)
        except ValueError as error:
            raise ShapeError(f"{self} cannot give an array of shape {x.shape} the shape {shape}", blame=node) from error

    def infer_shape(self, node: Apply, input_shapes: Sequence[tuple]) -> list[tuple]:
        return [tuple(self._lengths(node.inputs[1:], node.out.type.shape, length_product(input_shapes[0])))]

    def _lengths(self, given: Sequence[Any], known: Sequence[int | None], total: Any) -> list[Any]:
        """The lengths ``given``, with what is ``known`` of them, for ``total`` elements; none of them is -1."""
        out: list[Any] = []
        for axis, n in enumerate(given):
            others = length_product([*given[:axis], *given[axis + 1 :]])
            out.append(n if known[axis] is None else known[axis])
            if known[axis] is None and not _is_made_of_lengths(n):
                out[axis] = reshaped_length(n, total, others)
        return out

    def lower(self, node: Apply, x: View, *lengths: View) -> View:
        given = [
            as_expr(n.at() if known is None else known)
            for n, known in zip(lengths, static_shape(node.inputs[1:]), strict=True)
        ]
        total = product(x.shape)
        shape, places = [], []  # lengths that are checked, and as what they are found in places
        for axis, (n, known) in enumerate(zip(given, node.out.type.shape, strict=True)):
            if known is not None or cannot_be_negative(n):
                shape.append(n if known is None else const(known))
                places.append(shape[-1])
                continue
            others = product([*given[:axis], *given[axis + 1 :]])
            shape.append(checked_length(reshaped_length.scalar(n, total, others)))
            left = quotient(total, others) if n is const(-1) else None
            places.append(shape[-1] if left is None else left)
        plain = views.reshape(x, places)
        if factors_of(x.shape) == factors_of(shape):
            return View(x.dtype, shape, plain.at)
        if not shape:  # nothing but the position can carry the check
            return View(x.dtype, (), lambda index: x.at(unravel(same_length(total, const(1)) - 1, x.shape)))
        checked = next((axis for axis, n in enumerate(shape) if not n.is_const), 0)
        wanted = product(shape)
        shape[checked] = shape[checked] + (same_length(total, wanted) - wanted)  # 0, once it has been checked
        return View(x.dtype, shape, plain.at)

    def grad(self, inputs: Sequence[TensorVariable], output_grads: Sequence[Variable]) -> list[Variable]:
        """The transpose of a reshape is the reshape back."""
        x, *lengths = inputs
        return [input_gradient(x, Reshape(x.ndim)(output_grads[0], *shape_of(x))), *(disconnected() for _ in lengths)]

    def R_op(self, inputs: Sequence[TensorVariable], eval_points: Sequence[Variable | None]) -> list[Variable | None]:
        """Linear in x, so a tangent passes through unchanged."""
        return [None if eval_points[0] is None else self(eval_points[0], *inputs[1:])]

    def batch(self, node: Apply, inputs: Sequence[TensorVariable]) -> list[TensorVariable] | None:
        x, *lengths = inputs
        if any(n.ndim for n in lengths):
            return None
        total = length_product(shape_of(x)[1:])
        return [Reshape(self.ndim + 1)(x, shape_i(x, 0), *self._lengths(lengths, node.out.type.shape, total))]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[node.inputs[0].dtype in dtypes.CONTINUOUS], *([False] for _ in node.inputs[1:])]


def _shown(lengths: Sequence[int | None]) -> str:
    return f"({', '.join('?' if n is None else str(n) for n in lengths)}{',' if len(lengths) == 1 else ''})"


def length_source(x: Variable, axis: int) -> tuple[Variable, int]:
    """Which axis of which tensor an axis has its length from, through transpositions and functions of one tensor."""
    while x.owner is not None:
        node = x.owner
        if isinstance(node.op, DimShuffle) and isinstance(node.op.pattern[axis], int):
            axis = node.op.pattern[axis]
        elif not (isinstance(node.op, Elementwise) and len(node.inputs) == 1):
            break
        x = node.inputs[0]
    return x, axis


def _is_length(n: Variable) -> bool:
    return n.owner is not None and isinstance(n.owner.op, ShapeI)


def _is_made_of_lengths(n: Variable) -> bool:
    """Whether ``n`` cannot be -1."""
    if _is_length(n):
        return True
    known = static_length(n)
    if known is not None:
        return known >= 0
    node = n.owner
    made = node is not None and isinstance(node.op, Elementwise) and node.op.name in ("add", "multiply")
    return made and all(map(_is_made_of_lengths, node.inputs))


def reshape(x: Any, shape: Any, ndim: int | None = None) -> TensorVariable:
    """``x`` in row-major order with another shape; see Reshape.

    shape   an int, a tuple of ints and symbolic integers, one of which may be -1, or an integer vector of known length
    ndim    only checked, if given
    """
    x, lengths = as_tensor(x), as_lengths(shape)
    if ndim is not None and ndim != len(lengths):
        raise ShapeError(f"reshape was told ndim={ndim}, but shape={shape!r} has {len(lengths)} lengths", blame=x)
    return Reshape(len(lengths))(x, *_without_minus_one(x, lengths))


def _without_minus_one(x: TensorVariable, lengths: list[TensorVariable]) -> list[TensorVariable]:
    """``lengths`` with -1 replaced, where the others are lengths of ``x`` itself: (n, 3, 4) to (n, -1) means 12.

    So a batch of no elements keeps its other lengths, which -1 alone cannot tell.
    """
    if [static_length(n) for n in lengths].count(-1) != 1:
        return lengths
    position = next(k for k, n in enumerate(lengths) if static_length(n) == -1)
    remaining = list(range(x.ndim))
    known = 1
    for n in (*lengths[:position], *lengths[position + 1 :]):
        value = static_length(n)
        if value is not None:
            known *= value
            continue
        source = length_source(n.owner.inputs[0], n.owner.op.axis) if _is_length(n) else None
        axis = next((axis for axis in remaining if source is not None and length_source(x, axis) == source), None)
        if axis is None:
            return lengths
        remaining.remove(axis)
    rest = length_product([n for axis, n in enumerate(shape_of(x)) if axis in remaining])
    total = static_length(rest)
    if known == 1:
        return [*lengths[:position], rest, *lengths[position + 1 :]]
    if total is None or known == 0 or total % known:
        return lengths
    return [*lengths[:position], as_length(total // known), *lengths[position + 1 :]]


def flatten(x: Any, ndim: int = 1) -> TensorVariable:
    """``x`` with its first ``ndim - 1`` axes kept and the rest made into one.

    Errors: ShapeError unless 1 <= ndim <= x.ndim; a 0-d x becomes a vector of one element.
    """
    x = as_tensor(x)
    if not 1 <= ndim <= max(x.ndim, 1):
        raise ShapeError(
            f"flatten needs 1 <= ndim <= {max(x.ndim, 1)}, because {x} has ndim={x.ndim}, got ndim={ndim}", blame=x
        )
    lengths = shape_of(x)
    if x.ndim == ndim:
        return x
    return Reshape(ndim)(x, *lengths[: ndim - 1], length_product(lengths[ndim - 1 :]))


def ravel(x: Any) -> TensorVariable:
    """``x`` as a vector, in row-major order."""
    return flatten(x, 1)
