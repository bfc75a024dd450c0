"""The launcher as a module: with and without it, and what it refuses so that nothing crashes."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import core
import core.tensor as ct
from core.compile.calling import Caller
from core.errors import CoreWarning
from core.options import config
from plugin_backend_c import compiler, launcher, ready

v, V = ct.dvector("v"), np.linspace(-1, 1, 7)


@pytest.fixture
def off():
    with config.override({"c.launcher": False}):
        yield


def launched(*args, **named):
    """A function with the launcher."""
    f = core.function(*args, backend="c", on_unused_input="ignore", **named)
    assert type(f.__call__).__name__ == "Call"
    return f


# --- with and without -------------------------------------------------------------------------------------------------


def test_the_option_turns_the_launcher_off(off):
    f = core.function([v], v + 1, backend="c")
    assert type(f.__call__) is Caller
    assert_array_equal(f(V), V + 1)
    f.free()


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """The module is looked for anew, before and after; the installer has built none."""
    monkeypatch.setattr(ready, "FOLDER", tmp_path / "nothing")
    launcher._module.cache_clear()
    yield
    launcher._module.cache_clear()


@pytest.mark.parametrize("missing", ["Python", "NumPy", "everything"])
def test_without_headers_calls_go_through_cffi(missing, monkeypatch, tmp_path, cache, fresh, recwarn):
    if missing in ("Python", "everything"):
        monkeypatch.setattr(launcher.sysconfig, "get_path", lambda name: str(tmp_path))
    if missing in ("NumPy", "everything"):
        monkeypatch.setattr(launcher.np, "get_include", lambda: str(tmp_path))
    f = core.function([v], v + 1, backend="c")
    assert type(f.__call__) is Caller
    assert_array_equal(f(V), V + 1)
    assert not [one for one in recwarn.list if issubclass(one.category, CoreWarning)]


def test_a_python_without_its_great_lock_gets_no_launcher(monkeypatch, fresh):
    monkeypatch.setattr(launcher.sysconfig, "get_config_var", lambda name: 1)
    assert launcher.module(compiler.find()[0]) is None


def test_a_text_that_does_not_compile_is_no_error(monkeypatch, cache, fresh):
    monkeypatch.setattr(ready, "launcher_text", lambda: "this is no C;")
    assert launcher.module(compiler.find()[0]) is None


def test_a_library_that_is_no_module_is_no_error(monkeypatch, cache, fresh):
    monkeypatch.setattr(ready, "launcher_text", lambda: "int nothing;")
    assert launcher.module(compiler.find()[0]) is None


def test_the_module_is_built_once(monkeypatch, cache, fresh):
    found = compiler.find()[0]
    assert launcher.module(found) is not None
    launcher._module.cache_clear()
    monkeypatch.setattr(launcher.libraries, "build", lambda *_: pytest.fail("built again"))
    assert launcher.module(found) is not None


def test_a_program_with_more_arguments_than_the_stack_should_hold_goes_through_cffi():
    many = [ct.dvector() for _ in range(3000)]
    f = core.function(many[:3000], [sum(many[:2]), many[2] * 2], backend="c", on_unused_input="ignore")
    assert type(f.__call__) is Caller
    assert_array_equal(f(*[V] * 3000)[0], 2 * V)


# --- the extension itself takes nothing that would crash it -----------------------------------------------------------


@pytest.fixture
def extension():
    made = launcher.module(compiler.find()[0])
    assert made is not None
    return made


@pytest.mark.parametrize(
    "changes, error",
    [
        ({2: (1,)}, TypeError),
        ({4: 9}, ValueError),
        ({4: -1}, ValueError),
        ({7: 2}, ValueError),
        ({4: 4, 5: ("a", "b")}, ValueError),
        ({8: 3}, TypeError),
        ({8: ("a",)}, TypeError),
        ({0: ()}, TypeError),
    ],
)
def test_a_call_that_makes_no_sense_is_refused(extension, changes, error):
    arguments = [[None], print, (), (), 0, (), 1, 1, None, False]
    with pytest.raises(error):
        extension.Call(*[changes.get(k, one) for k, one in enumerate(arguments)])


@pytest.mark.parametrize("outputs", [((0, 1, None),), ((1, 0, None),), ((2, 0, None),), ((3, 0, 1),), ((7, 0, None),)])
def test_a_program_whose_outputs_make_no_sense_is_refused(extension, outputs):
    with pytest.raises(ValueError, match="output 0 needs an origin and an index"):
        extension.Program(0, 0, 0, (), ((np.dtype("f8"), 1, None),), outputs, (), 4, None)


@pytest.mark.parametrize("donor", [(0, 0, 1), (0, 1, 0), (1, 0, 0), (-1, 0, 0)])
def test_a_program_whose_donors_make_no_sense_is_refused(extension, donor):
    kinds = ((np.dtype("f8"), 1, None),)
    with pytest.raises(ValueError, match="donor 0 needs an output and an input"):
        extension.Program(0, 0, 0, kinds, kinds, ((0, 0, None),), (donor,), 4, None)


@pytest.mark.parametrize("layout", [((2,), (), True, True), ((0, 1, 0), (), True, True), ((0,), (5,), True, True)])
def test_a_program_with_a_layout_of_other_axes_is_refused(extension, layout):
    with pytest.raises(ValueError, match="no axis . of 2"):
        extension.Program(0, 0, 0, ((np.dtype("f8"), 2, layout),), (), (), (), 4, None)


@pytest.mark.parametrize("current", [[], [None], [object()]])
def test_without_a_program_the_slow_path_is_taken(extension, current):
    call = extension.Call(current, lambda *args, **named: (args, named), (), (), 0, (), 1, 1, None, False)
    assert call(1) == ((1,), {}) and call(1, 2, a=3) == ((1, 2), {"a": 3})


def test_an_empty_cell_is_left_to_the_slow_path():
    state = core.shared(np.zeros(2))
    f = launched([], state * 1, updates={state: state + 1})
    state.cell.clear()
    with pytest.raises(IndexError):
        f()
    state.cell.append(np.ones(2))
    assert f().tolist() == [1, 1]
