"""What we want to reach: each goal is a ratio, ours over somebody's, in one run.  Why some are missed: notes.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

BEST = "best peer"
BY_HAND_LIMIT, BY_HAND_FROM_S = 1.1, 20e-6  # shorter kernels are mostly the call, which C by hand does not pay


@dataclass(frozen=True)
class Goal:
    """Our time over that of ``against`` (one or more peers, the better of them) is to be at most ``ratio``."""

    against: tuple[str, ...]
    ratio: float

    @property
    def text(self) -> str:
        whose = "" if self.against == (BEST,) else f" of {self.against[0].partition('-')[0]}"
        return f"{self.ratio:g}{whose}"


def goals(trait: str, dtype: str = "float64", size: Sequence[int] = ()) -> list[Goal]:
    """The goals of a workload."""
    return [Goal((BEST,) if against is None else against, ratio) for against, ratio in _goals(trait, dtype, size)]


def _goals(trait: str, dtype: str, size: Sequence[int]) -> list[tuple[tuple[str, ...] | None, float]]:
    if trait == "cheap":  # at 1e7 elements, memory decides: that of outputs is used again
        return [(None, 0.5 if size and size[0] >= 10**7 else 1.0)]
    if trait == "transcendental":
        return [(None, 0.5 if dtype == "float64" else 1.0)]
    if trait == "rows":
        return [(None, 0.7)]
    if trait in ("normalisation", "reduction", "convolution", "recurrence", "transform"):
        return [(None, 1.0)]
    if trait in ("training", "logp"):
        return [(None, 0.8)]
    if trait == "call":
        return [(("numba",), 0.2), (("jax",), 0.02)]
    if trait in ("cold compile", "graph"):
        return [(("jax",), 0.25)]
    if trait == "warm start":
        return [(("pytensor-numba", "pytensor-c"), 0.1)]
    return []


def notes(file: Path = Path(__file__).parent / "notes.toml") -> list[dict[str, Any]]:
    """Why goals are missed: tables with ``rows``, a pattern of names, and ``why``."""
    return tomllib.loads(file.read_text())["note"] if file.exists() else []


def why(name: str, known: Sequence[dict[str, Any]]) -> str:
    """The first note for a workload; empty if there is none."""
    return next((note["why"] for note in known if fnmatch(name, note["rows"])), "")
