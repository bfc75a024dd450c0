"""All workloads.  Each file holds one kind of formula, with its inputs, its reference and the sizes that are run."""

from __future__ import annotations

from fnmatch import fnmatch

from benchmarks.workloads import (
    black_scholes,
    calls,
    convolution,
    elementwise,
    lstm,
    models,
    recurrences,
    reductions,
    rows,
    spectra,
    training,
)
from benchmarks.workloads.base import Case

_KINDS = (
    calls,
    elementwise,
    black_scholes,
    rows,
    reductions,
    training,
    lstm,
    recurrences,
    convolution,
    spectra,
    models,
)
CASES: list[Case] = [case for module in _KINDS for case in module.CASES]
BY_NAME = {case.name: case for case in CASES}
assert len(BY_NAME) == len(CASES), "two workloads have one name"


def select(pattern: str | None = None, quick: bool = False) -> list[Case]:
    """The workloads whose name holds ``pattern`` (with ``*`` and ``?``: those that match it)."""
    wanted = [case for case in CASES if case.quick or not quick]
    return [case for case in wanted if matches(case.name, pattern)]


def matches(name: str, pattern: str | None) -> bool:
    """Whether a name is asked for; several patterns are separated by commas."""
    return pattern is None or any(fnmatch(name, f"*{one.strip()}*") for one in pattern.split(","))
