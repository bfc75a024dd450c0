"""The extension module that queues calls (calls.c): its text, and the binary that the installer has built of it.

Where there is a C compiler when this package is installed, or its wheel is made, hatch_build.py has it compiled;
otherwise there is none.  The name of a binary says what it was made of, so that one of an older text is never taken.

The installer runs this file by itself: it imports nothing of core, and nothing of this package.
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
from pathlib import Path

HERE = Path(__file__).parent
FOLDER = HERE / "ready"
_FLAGS = ("-shared", "-fPIC", "-std=gnu11", "-O2", "-fwrapv")


def text() -> str:
    """calls.c with the files that it includes, as one text."""
    found = (HERE / "calls.c").read_text()
    include = re.compile(r'^#include "(\w+\.h)"$', flags=re.MULTILINE)
    while include.search(found):
        found = include.sub(lambda match: (HERE / match[1]).read_text(), found)
    return found


def module() -> Path | None:
    """The binary for this Python, if the installer has built it."""
    made = FOLDER / _name()
    return made if made.is_file() else None


def _name() -> str:
    digest = hashlib.sha256("\n".join([*_FLAGS, text()]).encode()).hexdigest()[:20]
    return f"calls-{digest}.{sysconfig.get_config_var('SOABI')}.so"


def build(folder: Path = FOLDER, numpy_headers: str | None = None) -> tuple[Path | None, str]:
    """Build it for this Python, and remove what an older text has left there.

    Returns the binary, or None and why there is none.
    """
    python = Path(sysconfig.get_path("include") or "")
    tried = [shlex.split(os.environ.get("CC", "")), ["gcc"], ["clang"], ["cc"]]
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
        source.write_text(text())
        words = [*command, *_FLAGS, f"-I{python}", f"-I{numpy_headers}", str(source), "-o", str(binary)]
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode:
            return None, f"{command[0]}: {done.stderr.strip()[:200]}"
        made = folder / _name()
        os.replace(binary, made)
    for left in folder.glob("calls-*.so"):
        if left.name.partition(".")[0] != made.name.partition(".")[0]:  # those for another Python stay
            left.unlink()
    return made, ""
