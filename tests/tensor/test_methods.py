"""Operators and methods of variables against those of numpy.ndarray."""

import math
import operator

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import core.tensor as ct
from core.errors import ArgumentError, DTypeError
from core.tensor.methods import Operators, install
from core.tensor.type import TensorVariable, constant
from core.testing import check_derivatives, evaluate, random

ARITHMETIC = ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow"]
COMPARISONS = ["lt", "le", "gt", "ge"]
BITS = ["and_", "or_", "xor", "lshift", "rshift"]


@pytest.mark.parametrize("name", ARITHMETIC + COMPARISONS)
def test_an_operator_works_between_variables_numbers_and_arrays(name):
    op = getattr(operator, name)
    x, y = random((3, 4), low=0.5, high=2), random((4,), seed=1, low=0.5, high=2)
    assert_allclose(evaluate(op, x, y), op(x, y))
    assert_allclose(evaluate(lambda v: op(v, 1.5), x), op(x, 1.5))
    assert_allclose(evaluate(lambda v: op(1.5, v), x), op(1.5, x))
    assert_allclose(evaluate(lambda v: op(v, y), x), op(x, y))
    assert_allclose(evaluate(lambda v: op(x, v), y), op(x, y))


@pytest.mark.parametrize("name", BITS)
def test_a_bit_operator_works_from_both_sides(name):
    op = getattr(operator, name)
    x, y = np.array([5, 12, 255]), np.array([3, 1, 7])
    assert_array_equal(evaluate(op, x, y), op(x, y))
    assert_array_equal(evaluate(lambda v: op(v, 2), x), op(x, 2))
    assert_array_equal(evaluate(lambda v: op(100, v), y), op(100, y))


@pytest.mark.parametrize("op", [operator.neg, operator.pos, abs, round, math.floor, math.ceil, math.trunc])
def test_a_unary_operator_matches_numpy(op):
    reference = {round: np.rint, math.floor: np.floor, math.ceil: np.ceil, math.trunc: np.trunc}.get(op, op)
    x = np.array([-1.5, -0.2, 0.5, 2.7])
    assert_array_equal(evaluate(op, x), reference(x))


def test_invert_and_divmod_work_as_operators():
    x = np.array([5, -7, 0])
    assert_array_equal(evaluate(operator.invert, x), ~x)
    assert_array_equal(evaluate(lambda v: divmod(v, 3)[1], x), x % 3)
    assert_array_equal(evaluate(lambda v: divmod(3, v)[0], x), [0, -1, 0])


def test_matmul_works_from_both_sides():
    x, y = random((3, 4)), random((4, 2), seed=1)
    assert_allclose(evaluate(operator.matmul, x, y), x @ y)
    assert_allclose(evaluate(lambda v: x @ v, y), x @ y)


def test_equality_is_identity_so_that_variables_can_be_keys():
    x, y = ct.vector("x"), ct.vector("x")
    assert x == x
    assert x != y
    assert {x: 1}[x] == 1
    assert ct.eq(x, y).dtype == "bool"


def test_a_numpy_array_on_the_left_leaves_the_operation_to_the_variable():
    assert isinstance(np.ones(3) + ct.vector("x"), TensorVariable)
    assert isinstance(np.float32(2) * ct.fvector("x"), TensorVariable)
    assert (np.float32(2) * ct.fvector("x")).dtype == "float32"


# --- methods -------------------------------------------------------------------------------------------------------

METHODS = [
    ("sum", lambda x: x.sum()),
    ("sum along an axis", lambda x: x.sum(axis=1, keepdims=True)),
    ("sum in another dtype", lambda x: x.sum(axis=0, dtype="float32")),
    ("prod", lambda x: x.prod(axis=(0, 2))),
    ("mean", lambda x: x.mean(-1)),
    ("var", lambda x: x.var(axis=1, ddof=1)),
    ("std", lambda x: x.std(axis=0)),
    ("max", lambda x: x.max(axis=0)),
    ("min", lambda x: x.min(keepdims=True)),
    ("argmax", lambda x: x.argmax(axis=2)),
    ("argmin", lambda x: x.argmin()),
    ("any", lambda x: (x > 0.9).any(axis=1)),
    ("all", lambda x: (x > -2).all()),
    ("reshape", lambda x: x.reshape(4, -1)),
    ("reshape to a tuple", lambda x: x.reshape((6, 4))),
    ("reshape to one length", lambda x: x.reshape(24)),
    ("flatten", lambda x: x.flatten()),
    ("ravel", lambda x: x.ravel()),
    ("transpose", lambda x: x.transpose()),
    ("transpose to an order", lambda x: x.transpose(2, 0, 1)),
    ("transpose to a tuple", lambda x: x.transpose((1, 0, 2))),
    ("T", lambda x: x.T),
    ("mT", lambda x: np.swapaxes(x, -1, -2) if isinstance(x, np.ndarray) else x.mT),
    ("swapaxes", lambda x: x.swapaxes(0, 2)),
    ("squeeze", lambda x: x[:1].squeeze(0)),
    ("astype", lambda x: x.astype("float32")),
    ("clip", lambda x: x.clip(-0.5, 0.5)),
    ("round", lambda x: x.round(1)),
    ("take", lambda x: x.take([2, 0], axis=1)),
    ("copy", lambda x: x.copy()),
    ("dot", lambda x: x.dot(np.arange(4.0))),
    ("repeat", lambda x: x.repeat(2, axis=0)),
    ("diagonal", lambda x: x.diagonal(1, 0, 2)),
    ("trace", lambda x: x.trace(0, 1, 2)),
    ("cumsum", lambda x: x.cumsum(axis=1)),
    ("cumsum of all", lambda x: x.cumsum()),
    ("cumprod", lambda x: x.cumprod(axis=-1)),
    ("getitem", lambda x: x[1, ::2, -1]),
    ("real", lambda x: x.real),
    ("imag", lambda x: x.imag),
    ("conj", lambda x: x.conj()),
    ("conjugate", lambda x: x.conjugate()),
]


@pytest.mark.parametrize("method", [pytest.param(call, id=name) for name, call in METHODS])
def test_a_method_matches_that_of_ndarray(method):
    x = random((2, 3, 4))
    expected = np.asarray(method(x))
    got = evaluate(method, x)
    assert got.dtype == expected.dtype
    assert_allclose(got, expected, rtol=2e-6 if expected.dtype == "float32" else 1e-12)


def test_ptp_nonzero_and_dimshuffle_match_numpy():
    x = np.array([[0.0, 2.0], [3.0, 0.0]])
    assert_array_equal(evaluate(lambda v: v.ptp(axis=0), x), np.ptp(x, axis=0))
    assert_array_equal(evaluate(lambda v: list(v.nonzero()), x), x.nonzero())
    assert_array_equal(evaluate(lambda v: v.dimshuffle(1, "x", 0), x), x.T[:, None])


def test_zeros_like_and_ones_like_have_the_shape_of_the_variable():
    x = random((2, 3))
    assert_array_equal(evaluate(lambda v: [v.zeros_like(), v.ones_like()], x), [np.zeros((2, 3)), np.ones((2, 3))])


def test_fill_gives_the_value_at_the_shape_of_the_variable():
    assert_array_equal(evaluate(lambda v: v.fill(2.5), random((2, 3))), np.full((2, 3), 2.5))
    check_derivatives(lambda v, w: v.fill(w), random((2, 3)), np.array(1.5))


def test_shape_is_a_tuple_with_constants_where_lengths_are_known():
    x = ct.tensor("x", shape=(None, 3))
    unknown, known = x.shape
    assert unknown.dtype == known.dtype == "int64"
    assert int(known) == 3
    assert_array_equal(evaluate(lambda v: [v.shape[0], v.size], random((5, 3))), [5, 15])


def test_a_constant_of_ndim_zero_is_a_python_number():
    assert int(constant(3)) == 3
    assert operator.index(constant(3, dtype="int8")) == 3
    assert float(constant(2.5)) == 2.5
    assert complex(constant(1j)) == 1j
    assert list(range(constant(2))) == [0, 1]
    assert constant([7]).item() == 7


@pytest.mark.parametrize(
    "convert, value, text",
    [
        (int, [1], r"int\(\) needs a constant of ndim=0 and a dtype that fits, got \[1\] of dtype int64, ndim=1"),
        (operator.index, 1.0, r"operator\.index\(\) needs a constant of ndim=0 .*, got 1\.0 of dtype float64, ndim=0"),
        (float, 1j, r"float\(\) needs a constant of ndim=0 .*, got 1j of dtype complex128, ndim=0"),
    ],
)
def test_other_constants_are_no_python_numbers(convert, value, text):
    with pytest.raises(DTypeError, match=text):
        convert(constant(value))


def test_install_gives_operators_to_any_class():
    class Expression:
        def __apply_op__(self, op, inputs):
            return op.name

    install(Expression)
    assert Expression() + 1 == "add"
    assert 2 ** Expression() == "power"
    assert (Expression() > 0) == "greater"


def test_every_method_is_on_variables():
    for name in vars(Operators):
        assert hasattr(TensorVariable, name)


def test_an_assignment_to_an_element_says_what_does_it():
    x = ct.vector("x")
    with pytest.raises(ArgumentError, match=r"an element of x cannot be assigned.*set_subtensor\(x\[...\], value\)"):
        x[0] = 1.0


@pytest.mark.parametrize("kind", [int, float, complex])
def test_something_symbolic_is_no_number(kind):
    with pytest.raises(DTypeError, match=rf"x is symbolic and no number, so {kind.__name__}\(\) cannot take it"):
        kind(ct.scalar("x"))


def test_elements_are_set_and_increased_by_methods_of_what_was_read():
    x = random(4)
    assert_array_equal(evaluate(lambda a: a[1:3].set(7.0), x), [x[0], 7, 7, x[3]])
    assert_allclose(evaluate(lambda a: a[np.array([0, 0])].inc(1.0), x), [x[0] + 2, *x[1:]])


@pytest.mark.parametrize("name", ["asin", "acos", "atan", "asinh", "atanh", "cumulative_sum", "cumulative_prod"])
def test_names_of_the_array_api_are_numpys(name):
    x = random(3, low=0.1, high=0.9)
    assert_allclose(evaluate(getattr(ct, name), x), getattr(np, name)(x), rtol=1e-14)


def test_more_names_of_the_array_api():
    assert ct.acosh is ct.arccosh
    assert ct.atan2 is ct.arctan2
    assert ct.concat is ct.concatenate
    assert ct.permute_dims is ct.transpose


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x.argpartition(2),
        lambda x: x[0].searchsorted([0.5, 2.0]),
        lambda x: (x[0] > 0.5).astype("int64").choose([x[1], x[2]]),
        lambda x: x.compress(np.array([True, False, True]), axis=0),
        lambda x: x.itemsize * x.nbytes,
    ],
)
def test_methods_of_files_that_are_imported_when_they_are_used(call):
    x = np.sort(random((3, 4)), axis=None).reshape(3, 4)
    assert_array_equal(evaluate(call, x), call(x))


def test_norm_is_a_method_as_in_theano():
    x = random((3, 4))
    assert_allclose(evaluate(lambda x: x.norm(2, axis=1), x), np.linalg.norm(x, axis=1))


def test_variables_compare_themselves_and_with_arrays_their_elements():
    x, y, array = ct.dvector("x"), ct.dvector("y"), np.array([1.0, 2.0])
    assert (x == y) is False and (x == x) is True and (x == 1.0) is False
    for equal in (array == x, x == array, np.equal(x, array)):
        assert_array_equal(equal.eval({x: [1.0, 3.0]}), [True, False])


def test_a_partition_is_a_copy():
    x = random((5, 2))
    got = evaluate(lambda x: x.partition(2, axis=0), x)
    assert_array_equal(got[2], np.median(x, axis=0))


@pytest.mark.parametrize("low, high", [(None, 0.5), (-0.25, None), (-0.25, 0.5), (None, None)])
def test_clip_takes_none_for_no_bound_and_numpys_names(low, high):
    x = np.array([-1.0, 0.0, 1.0, np.nan])
    expected = x if low is high is None else x.clip(low, high)
    for clipped in (
        lambda x: x.clip(low, high),
        lambda x: ct.clip(x, low, high),
        lambda x: ct.clip(x, min=low, max=high),
        lambda x: ct.clip(x, a_min=low, a_max=high),
        lambda x: np.clip(x, low, high),
    ):
        assert_array_equal(evaluate(clipped, x), expected)
