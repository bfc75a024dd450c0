"""Stacks of small matrices in C, several at once in a vector register: values, bad matrices among good ones, errors."""

import numpy as np
import pytest

import core
import core.tensor as ct
import plugin_ops_linalg as linalg
from core.testing import available_backends

pytestmark = pytest.mark.skipif("c" not in available_backends(), reason="needs plugin-backend-c and a compiler")

OPS = {
    "cholesky": lambda a, b: [linalg.cholesky(a), linalg.cholesky(a, lower=False)],
    "inv": lambda a, b: [linalg.inv(a)],
    "det": lambda a, b: [linalg.det(a)],
    "slogdet": lambda a, b: list(linalg.slogdet(a)),
    "solve": lambda a, b: [linalg.solve(a, b)],
    "transposed": lambda a, b: [linalg.solve(linalg.matrix_transpose(a), b)],
    "triangular": lambda a, b: [
        linalg.solve_triangular(a, b, lower=lower, trans=trans, unit_diagonal=unit)
        for lower, trans, unit in ((True, 0, False), (False, 0, True), (True, 1, True), (False, 1, False))
    ],
    "factored": lambda a, b: [linalg.cho_solve((a, lower), b) for lower in (True, False)],
}


def compiled(op, a, b, static, backend="c"):
    shapes = [x.shape[-2:] if static else (None, None) for x in (a, b)]
    inputs = [
        ct.tensor(dtype=x.dtype.name, shape=(*(None,) * (x.ndim - 2), *shape))
        for x, shape in zip((a, b), shapes, strict=True)
    ]
    return core.function(inputs, op(*inputs), backend=backend, on_unused_input="ignore")


@pytest.mark.parametrize("static", [False, True], ids=["any length", "known length"])
@pytest.mark.parametrize("kind, tol", [("float64", 1e-9), ("float32", 2e-3)])
@pytest.mark.parametrize("name", OPS)
def test_stacks_of_small_matrices_are_those_of_the_interpreter(make, name, kind, tol, static):
    for n in (1, 3, 8, 9):
        whole = make.positive(37, n, n, dtype=kind), make.general(37, n, 2, dtype=kind)
        f, g = (compiled(OPS[name], *whole, static, backend) for backend in ("c", "interpreter"))
        for count in (0, 7, 16, 37):
            a, b = (x[:count] for x in whole)
            for mine, theirs in zip(f(a, b), g(a, b), strict=True):
                np.testing.assert_allclose(mine, theirs, rtol=tol, atol=tol * max(1, np.abs(theirs).max(initial=0)))


@pytest.mark.parametrize("part", [slice(1, None), slice(None, -1), slice(2, -3), slice(None, None, -2)], ids=str)
@pytest.mark.parametrize("name", OPS)
def test_a_part_of_a_stack_whose_length_is_an_expression(make, name, part):
    a, b = make.positive(3, 21, 4, 4), make.general(3, 21, 4, 2)
    f, g = (
        compiled(lambda a, b: OPS[name](a[..., part, :, :], b[..., part, :, :]), a, b, False, backend)
        for backend in ("c", "interpreter")
    )
    for count in (0, 1, 9, 21):
        for mine, theirs in zip(f(a[:, :count], b[:, :count]), g(a[:, :count], b[:, :count]), strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["solve", "det", "inv", "slogdet"])
def test_rows_are_exchanged_in_each_matrix_on_its_own(make, name):
    a, b = make.general(40, 5, 5), make.general(40, 5, 3)
    a[::3, 0, 0] = 0
    a[1::3] = a[1::3, ::-1]
    f, g = (compiled(OPS[name], a, b, True, backend) for backend in ("c", "interpreter"))
    for mine, theirs in zip(f(a, b), g(a, b), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    "lead_a, lead_b", [((), (20,)), ((20,), ()), ((3, 1), (1, 20)), ((3, 20), (20,)), ((20, 1), (1, 3))]
)
@pytest.mark.parametrize("name", ["solve", "triangular", "factored"])
def test_one_matrix_serves_a_stack(make, name, lead_a, lead_b):
    a, b = make.positive(*lead_a, 4, 4), make.general(*lead_b, 4, 2)
    f, g = (compiled(OPS[name], a, b, True, backend) for backend in ("c", "interpreter"))
    for mine, theirs in zip(f(a, b), g(a, b), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-9)


def test_many_right_hand_sides_are_solved_one_matrix_after_the_other(make):
    a, b = make.positive(20, 4, 4), make.general(20, 4, 9)
    np.testing.assert_allclose(compiled(OPS["solve"], a, b, True)(a, b)[0], np.linalg.solve(a, b))


@pytest.mark.parametrize("place", [0, 5, 11, 18])
@pytest.mark.parametrize("static", [False, True])
def test_a_bad_matrix_is_named_and_comes_first(make, place, static):
    a, b = make.positive(20, 3, 3), make.general(20, 3, 1)
    a[place, 1, 1] = -9
    with pytest.raises(linalg.LinAlgError, match=rf"order 2 is not positive \(shape \(3, 3\), matrix \({place},\)"):
        compiled(OPS["cholesky"], a, b, static)(a, b)
    a[place] = a[19] = 0
    with pytest.raises(linalg.LinAlgError, match=rf"pivot 0 is 0 \(shape \(3, 3\) and \(3, 1\), matrix \({place},\)"):
        compiled(OPS["solve"], a, b, static)(a, b)
    b[place, 2, 0] = np.inf
    with pytest.raises(linalg.LinAlgError, match=rf"input 1 is inf at \(2, 0\).*matrix \({place},\)"):
        compiled(OPS["solve"], a, b, static)(a, b)


def test_nan_takes_the_place_of_bad_matrices_alone(make):
    a, b = make.positive(37, 4, 4), make.general(37, 4, 2)
    bad = [0, 9, 10, 36]
    a[bad] = 0

    def op(a, b):
        return [linalg.cholesky(a, on_error="nan"), linalg.inv(a, on_error="nan"), linalg.solve(a, b, on_error="nan")]

    f, g = (compiled(op, a, b, True, backend) for backend in ("c", "interpreter"))
    for mine, theirs in zip(f(a, b), g(a, b), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-9)
        assert np.isnan(mine[bad]).all() and np.isfinite(np.delete(mine, bad, axis=0)).all()


def test_determinants_of_singular_tiny_and_infinite_matrices_are_numpys(make):
    a, b = make.general(24, 3, 3), make.general(24, 3, 1)
    a[1], a[2, 0], a[3], a[9, 1, 1], a[10, 0, 2], a[20] = 0, 0, 1e-200 * np.eye(3), np.nan, np.inf, 5e-324 * np.eye(3)
    with np.errstate(all="ignore"):
        expected = [np.linalg.det(a), *np.linalg.slogdet(a)]
    found = [out for name in ("det", "slogdet") for out in compiled(OPS[name], a, b, True)(a, b)]
    numbers = ~np.isnan(expected[2])  # what the sign of a determinant is that is no number depends on exchanges of rows
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine[numbers], theirs[numbers], rtol=1e-9, atol=1e-300)
    assert np.isnan(found[0][9]) and np.isnan(found[2][9])
    assert found[2][1] == -np.inf and found[1][1] == 0


def test_matrices_that_are_not_square_are_an_error_before_anything_is_computed(make):
    x = ct.tensor3("x")
    for op in (linalg.cholesky, linalg.inv, linalg.det):
        with pytest.raises(linalg.LinAlgError, match="needs square matrices, got shape"):
            core.function([x], op(2 * x), backend="c")(np.ones((30, 3, 2)))
