"""Where the benchmarks keep compiled code between runs, so that only the first run of a workload waits for compilers.

Times of compiling are measured elsewhere (cold.py), in folders that are empty.
"""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """``CORE_BENCHMARKS_CACHE``, else ``core-benchmarks`` in the user's cache folder; made if need be."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(os.environ.get("CORE_BENCHMARKS_CACHE") or Path(base) / "core-benchmarks")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def cache_variables(folder: Path) -> dict[str, str]:
    """Environment variables that make every library keep its compiled code below ``folder``."""
    return {
        "CORE_CACHE_DIR": str(folder / "core"),
        "NUMBA_CACHE_DIR": str(folder / "numba"),
        "TORCHINDUCTOR_CACHE_DIR": str(folder / "torch"),
        "JAX_COMPILATION_CACHE_DIR": str(folder / "jax"),
        "PYTENSOR_FLAGS": f"base_compiledir={folder / 'pytensor'}",
    }
