"""LAPACK from generated C: that Python is not called, views read where they lie, work in place, and errors."""

import numpy as np
import pytest
import scipy.linalg

import core
import core.tensor as ct
import plugin_ops_linalg as linalg
from core.testing import available_backends
from plugin_ops_linalg.compiled.library import LETTERS, lapack
from plugin_ops_linalg.matrices import hermitian

pytestmark = pytest.mark.skipif("c" not in available_backends(), reason="needs plugin-backend-c and a compiler")

UNARY = {
    "cholesky": (linalg.cholesky, "potrf"),
    "upper": (lambda a: linalg.cholesky(a, lower=False), "potrf"),
    "inv": (linalg.inv, "getri"),
    "det": (linalg.det, "getrf"),
    "slogdet": (linalg.slogdet, "getrf"),
    "eigh": (linalg.eigh, "syevd"),
    "eigvalsh": (linalg.eigvalsh, "syevd"),
    "svd": (linalg.svd, "gesdd"),
    "svdvals": (linalg.svdvals, "gesdd"),
    "qr": (linalg.qr, "gelqf"),
    "r": (lambda a: linalg.qr(a, "r"), "gelqf"),
    "complete": (lambda a: linalg.qr(a, "complete"), "gelqf"),
    "exchanged": (lambda a: linalg.qr(a, pivoting=True), "geqp3"),
    "exchanged complete": (lambda a: linalg.qr(a, "complete", pivoting=True), "geqp3"),
    "exchanged r": (lambda a: linalg.qr(a, "r", pivoting=True), "geqp3"),
    "lu_factor": (linalg.lu_factor, "getrf"),
    "expm": (linalg.expm, "getrf"),
    "pinv": (linalg.pinv, "gesdd"),
    "adjugate": (linalg.adjugate, "gesdd"),
    "eigvals": (lambda a: (linalg.eigvals(a) ** 2).sum(axis=-1), "geev"),
    "schur": (linalg.schur, "gees"),
    "sorted schur": (lambda a: linalg.schur(a, sort="ouc"), "gees"),
    "sqrtm": (linalg.sqrtm, "gees"),
    "logm": (lambda a: linalg.logm(a + linalg.matrix_transpose(a) * 0.1), "gees"),
    "lyapunov": (lambda a: linalg.solve_continuous_lyapunov(a, a), "trsyl"),
    "discrete lyapunov": (lambda a: linalg.solve_discrete_lyapunov(0.3 * a, a), "gees"),
}
QRS = [name for name, (_, routine) in UNARY.items() if routine in ("gelqf", "geqp3")]
BINARY = {
    "triangular": (lambda a, b: linalg.solve_triangular(a, b, lower=True), "trsm"),
    "transposed": (lambda a, b: linalg.solve_triangular(a, b, trans=1), "trsm"),
    "unit": (lambda a, b: linalg.solve_triangular(a, b, lower=True, unit_diagonal=True), "trsm"),
    "factored": (lambda a, b: linalg.cho_solve((a, True), b), "trsm"),
    "general": (linalg.solve, "getrs"),
    "symmetric": (lambda a, b: linalg.solve(a, b, assume_a="sym", lower=True), "sysv"),
    "Hermitian": (lambda a, b: linalg.solve(hermitian(a), b, assume_a="her"), "sysv"),
    "other triangle": (lambda a, b: linalg.solve(hermitian(a), b, assume_a="her", lower=True), "sysv"),
    "adjoint": (lambda a, b: linalg.solve_triangular(a, b, trans="C", lower=True), "trsm"),
    "adjoint lu_solve": (lambda a, b: linalg.lu_solve(linalg.lu_factor(a), b, trans=2), "trsm"),
    "upper factored": (lambda a, b: linalg.cho_solve((a, False), b), "trsm"),
    "tridiagonal": (lambda a, b: linalg.solve(a, b, assume_a="tridiagonal"), "gtsv"),
    "lu_solve": (lambda a, b: linalg.lu_solve(linalg.lu_factor(a), b), "trsm"),
    "transposed lu_solve": (lambda a, b: linalg.lu_solve(linalg.lu_factor(a), b, trans=1), "trsm"),
    "lstsq": (lambda a, b: linalg.lstsq(a, b)[0], "gesdd"),
}


def both(op, *arrays, static=False):
    """(C, interpreter): the values on the two backends; C must not call Python."""
    inputs = [
        ct.tensor(f"x{k}", dtype=x.dtype.name, shape=x.shape if static else (None,) * x.ndim)
        for k, x in enumerate(arrays)
    ]
    out = op(*inputs)
    outputs = list(out) if isinstance(out, (list, tuple)) else [out]
    f, g = (core.function(inputs, outputs, backend=name) for name in ("c", "interpreter"))
    assert not f.program.host_nodes
    return f, [f(*arrays), g(*arrays)]


def assert_equal(pair, tol=1e-9):
    for mine, theirs in zip(*pair, strict=True):
        assert mine.dtype == theirs.dtype
        np.testing.assert_allclose(mine, theirs, rtol=tol, atol=tol)


@pytest.mark.parametrize("name", UNARY)
@pytest.mark.parametrize("kind, tol", [("float64", 1e-8), ("float32", 2e-3), ("complex128", 1e-8), ("complex64", 2e-3)])
@pytest.mark.parametrize("n", [0, 1, 8, 9, 40])
def test_values_are_those_of_the_interpreter(make, name, kind, tol, n):
    op, routine = UNARY[name]
    a = make.positive(2, n, n, dtype=kind) / max(n, 1)
    f, pair = both(op, a)
    assert f"core_{LETTERS[kind]}{lapack(LETTERS[kind], routine)[1:]}" in "".join(f.sources.values())
    assert_equal(pair, tol)


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("kind", ["float64", "complex128"])
@pytest.mark.parametrize("n", [0, 1, 8, 9, 40])
@pytest.mark.parametrize("k", [0, 1, 17])
def test_solutions_are_those_of_the_interpreter(make, name, kind, n, k):
    op, routine = BINARY[name]
    a, b = make.triangular(n, n, dtype=kind) + n * np.eye(n), make.general(n, k, dtype=kind)
    f, pair = both(op, a, b)
    assert f"core_{LETTERS[kind]}{routine}" in "".join(f.sources.values())
    assert_equal(pair)


@pytest.mark.parametrize("name", [*UNARY, *BINARY])
def test_lengths_that_are_known_give_code_for_them(make, name):
    for n in (3, 12):
        arrays = [make.positive(n, n), make.general(n, 2)][: 1 if name in UNARY else 2]
        _, pair = both((UNARY.get(name) or BINARY[name])[0], *arrays, static=True)
        assert_equal(pair)


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("n", [4, 20])
def test_transposed_and_sliced_operands_are_read_where_they_lie(make, name, n):
    op = BINARY[name][0]
    a, b = make.general(2 * n, n + 3) + 9 * np.eye(2 * n, n + 3), make.general(n, 6)
    _, pair = both(lambda a, b: [op(a[:n, :n].T, b[:, 1:4]), op(a[:n, :n], b.T[2:5].T)], a, b)
    assert_equal(pair)


@pytest.mark.parametrize("name", BINARY)
def test_stacks_broadcast(make, name):
    op = BINARY[name][0]
    for lead_a, lead_b in (((3,), ()), ((), (3,)), ((2, 1), (1, 3)), ((1,), (3,))):
        a = make.triangular(*lead_a, 4, 4) + 4 * np.eye(4)
        _, pair = both(op, a, make.general(*lead_b, 4, 2))
        assert_equal(pair)


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (12, 9), (9, 12), (0, 3), (3, 0)])
@pytest.mark.parametrize("name", ["svd", "svdvals", "pinv", "lu_factor", *QRS])
def test_matrices_that_are_not_square(make, shape, name):
    _, pair = both(UNARY[name][0], make.general(*shape))
    assert_equal(pair)


def test_what_others_read_is_not_overwritten(make):
    a, b = ct.matrix("a"), ct.matrix("b")
    doubled, sums = 2 * a, b + 1
    outputs = [linalg.cholesky(doubled), doubled, linalg.inv(doubled), linalg.solve(doubled, sums), sums]
    f, g = (core.function([a, b], outputs, backend=name) for name in ("c", "interpreter"))
    values = make.positive(10, 10), make.general(10, 3)
    kept = [x.copy() for x in values]
    assert_equal([f(*values), g(*values)])
    for value, before in zip(values, kept, strict=True):
        np.testing.assert_array_equal(value, before)


@pytest.mark.parametrize("shape", [(2, 3), (3, 2), (30, 2)])
@pytest.mark.parametrize("op", [linalg.cholesky, linalg.inv, linalg.eigh])
def test_what_works_in_place_checks_that_matrices_are_square_before_it_writes(op, shape):
    x = ct.matrix("x")
    out = op(2 * x)
    f = core.function([x], list(out) if isinstance(out, (list, tuple)) else out, backend="c")
    with pytest.raises(linalg.LinAlgError, match="needs square matrices"):
        f(np.ones(shape))


@pytest.mark.parametrize("n", [3, 30])
def test_errors_name_op_number_shape_place_and_line(make, n):
    x = ct.tensor3("x")
    f = core.function([x], linalg.cholesky(x), backend="c")
    a = make.positive(3, n, n)
    a[1, 2, 2] = -9
    with pytest.raises(linalg.LinAlgError) as error:
        f(a)
    text = str(error.value)
    assert text.startswith("Cholesky(") and "leading minor of order 3 is not positive" in text
    assert f"(shape ({n}, {n}), matrix (1,) of the stack)" in text and "test_compiled.py" in text


@pytest.mark.parametrize("name", [*UNARY, *BINARY])
def test_bad_input_is_an_error_with_the_same_class_on_both_backends(make, name):
    op = (UNARY.get(name) or BINARY[name])[0]
    count = 1 if name in UNARY else 2
    a = make.positive(10, 10)
    a[3, 4] = a[4, 3] = np.nan
    cases = [[a, np.ones((10, 2))][:count]]
    if name not in ("svd", "svdvals", "lu_factor", "pinv", "lstsq", *QRS):
        cases.append([np.ones((3, 4)), np.ones((4, 2))][:count])
    for arrays in cases:
        if name in ("det", "slogdet") and np.isnan(arrays[0]).any():
            continue  # they give NaN
        for backend in ("c", "interpreter"):
            inputs = [ct.matrix() for _ in arrays]
            out = op(*inputs)
            f = core.function(inputs, list(out) if isinstance(out, (list, tuple)) else [out], backend=backend)
            with pytest.raises(ValueError):
                f(*arrays)


@pytest.mark.parametrize("n", [3, 30])
def test_nan_fills_the_result_of_a_matrix_that_fails(make, n):
    x, b = ct.tensor3("x"), ct.tensor3("b")
    outputs = [
        linalg.cholesky(x, on_error="nan"),
        linalg.inv(x, on_error="nan"),
        linalg.solve(x, b, on_error="nan"),
        linalg.eigvalsh(x, on_error="nan"),
        *linalg.svd(x, on_error="nan"),
    ]
    a = make.positive(3, n, n)
    a[1] = 0
    a[2, 0, 0] = np.nan
    f, g = (core.function([x, b], outputs, backend=name) for name in ("c", "interpreter"))
    found = f(a, make.general(3, n, 2))
    assert_equal([found[:4], g(a, make.general(3, n, 2))[:4]], 1e-7)
    assert all(np.isnan(out[2]).all() for out in found)


def test_gradients_are_computed_in_c_too(make):
    k, y = ct.matrix("k"), ct.vector("y")
    factor = linalg.cholesky(k)
    logp = -0.5 * y @ linalg.cho_solve((factor, True), y) - ct.log(ct.diag(factor)).sum()
    outputs = [logp, *core.grad(logp, [k, y])]
    f, g = (core.function([k, y], outputs, backend=name) for name in ("c", "interpreter"))
    assert not f.program.host_nodes
    values = make.positive(20, 20), make.general(20)
    assert_equal([f(*values), g(*values)])


def test_exponentials_of_every_degree_and_of_large_matrices_are_those_of_scipy(make):
    x = ct.tensor3("x")
    f = core.function([x], linalg.expm(x), backend="c")
    a = make.general(9, 6, 6)
    a /= np.abs(a).sum(axis=-1).max(axis=-1)[:, None, None]
    a *= np.array([0, 0.01, 0.2, 0.9, 2, 5, 6, 30, 80])[:, None, None]
    expected = np.stack([scipy.linalg.expm(one) for one in a])
    scale = np.abs(expected).max(axis=(-2, -1), keepdims=True)
    np.testing.assert_allclose(f(a) / scale, expected / scale, atol=1e-11)


@pytest.mark.parametrize("name", ["cholesky", "inv", "det", "slogdet", "triangular", "factored", "general"])
def test_small_lengths_that_are_known_are_told_to_the_compiler(make, name):
    op = (UNARY.get(name) or BINARY[name])[0]
    for n in (1, 5, 8, 9):
        arrays = [make.positive(3, n, n), make.general(3, n, 1)][: 1 if name in UNARY else 2]
        f, pair = both(op, *arrays, static=True)
        assert_equal(pair, 1e-8)
        assert ("__builtin_unreachable" in "".join(f.sources.values())) == (n <= 8)


def test_pivots_whose_reciprocal_overflows_are_divided_by(make):
    a = np.array([[1e-310, 0.0], [1e-310, 1.0]])
    _, pair = both(linalg.solve, a, np.array([[1e-310], [2.0]]))
    assert_equal(pair)
    np.testing.assert_allclose(pair[0][0], [[1.0], [2.0]])


@pytest.mark.parametrize("n", [2, 5, 8])
def test_rows_are_exchanged_as_lapack_does(make, n):
    a = make.general(n, n)[::-1].copy()
    a[0, 0] = 0
    _, pair = both(lambda a: [*linalg.lu_factor(a), linalg.inv(a), linalg.det(a)], a)
    assert_equal(pair)
