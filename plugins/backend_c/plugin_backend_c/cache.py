"""Compiled libraries on disk, addressed by content: no lock, no version, safe under many processes at once.

A file appears whole or not at all, under the hash of everything that determines it, and ends with its own checksum: the
loader would crash on a library that a power failure cut short.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.errors import CompileError
from plugin_backend_c.compiler import Compiler
from plugin_backend_c.folder import folders, temporary, unfinished


def load(units: Sequence[str], compiler: Compiler, kept: bool = True) -> tuple[ctypes.CDLL, dict[str, str]]:
    """The library of some translation units, built unless it is there, and their texts by the names of their files.

    kept    whether it may be found again by other processes
    Errors  CompileError with the compiler's message, the line and the op it belongs to.
    """
    key = _key(units, compiler)
    texts = dict(zip(_names(key, len(units)), units, strict=True))
    problem: OSError | None = None
    for place in folders() if kept else [temporary()]:
        try:
            return loaded(texts, place / f"{key}.so", compiler), texts
        except OSError as error:  # a read-only folder, a full disk, a file system that nothing may be run from
            problem = error
    raise CompileError(f"{compiler} could not build {key}.c: {problem}", source_code="\n".join(units)) from problem


def _key(units: Sequence[str], compiler: Compiler) -> str:
    return hashlib.sha256("\0".join([compiler.identity, *units]).encode()).hexdigest()[:40]


def _names(key: str, count: int) -> list[str]:
    return [f"{key}.c", *(f"{key}_{number}.c" for number in range(2, count + 1))]


def loaded(texts: Mapping[str, str], binary: Path, compiler: Compiler) -> ctypes.CDLL:
    """The library in a file, built unless it is there.

    Errors  OSError when its folder does not serve, CompileError.
    """
    if intact(binary):
        try:
            return opened(binary)
        except OSError:  # made on another system that shares this folder
            pass
    build(texts, binary, compiler)
    return opened(binary)


def opened(binary: Path) -> ctypes.CDLL:
    """The library, until the process ends: it releases arrays that it allocated, which may outlive their function."""
    return ctypes.CDLL(str(binary), mode=os.RTLD_NOW | getattr(os, "RTLD_NODELETE", 0))


def intact(binary: Path) -> bool:
    """Whether a library is there, and as it was written."""
    try:
        content = binary.read_bytes()
    except OSError:
        return False
    return content[-32:] == hashlib.sha256(content[:-32]).digest()


def build(texts: Mapping[str, str], binary: Path, compiler: Compiler) -> None:
    """Compile in a folder beside the goal, then put the result in place at once.  Errors: CompileError, OSError."""
    from plugin_backend_c.processes import first_line  # what is built already needs no processes

    with unfinished(binary.parent) as folder:
        sources = [Path(folder, name) for name in texts]
        for source, text in zip(sources, texts.values(), strict=True):
            source.write_text(text, encoding="utf-8")
        made = Path(folder, binary.name)
        done = compiler.build([str(source) for source in sources], str(made))
        guilty = next((source for source in sources if f"{source}:" in done.stderr), None)
        if done.returncode != 0 and guilty is None:  # not about the text: no space, no linker, ...
            raise OSError(first_line(done))
        for source in sources:
            os.replace(source, binary.parent / source.name)
        if done.returncode != 0 and guilty is not None:
            kept = binary.parent / guilty.name
            raise _refused(compiler, done.stderr.replace(str(guilty), str(kept)), texts[guilty.name], kept)
        with open(made, "r+b") as file:
            file.write(hashlib.sha256(file.read()).digest())
        os.replace(made, binary)


def _line_of(error: str, log: str) -> int:
    """The line of the text that an error is about, 0 without one.  Where that is a macro: the line that uses it."""
    notes = log.partition(error)[2].partition(" error: ")[0].splitlines()
    uses = [line for line in notes if "note: in expansion of macro" in line]
    place = re.search(r":(\d+):(?:\d+:)? ", uses[-1] if uses else error)
    return int(place.group(1)) if place else 0


def _refused(compiler: Compiler, log: str, text: str, source: Path) -> CompileError:
    """Three lines: what the compiler said, the line it said that of, the op that the line came from."""
    lines = text.splitlines()
    first = next((line for line in log.splitlines() if " error: " in line), log.strip().splitlines()[0])
    number = _line_of(first, log)
    code = lines[number - 1].strip() if 0 < number <= len(lines) else "(no line given)"
    above = [line for line in reversed(lines[:number]) if line.startswith("/* ")]
    inside = next((line for line in above if re.match(r"/\* (end of )?c_code ", line)), "")
    if "at end of input" in first:  # a brace that is not closed: of text by hand, where there is any
        inside = next((line for line in above if line.startswith("/* c_code ")), "")
    if inside.startswith("/* c_code "):  # what an author wrote may hold comments, too
        above = [inside]
    comment = above[0] if above else "/* the entry function */"
    message = first.partition(" error: ")[2] or first
    place_in_graph = comment[3:-3] if comment is inside else f"the loops of {comment[3:-3]}"
    return CompileError(
        f"{compiler} refused generated code: {message}\n  {source}:{number}: {code}\n  in {place_in_graph}",
        source_code=text,
        log=log,
    )


def with_line(error: CompileError, nodes: Sequence[Any]) -> CompileError:
    """``error`` with the line that made the node whose C was refused, if it is one of ``nodes``."""
    guilty = next((node for node in nodes if f"in c_code of {type(node.op).__name__}" in str(error)), None)
    if guilty is None:
        return error
    return CompileError(str(error), source_code=error.source_code, log=error.log, blame=guilty)
