"""What kernels and training steps on a GPU are to reach, and whether they did in one run."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

SHARE = 0.9  # of the speed of a copy, where memory bounds
AHEAD_OF = {"compile": "torch.compile", "jax": "JAX"}  # what training steps are compared with: column -> name


@dataclass(frozen=True)
class Verdict:
    """``got`` against ``goal``, in words; ``met``: None where it was not timed."""

    case: str
    goal: str
    got: str
    met: bool | None


def verdicts(rows: Sequence[dict[str, Any]], ceiling: float, training: Collection[str]) -> list[Verdict]:
    """Of what ``timings`` found; ``ceiling``: bytes a second of a copy, ``training``: the cases that are such steps."""
    found = []
    for row in rows:
        if row["bytes"]:
            found.append(_of_copy(row, ceiling))
        elif row["case"] in training:
            found += [_ahead(row, column, name) for column, name in AHEAD_OF.items()]
    return found


def _of_copy(row: dict[str, Any], ceiling: float) -> Verdict:
    goal = f"{100 * SHARE:.0f} % of a copy"
    if not row["core"]:
        return Verdict(row["case"], goal, "not timed", None)
    share = row["bytes"] / row["core"] / ceiling
    return Verdict(row["case"], goal, f"{100 * share:.0f} %", share >= SHARE)


def _ahead(row: dict[str, Any], column: str, name: str) -> Verdict:
    mine, theirs = row["core"], row.get(column)
    if not mine or not theirs:
        return Verdict(row["case"], f"ahead of {name}", "not timed", None)
    return Verdict(row["case"], f"ahead of {name}", f"{mine / theirs:.2f} of its time", mine <= theirs)


def table(found: Sequence[Verdict]) -> str:
    """One line for each goal, and how many were met."""
    words = {True: "met", False: "MISSED", None: "not timed"}
    lines = [f"{one.case:46} {one.goal:24} {one.got:18} {words[one.met]}" for one in found]
    counts = [sum(one.met is met for one in found) for met in words]
    return "\n".join([*lines, "goals: {} met, {} missed, {} not timed".format(*counts)])


def as_json(found: Sequence[Verdict]) -> list[dict[str, Any]]:
    return [asdict(one) for one in found]
