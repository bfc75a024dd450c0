"""Calls without Python in between: the extension module of launcher.c, built once for each Python.

By the installer (ready.py), or here where that could not.  Where it cannot be built at all (no headers, a compiler that
refuses), or is not wanted (option ``c.launcher``), functions are called through cffi instead, which takes longer and
gives the same.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import sysconfig
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from importlib.machinery import ExtensionFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from core.cells import Taken
from core.errors import CompileError
from core.ir.clike.centry import report_length
from core.ir.program import Program
from core.options import config
from core.threads import DEPENDS_ON, get_num_threads
from plugin_backend_c import cache as libraries
from plugin_backend_c import ready
from plugin_backend_c.compiler import Compiler
from plugin_backend_c.folder import folders

NAME = "core_launcher"
LAYOUTS = {"one": 0, "list": 1, "tuple": 2, "none": 3}
DICT = 4
MADE, INPUT, EARLIER, ARRAY = range(4)  # where an output comes from; all but MADE are copied


def module(compiler: Compiler) -> ModuleType | None:
    """The extension module, or None where calls go through cffi."""
    return _module(compiler) if config["c.launcher"] else None


def is_at_hand() -> bool:
    """Whether ``module`` answers without a compiler's time, as far as can be told."""
    return not config["c.launcher"] or ready.launcher() is not None or _module.cache_info().currsize > 0


@cache
def _module(compiler: Compiler) -> ModuleType | None:
    made = _from_installer() or _built_here(compiler)
    if made is not None:
        made.ask_for_threads(get_num_threads, *DEPENDS_ON)
        _mark_taken(made)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=partial(_mark_taken, made))
    return made


def _from_installer() -> ModuleType | None:
    binary = ready.launcher()
    try:
        return None if binary is None else _imported(binary)
    except (ImportError, RuntimeError):  # for another C library; for another NumPy, which says so with RuntimeError
        return None


def _built_here(compiler: Compiler) -> ModuleType | None:
    folder = Path(sysconfig.get_path("include") or "")
    if sysconfig.get_config_var("Py_GIL_DISABLED") or not (folder / "Python.h").is_file():
        return None
    flags, linker = ("-O2", "-pthread", f"-I{folder}", f"-I{np.get_include()}"), compiler.linker
    if sys.platform == "darwin":
        linker += ("-undefined", "dynamic_lookup")
    builder, text = replace(compiler, flags=flags, linker=linker), ready.launcher_text()
    about = f"{sys.version}\n{sysconfig.get_config_var('SOABI')}\n{np.__version__}"
    key = hashlib.sha256(f"{builder.identity}\n{about}\n{text}".encode()).hexdigest()[:40]
    for place in folders():
        try:
            return _loaded(text, place / f"{key}.so", builder)
        except (OSError, ImportError):  # a folder that cannot be written, or that nothing may be run from
            continue
        except CompileError:
            break
    return None


def _mark_taken(extension: ModuleType) -> None:
    """Say what stands in a cell meanwhile: it tells those that this process takes from those lost in a fork."""
    extension.mark_taken(Taken())


def _loaded(text: str, binary: Path, compiler: Compiler) -> ModuleType:
    """Errors: OSError, ImportError, CompileError."""
    if not libraries.intact(binary):
        libraries.build({f"{binary.stem}.c": text}, binary, compiler)
    return _imported(binary)


def _imported(binary: Path) -> ModuleType:
    loader = ExtensionFileLoader(NAME, str(binary))
    made = importlib.util.module_from_spec(importlib.util.spec_from_file_location(NAME, binary, loader=loader))
    loader.exec_module(made)
    return made


# --- a program --------------------------------------------------------------------------------------------------------


def launchable(
    extension: ModuleType | None,
    program: Program,
    addresses: tuple[int, int, int],
    constants: dict[Any, np.ndarray],
    keep: Any,
) -> Any:
    """What the launcher needs to call ``program``; None for one that it leaves to Python.

    addresses  of the entry function, of the pointers to constants, of the library routines
    keep       what these must not outlive
    """
    if extension is None or program.host_nodes:
        return None

    def kinds(values: Sequence[Any]) -> tuple[tuple[np.dtype, int, tuple | None], ...]:
        return tuple((np.dtype(value.dtype), *_lying(program, value)) for value in values)

    inputs, made = kinds(program.inputs), kinds(program.made)
    try:
        origins, donors = _origins(program, constants), _donors(program)
        return extension.Program(*addresses, inputs, made, origins, donors, report_length(program), keep)
    except ValueError:  # too many arguments for the stack
        return None


def _lying(program: Program, value: Any) -> tuple[int, tuple | None]:
    """How many axes an array has, and how it lies."""
    layout = program.layouts.get(value)
    if layout is None:
        return len(program.shapes[value]), None
    return layout.ndim, (layout.order, layout.backwards, layout.is_packed, layout.is_unit)


def _origins(program: Program, constants: dict[Any, np.ndarray]) -> tuple[tuple[int, int, np.ndarray | None], ...]:
    """Where each output comes from."""
    made = program.made
    origins: list[tuple[int, int, np.ndarray | None]] = []
    for k, value in enumerate(program.outputs):
        earlier = program.outputs.index(value)
        if earlier < k:
            origins.append((EARLIER, earlier, None))
        elif value in made:
            origins.append((MADE, made.index(value), None))
        elif value in constants:
            origins.append((ARRAY, 0, constants[value]))
        else:
            origins.append((INPUT, program.inputs.index(value), None))
    return tuple(origins)


def _donors(program: Program) -> tuple[tuple[int, int, int], ...]:
    """For each output that may lie where an input does: its number among what is made, and among all; the input's."""
    made, outputs, inputs = program.made, program.outputs, program.inputs
    return tuple((made.index(v), outputs.index(v), inputs.index(given)) for v, given in program.donors.items())


# --- a function -------------------------------------------------------------------------------------------------------


def bound(
    extension: ModuleType,
    program: Program,
    current: list[Any],
    reads: Sequence[list[Any]],
    writes: Sequence[list[Any]],
    layout: str | tuple[str, ...],
    lengths: Sequence[Sequence[int | None]],
    fetched: Sequence[bool],
    slow_path: Callable[..., Any],
) -> Callable[..., Any]:
    """A callable that runs the program of the first of the executables ``current`` that fits; see Executable.bind."""
    keys = layout if isinstance(layout, tuple) else ()
    known = tuple(-1 if n is None else n for shape in lengths for n in shape)
    return extension.Call(
        current,
        slow_path,
        tuple(reads),
        tuple(writes),
        DICT if isinstance(layout, tuple) else LAYOUTS[layout],
        keys,
        len(program.inputs) - len(reads),
        len(program.outputs) - len(writes),
        None if all(n < 0 for n in known) else known,
    )


@cache
def callable_type(extension: ModuleType, base: type) -> type:
    """A subclass of ``base`` whose objects hand a call straight to what they hold in their slot ``__call__``."""
    made: type = extension.callable_type(base)
    made.__module__, made.__qualname__ = base.__module__, base.__qualname__
    return made
