"""Arrays in, arrays out: any layout goes in, fresh memory comes out, and Python may be called in between."""

import threading

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import core
import core.tensor as ct
from core.errors import BackendError, ComputeError, CoreWarning, IndexOutOfBounds, ShapeError
from core.ir.clike.cinterface import Status
from core.options import config
from plugin_backend_c.executable import Executable

pytestmark = pytest.mark.filterwarnings("ignore::core.errors.CoreWarning")


@pytest.fixture(autouse=True, params=["launcher", "cffi"], scope="module")
def way(request):
    """Both ways to call C."""
    with config.override({"c.launcher": request.param == "launcher"}):
        yield request.param


def compiled(inputs, outputs, **named):
    return core.function(inputs, outputs, backend="c", **named)


@pytest.fixture(scope="module")
def affine(way):
    x = ct.dmatrix("x")
    return compiled([x], [2 * x + 1, x.sum(axis=0)])


def unaligned(array):
    memory = np.zeros(array.nbytes + 1, "uint8")[1:]
    out = memory.view(array.dtype).reshape(array.shape)
    out[...] = array
    return out


A = np.arange(12.0).reshape(3, 4)


@pytest.mark.parametrize(
    "array",
    [
        A,
        np.asfortranarray(A),
        A.T,
        A[::2, ::-1],
        A[::-1],
        A[:, 1:3],
        A[:0],
        A[:, :0],
        A[:1, :1],
        unaligned(A),
        A.astype(">f8"),
        np.broadcast_to(A[:1], (5, 4)),
        np.broadcast_to(np.float64(3), (2, 2)),
        np.lib.stride_tricks.sliding_window_view(A.ravel(), 5),
        A.astype("float32"),
        A.tolist(),
    ],
    ids=lambda a: f"{np.shape(a)}-{getattr(a, 'strides', 'list')}",
)
def test_inputs_may_have_any_layout(affine, array):
    twice, total = affine(array)
    assert_array_equal(twice, 2 * np.asarray(array) + 1)
    assert_array_equal(total, np.asarray(array, "float64").sum(axis=0))


def test_read_only_inputs_are_read(affine):
    array = A.copy()
    array.flags.writeable = False
    assert_array_equal(affine(array)[0], 2 * A + 1)


def test_scalars_and_arrays_without_axes():
    x, y = ct.dscalar("x"), ct.lscalar("y")
    f = compiled([x, y], [x * y, x, y])
    for got in (f(2.5, 4), f(np.float64(2.5), np.int64(4)), f(np.array(2.5), np.array(4))):
        assert [r.shape for r in got] == [(), (), ()] and [float(r) for r in got] == [10.0, 2.5, 4.0]


@pytest.mark.parametrize("shape", [(0,), (1,), (0, 3), (3, 0), (1, 1), (0, 0, 0), (2, 0, 3), ()])
def test_empty_and_small_shapes(shape):
    x = ct.tensor("x", dtype="float64", ndim=len(shape))
    value = np.ones(shape)
    outputs = compiled([x], [x + 1, x.sum(), x.prod(), x.T, x.reshape((-1,)), ct.exp(x).sum(axis=tuple(range(x.ndim)))])
    expected = [value + 1, value.sum(), value.prod(), value.T, value.ravel(), np.exp(value).sum()]
    for got, want in zip(outputs(value), expected, strict=True):
        assert got.shape == np.shape(want)
        assert_allclose(got, want)


# --- outputs ----------------------------------------------------------------------------------------------------------


def overlap(arrays):
    return [(i, j) for i in range(len(arrays)) for j in range(i) if np.shares_memory(arrays[i], arrays[j])]


def test_outputs_are_fresh_whatever_they_are():
    x, w = ct.dvector("x"), core.shared(np.arange(3.0), name="w")
    constant = ct.as_tensor(np.array([7.0, 8.0, 9.0]))
    twice = x * 2
    f = compiled([x], [x, x, twice, twice, constant, constant, w, w, x + w, x[:], x[::-1]])
    value = np.array([1.0, 2.0, 3.0])
    first, second = f(value), f(value)
    everything = [value, w.get_value(borrow=True), constant.data, *first, *second]
    assert not overlap(everything)
    for out in first:
        out[...] = -1
    for got, want in zip(f(value), second, strict=True):
        assert_array_equal(got, want)
    assert_array_equal(value, [1, 2, 3])
    assert_array_equal(w.get_value(), [0, 1, 2])


def test_an_updated_shared_variable_is_no_output():
    w = core.shared(np.zeros(3), name="w")
    new = w + 1
    f = compiled([], [new, w], updates={w: new})
    out, old = f()
    assert not overlap([out, old, w.get_value(borrow=True)])
    out[...] = 100
    assert_array_equal(f()[0], [2, 2, 2])


def test_shared_variables_can_be_swapped():
    a, b = core.shared(np.zeros(2), name="a"), core.shared(np.ones(2), name="b")
    f = compiled([], None, updates={a: b, b: a})
    f()
    assert_array_equal([a.get_value(), b.get_value()], [[1, 1], [0, 0]])
    assert not overlap([a.get_value(borrow=True), b.get_value(borrow=True)])


def test_outputs_own_writable_memory_in_row_major_order(affine):
    for out in affine(np.asfortranarray(A)):
        assert out.flags.c_contiguous and out.flags.writeable and out.flags.aligned
        assert out.ctypes.data % 64 == 0


# --- ops that only Python can compute ---------------------------------------------------------------------------------


class Host(core.Op):
    """Computes with a Python function; ``ndims`` of its outputs."""

    __props__ = ("name", "dtype", "ndims")

    def __init__(self, name, compute, dtype="float64", ndims=(1,)):
        self.name, self.compute, self.dtype, self.ndims = name, compute, dtype, ndims

    def make_node(self, *inputs):
        types = [core.TensorType(self.dtype, ndim) for ndim in self.ndims]
        return core.Apply(self, [ct.as_tensor(x) for x in inputs], types)

    def perform(self, node, inputs, output_storage):
        made = self.compute(*inputs)
        for cell, value in zip(output_storage, made if len(self.ndims) > 1 else [made], strict=True):
            cell[0] = np.asarray(value)


def test_python_computes_what_has_only_perform_and_one_warning_says_so(way):
    x = ct.dvector("x")
    op = Host(f"sorted upside down {way}", lambda a: np.sort(a)[::-1])
    with pytest.warns(CoreWarning, match="Host.* has no code for the c backend.*Python computes it") as seen:
        f = compiled([x], op(x * 2) + 1)
    assert len([w for w in seen if w.category is CoreWarning]) == 1
    assert_array_equal(f([1.0, 3.0, 2.0]), [7, 5, 3])


def test_a_warning_names_the_dtypes_of_inputs_once_each(way):
    x = [ct.dvector() for _ in range(5)] + [ct.imatrix()]
    with pytest.warns(CoreWarning, match=r"Host.* on float64 and int32 has no code for the c backend"):
        compiled(x, Host(f"sum of six {way}", lambda *a: sum(a).sum(0))(*x))


def test_lengths_that_only_python_knows_feed_loops():
    x = ct.dvector("x")
    positive = Host("positive", lambda a: a[a > 0])(x)
    f = compiled([x], [ct.exp(positive), positive.sum(), positive[::-1], positive.shape[0], (positive * x[:1]).max()])
    for value in (np.array([1.0, -2.0, 3.0]), np.array([1.0, 2.0]), np.array([5.0])):
        kept = value[value > 0]
        got = f(value)
        for one, want in zip(
            got, [np.exp(kept), kept.sum(), kept[::-1], len(kept), (kept * value[0]).max()], strict=True
        ):
            assert_allclose(one, want)


def test_lengths_from_two_python_ops_must_agree():
    x, y = ct.dvector("x"), ct.dvector("y")
    keep = Host("keep", lambda a: a[a > 0])
    f = compiled([x, y], keep(x) + keep(y))
    assert_array_equal(f([1.0, -1.0], [2.0]), [3.0])
    assert_array_equal(f([1.0, 2.0], [2.0, -3.0]), [3.0, 4.0])  # one of them has length 1: broadcasts
    with pytest.raises(ShapeError, match="cannot broadcast .* = 3 and .* = 2"):
        f([1.0, 2.0, 3.0], [2.0, 3.0])


def test_several_python_ops_in_a_row_and_side_by_side():
    x = ct.dvector("x")
    a = Host("a", lambda v: v + 1)(x * 2)
    b, c = Host("b", lambda v: (v * 2, v[:1]), ndims=(1, 1))(a)
    f = compiled([x], [a, b, c, b.sum() + c.sum(), Host("c", lambda v, w: v.sum() + w.sum(), ndims=(0,))(b, c)])
    got = f([1.0, 2.0])
    for one, want in zip(got, [[3, 5], [6, 10], [3], 19, 19], strict=True):
        assert_array_equal(one, want)
    assert not overlap(got)


def test_complex_numbers_pass_through_python():
    z = ct.tensor("z", dtype="complex128", ndim=1)
    op = Host("conjugate", np.conj, dtype="complex128")
    f = compiled([z], [z, op(z), op(op(z)), z * 2])
    value = np.array([1 + 2j, 3 - 1j])
    for got, want in zip(f(value), [value, value.conj(), value, value * 2], strict=True):
        assert got.dtype == "complex128"
        assert_array_equal(got, want)


def test_what_python_returns_may_be_its_input_or_a_view_or_of_any_layout():
    x = ct.dmatrix("x")
    ways = [lambda a: a, lambda a: a[::-1], lambda a: np.asfortranarray(a), lambda a: a.T.copy().T, lambda a: a[:, :0]]
    outs = [Host(f"way {k}", way, ndims=(2,))(x + 0.5) for k, way in enumerate(ways)]
    f = compiled([x], [*outs, *(out * 2 for out in outs)])
    got = f(A)
    for k, way in enumerate(ways):
        assert_array_equal(got[k], way(A + 0.5))
        assert_array_equal(got[k + len(ways)], way(A + 0.5) * 2)
    assert not overlap(got)


def test_what_a_python_op_keeps_stays_valid():
    kept = []
    x = ct.dvector("x")
    op = Host("keeper", lambda a: (kept.append(a), a.sum())[1], ndims=(0,))
    f = compiled([x], op(ct.exp(x)) * 2)
    for k in range(20):
        f(np.full(10_000, float(k % 3)))
    for k, array in enumerate(kept):
        assert_allclose(array, np.exp(k % 3))


def test_a_python_op_cannot_change_arguments_or_shared_variables():
    def spoil(a, b):
        a[...] = -1
        b[...] = -1
        return a

    x, w = ct.dvector("x"), core.shared(np.ones(2), name="w")
    f = compiled([x], Host("spoil", spoil)(x, w))
    value = np.zeros(2)
    assert_array_equal(f(value), [-1, -1])
    assert_array_equal(value, [0, 0])
    assert_array_equal(w.get_value(), [1, 1])


class Oops(Exception):
    pass


@pytest.mark.parametrize("error", [Oops("no"), KeyError("k"), ValueError("bad"), ZeroDivisionError("by 0")])
def test_what_a_python_op_raises_names_the_op_and_the_line_and_changes_nothing(error):
    def fail(a):
        raise error

    x, w = ct.dvector("x"), core.shared(np.ones(2), name="w")
    y = Host("failing", fail)(x)
    f = compiled([x], y, updates={w: w + y.sum()})
    with pytest.raises(
        ComputeError, match=r"Host\(name='failing'.*failed(.|\n)*test_executable.py:\d+: y = Host"
    ) as caught:
        f([1.0])
    assert caught.value.__cause__ is error
    assert_array_equal(w.get_value(), [1, 1])


def test_an_interrupt_inside_a_python_op_is_an_interrupt():
    def interrupt(a):
        raise KeyboardInterrupt

    x = ct.dvector("x")
    with pytest.raises(KeyboardInterrupt):
        compiled([x], Host("interrupt", interrupt)(x))([1.0])


@pytest.mark.parametrize("made", [np.zeros(2, "float32"), np.zeros((2, 2)), np.float64(1)])
def test_a_python_op_that_makes_another_type_than_it_said_is_named(made):
    x = ct.dvector("x")
    f = compiled([x], Host("liar", lambda a: made)(x))
    with pytest.raises((TypeError, ValueError), match="the output of Host.*liar.* must have"):
        f([1.0])


def test_an_index_into_what_python_makes_is_checked_once_that_is_there():
    x, i = ct.lvector("x"), ct.lvector("i")
    f = compiled([x, i], [ct.nonzero(x)[0][i] * 2])
    assert_array_equal(f(np.array([0, 1, 2]), np.array([1, 0]))[0], [4, 2])
    with pytest.raises(IndexOutOfBounds):
        f(np.array([0, 1, 2]), np.array([2]))


def test_nonzero_gives_as_much_as_there_is():
    x = ct.lvector("x")
    f = compiled([x], [ct.nonzero(x)[0], x[ct.nonzero(x)[0]] * 2])
    for value in ([0, 3, 0, 4], [0, 0], [], [5]):
        where, what = f(np.array(value, "int64"))
        assert_array_equal(where, np.nonzero(value)[0])
        assert_array_equal(what, [v * 2 for v in value if v])


def test_a_python_op_may_call_a_compiled_function_even_the_same_one():
    x, n = ct.dvector("x"), ct.lscalar("n")
    depth = []

    def call(a, k):
        depth.append(int(k))
        return f(a + 1, k - 1) if k > 0 else a

    f = compiled([x, n], Host("again", call)(x * 2, n) + 0.5)

    def expected(value, k):
        value = value * 2
        return (expected(value + 1, k - 1) if k > 0 else value) + 0.5

    assert_array_equal(f([1.0, 2.0], 3), expected(np.array([1.0, 2.0]), 3))
    assert depth == [3, 2, 1, 0]


def test_an_error_in_an_inner_call_leaves_the_outer_one_whole():
    x = ct.dvector("x")

    def fails(a):
        raise Oops("inner")

    inner = compiled([x], Host("inner", fails)(x))

    def tries(a):
        try:
            inner(a)
        except ComputeError:
            return a + 1
        return a

    f = compiled([x], [Host("outer", tries)(x) * 2, Host("after", lambda a: a - 1)(x)])
    got = f([1.0])
    assert [float(r[0]) for r in got] == [4.0, 0.0]


# --- threads ----------------------------------------------------------------------------------------------------------


def in_threads(count, work):
    errors = []

    def guarded(k):
        try:
            work(k)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(k,)) for k in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors, errors[0]


def test_eight_threads_may_call_one_function_at_once():
    x = ct.dmatrix("x")
    f = compiled([x], [ct.exp(x) @ x.T, ct.cumsum(x, axis=1), Host("h", lambda a: a * 2, ndims=(2,))(x + 1).sum()])

    def work(k):
        for size in (1, 7, 40):
            a = np.full((size, size + k), 0.1 * k)
            product, running, total = f(a)
            assert_allclose(product, np.exp(a) @ a.T)
            assert_allclose(running, np.cumsum(a, axis=1))
            assert_allclose(total, (2 * (a + 1)).sum())

    in_threads(8, work)


def test_threads_may_meet_new_shapes_at_once():
    x, y = ct.dmatrix("x"), ct.dmatrix("y")
    f = compiled([x, y], x * y + 1)
    shapes = [((3, 4), (3, 4)), ((1, 4), (3, 4)), ((3, 1), (3, 4)), ((3, 4), (1, 1))]

    def work(k):
        for turn in range(8):
            a, b = (np.full(shape, float(k + turn + 1)) for shape in shapes[(k + turn) % 4])
            assert_array_equal(f(a, b), a * b + 1)

    in_threads(8, work)


def test_errors_stay_in_their_thread():
    x = ct.dvector("x")

    def fail_on_odd(a):
        if a[0] % 2:
            raise Oops(str(a[0]))
        return a

    f = compiled([x], Host("odd", fail_on_odd)(x))

    def work(k):
        for _ in range(20):
            if k % 2:
                with pytest.raises(ComputeError, match=rf"Oops: {k}\.0"):
                    f([float(k)])
            else:
                assert f([float(k)])[0] == k

    in_threads(8, work)


# --- errors that C reports --------------------------------------------------------------------------------------------


def test_an_index_in_data_that_is_out_of_range_names_the_op_and_the_line():
    x, i = ct.dvector("x"), ct.lvector("i")
    f = compiled([x, i], x[i])
    assert_array_equal(f([1.0, 2.0], [0, -1, 1]), [1, 2, 2])
    for bad in (2, -3, 2**62, -(2**63)):
        with pytest.raises(IndexOutOfBounds, match=r"out of bounds(.|\n)*test_executable.py:\d+: f = compiled"):
            f([1.0, 2.0], [0, bad])


@pytest.mark.parametrize("bad", [3, -4, 2**62, -(2**63)])
def test_a_scalar_index_that_is_out_of_range_names_both_numbers(bad):
    x, i = ct.dvector("x"), ct.lscalar("i")
    f = compiled([x, i], x[i])
    assert f([1.0, 2.0, 3.0], -3) == 1
    with pytest.raises(IndexOutOfBounds, match=rf"index {bad} is out of range for an axis of length 3"):
        f([1.0, 2.0, 3.0], bad)


def test_a_length_too_long_for_the_library_is_an_error_that_names_it():
    """Real memory for that is not to be had in a test: what C reports is played."""
    x = ct.dmatrix("x")
    y = x @ x
    f = compiled([x], y)
    executable = object.__new__(Executable)
    executable.program = f.program
    position = next(k for k, step in enumerate(f.program.steps) if hasattr(step, "call"))
    with pytest.raises(
        BackendError, match=r"gemm of backend 'c' needs lengths below 2\*\*31, got 2147483648\n.*y = x @ x"
    ):
        executable._raise(Status.LIBRARY, [position, 2**31], None)


def test_the_warning_of_a_function_made_an_op_names_the_module_of_the_function(way):
    vector = core.TensorType("float64", 1)

    def turned(x):
        return x[::-1]

    turned.__name__ = f"turned_{way}"  # said once for each name
    x = ct.dvector("x")
    with pytest.warns(CoreWarning, match=f"turned_{way} of {__name__.partition('.')[0]!r} .* has no code for the c"):
        core.function([x], core.as_op(vector, vector)(turned)(x), backend="c")
