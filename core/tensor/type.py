"""TensorType, tensor variables, and how values become them.  Operators and methods of variables are in methods.py."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from core import dtypes
from core.errors import ArgumentError, AxisError, DTypeError, ShapeError
from core.graph import Constant, Type, Variable

package: Any = None  # core.tensor, whose functions NumPy's become; it says so itself, for it imports this file


class TensorType(Type):
    """Arrays of one dtype and one number of dimensions.

    shape   a tuple with an int where a length is known and None where it is not, or just the number of dimensions.
            A length of 1 broadcasts; so does an unknown length that turns out to be 1 when the function runs.
    """

    __slots__ = ("dtype", "shape", "_hash")

    def __init__(self, dtype: Any, shape: int | Sequence[int | None] = ()):
        self.dtype = dtypes.canonical(dtype)
        self.shape: tuple[int | None, ...] = (None,) * shape if isinstance(shape, int) else _static(shape)
        self._hash = hash((TensorType, self.dtype, self.shape))

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __eq__(self, other: object) -> bool:
        return self is other or (type(other) is TensorType and self.dtype == other.dtype and self.shape == other.shape)

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return f"TensorType({self.dtype}, shape=({', '.join('?' if n is None else str(n) for n in self.shape)}))"

    def __reduce__(self) -> tuple:
        return TensorType, (self.dtype, self.shape)

    def dtype_specs(self) -> tuple[type[np.generic], str, str]:
        """What NumPy calls the dtype in Python, in C, and by its number: (np.float64, "npy_float64", "NPY_FLOAT64")."""
        return np.dtype(self.dtype).type, f"npy_{self.dtype}", f"NPY_{self.dtype.upper()}"

    def is_super(self, other: Type) -> bool:
        return self == other or (
            type(other) is TensorType
            and self.dtype == other.dtype
            and self.ndim == other.ndim
            and all(mine is None or mine == theirs for mine, theirs in zip(self.shape, other.shape, strict=True))
        )

    def meet(self, other: Type) -> TensorType | None:
        if type(other) is not TensorType or self.dtype != other.dtype or self.ndim != other.ndim:
            return None
        if any(None not in (a, b) and a != b for a, b in zip(self.shape, other.shape, strict=True)):
            return None
        return TensorType(
            self.dtype, tuple(b if a is None else a for a, b in zip(self.shape, other.shape, strict=True))
        )

    def make_variable(self, name: str | None = None) -> TensorVariable:
        return TensorVariable(self, name=name)

    def make_constant(self, value: Any, name: str | None = None) -> TensorConstant:
        data = self.filter(value)
        if data.flags.writeable or data.base is not None:  # nobody may change a constant behind our back
            data = data.copy()
            data.flags.writeable = False
        return TensorConstant(self, data, name=name)

    def as_variable(self, value: Any) -> Variable:
        return super().as_variable(value) if isinstance(value, Variable) else self.make_constant(value)

    def filter(self, value: Any, strict: bool = False, allow_downcast: bool | None = None) -> np.ndarray:
        if type(value) is np.ndarray and value.dtype.name == self.dtype and value.dtype.isnative:
            array = value
        elif strict:
            raise DTypeError(f"expected a NumPy array of dtype {self.dtype}, got {_kind_of(value)}")
        else:
            array = self._convert(value, allow_downcast)
        if array.ndim != self.ndim:
            raise ShapeError(f"expected ndim={self.ndim}, got ndim={array.ndim} (shape {array.shape})")
        for axis, (known, n) in enumerate(zip(self.shape, array.shape, strict=True)):
            if known is not None and known != n:
                raise ShapeError(f"expected length {known} along axis {axis}, got {n} (shape {array.shape})")
        return array

    def _convert(self, value: Any, allow_downcast: bool | None) -> np.ndarray:
        if isinstance(value, Variable):
            raise DTypeError(f"expected a value of {self}, got the symbolic variable {value}", blame=value)
        try:
            array = np.asarray(value)
        except (ValueError, TypeError) as error:
            raise DTypeError(
                f"expected something like an array of dtype {self.dtype}, got {_kind_of(value)}: {error}"
            ) from error
        if array.dtype.name not in dtypes.ALL:
            raise DTypeError(f"expected dtype {self.dtype}, got {_kind_of(value)} (dtype {array.dtype})")
        weak = not isinstance(value, (np.ndarray, np.generic))
        if allow_downcast or np.can_cast(array.dtype, self.dtype, "safe"):
            return np.asarray(array, dtype=self.dtype)
        if weak and self._holds(array, allow_downcast):
            return np.asarray(array, dtype=self.dtype)
        raise DTypeError(
            f"expected dtype {self.dtype}, got {_kind_of(value)}; convert it, or allow precision to be lost with "
            "allow_downcast=True"
        )

    def _holds(self, array: np.ndarray, allow_downcast: bool | None) -> bool:
        """Whether Python numbers fit: floats into any float (unless forbidden), integers where no bit is lost."""
        if array.dtype.kind in "iub" and self.dtype in dtypes.INTEGERS:
            info = np.iinfo(self.dtype)
            return array.size == 0 or (int(array.min()) >= info.min and int(array.max()) <= info.max)
        if array.size == 0 and array.dtype == "float64":  # an empty list says nothing of its dtype
            return True
        return allow_downcast is not False and (
            (self.dtype in dtypes.FLOATS and array.dtype.kind in "fiub") or self.dtype in dtypes.COMPLEXES
        )

    def values_equal(self, a: np.ndarray, b: np.ndarray) -> bool:
        """Equal in shape and bits, NaN being equal to NaN."""
        return a.shape == b.shape and np.array_equal(a, b, equal_nan=self.dtype in dtypes.CONTINUOUS)

    def signature(self, value: np.ndarray) -> Any:
        return (value.shape, value.tobytes())


def _static(shape: Sequence[int | None]) -> tuple[int | None, ...]:
    for n in shape:
        if n is not None and (not isinstance(n, (int, np.integer)) or isinstance(n, bool) or n < 0):
            raise ShapeError(f"a length in shape={tuple(shape)!r} must be None or an int >= 0, got {n!r}")
    return tuple(None if n is None else int(n) for n in shape)


def _kind_of(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of dtype {value.dtype}, shape {value.shape}"
    if isinstance(value, np.generic):
        return f"a NumPy scalar of dtype {value.dtype}"
    text = repr(value)
    return f"{text if len(text) <= 40 else text[:37] + '...'} of type {type(value).__name__}"


class TensorVariable(Variable):
    """A symbolic array.  Behaves like numpy.ndarray as far as something without a value can."""

    __slots__ = ()
    type: TensorType
    __array_priority__ = 1000

    @property
    def dtype(self) -> str:
        return self.type.dtype

    @property
    def ndim(self) -> int:
        return self.type.ndim

    def __bool__(self) -> bool:
        raise DTypeError(
            f"{self} is symbolic and has no truth value; use where(condition, a, b), or compare with ct.eq and friends",
            blame=self,
        )

    def __iter__(self):
        n = self.type.shape[0] if self.ndim else None
        if n is None:
            raise ShapeError(f"cannot iterate over {self}: the length of its first axis is not known", blame=self)
        return (self[i] for i in range(n))  # type: ignore[index]

    def __len__(self) -> int:
        n = self.type.shape[0] if self.ndim else None
        if n is None:
            raise ShapeError(f"{self} has no known length; use x.shape[0], which is symbolic", blame=self)
        return n

    def __setitem__(self, key: Any, value: Any) -> None:
        raise ArgumentError(
            f"an element of {self} cannot be assigned to, because no variable changes: "
            f"ct.set_subtensor({self}[...], value) is a new one, and ct.inc_subtensor adds",
            blame=self,
        )

    def __float__(self) -> float:
        raise self._no_number("float")

    def __int__(self) -> int:
        raise self._no_number("int")

    def __complex__(self) -> complex:
        raise self._no_number("complex")

    def _no_number(self, called: str) -> DTypeError:
        return DTypeError(
            f"{self} is symbolic and no number, so {called}() cannot take it; compile it with core.function, or call "
            "eval()",
            blame=self,
        )

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **named: Any) -> Any:
        """``np.exp(x)``, and ``array + x``: see core.tensor.interop."""
        from core.tensor.interop import call_ufunc  # few programs need it

        return call_ufunc(package, ufunc, method, inputs, named)

    def __array_function__(self, function: Any, types: Any, arguments: Any, named: Any) -> Any:
        """``np.sum(x)``: see core.tensor.interop."""
        from core.tensor.interop import call_function  # few programs need it

        return call_function(package, function, arguments, named)

    def __array__(self, *args: Any, **kwargs: Any) -> np.ndarray:
        raise DTypeError(
            f"{self} is symbolic and has no array; compile it with core.function, or call eval()", blame=self
        )


class TensorConstant(Constant, TensorVariable):
    """A tensor whose value is known."""

    __slots__ = ()

    def __str__(self) -> str:
        if self.name is not None:
            return self.name
        if self.data.ndim == 0:
            return str(self.data)
        return np.array2string(self.data, threshold=6, edgeitems=2, separator=", ").replace("\n", "")

    __repr__ = __str__


# --- values to variables -------------------------------------------------------------------------------------------


def as_tensor(x: Any, dtype: Any = None, name: str | None = None, ndim: int | None = None) -> TensorVariable:
    """``x`` (a variable, array, number or nested list of numbers) as a tensor variable.

    A Python int becomes int64, a float float64, as in NumPy.  Inside an operation with other tensors Python numbers are
    weak instead: see ``as_operands``.  Errors: DTypeError for what is no array; ShapeError when ndim is not ``ndim``.
    """
    if hasattr(x, "__apply_op__"):  # a pattern or a scalar expression stands for itself
        return x
    if isinstance(x, Variable):
        if not isinstance(x, TensorVariable):
            raise DTypeError(f"expected a tensor, got {x} of type {x.type}", blame=x)
        if dtype is not None and x.dtype != dtypes.canonical(dtype):
            raise DTypeError(f"expected dtype {dtypes.canonical(dtype)}, got {x} of dtype {x.dtype}; use cast", blame=x)
        out = x
    else:
        out = constant(x, dtype=dtype, name=name)
    if ndim is not None and out.ndim != ndim:
        raise ShapeError(f"expected a tensor with ndim={ndim}, got {out} with ndim={out.ndim}", blame=out)
    return out


def constant(value: Any, dtype: Any = None, name: str | None = None) -> TensorConstant:
    """A tensor constant holding a copy of ``value``, in its own dtype or in ``dtype``."""
    if isinstance(value, (list, tuple)) and any(isinstance(v, Variable) for v in value):
        raise DTypeError("a list with symbolic variables in it is no constant; join them with ct.stack")
    try:
        array = np.array(value, dtype=None if dtype is None else dtypes.canonical(dtype))
    except (ValueError, TypeError, OverflowError) as error:
        raise DTypeError(f"expected an array or number, got {_kind_of(value)}: {error}") from error
    if array.dtype.name not in dtypes.ALL:
        raise DTypeError(f"expected an array or number, got {_kind_of(value)}")
    array = np.ascontiguousarray(array).reshape(array.shape).astype(array.dtype.newbyteorder("="), copy=False)
    array.flags.writeable = False
    return TensorConstant(TensorType(array.dtype, array.shape), array, name=name)


_WEAK = (bool, int, float, complex)


def as_operands(*operands: Any) -> list[TensorVariable]:
    """Operands of one operation as tensors.  Python numbers are weak: they take the dtype of the rest (NEP 50)."""
    if all(isinstance(x, TensorVariable) for x in operands) or any(hasattr(x, "__apply_op__") for x in operands):
        return list(operands)
    strong = [x if isinstance(x, Variable) else as_tensor(x) for x in operands if type(x) not in _WEAK]
    if not strong:
        return [as_tensor(x) for x in operands]
    for x in strong:
        as_tensor(x)
    rest = [x.dtype for x in strong]
    out, remaining = [], iter(strong)
    for x in operands:
        if type(x) in _WEAK:
            try:
                out.append(constant(x, dtype=dtypes.promote(*rest, type(x))))
            except DTypeError as error:
                raise DTypeError(f"the Python number {x!r} does not fit {dtypes.promote(*rest, type(x))}") from error
        else:
            out.append(next(remaining))
    return out


# --- axes ----------------------------------------------------------------------------------------------------------


def normalize_axis(axis: Any, x: TensorVariable, op: Any = None) -> int:
    """``axis`` of ``x`` counted from the front.  Errors: AxisError, with the user's line that made ``x``."""
    if hasattr(axis, "__index__") and not isinstance(axis, bool):
        axis = int(axis)
        if -x.ndim <= axis < x.ndim:
            return axis % x.ndim
        raise AxisError(
            f"{op or f'axis {axis}'} needs {-x.ndim} <= axis < {x.ndim}, because {x} has ndim={x.ndim} ({x.dtype})",
            blame=x,
        )
    raise AxisError(f"{op or 'this op'} needs an int as axis, got {axis!r} of type {type(axis).__name__}", blame=x)


def normalize_axes(axis: Any, x: TensorVariable, op: Any = None) -> tuple[int, ...]:
    """One axis, several, or None for all, from the front, sorted.  Errors: AxisError, also for a repeated axis."""
    if axis is None:
        return tuple(range(x.ndim))
    axes = axis if isinstance(axis, (tuple, list)) else (axis,)
    out = tuple(normalize_axis(a, x, op) for a in axes)
    if len(set(out)) != len(out):
        raise AxisError(f"{op or 'this op'} got an axis twice in axis={axis!r}, because {x} has ndim={x.ndim}", blame=x)
    return tuple(sorted(out))


@lru_cache(maxsize=1024)
def broadcast_static(*shapes: tuple[int | None, ...]) -> tuple[int | None, ...]:
    """The static shape of operands broadcast together: None where a length is not known.  Errors: ShapeError."""
    ndim = max(map(len, shapes), default=0)
    out: list[int | None] = [1] * ndim
    for shape in shapes:
        for axis, n in enumerate(shape, start=ndim - len(shape)):
            have = out[axis]
            if have == 1 or have == n:
                out[axis] = n
            elif n == 1:
                continue
            elif have is None or n is None:
                out[axis] = have if n is None else n
            else:
                raise ShapeError(
                    f"shapes {', '.join(map(str, shapes))} do not broadcast: {have} and {n} along axis {axis}"
                )
    return tuple(out)
