"""Places in sorted numbers and counts, against NumPy."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import core
import core.tensor as ct
from core.errors import ArgumentError, DTypeError, IndexOutOfBounds, ShapeError
from core.tensor.search import SearchSorted
from core.testing import available_backends, check_derivatives, check_op, evaluate, random

SORTED = np.array([-1.0, -0.5, -0.5, 0.0, 2.0, 7.0, np.nan])
SOUGHT = np.array([[-2.0, -0.5, 0.3], [7.0, np.nan, np.inf], [-np.inf, 8.0, -0.0]])


@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize("side", ["left", "right"])
def test_places_are_numpys(backend, side):
    for n in (0, 1, 2, 5, 6, 7):
        got = evaluate(lambda a, v: ct.searchsorted(a, v, side), SORTED[:n], SOUGHT, backend=backend)
        assert_array_equal(got, np.searchsorted(SORTED[:n], SOUGHT, side))


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 7, 8, 9, 31, 32, 33])
@pytest.mark.parametrize("static", [False, True])
def test_every_place_of_every_length_is_found(n, static):
    a, v = np.arange(n), np.arange(-1, 2 * n + 2) / 2
    got = evaluate(ct.searchsorted, a, v, backend=available_backends()[-1], static=static)
    assert_array_equal(got, np.searchsorted(a, v))


def test_the_op_keeps_its_contract():
    check_op(lambda a, v: SearchSorted("left")(a, v, 3), SORTED[:6], SOUGHT[0], backends=(), variants=("strided",))


def test_numbers_of_two_dtypes_are_compared_as_numpy_compares_them():
    a, v = np.array([1, 3, 5]), np.array([0.5, 3.0, 9.0], "float32")
    assert_array_equal(evaluate(ct.searchsorted, a, v), np.searchsorted(a, v))
    a = random(9)
    got = evaluate(lambda a, v: ct.searchsorted(a, v, sorter=ct.argsort(a)), a, v)
    assert_array_equal(got, np.searchsorted(a, v, sorter=np.argsort(a)))


def test_a_search_needs_a_vector_of_real_numbers_and_a_side():
    with pytest.raises(ShapeError, match="needs a vector to search, but M has ndim=2"):
        ct.searchsorted(ct.dmatrix("M"), 1.0)
    with pytest.raises(DTypeError, match="needs real numbers of one dtype"):
        ct.searchsorted(ct.zvector("z"), 1.0)
    with pytest.raises(ArgumentError, match="needs side 'left' or 'right', got 'middle'"):
        ct.searchsorted(ct.dvector("a"), 1.0, side="middle")


def test_bins_are_numpys():
    x, edges = random((2, 5), low=-3, high=3), np.array([-2.0, -1.0, 0.0, 1.0])
    x[0, :2] = -2.0, 0.0
    for right in (False, True):
        assert_array_equal(evaluate(lambda a, e, r=right: ct.digitize(a, e, r), x, edges), np.digitize(x, edges, right))


@pytest.mark.parametrize("backend", available_backends())
def test_counts_are_numpys(backend):
    x, w = np.array([3, 0, 3, 1]), random(4)
    assert_array_equal(evaluate(ct.bincount, x, backend=backend), np.bincount(x))
    assert_allclose(evaluate(ct.bincount, x, w, backend=backend), np.bincount(x, w))
    got = evaluate(lambda a: ct.bincount(a, minlength=9), x.astype("uint8"), backend=backend)
    assert_array_equal(got, np.bincount(x, minlength=9))
    assert_array_equal(evaluate(ct.bincount, x[:0], backend=backend), np.bincount(x[:0]))


@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint64"])
def test_counts_of_every_dtype_of_integers_are_numpys(backend, dtype):
    for x in ([], [0], [0, 0, 2], [100, 7, 100, 0]):
        array = np.array(x, dtype)
        got = evaluate(lambda a: [ct.bincount(a), ct.bincount(a, minlength=3)], array, backend=backend)
        for found, least in zip(got, (0, 3), strict=True):
            assert_array_equal(found, np.bincount(array.astype("int64"), minlength=least), strict=True)


@pytest.mark.parametrize("backend", available_backends())
def test_a_negative_number_cannot_be_counted(backend):
    with pytest.raises(IndexOutOfBounds):
        evaluate(ct.bincount, np.array([3, -1]), backend=backend)


def test_counting_needs_a_vector_of_integers():
    with pytest.raises(DTypeError, match="bincount needs integers, got x of dtype float64"):
        ct.bincount(ct.dvector("x"))
    with pytest.raises(ShapeError, match="bincount needs a vector, but x has ndim=2"):
        ct.bincount(ct.lmatrix("x"))


@pytest.mark.parametrize(
    "how", [{}, {"bins": 4}, {"bins": 5, "range": (-1.0, 2.0)}, {"bins": np.array([-1.0, 0.0, 0.1, 1.0])}]
)
def test_histograms_are_numpys(how):
    x = np.concatenate([random(30), [-1.0, 1.0, 0.0, 0.1]])
    counts, edges = evaluate(lambda a: ct.histogram(a, **how), x)
    wanted, wanted_edges = np.histogram(x, **how)
    assert_array_equal(counts, wanted)
    assert_allclose(edges, wanted_edges, atol=1e-15)


def test_a_histogram_of_equal_numbers_has_bins_all_the_same():
    counts, edges = evaluate(lambda a: ct.histogram(a, 2), np.full(3, 5.0))
    assert_array_equal(counts, np.histogram(np.full(3, 5.0), 2)[0])
    assert_allclose(edges, [4.5, 5.0, 5.5])


@pytest.mark.parametrize("values", [[], [3], [5, 1, 1, 9]])
def test_membership_is_numpys(values):
    x, values = np.array([[1, 2], [9, 0]]), np.array(values, "int64")
    for static in (False, True):
        assert_array_equal(evaluate(ct.isin, x, values, static=static), np.isin(x, values))
    assert_array_equal(evaluate(lambda a, v: ct.isin(a, v, invert=True), x, values), np.isin(x, values, invert=True))


def test_lines_through_points_are_numpys():
    xp, fp = np.array([0.0, 1.0, 1.5, 4.0]), random(4, seed=1)
    x = np.array([[-1.0, 0.0, 0.4], [1.0, 1.5, 3.0], [4.0, 5.0, np.nan]])
    assert_allclose(evaluate(ct.interp, x, xp, fp), np.interp(x, xp, fp), rtol=1e-14)
    assert_allclose(evaluate(lambda *a: ct.interp(*a, left=-9, right=9), x, xp, fp), np.interp(x, xp, fp, -9, 9))
    assert_allclose(evaluate(ct.interp, x[:2], xp[:1], fp[:1]), np.interp(x[:2], xp[:1], fp[:1]))


def test_a_line_through_points_can_be_differentiated_by_place_and_height():
    x, xp, fp = np.array([0.2, 1.2, 3.3]), np.array([0.0, 1.0, 1.5, 4.0]), random(4, seed=1)
    check_derivatives(lambda a, f: ct.interp(a, xp, f), x, fp)


def test_places_have_no_derivative():
    x = ct.dvector("x")
    with pytest.raises(core.errors.DisconnectedInputError):
        core.grad(ct.searchsorted(x, 0.5).astype("float64"), x)
