"""Operators and methods of tensor variables: each hands over to the function of the same name.

``x == y`` of variables stays identity, because they are kept in dicts and sets; ``ct.eq(x, y)`` is of their elements.
So is ``x == array``, on both sides, for arrays of NumPy compare their elements.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from core import dtypes
from core.errors import ArgumentError, DTypeError
from core.tensor import arithmetic, cumulative, functions, indexing, logic, products, reduce, variance
from core.tensor.broadcast import repeat
from core.tensor.create import ones_like, zeros_like
from core.tensor.diagonal import diagonal, trace
from core.tensor.dimshuffle import dimshuffle, squeeze, swapaxes, transpose
from core.tensor.elementwise import second
from core.tensor.reshape import flatten, reshape
from core.tensor.search import searchsorted
from core.tensor.shape import shape_of, size
from core.tensor.sort import argsort, sort
from core.tensor.special import norm
from core.tensor.type import TensorConstant, TensorVariable

__all__ = ["Operators", "install"]


class Operators:
    """What ``install`` gives to a class of expressions: Python's operators, and the methods of ndarray."""

    # --- arithmetic -------------------------------------------------------------------------------------------------

    def __add__(self, other: Any) -> Any:
        return arithmetic.add(self, other)

    def __radd__(self, other: Any) -> Any:
        return arithmetic.add(other, self)

    def __sub__(self, other: Any) -> Any:
        return arithmetic.subtract(self, other)

    def __rsub__(self, other: Any) -> Any:
        return arithmetic.subtract(other, self)

    def __mul__(self, other: Any) -> Any:
        return arithmetic.multiply(self, other)

    def __rmul__(self, other: Any) -> Any:
        return arithmetic.multiply(other, self)

    def __truediv__(self, other: Any) -> Any:
        return arithmetic.true_divide(self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return arithmetic.true_divide(other, self)

    def __floordiv__(self, other: Any) -> Any:
        return arithmetic.floor_divide(self, other)

    def __rfloordiv__(self, other: Any) -> Any:
        return arithmetic.floor_divide(other, self)

    def __mod__(self, other: Any) -> Any:
        return arithmetic.mod(self, other)

    def __rmod__(self, other: Any) -> Any:
        return arithmetic.mod(other, self)

    def __divmod__(self, other: Any) -> Any:
        return arithmetic.divmod(self, other)

    def __rdivmod__(self, other: Any) -> Any:
        return arithmetic.divmod(other, self)

    def __pow__(self, other: Any) -> Any:
        return functions.power(self, other)

    def __rpow__(self, other: Any) -> Any:
        return functions.power(other, self)

    def __matmul__(self, other: Any) -> Any:
        return products.matmul(self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return products.matmul(other, self)

    def __neg__(self) -> Any:
        return arithmetic.negative(self)

    def __pos__(self) -> Any:
        return arithmetic.positive(self)

    def __abs__(self) -> Any:
        return arithmetic.abs(self)

    def __round__(self, decimals: int = 0) -> Any:
        return arithmetic.round(self, decimals)

    def __floor__(self) -> Any:
        return arithmetic.floor(self)

    def __ceil__(self) -> Any:
        return arithmetic.ceil(self)

    def __trunc__(self) -> Any:
        return arithmetic.trunc(self)

    # --- bits and comparisons ---------------------------------------------------------------------------------------

    def __and__(self, other: Any) -> Any:
        return arithmetic.bitwise_and(self, other)

    def __rand__(self, other: Any) -> Any:
        return arithmetic.bitwise_and(other, self)

    def __or__(self, other: Any) -> Any:
        return arithmetic.bitwise_or(self, other)

    def __ror__(self, other: Any) -> Any:
        return arithmetic.bitwise_or(other, self)

    def __xor__(self, other: Any) -> Any:
        return arithmetic.bitwise_xor(self, other)

    def __rxor__(self, other: Any) -> Any:
        return arithmetic.bitwise_xor(other, self)

    def __lshift__(self, other: Any) -> Any:
        return arithmetic.left_shift(self, other)

    def __rlshift__(self, other: Any) -> Any:
        return arithmetic.left_shift(other, self)

    def __rshift__(self, other: Any) -> Any:
        return arithmetic.right_shift(self, other)

    def __rrshift__(self, other: Any) -> Any:
        return arithmetic.right_shift(other, self)

    def __invert__(self) -> Any:
        return arithmetic.invert(self)

    def __lt__(self, other: Any) -> Any:
        return logic.less(self, other)

    def __le__(self, other: Any) -> Any:
        return logic.less_equal(self, other)

    def __gt__(self, other: Any) -> Any:
        return logic.greater(self, other)

    def __ge__(self, other: Any) -> Any:
        return logic.greater_equal(self, other)

    # --- shape ------------------------------------------------------------------------------------------------------

    def __getitem__(self, key: Any) -> Any:
        return indexing.getitem(self, key)

    @property
    def shape(self) -> tuple[TensorVariable, ...]:
        """The lengths, each a 0-d int64 tensor: a constant where it is known."""
        return shape_of(self)

    @property
    def size(self) -> TensorVariable:
        """The number of elements, a 0-d int64 tensor."""
        return size(self)

    @property
    def T(self) -> Any:
        """The axes reversed."""
        return transpose(self)

    @property
    def mT(self) -> Any:
        """The last two axes exchanged."""
        return swapaxes(self, -1, -2)

    def reshape(self, *shape: Any) -> Any:
        """In row-major order with another shape: ``x.reshape(2, -1)`` or ``x.reshape((2, -1))``."""
        return reshape(self, _one_or_many(shape))

    def flatten(self, ndim: int = 1) -> Any:
        return flatten(self, ndim)

    def ravel(self) -> Any:
        return flatten(self)

    def transpose(self, *axes: Any) -> Any:
        """The axes in another order: ``x.transpose()``, ``x.transpose(1, 0)`` or ``x.transpose((1, 0))``."""
        return transpose(self, _one_or_many(axes) if axes else None)

    def dimshuffle(self, *pattern: Any) -> Any:
        """Axes permuted, dropped, and ("x") added, as in Theano."""
        return dimshuffle(self, *pattern)

    def swapaxes(self, axis1: int, axis2: int) -> Any:
        return swapaxes(self, axis1, axis2)

    def squeeze(self, axis: Any = None) -> Any:
        return squeeze(self, axis)

    # --- reductions -------------------------------------------------------------------------------------------------

    def sum(self, axis: Any = None, dtype: Any = None, keepdims: bool = False, **options: Any) -> Any:
        return reduce.sum(self, axis, dtype, keepdims, **options)

    def prod(self, axis: Any = None, dtype: Any = None, keepdims: bool = False, **options: Any) -> Any:
        return reduce.prod(self, axis, dtype, keepdims, **options)

    def mean(self, axis: Any = None, dtype: Any = None, keepdims: bool = False, **options: Any) -> Any:
        return reduce.mean(self, axis, dtype, keepdims, **options)

    def var(self, axis: Any = None, dtype: Any = None, **options: Any) -> Any:
        return variance.var(self, axis, dtype, **options)

    def std(self, axis: Any = None, dtype: Any = None, **options: Any) -> Any:
        return variance.std(self, axis, dtype, **options)

    def max(self, axis: Any = None, keepdims: bool = False, **options: Any) -> Any:
        return reduce.max(self, axis, keepdims, **options)

    def min(self, axis: Any = None, keepdims: bool = False, **options: Any) -> Any:
        return reduce.min(self, axis, keepdims, **options)

    def argmax(self, axis: Any = None, keepdims: bool = False) -> Any:
        return reduce.argmax(self, axis, keepdims=keepdims)

    def argmin(self, axis: Any = None, keepdims: bool = False) -> Any:
        return reduce.argmin(self, axis, keepdims=keepdims)

    def ptp(self, axis: Any = None, keepdims: bool = False) -> Any:
        return reduce.ptp(self, axis, keepdims=keepdims)

    def any(self, axis: Any = None, keepdims: bool = False, **options: Any) -> Any:
        return reduce.any(self, axis, keepdims, **options)

    def all(self, axis: Any = None, keepdims: bool = False, **options: Any) -> Any:
        return reduce.all(self, axis, keepdims, **options)

    # --- the rest of ndarray ----------------------------------------------------------------------------------------

    @property
    def real(self) -> Any:
        return arithmetic.real(self)

    @property
    def imag(self) -> Any:
        return arithmetic.imag(self)

    def conj(self) -> Any:
        return arithmetic.conj(self)

    def conjugate(self) -> Any:
        return arithmetic.conj(self)

    def astype(self, dtype: Any) -> Any:
        """In another dtype; itself if it has that dtype already."""
        return arithmetic.cast(self, dtype)

    def copy(self) -> Any:
        return arithmetic.tensor_copy(self)

    def fill(self, value: Any) -> Any:
        """``value`` at the shape of this tensor.  Nothing is changed in place."""
        return second(self, value)

    def round(self, decimals: int = 0) -> Any:
        return arithmetic.round(self, decimals)

    def clip(self, lo: Any = None, hi: Any = None, **named: Any) -> Any:
        return arithmetic.clip(self, lo, hi, **named)

    @property
    def at(self) -> Any:
        """``x.at[key].set(value)`` and its like, as in JAX: a copy of x that differs at these places.  See Places."""
        from core.tensor.extra.places import At  # few programs need it

        return At(self)

    def set(self, value: Any) -> Any:
        """``x[key].set(value)``: a copy of x with ``value`` at these places; see set_subtensor."""
        return indexing.set_subtensor(self, value)

    def inc(self, value: Any) -> Any:
        """``x[key].inc(value)``: a copy of x with ``value`` added at these places; see inc_subtensor."""
        return indexing.inc_subtensor(self, value)

    def dot(self, other: Any) -> Any:
        return products.dot(self, other)

    def take(self, indices: Any, axis: Any = None) -> Any:
        return indexing.take(self, indices, axis)

    def repeat(self, repeats: Any, axis: Any = None) -> Any:
        return repeat(self, repeats, axis)

    def diagonal(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
        return diagonal(self, offset, axis1, axis2)

    def trace(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
        return trace(self, offset, axis1, axis2)

    def nonzero(self) -> Any:
        """A tuple with the positions, along each axis, of the elements that are not 0."""
        from core.tensor.masks import nonzero  # few programs ask for places

        return nonzero(self)

    def zeros_like(self, dtype: Any = None) -> Any:
        return zeros_like(self, dtype)

    def ones_like(self, dtype: Any = None) -> Any:
        return ones_like(self, dtype)

    def cumsum(self, axis: Any = None) -> Any:
        return cumulative.cumsum(self, axis)

    def cumprod(self, axis: Any = None) -> Any:
        return cumulative.cumprod(self, axis)

    def sort(self, axis: int | None = -1, kind: str | None = None) -> Any:
        """A sorted copy: no tensor variable is ever changed, unlike an array of NumPy's by its ``sort``."""
        return sort(self, axis, kind)

    def argsort(self, axis: int | None = -1, kind: str | None = None) -> Any:
        return argsort(self, axis, kind)

    def partition(self, kth: Any, axis: int | None = -1) -> Any:
        """A copy with what belongs at place ``kth`` there."""
        from core.tensor.extra.order import partition  # few programs need it

        return partition(self, kth, axis)

    def argpartition(self, kth: Any, axis: int | None = -1) -> Any:
        from core.tensor.extra.order import argpartition  # few programs need it

        return argpartition(self, kth, axis)

    def searchsorted(self, v: Any, side: str = "left", sorter: Any = None) -> Any:
        return searchsorted(self, v, side, sorter)

    def choose(self, choices: Any, mode: str = "raise") -> Any:
        from core.tensor.extra.choices import choose  # few programs need it

        return choose(self, choices, mode=mode)

    def compress(self, condition: Any, axis: int | None = None) -> Any:
        from core.tensor.extra.choices import compress  # few programs need it

        return compress(condition, self, axis)

    def norm(self, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
        """Theano's: the norm of vectors along ``axis``, of all elements by default."""
        return norm(self, ord, axis, keepdims)

    @property
    def itemsize(self) -> int:
        """The bytes of an element."""
        return dtypes.size_bytes(self.dtype)

    @property
    def nbytes(self) -> Any:
        """The bytes of all elements, a 0-d int64 tensor."""
        return size(self) * self.itemsize


def _one_or_many(arguments: Sequence[Any]) -> Any:
    """``f(2, 3)`` and ``f((2, 3))`` mean the same."""
    return arguments[0] if len(arguments) == 1 and not isinstance(arguments[0], int) else arguments


_NOT_INSTALLED = frozenset({"__module__", "__doc__", "__dict__", "__weakref__", "__qualname__"})


def install(cls: type) -> None:
    """Give ``cls`` (tensor variables, rewrite patterns) every operator and method of Operators."""
    for name, member in vars(Operators).items():
        if name not in _NOT_INSTALLED:
            setattr(cls, name, member)


# --- rules run on tensors ------------------------------------------------------------------------------------------

_OP_OF_RULE = {
    **{name: getattr(functions, name) for name in ("exp", "exp2", "expm1", "log", "log2", "log10", "log1p")},
    **{
        name: getattr(functions, name) for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh", "hypot", "erf", "erfc")
    },
    **{f"a{name}": getattr(functions, f"arc{name}") for name in ("sin", "cos", "tan", "tan2", "sinh", "cosh", "tanh")},
    **{
        name: getattr(arithmetic, name)
        for name in ("sqrt", "cbrt", "fmod", "copysign", "floor", "ceil", "trunc", "rint")
    },
    **{name: getattr(logic, name) for name in ("isnan", "isinf", "isfinite", "signbit")},
    "tgamma": functions.gamma,
    "lgamma": functions.gammaln,
    "fabs": arithmetic.abs,
    "cabs": arithmetic.abs,
    "creal": arithmetic.real,
    "cimag": arithmetic.imag,
    "conj": arithmetic.conj,
    "carg": arithmetic.angle,
    "select": logic.where,  # from here on those of core.ir.expr
    "maximum": arithmetic.maximum,
    "minimum": arithmetic.minimum,
    "equal": logic.equal,
    "not_equal": logic.not_equal,
    "cast": arithmetic.cast,
}


def _call_rule(self: TensorVariable, function: str, operands: Sequence[Any]) -> TensorVariable:
    """``Call(function, ...)`` in a scalar rule that is run on tensors, to be differentiated by its steps."""
    if function not in _OP_OF_RULE:
        raise ArgumentError(
            f"no elementwise op computes the C99 function {function!r}, so a rule with it needs a derivative"
        )
    return _OP_OF_RULE[function](*operands)


# --- constants as numbers ------------------------------------------------------------------------------------------


def _number(called: str, convert: Callable[[Any], Any], kinds: str) -> Callable[[TensorConstant], Any]:
    def number(self: TensorConstant) -> Any:
        if self.data.ndim != 0 or self.data.dtype.kind not in kinds:
            raise DTypeError(
                f"{called}() needs a constant of ndim=0 and a dtype that fits, got {self} of dtype {self.dtype}, "
                f"ndim={self.ndim}",
                blame=self,
            )
        return convert(self.data[()])

    return number


def _item(self: TensorConstant) -> Any:
    """The value of a constant with one element as a Python number."""
    return self.data.item()


install(TensorVariable)
TensorVariable.__call_rule__ = _call_rule  # type: ignore[attr-defined]
TensorConstant.__int__ = _number("int", int, "biuf")  # type: ignore[attr-defined]
TensorConstant.__float__ = _number("float", float, "biuf")  # type: ignore[attr-defined]
TensorConstant.__complex__ = _number("complex", complex, "biufc")  # type: ignore[attr-defined]
TensorConstant.__index__ = _number("operator.index", int, "iu")  # type: ignore[attr-defined]
TensorConstant.item = _item  # type: ignore[attr-defined]
