"""Places where something is not 0, whose number is known when a function runs: nonzero, and masks as indices.

A mask as an index is the arrays of its places, which gather.py reads by.  The number of places is a sum, which comes
first; memory for the places is as long as that says.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core.errors import IndexOutOfBounds, ShapeError
from core.graph import Apply, Variable
from core.ir.expr import cast, const, maximum, minimum, select
from core.op import Op, disconnected
from core.tensor.arithmetic import floor_divide, mod
from core.tensor.gather import AdvancedSubtensor
from core.tensor.join import stack
from core.tensor.keys import Key, Part
from core.tensor.logic import not_equal
from core.tensor.reduce import sum as sum_along
from core.tensor.reshape import ravel
from core.tensor.shape import SpecifyShape, as_length, shape_i, static_length
from core.tensor.type import TensorType, TensorVariable, as_tensor

__all__ = ["NonZero", "flatnonzero", "nonzero", "nonzero_values"]

_PIECE = 1 << 14  # elements that one thread counts and places


class NonZero(Op):
    """The places where a vector is true, in ascending order.

    Inputs  x: bool vector; count: int64 scalar, the number of these places.      Output  int64 vector of that length.
    """

    __props__ = ()

    def make_node(self, x: Any, count: Any) -> Apply:
        x, count = as_tensor(x), as_length(count)
        if x.ndim != 1 or x.dtype != "bool":
            raise ShapeError(f"{self} needs a vector of bool, got {x} of type {x.type}", blame=x)
        return Apply(self, [x, count], [TensorType("int64", (static_length(count),))])

    def perform(self, node: Apply, inputs: Sequence[np.ndarray], output_storage: Sequence[list]) -> None:
        output_storage[0][0] = np.flatnonzero(inputs[0])

    def infer_shape(self, node: Apply, input_shapes: Sequence[tuple]) -> list[tuple]:
        return [(node.inputs[1],)]

    def grad(self, inputs: Sequence[TensorVariable], output_grads: Sequence[Variable]) -> list[Variable]:
        """Places are integers: there is no derivative."""
        return [disconnected() for _ in inputs]

    def R_op(self, inputs: Sequence[TensorVariable], eval_points: Sequence[Variable | None]) -> list[Variable | None]:
        """Places are integers: there is no derivative."""
        return [None]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[False], [False]]

    def kernel(self, k: Any, x: Any, count: Any, places: Any) -> None:
        """Pieces are counted, which says where the places of each begin, and then placed, each on its own."""
        n = x.shape[0]
        pieces = (n + (_PIECE - 1)) // _PIECE
        before = k.memory("int64", (pieces,), "before")
        with k.grid((pieces,)) as (piece,):
            own = k.local("int64", 0, "own")
            with k.loop(minimum(n - piece * _PIECE, _PIECE)) as i:
                own += cast(x[piece * _PIECE + i], "int64")
            before[piece] = own.value
        with k.grid(()):
            total = k.local("int64", 0, "total")
            with k.loop(pieces) as piece:
                own = k.local("int64", before[piece], "own")
                before[piece] = total.value
                total += own.value
        with k.grid((pieces,)) as (piece,):
            start = k.local("int64", before[piece], "start")
            end = k.local("int64", count[()], "end")
            with k.when(piece + 1 < pieces):
                end.set(before[minimum(piece + 1, pieces - 1)])
            # Each element stores the last place so far, which is the right one, so that nothing has to be predicted;
            # what is stored before there is one is overwritten, as there is one: else the piece is left out.
            found, last = k.local("int64", start.value, "found"), k.local("int64", 0, "last")
            steps = select(start.value < end.value, minimum(n - piece * _PIECE, _PIECE), const(0))
            with k.loop(steps) as i:
                here = k.local("int64", piece * _PIECE + i, "here")
                holds = k.local("bool", x[here.value], "holds")
                found += cast(holds.value, "int64")
                last.set(select(holds.value, here.value, last.value))
                places[maximum(found.value - 1, start.value)] = last.value


class MaskShape(SpecifyShape):
    """A mask, with a promise that it has the lengths of the axes that it chooses from; see SpecifyShape.

    Errors  IndexOutOfBounds when a length is another; already when the graph is built where both are known.
    """

    explains_lengths = True

    def make_node(self, mask: Any, *lengths: Any) -> Apply:
        mask = as_tensor(mask)
        for axis, known, n in zip(self.axes, mask.type.shape, lengths, strict=True):
            wanted = static_length(as_length(n))
            if None not in (known, wanted) and known != wanted:
                raise IndexOutOfBounds(
                    f"a mask needs length {wanted} along its axis {axis}, as the tensor, but {mask} has length {known}",
                    blame=mask,
                )
        return super().make_node(mask, *lengths)

    def perform(self, node: Apply, inputs: Sequence[np.ndarray], output_storage: Sequence[list]) -> None:
        mask, *lengths = inputs
        wanted = tuple(int(n) for n in lengths)
        if wanted != mask.shape:
            raise IndexOutOfBounds(f"a mask needs shape {wanted}, as the tensor, got shape {mask.shape}", blame=node)
        output_storage[0][0] = mask


def masked_places(mask: TensorVariable, lengths: Sequence[TensorVariable]) -> list[TensorVariable]:
    """The places that a mask chooses of axes with ``lengths``: one vector for each axis."""
    return list(nonzero(MaskShape(range(mask.ndim))(mask, *lengths)))


def nonzero(x: Any, return_matrix: bool = False) -> Any:
    """The places where ``x`` is not 0: a tuple with an int64 vector for each axis, or the rows of one matrix.

    In row-major order.  Their length is known only when the function runs.  Errors: ShapeError for ndim 0.
    """
    x = as_tensor(x)
    if x.ndim == 0:
        raise ShapeError(f"nonzero needs ndim >= 1, got {x} with ndim=0", blame=x)
    holds = ravel(x if x.dtype == "bool" else not_equal(x, 0))
    rest, places = NonZero()(holds, sum_along(holds, None, "int64")), []
    for axis in range(x.ndim - 1, 0, -1):
        places.append(mod(rest, shape_i(x, axis)))
        rest = floor_divide(rest, shape_i(x, axis))
    places = [rest, *reversed(places)]
    return stack(places) if return_matrix else tuple(places)


def flatnonzero(x: Any) -> TensorVariable:
    """The places in ``x``, flattened, that are not 0: an int64 vector."""
    return nonzero(ravel(x))[0]


def nonzero_values(x: Any) -> TensorVariable:
    """The elements of ``x`` that are not 0: a vector."""
    x = as_tensor(x)
    return AdvancedSubtensor(Key((Part.ARRAY,) * x.ndim))(x, *nonzero(x))
