"""Where compiled libraries are kept: core's cache, or a temporary folder where that cannot be used."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from core import cachedir
from core.errors import OptionError

if TYPE_CHECKING:
    import tempfile  # whoever only reads what is there need not wait for it

_temporary: tempfile.TemporaryDirectory | None = None


def folders() -> Iterator[Path]:
    """The folders to try, one after the other: one that exists may still be read-only, or on a full disk."""
    try:
        yield cachedir.subfolder("c")
    except (OptionError, RuntimeError):  # RuntimeError: a user without a home (Path.home)
        pass
    yield temporary()


def temporary() -> Path:
    """A folder that goes when the process ends."""
    import tempfile

    global _temporary
    if _temporary is None or not Path(_temporary.name).is_dir():
        _temporary = tempfile.TemporaryDirectory(prefix="core-c-", ignore_cleanup_errors=True)
    return Path(_temporary.name)


_ABANDONED_S = 3600  # a compiler is given less time


@contextmanager
def unfinished(place: Path) -> Iterator[str]:
    """A folder in ``place`` for what is being built, which goes in the end.  What killed processes left goes too.

    Errors: OSError where nothing can be written.
    """
    base = place / "unfinished"
    base.mkdir(exist_ok=True)
    for left in base.iterdir():
        try:
            if left.stat().st_mtime < time.time() - _ABANDONED_S:
                _remove(left)
        except OSError:  # another process was quicker, or it is somebody else's
            pass
    folder = base / cachedir.fresh_name()
    folder.mkdir(0o700)
    try:
        yield str(folder)
    finally:
        with suppress(OSError):
            _remove(folder)


def _remove(folder: Path) -> None:
    """Remove a folder and what is in it: files, as a rule.  Errors: OSError."""
    if any(one.is_dir() for one in os.scandir(folder)):
        import shutil  # see above

        shutil.rmtree(folder)
    else:
        for file in os.scandir(folder):
            os.unlink(file)
        os.rmdir(folder)
