"""Whole matrices of derivatives: jacobian and hessian.

Rows are derivatives along unit vectors.  One derivative is written, and computed for all of them at once where every
op in it has a form for stacks (see core/tensor/vectorize.py).  Otherwise a short expression of known length is unrolled
into its rows, and any other is computed row by row (see inner_map.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from core import dtypes
from core.errors import GradientError
from core.gradient.common import OnDisconnected, as_variables, is_differentiable, shaped_like
from core.gradient.inner_map import map_rows
from core.gradient.reverse import Lop, grad
from core.graph import Variable
from core.tensor.create import arange, identity
from core.tensor.join import stack
from core.tensor.logic import eq
from core.tensor.type import TensorType, TensorVariable, constant
from core.tensor.vectorize import stacked_or_none

_UNROLLED_ROWS = 32


def jacobian(
    expression: TensorVariable,
    wrt: Any,
    consider_constant: Iterable[Variable] | None = None,
    disconnected_inputs: OnDisconnected = "raise",
) -> Any:
    """All partial derivatives of ``expression`` (shape s) with respect to each x of ``wrt``: shape ``(*s, *x.shape)``.

    Returns a variable for a variable, a list for a list.  Computed in reverse, one product per element.
    Errors: GradientError unless the expression is a real floating-point tensor; as of grad otherwise.

    >>> import core, core.tensor as ct
    >>> x = ct.vector("x")
    >>> core.function([x], core.jacobian(x ** 2, x))([1.0, 2.0])
    array([[2., 0.],
           [0., 4.]])
    """
    kind = expression.type if isinstance(expression, Variable) else None
    if not isinstance(kind, TensorType) or kind.dtype not in dtypes.FLOATS:
        what = f"type {kind}" if kind is not None else f"type {type(expression).__name__}"
        raise GradientError(
            f"jacobian needs a real floating-point tensor, got {expression} of {what}", blame=expression
        )
    variables = as_variables("wrt of jacobian", wrt)
    constants = list(consider_constant or ())
    if kind.ndim == 0:
        one = constant(1, dtype=kind.dtype)
        return shaped_like(wrt, Lop([expression], variables, [one], constants, disconnected_inputs))
    flat = expression if kind.ndim == 1 else expression.reshape((-1,))
    n = flat.type.shape[0]
    found = _all_at_once(flat, variables, constants, disconnected_inputs)
    if found is None:
        rows = _unrolled if n is not None and 0 < n <= _UNROLLED_ROWS else _row_by_row
        found = rows(flat, variables, constants, "ignore")
    if kind.ndim != 1:
        found = [J.reshape((*expression.shape, *x.shape)) for J, x in zip(found, variables, strict=True)]
    return shaped_like(wrt, found)


def _all_at_once(
    flat: TensorVariable, wrt: Sequence[Variable], constants: list[Variable], on: OnDisconnected
) -> list[TensorVariable] | None:
    unit = flat.type("unit")
    rows = Lop([flat], wrt, [unit], constants, on)
    return stacked_or_none(rows, {unit: identity(flat.shape[0], dtype=flat.dtype)})


def _unrolled(
    flat: TensorVariable, wrt: Sequence[Variable], constants: list[Variable], on: OnDisconnected
) -> list[TensorVariable]:
    unit = np.eye(flat.type.shape[0], dtype=flat.dtype)
    rows = [Lop([flat], wrt, [constant(e)], constants, on if k == 0 else "ignore") for k, e in enumerate(unit)]
    return [stack(list(of_one), axis=0) for of_one in zip(*rows, strict=True)]


def _row_by_row(
    flat: TensorVariable, wrt: Sequence[Variable], constants: list[Variable], on: OnDisconnected
) -> list[TensorVariable]:
    n, i = flat.shape[0], TensorType("int64", ())("i")
    e = eq(arange(n), i).astype(flat.dtype)
    rows = Lop([flat], wrt, [e], constants, on)
    return map_rows(n, i, rows, [x.shape for x in wrt])


def hessian(
    cost: TensorVariable,
    wrt: Any,
    consider_constant: Iterable[Variable] | None = None,
    disconnected_inputs: OnDisconnected = "raise",
) -> Any:
    """The second derivatives of the scalar ``cost`` with respect to each x of ``wrt``: shape ``(*x.shape, *x.shape)``.

    Zeros where the gradient is constant.  Returns a variable for a variable, a list for a list.  Errors: as of grad.

    >>> import core, core.tensor as ct
    >>> x = ct.vector("x")
    >>> core.function([x], core.hessian((x ** 3).sum(), x))([1.0, 2.0])
    array([[ 6.,  0.],
           [ 0., 12.]])
    """
    variables = as_variables("wrt of hessian", wrt)
    constants = list(consider_constant or ())
    gradients = grad(cost, variables, constants, disconnected_inputs)
    found = [_derivative(g, x, constants) for g, x in zip(gradients, variables, strict=True)]
    return shaped_like(wrt, found)


def _derivative(g: TensorVariable, x: Variable, constants: list[Variable]) -> TensorVariable:
    if not is_differentiable(x):
        raise GradientError(f"hessian needs variables of a float dtype, got {x} of dtype {x.type.dtype}", blame=x)
    return jacobian(g, x, constants, "ignore")
