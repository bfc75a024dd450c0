"""The loops of Theano's and PyTensor's tutorials, as they are written there."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import core
import core.tensor as ct
from core.testing import available_backends

pytestmark = pytest.mark.parametrize("backend", available_backends())


def test_a_to_the_k(backend):
    k, a = ct.iscalar("k"), ct.vector("a")
    result = core.scan(fn=lambda prior, a: prior * a, outputs_info=ct.ones_like(a), non_sequences=a, n_steps=k)
    assert_allclose(core.function([a, k], result[-1], backend=backend)(np.arange(10.0), 2), np.arange(10.0) ** 2)


def test_a_polynomial_whose_powers_are_a_longer_sequence(backend):
    coefficients, x = ct.vector("coefficients"), ct.scalar("x")
    components = core.scan(
        fn=lambda coefficient, power, free: coefficient * (free**power),
        outputs_info=None,
        sequences=[coefficients, ct.arange(10000)],
        non_sequences=x,
    )
    polynomial = core.function([coefficients, x], components.sum(), backend=backend)
    assert_allclose(polynomial(np.array([1.0, 0.0, 2.0]), 3.0), 19)


def test_partial_sums_in_the_dtype_of_what_is_counted(backend):
    up_to = ct.iscalar("up_to")
    seq = ct.arange(up_to)
    start = ct.as_tensor(np.asarray(0, seq.dtype))
    sums = core.scan(lambda arange_val, sum_to_date: sum_to_date + arange_val, outputs_info=start, sequences=seq)
    assert_array_equal(core.function([up_to], sums, backend=backend)(5), [0, 1, 3, 6, 10])


def test_elements_set_in_a_matrix_one_after_the_other(backend):
    location, values, model = ct.imatrix("location"), ct.vector("values"), ct.matrix("model")

    def set_value_at_position(a_location, a_value, output_model):
        zeros = ct.zeros_like(output_model)
        zeros_subtensor = zeros[a_location[0], a_location[1]]
        return ct.set_subtensor(zeros_subtensor, a_value)

    result = core.scan(fn=set_value_at_position, outputs_info=None, sequences=[location, values], non_sequences=model)
    f = core.function([location, values, model], result, backend=backend)
    found = f(np.array([[1, 1], [2, 3]], "int32"), np.array([42.0, 50.0]), np.zeros((5, 5)))
    expected = np.zeros((2, 5, 5))
    expected[0, 1, 1], expected[1, 2, 3] = 42, 50
    assert_array_equal(found, expected)


def test_a_recurrent_network_with_taps_of_inputs_and_outputs(backend):
    u, x0, y0 = ct.matrix("u"), ct.matrix("x0"), ct.matrix("y0")
    w, w_in1, w_in2, w_feedback, w_out = (
        core.shared(np.random.default_rng(k).standard_normal(shape) * 0.3, name=f"w{k}")
        for k, shape in enumerate([(3, 3), (2, 3), (2, 3), (1, 3), (3, 1)])
    )

    def one_step(u_tm4, u_t, x_tm3, x_tm1, y_tm1):
        x_t = ct.tanh(
            ct.dot(x_tm1, w) + ct.dot(u_t, w_in1) + ct.dot(u_tm4, w_in2) + ct.dot(y_tm1, w_feedback) + 0 * x_tm3
        )
        return [x_t, ct.dot(x_tm3, w_out)]

    x_vals, y_vals = core.scan(
        fn=one_step,
        sequences={"input": u, "taps": [-4, 0]},
        outputs_info=[{"initial": x0, "taps": [-3, -1]}, y0[0]],
    )
    f = core.function([u, x0, y0], [x_vals, y_vals], backend=backend)
    data = np.random.default_rng(9)
    given = data.standard_normal((8, 2)), data.standard_normal((3, 3)), data.standard_normal((1, 1))
    xs, y = list(given[1]), given[2][0]
    a = [v.get_value() for v in (w, w_in1, w_in2, w_feedback, w_out)]
    ys = []
    for t in range(4, 8):
        new = np.tanh(xs[-1] @ a[0] + given[0][t] @ a[1] + given[0][t - 4] @ a[2] + y @ a[3])
        y = xs[-3] @ a[4]
        xs.append(new)
        ys.append(y)
    got = f(*given)
    assert_allclose(got[0], xs[3:])
    assert_allclose(got[1], ys)


def test_powers_of_two_until_a_limit(backend):
    max_value = ct.scalar("max_value")

    def power_of_2(previous_power, max_value):
        return previous_power * 2, core.until(previous_power * 2 > max_value)

    values = core.scan(power_of_2, outputs_info=ct.constant(1.0), non_sequences=max_value, n_steps=1024)
    assert_array_equal(core.function([max_value], values, backend=backend)(45), [2, 4, 8, 16, 32, 64])


def test_a_jacobian_row_by_row_as_it_was_done_by_hand(backend):
    v, a = ct.vector("v"), ct.matrix("a")
    y = ct.tanh(ct.dot(v, a))
    rows = core.scan(lambda i: core.grad(y[i], v), sequences=ct.arange(y.shape[0]))
    values = np.random.default_rng(0).standard_normal(3), np.random.default_rng(1).standard_normal((3, 4))
    expected = (1 - np.tanh(values[0] @ values[1]) ** 2)[:, None] * values[1].T
    assert_allclose(core.function([v, a], rows, backend=backend)(*values), expected)


def test_metropolis_sampling_with_a_key_that_is_carried(backend):
    random = pytest.importorskip("plugin_ops_random")
    n = ct.lscalar("n")

    def step(key, x):
        key, a, b = random.split(key, 3)
        new = x + random.normal(a)
        accepted = ct.log(random.uniform(b)) < 0.5 * (x**2 - new**2)
        return key, ct.where(accepted, new, x)

    _, samples = core.scan(step, outputs_info=[random.key(1), ct.constant(0.0)], n_steps=n)
    draws = core.function([n], samples, backend=backend)(500 if backend == "interpreter" else 20000)
    assert np.all(np.isfinite(draws)) and 0.2 < np.mean(np.diff(draws) == 0) < 0.5
    if backend != "interpreter":
        assert abs(draws.mean()) < 0.15 and abs(draws.std() - 1) < 0.15
