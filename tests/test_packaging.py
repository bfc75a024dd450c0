"""What the packages say of themselves, and that their wheels can be installed without an index."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest

import core

ROOT = Path(__file__).parents[1]
PLUGINS = sorted((ROOT / "plugins").glob("*/pyproject.toml"))


def project_of(path):
    return tomllib.loads(path.read_text(encoding="utf-8"))["project"]


def names_of(requirements):
    return sorted(re.match(r"[\w.-]+", one)[0].lower() for one in requirements)


def run(*command, **options):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, env=environment, **options)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_core_depends_on_numpy_and_pluggy_alone():
    project = project_of(ROOT / "pyproject.toml")
    assert names_of(project["dependencies"]) == ["numpy", "pluggy"]
    assert project["name"] == "core" and project["requires-python"] == ">=3.11"


def test_the_version_is_the_same_everywhere():
    version = project_of(ROOT / "pyproject.toml")["version"]
    assert core.__version__ == version
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_core_is_typed():
    assert (Path(core.__file__).parent / "py.typed").is_file()


@pytest.mark.parametrize("path", PLUGINS, ids=lambda path: path.parent.name)
def test_a_plugin_is_named_as_all_plugins_are(path):
    project, folder = project_of(path), path.parent.name
    entry = folder.replace("_", "-")
    assert project["name"] == f"plugin-{entry}"
    assert project["entry-points"] == {"core.v1": {entry: f"plugin_{folder}"}}
    assert (path.parent / f"plugin_{folder}" / "__init__.py").is_file()
    assert (path.parent / "README.md").is_file()


@pytest.mark.parametrize("path", [ROOT / "pyproject.toml", *PLUGINS], ids=lambda path: path.parent.name)
def test_no_requirement_is_a_file_or_an_address(path):
    project = project_of(path)
    lists = [project["dependencies"], *project.get("optional-dependencies", {}).values()]
    assert [one for requirements in lists for one in requirements if "@" in one or "/" in one] == []


@pytest.mark.parametrize("path", PLUGINS, ids=lambda path: path.parent.name)
def test_a_plugin_allows_one_minor_version_of_core(path):
    major, minor, _ = core.__version__.split(".")
    assert f"core>={major}.{minor},<{major}.{int(minor) + 1}" in project_of(path)["dependencies"]


def test_the_oldest_dependencies_are_those_that_are_tested_with():
    """scripts/lowest.txt, by which ``tox -e lowest`` installs, names the floor of each requirement."""
    lines = (ROOT / "scripts" / "lowest.txt").read_text(encoding="utf-8").splitlines()
    tested = dict(line.split("==") for line in lines if not line.startswith("#"))
    wanted = {}
    for path in (
        ROOT / "pyproject.toml",
        ROOT / "plugins/backend_c/pyproject.toml",
        ROOT / "plugins/ops_linalg/pyproject.toml",
    ):
        project = project_of(path)
        for one in [*project["dependencies"], *project.get("optional-dependencies", {}).get("test", [])]:
            name, floor = re.match(r"([\w.-]+)>=([\d.]+)", one).groups()
            wanted.setdefault(name, set()).add(floor)
    wanted.pop("core")
    assert sorted(tested) == sorted(wanted)
    for name, floors in wanted.items():
        floor = max(floors, key=lambda one: [int(part) for part in one.split(".")])
        assert f"{tested[name]}.".startswith(f"{floor}."), name


@pytest.mark.slow
def test_wheels_install_from_a_wheelhouse_without_an_index(tmp_path):
    """Wheels of everything, then a fresh environment that sees nothing else; run from a folder without a checkout."""
    house = tmp_path / "wheelhouse"
    folders = [ROOT, *(path.parent for path in PLUGINS)]
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", house, *folders, cwd=tmp_path)
    built = sorted(wheel.name.partition("-")[0] for wheel in house.glob("*.whl"))
    assert built == sorted(["core", *(project_of(path)["name"].replace("-", "_") for path in PLUGINS)])
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--wheel-dir", house, *house.glob("*.whl"), cwd=tmp_path)

    python = tmp_path / "fresh" / "bin" / "python"
    venv.create(tmp_path / "fresh", with_pip=True)
    install = [python, "-m", "pip", "install", "--quiet", "--isolated", "--no-index", "--find-links", house]
    run(*install, "core", cwd=tmp_path)
    program = "import core, core.tensor as ct; x = ct.vector('x'); print(core.function([x], x + 1)([1.0])[0])"
    assert run(python, "-W", "ignore", "-c", program, cwd=tmp_path).strip() == "2.0"

    run(*install, *(project_of(path)["name"] for path in PLUGINS), cwd=tmp_path)
    listed = run(python, "-m", "core", "plugins", cwd=tmp_path)
    for path in PLUGINS:
        assert re.search(rf"^loaded +{project_of(path)['name']} ", listed, re.MULTILINE)
    if sys.platform == "linux" and shutil.which("gcc"):  # what the installer built
        program = "from plugin_backend_c import ready; print(ready.launcher().parent == ready.FOLDER)"
        assert run(python, "-c", program, cwd=tmp_path).strip() == "True"
