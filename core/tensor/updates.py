"""Update: the common half of the ops that write ``y`` to the places of ``x`` that ``x[key]`` reads.

What is special to slices is in indexing.py, what is special to index arrays in gather.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from core import dtypes
from core.errors import DTypeError, IndexOutOfBounds, ShapeError
from core.graph import Apply, Variable
from core.ir.codes import Combine
from core.op import Op, disconnected
from core.tensor.broadcast import stacked
from core.tensor.dimshuffle import transpose
from core.tensor.elementwise import second
from core.tensor.keys import ALL, Key, numpy_key
from core.tensor.type import TensorType, TensorVariable, as_tensor, constant


def zeros_of(x: TensorVariable) -> TensorVariable:
    """Zeros of the shape and dtype of ``x``."""
    return second(x, constant(0, dtype=x.dtype))


def read(x: np.ndarray, entries: Sequence[Any], node: Apply) -> np.ndarray:
    """``x[key]`` by NumPy.  Errors: IndexOutOfBounds; ShapeError for arrays that do not broadcast, or a step of 0."""
    key = numpy_key(entries)
    try:
        return np.asarray(x[key])
    except IndexError as error:
        kind = ShapeError if "broadcast" in str(error) else IndexOutOfBounds
        raise kind(f"{node.op} cannot read from shape {x.shape}: {error}", blame=node) from error
    except ValueError as error:
        raise ShapeError(f"{node.op} cannot read from shape {x.shape}: {error}", blame=node) from error


class Update(Op):
    """``x`` with ``y`` set at, or added to, the elements that ``reads(key)`` would read.

    Inputs  x: tensor; y: tensor of the dtype of x and of exactly the shape of ``x[key]``; then the parts of the key.
    Output  shape and dtype of x.
    Errors  DTypeError, ShapeError for a y that does not fit; IndexOutOfBounds as of reading.
    """

    __props__ = ("key",)
    reads: ClassVar[Any]  # the op that reads these places
    sets: ClassVar[Any]  # the op that sets them
    scatters: ClassVar[Any]  # the op that does the same at the places of index arrays
    combine: ClassVar[Combine | None] = None  # None: y replaces what is there

    def __init__(self, key: Key):
        self.key = key

    def make_node(self, x: Any, y: Any, *parts: Any) -> Apply:
        x, y = as_tensor(x), as_tensor(y)
        if y.dtype != x.dtype:
            raise DTypeError(f"{self} needs a value of dtype {x.dtype}, got {y} of dtype {y.dtype}", blame=y)
        selected = self.reads(self.key).make_node(x, *parts)
        wanted = selected.out.type.shape
        fits = y.ndim == len(wanted) and all(
            None in pair or pair[0] == pair[1] for pair in zip(y.type.shape, wanted, strict=True)
        )
        if not fits:
            shape = TensorType(x.dtype, wanted)
            raise ShapeError(f"{self} needs a value of {shape}, because that is x[key], got {y} of {y.type}", blame=y)
        return Apply(self, [x, y, *selected.inputs[1:]], [x.type])

    def perform(self, node: Apply, inputs: Sequence[np.ndarray], output_storage: Sequence[list]) -> None:
        x, y, *parts = inputs
        entries = self.key.filled(parts)
        wanted = read(x, entries, node).shape
        if y.shape != wanted:
            raise ShapeError(
                f"{self} needs a value of shape {wanted}, because that is x[key], got shape {y.shape}", blame=node
            )
        out, key = x.copy(), numpy_key(entries)
        if self.combine is None:
            out[key] = y
        else:
            np.add.at(out, key, y)
        output_storage[0][0] = out

    def infer_shape(self, node: Apply, input_shapes: Sequence[tuple]) -> list[tuple]:
        return [input_shapes[0]]

    def grad(self, inputs: Sequence[TensorVariable], output_grads: Sequence[Variable]) -> list[Variable]:
        """``y`` gets the gradient at the places it went to; ``x`` gets all of it, but nothing where it was replaced."""
        x, y, *parts = inputs
        (g,) = output_grads
        rest = [disconnected() for _ in parts]
        if x.dtype in dtypes.DISCRETE:
            return [disconnected(), disconnected(), *rest]
        kept = self.sets(self.key)(g, zeros_of(y), *parts) if self.combine is None else g
        return [kept, self.reads(self.key)(g, *parts), *rest]

    def R_op(self, inputs: Sequence[TensorVariable], eval_points: Sequence[Variable | None]) -> list[Variable | None]:
        """Linear in x and y together."""
        x, y, *parts = inputs
        dx, dy = eval_points[:2]
        if dx is None and dy is None:
            return [None]
        return [self(zeros_of(x) if dx is None else dx, zeros_of(y) if dy is None else dy, *parts)]

    def batch(self, node: Apply, inputs: Sequence[TensorVariable]) -> list[TensorVariable] | None:
        x, y, *parts = inputs
        differ = any(part.ndim != old.ndim for part, old in zip(parts, node.inputs[2:], strict=True))
        x, y = stacked(node, [x, y, *parts])[:2]
        if differ:
            return self._scattered(node, x, y, parts)
        return [type(self)(Key((ALL, *self.key.entries)))(x, self._laid(y, parts), *parts)]

    def _scattered(
        self, node: Apply, x: TensorVariable, y: TensorVariable, parts: Sequence[TensorVariable]
    ) -> list[TensorVariable] | None:
        """One scatter for a stack of keys; ``x`` and ``y`` are stacks."""
        from core.tensor.stacked_keys import stacked_key  # few programs have stacks of keys

        old_x, _, *old_parts = node.inputs
        found = stacked_key(self.key, [x, *parts], [old_x, *old_parts])
        if found is None:
            return None
        new, given, order = found
        back = [order.index(axis) for axis in range(len(order))]
        return [self.scatters(new)(x, transpose(y, back), *given)]

    def _laid(self, y: TensorVariable, parts: Sequence[TensorVariable]) -> TensorVariable:
        """A stack of values with its axes where those of ``x[:, key]`` are."""
        return y

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        continuous = node.inputs[0].dtype in dtypes.CONTINUOUS
        return [[continuous], [continuous], *([False] for _ in node.inputs[2:])]
