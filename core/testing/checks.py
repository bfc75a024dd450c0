"""What an op says of itself against a run: its shapes and types, and its lowering against its perform."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from core import dtypes
from core.compile.function import function
from core.errors import CoreError, GraphError, ShapeError
from core.graph import Apply, Variable, toposort
from core.ir.check.oracle import evaluate_view
from core.ir.expr import Expr, length, load
from core.ir.view import View
from core.tensor.type import TensorType, as_tensor
from core.testing.values import as_list, compute, symbolic


def check_shapes(op: Callable[..., Any], *arrays: Any) -> None:
    """What ``op`` says of its outputs against what comes out: dtype, ndim, known lengths, ``infer_shape`` of each node.

    Once with inputs of unknown lengths and once with known ones.  Errors: ShapeError naming the op, with both shapes.
    """
    values = [np.asarray(array) for array in arrays]
    for static in (False, True):
        inputs = symbolic(values, static)
        outputs = as_list(op(*inputs))
        for node in toposort(outputs, stop_at=inputs):
            results = compute(inputs, node.outputs, values)
            for out, result in zip(node.outputs, results, strict=True):
                _check_type(node, out, result)
            if node.op.defines("infer_shape"):
                _check_inferred(node, inputs, values, results)


def _check_type(node: Apply, out: Variable, result: np.ndarray) -> None:
    kind = out.type
    if not isinstance(kind, TensorType):
        return
    if not kind.is_super(TensorType(result.dtype, result.shape)):
        raise ShapeError(
            f"{node.op} says its output is {kind}, but it computed dtype {result.dtype} and shape {result.shape}"
        )


def _check_inferred(
    node: Apply, inputs: Sequence[Variable], values: Sequence[np.ndarray], results: Sequence[np.ndarray]
) -> None:
    shapes = [x.shape if isinstance(x.type, TensorType) else None for x in node.inputs]
    inferred = node.op.shapes(None, node, shapes)
    for said, result in zip(inferred, results, strict=True):
        if len(said) != result.ndim:
            raise ShapeError(
                f"infer_shape of {node.op} gives {len(said)} lengths, but the output has ndim={result.ndim}"
            )
        got = tuple(int(n) for n in compute(inputs, [as_tensor(n) for n in said], values)) if said else ()
        if got != result.shape:
            raise ShapeError(f"infer_shape of {node.op} gives {got}, but the output has shape {result.shape}")


def check_lowering(op: Callable[..., Any], *arrays: Any, rtol: float = 1e-7, atol: float = 1e-12) -> None:
    """``lower`` of each node that has one, run by the slow evaluator of the IR, against its ``perform``.

    Errors: GraphError naming the op and the first element that differs.
    """
    values = [np.asarray(array) for array in arrays]
    inputs = symbolic(values)
    for node in toposort(as_list(op(*inputs)), stop_at=inputs):
        if not node.op.defines("lower"):
            continue
        given = compute(inputs, node.inputs, values)
        expected = compute(inputs, node.outputs, values)
        for position, (view, value) in enumerate(zip(lowered(node), expected, strict=True)):
            try:
                got = evaluate_view(view, dict(zip(node.inputs, given, strict=True)))
            except CoreError as error:
                raise GraphError(f"lower of {node.op} fails for output {position}: {error}", blame=node) from error
            _check_equal(node, position, got, value, rtol, atol)


def check_c_code(op: Callable[..., Any], *arrays: Any) -> None:
    """The C of each node against its ``perform``, and what both do to memory against ``view_map`` and ``destroy_map``.

    Errors: ContractError naming the op and what differs.
    """
    values = [np.asarray(array) for array in arrays]
    inputs = symbolic(values)
    run = function(inputs, as_list(op(*inputs)), mode="debug", backend="interpreter", on_unused_input="ignore")
    run(*values)


def lowered(node: Apply) -> list[Any]:
    """The views that ``lower`` makes of a node, whose inputs are loads from its input variables."""
    found = node.op.lower(node, *(opaque(x) for x in node.inputs))
    return list(found) if isinstance(found, (list, tuple)) else [found]


def opaque(x: Variable) -> View:
    """A view that loads from ``x``; a constant's known lengths are constants."""
    known = x.type.shape

    def at(index: tuple[Expr, ...]) -> Expr:
        return load(x, index, x.type.dtype)

    return View(x.type.dtype, [length(x, axis) if n is None else n for axis, n in enumerate(known)], at)


def _check_equal(node: Apply, position: int, got: np.ndarray, expected: np.ndarray, rtol: float, atol: float) -> None:
    if got.shape != expected.shape or got.dtype != expected.dtype:
        raise GraphError(
            f"lower of {node.op} gives output {position} dtype {got.dtype} and shape {got.shape}, but perform gives "
            f"{expected.dtype} and {expected.shape}"
        )
    if expected.dtype.name in ("float16", "float32", "complex64"):
        rtol = max(rtol, 4e-3 if expected.dtype == "float16" else 2e-5)
        atol = max(atol, 1e-6)
    exact = expected.dtype.name in dtypes.DISCRETE
    same = (got == expected) if exact else np.isclose(got, expected, rtol=rtol, atol=atol, equal_nan=True)
    if not np.all(same):
        where = tuple(int(i) for i in np.argwhere(~np.atleast_1d(same))[0])[: got.ndim]
        raise GraphError(
            f"lower of {node.op} gives {got[where]} at {where} of output {position}, "
            f"but perform gives {expected[where]}"
        )
