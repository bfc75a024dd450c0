"""Shared variables: a value that functions read, and that their updates replace.

The value lives in a one-element list, the *cell*, which every compiled function that uses the variable holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core.cells import value_in
from core.device.array import DeviceArray, on_host
from core.errors import ArgumentError, BackendError, DTypeError, ShapeError
from core.graph import Type, Variable
from core.pickling import flatten, restore
from core.tensor.type import TensorType, TensorVariable


class SharedVariable(Variable):
    """An input that brings its own value.  Make one with ``shared``.

    cell            ``[value]``, held by every function that uses the variable
    default_update  an expression; a function that reads the variable also updates it to this, unless told otherwise
    device          its home: the backend, with its device, on which functions that use it run unless they say otherwise
    """

    __slots__ = ("_default_update", "allow_downcast", "cell", "device", "strict")

    def __init__(
        self, type: Type, value: Any, name: str | None = None, strict: bool = False, allow_downcast: bool | None = None
    ):
        super().__init__(type, name=name)
        self.strict, self.allow_downcast = strict, allow_downcast
        self._default_update: Variable | None = None
        self.device: str | None = None
        self.cell: list = [value]

    @property
    def default_update(self) -> Variable | None:
        return self._default_update

    @default_update.setter
    def default_update(self, expression: Any) -> None:
        self._default_update = None if expression is None else as_update(self, expression)

    def get_value(self, borrow: bool = False, return_internal_type: bool = False) -> Any:
        """The value: a copy, or with ``borrow`` perhaps the very array that functions read.

        A value that functions keep on a device is copied from there, unless ``return_internal_type``.
        """
        value = value_in(self.cell)
        if return_internal_type and isinstance(value, DeviceArray):
            return value
        value = on_host(value)
        return value if borrow else copy_of(value)

    def set_value(self, new: Any, borrow: bool = False) -> None:
        """Replace the value, in every function that uses it.  With ``borrow``, ``new`` itself may be kept.

        Errors  DTypeError or ShapeError when ``new`` is no value of the variable's type; the old value then stays.
        """
        value = self._accept(new)
        self.cell[0] = value if borrow or not _shares_memory(value, new) else copy_of(value)

    def _accept(self, new: Any) -> Any:
        try:
            return self.type.filter(new, strict=self.strict, allow_downcast=self.allow_downcast)
        except (DTypeError, ShapeError) as error:
            raise type(error)(f"shared variable {self}: {error}", blame=self) from error

    def __reduce__(self) -> tuple:
        """Flat, so that a long default update pickles; several functions pickled together keep sharing one cell."""
        update = None if self._default_update is None else flatten([self._default_update])
        value_in(self.cell)
        state = (self.cell, self.strict, self.allow_downcast, self.source, update, self.device)
        return _bare, (type(self), self.type, self.name), state

    def __setstate__(self, state: tuple) -> None:
        self.cell, self.strict, self.allow_downcast, self.source, update, self.device = state
        self._default_update = None if update is None else restore(update)[0]


def _bare(kind: type, type: Type, name: str | None) -> SharedVariable:
    return kind(type, None, name)


class TensorSharedVariable(SharedVariable, TensorVariable):
    """A shared array."""

    __slots__ = ()


def shared(
    value: Any,
    name: str | None = None,
    strict: bool = False,
    allow_downcast: bool | None = None,
    borrow: bool = False,
    shape: Sequence[int | None] | None = None,
    device: str | None = None,
) -> TensorSharedVariable:
    """A shared variable that starts as ``value``, an array, a number or a nested list of numbers.

    shape           static lengths, None where a length may change.  Left out, every length may change: the type says
                    dtype and number of dimensions, and ``set_value`` takes any shape.
    strict          ``set_value`` takes only arrays of the exact dtype
    allow_downcast  ``set_value`` may lose precision; None: only a Python float may
    borrow          keep ``value`` itself rather than a copy
    device          its home, as a function's ``backend``: ``"cuda:1"``.  Functions that use the variable run there,
                    unless they name a backend; elsewhere they get a copy of its value
    Errors          DTypeError for what is no array, ShapeError when ``shape`` does not fit

    >>> w = shared(np.zeros(3), name="w")
    >>> w.type
    TensorType(float64, shape=(?))
    """
    if isinstance(value, Variable):
        raise ArgumentError(
            f"shared needs a value, got the symbolic variable {value}; give it a value with updates", blame=value
        )
    if device is not None and not isinstance(device, str):
        raise ArgumentError(
            f'shared needs device= as a name ("cuda:1"), got {device!r} of type {type(device).__name__}'
        )
    array = np.asarray(value)
    if array.dtype.kind not in "biufc":
        raise DTypeError(f"shared needs an array or a number, got {value!r} of type {type(value).__name__}")
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    kind = TensorType(array.dtype, array.ndim if shape is None else shape)
    out = TensorSharedVariable(kind, None, name, strict, allow_downcast)
    out.device = device
    array = out._accept(array)
    out.cell[0] = array if borrow or not _shares_memory(array, value) else copy_of(array)
    return out


def home_of(variables: Sequence[SharedVariable]) -> str | None:
    """The home that shared variables have, or those of them that have one.  Errors: BackendError for several homes."""
    homes = {_numbered(variable.device): variable for variable in reversed(variables) if variable.device is not None}
    if len(homes) > 1:
        found = ", ".join(f"{variable} on {variable.device!r}" for variable in reversed(homes.values()))
        raise BackendError(
            f"a function runs on one device, and its shared variables are at home on several: {found}; say where with "
            f"backend=, and it gets copies of the others"
        )
    return next((variable.device for variable in homes.values()), None)


def lives_elsewhere(variable: SharedVariable, backend: str) -> bool:
    """Whether a variable is at home on another device than that of the name ``backend``."""
    return variable.device is not None and _numbered(variable.device) != _numbered(backend)


def _numbered(device: str) -> tuple[str, str]:
    """Backend and device: the first where none is named."""
    backend, _, number = device.partition(":")
    return backend, number or "0"


def as_update(variable: SharedVariable, expression: Any) -> Variable:
    """``expression`` as a new value of ``variable``.  Errors: DTypeError, ShapeError unless it fits in."""
    new = expression if isinstance(expression, Variable) else variable.type.as_variable(expression)
    mine, other = variable.type, new.type
    if mine.is_super(other):
        return new
    if not (isinstance(mine, TensorType) and isinstance(other, TensorType)):
        raise DTypeError(f"the update of {variable} needs type {mine}, got {new} of type {other}", blame=new)
    if mine.dtype != other.dtype:
        raise DTypeError(
            f"the update of {variable} needs dtype {mine.dtype}, got {new} of dtype {other.dtype}; "
            f"convert it with .astype({mine.dtype!r})",
            blame=new,
        )
    if mine.ndim != other.ndim:
        raise ShapeError(
            f"the update of {variable} needs ndim={mine.ndim}, got {new} with ndim={other.ndim}", blame=new
        )
    for axis, (known, n) in enumerate(zip(mine.shape, other.shape, strict=True)):
        if None not in (known, n) and known != n:
            raise ShapeError(
                f"the update of {variable} needs length {known} along axis {axis}, got {new} with {n}", blame=new
            )
    return new


def copy_of(value: Any) -> Any:
    """A copy that shares no memory; arrays come out in row-major order."""
    return (
        np.array(value, order="C")
        if isinstance(value, np.ndarray)
        else value.copy()
        if hasattr(value, "copy")
        else value
    )


def _shares_memory(value: Any, given: Any) -> bool:
    """Whether ``value``, made from ``given``, may be the same memory."""
    return value is given or (
        isinstance(value, np.ndarray) and (value.base is not None or isinstance(given, np.ndarray))
    )
