"""In and Out, and the arguments of a call: how values given by position and by name become arrays in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from core.compile.shared import SharedVariable
from core.device.array import DeviceArray
from core.device.exchange import Foreign, is_foreign
from core.errors import ArgumentError, CoreError, DTypeError, ShapeError, did_you_mean
from core.graph import Constant, Variable
from core.tensor.type import TensorType


class In:
    """An input of a function, with more to say than the variable alone.

    name            what callers call it; left out, the variable's name
    value           what it is when a call does not give it
    strict          only an array of the exact dtype will do
    allow_downcast  precision may be lost; None: only that of a Python float
    borrow          the function may keep no copy of the value; it never does, so this changes nothing
    mutable         the function may overwrite what it is given; it never does, so this changes nothing either
    """

    __slots__ = ("allow_downcast", "borrow", "mutable", "name", "strict", "value", "variable")

    def __init__(
        self,
        variable: Variable,
        name: str | None = None,
        value: Any = None,
        strict: bool = False,
        allow_downcast: bool | None = None,
        borrow: bool = False,
        mutable: bool = False,
    ):
        if not isinstance(variable, Variable):
            raise ArgumentError(f"In needs a variable, got {variable!r} of type {type(variable).__name__}")
        self.variable, self.name = variable, name if name is not None else variable.name
        self.strict, self.allow_downcast = strict, allow_downcast
        self.borrow, self.mutable = borrow, mutable
        self.value = None if value is None else self.accept(value, f"In({variable})")

    def accept(self, value: Any, who: str) -> Any:
        """``value`` as one of the variable's type.  Errors: DTypeError, ShapeError that begin with ``who``."""
        if type(value) is DeviceArray and _admits(self.variable.type, value):
            return value
        if type(value) not in (np.ndarray, DeviceArray) and is_foreign(value):
            return self._adopted(Foreign(value), who)
        try:
            array = self.variable.type.filter(value, strict=self.strict, allow_downcast=self.allow_downcast)
        except (DTypeError, ShapeError) as error:
            raise type(error)(f"{who}: {error}", blame=self.variable) from error
        if isinstance(array, np.ndarray) and not array.flags.aligned:
            array = array.copy()
        return array

    def _adopted(self, value: Foreign, who: str) -> Foreign:
        """An array of another library, of exactly the variable's type.  Errors: DTypeError, ShapeError."""
        kind = self.variable.type
        if not isinstance(kind, TensorType) or value.dtype != kind.dtype:
            raise DTypeError(f"{who}: expected {kind}, got {value}; convert it there", blame=self.variable)
        if not _admits(kind, value):
            raise ShapeError(f"{who}: expected {kind}, got {value}", blame=self.variable)
        return value

    def __repr__(self) -> str:
        return f"In({self.variable})"


def _admits(kind: Any, array: DeviceArray | Foreign) -> bool:
    """Whether an array on a device is of a type as it is."""
    return isinstance(kind, TensorType) and kind.is_super(TensorType(array.dtype, array.shape))


class Out:
    """An output of a function.

    borrow  the result may stay where it was made: on a device, it is a DeviceArray, which ``np.asarray`` copies to the
            host and functions on that device take as it is.  Elsewhere results are fresh NumPy arrays always.
    """

    __slots__ = ("borrow", "variable")

    def __init__(self, variable: Any, borrow: bool = False):
        self.variable, self.borrow = variable, borrow

    def __repr__(self) -> str:
        return f"Out({self.variable})"


class Signature:
    """The arguments that a function takes.  ``who`` names the function in errors."""

    def __init__(self, who: str, inputs: Sequence[In]):
        self.who, self.inputs = who, list(inputs)
        self.names = [spec.name for spec in self.inputs]
        self._position = {name: k for k, name in enumerate(self.names) if name is not None}
        self._repeated = {name for name, count in Counter(self.names).items() if count > 1}
        self._known = [(k, _plain(spec.variable.type)) for k, spec in enumerate(self.inputs)]

    @property
    def lengths(self) -> list[tuple[int | None, ...]] | None:
        """The static lengths of each argument; None when not all are arrays."""
        kinds = [spec.variable.type for spec in self.inputs]
        return [kind.shape for kind in kinds] if all(isinstance(kind, TensorType) for kind in kinds) else None

    @property
    def takes_numbers(self) -> bool:
        """Whether Python's numbers may stand for any argument without axes, floats in any float dtype."""
        return not any(spec.strict or spec.allow_downcast is False for spec in self.inputs)

    def fits(self, args: Sequence[Any]) -> bool:
        """Whether ``args`` can be used as they are: plain arrays of the exact dtype and static shape."""
        if len(args) != len(self._known):
            return False
        for k, expected in self._known:
            value = args[k]
            if expected is None or type(value) is not np.ndarray or value.dtype is not expected[0]:
                return False
            if value.ndim != expected[1] or not value.flags.aligned:
                return False
            if expected[2] is not None and any(
                n is not None and n != m for n, m in zip(expected[2], value.shape, strict=True)
            ):
                return False
        return True

    def bind(self, args: Sequence[Any], named: Mapping[str, Any]) -> list[Any]:
        """One value per input, of its type.

        Errors  ArgumentError, DTypeError, ShapeError that name the function and the argument.
        """
        if len(args) > len(self.inputs):
            raise ArgumentError(f"{self.who} takes {self._taken()}, got {len(args)}")
        given: list[Any] = [*args, *([_missing] * (len(self.inputs) - len(args)))]
        for name, value in named.items():
            k = self._find(name)
            if given[k] is not _missing:
                raise ArgumentError(f"{self.who} got its argument {name} (position {k}) twice: by position and by name")
            given[k] = value
        for k, spec in enumerate(self.inputs):
            if given[k] is _missing:
                if spec.value is None:
                    raise ArgumentError(
                        f"{self.who} takes {self._taken()}, got {len(args) + len(named)}: {self._called(k)} is missing",
                        blame=spec.variable,
                    )
                given[k] = spec.value
            else:
                given[k] = spec.accept(given[k], f"{self.who}, {self._called(k)}")
        return given

    def _find(self, name: str) -> int:
        if name in self._repeated:
            raise ArgumentError(f"{self.who} has several arguments called {name!r}; give them by position")
        if name not in self._position:
            names = ", ".join(self._position) or "none by name"
            near = did_you_mean(name, self._position)
            raise ArgumentError(f"{self.who} has no argument {name!r}; it takes {names}.{near}")
        return self._position[name]

    def _called(self, k: int) -> str:
        return f"argument {self.names[k]} (position {k})" if self.names[k] is not None else f"argument at position {k}"

    def _taken(self) -> str:
        n = len(self.inputs)
        shown = f" ({', '.join(name or f'#{k}' for k, name in enumerate(self.names))})" if n else ""
        return f"{n} argument{'s' * (n != 1)}{shown}"


class _Missing:
    """Stands for an argument that was not given; None may be a value."""


_missing = _Missing()


def _plain(kind: Any) -> tuple[np.dtype, int, tuple[int | None, ...] | None] | None:
    """What a NumPy array of this type has: dtype, ndim and, where any length is known, the static shape."""
    if not isinstance(kind, TensorType):
        return None
    return np.dtype(kind.dtype), kind.ndim, kind.shape if any(n is not None for n in kind.shape) else None


# --- when a function is made -----------------------------------------------------------------------------------------


def as_inputs(who: str, inputs: Any, allow_downcast: bool | None) -> list[In]:
    """The inputs as the user gave them (one, or several; variables or In), each once.  Errors: ArgumentError."""
    given = [inputs] if isinstance(inputs, (Variable, In)) else _listed(who, "inputs", inputs)
    out = []
    for position, item in enumerate(given):
        if isinstance(item, In):
            out.append(item)
        elif isinstance(item, Variable):
            out.append(In(item, allow_downcast=allow_downcast))
        else:
            raise ArgumentError(
                f"{who} needs variables or In(...) as inputs, but input {position} is {item!r} "
                f"of type {type(item).__name__}"
            )
    seen: dict[Variable, int] = {}
    for position, spec in enumerate(out):
        variable = spec.variable
        if isinstance(variable, SharedVariable):
            raise ArgumentError(
                f"{who} cannot take the shared variable {variable} as an input: it brings its own value; "
                "set it with set_value, or replace it with givens",
                blame=variable,
            )
        if isinstance(variable, Constant):
            raise ArgumentError(f"{who} cannot take the constant {variable} as an input", blame=variable)
        if variable in seen:
            raise ArgumentError(
                f"{who} got its input {variable} twice, at {seen[variable]} and {position}", blame=variable
            )
        seen[variable] = position
    return out


def as_pairs(who: str, what: str, pairs: Any) -> dict[Variable, Any]:
    """Updates or givens, a mapping or an iterable of pairs, as a dict.  Errors: ArgumentError for what is repeated."""
    if pairs is None:
        return {}
    items = list(pairs.items()) if isinstance(pairs, Mapping) else _listed(who, what, pairs)
    out: dict[Variable, Any] = {}
    for item in items:
        if not isinstance(item, (tuple, list)) or len(item) != 2:
            raise ArgumentError(f"{who} needs {what} as a dict or as pairs, got {item!r} among them")
        key, value = item
        if not isinstance(key, Variable):
            raise ArgumentError(
                f"{who} needs variables to the left in {what}, got {key!r} of type {type(key).__name__}"
            )
        if key in out:
            raise ArgumentError(f"{who} got {key} twice in {what}", blame=key)
        out[key] = value
    return out


def _listed(who: str, what: str, values: Any) -> list[Any]:
    if isinstance(values, (list, tuple)) or (
        isinstance(values, Iterable) and not isinstance(values, (str, Variable, Mapping))
    ):
        return list(values)
    raise ArgumentError(f"{who} needs a list of {what}, got {values!r} of type {type(values).__name__}")


def as_constant(who: str, value: Any) -> Variable:
    """An output: a variable, or a number or array that stands for itself.  Errors: ArgumentError."""
    if isinstance(value, Out):
        value = value.variable
    if isinstance(value, Variable):
        return value
    try:
        array = np.asarray(value)
        return TensorType(array.dtype, array.shape).make_constant(array)
    except (CoreError, ValueError, TypeError) as error:
        raise ArgumentError(
            f"{who} needs variables as outputs, got {value!r} of type {type(value).__name__}"
        ) from error
