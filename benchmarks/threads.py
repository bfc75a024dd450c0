"""Several threads: ``python -m benchmarks.threads``, in under five minutes.

For a dozen workloads: how much faster ``core`` is with several threads than with one, and how that compares with other
libraries that have as many.  Each workload is run as ``python -m benchmarks`` runs it, once with ``core`` alone and one
thread, once with everybody and several.  ``--occupied`` keeps one core busy with another program meanwhile: nothing
should be much slower than on one thread.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import report, rounds, statistics, workloads
from benchmarks.folders import cache_folder, cache_variables
from benchmarks.machine import facts
from benchmarks.peers import OURS
from benchmarks.processes import ROOT, Worker, environment

PEERS = (OURS, "numba", "jax", "torch-eager", "torch-compile")
WORKLOADS = (
    "square_of_sum forward float64 1e6",
    "black_scholes forward float64 1e6",
    "softmax_axis1 forward float64 1e5x64",
    "logsumexp_axis0 forward float64 1000x1000",
    "layer_norm gradient float64 20000x64",
    "sum_axis0 forward float64 1e5x64",
    "sum_axis1 forward float64 1000x1000",
    "logistic_regression step float64 1e5x50",
    "mlp step float64 20000x100x64x10",
    "mlp step float64 500x784x500x10",
    "lstm step float32 64x128x256",
    "gaussian_mixture value+gradient float64 20000x8x4",
)
SETTINGS = rounds.Settings(rounds=9, fewest=3, budget_s=1.0, prepare_s=30.0, quota_s=45.0)
MARKS = ("<!-- threads: written by python -m benchmarks.threads --docs -->", "<!-- end of threads -->")
COLUMNS = ("workload", "core, 1 thread", "core", "times as fast", "best peer", "", "ours / best")


@contextlib.contextmanager
def occupied(wanted: bool) -> Iterator[None]:
    """Another program that takes all of one core."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if wanted else None
    try:
        yield
    finally:
        if process is not None:
            process.kill()
            process.wait()


def measure(threads: int, who: Sequence[str], names: str) -> dict[str, Any]:
    """A row for each workload: what everybody needs with so many threads, and ``core`` with one."""
    log = Path(tempfile.gettempdir()) / f"core-benchmarks-{os.getpid()}.log"
    results: dict[str, Any] = {"machine": facts(), "threads": threads, "versions": {}, "rows": []}
    results["started"] = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")

    def workers(peers: Sequence[str], count: int) -> list[Worker]:
        variables = environment(count, cache_variables(cache_folder()))
        return [Worker(peer, count, variables, log, sys.executable, "wall") for peer in peers]

    alone, together = workers([OURS], 1), workers(who, threads)
    try:
        for case in workloads.select(names):
            row = rounds.run(case, together, SETTINGS, None, _say)
            one = rounds.run(case, alone, SETTINGS, None, _say)
            row["one_thread"] = one["peers"][OURS]
            results["rows"].append(row)
            print(" | ".join(cells(row)), flush=True)
        for worker in together:
            if worker.hello.get("status") == "ok":
                results["versions"][worker.peer] = worker.hello["version"]
    finally:
        for worker in (*alone, *together):
            worker.stop()
    return results


def _say(text: str) -> None:
    """Progress is the rows."""


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    """A line of the table."""
    made, one = report.verdict(row), row["one_thread"].get("rounds")
    one_s = statistics.seconds(one) if one else None
    gain = None if one_s is None or made.ours_s is None else one_s / made.ours_s
    return (
        row["name"],
        report.time_text(one_s),
        report.time_text(made.ours_s),
        report.ratio_text(gain),
        made.best or report.NOTHING,
        report.time_text(made.best_s),
        report.ratio_text(made.over_best),
    )


def markdown(results: dict[str, Any]) -> str:
    """The machine, then the table."""
    machine = results["machine"]
    busy = [row["others_cores"] for row in results["rows"] if "others_cores" in row]
    lines = [
        f"{machine['processor']}, {machine['cores']} cores; {results['threads']} threads for everybody but where it "
        f"says 1; {results['started']}.",
        ", ".join(f"{name} {text}" for name, text in results["versions"].items()) + ".",
    ]
    if busy:
        lines.append(f"Other programs kept {statistics.median(busy):.2f} cores busy (at most {max(busy):.2f}).")
    head = [f"| {' | '.join(COLUMNS)} |", "|---|---:|---:|---:|---|---:|---:|"]
    return "\n".join([*lines, "", *head, *(f"| {' | '.join(cells(row))} |" for row in results["rows"])]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2, help="of every library (default: %(default)s)")
    parser.add_argument("--peers", default=",".join(PEERS), help="who takes part (default: %(default)s)")
    parser.add_argument("--only", metavar="PATTERNS", default=",".join(WORKLOADS), help="other workloads, by name")
    parser.add_argument("--occupied", action="store_true", help="keep one core busy with another program")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured")
    parser.add_argument("--docs", action="store_true", help="write the table into docs/benchmarks.md")
    parser.add_argument("--render", type=Path, metavar="FILE", help="measure nothing: write from this JSON file")
    asked = parser.parse_args()
    if asked.render:
        results = json.loads(asked.render.read_text())
    else:
        with occupied(asked.occupied):
            results = measure(asked.threads, asked.peers.split(","), asked.only)
    if asked.json:
        asked.json.write_text(json.dumps(results, indent=1))
    if asked.docs:
        page = ROOT / "docs" / "benchmarks.md"
        before, _, rest = page.read_text().partition(MARKS[0])
        page.write_text(f"{before}{MARKS[0]}\n\n{markdown(results)}\n{MARKS[1]}{rest.partition(MARKS[1])[2]}")
    else:
        print(markdown(results))


if __name__ == "__main__":
    main()
