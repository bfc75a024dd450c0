"""A graph for a whole stack: vectorize_graph, and what jacobian makes of it, against one run for each element."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from numpy.testing import assert_allclose

import core
import core.tensor as ct
from core.errors import ArgumentError, ShapeError
from core.graph import toposort
from core.testing import available_backends, random
from core.testing.graphs import graphs
from core.testing.values import compiled


class Alone(core.Op):
    """The square, by an op that has no batch."""

    __props__ = ()

    def make_node(self, x):
        x = ct.as_tensor(x)
        return core.Apply(self, [x], [x.type()])

    def perform(self, node, inputs, output_storage):
        output_storage[0][0] = np.square(inputs[0])

    def infer_shape(self, node, input_shapes):
        return input_shapes

    def grad(self, inputs, output_grads):
        return [2 * inputs[0] * Alone.tagged(output_grads[0])]

    @staticmethod
    def tagged(g):
        """``g``, by an op without batch: what a gradient needs row by row."""
        return _Same()(g)


class _Same(Alone):
    def perform(self, node, inputs, output_storage):
        output_storage[0][0] = inputs[0].copy()

    def grad(self, inputs, output_grads):
        return [_Same()(output_grads[0])]


# --- graphs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", available_backends())
def test_a_stack_gives_the_stack_of_what_each_element_gives(backend):
    x, A, xs = ct.dvector("x"), ct.dmatrix("A"), ct.dmatrix("xs")
    out = ct.softmax(A @ x) * x.sum() + ct.cumsum(x)[-1]
    run = core.function([xs, A], ct.vectorize_graph(out, {x: xs}), backend=backend)
    rows, a = random((3, 4)), random((5, 4), seed=1)
    one = core.function([x, A], out, backend="interpreter")
    assert_allclose(run(rows, a), [one(row, a) for row in rows], rtol=1e-12)


def test_outputs_come_back_as_they_were_asked_for():
    x, xs = ct.dvector("x"), ct.dmatrix("xs")
    assert isinstance(ct.vectorize_graph(x * 2, {x: xs}), ct.TensorVariable)
    assert [out.ndim for out in ct.vectorize_graph([x * 2, x.sum()], {x: xs})] == [2, 1]


def test_what_no_replaced_variable_reaches_is_repeated():
    x, y, xs = ct.dvector("x"), ct.dscalar("y"), ct.dmatrix("xs")
    out = ct.vectorize_graph(y * 2, {x: xs})
    assert_allclose(compiled([xs, y], [out])(np.zeros((3, 2)), 1.5)[0], [3.0, 3.0, 3.0])


def test_a_length_is_one_for_the_whole_stack():
    x, xs = ct.dvector("x"), ct.dmatrix("xs")
    out = ct.vectorize_graph(x / x.shape[0], {x: xs})
    assert_allclose(compiled([xs], [out])(np.ones((2, 4)))[0], np.full((2, 4), 0.25))


def test_a_product_with_a_stack_is_one_product():
    x, A, xs = ct.dvector("x"), ct.dmatrix("A"), ct.dmatrix("xs")
    out = ct.vectorize_graph(A @ x, {x: xs})
    assert [str(node.op) for node in toposort([out])].count("Dot") == 1


def test_an_op_without_batch_is_named():
    x, xs = ct.dvector("x"), ct.dmatrix("xs")
    with pytest.raises(ArgumentError, match="Alone has no batch, so vectorize_graph cannot compute it for a stack"):
        ct.vectorize_graph(Alone()(x), {x: xs})


def test_a_stack_has_one_axis_more_than_its_variable():
    x = ct.dvector("x")
    with pytest.raises(ShapeError, match=r"needs a stack of .* for x, with one more axis in front"):
        ct.vectorize_graph(x * 2, {x: ct.dvector("xs")})
    with pytest.raises(ArgumentError, match="needs at least one variable to replace"):
        ct.vectorize_graph(x * 2, {})


@settings(
    max_examples=60,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
@given(graph=graphs(kinds=("float64", "float32", "int64")))
def test_random_graphs_of_stacks_give_what_their_elements_give(graph):
    moving = [k for k, x in enumerate(graph.inputs) if x.dtype.startswith("float")]
    if not moving:
        return
    stacks = {graph.inputs[k]: ct.TensorType(graph.inputs[k].dtype, graph.arrays[k].ndim + 1)() for k in moving}
    try:
        outputs = ct.vectorize_graph(graph.outputs, stacks)
    except ArgumentError:  # an index computed from what moves
        return
    rows = [[a * a.dtype.type(f) if k in moving else a for k, a in enumerate(graph.arrays)] for f in (1.0, 0.5)]
    one = compiled(graph.inputs, graph.outputs)
    try:
        expected = [one(*row) for row in rows]
    except core.errors.CoreError:
        return
    inputs = [stacks.get(x, x) for x in graph.inputs]
    given = [np.stack([row[k] for row in rows]) if k in moving else a for k, a in enumerate(graph.arrays)]
    for got, *alone in zip(compiled(inputs, outputs)(*given), *expected, strict=True):
        assert_allclose(got, np.stack(alone), **graph.tolerance(), err_msg=str(graph))


# --- Jacobians --------------------------------------------------------------------------------------------------------


def test_a_jacobian_through_ops_that_have_batch_has_no_loop_over_its_rows():
    x, A = ct.dvector("x"), ct.dmatrix("A")
    J = core.jacobian(ct.tanh(A @ x), x)
    assert "InnerMap" not in " ".join(str(node.op) for node in toposort([J]))


def test_unit_vectors_pick_columns_instead_of_being_multiplied():
    x, A = ct.dvector("x"), ct.dmatrix("A")
    J = core.jacobian(A @ x, x)
    assert "Dot" not in [str(node.op) for node in toposort([J])]
    a = np.array([[1.0, np.inf], [0.0, 2.0], [3.0, np.nan]])
    assert_allclose(compiled([x, A], [J])(np.zeros(2), a)[0], a)


@pytest.mark.parametrize("backend", available_backends())
def test_a_hessian_of_a_regression_is_right_on_every_backend(backend):
    X, y, b = ct.dmatrix("X"), ct.dvector("y"), ct.dvector("b")
    loss = (ct.softplus(X @ b) - y * (X @ b)).sum()
    run = core.function([X, y, b], core.hessian(loss, b), backend=backend)
    data, labels, at = random((7, 3)), random(7, seed=1), random(3, seed=2)
    p = 1 / (1 + np.exp(-data @ at))
    assert_allclose(run(data, labels, at), data.T @ (data * (p * (1 - p))[:, None]), rtol=1e-10)


@pytest.mark.parametrize("length", [None, 3])
def test_a_jacobian_through_an_op_without_batch_is_found_row_by_row(length):
    x = ct.tensor("x", dtype="float64", shape=(length,))
    values = random(3)
    J = core.jacobian(Alone()(x) * x.sum(), x)
    expected = np.diag(2 * values) * values.sum() + np.square(values)[:, None]
    assert_allclose(compiled([x], [J])(values)[0], expected)
