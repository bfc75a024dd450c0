"""Compiled libraries on disk, addressed by content: no lock, no version, safe under many processes at once.

A file appears whole or not at all, under the hash of everything that determines it, and ends with its own checksum: the
loader would crash on a library that a power failure cut short.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from pathlib import Path
from typing import Any

import cffi

from core.errors import CompileError
from plugin_backend_c.compiler import Compiler
from plugin_backend_c.folder import folders


def load(ffi: cffi.FFI, text: str, compiler: Compiler) -> tuple[Any, str]:
    """The library of a translation unit, built unless it is there, and the name of its source file.

    Errors  CompileError with the compiler's message, the line and the op it belongs to.
    """
    key = hashlib.sha256(f"{compiler.identity}\n{text}".encode()).hexdigest()[:40]
    problem: OSError | None = None
    for place in folders():
        try:
            return _loaded(ffi, text, place / f"{key}.so", compiler), f"{key}.c"
        except OSError as error:  # a read-only folder, a full disk, a file system that nothing may be run from
            problem = error
    raise CompileError(f"{compiler} could not build {key}.c: {problem}", source_code=text) from problem


def _loaded(ffi: cffi.FFI, text: str, binary: Path, compiler: Compiler) -> Any:
    """Errors: OSError when this folder does not serve, CompileError."""
    if intact(binary):
        try:
            return _opened(ffi, binary)
        except OSError:  # made on another system that shares this folder
            pass
    build(text, binary, compiler)
    return _opened(ffi, binary)


def _opened(ffi: cffi.FFI, binary: Path) -> Any:
    """The library, until the process ends: it releases arrays that it allocated, which may outlive their function."""
    return ffi.dlopen(str(binary), ffi.RTLD_NOW | getattr(ffi, "RTLD_NODELETE", 0))


def intact(binary: Path) -> bool:
    """Whether a library is there, and as it was written."""
    try:
        content = binary.read_bytes()
    except OSError:
        return False
    return content[-32:] == hashlib.sha256(content[:-32]).digest()


def build(text: str, binary: Path, compiler: Compiler) -> None:
    """Compile next to the goal, then put the result in place at once.  Errors: CompileError, OSError."""
    source = binary.with_suffix(".c")
    handle, unfinished = tempfile.mkstemp(suffix=".c", dir=binary.parent)
    made = f"{unfinished}.so"
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        done = compiler.run(unfinished, made)
        if done.returncode != 0 and f"{unfinished}:" not in done.stderr:  # not about the text: no space, no linker, ...
            raise OSError((done.stderr.strip() or f"exit status {done.returncode}").splitlines()[0])
        os.replace(unfinished, source)
        if done.returncode != 0:
            raise _refused(compiler, done.stderr.replace(unfinished, str(source)), text, source)
        with open(made, "r+b") as file:
            file.write(hashlib.sha256(file.read()).digest())
        os.replace(made, binary)
    finally:
        for leftover in (unfinished, made):
            Path(leftover).unlink(missing_ok=True)


def _refused(compiler: Compiler, log: str, text: str, source: Path) -> CompileError:
    """Three lines: what the compiler said, the line it said that of, the op that the line came from."""
    lines = text.splitlines()
    first = next((line for line in log.splitlines() if " error: " in line), log.strip().splitlines()[0])
    place = re.search(r":(\d+):(?:\d+:)? ", first)
    number = int(place.group(1)) if place else 0
    code = lines[number - 1].strip() if 0 < number <= len(lines) else "(no line given)"
    above = (line for line in reversed(lines[:number]) if line.startswith("/* "))
    comment = next(above, "/* the entry function */")
    message = first.partition(" error: ")[2] or first
    return CompileError(
        f"{compiler} refused generated code: {message}\n  {source}:{number}: {code}\n  in the loops of {comment[3:-3]}",
        source_code=text,
        log=log,
    )
