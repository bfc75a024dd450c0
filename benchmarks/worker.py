"""One peer in a process of its own: reads requests, a line of JSON each, from stdin, and answers on what was stdout.

Started by processes.py as ``python -m benchmarks.worker PEER THREADS CLOCK``.  What the library prints goes to stderr.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from functools import cached_property
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import peers, workloads
from benchmarks.memory import peak_of
from benchmarks.peers.base import Run, Unsupported

# The clock on the wall, or the processor's time of this process, which others can hardly lengthen.
CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}


class Worker:
    """Answers requests.  Each method that is one takes and gives what JSON can hold."""

    def __init__(self, peer: str, threads: int, clock: str = "wall"):
        self.peer, self.threads, self.clock = peer, threads, CLOCKS[clock]
        self.run: Run | None = None

    @cached_property
    def module(self) -> Any:
        """What knows the library; its import is the library's.  Errors: ImportError, each time, where it is absent."""
        return peers.module(self.peer)

    def hello(self) -> dict[str, Any]:
        """Import the library."""
        start = time.perf_counter()
        return {
            "version": self.module.version(peers.variant(self.peer)),
            "import_s": time.perf_counter() - start,
            "pid": os.getpid(),
        }

    def prepare(self, workload: str, folder: str, core: int | None = None) -> dict[str, Any]:
        """Build it, call it once, and save what came out as ``<folder>/<k>.npy``."""
        self.release()
        _stay_on(core)
        case = workloads.BY_NAME[workload]
        arrays = case.inputs()
        start = time.perf_counter()
        self.run = self.module.build(case, arrays, variant=peers.variant(self.peer), threads=self.threads)
        result = self._call()
        took = time.perf_counter() - start
        results = self.run.results(result)
        for k, array in enumerate(results):
            np.save(Path(folder) / f"{k}.npy", array)
        return {"prepare_s": took, "results": len(results)}

    def calibrate(self, round_s: float, core: int | None = None) -> dict[str, Any]:
        """How often it can be called in ``round_s``; on ``core`` from now on."""
        _stay_on(core)
        calls, took = 1, min(self._timed(1) for _ in range(3))  # a first call may wait for memory
        while took < round_s / 4:
            calls *= 4
            took = self._timed(calls)
        return {"calls": max(1, int(round_s * calls / took)), "seconds": took / calls}

    def measure(self, calls: int) -> dict[str, Any]:
        """Seconds a call, over ``calls`` of them; one call goes before, because other processes had the caches."""
        if calls > 1:
            self._timed(1)
        return {"seconds": self._timed(calls) / calls}

    def memory(self) -> dict[str, Any]:
        """What one call adds to the memory of the process at its peak, results included, nothing kept from before."""
        assert self.run is not None
        if self.run.free is not None:
            self.run.free()
        gc.collect()
        _trim()
        return {"peak_bytes": peak_of(self._call)}

    def release(self) -> dict[str, Any]:
        """Forget the workload and its arrays."""
        if self.run is not None and self.run.free is not None:
            self.run.free()
        self.run = None
        gc.collect()
        _trim()
        return {}

    def _call(self) -> Any:
        assert self.run is not None
        result = self.run.call(*self.run.args)
        if self.run.wait is not None:
            self.run.wait(result)
        return result

    def _timed(self, calls: int) -> float:
        """Seconds of ``calls`` calls.  A result dies when the next one is there, as in a user's loop."""
        run = self.run
        assert run is not None
        call, args, wait, clock = run.call, run.args, run.wait, self.clock
        if run.loop is not None:
            start = clock()
            run.loop(calls)
            return clock() - start
        if wait is not None:
            start = clock()
            for _ in repeat(None, calls):
                wait(call(*args))
            return clock() - start
        start = clock()
        for _ in repeat(None, calls):
            call(*args)
        return clock() - start


def _stay_on(core: int | None) -> None:
    """Let every thread of this process run on one core only."""
    if core is None or not hasattr(os, "sched_setaffinity"):
        return
    for task in os.listdir("/proc/self/task"):
        try:
            os.sched_setaffinity(int(task), {core})
        except ProcessLookupError:
            pass  # a thread that has ended meanwhile


def _trim() -> None:
    """Give free memory back to the system, where the C library can."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except AttributeError:
        pass


def answer(worker: Worker, request: dict[str, Any]) -> dict[str, Any]:
    """The answer to one request; whatever goes wrong is part of it."""
    method: Callable[..., dict[str, Any]] = getattr(worker, request.pop("do"))
    try:
        return {"status": "ok", **method(**request)}
    except Unsupported as reason:
        return {"status": "unsupported", "why": str(reason)}
    except ImportError as error:
        return {"status": "absent", "why": str(error)}
    except Exception as error:
        traceback.print_exc()
        return {"status": "failed", "why": f"{type(error).__name__}: {error}"[:500]}


def main() -> None:
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    worker = Worker(sys.argv[1], int(sys.argv[2]), sys.argv[3])
    for line in sys.stdin:
        channel.write(json.dumps(answer(worker, json.loads(line))) + "\n")
        channel.flush()


if __name__ == "__main__":
    main()
