"""The three ops that all transforms are made of: complex to complex, real to half a spectrum, and back.

With w = exp(-2 pi i / n).  Each is linear; what it is divided by is part of it, for no pass over memory is spent on
that.  What users call is in whole.py and half.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from core import dtypes
from core.errors import DTypeError, ShapeError
from core.graph import Apply, Variable
from core.ir.clike.routine import Failure
from core.ir.library import LibraryCall
from core.op import Op, disconnected
from core.tensor import TensorType, TensorVariable, as_tensor, normalize_axis
from core.tensor.shape import as_length, input_gradient, shape_i, static_length

NORMS = {0: "backward", 0.5: "ortho", 1: "forward"}  # what NumPy calls the powers, of a transform that is no inverse
TURNED = {0: "forward", 0.5: "ortho", 1: "backward"}  # and of an inverse


class Transform(Op):
    """What the three have in common: they are linear, and have no use for an axis without elements.

    power  results are divided by that power of the number of elements that are transformed: 0, 0.5 or 1
    """

    explains_lengths = True
    power: float
    routine: ClassVar[str]  # what a library calls it

    def require_elements(self, n: int | None, blame: Any) -> None:
        """Errors: ShapeError, with the text of NumPy, for a length below 1."""
        if n is not None and n < 1:
            raise ShapeError(
                f"Invalid number of FFT data points ({n}) specified: {self} needs one at least", blame=blame
            )

    def R_op(self, inputs: Sequence[TensorVariable], eval_points: Sequence[Variable | None]) -> list[Variable | None]:
        """Linear, so a tangent is transformed likewise."""
        return [None if eval_points[0] is None else self(eval_points[0], *inputs[1:])]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[True], *([False] for _ in node.inputs[1:])]

    def do_constant_folding(self, node: Apply) -> bool:
        return True

    def library_call(self, node: Apply) -> LibraryCall | None:
        """A routine that takes any lengths and any strides."""
        attributes = tuple((name, getattr(self, name)) for name in self.__props__)  # type: ignore[attr-defined]
        return LibraryCall(self.routine, attributes)

    def library_error(self, node: Apply, failure: Failure) -> Exception:
        """Of a length below 1, or of half a spectrum that is not that of its length."""
        raise NotImplementedError


class Fourier(Transform):
    """y[k] = sum of x[j] w^(j k) along each of ``axes``, or of x[j] w^(-j k) for the ``inverse``.

    Input   x: complex64 or complex128.      Output  y: its shape and dtype.
    Errors  DTypeError for other dtypes; AxisError; ShapeError for an axis of length 0.
    Source  Error about eps log n of the norm: Higham (2002), section 24.1.
    """

    __props__ = ("axes", "inverse", "power")
    routine = "fourier"

    def __init__(self, axes: Sequence[int], inverse: bool = False, power: float = 0):
        self.axes, self.inverse, self.power = tuple(axes), bool(inverse), power

    def make_node(self, x: Any) -> Apply:
        x = as_tensor(x)
        if x.dtype not in dtypes.COMPLEXES:
            raise DTypeError(f"{self} needs complex64 or complex128, got {x} of dtype {x.dtype}; cast it", blame=x)
        op = Fourier([normalize_axis(axis, x, op=self) for axis in self.axes], self.inverse, self.power)
        for axis in op.axes:
            self.require_elements(x.type.shape[axis], x)
        return Apply(op, [x], [TensorType(x.dtype, x.type.shape)])

    def perform(self, node: Apply, inputs: Sequence[np.ndarray], output_storage: Sequence[list]) -> None:
        (x,) = inputs
        for axis in self.axes:
            self.require_elements(x.shape[axis], node)
        transform, names = (np.fft.ifftn, TURNED) if self.inverse else (np.fft.fftn, NORMS)
        with np.errstate(all="ignore"):
            found = transform(x, axes=self.axes, norm=names[self.power])
        output_storage[0][0] = np.asarray(found, x.dtype)

    def infer_shape(self, node: Apply, input_shapes: Sequence[tuple]) -> list[tuple]:
        return [input_shapes[0]]

    def grad(self, inputs: Sequence[TensorVariable], output_grads: Sequence[Variable]) -> list[Variable]:
        """The matrix of w^(j k) is symmetric: its own transpose."""
        return [self(output_grads[0])]

    def batch(self, node: Apply, inputs: Sequence[TensorVariable]) -> list[TensorVariable] | None:
        return [Fourier([axis + 1 for axis in self.axes], self.inverse, self.power)(inputs[0])]

    def flops(self, inputs: Sequence[Any], outputs: Sequence[Any]) -> int | None:
        n = int(np.prod([inputs[0][axis] for axis in self.axes]))
        return 5 * int(np.prod(inputs[0]) * np.log2(max(n, 2)))

    def library_call(self, node: Apply) -> LibraryCall | None:
        attributes = (("axes", self.axes), ("inverse", self.inverse), ("power", self.power))
        return LibraryCall(self.routine, attributes, replaces=((0, 0),))

    def library_error(self, node: Apply, failure: Failure) -> Exception:
        return empty(self, node)


class RealFourier(Transform):
    """y[k] = sum of x[j] w^(j k) along ``axis``, for 0 <= k <= n // 2: the other half is its mirror image, conjugated.

    transposed  the transpose of RealInverse instead: the conjugate of that, twice for a k whose mirror image is another
    Input   x: float32 or float64, of length n along the axis.
    Output  y: complex64 or complex128, n // 2 + 1 along it; y[0], and y[n / 2] for even n, are real.
    Errors  DTypeError for other dtypes; AxisError; ShapeError for an axis of length 0.
    """

    __props__ = ("axis", "power", "transposed")
    routine = "fourier_of_real"

    def __init__(self, axis: int, power: float = 0, transposed: bool = False):
        self.axis, self.power, self.transposed = axis, power, bool(transposed)

    def along(self, axis: int) -> RealFourier:
        return RealFourier(axis, self.power, self.transposed)

    def make_node(self, x: Any) -> Apply:
        x = as_tensor(x)
        if x.dtype not in ("float32", "float64"):
            raise DTypeError(f"{self} needs float32 or float64, got {x} of dtype {x.dtype}; cast it", blame=x)
        op = self.along(normalize_axis(self.axis, x, op=self))
        n = x.type.shape[op.axis]
        self.require_elements(n, x)
        out = with_length(x.type.shape, op.axis, None if n is None else n // 2 + 1)
        return Apply(op, [x], [TensorType(COMPLEX_OF[x.dtype], out)])

    def perform(self, node: Apply, inputs: Sequence[np.ndarray], output_storage: Sequence[list]) -> None:
        (x,) = inputs
        n = x.shape[self.axis]
        self.require_elements(n, node)
        with np.errstate(all="ignore"):
            found = np.fft.rfft(x, axis=self.axis, norm=NORMS[self.power])
            if self.transposed:
                found = found.conj() * counted(n, self.axis, x)
        output_storage[0][0] = np.asarray(found, node.out.dtype)

    def infer_shape(self, node: Apply, input_shapes: Sequence[tuple]) -> list[tuple]:
        known = node.out.type.shape[self.axis]
        n = input_shapes[0][self.axis]
        return [with_length(input_shapes[0], self.axis, n // 2 + 1 if known is None else known)]

    def grad(self, inputs: Sequence[TensorVariable], output_grads: Sequence[Variable]) -> list[Variable]:
        """gx[j] = Re sum of g[k] w^(j k), over the half."""
        (x,), (g,) = inputs, output_grads
        back = real_inverse(self.axis, shape_i(x, self.axis), self.power, not self.transposed)
        return [input_gradient(x, back(g))]

    def batch(self, node: Apply, inputs: Sequence[TensorVariable]) -> list[TensorVariable] | None:
        return [self.along(self.axis + 1)(inputs[0])]

    def flops(self, inputs: Sequence[Any], outputs: Sequence[Any]) -> int | None:
        return real_flops(inputs[0], self.axis)

    def library_error(self, node: Apply, failure: Failure) -> Exception:
        return empty(self, node)


class RealInverse(Transform):
    """x[j] = sum of y[k] w^(-j k) along ``axis``, over all n of the spectrum whose first half is given.

    transposed  the transpose of RealFourier instead: Re sum of y[k] w^(j k), over the half alone
    Inputs  y: complex64 or complex128, n // 2 + 1 along the axis; the imaginary parts of y[0], and of y[n / 2] for even
            n, do not count.  n: an int64 scalar where ``length`` is None.
    Output  x: float32 or float64, n along the axis.
    Errors  DTypeError for other dtypes; AxisError; ShapeError for a length below 1, or another half.
    """

    __props__ = ("axis", "length", "power", "transposed")
    routine = "fourier_to_real"

    def __init__(self, axis: int, length: int | None, power: float = 0, transposed: bool = False):
        self.axis, self.length, self.power, self.transposed = axis, length, power, bool(transposed)

    def along(self, axis: int) -> RealInverse:
        return RealInverse(axis, self.length, self.power, self.transposed)

    def make_node(self, y: Any, *unknown: Any) -> Apply:
        y = as_tensor(y)
        if y.dtype not in dtypes.COMPLEXES:
            raise DTypeError(f"{self} needs complex64 or complex128, got {y} of dtype {y.dtype}; cast it", blame=y)
        op = self.along(normalize_axis(self.axis, y, op=self))
        self.require_elements(self.length, y)
        if self.length is not None and y.type.shape[op.axis] is not None:
            op.require_half(y.type.shape[op.axis], self.length, y)
        out = with_length(y.type.shape, op.axis, self.length)
        return Apply(op, [y, *map(as_length, unknown)], [TensorType(dtypes.real_of(y.dtype), out)])

    def require_half(self, given: int, n: int, blame: Any) -> None:
        if given != n // 2 + 1:
            raise ShapeError(f"{self} needs {n // 2 + 1} elements along axis {self.axis}, got {given}", blame=blame)

    def perform(self, node: Apply, inputs: Sequence[np.ndarray], output_storage: Sequence[list]) -> None:
        y, *unknown = inputs
        n = int(unknown[0]) if unknown else self.length
        assert n is not None
        self.require_elements(n, node)
        self.require_half(y.shape[self.axis], n, node)
        with np.errstate(all="ignore"):
            if self.transposed:
                y = y.conj() / counted(n, self.axis, y)
            found = np.fft.irfft(y, n, axis=self.axis, norm=TURNED[self.power])
        output_storage[0][0] = np.asarray(found, node.out.dtype)

    def infer_shape(self, node: Apply, input_shapes: Sequence[tuple]) -> list[tuple]:
        return [with_length(input_shapes[0], self.axis, node.inputs[1] if self.length is None else self.length)]

    def grad(self, inputs: Sequence[TensorVariable], output_grads: Sequence[Variable]) -> list[Variable]:
        """gy[k] = sum of g[j] w^(-j k), twice for a k whose mirror image is another."""
        (g,) = output_grads
        return [RealFourier(self.axis, self.power, not self.transposed)(g), *(disconnected() for _ in inputs[1:])]

    def batch(self, node: Apply, inputs: Sequence[TensorVariable]) -> list[TensorVariable] | None:
        return None if any(n.ndim for n in inputs[1:]) else [self.along(self.axis + 1)(*inputs)]

    def flops(self, inputs: Sequence[Any], outputs: Sequence[Any]) -> int | None:
        return real_flops(outputs[0], self.axis)

    def library_error(self, node: Apply, failure: Failure) -> Exception:
        if failure.number == 1:
            return empty(self, node)
        need = f"{self} needs n // 2 + 1 elements along axis {self.axis}"
        return ShapeError(f"{need}, got shape {failure.shapes[0]}", blame=node)


def real_inverse(axis: int, n: Any, power: float = 0, transposed: bool = False) -> Any:
    """RealInverse to length n, an int or a symbolic one, as a function of half a spectrum."""
    known = static_length(n)
    op = RealInverse(axis, known, power, transposed)
    return op if known is not None else lambda y: op(y, n)


def empty(op: Op, node: Apply) -> ShapeError:
    return ShapeError(f"Invalid number of FFT data points (0) specified: {op} needs one at least", blame=node)


COMPLEX_OF = {"float32": "complex64", "float64": "complex128"}


def with_length(shape: Sequence[Any], axis: int, n: Any) -> tuple[Any, ...]:
    return (*shape[:axis], n, *shape[axis + 1 :])


def real_flops(shape: Sequence[int], axis: int) -> int:
    return int(2.5 * np.prod(shape) * np.log2(max(shape[axis], 2)))


def counted(n: int, axis: int, like: np.ndarray) -> np.ndarray:
    """How often each element of half a spectrum is there in the whole: 1 or 2, of the precision of ``like``."""
    k = np.arange(n // 2 + 1).reshape(-1, *(1,) * (like.ndim - axis - 1))
    return np.where((k == 0) | (2 * k == n), 1, 2).astype(like.real.dtype)
