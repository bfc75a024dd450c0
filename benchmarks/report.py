"""From rows to what is read: ratios and goals, a Markdown table, a table for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks import statistics
from benchmarks.goals import BEST, BY_HAND_FROM_S, BY_HAND_LIMIT, Goal, goals, notes, why
from benchmarks.peers import BY_HAND, OURS

NOTHING = "-"  # what stands for a figure that there is not
KEEPS_MEMORY = ("jax",)  # between calls, where nobody can see how much of it a call uses
SMALLEST_PEAK = 2**20  # less is lost in what the system counts


@dataclass
class Verdict:
    """What a row says.  Ratios are ours over theirs: below 1 is faster; None where one of both has no figure.

    goals    each with its ratio, and whether that is low enough
    """

    name: str
    trait: str
    ours_s: float | None
    best: str | None
    best_s: float | None
    over_best: float | None
    over_c: float | None
    memory_over_best: float | None
    goals: list[tuple[Goal, float | None, bool | None]] = field(default_factory=list)
    why: str = ""
    failures: dict[str, str] = field(default_factory=dict)

    @property
    def missed(self) -> bool:
        return any(met is False for _, _, met in self.goals) or self.over_c_missed

    @property
    def over_c_missed(self) -> bool:
        """Whether it is slower than C by hand allows, where the kernel is long enough to tell."""
        return self.over_c is not None and self.over_c > BY_HAND_LIMIT and (self.ours_s or 0) >= BY_HAND_FROM_S


def verdict(row: dict[str, Any], known: Sequence[dict[str, Any]] | None = None) -> Verdict:
    """Ratios and goals of a row."""
    timed = {name: peer["rounds"] for name, peer in row["peers"].items() if peer.get("rounds")}
    ours = timed.get(OURS)
    rivals = {name: rounds for name, rounds in timed.items() if name not in (OURS, BY_HAND)}
    best = statistics.best(rivals)

    def over(name: str | None) -> float | None:
        return statistics.ratio(ours, timed[name]) if ours and name in timed else None

    made = Verdict(
        row["name"],
        row["trait"],
        statistics.seconds(ours) if ours else None,
        best,
        statistics.seconds(timed[best]) if best else None,
        over(best),
        over(BY_HAND),
        _memory(row),
        failures={
            name: f"{peer['status']}: {peer['why']}"
            for name, peer in row["peers"].items()
            if peer["status"] not in ("ok", "unsupported")
        },
    )
    for goal in goals(row["trait"], row["dtype"], row["size"]):
        against = (
            best if goal.against == (BEST,) else statistics.best({p: timed[p] for p in goal.against if p in timed})
        )
        got = over(against)
        lost = ours is None and against is not None  # we have no figure where they have one
        made.goals.append((goal, got, False if lost else None if got is None else got <= goal.ratio))
    if made.missed:
        made.why = why(row["name"], notes() if known is None else known)
    return made


def _memory(row: dict[str, Any]) -> float | None:
    """Our peak over the lowest of a peer's; None where they are too small to be told from noise."""
    floor = row.get("output_bytes", 0)  # what a library got from the system for an earlier call is not seen
    peaks = {
        name: max(peer["peak_bytes"], floor)
        for name, peer in row["peers"].items()
        if peer.get("peak_bytes") is not None
    }
    rivals = [peak for name, peak in peaks.items() if name not in (OURS, BY_HAND, *KEEPS_MEMORY)]
    if OURS not in peaks or not rivals or max(min(rivals), peaks[OURS]) < SMALLEST_PEAK:
        return None
    return max(peaks[OURS], SMALLEST_PEAK / 4) / max(min(rivals), SMALLEST_PEAK / 4)


# --- text -------------------------------------------------------------------------------------------------------------


def time_text(seconds: float | None) -> str:
    """Three digits and a unit."""
    if seconds is None:
        return NOTHING
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def ratio_text(ratio: float | None) -> str:
    return NOTHING if ratio is None else f"{ratio:.2f}" if ratio >= 0.095 else f"{ratio:.2g}"


def goal_text(made: Verdict) -> str:
    return ", ".join(goal.text for goal, _, _ in made.goals) or NOTHING


def met_text(made: Verdict) -> str:
    """Each goal's answer; where a goal is over one peer, with its ratio."""
    parts = []
    for goal, got, met in made.goals:
        mark = "?" if met is None else "yes" if met else "**no**"
        parts.append(mark if goal.against == (BEST,) else f"{mark} ({ratio_text(got)})")
    if made.over_c_missed:
        parts.append("**C: no**")
    return ", ".join(parts) or NOTHING


COLUMNS = ("workload", "core", "best peer", "", "ours / best", "ours / C", "goal", "met", "memory / best", "why")


def cells(made: Verdict) -> tuple[str, ...]:
    """A line of the table."""
    return (
        made.name,
        time_text(made.ours_s) if made.ours_s is not None else made.failures.get(OURS, NOTHING),
        made.best or NOTHING,
        time_text(made.best_s),
        ratio_text(made.over_best),
        ratio_text(made.over_c),
        goal_text(made),
        met_text(made),
        ratio_text(made.memory_over_best),
        made.why,
    )


def markdown(results: dict[str, Any]) -> str:
    """The whole report."""
    verdicts = [verdict(row) for row in results["rows"]]
    lines = [
        *_about(results),
        "",
        *_summary(verdicts),
        "",
        *_table(COLUMNS, [cells(v) for v in verdicts], right=(1, 3, 4, 5, 8)),
    ]
    lines += ["", *_all_times(results), "", *_failures(verdicts)]
    return "\n".join(lines).rstrip() + "\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> list[str]:
    return [
        f"| {' | '.join(head)} |",
        "|" + "|".join("---:" if k in right else "---" for k in range(len(head))) + "|",
        *(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows),
    ]


def _about(results: dict[str, Any]) -> Iterator[str]:
    machine, settings = results["machine"], results["settings"]
    busy = [row["others_cores"] for row in results["rows"] if "others_cores" in row]
    memory = f", {machine['memory_bytes'] / 2**30:.0f} GiB" if machine.get("memory_bytes") else ""
    yield (
        f"{machine['processor']}, {machine['cores']} cores{memory}; {machine['system']}; Python {machine['python']}; "
        f"{settings['threads']} thread{'s' if settings['threads'] > 1 else ''}; {results['started']}."
    )
    yield ", ".join(f"{name} {text}" for name, text in results["versions"].items()) + "."
    if settings["clock"] == "cpu":
        yield "Times are those of the processor in each process, all its threads together, not those of a clock."
    if busy:
        yield (
            f"Other programs kept {statistics.median(busy):.2f} cores busy (median over workloads, at most "
            f"{max(busy):.2f}); above 0.2, times are worth little."
        )


def _summary(verdicts: Sequence[Verdict]) -> list[str]:
    """For each kind of workload: how many goals are met, and the geometric means."""
    rows = []
    for trait in dict.fromkeys(v.trait for v in verdicts):
        ours = [v for v in verdicts if v.trait == trait]
        asked = [met for v in ours for _, _, met in v.goals if met is not None]
        rows.append(
            (
                trait,
                str(len(ours)),
                ratio_text(statistics.geometric_mean(v.over_best for v in ours if v.over_best)),
                ratio_text(statistics.geometric_mean(v.over_c for v in ours if v.over_c)),
                f"{sum(asked)} of {len(asked)}" if asked else NOTHING,
                ratio_text(statistics.geometric_mean(v.memory_over_best for v in ours if v.memory_over_best)),
            )
        )
    head = ("kind", "workloads", "ours / best", "ours / C", "goals met", "memory / best")
    return _table(head, rows, right=(1, 2, 3, 5))


def _all_times(results: dict[str, Any]) -> list[str]:
    """Median time of every peer."""
    names = list(dict.fromkeys(name for row in results["rows"] for name in row["peers"]))
    rows = []
    for row in results["rows"]:
        line = [row["name"]]
        for name in names:
            peer = row["peers"].get(name, {"status": NOTHING})
            line.append(time_text(statistics.seconds(peer["rounds"])) if peer.get("rounds") else _short(peer["status"]))
        rows.append(line)
    return _table(("workload", *names), rows, right=range(1, len(names) + 1))


def _short(status: str) -> str:
    return NOTHING if status in ("unsupported", NOTHING) else status


def _failures(verdicts: Sequence[Verdict]) -> list[str]:
    """Who has no figure, and why."""
    found: dict[tuple[str, str], list[str]] = {}
    for made in verdicts:
        for peer, text in made.failures.items():
            found.setdefault((peer, text.splitlines()[0]), []).append(made.name)
    return [
        f"- {peer}: {text} ({', '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''})"
        for (peer, text), names in found.items()
    ]
