"""``python -m benchmarks``: every workload, against everybody, in one run.  README.md says what it needs."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import cold, peers, report, rounds, workloads
from benchmarks.folders import cache_folder, cache_variables
from benchmarks.machine import facts
from benchmarks.processes import ROOT, Worker, environment
from benchmarks.progress import Progress

MARKS = ("<!-- results: written by python -m benchmarks --docs -->", "<!-- end of results -->")


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    made.add_argument("--quick", action="store_true", help="fewer workloads and rounds: less than five minutes")
    made.add_argument(
        "--only", metavar="PATTERNS", help="workloads whose name holds one of these, with * and ?, commas between"
    )
    made.add_argument(
        "--peers", metavar="LIST", default=",".join(peers.NAMES), help="who takes part (default: %(default)s)"
    )
    made.add_argument(
        "--threads", type=int, default=1, help="of every library; 1 also keeps all to one core (default: 1)"
    )
    made.add_argument(
        "--clock", choices=("wall", "cpu"), default="wall", help="cpu: time of the process, for a busy machine"
    )
    made.add_argument("--python", metavar="PEER=PATH", action="append", default=[], help="interpreter that has a peer")
    made.add_argument(
        "--no-starts", action="store_true", help="leave out import, compiling, warm starts and large graphs"
    )
    made.add_argument(
        "--json", type=Path, metavar="FILE", help="write everything that was measured, after each workload"
    )
    made.add_argument("--resume", action="store_true", help="keep the workloads that are in --json already")
    made.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables")
    made.add_argument("--plot", type=Path, metavar="FILE", help="draw the ratios, as SVG or PNG")
    made.add_argument("--docs", action="store_true", help="write tables and plot into docs/benchmarks.md and .svg")
    made.add_argument("--render", type=Path, metavar="FILE", help="measure nothing: write from this JSON file")
    made.add_argument("--list", action="store_true", help="name the workloads and stop")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    asked = parser().parse_args(arguments)
    limits = cold.QUICK if asked.quick else cold.Limits()
    cases = workloads.select(asked.only, asked.quick)
    starts = [] if asked.no_starts else [name for name in cold.names(limits) if workloads.matches(name, asked.only)]
    if asked.list:
        print("\n".join([*(case.name for case in cases), *starts]))
        return 0
    if asked.render:
        results = json.loads(asked.render.read_text())
    else:
        unknown = set(asked.peers.split(",")) - set(peers.NAMES)
        if unknown:
            print(f"no such peer: {', '.join(sorted(unknown))}; there are {', '.join(peers.NAMES)}", file=sys.stderr)
            return 2
        results = _begun(asked)
        try:
            _measure(asked, results, cases, starts, limits)
        except KeyboardInterrupt:
            print("interrupted" + (f"; --resume goes on with {asked.json}" if asked.json else ""), file=sys.stderr)
            return 130
    _write(asked, results)
    return 0


def _begun(asked: argparse.Namespace) -> dict[str, Any]:
    """Results without rows, or with those of an interrupted run of the same settings."""
    settings = {"threads": asked.threads, "clock": asked.clock, "quick": asked.quick, "peers": asked.peers}
    if asked.resume and asked.json and asked.json.exists():
        old = json.loads(asked.json.read_text())
        if old["settings"] == settings:
            return old
        print(f"{asked.json} was measured with {old['settings']}, not {settings}: starting anew", file=sys.stderr)
    started = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return {"machine": facts(), "settings": settings, "started": started, "versions": {}, "rows": []}


def _measure(
    asked: argparse.Namespace,
    results: dict[str, Any],
    cases: Sequence[workloads.Case],
    starts: Sequence[str],
    limits: cold.Limits,
) -> None:
    """Fill in rows, and save after each."""
    begun, pythons = time.monotonic(), dict(pair.split("=", 1) for pair in asked.python)
    who = [name for name in peers.NAMES if name in asked.peers.split(",")]
    core = max(os.sched_getaffinity(0)) if asked.threads == 1 and hasattr(os, "sched_getaffinity") else None
    done = {row["name"] for row in results["rows"]}
    settings = rounds.QUICK if asked.quick else rounds.Settings()
    log = Path(tempfile.gettempdir()) / f"core-benchmarks-{os.getpid()}.log"
    variables = environment(asked.threads, cache_variables(cache_folder()))
    workers = [
        Worker(name, asked.threads, variables, log, pythons.get(name, sys.executable), asked.clock) for name in who
    ]

    def finished(row: dict[str, Any], note: str = "") -> None:
        results["rows"].append(row)
        for worker in workers:
            if worker.hello.get("status") == "ok":
                results["versions"][worker.peer] = worker.hello["version"]
        progress.row(report.verdict(row), note)
        results["seconds"] = round(results.get("seconds", 0) + time.monotonic() - finished.last, 1)
        finished.last = time.monotonic()
        if asked.json:
            _save(results, asked.json)

    finished.last = begun
    with Progress(len(cases) + len(starts)) as progress:
        try:
            for case in cases:
                if case.name not in done:
                    row = rounds.run(case, workers, settings, core, progress.say)
                    busy = row.get("others_cores", 0)
                    finished(row, f"[others busy: {busy:.2f} cores]" if busy > 0.2 else "")
        finally:
            for worker in workers:
                worker.stop()
        process = cold.Starts(who, limits, asked.threads, core, pythons, progress.say, asked.clock)
        for name in starts:
            if name not in {row["name"] for row in results["rows"]}:
                for row in process.rows(name):
                    finished(row)
    print(f"{len(results['rows'])} rows in {time.monotonic() - begun:.0f} s; what libraries printed is in {log}")


def _save(results: dict[str, Any], file: Path) -> None:
    """All or nothing: an interrupted run leaves what it had."""
    half = file.with_name(f"{file.name}.{os.getpid()}")
    half.write_text(json.dumps(results, indent=1))
    os.replace(half, file)


def _write(asked: argparse.Namespace, results: dict[str, Any]) -> None:
    """The files that were asked for; the tables to the terminal if none was."""
    text = report.markdown(results)
    if asked.markdown:
        asked.markdown.write_text(text)
    plots = [asked.plot] if asked.plot else []
    if asked.docs:
        page = ROOT / "docs" / "benchmarks.md"
        before, _, rest = page.read_text().partition(MARKS[0])
        page.write_text(f"{before}{MARKS[0]}\n\n{text}\n{MARKS[1]}{rest.partition(MARKS[1])[2]}")
        plots.append(ROOT / "docs" / "benchmarks.svg")
    if plots:
        from benchmarks.plot import draw

        for file in plots:
            draw([report.verdict(row) for row in results["rows"]], file)
    if not (asked.markdown or asked.docs):
        print(text)


if __name__ == "__main__":
    sys.exit(main())
