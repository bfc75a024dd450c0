"""Calls without Python in between: the same results and errors as through cffi."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import core
import core.tensor as ct
from core.compile.calling import Caller
from core.errors import ArgumentError, DTypeError, IndexOutOfBounds, ShapeError
from core.options import config

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
