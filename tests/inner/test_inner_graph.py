"""Graphs inside of ops: what tells them apart, copies, what ops that hold them get for nothing."""

import copy
import pickle

import numpy as np
import pytest

import core
import core.tensor as ct
from core.compile.identity import identity
from core.errors import MissingInputError
from core.graph import FunctionGraph
from core.inner import InnerGraph, InnerOp
from core.pickling import flatten
from core.testing import available_backends

x, y, w = ct.dvector("x"), ct.dvector("y"), ct.dvector("w")


class Twice(InnerOp):
    """f(f(x)) for a graph f from one variable to one of its type, and more that stay as they are."""

    __props__ = ("f",)

    def __init__(self, f):
        self.f = f

    def make_node(self, *inputs):
        return core.Apply(self, list(inputs), [self.f.outputs[0].type])

    def inner_graphs(self):
        return {"f": self.f}

    def with_inner_graphs(self, graphs):
        return Twice(**graphs)

    def performer(self, node, compiled):
        f = compiled(self.f)

        def perform(node, inputs, output_storage):
            value, *more = inputs
            for _ in range(2):
                (value,) = f([value, *more])
            output_storage[0][0] = value

        return perform


def twice(function, *inputs):
    """Twice of a Python function of variables, applied."""
    fresh = [variable.type(variable.name) for variable in inputs]
    return Twice(InnerGraph(fresh, [function(*fresh)]))(*inputs)


def test_graphs_that_compute_the_same_are_equal():
    one, other = InnerGraph([x, y], [ct.exp(x) + y * 2]), InnerGraph([y, w], [ct.exp(y) + w * 2])
    assert one == other and hash(one) == hash(other)


f = ct.fvector("x")


@pytest.mark.parametrize(
    "inputs, outputs",
    [
        ([y, x], [ct.exp(x) + y * 2]),
        ([x, y], [ct.exp(x) + y * 3]),
        ([x, y], [ct.sin(x) + y * 2]),
        ([x, y], [ct.exp(x) + y * 2, x]),
        ([x, y, w], [ct.exp(x) + y * 2]),
        ([f, y], [ct.exp(f) + y * 2]),
    ],
)
def test_graphs_that_do_not_are_not(inputs, outputs):
    assert InnerGraph([x, y], [ct.exp(x) + y * 2]) != InnerGraph(inputs, outputs)


def test_nodes_of_several_outputs_do_not_confuse_what_is_read():
    a, b = ct.max_and_argmax(x, axis=0) if hasattr(ct, "max_and_argmax") else (x.max(), x.argmax())
    graphs = [InnerGraph([x, y], [out, y]) for out in (a, b.astype("float64"), a + b)]
    assert len(set(graphs)) == 3


def test_a_graph_is_a_copy_that_later_changes_do_not_reach():
    z = x + y
    inner = InnerGraph([x, y], [z])
    z.owner.inputs[1] = x
    assert inner == InnerGraph([x, y], [x + y])


def test_what_is_needed_and_not_given_is_an_error():
    with pytest.raises(MissingInputError, match="y is needed to compute add but was not given"):
        InnerGraph([x], [x + y])


def test_a_closed_graph_reads_what_does_not_depend_on_its_inputs_from_outside():
    h = ct.tanh(y)
    inner, captured = InnerGraph.closed([x], [x * h + h, h])
    assert captured == [h] and len(inner.nodes) == 2
    assert inner == InnerGraph([x, y], [x * y + y, y])


def test_a_graph_of_more_special_types_is_worked_out_anew():
    inner = InnerGraph([x, y], [x + y])
    (out,) = inner.applied([ct.tensor("a", dtype="float64", shape=(3,)), y])
    assert out.type.shape == (3,)


@pytest.mark.parametrize("copied", [lambda g: pickle.loads(pickle.dumps(g)), copy.copy, copy.deepcopy])
def test_copies_are_equal(copied):
    inner = InnerGraph([x, y], [ct.exp(x) + y])
    again = copied(inner)
    assert again == inner and core.function([x, y], again.applied([x, y]))([0.0], [1.0])[0] == [2.0]


def test_deep_graphs_are_told_apart_and_pickled():
    out = x
    for _ in range(5000):
        out = out * y
    inner = InnerGraph([x, y], [out])
    assert pickle.loads(pickle.dumps(inner)) == inner


@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.filterwarnings("ignore:.*Python computes it")
def test_an_op_runs_its_graph_on_every_backend(backend):
    out = twice(lambda a, b: a * b + 1, x, y)
    run = core.function([x, y], out, backend=backend)
    np.testing.assert_array_equal(run([1.0, 2.0], [3.0, 4.0]), [13.0, 37.0])


def test_an_op_without_a_function_runs_its_graph_too():
    out = twice(lambda a: a + 1, x)
    cells = [[None]]
    out.owner.op.perform(out.owner, [np.ones(2)], cells)
    np.testing.assert_array_equal(cells[0][0], [3.0, 3.0])


def test_debug_mode_looks_inside():
    out = twice(lambda a: a + 1, x)
    np.testing.assert_array_equal(core.function([x], out, mode="debug")([0.0]), [2.0])


def test_equal_ops_are_merged():
    out = twice(lambda a: ct.exp(a), x) + twice(lambda a: ct.exp(a), x)
    f = core.function([x], out, backend="interpreter")
    assert sum(isinstance(node.op, Twice) for node in f.graph.nodes) == 1


def test_rules_reach_inside_and_are_noted():
    f = core.function([x], twice(lambda a: ct.log(1 + a) * 1, x), backend="interpreter")
    (node,) = (node for node in f.graph.nodes if isinstance(node.op, Twice))
    assert node.op.f == InnerGraph([x], [ct.log1p(x)])
    assert f.rewrites.count("log_of_one_plus_is_log1p") == 1
    np.testing.assert_allclose(f([1e-20]), [1e-20])


def test_ops_that_become_equal_inside_are_merged():
    out = twice(lambda a: ct.log(1 + a), x) + twice(lambda a: ct.log1p(a), x)
    f = core.function([x], out, backend="interpreter")
    assert sum(isinstance(node.op, Twice) for node in f.graph.nodes) == 1


def test_rules_reach_graphs_inside_of_graphs():
    f = core.function([x], twice(lambda a: twice(lambda b: ct.log(1 + b), a), x), backend="interpreter")
    (node,) = f.graph.nodes
    (inner,) = node.op.f.nodes
    assert inner.op.f == InnerGraph([x], [ct.log1p(x)])
    np.testing.assert_allclose(f([1.0]), np.log1p(np.log1p(np.log1p(np.log1p([1.0])))))


def test_without_rewriting_graphs_stay_as_they_are():
    f = core.function([x], twice(lambda a: ct.log(1 + a), x), backend="interpreter", mode="none")
    (node,) = f.graph.nodes
    assert node.op.f == InnerGraph([x], [ct.log(1 + x)])


def test_graphs_inside_tell_programs_apart(monkeypatch):
    monkeypatch.setattr(Twice, "__module__", "core.tensor.arithmetic")
    monkeypatch.setattr("core.tensor.arithmetic.Twice", Twice, raising=False)
    first, same, other = (twice(g, x) for g in (lambda a: a + 1, lambda b: b + 1, lambda a: a + 2))
    known = [identity(FunctionGraph([x], [out]), {"core"}) for out in (first, same, other)]
    assert None not in known and known[0] == known[1] != known[2]


def test_debugprint_shows_graphs_below_their_op():
    text = core.debugprint(twice(lambda a: ct.exp(a) + 1, x), file="str", ids=False)
    head, inside = text.split("\n\n")
    assert head.splitlines()[-1].endswith("x")
    assert inside.splitlines()[0].startswith("f of Twice") and inside.splitlines()[0].endswith("from x:")
    below = inside.splitlines()[1:]
    assert all(line.startswith("  ") for line in below) and any("exp" in line for line in below)


def test_debugprint_shows_each_graph_once():
    text = core.debugprint([twice(lambda a: a + 1, x), twice(lambda a: a + 1, y)], file="str")
    assert text.count("f of Twice") == 1


def test_pprint_says_what_is_inside():
    text = core.pprint(twice(lambda a: ct.exp(a) + 1, x))
    first, last = text.splitlines()
    assert first == "f of Twice(x) = exp(x) + 1.0" and last == "Twice(x)"


def test_functions_of_such_ops_pickle():
    f = pickle.loads(pickle.dumps(core.function([x], twice(lambda a: a * 2, x), backend="interpreter")))
    np.testing.assert_array_equal(f([1.0]), [4.0])


def test_a_flat_graph_holds_them():
    out = twice(lambda a: a * 2, x)
    assert pickle.loads(pickle.dumps(flatten([out], [x]))).nodes[0].op == out.owner.op
