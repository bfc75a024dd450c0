"""Functions of NumPy and ufuncs of SciPy, called with tensor variables: those of core.tensor with the same name.

``np.exp(x)``, ``np.concatenate([x, y])`` and ``scipy.special.erf(x)`` are ``ct.exp(x)``, ``ct.concatenate([x, y])`` and
``ct.erf(x)``: NEP 13 and NEP 18 hand them over.  What would write into an array is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from typing import Any

import numpy as np

from core.errors import ArgumentError, did_you_mean

_HOMES = {"numpy.linalg": "linalg", "numpy.fft": "fft"}  # of whose functions a pack has those
_OTHER_NAMES = {"shape": "shape_of"}


def call_ufunc(tensor: Any, ufunc: np.ufunc, method: str, inputs: Sequence[Any], named: Mapping[str, Any]) -> Any:
    """``ufunc(*inputs)`` as the function with its name of ``tensor``, which is the package core.tensor.

    Errors  ArgumentError for a method such as ``reduce``, for ``out``, ``where`` and the like, and for another name.
    """
    name = ufunc.__name__
    if method != "__call__":
        other = {"reduce": f"ct.sum, ct.prod, ct.max, ..., not np.{name}.reduce", "outer": f"ct.{name} of x[:, None]"}
        raise ArgumentError(f"np.{name}.{method} does not take tensor variables: {other.get(method, 'there is none')}")
    unknown = [key for key, value in named.items() if key != "dtype" and value is not None]
    if unknown:
        raise ArgumentError(f"np.{name} of a tensor variable takes no {' or '.join(unknown)}: use ct.{name}")
    if not isinstance(getattr(np, name, None), np.ufunc) or getattr(np, name) is not ufunc:
        name = name.removeprefix("_")
    return _found(tensor, name, "ufunc", name)(
        *inputs, **{k: v for k, v in named.items() if k == "dtype" and v is not None}
    )


def call_function(tensor: Any, function: Callable[..., Any], arguments: Sequence[Any], named: Mapping[str, Any]) -> Any:
    """``function(*arguments, **named)`` as the function with its name of ``tensor``, which is the package core.tensor.

    Errors  ArgumentError for ``out``, for arguments that ours does not have, and for another name.
    """
    home, name = function.__module__, function.__name__
    if home in _HOMES:
        pack = _HOMES[home]
        raise ArgumentError(
            f"{home.replace('numpy', 'np')}.{name} takes no tensor variables: use core.ops.{pack}.{name}"
        )
    named = {key: value for key, value in named.items() if not (key in ("out", "where") and value is None)}
    own = _found(tensor, name, "function", f"np.{name}")
    if not hasattr(own, "scalar"):  # an elementwise op says itself what it does not take
        try:
            signature(own).bind(*arguments, **named)
        except TypeError as error:
            raise ArgumentError(f"np.{name} of tensor variables is ct.{name}{signature(own)}: {error}") from error
    return own(*arguments, **named)


def _found(tensor: Any, name: str, kind: str, said: str) -> Callable[..., Any]:
    found = getattr(tensor, _OTHER_NAMES.get(name, name), None)
    if not callable(found):
        hint = did_you_mean(name, tensor.__all__)
        raise ArgumentError(
            f"core.tensor has no function for the {kind} {said}, so it takes no tensor variables.{hint}"
        )
    return found
