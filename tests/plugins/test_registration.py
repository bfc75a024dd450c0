"""Plugins added by hand, in a notebook or a test."""

import pytest

from core import plugins
from core.errors import PluginError
from core.markers import hookimpl
from core.records import OpPack


class Pack:
    __version__ = "3.1"

    def __init__(self, namespace="mine"):
        self.namespace = namespace

    @hookimpl
    def ops(self):
        return [OpPack(self.namespace, "math")]


def named(name):
    (found,) = [plugin for plugin in plugins.plugins() if plugin.name == name]
    return found


def test_a_registered_plugin_shows_its_name_version_and_state(registered):
    registered(Pack(), name="mine")
    assert str(named("mine")) == "mine 3.1 is loaded"
    assert named("mine").counts == {"ops": 1}


def test_a_plugin_registered_after_discovery_is_seen_at_once(registered):
    before = plugins.registries()
    registered(Pack(), name="mine")
    assert "mine" not in before.ops
    assert "mine" in plugins.registries().ops


def test_an_unregistered_plugin_offers_nothing_any_more(registered):
    pack = Pack()
    registered(pack)
    plugins.unregister(pack)
    assert "mine" not in plugins.registries().ops
    registered(pack, name="again")
    plugins.unregister("again")
    assert "mine" not in plugins.registries().ops


def test_a_name_can_be_registered_once(registered):
    registered(Pack(), name="mine")
    with pytest.raises(PluginError, match="a plugin named 'mine' is registered already; unregister it first"):
        registered(Pack(), name="mine")


def test_one_object_cannot_be_registered_under_two_names(registered):
    pack = Pack()
    registered(pack, name="mine")
    with pytest.raises(PluginError, match=r"yours 3\.1 does not fit the hooks: Plugin"):
        registered(pack, name="yours")
    assert named("mine").state == "loaded"


def test_unregistering_what_was_not_registered_is_refused(registered):
    registered(Pack(), name="mine")
    with pytest.raises(PluginError, match=r"no plugin 'mien' was registered by hand\. Did you mean 'mine'\?"):
        plugins.unregister("mien")
    with pytest.raises(PluginError, match="no plugin 'core' was registered by hand"):
        plugins.unregister("core")


def test_registering_an_object_whose_hook_raises_is_refused(registered):
    class Failing:
        @hookimpl
        def ops(self):
            raise OSError("no disk")

    with pytest.raises(PluginError, match="failing cannot be registered: OSError: no disk"):
        registered(Failing(), name="failing")
    assert "failing" not in [plugin.name for plugin in plugins.plugins()]


def test_a_behaviour_hook_that_raises_disables_its_plugin_with_a_warning(registered):
    class Failing:
        @hookimpl
        def instrument(self, program):
            raise OSError("no clock")

    registered(Failing(), name="failing")
    with pytest.warns(plugins.CoreWarning, match="failing is broken: OSError: no clock.*in the hook instrument"):
        assert list(plugins.call_each("instrument", program=None)) == []
    assert (named("failing").state, named("failing").cause) == ("broken", "OSError: no clock")
    assert list(plugins.call_each("instrument", program=None)) == []
    plugins.unregister("failing")


def test_a_behaviour_hook_that_raises_is_an_error_when_strict(registered, monkeypatch):
    class Failing:
        @hookimpl
        def instrument(self, program):
            raise OSError("no clock")

    registered(Failing(), name="failing")
    monkeypatch.setenv("CORE_PLUGINS_STRICT", "1")
    with pytest.raises(PluginError, match=r"failing is broken: OSError: no clock.*CORE_PLUGINS_STRICT is set"):
        list(plugins.call_each("instrument", program=None))


def test_core_registers_its_own_parts_through_the_same_hooks(registered):
    assert named("core").counts == {"ops": 1, "rewrites": 6, "backends": 1}


def test_a_snapshot_cannot_be_changed(registered):
    with pytest.raises(AttributeError):
        named("core").state = "broken"
