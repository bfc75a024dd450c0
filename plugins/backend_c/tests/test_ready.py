"""Libraries that the installer builds: they are what would be built here, and are left alone where they do not fit."""

import platform
import sys

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import core
import core.tensor as ct
from core.testing import random
from plugin_backend_c import compiler, launcher, products, ready

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the installer builds nothing elsewhere")
V = np.linspace(-1, 1, 7)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder as the installer leaves it."""
    folder = tmp_path_factory.mktemp("ready") / "ready"
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("CC", raising=False)
        made, problems = ready.build(folder, np.get_include())
    assert not problems and sorted(made) == sorted(folder.iterdir())
    return folder


@pytest.fixture
def installed(built, monkeypatch):
    """What is looked for is looked for anew, in that folder."""
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(ready, "FOLDER", built)
    for known in (launcher._module, products._library):
        known.cache_clear()
    yield built
    for known in (launcher._module, products._library):
        known.cache_clear()


@pytest.fixture
def nothing_built(monkeypatch):
    """Building a library here is an error."""
    monkeypatch.setattr(launcher, "_built_here", lambda *_: pytest.fail("built here"))
    monkeypatch.setattr(products.libraries, "load", lambda *_: pytest.fail("built here"))


def test_the_launcher_of_the_installer_is_used(installed, nothing_built):
    found = compiler.find()[0]
    assert launcher.module(found).__file__ == str(ready.launcher())
    assert ready.launcher().parent == installed


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="levels are those of x86-64")
@pytest.mark.parametrize("dtype", ready.LETTERS)
def test_products_of_the_installer_have_the_bits_of_those_that_are_built_here(installed, dtype, monkeypatch, cache):
    if ready.products(dtype) is None:
        pytest.skip("this processor is older than all levels")
    x, y = ct.matrix("x", dtype=dtype), ct.matrix("y", dtype=dtype)
    calls = [core.function([x, y], x @ y, backend="c")]
    products._library.cache_clear()
    monkeypatch.setattr(products, "_from_installer", lambda dtype: None)
    calls.append(core.function([x, y], x @ y, backend="c"))
    for m, k, n in [(1, 1, 1), (3, 5, 7), (33, 70, 17), (1, 90, 200), (200, 90, 1), (4, 0, 3), (0, 3, 2)]:
        a, b = random((m, k), dtype), random((k, n), dtype)
        assert_array_equal(calls[0](a, b), calls[1](a, b))


@pytest.mark.parametrize(
    "flags, level",
    [
        ("fpu sse sse2 avx", None),
        ("avx avx2 fma bmi1 bmi2 f16c movbe", "x86-64-v3"),
        ("avx avx2 fma bmi1 bmi2 f16c movbe avx512f avx512vl", "x86-64-v3"),
        ("avx2 fma bmi1 bmi2 f16c movbe avx512f avx512bw avx512cd avx512dq avx512vl", "x86-64-v4"),
    ],
)
def test_a_level_is_taken_where_the_processor_has_all_of_it(flags, level):
    assert ready.level_of(flags.split()) == level


def test_where_a_compiler_is_asked_for_nothing_of_the_installer_is_used(installed, monkeypatch):
    monkeypatch.setenv("CC", "gcc")
    assert ready.launcher() is None and ready.products("float64") is None


def test_a_binary_of_another_text_is_not_taken(installed, monkeypatch):
    monkeypatch.setattr(ready, "launcher_text", lambda: "int another;")
    assert ready.launcher() is None


def test_what_cannot_be_loaded_is_built_here(built, installed, monkeypatch, tmp_path, cache):
    for path in built.iterdir():
        (tmp_path / path.name).write_bytes(b"no library")
    monkeypatch.setattr(ready, "FOLDER", tmp_path)
    x = ct.matrix("x")
    f = core.function([x], x @ x, backend="c")
    assert_array_equal(f(np.eye(3)), np.eye(3))
    assert launcher.module(compiler.find()[0]).__file__.startswith(str(cache))


def test_building_again_removes_what_an_older_text_left_but_not_another_pythons(built, tmp_path, monkeypatch):
    monkeypatch.setattr(ready, "_LEVELS", {})
    monkeypatch.setenv("CC", "true")  # as if it compiled
    current = ready._launcher_name().partition(".")[0]
    for name in ("launcher-0.cpython-311-x86_64-linux-gnu.so", f"{current}.cpython-399-x86_64-linux-gnu.so"):
        (tmp_path / name).write_bytes(b"")
    monkeypatch.setattr(ready.os, "replace", lambda old, new: None)
    ready.build(tmp_path, np.get_include())
    assert [path.name for path in tmp_path.iterdir()] == [f"{current}.cpython-399-x86_64-linux-gnu.so"]


def test_a_compiler_that_fails_leaves_nothing_and_says_why(tmp_path, fake, monkeypatch):
    monkeypatch.setenv("CC", fake("cc", "echo 'cannot: no' >&2; exit 1"))
    made, problems = ready.build(tmp_path / "ready", np.get_include())
    assert made == [] and problems and all(problem.endswith(".so: cannot: no") for problem in problems)
    assert list((tmp_path / "ready").iterdir()) == []


def test_without_a_compiler_the_installer_builds_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    assert ready.build(tmp_path / "ready", np.get_include()) == ([], ["no C compiler"])


def test_without_headers_of_numpy_the_launcher_is_left(tmp_path, fake, monkeypatch):
    monkeypatch.setenv("CC", fake("cc", "exit 1"))
    _, problems = ready.build(tmp_path / "ready", None)
    assert not any(problem.startswith("launcher") for problem in problems)


def test_the_installer_and_the_compiler_here_mean_the_same_by_numbers():
    """What decides how products round is said twice: the installer cannot import this package."""
    said = {flag for flag in ready._PRODUCTS if flag.startswith("-f") and "contract" not in flag}
    assert said <= set(compiler.find()[0].compiling("", ""))
