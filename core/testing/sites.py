"""Distributions for a test: tiny wheels, written and unpacked in a folder, and a fresh Python that sees them."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core import plugins

ROOT = Path(plugins.__file__).parent.parent  # where this core is imported from


def write_wheel(
    folder: Path,
    dist: str,
    *,
    version: str = "1.0",
    requires: Sequence[str] = (),
    groups: dict[str, dict[str, str]] | None = None,
    modules: dict[str, str],
) -> Path:
    """A wheel of these modules (file without ".py" -> text) with entry points (group -> name -> object)."""
    name = dist.replace("-", "_")
    info = f"{name}-{version}.dist-info"
    needs = "".join(f"Requires-Dist: {one}\n" for one in requires)
    points = "".join(
        f"[{group}]\n" + "".join(f"{entry} = {target}\n" for entry, target in entries.items())
        for group, entries in (groups or {}).items()
    )
    files = {f"{module}.py": textwrap.dedent(text) for module, text in modules.items()}
    files |= {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {dist}\nVersion: {version}\n{needs}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: core.testing\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": points,
    }
    files[f"{info}/RECORD"] = (
        "".join(f"{path},{_digest(text)}\n" for path, text in files.items()) + f"{info}/RECORD,,\n"
    )
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return wheel


def _digest(text: str) -> str:
    data = text.encode()
    value = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"sha256={value},{len(data)}"


class Site:
    """A folder like site-packages."""

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def add(
        self,
        dist: str,
        *,
        version: str = "1.0",
        group: str = "core.v1",
        entry: str | None = None,
        requires: Sequence[str] = (),
        **modules: str,
    ) -> None:
        """Install a distribution with these modules; its entry point, in each group named, is the first of them.

        A module is named as its file is, without ".py": ``**{"package/__init__": "", "package/module": "x = 1"}``.
        """
        entry = entry or dist.removeprefix("plugin-")
        target = next(iter(modules)).removesuffix("/__init__").replace("/", ".")
        groups = {one: {entry: target} for one in group.split()}
        wheel = write_wheel(
            self.folder.parent / f"{self.folder.name}-wheels",
            dist,
            version=version,
            requires=requires,
            groups=groups,
            modules=modules,
        )
        with zipfile.ZipFile(wheel) as archive:  # all that installing a wheel of pure Python is
            archive.extractall(self.folder)

    def write(self, module: str, text: str) -> None:
        (self.folder / f"{module}.py").write_text(textwrap.dedent(text))

    def python(self, *arguments: str, path: Sequence[Any] = (), **env: str) -> subprocess.CompletedProcess:
        """Run a fresh Python that sees these distributions before all others."""
        folders = [self.folder, *path, ROOT]
        own = {name: value for name, value in os.environ.items() if not name.startswith("CORE_")}
        own["PYTHONPATH"] = os.pathsep.join(map(str, folders))
        own["PYTHONDONTWRITEBYTECODE"] = "1"  # of a module that is written again in the same second, it counts as new
        return subprocess.run(
            [sys.executable, *arguments],
            env={**own, **env},
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )

    def run(self, code: str, **options: Any) -> str:
        """What ``code`` prints.  Errors: AssertionError with what it wrote to stderr when it fails."""
        done = self.python("-c", textwrap.dedent(code), **options)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def plugins(self, **options: Any) -> dict[str, dict]:
        """What ``core plugins --json`` says, by distribution."""
        done = self.python("-m", "core", "plugins", "--json", **options)
        assert done.returncode == 0, done.stderr
        return {one["dist"]: one for one in json.loads(done.stdout)}
