"""vmap: a function of tensors as one of stacks of them, without a loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from core.errors import ArgumentError, ShapeError
from core.tensor.dimshuffle import moveaxis
from core.tensor.shape import shape_i, specify_shape
from core.tensor.type import TensorType, TensorVariable, as_tensor, normalize_axis
from core.tensor.vectorize import vectorize_graph

__all__ = ["vmap"]


def vmap(
    fn: Callable[..., Any], in_axes: int | Sequence[int | None] = 0, out_axes: int | Sequence[int] = 0
) -> Callable[..., Any]:
    """``fn`` for each of the slices of its arguments along an axis, all at once; see ``vectorize_graph``.

    A call of the result calls ``fn`` once, with symbolic slices; what that returns, a tensor or several in a tuple or
    list, comes back with one more axis.

    in_axes   the axis of each argument, or one for all; an argument with None is given to fn as it is
    out_axes  where the new axis of each result is, or of all
    Errors    ArgumentError for other numbers of axes, where no argument has one, and for an op that has no form for
              stacks; AxisError; ShapeError for stacks of different lengths, when it runs where they are not known.

    >>> import core, core.tensor as ct
    >>> x, w = ct.dmatrix("x"), ct.dvector("w")
    >>> slopes = core.vmap(lambda x, w: core.grad((x @ w) ** 2, w), in_axes=(0, None))(x, w)
    >>> core.function([x, w], slopes)([[1.0, 0.0], [0.0, 2.0]], [3.0, 4.0])
    array([[ 6.,  0.],
           [ 0., 32.]])
    """

    def mapped(*args: Any) -> Any:
        slices, stacks = _slices([as_tensor(x) for x in args], _each(in_axes, len(args), "arguments"))
        made = fn(*slices)
        outputs = [as_tensor(x) for x in (made if isinstance(made, (list, tuple)) else [made])]
        axes = _each(out_axes, len(outputs), "results")
        found = [moveaxis(x, 0, axis) for x, axis in zip(vectorize_graph(outputs, stacks), axes, strict=True)]
        return type(made)(found) if isinstance(made, (list, tuple)) else found[0]

    return mapped


def _each(axes: Any, count: int, what: str) -> list[Any]:
    if not isinstance(axes, (list, tuple)):
        return [axes] * count
    if len(axes) != count:
        raise ArgumentError(f"vmap needs an axis for each of {count} {what}, got {axes!r}")
    return list(axes)


def _slices(
    given: Sequence[TensorVariable], axes: Sequence[int | None]
) -> tuple[list[TensorVariable], dict[Any, TensorVariable]]:
    """What fn is called with, and of its symbolic slices the stacks."""
    slices: list[TensorVariable] = []
    stacks: dict[Any, TensorVariable] = {}
    for x, axis in zip(given, axes, strict=True):
        if axis is None:
            slices.append(x)
            continue
        stack = moveaxis(x, normalize_axis(axis, x, op="vmap"), 0)
        if stacks:  # or else a stack of one would be repeated for the others
            stack = _as_long_as(next(iter(stacks.values())), stack)
        one = TensorType(x.dtype, stack.type.shape[1:])(x.name)
        stacks[one] = stack
        slices.append(one)
    if not stacks:
        raise ArgumentError("vmap needs at least one argument with an axis, got None for all")
    return slices, stacks


def _as_long_as(first: TensorVariable, stack: TensorVariable) -> TensorVariable:
    lengths = first.type.shape[0], stack.type.shape[0]
    if None not in lengths and lengths[0] != lengths[1]:
        raise ShapeError(f"vmap needs stacks of one length, got {lengths[0]} and {lengths[1]}", blame=stack)
    return specify_shape(stack, [shape_i(first, 0), *[None] * (stack.ndim - 1)])
