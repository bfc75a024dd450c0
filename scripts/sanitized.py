"""Runs Python with every compiled function under the address and undefined-behaviour sanitizers:

    python scripts/sanitized.py -m pytest tests/test_backends_agree.py

The C backend builds with ``-fsanitize``, and the sanitizers' libraries are loaded before Python, so that they see the
memory of NumPy's arrays.  An access out of bounds, a division by zero, ... ends the process with a report.  First a
mistake is planted and must be found.  Compiled code goes to a folder of its own.  Needs GCC on Linux.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

COMPILER = "gcc -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -g1"
PLANTED = """
import ctypes
import numpy as np
from plugin_backend_c import cache, compiler
found, why = compiler.find()
assert found is not None, why
library, _ = cache.load(["double past_the_end(double *x) { return x[7]; }"], found)
library.past_the_end(ctypes.c_void_p(np.ones(7).ctypes.data))
"""


def environment(folder: str) -> dict[str, str]:
    """The variables under which Python runs.  Errors: CalledProcessError without GCC."""
    ask = ["gcc", "-print-file-name=libasan.so"], ["gcc", "-print-file-name=libubsan.so"]
    libraries = [subprocess.run(one, capture_output=True, text=True, check=True).stdout.strip() for one in ask]
    return {
        **os.environ,
        "LD_PRELOAD": " ".join(libraries),
        "CC": COMPILER,
        "CORE_CACHE_DIR": folder,
        "CORE_C_LAUNCHER": "0",  # it recycles memory, which would hide what was let go
        "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1",  # Python itself leaks
        "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
    }


def main(arguments: list[str]) -> int:
    with tempfile.TemporaryDirectory(prefix="core-sanitized-") as folder:
        variables = environment(folder)
        planted = subprocess.run([sys.executable, "-c", PLANTED], env=variables, capture_output=True, text=True)
        if planted.returncode == 0 or "heap-buffer-overflow" not in planted.stderr:
            print(f"the sanitizers do not find a planted mistake:\n{planted.stderr[-3000:]}", file=sys.stderr)
            return 2
        return subprocess.run([sys.executable, *arguments], env=variables).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
