"""Where compiled libraries are kept: core's cache, or a temporary folder where that cannot be used."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
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
    import shutil
    import tempfile

    base = place / "unfinished"
    base.mkdir(exist_ok=True)
    for left in base.iterdir():
        try:
            if left.stat().st_mtime < time.time() - _ABANDONED_S:
                shutil.rmtree(left)
        except OSError:  # another process was quicker, or it is somebody else's
            pass
    folder = tempfile.mkdtemp(dir=base)  # TemporaryDirectory would be removed by a process forked meanwhile, at its end
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
