"""What core.function takes and returns: inputs, outputs, updates, givens, names, copies, eval."""

import gc
import threading

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import core
import core.tensor as ct
from core import Mode
from core.errors import ArgumentError, BackendError, CoreWarning, DTypeError, ShapeError
from core.testing import available_backends

BACKENDS = available_backends()
INTERPRETER = {"backend": "interpreter"}


@pytest.fixture
def x():
    return ct.vector("x")


@pytest.fixture
def y():
    return ct.vector("y")


# --- outputs ---------------------------------------------------------------------------------------------------------


def test_one_output_comes_alone(x):
    assert_array_equal(core.function([x], x + 1, **INTERPRETER)([1, 2]), [2, 3])


def test_a_single_input_needs_no_list(x):
    assert_array_equal(core.function(x, x + 1, **INTERPRETER)([1, 2]), [2, 3])


def test_a_list_of_outputs_comes_as_a_list(x):
    out = core.function([x], [x + 1], **INTERPRETER)([1, 2])
    assert isinstance(out, list) and len(out) == 1
    assert_array_equal(out[0], [2, 3])


def test_a_tuple_of_outputs_comes_as_a_tuple(x):
    out = core.function([x], (x + 1, x * 3), **INTERPRETER)([1, 2])
    assert isinstance(out, tuple)
    assert_array_equal(out[1], [3, 6])


def test_a_dict_of_outputs_comes_as_a_dict_in_its_order(x):
    out = core.function([x], {"z": x + 1, "a": x * 3}, **INTERPRETER)([1, 2])
    assert list(out) == ["z", "a"]
    assert_array_equal(out["a"], [3, 6])


def test_no_outputs_give_none():
    w = core.shared(1.0)
    f = core.function([], updates={w: w + 1}, **INTERPRETER)
    assert f() is None
    assert w.get_value() == 2


def test_empty_lists_of_inputs_and_outputs_give_an_empty_list():
    assert core.function([], [], **INTERPRETER)() == []


def test_out_marks_an_output(x):
    assert_array_equal(core.function([x], [core.Out(x + 1, borrow=True)], **INTERPRETER)([1])[0], [2])


def test_an_input_that_may_be_overwritten_is_not(x):
    given = np.ones(2)
    f = core.function([core.In(x, borrow=True, mutable=True)], x + 1, **INTERPRETER)
    assert_array_equal(f(given), [2, 2])
    assert_array_equal(given, [1, 1])


def test_an_output_may_be_a_number():
    assert_array_equal(core.function([], 3.5, **INTERPRETER)(), 3.5)


def test_a_scalar_result_is_a_0d_array(x):
    out = core.function([x], x.sum(), **INTERPRETER)([1, 2])
    assert isinstance(out, np.ndarray) and out.shape == ()


@pytest.mark.parametrize("backend", BACKENDS)
def test_outputs_never_share_memory_with_inputs_constants_shared_values_or_each_other(backend, x):
    w = core.shared(np.arange(3.0), name="w")
    c = ct.constant(np.arange(4.0))
    f = core.function([x], [x, x, x[1:], w, c, c[1:], ct.transpose(w)], backend=backend)
    given = np.arange(5.0)
    out = f(given)
    for k, array in enumerate(out):
        assert array.flags.writeable
        for other in [given, w.get_value(borrow=True), c.data, *out[:k]]:
            assert not np.shares_memory(array, other)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_result_shares_no_memory_with_the_value_that_it_updates(backend):
    w = core.shared(np.zeros(3))
    new = w + 1
    f = core.function([], new, updates={w: new}, backend=backend)
    f()[:] = 99
    assert_array_equal(w.get_value(), [1, 1, 1])


# --- inputs ----------------------------------------------------------------------------------------------------------


def test_arguments_may_be_given_by_name_and_position(x, y):
    f = core.function([x, y], x - y, **INTERPRETER)
    assert_array_equal(f([3.0], y=[1.0]), [2])
    assert_array_equal(f(y=[1.0], x=[3.0]), [2])


def test_in_may_rename_an_input(x):
    f = core.function([core.In(x, name="data")], x * 2, **INTERPRETER)
    assert f.inputs == ["data"]
    assert_array_equal(f(data=[1.0]), [2])


def test_in_may_have_a_default(x, y):
    f = core.function([x, core.In(y, value=[10.0])], x + y, **INTERPRETER)
    assert_array_equal(f([1.0]), [11])
    assert_array_equal(f([1.0], [2.0]), [3])
    assert_array_equal(f([1.0], y=[3.0]), [4])


def test_python_numbers_and_lists_become_arrays_of_the_inputs_dtype():
    x = ct.fvector("x")
    out = core.function([x], x, **INTERPRETER)([1, 2.5])
    assert out.dtype == "float32"


def test_allow_input_downcast_lets_precision_be_lost():
    x = ct.ivector("x")
    f = core.function([x], x, allow_input_downcast=True, **INTERPRETER)
    assert_array_equal(f(np.array([1.5, 2.5])), [1, 2])


def test_an_intermediate_variable_may_be_an_input(x):
    middle = x * 2
    f = core.function([middle], middle + 1, **INTERPRETER)
    assert_array_equal(f([5.0]), [6])


def test_an_intermediate_input_stays_one_when_givens_change_what_it_was_made_of(x):
    middle = x * 2
    f = core.function([middle], middle + x, givens={x: np.array([100.0])}, **INTERPRETER)
    assert_array_equal(f([5.0]), [105])


def test_misaligned_arrays_are_taken(x):
    raw = np.zeros(17, "uint8")[1:].view("float64")
    assert_array_equal(core.function([x], x + 1, **INTERPRETER)(raw), [1, 1])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("view", [np.s_[::2], np.s_[::-1], np.s_[:0], np.s_[3:4]])
def test_strided_and_empty_arguments_are_taken(backend, x, view):
    given = np.arange(6.0)[view]
    assert_array_equal(core.function([x], x * 2, backend=backend)(given), given * 2)


def test_an_array_of_the_other_byte_order_is_converted(x):
    assert_array_equal(core.function([x], x + 1, **INTERPRETER)(np.arange(2.0).astype(">f8")), [1, 2])


# --- updates ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
def test_updates_read_the_old_values(backend):
    a, b = core.shared(1.0, name="a"), core.shared(2.0, name="b")
    f = core.function([], [a, b], updates=[(a, b), (b, a)], backend=backend)
    assert [float(v) for v in f()] == [1, 2]
    assert (a.get_value(), b.get_value()) == (2, 1)


def test_a_shared_variable_outside_the_outputs_can_be_updated(x):
    w = core.shared(np.zeros(2))
    core.function([x], None, updates={w: x * 2}, **INTERPRETER)([1.0, 2.0])
    assert_array_equal(w.get_value(), [2, 4])


def test_an_update_may_change_the_shape():
    w = core.shared(np.zeros(2))
    core.function([], updates={w: ct.zeros((5,))}, **INTERPRETER)()
    assert w.get_value().shape == (5,)


def test_an_update_may_be_a_number():
    w = core.shared(5.0)
    core.function([], updates={w: 0}, **INTERPRETER)()
    assert w.get_value() == 0


def test_a_default_update_is_done():
    w = core.shared(0, name="w")
    w.default_update = w + 1
    f = core.function([], w * 10, **INTERPRETER)
    assert [int(f()), int(f())] == [0, 10]
    assert w.get_value() == 2


def test_a_default_update_brings_those_of_the_variables_that_it_reads():
    step, total = core.shared(1), core.shared(0)
    step.default_update = step + 1
    total.default_update = total + step
    f = core.function([], total, **INTERPRETER)
    f(), f()
    assert (step.get_value(), total.get_value()) == (3, 3)


def test_an_update_wins_over_a_default_update():
    w = core.shared(0)
    w.default_update = w + 1
    core.function([], w, updates={w: w + 5}, **INTERPRETER)()
    assert w.get_value() == 5


@pytest.mark.parametrize("which", [True, "listed"])
def test_default_updates_can_be_declined(which):
    w = core.shared(0)
    w.default_update = w + 1
    core.function([], w, no_default_updates=[w] if which == "listed" else True, **INTERPRETER)()
    assert w.get_value() == 0


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_failed_call_keeps_every_shared_value(backend, x, y):
    a, b = core.shared(np.zeros(2), name="a"), core.shared(np.zeros(2), name="b")
    f = core.function([x, y], x + y, updates=[(a, a + 1), (b, x + y)], backend=backend)
    with pytest.raises(ShapeError):
        f(np.zeros(2), np.zeros(3))
    assert_array_equal(a.get_value(), [0, 0])
    assert_array_equal(b.get_value(), [0, 0])


def test_a_new_value_of_the_wrong_length_keeps_every_shared_value(x):
    a, b = core.shared(0.0), core.shared(np.zeros(2), name="b", shape=(2,))
    f = core.function([x], None, updates={a: a + 1, b: x}, name="step", **INTERPRETER)
    f([1.0, 2.0])
    message = (
        r"function 'step' computed shape \(3,\) for shared variable b, which needs TensorType\(float64, shape=\(2\)\)"
    )
    with pytest.raises(ShapeError, match=message):
        f([1.0, 2.0, 3.0])
    assert a.get_value() == 1
    assert_array_equal(b.get_value(), [1, 2])


# --- givens ----------------------------------------------------------------------------------------------------------


def test_givens_replace_in_outputs_and_updates(x):
    w, z = core.shared(np.zeros(2)), ct.vector("z")
    f = core.function([z], x + 1, updates={w: x}, givens={x: z * 2}, **INTERPRETER)
    assert_array_equal(f([1.0, 2.0]), [3, 5])
    assert_array_equal(w.get_value(), [2, 4])


def test_a_given_may_be_an_array_or_a_shared_variable(x, y):
    data = core.shared(np.ones(2))
    f = core.function([], x + y, givens=[(x, data), (y, np.array([1.0, 2.0]))], **INTERPRETER)
    assert_array_equal(f(), [2, 3])
    data.set_value(np.zeros(2))
    assert_array_equal(f(), [1, 2])


def test_givens_can_replace_a_shared_variable(x):
    w = core.shared(np.ones(2))
    f = core.function([x], w + 1, givens={w: x}, **INTERPRETER)
    assert f.shared == ()
    assert_array_equal(f([5.0]), [6])


def test_givens_are_not_replaced_in_each_other(x, y):
    f = core.function([x, y], [x * 1, y * 1], **INTERPRETER)
    a, b = ct.vector("a"), ct.vector("b")
    g = core.function([x, y], [a * 1, b * 1], givens={a: y, b: x}, **INTERPRETER)
    assert_array_equal(np.array(g([1.0], [2.0])), np.array(f([2.0], [1.0])))


# --- the function object ---------------------------------------------------------------------------------------------


def test_a_function_says_what_it_is(x):
    w = core.shared(np.zeros(2), name="w")
    f = core.function([x], {"out": x + w}, updates={w: w + 1}, name="step", **INTERPRETER)
    assert (f.name, f.backend, f.inputs, f.outputs) == ("step", "interpreter", ["x"], ["out"])
    assert f.shared == (w,) and f.updated == (w,)
    assert set(f.compile_times) == {"rewrite", "lower", "compile"}
    assert f.sources == {}
    assert repr(f) == "<function 'step' (x), backend interpreter>"


def test_the_original_graph_stays_as_it_was_written(x):
    f = core.function([x], x * 1 + 0, **INTERPRETER)
    assert len(f.original.nodes) == 2
    assert len(f.graph.nodes) < 2


def test_mode_none_rewrites_nothing_but_equal_nodes(x):
    f = core.function([x], x * 1 + 0, mode="none", **INTERPRETER)
    assert len(f.graph.nodes) == 2


def test_a_mode_can_leave_out_a_rule(x):
    every = core.function([x], ct.log(1 + x), **INTERPRETER)
    rule = next(entry.rule for entry in every.rewrites if entry.stage == "stabilize")
    f = core.function([x], ct.log(1 + x), mode=Mode(("stabilize",)).excluding(rule), **INTERPRETER)
    assert f.rewrites.count(rule) == 0


def test_modes_are_known_by_name_in_either_case(x):
    assert_array_equal(core.function([x], x + 0, mode="FAST_COMPILE", **INTERPRETER)([1.0]), [1])


def test_an_unknown_mode_is_refused_with_a_guess(x):
    with pytest.raises(ArgumentError, match=r"mode= needs a Mode or one of 'fast_run'.*Did you mean 'fast_run'\?"):
        core.function([x], x, mode="fastrun", **INTERPRETER)


def test_a_mode_with_an_unknown_stage_is_refused(x):
    with pytest.raises(ArgumentError, match=r"a mode's stages are among canonicalize.*got 'stabilise'. Did you mean"):
        core.function([x], x, mode=Mode(("stabilise",)), **INTERPRETER)


def test_a_mode_that_leaves_out_an_unknown_rule_is_refused(x):
    with pytest.raises(ArgumentError, match="the mode leaves out rule 'no_such_rule', but no stage has it"):
        core.function([x], x, mode=Mode(("stabilize",), without=("no_such_rule",)), **INTERPRETER)


def test_a_copy_shares_its_shared_variables(x):
    w = core.shared(np.zeros(1), name="w")
    f = core.function([x], x + w, updates={w: w + 1}, name="f", **INTERPRETER)
    g = f.copy(name="g")
    g([1.0])
    assert g.name == "g" and f.name == "f"
    assert_array_equal(w.get_value(), [1])
    with pytest.raises(ArgumentError, match="function 'g' takes 1 argument"):
        g()


def test_a_copy_may_have_other_shared_variables(x):
    w, v = core.shared(np.zeros(1), name="w"), core.shared(np.full(1, 10.0), name="v")
    f = core.function([x], x + w, updates={w: w + 1}, **INTERPRETER)
    g = f.copy(swap={w: v})
    assert_array_equal(g([1.0]), [11])
    assert_array_equal(w.get_value(), [0])
    assert_array_equal(v.get_value(), [11])
    assert_array_equal(f([1.0]), [1])


def test_a_copy_may_be_without_updates(x):
    w, n = core.shared(np.zeros(1), name="w"), core.shared(0)
    f = core.function([x], x + w, updates={w: w + 1, n: n + 1}, **INTERPRETER)
    g = f.copy(delete_updates=True)
    assert_array_equal(g([1.0]), [1])
    assert_array_equal(w.get_value(), [0])
    assert g.shared == (w,)


def test_a_copy_refuses_to_swap_what_it_has_not(x):
    w, v = core.shared(np.zeros(1), name="w"), core.shared(np.zeros(1), name="v")
    f = core.function([x], x + w, name="f", **INTERPRETER)
    with pytest.raises(ArgumentError, match="function 'f' has no shared variable v to swap"):
        f.copy(swap={v: w})


def test_a_copy_refuses_to_swap_in_what_is_not_shared(x):
    w = core.shared(np.zeros(1), name="w")
    f = core.function([x], x + w, **INTERPRETER)
    with pytest.raises(ArgumentError, match="swap needs shared variables, got x of type TensorVariable"):
        f.copy(swap={w: x})


def test_a_copy_refuses_to_swap_in_another_type(x):
    w, v = core.shared(np.zeros(1), name="w"), core.shared(0, name="v")
    with pytest.raises(DTypeError, match="expected TensorType"):
        core.function([x], x + w, **INTERPRETER).copy(swap={w: v})


def test_free_may_be_called_at_any_time(x):
    f = core.function([x], x + 1, **INTERPRETER)
    f.free()
    assert_array_equal(f([1.0]), [2])


@pytest.mark.parametrize("backend", BACKENDS)
def test_threads_may_call_one_function_at_once(backend, x, y):
    f = core.function([x, y], [x * 2 + y, (x - y).sum()], backend=backend)
    wrong = []

    def call(k):
        for n in (1, 5, 40):
            a, b = np.full(n, float(k)), np.arange(float(n))
            out = f(a, b)
            if not (np.array_equal(out[0], a * 2 + b) and np.isclose(out[1], (a - b).sum())):
                wrong.append(k)

    threads = [threading.Thread(target=call, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_graph_of_20000_nodes_in_a_row_compiles_and_runs(x):
    out = x
    for _ in range(20_000):
        out = out + x
    f = core.function([x], out, mode="none", **INTERPRETER)
    assert_array_equal(f([1.0, 2.0]), [20_001, 40_002])


def test_an_unused_input_may_be_ignored_or_warned_of(x, y):
    f = core.function([x, y], x + 1, on_unused_input="ignore", **INTERPRETER)
    assert_array_equal(f([1.0], [5.0]), [2])
    with pytest.warns(UserWarning, match=r"does not use its input y \(position 1\)"):
        core.function([x, y], x + 1, on_unused_input="warn", **INTERPRETER)


def test_without_backend_the_best_one_is_chosen(x):
    with pytest.warns(CoreWarning) if BACKENDS == ["interpreter"] else _nothing():
        f = core.function([x], x + 1)
    assert f.backend in BACKENDS


class _nothing:
    def __enter__(self):
        return self

    def __exit__(self, *error):
        return False


# --- eval ------------------------------------------------------------------------------------------------------------


def test_eval_computes_a_variable(x, y):
    assert_array_equal((x + y).eval({x: [1.0], "y": [2.0]}, backend="interpreter"), [3])


def test_eval_without_inputs(x):
    assert_array_equal(ct.arange(3).eval(backend="interpreter"), [0, 1, 2])


def test_eval_reads_shared_variables_anew_each_time():
    w = core.shared(1.0)
    out = w * 2
    assert out.eval(backend="interpreter") == 2
    w.set_value(5.0)
    assert out.eval(backend="interpreter") == 10


def test_eval_knows_inputs_by_variable_and_name_only(x):
    with pytest.raises(ArgumentError, match="add has no input called 'z'; it has x"):
        (x + 1).eval({"z": 1}, backend="interpreter")
    with pytest.raises(ArgumentError, match="eval needs variables or their names as keys, got 3 of type int"):
        (x + 1).eval({3: 1}, backend="interpreter")
    with pytest.raises(ArgumentError, match="eval needs a dict of inputs and their values, got 3 of type int"):
        (x + 1).eval(3, backend="interpreter")


class Nothing(core.Op):
    """An op that cannot be computed."""

    itypes = otypes = (ct.TensorType("float64", 1),)


@pytest.mark.parametrize("was_on", [True, False])
def test_the_collector_is_as_it_was_after_compiling_and_after_an_error(was_on, x):
    try:
        gc.enable() if was_on else gc.disable()
        core.function([x], x + 1, **INTERPRETER)
        assert gc.isenabled() is was_on
        with pytest.raises(BackendError, match="cannot compute it"):
            core.function([x], Nothing()(x), **INTERPRETER)
        assert gc.isenabled() is was_on
    finally:
        gc.enable()


def test_what_compiling_leaves_is_old_for_the_collector(x):
    f = core.function([x], x + 1, **INTERPRETER)
    assert any(one is f for one in gc.get_objects(generation=2))


def test_what_a_user_has_frozen_stays_so(x):
    gc.freeze()
    try:
        core.function([x], x + 1, **INTERPRETER)
        assert gc.get_freeze_count()
    finally:
        gc.unfreeze()
