"""Finding a compiler, what it can do, and what happens when there is none."""

import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import threading
import time

import pytest

from core.errors import BackendError, CompileError
from core.ir.program import Program
from plugin_backend_c import compiler, folder, processes, running
from plugin_backend_c.backend import driver

PASS = 'exec "$REAL" "$@"'
REFUSE = """
for flag in "$@"; do
  case "$flag" in {flags}) echo "error: unrecognized option $flag" >&2; exit 1;; esac
done
exec "$REAL" "$@"
"""


@pytest.fixture(autouse=True)
def own_cache(cache):
    return cache


@pytest.fixture
def only(monkeypatch, tmp_path):
    """A PATH with nothing but the stand-ins, and no CC."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("CC", raising=False)
    return monkeypatch


@pytest.mark.parametrize("there", [("gcc", "clang", "cc"), ("clang", "cc"), ("cc",)])
def test_the_first_of_gcc_clang_cc_is_taken(only, fake, there):
    for name in there:
        fake(name, PASS)
    found, _ = compiler.find()
    assert found.command == (there[0],)


def test_CC_comes_first_and_may_have_arguments(only, fake):
    fake("gcc", PASS)
    mine = fake("mine", 'shift; exec "$REAL" "$@"')
    only.setenv("CC", f"{shlex.quote(mine)} --as-given")
    assert compiler.find()[0].command == (mine, "--as-given")


def test_CC_may_be_a_path_with_spaces(only, fake):
    mine = fake("my compiler", PASS, folder="a folder")
    only.setenv("CC", mine)
    assert compiler.find()[0].command == (mine,)


@pytest.mark.parametrize("cc", ["not-there", "'unclosed", "   "])
def test_a_CC_that_is_nonsense_is_passed_over(only, fake, cc):
    fake("gcc", PASS)
    only.setenv("CC", cc)
    assert compiler.find()[0].command == ("gcc",)


def test_a_compiler_that_answers_but_cannot_build_is_passed_over(only, fake):
    fake("gcc", 'case "$1" in --version) echo "gcc without a linker 1.0";; *) echo "cannot find ld" >&2; exit 1;; esac')
    fake("clang", PASS)
    assert compiler.find()[0].command == ("clang",)


def test_a_compiler_whose_libraries_cannot_be_loaded_is_passed_over(only, fake):
    fake(
        "gcc", 'for last; do case "$before" in -o) echo nonsense > "$last";; esac; before="$last"; done; echo other 1.0'
    )
    fake("cc", PASS)
    assert compiler.find()[0].command == ("cc",)


def test_the_compiler_of_ziglang_comes_last(python, real, tmp_path):
    package = tmp_path / "site" / "ziglang"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "__main__.py").write_text(
        f"import os, sys\nassert sys.argv[1] == 'cc'\nos.environ['PATH'] = {os.environ['PATH']!r}\n"
        f"os.execv({real!r}, [{real!r}, *sys.argv[2:]])\n"
    )
    found = python(
        "from plugin_backend_c import compiler; print(compiler.find()[0].command[1:4])",
        PYTHONPATH=str(package.parent),
        PATH="/nowhere",
        CC=None,
    )
    assert found == "('-m', 'ziglang', 'cc')\n"


def test_without_a_compiler_the_probe_says_what_was_tried_and_what_to_do(only):
    found = driver.probe()
    assert not found.works
    assert found.reason == "no C compiler: gcc: not found; clang: not found; cc: not found"
    assert "pip install ziglang" in found.remedy
    assert driver.fingerprint() == "gcc: not found; clang: not found; cc: not found"


def test_without_a_compiler_compile_says_so(only):
    with pytest.raises(BackendError, match="backend 'c' needs a C compiler: gcc: not found.*pip install ziglang"):
        driver.compile(Program("run", [], [], {}, [], [], {}))


def test_without_a_compiler_the_interpreter_runs_and_one_warning_says_so(python):
    said = python(
        """
        import warnings
        import core, core.tensor as ct
        x = ct.dvector("x")
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            functions = [core.function([x], x * k) for k in (1, 2)]
        print(functions[0].backend, functions[1]([1.0, 2.0]), len(seen), seen[0].category.__name__, seen[0].message)
        """,
        PATH="/nowhere",
        CC=None,
    )
    assert said.startswith("interpreter [2. 4.] 1 CoreWarning no compiling backend works here")
    assert "no C compiler: gcc: not found" in said and "pip install ziglang" in said


def test_asking_for_c_without_a_compiler_is_an_error_with_a_remedy(python):
    said = python(
        """
        import core, core.tensor as ct
        from core.errors import BackendError
        try:
            core.function([], ct.arange(3), backend="c")
        except BackendError as error:
            print(error)
        """,
        PATH="/nowhere",
        CC=None,
    )
    assert "backend 'c'" in said and "cannot be used here: no C compiler" in said and "pip install ziglang" in said


# --- flags ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "refused, left",
    [
        ("-lmvec", ("-O3", "-march=native", "-fopenmp-simd", compiler.ONE_PATH, *compiler.NOTHING_TO_FIND)),
        (compiler.ONE_PATH, ("-O3", "-march=native", "-fopenmp-simd", "-DCORE_LIBMVEC")),
        (compiler.NOTHING_TO_FIND[-1], ("-O3", "-march=native", "-fopenmp-simd", "-DCORE_LIBMVEC")),
        (f"-lmvec|{compiler.ONE_PATH}", ("-O3", "-march=native", "-fopenmp-simd")),
        ("-march=native", ("-O3", "-fopenmp-simd")),
        ("-lmvec|-fopenmp-simd", ("-O3", "-march=native")),
        ("-march=native|-fopenmp-simd", ("-O2",)),
        ("-O*|-march=native|-fopenmp-simd", ()),
    ],
)
def test_flags_that_a_compiler_lacks_are_left_out(only, fake, refused, left):
    fake("gcc", REFUSE.format(flags=refused))
    assert compiler.find()[0].flags == left


CHOICES = """
void divided(double *restrict y, const double *restrict x, const double *restrict t, long n)
{
    #pragma omp simd
    for (long i = 0; i < n; i++) {
        const unsigned char high = 1.0 <= x[i];
        const double a = high ? x[i] : 0.0, b = a / t[i];
        y[i] = (high ? 0.0 : x[i]) + b * a;
    }
}
"""


def test_what_follows_a_choice_is_computed_once(tmp_path):
    """Once more than needed without the flag, by GCC 12 and 13.  Where no GCC does so any more, the flag can go."""
    found, _ = compiler.find()
    if "gcc" not in found.version.lower() or "x86" not in platform.machine():
        pytest.skip("asks GCC, and reads what it writes for x86")
    (tmp_path / "choices.c").write_text(CHOICES)
    counts = []
    best = ["-march=x86-64" if flag == "-march=native" else flag for flag in found.flags]  # the same on all machines
    for flags in (best, [flag for flag in best if flag != compiler.ONE_PATH]):
        command = [*found.command, *flags, "-fno-trapping-math", "-S", "-o", "-", str(tmp_path / "choices.c")]
        counts.append(subprocess.run(command, capture_output=True, text=True, check=True).stdout.count("divpd"))
    assert 0 < counts[0] <= counts[1]
    if re.search(r"\b1[23]\.\d+\.\d+", found.version):
        assert counts[0] < counts[1]


def test_every_set_of_flags_gives_the_same_numbers(python, fake):
    program = """
        import numpy as np, core, core.tensor as ct
        x = ct.dmatrix("x")
        f = core.function([x], [ct.exp(x) @ x.T, ct.tanh(x).sum(axis=0), (x / 3).max()], backend="c")
        a = np.linspace(-3, 3, 60).reshape(6, 10)
        for got, want in zip(f(a), [np.exp(a) @ a.T, np.tanh(a).sum(axis=0), (a / 3).max()]):
            np.testing.assert_allclose(got, want, rtol=1e-13)
        print("fine")
    """
    for number, refused in enumerate(["nothing", "-lmvec", "-march=native|-fopenmp-simd", "-O*|-march=*|-fopenmp*"]):
        mine = fake(f"cc{number}", REFUSE.format(flags=refused))
        assert python(program, CC=mine) == "fine\n"


def test_a_compiler_that_refuses_everything_is_named_with_what_it_said(only, fake):
    fake("cc", 'case "$1" in --version) echo broken 1.0;; *) echo "no assembler" >&2; exit 1;; esac')
    assert driver.probe().reason.endswith("cc cannot build a library: no assembler")


@pytest.mark.parametrize(
    "body, said", [("exit 3", "exit status 3"), ("exit 0", "exit status 0"), ("echo", "exit status 0")]
)
def test_a_compiler_that_does_not_say_its_version_is_passed_over(only, fake, body, said):
    fake("cc", body)
    assert f"cc --version: {said}" in compiler.find()[1]


def test_a_file_that_is_no_program_is_passed_over(only, fake, tmp_path):
    script = tmp_path / "bin" / "gcc"
    script.parent.mkdir()
    script.write_bytes(b"\x7fELF nonsense")
    script.chmod(0o755)
    assert "gcc --version: [Errno 8]" in compiler.find()[1]


def test_the_flags_are_remembered_in_the_cache(only, fake, own_cache):
    log = fake("gcc", 'echo run >> "$FOLDER/log"; exec "$REAL" "$@"') and "log"
    compiler.find()
    runs = (own_cache.parent / "bin" / log).read_text().count("run")
    compiler._find.cache_clear()
    compiler.find()
    assert (own_cache.parent / "bin" / log).read_text().count("run") == runs + 1  # its version alone


@pytest.fixture
def asked(monkeypatch):
    """The commands that are run."""
    commands = []

    def noted(command, timeout_s, watcher=None):
        commands.append(command)
        return processes.run(command, timeout_s, watcher)

    monkeypatch.setattr(running, "run", noted)
    return commands


def copied(real, folder, name):
    """A program of its own that answers ``--version``, as far as it knows its own folder."""
    folder.mkdir(exist_ok=True)
    return (str(shutil.copy(os.path.realpath(real), folder / name)),)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a compiler's command may stand for another tomorrow")
def test_the_version_of_a_program_is_asked_once_as_long_as_its_file_is_the_same(asked, real, tmp_path):
    mine = copied(real, tmp_path / "bin", "my-gcc")
    said = compiler.version_of(mine)
    assert (compiler.version_of(mine), len(asked)) == (said, 1)
    os.utime(mine[0], ns=(0, 0))
    assert (compiler.version_of(mine), len(asked)) == (said, 2)


@pytest.mark.skipif(sys.platform != "linux", reason="as above")
def test_the_version_behind_another_name_or_arguments_is_asked_each_time(asked, real, tmp_path):
    mine = copied(real, tmp_path / "bin", "my-ccache")
    compiled = copied(real, tmp_path / "bin", "my-gcc")
    for command in (mine, (*compiled, "-m64")):
        asked.clear()
        assert compiler.version_of(command) == compiler.version_of(command)
        assert len(asked) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="as above")
@pytest.mark.parametrize("content", [b"", b"\xff", b"version: ", b"something else\n"])
def test_a_spoilt_note_of_a_version_is_written_anew(asked, real, tmp_path, own_cache, content):
    mine = copied(real, tmp_path / "bin", "my-gcc")
    said = compiler.version_of(mine)
    (note,) = own_cache.rglob("*.version")
    note.write_bytes(content)
    assert [compiler.version_of(mine), compiler.version_of(mine), len(asked)] == [said, said, 2]


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"-O3 -fancy", b"flags: -O3"])
def test_a_spoilt_note_of_flags_is_written_anew(only, fake, own_cache, content):
    fake("gcc", PASS)
    best = compiler.find()[0].flags
    (note,) = own_cache.rglob("*.flags")
    right = note.read_bytes()
    assert right.startswith(f"flags: {' '.join(best)}\n".encode())
    note.write_bytes(content)
    compiler._find.cache_clear()
    assert compiler.find()[0].flags == best
    assert note.read_bytes() == right


def test_what_cannot_be_remembered_only_costs_time(only, fake, own_cache, monkeypatch):
    fake("gcc", PASS)

    def full(*args, **named):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(compiler.os, "replace", full)
    assert compiler.find()[0].flags
    assert not [one for one in own_cache.rglob("*") if one.is_file() and one.name != "CACHEDIR.TAG"]


# --- running ----------------------------------------------------------------------------------------------------------


ENDLESS = 'sh -c \'echo $$ > "$0/child"; sleep 600\' "$FOLDER"'


def test_a_compiler_that_takes_too_long_is_stopped_with_all_it_started(fake, monkeypatch, tmp_path, wait, runs):
    slow, child = fake("slow", ENDLESS), tmp_path / "bin" / "child"
    for limit_s in (0.5, 2, 8, 32):  # until it had the time to start something
        monkeypatch.setattr(running, "TIMEOUT_S", limit_s)
        with pytest.raises(CompileError, match=rf"slow 1 took more than {limit_s} s for x\.c"):
            compiler.Compiler((slow,), "slow 1").build(["x.c"], "x.so")
        if child.exists() and child.read_text().strip():
            break
    wait(lambda: not runs(int(child.read_text())))


def test_a_compiler_ends_with_a_process_that_is_killed(python, fake, tmp_path, wait, runs):
    slow = fake("slow", ENDLESS)
    use = f"from plugin_backend_c import compiler\ncompiler.Compiler(({slow!r},), 'slow 1').build(['x.c'], 'x.so')"
    process, child = python.start(use), tmp_path / "bin" / "child"
    while not (child.exists() and child.read_text().strip()):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)
    process.kill()
    process.communicate()
    wait(lambda: not runs(int(child.read_text())))


def test_a_compiler_ends_with_a_process_that_is_killed_as_soon_as_it_was_started(python, fake, tmp_path, wait, runs):
    slow, child = fake("slow", ENDLESS), tmp_path / "bin" / "child"
    use = f"""
        import os, signal, subprocess, time
        from plugin_backend_c import compiler

        def killed(command, started=subprocess.Popen, **options):
            process = started(command, **options)
            while command[0] == {slow!r}:
                if os.path.exists({str(child)!r}) and os.path.getsize({str(child)!r}):
                    os.kill(os.getpid(), signal.SIGKILL)
                time.sleep(0.01)
            return process

        subprocess.Popen = killed
        compiler.Compiler(({slow!r},), "slow 1").build(["x.c"], "x.so")
    """
    assert python.start(use).wait() == -9
    wait(lambda: not runs(int(child.read_text())))


@pytest.mark.parametrize("system_tells", [True, False])
def test_commands_run_at_once_and_answer_in_their_order(monkeypatch, system_tells):
    if not system_tells:
        monkeypatch.delattr(os, "pidfd_open", raising=False)
    monkeypatch.setattr(processes, "processors", lambda: 3)
    commands = [["sh", "-c", f"sleep {pause}; echo {k}; exit {k}"] for k, pause in enumerate((0.2, 0, 0.1, 0))]
    done = processes.run_all(commands, 600)
    assert [(one.stdout, one.returncode) for one in done] == [(f"{k}\n", k) for k in range(4)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_nobody_forks_while_a_command_is_started(monkeypatch):
    starts, started, order = threading.Event(), subprocess.Popen, []

    def late(command, **options):
        starts.set()
        time.sleep(0.2)  # the other thread asks for a fork
        process = started(command, **options)
        order.append("started")
        return process

    monkeypatch.setattr(subprocess, "Popen", late)
    starter = threading.Thread(target=processes.run, args=(["true"], 60))
    starter.start()
    assert starts.wait(600)
    child = os.fork()
    if child == 0:
        os._exit(0)
    order.append("forked")
    os.waitpid(child, 0)
    starter.join()
    assert order[0] == "started"


def test_what_cannot_be_read_of_the_processor_is_asked_of_python(monkeypatch):
    def nothing(self):
        raise OSError("no /proc")

    monkeypatch.setattr(compiler.Path, "read_text", nothing)
    assert os.uname().machine in compiler.processor.__wrapped__()


def test_another_compiler_or_other_flags_are_another_identity():
    one = compiler.Compiler(("gcc",), "12", ("-O2",))
    others = [("cc",), "12", ("-O2",)], [("gcc",), "13", ("-O2",)], [("gcc",), "12", ("-O3",)]
    assert len({one.identity, *(compiler.Compiler(*other).identity for other in others)}) == 4


# --- folders ----------------------------------------------------------------------------------------------------------


def test_a_user_without_a_home_gets_a_temporary_folder(monkeypatch):
    def homeless(name):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(folder.cachedir, "subfolder", homeless)
    assert list(folder.folders()) == [folder.temporary()]


def test_a_temporary_folder_that_was_swept_away_is_made_anew():
    first = folder.temporary()
    first.rmdir() if not any(first.iterdir()) else first.rename(f"{first}-swept")
    assert folder.temporary() != first and folder.temporary().is_dir()
