"""NVRTC, NVIDIA's compiler as a library: CUDA C++ text to machine code, without a toolkit and without a driver.

It comes as a wheel (nvidia-cuda-nvrtc, nvidia-cuda-nvrtc-cu12) or with a toolkit.  It has no headers of the host: text
that it compiles includes none.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import cffi

WHEELS = ("nvidia-cuda-nvrtc", "nvidia-cuda-nvrtc-cu13", "nvidia-cuda-nvrtc-cu12")
_SYSTEM = ("libnvrtc.so", "libnvrtc.so.13", "libnvrtc.so.12") if sys.platform != "win32" else ("nvrtc64_120_0.dll",)
_DECLARATIONS = """
typedef int nvrtcResult;
typedef struct _nvrtcProgram *nvrtcProgram;
const char *nvrtcGetErrorString(nvrtcResult result);
nvrtcResult nvrtcVersion(int *major, int *minor);
nvrtcResult nvrtcCreateProgram(nvrtcProgram *program, const char *text, const char *name, int headers,
    const char * const *sources, const char * const *names);
nvrtcResult nvrtcDestroyProgram(nvrtcProgram *program);
nvrtcResult nvrtcCompileProgram(nvrtcProgram program, int count, const char * const *options);
nvrtcResult nvrtcGetCUBINSize(nvrtcProgram program, size_t *size);
nvrtcResult nvrtcGetCUBIN(nvrtcProgram program, char *image);
nvrtcResult nvrtcGetProgramLogSize(nvrtcProgram program, size_t *size);
nvrtcResult nvrtcGetProgramLog(nvrtcProgram program, char *log);
"""
_COMPILATION_FAILED = 6  # nvrtcResult: the text is at fault


def places() -> Iterator[str]:
    """Where the library may lie: inside a wheel that is installed, then wherever the system's loader looks."""
    for wheel in WHEELS:
        try:
            files = distribution(wheel).files or ()
        except PackageNotFoundError:
            continue
        for file in files:
            if file.name.startswith(("libnvrtc.so", "nvrtc64_")) and "builtins" not in file.name:
                yield str(Path(str(file.locate())))
    yield from _SYSTEM


@cache
def find() -> tuple[Nvrtc | None, str]:
    """The library, or None and why there is none."""
    tried = []
    for place in places():
        ffi = cffi.FFI()
        ffi.cdef(_DECLARATIONS)
        try:
            return Nvrtc(ffi, ffi.dlopen(place)), ""
        except (OSError, AttributeError) as error:
            tried.append(str(error).splitlines()[0])
    return None, "; ".join(tried)


class Nvrtc:
    """The loaded library."""

    def __init__(self, ffi: cffi.FFI, library: Any):
        self._ffi, self._library = ffi, library
        major, minor = ffi.new("int *"), ffi.new("int *")
        self._library.nvrtcVersion(major, minor)
        self.release = (major[0], minor[0])
        self.version = f"NVRTC {major[0]}.{minor[0]}"

    def __str__(self) -> str:
        return self.version

    def compile(self, text: str, name: str, options: Sequence[str]) -> tuple[bytes | None, str]:
        """The machine code of a text, None when it is refused, and what the compiler said.

        Errors  OSError when the library fails for a reason that is not the text's.
        """
        ffi = self._ffi
        program = ffi.new("nvrtcProgram *")
        self._check(self._library.nvrtcCreateProgram(program, text.encode(), name.encode(), 0, ffi.NULL, ffi.NULL))
        try:
            kept = [ffi.new("char[]", option.encode()) for option in options]
            code = self._library.nvrtcCompileProgram(program[0], len(kept), ffi.new("char *[]", kept))
            log = self._text(program[0])
            if code == _COMPILATION_FAILED:
                return None, log
            self._check(code, log)
            size = ffi.new("size_t *")
            self._check(self._library.nvrtcGetCUBINSize(program[0], size))
            image = ffi.new("char[]", size[0])
            self._check(self._library.nvrtcGetCUBIN(program[0], image))
            return bytes(ffi.buffer(image)), log
        finally:
            self._library.nvrtcDestroyProgram(program)

    def _text(self, program: Any) -> str:
        size = self._ffi.new("size_t *")
        self._check(self._library.nvrtcGetProgramLogSize(program, size))
        log = self._ffi.new("char[]", max(size[0], 1))
        self._check(self._library.nvrtcGetProgramLog(program, log))
        return self._ffi.string(log).decode(errors="replace")

    def _check(self, code: int, log: str = "") -> None:
        if code:
            said = self._ffi.string(self._library.nvrtcGetErrorString(code)).decode()
            raise OSError(f"{self.version}: {said}{': ' if log else ''}{log}")
