"""Every exception class that core and its plugins raise, and the place where a variable was made.

A message has four parts: who, what it needs, what it got, and (from ``blame``) the user's line where that came from.
"""

from __future__ import annotations

import linecache
import os
import sys
from collections.abc import Iterable
from contextvars import ContextVar
from types import FrameType
from typing import Any, NamedTuple


class SourceLine(NamedTuple):
    """A line of the user's program."""

    filename: str
    lineno: int

    @property
    def text(self) -> str:
        """The line itself, or an empty string when the file cannot be read."""
        return linecache.getline(self.filename, self.lineno).strip()

    def __str__(self) -> str:
        inside = os.path.relpath(self.filename) if os.path.isabs(self.filename) else self.filename
        name = self.filename if inside.startswith("..") else inside
        return f"{name}:{self.lineno}: {self.text}" if self.text else f"{name}:{self.lineno}"


_attributed: ContextVar[SourceLine | None] = ContextVar("core_attributed", default=None)


def user_line() -> SourceLine | None:
    """The innermost line outside core and its plugins, or the one set by ``attributed_to``."""
    line = _attributed.get()
    if line is not None:
        return line
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if not (module == "core" or module.startswith(("core.", "plugin_"))):
            return SourceLine(frame.f_code.co_filename, frame.f_lineno)
        frame = frame.f_back
    return None


class attributed_to:  # noqa: N801 - a verb, as in contextlib
    """Nodes made inside belong to ``line``: a rewrite or a gradient keeps the line of the node it started from."""

    __slots__ = ("line", "token")  # no generator: this is entered for every node that is made

    def __init__(self, line: SourceLine | None):
        self.line = line

    def __enter__(self) -> None:
        self.token = _attributed.set(self.line if self.line is not None else _attributed.get())

    def __exit__(self, *error: object) -> None:
        _attributed.reset(self.token)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`` Did you mean 'opencl'?`` for a near miss among ``known``, else an empty string."""
    import difflib  # for those who mistype alone

    close = difflib.get_close_matches(str(name), list(known), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


class CoreError(Exception):
    """Base of all errors raised by core.  ``blame`` is a variable or node: its line is added to the message."""

    def __init__(self, message: str, *, blame: Any = None):
        source = getattr(blame, "source", None)
        if source is not None:
            message = f"{message}\n  {_called(blame)} was made at {source}"
        super().__init__(message)


def _called(blame: Any) -> str:
    name = getattr(blame, "name", None)
    if name:
        return name
    owner = getattr(blame, "owner", None)
    return str(owner.op) if owner is not None else str(getattr(blame, "op", blame))


class GraphError(CoreError, ValueError):
    """A graph is malformed: a cycle, an output of the wrong type, a variable that belongs elsewhere."""


class DTypeError(CoreError, TypeError):
    """A dtype, or the kind of a value, is not one that was expected."""


class ShapeError(CoreError, ValueError):
    """Shapes, or a number of dimensions, do not fit."""


class AxisError(ShapeError):
    """An axis lies outside -ndim <= axis < ndim, or is named twice."""


class IndexOutOfBounds(CoreError, IndexError):
    """An index lies outside the axis that it indexes."""


class ArgumentError(CoreError, TypeError):
    """An argument of a call is missing, unknown, given twice, or of the wrong kind."""


class MissingInputError(CoreError, ValueError):
    """A variable is needed to compute an output but was not given."""


class UnusedInputError(CoreError, ValueError):
    """An input takes no part in any output."""


class GradientError(CoreError, ValueError):
    """A derivative was asked for that cannot be had: no scalar cost, no tangent, a failed check."""


class NullGradientError(GradientError):
    """A gradient passes through an op that has none."""


class DisconnectedInputError(GradientError):
    """The cost does not depend on the variable it is to be differentiated by."""


class RewriteError(CoreError, ValueError):
    """A rule changed a type, or a rule set does not come to an end."""


class BackendError(CoreError, RuntimeError):
    """A backend is unknown, unavailable, or failed."""


class DeviceError(BackendError):
    """A device refused or failed what was asked of it."""


class DeviceMemoryError(DeviceError, MemoryError):
    """A device has not as much memory as is needed."""


class DeviceLost(DeviceError):
    """A device stopped working; what lay in its memory is gone."""


class ComputeError(CoreError, RuntimeError):
    """An op failed while a function ran, for a reason that no other class names."""


_compute_errors: dict[type[Exception], type[ComputeError]] = {}


def _compute_error(kind: type[Exception]) -> type[ComputeError]:
    """A ComputeError that is a ``kind`` too."""
    if kind in _compute_errors:
        return _compute_errors[kind]

    def rebuild(self: Any) -> tuple:  # for pickle: the class has no name in any module
        return _computed, (kind, self.args, self.__dict__)

    made = {"__str__": BaseException.__str__, "__reduce__": rebuild, "__module__": kind.__module__}
    _compute_errors[kind] = type(kind.__name__, (ComputeError, kind), made)
    return _compute_errors[kind]


def _computed(kind: type[Exception], args: tuple, state: dict[str, Any]) -> Exception:
    error = _compute_error(kind)(*args)
    error.__dict__.update(state)
    return error


def compute_error(kind: type[Exception], message: str, *, blame: Any = None) -> ComputeError:
    """An error of an op that failed: a ComputeError, and of the type ``kind`` that was raised inside.

    >>> isinstance(compute_error(ZeroDivisionError, "Ratio failed: y is 0"), ZeroDivisionError)
    True
    """
    try:
        return _compute_error(kind)(message, blame=blame)
    except TypeError:  # it takes other arguments, or its memory is laid out in another way
        return ComputeError(message, blame=blame)


class ContractError(CoreError, AssertionError):
    """An op does something else than it says: mode "debug" found that."""


class CompileError(BackendError):
    """A compiler refused generated code.  ``source`` is the text, ``log`` the whole of what the compiler said."""

    def __init__(self, message: str, *, source_code: str = "", log: str = "", blame: Any = None):
        super().__init__(message, blame=blame)
        self.source_code, self.log = source_code, log


class VerifyError(CoreError, RuntimeError):
    """A compiled program breaks a rule of the loop IR: a mistake of a pass, or of an op that writes its own loops."""


class PluginError(CoreError, RuntimeError):
    """A plugin is broken, incompatible or blocked."""


class PluginConflict(PluginError):
    """Two plugins claim the same key."""


class OpPackError(PluginError, AttributeError):
    """``core.ops`` has no such namespace."""


class OptionError(CoreError, ValueError):
    """An option is unknown or has a value of the wrong kind."""


class CheckError(CoreError, AssertionError):
    """A check of core.testing failed.  ``result`` holds all checks that were made."""

    def __init__(self, message: str, *, result: Any = None, blame: Any = None):
        super().__init__(message, blame=blame)
        self.result = result


class CoreWarning(UserWarning):
    """Something works, but not as well as it could: a fallback was taken, or a plugin was left out."""
