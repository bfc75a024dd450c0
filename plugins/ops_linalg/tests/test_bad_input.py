"""Bad input to every function: that C and the interpreter say the same of it, and what that is."""

import numpy as np
import pytest

import core
import core.tensor as ct
import plugin_ops_linalg as linalg
from core.testing import available_backends
from plugin_ops_linalg.examples import BY_NAME, EXAMPLES

pytestmark = pytest.mark.skipif("c" not in available_backends(), reason="needs plugin-backend-c and a compiler")

FREE = (
    "svd(full_matrices=False)",
    "qr",
    "qr(pivoting=True)",
    "qr(mode='complete')",
    "svd",
    "eigh(b)",
    "solve_continuous_lyapunov",
)  # rounding decides, or nothing does


def said(f, arrays):
    """The values, or the class and the first line of the error."""
    try:
        return f(*arrays)
    except core.errors.CoreError as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0]}"


def bad(example, position):
    """Each with the one array replaced: by NaN in the last place, -inf in the first, zeros, a row and column twice."""
    good = example.arrays("float64")
    x = good[position]
    last, first, twice = x.copy(), x.copy(), x.copy()
    last.flat[-1], first.flat[0] = np.nan, -np.inf
    twice[1], twice[..., 1] = twice[0], twice[..., 0]
    for wrong in (last, first, 0 * x, -x, *([] if example.name in FREE else [twice])):
        yield [*good[:position], wrong, *good[position + 1 :]]


@pytest.mark.parametrize("example", EXAMPLES, ids=[one.name for one in EXAMPLES])
def test_c_and_the_interpreter_say_the_same_of_bad_elements(example):
    inputs, outputs = example.symbolic("float64")
    f, g = (core.function(inputs, outputs, backend=name) for name in ("c", "interpreter"))
    for position in range(len(inputs)):
        for arrays in bad(example, position):
            mine, theirs = said(f, arrays), said(g, arrays)
            if isinstance(theirs, str) or isinstance(mine, str):
                assert mine == theirs
            elif max(float(np.max(np.abs(x), initial=0)) for x in theirs) < 1e12:  # larger: singular up to rounding
                for x, y in zip(mine, theirs, strict=True):
                    np.testing.assert_allclose(x, y, rtol=1e-6, atol=1e-8)


SQUARE = [
    one
    for one in EXAMPLES
    if any(text in one.of for text in ("solve", "chol", "eig", "schur", "qz", "expm", "logm", "sqrtm", "inv", "det"))
    and one.of not in ("tensorsolve", "tensorinv", "solve_banded", "solve_circulant", "solve_toeplitz", "pinv")
    and one.name != "eigh(b)"  # a sum of triangles says it there
]


@pytest.mark.parametrize("example", SQUARE, ids=[one.name for one in SQUARE])
@pytest.mark.parametrize("cut", [np.s_[:-1], np.s_[:, :-1]], ids=["wide", "high"])
def test_a_matrix_that_is_not_square_is_an_error_of_linear_algebra(example, cut, backend):
    inputs, outputs = example.symbolic("float64")
    f = core.function(inputs, outputs, backend=backend)
    first, *rest = example.arrays("float64")
    with pytest.raises(linalg.LinAlgError, match="needs square matrices, got shape"):
        f(first[cut], *rest)


@pytest.mark.parametrize("n", [3, 30])
def test_elements_that_are_not_finite_are_named_with_their_place(make, n, backend):
    x, b = ct.tensor3("x"), ct.tensor3("b")
    f = core.function([x, b], linalg.solve(x, b), backend=backend)
    a, right = make.positive(2, n, n), make.general(2, n, 2)
    right[1, 2, 1] = np.inf
    with pytest.raises(linalg.LinAlgError) as error:
        f(a, right)
    text = str(error.value)
    assert f"input 1 is inf at (2, 1), not finite (shape ({n}, {n}) and ({n}, 2), matrix (1,) of the stack)" in text


@pytest.mark.parametrize(
    "name, arrays, match",
    [
        ("sqrtm", [np.array([[0.0, 1.0], [0.0, 0.0]])], "the matrix has no square root"),
        ("sqrtm", [-np.eye(2)], "the square root of this real matrix is complex"),
        ("logm", [np.zeros((2, 2))], "the matrix is singular and has no logarithm"),
        ("logm", [-np.eye(2)], "the logarithm of this real matrix is complex"),
        (
            "solve_sylvester",
            [np.eye(2), -np.eye(3), np.ones((2, 3))],
            "an eigenvalue of a is, up to rounding, one of -b",
        ),
        ("solve_discrete_lyapunov", [np.eye(2), np.ones((2, 2))], "the product of two eigenvalues of a"),
        ("solve_discrete_are", [np.eye(2), np.zeros((2, 1)), np.zeros((2, 2)), np.eye(1)], "no stabilising solution"),
        ("solve_toeplitz", [np.array([1.0, 1.0, 3.0]), np.ones(3)], "the leading minor of order 2 is 0"),
        ("solve_circulant", [np.array([1.0, -1.0]), np.ones(2)], "the matrix is singular: eigenvalue 0 is 0"),
    ],
)
def test_equations_and_functions_without_a_result_are_errors(name, arrays, match):
    inputs, outputs = BY_NAME[name].symbolic("float64")
    for backend in ("c", "interpreter"):
        f = core.function(inputs, outputs, backend=backend)
        with pytest.raises(linalg.LinAlgError, match=match):
            f(*arrays)


@pytest.mark.parametrize("name", ["sqrtm", "logm", "solve_sylvester", "solve_discrete_lyapunov", "schur", "qz"])
def test_nan_in_place_of_an_error_leaves_the_other_matrices_of_a_stack(name):
    example = BY_NAME[name]
    arrays = [np.stack([x, x, x]) for x in example.arrays("float64")]
    arrays[0][1, 0, 0] = np.nan
    inputs = [ct.tensor3() for _ in arrays]
    out = getattr(linalg, name)(*inputs, on_error="nan")
    outputs = list(out) if isinstance(out, tuple) else [out]
    for backend in ("c", "interpreter"):
        for found in core.function(inputs, outputs, backend=backend)(*arrays):
            assert np.isnan(found[1]).all()
            np.testing.assert_array_equal(found[0], found[2])
            assert np.isfinite(found[0]).all()


def test_a_shared_variable_stays_as_it_was_where_the_function_of_its_update_fails(make):
    k = core.shared(make.positive(10, 10), name="k")
    before = k.get_value().copy()
    x = ct.matrix("x")
    step = core.function([x], linalg.logm(k + x), updates={k: linalg.cholesky(k + x)}, backend="c")
    with pytest.raises(linalg.LinAlgError):
        step(-100 * np.eye(10))
    np.testing.assert_array_equal(k.get_value(), before)
