"""Which of several records wins, when that is a conflict, and what is loaded when."""

import sys
import types

import pytest

from core.discovery import Plugin, State
from core.errors import PluginConflict, PluginError
from core.op import Op
from core.records import Backend, Library, Lowering, OpPack, Option, Probe, Rewrite
from core.registries import Registries
from core.registry import Entry, Source

ONE, TWO = Source("one", "plugin-one", "1.0"), Source("two", "plugin-two", "2.0")


def offered(*pairs):
    return Registries([Entry(record, source) for source, record in pairs])


class Double(Op):
    __props__ = ("times",)

    def __init__(self, times=2):
        self.times = times


def test_two_backends_of_one_name_and_priority_are_a_conflict_that_names_both_when_it_is_used():
    both = offered((ONE, Backend("c", "c", "a:b")), (TWO, Backend("c", "c", "c:d")), (TWO, Backend("d", "c", "c:d")))
    assert both.backends.get("d").source == TWO
    message = (
        "the backend c is claimed by plugin-one 1.0 and plugin-two 2.0; "
        "ask their authors to give one a higher priority, "
        "or block one with CORE_PLUGINS_DISABLE=plugin-one or plugin-two"
    )
    with pytest.raises(PluginConflict) as raised:
        both.backends.get("c")
    assert str(raised.value) == message
    assert both.conflicts() == {ONE: message, TWO: message}


def test_a_higher_priority_resolves_a_conflict():
    both = offered((ONE, Backend("c", "c", "a:b")), (TWO, Backend("c", "c", "c:d", priority=1)))
    assert both.backends.get("c").source == TWO
    assert [entry.source for entry in both.backends.candidates("c")] == [TWO, ONE]
    assert both.conflicts() == {}


def test_a_key_that_nobody_claims_has_no_entry():
    assert offered().backends.get("c") is None
    assert offered().lowerings.get(Double(), "c") is None
    assert offered().libraries.get(("gemm", "c")) is None


@pytest.mark.parametrize(
    "record, index, key, message",
    [
        (OpPack("nn", "x"), "ops", "nn", "the namespace nn is claimed by"),
        (Option("x.y", int, 1), "options", "x.y", "the option x.y is claimed by"),
        (Rewrite("r", "stabilize", "x:y"), "rewrites", ("r", "stage stabilize"), "the rewrite r in stage stabilize"),
        (Library("blas", "c", ("gemm",), "x:y"), "libraries", ("gemm", "c"), "the routine gemm in c is claimed by"),
    ],
)
def test_one_key_of_two_plugins_is_a_conflict(record, index, key, message):
    both = offered((ONE, record), (TWO, record))
    with pytest.raises(PluginConflict, match=message):
        getattr(both, index).get(key)
    assert set(both.conflicts()) == {ONE, TWO}


def test_rewrites_of_one_name_in_one_stage_are_a_conflict_when_they_are_collected():
    both = offered((ONE, Rewrite("r", "stabilize", "x:y")), (TWO, Rewrite("r", "stabilize", "x:z")))
    with pytest.raises(
        PluginConflict, match=r"the rewrite r in stage stabilize is claimed by plugin-one 1\.0 and plugin-two"
    ):
        both.rewrite_records()


def test_rewrites_of_one_name_in_two_stages_are_none():
    pair = Rewrite("r", "stabilize", "x:y"), Rewrite("r", "specialize", "x:z")
    both = offered((ONE, pair[0]), (TWO, pair[1]))
    assert both.rewrite_records() == [("plugin-one", pair[0]), ("plugin-two", pair[1])]


# --- lowerings ------------------------------------------------------------------------------------------------------


def test_a_lowering_serves_an_op_of_its_class_in_its_dialect():
    found = offered((ONE, Lowering(Double, "x:y", dialect="c"))).lowerings
    assert found.get(Double(3), "c").source == ONE
    assert found.get(Double, "c").source == ONE
    assert found.get(Double(3), "opencl") is None
    assert found.get(Op(), "c") is None


def test_a_lowering_for_one_op_serves_only_its_equals():
    found = offered((ONE, Lowering(Double(2), "x:y"))).lowerings
    assert found.get(Double(2), "c").source == ONE
    assert found.get(Double(3), "c") is None


def test_the_lowering_of_highest_priority_whose_condition_holds_wins():
    always = Lowering(Double, "x:y")
    small = Lowering(Double, "x:y", priority=5, when=lambda node: node < 10)
    found = offered((ONE, always), (TWO, small)).lowerings
    assert found.get(Double(), "c", node=3).source == TWO
    assert found.get(Double(), "c", node=30).source == ONE


def test_two_lowerings_of_one_priority_are_a_conflict():
    found = offered((ONE, Lowering(Double, "x:y")), (TWO, Lowering(Double, "x:y", dialect="c")))
    with pytest.raises(
        PluginConflict, match=r"the lowering of .*Double\(times=2\) in dialect c is claimed by plugin-one 1.0 and"
    ):
        found.lowerings.get(Double(), "c")
    assert found.lowerings.get(Double(), "opencl").source == ONE
    assert set(found.conflicts()) == {ONE, TWO}


def test_an_op_named_by_a_string_is_looked_up_once_its_module_was_imported_by_others(monkeypatch):
    found = offered((ONE, Lowering("module_of_a_test:Double", "x:y"))).lowerings
    assert found.get(Double(), "c") is None
    assert "module_of_a_test" not in sys.modules
    module = types.ModuleType("module_of_a_test")
    module.Double = Double
    monkeypatch.setitem(sys.modules, "module_of_a_test", module)
    assert found.get(Double(), "c").source == ONE


def test_a_lowering_for_an_op_that_its_module_lacks_is_an_error_that_names_the_distribution():
    found = offered((ONE, Lowering("core.op:Opp", "x:y"))).lowerings
    with pytest.raises(
        PluginError, match=r"plugin-one 1\.0 needs 'core\.op:Opp', but: module 'core\.op' has no attribute"
    ):
        found.get(Double(), "c")


# --- libraries and entries ------------------------------------------------------------------------------------------


def library(probe=None, priority=0):
    return Library("blas", "c", ("gemm", "gemv"), "x:y", probe=probe, priority=priority)


def test_a_library_provides_each_of_its_routines():
    found = offered((ONE, library())).libraries
    assert found.get(("gemm", "c")).source == found.get(("gemv", "c")).source == ONE
    assert found.get(("gemm", "opencl")) is None


def test_a_library_that_does_not_work_here_takes_no_part():
    found = offered((ONE, library(lambda: Probe(reason="not linked"), priority=9)), (TWO, library())).libraries
    assert found.get(("gemm", "c")).source == TWO


def test_a_library_may_leave_some_nodes_to_the_ops_own_code():
    picky = Library("blas", "c", ("gemm",), "x:y", when=lambda node: node == "large")
    found = offered((ONE, picky)).libraries
    assert found.serves("gemm", "c", "large") and not found.serves("gemm", "c", "small")
    assert not found.serves("gemv", "c", "large")


def test_a_probe_is_asked_once():
    asked = []
    entry = Entry(library(), ONE)
    for _ in range(3):
        entry.probe(lambda: asked.append(1) or Probe(("cpu",)))
    assert asked == [1]


@pytest.mark.parametrize(
    "ask, reason",
    [
        (lambda: 1 / 0, "the probe of plugin-one 1.0 failed with ZeroDivisionError: division by zero"),
        (lambda: True, "the probe of plugin-one 1.0 must return a Probe, got True"),
    ],
)
def test_a_probe_that_fails_is_a_reason(ask, reason):
    assert Entry(library(), ONE).probe(ask) == Probe(reason=reason)


def test_a_reference_is_imported_once_and_its_failure_names_the_distribution():
    entry = Entry(Backend("c", "c", "core.op:Op"), ONE)
    assert entry.load() is entry.load() is Op
    with pytest.raises(PluginError, match=r"plugin-one 1\.0 needs 'no_such_module_here:x', but there is no module"):
        Entry(Backend("c", "c", "no_such_module_here:x"), ONE).load()


def test_the_identity_of_an_entry_holds_what_belongs_into_a_cache_key():
    assert Entry(Backend("c", "c", "x:y"), ONE).identity == ("Backend", "c", "plugin-one", "1.0")
    assert Entry(OpPack("nn", "x"), TWO).identity == ("OpPack", "nn", "plugin-two", "2.0")
    assert Entry(Lowering(Double, "x:y"), ONE).identity[2:] == ("plugin-one", "1.0")


def test_a_plugin_says_its_state_cause_and_remedy():
    assert (
        str(Plugin(ONE, State.BROKEN, "no driver", "install it")) == "plugin-one 1.0 is broken: no driver; install it"
    )
