"""An op without ``perform``, computed from what else it says: its loops, by the slow evaluator of the IR, or its C."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core.compile.alone import Perform, in_c
from core.errors import BackendError, CompileError
from core.graph import Apply, Variable
from core.ir.builder import Buffer, KernelBuilder
from core.ir.check.oracle import evaluate_lengths, evaluate_view, run_kernel
from core.ir.expr import Expr, as_expr, length, load
from core.ir.nodes import Kernel
from core.ir.view import View
from core.op import Op
from core.tensor.type import TensorType


def performer(node: Apply) -> Perform:
    """``perform`` of the node's op, or what does the same by the op's ``lower``, ``kernel`` or ``c_code``.

    Errors: BackendError when the op has none of these, or no perform and a variable that is no tensor, or C alone and
    no compiler is there; CompileError.
    """
    op = node.op
    if getattr(op.perform, "__func__", None) is not Op.perform:
        return op.perform
    loops = any(op.defines(means) for means in ("lower", "kernel"))
    if not loops and not op.defines("c_code"):
        raise BackendError(
            f"{op} has neither perform nor lower nor kernel, so the interpreter cannot compute it", blame=node
        )
    for variable in (*node.inputs, *node.outputs):
        if not isinstance(variable.type, TensorType):
            raise BackendError(
                f"{op} has no perform, so its variables must be tensors; {variable} is of {variable.type}", blame=node
            )
    if loops:
        return _perform_loops
    try:
        perform = in_c(node)
    except BackendError as error:
        if isinstance(error, CompileError):
            raise
        raise BackendError(f"{op} has no perform, so its C must be compiled: {error}") from error
    assert perform is not None
    return perform


def _perform_loops(node: Apply, inputs: Sequence[np.ndarray], output_storage: Sequence[list]) -> None:
    results = _by_views(node, inputs) if node.op.defines("lower") else _by_kernel(node, inputs)
    for cell, value in zip(output_storage, results, strict=True):
        cell[0] = value


def _by_views(node: Apply, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    made = node.op.lower(node, *map(_stored, node.inputs))
    views = list(made) if isinstance(made, (list, tuple)) else [made]
    arrays = dict(zip(node.inputs, inputs, strict=True))
    return [evaluate_view(view, arrays) for view in views]


def _stored(x: Variable) -> View:
    """A view that loads from ``x``."""
    dtype = x.type.dtype
    shape = [length(x, axis) if n is None else n for axis, n in enumerate(x.type.shape)]

    def at(index: tuple[Expr, ...]) -> Expr:
        return load(x, index, dtype)

    return View(dtype, shape, at)


def _by_kernel(node: Apply, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    shapes = [
        evaluate_lengths([as_expr(n) for n in s], {}) for s in node.op.shapes(None, node, [x.shape for x in inputs])
    ]
    outputs = [np.zeros(shape, out.type.dtype) for shape, out in zip(shapes, node.outputs, strict=True)]
    given = [*map(np.ascontiguousarray, inputs), *outputs]
    arrays: dict[Any, np.ndarray] = dict(zip([*node.inputs, *node.outputs], given, strict=True))
    k = KernelBuilder()
    read = [_buffer(k, x, value.shape, False) for x, value in zip(node.inputs, inputs, strict=True)]
    written = [_buffer(k, out, value.shape, True) for out, value in zip(node.outputs, outputs, strict=True)]
    node.op.kernel(k, *read, *written)
    arrays.update((value, np.zeros(evaluate_lengths(shape, {}), value.dtype)) for value, shape in k.scratch.items())
    run_kernel(Kernel(str(node.op), node.inputs, [*node.outputs, *k.scratch], k.body), arrays)
    return outputs


def _buffer(k: KernelBuilder, variable: Variable, shape: Sequence[int], written: bool) -> Buffer:
    return Buffer(k, variable, variable.type.dtype, [as_expr(n) for n in shape], written)
