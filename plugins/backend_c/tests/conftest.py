"""Stand-ins for compilers, scripts that refuse, fail, count, or hand over to the real one; a count of slow calls."""

import os
import shutil
import subprocess
import sys
import textwrap
import time
from collections import Counter
from pathlib import Path

import pytest

from core.options import config
from plugin_backend_c.executable import Executable

PATH = os.environ["PATH"]
REAL = shutil.which("gcc") or shutil.which("clang") or shutil.which("cc")


@pytest.fixture
def real():
    """The path of a compiler that works here."""
    assert REAL, "these tests need gcc, clang or cc"
    return REAL


@pytest.fixture
def fake(tmp_path, real):
    """Makes an executable script: ``fake("gcc", 'exec "$REAL" "$@"')``.

    ``$REAL`` is a real compiler, ``$FOLDER`` is where the script is.
    """

    def make(name, body, folder="bin"):
        place = tmp_path / folder
        place.mkdir(exist_ok=True)
        script = place / name
        script.write_text(f'#!/bin/sh\nPATH="{PATH}" REAL="{real}"\nFOLDER="{place}"\n{textwrap.dedent(body)}\n')
        script.chmod(0o755)
        return str(script)

    return make


@pytest.fixture
def wait():
    """Waits until something holds, as long as it takes on a busy machine: ``wait(condition)``."""

    def until(holds):
        for _ in range(12_000):
            if holds():
                return
            time.sleep(0.05)
        pytest.fail("it did not become true within ten minutes")

    return until


@pytest.fixture
def runs():
    """Whether there is a process of that number: ``runs(pid)``.  One that only waits for its parent does not run."""

    def is_there(pid):
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except (FileNotFoundError, ProcessLookupError):
            return False

    return is_there


@pytest.fixture
def cache(tmp_path):
    """An empty cache folder, set for this process."""
    place = tmp_path / "cache"
    with config.override(cache_dir=str(place)):
        yield place


@pytest.fixture
def python(tmp_path):
    """Runs a program in a new process: ``python(text, **environment)`` -> what it printed.

    Without the launcher, which would be built for each of them.
    """

    def start(text, **environment):
        variables = {"CORE_CACHE_DIR": str(tmp_path / "cache"), "CORE_C_LAUNCHER": "0", **os.environ, **environment}
        return subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(text)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env={name: value for name, value in variables.items() if value is not None},
        )

    def run(text, **environment):
        process = start(text, **environment)
        out, err = process.communicate(timeout=600)
        assert process.returncode == 0, err
        return out

    run.start = start
    return run


@pytest.fixture
def slow(monkeypatch):
    """Counts what goes through Python."""
    counts = Counter()
    plain = Executable.__call__

    def counted(self, arrays):
        counts["calls"] += 1
        return plain(self, arrays)

    monkeypatch.setattr(Executable, "__call__", counted)
    return counts
