"""Extension modules that queue calls: their text, put together from a driver's files and these, and how it is built.

The name of a binary says what it was made of, so that one of an older text is never taken.

Installers of plugins run this file by itself: it imports nothing of core.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path

_FLAGS = ("-shared", "-fPIC", "-std=gnu11", "-O2", "-fwrapv")


def text(folders: Sequence[Path], name: str = "calls.c") -> str:
    """A file with those that it includes, each from the first of the folders that has it, as one text."""

    def read(name: str) -> str:
        return next(folder / name for folder in folders if (folder / name).is_file()).read_text()

    found, include = read(name), re.compile(r'^#include "(\w+\.h)"$', flags=re.MULTILINE)
    while include.search(found):
        found = include.sub(lambda match: read(match[1]), found)
    return found


def name_of(text: str) -> str:
    """What the binary of a text is called, for this Python."""
    digest = hashlib.sha256("\n".join([*_FLAGS, text]).encode()).hexdigest()[:20]
    return f"calls-{digest}.{sysconfig.get_config_var('SOABI')}.so"


def build(text: str, folder: Path, numpy_headers: str | None = None) -> tuple[Path | None, str]:
    """Build it for this Python, and remove what an older text has left there.

    Returns the binary, or None and why there is none.
    """
    python = Path(sysconfig.get_path("include") or "")
    own = os.environ.get("CC", "")  # a path may have spaces
    tried = [[own] if Path(own).is_file() else shlex.split(own), ["gcc"], ["clang"], ["cc"]]
    command = next((command for command in tried if command and shutil.which(command[0])), None)
    if sys.platform != "linux":
        return None, f"not tried on {sys.platform}"
    if command is None or not numpy_headers or not (python / "Python.h").is_file():
        return None, "no C compiler" if command is None else "no headers of NumPy or Python"
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        return None, "it needs the lock that this Python lacks"
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as place:  # a binary appears whole or not at all
        source, binary = Path(place, "calls.c"), Path(place, "calls.so")
        source.write_text(text)
        words = [*command, *_FLAGS, f"-I{python}", f"-I{numpy_headers}", str(source), "-o", str(binary)]
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode:
            return None, f"{command[0]}: {done.stderr.strip()[:200]}"
        made = folder / name_of(text)
        os.replace(binary, made)
    for left in folder.glob("calls-*.so"):
        if left.name.partition(".")[0] != made.name.partition(".")[0]:  # those for another Python stay
            left.unlink()
    return made, ""
