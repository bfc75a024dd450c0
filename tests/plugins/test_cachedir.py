"""The folder of compiled code: where it is, and that nothing else is ever removed."""

import os
import time
from pathlib import Path

import pytest

from core import cachedir
from core.errors import OptionError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("CORE_CACHE_DIR", str(tmp_path / "kept"))
    return tmp_path / "kept"


def filled(names=("a.c", "b.so")):
    inside = cachedir.subfolder("c")
    for name in names:
        (inside / name).write_text("x" * 500)
    return inside


def test_the_option_says_where_the_folder_is(folder):
    assert cachedir.path() == folder
    assert not folder.exists()


def test_a_tilde_stands_for_the_home_folder(monkeypatch):
    monkeypatch.setenv("CORE_CACHE_DIR", "~/kept")
    assert cachedir.path() == Path.home() / "kept"


@pytest.mark.parametrize(
    "platform, variable, value, expected",
    [
        ("linux", "XDG_CACHE_HOME", "/somewhere", "/somewhere/core"),
        ("linux", "XDG_CACHE_HOME", "", f"{Path.home()}/.cache/core"),
        ("darwin", "XDG_CACHE_HOME", "", f"{Path.home()}/Library/Caches/core"),
        ("win32", "LOCALAPPDATA", "/local", "/local/core"),
    ],
)
def test_without_the_option_it_is_where_the_platform_keeps_such_things(
    monkeypatch, platform, variable, value, expected
):
    monkeypatch.delenv("CORE_CACHE_DIR", raising=False)
    monkeypatch.setattr(cachedir.sys, "platform", platform)
    monkeypatch.setenv(variable, value)
    assert cachedir.path() == Path(expected)


def test_a_subfolder_is_made_and_the_folder_is_tagged(folder):
    assert cachedir.subfolder("c") == cachedir.subfolder("c") == folder / "c"
    assert (folder / "CACHEDIR.TAG").read_text().startswith("Signature: 8a477f597d28d172789f06886806bc55\n")


def test_a_folder_that_cannot_be_made_is_said(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CORE_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(
        OptionError, match=r"compiled code cannot be kept in .*file: .*; set CORE_CACHE_DIR to a folder"
    ):
        cachedir.subfolder("c")


def test_files_come_with_the_one_not_used_for_longest_first(folder):
    inside = filled()
    os.utime(inside / "b.so", (1, 1))
    assert [file.name for file in cachedir.files()] == ["b.so", "a.c"]
    assert cachedir.size_bytes() == 1000


def test_an_absent_folder_is_an_empty_one(folder):
    assert (cachedir.files(), cachedir.size_bytes(), cachedir.clear(), cachedir.purge(0)) == ([], 0, 0, 0)


def test_a_file_that_another_process_removed_was_last_used_long_ago(folder):
    assert cachedir.last_use(folder / "gone") == 0


def test_clear_removes_everything_but_the_tag(folder):
    filled()
    (folder / "loose").write_text("x")
    assert cachedir.clear() == 3
    assert [one.name for one in folder.iterdir()] == ["CACHEDIR.TAG"]


def test_purge_removes_what_was_not_used_for_some_days(folder):
    inside = filled()
    old = time.time() - 5 * 86400
    os.utime(inside / "b.so", (old, old))
    assert cachedir.purge(days=6) == 0
    assert cachedir.purge(days=4) == 1
    assert [file.name for file in cachedir.files()] == ["a.c"]


@pytest.mark.parametrize("empty", [cachedir.clear, lambda: cachedir.purge(0)])
def test_a_folder_with_somebody_elses_files_is_never_emptied(folder, empty):
    folder.mkdir()
    (folder / "thesis.txt").write_text("years of work")
    cachedir.subfolder("c")
    with pytest.raises(OptionError, match=r"kept has no CACHEDIR\.TAG, so core did not make it and will not empty it"):
        empty()
    assert (folder / "thesis.txt").exists()


def test_a_file_that_is_gone_has_no_size(tmp_path):
    (tmp_path / "one").write_bytes(b"four")
    assert [cachedir.size_of(tmp_path / name) for name in ("one", "gone")] == [4, 0]
