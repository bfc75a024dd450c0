"""Import, compiling, starting: whole processes, one after the other, peers in turn.

import        of the library, NumPy being there
first use     from the first line of a user's code to the first result of x + 1, with empty caches: what a library
              builds once for a machine is in it
cold compile  the same for a model, with the caches as they are after the first use
first tier    both again for functions of ours that are interpreted until they are compiled (option ``first_tier``)
warm start    import and first result of the same model in a new process, with full caches
graph         as cold compile, for a graph of so many nodes

Everybody's modules are there as bytecode, as installers leave them.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from benchmarks.folders import cache_variables
from benchmarks.machine import Others
from benchmarks.processes import ROOT, environment

COMPILERS = ("core", "jax", "numba", "torch-compile", "pytensor-numba", "pytensor-c")
IMPORTS = ("core", "numba", "jax", "torch-eager", "pytensor-numba")
TIERS = ("core", "jax", "numba")
GRAPHS = ("core", "jax", "torch-compile", "pytensor-numba", "pytensor-c")
FIRST = "call_1_in_1_out forward float64 10"
MODELS = {"chain": "chain_of_20 forward float64 10000", "mlp": "mlp step float64 60x784x500x10"}


@dataclass(frozen=True)
class Limits:
    """How long things take.

    repeats    rounds
    once_s     who needs longer takes part in the first round alone
    timeout_s  who needs longer has no figure
    """

    repeats: int = 3
    once_s: float = 2.0
    timeout_s: float = 30.0
    models: tuple[str, ...] = ("chain", "mlp")
    nodes: tuple[int, ...] = (100, 1000, 5000, 20000)


QUICK = Limits(repeats=2, once_s=2.0, timeout_s=10.0, models=("chain",), nodes=(300,))


def names(limits: Limits) -> list[str]:
    """The rows, in order."""
    whats = ("cold compile", "warm start", "first tier")
    compiles = [f"{what} {model}" for model in limits.models for what in whats]
    return ["import", "first use", "first tier", *compiles, *(f"graph of {n} nodes" for n in limits.nodes)]


class Starts:
    """Runs the rows.  ``tell`` gets what is being done; ``core`` is the processor core for all processes."""

    def __init__(
        self,
        peers: Sequence[str],
        limits: Limits,
        threads: int,
        core: int | None,
        pythons: Mapping[str, str],
        tell: Callable[[str], None],
        clock: str = "wall",
    ):
        self.peers, self.limits, self.threads, self.core = peers, limits, threads, core
        self.pythons, self.tell, self.clock = pythons, tell, clock
        self._used: dict[str, Path] = {}  # the caches of each peer after its first use
        self._place = tempfile.TemporaryDirectory(prefix="core-starts-", ignore_cleanup_errors=True)
        self._lost: dict[str, dict[str, Any]] = {}  # who failed at a graph: larger ones are not tried
        if "core" in peers:
            _write_bytecode(pythons.get("core", sys.executable))

    def rows(self, name: str) -> list[dict[str, Any]]:
        """The rows that come with ``name``: a cold one brings its warm one."""
        others = Others(())
        if name == "import":
            rows = [self._row(name, "import", self._repeated(IMPORTS, "import", "import_s"))]
        elif name == "first use":
            rows = [self._row(name, "first use", self._repeated(COMPILERS, FIRST, "first_s", used=False))]
        elif name.startswith("first tier"):
            model = name.removeprefix("first tier").strip()
            job = MODELS[model] if model else FIRST
            options = {"CORE_FIRST_TIER": "1"}
            rows = [self._row(name, "first tier", self._repeated(TIERS, job, "first_s", bool(model), options))]
        elif name.startswith("graph"):
            rows = [self._row(name, "graph", self._graph(int(name.split()[2])))]
        else:
            model = name.split()[-1]
            cold, warm = self._cold_and_warm(MODELS[model])
            rows = [
                self._row(f"cold compile {model}", "cold compile", cold),
                self._row(f"warm start {model}", "warm start", warm),
            ]
        busy = round(others.cores(), 2)
        for row in rows:
            row["all_cores"] = busy  # ours and others': children that have ended cannot be told apart
        return rows

    def _row(self, name: str, trait: str, peers: dict[str, dict[str, Any]]) -> dict[str, Any]:
        return {
            "name": name,
            "family": name,
            "kind": "start",
            "dtype": "float64",
            "size": [],
            "trait": trait,
            "peers": peers,
        }

    def _repeated(
        self,
        wanted: Sequence[str],
        job: str,
        field: str,
        used: bool = True,
        options: Mapping[str, str] = MappingProxyType({}),
    ) -> dict[str, dict[str, Any]]:
        """Each peer in turn, ``repeats`` times; with its caches as after its first use, or empty.

        options  environment variables besides
        """
        peers: dict[str, dict[str, Any]] = {}
        for k in range(self.limits.repeats):
            for peer in self._of(wanted):
                if k and not self._again(peers[peer]):
                    peers[peer].setdefault("rounds", []).append(None)
                    continue
                with self._caches(peer, used and job != "import") as folder:
                    _keep(peers, peer, self._process(peer, job, folder, options), field)
        return _finished(peers)

    def _graph(self, nodes: int) -> dict[str, dict[str, Any]]:
        lost = {peer: dict(answer) for peer, answer in self._lost.items()}
        peers = self._repeated([peer for peer in GRAPHS if peer not in lost], f"nodes {nodes}", "first_s")
        for peer, answer in peers.items():
            if answer["status"] != "ok":
                why = answer["why"]
                self._lost[peer] = {"status": "not tried", "why": f"lost at {nodes} nodes: {why}"}
        return {**peers, **lost}

    def _cold_and_warm(self, workload: str) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
        """Time to the first result with caches that lack it; then with it, and with the import."""
        cold: dict[str, dict[str, Any]] = {}
        warm: dict[str, dict[str, Any]] = {}
        for k in range(self.limits.repeats):
            for peer in self._of(COMPILERS):
                if k and not self._again(cold[peer]):
                    cold[peer].setdefault("rounds", []).append(None)
                    warm[peer].setdefault("rounds", []).append(None)
                    continue
                with self._caches(peer) as folder:
                    _keep(cold, peer, self._process(peer, workload, folder), "first_s")
                    if cold[peer]["status"] == "ok":
                        _keep(warm, peer, self._process(peer, workload, folder), "start_s")
                    else:
                        _keep(warm, peer, {"status": "not tried", "why": "it did not compile"}, "start_s")
        return _finished(cold), _finished(warm)

    @contextmanager
    def _caches(self, peer: str, used: bool = True) -> Iterator[Path]:
        """A folder for a peer's caches, which goes afterwards."""
        if used and peer not in self._used:
            self._used[peer] = Path(self._place.name) / peer
            self._used[peer].mkdir()
            self._process(peer, FIRST, self._used[peer])
        with tempfile.TemporaryDirectory(prefix="core-cold-", ignore_cleanup_errors=True) as folder:
            if used:
                shutil.copytree(self._used[peer], folder, dirs_exist_ok=True, symlinks=True)
            yield Path(folder)

    def _of(self, wanted: Sequence[str]) -> list[str]:
        return [peer for peer in wanted if peer in self.peers]

    def _again(self, answer: dict[str, Any]) -> bool:
        return answer["status"] == "ok" and answer["rounds"][0] <= self.limits.once_s

    def _process(
        self, peer: str, job: str, folder: Path, options: Mapping[str, str] = MappingProxyType({})
    ) -> dict[str, Any]:
        """One process, from its start to its answer."""
        self.tell(f"{job}: {peer}")
        variables = environment(self.threads, {**cache_variables(folder), **options})
        python = self.pythons.get(peer, sys.executable)
        pin = ["taskset", "-c", str(self.core)] if self.core is not None and shutil.which("taskset") else []
        command = [*pin, python, "-m", "benchmarks.cold_process", peer, job, str(self.threads), self.clock]
        with tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=errors, env=variables, cwd=ROOT, start_new_session=True
            )
            try:
                out, _ = process.communicate(timeout=self.limits.timeout_s)
            except subprocess.TimeoutExpired:
                return {"status": "too slow", "why": f"more than {self.limits.timeout_s:.0f} s"}
            finally:
                _end_group(process)
            if not out.strip():
                errors.seek(0)
                last = errors.read().decode(errors="replace").strip().splitlines()[-1:]
                return {"status": "failed", "why": f"exit status {process.returncode}: {''.join(last)[:300]}"}
        answer = json.loads(out)
        return {**answer, "start_s": answer.get("import_s", 0.0) + answer.get("first_s", 0.0)}


def _write_bytecode(python: str) -> None:
    """For a checkout what an installer does, whatever PYTHONDONTWRITEBYTECODE says."""
    folders = [ROOT / "core", ROOT / "plugins" / "backend_c" / "plugin_backend_c"]
    subprocess.run([python, "-m", "compileall", "-q", *map(str, folders)], stdout=subprocess.DEVNULL, check=False)


def _end_group(process: subprocess.Popen) -> None:
    """End a process and the helpers that it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def _keep(peers: dict[str, dict[str, Any]], peer: str, answer: dict[str, Any], field: str) -> None:
    """Add a process's figure to its peer's."""
    if answer["status"] != "ok":
        peers[peer] = {"status": answer["status"], "why": answer["why"], "rounds": []}
    else:
        peers.setdefault(peer, {"status": "ok", "rounds": []})["rounds"].append(answer[field])


def _finished(peers: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    for answer in peers.values():
        if answer["status"] != "ok":
            del answer["rounds"]
    return peers
