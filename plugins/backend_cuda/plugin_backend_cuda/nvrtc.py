"""NVRTC, NVIDIA's compiler as a library, through its own bindings: text to machine code, without toolkit or driver.

It comes as a wheel (nvidia-cuda-nvrtc) or with a toolkit.  It has no headers of the host: text that it compiles
includes none.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any


@cache
def find() -> tuple[Nvrtc | None, str]:
    """The compiler, or None and why there is none."""
    try:
        from cuda.bindings import nvrtc

        return Nvrtc(nvrtc), ""
    except (ImportError, OSError, RuntimeError) as error:  # no bindings; no library, as the bindings say it
        return None, str(error).splitlines()[0]


class Nvrtc:
    """Errors of its methods: RuntimeError and OSError when the library fails for a reason that is not the text's."""

    def __init__(self, api: Any):
        self._api = api
        major, minor = self._call("nvrtcVersion")
        self.version = f"NVRTC {major}.{minor}"
        # with a driver it has a cache of its own, whose code comes without ptxas's report; NVRTC 12 lacks the option
        self._always = ("--no-cache",) if major >= 13 else ()

    def __str__(self) -> str:
        return self.version

    def compile(self, text: str, name: str, options: Sequence[str]) -> tuple[bytes | None, str]:
        """The machine code of a text, None when it is refused, and what the compiler said."""
        program = self._call("nvrtcCreateProgram", text.encode(), name.encode(), 0, [], [])
        try:
            given = [option.encode() for option in (*options, *self._always)]
            (code,) = self._api.nvrtcCompileProgram(program, len(given), given)
            log = bytearray(self._call("nvrtcGetProgramLogSize", program))
            self._call("nvrtcGetProgramLog", program, log)
            said = bytes(log).rstrip(b"\0").decode(errors="replace")
            if code == self._api.nvrtcResult.NVRTC_ERROR_COMPILATION:
                return None, said
            self._check(code, said)
            image = bytearray(self._call("nvrtcGetCUBINSize", program))
            self._call("nvrtcGetCUBIN", program, image)
            return bytes(image), said
        finally:
            self._api.nvrtcDestroyProgram(program)

    def _call(self, name: str, *arguments: Any) -> Any:
        code, *results = getattr(self._api, name)(*arguments)
        self._check(code)
        return results[0] if len(results) == 1 else results

    def _check(self, code: Any, log: str = "") -> None:
        if code:
            raise OSError(f"NVRTC: {getattr(code, 'name', code)}{': ' if log else ''}{log}")
