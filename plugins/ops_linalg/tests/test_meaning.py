"""Rewriting keeps values and gradients: on random expressions of matrices of several kinds."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import core
import core.tensor as ct
import plugin_ops_linalg as linalg

N = 3


def leaves():
    """(variables, values) of well-conditioned matrices, with what is known of them."""
    rng = np.random.default_rng(1)
    general = rng.uniform(-1, 1, (N, N)) / 3 + 2 * np.eye(N)
    spread = rng.uniform(-1, 1, (N, N))
    values = [general, spread @ spread.T / 3 + np.eye(N), np.tril(general), np.diag([0.5, 2.0, 1.5])]
    values.append(np.linalg.qr(spread)[0])
    names = [{}, {"positive_definite": True}, {"lower_triangular": True}, {"diagonal": True}, {"orthogonal": True}]
    variables = [ct.matrix(f"x{k}") for k in range(len(values))]
    return variables, [linalg.assume(x, **kinds) for x, kinds in zip(variables, names, strict=True)], values


@st.composite
def expressions(draw, depth=3):
    """A recipe: a tree of names and numbers of leaves; a deep one would be ill-conditioned."""
    if depth == 0 or draw(st.integers(0, 4)) == 0:
        return draw(st.integers(0, 4))
    name = draw(st.sampled_from(["transpose", "inv", "product", "solve", "square", "kron", "cholesky"]))
    below = [draw(expressions(depth - 1)) for _ in range(2 if name in ("product", "solve") else 1)]
    return (name, *below)


def built(recipe, matrices):
    if isinstance(recipe, int):
        return matrices[recipe]
    name, *below = recipe
    x, *rest = (built(part, matrices) for part in below)
    if name == "transpose":
        return x.T
    if name == "inv":
        return linalg.inv(x)
    if name == "product":
        return x @ rest[0]
    if name == "solve":
        return linalg.solve(x, rest[0])
    if name == "square":
        return x @ x.T
    if name == "kron":
        return linalg.kron(x, ct.constant([[2.0]]))
    return linalg.cholesky(x @ x.T)


ROOTS = {
    "logdet": lambda x: linalg.slogdet(x)[1],
    "det": linalg.det,
    "trace": linalg.trace,
    "form": lambda x: ct.constant([1.0, -1.0, 2.0]) @ linalg.inv(x) @ ct.constant([0.5, 1.0, 1.0]),
    "log of det": lambda x: ct.log(abs(linalg.det(x))),
}


@settings(max_examples=60, deadline=None, derandomize=True)
@given(expressions(), st.sampled_from(sorted(ROOTS)))
def test_values_and_gradients_are_kept(recipe, root):
    variables, matrices, values = leaves()
    out = ROOTS[root](built(recipe, matrices))
    gradients = core.grad(out, variables, disconnected_inputs="ignore")
    plain, better = (
        core.function(variables, [out, *gradients], backend="interpreter", mode=mode, on_unused_input="ignore")
        for mode in ("none", None)
    )
    expected, got = plain(*values), better(*values)
    np.testing.assert_allclose(got[0], expected[0], rtol=1e-6, atol=1e-9)
    for variable, mine, theirs in zip(variables, got[1:], expected[1:], strict=True):
        scale = max(1.0, float(np.abs(theirs).max()))
        np.testing.assert_allclose(mine, theirs, rtol=1e-6, atol=1e-7 * scale, err_msg=f"{variable}")
