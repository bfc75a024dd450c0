"""Making elementwise ops: of functions of scalars, by name, from pickles; what each says of bad operands."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import core
import core.tensor as ct
from core.errors import ArgumentError, DTypeError, GradientError, ShapeError
from core.gradient import grad
from core.ir.expr import Call, Expr, load
from core.tensor.arithmetic import Cast
from core.tensor.elementwise import Elementwise, elementwise
from core.tensor.type import TensorType
from core.testing import available_backends, check_derivatives, evaluate, random


def test_static_lengths_are_broadcast_and_a_mismatch_names_both_operands():
    x, y = ct.tensor("x", shape=(3, None)), ct.tensor("y", shape=(1, 4))
    assert (x + y).type.shape == (3, 4)
    with pytest.raises(ShapeError, match=r"add cannot broadcast x with shape \(3, \?\) and z with shape \(2, 4\)"):
        x + ct.tensor("z", shape=(2, 4))


def test_an_op_needs_as_many_inputs_as_its_rule_has():
    with pytest.raises(ArgumentError, match="exp needs 1 input, got 2"):
        ct.exp(ct.vector("x"), ct.vector("y"))
    with pytest.raises(ArgumentError, match="where needs 3 inputs, got 2"):
        ct.where(ct.vector("x"), ct.vector("y"))


@pytest.mark.parametrize(
    "name, kinds, text",
    [
        ("subtract", ("bool", "bool"), r"subtract needs at least one operand that is not bool .* got bool and bool"),
        ("negative", ("bool",), r"negative needs an operand that is not bool \(use logical_not\), got bool"),
        ("positive", ("bool",), "positive needs an operand that is not bool, got bool"),
        ("sign", ("bool",), "sign needs an operand that is not bool, got bool"),
        ("floor_divide", ("complex64", "int8"), "floor_divide needs real operands, got complex64 and int8"),
        ("bitwise_and", ("float64", "int8"), "bitwise_and needs bool or integers .*, got float64 and int8"),
        (
            "left_shift",
            ("uint64", "int64"),
            "left_shift needs bool or integers of one common integer dtype, got uint64 and int64",
        ),
        ("invert", ("float32",), "invert needs bool or integers, got float32"),
        ("erf", ("complex128",), "erf needs real operands, got complex128"),
    ],
)
def test_a_dtype_that_an_op_does_not_take_is_named(name, kinds, text):
    with pytest.raises(DTypeError, match=text):
        getattr(ct, name)(*(TensorType(dtype, 1)() for dtype in kinds))


def test_a_dtype_error_shows_the_users_line():
    x = ct.vector("x")
    with pytest.raises(DTypeError, match=r'x was made at .*test_elementwise_building\.py:\d+: x = ct\.vector\("x"\)'):
        x & True


def test_dtype_casts_the_inputs_first():
    assert ct.add(ct.ivector("x"), ct.ivector("y"), dtype="float32").dtype == "float32"


def test_ops_are_found_again_by_pickle():
    for op in (ct.exp, ct.where, Cast("float32")):
        again = pickle.loads(pickle.dumps(op))
        assert again == op
        assert hash(again) == hash(op)
    assert Cast("float32") != Cast("float64")


def test_an_op_called_on_scalar_expressions_is_its_rule():
    x = load("x", (), "float64")
    assert isinstance(ct.exp(x), Expr)
    assert ct.cast(x, "float32").dtype == "float32"
    assert ct.where(x > 0, 1.0, x).dtype == "float64"


def test_a_rule_without_derivative_is_differentiated_step_by_step():
    @elementwise
    def bump(x):
        return ct.exp(-ct.square(x)) * Call("sin", x)

    assert isinstance(bump, Elementwise)
    check_derivatives(bump, random((3, 4)))


def test_a_c_function_without_an_op_needs_a_derivative():
    @elementwise
    def next_up(x):
        return Call("nextafter", x, x)

    with pytest.raises(ArgumentError, match="no elementwise op computes the C99 function 'nextafter', so a rule"):
        next_up.grad([ct.vector("x")], [ct.vector("g")])


def test_derivative_and_differential_exclude_each_other():
    with pytest.raises(ArgumentError, match="@elementwise takes derivative or differential, not both"):
        elementwise(lambda x: x, derivative=lambda x: [1], differential=lambda d, x: [d])


def test_aliases_are_the_same_op():
    for alias, name in (
        ("sub", "subtract"),
        ("mul", "multiply"),
        ("true_div", "true_divide"),
        ("int_div", "floor_divide"),
    ):
        assert getattr(ct, alias) is getattr(ct, name)
    for alias, name in (
        ("eq", "equal"),
        ("neq", "not_equal"),
        ("lt", "less"),
        ("ge", "greater_equal"),
        ("switch", "where"),
    ):
        assert getattr(ct, alias) is getattr(ct, name)


def test_every_elementwise_op_of_ct_has_a_docstring():
    ops = [value for name, value in vars(ct).items() if isinstance(value, Elementwise)]
    assert len(ops) > 90
    assert [op.name for op in ops if not op.__doc__] == []


@pytest.mark.parametrize("derivative", [lambda x, y: [x], lambda x, y: x * y])
def test_a_derivative_of_another_form_is_refused_with_the_name_of_the_op(derivative):
    @elementwise(derivative=derivative)
    def times(x, y):
        return x * y

    x = ct.dvector("x")
    with pytest.raises(GradientError, match="derivative given to times must return a list of 2 partial derivatives"):
        grad(times(x, x + 1).sum(), x)


def test_a_negative_constant_is_no_exponent_of_integers():
    i = ct.vector("i", dtype="int64")
    with pytest.raises(DTypeError, match=r"power of integers needs exponents >= 0, got i of dtype int64 \*\* -1"):
        i**-1
    assert (i**-1.0).dtype == "float64"
    assert_array_equal(evaluate(lambda x: x ** np.array([0, 2]), np.array([3, 3])), [1, 9])


@pytest.mark.parametrize("backend", available_backends())
def test_a_negative_exponent_of_an_integer_is_refused_when_it_comes(backend):
    x, y, s = ct.lvector("x"), ct.lvector("y"), ct.iscalar("s")
    f = core.function([x, y], [2 * x**y, (x**y).sum()], backend=backend)
    g, h = core.function([x, s], x**s, backend=backend), core.function([s], s**s, backend=backend)
    assert_array_equal(f([2, 3, 0], [3, 0, 0])[0], [16, 2, 2])
    for bad in (lambda: f([2, 3], [3, -1]), lambda: g([2, 3], -2), lambda: h(-1)):
        with pytest.raises(ValueError, match="Integers to negative integer powers are not allowed"):
            bad()
    assert_array_equal(f([2], [5])[0], [64])
    assert_array_equal(g([2, 3], 2), [4, 9])
    assert g([], -2).shape == f([], [])[0].shape == (0,)
    assert_array_equal(evaluate(lambda x, y: x**y, np.uint8([7]), np.uint8([3]), backend=backend), np.uint8([87]))
