"""check_plugin, on distributions built in a temporary folder: an honest one passes, each kind of slip is named."""

import json

import pytest

from core.errors import ArgumentError, CheckError
from core.testing import check_plugin

HOOKS = "from core.markers import hookimpl\nfrom core.records import *\n"
GOOD = (
    HOOKS
    + """
@hookimpl
def ops():
    return [OpPack("good", "good_ops")]

@hookimpl
def options():
    return [Option("good.level", int, 1, help="how good")]
"""
)


def test_an_honest_plugin_passes_by_every_name_that_it_has(site):
    site.add("plugin-ops-good", requires=["core>=0.1,<0.2"], plugin_ops_good=GOOD, good_ops="def f(x): return x")
    for name in ("plugin-ops-good", "ops-good", "plugin_ops_good"):
        data = site.check_plugin(name)
        assert data["ok"] and data["subject"] == "plugin plugin-ops-good"
        assert data["facts"]["counts"] == {"ops": 1, "options": 1}
        assert data["facts"]["import_ms"] > 0
        assert {"names", "requirements", "import", "hooks", "reference ref", "record"} == {
            check["name"] for check in data["checks"]
        }


RECORD = HOOKS + "@hookimpl\ndef {hook}():\n    return [{record}]\n"


def given(hook, record):
    return RECORD.format(hook=hook, record=record)


WRONG = {
    "numpy at import": ("import numpy\n" + GOOD, "plugin_ops_good imports numpy, and every process that compiles"),
    "a misspelt hook": (
        HOOKS + "@hookimpl\ndef op():\n    return []",
        "implements 'op', which is no hook.",
    ),
    "a reference to nothing": (given("ops", "OpPack('good', 'no_such')"), "there is no module 'no_such'"),
    "an attribute that is not there": (given("ops", "OpPack('good', 'json:nothing')"), "has no attribute 'nothing'"),
    "an empty namespace": (given("ops", "OpPack('good', 'empty')"), "empty holds no op and no function"),
    "a namespace of two words": (given("ops", "OpPack('very good', 'json')"), "a namespace is an identifier"),
    "an unknown stage": (
        given("rewrites", "Rewrite('r', 'stabilise', fn='good_rules:silent')"),
        "no stage 'stabilise'; the stages are canonicalize, stabilize, specialize, fuse. Did you mean 'stabilize'",
    ),
    "what is no rule": (given("rewrites", "Rewrite('r', 'stabilize', fn='json:loads')"), "needs a Rule or a RuleSet"),
    "a rule without words": (
        given("rewrites", "Rewrite('r', 'stabilize', fn='good_rules:silent')"),
        "rule silent has no docstring",
    ),
    "a lowering of what is no op": (given("lowerings", "Lowering('json:loads', 'json:dumps')"), "must name an op or a"),
    "a type of another kind": (given("types", "GraphType('t', 'json:loads')"), "a subclass of core.graph.Type"),
    "a routine that is not held": (
        given("libraries", "Library('l', 'c', ('gemm',), ref='good_rules:ROUTINES')"),
        "says that it provides 'gemm'",
    ),
    "a driver without compile": (
        given("backends", "Backend('b', 'c', 'good_rules:silent_driver')"),
        "the driver of backend b has no method compile",
    ),
    "a probe without a reason": (
        given("backends", "Backend('b', None, 'good_rules:silent_driver')"),
        "finds nothing and gives no reason",
    ),
    "an option of another's name": (
        given("options", "Option('other.level', int, 1, help='x')"),
        "option 'other.level' must begin with the plugin's own name and a dot: good.key",
    ),
    "a default of another type": (
        given("options", "Option('good.level', int, 'x', help='x')"),
        "needs a default of type int or None, got 'x'",
    ),
    "an option without help": (given("options", "Option('good.level', int, 1)"), "option good.level has no help"),
}
RULES = """
from core.records import Probe
from core.rewriting import RuleSet
from core.tensor.patterns import X
import core.tensor as ct

silent = RuleSet("stabilize")
silent.rule(ct.exp(X), name="silent")(lambda x: None)
ROUTINES = {}
driver = object()

class _Silent:
    def probe(self):
        return Probe()
    def fingerprint(self):
        return ""
    def compile_graph(self, graph):
        return None

silent_driver = _Silent()
"""


@pytest.mark.parametrize("what", WRONG)
def test_check_plugin_catches(site, what):
    text, complaint = WRONG[what]
    site.add(
        "plugin-ops-good", requires=["core<0.2"], plugin_ops_good=text, good_rules=RULES, empty="", good_ops="f = len"
    )
    data = site.check_plugin("ops-good")
    failed = [check for check in data["checks"] if check["outcome"] == "failed"]
    assert any(complaint in check["detail"] for check in failed), failed


@pytest.mark.parametrize(
    "options, complaint",
    [
        ({"dist": "good-ops"}, "plugin-backend-x or plugin-rewrites-x, not good-ops"),
        ({"entry": "good"}, "the entry point of plugin-ops-good must be called 'ops-good'"),
        ({"module": "good"}, "the package of plugin-ops-good must be called plugin_ops_good, and it is good"),
        ({"requires": []}, "plugin-ops-good does not require core; say how old and how new it may be"),
        ({"requires": ["core"]}, "plugin-ops-good requires 'core', without an upper end"),
        ({"requires": ["core @ file:///x"]}, "an address in the metadata breaks where it cannot be reached"),
    ],
)
def test_names_and_requirements_of_a_distribution_are_held(site, options, complaint):
    dist, module = options.pop("dist", "plugin-ops-good"), options.pop("module", "plugin_ops_good")
    site.add(dist, **{"requires": ["core<0.2"], **options}, **{module: GOOD, "good_ops": "f = len"})
    data = site.check_plugin(dist)
    assert any(complaint in check["detail"] for check in data["checks"] if check["outcome"] == "failed"), data


def test_an_import_over_its_budget_is_said_and_is_no_failure(site):
    slow = "import time\ntime.sleep(0.05)\n" + GOOD
    site.add("plugin-ops-good", requires=["core<0.2"], plugin_ops_good=slow, good_ops="f = len")
    data = site.check_plugin("ops-good")
    (check,) = [check for check in data["checks"] if check["name"] == "import"]
    assert data["ok"] and check["detail"].endswith("over the 10 ms that it should need")
    assert data["facts"]["import_ms"] >= 50


def test_a_plugin_that_cannot_be_imported_is_caught(site):
    site.add("plugin-ops-good", requires=["core<0.2"], plugin_ops_good="1 / 0")
    data = site.check_plugin("ops-good")
    assert any("ZeroDivisionError" in check["detail"] for check in data["checks"] if check["outcome"] == "failed")


def test_core_itself_passes_as_any_module_of_hooks_does():
    assert check_plugin("core.own_plugin").ok


def test_a_name_that_nothing_has_is_an_error():
    with pytest.raises(ArgumentError, match="no distribution with an entry point in group core.v1, and no module"):
        check_plugin("plugin-ops-nothing")


def test_a_module_that_is_no_plugin_fails():
    with pytest.raises(CheckError, match="plugin json fails 'hooks' for json: json implements no hook"):
        check_plugin(json)
