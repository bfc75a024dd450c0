"""Where compiled libraries are kept: core's cache, or a temporary folder where that cannot be used."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from core import cachedir
from core.errors import OptionError

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
    global _temporary
    if _temporary is None or not Path(_temporary.name).is_dir():
        _temporary = tempfile.TemporaryDirectory(prefix="core-c-", ignore_cleanup_errors=True)
    return Path(_temporary.name)
