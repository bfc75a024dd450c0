"""Calls without Python in between: the same results and errors as through cffi, nothing lost, nothing left behind."""

import gc
import sys
import threading
import time
import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import core
import core.tensor as ct
from core.compile.calling import Caller
from core.errors import ArgumentError, CoreWarning, DTypeError, IndexOutOfBounds, ShapeError
from core.options import config
from core.threads import DEPENDS_ON
from plugin_backend_c import compiler, launcher, ready

rng = np.random.default_rng(0)
x, y, v, w = ct.dmatrix("x"), ct.dmatrix("y"), ct.dvector("v"), ct.dvector("w")
s, i, n, b, z = ct.fmatrix("s"), ct.lvector("i"), ct.lscalar("n"), ct.bvector("b"), ct.fvector("z")
X, Y, V, W = rng.normal(size=(5, 7)), rng.normal(size=(5, 7)), rng.normal(size=7), rng.normal(size=7)
GRAPHS = {
    "elementwise": ([x, y], [ct.exp(x) * y + 1, ct.maximum(x, y) > 0], [X, Y]),
    "0-d": ([v], [v.sum(), v.max(), v[0]], [V]),
    "empty": ([x, y], [x + y, x.sum(axis=0), x[:, :0], x.sum()], [X[:0], Y[:0]]),
    "products": ([x, y, s], [x @ y.T, x.T @ y @ x.T, s @ s.T], [X, Y, X.astype("float32")]),
    "temporaries": ([x], [ct.softmax(x @ x.T, axis=1) @ x, ct.cumsum(x, axis=0) / x.std(axis=0)], [X]),
    "broadcast": ([x, v], [x + v, x * v.sum()], [X, V]),
    "gather": ([x, i], [x[i], core.grad(ct.exp(x[i]).sum(), x)], [X, np.array([4, -5, 0, 0])]),
    "lengths from data": ([n], [ct.arange(n) * 2, ct.zeros((n, n))], [np.array(4)]),
    "other dtypes": ([b, z], [b + 1, z * z, b > 0], [np.arange(3, dtype="int8"), np.ones(3, "float32")]),
    "inputs, constants and repeats": ([x, v], [x, v * 2, x, v, ct.constant(np.arange(4.0)), v * 2, v.sum()], [X, V]),
    "no inputs": ([], [ct.arange(5) * 2.0], []),
}


@pytest.fixture
def off():
    with config.override({"c.launcher": False}):
        yield


def launched(*args, **named):
    """A function with the launcher."""
    f = core.function(*args, backend="c", on_unused_input="ignore", **named)
    assert type(f.__call__).__name__ == "Call"
    return f


def through_cffi(*args, **named):
    """A function without the launcher."""
    with config.override({"c.launcher": False}):
        f = core.function(*args, backend="c", on_unused_input="ignore", **named)
    assert type(f.__call__) is Caller
    return f


# --- results ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GRAPHS)
def test_results_are_those_of_a_call_through_cffi(name, slow):
    inputs, outputs, arrays = GRAPHS[name]
    got = launched(inputs, outputs)(*arrays)
    assert not slow
    for one, want in zip(got, through_cffi(inputs, outputs)(*arrays), strict=True):
        assert type(one) is np.ndarray and one.dtype is want.dtype and one.shape == want.shape
        assert_array_equal(one, want)


@pytest.mark.parametrize("name", GRAPHS)
def test_results_own_writable_memory_that_nothing_else_uses(name):
    inputs, outputs, arrays = GRAPHS[name]
    results = [*launched(inputs, outputs)(*arrays), *arrays]
    for k, one in enumerate(results[: len(outputs)]):
        assert one.base is None and one.flags.owndata and one.flags.carray
        assert not any(np.shares_memory(one, other) for m, other in enumerate(results) if m != k)


@pytest.mark.parametrize(
    "outputs, expected",
    [
        (v + 1, V + 1),
        ([v + 1], [V + 1]),
        ([], []),
        ((v + 1, v.sum()), (V + 1, V.sum())),
        ({"a": v + 1, "b": v * 2}, {"a": V + 1, "b": V * 2}),
        ({}, {}),
        (None, None),
    ],
    ids=["one", "list", "empty list", "tuple", "dict", "empty dict", "none"],
)
def test_results_come_in_the_layout_that_was_asked_for(outputs, expected):
    got = launched([v], outputs)(V)
    assert type(got) is type(expected)
    if isinstance(expected, dict):
        assert list(got) == list(expected)
        got, expected = list(got.values()), list(expected.values())
    assert_array_equal(got, expected) if isinstance(got, np.ndarray) else [
        assert_array_equal(one, want) for one, want in zip(got or (), expected or (), strict=True)
    ]


def test_an_array_of_a_result_may_be_resized_and_pickled_into():
    f = launched([v], v + 1)
    for size in (0, 3, 7, 1000, 100_000):
        r = f(np.zeros(size))
        r.resize(2 * size + 1, refcheck=False)
        assert r[:size].tolist() == [1] * size and not r[size:].any()
        r.__setstate__(np.arange(3.0).__reduce__()[2])
        assert r.tolist() == [0, 1, 2]
        del r


# --- what is left to Python -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "argument",
    [
        X.tolist(),
        X.astype("float32"),
        X.astype(">f8"),
        X.view(np.memmap),
    ],
    ids=["list", "float32", "foreign bytes", "subclass"],
)
def test_arguments_that_are_no_plain_arrays_are_taken_all_the_same(argument, slow):
    f = launched([x], x + 1)
    assert_array_equal(f(argument), np.asarray(argument, "float64") + 1)
    assert slow["calls"] == 1


def test_a_read_only_array_needs_no_slow_path(slow):
    argument = V.copy()
    argument.flags.writeable = False
    assert_array_equal(launched([v], v + 1)(argument), V + 1)
    assert not slow


NUMBERS = [0.1, -0.0, float("inf"), float("nan"), 3, -(2**40), np.float64(0.1), np.int64(5), np.bool_(True)]


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "uint8", "bool"])
@pytest.mark.parametrize("number", [*NUMBERS, True, 2**63, 1e300, 1j, np.float32(0.1), np.float16(0.5)], ids=repr)
def test_numbers_are_the_same_to_the_launcher_as_to_python(dtype, number):
    a = ct.tensor("a", dtype=dtype, shape=())
    found = []
    for make in (launched, through_cffi):
        with np.errstate(over="ignore"):
            try:
                found.append(make([a], a)(number))
            except DTypeError as error:
                found.append(str(error))
    assert type(found[0]) is type(found[1])
    assert_array_equal(*found)


@pytest.mark.parametrize(
    "dtype, number",
    [
        *(("float64", number) for number in (0.5, 3, np.float64(0.5))),
        *(("float32", number) for number in (0.5, -7, np.float32(0.5))),
        *(("int8", number) for number in (-128, np.int8(5))),
        ("bool", np.bool_(True)),
    ],
)
def test_a_number_that_fits_needs_no_slow_path(dtype, number, slow):
    a = ct.tensor("a", dtype=dtype, shape=())
    got = launched([a, v], [a, v + 1])(number, V)[0]
    assert got == number and got.dtype == dtype and not slow


@pytest.mark.parametrize("spec", [{"strict": True}, {"allow_downcast": False}])
def test_an_argument_that_takes_no_numbers_is_left_to_python(spec):
    a = ct.fscalar("a")
    with pytest.raises(DTypeError):
        launched([core.In(a, **spec)], a + 1)(0.5)


def test_names_and_defaults_are_taken(slow):
    f = launched([v, core.In(w, value=np.ones(7))], v - w)
    for got in (f(V), f(v=V), f(w=np.ones(7), v=V), f(V, w=np.ones(7)), f(V, np.ones(7))):
        assert_array_equal(got, V - 1)
    assert slow["calls"] == 4


@pytest.mark.parametrize(
    "args, named, error",
    [
        ((), {}, ArgumentError),
        ((V,), {}, ArgumentError),
        ((V, W, V), {}, ArgumentError),
        ((V, W), {"v": V}, ArgumentError),
        ((V, W), {"u": V}, ArgumentError),
        ((V, W * 1j), {}, DTypeError),
        ((V, X), {}, ShapeError),
        ((V, W[:3]), {}, ShapeError),
        ((V, "no"), {}, DTypeError),
        ((V, None), {}, DTypeError),
    ],
)
def test_errors_are_those_of_a_call_through_cffi(args, named, error):
    texts = set()
    for make in (launched, through_cffi):
        f = make([v, w], v * w)
        with pytest.raises(error) as caught:
            f(*args, **named)
        texts.add(str(caught.value))
    assert len(texts) == 1


def test_static_lengths_are_checked(slow):
    fixed, mixed = ct.tensor("fixed", dtype="float64", shape=(3,)), ct.tensor("m", dtype="float64", shape=(None, 2))
    f = launched([v, fixed, mixed], [v.sum() + fixed, mixed * 2])
    good = (V, np.ones(3), np.ones((4, 2)))
    assert_array_equal(f(*good)[0], V.sum() + np.ones(3))
    assert not slow
    with pytest.raises(ShapeError, match="argument fixed .position 1.: expected length 3 along axis 0, got 4"):
        f(V, np.ones(4), good[2])
    with pytest.raises(ShapeError, match="argument m .position 2.: expected length 2 along axis 1, got 3"):
        f(V, good[1], np.ones((4, 3)))
    assert not slow


def test_an_index_out_of_range_is_an_error_that_names_the_op():
    f = launched([x, i], x[i])
    with pytest.raises(IndexOutOfBounds, match="index 5 is out of bounds"):
        f(X, np.array([0, 5]))
    assert_array_equal(f(X, np.array([0, 4])), X[[0, 4]])


def test_no_memory_is_an_error_and_leaves_the_function_usable():
    f = launched([n], ct.cumsum(ct.zeros((n, n)), axis=0))
    with pytest.raises(MemoryError, match="more than there are"):
        f(np.array(2**22))
    assert_array_equal(f(np.array(2)), np.zeros((2, 2)))


def test_lengths_that_turn_out_to_broadcast_are_quick_from_the_second_call_on(slow):
    f = launched([x, y], x * y)
    assert_array_equal(f(X, Y), X * Y)
    assert not slow
    assert_array_equal(f(X, Y[:1]), X * Y[:1])
    slow.clear()
    for _ in range(3):
        assert_array_equal(f(X, Y[:1]), X * Y[:1])
    assert not slow
    assert_array_equal(f(X, Y), X * Y)
    slow.clear()
    assert_array_equal(f(X, Y), X * Y)
    assert not slow


class Reversed(core.Op):
    """An op that only Python can compute."""

    __props__ = ()

    def make_node(self, v):
        return core.graph.Apply(self, [v], [v.type()])

    def perform(self, node, inputs, outputs):
        outputs[0][0] = inputs[0][::-1].copy()


def test_a_program_that_calls_python_needs_no_launcher():
    f = core.function([v], Reversed()(v * 2) + 1, backend="c")
    assert type(f.__call__) is Caller
    assert_array_equal(f(V), (V * 2)[::-1] + 1)


def test_a_function_that_is_watched_goes_through_python(monkeypatch):
    seen = []

    class Watcher:
        def enter(self, step):
            seen.append("enter")

        def leave(self, step):
            seen.append("leave")

    monkeypatch.setattr("core.plugins.is_implemented", lambda name: name == "instrument")
    monkeypatch.setattr("core.plugins.call_each", lambda name, **_: [(None, Watcher())] if name == "instrument" else [])
    f = core.function([v], v + 1, backend="c")
    assert_array_equal(f(V), V + 1)
    assert seen == ["enter", "leave"]


# --- shared variables -------------------------------------------------------------------------------------------------


def test_shared_variables_are_read_and_updated(slow):
    state, step = core.shared(np.zeros(7), name="state"), core.shared(0, name="step")
    f = launched([v], [state.sum(), step * 1], updates={state: state + v, step: step + 1})
    for k in range(4):
        total, count = f(np.ones(7))
        assert (total, count) == (7 * k, k)
    assert state.get_value().tolist() == [4.0] * 7 and step.get_value() == 4
    state.set_value(np.full(7, 10.0))
    assert f(np.ones(7))[0] == 70
    assert not slow


def test_updates_read_the_old_values_of_all_variables():
    a, b = core.shared(np.array([1.0, 2.0])), core.shared(np.array([3.0, 4.0]))
    f = launched([], None, updates={a: b, b: a + b})
    assert f() is None
    assert a.get_value().tolist() == [3, 4] and b.get_value().tolist() == [4, 6]
    assert not np.shares_memory(a.get_value(borrow=True), b.get_value(borrow=True))


def test_a_value_that_was_taken_out_is_not_overwritten():
    state = core.shared(np.zeros(7))
    f = launched([], state, updates={state: state + 1})
    values = [state.get_value(borrow=True)]
    for _ in range(5):
        f()
        values.append(state.get_value(borrow=True))
    assert [one[0] for one in values] == [0, 1, 2, 3, 4, 5]


def test_a_strided_value_of_a_shared_variable_is_taken():
    state = core.shared(np.zeros((3, 2)))
    f = launched([], state + 1)
    state.set_value(np.arange(6.0).reshape(2, 3).T, borrow=True)
    assert f().tolist() == [[1, 4], [2, 5], [3, 6]]


@pytest.mark.parametrize("bad", [np.ones(3), "text", np.ones((7, 1))])
def test_a_call_that_fails_keeps_every_shared_value(bad):
    state, count = core.shared(np.zeros(7)), core.shared(0)
    f = launched([v], state * v, updates={state: state + v, count: count + 1})
    f(np.ones(7))
    with pytest.raises((ShapeError, DTypeError)):
        f(bad)
    assert state.get_value().tolist() == [1.0] * 7 and count.get_value() == 1


def test_a_new_value_of_the_wrong_static_shape_is_refused():
    state = core.shared(np.zeros(3), name="state", shape=(3,))
    f = core.function([v], updates={state: v}, backend="c")
    f(np.ones(3))
    with pytest.raises(ShapeError, match=r"computed shape \(4,\) for shared variable state"):
        f(np.ones(4))
    assert state.get_value().tolist() == [1, 1, 1]


def test_copies_have_shared_variables_of_their_own():
    a, b = core.shared(np.zeros(2)), core.shared(np.zeros(2))
    f = launched([], a * 1, updates={a: a + 1})
    g = f.copy(swap={a: b})
    assert type(g.__call__).__name__ == "Call"
    for _ in range(3):
        g()
    f()
    assert a.get_value().tolist() == [1, 1] and b.get_value().tolist() == [3, 3]


# --- threads ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [7, 40_000], ids=["small", "large enough to let others run"])
def test_threads_may_call_one_function_at_once(size):
    f = launched([v, w], [ct.sin(v) * w, v.sum()])
    wrong = []

    def work(seed):
        own = np.random.default_rng(seed)
        for _ in range(60 if size > 100 else 2000):
            a, c = own.normal(size=size), own.normal(size=size)
            product, total = f(a, c)
            if not np.allclose(product, np.sin(a) * c) or not np.isclose(total, a.sum()):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def others_run_during(call):
    """Whether another thread gets on while ``call`` runs."""
    ticks, done = [0], threading.Event()

    def count():
        while not done.is_set():
            ticks[0] += 1
            time.sleep(0)  # gives way

    other = threading.Thread(target=count)
    interval = sys.getswitchinterval()
    try:
        sys.setswitchinterval(1000)  # a thread gives way only where it must
        other.start()
        while not ticks[0]:
            done.wait(0.001)
        before = ticks[0]
        call()
        return ticks[0] > before
    finally:
        done.set()
        sys.setswitchinterval(interval)
        other.join()


@pytest.mark.parametrize(
    "inputs, output, arrays",
    [
        ([v], ct.exp(ct.exp(v)).sum(), [np.zeros(2_000_000)]),
        ([n], ct.exp(ct.arange(n) * 1e-9), [np.array(2_000_000)]),
        ([n], ct.cumsum(ct.exp(ct.arange(n) * 1e-9))[-1], [np.array(2_000_000)]),
        ([v, w], ct.exp(v[:, None] * w[None, :]).sum(), [np.zeros(2_000), np.zeros(2_000)]),
        ([x], x @ x, [np.zeros((400, 400))]),
    ],
    ids=["large input", "large output", "large temporary", "deep loops", "product"],
)
def test_other_threads_run_during_long_calls(inputs, output, arrays):
    f = launched(inputs, output)
    assert any(others_run_during(lambda: f(*arrays)) for _ in range(50))  # a busy machine may not run them at once


def test_short_calls_do_not_make_others_run():  # it takes longer than the call
    f = launched([v, w], [v + w, v.sum()])
    gc.collect()
    gc.disable()  # what is collected may make others run
    try:
        assert not others_run_during(lambda: [f(V, W) for _ in range(100)])
    finally:
        gc.enable()


# --- memory -----------------------------------------------------------------------------------------------------------


def test_threads_are_counted_again_where_an_option_or_the_environment_has_changed(monkeypatch):
    extension, asked = launcher.module(compiler.find()[0]), []
    f, value = launched([x], ct.exp(x)), np.ones((400, 400))

    def count():
        asked.append(core.get_num_threads())
        return asked[-1]

    extension.ask_for_threads(count, *DEPENDS_ON)
    try:
        f(value), f(value)
        before = len(asked)
        with core.num_threads(3):
            f(value), f(value)
        monkeypatch.setenv("CORE_NUM_THREADS", "2")
        f(value), f(value)
        monkeypatch.setenv("CORE_NUM_THREADS", "0" * 60 + "1")  # too long to be remembered
        f(value), f(value)
    finally:
        extension.ask_for_threads(core.get_num_threads, *DEPENDS_ON)
    assert before == 1
    assert asked[before:] == [3, 2, 1, 1]


def test_many_calls_leave_nothing_behind():
    state = core.shared(np.zeros(7))
    f = launched([v, w], {"a": v + w, "b": v, "c": v.sum()}, updates={state: state + v})
    strided = np.zeros(14)[::2]
    objects = (V, W, V.dtype, f, f.__call__, state.cell, None)

    def calls(count):
        for _ in range(count):
            f(V, W)
        for _ in range(count // 100):
            f(strided, W)
            for bad in ((V,), (V, W[:3]), (V, "no")):
                with pytest.raises((ArgumentError, ShapeError, DTypeError)):
                    f(*bad)

    calls(1000)
    gc.collect()
    before = [sys.getrefcount(one) for one in objects[:-1]]
    tracemalloc.start()
    try:
        calls(1000)
        gc.collect()
        traced = tracemalloc.get_traced_memory()[0]
        calls(2000)
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - traced
    finally:
        tracemalloc.stop()
    calls(100_000)
    gc.collect()
    after = [sys.getrefcount(one) for one in objects[:-1]]
    assert max(now - then for now, then in zip(after, before, strict=True)) < 1000  # a lost one at each call: 100,000
    assert grown < 20_000


@pytest.fixture
def uncollected():
    """Python's collector runs before, and not meanwhile: the blocks that it frees would be used first."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("size", [10, 5_000, 3_000_000])
def test_memory_of_results_is_used_again(size, uncollected):
    f = launched([v], v + 1)
    a, places = np.zeros(size), set()
    for _ in range(100):
        r = f(a)
        places.add(r.ctypes.data)
    assert len(places) <= 3  # one is in use while the next is made
    del r
    f.free()


def test_blocks_of_results_come_on_a_boundary_that_vectors_like():
    f = launched([v], [v + 1, v * 2])
    for size in (1, 7, 8, 100, 300, 5_000):
        kept = [one for _ in range(20) for one in f(np.zeros(size))]
        assert all(one.ctypes.data % 64 == 0 for one in kept)
        assert len({one.ctypes.data for one in kept}) == 40


def test_a_function_goes_when_nobody_holds_it():
    state = core.shared(np.zeros(7))
    call = launched([v], v + state, updates={state: state + v}).__call__
    (slow_path,) = [one for one in gc.get_referents(call) if type(one) is Caller]
    before = sys.getrefcount(slow_path)
    assert_array_equal(call(V), V)
    del call
    assert sys.getrefcount(slow_path) == before - 1


# --- with and without -------------------------------------------------------------------------------------------------


def test_the_option_turns_the_launcher_off(off):
    f = core.function([v], v + 1, backend="c")
    assert type(f.__call__) is Caller
    assert_array_equal(f(V), V + 1)
    f.free()


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """The module is looked for anew, before and after; the installer has built none."""
    monkeypatch.setattr(ready, "FOLDER", tmp_path / "nothing")
    launcher._module.cache_clear()
    yield
    launcher._module.cache_clear()


@pytest.mark.parametrize("missing", ["Python", "NumPy", "everything"])
def test_without_headers_calls_go_through_cffi(missing, monkeypatch, tmp_path, cache, fresh, recwarn):
    if missing in ("Python", "everything"):
        monkeypatch.setattr(launcher.sysconfig, "get_path", lambda name: str(tmp_path))
    if missing in ("NumPy", "everything"):
        monkeypatch.setattr(launcher.np, "get_include", lambda: str(tmp_path))
    f = core.function([v], v + 1, backend="c")
    assert type(f.__call__) is Caller
    assert_array_equal(f(V), V + 1)
    assert not [one for one in recwarn.list if issubclass(one.category, CoreWarning)]


def test_a_python_without_its_great_lock_gets_no_launcher(monkeypatch, fresh):
    monkeypatch.setattr(launcher.sysconfig, "get_config_var", lambda name: 1)
    assert launcher.module(compiler.find()[0]) is None


def test_a_text_that_does_not_compile_is_no_error(monkeypatch, cache, fresh):
    monkeypatch.setattr(ready, "launcher_text", lambda: "this is no C;")
    assert launcher.module(compiler.find()[0]) is None


def test_a_library_that_is_no_module_is_no_error(monkeypatch, cache, fresh):
    monkeypatch.setattr(ready, "launcher_text", lambda: "int nothing;")
    assert launcher.module(compiler.find()[0]) is None


def test_the_module_is_built_once(monkeypatch, cache, fresh):
    found = compiler.find()[0]
    assert launcher.module(found) is not None
    launcher._module.cache_clear()
    monkeypatch.setattr(launcher.libraries, "build", lambda *_: pytest.fail("built again"))
    assert launcher.module(found) is not None


def test_a_program_with_more_arguments_than_the_stack_should_hold_goes_through_cffi():
    many = [ct.dvector() for _ in range(3000)]
    f = core.function(many[:3000], [sum(many[:2]), many[2] * 2], backend="c", on_unused_input="ignore")
    assert type(f.__call__) is Caller
    assert_array_equal(f(*[V] * 3000)[0], 2 * V)


# --- the extension itself takes nothing that would crash it -----------------------------------------------------------


@pytest.fixture
def extension():
    made = launcher.module(compiler.find()[0])
    assert made is not None
    return made


@pytest.mark.parametrize(
    "changes, error",
    [
        ({2: (1,)}, TypeError),
        ({4: 9}, ValueError),
        ({4: -1}, ValueError),
        ({7: 2}, ValueError),
        ({4: 4, 5: ("a", "b")}, ValueError),
        ({8: 3}, TypeError),
        ({8: ("a",)}, TypeError),
        ({0: ()}, TypeError),
    ],
)
def test_a_call_that_makes_no_sense_is_refused(extension, changes, error):
    arguments = [[None], print, (), (), 0, (), 1, 1, None, False]
    with pytest.raises(error):
        extension.Call(*[changes.get(k, one) for k, one in enumerate(arguments)])


@pytest.mark.parametrize("outputs", [((0, 1, None),), ((1, 0, None),), ((2, 0, None),), ((3, 0, 1),), ((7, 0, None),)])
def test_a_program_whose_outputs_make_no_sense_is_refused(extension, outputs):
    with pytest.raises(ValueError, match="output 0 needs an origin and an index"):
        extension.Program(0, 0, 0, (), ((np.dtype("f8"), 1, None),), outputs, (), 4, None)


@pytest.mark.parametrize("donor", [(0, 0, 1), (0, 1, 0), (1, 0, 0), (-1, 0, 0)])
def test_a_program_whose_donors_make_no_sense_is_refused(extension, donor):
    kinds = ((np.dtype("f8"), 1, None),)
    with pytest.raises(ValueError, match="donor 0 needs an output and an input"):
        extension.Program(0, 0, 0, kinds, kinds, ((0, 0, None),), (donor,), 4, None)


@pytest.mark.parametrize("layout", [((2,), (), True, True), ((0, 1, 0), (), True, True), ((0,), (5,), True, True)])
def test_a_program_with_a_layout_of_other_axes_is_refused(extension, layout):
    with pytest.raises(ValueError, match="no axis . of 2"):
        extension.Program(0, 0, 0, ((np.dtype("f8"), 2, layout),), (), (), (), 4, None)


@pytest.mark.parametrize("current", [[], [None], [object()]])
def test_without_a_program_the_slow_path_is_taken(extension, current):
    call = extension.Call(current, lambda *args, **named: (args, named), (), (), 0, (), 1, 1, None, False)
    assert call(1) == ((1,), {}) and call(1, 2, a=3) == ((1, 2), {"a": 3})


def test_an_empty_cell_is_left_to_the_slow_path():
    state = core.shared(np.zeros(2))
    f = launched([], state * 1, updates={state: state + 1})
    state.cell.clear()
    with pytest.raises(IndexError):
        f()
    state.cell.append(np.ones(2))
    assert f().tolist() == [1, 1]
