"""What a workload is: a formula written once over a library's functions, seeded inputs, and a NumPy reference.

How a library runs it is in benchmarks/peers; kernels written by hand, for numba and in C, are in benchmarks/kernels.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

FORWARD, GRADIENT, VALUE_AND_GRADIENT, STEP = "forward", "gradient", "value+gradient", "step"
_PAGE = 4096
_WIDE = {"f": "float64", "c": "complex128"}  # what references are computed in
LEARNING_RATE = 1e-3  # small: thousands of timed steps on the same data must not saturate anything


@dataclass(frozen=True)
class Family:
    """One formula.

    name        a word, also what kernels are called after
    inputs      ``inputs(rng, *size)``: float64 arrays, and int64 ones for labels and groups
    formula     ``formula(m, *inputs)``: an output or a tuple of them; ``m`` holds a library's functions, see peers/*.py
    gradient    the derivative in NumPy, by hand; what it takes and returns depends on the kind, see ``Case.in_numpy``
    wrt         by which inputs it is differentiated; those of a step are its parameters
    trait       what bounds it, which decides its goal: see goals.py
    numexpr     the formula as numexpr writes it, over x0, x1, ...
    tiny        a size for tests
    """

    name: str
    inputs: Callable[..., Sequence[np.ndarray]]
    formula: Callable[..., Any]
    trait: str
    gradient: Callable[..., Any] | None = None
    wrt: tuple[int, ...] = ()
    numexpr: str | None = None
    tiny: tuple[int, ...] = (5,)


@dataclass(frozen=True)
class Case:
    """A family at one size and dtype, forward or differentiated.

    kind     "forward": the outputs.  "gradient": the product of the cotangent, which is the last input, with the
             Jacobian of the only output.  "value+gradient": of a scalar.  "step": gradient descent on the parameters,
             in place where the library can; the loss is returned.
    quick    also part of ``--quick``
    tolerance  relative to the largest element of each output; None: that of the dtype
    """

    family: Family
    kind: str
    dtype: str
    size: tuple[int, ...]
    quick: bool = False
    tolerance: float | None = None
    name: str = field(init=False)

    def __post_init__(self) -> None:
        size = "x".join(f"{n:.0e}".replace("e+0", "e") if n >= 10**5 and n % 10**5 == 0 else str(n) for n in self.size)
        object.__setattr__(self, "name", f"{self.family.name} {self.kind} {self.dtype} {size}")

    @property
    def kernel(self) -> str:
        """The name of kernels written by hand."""
        return f"{self.family.name}_{self.kind}".replace("+", "_and_")

    @property
    def trait(self) -> str:
        return self.family.trait

    def inputs(self) -> list[np.ndarray]:
        """The same for everybody; a gradient's cotangent comes last."""
        rng = np.random.default_rng(zlib.crc32(f"{self.family.name} {self.size}".encode()))
        arrays = list(self.family.inputs(rng, *self.size))
        if self.kind == GRADIENT:
            out = np.asarray(self.family.formula(NumPyFunctions, *arrays))
            arrays.append(rng.standard_normal(out.shape))
        kinds = {"float64": self.dtype, "complex128": np.result_type(self.dtype, np.complex64)}
        return [_placed(np.asarray(a, kinds.get(a.dtype.name, a.dtype)), k) for k, a in enumerate(arrays)]

    def in_numpy(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The outputs, in order: those of the formula; gradients; value and gradients; loss and new parameters."""
        if self.kind == FORWARD:
            out = self.family.formula(NumPyFunctions, *arrays)
            return list(out) if isinstance(out, tuple) else [out]
        assert self.family.gradient is not None
        if self.kind == STEP:
            loss, *slopes = self.family.gradient(*arrays)
            changed = [arrays[k] - LEARNING_RATE * slope for k, slope in zip(self.family.wrt, slopes, strict=True)]
            return [loss, *changed]
        return list(self.family.gradient(*arrays))

    def reference(self) -> list[np.ndarray]:
        """The outputs in float64, from inputs that were rounded to the dtype of the case."""
        with np.errstate(all="ignore"):
            wide = [a.astype(_WIDE.get(a.dtype.kind, a.dtype)) for a in self.inputs()]
            return [np.asarray(out) for out in self.in_numpy(wide)]

    def mismatch(self, results: Sequence[np.ndarray], reference: Sequence[np.ndarray]) -> str | None:
        """What is wrong with ``results``, or None.

        Parameters of a step are compared by their change, in which a mistake of the gradient shows.
        """
        if len(results) != len(reference):
            return f"{len(results)} results instead of {len(reference)}"
        starts: list[Any] = [0.0] * len(reference)
        if self.kind == STEP:
            arrays = self.inputs()
            starts[1:] = [arrays[k].astype(np.float64) for k in self.family.wrt]
        for k, (got, want, start) in enumerate(zip(results, reference, starts, strict=True)):
            if got.shape != want.shape:
                return f"result {k} has shape {got.shape}, not {want.shape}"
            if got.ndim and got.dtype.kind == "f" and got.dtype != self.dtype:  # a scalar may be a Python float
                return f"result {k} is {got.dtype}, not {self.dtype}"
            if got.dtype.kind == "c":
                if got.dtype != np.result_type(self.dtype, np.complex64):
                    return f"result {k} is {got.dtype}, not of {self.dtype}"
                got, want = (np.stack([one.real, one.imag]) for one in (got, want))
            changed = self.kind == STEP and k > 0
            error = _relative_error(got.astype(np.float64) - start, want - start)
            bound = self.bound(changed, float(np.max(np.abs(start), initial=0)), want - start)
            if not error <= bound:
                return f"result {k} is off by {error:.1e} of its largest element, more than {bound:.1e}"
        return None

    def bound(self, changed: bool, start: float, want: np.ndarray) -> float:
        """How far a result may be off, relative to its largest element."""
        bound = self.tolerance or (1e-9 if self.dtype == "float64" else 2e-4)
        if changed:  # a difference of nearly equal numbers: rounding of the parameters themselves
            eps = float(np.finfo(self.dtype).eps)
            bound += eps * start / max(float(np.max(np.abs(want), initial=0)), 1e-300)
        return bound


def _placed(array: np.ndarray, number: int) -> np.ndarray:
    """A copy in row-major order that starts ``512 * number`` bytes behind a page.

    Where arrays happen to lie costs up to 1.7 times where they fit into a cache: loads wait for stores to addresses
    that are equal in their last 12 bits.  So each process has its inputs in the same places.
    """
    room = np.empty(array.nbytes + 2 * _PAGE, np.uint8)
    start = -room.ctypes.data % _PAGE + 512 * number % _PAGE
    copy = room[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def _relative_error(got: np.ndarray, want: np.ndarray) -> float:
    """The largest difference over the largest element; infinite where only one of them is finite, or NaN."""
    finite = np.isfinite(want)
    if not np.array_equal(finite, np.isfinite(got)) or not np.array_equal(got[~finite], want[~finite], equal_nan=True):
        return float("inf")
    if not finite.any():
        return 0.0
    difference = float(np.max(np.abs(got[finite] - want[finite])))
    scale = float(np.max(np.abs(want[finite])))
    return difference / scale if scale else difference


def windows(x: np.ndarray, k: int) -> np.ndarray:
    """The k by k windows of images (n, c, h, w) as columns: (n, c k k, windows)."""
    found = sliding_window_view(x, (k, k), (2, 3)).transpose(0, 1, 4, 5, 2, 3)
    return found.reshape(len(x), x.shape[1] * k * k, -1)


class NumPyFunctions:
    """The functions that formulas use, for NumPy; what other libraries call them is in benchmarks/peers."""

    exp, log, sqrt, abs, tanh = np.exp, np.log, np.sqrt, np.abs, np.tanh
    maximum, minimum, dot, concatenate = np.maximum, np.minimum, np.dot, np.concatenate
    sum, max, mean = np.sum, np.max, np.mean

    @staticmethod
    def scan(step: Callable[[Any, Any], Any], rows: np.ndarray, start: Any) -> np.ndarray:
        """The states that ``step(state, row)`` makes, one after the other, stacked."""
        states = [start]
        for row in rows:
            states.append(step(states[-1], row))
        return np.stack(states[1:])

    @staticmethod
    def erf(x: np.ndarray) -> np.ndarray:
        from scipy.special import erf  # imports take a third of a second, and few formulas need it

        return erf(x)

    @staticmethod
    def sigmoid(x: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-x))

    @staticmethod
    def softplus(x: np.ndarray) -> np.ndarray:
        return np.logaddexp(x, 0)

    @staticmethod
    def softmax(x: np.ndarray, axis: int) -> np.ndarray:
        out = np.exp(x - x.max(axis, keepdims=True))
        out /= out.sum(axis, keepdims=True)
        return out

    @staticmethod
    def logsumexp(x: np.ndarray, axis: int) -> np.ndarray:
        largest = x.max(axis, keepdims=True)
        return np.log(np.exp(x - largest).sum(axis)) + np.squeeze(largest, axis)

    @staticmethod
    def log_softmax(x: np.ndarray) -> np.ndarray:
        shifted = x - x.max(-1, keepdims=True)
        return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))

    @staticmethod
    def layer_norm(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
        centred = x - x.mean(-1, keepdims=True)
        return centred / np.sqrt((centred * centred).mean(-1, keepdims=True) + 1e-5) * weight + bias

    cholesky, diagonal = np.linalg.cholesky, np.diagonal

    @staticmethod
    def cholesky_solve(factor: np.ndarray, b: np.ndarray) -> np.ndarray:
        from scipy.linalg import cho_solve

        return cho_solve((factor, True), b)

    @staticmethod
    def eye_like(x: np.ndarray) -> np.ndarray:
        return np.eye(len(x), dtype=x.dtype)

    fft, rfft, fft2, irfft = np.fft.fft, np.fft.rfft, np.fft.fft2, np.fft.irfft

    @staticmethod
    def relu(x: np.ndarray) -> np.ndarray:
        return np.maximum(x, 0)

    @staticmethod
    def conv2d(x: np.ndarray, w: np.ndarray) -> np.ndarray:
        """A product for each image, whose windows are copied: all at once would not stay in any cache."""
        (f, _, k, _), shape = w.shape, (x.shape[2] - w.shape[2] + 1, x.shape[3] - w.shape[3] + 1)
        out = np.empty((len(x), f, shape[0] * shape[1]), x.dtype)
        for i in range(len(x)):
            np.matmul(w.reshape(f, -1), windows(x[i : i + 1], k)[0], out=out[i])
        return out.reshape(len(x), f, *shape)

    @staticmethod
    def max_pool(x: np.ndarray) -> np.ndarray:
        n, c, h, w = x.shape
        return x.reshape(n, c, h // 2, 2, w // 2, 2).max((3, 5))

    @staticmethod
    def flat(x: np.ndarray) -> np.ndarray:
        return x.reshape(len(x), -1)

    @staticmethod
    def pick(x: np.ndarray, column: np.ndarray) -> np.ndarray:
        """The element in ``column[i]`` of each row i."""
        return x[np.arange(len(column)), column]
