"""Finding NVIDIA's libraries: inside wheels that are installed, then wherever the system's loader looks."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution
from typing import Any

import cffi

from core.errors import BackendError

LONGEST = 2**31 - 1


def short(who: str, length: int) -> int:
    """A length for an argument of 32 bits.  Errors: BackendError."""
    if length > LONGEST:
        raise BackendError(f"{who} needs lengths below 2**31, got {length}")
    return length


def in_wheels(wheels: Sequence[str], prefix: str) -> Iterator[str]:
    """Where files that begin with ``prefix`` lie in wheels that are installed."""
    for wheel in wheels:
        with suppress(PackageNotFoundError):
            for file in distribution(wheel).files or ():
                if file.name.startswith(prefix):
                    yield str(file.locate())


def opened(
    declarations: str,
    wheels: Sequence[str],
    prefix: str,
    system: Sequence[str],
    newest: str,
    needed: Sequence[tuple[str, str]] = (),
) -> tuple[tuple[cffi.FFI, Any] | None, str]:
    """A library with its declarations, or None and why there is none.

    newest  a function that old versions lack
    needed  libraries that it is linked with, as (wheel, prefix): loaded first, for wheels do not know each other
    """
    why = ""
    for place in (*in_wheels(wheels, prefix), *system):
        ffi = cffi.FFI()
        ffi.cdef(declarations)
        try:
            library = _dlopen(ffi, place, needed)
            getattr(library, newest)
            return (ffi, library), ""
        except (OSError, AttributeError) as error:
            why = why or str(error).splitlines()[0]
    return None, why


def _dlopen(ffi: cffi.FFI, place: str, needed: Sequence[tuple[str, str]]) -> Any:
    try:
        return ffi.dlopen(place)
    except OSError:
        for wheel, prefix in needed:
            wheels = (wheel, f"{wheel}-cu13", f"{wheel}-cu12")
            for found in sorted(in_wheels(wheels, prefix), key=lambda path: "Lt" not in path):
                with suppress(OSError):
                    ctypes.CDLL(found, mode=ctypes.RTLD_GLOBAL)  # which, unlike cffi's, stays open
        return ffi.dlopen(place)
