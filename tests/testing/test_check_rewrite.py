"""check_rewrite passes honest rules, and says of a wrong one which promise it breaks, on which example."""

import pytest

import core.tensor as ct
import core.tensor.rules  # noqa: F401 - fills the stages
from core.errors import ArgumentError, CheckError
from core.records import Rewrite
from core.rewriting import Rule, RuleSet, canonicalize, stabilize
from core.tensor.patterns import X, Y
from core.testing import Example, check_rewrite, random

x = random((3, 4), low=0.5, high=2)


def rule(on, function, **options):
    return Rule("a_rule", "canonicalize", on, function, **options)


def test_an_honest_rule_passes():
    result = check_rewrite(
        rule(ct.exp(X) * ct.exp(Y), lambda x, y: ct.exp(x + y)),
        fires_on=[(lambda a, b: ct.exp(a) * ct.exp(b), x, x[0])],
        leaves=[Example(lambda a, b: ct.exp(a) + ct.exp(b), x, x[0])],
        nan=False,
    )
    assert result.ok and {check.name for check in result.checks} == {
        *("end", "again", "meaning", "fires", "leaves", "random graphs")
    }


def test_rules_of_core_pass_in_every_form_in_which_rules_are_given():
    fires = [(lambda a: ct.log(1 + a), x)]
    for given in (
        (stabilize, "log_of_one_plus_is_log1p"),
        stabilize["log_of_one_plus_is_log1p"],
        Rewrite("log1p", "stabilize", fn=stabilize["log_of_one_plus_is_log1p"]),
    ):
        assert check_rewrite(given, fires, leaves=[(lambda a: ct.log(2 + a), x)], random_graphs=5).ok
    assert check_rewrite(
        "core.rewriting:canonicalize", [(lambda a: ct.negative(ct.negative(a)), x)], random_graphs=5
    ).ok


def test_a_rule_that_never_fires_is_caught_and_the_ops_of_its_example_are_named():
    with pytest.raises(CheckError, match=r"rewrite a_rule fails 'fires' .*no rule fires on .*its ops are sin"):
        check_rewrite(rule(ct.exp(X) * 1, lambda x: ct.exp(x)), [(lambda a: ct.sin(a), x)])


def test_a_rule_that_fires_where_it_must_not_is_caught():
    with pytest.raises(CheckError, match=r"fails 'leaves' for .*a_rule fires on .*which it was said to leave alone"):
        check_rewrite(
            rule(ct.sqrt(ct.square(X)), lambda x: ct.abs(x)),
            fires_on=[(lambda a: ct.sqrt(ct.square(a)), x)],
            leaves=[(lambda a: ct.sqrt(ct.square(-a)), x)],
        )


def test_a_rule_that_changes_values_is_caught():
    with pytest.raises(CheckError, match=r"fails 'meaning' for .*the rewritten graph gives .* but the reference gives"):
        check_rewrite(rule(ct.sin(X), lambda x: x), [(lambda a: ct.sin(a), x)], random_graphs=0)


def test_a_rule_that_is_right_but_for_nan_is_caught_where_that_is_asked():
    wrong = rule(X * 0, lambda x: ct.zeros_like(x))
    fires = [(lambda a: a * 0, x)]
    check_rewrite(wrong, fires, nan=False)
    with pytest.raises(CheckError, match="special inputs .*gives 0.0 .* but the reference gives nan"):
        check_rewrite(wrong, fires)


def test_a_rule_that_loses_the_sign_of_a_zero_is_caught_when_it_is_to_be_exact():
    wrong = rule(ct.negative(ct.negative(X)), lambda x: x + 0)
    fires = [(lambda a: ct.negative(ct.negative(a)), x)]
    check_rewrite(wrong, fires)
    with pytest.raises(CheckError, match="changes the sign of a zero in output 0"):
        check_rewrite(wrong, fires, exact=True)


def test_a_rule_without_end_is_caught():
    with pytest.raises(CheckError, match=r"fails 'end' for .*does not come to an end"):
        check_rewrite(
            rule(X + Y, lambda x, y: ct.exp(ct.log(y + x + 0)) + 0), [(lambda a: a + a[0], x)], random_graphs=0
        )


def test_a_rule_that_raises_is_caught():
    with pytest.raises(CheckError, match=r"fails 'end' for .*ZeroDivisionError"):
        check_rewrite(rule(ct.sin(X), lambda x: 1 / 0), [(lambda a: ct.sin(a), x)], random_graphs=0)


def test_a_rule_that_changes_a_type_is_caught():
    wrong = rule(type(ct.sin), lambda graph, node: node.inputs[0].sum())
    with pytest.raises(CheckError, match=r"fails 'end' for .*in the place of"):
        check_rewrite(wrong, [(lambda a: ct.sin(a), x)], random_graphs=0)


def test_a_wrong_rule_that_its_examples_do_not_show_is_caught_by_a_random_graph():
    wrong = rule(ct.tanh(X), lambda x: ct.where(x > 0.5, 1 - 2 / (ct.exp(2 * x) + 1), x))
    with pytest.raises(CheckError, match=r"(?s)fails 'random graphs' .*in Graph\("):
        check_rewrite(wrong, [(lambda a: ct.tanh(a), x + 1)], nan=False, random_graphs=100)


def test_an_empty_set_of_examples_is_an_error():
    with pytest.raises(ArgumentError, match="needs an example on which the rewrite fires"):
        check_rewrite(canonicalize, [])


def test_what_is_no_rewrite_is_an_error():
    with pytest.raises(ArgumentError, match="needs a Rule, a RuleSet, a Rewrite record, .* got 3 of type int"):
        check_rewrite(3, [(lambda a: a, x)])


def test_a_set_of_several_rules_is_checked_as_one():
    rules = RuleSet("canonicalize", [rule(ct.sin(X), lambda x: ct.sin(x))])
    with pytest.raises(CheckError, match="no rule fires"):
        check_rewrite(rules, [(lambda a: ct.sin(a), x)], random_graphs=0)
