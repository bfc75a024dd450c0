"""Medians of ratios within rounds: what a slow second of the machine does to one process it does to its neighbours."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

Rounds = Sequence[float | None]  # seconds a call in each round; None where a process took no part


def median(values: Iterable[float]) -> float:
    """The middle one, or the mean of the two in the middle.  Errors: ValueError for none."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("the median of nothing is not defined")
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def seconds(rounds: Rounds) -> float:
    """The median time of a call."""
    return median(t for t in rounds if t is not None)


def ratio(ours: Rounds, theirs: Rounds) -> float | None:
    """The median of ours over theirs, of the rounds in which both took part; None if there is none."""
    ratios = [a / b for a, b in zip(ours, theirs, strict=True) if a is not None and b is not None]
    return median(ratios) if ratios else None


def best(peers: Mapping[str, Rounds]) -> str | None:
    """The peer with the smallest median time."""
    return min(peers, key=lambda name: seconds(peers[name]), default=None)


def geometric_mean(values: Iterable[float]) -> float | None:
    """The mean of ratios; None for none."""
    logs = [math.log(v) for v in values]
    return math.exp(sum(logs) / len(logs)) if logs else None
