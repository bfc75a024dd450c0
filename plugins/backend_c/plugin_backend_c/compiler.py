"""Finding a C compiler, and what it can do here.  It is run in running.py: what is known already needs none of that."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shlex
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from core import cachedir
from core.dataclass import dataclass, replace
from core.errors import CompileError
from plugin_backend_c.folder import folders

if TYPE_CHECKING:
    from core.ir.clike.ccalls import Needs
    from plugin_backend_c.processes import Finished

_ALWAYS = (
    *("-fPIC", "-std=gnu11"),
    # what C by hand gets wrong without a crash; GCC 14 and Clang 16 refuse most of it by themselves
    *(f"-Werror={mistake}" for mistake in ("implicit-function-declaration", "incompatible-pointer-types")),
    *(f"-Werror={mistake}" for mistake in ("int-conversion", "return-type")),
    *("-fwrapv", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off"),
)
# GCC 12 follows ``c ? a : 0`` into a path for each case and repeats in each what comes after, divisions too; then it
# vectorises the loop, and every element goes through all paths.  Without jumps threaded, there is one path
ONE_PATH = "-fno-thread-jumps"
# What -O3 also looks for and generated loops never have: their order, their cases and what they load are decided before
# they are printed, and none runs faster for known ranges of integers.  Looking takes GCC 12 a fifth of its time
# for a unit of kernels
NOTHING_TO_FIND = (
    *("-fno-loop-interchange", "-fno-loop-unroll-and-jam", "-fno-version-loops-for-strides"),
    *("-fno-split-loops", "-fno-split-paths", "-fno-tree-partial-pre", "-fno-gcse-after-reload", "-fno-ipa-cp-clone"),
    "-fno-tree-vrp",
)
_GCC = (ONE_PATH, *NOTHING_TO_FIND)
# from the best set of flags to one that every compiler takes; the first that works here is used
FLAG_SETS = (
    ("-O3", "-march=native", "-fopenmp-simd", *_GCC, "-DCORE_LIBMVEC"),
    ("-O3", "-march=native", "-fopenmp-simd", *_GCC),
    ("-O3", "-march=native", "-fopenmp-simd", "-DCORE_LIBMVEC"),
    ("-O3", "-march=native", "-fopenmp-simd"),
    ("-O3", "-fopenmp-simd"),
    ("-O3", "-march=native"),
    ("-O2",),
    (),
)
# how object files become a library, the quickest first; the first that works here is used.  {compiler} is its command.
# Generated code needs no start-up files, and the linker alone starts 10 to 25 ms sooner than through a compiler.
LINKERS = (("ld", "-shared", "-z", "noexecstack"), ("{compiler}", "-shared", "-nostdlib"), ("{compiler}", "-shared"))
# What runs once in a call, and calls the loops of other units: GCC 12 takes two thirds of the time over it
ONCE = {"-O3": "-Og"}
_LIBRARIES = {"-DCORE_LIBMVEC": ("-lmvec", "-lm")}


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
    """A command that compiles C, the first line of what it says of its version, its flags, and how it links."""

    command: tuple[str, ...]
    version: str
    flags: tuple[str, ...] = ()
    linker: tuple[str, ...] = LINKERS[-1]
    own: tuple[str, ...] = ()  # arguments that ops want, for compiling and linking
    without: tuple[str, ...] = ()  # arguments that ops forbid
    libraries: tuple[str, ...] = ()  # arguments that ops want, for linking
    for_ops: bool = False  # whether it serves ops that have C of their own

    def __str__(self) -> str:
        return self.version

    @property
    def has_libmvec(self) -> bool:
        """Whether loops may call the vector versions of glibc's functions."""
        return "-DCORE_LIBMVEC" in self.flags

    @property
    def identity(self) -> str:
        """Changes when other code would come out: command, version, flags, processor."""
        wanted = [*self.own, *(f"not {one}" for one in self.without), *self.libraries]
        return "\n".join([*self.command, self.version, *_ALWAYS, *self.flags, *self.linker, *wanted, processor()])

    def serving(self, needs: Needs) -> Compiler:
        """The same with what ops need.  What only its command knows how to link, it links itself."""
        own = (*(f"-I{folder}" for folder in needs.header_dirs), *needs.compile_args)
        folders = [word for folder in needs.lib_dirs for word in (f"-L{folder}", f"-Wl,-rpath,{folder}")]
        libraries = (*folders, *(f"-l{name}" for name in needs.libraries))
        linker = LINKERS[-1] if libraries or needs.compile_args else self.linker
        without = needs.no_compile_args
        return replace(self, own=own, without=without, libraries=libraries, linker=linker, for_ops=True)

    def build(self, sources: Sequence[str], binary: str) -> Finished:
        """Compile each of ``sources``, several at once, and link them to the shared library ``binary``.

        The first of several has the entry function, and no loops but those that it says routines have.

        Returns how that ended: the first step that failed, or the last.  Objects lie beside their sources, and go.
        Errors: CompileError when it takes too long.
        """
        from plugin_backend_c.running import build  # nobody need wait for that where all is built

        return build(self, sources, binary)

    def compiling(self, source: str, made: str, runs_once: bool = False) -> list[str]:
        """The command that makes an object of a source; ``runs_once``: one without loops, unless ops have C in it."""
        flags = [flag for flag in (*_ALWAYS, *self.flags) if flag not in self.without]
        if runs_once and not self.for_ops:
            flags = [ONCE.get(flag, flag) for flag in flags]
        return [*self.command, *flags, *self.own, "-c", source, "-o", made]

    def linking(self, objects: Sequence[str], binary: str) -> list[str]:
        """The command that makes a shared library of objects."""
        head = [part for word in self.linker for part in (self.command if word == "{compiler}" else (word,))]
        libraries = next((words for flag, words in _LIBRARIES.items() if flag in self.flags), ("-lm",))
        own = self.own if self.linker == LINKERS[-1] else ()
        return [*head, *own, *objects, "-o", binary, *self.libraries, *libraries]


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
    where = _place_of(command[0])
    if where is None:
        raise CompileError(f"{called}: not found")
    note = _note_of_version(where) if len(command) == 1 else None
    with suppress(OSError, UnicodeDecodeError):
        if note is not None and (match := _VERSION.fullmatch(note.read_text(encoding="utf-8"))):
            return match[1]
    from plugin_backend_c.running import asked_version  # as above

    said = asked_version(command)
    with suppress(OSError):
        if note is not None:
            cachedir.put(note, f"version: {said}\n".encode())
    return said


def _place_of(command: str) -> str | None:
    """As ``shutil.which``, whose import brings all sorts of archives and takes longer than the search."""
    if sys.platform == "win32":  # where names go without their suffixes
        from shutil import which

        return which(command)
    folders = [""] if os.path.dirname(command) else os.get_exec_path()
    files = (os.path.join(folder, command) for folder in folders)
    return next((file for file in files if os.path.isfile(file) and os.access(file, os.X_OK)), None)


_VERSION = re.compile(r"version: (.+)\n")


def _note_of_version(where: str) -> Path | None:
    """Where the version of a compiler is remembered: to ask starts a process, which takes longer than all else here.

    None for what may call another compiler from one day to the next: scripts, wrappers like ccache, Apple's commands.
    """
    file = Path(where).resolve()
    try:
        with open(file, "rb") as stream:
            is_program = stream.read(4) == b"\x7fELF"
        about = file.stat()
        if not is_program or not re.search("gcc|clang", file.name):
            return None
        text = f"{file} {about.st_size} {about.st_mtime_ns} {about.st_ino}"
        return next(folders()) / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.version"
    except OSError:
        return None


def with_best_flags(compiler: Compiler) -> Compiler:
    """``compiler`` with the first set of flags, and linker, that work on this machine; the cache remembers which.

    Errors  CompileError when not even plain C compiles.
    """
    key = hashlib.sha256(f"{compiler.identity}\n{FLAG_SETS}\n{LINKERS}\n{_TRIAL}".encode()).hexdigest()[:32]
    ways = {_noted(one): one for one in _ways(compiler)}
    said = ""
    for place in folders():
        note = place / f"{key}.flags"
        with suppress(OSError):
            remembered = note.read_bytes()
            if remembered in ways:
                return ways[remembered]
        from plugin_backend_c.running import trial  # as above

        for flags in FLAG_SETS:
            tried, said = trial([one for one in ways.values() if one.flags == flags], _TRIAL, place)
            if tried is not None:
                with suppress(OSError):  # a read-only cache only costs time
                    cachedir.put(note, _noted(tried))
                return tried
    raise CompileError(f"{shlex.join(compiler.command)} cannot build a library: {said}", log=said)


def _ways(compiler: Compiler) -> list[Compiler]:
    return [replace(compiler, flags=flags, linker=linker) for flags in FLAG_SETS for linker in LINKERS]


def _noted(compiler: Compiler) -> bytes:
    return f"flags: {' '.join(compiler.flags)}\nlinker: {' '.join(compiler.linker)}\n".encode()


@cache
def processor() -> str:
    """What ``-march=native`` depends on."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    kept = sorted({line for line in lines if line.startswith(("model name", "flags", "Features", "CPU part"))})
    return f"{platform.machine()} {hashlib.sha256(''.join(kept).encode()).hexdigest()}"
