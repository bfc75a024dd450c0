"""The pool of threads of pool.h as a library of its own, for calls without the launcher, which has it in it.

It is built when a call first has long work to do.  Where that fails, calls run on one thread, and give the same.
"""

from __future__ import annotations

import ctypes
import hashlib
from dataclasses import replace
from functools import cache
from pathlib import Path

from core.errors import CompileError
from plugin_backend_c import cache as libraries
from plugin_backend_c.compiler import Compiler
from plugin_backend_c.folder import folders

_FLAGS = ("-O2", "-pthread")


@cache
def library(compiler: Compiler) -> ctypes.CDLL | None:
    """The library, with the function that runs the chunks of a loop; None where it cannot be built."""
    text = (Path(__file__).parent / "pool.h").read_text()
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


def address_of_run(compiler: Compiler | None) -> int:
    """Where ``core_pool_run`` is; 0 where there is no pool."""
    found = library(compiler) if compiler is not None else None
    return 0 if found is None else ctypes.cast(found.core_pool_run, ctypes.c_void_p).value or 0
