"""Calls without Python in between: the extension module of launcher.c, built once for each Python.

By the installer (ready.py), or here where that could not.  Where it cannot be built at all (no headers, a compiler that
refuses), or is not wanted (option ``c.launcher``), functions are called through cffi instead, which takes longer and
gives the same.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import os
import sys
import sysconfig
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from importlib.machinery import ExtensionFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from core.cells import Taken
from core.dataclass import replace
from core.errors import CompileError
from core.options import config
from core.threads import DEPENDS_ON, get_num_threads
from plugin_backend_c import cache as libraries
from plugin_backend_c import ready
from plugin_backend_c.compiler import Compiler
from plugin_backend_c.folder import folders
from plugin_backend_c.plan import CONSTANT, Plan

NAME = "core_launcher"
LAYOUTS = {"one": 0, "list": 1, "tuple": 2, "none": 3}
DICT = 4


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


def launchable(extension: ModuleType | None, plan: Plan | None, library: ctypes.CDLL, routines: Sequence[int]) -> Any:
    """What the launcher needs to call a program of this plan, and what that must not outlive; None: it leaves that.

    routines  the addresses of the plan's
    """
    if extension is None or plan is None:
        return None
    inputs, made = (tuple((np.dtype(dtype), *lies) for dtype, *lies in kinds) for kinds in (plan.inputs, plan.made))
    outputs = tuple(
        (origin, number, None) if origin != CONSTANT else (origin, 0, plan.constants[number])
        for origin, number in plan.outputs
    )
    tables = pointers([address_of(array) for array in plan.constants]), pointers(routines)
    entry = ctypes.cast(getattr(library, plan.entry), ctypes.c_void_p).value
    addresses = (entry, *map(ctypes.addressof, tables))
    keep = (library, plan.constants, *tables)
    try:
        return extension.Program(*addresses, inputs, made, outputs, plan.donors, plan.report_length, keep)
    except ValueError:  # too many arguments for the stack
        return None


def pointers(addresses: Sequence[int]) -> Any:
    """Some addresses as an array of C, which is never empty."""
    return (ctypes.c_void_p * max(len(addresses), 1))(*addresses)


def address_of(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


def contiguous(array: np.ndarray) -> np.ndarray:
    """The same array in row-major order, aligned; 0-d arrays stay 0-d."""
    return np.require(array, requirements=["C", "A"]).reshape(array.shape)


# --- a function -------------------------------------------------------------------------------------------------------


def bound(
    extension: ModuleType,
    counts: tuple[int, int],
    current: list[Any],
    reads: Sequence[list[Any]],
    writes: Sequence[list[Any]],
    layout: str | tuple[str, ...],
    lengths: Sequence[Sequence[int | None]],
    fetched: Sequence[bool],
    slow_path: Callable[..., Any],
) -> Callable[..., Any]:
    """A callable that runs the program of the first of the executables ``current`` that fits; see Executable.bind.

    counts  how many inputs and outputs these have

    Where ``slow_path.takes_numbers``, a Python or NumPy number that fits is taken for an argument without axes.
    """
    keys = layout if isinstance(layout, tuple) else ()
    known = tuple(-1 if n is None else n for shape in lengths for n in shape)
    return extension.Call(
        current,
        slow_path,
        tuple(reads),
        tuple(writes),
        DICT if isinstance(layout, tuple) else LAYOUTS[layout],
        keys,
        counts[0] - len(reads),
        counts[1] - len(writes),
        None if all(n < 0 for n in known) else known,
        getattr(slow_path, "takes_numbers", False),
    )


def called(
    extension: ModuleType,
    executable: Any,
    counts: tuple[int, int],
    arrays: Iterable[np.ndarray],
    slow_path: Callable[..., list[np.ndarray]],
) -> list[np.ndarray]:
    """What one executable makes of some arrays, or what the slow path does where that fails."""
    call = bound(extension, counts, [executable], (), (), "list", (), (), slow_path)
    return call(*arrays)


@cache
def callable_type(extension: ModuleType, base: type) -> type:
    """A subclass of ``base`` whose objects hand a call straight to what they hold in their slot ``__call__``."""
    made: type = extension.callable_type(base)
    made.__module__, made.__qualname__ = base.__module__, base.__qualname__
    return made
