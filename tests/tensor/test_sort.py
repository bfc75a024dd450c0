"""Sorting, against NumPy: values, order, derivatives; its loops, by the oracle of the IR and as groups of lanes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

import core
import core.tensor as ct
from core.compile.function import function
from core.errors import ArgumentError, AxisError, DTypeError
from core.ir.check.run import Driver
from core.ir.nodes import LoopKind, statements
from core.ir.target import Target
from core.tensor import sort_loops
from core.tensor.sort import SortWithOrder
from core.tensor.sort_lanes import ENOUGH, LANE_BYTES, MOST
from core.testing import available_backends, check_derivatives, check_op, evaluate, random

SHAPES = [
    ((7,), -1),
    ((8,), 0),
    ((37,), 0),
    ((3, 9), 1),
    ((9, 3), 0),
    ((2, 17, 3), 1),
    ((0,), 0),
    ((3, 0), 1),
    ((0, 3), 1),
]
DTYPES = ["bool", "int8", "uint16", "int64", "float32"]
PIECES, GROUPS = Target(units=3, lanes=1, piece=2), Target(units=3, lanes=4, piece=2)


def with_ties(shape, dtype):
    """Few different numbers, so that many are equal."""
    return random(shape, dtype, low=0, high=5).round().astype(dtype)


@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize("shape, axis, dtype", [*((*s, "float64") for s in SHAPES), *(((3, 11), 1, d) for d in DTYPES)])
def test_sort_and_argsort_are_numpys(backend, shape, axis, dtype):
    x = with_ties(shape, dtype)
    values, order = evaluate(lambda x: [ct.sort(x, axis), ct.argsort(x, axis)], x, backend=backend)
    assert_array_equal(values, np.sort(x, axis), strict=True)
    assert_array_equal(order, np.argsort(x, axis, stable=True), strict=True)


@pytest.mark.parametrize("backend", available_backends())
def test_half_precision_is_sorted_without_python(backend):
    x = np.array([[3, -0.0, np.inf, 0, 6e-8, np.nan, -np.inf, -6e-8, 65504, 3]], "float16")
    with core.config.override(strict=True):
        ordered, order = evaluate(lambda x: [ct.sort(x), ct.argsort(x)], x, backend=backend)
    assert_array_equal(ordered, np.sort(x), strict=True)
    assert_array_equal(order, np.argsort(x, kind="stable"), strict=True)
    assert_array_equal(np.signbit(ordered)[0, 2:4], np.signbit(np.sort(x, kind="stable"))[0, 2:4])


@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nan_is_last_and_infinities_are_at_the_ends(backend, dtype):
    x = np.array([3, np.nan, -np.inf, 0, np.inf, np.nan, -1, 7, 2, np.nan, 5, 2], dtype)
    values, order = evaluate(lambda x: [ct.sort(x), ct.argsort(x)], x, backend=backend)
    assert_array_equal(values, np.sort(x))
    assert_array_equal(order, np.argsort(x, stable=True))


@pytest.mark.parametrize("backend", available_backends())
def test_long_lines_are_merged(backend):
    n = 1025
    x = np.concatenate([random((n,), low=-9, high=9), np.arange(n), np.arange(n)[::-1], np.zeros(n)])
    values, order = evaluate(lambda x: [x.sort(), x.argsort()], x, backend=backend)
    assert_array_equal(values, np.sort(x))
    assert_array_equal(order, np.argsort(x, stable=True))


def test_strided_lines_and_flattened_tensors():
    x = random((6, 10))[::2, ::-3]
    assert_array_equal(evaluate(lambda x: ct.sort(x, axis=0), x), np.sort(x, axis=0))
    assert_array_equal(evaluate(lambda x: ct.sort(x, axis=None), x), np.sort(x, axis=None))
    assert_array_equal(evaluate(lambda x: ct.argsort(x, axis=None), x), np.argsort(x, axis=None))


@pytest.mark.parametrize("target", [PIECES, GROUPS], ids=["pieces", "groups"])
@pytest.mark.parametrize("shape, axis", SHAPES)
def test_the_loops_agree_with_numpy(target, shape, axis):
    x, v = with_ties(shape, "float64"), ct.tensor("v", dtype="float64", shape=(None,) * len(shape))
    outputs = [ct.sort(v, axis), ct.argsort(v, axis)]
    values, order = function([v], outputs, backend=Driver("devices", target))(x)
    assert_array_equal(values, np.sort(x, axis))
    assert_array_equal(order, np.argsort(x, axis, stable=True))


@given(x=st.lists(st.one_of(st.integers(-3, 3), st.just(np.nan)), max_size=40))
@settings(max_examples=60, derandomize=True, deadline=None, database=None)
def test_any_line_is_sorted_by_the_network_and_by_merging(x):
    x = np.array(x, "float64")
    for f in _SORTS:
        values, order = f(x)
        assert_array_equal(values, np.sort(x))
        assert_array_equal(order, np.argsort(x, stable=True))


def _sorts():
    v = ct.dvector("v")
    backends = [Driver("devices", GROUPS), *(b for b in available_backends() if b == "c")]
    return [function([v], [ct.sort(v), ct.argsort(v)], backend=backend) for backend in backends]


_SORTS = _sorts()


# --- long lines, by many groups ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("piece, doubled", [(2, 2), (4, 1), (3, 0)], ids=["few", "longer pieces", "one piece"])
@pytest.mark.parametrize("n", [0, 1, 4, 5, 17, 40])
def test_pieces_that_groups_sort_are_merged(monkeypatch, piece, doubled, n):
    monkeypatch.setattr(sort_loops, "PIECE", piece)
    monkeypatch.setattr(sort_loops, "MOST_DOUBLED", doubled)
    x, v = with_ties((2, n), "float64"), ct.dmatrix("v")
    x[:, ::5], x[:, 3::7] = np.nan, -np.inf
    values, order = function([v], [ct.sort(v), ct.argsort(v)], backend=Driver("devices", GROUPS))(x)
    assert_array_equal(values, np.sort(x))
    assert_array_equal(order, np.argsort(x, stable=True))


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float32"])
def test_elements_that_are_equal_stay_in_order_when_they_are_merged(monkeypatch, dtype):
    monkeypatch.setattr(sort_loops, "PIECE", 4)
    x, v = np.random.default_rng(0).integers(0, 2, 61).astype(dtype), ct.tensor("v", dtype=dtype, shape=(61,))
    order = function([v], ct.argsort(v), backend=Driver("devices", GROUPS))(x)
    assert_array_equal(order, np.argsort(x, stable=True))


def test_only_long_lines_on_devices_with_groups_are_sorted_in_pieces():
    def launches(n, target):
        return len(sorting(ct.tensor("v", dtype="float64", shape=(None, n)), target).body)

    assert [launches(n, GROUPS) for n in (sort_loops.PIECE, sort_loops.PIECE + 1, None)] == [1, 3, 3]
    assert [launches(n, PIECES) for n in (sort_loops.PIECE, sort_loops.PIECE + 1, None)] == [1, 1, 1]


def test_a_kernel_without_perform_that_uses_memory_of_its_own_is_computed():
    class Backwards(core.Op):
        """A vector the other way round, by way of memory."""

        __props__ = ()

        def make_node(self, x):
            x = ct.as_tensor(x)
            return core.Apply(self, [x], [x.type()])

        def infer_shape(self, fgraph, node, input_shapes):
            return input_shapes

        def kernel(self, k, x, y):
            between = k.memory(x.dtype, x.shape)
            with k.grid(x.shape) as (i,):
                between[i] = x[i]
            with k.grid(x.shape) as (i,):
                y[i] = between[x.shape[0] - 1 - i]

    v = ct.dvector("v")
    for backend in ("interpreter", *available_backends(), Driver("devices", GROUPS)):
        assert_array_equal(function([v], Backwards()(v), backend=backend)(np.arange(5.0)), np.arange(5.0)[::-1])


def sorting(v, target):
    """The kernel that sorts the lines of ``v``."""
    program = function([v], ct.sort(v), backend=Driver("devices", target)).program
    (kernel,) = [step.kernel for step in program.steps if "sort" in str(step.kernel.comment).lower()]
    return kernel


def test_on_a_device_lanes_share_each_round():
    v = ct.tensor("v", dtype="float64", shape=(None, 40))
    (loop,) = sorting(v, GROUPS).body
    assert loop.kind is LoopKind.GROUPS
    kinds = [s.kind for s in statements(loop.body) if hasattr(s, "kind")]
    assert kinds.count(LoopKind.LANES) == 3 and LoopKind.GRID not in kinds


@pytest.mark.parametrize("function", [ct.sort, ct.argsort])
@pytest.mark.parametrize("shape, axis", [((5,), 0), ((3, 4), 0), ((0, 2), 1)])
def test_the_contract_is_kept(function, shape, axis):
    check_op(lambda x: function(x, axis), random(shape), backends=())


@pytest.mark.parametrize("axis", [0, 1])
def test_derivatives_move_with_the_elements(axis):
    check_derivatives(lambda x: ct.sort(x, axis) * ct.arange(12).reshape((3, 4)), random((3, 4)))
    check_derivatives(lambda x: ct.sort(x, axis) ** 3, random((3, 4)))


def test_derivatives_of_elements_that_come_with_their_order():
    check_derivatives(lambda x: SortWithOrder()(x)[0] * ct.arange(12).reshape((3, 4)), random((3, 4)))
    x = ct.matrix("x")
    cost = (SortWithOrder()(x)[1] * 1.0).sum()
    assert_array_equal(core.grad(cost, x, disconnected_inputs="ignore").eval({x: np.eye(2)}), np.zeros((2, 2)))


def test_of_equal_elements_the_first_gets_the_gradient_of_the_first():
    x = ct.dvector("x")
    g = core.grad((ct.sort(x) * np.array([1.0, 10.0, 100.0])).sum(), x)
    assert_array_equal(core.function([x], g)([2.0, 1.0, 1.0]), [100.0, 1.0, 10.0])


def test_an_order_has_no_gradient():
    x = ct.dvector("x")
    with pytest.raises(core.errors.DisconnectedInputError):
        core.grad(ct.argsort(x).astype("float64").sum(), x)


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda: ct.sort(ct.dscalar("x")), AxisError, "ndim"),
        (lambda: ct.sort(ct.dmatrix("x"), axis=2), AxisError, "sort"),
        (lambda: ct.argsort(ct.zmatrix("x")), DTypeError, "an order"),
        (lambda: ct.sort(ct.dvector("x"), kind="bubble"), ArgumentError, "'stable'"),
    ],
    ids=["0-d", "no such axis", "complex", "kind"],
)
def test_bad_input_is_named(call, error, words):
    with pytest.raises(error, match=words):
        call()


@pytest.mark.parametrize("target", [PIECES, GROUPS], ids=["pieces", "groups"])
@pytest.mark.parametrize("known", [(1, 1, None), (2, 1, None), (1, 1, 1), (None, 1, 1), (0, None, 2), (None, None, 0)])
def test_lengths_that_are_known_to_be_0_or_1_need_no_loops(target, known):
    shape = tuple(3 if n is None else n for n in known)
    x, v = with_ties(shape, "float64"), ct.tensor("v", dtype="float64", shape=known)
    for axis in range(3):
        outputs = [ct.sort(v, axis), ct.argsort(v, axis), ct.cumsum(v, axis)]
        values, order, sums = function([v], outputs, backend=Driver("devices", target))(x)
        assert_array_equal(values, np.sort(x, axis))
        assert_array_equal(order, np.argsort(x, axis, stable=True))
        assert_array_equal(sums, np.cumsum(x, axis))


NUMBERS = ["bool", "int8", "uint8", "int16", "uint32", "int64", "uint64", "float32", "float64"]
ON_C = "c" if "c" in available_backends() else "interpreter"


def of_all_sizes(shape, dtype, few):
    """Numbers over the whole range of a dtype, or ``few`` different ones; floats with NaN, infinities and zeros."""
    rng = np.random.default_rng(0)
    if not dtype.startswith("float"):
        ends = (0, 1) if dtype == "bool" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        low, high = (max(ends[0], -2), min(ends[1], 3)) if few else ends
        return rng.integers(low, high, shape, dtype, endpoint=True)
    x = rng.standard_normal(shape) * 10.0 ** rng.integers(-30, 30, shape)
    x = np.where(rng.random(shape) < 0.1, rng.choice([np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0], shape), x)
    return (np.round(np.where(np.abs(x) > 4, 4, x)) if few else x).astype(dtype)


def with_order(x):
    """The sorted elements, argsort, and the elements that are moved with their index, with it."""
    return [ct.sort(x), ct.argsort(x), *SortWithOrder()(x)]


def assert_all_are_sorted(found, x):
    alone, order, together, its_order = found
    assert_array_equal(alone, np.sort(x, -1))
    assert_array_equal(order, np.argsort(x, -1, kind="stable"))
    assert_array_equal(its_order, order)
    assert_array_equal(together, np.take_along_axis(x, order, -1))
    if x.dtype.kind == "f":  # elements that are moved with their index keep the sign of their zeros
        assert_array_equal(np.signbit(together), np.signbit(np.take_along_axis(x, order, -1)))


@pytest.mark.parametrize("dtype", NUMBERS)
@pytest.mark.parametrize("few", [False, True])
def test_long_lines_are_sorted_as_numpy_sorts_them(dtype, few):
    x = of_all_sizes((3, 700), dtype, few)
    assert_all_are_sorted(evaluate(with_order, x, backend=ON_C), x)


@pytest.mark.parametrize("dtype", NUMBERS)
def test_many_lines_of_any_length_are_sorted_as_numpy_sorts_them(dtype):
    v = ct.tensor("v", dtype=dtype, shape=(None, None))
    f = function([v], with_order(v), backend=ON_C)
    lanes = LANE_BYTES // np.dtype(dtype).itemsize
    for n in [*range(1, 50), 63, 64, 65, 100, MOST[1], MOST[1] + 1]:
        for few in (False, True):
            x = of_all_sizes((lanes + ENOUGH if n % 2 else ENOUGH, n), dtype, few)
            assert_all_are_sorted(f(x), x)


@pytest.mark.parametrize("dtype", ["int16", "float64"])
def test_the_longest_lines_that_are_sorted_together_are_sorted_as_numpy_sorts_them(dtype):
    n = MOST[np.dtype(dtype).itemsize]
    for length in (n, n + 1):
        x = of_all_sizes((ENOUGH, length), dtype, False)
        assert_all_are_sorted(evaluate(with_order, x, backend=ON_C), x)
