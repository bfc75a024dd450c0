"""The engine: fixpoints, checks, provenance, order."""

import sys
from types import SimpleNamespace

import pytest

from core.errors import ArgumentError, PluginConflict, RewriteError
from core.graph import Apply, Constant, FunctionGraph
from core.op import Op
from core.records import Rewrite
from core.rewriting import RuleSet, rewrite, rules_from_record, with_records
from core.tensor.arithmetic import Cast, add, cast
from core.tensor.functions import cos, exp, sin, tan
from core.tensor.patterns import X
from core.tensor.type import TensorType

x, y = TensorType("float64", 1)("x"), TensorType("float64", 1)("y")


def graph_of(out, *inputs):
    return FunctionGraph(inputs or [x], [out])


def ops_of(graph):
    return [str(node.op) for node in graph.toposort()]


def one_rule(on, function, **options):
    rules = RuleSet("canonicalize")
    decorator = rules.rule if hasattr(on, "__apply_op__") else rules.node_rule
    decorator(on, name="the_rule", plugin="a-plugin", **options)(function)
    return rules


def test_a_rule_is_applied_wherever_its_pattern_occurs():
    graph = graph_of(exp(sin(exp(sin(x)))))
    log_of_rules = rewrite(graph, one_rule(sin(X), lambda x: cos(x)))
    assert ops_of(graph) == ["cos", "exp", "cos", "exp"]
    assert log_of_rules.count("the_rule") == 2
    graph.check()


def test_what_a_rule_makes_is_rewritten_too():
    rules = RuleSet("canonicalize")
    rules.rule(sin(X), name="a")(lambda x: cos(x))
    rules.rule(cos(X), name="b")(lambda x: tan(x))
    graph = graph_of(sin(x))
    rewrite(graph, rules)
    assert ops_of(graph) == ["tan"]


def test_a_change_below_lets_a_rule_fire_further_up():
    rules = RuleSet("canonicalize")
    rules.rule(exp(exp(cos(X))), name="a")(lambda x: tan(x))
    rules.rule(sin(X), name="b")(lambda x: cos(x))
    graph = graph_of(exp(exp(sin(x))))
    rewrite(graph, rules)
    assert ops_of(graph) == ["tan"]


def test_the_first_stage_cleans_up_after_later_ones():
    first, second = RuleSet("canonicalize"), RuleSet("stabilize")
    first.rule(cos(X), name="a")(lambda x: tan(x))
    second.rule(sin(X), name="b")(lambda x: cos(x))
    graph = graph_of(sin(x))
    assert [(entry.stage, entry.rule) for entry in rewrite(graph, [first, second])] == [
        ("stabilize", "b"),
        ("canonicalize", "a"),
    ]
    assert ops_of(graph) == ["tan"]


def test_a_rule_for_a_class_of_ops_sees_all_of_them():
    seen = []
    rewrite(graph_of(exp(sin(x))), one_rule(Op, lambda graph, node: seen.append(str(node.op))))
    assert seen == ["sin", "exp"]


def test_a_rule_for_several_ops_sees_these_only():
    seen = []
    rules = RuleSet("canonicalize")
    rules.node_rule(sin, cos, name="r")(lambda graph, node: seen.append(str(node.op)))
    rewrite(graph_of(exp(cos(sin(x)))), rules)
    assert seen == ["sin", "cos"]


@pytest.mark.parametrize(
    "reads, expected", [((sin,), ["exp"]), ((Cast,), ["cos"]), ((Constant,), ["add"]), ((tan, exp), ["Cast(float32)"])]
)
def test_a_rule_sees_only_nodes_that_read_what_it_is_for(reads, expected):
    seen = []
    rules = RuleSet("canonicalize")
    rules.node_rule(Op, name="r", reads=reads)(lambda graph, node: seen.append(str(node.op)))
    rewrite(graph_of(cos(cast(exp(sin(x)), "float32")) + 1), rules)
    assert seen == expected


def test_a_replacement_that_says_the_same_does_not_fire():
    graph = graph_of(exp(x))
    assert len(rewrite(graph, one_rule(exp(X), lambda x: exp(x)))) == 0


def test_a_new_node_keeps_the_line_and_the_name_of_the_old():
    out = exp(x, name="likelihood")
    graph = graph_of(out)
    rewrite(graph, one_rule(exp(X), lambda x: sin(cos(x))))
    assert graph.outputs[0].name == "likelihood"
    assert {node.source for node in graph.toposort()} == {out.source}


def test_the_log_tells_stage_rule_plugin_count_and_line():
    (entry,) = rewrite(graph_of(exp(exp(x))), one_rule(exp(X), lambda x: sin(x)))
    assert (entry.stage, entry.rule, entry.plugin, entry.count) == ("canonicalize", "the_rule", "a-plugin", 2)
    assert str(entry).startswith("canonicalize: the_rule (plugin a-plugin) x2  first at")


def test_a_log_without_entries_says_so():
    assert str(rewrite(graph_of(exp(x)), RuleSet("canonicalize"))) == "no rule fired"


def test_a_node_with_several_outputs_may_have_some_replaced():
    class Two(Op):
        __props__ = ()

        def make_node(self, v):
            return Apply(self, [v], [v.type, v.type])

    a, b = Two()(x)
    graph = graph_of(add(a, b))
    rewrite(graph, one_rule(Two, lambda graph, node: [exp(node.inputs[0]), None]))
    assert sorted(ops_of(graph)) == ["Two", "add", "exp"]
    graph.check()


def test_a_new_node_learns_the_static_shape_of_the_old():
    known = TensorType("float64", (3,))("known")
    graph = graph_of(add(x, known), x, known)
    rewrite(graph, one_rule(add, lambda graph, node: sin(node.inputs[0])))
    assert graph.outputs[0].type.shape == (3,)


def test_what_is_known_less_of_does_not_take_the_place_of_what_is_known():
    known = TensorType("float64", (3,))("known")
    graph = graph_of(add(x, known), x, known)
    rewrite(graph, one_rule(add, lambda graph, node: node.inputs[0]))
    assert ops_of(graph) == ["add"]


def test_a_pattern_rule_that_would_change_the_dtype_does_not_apply():
    graph = graph_of(exp(x))
    rewrite(graph, one_rule(exp(X), lambda x: cast(x, "float32")))
    assert ops_of(graph) == ["exp"]


def test_a_node_rule_that_changes_the_dtype_is_an_error():
    text = r"rule the_rule \(plugin a-plugin\) puts .* of type TensorType\(float32, .* in the place of exp"
    with pytest.raises(RewriteError, match=text):
        rewrite(graph_of(exp(x)), one_rule(exp, lambda graph, node: cast(node.inputs[0], "float32")))


def test_rules_that_undo_each_other_are_an_error():
    rules = RuleSet("canonicalize")
    rules.rule(sin(X), name="there")(lambda x: cos(x))
    rules.rule(cos(X), name="back")(lambda x: sin(x))
    with pytest.raises(
        RewriteError, match=r"stage canonicalize does not come to an end: rule .* fires again and again"
    ):
        rewrite(graph_of(sin(x)), rules)


def test_stages_that_undo_each_other_are_an_error():
    first, second = RuleSet("canonicalize"), RuleSet("stabilize")
    first.rule(cos(X), name="back")(lambda x: sin(x))
    second.rule(sin(X), name="there")(lambda x: cos(x))
    with pytest.raises(RewriteError, match=r"does not come to an end"):
        rewrite(graph_of(sin(x)), [first, second])


def test_a_replacement_that_reads_what_it_replaces_is_an_error():
    with pytest.raises(RewriteError, match=r"replaces exp by .*, which reads exp itself"):
        rewrite(graph_of(exp(x)), one_rule(exp, lambda graph, node: sin(node.out)))


def test_a_rule_that_raises_is_named_with_its_node():
    def broken(x):
        raise KeyError("oh")

    with pytest.raises(RewriteError, match=r"rule the_rule \(plugin a-plugin\) failed on exp\(x\): KeyError: 'oh'"):
        rewrite(graph_of(exp(x)), one_rule(exp(X), broken))


def test_a_rule_that_raises_is_left_out_with_one_warning_when_not_strict():
    def broken(x):
        raise KeyError("oh")

    with pytest.warns(RuntimeWarning, match=r"KeyError: 'oh'; it is left out") as caught:
        rewrite(graph_of(exp(exp(x))), one_rule(exp(X), broken), strict=False)
    assert len(caught) == 1


def test_a_rule_must_return_variables():
    with pytest.raises(RewriteError, match=r"must return variables or None, got 3 of type int"):
        rewrite(graph_of(exp(x)), one_rule(exp, lambda graph, node: 3))


def test_a_rule_must_return_one_variable_for_each_output():
    with pytest.raises(RewriteError, match=r"returned 2 variables for exp.*, which has 1 outputs"):
        rewrite(graph_of(exp(x)), one_rule(exp, lambda graph, node: [x, x]))


@pytest.mark.parametrize("step", [lambda v: sin(v), lambda v: v - 1, lambda v: add(exp(v), x)])
def test_a_graph_20000_deep_is_rewritten(step):
    deep = x
    for _ in range(20_000):
        deep = step(deep)
    rules = RuleSet("canonicalize")
    rules.rule(sin(X), name="a")(lambda x: cos(x))
    rules.rule(X - 1, name="b")(lambda x: x)
    graph = graph_of(deep)
    rewrite(graph, rules)
    assert "sin" not in ops_of(graph)
    graph.check()


# --- rules and sets ------------------------------------------------------------------------------------------------


def test_the_arguments_of_a_rule_are_the_variables_of_its_pattern():
    text = r"rule the_rule .* takes \(y\), but the variables of its pattern exp\(X\) are \(x\)"
    with pytest.raises(ArgumentError, match=text):
        one_rule(exp(X), lambda y: y)


def test_a_pattern_variable_alone_is_no_rule():
    with pytest.raises(ArgumentError, match=r"got the pattern variable X, which matches everything"):
        one_rule(X, lambda x: x)


def test_a_rule_starts_from_an_op():
    with pytest.raises(ArgumentError, match=r"needs a pattern, an op or a class of ops to start from, got 'exp'"):
        RuleSet("canonicalize").node_rule("exp", name="r")(lambda graph, node: None)


def test_a_rule_needs_a_function():
    record = Rewrite("r", "canonicalize", fn=3, on=exp)
    with pytest.raises(ArgumentError, match=r"needs a function, got 3 of type int"):
        rules_from_record(record, "a-plugin")


def test_two_rules_of_one_name_are_a_conflict():
    rules = one_rule(exp(X), lambda x: x)
    with pytest.raises(
        PluginConflict, match=r"two rules of stage canonicalize are called the_rule: one of plugin a-plug"
    ):
        rules.rule(sin(X), name="the_rule", plugin="other")(lambda x: x)


def names(rules):
    return [rule.name for rule in rules]


def test_rules_are_tried_by_name_unless_they_say_otherwise():
    rules = RuleSet("canonicalize")
    for name, options in {"c": {}, "b": {"before": ("a",)}, "a": {}, "d": {"before": ("b",)}}.items():
        rules.rule(exp(X), name=name, **options)(lambda x: x)
    assert names(rules) == ["c", "d", "b", "a"]


def test_after_an_unknown_rule_says_nothing():
    rules = RuleSet("canonicalize")
    rules.rule(exp(X), name="a", after=("not there",))(lambda x: x)
    assert names(rules) == ["a"]


def test_rules_that_each_come_after_the_other_are_a_conflict():
    rules = RuleSet("canonicalize")
    rules.rule(exp(X), name="a", after=("b",), plugin="p")(lambda x: x)
    rules.rule(exp(X), name="b", after=("a",), plugin="q")(lambda x: x)
    with pytest.raises(PluginConflict, match=r"form a cycle: rule a \(plugin p\), rule b \(plugin q\)"):
        list(rules)


def test_a_set_without_a_rule_lacks_it():
    assert names(one_rule(exp(X), lambda x: x).without("the_rule")) == []


def test_leaving_out_a_rule_that_is_not_there_is_an_error():
    with pytest.raises(ArgumentError, match=r"stage canonicalize has no rule 'the_rul'. Did you mean 'the_rule'"):
        one_rule(exp(X), lambda x: x).without("the_rul")


def test_rules_for_another_dialect_or_with_a_forbidden_tag_are_left_out():
    rules = one_rule(exp(X), lambda x: x, dialects=("cuda",), tags=("inplace",))
    assert names(rules.for_backend("cuda")) == ["the_rule"]
    assert names(rules.for_backend("c")) == []
    assert names(rules.for_backend("cuda", forbids=("inplace",))) == []


# --- records of plugins --------------------------------------------------------------------------------------------


def test_a_record_with_an_op_becomes_a_rule_of_its_plugin():
    record = Rewrite("r", "stabilize", fn=lambda graph, node: cos(*node.inputs), on=exp)
    stages = with_records([RuleSet("canonicalize"), RuleSet("stabilize")], [("a-plugin", record)])
    graph = graph_of(exp(x))
    (entry,) = rewrite(graph, stages)
    assert (entry.stage, entry.rule, entry.plugin) == ("stabilize", "r", "a-plugin")
    assert ops_of(graph) == ["cos"]


def test_the_strings_of_a_record_are_looked_up(monkeypatch):
    module = SimpleNamespace(pattern=exp(X), rule=lambda x: cos(x))
    monkeypatch.setitem(sys.modules, "a_rule_pack", module)
    (rule,) = rules_from_record(Rewrite("r", "stabilize", fn="a_rule_pack:rule", on="a_rule_pack:pattern"), "p")
    assert rule.on is module.pattern


def test_a_record_may_name_a_set_of_rules_and_orders_them_together():
    rules = one_rule(exp(X), lambda x: sin(x))
    later = Rewrite("later", "canonicalize", fn=lambda graph, node: cos(*node.inputs), on=exp, after=("many",))
    stages = with_records([RuleSet("canonicalize")], [("p", later), ("q", Rewrite("many", "canonicalize", fn=rules))])
    assert [(rule.name, rule.plugin) for rule in stages[0]] == [("the_rule", "q"), ("later", "p")]


def test_a_record_that_names_nothing_is_an_error():
    with pytest.raises(RewriteError, match=r"rewrite r of plugin p names 'no_such_module:f', which cannot be found"):
        rules_from_record(Rewrite("r", "stabilize", fn="no_such_module:f", on=exp), "p")


def test_a_record_without_op_needs_a_rule():
    with pytest.raises(
        RewriteError, match=r"rewrite r of plugin p needs a Rule or a RuleSet as fn without 'on', got 3"
    ):
        rules_from_record(Rewrite("r", "stabilize", fn=3), "p")


def test_a_record_of_one_stage_cannot_bring_rules_of_another():
    rules = one_rule(exp(X), lambda x: x)
    with pytest.raises(RewriteError, match=r"is for stage stabilize, but rule the_rule .* for canonicalize"):
        rules_from_record(Rewrite("r", "stabilize", fn=rules), "p")


def test_an_unknown_stage_is_an_error_that_names_the_plugin():
    record = Rewrite("r", "stabilise", fn=lambda graph, node: None, on=exp)
    with pytest.raises(
        RewriteError, match=r"plugin p puts its rewrite r into stage 'stabilise'.*Did you mean 'stabilize'"
    ):
        with_records([RuleSet("stabilize")], [("p", record)])


def test_records_that_do_not_concern_a_backend_are_not_looked_up():
    broken = {"fn": "no_such_module:f", "on": exp}
    records = [
        ("p", Rewrite("a", "stabilize", dialects=("cuda",), **broken)),
        ("p", Rewrite("b", "stabilize", tags=("inplace",), **broken)),
        ("p", Rewrite("c", "stabilize", tags=("blocked",), optional=True, **broken)),
    ]
    (stage,) = with_records([RuleSet("stabilize")], records, "c", needs=(), forbids=("inplace",))
    assert len(stage) == 0


def test_a_record_about_ops_of_a_module_waits_until_that_is_imported():
    absent = Rewrite("c", "stabilize", fn="no.such.module:rule", about="no.such.module")
    (stage,) = with_records([RuleSet("stabilize")], [("p", absent)])
    assert len(stage) == 0
    present = Rewrite("c", "stabilize", fn=lambda graph, node: None, on=exp, about="core.tensor")
    (stage,) = with_records([RuleSet("stabilize")], [("p", present)])
    assert [rule.name for rule in stage] == ["c"]


def test_an_optional_record_comes_when_its_tag_is_needed():
    record = Rewrite("c", "stabilize", fn=lambda graph, node: None, on=exp, tags=("blocked",), optional=True)
    (stage,) = with_records([RuleSet("stabilize")], [("p", record)], needs=("blocked",))
    assert "c" in stage
