"""einsum against NumPy's: values, derivatives, and which products it is made of."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import core.tensor as ct
from core.errors import ArgumentError, ShapeError
from core.graph import toposort
from core.testing import available_backends, check_derivatives, evaluate, random

CASES = [
    ("ij,jk->ik", (2, 3), (3, 4)),
    ("ij,jk", (2, 3), (3, 4)),
    ("ii", (3, 3)),
    ("ii->i", (3, 3)),
    ("ij->ji", (2, 3)),
    ("ij->", (2, 3)),
    ("ba", (2, 3)),
    ("ijij->ij", (2, 3, 2, 3)),
    ("bij,bjk->bik", (5, 2, 3), (5, 3, 4)),
    ("ij,ij->", (2, 3), (2, 3)),
    ("i,j->ij", (2,), (3,)),
    ("ijk,kl,lm->ijm", (2, 3, 4), (4, 5), (5, 6)),
    ("bqhd,bkhd->bhqk", (2, 3, 4, 5), (2, 6, 4, 5)),
    ("ab,cd,ef->fdb", (2, 3), (4, 5), (6, 7)),
    ("i,i,i->", (4,), (4,), (4,)),
    ("abc,abd->cd", (2, 3, 4), (2, 3, 5)),
    ("ij,k->", (2, 3), (4,)),
    ("...ij,...jk->...ik", (7, 2, 3), (7, 3, 4)),
    ("...j,j->...", (2, 3, 4), (4,)),
    ("...,...", (3,), (3,)),
    ("i...->...", (2, 3)),
    ("ij,ij->ij", (2, 0), (2, 0)),
    ("ij,jk->ik", (2, 0), (0, 3)),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
@pytest.mark.parametrize("static", [False, True])
def test_sums_of_products_are_numpys(case, static):
    subscripts, *shapes = case
    arrays = [random(shape, seed=k) for k, shape in enumerate(shapes)]
    got = evaluate(lambda *xs: ct.einsum(subscripts, *xs), *arrays, static=static)
    assert_allclose(got, np.einsum(subscripts, *arrays), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("backend", available_backends())
def test_a_chain_is_right_on_every_backend(backend):
    arrays = [random((2, 3, 4)), random((4, 5)), random((5, 3))]
    got = evaluate(lambda *xs: ct.einsum("ijk,kl,lj->ij", *xs), *arrays, backend=backend)
    assert_allclose(got, np.einsum("ijk,kl,lj->ij", *arrays), rtol=1e-12)


def test_an_axis_that_is_known_to_have_length_1_broadcasts():
    arrays = [random((6, 1, 2, 3)), random((7, 3, 4))]
    got = evaluate(lambda a, b: ct.einsum("...ij,...jk->...ik", a, b), *arrays, static=True)
    assert_allclose(got, np.einsum("...ij,...jk->...ik", *arrays), rtol=1e-12)


def test_derivatives_are_those_of_its_steps():
    check_derivatives(lambda a, b: ct.einsum("bij,bjk->ki", a, b), random((2, 3, 4)), random((2, 4, 2)))


def test_a_contraction_is_a_product_of_matrices():
    a, b = ct.dtensor4("a"), ct.dtensor3("b")
    nodes = [str(node.op) for node in toposort([ct.einsum("abij,ijk->abk", a, b)])]
    assert nodes.count("Dot") == 1


def test_dtypes_promote_as_in_products():
    assert evaluate(lambda a, b: ct.einsum("i,i", a, b), np.ones(2, "int32"), np.ones(2, "float32")).dtype == "float64"


@pytest.mark.parametrize(
    "subscripts, message",
    [
        ("ij,jk->ik", "needs 2 operands, got 1"),
        ("ijk->i", "has 'ijk' for x, which has ndim=2"),
        ("ij->iz", "needs letters of its operands, each once, in the output"),
        ("ij->ii", "needs letters of its operands, each once, in the output"),
        ("i1->i", "has 'i1' for x"),
    ],
)
def test_subscripts_that_cannot_be_are_errors(subscripts, message):
    with pytest.raises(ArgumentError, match=message):
        ct.einsum(subscripts, ct.dmatrix("x"))


def test_lengths_of_one_letter_must_agree():
    with pytest.raises(ShapeError, match="needs one length for 'j', got 3 and 4"):
        ct.einsum("ij,jk->ik", ct.tensor("x", shape=(2, 3)), ct.tensor("y", shape=(4, 2)))


def test_subscripts_may_be_lists_of_numbers_behind_their_operands():
    a, b, c = random((3, 4)), random((4, 5)), random((2, 3, 4))
    assert_allclose(evaluate(lambda a, b: ct.einsum(a, [0, 1], b, [1, 2], [0, 2]), a, b), a @ b)
    assert_allclose(evaluate(lambda a, b: ct.einsum(a, [30, 1], b, [1, 2]), a, b), np.einsum(a, [30, 1], b, [1, 2]))
    assert_allclose(evaluate(lambda c: ct.einsum(c, [Ellipsis, 0], [0, Ellipsis]), c), np.einsum(c, [..., 0], [0, ...]))
    assert_allclose(evaluate(lambda a, b: ct.einsum("ij,jk", a, b, optimize="greedy"), a, b), a @ b)


def test_wrong_lists_of_subscripts_are_named():
    x = ct.dmatrix("x")
    with pytest.raises(ArgumentError, match="needs integers from 0 to 51 or '...' as labels, got 52"):
        ct.einsum(x, [0, 52])
    with pytest.raises(ArgumentError, match="needs its subscripts as text, or a list behind each operand"):
        ct.einsum(x, x)
