"""What README.md, docs/ and docstrings show is true: their Python blocks and examples run."""

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import core
from core.testing.pages import blocks_of, needs_of, run_page

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
PLUGIN_PAGES = sorted((ROOT / "plugins").glob("*/README.md"))
MODULES = sorted(
    found.name for found in pkgutil.walk_packages(core.__path__, "core.") if not found.name.endswith(".__main__")
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_blocks_of_a_page_run_in_order(page, tmp_path):
    for name in needs_of(page):
        pytest.importorskip(name, reason=f"{page.name} is about a plugin, whose environments run it")
    ran = run_page(page, tmp_path)
    assert ran or "```python" not in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PLUGIN_PAGES, ids=lambda page: page.parent.name)
def test_python_blocks_of_a_plugin_compile(page):
    """They run in the plugin's own tests, where what they need is installed."""
    for block in blocks_of(page):
        if block.language == "python":
            compile("\n" * block.line + block.text, str(page), "exec")


@pytest.mark.parametrize("page", [*PAGES, *PLUGIN_PAGES], ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_a_page_names_exist(page):
    named = re.findall(r"`((?:core|docs|tests|plugins)/[\w./-]*)`", page.read_text(encoding="utf-8"))
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_two_commands_of_the_readme_exist():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for command in ("run-demo", "run-tests"):
        assert f"    sh {command} " in text
        assert (ROOT / command).read_text(encoding="utf-8").startswith("#!/bin/sh\n")


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_are_right(name):
    module = importlib.import_module(name)
    assert doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE).failed == 0
