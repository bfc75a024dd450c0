"""Programs on the oracle: it must be right and strict, and with it whole graphs are held against NumPy."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from numpy.testing import assert_allclose, assert_array_equal

import core.tensor as ct
from core.errors import BackendError, IndexOutOfBounds, VerifyError
from core.gradient import grad
from core.graph import Apply
from core.ir.check.run import Driver, Run, holds
from core.ir.codes import Code
from core.ir.definitions import Operand, Value
from core.ir.expr import const, index, length, make
from core.ir.guards import Guard, GuardFailed
from core.ir.library import LibraryCall
from core.ir.nodes import Kernel, Loop, Store
from core.ir.program import CheckStep, HostStep, KernelStep, LibraryStep, Program
from core.op import Op
from core.testing import random
from core.testing.graphs import float_outputs, graphs

X, Y, T = Value("x", "float64"), Value("y", "float64"), Value("t", "float64")
AT, N = index("i"), length(X, 0)
A = random(4)


def map_step(source, target, change=lambda e: e * 2.0, at=AT, extent=N, name="k0"):
    store = Store(target, AT, change(make(Code.LOAD, source.dtype, (at,), source)))
    return KernelStep(Kernel(name, [source], [target], [Loop(AT, extent, [store])]))


def program(*steps, outputs=(Y,), guards=(), shapes=None, **options):
    known = {X: (N,), Y: (N,), T: (N,), **(shapes or {})}
    return Program("run", [X], list(outputs), {}, list(steps), list(guards), known, **options)


def test_a_kernel_runs():
    assert_array_equal(Run(program(map_step(X, Y)))([A])[0], 2 * A)


def test_a_slot_is_one_piece_of_memory():
    other = Value("u", "float64")
    steps = [map_step(X, T, name="k0"), map_step(X, other, lambda e: e * 5.0, name="k1"), map_step(T, Y, name="k2")]
    wrong = program(*steps, shapes={other: (N,)}, slots={T: 0, other: 0}, slot_sizes=[N * 8])
    assert_array_equal(Run(wrong)([A])[0], 10 * A)  # not 4 * A: u has overwritten t
    right = program(*steps, shapes={other: (N,)}, slots={T: 0, other: 1}, slot_sizes=[N * 8, N * 8])
    assert_array_equal(Run(right)([A])[0], 4 * A)


def test_fresh_memory_is_not_zero():
    step = KernelStep(Kernel("k0", [], [Y], [Loop(AT, N, [Store(Y, AT, make(Code.LOAD, "float64", (AT,), Y) + 1.0)])]))
    assert np.all(np.isnan(Run(program(step))([A])[0]))


@pytest.mark.parametrize("at", [AT + 1, AT - 1])
def test_a_read_outside_an_array_is_found(at):
    with pytest.raises(IndexOutOfBounds, match="reads outside axis 0 of length 4"):
        Run(program(map_step(X, Y, at=at)))([A])


def test_a_write_outside_an_array_is_found():
    with pytest.raises(IndexOutOfBounds, match="a kernel writes element 4 of y, which has 4"):
        Run(program(KernelStep(Kernel("k0", [], [Y], [Store(Y, N, const(0.0, "float64"))]))))([A])


def test_inputs_are_not_written_to():
    a = A.copy()
    Run(program(outputs=[X]))([a])[0][:] = 0
    assert_array_equal(a, A)


@pytest.mark.parametrize(
    "kind, good, bad",
    [
        ("join", (3, 3), (3, 1)),
        ("same", (3, 3), (3, 1)),
        ("one", (1, 1), (2, 1)),
        ("range", (-3, 3), (3, 3)),
        ("within", (3, 3), (4, 3)),
        ("positive", (1, 0), (0, 0)),
    ],
)
def test_a_guard_holds_or_stops_the_program(kind, good, bad):
    assert holds(kind, *good) and not holds(kind, *bad)
    guard = Guard(kind, N, const(bad[1]), "an op")
    with pytest.raises(GuardFailed) as caught:
        Run(program(map_step(X, Y), guards=[guard]))([random(bad[0])])
    assert (caught.value.guard, caught.value.a, caught.value.b) == (guard, *bad)


def test_a_check_stops_the_program():
    bad = Value("bad", "bool")
    step = KernelStep(Kernel("k0", [], [bad], [Store(bad, const(0), N < 3)]))
    checked = program(
        step, CheckStep(bad, "too short"), map_step(X, Y), shapes={bad: ()}, slots={bad: 0}, slot_sizes=[const(1)]
    )
    assert_array_equal(Run(checked)([A])[0], 2 * A)
    with pytest.raises(IndexOutOfBounds, match="too short"):
        Run(checked)([A[:2]])


def test_python_is_called_and_says_how_long_its_outputs_are():
    n = length(T, 0)
    steps = [HostStep(0, (X,), (T,)), map_step(T, Y, extent=n)]
    guard = Guard("positive", n, const(0), "late")
    f = Run(program(*steps, shapes={T: (n,), Y: (n,)}, guards=[guard], host_calls=[lambda arrays: [arrays[0][1:]]]))
    assert_array_equal(f([A])[0], 2 * A[1:])
    with pytest.raises(GuardFailed, match="late"):
        f([A[:1]])


@pytest.mark.parametrize("transposed", [False, True])
def test_a_product_reads_its_operands_as_they_lie_or_transposed(transposed):
    m, n = length(X, 0), length(X, 1)
    rows = n if transposed else m
    as_it_lies, turned = Operand.whole(X, (m, n)), Operand(X, (n, m), (const(1), n))
    pair = (turned, as_it_lies) if transposed else (as_it_lies, turned)
    step = LibraryStep(LibraryCall("gemm"), pair, (Operand.whole(Y, (rows, rows)),))
    x = random((2, 3))
    expected = x.T @ x if transposed else x @ x.T
    assert_allclose(Run(program(step, shapes={X: (m, n), Y: (rows, rows)}))([x])[0], expected)


def test_a_result_of_another_shape_and_an_unknown_routine_are_refused():
    m, n = length(X, 0), length(X, 1)
    square = Operand(X, (m, m), (n, const(1)))
    for name, rule in (("gemm", "gemm of y needs"), ("potrf", "no op of the library routine 'potrf'")):
        step = LibraryStep(LibraryCall(name), (square, square), (Operand.whole(Y, (m, n)),))
        with pytest.raises(BackendError, match=rule):
            Run(program(step, shapes={X: (m, n), Y: (m, n)}))([random((2, 3))])


def test_a_library_call_that_reads_beyond_an_array_is_refused():
    m, n = length(X, 0), length(X, 1)
    beyond = Operand(X, (m, m), (n, const(1)), const(1))
    step = LibraryStep(LibraryCall("gemm"), (beyond, beyond), (Operand.whole(Y, (m, m)),))
    with pytest.raises(IndexOutOfBounds, match="reads elements 1 to 4 of x"):
        Run(program(step, shapes={X: (m, n), Y: (m, m)}))([random((2, 2))])


def test_of_a_routine_the_op_says_what_it_computes():
    node = ct.Dot()(ct.matrix(), ct.matrix()).owner
    n = length(X, 0)
    out = Value("out", "float64", node)
    step = LibraryStep(LibraryCall("product"), (Operand.whole(X, (n, n)),) * 2, (Operand.whole(out, (n, n)),))
    made = program(step, shapes={X: (n, n), out: (n, n)})
    made.outputs = [out]
    x = random((3, 3))
    assert_allclose(Run(made)([x])[0], x @ x)


def test_the_driver_verifies_what_it_is_given():
    with pytest.raises(VerifyError, match="no step writes the output y"):
        Driver("ir").compile(program())


# --- whole graphs --------------------------------------------------------------------------------------------------

quick = settings(
    max_examples=80,
    derandomize=True,
    deadline=None,
    database=None,
    print_blob=False,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("mode", ["none", "fast_run"])
def test_random_graphs_give_what_numpy_gives(compiled, mode):
    @quick
    @given(graph=graphs())
    def check(graph):
        f = compiled(graph.inputs, graph.outputs, mode)
        for got, expected in zip(f(*graph.arrays), graph.expected, strict=True):
            assert (got.shape, got.dtype) == (expected.shape, expected.dtype), graph
            assert_allclose(got, expected, **graph.tolerance(), err_msg=str(graph))

    check()


def test_gradients_of_random_graphs_are_those_of_the_interpreter(compiled):
    from core.testing.values import compiled as interpreted

    @quick
    @given(graph=graphs(kinds=("float64",), smooth=True, max_steps=6, without=("astype",)))
    def check(graph):
        outputs = float_outputs(graph)
        if not outputs:
            return
        cost = sum((out * out).sum() for out in outputs)
        gradients = grad(cost, graph.inputs, disconnected_inputs="ignore")
        plain = interpreted(graph.inputs, gradients)(*graph.arrays)
        atol = 1e-10 * max(1.0, graph.scale, *(float(np.max(np.abs(g), initial=0)) for g in plain)) ** 2
        for got, expected in zip(compiled(graph.inputs, gradients)(*graph.arrays), plain, strict=True):
            assert_allclose(got, expected, rtol=1e-10, atol=atol, err_msg=str(graph))

    check()


def test_products_go_to_the_library_where_there_is_one(compiled, gemm):
    x, w = ct.matrix("x"), ct.matrix("w")
    f = compiled([x, w], [ct.tanh(ct.dot(x.T, w)), ct.dot(w, x[::-1])])
    calls = [step for step in f.program.steps if isinstance(step, LibraryStep)]
    assert sorted(tuple(o.strides[-1] is not const(1) for o in call.operands) for call in calls) == [
        (False, False),
        (True, False),
    ]
    X_, W = random((3, 3)), random((3, 3), seed=1)
    assert_allclose(f(X_, W)[0], np.tanh(X_.T @ W))
    assert_allclose(f(X_, W)[1], W @ X_[::-1])


class Halves(Op):
    """Two outputs by Python alone."""

    def make_node(self, x):
        x = ct.as_tensor(x)
        return Apply(self, [x], [ct.TensorType(x.dtype, 1), ct.TensorType(x.dtype, 1)])

    def perform(self, node, inputs, output_storage):
        half = len(inputs[0]) // 2
        output_storage[0][0], output_storage[1][0] = inputs[0][:half].copy(), inputs[0][half:].copy()


@pytest.mark.filterwarnings("ignore:Halves")
def test_what_python_makes_is_fused_with_what_comes_after(compiled):
    a = ct.vector("a")
    first, second = Halves()(ct.exp(a))
    f = compiled([a], [first + second, second.sum()])
    e = np.exp(A)
    assert_allclose(f(A)[0], e[:2] + e[2:])
    assert_allclose(f(A)[1], e[2:].sum())
