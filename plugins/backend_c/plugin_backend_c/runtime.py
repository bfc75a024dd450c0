"""Threads and kept memory for calls without the launcher, which has both in it: runtime.c as a library of its own.

It is built when a call first has long work to do, or a large result.  Where that fails, calls run on one thread, in
memory that is new each time, and give the same.
"""

from __future__ import annotations

import ctypes
import hashlib
from functools import cache

from core.dataclass import replace
from core.errors import CompileError
from plugin_backend_c import cache as libraries
from plugin_backend_c import ready
from plugin_backend_c.compiler import Compiler
from plugin_backend_c.folder import folders

_FLAGS = ("-O2", "-pthread")
LARGE = 1 << 16  # bytes of a result from which on new memory takes longer than a call of Python


@cache
def library(compiler: Compiler) -> ctypes.CDLL | None:
    """The library, or None where it cannot be built."""
    text = ready.with_headers("runtime.c")
    builder = replace(compiler, flags=_FLAGS)
    key = hashlib.sha256(f"{builder.identity}\n{text}".encode()).hexdigest()[:40]
    for place in folders():
        try:
            return libraries.loaded({f"{key}.c": text}, place / f"{key}.so", builder)
        except OSError:  # a folder that cannot be written, or that nothing may be run from
            continue
        except CompileError:
            break
    return None


def address(compiler: Compiler | None, function: str) -> int:
    """Where a function of the library is; 0 where there is none."""
    found = library(compiler) if compiler is not None else None
    return 0 if found is None else ctypes.cast(getattr(found, function), ctypes.c_void_p).value or 0
