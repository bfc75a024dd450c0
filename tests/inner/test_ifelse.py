"""ifelse: values, laziness, derivatives, shapes, rewrites, on every backend."""

import pickle

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import core
import core.tensor as ct
from core import dtypes
from core.errors import ArgumentError, DTypeError, IndexOutOfBounds, ShapeError
from core.gradient import DisconnectedType
from core.graph import FunctionGraph
from core.ir.check.run import Driver
from core.tensor.ifelse import IfElse
from core.testing import available_backends
from core.testing.derivatives import check_derivatives
from core.testing.graphs import graphs
from core.testing.values import compiled

backends = pytest.mark.parametrize("backend", [*available_backends(), pytest.param(Driver(), id="ir")])
pytestmark = pytest.mark.filterwarnings("ignore:.*Python computes it")
c, x, y, m = ct.bscalar("c"), ct.dvector("x"), ct.dvector("y"), ct.dmatrix("m")
A, B, M = np.array([0.5, -1.0, 2.0]), np.array([3.0, 0.25, -2.0]), np.arange(9.0).reshape(3, 3) / 4
calls: list[str] = []


def noisy(name):
    """An op that says when it is computed."""

    class Noisy(core.Op):
        __props__ = ("name",)

        def __init__(self, name):
            self.name = name

        def make_node(self, a):
            return core.Apply(self, [a], [a.type])

        def perform(self, node, inputs, output_storage):
            calls.append(self.name)
            output_storage[0][0] = inputs[0] * 1

        def grad(self, inputs, output_grads):
            return [noisy(f"gradient of {self.name}")(output_grads[0])]

        def infer_shape(self, node, input_shapes):
            return input_shapes

    return Noisy(name)


@pytest.fixture(autouse=True)
def no_calls():
    calls.clear()


def both(inputs, outputs, backend, **options):
    """A function, as one of the condition and then the inputs."""
    return core.function([c, *inputs], outputs, backend=backend, on_unused_input="ignore", **options)


# --- values ----------------------------------------------------------------------------------------------------------


@backends
def test_it_takes_one_or_the_other(backend):
    f = both([x, m], core.ifelse(c, (m @ x).sum(), ct.exp(x).max() * 2), backend)
    assert_allclose(f(1, A, M), (M @ A).sum())
    assert_allclose(f(0, A, M), np.exp(A).max() * 2)


@backends
def test_of_several_values_each_is_taken(backend):
    u, v = core.ifelse(c, (x, m @ y), (y * 2, x))
    f = both([x, y, m], [u, v, u * v], backend)
    for flag, (a, b) in ((1, (A, M @ B)), (0, (B * 2, A))):
        for got, expected in zip(f(flag, A, B, M), (a, b, a * b), strict=True):
            assert_allclose(got, expected)


@backends
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "uint8", "bool", "complex128", "float16"])
def test_every_dtype_is_taken(backend, dtype):
    a, b = ct.tensor("a", dtype=dtype, ndim=2), ct.tensor("b", dtype=dtype, ndim=2)
    f = both([a, b], core.ifelse(c, a, b.T), backend)
    p, q = np.arange(6).reshape(2, 3).astype(dtype), np.arange(6).reshape(3, 2).astype(dtype)[::-1]
    for flag, expected in ((1, p), (0, q.T)):
        got = f(flag, p, q)
        assert got.dtype == dtype
        assert_array_equal(got, expected)


@backends
@pytest.mark.parametrize("shape", [(), (0,), (1,), (4,), (2, 0), (1, 3), (2, 3, 4)])
def test_every_shape_is_taken(backend, shape):
    a, b = ct.tensor("a", dtype="float64", ndim=len(shape)), ct.tensor("b", dtype="float64", ndim=len(shape))
    f = both([a, b], [core.ifelse(c, ct.tanh(a), b - 1), core.ifelse(c, b, a)], backend)
    p, q = np.full(shape, 0.5), np.full(shape, 2.0)
    for flag, expected in ((1, (np.tanh(p), q)), (0, (q - 1, p))):
        for got, value in zip(f(flag, p, q), expected, strict=True):
            assert got.shape == shape
            assert_allclose(got, value)


@backends
def test_lengths_may_differ(backend):
    z = core.ifelse(c, x, y[1:] * 2)
    f = both([x, y], [z, z.sum(), z.shape[0]], backend)
    for flag, expected in ((1, A), (0, B[1:] * 2)):
        value, total, n = f(flag, A, B)
        assert_allclose(value, expected)
        assert_allclose(total, expected.sum())
        assert n == expected.size
    assert_allclose(f(1, np.ones(1), np.ones(5))[0], np.ones(1))
    assert_allclose(f(0, np.ones(1), np.ones(2))[0], [2.0])


@backends
@pytest.mark.parametrize("value, taken", [(2.5, True), (0.0, False), (-0.0, False), (np.nan, True), (-1.0, True)])
def test_whatever_is_not_zero_is_true(backend, value, taken):
    s = ct.dscalar("s")
    f = core.function([s], core.ifelse(s, 1, 2), backend=backend)
    assert f(value) == (1 if taken else 2)


@backends
def test_nan_infinities_and_signed_zeros_pass(backend):
    special = np.array([np.nan, np.inf, -np.inf, -0.0, 0.0])
    f = both([x, y], core.ifelse(c, x, y), backend)
    for got in (f(1, special, special[::-1].copy()), f(0, special[::-1].copy(), special)):
        assert_array_equal(got, special)
        assert_array_equal(np.signbit(got), np.signbit(special))


@backends
def test_results_are_copies(backend):
    f = both([x, y], core.ifelse(c, x, y), backend)
    given = A.copy()
    f(1, given, B)[:] = 7
    assert_array_equal(given, A)


@backends
def test_an_update_may_be_chosen(backend):
    w = core.shared(np.zeros(3), name="w")
    step = core.function([c, x], [], updates={w: core.ifelse(c, w + x, w - 2 * x)}, backend=backend)
    step(1, A)
    assert_allclose(w.get_value(), A)
    step(0, A)
    assert_allclose(w.get_value(), -A)


# --- laziness --------------------------------------------------------------------------------------------------------


@backends
def test_only_the_branch_that_is_taken_is_computed(backend):
    f = both([x, y], core.ifelse(c, noisy("then")(x) + 1, noisy("else")(y)), backend)
    assert_allclose(f(1, A, B), A + 1)
    assert calls == ["then"]
    assert_allclose(f(0, A, B), B)
    assert calls == ["then", "else"]


@backends
def test_only_its_gradient_is_computed(backend):
    z = core.ifelse(c, noisy("then")(ct.sin(x)), noisy("else")(ct.exp(x)))
    f = both([x], [z, core.grad(z.sum(), x)], backend)
    assert_allclose(f(1, A)[1], np.cos(A))
    assert calls == ["then", "gradient of then"]
    calls.clear()
    assert_allclose(f(0, A)[1], np.exp(A))
    assert calls == ["else", "gradient of else"]


@backends
def test_what_both_branches_need_is_computed_once(backend):
    h = noisy("both")(x)
    f = both([x], core.ifelse(c, h + 1, h * 2), backend)
    assert_allclose(f(0, A), A * 2)
    assert calls == ["both"]


@backends
def test_what_somebody_else_needs_is_computed_once(backend):
    h = noisy("shared")(x)
    f = both([x], [core.ifelse(c, h + 1, x), h], backend)
    f(0, A)
    assert calls == ["shared"]


@backends
def test_what_branches_of_one_condition_need_is_computed_with_them(backend):
    h = noisy("deep")(x)
    first = core.ifelse(c, h.sum(), x.sum())
    second = core.ifelse(c, (h * first).sum() + (first * 2) ** 2, x.max())
    f = both([x], [first, second], backend)
    f(0, A)
    assert calls == []
    a, b = f(1, A)
    assert calls == ["deep"]
    assert_allclose([a, b], [A.sum(), A.sum() * A.sum() + (2 * A.sum()) ** 2])


@backends
def test_branches_nest(backend):
    d = ct.bscalar("d")
    inner = core.ifelse(d, noisy("a")(x), noisy("b")(x) * 2)
    f = core.function([c, d, x], core.ifelse(c, inner + 1, noisy("c")(x) * 3), backend=backend)
    for flags, expected, said in (((1, 1), A + 1, ["a"]), ((1, 0), A * 2 + 1, ["b"]), ((0, 1), A * 3, ["c"])):
        calls.clear()
        assert_allclose(f(*flags, A), expected)
        assert calls == said


@backends
def test_a_condition_may_itself_be_chosen(backend):
    asked = core.ifelse(c, x.sum() > 0, y.sum() > 0)
    z = core.ifelse(asked, noisy("then")(x), y) * core.ifelse(asked, x, noisy("else")(y))
    f = both([x, y], [z, core.grad(z.sum(), x)], backend)
    for flag, (a, b) in ((1, (A, -A)), (0, (-A, A))):
        calls.clear()
        assert_allclose(f(flag, a, b)[0], a * a)
        assert "else" not in calls
        calls.clear()
        assert_allclose(f(flag, b, a)[0], a * a)
        assert calls == ["else"]


@backends
def test_an_error_of_the_branch_not_taken_is_none(backend):
    i = ct.lscalar("i")
    f = core.function([c, x, i], core.ifelse(c, x[i], x.sum()), backend=backend)
    assert_allclose(f(0, A, 7), A.sum())
    assert f(1, A, 1) == A[1]
    with pytest.raises(IndexOutOfBounds, match="index 7 is out of"):
        f(1, A, 7)


@backends
def test_an_index_of_an_array_fails_only_where_it_is_taken(backend):
    i = ct.lvector("i")
    f = core.function([c, x, i], core.ifelse(c, ct.exp(x)[i].sum(), x.sum()), backend=backend)
    assert_allclose(f(0, A, [0, 9]), A.sum())
    assert_allclose(f(1, A, [0, 2]), np.exp(A)[[0, 2]].sum())
    with pytest.raises(IndexOutOfBounds):
        f(1, A, [0, 9])


@backends
def test_lengths_that_do_not_fit_fail_only_where_they_are_taken(backend):
    f = both([x, y], core.ifelse(c, (x + y).sum(), x.sum()), backend)
    assert_allclose(f(0, A, B[:2]), A.sum())
    assert_allclose(f(1, A, B[:1]), (A + B[:1]).sum())
    assert_allclose(f(1, A, B), (A + B).sum())
    with pytest.raises(ShapeError):
        f(1, A, B[:2])


@pytest.mark.parametrize("mode", ["none", "fast_compile", "debug"])
def test_every_mode_is_lazy(mode):
    f = both([x, y], core.ifelse(c, noisy("then")(x), noisy("else")(y)), "interpreter", mode=mode)
    assert_allclose(f(1, A, B), A)
    assert set(calls) == {"then"}


# --- derivatives -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flag", [True, False])
def test_derivatives_are_those_of_the_branch_that_is_taken(flag):
    def f(a, b):
        condition = a.sum() < (10 if flag else -10)
        return core.ifelse(condition, ct.tanh(b @ a), (b * b).sum(axis=0) * a[0])

    check_derivatives(f, A * 0.3, M + 0.5)


@backends
def test_nan_of_the_branch_not_taken_reaches_nobody(backend):
    s = ct.dscalar("s")
    root = core.ifelse(s > 0, ct.sqrt(s) * ct.log(s), s**2)
    f = core.function([s], [root, core.grad(root, s), core.Rop(root, s, ct.ones_like(s))], backend=backend)
    assert [float(v) for v in f(0.0)] == [0.0, 0.0, 0.0]
    assert [float(v) for v in f(-2.0)] == [4.0, -4.0, -4.0]
    assert_allclose(f(4.0), [2 * np.log(4), np.log(4) / 4 + 0.5, np.log(4) / 4 + 0.5])


def test_the_other_branch_has_no_part_in_the_gradient():
    z = core.ifelse(c, (x * 3).sum(), (y * 4).sum())
    gx, gy = core.grad(z, [x, y])
    f = both([x, y], [gx, gy], "interpreter")
    for flag, (a, b) in ((1, (3, 0)), (0, (0, 4))):
        assert_array_equal(f(flag, A, B[:2])[0], np.full(3, float(a)))
        assert_array_equal(f(flag, A, B[:2])[1], np.full(2, float(b)))


def test_ways_around_and_through_branches_add_up():
    h = ct.sin(x)
    z = core.ifelse(c, (h * h).sum(), h.sum() * 3) + (h * x).sum()
    f = both([x], [core.grad(z, x), core.grad(z, h)], "interpreter")
    s, k = np.sin(A), np.cos(A)
    for flag, own in ((1, 2 * s), (0, np.full(3, 3.0))):
        assert_allclose(f(flag, A)[1], own + A)
        assert_allclose(f(flag, A)[0], (own + A) * k + s)


def test_gradients_through_nested_branches():
    d = ct.bscalar("d")
    h = ct.exp(x)
    z = core.ifelse(c, core.ifelse(d, h**2, h * x), core.ifelse(d, ct.sqrt(h), x)).sum()
    f = core.function([c, d, x], core.grad(z, x), backend="interpreter")
    e = np.exp(A)
    expected = {(1, 1): 2 * e * e, (1, 0): e * A + e, (0, 1): 0.5 * np.sqrt(e), (0, 0): np.ones(3)}
    for flags, g in expected.items():
        assert_allclose(f(*flags, A), g)


def test_second_derivatives_choose_too():
    z = core.ifelse(c, (x**3).sum(), (x**2).sum())
    f = both([x], core.hessian(z, x), "interpreter")
    assert_allclose(f(1, A), np.diag(6 * A))
    assert_allclose(f(0, A), np.diag(np.full(3, 2.0)))


def test_several_values_of_different_gates():
    u, v = core.ifelse(c, (x * 2, y), (y * 3, x * 5))
    z = (u * v).sum()
    f = both([x, y], core.grad(z, [x, y]), "interpreter")
    for got, expected in zip(f(1, A, B), (2 * B, 2 * A), strict=True):
        assert_allclose(got, expected)
    for got, expected in zip(f(0, A, B), (15 * B, 15 * A), strict=True):
        assert_allclose(got, expected)


def test_a_condition_has_no_gradient():
    s = ct.dscalar("s")
    assert core.grad(core.ifelse(s, x, y).sum(), s, disconnected_inputs="ignore", return_disconnected="none") is None


def test_the_op_itself_masks_gradients():
    node = core.ifelse(c, x, y).owner
    g = ct.dvector("g")
    none, gx, gy = node.op.grad(node.inputs, [g])
    assert isinstance(none.type, DisconnectedType)
    f = both([x, y, g], [gx, gy], "interpreter")
    assert_array_equal(f(1, A, B, A), [A, np.zeros(3)])
    assert_array_equal(f(0, A, B, A), [np.zeros(3), A])


def test_a_tangent_of_one_branch_alone():
    z = core.ifelse(c, x * 2, y)
    f = both([x, y], core.Rop(z, x, ct.ones_like(x)), "interpreter")
    assert_array_equal(f(1, A, B), np.full(3, 2.0))
    assert_array_equal(f(0, A, B), np.zeros(3))


# --- stacks, shapes, types -------------------------------------------------------------------------------------------


def test_a_stack_of_conditions_chooses_each():
    cs, xs = ct.bvector("cs"), ct.dmatrix("xs")
    z = core.ifelse(c, ct.exp(x), x * 2)
    f = core.function([cs, xs], ct.vectorize_graph(z, {c: cs, x: xs}), backend="interpreter")
    stack = np.stack([A, B])
    assert_allclose(f([1, 0], stack), [np.exp(A), B * 2])


def test_a_stack_of_values_is_chosen_at_once():
    xs = ct.dmatrix("xs")
    u, v = core.ifelse(c, (ct.exp(x), y), (y, x))
    f = core.function([c, xs, y], ct.vectorize_graph([u, v], {x: xs}), backend="interpreter")
    stack = np.stack([A, B])
    assert_allclose(f(1, stack, B), [np.exp(stack), np.stack([B, B])])
    assert_allclose(f(0, stack, B), [np.stack([B, B]), stack])


def test_the_common_type_is_what_both_know():
    a, b = ct.tensor("a", dtype="float64", shape=(3, 4)), ct.tensor("b", dtype="float64", shape=(3, None))
    assert core.ifelse(c, a, b).type.shape == (3, None)
    assert core.ifelse(c, a, a * 2).type.shape == (3, 4)
    assert core.ifelse(c, a, 1 + a[:2]).type.shape == (None, 4)


def test_a_shape_needs_no_branch():
    z = core.ifelse(c, noisy("then")(x), noisy("else")(x[1:]))
    f = both([x], z.shape[0], "interpreter")
    assert (f(1, A), f(0, A)) == (3, 2) and calls == []
    same = both([x], core.ifelse(c, ct.exp(x), x).shape[0], "interpreter")
    assert not any(isinstance(node.op, IfElse) or "Branch" in str(node.op) for node in same.graph.nodes)


@pytest.mark.parametrize(
    "arguments, error, said",
    [
        ((x, x, y), ShapeError, "ifelse needs a scalar as condition, got x with ndim=1; ct.where chooses"),
        (
            (c, x, ct.fvector("f")),
            DTypeError,
            "one dtype in both branches, got x of dtype float64 and f of",
        ),
        ((c, x, m), ShapeError, "one ndim in both branches, got x with ndim=1 and m with ndim=2"),
        ((c, (x, x), (y, m)), ShapeError, "one ndim in value 1 of both branches"),
        ((c, (x, x), (y,)), ArgumentError, "as many values in both branches, got 2 and 1"),
        ((c, (x, x), y), ArgumentError, "one value in both branches, or several in both"),
    ],
)
def test_what_does_not_fit_is_an_error_of_its_line(arguments, error, said):
    with pytest.raises(error, match=said):
        core.ifelse(*arguments)


def test_numbers_take_the_dtype_of_what_is_beside_them():
    f = ct.fscalar("f")
    assert core.ifelse(c, f, 0).dtype == core.ifelse(c, 1.5, f).dtype == "float32"
    assert core.ifelse(c, 1, 2).dtype == "int64"
    with pytest.raises(DTypeError):
        core.ifelse(c, ct.lscalar("i"), 0.5)


def test_the_result_is_named_and_shaped_like_the_branches():
    assert core.ifelse(c, x, y, name="z").name == "z"
    assert isinstance(core.ifelse(c, (x,), (y,)), tuple) and isinstance(core.ifelse(c, [x, y], [y, x]), list)
    assert core.ifelse(c, (), ()) == ()


# --- rewrites --------------------------------------------------------------------------------------------------------


def choices(f):
    return sum(isinstance(node.op, IfElse) or str(node.op) == "Branch" for node in f.graph.nodes)


def test_a_known_condition_leaves_one_branch():
    f = core.function([x], core.ifelse(True, x * 2, noisy("else")(x)), backend="interpreter")
    assert choices(f) == 0 and f.rewrites.count("a_known_condition_has_one_branch") == 1
    assert_array_equal(f(A), A * 2)
    assert_array_equal(core.function([x], core.ifelse(0.0, x * 2, x + 1), backend="interpreter")(A), A + 1)


def test_equal_branches_need_no_condition():
    f = both([x], core.ifelse(c, ct.exp(x), ct.exp(x)), "interpreter")
    assert choices(f) == 0
    u, v = core.ifelse(c, (x * 2, y), (x * 2, x))
    g = both([x, y], [u, v], "interpreter")
    assert choices(g) == 1
    assert_array_equal(g(1, A, B), [A * 2, B])


def test_a_condition_is_asked_once():
    z = core.ifelse(c, core.ifelse(c, x, y), core.ifelse(c, y, x * 3))
    f = both([x, y], z, "interpreter")
    assert f.rewrites.count("a_condition_is_asked_once") == 1
    assert_array_equal(f(1, A, B), A)
    assert_array_equal(f(0, A, B), A * 3)


def test_another_condition_is_asked_again():
    d = ct.bscalar("d")
    f = core.function([c, d, x, y], core.ifelse(c, core.ifelse(d, x, y), x * 2), backend="interpreter")
    assert f.rewrites.count("a_condition_is_asked_once") == 0
    assert_array_equal(f(1, 0, A, B), B)


def test_a_negated_condition_is_the_same_one():
    z = core.ifelse(ct.logical_not(x.sum() > 0), noisy("a")(x), y) + core.ifelse(x.sum() > 0, y * 2, x)
    f = core.function([x, y], z, backend="interpreter")
    assert choices(f) == 1
    assert_array_equal(f(A, B), B + B * 2)


def test_choices_of_one_condition_are_made_together():
    z = core.ifelse(c, ct.exp(x), y) * core.ifelse(c, ct.exp(x) + 1, y)
    f = both([x, y], z, "interpreter")
    assert choices(f) == 1


def test_a_long_chain_of_choices_compiles():
    z = x.sum()
    for _ in range(60):
        z = core.ifelse(z > 0, z * 0.5 - 1, z * z)
    f = core.function([x], z, backend="interpreter")
    expected = A.sum()
    for _ in range(60):
        expected = expected * 0.5 - 1 if expected > 0 else expected * expected
    assert_allclose(f(A), expected)


def test_it_pickles():
    f = pickle.loads(pickle.dumps(both([x, y], core.ifelse(c, ct.exp(x), y), "interpreter")))
    assert_allclose(f(1, A, B), np.exp(A))


def test_it_can_be_told_in_another_process():
    from core.compile.identity import identity

    graphs = [FunctionGraph([c, x, y], [core.ifelse(c, a, b)]) for a, b in ((x, y), (x, y), (y, x))]
    known = [identity(graph, {"core"}) for graph in graphs]
    assert None not in known and known[0] == known[1] != known[2]


# --- random graphs ---------------------------------------------------------------------------------------------------


def chosen(graph, conditions):
    """Outputs of a graph behind choices, nested and with a branch in an op of its own, and what NumPy makes of them."""
    outputs, expected = [], []
    for k, (out, value) in enumerate(zip(graph.outputs, graph.expected, strict=True)):
        first, second = conditions[k % 2], conditions[(k + 1) % 2]
        double = core.OpFromGraph([a := out.type("a")], [a + a if out.dtype != "bool" else a], inline=bool(k % 2))
        inner = core.ifelse(second, double(out), out)
        outputs.append(core.ifelse(first, inner, ct.zeros_like(out)))
        expected.append(value)
    return outputs, expected


@settings(max_examples=15, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(graphs(), st.tuples(st.booleans(), st.booleans()))
def test_random_graphs_behind_choices(graph, flags):
    conditions = [ct.bscalar("p"), ct.bscalar("q")]
    outputs, values = chosen(graph, conditions)
    inputs, arrays = [*conditions, *graph.inputs], [*(np.int8(flag) for flag in flags), *graph.arrays]
    costs = [out.astype("float64").sum() for out in outputs if out.dtype in dtypes.FLOATS]
    wrt = [v for v in graph.inputs if v.dtype in dtypes.FLOATS]
    gradients = []
    if costs and wrt:
        options = {"disconnected_inputs": "ignore", "null_gradients": "return", "return_disconnected": "none"}
        found = core.grad(sum(costs[1:], costs[0]), wrt, **options)
        gradients = [g for g in found if g is not None and hasattr(g.type, "dtype")]
    oracle = compiled(inputs, [*outputs, *gradients], "interpreter")(*arrays)
    for k, (got, value) in enumerate(zip(oracle, values, strict=False)):
        first, second = flags[k % 2], flags[(k + 1) % 2]
        double = value + value if value.dtype != bool else value
        expected = (double if second else value) if first else np.zeros_like(value)
        assert_allclose(got, expected, **graph.tolerance())
    for backend in available_backends():
        results = compiled(inputs, [*outputs, *gradients], backend, "fast_run")(*arrays)
        for got, expected in zip(results, oracle, strict=True):
            assert_allclose(got, expected, **graph.tolerance())


def test_views_are_made_again_rather_than_handed_on():
    z = core.ifelse(c, ct.tanh(m.T @ x).sum(), x.sum()) ** 2
    f = both([x, m], core.grad(z, [x, m]), "interpreter")
    first = next(node for node in f.graph.toposort() if str(node.op) == "Branch")
    kinds = {str(out.owner.op).partition("(")[0] for out in first.op.then.outputs if out.owner is not None}
    assert "tanh" in kinds and "DimShuffle" not in kinds
    t = np.tanh(M.T @ A)
    g = 2 * t.sum() * (1 - t * t)
    assert_allclose(f(1, A, M)[0], M @ g)
    assert_allclose(f(1, A, M)[1], np.outer(A, g))
