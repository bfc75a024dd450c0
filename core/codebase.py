"""Which code is at work: packages as they are on disk, told by their files, so that an edit shows in another process.

What results of that code are good for, when it is another, is nobody's business here.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator

BEGUN_S = time.time()  # before any other code of core is read: what is newer on disk may not be what runs


def digest(packages: Iterable[str], more: Iterable[str] = ()) -> str | None:
    """Changes with every file of some packages, which need not be imported, and with ``more``.

    Sizes and times of change tell, as they do for bytecode.  None where they cannot: for a package that is not a
    folder or a file, and for one that was edited since this process began, which may run the older text.
    """
    from hashlib import sha256  # this module is read at ``import core``, which is to take no time

    told = list(more)
    for package in sorted(set(packages)):
        place = _place(package)
        if place is None:
            return None
        for file, about in _files(place):
            if about.st_mtime >= BEGUN_S:
                return None
            told.append(f"{file} {about.st_size} {about.st_mtime_ns}")
    return sha256("\n".join(told).encode()).hexdigest()


def _place(package: str) -> str | None:
    """The folder of a package, or the file of a module."""
    from importlib.util import find_spec  # see above

    try:
        spec = find_spec(package)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    places = list(spec.submodule_search_locations or ())
    if len(places) > 1:  # of a namespace: whoever adds to it is told by his own package
        return None
    place = places[0] if places else spec.origin
    return place if place is not None and os.path.exists(place) else None


def _files(place: str) -> Iterator[tuple[str, os.stat_result]]:
    """The files of a folder and of those in it, sorted; without bytecode, which says nothing that its text does not."""
    if not os.path.isdir(place):
        yield place, os.stat(place)
        return
    with os.scandir(place) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.is_dir():
                if entry.name != "__pycache__":
                    yield from _files(entry.path)
            else:
                yield entry.path, entry.stat()
