"""Loops in C: what goes wrong in a step is said as the interpreter says it, and arrays lie where they should."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import core
import core.tensor as ct
from core.errors import IndexOutOfBounds, ShapeError
from core.ir.program import KernelStep, LoopStep
from core.testing import random


def loops_of(f):
    return [step for step in f.program.steps if isinstance(step, LoopStep)]


def test_a_negative_number_of_steps_is_refused():
    n = ct.lscalar("n")
    f = core.function([n], core.scan(lambda h: h + 1, outputs_info=0.0, n_steps=n), backend="c")
    assert_array_equal(f(3), [1, 2, 3])
    with pytest.raises(ShapeError, match="needs a number of steps that is not negative, got -2"):
        f(-2)


def test_there_are_as_many_steps_as_the_shortest_sequence_has_unless_more_are_asked_for():
    a, b, n = ct.vector("a"), ct.vector("b"), ct.lscalar("n")
    f = core.function([a, b], core.scan(lambda a, b: a + b, sequences=[a, b]), backend="c")
    for lengths in [(3, 3), (3, 4), (5, 3), (0, 2)]:
        assert_array_equal(f(*map(np.ones, lengths)), [2] * min(lengths))
    made = core.scan(lambda a, b, h: a + b + h, sequences=[a, b], outputs_info=0.0, n_steps=n)
    f = core.function([a, b, n], made, backend="c")
    assert_array_equal(f(np.ones(3), np.ones(4), 2), [2, 4])
    with pytest.raises(ShapeError, match="needs 4 rows of the sequence .*, got 3"):
        f(np.ones(3), np.ones(4), 4)


def test_too_few_initial_rows_are_refused():
    start = ct.vector("start")
    made = core.scan(lambda a, b: a + b, outputs_info={"initial": start, "taps": [-2, -1]}, n_steps=2)
    f = core.function([start], made, backend="c")
    assert_array_equal(f([1.0, 1.0]), [2, 3])
    assert_array_equal(f([1.0, 1.0, 5.0]), [2, 3])  # the first rows
    with pytest.raises(ShapeError, match="needs 2 initial rows"):
        f([1.0])


def test_a_state_that_changes_its_length_is_refused():
    h, x = ct.vector("h"), ct.vector("x")
    f = core.function([h, x], core.scan(lambda h: h + x, outputs_info=h, n_steps=2), backend="c")
    assert_array_equal(f([1.0, 2.0], [1.0, 1.0]), [[2, 3], [3, 4]])
    assert_array_equal(f([1.0, 2.0], [1.0]), [[2, 3], [3, 4]])
    with pytest.raises(ShapeError):
        f([1.0], [1.0, 2.0])


def test_an_index_that_is_out_of_range_in_some_step_is_an_error_of_its_op():
    table, at = ct.vector("table"), ct.lvector("at")
    f = core.function([table, at], core.scan(lambda i, t: t + table[i], sequences=at, outputs_info=0.0), backend="c")
    assert_array_equal(f([1.0, 2.0], [0, 1, -1]), [1, 3, 5])
    with pytest.raises(IndexOutOfBounds):
        f([1.0, 2.0], [0, 5, 1])
    assert_array_equal(f([1.0, 2.0], [0, 1, -1]), [1, 3, 5])


def test_a_matrix_that_is_not_positive_definite_in_some_step():
    linalg = pytest.importorskip("plugin_ops_linalg")
    a = ct.tensor("a", dtype="float64", shape=(None, None, None))
    f = core.function([a], core.scan(lambda m: linalg.cholesky(m), sequences=a), backend="c")
    good = np.stack([np.eye(2), 4 * np.eye(2)])
    assert_allclose(f(good), np.sqrt(good))
    with pytest.raises(np.linalg.LinAlgError, match="leading minor of order 1"):
        f(np.stack([np.eye(2), -np.eye(2)]))


def test_slices_of_sequences_are_read_where_they_lie():
    x = ct.matrix("x")
    made = core.scan(
        lambda a, b, h: h * a + b,
        sequences=[{"input": x, "taps": [0, 2]}],
        outputs_info=ct.zeros(x.shape[1]),
        go_backwards=True,
    )
    f = core.function([x], made[-1], backend="c")
    (step,) = loops_of(f)
    assert {rows.value for rows in step.iteration.sequences} == {f.program.inputs[0]}
    value = np.random.default_rng(0).standard_normal((6, 3))
    h = np.zeros(3)
    for k in reversed(range(4)):
        h = h * value[k] + value[k + 2]
    assert_allclose(f(value), h)


def test_constant_arrays_in_a_step_lie_in_the_program_around():
    table = np.arange(5.0)
    x = ct.vector("x")
    f = core.function([x], core.scan(lambda v: (v * ct.constant(table)).sum(), sequences=x), backend="c")
    assert_allclose(f([1.0, 2.0]), [10, 20])


def test_inner_values_of_complex_numbers_and_of_half_precision():
    z = ct.tensor("z", dtype="complex128", shape=(None,))
    made = core.scan(lambda z, h: h * h + z, sequences=z, outputs_info=ct.constant(0j))
    h, expected = 0j, []
    for v in (0.1 + 0.2j, -0.3j):
        h = h * h + v
        expected.append(h)
    assert_allclose(core.function([z], made, backend="c")(np.array([0.1 + 0.2j, -0.3j])), expected)
    x = ct.tensor("x", dtype="float16", shape=(None,))
    summed = core.scan(lambda x, h: h + x, sequences=x, outputs_info=0)
    values = np.array([0.1, 0.2, 1000, 0.3], "float16")
    expected = [np.float16(0)]
    for v in values:
        expected.append(np.float16(expected[-1] + v))
    assert_array_equal(core.function([x], summed, backend="c")(values), expected[1:])


def test_an_op_in_c_of_its_author_is_called_in_each_step():
    class Doubled(core.Op):
        __props__ = ()

        def make_node(self, x):
            return core.Apply(self, [ct.as_tensor(x)], [ct.as_tensor(x).type])

        def infer_shape(self, node, input_shapes):
            return input_shapes

        def perform(self, node, inputs, output_storage):
            output_storage[0][0] = 2 * inputs[0]

        def c_code(self, node, name, inputs, outputs, sub):
            return f"for (long i = 0; i < {inputs[0]}_shape[0]; i++) {outputs[0]}[i] = 2 * {inputs[0]}[i];"

    x = ct.matrix("x")
    f = core.function([x], core.scan(lambda v, h: Doubled()(v) + h, sequences=x, outputs_info=ct.zeros(3)), backend="c")
    value = np.random.default_rng(0).standard_normal((4, 3))
    assert_allclose(f(value), 2 * value.cumsum(axis=0))


def test_equal_functions_are_found_again_with_their_loops():
    def made():
        x = ct.vector("x")
        return core.function([x], core.scan(lambda x, h: ct.tanh(h + x), sequences=x, outputs_info=0.0), backend="c")

    a, b = made(), made()
    value = np.random.default_rng(0).standard_normal(5)
    assert_array_equal(a(value), b(value))


def test_functions_with_loops_pickle():
    import pickle

    x, w = ct.vector("x"), core.shared(0.5, name="w")
    f = core.function([x], core.scan(lambda x, h: w * h + x, sequences=x, outputs_info=0.0), backend="c")
    assert_array_equal(pickle.loads(pickle.dumps(f))([1.0, 2.0]), f([1.0, 2.0]))


def test_steps_of_scalars_are_one_kernel():
    x, w = ct.vector("x"), ct.scalar("w")
    h = core.scan(lambda x, h: ct.tanh(w * h + x), sequences=x, outputs_info=0.0, name="h")
    f = core.function([x, w], [h[-1], *core.grad(h.sum(), [x, w])], backend="c", strict=True)
    assert not loops_of(f)
    g = core.function([x, w], [h[-1], *core.grad(h.sum(), [x, w])], backend="interpreter")
    for n in (1, 2, 100):
        values = np.random.default_rng(n).standard_normal(n)
        for got, expected in zip(f(values, 0.5), g(values, 0.5), strict=True):
            assert_allclose(got, expected, rtol=1e-12)


def test_states_that_are_exchanged_do_not_see_each_other_change():
    made = core.scan(lambda a, b: (b, a + b), outputs_info=[0, 1], n_steps=6)
    f = core.function([], made, backend="c")
    assert not loops_of(f)
    assert_array_equal(f()[0], [1, 1, 2, 3, 5, 8])
    assert_array_equal(f()[1], [1, 2, 3, 5, 8, 13])


def test_steps_of_a_few_elements_of_known_shape_are_one_kernel():
    dt = ct.scalar("dt")
    start = ct.constant(np.array([1.0, 0.0]))
    y = core.scan(lambda y: y + dt * ct.stack([y[1], -y[0]]), outputs_info=start, n_steps=50)
    f = core.function([dt], y, backend="c")
    assert not loops_of(f)
    expected = [np.array([1.0, 0.0])]
    for _ in range(50):
        last = expected[-1]
        expected.append(last + 0.1 * np.array([last[1], -last[0]]))
    assert_allclose(f(0.1), expected[1:])


def test_steps_of_many_elements_are_a_loop_around_kernels():
    x = ct.matrix("x")
    h = core.scan(lambda x, h: ct.tanh(x + h), sequences=x, outputs_info=ct.zeros(x.shape[1]))
    assert loops_of(core.function([x], h, backend="c"))


def test_threads_divide_what_a_long_step_does_and_change_no_result():
    u, w = ct.matrix("u"), ct.matrix("w")

    def step(u):
        inside = 0.25 * (u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:])
        new = ct.set_subtensor(u[1:-1, 1:-1], inside) @ w
        return new, ct.exp(-(new**2)).sum(axis=0), ct.tanh(new).sum()

    outputs = core.scan(step, outputs_info=[u, None, None], n_steps=3)
    f = core.function([u, w], [out[-1] for out in outputs], backend="c")
    (loop,) = loops_of(f)
    kernels = [kernel for step in loop.body.steps if isinstance(step, KernelStep) for kernel in step.kernels]
    assert any(kernel.split is not None for kernel in kernels)
    arrays = random((400, 300)), random((300, 300), seed=1) / 20
    made = []
    for count in (1, 3):
        with core.num_threads(count):
            made.append(f(*arrays))
    for one, three in zip(*made, strict=True):
        assert_array_equal(one, three)
    plain = core.function([u, w], [out[-1] for out in outputs], backend="interpreter")
    for got, expected in zip(made[0], plain(*arrays), strict=True):
        assert_allclose(got, expected, rtol=1e-9, atol=1e-9)
