"""Softmax, log_softmax, logsumexp, norms and losses, against NumPy formulas that are accurate in double precision."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import core
import core.tensor as ct
from core.errors import ArgumentError, AxisError, DTypeError, IndexOutOfBounds, ShapeError
from core.testing import available_backends, check_derivatives, check_op, evaluate, random

INF, NAN = np.inf, np.nan


def np_softmax(x, axis):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def np_logsumexp(x, axis, keepdims=False):
    m = x.max(axis, keepdims=True)
    m = np.where(np.isfinite(m), m, 0)
    out = np.log(np.exp(x - m).sum(axis, keepdims=True)) + m
    return out if keepdims else np.asarray(out.squeeze(axis))


def np_log_softmax(x, axis):
    m = x.max(axis, keepdims=True)
    m = np.where(np.isfinite(m), m, 0)
    return (x - m) - np.log(np.exp(x - m).sum(axis, keepdims=True))


THREE = [(ct.softmax, np_softmax), (ct.log_softmax, np_log_softmax), (ct.logsumexp, np_logsumexp)]
SHAPES = [
    ((3, 4), -1),
    ((3, 4), 0),
    ((3, 4), None),
    ((2, 3, 4), (0, 2)),
    ((5,), 0),
    ((1,), 0),
    ((0, 4), 1),
    ((4, 1), 1),
    ((), None),
]


@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize("function, expected", THREE)
@pytest.mark.parametrize("shape, axis", SHAPES)
def test_softmax_and_its_kin_match_numpy(backend, function, expected, shape, axis):
    x = 3 * random(shape)
    got = evaluate(lambda x: function(x, axis=axis), x, backend=backend)
    assert_allclose(got, expected(np.asarray(x), axis), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("function", [ct.softmax, ct.log_softmax, ct.logsumexp])
@pytest.mark.parametrize("shape, axis", SHAPES)
def test_softmax_and_its_kin_keep_the_contract(function, shape, axis):
    check_op(lambda x: function(x, axis=axis), 3 * random(shape), backends=())


ROWS = [
    [INF, 1, 2],
    [-INF, 1, 2],
    [-INF, -INF, -INF],
    [INF, -INF, 0],
    [NAN, 1, 2],
    [1e308, -1e308, 0],
    [1000, 1000, 999],
    [INF, INF, 0],
]


@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize("function, expected", THREE)
@pytest.mark.parametrize("row", ROWS)
def test_rows_with_infinities_are_right(backend, function, expected, row):
    x = np.array([row, [0, 1, 2]], "float64")
    with np.errstate(all="ignore"):
        wanted = expected(x, -1)
    assert_allclose(evaluate(lambda x: function(x, axis=-1), x, backend=backend), wanted, rtol=1e-13)
    check_op(lambda x: function(x, axis=-1), x, derivatives=False, backends=())


def test_logsumexp_of_nothing_but_minus_infinity_is_minus_infinity():
    assert evaluate(ct.logsumexp, np.full(3, -INF)) == -INF


@pytest.mark.parametrize("backend", available_backends())
def test_the_gradient_of_logsumexp_of_nothing_but_minus_infinity_is_zero(backend):
    x = np.array([[-INF, -INF], [-INF, 0], [NAN, -INF]])
    slope = evaluate(lambda x: core.grad(ct.logsumexp(x, axis=1).sum(), x), x, backend=backend)
    assert_allclose(slope, [[0, 0], [0, 1], [NAN, NAN]])


def test_a_forbidden_state_of_a_chain_in_logarithms_has_no_part_in_the_gradient():
    stay = np.array([[0.5, 0.5], [0, 1]])  # from the second state nothing leads to the first, and none starts there

    def total(logp):
        alpha = ct.constant([0, -INF])
        for _ in range(3):
            alpha = ct.logsumexp(alpha[:, None] + logp + np.array([[0, -INF], [-INF, 0]]), axis=0)
        return ct.logsumexp(alpha)

    assert_allclose(
        evaluate(lambda x: core.grad(total(x), x), np.log(stay, where=stay > 0, out=stay - 2)), [[3, 0], [0, 0]]
    )


def test_logsumexp_can_keep_its_axes():
    x = random((3, 4))
    assert_allclose(
        evaluate(lambda x: ct.logsumexp(x, 1, keepdims=True), x), np_logsumexp(x, 1, keepdims=True), rtol=1e-13
    )


@pytest.mark.parametrize(
    "dtype, out", [("float16", "float16"), ("float32", "float32"), ("int8", "float16"), ("int64", "float64")]
)
@pytest.mark.parametrize("function, expected", THREE)
def test_the_dtype_is_that_of_exp(function, expected, dtype, out):
    x = random((3, 40), dtype, low=-3, high=3)
    got = evaluate(lambda x: function(x, axis=-1), x)
    assert got.dtype == out
    tolerance = {"float16": 2e-3, "float32": 1e-6, "float64": 1e-13}[out]
    assert_allclose(got, expected(x.astype("float64"), -1), rtol=tolerance, atol=tolerance)


def test_softmax_has_second_derivatives():
    check_derivatives(lambda x: ct.Softmax(-1).grad([x], [x * x]), random((2, 3)))


@pytest.mark.parametrize("function", [ct.softmax, ct.log_softmax, ct.logsumexp])
def test_softmax_and_its_kin_reject_what_they_cannot_take(function):
    with pytest.raises(DTypeError, match=r"needs real numbers, got z of dtype complex128"):
        function(ct.zvector("z"), axis=0)
    with pytest.raises(AxisError, match=r"needs -1 <= axis < 1, because x has ndim=1"):
        function(ct.vector("x"), axis=1)
    with pytest.raises(ShapeError, match=r"of an empty axis does not exist: got length 0"):
        function(ct.tensor("x", dtype="float64", shape=(3, 0)), axis=1)
    with pytest.raises(ShapeError, match=r"of an empty axis does not exist: got length 0"):
        evaluate(lambda x: function(x, axis=1), random((3, 0)))


# --- layer_norm and norm -------------------------------------------------------------------------------------------


def np_layer_norm(x, axis, eps=1e-5):
    return (x - x.mean(axis, keepdims=True)) / np.sqrt(x.var(axis, keepdims=True) + eps)


@pytest.mark.parametrize("shape, axis", [((3, 4), -1), ((3, 4), 0), ((2, 3, 4), (1, 2)), ((3, 1), 1)])
def test_layer_norm_matches_numpy(shape, axis):
    x = random(shape)
    got = evaluate(lambda x: ct.layer_norm(x, axis, eps=1e-3), x)
    assert_allclose(got, np_layer_norm(x, axis, 1e-3), rtol=1e-12, atol=1e-12)
    check_op(lambda x: ct.layer_norm(x, axis, eps=1e-3), x, backends=())


def test_layer_norm_scales_and_moves():
    x, w, b = random((3, 4)), random((4,), seed=1), random((4,), seed=2)

    def normed(x, w, b):
        return ct.layer_norm(x, weight=w, bias=b)

    assert_allclose(evaluate(normed, x, w, b), np_layer_norm(x, -1) * w + b, rtol=1e-12, atol=1e-12)
    check_derivatives(normed, x, w, b)


@pytest.mark.parametrize("ord", [None, 1, 2, 3, 0.5, -1, 0, INF, -INF])
def test_norm_matches_numpy(ord):
    x = random((3, 4))
    assert_allclose(evaluate(lambda x: ct.norm(x, ord, 1), x), np.linalg.norm(x, ord, 1), rtol=1e-12)
    if ord != 0:
        check_derivatives(lambda x: ct.norm(x, ord, 1), x)


def test_norm_takes_numbers_alone_as_its_order():
    x = ct.dvector("x")
    with pytest.raises(ArgumentError, match="needs a number or None as ord, got 'fro'"):
        ct.norm(x, "fro")
    assert evaluate(lambda x: ct.norm(x, np.int64(1)), np.array([1.0, -2.0])) == 3.0


def test_norm_of_all_elements_matches_numpy():
    x = random((3, 4), "complex128")
    assert_allclose(evaluate(ct.norm, x), np.linalg.norm(x), rtol=1e-12)
    assert evaluate(lambda x: ct.norm(x, keepdims=True), x).shape == (1, 1)


# --- losses --------------------------------------------------------------------------------------------------------

P, Q, CLASSES = np_softmax(random((3, 4)), -1), np_softmax(random((3, 4), seed=1), -1), np.array([0, 3, 1])


@pytest.mark.parametrize(
    "function, expected, arguments",
    [
        (ct.categorical_crossentropy, -np.log(P)[np.arange(3), CLASSES], (P, CLASSES)),
        (ct.categorical_crossentropy, -(Q * np.log(P)).sum(-1), (P, Q)),
        (ct.softmax_crossentropy, -np_log_softmax(5 * P, -1)[np.arange(3), CLASSES], (5 * P, CLASSES)),
        (ct.softmax_crossentropy, -(Q * np_log_softmax(P, -1)).sum(-1), (P, Q)),
        (ct.binary_crossentropy, -(Q * np.log(P) + (1 - Q) * np.log(1 - P)), (P, Q)),
        (ct.sigmoid_binary_crossentropy, np.log1p(np.exp(P)) - P * Q, (P, Q)),
    ],
)
def test_losses_match_numpy(function, expected, arguments):
    assert_allclose(evaluate(function, *arguments), expected, rtol=1e-12)
    check_derivatives(function, *arguments)


def test_losses_of_large_scores_are_finite():
    scores = np.array([[1e4, -1e4]])
    assert_allclose(evaluate(ct.softmax_crossentropy, scores, np.array([1])), [2e4])
    assert_allclose(evaluate(ct.sigmoid_binary_crossentropy, scores, np.array([[0.0, 1.0]])), [[1e4, 1e4]])


def test_losses_need_classes_that_fit():
    with pytest.raises(
        ShapeError, match="categorical_crossentropy needs two tensors of one ndim, or a matrix and a vector of int"
    ):
        ct.categorical_crossentropy(ct.matrix("p"), ct.vector("t"))
    with pytest.raises(ShapeError, match="softmax_crossentropy needs two tensors of one ndim"):
        ct.softmax_crossentropy(ct.tensor3("p"), ct.lvector("t"))
    with pytest.raises(IndexOutOfBounds, match="out of bounds"):
        evaluate(ct.softmax_crossentropy, random((2, 3)), np.array([0, 3]))
