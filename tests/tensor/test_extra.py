"""Functions that fewer programs use, against NumPy's: values on every backend, lengths unknown, ends, errors."""

import numpy as np
import pytest
import scipy.special
from numpy.testing import assert_allclose, assert_array_equal

import core
import core.tensor as ct
from core.errors import ArgumentError, DTypeError, ShapeError
from core.testing import available_backends, check_op, random
from core.testing.values import as_list, symbolic

BACKENDS = sorted(available_backends(), reverse=True)  # c is the last
INF, NAN = np.inf, np.nan
V, W, M = random(7), random(4, seed=1), random((3, 5), seed=2)
REPEATED = np.array([3, 1, 2, 3, 1, 1, 7])
HOLES = np.array([[1.0, NAN, 3.0, -2.0, 5.0], [NAN] * 5, [4.0, 4.0, NAN, NAN, 0.0]])
INTS = np.array([12, -18, 0, 7, 64, -1])
FLOATS = np.array([0.0, -0.0, 1.0, -1.5, 5e-324, 1e-310, 1.7e308, INF, -INF, NAN, 3e-5, 1024.0])


def outputs(function, *arrays, backend, static=False):
    inputs = symbolic([np.asarray(a) for a in arrays], static)
    out = function(*inputs)
    many = isinstance(out, (list, tuple))
    f = core.function(inputs, as_list(out) if many else out, backend=backend, on_unused_input="ignore")
    return f(*arrays)


SAME = {  # name: the function of ct and of np, by their module, and arrays
    "convolve full": (lambda m, a, v: m.convolve(a, v), V, W),
    "convolve same": (lambda m, a, v: m.convolve(a, v, "same"), V, W),
    "convolve valid": (lambda m, a, v: m.convolve(a, v, "valid"), V, W),
    "convolve turned": (lambda m, a, v: m.convolve(a, v, "same"), W, V),
    "convolve turned valid": (lambda m, a, v: m.convolve(a, v, "valid"), W, V),
    "convolve odd": (lambda m, a, v: m.convolve(a, v, "same"), V, random(3)),
    "convolve of integers": (lambda m, a, v: m.convolve(a, v), INTS, INTS[:2]),
    "correlate valid": (lambda m, a, v: m.correlate(a, v), V, W),
    "correlate same": (lambda m, a, v: m.correlate(a, v, "same"), V, W),
    "correlate full": (lambda m, a, v: m.correlate(a, v, "full"), V, W),
    "correlate turned": (lambda m, a, v: m.correlate(a, v, "same"), W, V),
    "correlate turned full": (lambda m, a, v: m.correlate(a, v, "full"), W, V),
    "correlate complex": (lambda m, a, v: m.correlate(a, v, "full"), V + 1j, W - 2j),
    "bartlett": (lambda m: m.bartlett(7),),
    "hanning": (lambda m: m.hanning(8),),
    "hamming": (lambda m: m.hamming(1),),
    "blackman": (lambda m: m.blackman(5),),
    "kaiser": (lambda m: m.kaiser(9, 5.0),),
    "ediff1d": (lambda m, x: m.ediff1d(x, to_begin=-99.0, to_end=[88.0, 99.0]), M),
    "gradient": (lambda m, f: m.gradient(f), M),
    "gradient by one": (lambda m, f: m.gradient(f, 0.5, axis=1), M),
    "gradient of order 2": (lambda m, f: m.gradient(f, 0.5, axis=1, edge_order=2), M),
    "gradient at places": (lambda m, f, x: m.gradient(f, x, axis=1), M, np.array([0.0, 1, 3, 3.5, 9])),
    "gradient at places 2": (lambda m, f, x: m.gradient(f, x, axis=1, edge_order=2), M, np.array([0.0, 1, 3, 3.5, 9])),
    "unwrap": (lambda m, p: m.unwrap(p), np.array([0, 0.8, 1.6, 5.5, 6.3, 0.2, -9.0, 3.1, -3.2])),
    "unwrap by rows": (lambda m, p: m.unwrap(4 * p, axis=0, period=3.0), M),
    "polyval": (lambda m, p, x: m.polyval(p, x), W, M),
    "polyadd": (lambda m, p, q: m.polyadd(p, q), V, W),
    "polysub": (lambda m, p, q: m.polysub(p, q), W, V),
    "polymul": (lambda m, p, q: m.polymul(p, q), W, V),
    "polyder": (lambda m, p: m.polyder(p, 2), V),
    "polyint": (lambda m, p: m.polyint(p, 2, k=[1.0, 2.0]), V),
    "select": (lambda m, x: m.select([x < 0.3, x < 0.6], [x, x**2], -1.0), M),
    "choose": (lambda m, a, x, y: m.choose(a, [x, y, 7.0]), np.array([[0], [2], [1]]), M, M + 9),
    "choose wrap": (lambda m, a, x: m.choose(a, [x, x + 1], mode="wrap"), np.array([0, 3, -1, 1, 2]), M),
    "choose clip": (lambda m, a, x: m.choose(a, x, mode="clip"), np.array([0, 3, -1, 1, 2]), M),
    "compress": (lambda m, c, x: m.compress(c, x, axis=1), np.array([True, False, True]), M),
    "extract": (lambda m, x: m.extract(x > 0.4, x), M),
    "insert": (lambda m, x: m.insert(x, 2, 9.0, axis=1), M),
    "insert flat": (lambda m, x: m.insert(x, -1, 9.0), M),
    "insert rows": (lambda m, x, y: m.insert(x, 1, y, axis=0), M, random(5)),
    "insert several": (lambda m, x, y: m.insert(x, [5, 2, 2], y), V, np.array([-1.0, -2, -3])),
    "insert several columns": (lambda m, x: m.insert(x, [0, 5], 9.0, axis=1), M),
    "delete": (lambda m, x: m.delete(x, 2, axis=1), M),
    "delete last": (lambda m, x: m.delete(x, -1, axis=0), M),
    "delete slice": (lambda m, x: m.delete(x, slice(1, None, 2)), V),
    "delete several": (lambda m, x: m.delete(x, [0, -1, 0], axis=1), M),
    "resize": (lambda m, x: m.resize(x, (4, 6)), M),
    "resize smaller": (lambda m, x: m.resize(x, (2,)), M),
    "unique": (lambda m, x: m.unique(x), REPEATED),
    "unique with all": (lambda m, x: m.unique(x, True, True, True), REPEATED.reshape(7, 1)),
    "unique with NaN": (lambda m, x: m.unique(x, return_counts=True), HOLES),
    "unique of nothing": (lambda m, x: m.unique(x, True, True, True), np.empty(0)),
    "union1d": (lambda m, a, b: m.union1d(a, b), REPEATED, INTS),
    "setdiff1d": (lambda m, a, b: m.setdiff1d(a, b), REPEATED, INTS),
    "intersect1d": (lambda m, a, b: m.intersect1d(a, b), REPEATED, INTS),
    "setxor1d": (lambda m, a, b: m.setxor1d(a, b), REPEATED, INTS),
    "lexsort": (lambda m, a, b: m.lexsort([a, b]), V, REPEATED),
    "gcd": (lambda m, a, b: m.gcd(a, b), INTS[:, None], INTS),
    "lcm": (lambda m, a, b: m.lcm(a, b), INTS[:, None], INTS),
    "gcd of uint8": (lambda m, a, b: m.gcd(a, b), np.uint8([250, 0]), np.uint8([100, 5])),
    "bitwise_count": (lambda m, a: m.bitwise_count(a), INTS),
    "bitwise_count of int8": (lambda m, a: m.bitwise_count(a), np.int8([-128, 127, -1, 0])),
    "heaviside": (lambda m, x: m.heaviside(x, 0.5), FLOATS),
    "fabs": (lambda m, x: m.fabs(x), INTS),
    "fix": (lambda m, x: m.fix(x), FLOATS),
    "float_power": (lambda m, x: m.float_power(x, -2), np.array([1, 2, 4])),
    "frexp": (lambda m, x: m.frexp(x), FLOATS),
    "frexp of float32": (lambda m, x: m.frexp(x), np.float32([0, 1.5, 1e-45, 3e38, -7, INF, NAN])),
    "ldexp": (lambda m, x, i: m.ldexp(x, i), FLOATS[:, None], np.array([-2100, -1074, -60, -1, 0, 1, 1023, 2098])),
    "ldexp of float32": (
        lambda m, x, i: m.ldexp(x, i),
        np.float32([[1.5], [1e-45], [3e38]]),
        np.int32([-290, -149, -126, 0, 127, 270]),
    ),
    "ldexp at halves": (lambda m, x, i: m.ldexp(x, i), random(500) + 1, np.repeat(np.arange(-1080, -1030), 10)),
    "modf": (lambda m, x: m.modf(x), FLOATS),
    "nextafter": (lambda m, x, y: m.nextafter(x, y), FLOATS, 2.0 * np.ones(12)),
    "spacing": (lambda m, x: m.spacing(x), FLOATS[2:]),
    "cross": (lambda m, a, b: m.cross(a, b), random((4, 3)), random((1, 3))),
    "cross along 0": (lambda m, a, b: m.cross(a, b, axis=0), random((3, 4)), random((3, 4), seed=5)),
    "kron": (lambda m, a, b: m.kron(a, b), M, random((2, 2))),
    "kron of other ndim": (lambda m, a, b: m.kron(a, b), V, M),
    "matvec": (lambda m, a, b: m.matvec(a, b), random((2, 3, 5)), random(5)),
    "vecmat": (lambda m, a, b: m.vecmat(a, b), random(3) + 1j, M),
    "matrix_transpose": (lambda m, x: m.matrix_transpose(x), random((2, 3, 4))),
    "block": (lambda m, a, b: m.block([[a, b], [b, a]]), M, M + 1),
    "block of lines": (lambda m, a, b: m.block([a, b, 3.0]), V, W),
    "nanargmax": (lambda m, x: m.nanargmax(x, axis=1), HOLES[[0, 2]]),
    "nanargmin": (lambda m, x: m.nanargmin(x), HOLES),
    "nancumsum": (lambda m, x: m.nancumsum(x, axis=1), HOLES),
    "nancumprod": (lambda m, x: m.nancumprod(x), HOLES),
    "nanmedian": (lambda m, x: m.nanmedian(x, axis=1, keepdims=True), HOLES[[0, 2]]),
    "nanmedian of all": (lambda m, x: m.nanmedian(x), HOLES),
    "nanquantile": (lambda m, x: m.nanquantile(x, [0.1, 0.5, 1.0], axis=1), HOLES[[0, 2]]),
    "nanpercentile": (lambda m, x: m.nanpercentile(x, 30, axis=(0, 1)), HOLES),
    "argwhere": (lambda m, x: m.argwhere(x > 0.5), M),
    "around": (lambda m, x: m.around(x, 1), M),
    "array_split": (lambda m, x: m.array_split(x, 3), V),
    "diagflat": (lambda m, x: m.diagflat(x, 1), W),
    "diag_indices": (lambda m: m.diag_indices(4, 3),),
    "indices": (lambda m: m.indices((2, 3)),),
    "ix_": (lambda m, a, b: m.ix_(a, b), np.array([0, 2]), np.array([True, False, True, True])),
    "isreal": (lambda m, x: m.isreal(x), np.array([1 + 1j, 2 + 0j, 3])),
    "iscomplex": (lambda m, x: m.iscomplex(x), np.array([1 + 1j, 2 + 0j, 3])),
    "tril_indices_from": (lambda m, x: m.tril_indices_from(x), random((4, 4))),
    "triu_indices_from": (lambda m, x: m.triu_indices_from(x, 1), random((4, 4))),
    "apply_along_axis": (lambda m, x: m.apply_along_axis(lambda v: v.max() - v.min(), 1, x), random((2, 3, 4))),
    "apply_along_axis to vectors": (lambda m, x: m.apply_along_axis(lambda v: m.sort(v)[1:], 0, x), random((4, 3))),
}


@pytest.mark.parametrize("backend, static", [*((b, False) for b in BACKENDS), (BACKENDS[-1], True)])
@pytest.mark.parametrize("name", SAME)
def test_they_match_numpy(name, backend, static):
    """With lengths unknown on every backend, and known on one."""
    function, *arrays = SAME[name]
    with np.errstate(all="ignore"):
        expected = function(np, *arrays)
    got = outputs(lambda *xs: function(ct, *xs), *arrays, backend=backend, static=static)
    many = isinstance(expected, (tuple, list))
    for one, wanted in zip(got if many else [got], expected if many else [expected], strict=True):
        wanted = np.asarray(wanted)
        assert (one.dtype, one.shape) == (wanted.dtype, wanted.shape)
        assert_allclose(one, wanted, rtol=1e-12, atol=1e-14 if one.dtype.kind in "fc" and "exp" not in name else 0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_piecewise_chooses_the_last_condition_that_holds(backend):
    functions = [lambda x: -x, lambda x: x**2, 7.0]
    got = outputs(lambda x: ct.piecewise(x, [x < 0.5, x < 0.3], functions), M, backend=backend)
    assert_allclose(got, np.piecewise(M, [M < 0.5, M < 0.3], functions))
    with pytest.raises(ArgumentError, match="piecewise needs 1 functions or one more, got 3"):
        ct.piecewise(ct.vector("x"), [ct.vector("x") > 0], [1, 2, 3])


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_partition_has_its_element_in_place(backend):
    x = random((3, 9))
    got = outputs(lambda x: (ct.partition(x, 4), ct.argpartition(x, 4)), x, backend=backend)
    assert_array_equal(got[0][:, 4], np.partition(x, 4)[:, 4])
    assert_array_equal(np.take_along_axis(x, got[1], -1), got[0])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("axis", [0, -1])
def test_the_largest_come_first_and_the_first_of_equal_ones(backend, axis):
    x = np.array([[3, 1, 3, 2], [5, 5, 0, 5], [1, 1, 1, 1]])
    values, places = outputs(lambda x: ct.topk_and_argtopk(x, 2, axis), x, backend=backend)
    order = np.argsort(-x, axis=axis, kind="stable").take([0, 1], axis=axis)
    assert_array_equal(places, order)
    assert_array_equal(values, np.take_along_axis(x, order, axis))
    least = outputs(lambda x: ct.topk(x, -3, axis), x, backend=backend)
    assert_array_equal(least, np.sort(x, axis).take([0, 1, 2], axis=axis))
    with pytest.raises(ArgumentError, match="an int other than 0"):
        ct.topk(ct.vector("x"), 0)


def test_what_is_put_along_an_axis_is_what_numpy_puts():
    i = np.array([[0], [4], [2]])
    expected = M.copy()
    np.put_along_axis(expected, i, 9.0, axis=1)
    assert_array_equal(
        outputs(lambda x, i: ct.put_along_axis(x, i, 9.0, axis=1), M, i, backend="interpreter"), expected
    )


def test_whether_arrays_are_equal():
    x, y = ct.vector("x"), ct.vector("y")
    f = core.function([x, y], [ct.array_equal(x, y), ct.array_equal(x, ct.matrix("m"))], on_unused_input="ignore")
    assert f([1.0, 2], [1.0, 2]) == [True, False]
    assert f([1.0, 2], [1.0, 2, 3])[0] == f([1.0, 2], [1.0, 3])[0] == f([1.0], [])[0] == False  # noqa: E712
    assert f([], [])[0]


def test_names_of_theano():
    x, y = np.array([1.5, -2.5, 0.4]), np.array([2.0, -3.0, 0.3])
    assert_array_equal(ct.largest(x, y, 0.35).eval(), [2, 0.35, 0.4])
    assert_array_equal(ct.smallest(x, y).eval(), [1.5, -3, 0.3])
    assert_array_equal(ct.iround(x).eval(), [2, -3, 0])
    assert_array_equal(ct.round_half_to_even(x).eval(), [2, -2, 0])
    assert_array_equal(ct.ceil_intdiv(np.array([7, 8, -7]), 4).eval(), [2, 2, -1])
    assert_array_equal(ct.join(0, x, y).eval(), np.concatenate([x, y]))
    assert_array_equal([v.eval() for v in ct.max_and_argmax(x)], [1.5, 0])
    assert_array_equal(ct.inverse_permutation(np.array([2, 0, 1])).eval(), [1, 2, 0])
    assert_allclose(ct.complex_from_polar(2.0, np.pi / 2).eval(), 2j, atol=1e-15)
    assert_array_equal(ct.identity_like(M).eval(), np.eye(3, 5))
    assert_array_equal(ct.array([[ct.constant(1), 2], [3, 4]], "float32").eval(), [[1, 2], [3, 4]])


SMOOTH = {
    "convolve": (lambda a, v: ct.convolve(a, v, "same"), V, W),
    "correlate": (lambda a, v: ct.correlate(a, v, "full"), V, W),
    "gradient": (lambda f: ct.gradient(f, axis=1), M),
    "polyval": (lambda p, x: ct.polyval(p, x), W, M),
    "cross": (lambda a, b: ct.cross(a, b), random((2, 3)), random((2, 3), seed=4)),
    "kron": (lambda a, b: ct.kron(a, b), M, random((2, 2))),
    "topk": (lambda x: ct.topk(x, 2), M),
    "select": (lambda x: ct.select([x < 0.3, x < 0.6], [x, x**2], -1.0), M),
    "insert": (lambda x, y: ct.insert(x, [5, 2, 2], y), V, W[:3]),
    "delete": (lambda x: ct.delete(x, 2, axis=1), M),
    "resize": (lambda x: ct.resize(x, (4, 6)), M),
    "nanquantile": (lambda x: ct.nanquantile(x, 0.3, axis=1), M),
    "frexp": (lambda x: ct.frexp(x)[0], M),
    "ldexp": (lambda x: ct.ldexp(x, 3), M),
    "unwrap": (lambda x: ct.unwrap(9 * x), V),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_they_have_derivatives(name):
    function, *arrays = SMOOTH[name]
    check_op(function, *arrays, derivatives=True, backends=["interpreter"], variants=())


def test_wrong_operands_are_named():
    x, n = ct.vector("x"), ct.lvector("n")
    with pytest.raises(DTypeError, match="gcd needs integers, got float64"):
        ct.gcd(x, n)
    with pytest.raises(ShapeError, match="cross needs length 3 along axis -1"):
        ct.cross(np.ones(4), np.ones(3))
    with pytest.raises(ArgumentError, match="knows the modes 'full', 'same' and 'valid', got 'whole'"):
        ct.convolve(x, x, "whole")
    with pytest.raises(ShapeError, match="needs vectors that are not empty"):
        ct.convolve(np.ones((2, 2)), x)
    with pytest.raises(ArgumentError, match="select needs a choice for each condition"):
        ct.select([x > 0], [])
    with pytest.raises(DTypeError, match="select needs bools"):
        ct.select([n], [x])
    with pytest.raises(ArgumentError, match="unique takes values alone"):
        ct.unique(x, axis=0)
    with pytest.raises(ArgumentError, match="gradient needs one spacing or one for each of 1 axes"):
        ct.gradient(x, 1.0, 2.0)
    with pytest.raises(DTypeError, match="ldexp needs integers as exponents"):
        ct.ldexp(x, x)
    with pytest.raises(DTypeError, match="choose needs integers"):
        ct.choose(x, [x])
    with pytest.raises(ShapeError, match="block needs lists of equal depth"):
        ct.block([[x], x])


# --- NumPy's own functions --------------------------------------------------------------------------------------------


def test_functions_of_numpy_take_variables():
    x, m = ct.vector("x"), ct.matrix("m")
    calls = [
        lambda x, m: np.exp(x),
        lambda x, m: np.sum(m, axis=0),
        lambda x, m: np.concatenate([m, m], axis=1),
        lambda x, m: np.where(x > 0.5, x, 0.0),
        lambda x, m: np.ones(7) + x,
        lambda x, m: np.float32(2) * x,
        lambda x, m: np.maximum(x, 0.5),
        lambda x, m: np.clip(x, 0.2, 0.6),
        lambda x, m: np.reshape(m, (5, 3)),
        lambda x, m: np.mean(m),
        lambda x, m: np.matmul(m, np.ones(5)),
        lambda x, m: scipy.special.erf(x),
        lambda x, m: np.linspace(0, 1, 3) * np.sum(x),
        lambda x, m: np.stack([x, x]),
        lambda x, m: np.dot(m, np.ones(5)),
        lambda x, m: np.zeros_like(m),
    ]
    got = core.function([x, m], [call(x, m) for call in calls])(V, M)
    expected = [call(V, M) for call in calls]
    for one, wanted in zip(got, expected, strict=True):
        assert one.dtype == wanted.dtype
        assert_allclose(one, wanted, rtol=1e-14)
    assert np.ndim(m) == 2


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda x: np.exp(x, out=np.ones(7)), "np.exp of a tensor variable takes no out: use ct.exp"),
        (lambda x: np.add.reduce(x), "np.add.reduce does not take tensor variables: ct.sum"),
        (lambda x: np.linalg.norm(x), "np.linalg.norm takes no tensor variables: use core.ops.linalg.norm"),
        (lambda x: np.sum(x, out=np.ones(())), r"np.sum of tensor variables is ct.sum\(.*out"),
        (lambda x: np.packbits(x), "core.tensor has no function for the function np.packbits"),
        (lambda x: scipy.special.ellipk(x), "core.tensor has no function for the ufunc ellipk"),
    ],
    ids=["out", "reduce", "linalg", "arguments", "function", "ufunc"],
)
def test_what_is_not_taken_names_what_is(call, words):
    with pytest.raises(ArgumentError, match=words):
        call(ct.vector("x"))


def test_an_array_added_in_place_cannot_become_a_variable():
    array = np.ones(3)
    with pytest.raises(ArgumentError, match="takes no out"):
        array += ct.vector("x")
