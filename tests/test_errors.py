"""Errors: where a variable was made, who is blamed, near misses."""

import pickle

import pytest

from core import errors
from core.errors import ArgumentError, AxisError, CoreError, SourceLine, attributed_to, did_you_mean, user_line
from core.graph import Type, Variable


class Anything(Type):
    """A type for tests."""


def test_user_line_is_the_line_that_called():
    line = user_line()
    assert line.filename == __file__
    assert "user_line()" in line.text


def test_user_line_skips_frames_of_core_and_of_plugins():
    code = "from core.errors import user_line\ndef inner():\n    return user_line()\n"
    for name in ("core.something", "core", "plugin_ops_x", "plugin_ops_x.deep"):
        namespace = {"__name__": name}
        exec(compile(code, f"<{name}>", "exec"), namespace)
        line = namespace["inner"]()
        assert line.filename == __file__


def test_user_line_does_not_skip_a_module_whose_name_only_begins_like_core():
    namespace = {"__name__": "corelib"}
    exec(compile("from core.errors import user_line\nline = user_line()", "<corelib>", "exec"), namespace)
    assert namespace["line"].filename == "<corelib>"


def test_attributed_to_sets_the_line_and_gives_it_back():
    line = SourceLine("model.py", 3)
    with attributed_to(line):
        assert user_line() == line
    assert user_line().filename == __file__


def test_attributed_to_nests_and_none_keeps_the_outer_line():
    outer, inner = SourceLine("a.py", 1), SourceLine("b.py", 2)
    with attributed_to(outer):
        with attributed_to(inner):
            assert user_line() == inner
        with attributed_to(None):
            assert user_line() == outer
        assert user_line() == outer


def test_attributed_to_is_undone_by_an_error():
    with pytest.raises(KeyError), attributed_to(SourceLine("a.py", 1)):
        raise KeyError
    assert user_line().filename == __file__


def test_a_source_line_without_a_file_has_no_text():
    line = SourceLine("/nowhere/at/all.py", 7)
    assert line.text == ""
    assert str(line) == "/nowhere/at/all.py:7"


def test_a_source_line_shows_a_relative_path_and_its_text(tmp_path, monkeypatch):
    (tmp_path / "model.py").write_text("x = 1\n  y = 2  \n")
    monkeypatch.chdir(tmp_path)
    assert str(SourceLine(str(tmp_path / "model.py"), 2)) == "model.py:2: y = 2"


def test_a_source_line_above_the_working_directory_is_shown_whole(tmp_path, monkeypatch):
    (tmp_path / "model.py").write_text("x = 1\n")
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    assert str(SourceLine(str(tmp_path / "model.py"), 1)) == f"{tmp_path}/model.py:1: x = 1"


def test_blame_adds_the_line_where_a_variable_was_made():
    x = Variable(Anything(), name="x")
    error = AxisError("CumSum(2) needs an axis", blame=x)
    assert str(error).startswith("CumSum(2) needs an axis\n  x was made at ")
    assert 'x = Variable(Anything(), name="x")' in str(error)


def test_blame_without_a_source_adds_nothing():
    assert str(ArgumentError("text", blame=3)) == "text"
    assert str(ArgumentError("text")) == "text"


def test_did_you_mean_finds_a_near_miss_and_nothing_else():
    assert did_you_mean("opncl", ["c", "opencl"]) == " Did you mean 'opencl'?"
    assert did_you_mean("xyz", ["c", "opencl"]) == ""
    assert did_you_mean(3, ["c"]) == ""


@pytest.mark.parametrize(
    "name, builtin",
    [
        ("GraphError", ValueError),
        ("DTypeError", TypeError),
        ("ShapeError", ValueError),
        ("AxisError", ValueError),
        ("IndexOutOfBounds", IndexError),
        ("ArgumentError", TypeError),
        ("MissingInputError", ValueError),
        ("UnusedInputError", ValueError),
        ("GradientError", ValueError),
        ("NullGradientError", ValueError),
        ("DisconnectedInputError", ValueError),
        ("RewriteError", ValueError),
        ("BackendError", RuntimeError),
        ("CompileError", RuntimeError),
        ("DeviceError", RuntimeError),
        ("DeviceMemoryError", MemoryError),
        ("DeviceLost", RuntimeError),
        ("PluginError", RuntimeError),
        ("PluginConflict", RuntimeError),
        ("OptionError", ValueError),
    ],
)
def test_each_error_is_ours_and_the_builtin_that_one_would_catch(name, builtin):
    kind = getattr(errors, name)
    assert issubclass(kind, CoreError) and issubclass(kind, builtin)
    with pytest.raises(builtin, match="text"):
        raise kind("text")


def test_each_error_class_says_what_it_is_for():
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, CoreError)]
    assert len(kinds) > 15
    assert all(kind.__doc__ for kind in kinds)


def test_a_compile_error_keeps_the_source_and_the_log():
    error = errors.CompileError("gcc refused it", source_code="int main", log="expected ';'")
    assert (str(error), error.source_code, error.log) == ("gcc refused it", "int main", "expected ';'")


def test_errors_survive_pickling():
    error = pickle.loads(pickle.dumps(AxisError("needs an axis", blame=Variable(Anything(), name="x"))))
    assert isinstance(error, AxisError) and "x was made at" in str(error)
    made = pickle.loads(pickle.dumps(errors.CompileError("text", source_code="a", log="b")))
    assert (str(made), made.source_code, made.log) == ("text", "a", "b")
