"""Finding, admitting and checking plugins: installed distributions, seen by a fresh process."""

import pytest

GOOD = """
    from core.markers import hookimpl
    from core.records import OpPack

    @hookimpl
    def ops():
        return [OpPack("good", "good_heavy")]
"""


def test_an_installed_plugin_is_found_through_its_entry_point(site):
    site.add("plugin-ops-good", version="2.5", plugin_ops_good=GOOD)
    found = site.plugins()["plugin-ops-good"]
    assert (found["state"], found["name"], found["version"]) == ("loaded", "ops-good", "2.5")
    assert found["counts"] == {"ops": 1}
    assert found["ms"] > 0


def test_a_plugin_is_imported_when_it_is_asked_for_and_its_heavy_part_when_that_is_used(site):
    site.add("plugin-ops-good", plugin_ops_good=GOOD, good_heavy="answer = 42")
    code = """
        import sys
        import core
        from core import ops, plugins

        def seen():
            return [name for name in ("plugin_ops_good", "good_heavy") if name in sys.modules]

        print(seen())
        plugins.registries()
        print(seen())
        print(ops.good.answer, seen())
    """
    assert site.run(code).splitlines() == [
        "[]",
        "['plugin_ops_good']",
        "42 ['plugin_ops_good', 'good_heavy']",
    ]


def test_a_plugin_that_needs_a_missing_module_is_broken_and_the_others_load(site):
    site.add("plugin-aa-bad", plugin_aa_bad="import no_such_module_at_all")
    site.add("plugin-ops-good", plugin_ops_good=GOOD)
    found = site.plugins()
    assert found["plugin-ops-good"]["state"] == "loaded"
    assert found["plugin-aa-bad"]["state"] == "broken"
    assert found["plugin-aa-bad"]["cause"] == "ModuleNotFoundError: No module named 'no_such_module_at_all'"
    assert "install what provides the module 'no_such_module_at_all'" in found["plugin-aa-bad"]["remedy"]
    assert "CORE_PLUGINS_DISABLE=aa-bad" in found["plugin-aa-bad"]["remedy"]


HOOK = "from core.markers import hookimpl\nfrom core.records import Backend, OpPack\n"

BROKEN = {
    "an import that fails": ("1 / 0", "ZeroDivisionError: division by zero"),
    "an import that exits": ("raise SystemExit('no licence')", "SystemExit: no licence"),
    "a misspelt hook": (
        HOOK + "@hookimpl\ndef backend():\n    return []",
        "plugin-bad 1.0 implements 'backend', which is no hook. Did you mean 'backends'?",
    ),
    "an argument that the hook lacks": (
        HOOK + "@hookimpl\ndef instrument(prog):\n    return None",
        "plugin-bad 1.0 does not fit the hooks: Plugin 'plugin-bad:bad' for hook 'instrument'",
    ),
    "no hook at all": (
        "def backends():\n    return []",
        "plugin-bad 1.0 implements no hook; decorate its functions with @core.hookimpl",
    ),
    "a hook that raises": (
        HOOK + "@hookimpl\ndef backends():\n    raise OSError('no driver')",
        "OSError: no driver",
    ),
    "a record of the wrong kind": (
        HOOK + "@hookimpl\ndef backends():\n    return [OpPack('x', 'y')]",
        "plugin-bad 1.0 must return Backend records from backends(), got OpPack(namespace='x', ref='y', help='')",
    ),
    "no list of records": (
        HOOK + "@hookimpl\ndef backends():\n    return None",
        "plugin-bad 1.0 must return a list of Backend from backends(), got None",
    ),
    "a hook that wraps": (
        HOOK + "@hookimpl(wrapper=True)\ndef backends():\n    return (yield)",
        "plugin-bad 1.0 wraps the hook 'backends'; hooks of core are implemented, not wrapped",
    ),
    "two claims of one key": (
        HOOK + "@hookimpl\ndef ops():\n    return [OpPack('x', 'y'), OpPack('x', 'z')]",
        "plugin-bad 1.0 contradicts itself: the namespace x is claimed by plugin-bad 1.0",
    ),
    "a question while it is imported": (
        HOOK + "from core import plugins\nplugins.registries()",
        "a plugin asked what plugins offer while plugins were being read; it must ask in a function",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_plugin_is_broken_by(site, what):
    text, cause = BROKEN[what]
    site.add("plugin-bad", plugin_bad=text)
    site.add("plugin-ops-good", plugin_ops_good=GOOD)
    found = site.plugins()
    assert found["plugin-bad"]["state"] == "broken"
    assert found["plugin-bad"]["cause"].startswith(cause)
    assert found["plugin-bad"]["remedy"].startswith("upgrade or reinstall plugin-bad")
    assert found["plugin-bad"]["counts"] == {}
    assert found["plugin-ops-good"]["state"] == "loaded"


def test_a_hook_of_a_later_core_is_passed_over_when_it_is_marked_optional(site):
    text = GOOD + "\n    @hookimpl(optionalhook=True)\n    def hook_of_the_future():\n        return []\n"
    site.add("plugin-ops-good", plugin_ops_good=text)
    assert site.plugins()["plugin-ops-good"]["state"] == "loaded"


def test_a_plugin_for_another_major_version_is_incompatible_and_not_imported(site):
    site.add("plugin-new", group="core.v2", plugin_new="raise RuntimeError('imported')")
    found = site.plugins()["plugin-new"]
    assert found["state"] == "incompatible"
    assert found["cause"] == "it was written for core.v2, and this core speaks core.v1"
    assert found["remedy"] == "install a version of plugin-new for core.v1, or a core for core.v2"


def test_a_plugin_that_speaks_two_major_versions_is_loaded_once(site):
    site.add("plugin-ops-good", group="core.v1 core.v2", plugin_ops_good=GOOD)
    assert site.plugins(CORE_PLUGINS_STRICT="1")["plugin-ops-good"]["state"] == "loaded"


@pytest.mark.parametrize("name", ["plugin-bad", "bad", "Plugin_Bad"])
def test_a_plugin_is_blocked_by_distribution_or_entry_name_before_it_is_imported(site, name):
    site.add("plugin-bad", plugin_bad="raise RuntimeError('imported')")
    found = site.plugins(CORE_PLUGINS_DISABLE=f" other , {name}")["plugin-bad"]
    assert (found["state"], found["cause"]) == ("blocked", "CORE_PLUGINS_DISABLE names it")


def test_core_plugins_admits_those_that_it_names_alone(site):
    site.add("plugin-bad", plugin_bad="raise RuntimeError('imported')")
    site.add("plugin-ops-good", plugin_ops_good=GOOD)
    found = site.plugins(CORE_PLUGINS="ops-good")
    assert found["plugin-ops-good"]["state"] == "loaded"
    assert (found["plugin-bad"]["state"], found["plugin-bad"]["cause"]) == ("blocked", "CORE_PLUGINS does not name it")
    assert found["core"]["state"] == "loaded"


def test_a_misspelt_name_in_core_plugins_is_warned_of(site):
    site.add("plugin-ops-good", plugin_ops_good=GOOD)
    done = site.python("-m", "core", "plugins", CORE_PLUGINS_DISABLE="ops-godo")
    expected = "CORE_PLUGINS_DISABLE names 'ops-godo', but no such plugin is installed. Did you mean 'ops-good'?"
    assert f"CoreWarning: {expected}" in done.stderr


def test_strict_raises_for_a_broken_plugin_each_time_that_somebody_asks(site):
    site.add("plugin-bad", plugin_bad="1 / 0")
    site.add("plugin-aa-good", plugin_aa_good=GOOD)
    code = """
        from core import plugins
        from core.errors import PluginError
        for _ in range(2):
            try:
                plugins.registries()
            except PluginError as error:
                print(error)
    """
    lines = site.run(code, CORE_PLUGINS_STRICT="1").splitlines()
    assert len(lines) == 2
    for line in lines:
        assert line.startswith("plugin-bad 1.0 is broken: ZeroDivisionError: division by zero; upgrade or reinstall")
        assert line.endswith("(CORE_PLUGINS_STRICT is set)")


def test_of_two_copies_of_a_distribution_the_first_on_the_path_counts(site, tmp_path):
    older = type(site)(tmp_path / "older")
    older.add("plugin-ops-good", version="0.9", plugin_ops_good="raise RuntimeError('the older copy was imported')")
    site.add("plugin-ops-good", version="1.0", plugin_ops_good=GOOD)
    found = site.plugins(path=[older.folder])["plugin-ops-good"]
    assert (found["state"], found["version"]) == ("loaded", "1.0")


def test_two_distributions_may_give_their_entry_points_one_name(site):
    site.add("plugin-one", entry="same", plugin_one=GOOD)
    site.add("plugin-two", entry="same", plugin_two=GOOD.replace('"good"', '"better"'))
    found = site.plugins()
    assert [found[dist]["state"] for dist in ("plugin-one", "plugin-two")] == ["loaded", "loaded"]


def test_plugins_are_discovered_once_when_many_threads_ask_at_once(site):
    site.add("plugin-ops-good", plugin_ops_good=GOOD + "\n    print('asked')\n")
    code = """
        from concurrent.futures import ThreadPoolExecutor
        from core import plugins
        with ThreadPoolExecutor(8) as pool:
            views = {id(view) for view in pool.map(lambda _: plugins.registries(), range(32))}
        print(len(views))
    """
    assert site.run(code).splitlines() == ["asked", "1"]


def test_two_distributions_in_conflict_are_shown_as_such(site):
    site.add("plugin-one", plugin_one=GOOD)
    site.add("plugin-two", plugin_two=GOOD)
    found = site.plugins()
    for dist in ("plugin-one", "plugin-two"):
        assert found[dist]["state"] == "conflict"
        assert found[dist]["cause"] == (
            "the namespace good is claimed by plugin-one 1.0 and plugin-two 1.0; "
            "block one with CORE_PLUGINS_DISABLE=plugin-one or plugin-two"
        )


def test_blocking_one_of_two_plugins_in_conflict_settles_it(site):
    site.add("plugin-one", plugin_one=GOOD)
    site.add("plugin-two", plugin_two=GOOD)
    found = site.plugins(CORE_PLUGINS_DISABLE="two")
    assert found["plugin-one"]["state"] == "loaded"
