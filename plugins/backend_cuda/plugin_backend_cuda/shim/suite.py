"""Runs a test suite with backend "cuda" on a GPU that is a CPU, and compiles every kernel it meets for a real one.

    python -m pytest -p plugin_backend_cuda.shim.suite tests/tensor -k cuda

A kernel is compiled by NVRTC when it is met, and by nvcc in batches when the tests are done, each for sm_90, where they
are here; CORE_REQUIRE_COMPILERS=1 makes it an error when one is not.  Counts are printed at the end, with what ptxas
said of registers, spills and local arrays; the whole report goes to the file that CORE_CUDA_REPORT names.

CORE_CUDA_SANITIZE=1 builds for the host with gcc's address and undefined-behaviour sanitizers instead, whose libraries
must then be in LD_PRELOAD.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from core.device import pool
from core.errors import CompileError
from core.records import Probe
from plugin_backend_cuda import backend, compiler, cublas, cusolver, nvrtc
from plugin_backend_cuda.shim.driver import SANITIZE, HostCompiler, HostDriver
from plugin_backend_cuda.shim.libraries import makers

ARCHITECTURE = 90
BATCH = 40  # programs that nvcc compiles at once: most of its time goes into what it reads before them
_FOLDER = "CORE_CUDA_SUITE_FOLDER"  # where the processes of one run put what they met; one that is given stays


class Both:
    """The host's compiler; every text goes to NVRTC too."""

    def __init__(self) -> None:
        sanitize = bool(os.environ.get("CORE_CUDA_SANITIZE"))
        self._host = HostCompiler(SANITIZE) if sanitize else HostCompiler()
        self._library = None if sanitize else nvrtc.find()[0]  # NVRTC does not find its parts under a sanitizer

    def __str__(self) -> str:
        return str(self._host)

    def identity(self, architecture: int) -> str:
        return self._host.identity(architecture)

    def compile(self, text: str, architecture: int, folder: Path) -> tuple[bytes | None, str]:
        name = hashlib.sha256(text.encode()).hexdigest()[:32]
        place = Path(os.environ[_FOLDER], f"{name}.cu")
        if not place.exists():
            report = place.with_suffix(".json")
            if self._library is not None:
                real = compiler.Compiler(self._library.version, library=self._library)
                image, log = real.compile(text, ARCHITECTURE, folder)
                if image is None:
                    raise compiler.refused(real, log, text, str(place))
                report.write_text(json.dumps({k: asdict(used) for k, used in compiler.usage(log).items()}))
            place.write_text(text)
        return self._host.compile(text, architecture, folder)


def use_shim() -> None:
    """Let backend "cuda" of this process run on the host."""
    if _FOLDER not in os.environ:
        os.environ[_FOLDER] = tempfile.mkdtemp(prefix="core-cuda-suite-")
        atexit.register(shutil.rmtree, os.environ[_FOLDER], ignore_errors=True)
    os.environ["CORE_CACHE_DIR"] = f"{os.environ[_FOLDER]}/cache"  # what is in the user's would not be compiled again
    if os.environ.get("CORE_CUDA_SANITIZE"):
        pool.rounded = lambda size: max(size, 1)  # type: ignore[assignment]  # so that no access past the end is hidden
    calls = HostDriver()
    both = Both()
    backend.driver.__init__(  # type: ignore[misc]
        lambda: calls,
        lambda: (both, ""),
        *makers(calls._do),
    )
    cublas.probe = cusolver.probe = cusolver.probe_general = lambda: Probe(devices=("SciPy",))


def pytest_configure(config: Any) -> None:
    use_shim()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    say = terminalreporter.write_line
    folder = Path(os.environ[_FOLDER])
    texts = sorted(folder.glob("*.cu"))
    terminalreporter.section("kernels compiled for a real GPU")
    used = {
        f"{file.stem[:8]}.{k}": v for file in folder.glob("*.json") for k, v in json.loads(file.read_text()).items()
    }
    if used:
        say(f"NVRTC, sm_{ARCHITECTURE}: {len(used)} kernels of {len(texts)} programs; {summary(used)}")
    elif os.environ.get("CORE_REQUIRE_COMPILERS"):
        raise CompileError("CORE_REQUIRE_COMPILERS is set, and there is no NVRTC")
    said = by_nvcc(texts, folder)
    if said is not None:
        say(f"nvcc, sm_{ARCHITECTURE}: {len(said)} kernels of {len(texts)} programs; {summary(said)}")
    elif os.environ.get("CORE_REQUIRE_COMPILERS"):
        raise CompileError("CORE_REQUIRE_COMPILERS is set, and there is no nvcc")
    if os.environ.get("CORE_CUDA_REPORT"):
        Path(os.environ["CORE_CUDA_REPORT"]).write_text(json.dumps({"nvrtc": used, "nvcc": said}, indent=1))


def summary(used: dict[str, dict[str, int]]) -> str:
    """Registers; which ops' kernels spill, and how many bytes at most; how many have arrays that no register can hold.

    A stack larger than all that is spilled holds arrays of the text, at positions that only the running kernel knows.
    It is a multiple of 8 bytes.
    """
    registers = max((one["registers"] for one in used.values()), default=0)
    spills = {name: max(one["spill_store_bytes"], one["spill_load_bytes"]) for name, one in used.items()}
    kinds = Counter(_kind(name) for name, size in spills.items() if size)
    arrays = sum(one["stack_bytes"] - one["spill_store_bytes"] >= 8 for one in used.values())
    text = f"up to {registers} registers, {kinds.total()} with spills, {arrays} with arrays in local memory"
    if not kinds:
        return text
    listed = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items(), key=lambda pair: (-pair[1], pair[0])))
    return f"{text}; spilled, {max(spills.values())} bytes at most: {listed}"


def _kind(name: str) -> str:
    """The op that gave a kernel its name: ``sort`` of ``9f3c01aa.k4_0_sort_2_3``, or of ``p7_k4_0_sort_2_3``."""
    return re.sub(r"^(\w+\.|p\d+_)?k\d+_|(_\d+)+$", "", name).lstrip("0123456789_")


def by_nvcc(texts: list[Path], folder: Path) -> dict[str, dict[str, int]] | None:
    """What nvcc's ptxas says of each kernel of the programs, or None without nvcc.  Errors: CompileError."""
    nvcc = compiler.find_nvcc()
    if nvcc is None:
        return None
    found: dict[str, dict[str, int]] = {}
    for first in range(0, len(texts), BATCH):
        together = "\n".join(
            _apart(file.read_text(), f"p{first + k}") for k, file in enumerate(texts[first : first + BATCH])
        )
        text = f"#include <stdint.h>\n{together}"
        image, log = nvcc.compile(text, ARCHITECTURE, folder)
        if image is None:
            raise compiler.refused(nvcc, log, text, "all programs of a batch")
        found.update({k: asdict(one) for k, one in compiler.usage(log).items()})
    return found


def _apart(text: str, name: str) -> str:
    """A program in a namespace of its own, its kernels with names of their own."""
    text = re.sub(r"#ifdef __CUDACC_RTC__.*?#endif\n", "", text, flags=re.S)
    for kernel in set(re.findall(r"__global__[^;{]*?\b(\w+)\s*\((?!\s*\d)", text)):
        text = re.sub(rf"\b{kernel}\(", f"{name}_{kernel}(", text)
    return f"namespace {name} {{\n{text}\n}}"
