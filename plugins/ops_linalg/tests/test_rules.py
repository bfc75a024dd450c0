"""The rewrites: what they fire on, what they must not fire on, and that values and gradients stay what they were."""

import numpy as np
import pytest

import core
import core.tensor as ct
import plugin_ops_linalg as linalg
from core.errors import ArgumentError, ShapeError


def compiled(outputs, inputs, **options):
    return core.function(inputs, outputs, backend="interpreter", on_unused_input="ignore", **options)


def ops_of(f):
    return [type(node.op).__name__ for node in f.graph.toposort()]


def check(build, *arrays, fires=(), without=(), holds=(), static=False, tol=1e-9):
    """Values with and without rewriting agree; the rules in ``fires`` fired; the ops that remain are as told."""
    inputs = [
        ct.tensor(f"x{k}", dtype=x.dtype.name, shape=x.shape if static else (None,) * x.ndim)
        for k, x in enumerate(arrays)
    ]
    out = build(*inputs)
    outputs = list(out) if isinstance(out, (list, tuple)) else [out]
    plain, better = compiled(outputs, inputs, mode="none"), compiled(outputs, inputs)
    for mine, theirs in zip(better(*arrays), plain(*arrays), strict=True):
        assert mine.dtype == theirs.dtype
        np.testing.assert_allclose(mine, theirs, rtol=tol, atol=tol)
    fired = {entry.rule for entry in better.rewrites}
    assert set(fires) <= fired, fired
    assert not set(without) & set(ops_of(better)), ops_of(better)
    assert set(holds) <= set(ops_of(better)), ops_of(better)
    for rule in fires:
        assert f"{rule} (plugin plugin-ops-linalg)" in str(core.explain(better))
    return better


def lower_of(a):
    return linalg.assume(a, lower_triangular=True)


# --- systems ---------------------------------------------------------------------------------------------------------


def test_a_product_with_an_inverse_is_a_system(make):
    a, b, v = make.regular(4, 4), make.general(4, 2), make.general(4)
    rule = "inverse_times_is_solve"
    check(lambda a, b: linalg.inv(a) @ b, a, b, fires=[rule], without=["Inv"], holds=["Solve"])
    check(lambda a, b: linalg.inv(a) @ b, a, v, fires=[rule], without=["Inv"])
    check(lambda a, b: b @ linalg.inv(a), a, v, fires=[rule], without=["Inv"])
    check(lambda a, b: b.T @ linalg.inv(a), a, b, fires=[rule], without=["Inv"])
    stack = make.regular(3, 4, 4)
    check(lambda a, b: linalg.inv(a) @ b, stack, b[None], fires=[rule], without=["Inv"])
    check(lambda a: linalg.inv(a) + 1, a, holds=["Inv"])


def test_the_gradient_of_a_quadratic_form_of_an_inverse_needs_no_inverse(make):
    def gradient(a, v):
        return core.grad(v @ linalg.inv(a) @ v, a)

    check(gradient, make.regular(4, 4), make.general(4), fires=["inverse_times_is_solve"], without=["Inv"])


@pytest.mark.parametrize(
    "kinds, holds",
    [
        ({"lower_triangular": True}, "SolveTriangular"),
        ({"upper_triangular": True}, "SolveTriangular"),
        ({"positive_definite": True}, "CholeskySolve"),
        ({"diagonal": True}, "SolveTriangular"),
        ({"diagonal": True, "positive_diagonal": True}, "Diagonal"),
        ({"orthogonal": True}, "Dot"),
        ({"permutation": True}, "Dot"),
        ({"symmetric": True}, "Solve"),
    ],
)
def test_a_system_is_solved_by_its_kind(make, kinds, holds):
    a = {
        "lower_triangular": np.tril(make.triangular(4, 4)),
        "upper_triangular": np.triu(make.triangular(4, 4)),
        "positive_definite": make.positive(4, 4),
        "diagonal": np.diag(np.arange(1.0, 5)),
        "orthogonal": np.linalg.qr(make.general(4, 4))[0],
        "permutation": np.eye(4)[[2, 0, 3, 1]],
        "symmetric": make.hermitian(4, 4),
    }[next(iter(kinds))]
    b = make.general(4, 2)
    without = [] if holds == "Solve" else ["Solve"]
    check(lambda a, b: linalg.solve(linalg.assume(a, **kinds), b), a, b, holds=[holds], without=[*without, "Assume"])
    without = [] if holds == "Solve" else ["Inv"]
    check(lambda a: linalg.inv(linalg.assume(a, **kinds)), a, without=without)


def test_systems_of_one_positive_definite_matrix_share_its_factor(make):
    def build(k, y, z):
        value = y @ linalg.solve(k, y, assume_a="pos", lower=True)
        return [value, linalg.solve(k, z, assume_a="pos", lower=True), core.grad(value, k)]

    f = check(build, make.positive(5, 5), make.general(5), make.general(5, 3), without=["Solve"])
    assert ops_of(f).count("Cholesky") == 1


def test_two_triangular_systems_are_one(make):
    def build(factor, b):
        return linalg.solve_triangular(factor, linalg.solve_triangular(factor, b, lower=True), lower=True, trans=1)

    rule = "two_triangular_systems_are_one_positive_definite"
    check(build, make.triangular(4, 4), make.general(4, 2), fires=[rule], without=["SolveTriangular"])
    check(
        lambda u, b: linalg.solve_triangular(u, linalg.solve_triangular(u, b, trans=1)),
        make.triangular(4, 4),
        make.general(4, 2),
        fires=[rule],
    )
    check(
        lambda u, b: linalg.solve_triangular(u, linalg.solve_triangular(u, b), trans=1),
        make.triangular(4, 4),
        make.general(4, 2),
        holds=["SolveTriangular"],
        without=["CholeskySolve"],
    )


def test_inverses_of_inverses_and_parts(make):
    a, b = make.regular(3, 3), make.regular(2, 2)
    check(lambda a: linalg.inv(linalg.inv(a)), a, fires=["inverse_of_inverse_is_itself"], without=["Inv"])
    rule = "inverse_of_parts_is_parts_of_inverses"
    check(lambda a, b: linalg.inv(linalg.kron(a, b)), a, b, fires=[rule], static=True)
    check(lambda a, b: linalg.inv(linalg.block_diag(a, b)), a, b, fires=[rule], static=True)
    a, b = ct.tensor(shape=(3, 2)), ct.tensor(shape=(2, 3))
    assert compiled([linalg.inv(linalg.block_diag(a, b))], [a, b]).rewrites.count(rule) == 0


# --- factors ---------------------------------------------------------------------------------------------------------


def test_the_factor_of_a_product_with_the_transpose_is_itself(make):
    rule = "factor_of_product_with_its_transpose_is_itself"
    a = make.positive(4, 4)

    def again(a):
        factor = linalg.cholesky(a)
        return linalg.cholesky(factor @ factor.T)

    f = check(again, a, fires=[rule])
    assert ops_of(f).count("Cholesky") == 1

    def upper(a):
        factor = linalg.cholesky(a, lower=False)
        return linalg.cholesky(factor.T @ factor, lower=False)

    assert ops_of(check(upper, a, fires=[rule])).count("Cholesky") == 1

    def other(a):  # U U^T has another lower factor than L L^T
        factor = linalg.cholesky(a)
        return linalg.cholesky(factor.T @ factor)

    assert ops_of(check(other, a)).count("Cholesky") == 2
    f = check(lambda a: linalg.cholesky(lower_of(a) @ lower_of(a).T), np.tril(make.triangular(4, 4)))
    assert "Cholesky" in ops_of(f)  # the diagonal may be negative


def test_the_factor_of_a_diagonal_is_its_root():
    check(
        lambda d: linalg.cholesky(linalg.assume(ct.diag(d), positive_definite=True)),
        np.array([4.0, 9.0]),
        fires=["factor_of_diagonal_is_square_root"],
        without=["Cholesky"],
    )


def test_the_spectrum_of_a_symmetric_matrix_is_real(make):
    a = make.general(5, 3)
    f = check(lambda a: linalg.eigvals(a.T @ a).real.sum(), a, fires=["eigenvalues_of_symmetric_are_real"])
    assert "Eigvalsh" in ops_of(f)

    def rebuilt(a):
        w, v = linalg.eig(a.T @ a)
        return ((v * w) @ linalg.inv(v)).real

    check(rebuilt, a, fires=["spectrum_of_symmetric_is_real"], without=["Eig"])
    check(lambda a: linalg.eigvals(a).real.sum(), make.general(3, 3), holds=["Eigvals"])


# --- determinants ----------------------------------------------------------------------------------------------------


def test_logarithms_of_determinants_do_not_overflow(make):
    rule = "logarithm_of_determinant_does_not_overflow"
    f = check(lambda a: ct.log(linalg.det(a)), make.positive(3, 3), fires=[rule], without=["Det"])
    assert np.isfinite(f(1e300 * np.eye(3))[0])
    assert np.isnan(f(np.diag([1.0, -1.0]))[0]) and f(np.zeros((2, 2)))[0] == -np.inf
    f = check(lambda a: ct.log(abs(linalg.det(a))), -make.positive(3, 3), fires=[rule], without=["Det"])
    assert np.isfinite(f(-1e300 * np.eye(3))[0])


def test_determinants_of_products_inverses_and_transposes(make):
    a, b = make.regular(3, 3), -make.regular(3, 3, seed=1)
    product, logs = "determinant_of_product_is_a_product", "logarithm_of_determinant_of_product_is_a_sum"
    for build in (lambda a, b: a @ b, lambda a, b: a.T, lambda a, b: linalg.inv(b)):
        check(
            lambda a, b, build=build: linalg.det(build(a, b)),
            a,
            b,
            fires=[product],
            static=True,
            without=["Dot", "Inv"],
        )
        check(
            lambda a, b, build=build: linalg.slogdet(build(a, b)),
            a,
            b,
            fires=[logs],
            static=True,
            without=["Dot", "Inv"],
        )
    f = check(lambda a: linalg.slogdet(a @ a.T), make.general(2, 4), static=True)
    assert f.rewrites.count(logs) == 0  # the factors are not square


def test_determinants_of_parts(make):
    a, b = make.regular(3, 3), -make.regular(2, 2, seed=1)
    rule = "logarithm_of_determinant_of_parts_is_a_sum"
    check(lambda a, b: linalg.slogdet(linalg.kron(a, b)), a, b, fires=[rule], static=True, without=["Kron"])
    check(lambda a, b: linalg.slogdet(linalg.kron(a, a)), -a, b, fires=[rule], static=True, without=["Kron"])
    check(lambda a, b: linalg.slogdet(linalg.block_diag(a, b, b)), a, b, fires=[rule], static=True)
    check(lambda a, b: linalg.det(linalg.block_diag(a, b, b)), a, b, static=True, without=["BlockDiagonal"])
    f = check(lambda a, b: linalg.slogdet(linalg.block_diag(a, b)), make.general(3, 2), make.general(2, 3), static=True)
    assert f.rewrites.count(rule) == 0


def test_the_determinant_of_a_kronecker_product_needs_no_product(make):
    a, b = make.general(2, 3, 3), make.general(2, 2)
    rule = "determinant_of_product_is_a_product"
    check(lambda a, b: linalg.det(linalg.kron(a, b)), a, b, fires=[rule], without=["Kron"], static=True)
    check(lambda a, b: linalg.det(linalg.kron(a, b)), a[0], -b, fires=[rule], without=["Kron"], static=True)
    check(lambda a, b: linalg.det(linalg.kron(a, b)), make.general(2, 3), make.general(3, 2), holds=["Kron"])
    check(lambda a: core.grad(linalg.det(linalg.kron(a, a)), a), b, static=True)


def test_the_determinant_of_a_positive_definite_matrix_shares_its_factor(make):
    rule = "determinant_of_positive_definite_is_that_of_its_factor_squared"

    def build(a, b):
        k = linalg.assume(a, positive_definite=True)
        return [linalg.det(k), linalg.solve(k, b)]

    f = check(build, make.positive(5, 5), make.general(5, 2), fires=[rule], without=["Det", "LUFactor"])
    assert ops_of(f).count("Cholesky") == 1
    check(lambda a: linalg.det(linalg.assume(a, symmetric=True)), make.positive(5, 5), holds=["Det"])
    a = make.positive(4, 4, dtype="complex128")
    check(lambda a: linalg.det(linalg.assume(a, positive_definite=True)), a, fires=[rule])


def test_determinants_of_known_kinds(make):
    factor = np.tril(make.triangular(4, 4)) * np.array([[1], [-1], [1], [1]])
    check(lambda a: linalg.det(lower_of(a)), factor, without=["Det"])
    check(lambda a: linalg.slogdet(lower_of(a)), factor, without=["SLogDet"])
    check(lambda a: linalg.slogdet(linalg.cholesky(a))[1], make.positive(4, 4), without=["SLogDet"])
    check(
        lambda a: linalg.slogdet(linalg.assume(a, positive_definite=True)),
        make.positive(4, 4),
        without=["SLogDet"],
        holds=["Cholesky"],
    )
    check(lambda a: linalg.slogdet(linalg.assume(a, symmetric=True)), make.hermitian(4, 4), holds=["SLogDet"])


# --- products --------------------------------------------------------------------------------------------------------


def test_traces_of_products_need_no_product(make):
    rule = "diagonal_of_product_is_sums_of_products"
    a, b = make.general(3, 4), make.general(4, 3)
    check(lambda a, b: linalg.trace(a @ b), a, b, fires=[rule], static=True, without=["Dot"])
    check(lambda a: ct.trace(a @ a.T), a, fires=[rule], without=["Dot"])
    check(lambda a: linalg.trace(a @ a.T), make.general(2, 3, 4).swapaxes(1, 2)[0], fires=[rule])
    f = check(lambda a, b: linalg.trace(a @ b), a, make.general(4, 5), static=True)
    assert f.rewrites.count(rule) == 0 and "Dot" in ops_of(f)
    f = check(lambda a, b: [linalg.trace(a @ b), a @ b], a, b, static=True)
    assert f.rewrites.count(rule) == 0


def test_products_with_diagonals_are_elementwise(make):
    rule = "product_with_diagonal_is_elementwise"
    d, x, v = make.general(3), make.general(3, 4), make.general(3)
    check(lambda d, x: ct.diag(d) @ x, d, x, fires=[rule], without=["Dot"])
    check(lambda d, x: x.T @ ct.diag(d), d, x, fires=[rule], without=["Dot"])
    check(lambda d, v: ct.diag(d) @ v, d, v, fires=[rule], without=["Dot"])
    check(lambda d, v: v @ ct.diag(d), d, v, fires=[rule], without=["Dot"])
    check(lambda d, x: ct.diag(d, 1)[:3, :3] @ x, d, x, holds=["Dot"])


# --- kinds -----------------------------------------------------------------------------------------------------------


def kinds_of(x):
    from plugin_ops_linalg.structure import kinds

    return kinds(x)


def test_kinds_are_inferred():
    x, y = (linalg.assume(ct.matrix(), lower_triangular=True, positive_diagonal=True) for _ in range(2))
    p, q = (linalg.assume(ct.tensor(shape=(3, 3)), positive_definite=True) for _ in range(2))
    a, c = ct.matrix(), ct.zmatrix()
    assert kinds_of(x @ y) >= {"lower_triangular", "positive_diagonal"}
    assert "upper_triangular" in kinds_of(x.T) and "lower_triangular" not in kinds_of(x.T)
    assert "lower_triangular" in kinds_of(linalg.inv(x))
    assert "positive_definite" in kinds_of(x @ x.T) and "positive_definite" not in kinds_of(a @ a.T)
    assert "positive_semidefinite" in kinds_of(a.T @ a) and "symmetric" in kinds_of(a.T @ a)
    assert not kinds_of(a @ a) and not kinds_of(c.T @ c)
    assert "positive_semidefinite" in kinds_of(c.conj().T @ c) & kinds_of(c.T.conj() @ c)
    assert "positive_definite" in kinds_of(p + q) & kinds_of(2 * p) & kinds_of(linalg.inv(p)) & kinds_of(p.T)
    assert "positive_definite" not in kinds_of(p - q) | kinds_of(-2 * p) | kinds_of(p * ct.scalar())
    assert "symmetric" in kinds_of(ct.exp(p)) and "positive_definite" not in kinds_of(ct.exp(p))
    assert "positive_definite" in kinds_of(linalg.kron(p, q)) & kinds_of(linalg.block_diag(p, q))
    assert "symmetric" in kinds_of(ct.diag(ct.vector())) and "symmetric" not in kinds_of(ct.diag(ct.zvector()))
    assert "orthogonal" in kinds_of(linalg.eigh(p)[1]) & kinds_of(linalg.qr(p)[0]) & kinds_of(linalg.svd(a)[0])
    assert "orthogonal" not in kinds_of(linalg.qr(a)[0]) and "upper_triangular" in kinds_of(linalg.qr(a)[1])


def test_kinds_go_through_triangles_identities_and_differences():
    x = ct.tensor(shape=(3, 3))
    lower = linalg.assume(x, lower_triangular=True, positive_diagonal=True)
    p = linalg.assume(x, positive_definite=True)
    half = linalg.assume(x, positive_semidefinite=True)
    assert "lower_triangular" in kinds_of(ct.tril(x)) & kinds_of(ct.tril(x, -1)) & kinds_of(ct.triu(lower))
    assert not {"lower_triangular", "upper_triangular"} & (kinds_of(ct.tril(x, 1)) | kinds_of(ct.triu(x, -1)))
    assert "upper_triangular" in kinds_of(ct.triu(x)) & kinds_of(ct.triu(x, 1)) & kinds_of(ct.tril(x).T)
    assert "diagonal" in kinds_of(ct.tril(ct.triu(x))) and "diagonal" not in kinds_of(ct.tril(x))
    assert "positive_diagonal" in kinds_of(ct.tril(p)) and "positive_diagonal" not in kinds_of(ct.tril(p, -1))
    assert kinds_of(ct.eye(3)) >= {"diagonal", "positive_definite", "orthogonal"}
    assert "upper_triangular" in kinds_of(ct.eye(3, k=1)) and "diagonal" not in kinds_of(ct.eye(3, k=1))
    assert "positive_definite" in kinds_of(half + ct.exp(ct.scalar()) * ct.eye(3))
    assert "positive_definite" in kinds_of(half + ct.exp(ct.scalar()) / 2 * ct.eye(3))
    assert "positive_definite" not in kinds_of(half + ct.scalar() * ct.eye(3))
    assert "positive_definite" not in kinds_of(half + ct.scalar() ** 2 * ct.eye(3))  # which may be 0
    assert "lower_triangular" in kinds_of(lower - ct.eye(3)) & kinds_of(-lower) & kinds_of(lower * x)
    assert "positive_diagonal" not in kinds_of(lower - ct.eye(3)) | kinds_of(-lower)
    assert "positive_definite" in kinds_of(p * p) and "positive_definite" not in kinds_of(p * half)
    assert "lower_triangular" in kinds_of(linalg.solve_triangular(lower, ct.eye(3), lower=True))


def test_the_inverse_of_a_positive_diagonal_need_not_have_one():
    a = linalg.assume(ct.matrix(), positive_diagonal=True, symmetric=True)
    assert "positive_diagonal" not in kinds_of(linalg.inv(a)) and "symmetric" in kinds_of(linalg.inv(a))
    assert "positive_definite" in kinds_of(linalg.inv(linalg.assume(ct.matrix(), positive_semidefinite=True)))


def test_lengths_that_a_graph_knows_to_be_equal_are_enough(make):
    def build(x, b, s):
        k = x @ x.T + ct.exp(s) * ct.eye(x.shape[0])
        return [linalg.solve(k, b), linalg.slogdet(k)[1]]

    check(build, make.general(5, 2), make.general(5), make.general(), holds=["Cholesky"], without=["Solve", "SLogDet"])

    def other(x, b, n):
        return linalg.solve(x @ x.T + ct.eye(n), b)

    check(other, make.general(5, 5) + 3, make.general(5), np.array(1), holds=["Solve"])  # eye(1) is repeated


def test_a_triangle_is_solved_as_one(make):
    a, b = make.regular(4, 4) + 2 * np.eye(4), make.general(4, 2)
    fires = ["system_of_known_kind_is_solved_by_its_kind"]
    check(lambda a, b: linalg.solve(ct.tril(a), b), a, b, fires=fires, holds=["SolveTriangular"], without=["Solve"])
    check(lambda a, b: linalg.solve(ct.triu(a).T, b), a, b, fires=fires, holds=["SolveTriangular"])
    check(lambda a, b: linalg.solve(ct.tril(a, 1), b), a, b, holds=["Solve"])
    check(lambda a: linalg.det(ct.tril(a)), a, without=["Det"])


def test_orthonormal_columns_cancel(make):
    rule = "orthonormal_columns_cancel"
    a, x = make.general(5, 3), make.general(3, 2)

    def q(a):
        return linalg.qr(a)[0]

    check(lambda a, x: q(a).T @ (q(a) @ x), a, x, static=True, fires=[rule], without=["Dot", "QR"])
    check(lambda a: q(a).T @ q(a), a, static=True, fires=[rule], without=["Dot"])
    check(lambda a: linalg.svd(a, full_matrices=False)[2] @ linalg.svd(a, full_matrices=False)[2].T, a, fires=[rule])
    check(lambda a, x: (x.T @ q(a).T) @ q(a), a, x, fires=[rule], without=["Dot"])
    for build in (lambda a: q(a) @ q(a).T, lambda a: q(a).T @ linalg.qr(a + 1)[0], lambda a: a.T @ a):
        f = check(build, a, holds=["Dot"])  # a projector, two matrices, any matrix
        assert rule not in {entry.rule for entry in f.rewrites}
    square = np.linalg.qr(make.general(4, 4))[0]
    check(lambda q: (lambda q: q @ q.T)(linalg.assume(q, orthogonal=True)), square, fires=[rule], without=["Dot"])
    complex_one = make.general(5, 3, dtype="complex128")
    check(lambda a: q(a).conj().T @ q(a), complex_one, fires=[rule])
    f = check(lambda a: q(a).T @ q(a), complex_one)  # not the adjoint
    assert rule not in {entry.rule for entry in f.rewrites}
    stack = make.general(2, 5, 3)
    check(lambda a: linalg.matrix_transpose(q(a)) @ q(a), stack, fires=[rule])


def test_products_with_multiples_of_the_identity_are_elementwise(make):
    rule = "product_with_what_is_diagonal_is_elementwise"
    x, s = make.general(4, 3), make.general()
    check(lambda x, s: (s * ct.eye(x.shape[0])) @ x, x, s, fires=[rule], without=["Dot"])
    check(lambda x, s: x.T @ ct.tril(ct.triu(s * ct.eye(x.shape[0]))), x, s, fires=[rule], without=["Dot"])
    f = check(lambda x, s: ct.eye(5, 4) @ x, x, s)
    assert rule not in {entry.rule for entry in f.rewrites}


def test_sums_of_unknown_lengths_may_broadcast_and_tell_nothing():
    p, q = (linalg.assume(ct.matrix(), positive_definite=True) for _ in range(2))
    assert "positive_definite" not in kinds_of(p + q)


def test_assume_is_the_identity_and_knows_its_kinds(make):
    x = ct.matrix("x")
    y = linalg.assume(x, symmetric=True)
    f = compiled([y, core.grad((y**2).sum(), x)], [x])
    a = make.hermitian(3, 3)
    np.testing.assert_array_equal(f(a)[0], a)
    np.testing.assert_allclose(f(a)[1], 2 * a)
    assert "Assume" not in ops_of(f) and linalg.assume(x, symmetric=False) is x
    with pytest.raises(ArgumentError, match="got 'positive_definit'.*Did you mean 'positive_definite'"):
        linalg.assume(x, positive_definit=True)
    with pytest.raises(ShapeError, match="needs ndim >= 2"):
        linalg.assume(ct.vector(), diagonal=True)


def test_functions_without_these_ops_do_not_import_the_rules():
    import subprocess
    import sys

    program = (
        "import sys, core, core.tensor as ct; x = ct.vector('x'); x.sum().eval({x: [1.0]}, backend='interpreter'); "
        "print([name for name in sys.modules if name.startswith('plugin_ops_linalg.')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- gradients through Cholesky factors ------------------------------------------------------------------------------


def logp_of(k, y, lower=True, factor=None):
    factor = linalg.cholesky(k, lower=lower) if factor is None else factor
    return -0.5 * y @ linalg.cho_solve((factor, lower), y) - ct.log(ct.diag(factor)).sum()


THROUGH = "gradient_through_factor_is_that_of_its_matrix"


@pytest.mark.parametrize("lower", [True, False])
def test_the_gradient_of_a_likelihood_needs_an_inverse_and_no_gradient_of_its_factor(make, lower):
    def gradients(k, y):
        logp = 3 * logp_of(k, y, lower)
        return [logp, *core.grad(logp, [k, y])]

    values = make.positive(5, 5), make.general(5)
    f = check(gradients, *values, fires=[THROUGH], without=["CholeskyGradient", "GramGradient"])
    assert all(ops_of(f).count(name) == 1 for name in ("CholeskyInverse", "Cholesky", "Dot"))


def test_gradients_of_stacks_of_likelihoods_keep_their_weights(make):
    def gradient(k, y, w):
        factor = linalg.cholesky(k)
        logs = ct.log(ct.diagonal(factor, axis1=-2, axis2=-1)).sum(axis=-1)
        forms = (y * linalg.cho_solve((factor, True), y)).sum(axis=(-2, -1))
        return core.grad((w * (logs - forms)).sum(), k)

    arrays = make.positive(3, 4, 4), make.general(3, 4, 2), make.general(3)
    check(gradient, *arrays, fires=[THROUGH], without=["CholeskyGradient", "GramGradient"])


def test_what_else_reads_the_factor_is_differentiated_through_it(make):
    def gradient(k, y):
        factor = linalg.cholesky(k)
        return core.grad(logp_of(k, y, factor=factor) + (factor @ y).sum(), k)

    values = make.positive(5, 5), make.general(5)
    holds = ["CholeskyGradient"]
    check(gradient, *values, fires=[THROUGH], holds=holds, without=["CholeskyInverse", "GramGradient"])


@pytest.mark.parametrize(
    "cost",
    [
        lambda factor, y: (factor @ y).sum(),
        lambda factor, y: (y * ct.log(ct.diag(factor))).sum(),  # a weight for each
        lambda factor, y: ct.log(factor[0]).sum() + (factor**2).sum(),
    ],
)
def test_other_gradients_of_a_factor_stay(make, cost):
    f = check(
        lambda k, y: core.grad(cost(linalg.cholesky(k), y), k),
        make.positive(5, 5) + 3,
        make.general(5),
        holds=["CholeskyGradient"],
        without=["CholeskyInverse"],
    )
    assert THROUGH not in {entry.rule for entry in f.rewrites}


def test_second_derivatives_of_a_likelihood_are_kept(make):
    def curvature(k, y):
        slope = core.grad(logp_of(k, y), k)
        return core.grad((slope * slope).sum(), [k, y])

    check(curvature, make.positive(4, 4), make.general(4), tol=1e-8)


def test_a_product_of_a_column_and_a_row_is_elementwise(make):
    rule = "product_of_column_and_row_is_elementwise"
    a, b = make.general(4, 1), make.general(1, 3)
    check(lambda a, b: a @ b, a, b, static=True, fires=[rule], without=["Dot"])
    f = check(lambda a, b: a @ b, a, b, holds=["Dot"])  # other lengths may come
    assert rule not in {entry.rule for entry in f.rewrites}


def test_traces_of_solutions_take_one_inverse(make):
    rule = "diagonal_of_solution_takes_the_inverse"

    def likelihood_slopes(x, b, c):
        k = linalg.assume(x @ x.T + ct.eye(x.shape[0]), positive_definite=True)
        traces = [linalg.trace(linalg.inv(k) @ b), linalg.trace(linalg.solve(k, c, assume_a="pos"))]
        return [*traces, linalg.slogdet(k)[1]]

    x, b, c = make.general(4, 4), make.general(4, 4, seed=1), make.general(4, 4, seed=2)
    f = check(likelihood_slopes, x, b, c, static=True, fires=[rule], without=["CholeskySolve", "Solve"])
    assert ops_of(f).count("Cholesky") == ops_of(f).count("CholeskyInverse") == ops_of(f).count("Dot") == 1
    check(lambda a, b: linalg.trace(linalg.solve(a, b)), x, b, static=True, fires=[rule], holds=["Inv"])
    check(lambda a, b: linalg.trace(linalg.cho_solve((ct.tril(a) + 3, True), b)), x, b, static=True, fires=[rule])
    stack = make.regular(3, 4, 4), make.general(3, 4, 4)
    check(lambda a, b: ct.diagonal(linalg.solve(a, b), 0, -2, -1), *stack, static=True, fires=[rule])
    for build in (
        lambda a, b: [linalg.trace(linalg.solve(a, b)), linalg.solve(a, b)],  # others read it
        lambda a, b: linalg.trace(linalg.solve(a, b[:, :3])),  # not square
        lambda a, b: linalg.trace(linalg.solve(a, b, assume_a="sym")),
        lambda a, b: linalg.trace(linalg.solve(a, b), offset=1),
    ):
        f = check(build, make.hermitian(4, 4) + 5 * np.eye(4), b, static=True)
        assert rule not in {entry.rule for entry in f.rewrites}
    f = check(lambda a, b: linalg.trace(linalg.solve(a, b)), x, b)  # other lengths may come
    assert rule not in {entry.rule for entry in f.rewrites}
