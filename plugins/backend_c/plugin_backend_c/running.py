"""Running a C compiler: from text to a library, what it calls itself, and whether what it builds can be loaded."""

from __future__ import annotations

import ctypes
import os
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from core.errors import CompileError
from core.ir.clike.routine import HAS_LOOPS
from plugin_backend_c.folder import unfinished
from plugin_backend_c.processes import Finished, Watcher, first_line, run, run_all

TIMEOUT_S = 600


class Compiler(Protocol):
    """Command lines: from a source to an object, and from objects to a library."""

    version: str

    def compiling(self, source: str, made: str, runs_once: bool = False) -> list[str]: ...

    def linking(self, objects: Sequence[str], binary: str) -> list[str]: ...


C = TypeVar("C", bound=Compiler)


def build(compiler: Compiler, sources: Sequence[str], binary: str) -> Finished:
    """As Compiler.build."""
    objects = [f"{source}.o" for source in sources]
    entry = sources[0] if len(sources) > 1 and HAS_LOOPS not in Path(sources[0]).read_text() else None
    pairs = zip(sources, objects, strict=True)
    commands = [compiler.compiling(source, made, runs_once=source == entry) for source, made in pairs]
    try:
        with Watcher() as watcher:
            done = run_all(commands, TIMEOUT_S, watcher)
            bad = next((one for one in done if one.returncode != 0), None)
            return bad or run(compiler.linking(objects, binary), TIMEOUT_S, watcher)
    except subprocess.TimeoutExpired as error:
        raise CompileError(f"{compiler.version} took more than {TIMEOUT_S} s for {', '.join(sources)}") from error
    finally:
        for made in objects:
            Path(made).unlink(missing_ok=True)


def asked_version(command: tuple[str, ...]) -> str:
    called = shlex.join(command)
    try:
        said = run([*command, "--version"], 60)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CompileError(f"{called} --version: {error}") from error
    if said.returncode != 0 or not said.stdout.strip():
        raise CompileError(f"{called} --version: exit status {said.returncode}")
    return said.stdout.strip().splitlines()[0].strip()


def trial(ways: Sequence[C], text: str, place: Path) -> tuple[C | None, str]:
    """The first of ``ways``, which differ in how they link, whose library can be loaded; or what is wrong with it."""
    said = ""
    try:
        with unfinished(place) as folder:
            source, made = f"{folder}/trial.c", f"{folder}/trial.o"
            Path(source).write_text(text)
            compiled = run(ways[0].compiling(source, made), TIMEOUT_S)
            if compiled.returncode != 0:
                return None, first_line(compiled)
            for number, way in enumerate(ways):  # a name of its own each: a library is loaded once under one name
                said = _linked(way, made, f"{folder}/trial{number}.so")
                if not said:
                    return way, ""
    except (OSError, subprocess.TimeoutExpired) as error:
        said = str(error)
    return None, said


def _linked(compiler: Compiler, made: str, binary: str) -> str:
    """What is wrong with the library that ``compiler`` makes of an object file; nothing when it can be loaded."""
    try:
        done = run(compiler.linking([made], binary), TIMEOUT_S)
        if done.returncode != 0:
            return first_line(done)
        ctypes.CDLL(binary, mode=os.RTLD_NOW)
    except OSError as error:
        return str(error)
    return ""
