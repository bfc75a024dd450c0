"""Finding a C compiler, what it can do here, and running it."""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from core.errors import CompileError

TIMEOUT_S = 600
_ALWAYS = ("-shared", "-fPIC", "-std=gnu11", "-w", "-fwrapv", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off")
# from the best set of flags to one that every compiler takes; the first that works here is used
_FLAG_SETS = (
    ("-O3", "-march=native", "-fopenmp-simd", "-DCORE_LIBMVEC"),
    ("-O3", "-march=native", "-fopenmp-simd"),
    ("-O3", "-march=native"),
    ("-O2",),
    (),
)
_LINK = {"-DCORE_LIBMVEC": ("-lmvec", "-lm")}
_TRIAL = """\
#ifdef CORE_LIBMVEC
__attribute__((simd("notinbranch"))) extern double exp(double);
__attribute__((simd("notinbranch"))) extern double tanh(double);
__attribute__((simd("notinbranch"))) extern float erff(float);
#else
extern double exp(double);
extern double tanh(double);
extern float erff(float);
#endif
void core_trial(double *x, float *y)
{
#pragma omp simd
    for (int i = 0; i < 64; i++) { x[i] = tanh(exp(x[i])); y[i] = erff(y[i]); }
}
"""


@dataclass(frozen=True)
class Compiler:
    """A command that compiles C, and the first line of what it says of its version."""

    command: tuple[str, ...]
    version: str

    def __str__(self) -> str:
        return self.version

    @property
    def identity(self) -> str:
        """Changes when other code would come out: command, version, processor."""
        return "\n".join([*self.command, self.version, processor()])

    def run(self, source: str, binary: str, flags: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
        """Compile ``source`` to the shared library ``binary``.  Errors: CompileError when it takes too long."""
        link = next((link for flag, link in _LINK.items() if flag in flags), ("-lm",))
        command = [*self.command, *_ALWAYS, *flags, source, "-o", binary, *link]
        environment = {**os.environ, "LC_ALL": "C"}
        try:
            return subprocess.run(
                command, capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S, env=environment, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise CompileError(f"{self.version} took more than {TIMEOUT_S} s for {source}") from error


def candidates() -> list[tuple[str, ...]]:
    """Commands to try: $CC, gcc, clang, cc, then the compiler inside the ``ziglang`` package."""
    found: list[tuple[str, ...]] = []
    if os.environ.get("CC"):
        found.append(tuple(shlex.split(os.environ["CC"])))
    found += [(name,) for name in ("gcc", "clang", "cc")]
    if find_spec("ziglang") is not None:
        found.append((sys.executable, "-m", "ziglang", "cc"))
    return list(dict.fromkeys(found))


@cache
def find() -> tuple[Compiler | None, str]:
    """The first compiler that answers, or None and why the others did not."""
    refused = []
    for command in candidates():
        if len(command) == 1 and shutil.which(command[0]) is None:
            refused.append(f"{command[0]}: not found")
            continue
        try:
            said = subprocess.run([*command, "--version"], capture_output=True, text=True, timeout=60, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            refused.append(f"{shlex.join(command)}: {error}")
            continue
        lines = said.stdout.splitlines()
        if said.returncode == 0 and lines:
            return Compiler(command, lines[0].strip()), ""
        refused.append(f"{shlex.join(command)} --version: exit status {said.returncode}")
    return None, "; ".join(refused)


@cache
def flags_for(compiler: Compiler, remembered: Path | None) -> tuple[str, ...]:
    """The best set of flags that this compiler takes on this machine.  ``remembered`` is a folder for the answer.

    Errors  CompileError when not even plain C compiles.
    """
    key = hashlib.sha256(f"{compiler.identity}\n{_FLAG_SETS}\n{_TRIAL}".encode()).hexdigest()[:32]
    note = remembered / f"{key}.flags" if remembered is not None else None
    try:
        if note is not None:
            text = note.read_text()
            if tuple(text.split()) in _FLAG_SETS:
                return tuple(text.split())
    except OSError:
        pass
    log = ""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "trial.c")
        source.write_text(_TRIAL)
        for flags in _FLAG_SETS:
            done = compiler.run(str(source), str(Path(folder, "trial.so")), flags)
            if done.returncode == 0:
                if note is not None:
                    _write_quietly(note, " ".join(flags))
                return flags
            log = done.stderr
    raise CompileError(f"{compiler} cannot build a shared library: {log.strip().splitlines()[0] if log.strip() else ''}", log=log)


def _write_quietly(path: Path, text: str) -> None:
    """Remember something where that can be done; a read-only cache only costs time."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
            file.write(text)
        os.replace(file.name, path)
    except OSError:
        pass


@cache
def processor() -> str:
    """What ``-march=native`` depends on."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    kept = sorted({line for line in lines if line.startswith(("model name", "flags", "Features", "CPU part"))})
    return f"{platform.machine()} {hashlib.sha256(''.join(kept).encode()).hexdigest()}"
