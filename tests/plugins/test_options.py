"""Options: where a value comes from, what is refused."""

import re
import threading

import pytest

from core.errors import OptionError, PluginError
from core.markers import hookimpl
from core.options import config
from core.records import Option


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    for name in ("FLOATX", "BACKEND", "CACHE_DIR", "STRICT", "GPU_LANES", "GPU_RATIO"):
        monkeypatch.delenv(f"CORE_{name}", raising=False)


@pytest.fixture
def gpu(registered):
    class Gpu:
        @hookimpl
        def options(self):
            return [
                Option("gpu.lanes", int, 32, choices=(32, 64), affects_code=True),
                Option("gpu.ratio", float, 0.5),
            ]

    registered(Gpu(), name="gpu")


def test_defaults():
    assert (config.floatX, config.backend, config.cache_dir, config.strict) == ("float64", None, None, False)


def test_an_environment_variable_sets_an_option(monkeypatch):
    monkeypatch.setenv("CORE_FLOATX", "float32")
    monkeypatch.setenv("CORE_STRICT", "Yes")
    assert (config.floatX, config.strict) == ("float32", True)
    monkeypatch.setenv("CORE_STRICT", "0")
    assert config.strict is False


def test_an_empty_variable_is_as_good_as_none(monkeypatch):
    monkeypatch.setenv("CORE_FLOATX", "")
    assert config.floatX == "float64"


def test_override_holds_inside_its_block_and_goes_before_the_environment(monkeypatch):
    monkeypatch.setenv("CORE_FLOATX", "float16")
    with config.override(floatX="float32", strict=True):
        with config.override(strict=False):
            assert (config.floatX, config.strict) == ("float32", False)
        assert config.strict is True
    assert (config.floatX, config.strict) == ("float16", False)


def test_a_path_is_as_good_as_its_text(tmp_path):
    with config.override(cache_dir=tmp_path):
        assert config.cache_dir == str(tmp_path)


def test_override_is_undone_by_an_exception():
    with pytest.raises(KeyError), config.override(floatX="float32"):
        raise KeyError
    assert config.floatX == "float64"


def test_override_holds_for_its_own_thread_alone():
    seen = []
    with config.override(floatX="float32"):
        other = threading.Thread(target=lambda: seen.append(config.floatX))
        other.start()
        other.join()
    assert seen == ["float64"]


def test_a_plugins_option_is_read_set_and_checked_like_cores(gpu, monkeypatch):
    assert (config["gpu.lanes"], config["gpu.ratio"]) == (32, 0.5)
    monkeypatch.setenv("CORE_GPU_LANES", "64")
    assert config["gpu.lanes"] == 64
    with config.override({"gpu.lanes": 32, "gpu.ratio": 1}):
        assert (config["gpu.lanes"], config["gpu.ratio"]) == (32, 1.0)


def test_options_that_affect_code_are_told_apart(gpu):
    with config.override({"gpu.lanes": 64}):
        assert ("gpu.lanes", 64) in config.affecting_code()
    assert "gpu.ratio" not in dict(config.affecting_code())


@pytest.mark.parametrize(
    "name, value, message",
    [
        ("floatX", "float65", r"option floatX must be one of float16, float32, float64, got 'float65'\. Did you mean"),
        ("floatX", None, "option floatX needs a value of type str, got None of type NoneType"),
        ("strict", 1, "option strict needs a value of type bool, got 1 of type int"),
        ("flotaX", "float32", r"there is no option 'flotaX'\. Did you mean 'floatX'\?"),
    ],
)
def test_override_refuses(name, value, message):
    with pytest.raises(OptionError, match=message), config.override({name: value}):
        pass


@pytest.mark.parametrize(
    "variable, text, option, message",
    [
        ("CORE_STRICT", "perhaps", "strict", "CORE_STRICT must be one of 1, true, yes, on, 0, .* got 'perhaps'"),
        ("CORE_FLOATX", "float31", "floatX", "option floatX must be one of float16, .* got 'float31'"),
        ("CORE_GPU_LANES", "many", "gpu.lanes", "CORE_GPU_LANES must be a value of type int, got 'many'"),
        ("CORE_GPU_LANES", "33", "gpu.lanes", "option gpu.lanes must be one of 32, 64, got 33"),
    ],
)
def test_a_variable_with_a_wrong_value_is_refused_when_it_is_read(gpu, monkeypatch, variable, text, option, message):
    monkeypatch.setenv(variable, text)
    with pytest.raises(OptionError, match=message):
        config[option]


def test_an_option_cannot_be_assigned():
    with pytest.raises(OptionError, match=r"with core.config.override\(floatX='float32'\):` or set CORE_FLOATX"):
        config.floatX = "float32"
    with pytest.raises(OptionError, match="there is no option 'floatY'"):
        config.floatY = "float32"


def test_an_unknown_option_is_refused_with_a_guess():
    with pytest.raises(OptionError, match=r"there is no option 'bakcend'\. Did you mean 'backend'\?"):
        config.bakcend


def test_a_special_attribute_is_no_option():
    assert not hasattr(config, "__array__")


def test_the_options_are_listed(gpu):
    assert config.names()[:2] == ["floatX", "backend"] and {"strict", "cache_dir"} <= set(config.names())
    assert "gpu.lanes = 32  # CORE_GPU_LANES" in repr(config)
    assert {"floatX", "override"} <= set(dir(config))


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("gpu.lanes", int, "32"), "a default of type int or None, got '32'"),
        (("gpu.ratio", float, 1), "a default of type float or None, got 1"),
        (("gpu.lanes", int, True), "a default of type int or None, got True"),
        (("gpu.lanes", list, None), "type bool, int, float or str, got <class 'list'>"),
        (("gpu.mode", str, "slow", None, ("fast", "safe")), "one of its choices as default, got 'slow'"),
    ],
)
def test_an_option_that_contradicts_itself_is_refused_where_it_is_made(arguments, words):
    with pytest.raises(PluginError, match=re.escape(words)):
        Option(*arguments)
