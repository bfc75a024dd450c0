"""Distributions made for a test, as tests/plugins makes them, and pytest in a process of its own."""

import json
import subprocess
import sys

import pytest

from core.testing.sites import Site


class Checked(Site):
    def check_plugin(self, name):
        """The result of check_plugin in a fresh process that sees these distributions, as data."""
        code = f"from core.testing import check_plugin; print(check_plugin({name!r}, raising=False).to_json())"
        return json.loads(self.run(code))


@pytest.fixture
def site(tmp_path):
    return Checked(tmp_path / "site")


@pytest.fixture
def run_pytest(tmp_path):
    """``run_pytest(arguments, file=text, ...)``: what pytest prints about a suite of these files."""

    def run(*arguments, status=0, **files):
        for name, text in files.items():
            (tmp_path / f"{name}.py").write_text(text)
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout

    return run
