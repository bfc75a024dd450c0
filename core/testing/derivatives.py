"""Derivatives of an op against differences, and against each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from core import dtypes
from core.errors import GradientError
from core.gradient import Lop, Rop
from core.graph import Variable
from core.tensor.type import TensorVariable
from core.testing.values import as_list, compiled, random, symbolic

_STEP = 1e-4  # the differences below are exact to order 4, so rounding, 1e-16 / 1e-4, is what remains


def check_derivatives(
    op: Callable[..., Any],
    *arrays: Any,
    wrt: Sequence[int] | int | None = None,
    backend: Any = "interpreter",
    static: bool = False,
    seed: int = 0,
    rtol: float = 1e-6,
    atol: float = 1e-8,
    parts: Sequence[str] = ("grad", "R_op"),
) -> None:
    """Hold ``R_op`` and ``grad`` of ``op`` (an op, or a function of tensors) against differences at ``arrays``.

    wrt     positions of the inputs to differentiate by; left out, all of a float or complex dtype (computed with as
            float64 and complex128)
    Checks  R_op(u) == central difference along u;  <R_op(u), v> == <u, grad(v)> for random u and v, one input at a time
            and all together, where <a, b> is Re sum(a b);  each gradient has the shape and dtype of its input.
    parts   which of the two derivatives to check; they are compared with each other when both are
    Errors  GradientError saying which of these fails, for which input, with both values.
    """
    values = [np.asarray(array) for array in arrays]
    positions = _positions(op, wrt, values)
    for position in positions:
        values[position] = values[position].astype("complex128" if values[position].dtype.kind == "c" else "float64")
    inputs = symbolic(values, static)
    outputs = [out for out in as_list(op(*inputs)) if out.type.dtype in dtypes.CONTINUOUS]
    if not outputs:
        raise GradientError(f"check_derivatives needs an op with a float or complex output, but {op} has none")
    check = _Check(op, inputs, outputs, values, backend, rtol, atol, parts)
    for position in positions:
        check.along([position], seed + position)
    if len(positions) > 1:
        check.along(positions, seed + len(values))


def _positions(op: Any, wrt: Sequence[int] | int | None, values: Sequence[np.ndarray]) -> list[int]:
    floats = [position for position, value in enumerate(values) if value.dtype.name in dtypes.CONTINUOUS]
    chosen = floats if wrt is None else [wrt] if isinstance(wrt, int) else list(wrt)
    if not chosen or not set(chosen) <= set(floats):
        raise GradientError(
            f"check_derivatives of {op} needs float or complex inputs to differentiate by, got wrt={wrt} and dtypes "
            f"{[value.dtype.name for value in values]}"
        )
    return chosen


def _scalar_product(left: Sequence[np.ndarray], right: Sequence[np.ndarray]) -> np.ndarray:
    return np.asarray(sum(float(np.real(np.sum(a * b))) for a, b in zip(left, right, strict=True)))


class _Check:
    """One op at one point: everything that stays the same while the direction varies."""

    def __init__(
        self,
        op: Any,
        inputs: Sequence[TensorVariable],
        outputs: Sequence[TensorVariable],
        values: Sequence[np.ndarray],
        backend: Any,
        rtol: float,
        atol: float,
        parts: Sequence[str],
    ):
        self.op, self.inputs, self.outputs, self.values = op, list(inputs), list(outputs), list(values)
        self.backend, self.rtol, self.atol, self.parts = backend, rtol, atol, parts
        self.run = compiled(inputs, outputs, backend)
        self.at_point = [np.asarray(out) for out in self.run(*values)]

    def along(self, positions: Sequence[int], seed: int) -> None:
        """Compare everything for a random direction in the inputs at ``positions`` and random weights of outputs."""
        directions = [random(self.values[p].shape, self.values[p].dtype, 1000 * seed + p) for p in positions]
        weights = [random(out.shape, out.dtype, seed=1000 * seed + 500 + k) for k, out in enumerate(self.at_point)]
        differences = self._differences(positions, directions)
        numeric = _scalar_product(differences, weights)
        if "R_op" in self.parts:
            tangents = self._tangents(positions, directions)
            for k, (tangent, difference) in enumerate(zip(tangents, differences, strict=True)):
                self._compare(tangent, difference, f"R_op of output {k}", "the central difference", positions)
        if "grad" in self.parts:
            gradients = self._gradients(positions, weights)
            backward = _scalar_product(directions, gradients)
            self._compare(backward, numeric, "<u, grad(v)>", "<central difference along u, v>", positions)
        if "R_op" in self.parts and "grad" in self.parts:
            forward = _scalar_product(tangents, weights)
            self._compare(backward, forward, "<u, grad(v)>", "<R_op(u), v>", positions)

    def _tangents(self, positions: Sequence[int], directions: Sequence[np.ndarray]) -> list[np.ndarray]:
        points = symbolic(directions)
        tangents = Rop(self.outputs, [self.inputs[p] for p in positions], points, disconnected_outputs="ignore")
        found = self._with(points, tangents, directions)
        return [
            np.zeros_like(out) if value is None else self._shaped(value, out, f"R_op of output {k}")
            for k, (value, out) in enumerate(zip(found, self.at_point, strict=True))
        ]

    def _gradients(self, positions: Sequence[int], weights: Sequence[np.ndarray]) -> list[np.ndarray]:
        points = symbolic(weights)
        wrt = [self.inputs[p] for p in positions]
        found = self._with(points, Lop(self.outputs, wrt, points, disconnected_inputs="ignore"), weights)
        return [
            self._shaped(value, self.values[p], f"the gradient of input {p}")
            for value, p in zip(found, positions, strict=True)
        ]

    def _with(
        self, points: Sequence[Variable], outputs: Sequence[Variable | None], values: Sequence[np.ndarray]
    ) -> list[np.ndarray | None]:
        present = [out for out in outputs if out is not None]
        results = iter(compiled([*self.inputs, *points], present, self.backend)(*self.values, *values))
        return [None if out is None else np.asarray(next(results)) for out in outputs]

    def _differences(self, positions: Sequence[int], directions: Sequence[np.ndarray]) -> list[np.ndarray]:
        """(8 (f(h) - f(-h)) - (f(2h) - f(-2h))) / 12h."""

        def at(steps: float) -> list[np.ndarray]:
            moved = list(self.values)
            for position, direction in zip(positions, directions, strict=True):
                moved[position] = moved[position] + steps * _STEP * direction
            return [np.asarray(out) for out in self.run(*moved)]

        near = [(up - down) for up, down in zip(at(1), at(-1), strict=True)]
        far = [(up - down) for up, down in zip(at(2), at(-2), strict=True)]
        return [(8 * a - b) / (12 * _STEP) for a, b in zip(near, far, strict=True)]

    def _shaped(self, value: np.ndarray, like: np.ndarray, what: str) -> np.ndarray:
        if value.shape != like.shape or value.dtype != like.dtype:
            raise GradientError(
                f"{what} of {self.op} needs shape {like.shape} and dtype {like.dtype}, "
                f"got shape {value.shape} and dtype {value.dtype}"
            )
        return value

    def _compare(
        self, got: np.ndarray, expected: np.ndarray, what: str, against: str, positions: Sequence[int]
    ) -> None:
        scale = max(1.0, float(np.max(np.abs(expected), initial=0)))
        if np.allclose(got, expected, rtol=self.rtol, atol=self.atol * scale):
            return
        error = np.abs(got - expected)
        worst = np.unravel_index(np.argmax(np.where(np.isnan(error), np.inf, error)), error.shape)
        where = f" at {tuple(map(int, worst))}" if error.ndim else ""
        raise GradientError(
            f"{what} of {self.op} for input{'s' * (len(positions) > 1)} {', '.join(map(str, positions))} "
            f"is {got[worst]}{where}, but {against} is {expected[worst]}"
        )
