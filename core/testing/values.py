"""Reproducible arrays, and what an op makes of them on a backend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from core import backend as backends
from core import dtypes
from core.compile.function import function
from core.errors import BackendError
from core.graph import Variable
from core.tensor.type import TensorType, TensorVariable, as_tensor
from core.testing.needed import VARIABLE, required


def random(
    shape: int | Sequence[int], dtype: Any = "float64", seed: int = 0, low: float = -1, high: float = 1
) -> np.ndarray:
    """The same array for the same arguments, uniform: floats in [low, high), integers in low..high, ends included.

    Both parts of a complex number lie in [low, high).  An unsigned integer starts at 0 where ``low`` is negative.
    """
    dtype, rng = dtypes.canonical(dtype), np.random.default_rng(seed)
    if dtype == "bool":
        return np.asarray(rng.integers(0, 2, shape), "bool")
    if dtype in dtypes.INTEGERS:
        lowest = max(low, 0) if dtype.startswith("u") else low
        return np.asarray(rng.integers(int(lowest), int(high), shape, endpoint=True)).astype(dtype)
    values = rng.uniform(low, high, shape)
    if dtype in dtypes.COMPLEXES:
        values = values + 1j * rng.uniform(low, high, shape)
    return np.asarray(values).astype(dtype)


def available_backends() -> list[str]:
    """Names of the backends that are installed and work here; "interpreter" is always there, and first.

    Errors  BackendError when one does not work that the variable CORE_REQUIRE_DEVICE names (several with commas): tests
            that are left out for want of a device then fail instead.
    """
    found = backends.available_names()
    for name in required():
        if name not in found:
            raise BackendError(f"{VARIABLE} needs backend {name!r}, which cannot be used: {backends.probe(name)}")
    return ["interpreter", *(name for name in found if name != "interpreter")]


def evaluate(
    op: Callable[..., Any], *arrays: Any, backend: Any = "interpreter", static: bool = False, mode: Any = None
) -> Any:
    """``op`` (an op, or a function of tensor variables) of ``arrays``, computed on ``backend``.

    The lengths of the inputs are unknown to the graph, or known when ``static``.  ``mode`` is that of core.function:
    how much is rewritten.  Returns an array, or a list of them where ``op`` gives several outputs.
    """
    values = [np.asarray(array) for array in arrays]
    inputs = symbolic(values, static)
    found = op(*inputs)
    outputs = as_list(found)
    results = compute(inputs, outputs, values, backend, mode)
    return list(results) if isinstance(found, (list, tuple)) else results[0]


def symbolic(arrays: Sequence[np.ndarray], static: bool = False) -> list[TensorVariable]:
    """One input variable for each array, of its dtype and number of dimensions (and its lengths, when ``static``)."""
    types = [TensorType(array.dtype, array.shape if static else array.ndim) for array in arrays]
    return [kind(f"x{position}") for position, kind in enumerate(types)]


def as_list(outputs: Any) -> list[Variable]:
    """One output or several, as a list of variables."""
    return [as_tensor(out) for out in outputs] if isinstance(outputs, (list, tuple)) else [as_tensor(outputs)]


def compute(
    inputs: Sequence[Variable],
    outputs: Sequence[Variable],
    values: Sequence[np.ndarray],
    backend: Any = "interpreter",
    mode: Any = "none",
) -> list[np.ndarray]:
    """The values of ``outputs``, as the graph stands unless ``mode`` says otherwise."""
    return [np.asarray(result) for result in compiled(inputs, outputs, backend, mode)(*values)]


def compiled(
    inputs: Sequence[Variable], outputs: Sequence[Variable], backend: Any = "interpreter", mode: Any = "none"
) -> Callable[..., list]:
    """A function of the values of all ``inputs``, also of those that no output needs."""
    return function(list(inputs), list(outputs), backend=backend, mode=mode, on_unused_input="ignore")
