"""The coordinator's side of a worker: start it, ask it, notice when it dies or takes too long."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent


def environment(threads: int, caches: dict[str, str]) -> dict[str, str]:
    """Environment variables that fix the threads of every library, and where each keeps what it compiles."""
    count = str(threads)
    own = {
        "CORE_NUM_THREADS": count,
        "OMP_NUM_THREADS": count,
        "OPENBLAS_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        "NUMEXPR_NUM_THREADS": count,
        "NUMEXPR_MAX_THREADS": count,
        "NUMBA_NUM_THREADS": count,
        "NPROC": count,  # XLA's pool
        "XLA_FLAGS": f"--xla_cpu_multi_thread_eigen={'true' if threads > 1 else 'false'}",
        "OPENBLAS_THREAD_TIMEOUT": "4",  # idle threads sleep, rather than take a core from whoever is next
        "KMP_BLOCKTIME": "0",
        "GOMP_SPINCOUNT": "0" if threads == 1 else "10000",
        "JAX_PLATFORMS": "cpu",
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "PYTHONWARNINGS": "ignore",
        **caches,
    }
    own["PYTENSOR_FLAGS"] = ",".join(filter(None, [caches.get("PYTENSOR_FLAGS"), f"openmp={threads > 1}"]))
    return {**os.environ, **own}


class Worker:
    """A peer's process.  ``python`` is an interpreter that has the library; ``log`` gets what it prints."""

    def __init__(
        self,
        peer: str,
        threads: int,
        variables: dict[str, str],
        log: Path,
        python: str = sys.executable,
        clock: str = "wall",
    ):
        self.peer, self.variables, self.log = peer, variables, log
        self._command = [python, "-m", "benchmarks.worker", peer, str(threads), clock]
        self.hello: dict[str, Any] = {}
        self.spent_s = 0.0  # for compiling, so far
        self._process: subprocess.Popen | None = None
        self._rest = b""

    def start(self, core: int | None, timeout_s: float = 120) -> dict[str, Any]:
        """Start it and let it import its library; all its threads are born on ``core``."""
        allowed = os.sched_getaffinity(0) if core is not None else set()
        with self.log.open("ab") as log:
            if core is not None:
                os.sched_setaffinity(0, {core})
            try:
                self._process = subprocess.Popen(
                    self._command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env=self.variables,
                    cwd=ROOT,
                    start_new_session=True,
                )
            finally:
                if core is not None:
                    os.sched_setaffinity(0, allowed)
        self._rest = b""
        self.hello = self.ask("hello", timeout_s)
        return self.hello

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        return self._process.pid if self._process is not None else 0

    def ask(self, do: str, timeout_s: float, **arguments: Any) -> dict[str, Any]:
        """Send a request and wait for the answer.  A process that dies or is late is ended, and the answer says so."""
        if self._process is None:
            return {"status": "failed", "why": "its process has ended"}
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
            self._process.stdin.flush()
            line = self._line(timeout_s)
        except TimeoutError:
            self.stop()
            return {"status": "too slow", "why": f"{do} took more than {timeout_s:.0f} s"}
        except OSError:
            line = b""
        if not line:
            code = self._process.wait()
            self.stop()
            how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
            return {"status": "failed", "why": f"its process ended in {do} with {how}; see {self.log.name}"}
        return json.loads(line)

    def _line(self, timeout_s: float) -> bytes:
        """One line of output; empty at its end."""
        assert self._process is not None and self._process.stdout is not None
        stream, end = self._process.stdout.fileno(), time.monotonic() + timeout_s
        while b"\n" not in self._rest:
            left = end - time.monotonic()
            if left <= 0 or not select.select([stream], [], [], left)[0]:
                raise TimeoutError
            part = os.read(stream, 65536)
            if not part:
                return b""
            self._rest += part
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    def stop(self) -> None:
        """End it, and the compilers that it may have started."""
        process, self._process = self._process, None
        if process is None:
            return
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except OSError:
                    pass  # what was not yet written to a dead process
