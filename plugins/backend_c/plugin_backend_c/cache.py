"""Compiled libraries on disk, addressed by content: no lock, no version, safe under many processes at once.

A file appears whole or not at all, under the hash of everything that determines it.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from pathlib import Path
from typing import Any

import cffi

from core import cachedir
from core.errors import CompileError, OptionError
from plugin_backend_c.compiler import Compiler, flags_for

_temporary: Path | None = None


def folder() -> Path:
    """Where libraries are kept; a temporary folder when the cache cannot be written."""
    global _temporary
    try:
        wanted = cachedir.subfolder("c")
        if os.access(wanted, os.W_OK):
            return wanted
    except OptionError:
        pass
    if _temporary is None:
        _temporary = Path(tempfile.mkdtemp(prefix="core-c-"))
    return _temporary


def load(ffi: cffi.FFI, text: str, compiler: Compiler) -> tuple[Any, str]:
    """The library of a translation unit, built unless it is there, and the name of its source file.

    Errors  CompileError with the compiler's message, the line and the op it belongs to.
    """
    place = folder()
    flags = flags_for(compiler, place)
    key = hashlib.sha256("\n".join([compiler.identity, *flags, text]).encode()).hexdigest()[:40]
    binary = place / f"{key}.so"
    if binary.exists():
        try:
            return _opened(ffi, binary), f"{key}.c"
        except OSError:  # cut short by a full disk or made elsewhere: build it again
            binary.unlink(missing_ok=True)
    build(text, binary, compiler, flags)
    return _opened(ffi, binary), f"{key}.c"


def _opened(ffi: cffi.FFI, binary: Path) -> Any:
    """The library, until the process ends: it releases arrays that it allocated, and they may outlive their function."""
    return ffi.dlopen(str(binary), ffi.RTLD_NOW | getattr(ffi, "RTLD_NODELETE", 0))


def build(text: str, binary: Path, compiler: Compiler, flags: tuple[str, ...]) -> None:
    """Compile next to the goal, then put the result in place at once."""
    source = binary.with_suffix(".c")
    handle, unfinished = tempfile.mkstemp(suffix=".c", dir=binary.parent)
    with os.fdopen(handle, "w") as file:
        file.write(text)
    made = f"{unfinished}.so"
    try:
        done = compiler.run(unfinished, made, flags)
        os.replace(unfinished, source)
        if done.returncode != 0:
            raise _refused(compiler, done.stderr.replace(unfinished, str(source)), text, source)
        os.replace(made, binary)
    finally:
        for leftover in (unfinished, made):
            Path(leftover).unlink(missing_ok=True)


def _refused(compiler: Compiler, log: str, text: str, source: Path) -> CompileError:
    """Three lines: what the compiler said, the line it said that of, the op that the line came from."""
    lines = text.splitlines()
    first = next((line for line in log.splitlines() if " error: " in line), log.strip().splitlines()[0] if log.strip() else "")
    place = re.search(r":(\d+):(?:\d+:)? ", first)
    number = int(place.group(1)) if place else 0
    code = lines[number - 1].strip() if 0 < number <= len(lines) else "(no line given)"
    above = (line for line in reversed(lines[:number]) if line.startswith("/* "))
    comment = next(above, "/* the entry function */")
    message = first.partition(" error: ")[2] or first or "no message"
    return CompileError(
        f"{compiler} refused generated code: {message}\n  {source}:{number}: {code}\n  in the loops of {comment[3:-3]}",
        source_code=text,
        log=log,
    )
