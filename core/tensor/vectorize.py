"""A graph computed for a whole stack of values of some of its variables, by each op's ``batch``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from core.errors import ArgumentError, ShapeError
from core.graph import Apply, Variable, toposort
from core.tensor.broadcast import Alloc
from core.tensor.shape import shape_i, shape_of
from core.tensor.type import TensorVariable

__all__ = ["vectorize_graph"]


def vectorize_graph(outputs: Any, replace: Mapping[Variable, TensorVariable]) -> Any:
    """``outputs`` with variables replaced by stacks of values: one result for each, along a new first axis.

    replace  for each variable a tensor of its dtype with one more axis, in front; all stacks of one length
    Returns a variable for a variable, a list for a list.  An output that no replaced variable reaches is repeated.
    Errors: ArgumentError naming an op that has no ``batch``; ShapeError for a stack without just one more axis.

    >>> import core, core.tensor as ct
    >>> x, xs = ct.dvector("x"), ct.dmatrix("xs")
    >>> core.function([xs], ct.vectorize_graph(x.max() - x.min(), {x: xs}))([[1.0, 2.0], [5.0, 1.0]])
    array([1., 4.])
    """
    several = isinstance(outputs, (list, tuple))
    wanted = list(outputs) if several else [outputs]
    if not replace:
        raise ArgumentError("vectorize_graph needs at least one variable to replace, got none")
    for x, stack in replace.items():
        if stack.ndim != x.type.ndim + 1 or stack.dtype != x.type.dtype:  # type: ignore[attr-defined]
            raise ShapeError(
                f"vectorize_graph needs a stack of {x.type} for {x}, with one more axis in front, got {stack.type}",
                blame=stack,
            )
    found = _stacked(wanted, replace)
    if isinstance(found, Apply):
        raise ArgumentError(f"{found.op} has no batch, so vectorize_graph cannot compute it for a stack", blame=found)
    return found if several else found[0]


def stacked_or_none(
    outputs: Sequence[TensorVariable], replace: Mapping[Variable, TensorVariable]
) -> list[TensorVariable] | None:
    """As ``vectorize_graph``, but None where an op on the way has no form for stacks."""
    found = _stacked(outputs, replace)
    return None if isinstance(found, Apply) else found


def _stacked(outputs: Sequence[TensorVariable], replace: Mapping[Variable, TensorVariable]) -> Any:
    """The stacked outputs, or the node that has no form for stacks."""
    known: dict[Variable, TensorVariable] = dict(replace)
    for node in toposort(outputs, stop_at=replace):
        inputs = [known.get(x, x) for x in node.inputs]
        if not any(x in known for x in node.inputs):
            continue
        stacks = any(x.type.ndim != old.type.ndim for x, old in zip(inputs, node.inputs, strict=True))
        new = node.op.batch(node, inputs) if stacks else node.op(*inputs, return_list=True)
        if new is None:
            return node
        known.update(zip(node.outputs, new, strict=True))
    n = shape_i(next(iter(replace.values())), 0)
    found = [known.get(out, out) for out in outputs]
    return [x if x.ndim > out.ndim else Alloc()(x, n, *shape_of(x)) for x, out in zip(found, outputs, strict=True)]
