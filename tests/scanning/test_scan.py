"""What scans compute, against the same loops in NumPy, on every backend and in every mode."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import core
import core.tensor as ct
from core.errors import CoreWarning
from core.ir.check.run import Driver
from core.ir.program import KernelStep, LoopStep
from core.testing import available_backends, check_derivatives
from core.testing.values import symbolic

from .cases import CASES, SMOOTH, listed

pytestmark = pytest.mark.filterwarnings("ignore::core.errors.CoreWarning")
BACKENDS = available_backends()


def run(case, **options):
    inputs = symbolic(case.arrays)
    return core.function(inputs, listed(case.build(*inputs)), **options)(*case.arrays)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_scan_computes_what_the_loop_computes(case, backend):
    for got, expected in zip(run(case, backend=backend), listed(case.expected(*case.arrays)), strict=True):
        assert_allclose(got, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("mode", ["fast_compile", "none", "debug"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_scan_is_right_in_every_mode(case, mode):
    for got, expected in zip(
        run(case, mode=mode, backend="interpreter"), listed(case.expected(*case.arrays)), strict=True
    ):
        assert_allclose(got, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_program_of_a_scan_is_legal_and_right_by_the_oracle(case):
    for got, expected in zip(run(case, backend=Driver()), listed(case.expected(*case.arrays)), strict=True):
        assert_allclose(got, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.skipif("c" not in BACKENDS, reason="needs a backend that compiles")
@pytest.mark.parametrize("case", CASES, ids=str)
def test_nothing_of_a_step_is_left_to_python(case):
    inputs = symbolic(case.arrays)
    f = core.function(inputs, listed(case.build(*inputs)), backend="c", strict=True)
    assert any(isinstance(step, (LoopStep, KernelStep)) for step in f.program.steps)
    assert not f.program.host_nodes


@pytest.mark.parametrize("case", SMOOTH, ids=str)
def test_derivatives_of_a_scan(case):
    check_derivatives(case.build, *case.arrays)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", SMOOTH, ids=str)
def test_gradients_are_the_same_on_every_backend(case, backend):
    inputs = symbolic(case.arrays)
    cost = sum(ct.sin(out).sum() for out in listed(case.build(*inputs)))
    gradients = core.grad(cost, inputs)
    expected = core.function(inputs, gradients, backend="interpreter", mode="none")(*case.arrays)
    for got, value in zip(core.function(inputs, gradients, backend=backend)(*case.arrays), expected, strict=True):
        assert_allclose(got, value, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("case", [case for case in SMOOTH if case.name in ("ar2", "garch", "kalman")], ids=str)
def test_second_derivatives_are_those_of_differences(case):
    inputs = symbolic(case.arrays)
    cost = sum(ct.sin(out).sum() for out in listed(case.build(*inputs)))
    gradient = core.function(inputs, core.grad(cost, inputs[-1]), backend="interpreter")
    hessian = core.function(inputs, core.hessian(cost, inputs[-1]), backend="interpreter")(*case.arrays)
    *rest, x = case.arrays
    for k in np.ndindex(x.shape):
        step = np.zeros(x.shape)
        step[k] = 1e-6
        difference = (gradient(*rest, x + step) - gradient(*rest, x - step)) / 2e-6
        assert_allclose(hessian[k], difference, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("backend", BACKENDS)
def test_shared_variables_that_the_step_reads_need_no_mention_and_have_gradients(backend):
    x, w = ct.vector("x"), core.shared(np.array(0.5), name="w")
    h = core.scan(lambda x, h: w * h + x, sequences=x, outputs_info=0.0)
    g = core.function([x], core.grad(h[-1], w), backend=backend)
    assert_allclose(g([1.0, 2.0, 3.0]), 2.0 + 2 * 0.5 * 1.0)  # of w^2 + 2 w + 3
    w.set_value(2.0)
    assert_allclose(g([1.0, 2.0, 3.0]), 2.0 + 2 * 2.0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_fibonacci_numbers_by_two_taps(backend):
    start = ct.constant(np.array([0, 1]))
    numbers = core.scan(lambda a, b: a + b, outputs_info={"initial": start, "taps": [-2, -1]}, n_steps=10)
    assert_array_equal(core.function([], numbers, backend=backend)(), [1, 2, 3, 5, 8, 13, 21, 34, 55, 89])


@pytest.mark.parametrize("backend", BACKENDS)
def test_until_ends_the_loop_after_the_step_for_which_it_holds(backend):
    top = ct.scalar("top")
    powers = core.scan(lambda p: (2 * p, core.until(2 * p > top)), outputs_info=1.0, n_steps=100)
    f = core.function([top], [powers, powers[-1], powers.shape[0]], backend=backend)
    for limit, expected in [(10.0, [2, 4, 8, 16]), (1.0, [2]), (1e40, 2.0 ** np.arange(1, 101))]:
        made, last, count = f(limit)
        assert_array_equal(made, expected)
        assert last == expected[-1] and count == len(expected)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_gradient_through_until_is_that_of_the_steps_that_were_done(backend):
    x = ct.scalar("x")
    powers = core.scan(lambda p: (p * x, core.until(p * x > 30)), outputs_info=1.0, n_steps=50)
    f = core.function([x], [powers[-1], core.grad(powers[-1], x)], backend=backend)
    for value in (2.0, 3.0, 31.0):
        n = int(np.floor(np.log(30) / np.log(value)) + 1)
        assert_allclose(f(value), [value**n, n * value ** (n - 1)])


@pytest.mark.parametrize("backend", BACKENDS)
def test_power_iteration_stops_when_nothing_changes_any_more(backend):
    a = ct.matrix("a")

    def step(v):
        new = a @ v
        new = new / ct.sqrt((new**2).sum())
        return new, core.until(ct.abs(new - v).max() < 1e-12)

    v = core.scan(step, outputs_info=ct.ones(a.shape[0]), n_steps=1000)
    f = core.function([a], [v[-1], v.shape[0]], backend=backend)
    value = np.array([[2.0, 1.0], [1.0, 3.0]])
    found, steps = f(value)
    assert_allclose(np.abs(found), np.abs(np.linalg.eigh(value)[1][:, -1]), rtol=1e-9)
    assert 5 < steps < 100


def test_a_gradient_goes_back_as_many_steps_as_it_is_told():
    x, w = ct.vector("x"), ct.scalar("w")
    made = core.scan(lambda x, h: w * h + x, sequences=x, outputs_info=0.0, truncate_gradient=2)
    g = core.function([x, w], core.grad(made[-1], [x, w]), backend="interpreter")
    gx, gw = g([1.0, 2.0, 3.0, 4.0], 0.5)
    assert_allclose(gx, [0, 0, 0.5, 1])
    h = [1.0, 2.5, 4.25]  # before the last step, and the one before
    assert_allclose(gw, h[2] + 0.5 * h[1])


def test_a_whole_number_of_n_steps_may_be_less_than_the_rows():
    x = ct.vector("x")
    made = core.scan(lambda x, h: h + x, sequences=x, outputs_info=0.0, n_steps=2)
    assert_allclose(core.function([x], made, backend="interpreter")([1.0, 2.0, 3.0]), [1, 3])


def test_map_reduce_foldl_and_foldr():
    x = ct.vector("x")
    outputs = [
        core.map(lambda v, c: v * c, x, non_sequences=3.0),
        core.reduce(lambda v, total: total + v, x, 0.0),
        core.foldl(lambda v, before: before - v, x, 1.0),
        core.foldr(lambda v, before: v - before, x, 0.0),
    ]
    tripled, total, left, right = core.function([x], outputs, backend="interpreter")([1.0, 2.0, 4.0])
    assert_allclose(tripled, [3, 6, 12])
    assert (total, left, right) == (7, -6, 1 - (2 - (4 - 0)))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_scan_inside_a_scan(backend):
    x = ct.matrix("x")
    inner = lambda row: core.scan(lambda v, t: ct.tanh(t + v), sequences=row, outputs_info=0.0)[-1]
    total = core.scan(lambda row, t: t * 0.5 + inner(row), sequences=x, outputs_info=0.0)
    value = np.random.default_rng(0).standard_normal((3, 4))
    t, expected = 0.0, []
    for row in value:
        s = 0.0
        for v in row:
            s = np.tanh(s + v)
        t = t * 0.5 + s
        expected.append(t)
    assert_allclose(core.function([x], total, backend=backend)(value), expected)
    core.verify_grad(lambda x: core.scan(lambda row, t: t * 0.5 + inner(row), sequences=x, outputs_info=0.0), [value])


def test_a_jacobian_through_a_scan_is_one_scan_of_a_stack():
    x = ct.vector("x")
    h = core.scan(lambda x, h: ct.tanh(h + x), sequences=x, outputs_info=0.0)
    J = core.jacobian(h, x)
    f = core.function([x], J, backend="interpreter")
    assert not any("InnerMap" in str(node.op) for node in f.graph.toposort())
    value = np.array([0.1, -0.2, 0.3])
    expected = np.stack([core.function([x], core.grad(h[k], x), backend="interpreter")(value) for k in range(3)])
    assert_allclose(f(value), expected)


@pytest.mark.parametrize("case", [case for case in SMOOTH if case.name not in ("windows",)], ids=str)
def test_a_stack_of_scans_is_the_scans_of_its_elements(case):
    inputs = symbolic(case.arrays)
    for k, x in enumerate(inputs):
        stack = ct.tensor("stack", dtype=x.dtype, shape=(None, *x.type.shape))
        outputs = listed(case.build(*inputs))
        stacked = ct.vectorize_graph(outputs, {x: stack})
        given = [*inputs[:k], stack, *inputs[k + 1 :]]
        f = core.function(given, stacked, backend="interpreter", on_unused_input="ignore")
        one = core.function(inputs, outputs, backend="interpreter")
        values = np.stack([case.arrays[k], case.arrays[k] * 0.5])
        got = f(*case.arrays[:k], values, *case.arrays[k + 1 :])
        for element in range(2):
            expected = one(*case.arrays[:k], values[element], *case.arrays[k + 1 :])
            for a, b in zip(got, expected, strict=True):
                assert_allclose(a[element], b, rtol=1e-12, atol=1e-14)


def test_a_python_number_takes_the_dtype_of_what_a_step_makes():
    x = ct.fvector("x")
    made = core.scan(lambda x, h: h + x, sequences=x, outputs_info=0)
    assert made.dtype == "float32"
    assert core.function([x], made, backend="interpreter")(np.ones(3, "float32")).dtype == "float32"


def test_the_shape_of_a_result_is_known_without_running():
    x, n = ct.matrix("x"), ct.lscalar("n")
    made = core.scan(lambda h: (h @ x, ct.zeros((3, x.shape[1]))), outputs_info=[x, None], n_steps=n)
    f = core.function([x, n], [m.shape[k] for m in made for k in range(3)], backend="interpreter")
    assert not any("Scan" in str(node.op) for node in f.graph.toposort())
    assert f(np.ones((2, 2)), 4) == [4, 2, 2, 4, 3, 2]


def test_a_scan_with_python_inside_is_computed_by_python_and_said_so_once():
    if "c" not in BACKENDS:
        pytest.skip("needs a backend that compiles")
    double = core.as_op([ct.TensorType("float64")], [ct.TensorType("float64")])(lambda x: 2 * x)
    x = ct.dvector("x")
    made = core.scan(lambda v: double(v, name="doubled"), sequences=x, name="doubling")
    with pytest.warns(CoreWarning) as seen:
        f = core.function([x], made, backend="c")
    first, second = (str(warning.message) for warning in seen)
    assert "Python computes it, which is slow" in first
    assert second.startswith("Python runs all of Scan(doubling), step by step, because it computes ")
    assert_allclose(f([1.0, 2.0]), [2, 4])
