"""Small distributions made for a test: real entry points, read by a fresh Python process."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import core.plugins

ROOT = Path(core.plugins.__file__).parent.parent


class Site:
    """A folder like site-packages."""

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, dist: str, *, version: str = "1.0", group: str = "core.v1", entry: str | None = None, **modules: str):
        """Install a distribution with these modules; its entry point names the first of them."""
        info = self.folder / f"{dist.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: {version}\n")
        module = next(iter(modules))
        entry = entry or dist.removeprefix("plugin-")
        groups = "".join(f"[{one}]\n{entry} = {module}\n" for one in group.split())
        (info / "entry_points.txt").write_text(groups)
        for name, text in modules.items():
            self.write(name, text)

    def write(self, module: str, text: str) -> None:
        (self.folder / f"{module}.py").write_text(textwrap.dedent(text))

    def python(self, *arguments: str, path=(), **env: str) -> subprocess.CompletedProcess:
        """Run a fresh Python that sees these distributions before all others."""
        folders = [self.folder, *path, ROOT]
        clean = {name: value for name, value in os.environ.items() if not name.startswith("CORE_")}
        return subprocess.run(
            [sys.executable, *arguments],
            env={**clean, "PYTHONPATH": os.pathsep.join(map(str, folders)), **env},
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )

    def run(self, code: str, **options) -> str:
        """What ``code`` prints."""
        done = self.python("-c", textwrap.dedent(code), **options)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def plugins(self, **options) -> dict[str, dict]:
        """What ``core plugins --json`` says, by distribution."""
        done = self.python("-m", "core", "plugins", "--json", **options)
        assert done.returncode == 0, done.stderr
        return {one["dist"]: one for one in json.loads(done.stdout)}


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path / "site")


@pytest.fixture
def registered():
    """Register plugins by hand, in this process; all of them are forgotten after the test."""
    core.plugins.reset()
    yield core.plugins.register
    core.plugins.reset()
