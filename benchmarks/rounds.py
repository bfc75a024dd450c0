"""One workload: prepared by every peer, checked, then timed in rounds in which the processes take turns."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np

from benchmarks.machine import Others
from benchmarks.peers import BY_HAND, OURS
from benchmarks.processes import Worker
from benchmarks.workloads.base import STEP, Case

SLOWEST_FIRST = ("pytensor-numba", "torch-compile", "pytensor-c", "numba", "jax")


@dataclass(frozen=True)
class Settings:
    """How long things take.

    rounds     at most so many, at least ``fewest``, and about ``budget_s`` of them together
    round_s    what one peer calls for in a round
    slow_s     who needs longer for a call takes part in the first three rounds only
    prepare_s  who needs longer to compile one workload is left out
    quota_s    who has needed more to compile those so far is left out of the rest
    """

    rounds: int = 15
    fewest: int = 5
    round_s: float = 0.008
    budget_s: float = 3.0
    slow_s: float = 0.2
    prepare_s: float = 60.0
    quota_s: float = 420.0


QUICK = Settings(rounds=9, fewest=3, round_s=0.005, budget_s=1.5, slow_s=0.1, prepare_s=20.0, quota_s=60.0)


def run(
    case: Case, workers: Sequence[Worker], settings: Settings, timing_core: int | None, say: Callable[[str], None]
) -> dict[str, Any]:
    """The row of a workload: what each peer needed, or why it has no figure.

    timing_core  the core on which everybody is timed; None: no pinning, for several threads
    """
    peers: dict[str, dict[str, Any]] = {}
    folder = Path(tempfile.mkdtemp(prefix="core-benchmarks-"))
    try:
        ready, outputs = _prepared(case, workers, settings, timing_core, folder, peers, say)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    row: dict[str, Any] = {
        "name": case.name,
        "family": case.family.name,
        "kind": case.kind,
        "dtype": case.dtype,
        "size": list(case.size),
        "trait": case.trait,
        "peers": peers,
    }
    if case.kind != STEP:
        row["output_bytes"] = outputs * np.dtype(case.dtype).itemsize
    if ready:
        say(f"{case.name}: timing {len(ready)}")
        _time(ready, peers, settings, timing_core, row)
    for worker in workers:
        if worker.alive:
            worker.ask("release", 60)
    return row


def _prepared(
    case: Case,
    workers: Sequence[Worker],
    settings: Settings,
    timing_core: int | None,
    folder: Path,
    peers: dict[str, dict[str, Any]],
    say: Callable[[str], None],
) -> tuple[list[Worker], int]:
    """Who can be timed: it has compiled the workload and its results are right; and the size of these.

    Compiling uses all cores.
    """
    cores: SimpleQueue[int | None] = SimpleQueue()
    for core in sorted(os.sched_getaffinity(0)) if timing_core is not None else [None]:
        cores.put(core)
    reference = case.reference()

    def prepare(worker: Worker) -> dict[str, Any]:
        core = cores.get()
        try:
            if not worker.alive:
                hello = worker.start(timing_core)
                if hello["status"] != "ok":
                    return hello
            if worker.spent_s > settings.quota_s and worker.peer not in (OURS, BY_HAND):
                return {"status": "not tried", "why": f"its {settings.quota_s:.0f} s for compiling are used up"}
            place = folder / worker.peer
            place.mkdir()
            say(f"{case.name}: {worker.peer} compiles")
            start = time.monotonic()
            answer = worker.ask("prepare", settings.prepare_s, workload=case.name, folder=str(place), core=core)
            worker.spent_s += time.monotonic() - start
            return _checked(case, answer, place, reference)
        finally:
            cores.put(core)

    order = sorted(
        workers, key=lambda w: SLOWEST_FIRST.index(w.peer) if w.peer in SLOWEST_FIRST else len(SLOWEST_FIRST)
    )
    with ThreadPoolExecutor(max_workers=cores.qsize()) as pool:
        for worker, answer in zip(order, pool.map(prepare, order), strict=True):
            peers[worker.peer] = answer
    ready = [worker for worker in workers if peers[worker.peer]["status"] == "ok"]
    return ready, sum(out.size for out in reference)


def _checked(case: Case, answer: dict[str, Any], place: Path, reference: Sequence[np.ndarray]) -> dict[str, Any]:
    """The answer to "prepare"; a wrong result makes it one that says so."""
    if answer["status"] != "ok":
        return answer
    results = [np.load(place / f"{k}.npy") for k in range(answer["results"])]
    wrong = case.mismatch(results, reference)
    shutil.rmtree(place)
    return answer if wrong is None else {"status": "wrong", "why": wrong}


def _time(
    ready: list[Worker],
    peers: dict[str, dict[str, Any]],
    settings: Settings,
    timing_core: int | None,
    row: dict[str, Any],
) -> None:
    """Rounds, then the memory of one call."""
    calls: dict[str, int] = {}
    expected_s = {}
    for worker in ready:
        answer = worker.ask("calibrate", 60, round_s=settings.round_s, core=timing_core)
        if answer["status"] != "ok":
            peers[worker.peer] = answer
            continue
        calls[worker.peer], expected_s[worker.peer] = answer["calls"], answer["seconds"] * (answer["calls"] + 1)
    slow = {peer for peer in calls if expected_s[peer] / (calls[peer] + 1) > settings.slow_s}
    a_round = sum(t for peer, t in expected_s.items() if peer not in slow) or max(expected_s.values(), default=1.0)
    count = min(settings.rounds, max(settings.fewest, int(settings.budget_s / a_round)))
    others = Others(worker.pid for worker in ready)
    rounds: dict[str, list[float | None]] = {peer: [] for peer in calls}
    for k in range(count):
        order = ready[k % len(ready) :] + ready[: k % len(ready)]  # nobody always follows the same neighbour
        for worker in order:
            if worker.peer not in calls:
                continue
            if worker.peer in slow and k >= 3:
                rounds[worker.peer].append(None)
                continue
            answer = worker.ask("measure", 120, calls=calls[worker.peer])
            if answer["status"] != "ok":
                peers[worker.peer] = answer
                del calls[worker.peer]
                continue
            rounds[worker.peer].append(answer["seconds"])
    row["others_cores"] = round(others.cores(), 2)
    for worker in ready:
        if worker.peer in calls:
            peers[worker.peer]["rounds"] = rounds[worker.peer]
            peers[worker.peer]["peak_bytes"] = worker.ask("memory", 120).get("peak_bytes")
