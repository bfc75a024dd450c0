"""verify_grad: a user's check of a gradient against differences, in Theano's form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from core import dtypes
from core.errors import GradientError
from core.gradient import grad
from core.tensor.type import constant
from core.testing.values import as_list, compiled, symbolic

_STEP = {"float16": 1e-1, "float32": 1e-3, "float64": 1e-6}
_TOLERANCE = {"float16": 1e-1, "float32": 1e-2, "float64": 1e-4}


def numeric_grad(f: Callable[..., Any], pt: Sequence[np.ndarray], eps: float | None = None) -> list[np.ndarray]:
    """Central differences of ``f``, a function from arrays to a number, at the float arrays ``pt``: one array for each.

    Of complex z = x + iy, df/dx - i df/dy, as ``grad`` has it.
    ``eps`` is the step; left out, 1e-6 for float64, 1e-3 for float32, 1e-1 for float16 (the lowest precision counts).
    """
    arrays = [np.array(x) for x in pt]
    step = _of_lowest(arrays, _STEP) if eps is None else eps
    out = [np.zeros(x.shape, np.promote_types(x.dtype, "float64")) for x in arrays]
    for x, g in zip(arrays, out, strict=True):
        for part, of_g, sign in ((x, g, 1),) if x.dtype.kind != "c" else ((x.real, g.real, 1), (x.imag, g.imag, -1)):
            for at in np.ndindex(x.shape):
                middle = part[at]
                part[at] = middle + step
                up, high = float(f(*arrays)), float(part[at])
                part[at] = middle - step
                down, low = float(f(*arrays)), float(part[at])
                part[at] = middle
                of_g[at] = sign * (up - down) / (high - low)
    return out


def verify_grad(
    fun: Callable[..., Any],
    pt: Sequence[Any],
    n_tests: int = 2,
    rng: np.random.Generator | None = None,
    eps: float | None = None,
    abs_tol: float | None = None,
    rel_tol: float | None = None,
    backend: Any = "interpreter",
) -> None:
    """Compare the gradient of ``fun``, a function from tensor variables to one, with central differences at ``pt``.

    The output is projected on ``n_tests`` random vectors from ``rng``.  ``eps`` is the step of the differences.  An
    element passes within ``abs_tol`` or within ``rel_tol``, both 1e-4 for float64 and 1e-2 for float32 unless given.
    Errors: GradientError with the largest error, where it is, and both values.
    """
    arrays = [np.array(x) for x in pt]
    for x in arrays:
        if x.dtype.name not in dtypes.CONTINUOUS:
            raise GradientError(f"verify_grad needs points of a float or complex dtype, got dtype {x.dtype}")
    rng = np.random.default_rng(0) if rng is None else rng
    tolerance = _of_lowest(arrays, _TOLERANCE)
    abs_tol, rel_tol = tolerance if abs_tol is None else abs_tol, tolerance if rel_tol is None else rel_tol
    inputs = symbolic(arrays)
    outputs = as_list(fun(*inputs))
    if len(outputs) != 1 or outputs[0].type.dtype not in dtypes.FLOATS:
        raise GradientError(f"verify_grad needs a function with one output of a float dtype, got {outputs}")
    (out,) = outputs
    shape = np.asarray(compiled(inputs, outputs, backend)(*arrays)[0]).shape
    for test in range(n_tests):
        weights = np.asarray(rng.uniform(0.5, 1.5, shape) * rng.choice([-1, 1], shape)).astype(out.type.dtype)
        cost = (out * constant(weights)).sum()
        project = compiled(inputs, [cost], backend)
        analytic = compiled(inputs, grad(cost, inputs, disconnected_inputs="ignore"), backend)(*arrays)
        numeric = numeric_grad(lambda *xs, run=project: run(*xs)[0], arrays, eps)
        for position, (a, n) in enumerate(zip(analytic, numeric, strict=True)):
            _compare(fun, test, position, np.asarray(a, n.dtype), n, abs_tol, rel_tol)


def _of_lowest(arrays: Sequence[np.ndarray], table: dict[str, float]) -> float:
    return max(table[dtypes.real_of(x.dtype.name)] for x in arrays)


def _compare(
    fun: Any, test: int, position: int, analytic: np.ndarray, numeric: np.ndarray, abs_tol: float, rel_tol: float
) -> None:
    absolute = np.abs(analytic - numeric)
    relative = absolute / np.maximum(np.abs(analytic) + np.abs(numeric), 1e-8)
    bad = ~((absolute <= abs_tol) | (relative <= rel_tol))  # NaN is bad
    if not bad.any():
        return
    worst = np.unravel_index(np.argmax(np.where(bad, np.nan_to_num(absolute, nan=np.inf), -1)), absolute.shape)
    raise GradientError(
        f"verify_grad of {getattr(fun, '__name__', fun)}: in test {test}, the gradient of input {position} at "
        f"{tuple(map(int, worst))} is {analytic[worst]}, but the difference is {numeric[worst]} "
        f"(absolute error {absolute[worst]:.3g} > {abs_tol:.3g}, relative error {relative[worst]:.3g} > {rel_tol:.3g})"
    )
