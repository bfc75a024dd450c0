"""What a fresh process needs until its first result: ``python -m benchmarks.cold_process PEER JOB THREADS CLOCK``.

JOB is "import", "nodes N", or the name of a workload.  Prints a line of JSON: seconds to import the library, and
seconds from the first line of a user's code to the first result, which is checked.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any


def main() -> None:
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    peer, job, threads, clock = sys.argv[1], sys.argv[2], int(sys.argv[3]), CLOCKS[sys.argv[4]]
    channel.write(json.dumps(_answer(peer, job, threads, clock)) + "\n")
    channel.flush()
    os._exit(0)  # compilers' helpers may still run; what is asked is answered


def _processor_s() -> float:
    """The processor's time of this process and of the compilers that it has waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


CLOCKS = {"wall": time.perf_counter, "cpu": _processor_s}


def _answer(peer: str, job: str, threads: int, clock: Callable[[], float]) -> dict[str, Any]:
    import numpy as np  # everybody needs it, so nobody pays for it

    from benchmarks import peers
    from benchmarks.peers.base import Unsupported

    assert np is not None
    start = clock()
    try:
        module = peers.module(peer)
        module.version(peers.variant(peer))
    except ImportError as error:
        return {"status": "absent", "why": str(error)}
    import_s = clock() - start
    if job == "import":
        return {"status": "ok", "import_s": import_s}

    from benchmarks import graphs, workloads

    case = graphs.layers(int(job.split()[1])) if job.startswith("nodes ") else workloads.BY_NAME[job]
    arrays = case.inputs()
    start = clock()
    try:
        run = module.build(case, arrays, variant=peers.variant(peer), threads=threads)
        result = run.call(*run.args)
        if run.wait is not None:
            run.wait(result)
    except Unsupported as reason:
        return {"status": "unsupported", "why": str(reason)}
    except (Exception, RecursionError) as error:
        return {"status": "failed", "why": f"{type(error).__name__}: {error}"[:300]}
    first_s = clock() - start
    wrong = case.mismatch(run.results(result), case.reference())
    if wrong is not None:
        return {"status": "wrong", "why": wrong}
    return {"status": "ok", "import_s": import_s, "first_s": first_s}


if __name__ == "__main__":
    main()
