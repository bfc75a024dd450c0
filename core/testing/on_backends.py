"""An op on every backend against the interpreter: values where a device works, else whether its compiler agrees."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from core import backend as backends
from core import dtypes
from core.compile.function import function
from core.errors import CoreError, CoreWarning, GraphError
from core.ir.program import HostStep
from core.testing.values import as_list, symbolic

# How far a right result may be off: relative, and absolute as a share of the largest element.
_TOLERANCE = {"float16": (4e-3, 4e-3), "float32": (2e-5, 2e-6), "complex64": (2e-5, 2e-6)}
_FINE = (1e-9, 1e-12)


def tolerance(dtype: Any) -> tuple[float, float]:
    """``rtol`` and ``atol`` for results of a dtype; the latter counts relative to the largest element."""
    return _TOLERANCE.get(np.dtype(dtype).name, _FINE)


class OnBackend:
    """A function of tensors, compiled once for each combination of dtypes, dimensions and known lengths."""

    def __init__(self, op: Callable[..., Any], backend: Any, static: bool = False, mode: Any = None):
        self.op, self.backend, self.static, self.mode = op, backend, static, mode
        self.fallbacks: set[str] = set()  # ops that Python computes there
        self._functions: dict[Any, Any] = {}

    def function(self, arrays: Sequence[np.ndarray]) -> Any:
        """The compiled function for arrays like these."""
        key = tuple((a.dtype, a.shape if self.static else a.ndim) for a in arrays)
        if key not in self._functions:
            inputs = symbolic(arrays, self.static)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", CoreWarning)  # that Python computes an op: it is noted below
                made = function(
                    inputs, as_list(self.op(*inputs)), backend=self.backend, mode=self.mode, on_unused_input="ignore"
                )
            steps = getattr(made.program, "steps", ())
            self.fallbacks |= {str(step.outputs[0].node.op) for step in steps if isinstance(step, HostStep)}
            self._functions[key] = made
        return self._functions[key]

    def __call__(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [np.asarray(out) for out in self.function(arrays)(*arrays)]

    def note(self) -> str:
        return f"Python computes {', '.join(sorted(self.fallbacks))} there" if self.fallbacks else ""


def assert_same(
    got: Sequence[np.ndarray],
    expected: Sequence[np.ndarray],
    who: str,
    rtol: float | None = None,
    atol: float | None = None,
) -> None:
    """Errors: GraphError saying which output and element of ``who`` differs from the reference, with both values."""
    for number, (mine, theirs) in enumerate(zip(got, expected, strict=True)):
        if mine.dtype != theirs.dtype or mine.shape != theirs.shape:
            raise GraphError(
                f"{who} gives {mine.dtype}{mine.shape} as output {number}, but the reference gives "
                f"{theirs.dtype}{theirs.shape}"
            )
        usual = tolerance(theirs.dtype)
        finite = np.abs(theirs[np.isfinite(theirs)]) if theirs.dtype.kind in "fc" else np.zeros(0)
        scale = max(1.0, float(np.max(finite, initial=0)))
        wide, near = usual[0] if rtol is None else rtol, usual[1] * scale if atol is None else atol
        with np.errstate(all="ignore"):
            exact = theirs.dtype.name in dtypes.DISCRETE
            same = mine == theirs if exact else np.isclose(mine, theirs, rtol=wide, atol=near, equal_nan=True)
        if not np.all(same):
            where = tuple(int(i) for i in np.argwhere(~np.atleast_1d(same))[0])[: mine.ndim]
            raise GraphError(
                f"{who} gives {mine[where]} at {where} of output {number}, but the reference gives {theirs[where]}"
            )


def compilers_alone(names: Iterable[str] | None = None) -> dict[str, Any]:
    """Backends without a device here whose compiler is here: name -> what takes programs and compiles them, no more.

    Such a driver has ``without_device()``, which gives that or None.
    """
    found = {}
    for name in backends.names() if names is None else names:
        entry = backends.plugins.registries().backends.get(name) if not backends.probe(name).works else None
        if entry is None:
            continue
        try:
            opened = getattr(entry.load(), "without_device", lambda: None)()
        except (CoreError, ImportError, OSError):  # what the driver needs is not here either
            continue
        if opened is not None:
            found[name] = opened
    return found
