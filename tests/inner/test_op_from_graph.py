"""OpFromGraph: what it computes, its derivatives, one's own and derived, and how it is opened."""

import pickle

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from numpy.testing import assert_allclose, assert_array_equal

import core
import core.tensor as ct
from core import dtypes
from core.composed import OpFromGraph
from core.errors import ArgumentError, DTypeError, MissingInputError, NullGradientError, ShapeError
from core.gradient import DisconnectedType, NullType
from core.graph import FunctionGraph
from core.testing import available_backends
from core.testing.derivatives import check_derivatives
from core.testing.graphs import graphs
from core.testing.values import compiled

backends = pytest.mark.parametrize("backend", available_backends())
agreement = settings(max_examples=12, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
both_ways = pytest.mark.parametrize("inline", [True, False])
x, y, m = ct.dvector("x"), ct.dvector("y"), ct.dmatrix("m")
A, B = np.array([0.5, -1.0, 2.0]), np.array([3.0, 0.25, -2.0])


def made(inline=True, **options):
    return core.OpFromGraph([x, y], [x * y + y, ct.sin(x)], name="f", inline=inline, **options)


@backends
@both_ways
def test_it_computes_its_graph(backend, inline):
    a, b = made(inline)(y, x)
    f = core.function([x, y], [a, b, a + b], backend=backend)
    for got, expected in zip(f(A, B), [B * A + A, np.sin(B), B * A + A + np.sin(B)], strict=True):
        assert_allclose(got, expected, rtol=1e-14)


@backends
@both_ways
def test_nested_ones_compute_theirs(backend, inline):
    square = core.OpFromGraph([x], [x * x], inline=inline, name="square")
    outer = core.OpFromGraph([x, y], [square(x) + square(square(y))], inline=inline)
    f = core.function([x, y], [outer(x, y), core.grad(outer(x, y).sum(), y)], backend=backend)
    value, g = f(A, B)
    assert_allclose(value, A**2 + B**4)
    assert_allclose(g, 4 * B**3)


@backends
@both_ways
def test_outputs_that_are_inputs_or_constants_are_copies(backend, inline):
    op = core.OpFromGraph([x, y], [x, ct.constant([1.0]), x, y * 1], inline=inline)
    given = A.copy()
    got = core.function([x, y], op(x, y), backend=backend)(given, B)
    for value in got:
        value += 1
    assert_array_equal(given, A)
    assert_array_equal(got[0], A + 1)
    assert_array_equal(core.function([x, y], op(x, y), backend=backend)(given, B)[1], [1.0])


@both_ways
def test_derivatives_are_those_of_the_graph(inline):
    op = core.OpFromGraph([x, m], [ct.tanh(m @ x), (m * x).sum()], inline=inline)
    for k in range(2):
        check_derivatives(lambda a, b, k=k: op(a, b)[k], np.random.default_rng(0).random(3), np.ones((2, 3)) * 0.3)


@both_ways
def test_the_gradient_of_a_gradient_is_that_of_the_graph(inline):
    op = core.OpFromGraph([x], [(x**3).sum()], inline=inline)
    f = core.function([x], core.hessian(op(x), x), backend="interpreter")
    assert_allclose(f(A), np.diag(6 * A))


@both_ways
def test_inputs_that_depend_on_each_other_get_only_their_own_gradient(inline):
    op = core.OpFromGraph([x, y], [x * y], inline=inline)
    h = ct.sin(x)
    g = core.grad(op(x, h).sum(), x)
    assert_allclose(core.function([x], g, backend="interpreter")(A), np.sin(A) + A * np.cos(A))


@both_ways
def test_outputs_that_depend_on_each_other_all_count(inline):
    h = x * 2
    op = core.OpFromGraph([x], [h, h * h, h], inline=inline)
    g = core.grad(sum(out.sum() for out in op(x)), x)
    assert_allclose(core.function([x], g, backend="interpreter")(A), 2 + 8 * A + 2)


# --- overrides ------------------------------------------------------------------------------------------------------


def run(variable, *values):
    return core.function([x, y], variable, backend="interpreter", on_unused_input="ignore")(*values)


@both_ways
def test_one_function_gives_all_gradients(inline):
    def gradients(inputs, outputs, grads):
        u, v = outputs
        assert len(inputs) == len(grads) == 2 and u.owner is v.owner
        return [u * 10, grads[0] * 7]

    a, _ = made(inline, lop_overrides=gradients)(x, y)
    gx, gy = core.grad(a.sum(), [x, y])
    assert_allclose(run(gx, A, B), (A * B + B) * 10)
    assert_allclose(run(gy, A, B), np.full(3, 7.0))


@both_ways
def test_a_gradient_of_ones_own_beside_a_derived_one(inline):
    a, _ = made(inline, lop_overrides=[lambda i, o, g: g[0] * 100, "default"])(x, y)
    gx, gy = core.grad(a.sum(), [x, y])
    assert_allclose(run(gx, A, B), np.full(3, 100.0))
    assert_allclose(run(gy, A, B), A + 1)


def test_grad_overrides_do_not_see_outputs():
    a, _ = made(grad_overrides=lambda inputs, grads: [grads[0] * 3, grads[0] * 4])(x, y)
    assert_allclose(run(core.grad(a.sum(), y), A, B), np.full(3, 4.0))
    a, _ = made(grad_overrides=["default", lambda inputs, grads: grads[0] * 4])(x, y)
    assert_allclose(run(core.grad(a.sum(), x), A, B), B)


def test_an_undefined_gradient_is_an_error_of_who_asks_for_it():
    a, _ = made(lop_overrides=[NullType("not this one")(), "default"])(x, y)
    with pytest.raises(NullGradientError, match="not this one"):
        core.grad(a.sum(), x)
    assert_allclose(run(core.grad(a.sum(), y), A, B), A + 1)


@pytest.mark.parametrize("nothing", [None, DisconnectedType()()])
def test_a_disconnected_input_has_no_gradient(nothing):
    a, _ = made(lop_overrides=[nothing, "default"])(x, y)
    assert core.grad(a.sum(), x, disconnected_inputs="ignore", return_disconnected="none") is None
    with pytest.raises(core.errors.DisconnectedInputError):
        core.grad(a.sum(), x)


def test_a_gradient_of_ones_own_connects_what_the_graph_does_not():
    op = core.OpFromGraph([x], [ct.floor(x)], grad_overrides=lambda inputs, grads: grads, name="straight_through")
    assert_allclose(run(core.grad((op(x) * y).sum(), x), A, B), B)


def test_the_graph_says_what_is_connected():
    i = ct.ivector("i")
    op = core.OpFromGraph([x, y, i], [x * 2, y + i, x.shape[0] * 1.0])
    assert op.connection_pattern(op(x, y, i)[0].owner) == [[True, False, False], [False, True, False], [False] * 3]


def test_a_connection_pattern_of_ones_own_is_believed():
    op = core.OpFromGraph([x, y], [x * y], connection_pattern=[[True], [False]])
    assert core.grad(op(x, y).sum(), y, disconnected_inputs="ignore", return_disconnected="none") is None
    with pytest.raises(ArgumentError, match="connection_pattern of 2 rows"):
        core.OpFromGraph([x, y], [x * y], connection_pattern=[[True]])


@both_ways
def test_tangents_of_ones_own_beside_derived_ones(inline):
    a, b = made(inline, rop_overrides=[lambda inputs, points: points[0] * 5, "default"])(x, y)
    ta, tb = core.Rop([a, b], x, ct.ones_like(x))
    assert_allclose(run(ta, A, B), np.full(3, 5.0))
    assert_allclose(run(tb, A, B), np.cos(A))


def test_one_function_gives_all_tangents():
    seen = []

    def tangents(inputs, points):
        seen.append(points[1])
        return [points[0], points[0] * 2]

    a, b = made(rop_overrides=tangents)(x, y)
    _, tb = core.Rop([a, b], x, ct.ones_like(x))
    assert seen == [None]
    assert_allclose(run(tb, A, B), np.full(3, 2.0))


@both_ways
def test_an_op_inside_without_a_tangent_is_an_error_of_who_asks_for_it(inline):
    op = core.OpFromGraph([x, y], [core.gradient.grad_clip(x, -1, 1), y * 2], inline=inline)
    a, b = op(x, y)
    with pytest.raises(NullGradientError, match="changes gradients only"):
        core.Rop(a, x, ct.ones_like(x))
    assert_allclose(run(core.Rop(b, y, ct.ones_like(y)), A, B), np.full(3, 2.0))


@pytest.mark.parametrize(
    "options, said",
    [
        ({"lop_overrides": ["default"]}, "needs 2 entries in lop_overrides, got 1"),
        ({"lop_overrides": [1, "default"]}, "got 1 of type int"),
        ({"rop_overrides": [x, "default"]}, "got x of type TensorVariable"),
        ({"lop_overrides": len, "grad_overrides": len}, "takes lop_overrides or grad_overrides, got both"),
    ],
)
def test_overrides_that_are_none_are_errors(options, said):
    with pytest.raises(ArgumentError, match=said):
        made(**options)


def test_an_override_that_returns_too_few_is_an_error():
    a, _ = made(lop_overrides=lambda inputs, outputs, grads: [grads[0]])(x, y)
    with pytest.raises(ArgumentError, match="lop_overrides of f must return 2 variables, got 1"):
        core.grad(a.sum(), x)


# --- shared variables, types, shapes --------------------------------------------------------------------------------


@backends
@both_ways
def test_shared_variables_are_read_updated_and_differentiated(backend, inline):
    w = core.shared(np.ones(3), name="w")
    op = core.OpFromGraph([x], [(x * ct.exp(w)).sum()], inline=inline)
    assert op.shared_inputs == [w]
    cost = op(x)
    step = core.function([x], cost, updates={w: w - core.grad(cost, w)}, backend=backend)
    assert_allclose(step(A), (A * np.e).sum())
    assert_allclose(w.get_value(), 1 - A * np.e)
    given = core.function([x, y], op(x), givens={w: y}, backend=backend)
    assert_allclose(given(A, B), (A * np.exp(B)).sum())


def test_another_variable_is_missed():
    with pytest.raises(MissingInputError, match="OpFromGraph 'f' needs y, which is not among its inputs"):
        core.OpFromGraph([x], [x * y], name="f")


def test_what_is_no_variable_is_an_error():
    with pytest.raises(ArgumentError, match="needs variables as outputs, got 1 of type int"):
        core.OpFromGraph([x], [1])
    with pytest.raises(ArgumentError, match="f needs 2 inputs, got 1"):
        made()(x)


def test_arrays_and_numbers_become_constants():
    a, _ = made()([1.0, 2.0], np.ones(2))
    assert_array_equal(a.eval(backend="interpreter"), [2.0, 3.0])


def test_another_dtype_is_an_error_that_names_the_input():
    with pytest.raises(DTypeError, match=r"f needs TensorType\(float64, shape=\(\?\)\) as input 1 \(y\), got z of"):
        made()(x, ct.fvector("z"))


def test_more_known_lengths_are_known_of_the_outputs():
    a, b = made()(ct.tensor("a", dtype="float64", shape=(3,)), y)
    assert a.type.shape == (3,) and b.type.shape == (3,)


@backends
def test_lengths_that_the_graph_needs_are_checked(backend):
    t = ct.tensor("t", dtype="float64", shape=(3,))
    op = core.OpFromGraph([t], [t.reshape((3, 1))])
    f = core.function([x], op(x), backend=backend)
    assert f(A).shape == (3, 1)
    with pytest.raises(ShapeError):
        f(np.ones(4))


@both_ways
def test_shapes_are_known_without_computing(inline):
    op = core.OpFromGraph([x, m], [(m @ x)[1:], m[: x.shape[0]].sum(axis=1)], inline=inline)
    shapes = [out.shape[0] for out in op(x, m)]
    f = core.function([x, m], shapes, backend="interpreter")
    assert f(np.ones(2), np.ones((5, 2))) == [4, 2]
    assert not any("Dot" in str(node.op) or "MatMul" in str(node.op) or node.op == op for node in f.graph.nodes)


def test_shapes_that_depend_on_values_are_computed_from_them():
    n = ct.lscalar("n")
    op = core.OpFromGraph([n, x], [ct.zeros((n + 1,)), x], inline=False)
    out = op(n * 2, x)[0]
    f = core.function([n, x], out.shape[0], backend="interpreter", on_unused_input="ignore")
    assert f(3, A) == 7


# --- graphs ---------------------------------------------------------------------------------------------------------


def test_equal_ones_are_merged_and_opened():
    f = core.function([x, y], made()(x, y)[0] - made()(x, y)[0] + y, backend="interpreter")
    assert f.rewrites.count("inline_ops_are_opened") == 1
    assert not any(isinstance(node.op, OpFromGraph) for node in f.graph.nodes)


def test_what_is_opened_is_simplified_with_its_neighbours():
    exp = core.OpFromGraph([x], [ct.exp(x)])
    f = core.function([x], ct.log(exp(x)), backend="interpreter")
    assert not f.graph.nodes or [str(node.op) for node in f.graph.nodes] == []


def test_what_is_kept_apart_stays_so():
    exp = core.OpFromGraph([x], [ct.exp(x)], inline=False, name="exponential")
    f = core.function([x], ct.log(exp(x)), backend="interpreter")
    assert [str(node.op) for node in f.graph.nodes] == ["exponential", "log"]
    assert "exponential [id" in core.debugprint(f, file="str") and "graph of exponential" in str(core.explain(f))


def test_without_rewriting_it_is_run_all_the_same():
    for backend in available_backends():
        f = core.function([x, y], made()(x, y)[0], backend=backend, mode="none")
        assert_allclose(f(A, B), A * B + B)


def test_debug_mode_checks_the_ops_inside():
    assert_allclose(core.function([x, y], made(False)(x, y)[0], mode="debug")(A, B), A * B + B)


def test_names_and_derivatives_do_not_tell_programs_apart():
    from core.compile.identity import identity

    ops = [made(), made(lop_overrides=lambda i, o, g: g), core.OpFromGraph([y, x], [y * x + x, ct.sin(y)])]
    known = {identity(FunctionGraph([x, y], op(x, y)), {"core"}) for op in ops}
    assert len(known) == 1 and None not in known
    assert ops[0] != ops[1]


def test_equal_ops_are_equal():
    def gradients(inputs, grads):
        return grads

    assert made(grad_overrides=gradients) == made(grad_overrides=gradients)
    assert hash(made()) == hash(made()) and made() == made() != made(False)


def test_it_pickles():
    op = pickle.loads(pickle.dumps(made()))
    assert op == made()
    f = pickle.loads(pickle.dumps(core.function([x, y], made(False)(x, y), backend="interpreter")))
    assert_allclose(f(A, B)[0], A * B + B)


@both_ways
def test_stacks_are_computed_at_once(inline):
    xs = ct.dmatrix("xs")
    a, b = made(inline)(x, y)
    f = core.function([xs, y], ct.vectorize_graph([a, b], {x: xs}), backend="interpreter")
    stack = np.stack([A, B, A * 2])
    assert_allclose(f(stack, B)[0], stack * B + B)
    assert_allclose(f(stack, B)[1], np.sin(stack))


def test_an_op_with_derivatives_of_its_own_has_no_stacks():
    xs = ct.dmatrix("xs")
    a, _ = made(lop_overrides=lambda i, o, g: [g[0], g[0]])(x, y)
    with pytest.raises(ArgumentError, match="f has no batch"):
        ct.vectorize_graph(a, {x: xs})
    assert_allclose(run(core.jacobian(a, x), A, B), np.eye(3))


def differentiated(outputs, inputs):
    """The gradients of the sum of all that can be differentiated, None where there is none."""
    costs = [out.astype("float64").sum() for out in outputs if out.type.dtype in dtypes.FLOATS]
    wrt = [v for v in inputs if v.type.dtype in dtypes.FLOATS]
    if not costs or not wrt:
        return []
    options = {"disconnected_inputs": "ignore", "null_gradients": "return", "return_disconnected": "none"}
    found = core.grad(sum(costs[1:], costs[0]), wrt, **options)
    return [None if g is None or isinstance(g.type, NullType) else g for g in found]


@agreement
@given(graphs())
@both_ways
def test_random_graphs_compute_the_same_inside(inline, graph):
    outputs = core.OpFromGraph(graph.inputs, graph.outputs, inline=inline)(*graph.inputs, return_list=True)
    inside, plain = differentiated(outputs, graph.inputs), differentiated(graph.outputs, graph.inputs)
    assert [g is None for g in inside] == [g is None for g in plain]
    wanted = [*outputs, *(g for g in inside if g is not None)]
    expected = [*graph.outputs, *(g for g in plain if g is not None)]
    for backend in available_backends():
        got = compiled(graph.inputs, wanted, backend, "fast_run")(*graph.arrays)
        for a, b in zip(got, compiled(graph.inputs, expected, backend, "fast_run")(*graph.arrays), strict=True):
            assert_allclose(a, b, **graph.tolerance())


# --- as a decorator -------------------------------------------------------------------------------------------------


def test_a_decorated_function_becomes_a_node():
    @core.op_from_graph(inline=False)
    def scaled(a, factor, *, plus=0.0):
        """Documented."""
        return a * factor + plus, a

    first, second = scaled(x, 2.0, plus=1.0)
    assert first.owner is second.owner and str(first.owner.op) == "scaled" and scaled.__doc__ == "Documented."
    assert_allclose(run(first, A, B), A * 2 + 1)


def test_gradients_reach_variables_around_a_decorated_function():
    h = ct.sin(y)

    @core.op_from_graph
    def times(a):
        return a * h

    g = core.grad(times(x).sum(), [x, y, h])
    for got, expected in zip(run(g, A, B), [np.sin(B), A * np.cos(B), A], strict=True):
        assert_allclose(got, expected)


def test_a_decorated_function_has_derivatives_of_its_own():
    @core.op_from_graph(grad_overrides=lambda inputs, grads: [grads[0] * 42])
    def same(a):
        return a * 1

    assert_allclose(run(core.grad(same(x).sum(), x), A, B), np.full(3, 42.0))


def test_a_decorated_function_takes_arrays():
    times = core.op_from_graph(lambda a, b: a * b)
    assert_allclose(run(times(x, B), A, B), A * B)
