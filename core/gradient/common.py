"""What the forward and the backward way share: arguments, types of derivatives, and what to do where there is none."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Literal

from core import dtypes
from core.errors import ArgumentError, CoreError, DisconnectedInputError, GradientError
from core.graph import DisconnectedType, NullType, Variable
from core.op import disconnected
from core.tensor.elementwise import second
from core.tensor.type import TensorType, constant

OnDisconnected = Literal["raise", "warn", "ignore"]
ReturnDisconnected = Literal["zero", "none", "disconnected"]


def check_choice(name: str, value: Any, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ArgumentError(f"{name} needs one of {', '.join(map(repr, choices))}, got {value!r}")


def as_variables(name: str, given: Any) -> list[Variable]:
    """One variable or a sequence of them, as a list.  Errors: ArgumentError naming what is no variable."""
    found = [given] if isinstance(given, Variable) or not isinstance(given, (list, tuple)) else list(given)
    for x in found:
        if not isinstance(x, Variable):
            raise ArgumentError(f"{name} needs a variable or a list of variables, got {x!r} of type {type(x).__name__}")
    return found


def shaped_like(given: Any, results: Sequence[Any]) -> Any:
    """One result for one variable; a list for a list, a tuple for a tuple."""
    if isinstance(given, Variable):
        return results[0]
    return tuple(results) if isinstance(given, tuple) else list(results)


def is_differentiable(x: Variable) -> bool:
    """Whether a value of this type can change by a little: discrete tensors cannot."""
    return not isinstance(x.type, TensorType) or x.type.dtype in dtypes.CONTINUOUS


def is_missing(derivative: Any) -> bool:
    return derivative is None or isinstance(getattr(derivative, "type", None), DisconnectedType)


def is_null(derivative: Any) -> bool:
    return isinstance(getattr(derivative, "type", None), NullType)


def misfit(derivative: Any, x: Variable) -> str | None:
    """What a derivative that belongs to ``x`` needs and has not, or None: dtype, ndim and known lengths must agree."""
    if not isinstance(derivative, Variable):
        return f"a variable, got {derivative!r} of type {type(derivative).__name__}"
    if not isinstance(x.type, TensorType):
        return None
    have = derivative.type
    if not isinstance(have, TensorType) or (have.dtype, have.ndim) != (x.type.dtype, x.type.ndim):
        return f"dtype {x.type.dtype} and ndim={x.type.ndim}, got {have}"
    if any(None not in (a, b) and a != b for a, b in zip(have.shape, x.type.shape, strict=True)):
        return f"shape {x.type.shape}, got {have}"
    return None


def as_derivative(value: Any, x: Variable, who: str) -> Variable:
    """What a caller gave as gradient or tangent of ``x``; numbers and arrays take its dtype.  Errors: GradientError."""
    try:
        found = value if isinstance(value, Variable) else constant(value, dtype=x.type.dtype)
    except CoreError as error:
        raise GradientError(f"{who} for {x} is no tensor: {error}", blame=x) from error
    if isinstance(found.type, (DisconnectedType, NullType)):
        return found
    wrong = misfit(found, x)
    if wrong is not None:
        raise GradientError(f"{who} for {x} needs {wrong}", blame=x)
    return found


def zeros_at(x: Variable) -> Variable:
    """Zeros of the shape of ``x``, and of its dtype, or float64 where that is discrete."""
    if not isinstance(x.type, TensorType):
        return disconnected()
    return second(x, constant(0, dtype=x.type.dtype if is_differentiable(x) else "float64"))


def without(x: Variable, text: str, on: OnDisconnected, give: ReturnDisconnected) -> Variable | None:
    """What a caller gets for ``x``, where there is no derivative, after being told so in the way he chose."""
    if on == "raise":
        raise DisconnectedInputError(text, blame=x)
    if on == "warn":
        warnings.warn(text, UserWarning, stacklevel=4)
    return {"zero": zeros_at, "none": lambda x: None, "disconnected": lambda x: disconnected()}[give](x)
