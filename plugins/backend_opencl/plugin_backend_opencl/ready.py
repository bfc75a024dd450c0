"""The extension module that queues calls (calls.c): its text, and the binary that the installer has built of it.

Where there is a C compiler when this package is installed, or its wheel is made, hatch_build.py has it compiled;
otherwise there is none.  What the modules of several drivers have in common is core's; a wheel has a copy (``shared``).

The installer runs this file by itself: it imports nothing of core, and nothing of this package.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).parent
FOLDER = HERE / "ready"
COPY = HERE / "shared"


def shared() -> Path:
    """Where the files are that several drivers have: copied beside this one, or in the source tree."""
    return COPY if COPY.is_dir() else HERE.parents[2] / "core" / "device" / "calls"


def _building() -> ModuleType:
    spec = importlib.util.spec_from_file_location("core_calls_building", shared() / "building.py")
    assert spec is not None and spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def text() -> str:
    """calls.c with the files that it includes, as one text."""
    found: str = _building().text([HERE, shared()])
    return found


def module() -> Path | None:
    """The binary for this Python, if the installer has built it."""
    made = FOLDER / _name()
    return made if made.is_file() else None


def _name() -> str:
    name: str = _building().name_of(text())
    return name


def build(folder: Path = FOLDER, numpy_headers: str | None = None) -> tuple[Path | None, str]:
    """Build it for this Python; the binary, or None and why there is none."""
    made: tuple[Path | None, str] = _building().build(text(), folder, numpy_headers)
    return made
