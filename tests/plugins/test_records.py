"""Records: references and what their failures say; probes; options' variables."""

import math

import pytest

from core import records
from core.errors import PluginError
from core.records import Option, Probe, load


def test_a_reference_is_a_module_an_attribute_of_one_or_the_object_itself():
    assert load("math", "p 1.0") is math
    assert load("math:pi", "p 1.0") == math.pi
    assert load("os:path.join", "p 1.0") is __import__("os").path.join
    assert load(math, "p 1.0") is math


@pytest.mark.parametrize(
    "reference, message",
    [
        ("no_such_module_here:x", "p 1.0 needs 'no_such_module_here:x', but there is no module 'no_such_module_here'"),
        ("math:no_such", "p 1.0 needs 'math:no_such', but: module 'math' has no attribute 'no_such'"),
        ("a b:c", "p 1.0 needs a reference like 'package.module:attribute', got 'a b:c'"),
    ],
)
def test_a_reference_that_leads_nowhere_names_who_gave_it(reference, message):
    with pytest.raises(PluginError) as raised:
        load(reference, "p 1.0")
    assert str(raised.value).startswith(message)


def test_a_module_whose_own_import_fails_is_said_with_its_cause(tmp_path, monkeypatch):
    folder = tmp_path / "pack_of_a_test"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "needs.py").write_text("import no_such_module_here")
    (folder / "fails.py").write_text("raise OSError('no licence')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        PluginError, match=r"needs 'pack_of_a_test\.needs', but there is no module 'no_such_module_here'"
    ):
        load("pack_of_a_test.needs", "p 1.0")
    with pytest.raises(PluginError, match=r"needs 'pack_of_a_test\.fails', whose import failed: OSError: no licence"):
        load("pack_of_a_test.fails", "p 1.0")


def test_a_probe_works_when_it_has_a_device():
    assert Probe(("gpu 0", "gpu 1")).works
    assert str(Probe(("gpu 0", "gpu 1"))) == "gpu 0, gpu 1"
    assert not Probe(reason="no driver", remedy="install one").works
    assert str(Probe(reason="no driver", remedy="install one")) == "no driver; install one"
    assert str(Probe()) == "no device"


def test_the_variable_of_an_option_follows_from_its_name_unless_it_says_another():
    assert Option("cuda.arch", str, None).variable == "CORE_CUDA_ARCH"
    assert Option("cuda.arch", str, None, env="CUDA_ARCH").variable == "CUDA_ARCH"


def test_every_record_is_frozen_and_documented():
    kinds = [kind for kind in vars(records).values() if isinstance(kind, type) and kind.__module__ == "core.records"]
    assert len(kinds) == 8
    for kind in kinds:
        with pytest.raises(AttributeError, match="cannot assign to field"):
            object.__new__(kind).name = "another"
        assert not kind.__doc__.startswith(f"{kind.__name__}(")
