"""What becomes of packs that do not work: wheels that pip installs, a fresh process, and what each asker is told."""

import subprocess
import sys

import pytest

from core import plugins
from core.testing.sites import write_wheel

BACKENDS = plugins.registries().backends
DIALECTS = [dialect for name in BACKENDS.keys() if (dialect := BACKENDS.get(name).record.dialect)]
HOOKS = "from core.markers import hookimpl\nfrom core.records import Backend, OpPack, Rewrite\n"
OPS = HOOKS + "@hookimpl\ndef ops():\n    return [OpPack('good', 'json')]\n"
BACKEND = HOOKS + "@hookimpl\ndef backends():\n    return [Backend('mine', 'mine', 'json:loads')]\n"
ASK_FOR_OPS = "import core; core.ops.good"
ASK_FOR_A_BACKEND = """
import core, core.tensor as ct
x = ct.dvector("x")
core.function([x], x + 1, backend="mine")
"""
COMPILE = """
import core, core.tensor as ct
x = ct.dvector("x")
f = core.function([x], ct.log(1 + x), backend="interpreter")
print(f([0.0]), f.rewrites.count("log_of_one_plus_is_log1p"))
"""


def last_line(site, code, **env):
    """How a program ends that fails."""
    done = site.python("-c", code, **env)
    assert done.returncode != 0
    return done.stderr.strip().splitlines()[-1]


def table(site, **env):
    """What ``core plugins`` prints."""
    done = site.python("-m", "core", "plugins", **env)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_pip_takes_the_wheels_of_these_tests(site):
    wheel = write_wheel(
        site.folder.parent / "house",
        "plugin-ops-good",
        groups={"core.v1": {"ops-good": "plugin_ops_good"}},
        modules={"plugin_ops_good": OPS},
    )
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-index",
        "--no-deps",
        "--target",
        str(site.folder),
    ]
    subprocess.run([*command, str(wheel)], check=True, capture_output=True)
    assert site.plugins()["plugin-ops-good"]["state"] == "loaded"
    assert site.run("import core; print(core.ops.good.__name__)") == "json"


def test_two_packs_for_one_namespace(site):
    site.add("plugin-one", plugin_one=OPS)
    site.add("plugin-two", plugin_two=OPS)
    cause = (
        "the namespace good is claimed by plugin-one 1.0 and plugin-two 1.0; "
        "block one with CORE_PLUGINS_DISABLE=plugin-one or plugin-two"
    )
    assert f"plugin-one 1.0 is conflict: {cause}" in table(site)
    assert last_line(site, ASK_FOR_OPS) == f"core.errors.PluginConflict: {cause}"
    assert site.run("import core; print(core.ops.good.__name__)", CORE_PLUGINS_DISABLE="two") == "json"
    assert site.run("import core; print(core.ops.good.__name__)", CORE_PLUGINS="one") == "json"
    assert site.run(COMPILE) == "[0.] 1"  # who does not use the key is not concerned


def test_a_pack_for_a_newer_core(site):
    site.add("plugin-backend-mine", group="core.v2", plugin_backend_mine="raise RuntimeError('imported')")
    told = (
        "plugin-backend-mine 1.0 is incompatible: it was written for core.v2, and this core speaks core.v1; "
        "install a version of plugin-backend-mine for core.v1, or a core for core.v2"
    )
    assert told in table(site)
    line = last_line(site, ASK_FOR_A_BACKEND)
    assert "there is no backend 'mine'" in line and told in line
    assert told in last_line(site, COMPILE, CORE_PLUGINS_STRICT="1")


def test_a_pack_whose_import_fails(site):
    site.add("plugin-backend-mine", plugin_backend_mine="raise OSError('no licence file')")
    told = "plugin-backend-mine 1.0 is broken: OSError: no licence file; upgrade or reinstall plugin-backend-mine"
    assert told in table(site)
    assert told in last_line(site, ASK_FOR_A_BACKEND)
    assert site.run(COMPILE) == "[0.] 1"
    line = last_line(site, COMPILE, CORE_PLUGINS_STRICT="1")
    assert line.startswith(f"core.errors.PluginError: {told}") and line.endswith("(CORE_PLUGINS_STRICT is set)")
    assert site.run(COMPILE, CORE_PLUGINS_STRICT="1", CORE_PLUGINS_DISABLE="backend-mine") == "[0.] 1"


def test_a_pack_that_needs_a_distribution_that_is_not_installed(site):
    site.add("plugin-ops-good", requires=["quux"], plugin_ops_good="import quux")
    told = (
        "plugin-ops-good 1.0 is broken: ModuleNotFoundError: No module named 'quux'; install what provides the module"
    )
    assert told in table(site)
    line = last_line(site, ASK_FOR_OPS)
    assert "there is no op pack 'good'" in line and told in line


def test_a_pack_whose_heavy_part_needs_a_distribution_that_is_not_installed(site):
    site.add("plugin-ops-good", plugin_ops_good=OPS.replace("'json'", "'good_heavy'"), good_heavy="import quux")
    assert site.plugins()["plugin-ops-good"]["state"] == "loaded"  # nothing heavy was looked at yet
    assert last_line(site, ASK_FOR_OPS) == (
        "core.errors.PluginError: plugin-ops-good 1.0 needs 'good_heavy', but there is no module 'quux'; install it"
    )


def test_a_pack_with_a_misspelt_hook(site):
    site.add("plugin-ops-good", plugin_ops_good=OPS.replace("def ops", "def opps"))
    told = "plugin-ops-good 1.0 is broken: plugin-ops-good 1.0 implements 'opps', which is no hook. Did you mean 'ops'?"
    assert told in table(site)
    assert told in last_line(site, ASK_FOR_OPS)


def test_a_pack_with_a_module_of_the_name_of_a_hook(site):
    """Once the module is imported it is what the package has under that name, and the hook is gone."""
    site.add("plugin-ops-good", **{"plugin_ops_good/__init__": OPS, "plugin_ops_good/ops": "x = 1"})
    assert site.run("import core; print(core.ops.good.__name__)") == "json"
    line = last_line(site, "import plugin_ops_good.ops, core; core.ops.good")
    assert "has a module plugin_ops_good.ops, which takes the place of its hook ops() once it is imported" in line


def test_a_pack_that_is_slow_to_import_is_seen_by_its_milliseconds(site):
    site.add("plugin-ops-good", plugin_ops_good="import time\ntime.sleep(0.2)\n" + OPS)
    assert site.plugins()["plugin-ops-good"]["ms"] >= 200
    (row,) = [line for line in table(site).splitlines() if line.split()[1:2] == ["plugin-ops-good"]][:1]
    assert float(row.split()[3]) >= 200
    assert "plugin-ops-good 1.0 takes long to import" in table(site)


def test_an_older_copy_further_down_the_path_is_neither_imported_nor_listed(site, tmp_path):
    older = type(site)(tmp_path / "older")
    older.add("plugin-ops-good", version="0.9", plugin_ops_good="raise RuntimeError('the older copy')")
    site.add("plugin-ops-good", version="1.0", plugin_ops_good=OPS)
    text = table(site, path=[older.folder])
    rows = [line.split() for line in text.splitlines() if "plugin-ops-good" in line]
    assert [row[:3] for row in rows] == [["loaded", "plugin-ops-good", "1.0"]]
    assert site.run("import core; print(core.ops.good.__name__)", path=[older.folder]) == "json"


BROKEN_RULES = HOOKS + "@hookimpl\ndef rewrites():\n    return [Rewrite('mine', 'stabilize', fn='{fn}')]\n"


@pytest.mark.parametrize(
    "fn, cause",
    [
        (
            "good_rules:rules",
            "RewriteError: rewrite mine of plugin plugin-rewrites-good names 'good_rules:rules', which",
        ),
        ("json:loads", "RewriteError: rewrite mine of plugin plugin-rewrites-good needs a Rule or a RuleSet as fn"),
        ("dividing_rules:rules", "ZeroDivisionError: division by zero"),
    ],
)
def test_a_pack_whose_rewrites_cannot_be_looked_up_is_left_out_and_functions_still_compile(site, fn, cause):
    site.add("plugin-rewrites-good", plugin_rewrites_good=BROKEN_RULES.format(fn=fn), dividing_rules="1 / 0")
    done = site.python("-c", COMPILE + "\nfrom core import plugins; print(plugins.plugins()[-1].state)")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("[0.] 1") and "broken" in done.stdout or "loaded" in done.stdout
    assert f"CoreWarning: plugin-rewrites-good 1.0 is broken: {cause}" in done.stderr
    assert f"plugin-rewrites-good 1.0 is broken: {cause}" in last_line(site, COMPILE, CORE_PLUGINS_STRICT="1")


@pytest.mark.skipif(not DIALECTS, reason="no backend that compiles is installed here")
def test_why_names_who_attached_a_lowering_and_who_wins(site):
    attached = """
        from core.markers import hookimpl
        from core.records import Lowering

        @hookimpl
        def lowerings():
            return [Lowering("core.tensor:exp", "lowered_exp:exp", dialect=None, priority={priority})]
    """
    site.add("plugin-one", plugin_one=attached.format(priority=1), lowered_exp="def exp(op, node, x): return x")
    site.add("plugin-two", plugin_two=attached.format(priority=2))
    done = site.python("-m", "core", "why", "exp", DIALECTS[0])
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines() if "attached lowering" in line]
    assert rows[0][:4] == ["*", "attached", "lowering", "plugin-two"] and "plugin-one" in rows[1]
    site.write("plugin_two", attached.format(priority=1))
    done = site.python("-m", "core", "why", "exp", DIALECTS[0])
    assert done.returncode == 1
    assert "the lowering of" in done.stderr and "is claimed by plugin-one 1.0 and plugin-two 1.0" in done.stderr
