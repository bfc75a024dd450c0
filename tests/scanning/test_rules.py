"""The rewrite rules of scans: what they fire on, what not, and that the meaning is kept."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import core
import core.tensor as ct
from core.errors import ShapeError
from core.scanning.form import Keep
from core.scanning.op import Scan


def made(inputs, outputs):
    return core.function(inputs, outputs, backend="interpreter", on_unused_input="ignore")


def scans(f):
    return [node for node in f.graph.toposort() if isinstance(node.op, Scan)]


def inside(f):
    """The names of the ops in the steps of the only scan."""
    (node,) = scans(f)
    return [str(inner.op) for inner in node.op.inner.nodes]


def same(inputs, outputs, *arrays):
    """Whether a function is what it was before rewriting.  Returns it."""
    f = made(inputs, outputs)
    plain = core.function(inputs, outputs, backend="interpreter", mode="none", on_unused_input="ignore")
    for got, expected in zip(f(*arrays), plain(*arrays), strict=True):
        assert got.dtype == expected.dtype
        assert_allclose(got, expected, rtol=1e-12, atol=1e-14)
    return f


def data(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


x, xs, w, h0 = ct.vector("x"), ct.matrix("xs"), ct.matrix("w"), ct.vector("h0")


def test_what_nobody_asks_for_is_not_computed():
    a, b, _ = core.scan(
        lambda v, a, b: (ct.tanh(a + v), ct.sin(b + a), ct.cos(v)), sequences=x, outputs_info=[0.0, 0.0, None]
    )
    f = same([x], [a], data(4))
    assert f.rewrites.count("what_nobody_asks_for_is_not_computed") == 1
    assert not {"sin", "cos"} & set(inside(f))
    f = same([x], [b], data(4))  # which needs a
    assert {"tanh", "sin"} <= set(inside(f)) and "cos" not in inside(f)


def test_what_is_given_twice_is_given_once():
    h = core.scan(lambda a, b, h: h * a + b, sequences=[x, x], outputs_info=0.0)
    f = same([x], [h], data(4))
    assert scans(f)[0].op.form.sequences == 1


def test_only_the_last_row_is_kept_where_only_that_is_read():
    h = core.scan(lambda v, h: ct.tanh(h + v), sequences=x, outputs_info=0.0)
    f = same([x], [h[-1]], data(4))
    assert f.rewrites.count("only_the_last_rows_are_kept") == 1
    assert scans(f)[0].op.form.states[0].keep is Keep.LAST


def test_all_rows_are_kept_where_others_are_read():
    h = core.scan(lambda v, h: ct.tanh(h + v), sequences=x, outputs_info=0.0)
    for outputs in ([h[-1], h.sum()], [h[-2]], [h[0]]):
        f = same([x], outputs, data(4))
        assert f.rewrites.count("only_the_last_rows_are_kept") == 0
        assert scans(f)[0].op.form.states[0].keep is Keep.ALL


RETURNED = "rows_that_are_returned_are_results"


@pytest.mark.parametrize("n", [0, 1, 5])
def test_rows_that_are_returned_are_written_there_alone(n):
    h, g = core.scan(
        lambda v, a, b, g: (ct.tanh(a + b * v), g * a),
        sequences=x,
        outputs_info=[{"initial": h0, "taps": [-2, -1]}, 1.0],
    )
    f = same([x, h0], [h, g], data(n), data(2))
    assert f.rewrites.count(RETURNED) == 1
    (scan,) = scans(f)
    assert [state.keep for state in scan.op.form.states] == [Keep.LAST, Keep.LAST]
    f = same([x, h0], [h, h.sum(), g.sum()], data(n), data(2))
    assert [state.keep for state in scans(f)[0].op.form.states] == [Keep.LAST, Keep.ALL]


def test_rows_of_a_loop_that_ends_early_are_returned_as_far_as_it_went():
    h = core.scan(lambda h: (2 * h, core.until((h > 5).all())), outputs_info=h0, n_steps=9)
    f = same([h0], [h, h.shape[0]], np.array([1.0, 2.0]))
    assert f.rewrites.count(RETURNED) == 1


def test_rows_of_a_loop_that_goes_backwards_are_returned_in_the_order_of_its_steps():
    h = core.scan(lambda v, h: h / 2 + v, sequences=x, outputs_info=0.0, go_backwards=True)
    assert same([x], [h], data(4)).rewrites.count(RETURNED) == 1


def test_rows_stay_with_those_that_they_start_from_where_others_read_these_too():
    h = core.scan(lambda v, h: ct.sin(h * v), sequences=x, outputs_info=h0)
    f = same([x, h0], [h, core.grad(h.sum(), h0)], data(4), data(3))  # which reads the row before each
    assert f.rewrites.count(RETURNED) == 0
    f = same([x, h0], [h.sum(axis=0)], data(4), data(3))
    assert f.rewrites.count(RETURNED) == 0


def test_as_many_last_rows_are_kept_as_there_are_taps():
    start = ct.vector("start")
    h = core.scan(lambda a, b: a + b, outputs_info={"initial": start, "taps": [-2, -1]}, n_steps=6)
    f = same([start], [h[-1], h[-2]], np.array([0.0, 1.0]))
    assert scans(f)[0].op.form.states[0].keep is Keep.LAST


def test_of_a_stack_of_scans_only_the_last_rows_are_kept_where_only_these_are_read():
    h = core.scan(lambda h: ct.tanh(w @ h), outputs_info=h0, n_steps=5)
    stack = ct.matrix("stack")
    f = same([stack, w], [ct.vectorize_graph(h[-1], {h0: stack})], data(2, 3), data(3, 3))
    assert f.rewrites.count("what_is_read_of_turned_rows_is_read_and_then_turned") > 0
    assert scans(f)[0].op.form.states[0].keep is Keep.LAST


def test_parts_of_turned_rows_of_a_scan_are_what_they_were():
    h = core.scan(lambda h: ct.tanh(h + 1), outputs_info=xs, n_steps=5)
    i, j = ct.lscalar("i"), ct.lscalar("j")
    first, last = h.transpose(1, 0, 2), h.transpose(2, 1, 0)
    read = [first[:, i], first[j, 1:i], first[j:, ::-2, 0], last[i - 2, j:, -1], last[:, 0, i:j:-1], last[1:, :, 2:]]
    f = same([xs, i, j], read, data(3, 4), 2, 1)
    assert f.rewrites.count("what_is_read_of_turned_rows_is_read_and_then_turned") == len(read)


def test_parts_of_other_turned_arrays_stay_as_they_are():
    f = same([xs], [core.scan(lambda r, s: r + s, sequences=xs.T[1:], outputs_info=0 * xs[:, 0])], data(3, 4))
    assert f.rewrites.count("what_is_read_of_turned_rows_is_read_and_then_turned") == 0


def test_products_of_sequences_are_computed_before_the_loop():
    h = core.scan(lambda v, h: ct.tanh(v @ w + h), sequences=xs, outputs_info=h0)
    f = same([xs, h0, w], [h], data(5, 3), data(4), data(3, 4))
    assert f.rewrites.count("products_of_sequences_are_computed_before_the_loop") == 1
    assert not any("Dot" in op for op in inside(f))


def test_products_of_states_stay_in_the_loop():
    h = core.scan(lambda v, h: ct.tanh(v + h @ w), sequences=xs, outputs_info=h0)
    f = same([xs, h0, w], [h], data(5, 3), data(3), data(3, 3))
    assert any("Dot" in op or "MatMul" in op for op in inside(f))


def test_a_product_of_which_only_rows_that_were_done_are_needed_stays_in_the_loop():
    h = core.scan(lambda v, h: (ct.tanh(v @ w + h), core.until(h[0] > 0.5)), sequences=xs, outputs_info=h0)
    f = same([xs, h0, w], [h], data(5, 3), data(4), data(3, 4))
    assert f.rewrites.count("products_of_sequences_are_computed_before_the_loop") == 0


def test_results_that_states_lead_to_are_computed_behind_the_loop():
    v = ct.matrix("v")
    h, y = core.scan(
        lambda a, h: ((new := ct.tanh(a + h @ w)), ct.tanh(new @ v)), sequences=xs, outputs_info=[h0, None]
    )
    f = same([xs, h0, w, v], [h, y], data(5, 3), data(3), data(3, 3), data(3, 2))
    assert f.rewrites.count("what_only_results_need_is_computed_behind_the_loop") >= 1
    assert sum("Dot" in op or "MatMul" in op for op in inside(f)) == 1


def test_a_map_is_no_loop_where_all_of_it_has_a_form_for_stacks():
    y = core.map(lambda a: ct.tanh(a @ w).sum(), xs)
    assert not scans(same([xs, w], [y], data(5, 3), data(3, 2)))


def test_a_map_promises_still_that_there_are_rows_for_all_steps():
    n = ct.lscalar("n")
    f = made([x, n], [core.scan(lambda a: a + 1, sequences=x, n_steps=n)])
    assert not scans(f)
    with pytest.raises(ShapeError):
        f(np.ones(2), 3)


def test_gradients_of_weights_are_one_product():
    batch = ct.tensor("batch", dtype="float64", shape=(None, None, None))
    start = ct.matrix("start")
    h = core.scan(lambda a, h: ct.tanh(a + h @ w), sequences=batch, outputs_info=start)
    cost = (h**2).sum()
    outputs = [cost, *core.grad(cost, [batch, start, w])]
    f = same([batch, start, w], outputs, data(4, 2, 3), data(2, 3), data(3, 3))
    assert len(scans(f)) == 2
    forwards, backwards = scans(f)
    assert sum("Dot" in str(node.op) for node in forwards.op.inner.nodes) == 1
    assert sum("Dot" in str(node.op) for node in backwards.op.inner.nodes) == 1


def test_the_scan_that_a_gradient_runs_is_the_scan_itself():
    h = core.scan(lambda v, h: ct.exp(-ct.dot(h, h) * v) * h, sequences=x, outputs_info=h0)
    cost = (h**2).sum()
    f = same([x, h0], [cost, core.grad(cost, h0)], data(4), data(3))
    assert len(scans(f)) == 2


def test_scans_with_other_states_stay_two():
    a = core.scan(lambda v, h: ct.tanh(h + v), sequences=x, outputs_info=0.0)
    b = core.scan(lambda v, h: ct.sin(h + v), sequences=x, outputs_info=0.0)
    c = core.scan(lambda v, h: ct.tanh(h + v), sequences=x, outputs_info=1.0)
    assert len(scans(same([x], [a, b, c], data(4)))) == 3


def test_a_scan_of_results_of_another_stays_behind_it():
    a = core.scan(lambda v, h: ct.tanh(h + v), sequences=x, outputs_info=0.0)
    b = core.scan(lambda v, h: ct.tanh(h + v), sequences=a, outputs_info=0.0)
    assert len(scans(same([x], [a, b], data(4)))) == 2


def test_scans_of_one_step_over_other_sequences_stay_two():
    def step(v, h):
        return ct.tanh(h + v)

    y = ct.vector("y")
    a = core.scan(step, sequences=x, outputs_info=0.0)
    b = core.clone_replace(a, {x: y})
    assert a.owner.inputs[0].owner.op == b.owner.inputs[0].owner.op
    assert len(scans(same([x, y], [a, b], data(4), data(4, seed=1)))) == 2


def test_second_derivatives_keep_their_meaning():
    theta = ct.vector("theta")
    s = core.scan(lambda r, s: theta[0] + theta[1] * r**2 + theta[2] * s, sequences=x, outputs_info=ct.constant(1.0))
    cost = (ct.log(s) + x**2 / s).sum()
    same([x, theta], [core.hessian(cost, theta)], data(6), np.array([0.1, 0.1, 0.8]))
