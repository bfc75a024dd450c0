"""The module that the installer builds: it is what would be built now, and nothing where that cannot be."""

import shutil
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest

import core
import core.tensor as ct
from plugin_backend_opencl import calls, ready

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the installer builds nothing elsewhere")
compiling = pytest.mark.skipif(
    not any(map(shutil.which, ("gcc", "clang", "cc"))) or not Path(sysconfig.get_path("include"), "Python.h").is_file(),
    reason="there is no C compiler, or Python.h is not installed",
)


@pytest.fixture
def anew(tmp_path, monkeypatch):
    """The module is looked for anew, in an empty folder."""
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(ready, "FOLDER", tmp_path / "ready")
    calls.module.cache_clear()
    yield tmp_path / "ready"
    calls.module.cache_clear()


@compiling
def test_what_the_installer_builds_is_taken(anew):
    made, problem = ready.build(anew, np.get_include())
    assert made is not None and problem == "" and list(anew.iterdir()) == [made]
    assert calls.module().__file__ == str(made)


@pytest.mark.parametrize("content", [None, b"no library"], ids=["nothing", "damaged"])
def test_where_there_is_none_python_queues(anew, content, space):
    if content is not None:
        anew.mkdir()
        (anew / ready._name()).write_bytes(content)
    assert calls.module() is None
    w, x = core.shared(np.zeros(3)), ct.vector("x")
    step = core.function([x], updates={w: w + x}, backend="opencl")
    for _ in range(4):
        step(np.ones(3))
    assert np.array_equal(w.get_value(), np.full(3, 4.0))


@compiling
def test_a_binary_of_another_text_is_not_taken(anew, monkeypatch):
    assert ready.build(anew, np.get_include())[0] == ready.module()
    monkeypatch.setattr(ready, "text", lambda: "int another;")
    assert ready.module() is None


@compiling
def test_where_the_loader_does_not_show_its_functions_python_queues(anew, monkeypatch):
    ready.build(anew, np.get_include())
    monkeypatch.setattr(calls, "FUNCTIONS", ("clNoSuchFunction",))
    calls.addresses.cache_clear()
    try:
        assert calls.module() is None
    finally:
        calls.addresses.cache_clear()


@compiling
def test_building_again_removes_what_an_older_text_left_but_not_another_pythons(anew):
    anew.mkdir()
    current = ready._name().partition(".")[0]
    others = ("calls-0.cpython-311-x86_64-linux-gnu.so", f"{current}.cpython-399-x86_64-linux-gnu.so")
    for name in others:
        (anew / name).write_bytes(b"")
    made, _ = ready.build(anew, np.get_include())
    assert {path.name for path in anew.iterdir()} == {made.name, others[1]}


def test_a_compiler_that_fails_leaves_nothing_and_says_why(anew, fake, monkeypatch):
    monkeypatch.setenv("CC", fake("cc", "echo 'cannot: no' >&2; exit 1"))
    made, problem = ready.build(anew, np.get_include())
    assert made is None and problem.endswith("cc: cannot: no") and list(anew.iterdir()) == []


def test_without_a_compiler_or_headers_nothing_is_built(anew, monkeypatch, tmp_path):
    assert ready.build(anew, None) == (None, "no headers of NumPy or Python")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert ready.build(anew, np.get_include()) == (None, "no C compiler")
    assert not anew.exists()
