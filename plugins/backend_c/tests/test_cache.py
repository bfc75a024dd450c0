"""Compiled libraries on disk: built once, whole or not at all, whatever happens to the folder."""

import os
import re
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

import core
import core.tensor as ct
from core.errors import CompileError
from core.ir.clike.ccalls import Needs
from core.ir.clike.routine import HAS_LOOPS
from core.options import config
from plugin_backend_c import cache as libraries
from plugin_backend_c import compiler, folder
from plugin_backend_c.compiler import Compiler

COUNT = 'case "$*" in *trial*|*--version*) ;; *) echo run >> "$FOLDER/log";; esac\nexec "$REAL" "$@"'
USE = """
import numpy as np, core, core.tensor as ct
x = ct.dvector("x")
f = core.function([x], ct.exp(x) + 1, backend="c")
np.testing.assert_allclose(f(np.arange(5.0)), np.exp(np.arange(5.0)) + 1)
print("fine")
"""


@pytest.fixture(autouse=True)
def without_launcher():
    """Nothing but the functions themselves is built."""
    with config.override({"c.launcher": False}):
        yield


def runs(tmp_path):
    log = tmp_path / "bin" / "log"
    return log.read_text().count("run") if log.exists() else 0


def doubled(factor=2.0):
    x = ct.dvector("x")
    return core.function([x], x * factor, backend="c")


def made(place, ending=".so"):
    return sorted(place.rglob(f"*{ending}"))


def test_a_second_process_compiles_nothing(python, fake, tmp_path):
    mine = fake("mine", COUNT)
    assert python(USE, CC=mine) == "fine\n" and runs(tmp_path) == 1
    assert python(USE, CC=mine) == "fine\n" and runs(tmp_path) == 1


def test_the_same_graph_is_compiled_once_in_a_process(cache, fake, monkeypatch, tmp_path):
    monkeypatch.setenv("CC", fake("mine", COUNT))
    for _ in range(3):
        assert doubled()(np.ones(2)).tolist() == [2, 2]
    assert runs(tmp_path) == 1


def test_names_are_made_from_content(cache):
    doubled()
    first = made(cache)
    doubled()
    assert made(cache) == first
    doubled(3.0)
    assert len(made(cache)) == len(first) + 1
    assert all(re.fullmatch(r"[0-9a-f]{40}\.so", one.name) and one.with_suffix(".c").exists() for one in made(cache))


def test_sources_name_the_file_that_is_kept(cache):
    ((name, text),) = doubled().sources.items()
    assert (cache / "c" / name).read_text() == text


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: b"",
        lambda content: content[: len(content) // 2],
        lambda content: content[:5000] + bytes(255 - byte for byte in content[5000:5200]) + content[5200:],
    ],
    ids=["empty", "half", "a hole"],
)
def test_a_spoilt_library_is_built_anew(python, fake, tmp_path, spoil):
    mine = fake("mine", COUNT)
    python(USE, CC=mine)
    (library,) = made(tmp_path / "cache")
    library.write_bytes(spoil(library.read_bytes()))
    assert python(USE, CC=mine) == "fine\n" and runs(tmp_path) == 2
    assert python(USE, CC=mine) == "fine\n" and runs(tmp_path) == 2


def test_a_library_that_cannot_be_loaded_is_built_anew(cache, monkeypatch):
    real, opened = libraries.opened, []

    def refuses_first(binary):
        opened.append(binary)
        if len(opened) == 2:
            raise OSError("wrong system")
        return real(binary)

    monkeypatch.setattr(libraries, "opened", refuses_first)
    assert doubled()(np.ones(1)) == 2 and len(opened) == 1
    assert doubled()(np.ones(1)) == 2 and len(opened) == 3
    assert len(set(opened)) == 1


def test_a_library_that_can_nowhere_be_loaded_is_a_compile_error(cache, monkeypatch):
    def refuses(binary):
        raise OSError("failed to map segment: Operation not permitted")

    monkeypatch.setattr(libraries, "opened", refuses)
    with pytest.raises(CompileError, match=r"could not build [0-9a-f]{40}\.c: failed to map segment"):
        doubled()


# --- folders that do not serve ----------------------------------------------------------------------------------------


def test_a_cache_that_cannot_be_made_is_replaced_by_a_temporary_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with config.override(cache_dir=str(tmp_path / "file" / "cache")):
        assert doubled(5.0)(np.ones(1)) == 5
        assert made(folder.temporary())


def test_a_cache_that_cannot_be_written_is_replaced_by_a_temporary_folder(cache, monkeypatch):
    (cache / "c").mkdir(parents=True)
    _refuse_writing(monkeypatch, cache)
    before = made(folder.temporary())
    assert doubled(7.0)(np.ones(1)) == 7
    assert not made(cache) and len(made(folder.temporary())) == len(before) + 1


def test_a_cache_that_cannot_be_written_is_still_read(cache, monkeypatch):
    doubled(9.0)
    before = made(folder.temporary())
    _refuse_writing(monkeypatch, cache)
    assert doubled(9.0)(np.ones(1)) == 9 and made(folder.temporary()) == before


def _refuse_writing(monkeypatch, cache):
    real = tempfile.mkdtemp

    def mkdtemp(suffix=None, prefix=None, dir=None):
        if str(dir).startswith(str(cache)):
            raise PermissionError(13, "Permission denied", str(dir))
        return real(suffix, prefix, dir)

    monkeypatch.setattr(tempfile, "mkdtemp", mkdtemp)


@pytest.mark.parametrize("module, call", [(os, "replace"), (Path, "write_text")], ids=["replace", "write"])
def test_a_full_disk_leaves_nothing_behind_and_a_temporary_folder_serves(cache, monkeypatch, module, call):
    compiler.find()
    real = getattr(module, call)

    def full(first, *rest, **named):
        if str(first).startswith(str(cache)):
            raise OSError(28, "No space left on device")
        return real(first, *rest, **named)

    monkeypatch.setattr(module, call, full)
    assert doubled(11.0)(np.ones(1)) == 11
    assert not [one for one in cache.rglob("*") if one.suffix in (".c", ".o", ".so")]


def test_a_compiler_that_runs_out_of_disk_is_given_a_temporary_folder(cache, fake, monkeypatch):
    full = 'case "$*" in *--version*|*trial*) ;; *"%s"*) echo "ld: final link failed: No space left" >&2; exit 1;; esac'
    monkeypatch.setenv("CC", fake("mine", full % cache + '\nexec "$REAL" "$@"'))
    before = made(folder.temporary())
    assert doubled(13.0)(np.ones(1)) == 13
    assert len(made(folder.temporary())) == len(before) + 1 and not made(cache) and not made(cache, ".c")


def test_a_compiler_that_always_fails_is_quoted(cache, fake, monkeypatch):
    fails = 'case "$*" in *--version*|*trial*) exec "$REAL" "$@";; *) echo "ld: nothing works" >&2; exit 1;; esac'
    monkeypatch.setenv("CC", fake("mine", fails))
    with pytest.raises(CompileError, match=r"could not build [0-9a-f]{40}\.c: ld: nothing works"):
        doubled()


def test_a_limit_on_file_size_is_survived(python):  # what a full disk does to the compiler and to us
    said = python(
        """
        import resource, signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        import core, core.tensor as ct
        from core.errors import CompileError
        from plugin_backend_c import compiler
        compiler.find()
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
        try:
            core.function([], ct.arange(3) * 2.5, backend="c")
        except CompileError as error:
            print(error)
        """
    )
    assert "could not build" in said


@pytest.mark.parametrize("place", ["a folder", "Ordner für Köln", "日本", 'it\'s "quoted" $HOME %s'])
def test_folders_may_have_any_name(python, tmp_path, place):
    assert python(USE, CORE_CACHE_DIR=str(tmp_path / place)) == "fine\n"
    assert made(tmp_path / place)


def test_an_unwritable_home_is_no_obstacle(python, tmp_path):
    (tmp_path / "home").write_text("not a folder")
    assert python(USE, HOME=str(tmp_path / "home"), CORE_CACHE_DIR=None, XDG_CACHE_HOME=None) == "fine\n"


# --- several at once --------------------------------------------------------------------------------------------------


def test_two_processes_may_build_the_same_program_at_once(python, fake, tmp_path):
    meet = """
    case "$*" in *trial*|*--version*) exec "$REAL" "$@";; esac
    echo run >> "$FOLDER/log"
    tries=0
    until [ "$(wc -l < "$FOLDER/log")" -ge 2 ] || [ $tries = 6000 ]; do tries=$((tries + 1)); sleep 0.05; done
    exec "$REAL" "$@"
    """
    mine = fake("mine", meet)
    processes = [python.start(USE, CC=mine) for _ in range(3)]
    for process in processes:
        out, err = process.communicate(timeout=600)
        assert out == "fine\n", err
    assert runs(tmp_path) >= 2  # they did meet
    assert len(made(tmp_path / "cache")) == 1
    assert python(USE, CC=mine) == "fine\n"


@pytest.mark.parametrize("how", ["kill", "send_signal"])
def test_a_process_that_is_stopped_while_it_compiles_leaves_no_half_library(python, fake, tmp_path, how):
    hang = """
    case "$*" in *trial*|*--version*) exec "$REAL" "$@";; esac
    [ -e "$FOLDER/log" ] && exec "$REAL" "$@"
    for last; do case "$before" in -o) echo half > "$last";; esac; before="$last"; done
    echo run >> "$FOLDER/log"
    sleep 600
    """
    mine = fake("mine", hang)
    listens = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # which a shell may forbid
    process = python.start(listens + USE, CC=mine)
    while not runs(tmp_path):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)
    process.kill() if how == "kill" else process.send_signal(2)
    process.communicate(timeout=600)
    assert process.returncode != 0
    assert not [one for one in made(tmp_path / "cache") if len(one.stem) == 40]
    if how == "send_signal":  # an interrupt also takes its unfinished files away
        assert not made(tmp_path / "cache") and not made(tmp_path / "cache", ".c")
    assert python(USE, CC=mine) == "fine\n"


def test_what_a_killed_process_left_is_swept_when_it_is_old(cache):
    doubled(15.0)
    base = cache / "c" / "unfinished"
    assert not any(base.iterdir())
    for name, age_s in (("old", 7200), ("new", 60)):
        (base / name).mkdir()
        (base / name / "half.so").write_bytes(b"half")
        os.utime(base / name, (time.time() - age_s,) * 2)
    doubled(17.0)
    assert [one.name for one in base.iterdir()] == ["new"]


def test_a_compiler_that_is_killed_is_said_so_and_leaves_nothing(cache, fake, monkeypatch):
    killed = 'case "$*" in *trial*|*--version*) exec "$REAL" "$@";; *) kill -9 $$;; esac'
    monkeypatch.setenv("CC", fake("mine", killed))
    with pytest.raises(CompileError, match=r"could not build [0-9a-f]{40}\.c: killed by signal 9"):
        doubled()
    assert not [one for one in cache.rglob("*") if one.suffix in (".c", ".o", ".so")]


def test_machines_with_other_processors_may_share_a_folder(cache, monkeypatch):
    doubled()
    (mine,) = made(cache)
    monkeypatch.setattr(compiler, "processor", lambda: "x86_64 without AVX2")
    assert doubled()(np.ones(1)) == 2
    assert len(made(cache)) == 2 and mine in made(cache)
    monkeypatch.undo()
    before = mine.stat().st_mtime_ns
    assert doubled()(np.ones(1)) == 2 and len(made(cache)) == 2 and mine.stat().st_mtime_ns == before


# --- text that a compiler refuses -------------------------------------------------------------------------------------


WRONG = """\
/* x: exp  at model.py:3 */
static void k0(double *x)
{
    x[0] = core_no_such_thing(x[1]);
}
"""


def refused(text):
    found, _ = compiler.find()
    with pytest.raises(CompileError) as caught:
        libraries.load([text], found)
    return caught.value


def test_an_error_of_the_compiler_is_told_in_three_lines(cache):
    error = refused(WRONG)
    first, second, third = str(error).splitlines()
    assert re.search(r"refused generated code: implicit declaration of function .core_no_such_thing.", first)
    assert re.fullmatch(r"  /.*/[0-9a-f]{40}\.c:4: x\[0\] = core_no_such_thing\(x\[1\]\);", second)
    assert third == "  in the loops of x: exp  at model.py:3"


def test_refused_source_is_kept_and_named(cache):
    error = refused(WRONG)
    (kept,) = made(cache, ".c")
    assert kept.read_text() == WRONG == error.source_code
    assert f"{kept}:4" in str(error) and str(kept) in error.log
    assert not made(cache)


def test_an_error_outside_all_kernels_is_one_of_the_entry_function(cache):
    error = refused("int32_t run(void);\n")
    assert "in the loops of the entry function" in str(error)
    assert ":1: int32_t run(void);" in str(error)


def test_a_complaint_without_a_line_is_quoted_as_it_is(cache, fake):
    mine = fake("mine", 'for one; do case "$one" in *.c) echo "$one: is not to my taste" >&2; exit 1;; esac; done')
    with pytest.raises(
        CompileError, match=r"mine 1 refused generated code: .*is not to my taste\n.*:0: \(no line given"
    ):
        libraries.load([WRONG], Compiler((mine,), "mine 1"))


def test_an_error_in_the_second_unit_names_its_file_and_keeps_both(cache):
    found, _ = compiler.find()
    with pytest.raises(CompileError) as caught:
        libraries.load(["int run(void) { return 0; }\n", WRONG], found)
    assert re.search(r"/[0-9a-f]{40}_2\.c:4: x\[0\] = core_no_such_thing", str(caught.value))
    assert {one.name[40:] for one in made(cache, ".c")} == {".c", "_2.c"}
    assert not made(cache) and not made(cache, ".o")


def _levels(fake, tmp_path, sources, needs=None):
    """At which level of optimisation each of some units is compiled."""
    noted = fake("noted", 'echo "$@" >> "$FOLDER/words"\nexec "$REAL" "$@"')
    found = Compiler((noted,), "noted 1", ("-O3",))
    libraries.load(sources, found if needs is None else found.serving(needs))
    words = [line.split() for line in (tmp_path / "bin" / "words").read_text().splitlines()]
    commands = sorted((line for line in words if "-c" in line), key=lambda line: line[line.index("-c") + 1])
    return [[word for word in line if word.startswith("-O")] for line in commands]


def test_only_what_has_no_loops_is_compiled_in_less_time(cache, fake, tmp_path):
    several = [f"int core_{name}(void) {{ return 0; }}\n" for name in ("run", "one", "two")]
    assert _levels(fake, tmp_path, several) == [["-Og"], ["-O3"], ["-O3"]]


def test_routines_with_loops_get_all_that_the_compiler_can_do(cache, fake, tmp_path):
    several = [f"{HAS_LOOPS}\nint core_run(void) {{ return 0; }}\n", "int core_one(void) { return 0; }\n"]
    assert _levels(fake, tmp_path, several) == [["-O3"], ["-O3"]]


def test_a_single_unit_and_c_of_ops_get_all_that_the_compiler_can_do(cache, fake, tmp_path):
    several = [f"int core_{name}(void) {{ return 1; }}\n" for name in ("run", "one")]
    assert _levels(fake, tmp_path, several, Needs()) == [["-O3"], ["-O3"]]
    (tmp_path / "bin" / "words").unlink()
    assert _levels(fake, tmp_path, several[:1]) == [["-O3"]]


def test_units_call_each_other(cache):
    found, _ = compiler.find()
    inside = '__attribute__((visibility("hidden"))) int core_inside(int x)'
    library, texts = libraries.load(
        [f"{inside};\nint run(int x) {{ return core_inside(x) + 1; }}\n", inside + " { return 2 * x; }\n"], found
    )
    assert library.run(20) == 41 and len(texts) == 2
    assert not hasattr(library, "core_inside")
