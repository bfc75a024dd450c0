"""One script for a machine with an NVIDIA GPU: does everything compute what NumPy computes, and how fast.

    python benchmarks/gpu.py --check [--fast]     the op suite, random graphs, and both again under compute-sanitizer
    python benchmarks/gpu.py --time [--fast]      medians by device events, beside CuPy, JAX and PyTorch where they are
    python benchmarks/gpu.py --libraries          linear algebra against NumPy, with times; packs, loops; others' arrays
    python benchmarks/gpu.py --profile NAME       the time of each launch in a case
    python benchmarks/gpu.py ... --json FILE      also writes what it found

Nothing is fetched.  A time is compared with its floor: the bytes that must move (each input read once, each output
written once) at the speed of a copy within the device, or the product alone on cuBLAS; behind the times stand the
goals, met or missed.  The exit status is 1 where something was wrong, 2 where nothing could be run.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
sys.path.insert(0, str(HERE))

import gpu_cases as cases  # noqa: E402 - beside this file
import gpu_goals  # noqa: E402
import gpu_libraries  # noqa: E402
import gpu_linalg  # noqa: E402
import gpu_training  # noqa: E402

from core.errors import BackendError  # noqa: E402

CASES = {**cases.CASES, **gpu_training.CASES}
PEERS = ("cupy", "torch", "compile", "jax", "fused")

SLOW_TO_START = ("compile", "jax")  # with --fast, only the cases that matter most are compiled by these
SUITE = [
    *(
        "tests/tensor",
        "tests/test_backends_agree.py",
        "tests/compile/test_function.py",
        "tests/scanning",
        "tests/inner",
    ),
    *("plugins/ops_nn/tests/test_convolution.py", "plugins/ops_random/tests/test_stream.py", "plugins/ops_fft/tests"),
    "plugins/backend_cuda/tests",
]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="numbers")
    parser.add_argument("--time", action="store_true", help="speed")
    parser.add_argument("--fast", action="store_true", help="a sample, about two minutes for each")
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--peers", default=",".join(PEERS), help="which to time beside")
    parser.add_argument("--graphs", type=int, default=0, help="only run so many random graphs, here")
    parser.add_argument(
        "--set", action="append", default=[], help="try a constant: core.ir.nests.vector_access.KEPT_BYTES=0"
    )
    parser.add_argument("--profile", default="", help="the time of each launch in the cases whose name holds this")
    parser.add_argument(
        "--libraries", action="store_true", help="linear algebra against NumPy and SciPy, arrays of other libraries"
    )
    parser.add_argument("--json", help="a file for the results")
    options = parser.parse_args()
    unknown = set(options.peers.split(",")) - {*PEERS, ""}
    if unknown:
        parser.error(f"--peers knows {', '.join(PEERS)}, got {', '.join(sorted(unknown))}")
    if not any((options.check, options.time, options.libraries, options.profile, options.graphs)):
        parser.error("nothing to do: --check, --time, --libraries, --profile NAME or --graphs N")
    for name in (options.profile, options.only):
        if name and not any(name in case for case in CASES):
            parser.error(f"no case has {name!r} in its name; there are {'; '.join(CASES)}")
    for setting in options.set:
        place, _, value = setting.partition("=")
        module, _, name = place.rpartition(".")
        setattr(importlib.import_module(module), name, int(value))
    try:
        found: dict[str, Any] = {"device": describe(), "set": options.set}
    except (BackendError, ImportError) as error:
        print(f"nothing was run: {error}", file=sys.stderr)
        return 2
    print(found["device"])
    failed = 0
    if options.graphs:
        failed += random_graphs(options.graphs)
    if options.check:
        found["check"] = check(options.fast)
        failed += sum(code != 0 for code in found["check"].values())
    if options.libraries:
        found["libraries"] = gpu_libraries.check()
        failed += sum(said != "right" for said in found["libraries"].values())
        found["linear algebra"] = gpu_linalg.times()
    if options.profile:
        found["profile"] = profile(options.profile)
    if options.time:
        ceiling = cases.copy_bandwidth()
        found["copy"] = ceiling
        found["time"] = timings(
            ceiling, options.only, [peer for peer in options.peers.split(",") if peer], options.fast
        )
        goals = gpu_goals.verdicts(found["time"], ceiling, gpu_training.CASES)
        found["goals"] = gpu_goals.as_json(goals)
        print(gpu_goals.table(goals))
    if options.json:
        Path(options.json).write_text(json.dumps(found, indent=1))
    return 1 if failed else 0


def describe() -> str:
    """The device and the versions that matter."""
    from plugin_backend_cuda.backend import driver
    from plugin_backend_cuda.compiler import find

    device = driver.open().space.device
    return f"{device}, sm_{device.architecture}, {find()[0]}, {device.facts.memory_bytes / 2**30:.0f} GiB"


# --- numbers ----------------------------------------------------------------------------------------------------------


def check(fast: bool) -> dict[str, int]:
    """Exit status of each step."""
    workers = ["-n", str(min(8, os.cpu_count() or 1))] if _has("xdist") else []
    suite = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        *(["-x"] if fast else []),
        *workers,
        "-k",
        "cuda",
        "-p",
        "no:cacheprovider",
    ]
    steps = {"op suite and random graphs": [*suite, *(one for one in SUITE if (HERE.parent / one).exists())]}
    tool = shutil.which("compute-sanitizer")
    if tool is None:
        print("compute-sanitizer is not on the PATH: left out")
    else:
        count = "8" if fast else "40"
        for what in ("memcheck", "racecheck"):
            steps[what] = [tool, "--tool", what, "--error-exitcode", "9", sys.executable, __file__, "--graphs", count]
    codes = {}
    for name, command in steps.items():
        start = time.perf_counter()
        done = subprocess.run(
            command, cwd=HERE.parent, env={**os.environ, "CORE_REQUIRE_DEVICE": "cuda"},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        )  # fmt: skip
        codes[name] = done.returncode
        print(f"== {name}: exit status {done.returncode}, {time.perf_counter() - start:.0f} s")
        print("\n".join(done.stdout.splitlines()[-(6 if done.returncode == 0 else 60) :]), flush=True)
    return codes


def _has(module: str) -> bool:
    from importlib.util import find_spec

    return find_spec(module) is not None


def random_graphs(count: int) -> int:
    """Random graphs on the GPU against NumPy; how many differ."""
    import random

    import numpy as np

    import core
    from core.testing.graphs import build

    wrong = 0
    for seed in range(count):
        rng = random.Random(seed)
        graph = build(seed, [rng.randrange(2**32) for _ in range(8)], ("float64", "float32", "int64", "int32"))
        run = core.function(graph.inputs, graph.outputs, backend="cuda", on_unused_input="ignore")
        for _ in range(2):  # the second time may be a replay
            for got, want in zip(run(*graph.arrays), graph.expected, strict=True):
                same = got.shape == want.shape and np.allclose(got, want, **graph.tolerance(), equal_nan=True)
                if not same:
                    wrong += 1
                    print(f"graph {seed} differs: {graph}")
    print(f"{count} random graphs, {wrong} results differ")
    return wrong


# --- speed ------------------------------------------------------------------------------------------------------------


def timings(ceiling: float, only: str, peers: list[str], fast: bool) -> list[dict[str, Any]]:
    """A line for each case: medians in microseconds, and the part of its ceiling that core reaches."""
    rows = []
    print(f"copy within the device: {ceiling / 1e9:.0f} GB/s, bytes read and written")
    head = f"{'case':46} {'core us':>9} {'GB/s':>6} {'of copy':>8}" + "".join(f" {peer:>10}" for peer in peers)
    print(head + "\n" + "-" * len(head))
    for name, case in CASES.items():
        if only not in name:
            continue
        row: dict[str, Any] = {"case": name, "bytes": case.moved}
        row["core"] = _tried(name, lambda case=case: measure(*case.core()))
        for peer in peers:
            make = None if fast and peer in SLOW_TO_START and not case.important else getattr(case, peer, None)
            row[peer] = _tried(f"{name} on {peer}", lambda make=make: measure(*make())) if make else None
        rows.append(row)
        print(_line(row, ceiling, peers), flush=True)
    return rows


def profile(only: str) -> dict[str, list[tuple[str, float]]]:
    """For each case the microseconds of every launch and library call, in order: the median of several runs."""
    found = {}
    for name, case in CASES.items():
        if only in name:
            run, _ = case.core()
            for _ in range(3):
                run()
            found[name] = cases.launches(run)
            print(f"{name}: {sum(us for _, us in found[name]):.0f} us in {len(found[name])} launches")
            for what, us in found[name]:
                print(f"  {us:8.1f}  {what}")
    return found


def _tried(what: str, act: Callable[[], float]) -> float | None:
    try:
        return act()
    except Exception as error:  # one case must not cost the others their time on the machine
        print(f"  {what}: {type(error).__name__}: {str(error)[:300]}")
        return None


def _line(row: dict[str, Any], ceiling: float, peers: list[str]) -> str:
    mine = row["core"]
    text = f"{row['case']:46} {1e6 * mine:9.1f}" if mine else f"{row['case']:46} {'-':>9}"
    if mine and row["bytes"]:
        speed = row["bytes"] / mine
        text += f" {speed / 1e9:6.0f} {100 * speed / ceiling:7.0f}%"
    else:
        text += " " * 16
    return text + "".join(f" {1e6 * row[peer]:10.1f}" if row[peer] else f" {'-':>10}" for peer in peers)


def measure(run: Callable[[], Any], stopwatch: Any, repeats: int = 7, least_s: float = 0.02) -> float:
    """Seconds of one ``run`` on the device: the median over several rows of runs, each timed by events as a whole."""
    for _ in range(3):
        run()
    once = max(stopwatch(run, 1), 1e-6)
    count = max(1, min(1000, int(least_s / once)))
    return statistics.median(stopwatch(run, count) for _ in range(repeats))


if __name__ == "__main__":
    sys.exit(main())
