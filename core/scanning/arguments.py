"""What a user gives to ``scan``, checked: sequences, what states start from, what the function returns."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from core import dtypes
from core.dataclass import dataclass
from core.errors import ArgumentError, DTypeError, ShapeError, attributed_to, did_you_mean, user_line
from core.graph import Constant, Variable, ancestors
from core.tensor.logic import not_equal
from core.tensor.type import TensorType, TensorVariable, as_tensor


@dataclass(frozen=True)
class Sequence:
    """A tensor whose rows a step gets, those at ``i + tap`` for each of ``taps``."""

    x: TensorVariable
    taps: tuple[int, ...]
    name: str = "sequence"

    @property
    def before(self) -> int:
        """How many rows there are before the one that tap 0 of the first step is."""
        return max(0, -min(self.taps))

    @property
    def behind(self) -> int:
        """How many there are after the one that tap 0 of the last step is."""
        return max(0, *self.taps)

    def rows(self) -> list[Any]:
        """A variable for each tap."""
        kind = TensorType(self.x.dtype, self.x.type.shape[1:])
        return [kind(_at(self.name, tap)) for tap in self.taps]


@dataclass(frozen=True)
class Start:
    """What a state starts from: the rows before the first step.

    number  the Python number that it was given as: that takes the dtype of what a step makes of it
    """

    initial: TensorVariable
    taps: tuple[int, ...]
    number: Any = None
    name: str = "state"

    def rows(self) -> list[Any]:
        """A variable for each tap."""
        kind = TensorType(self.initial.dtype, self.initial.type.shape[1:])
        return [kind(_at(self.name, tap)) for tap in self.taps]


@dataclass(frozen=True)
class Until:
    """The condition after which no step follows; ``until`` makes one."""

    condition: TensorVariable


def until(condition: Any) -> Until:
    """Returned by the function of a ``scan``, after what it computes: the step for which this is true is the last.

    Errors: ShapeError unless the condition is a scalar.
    """
    found = as_tensor(condition)
    if found.ndim != 0:
        raise ShapeError(f"until needs a scalar, got {found} with ndim={found.ndim}", blame=found)
    return Until(found if found.dtype == "bool" else not_equal(found, 0))


def _at(name: str, tap: int) -> str:
    return f"{name}[t{tap:+d}]" if tap else f"{name}[t]"


def listed(given: Any) -> list[Any]:
    """One thing or several, as a list."""
    if given is None:
        return []
    return list(given) if isinstance(given, (list, tuple)) else [given]


def _taps(who: str, given: Any) -> tuple[int, ...]:
    taps = given if isinstance(given, (list, tuple)) else [given]
    for tap in taps:
        if isinstance(tap, bool) or not hasattr(tap, "__index__"):
            raise ArgumentError(f"{who} needs integers as taps, got {tap!r} of type {type(tap).__name__}")
    found = tuple(int(tap) for tap in taps)
    if len(set(found)) != len(found) or not found:
        raise ArgumentError(f"{who} needs each tap once, and one at least, got {list(found)}")
    return found


def _check_keys(who: str, given: Mapping[str, Any], known: Iterable[str]) -> None:
    for key in given:
        if key not in known:
            raise ArgumentError(f"{who} needs the keys {', '.join(known)}, got {key!r}.{did_you_mean(key, known)}")


def as_sequence(number: int, given: Any) -> Sequence:
    """Errors: ArgumentError, ShapeError for a scalar."""
    who = f"sequence {number} of scan"
    taps: tuple[int, ...] = (0,)
    if isinstance(given, Mapping):
        _check_keys(who, given, ("input", "taps"))
        if given.get("input") is None:
            raise ArgumentError(f"{who} needs an 'input', got {dict(given)!r}")
        taps = _taps(who, given["taps"]) if given.get("taps") is not None else taps
        given = given["input"]
    x = as_tensor(given)
    if x.ndim == 0:
        raise ShapeError(f"{who} needs an axis of steps, got the scalar {x}; did you mean non_sequences?", blame=x)
    return Sequence(x, taps, x.name or f"sequence{number}")


def as_start(number: int, given: Any, others: Iterable[str]) -> Start | None:
    """What output ``number`` starts from; None for one that does not recur.

    A Python float has the dtype that it would have beside tensors of the dtypes ``others``.

    Errors: ArgumentError for taps that are not negative; ShapeError for fewer initial rows than the taps need.
    """
    who = f"outputs_info {number} of scan"
    taps: tuple[int, ...] = (-1,)
    if isinstance(given, Mapping):
        _check_keys(who, given, ("initial", "taps"))
        taps = _taps(who, given["taps"]) if given.get("taps") is not None else taps
        given = given.get("initial")
        if given is None and taps != (-1,):
            raise ArgumentError(f"{who} needs an 'initial' for its taps {list(taps)}, got none")
    if given is None:
        return None
    if max(taps) >= 0:
        raise ArgumentError(f"{who} needs negative taps, since a step reads what was made before it, got {list(taps)}")
    weak = given if type(given) in (bool, int, float, complex) else None
    x = as_tensor(given, dtype=dtypes.promote(*others, float) if isinstance(weak, float) else None)
    if taps == (-1,):
        return Start(x.dimshuffle("x", *range(x.ndim)), taps, weak, x.name or f"state{number}")  # type: ignore[attr-defined]
    span = -min(taps)
    if x.ndim == 0:
        raise ShapeError(f"{who} needs {span} initial rows for its taps {list(taps)}, got the scalar {x}", blame=x)
    n = x.type.shape[0]
    if n is not None and n < span:
        raise ShapeError(f"{who} needs {span} initial rows for its taps {list(taps)}, got {n} in {x}", blame=x)
    return Start(x if n == span else x[:span], taps, None, x.name or f"state{number}")  # type: ignore[index]


@dataclass(frozen=True)
class Returned:
    """What the function of a step returned."""

    outputs: list[TensorVariable]
    stop: TensorVariable | None

    @property
    def flat(self) -> list[TensorVariable]:
        return [*self.outputs, *([] if self.stop is None else [self.stop])]

    def of(self, flat: list[TensorVariable]) -> Returned:
        """The same of other variables."""
        return Returned(flat[: len(self.outputs)], None if self.stop is None else flat[-1])


def as_returned(found: Any) -> Returned:
    """Errors: ArgumentError for updates of shared variables, and what is no tensor."""
    items = list(found) if isinstance(found, (list, tuple)) else [found]
    stops = [item for item in items if isinstance(item, Until)]
    if len(stops) > 1:
        raise ArgumentError(f"fn of scan needs to return one until(...) at most, got {len(stops)}")
    if any(isinstance(item, Mapping) and item for item in items):
        raise ArgumentError(
            "fn of scan returned a dictionary, and scan has no updates: a value that changes from step to step, such "
            "as a random key, is a state with its place in outputs_info"
        )
    rest = [item for item in items if not isinstance(item, (Until, Mapping))]
    nested = len(rest) == 1 and isinstance(rest[0], (list, tuple))
    values = list(rest[0]) if nested else rest
    with attributed_to(user_line()):
        outputs = [_output(number, value) for number, value in enumerate(values)]
    return Returned(outputs, stops[0].condition if stops else None)


def _output(number: int, value: Any) -> TensorVariable:
    try:
        return as_tensor(value)
    except DTypeError as error:
        raise DTypeError(f"fn of scan needs to return tensors, and output {number} is none: {error}") from error


def check_parameters(fn: Any, given: Iterable[Variable]) -> None:
    """Errors: ArgumentError where ``fn`` takes another number of arguments than it is to get."""
    given = list(given)
    try:
        signature = inspect.signature(fn)
    except (TypeError, ValueError):  # of some builtins nobody knows
        return
    try:
        signature.bind(*given)
    except TypeError as error:
        names = ", ".join(variable.name or f"<{variable.type}>" for variable in given) or "nothing"
        taken = ", ".join(signature.parameters)
        raise ArgumentError(
            f"scan calls fn with {len(given)} arguments, which are rows of sequences, states and non-sequences in this "
            f"order: {names}; fn takes ({taken}): {error}"
        ) from None


def check_strict(captured: Iterable[Variable], allowed: Iterable[Variable]) -> None:
    """Errors: ArgumentError for what ``captured`` needs besides ``allowed``."""
    given = set(allowed)
    for x in ancestors(captured, stop_at=given):
        if x.owner is None and x not in given and not isinstance(x, Constant):
            raise ArgumentError(
                f"scan with strict=True needs all that fn reads among its arguments, but fn reads {x}; "
                "add it to non_sequences",
                blame=x,
            )


def check_new(number: int, start: Start, new: TensorVariable) -> None:
    """Errors: DTypeError, ShapeError where a step makes of a state what the next one cannot take."""
    kind = TensorType(start.initial.dtype, start.initial.type.shape[1:])
    name = f"output {number} of scan's fn" + (f" ({new.name})" if new.name else "")
    if new.dtype != kind.dtype:
        hint = "its initial value" if new.dtype in dtypes.ALL else "it"
        raise DTypeError(
            f"{name} needs dtype {kind.dtype}, which the next step takes, since {hint} is {start.initial} of "
            f"{kind.dtype}; got {new} of {new.dtype}: cast one of the two with .astype",
            blame=new,
        )
    if new.ndim != kind.ndim:
        raise ShapeError(
            f"{name} needs ndim={kind.ndim}, as its initial value has in each row, got {new} with ndim={new.ndim}",
            blame=new,
        )
    if any(None not in pair and pair[0] != pair[1] for pair in zip(kind.shape, new.type.shape, strict=True)):
        raise ShapeError(
            f"{name} needs shape {kind.shape}, as its initial value has in each row, got {new} of shape "
            f"{new.type.shape}",
            blame=new,
        )
