"""The folder in which compiled code is kept between processes: where it is, what it holds, how to empty it.

What is in it, and under which names, is the business of each backend.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from core.errors import OptionError
from core.options import config

TAG = "CACHEDIR.TAG"  # https://bford.info/cachedir: the mark of a folder that may be emptied, and need no backup
_SIGNATURE = "Signature: 8a477f597d28d172789f06886806bc55\n# Compiled code of core; `core cache clear` empties it.\n"


def path() -> Path:
    """The folder: the option ``cache_dir``, else ``core`` in the platform's cache folder.  It may not exist yet."""
    given = config.cache_dir
    return Path(given).expanduser().absolute() if given else _platform_folder() / "core"


def _platform_folder() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def subfolder(name: str) -> Path:
    """The folder of one backend, made if need be.  Errors: OptionError when it cannot be."""
    base = path()
    try:
        (base / name).mkdir(parents=True, exist_ok=True)
        tag = base / TAG
        if not tag.exists() and [one.name for one in base.iterdir()] == [name]:  # never tag a folder of somebody else's
            tag.write_text(_SIGNATURE)
    except OSError as error:
        raise OptionError(
            f"compiled code cannot be kept in {base}: {error}; set CORE_CACHE_DIR to a folder that can be written"
        ) from error
    return base / name


def put(file: Path, content: bytes) -> None:
    """Put a file in place at once: who reads it meanwhile gets the old one or the new.  Errors: OSError."""
    import tempfile  # whoever only reads what is there need not wait for it

    handle, unfinished = tempfile.mkstemp(dir=file.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        os.replace(unfinished, file)
    finally:
        Path(unfinished).unlink(missing_ok=True)


def files() -> list[Path]:
    """Every file in it, the one that was not used for longest first."""
    found = (one for one in path().rglob("*") if one.is_file() and one.name != TAG)
    return sorted(found, key=lambda one: (last_use(one), one))


def last_use(file: Path) -> float:
    """When a file was last read or written, in seconds since 1970."""
    try:
        status = file.stat()
    except FileNotFoundError:  # another process removed it
        return 0.0
    return max(status.st_mtime, status.st_atime)


def size_of(file: Path) -> int:
    """The bytes of a file: 0 where another process has removed it meanwhile."""
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def size_bytes() -> int:
    """How much it holds."""
    return sum(map(size_of, files()))


def clear() -> int:
    """Empty it.  Returns how many files went.  Errors: OptionError when it holds what core did not put there."""
    import shutil  # as above

    base, count = _own(), len(files())
    for one in base.iterdir() if base.is_dir() else ():
        if one.is_dir() and not one.is_symlink():
            shutil.rmtree(one, ignore_errors=True)
        elif one.name != TAG:
            one.unlink(missing_ok=True)
    return count


def purge(days: float) -> int:
    """Remove what was not used for so many days.  Returns how many files went.  Errors: as ``clear``."""
    _own()
    oldest = time.time() - 86400 * days
    old = [file for file in files() if last_use(file) < oldest]
    for file in old:
        file.unlink(missing_ok=True)
    return len(old)


def _own() -> Path:
    """The folder, if it is core's: a mistaken CORE_CACHE_DIR must not cost somebody their files."""
    base = path()
    if base.is_dir() and not (base / TAG).exists() and any(base.iterdir()):
        raise OptionError(f"{base} has no {TAG}, so core did not make it and will not empty it; remove it by hand")
    return base
