"""Which compiler turns CUDA C++ into machine code here, how it is called, and what it said of registers and spills."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from core.errors import CompileError
from plugin_backend_cuda import nvrtc

TIMEOUT_S = 600
REMEDY = "pip install nvidia-cuda-nvrtc, or put the toolkit's nvcc on the PATH"
# NumPy's numbers: a product and a sum round one after the other
FLAGS = ("-std=c++17", "--fmad=false", "--restrict")


@dataclass(frozen=True)
class Compiler:
    """NVRTC (``library``) or nvcc (``command``)."""

    version: str
    library: Any = None
    command: str = ""

    def __str__(self) -> str:
        return self.version

    def identity(self, architecture: int) -> str:
        """Changes when other code would come out."""
        return "\n".join([self.version, f"sm_{architecture}", *FLAGS])

    def compile(self, text: str, architecture: int, folder: Path) -> tuple[bytes | None, str]:
        """The cubin, None when the text is refused, and the compiler's words, in which ptxas reports on each kernel.

        Errors  OSError for anything that is not about the text; CompileError when it takes too long.
        """
        if self.library is not None:
            options = [f"--gpu-architecture=sm_{architecture}", "--ptxas-options=-v", *FLAGS]
            return self.library.compile(text, "kernel.cu", options)
        return self._run(text, architecture, folder)

    def _run(self, text: str, architecture: int, folder: Path) -> tuple[bytes | None, str]:
        with tempfile.TemporaryDirectory(dir=folder) as place:
            source, made = Path(place, "kernel.cu"), Path(place, "kernel.cubin")
            source.write_text(text)
            command = [self.command, "-cubin", f"-arch=sm_{architecture}", "-Xptxas", "-v", *FLAGS]
            try:
                done = subprocess.run(
                    [*command, "-o", str(made), str(source)],
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    text=True,
                    errors="replace",
                    timeout=TIMEOUT_S,
                    env={**os.environ, "LC_ALL": "C"},
                )
            except subprocess.TimeoutExpired as error:
                raise CompileError(f"{self.version} took more than {TIMEOUT_S} s", source_code=text) from error
            log = (done.stdout + done.stderr).replace(str(source), "kernel.cu")
            if done.returncode == 0:
                return made.read_bytes(), log
            if "kernel.cu(" not in log:  # not about the text: no host compiler, no space, an unknown architecture
                raise OSError((log.strip() or f"exit status {done.returncode}").splitlines()[0])
            return None, log


@cache
def find() -> tuple[Compiler | None, str]:
    """NVRTC where its library loads, else nvcc; or None and why there is neither."""
    library, why = nvrtc.find()
    if library is not None:
        return Compiler(library.version, library=library), ""
    command = find_nvcc()
    if command is None:
        return None, f"no NVRTC ({why}) and no nvcc on the PATH"
    return command, ""


@cache
def find_nvcc() -> Compiler | None:
    """The toolkit's compiler: $NVCC, or nvcc on the PATH."""
    path = os.environ.get("NVCC") or shutil.which("nvcc")
    if path is None:
        return None
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=60).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    release = re.search(r"release [\d.]+, (V[\d.]+)", said)
    return Compiler(f"nvcc {release.group(1)}", command=path) if release else None


@dataclass(frozen=True)
class Usage:
    """What ptxas said of one kernel: 32-bit registers of a thread, bytes of stack and spills, static shared memory."""

    registers: int
    stack_bytes: int
    spill_store_bytes: int
    spill_load_bytes: int
    shared_bytes: int


def usage(log: str) -> dict[str, Usage]:
    """What the compiler's words say of each kernel, by its name."""
    found = {}
    for name, said in re.findall(r"Compiling entry function '(\w+)'(.*?)(?=Compiling entry function|\Z)", log, re.S):
        numbers = [
            int(match.group(1)) if (match := re.search(pattern, said)) else 0
            for pattern in (
                r"Used (\d+) registers",
                r"(\d+) bytes stack frame",
                r"(\d+) bytes spill stores",
                r"(\d+) bytes spill loads",
                r"(\d+) bytes smem",
            )
        ]
        found[name] = Usage(*numbers)
    return found


def refused(compiler: Compiler, log: str, text: str, file: str) -> CompileError:
    """Three lines: what the compiler said, the line it said that of, the op that the line came from."""
    lines = text.splitlines()
    words = log.strip().splitlines() or ["(it said nothing)"]
    first = next((line for line in words if "error" in line), words[0])
    place = re.search(r"\((\d+)\)", first)
    number = int(place.group(1)) if place else 0
    code = lines[number - 1].strip() if 0 < number <= len(lines) else "(no line given)"
    above = (line for line in reversed(lines[:number]) if line.startswith("/* "))
    comment = next(above, "/* what all kernels share */")
    message = first.partition("error")[2].partition(": ")[2] or first
    return CompileError(
        f"{compiler} refused generated code: {message}\n  {file}:{number}: {code}\n  in the loops of {comment[3:-3]}",
        source_code=text,
        log=log,
    )
