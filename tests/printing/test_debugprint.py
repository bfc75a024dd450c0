"""debugprint: graphs as trees of text."""

import io

import numpy as np
import pytest

import core
import core.tensor as ct
from core.errors import ArgumentError
from core.graph import FunctionGraph
from core.printing.debugprint import letters


def text(what, **options):
    return core.debugprint(what, file="str", **options)


@pytest.fixture
def x():
    return ct.vector("x")


def test_a_graph_is_a_tree_with_ids(x):
    assert text(ct.exp(x) + x) == "\n".join(
        [
            "add [id A]",
            " ├─ exp [id B]",
            " │   └─ x [id C]",
            " └─ x [id C]",
        ]
    )


def test_a_node_that_was_shown_is_not_opened_again(x):
    y = ct.exp(x)
    assert text(y * y, ids=False).splitlines() == ["multiply", " ├─ exp", " │   └─ x", " └─ exp ···"]


def test_types_are_shown_on_request(x):
    assert text(-x, ids=False, print_type=True).splitlines() == [
        "negative <TensorType(float64, shape=(?))>",
        " └─ x <TensorType(float64, shape=(?))>",
    ]


def test_the_users_line_is_shown_on_request(x):
    assert "test_debugprint.py" in text(-x, print_source=True)


def test_depth_bounds_the_levels(x):
    assert text(-ct.exp(-x), ids=False, depth=2).splitlines() == ["negative", " └─ exp ···"]


def test_a_name_may_stop_the_tree(x):
    y = ct.exp(x)
    y.name = "y"
    assert text(-y, ids=False, stop_on_name=True).splitlines() == ["negative", " └─ exp 'y' ···"]


def test_outputs_of_a_node_with_several_are_told_apart(x):
    class Two(core.Op):
        itypes = (core.TensorType("float64", 1),)
        otypes = (core.TensorType("float64", 1), core.TensorType("float64", 1))

    first, second = Two()(x)
    assert text([second, first], ids=False).splitlines() == ["Two.1", " └─ x", "Two.0 ···"]


def test_a_node_and_a_function_graph_can_be_printed(x):
    assert text((-x).owner, ids=False).splitlines() == ["negative", " └─ x"]
    assert text(FunctionGraph([x], [-x]), ids=False).splitlines() == ["negative", " └─ x"]


def test_the_updates_of_a_compiled_function_are_marked(x):
    w = core.shared(np.zeros(2), name="w")
    f = core.function([x], -x, updates={w: w + x}, mode="none", backend="interpreter")
    lines = text(f, ids=False).splitlines()
    assert lines == ["negative", " └─ x", "new w: add", " ├─ w", " └─ x"]


def test_it_prints_to_a_file_or_to_standard_output(x, capsys):
    file = io.StringIO()
    assert core.debugprint(-x, file=file) is None
    core.debugprint(-x)
    assert file.getvalue() == capsys.readouterr().out == "negative [id A]\n └─ x [id B]\n"


def test_a_chain_of_20000_nodes_prints(x):
    y = x
    for _ in range(20_000):
        y = -y
    lines = text(y, ids=False).splitlines()
    assert len(lines) == 20_001
    assert "(level 19999)" in lines[-1]
    assert max(map(len, lines)) < 400


def test_what_is_no_graph_is_refused():
    with pytest.raises(
        ArgumentError, match="debugprint needs a variable, node, FunctionGraph or compiled function, got 3"
    ):
        core.debugprint(3)


def test_a_file_name_is_refused(x):
    with pytest.raises(ArgumentError, match=r"debugprint needs an open file, None or 'str' as file, got 'graph\.txt'"):
        core.debugprint(x, file="graph.txt")


@pytest.mark.parametrize("number, name", [(0, "A"), (25, "Z"), (26, "AA"), (27, "AB"), (701, "ZZ"), (702, "AAA")])
def test_ids_count_in_letters(number, name):
    assert letters(number) == name
