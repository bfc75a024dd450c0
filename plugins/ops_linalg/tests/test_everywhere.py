"""Every function of the pack, in every dtype: that it runs in C from end to end, its derivatives too."""

import numpy as np
import pytest

import core
import core.tensor as ct
from core import dtypes
from core.compile.lower import lower
from core.errors import GradientError
from core.testing import available_backends
from plugin_ops_linalg import names
from plugin_ops_linalg.examples import BY_NAME, EXAMPLES

IDS = [one.name for one in EXAMPLES]
IN_PYTHON = {"null_space"}  # how many columns it gives depends on values
NONE = {"null_space", "svd", "qr(mode='complete')"}  # vectors that are free within their space
REAL_BLOCKS = {"schur", "schur(sort='iuc')", "qz", "ordqz"}  # of two eigenvalues have no derivatives
DISCRETE = {"matrix_rank", "pivot_to_permutation"}


def test_every_function_has_an_example():
    assert {one.of for one in EXAMPLES} == set(names.__all__) - {"LinAlgError"}


def in_python(inputs, outputs):
    """The ops that C goes back to Python for."""
    driver = pytest.importorskip("plugin_backend_c.backend").driver
    graph = core.function(inputs, outputs, backend="interpreter", on_unused_input="ignore").graph
    return {type(node.op).__name__ for node, _, _ in lower(graph, driver.dialect_table).host_nodes}


@pytest.mark.parametrize("example", EXAMPLES, ids=IDS)
def test_nothing_goes_back_to_python(example, dtype):
    assert in_python(*example.symbolic(dtype)) == ({"NullSpace"} if example.name in IN_PYTHON else set())


def cost(outputs):
    return sum((ct.sum(ct.abs(x) ** 2) for x in outputs if x.dtype not in dtypes.DISCRETE), ct.as_tensor(0.0))


@pytest.mark.parametrize("kind", ["float64", "complex128"])
@pytest.mark.parametrize("example", EXAMPLES, ids=IDS)
def test_no_gradient_goes_back_to_python(example, kind):
    inputs, outputs = example.symbolic(kind)
    if example.name in DISCRETE:
        return
    if example.name in NONE or (example.name in REAL_BLOCKS and kind == "float64"):
        with pytest.raises(GradientError):
            core.function(inputs, core.grad(cost(outputs), inputs), backend="interpreter")
        return
    gradients = core.grad(cost(outputs), inputs)
    assert in_python(inputs, gradients) == set()


@pytest.mark.skipif("c" not in available_backends(), reason="needs plugin-backend-c and a compiler")
@pytest.mark.parametrize(
    "name", ["schur(output='complex')", "qz(output='complex')", "eig", "cholesky", "solve", "svdvals"]
)
def test_gradients_in_c_are_those_of_the_interpreter(name):
    example = BY_NAME[name]
    for dtype in ("float64", "complex128"):
        inputs, outputs = example.symbolic(dtype)
        gradients = core.grad(cost([ct.real(outputs[0]), *outputs[1:]]), inputs)
        arrays = example.arrays(dtype)
        f, g = (core.function(inputs, gradients, backend=backend) for backend in ("c", "interpreter"))
        for mine, theirs in zip(f(*arrays), g(*arrays), strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-7, atol=1e-7 * np.abs(theirs).max())


OF_VECTORS = {
    "outer",
    "tensordot",
    "tensorinv",
    "tensorsolve",
    "multi_dot",
    "matrix_dot",
    "norm",
    "vector_norm",
    "cross",
}
STACKED = [one for one in EXAMPLES if one.of not in OF_VECTORS | IN_PYTHON | {"solve_circulant", "solve_toeplitz"}]


@pytest.mark.skipif("c" not in available_backends(), reason="needs plugin-backend-c and a compiler")
@pytest.mark.parametrize("example", STACKED, ids=[one.name for one in STACKED])
def test_stacks_of_complex_matrices_that_broadcast_and_lie_by_columns(example):
    scales = np.array([1, 1.1, 0.9])
    arrays = [np.multiply.outer(scales, x) for x in example.arrays("complex128")]
    arrays[0] = np.stack([arrays[0], 1.05 * arrays[0]])
    arrays[0] = np.ascontiguousarray(arrays[0].swapaxes(-1, -2)).swapaxes(-1, -2)
    inputs = [ct.tensor(dtype=x.dtype.name, ndim=x.ndim) for x in arrays]
    out = example.function(*inputs)
    outputs = [x for x in (out if isinstance(out, (list, tuple)) else [out]) if not isinstance(x, bool)]
    f, g = (core.function(inputs, outputs, backend=backend) for backend in ("c", "interpreter"))
    for mine, theirs in zip(f(*arrays), g(*arrays), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-8, atol=1e-8 * max(1, np.abs(theirs).max()))
