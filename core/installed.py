"""Installed distributions and their entry points, read from the folders on ``sys.path``.

``importlib.metadata`` says the same, but imports the parsers of mail and of archives for it, which takes longer than to
compile a small function.  It is asked where there is more than folders: archives, eggs, finders that know of others.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any, NamedTuple


class Point(NamedTuple):
    """An entry point; ``value`` names what it stands for: ``module``, or ``module:attribute``."""

    dist: str
    version: str
    group: str
    name: str
    value: str

    def load(self) -> Any:
        """Import what it stands for.  Errors: whatever the import raises, AttributeError."""
        module, _, attributes = self.value.partition("[")[0].partition(":")
        found: Any = import_module(module.strip())
        for attribute in filter(None, attributes.strip().split(".")):
            found = getattr(found, attribute)
        return found


def entry_points(groups: re.Pattern[str]) -> list[Point]:
    """The entry points of all groups whose whole name ``groups`` matches.

    Of two copies of a distribution on the path the first counts, as it does for ``import``.
    """
    if not _only_folders():
        return _by_importlib(groups)
    found: list[Point] = []
    for info in _infos().values():
        points = _points(_text(info / "entry_points.txt"), groups)
        if points:
            dist, version = _about(info)
            found += [Point(dist, version, *point) for point in points]
    return found


def version_of(dist: str) -> str:
    """The version of an installed distribution; empty where there is none of this name."""
    if _only_folders():
        info = _infos().get(_key(dist))
        return "" if info is None else _about(info)[1]
    import importlib.metadata  # see above

    try:
        return importlib.metadata.version(dist) or ""
    except importlib.metadata.PackageNotFoundError:
        return ""


def distributions() -> list[str]:
    """Name and version of everything that is installed, in some order that stays."""
    if _only_folders():
        return sorted(info.name for info in _infos().values())
    import importlib.metadata  # see above

    return sorted(f"{one.name}-{one.version}" for one in importlib.metadata.distributions())


def _only_folders() -> bool:
    """Whether everything that is installed lies in folders on the path."""
    if any(hasattr(finder, "find_distributions") for finder in sys.meta_path if finder is not PathFinder):
        return False
    return not any(entry.endswith(".egg") or os.path.isfile(entry) for entry in sys.path)


def _infos() -> dict[str, Path]:
    """The folder that tells about each distribution, by the key of its name."""
    found: dict[str, Path] = {}
    for entry in sys.path:
        try:
            names = os.listdir(entry or ".")
        except OSError:  # a folder that is not there, or not ours to read
            continue
        for name in names:
            if name.endswith((".dist-info", ".egg-info")):
                found.setdefault(_key(name.rpartition(".")[0].partition("-")[0]), Path(entry, name))
    return found


def _key(name: str) -> str:
    """A distribution's name as its folder and its requirements may spell it: one for all spellings."""
    return re.sub(r"[-_.]+", "_", name).lower()


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):  # there are none, or nobody can read them
        return ""


def _points(text: str, groups: re.Pattern[str]) -> list[tuple[str, str, str]]:
    """Group, name and value of the entry points in a file, of the groups that are asked for."""
    found, group = [], ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            group = line.strip("[]")
        elif line and line[0] != "#" and groups.fullmatch(group):
            name, _, value = line.partition("=")
            found.append((group, name.strip(), value.strip()))
    return found


def _about(info: Path) -> tuple[str, str]:
    """Name and version of a distribution: headers of a file that ends with its description."""
    text = _text(info / "METADATA") or _text(info / "PKG-INFO")
    headers = dict(_headers(text))
    return headers.get("name") or info.name.partition("-")[0], headers.get("version", "")


def _headers(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        if not line.strip():
            return
        name, _, value = line.partition(":")
        yield name.lower(), value.strip()


def _by_importlib(groups: re.Pattern[str]) -> list[Point]:
    import importlib.metadata  # see above

    every = importlib.metadata.entry_points()
    return [
        Point(*_named(point), group, point.name, point.value)
        for group in every.groups
        if groups.fullmatch(group)
        for point in every.select(group=group)
    ]


def _named(point: Any) -> tuple[str, str]:
    """Name and version of the distribution of an entry point that ``importlib.metadata`` found."""
    try:
        return point.dist.name, point.dist.version or ""
    except (AttributeError, KeyError):  # no distribution, or one that says nothing of its version
        return point.dist.name if point.dist else point.value, ""
