"""A graph computed once for each value of an index, its results stacked: the rows of a Jacobian of unknown length.

No general loop: rows do not see each other.  The inner graph is run by the interpreter, row by row, on every backend.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core.errors import ShapeError
from core.gradient.common import is_differentiable, is_missing
from core.gradient.forward import Rop
from core.gradient.reverse import Lop
from core.graph import Apply, Constant, FunctionGraph, Variable, clone_replace, depends_on, toposort
from core.op import Op, disconnected
from core.tensor.type import TensorType, TensorVariable, as_tensor


def map_rows(
    n: Any, index: Variable, rows: Sequence[TensorVariable], shapes: Sequence[Sequence[Any]]
) -> list[TensorVariable]:
    """``rows``, which may depend on ``index`` (a 0-d int64 input), for index 0, 1, ... n - 1, stacked along a new axis.

    ``shapes`` are the shapes of the rows, which must not depend on the index.  What does not depend on it is computed
    once.
    """
    moving = {index}
    captured: dict[Variable, None] = {}
    for node in toposort(rows):
        if not any(x in moving for x in node.inputs):
            continue
        moving.update(node.outputs)
        captured.update((x, None) for x in node.inputs)
    captured.update((row, None) for row in rows)
    kept = [x for x in captured if x not in moving and not isinstance(x, Constant)]
    op = InnerMap(FunctionGraph([index, *kept], rows))
    lengths = [n for row, shape in zip(rows, shapes, strict=True) for n in _unknown(row.type, shape)]
    return op(n, *lengths, *kept, return_list=True)


def _unknown(kind: TensorType, shape: Sequence[Any]) -> list[Any]:
    return [n for known, n in zip(kind.shape, shape, strict=True) if known is None]


class InnerMap(Op):
    """Output k has shape (n, *row k): row k of ``inner`` at index 0, 1, ... n - 1.  Equal only to itself.

    Inputs  n: int64 scalar; one int64 scalar for each length of a row that is not known; the inputs of ``inner`` after
            its first, which is the index.
    Errors  ShapeError when a row comes out in another shape.
    """

    def __init__(self, inner: FunctionGraph):
        self.inner, self.order = inner, inner.toposort()
        self.unknown = sum(out.type.shape.count(None) for out in inner.outputs)

    def __str__(self) -> str:
        return f"InnerMap({', '.join(map(str, self.inner.outputs))})"

    def make_node(self, n: Any, *rest: Any) -> Apply:
        lengths = [as_tensor(x, dtype="int64", ndim=0) for x in (n, *rest[: self.unknown])]
        captured = [own.type.as_variable(x) for own, x in zip(self.inner.inputs[1:], rest[self.unknown :], strict=True)]
        known = int(lengths[0].data) if isinstance(lengths[0], Constant) else None
        kinds = [TensorType(out.type.dtype, (known, *out.type.shape)) for out in self.inner.outputs]
        return Apply(self, [*lengths, *captured], kinds)

    def _row_shapes(self, lengths: Sequence[Any]) -> list[tuple]:
        remaining = iter(lengths)
        return [tuple(next(remaining) if n is None else n for n in out.type.shape) for out in self.inner.outputs]

    def infer_shape(self, node: Apply, input_shapes: Sequence[tuple]) -> list[tuple]:
        return [(node.inputs[0], *shape) for shape in self._row_shapes(node.inputs[1 : 1 + self.unknown])]

    def perform(self, node: Apply, inputs: Sequence[np.ndarray], output_storage: Sequence[list]) -> None:
        n, shapes = int(inputs[0]), self._row_shapes([int(m) for m in inputs[1 : 1 + self.unknown]])
        stacked = [np.empty((n, *shape), out.type.dtype) for out, shape in zip(self.inner.outputs, shapes, strict=True)]
        for i in range(n):
            rows = self._row(np.asarray(i, "int64"), inputs[1 + self.unknown :])
            for out, row in zip(stacked, rows, strict=True):
                if row.shape != out.shape[1:]:
                    raise ShapeError(
                        f"{self} needs rows of shape {out.shape[1:]}, got {row.shape} for row {i}", blame=node
                    )
                out[i] = row
        for cell, out in zip(output_storage, stacked, strict=True):
            cell[0] = out

    def _row(self, i: np.ndarray, captured: Sequence[np.ndarray]) -> list[np.ndarray]:
        values: dict[Variable, Any] = dict(zip(self.inner.inputs, (i, *captured), strict=True))
        for node in self.order:
            cells: list[list] = [[None] for _ in node.outputs]
            node.op.perform(node, [values[x] if x in values else x.data for x in node.inputs], cells)
            values.update(zip(node.outputs, (cell[0] for cell in cells), strict=True))
        return [np.asarray(values[x] if x in values else x.data) for x in self.inner.outputs]

    # --- derivatives ------------------------------------------------------------------------------------------------

    def _opened(self) -> tuple[Variable, list[Variable], list[TensorVariable]]:
        """The index, the captured inputs and the rows of a fresh copy of the inner graph."""
        copy = self.inner.clone()
        return copy.inputs[0], copy.inputs[1:], copy.outputs

    def grad(self, inputs: Sequence[TensorVariable], output_grads: Sequence[Variable]) -> list[Variable]:
        """Rows are independent, so the gradient is the sum over rows of each row's own."""
        captured = inputs[1 + self.unknown :]
        i, places, rows = self._opened()
        used = [(row, g[i]) for row, g in zip(rows, output_grads, strict=True) if not is_missing(g)]
        parts = Lop([row for row, _ in used], places, [g for _, g in used], None, "ignore", "disconnected")
        wanted = [k for k, part in enumerate(parts) if not is_missing(part)]
        out = [disconnected() for _ in inputs]
        if wanted:
            stacked = map_rows(inputs[0], i, [parts[k] for k in wanted], [captured[k].shape for k in wanted])
            sums = clone_replace([x.sum(axis=0) for x in stacked], dict(zip(places, captured, strict=True)))
            for k, total in zip(wanted, sums, strict=True):
                out[1 + self.unknown + k] = total
        return out

    def R_op(self, inputs: Sequence[TensorVariable], eval_points: Sequence[Variable | None]) -> list[Variable | None]:
        """Rows are independent, so the tangent of each row is its own."""
        captured, points = inputs[1 + self.unknown :], eval_points[1 + self.unknown :]
        i, places, rows = self._opened()
        found = Rop(rows, places, list(points), "ignore", "none")
        wanted = [k for k, tangent in enumerate(found) if tangent is not None]
        out: list[Variable | None] = [None] * len(rows)
        if wanted:
            shapes = self._row_shapes(inputs[1 : 1 + self.unknown])
            stacked = map_rows(inputs[0], i, [found[k] for k in wanted], [shapes[k] for k in wanted])
            tangents = clone_replace(stacked, dict(zip(places, captured, strict=True)))
            for k, tangent in zip(wanted, tangents, strict=True):
                out[k] = tangent
        return out

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        lengths = [[False] * len(node.outputs)] * (1 + self.unknown)
        own = self.inner.inputs[1:]
        return [*lengths, *([is_differentiable(x) and depends_on(out, x) for out in self.inner.outputs] for x in own)]
