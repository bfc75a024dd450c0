"""One decomposition serves all that need it: that it is shared, that it is not where it must not be, and the values."""

import numpy as np
import pytest

import core
import core.tensor as ct
import plugin_ops_linalg as linalg
from core.testing import evaluate

RULE = "one_factorisation_serves_all"


def compiled(outputs, inputs, **options):
    return core.function(inputs, outputs, backend="interpreter", on_unused_input="ignore", **options)


def count(f, name):
    return [type(node.op).__name__ for node in f.graph.toposort()].count(name)


def pair(build, *arrays):
    """The function with rewriting, whose values are those without."""
    inputs = [ct.tensor(f"x{k}", dtype=x.dtype.name, ndim=x.ndim) for k, x in enumerate(arrays)]
    outputs = build(*inputs)
    plain, better = compiled(outputs, inputs, mode="none"), compiled(outputs, inputs)
    for mine, theirs in zip(better(*arrays), plain(*arrays), strict=True):
        assert mine.dtype == theirs.dtype and mine.shape == theirs.shape
        np.testing.assert_allclose(mine, theirs, rtol=1e-8, atol=1e-10)
    return better


@pytest.mark.parametrize("shape", [(5, 5), (1, 1), (2, 3, 3), (0, 0)])
def test_systems_determinants_and_inverses_share_their_factors(make, shape):
    def build(a, b):
        solved = [linalg.solve(a, b), linalg.solve(linalg.matrix_transpose(a), b)]
        return [*solved, linalg.det(a), *linalg.slogdet(a), linalg.inv(a), linalg.inv(linalg.matrix_transpose(a))]

    f = pair(build, make.regular(*shape), make.general(*shape[:-1], 2))
    assert count(f, "LUFactor") == 1 and not any(count(f, name) for name in ("Solve", "Det", "SLogDet", "Inv"))
    assert f"{RULE} (plugin plugin-ops-linalg)" in str(core.explain(f))


def test_the_gradient_of_a_system_takes_the_factors_of_its_value(make):
    def build(a, b):
        x = linalg.solve(a, b)
        return [x, *core.grad((x**2).sum() + linalg.slogdet(a)[1], [a, b])]

    f = pair(build, make.regular(5, 5), make.general(5, 2))
    assert count(f, "LUFactor") == 1 and count(f, "LUSolve") == 2 and not count(f, "Solve")


def test_complex_systems_share_their_factors(make):
    a, b = make.regular(4, 4, dtype="complex128"), make.general(4, 2, dtype="complex128")
    f = pair(lambda a, b: [linalg.solve(a, b), linalg.solve(a.T, b), linalg.det(a), *linalg.slogdet(a)], a, b)
    assert count(f, "LUFactor") == 1 and count(f, "SLogDet") == 1


@pytest.mark.parametrize(
    "build",
    [
        lambda a, b: [linalg.solve(a, b)],  # one alone
        lambda a, b: [linalg.solve(a, b), linalg.solve(2 * a, b)],  # of two matrices
        lambda a, b: [linalg.solve(a, b), linalg.inv(a, on_error="nan")],  # that fail otherwise
        lambda a, b: [linalg.solve(a, b, assume_a="sym"), linalg.det(a)],  # by two methods
    ],
)
def test_factors_are_not_shared_where_they_differ(make, build):
    f = pair(build, make.hermitian(4, 4) + 5 * np.eye(4), make.general(4, 2))
    assert not count(f, "LUFactor") and RULE not in {entry.rule for entry in f.rewrites}


def test_matrices_of_a_known_kind_are_left_to_the_rules_of_their_kind(make):
    def build(a, b):
        known = linalg.assume(a, positive_definite=True)
        return [linalg.solve(known, b), linalg.slogdet(known)[1]]

    f = pair(build, make.positive(4, 4), make.general(4, 2))
    assert not count(f, "LUFactor") and count(f, "Cholesky") == 1


def test_a_singular_matrix_is_an_error_with_shared_factors(backend):
    a, b = ct.matrix("a"), ct.matrix("b")
    for n in (3, 20):
        value = np.eye(n)
        value[1, 1] = 0
        f = core.function([a, b], [linalg.solve(a, b), linalg.inv(a)], backend=backend)
        with pytest.raises(linalg.LinAlgError, match="singular: pivot 1 is 0"):
            f(value, np.ones((n, 2)))
        f = core.function([a], [linalg.det(a), *linalg.slogdet(a)], backend=backend)
        assert [float(x) for x in f(value)] == [0, 0, -np.inf]


def test_nan_with_shared_factors_stays_in_its_matrix(make, backend):
    a, b = ct.tensor3("a"), ct.tensor3("b")
    outputs = [linalg.solve(a, b, on_error="nan"), linalg.inv(a, on_error="nan")]
    f = core.function([a, b], outputs, backend=backend)
    values = make.regular(3, 4, 4), make.general(3, 4, 2)
    values[0][1] = 0
    values[0][2, 0, 0] = np.nan
    for got in f(*values):
        assert np.isfinite(got[0]).all() and np.isnan(got[1:]).all()


def test_singular_values_come_with_their_vectors(make):
    f = pair(lambda a: [linalg.svdvals(a), *map(abs, linalg.svd(a, full_matrices=False))], make.general(4, 3))
    assert count(f, "SVD") == 1
    f = pair(lambda a: [linalg.eigvalsh(a), *map(abs, linalg.eigh(a))], make.hermitian(4, 4))
    assert count(f, "Eigvalsh") == 0 and count(f, "Eigh") == 1
    f = pair(lambda a: [linalg.eigvalsh(a), linalg.eigh(a, lower=False)[0]], make.hermitian(4, 4))
    assert count(f, "Eigvalsh") == 1  # of another triangle


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4), (2, 4, 3), (0, 3), (3, 0)])
def test_least_squares_take_one_decomposition_with_their_gradient(make, shape):
    def build(a, b):
        x, residuals, rank, s = linalg.lstsq(a, b)
        return [x, residuals, rank, s, linalg.pinv(a), *core.grad((x**3).sum(), [a, b])]

    f = pair(build, make.general(*shape), make.general(*shape[:-1], 2))
    assert count(f, "SVD") == 1 and not count(f, "LeastSquares") and not count(f, "Pinv")


def test_small_singular_values_count_as_zero_in_compiled_pseudoinverses(make, backend):
    a = make.general(5, 2) @ make.general(2, 4)
    np.testing.assert_allclose(evaluate(linalg.pinv, a, backend=backend), np.linalg.pinv(a), atol=1e-10)
    got = evaluate(lambda a: linalg.pinv(a, rcond=0.9), a, backend=backend)
    np.testing.assert_allclose(got, np.linalg.pinv(a, rcond=0.9), atol=1e-10)
    b = make.general(5, 2)
    found, _, rank, _ = evaluate(linalg.lstsq, a, b, backend=backend)
    np.testing.assert_allclose(found, np.linalg.lstsq(a, b, rcond=1e-12)[0], atol=1e-10)
    assert rank == 2
