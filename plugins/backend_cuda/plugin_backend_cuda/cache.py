"""Machine code on disk, addressed by content and architecture: no lock, safe under many processes at once.

A file appears whole or not at all, under the hash of everything that determines it, and begins with its own checksum.
It holds the cubin and what the compiler said, so that the report on registers and spills is kept with it.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from core import cachedir
from core.errors import CompileError, OptionError
from plugin_backend_cuda.compiler import Compiler, refused


@dataclass(frozen=True)
class Binary:
    """``image`` is the cubin, ``log`` the compiler's words, ``file`` the name of the source."""

    image: bytes
    log: str
    file: str


def build(text: str, compiler: Compiler, architecture: int) -> Binary:
    """The machine code of a text for ``sm_<architecture>``, compiled unless it is there.

    Errors  CompileError with the compiler's message, the line and the op it belongs to.
    """
    key = hashlib.sha256(f"{compiler.identity(architecture)}\n{text}".encode()).hexdigest()[:40]
    problem: OSError | None = None
    for folder in _folders():
        place, file = folder / f"{key}.cubin", f"{key}.cu"
        found = _read(place)
        if found is not None:
            return Binary(*found, file)
        try:
            image, log = compiler.compile(text, architecture, folder)
            cachedir.put(folder / file, text.encode())
            if image is None:
                raise refused(compiler, log, text, str(folder / file))
            cachedir.put(place, _packed(image, log))
            return Binary(image, log, file)
        except OSError as error:  # a read-only folder, a full disk: the next may serve
            problem = error
    raise CompileError(f"{compiler} could not build {key}.cu: {problem}", source_code=text) from problem


def _folders() -> Iterator[Path]:
    """Core's cache, then a folder that goes when it was used."""
    with suppress(OptionError, RuntimeError):  # RuntimeError: a user without a home (Path.home)
        yield cachedir.subfolder("cuda")
    with tempfile.TemporaryDirectory(prefix="core-cuda-", ignore_cleanup_errors=True) as place:
        yield Path(place)


def _packed(image: bytes, log: str) -> bytes:
    said = log.encode()
    content = len(said).to_bytes(8, "little") + said + image
    return hashlib.sha256(content).digest() + content


def _read(place: Path) -> tuple[bytes, str] | None:
    """What ``_packed`` put together, or None when it is not there or not whole."""
    try:
        whole = place.read_bytes()
    except OSError:
        return None
    content = whole[32:]
    if whole[:32] != hashlib.sha256(content).digest():
        return None
    end = 8 + int.from_bytes(content[:8], "little")
    return content[end:], content[8:end].decode(errors="replace")
