"""The ``core`` command: what it prints and with which status it ends."""

import json
import shlex
import subprocess
import sys

import pytest

import core
from core import cachedir, cli, diagnosis, plugins
from core.errors import ArgumentError, PluginConflict
from core.op import Op
from core.records import Backend, Library, Lowering, Probe


class Plugin:
    """A plugin made of what a test gives it."""

    def __init__(self, **offers):
        self.offers = offers

    @core.hookimpl
    def backends(self):
        return self.offers.get("backends", [])

    @core.hookimpl
    def lowerings(self):
        return self.offers.get("lowerings", [])

    @core.hookimpl
    def libraries(self):
        return self.offers.get("libraries", [])


class Driver:
    def __init__(self, found):
        self.found = found

    def probe(self):
        return self.found


class Pulled(Op):
    """An op with a lowering of its own, and a reference."""

    __props__ = ()

    def lower(self, node, x):
        return x

    def perform(self, node, inputs, output_storage):
        output_storage[0][0] = inputs[0]


class Opaque(Op):
    """An op that only has a reference."""

    __props__ = ()

    def perform(self, node, inputs, output_storage):
        output_storage[0][0] = inputs[0]


@pytest.fixture
def register(monkeypatch, tmp_path):
    """Only core and what the test registers; options at their defaults, an empty cache."""
    monkeypatch.setenv("CORE_PLUGINS", "core")
    for name in ("CORE_BACKEND", "CORE_FLOATX", "CORE_STRICT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CORE_CACHE_DIR", str(tmp_path / "kept"))
    plugins.reset()
    yield plugins.register
    plugins.reset()


def said(capsys, *argv):
    """What the command prints when it succeeds."""
    assert cli.main(argv) == 0
    return capsys.readouterr().out


def refused(capsys, *argv):
    """What the command says when it fails."""
    assert cli.main(argv) == 1
    return capsys.readouterr().err


def test_python_m_core_is_the_command():
    done = subprocess.run([sys.executable, "-m", "core", "--help"], capture_output=True, text=True, check=True)
    for name in ("plugins", "doctor", "why", "show", "cache", "demo"):
        assert f"\n    {name}" in done.stdout


def test_no_command_and_an_unknown_argument_are_usage_errors(register, capsys):
    for argv in ([], ["plugins", "--jsn"], ["no-such-command"]):
        with pytest.raises(SystemExit, match="2"):
            cli.main(argv)
    assert "unrecognized arguments: --jsn" in capsys.readouterr().err


# --- plugins --------------------------------------------------------------------------------------------------------


def test_plugins_is_a_table_of_states_with_the_problems_under_it(register, capsys):
    driver = Driver(Probe(reason="no compiler", remedy="install gcc"))
    register(Plugin(backends=[Backend("fast", "c", driver)]), name="plugin-fast")
    text = said(capsys, "plugins")
    table, problems = text.split("\n\n")
    header, own, *_, fast = table.splitlines()  # between them whatever is installed here
    assert header.split() == ["STATE", "DIST", "VERSION", "MS", "OFFERS", "WORKS", "ON"]
    assert own.split()[:2] == ["loaded", "core"] and own.endswith("ops 1, rewrites 6, backends 1  interpreter: cpu")
    assert fast.split()[:2] == ["loaded", "plugin-fast"] and fast.endswith("fast: no")
    assert "fast: no compiler; install gcc" in problems.splitlines()


def test_plugins_as_json_holds_everything_that_is_known(register, capsys):
    register(Plugin(backends=[Backend("fast", "c", Driver(Probe(("cpu",))))]), name="plugin-fast")
    (found,) = (one for one in json.loads(said(capsys, "plugins", "--json")) if one["name"] == "plugin-fast")
    assert found.pop("ms") >= 0
    assert found == {
        "name": "plugin-fast",
        "state": "loaded",
        "dist": "plugin-fast",
        "version": "",
        "counts": {"backends": 1},
        "probes": {"fast": {"works": True, "devices": ["cpu"], "reason": "", "remedy": ""}},
        "cause": "",
        "remedy": "",
    }


def test_plugins_shows_a_conflict_with_both_names(register, capsys):
    for name in ("one", "two"):
        register(Plugin(backends=[Backend("fast", "c", "x:y")]), name=name)
    text = said(capsys, "plugins")
    assert text.count("\nconflict") == 2
    assert "one is conflict: the backend fast is claimed by one and two" in text


# --- doctor ---------------------------------------------------------------------------------------------------------


def test_doctor_finds_no_problem_where_there_is_none(register, capsys):
    text = said(capsys, "doctor")
    assert text.endswith("\nno problems\n")
    for what in ("python", "numpy", "platform", "backend interpreter", "best backend", "cache", "plugin core"):
        assert f" {what} " in text


def test_doctor_shows_reason_and_remedy_of_a_backend_and_takes_it_for_no_problem(register, capsys):
    driver = Driver(Probe(reason="no card", remedy="buy one"))
    register(Plugin(backends=[Backend("fast", "c", driver)]), name="plugin-fast")
    assert "backend fast           no card; buy one" in said(capsys, "doctor")


def test_doctor_ends_with_status_1_when_a_plugin_is_broken(register, capsys):
    class Failing:
        @core.hookimpl
        def commands(self, subparsers):
            raise OSError("no terminal")

    register(Failing(), name="failing")
    with pytest.warns(plugins.CoreWarning, match="failing is broken"):
        assert cli.main(["doctor"]) == 1
    text = capsys.readouterr().out
    assert "PROBLEM  plugin failing         broken: OSError: no terminal; upgrade or reinstall failing" in text
    assert text.endswith("\n1 problem\n")


def test_doctor_finds_an_option_with_a_wrong_value(register, capsys, monkeypatch):
    monkeypatch.setenv("CORE_FLOATX", "float31")
    assert cli.main(["doctor"]) == 1
    assert "PROBLEM  option floatX          option floatX must be one of" in capsys.readouterr().out


def test_doctor_finds_a_cache_that_cannot_be_written(register, capsys, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CORE_CACHE_DIR", str(tmp_path / "file"))
    assert cli.main(["doctor"]) == 1
    assert "file cannot be written; set CORE_CACHE_DIR to a folder that can" in capsys.readouterr().out


def test_doctor_shows_each_of_several_devices_by_its_number(monkeypatch):
    found = {"fast": Probe(devices=("one (8 GB)", "two (16 GB)")), "slow": Probe(devices=("cpu",))}
    monkeypatch.setattr(diagnosis.backend, "probes", lambda: found)
    said = [(finding.what, finding.found) for finding in diagnosis.doctor() if "backend " in finding.what]
    assert said[:3] == [("backend fast:0", "one (8 GB)"), ("backend fast:1", "two (16 GB)"), ("backend slow", "cpu")]


def test_doctor_finds_that_no_backend_works(register, capsys, monkeypatch):
    monkeypatch.setattr(diagnosis.backend, "probes", lambda: {"fast": Probe(reason="no card")})
    assert cli.main(["doctor"]) == 1
    assert "PROBLEM  best backend           none works" in capsys.readouterr().out


def test_doctor_says_what_to_install_where_there_is_no_compiler(register, capsys, monkeypatch):
    monkeypatch.setattr(diagnosis.shutil, "which", lambda name: None)
    monkeypatch.setattr(diagnosis.importlib.util, "find_spec", lambda name: None)
    assert "none found; install gcc or clang, or: pip install ziglang" in said(capsys, "doctor")


def test_doctor_shows_the_compiler_of_cc_with_its_version(register, capsys, monkeypatch, tmp_path):
    compiler = tmp_path / "mycc"
    compiler.write_text("#!/bin/sh\necho mycc version 7\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", f"{shlex.quote(str(compiler))} -m64")
    assert f"{compiler}  mycc version 7" in said(capsys, "doctor")


def test_doctor_shows_a_compiler_that_does_not_run(register, capsys, monkeypatch, tmp_path):
    compiler = tmp_path / "mycc"
    compiler.write_text("not a program")
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", shlex.quote(str(compiler)))
    assert f"{compiler}  does not run: " in said(capsys, "doctor")


# --- why ------------------------------------------------------------------------------------------------------------


def ways(op, dialect):
    return [(one.way, one.who, one.wins) for one in diagnosis.why(op, dialect)]


def test_the_ops_own_lowering_wins_where_nobody_attached_another(register):
    assert ways(Pulled(), "c") == [("own lower", __name__, True), ("host fallback", __name__, False)]


def test_an_attached_lowering_wins_over_the_ops_own_where_it_always_serves(register):
    lowerings = [
        Lowering(Pulled, "x:y", dialect="c"),
        Lowering(Pulled, "x:z", dialect="c", priority=-1),
        Lowering(Pulled, "x:z", priority=5, when="x:w"),
    ]
    register(Plugin(lowerings=lowerings), name="plugin-fast")
    assert ways(Pulled(), "c") == [
        ("attached lowering", "plugin-fast", False),
        ("attached lowering", "plugin-fast", True),
        ("attached lowering", "plugin-fast", False),
        ("own lower", __name__, False),
        ("host fallback", __name__, False),
    ]
    assert ways(Pulled(), "opencl")[1] == ("own lower", __name__, True)
    assert diagnosis.why(Pulled(), "opencl")[0].reason == "priority 5, for every dialect, where its condition holds"


def test_attached_lowerings_that_tie_are_a_conflict(register):
    for name in ("one", "two"):
        register(Plugin(lowerings=[Lowering(Pulled, "x:y", dialect="c")]), name=name)
    with pytest.raises(PluginConflict, match="the lowering of Pulled in c is claimed by one and two"):
        diagnosis.why(Pulled(), "c")


def test_an_op_with_a_reference_alone_falls_back_to_the_host(register):
    assert ways(Opaque, "c") == [("host fallback", __name__, True)]
    assert ways(Opaque, None) == [("perform", __name__, True)]


def test_a_library_routine_is_shown_with_its_provider(register):
    class Product(Pulled):
        def library_call(self, node):
            return None

    register(Plugin(libraries=[Library("blas", "c", ("gemm",), "x:y")]), name="plugin-fast")
    first = diagnosis.why(Product(), "c")[0]
    assert first.way == "library routine"
    assert "gemm by blas (plugin-fast)" in first.reason
    assert diagnosis.why(Product(), "opencl")[0].reason.endswith("provided: none is")


def test_why_names_the_op_in_any_of_three_ways(register, capsys):
    for name in ("exp", "tensor.exp", "core.tensor.functions:exp"):
        text = said(capsys, "why", name, "interpreter")
        assert text.startswith(f"{name} in backend interpreter, which has no dialect\n")
        assert "\n*  perform " in text


def test_why_takes_a_dialect_or_the_name_of_a_backend(register, capsys):
    register(Plugin(backends=[Backend("fast", "quick", "x:y")]), name="plugin-fast")
    for name in ("fast", "quick"):
        text = said(capsys, "why", "exp", name)
        assert text.startswith("exp in dialect quick\n")
        assert "\n*  own lower " in text


def test_why_says_when_nothing_computes_an_op(register, capsys):
    assert said(capsys, "why", "core.op:Op", "interpreter").endswith("nothing computes it\n")


@pytest.mark.parametrize(
    "op, dialect, message",
    [
        ("exq", "interpreter", "no op pack has an op 'exq'. Did you mean"),
        ("core.op:Opp", "interpreter", "needs 'core.op:Opp', but: module 'core.op' has no attribute 'Opp'"),
        (
            "math:sin",
            "interpreter",
            "'math:sin' is no op but <built-in function sin> of type builtin_function_or_method",
        ),
        ("exp", "interpeter", "no backend speaks 'interpeter'; there are interpreter. Did you mean 'interpreter'?"),
    ],
)
def test_why_refuses(register, capsys, op, dialect, message):
    assert message in refused(capsys, "why", op, dialect)


# --- show, demo -----------------------------------------------------------------------------------------------------

MODEL = """
class Compiled:
    backend = "fast"
    def __init__(self, **sources):
        self.sources = sources
    def __call__(self):
        raise AssertionError("show does not run it")

ready = Compiled(model="int x;")
empty = Compiled()
def made():
    return ready
number = 3
"""


def test_show_prints_the_sources_of_a_compiled_function(register, capsys, tmp_path):
    (tmp_path / "model.py").write_text(MODEL)
    for name in ("ready", "made"):
        assert said(capsys, "show", f"{tmp_path}/model.py:{name}") == "--- model\nint x;\n"
    assert "runs on backend fast, which generates no code" in said(capsys, "show", f"{tmp_path}/model.py:empty")


@pytest.mark.parametrize(
    "what, message",
    [
        ("model.py", "core show needs FILE.py:NAME, got 'model.py'"),
        ("absent.py:f", "core show needs a file, but there is no 'absent.py'"),
        ("model.py:f", "model.py defines no 'f'"),
        ("model.py:number", "number in model.py is no compiled function but 3 of type int"),
    ],
)
def test_show_refuses(register, capsys, tmp_path, monkeypatch, what, message):
    (tmp_path / "model.py").write_text(MODEL)
    monkeypatch.chdir(tmp_path)
    assert message in refused(capsys, "show", what)


def test_demo_hands_its_arguments_on(register, monkeypatch):
    class Main:
        @staticmethod
        def main(argv):
            return 0 if argv == ["--backend", "interpreter", "-h"] else 3

    monkeypatch.setitem(sys.modules, "core.demo.main", Main)
    assert cli.main(["demo", "--backend", "interpreter", "-h"]) == 0


# --- cache ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def kept(register):
    folder = cachedir.subfolder("c")
    (folder / "a.c").write_text("x" * 1500)
    return folder


def test_cache_says_its_path_size_and_files(kept, capsys):
    assert said(capsys, "cache", "path") == f"{cachedir.path()}\n"
    assert said(capsys, "cache", "size") == "1 files, 1.5 kB\n"
    size, unit, _, _, name = said(capsys, "cache", "list").split()
    assert (size, unit, name) == ("1.5", "kB", "c/a.c")


def test_cache_purge_keeps_what_was_used_of_late_and_clear_keeps_nothing(kept, capsys):
    assert said(capsys, "cache", "purge", "--days", "1").startswith("removed 0 files from ")
    assert said(capsys, "cache", "clear").startswith("removed 1 files from ")
    assert said(capsys, "cache", "size") == "0 files, 0 B\n"


@pytest.mark.parametrize(
    "size, text", [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2_000_000, "2.0 MB"), (3e9, "3.0 GB")]
)
def test_sizes_are_shown_as_people_read_them(size, text):
    assert diagnosis.size_text(size) == text


def test_find_op_refuses_a_name_that_is_no_op(register):
    with pytest.raises(ArgumentError, match=r"name the op that it applies, as package\.module:Class"):
        diagnosis.find_op("math:sin")
