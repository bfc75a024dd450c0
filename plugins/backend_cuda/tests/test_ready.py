"""The module that the installer builds is the one that is taken; where there is none Python queues."""

import shutil
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest

import core
import core.tensor as ct
from core.device.opened import Opened
from core.device.space import Space
from plugin_backend_cuda import calls, ready

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


@compiling
def test_the_copy_in_a_wheel_comes_before_the_source_tree(anew, monkeypatch, tmp_path):
    copy = tmp_path / "shared"
    shutil.copytree(ready.shared(), copy)
    (copy / "call.h").write_text((copy / "call.h").read_text() + "/* another */\n")
    ready.build(anew, np.get_include())
    monkeypatch.setattr(ready, "COPY", copy)
    assert ready.shared() == copy and ready.module() is None


@pytest.mark.parametrize("content", [None, b"no library"], ids=["nothing", "damaged"])
def test_where_there_is_none_python_queues(anew, content, device):
    if content is not None:
        anew.mkdir()
        (anew / ready._name()).write_bytes(content)
    assert calls.module() is None
    w, x = core.shared(np.zeros(3)), ct.vector("x")
    step = core.function([x], updates={w: w + x}, backend=Opened("cuda", Space(device)))
    for _ in range(4):
        step(np.ones(3))
    assert np.array_equal(w.get_value(), np.full(3, 4.0))
