"""``core new-plugin``: its packs are clean, overwrite nothing, and build, install and pass their tests as they are."""

import os
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest

import core
from core import cli
from core.errors import ArgumentError
from core.new_plugin import KINDS, names_of, new_plugin

ROOT = Path(__file__).parents[1]


def run(*command, **options):
    """What a command prints; our own folders are kept off its path."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "CORE_"))}
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, env=environment, **options)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("name", ["my-word", "My_Word", "ops-my-word", "plugin-ops-my-word"])
def test_every_name_of_a_plugin_gives_all_the_others(name):
    names = names_of(name, "ops")
    assert (names.dist, names.entry, names.package) == ("plugin-ops-my-word", "ops-my-word", "plugin_ops_my_word")
    assert names.namespace == "my_word"


@pytest.mark.parametrize("name", ["", "3d", "a b", "class", "plugin-", "ä", "../x"])
def test_what_makes_no_package_name_is_refused(name):
    with pytest.raises(ArgumentError, match="a plugin cannot be called"):
        names_of(name, "ops")


def test_a_name_of_another_kind_and_an_unknown_kind_are_refused():
    with pytest.raises(
        ArgumentError, match="'plugin-backend-x' is the name of a plugin of kind backend, but the kind is"
    ):
        names_of("plugin-backend-x", "ops")
    with pytest.raises(ArgumentError, match="knows the kinds ops, backend, rewrites, not 'opps'. Did you mean 'ops'"):
        names_of("x", "opps")


@pytest.mark.parametrize("kind", KINDS)
def test_a_pack_says_who_it_is_and_has_what_a_pack_has(tmp_path, kind):
    folder = new_plugin("special", kind, tmp_path, author='Ada "A." Author')
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["name"] == folder.name == f"plugin-{kind}-special"
    assert project["authors"] == [{"name": 'Ada "A." Author'}]
    assert project["entry-points"] == {"core.v1": {f"{kind}-special": f"plugin_{kind}_special"}}
    major, minor, _ = core.__version__.split(".")
    assert f"core>={major}.{minor},<{major}.{int(minor) + 1}" in project["dependencies"]
    files = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}
    assert {"README.md", "tox.ini", ".gitignore", ".github/workflows/test.yml", "tests/test_plugin.py"} <= files
    for file in files:
        text = (folder / file).read_text()
        assert "{{" not in text.replace("${{ matrix.python }}", ""), file
        if file.endswith(".py"):
            compile(text, file, "exec")


@pytest.mark.parametrize("kind", KINDS)
def test_a_pack_is_clean_for_ruff(tmp_path, kind):
    pytest.importorskip("ruff", reason="the environment for lint has it")
    folder = new_plugin("special", kind, tmp_path)
    run(sys.executable, "-m", "ruff", "check", "--no-cache", ".", cwd=folder)
    run(sys.executable, "-m", "ruff", "format", "--no-cache", "--check", ".", cwd=folder)


def test_nothing_is_overwritten(tmp_path):
    folder = new_plugin("special", "ops", tmp_path)
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    with pytest.raises(ArgumentError, match="plugin-ops-special is there already, and new-plugin overwrites nothing"):
        new_plugin("special", "ops", tmp_path)
    assert {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()} == before
    (tmp_path / "plugin-ops-other").mkdir()
    assert new_plugin("other", "ops", tmp_path).is_dir()  # an empty folder is no loss


def test_the_command_writes_a_pack_and_says_what_to_do_next(tmp_path, capsys):
    assert cli.main(["new-plugin", "special", "--kind", "rewrites", "--path", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert f"wrote {tmp_path / 'plugin-rewrites-special'}" in said and "python -m pytest" in said
    assert cli.main(["new-plugin", "special", "--kind", "rewrites", "--path", str(tmp_path)]) == 1
    assert "overwrites nothing" in capsys.readouterr().err


@pytest.mark.slow
def test_packs_of_every_kind_build_install_without_an_index_and_pass_their_tests(tmp_path):
    """Wheels of core, the C backend and the packs in an environment that holds nothing else; nothing is published."""
    packs = [new_plugin("special", kind, tmp_path / "packs") for kind in KINDS]
    house = tmp_path / "wheelhouse"
    wheel = [sys.executable, "-m", "pip", "wheel", "--quiet", "--wheel-dir", house]
    run(*wheel, "--no-deps", ROOT, ROOT / "plugins" / "backend_c", *packs, cwd=tmp_path)
    built = {pack: next(house.glob(f"{pack.name.replace('-', '_')}-*.whl")) for pack in packs}
    needed = [f"{file}[test]" for file in built.values()]
    run(*wheel, "--find-links", house, *needed, cwd=tmp_path)

    python = tmp_path / "fresh" / "bin" / "python"
    venv.create(tmp_path / "fresh", with_pip=True)
    install = [python, "-m", "pip", "install", "--quiet", "--isolated", "--no-index", "--find-links", house]
    run(*install, *(f"{pack.name}[test]" for pack in packs), cwd=tmp_path)
    listed = run(python, "-m", "core", "plugins", cwd=tmp_path)
    for pack in packs:
        assert f"loaded {pack.name}" in " ".join(listed.split())
        said = run(python, "-P", "-m", "pytest", "-p", "no:cacheprovider", "-m", "not slow", cwd=pack)
        assert "core.testing: " in said and " passed" in said
