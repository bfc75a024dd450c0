"""Forwards: Jacobian-vector products, by each op's ``R_op``, or by the transpose of its ``grad``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core.errors import ArgumentError, GradientError, NullGradientError, attributed_to
from core.gradient.common import (
    OnDisconnected,
    ReturnDisconnected,
    as_derivative,
    as_variables,
    check_choice,
    is_differentiable,
    is_missing,
    is_null,
    misfit,
    shaped_like,
    without,
)
from core.gradient.reverse import Lop, connections
from core.graph import Apply, NullType, Variable, clone_replace, toposort
from core.op import disconnected


def Rop(
    f: Any,
    wrt: Any,
    eval_points: Any,
    disconnected_outputs: OnDisconnected = "raise",
    return_disconnected: ReturnDisconnected = "zero",
) -> Any:
    """Jacobian times column vector: for each output in ``f``, the sum over ``wrt`` of ``(df / dwrt) eval_point``.

    ``eval_points`` holds one tensor, of the shape and dtype of its variable, for each variable of ``wrt``; None where a
    variable does not move.  ``disconnected_outputs`` and ``return_disconnected`` say what to do with an output that
    does not depend on ``wrt``, in the words of ``grad``.
    Errors: DisconnectedInputError; NullGradientError naming an op that has neither ``R_op`` nor ``grad``; ArgumentError
    for a wrong number.

    >>> import core, core.tensor as ct
    >>> x, v = ct.vector("x"), ct.vector("v")
    >>> core.function([x, v], core.Rop(x ** 2, x, v))([1.0, 2.0], [1.0, 10.0])
    array([ 2., 40.])
    """
    check_choice("disconnected_outputs", disconnected_outputs, ("raise", "warn", "ignore"))
    check_choice("return_disconnected", return_disconnected, ("zero", "none", "disconnected"))
    outputs, inputs = as_variables("f of Rop", f), as_variables("wrt of Rop", wrt)
    points = list(eval_points) if isinstance(eval_points, (list, tuple)) else [eval_points]
    if len(points) != len(inputs):
        raise ArgumentError(f"Rop needs one eval_point for each of {len(inputs)} variables, got {len(points)}")
    tangents: dict[Variable, Variable] = {}
    for x, point in zip(inputs, points, strict=True):
        if x in tangents:
            raise ArgumentError(f"Rop got {x} twice in wrt")
        if point is not None and is_differentiable(x):
            tangents[x] = as_derivative(point, x, "an eval_point of Rop")
    for node in toposort(outputs, stop_at=inputs):
        if any(x in tangents for x in node.inputs):
            _push(node, tangents)
    return shaped_like(
        f, [_result(out, tangents.get(out), disconnected_outputs, return_disconnected) for out in outputs]
    )


def _push(node: Apply, tangents: dict[Variable, Variable]) -> None:
    """Add the tangents of the outputs of ``node``, where they have any."""
    points = [tangents.get(x) if is_differentiable(x) else None for x in node.inputs]
    pattern = connections(node)
    with attributed_to(node.source):
        usable = [None if is_missing(point) or is_null(point) else point for point in points]
        moving = any(point is not None for point in usable)
        if not moving:
            found: Sequence[Any] = [None] * len(node.outputs)
        elif node.op.defines("grad") and not node.op.defines("R_op"):
            found = _by_grad(node, usable)
        else:
            found = _checked(node, node.op.R_op(node.inputs, usable))
    for k, (out, tangent) in enumerate(zip(node.outputs, found, strict=True)):
        reached = [point for row, point in zip(pattern, points, strict=True) if row[k] and not is_missing(point)]
        if not reached or not is_differentiable(out) or out in tangents:
            continue
        tangent = next((point for point in reached if is_null(point)), tangent)
        if is_missing(tangent):
            continue
        wrong = None if is_null(tangent) else misfit(tangent, out)
        if wrong is not None:
            raise GradientError(f"R_op of {node.op} for its output {k} needs {wrong}", blame=node)
        tangents[out] = tangent


def _by_grad(node: Apply, points: Sequence[Variable | None]) -> list[Any]:
    """Tangents by ``grad`` alone: it is linear in the output gradients, u -> J^T u, and so v -> J v is its transpose.

    What is left of u where it was differentiated away is its shape, that of the output.
    Source  Christianson (1992), "Automatic Hessians by reverse accumulation", for the transpose of a linear graph.
    """
    slots = [out.type() if is_differentiable(out) else disconnected() for out in node.outputs]
    moving = [k for k, point in enumerate(points) if point is not None]
    gradients = node.op.grad(node.inputs, slots)
    null = next((gradients[k] for k in moving if is_null(gradients[k])), None)
    if null is not None:
        return [null for _ in node.outputs]
    moving = [k for k in moving if not is_missing(gradients[k])]
    wanted = [k for k, slot in enumerate(slots) if not is_missing(slot)]
    found: list[Any] = [None] * len(slots)
    if not moving or not wanted:
        return found
    try:
        tangents = Lop(
            [gradients[k] for k in moving],
            [slots[k] for k in wanted],
            [points[k] for k in moving],
            disconnected_inputs="ignore",
            return_disconnected="none",
        )
    except NullGradientError as error:
        why = f"{node.op} has no R_op, and its grad cannot be differentiated in its place: {error}"
        return [NullType(why)() for _ in slots]
    present = [k for k, tangent in zip(wanted, tangents, strict=True) if tangent is not None]
    shapes = {slots[k]: node.outputs[k] for k in wanted}
    replaced = clone_replace([tangents[wanted.index(k)] for k in present], shapes)
    for k, tangent in zip(present, replaced, strict=True):
        found[k] = tangent
    return found


def _checked(node: Apply, found: Any) -> Sequence[Any]:
    if not isinstance(found, (list, tuple)) or len(found) != len(node.outputs):
        got = f"{len(found)}" if isinstance(found, (list, tuple)) else f"{found!r} of type {type(found).__name__}"
        raise GradientError(
            f"R_op of {node.op} needs to return {len(node.outputs)} tangents, one per output, got {got}", blame=node
        )
    return found


def _result(out: Variable, tangent: Variable | None, on: OnDisconnected, give: ReturnDisconnected) -> Variable | None:
    if is_null(tangent):
        raise NullGradientError(f"there is no tangent of {out}: {tangent.type.why}", blame=out)
    if not is_missing(tangent):
        return tangent
    text = f'{out} does not depend on wrt differentiably; if that is meant, pass disconnected_outputs="ignore"'
    return without(out, text, on, give)
