"""Finding a C compiler, what it can do here, and running it."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from core.errors import CompileError
from plugin_backend_c.folder import folders

TIMEOUT_S = 600
_ALWAYS = (
    *("-shared", "-fPIC", "-std=gnu11", "-Werror=implicit-function-declaration"),
    *("-fwrapv", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off"),
)
# from the best set of flags to one that every compiler takes; the first that works here is used
FLAG_SETS = (
    ("-O3", "-march=native", "-fopenmp-simd", "-DCORE_LIBMVEC"),
    ("-O3", "-march=native", "-fopenmp-simd"),
    ("-O3", "-fopenmp-simd"),
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
    """A command that compiles C, the first line of what it says of its version, and the flags that it is given."""

    command: tuple[str, ...]
    version: str
    flags: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.version

    @property
    def identity(self) -> str:
        """Changes when other code would come out: command, version, flags, processor."""
        return "\n".join([*self.command, self.version, *_ALWAYS, *self.flags, processor()])

    def run(self, source: str, binary: str) -> subprocess.CompletedProcess[str]:
        """Compile ``source`` to the shared library ``binary``.  Errors: CompileError when it takes too long."""
        link = next((link for flag, link in _LINK.items() if flag in self.flags), ("-lm",))
        try:
            return _run([*self.command, *_ALWAYS, *self.flags, source, "-o", binary, *link], TIMEOUT_S)
        except subprocess.TimeoutExpired as error:
            raise CompileError(f"{self.version} took more than {TIMEOUT_S} s for {source}") from error


def _run(command: list[str], timeout_s: float) -> subprocess.CompletedProcess[str]:
    """Run a command; when it takes too long or is interrupted, what it has started ends with it."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env={**os.environ, "LC_ALL": "C"},
        start_new_session=True,
    )
    with process:
        try:
            out, err = process.communicate(timeout=timeout_s)
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def candidates() -> list[tuple[str, ...]]:
    """Commands to try: $CC, gcc, clang, cc, then the compiler inside the ``ziglang`` package."""
    found: list[tuple[str, ...]] = []
    own = os.environ.get("CC")
    if own:
        try:
            found.append((own,) if Path(own).is_file() else tuple(shlex.split(own)))
        except ValueError:  # a quotation that does not end
            found.append((own,))
    found += [(name,) for name in ("gcc", "clang", "cc")]
    if find_spec("ziglang") is not None:
        found.append((sys.executable, "-m", "ziglang", "cc", "-fno-sanitize=undefined"))
    return [command for command in dict.fromkeys(found) if command]


def find() -> tuple[Compiler | None, str]:
    """The first compiler that builds a library which can be loaded, or None and why the others did not."""
    return _find(os.environ.get("CC"), os.environ.get("PATH"))


@cache
def _find(cc: str | None, path: str | None) -> tuple[Compiler | None, str]:
    refused = []
    for command in candidates():
        try:
            return with_best_flags(Compiler(command, version_of(command))), ""
        except (CompileError, OSError) as error:
            refused.append(str(error))
    return None, "; ".join(refused)


def version_of(command: tuple[str, ...]) -> str:
    """What a compiler calls itself.  Errors: CompileError when there is none."""
    called = shlex.join(command)
    if shutil.which(command[0]) is None:
        raise CompileError(f"{called}: not found")
    try:
        said = _run([*command, "--version"], 60)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CompileError(f"{called} --version: {error}") from error
    if said.returncode != 0 or not said.stdout.strip():
        raise CompileError(f"{called} --version: exit status {said.returncode}")
    return said.stdout.strip().splitlines()[0].strip()


def with_best_flags(compiler: Compiler) -> Compiler:
    """``compiler`` with the first set of flags that works on this machine; the cache remembers which.

    Errors  CompileError when not even plain C compiles.
    """
    key = hashlib.sha256(f"{compiler.identity}\n{FLAG_SETS}\n{_TRIAL}".encode()).hexdigest()[:32]
    said = ""
    for place in folders():
        note = place / f"{key}.flags"
        with suppress(OSError):
            remembered = note.read_bytes()
            for flags in FLAG_SETS:
                if remembered == _noted(flags):
                    return replace(compiler, flags=flags)
        for flags in FLAG_SETS:
            tried = replace(compiler, flags=flags)
            said = _trial(tried, place)
            if not said:
                _write_quietly(note, _noted(flags))
                return tried
    raise CompileError(f"{shlex.join(compiler.command)} cannot build a library: {said}", log=said)


def _noted(flags: tuple[str, ...]) -> bytes:
    return f"flags: {' '.join(flags)}.\n".encode()


def _trial(compiler: Compiler, place: Path) -> str:
    """What is wrong with a small library that ``compiler`` makes in a folder; nothing when it can be loaded."""
    try:
        with tempfile.TemporaryDirectory(prefix="trial", dir=place) as folder:
            source, binary = Path(folder, "trial.c"), Path(folder, "trial.so")
            source.write_text(_TRIAL)
            done = compiler.run(str(source), str(binary))
            if done.returncode != 0:
                return (done.stderr.strip() or f"exit status {done.returncode}").splitlines()[0]
            ctypes.CDLL(str(binary))
    except OSError as error:
        return str(error)
    return ""


def _write_quietly(path: Path, content: bytes) -> None:
    """Remember something where that can be done; a read-only cache only costs time."""
    with suppress(OSError):
        handle, unfinished = tempfile.mkstemp(dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            os.replace(unfinished, path)
        finally:
            Path(unfinished).unlink(missing_ok=True)


@cache
def processor() -> str:
    """What ``-march=native`` depends on."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    kept = sorted({line for line in lines if line.startswith(("model name", "flags", "Features", "CPU part"))})
    return f"{platform.machine()} {hashlib.sha256(''.join(kept).encode()).hexdigest()}"
