"""Names of temporaries: a user's name where there is one, else what it is."""

import re

import core.tensor as ct
from core.ir.definitions import Value
from core.ir.expr import Call, index, load
from core.ir.nests.wishes import wish

X, AT, J = Value("x", "float64"), index("i"), index("j")


def test_an_element_is_called_by_its_array_and_its_indices():
    assert wish(load(X, (AT, J), "float64"), {}) == "x_ij"
    assert wish(load(X, (AT + 1,), "float64"), {}) == "x_element"
    assert wish(load(X, (), "float64"), {}) == "x_value"


def test_a_function_is_called_by_what_it_is_of():
    assert wish(Call("exp", load(X, (AT,), "float64") * 2.0), {}) == "exp_x"
    assert wish(Call("exp", load(X, (AT,), "float64")), {Call("exp", load(X, (AT,), "float64")): X}) == "x"


def test_what_is_nothing_in_particular_has_no_name():
    assert wish(load(X, (AT,), "float64") + 1.0, {}) == ""


def test_names_that_a_user_gave_are_in_the_text(compiled, kernels):
    a, b = ct.vector("a"), ct.vector("b")
    odds = a / b
    odds.name = "odds"
    (kernel,) = kernels(compiled([a, b], ct.exp(odds) + odds))
    assert re.search(r"let odds = \(a\[i\] / b\[i\]\)", str(kernel))


def test_values_without_a_name_are_called_by_their_op(compiled, kernels):
    a, b = ct.vector("a"), ct.vector("b")
    (kernel,) = kernels(compiled([a, b], (a - b) * (a - b)))
    assert "let difference = (a[i] - b[i])" in str(kernel)


def test_two_temporaries_of_one_kernel_have_two_names(compiled, kernels):
    a, b = ct.vector("a"), ct.vector("b")
    (kernel,) = kernels(compiled([a, b], (a - b) * (a - b) + (b - 2 * a) * (b - 2 * a)))
    names = re.findall(r"let (\w+) =", str(kernel))
    assert len(names) == len(set(names)) and {"difference", "difference_2"} <= set(names)
