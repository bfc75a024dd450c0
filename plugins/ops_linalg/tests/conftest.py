"""Dtypes, backends, stacks of matrices of every kind, and the comparison with a function of single matrices."""

import numpy as np
import pytest

import core
from core.testing import available_backends, evaluate, random

BACKENDS = [name for name in ("interpreter", "c") if name in available_backends()]  # others go back to Python
DTYPES = ["float32", "float64", "complex64", "complex128"]
ROUGH = {"float32": 2e-3, "complex64": 2e-3, "float64": 1e-9, "complex128": 1e-9}


def pytest_generate_tests(metafunc):
    """Every dtype on every backend that does not go back to Python."""
    wanted = [name for name in ("backend", "dtype") if name in metafunc.fixturenames]
    both = [(b, d) for b in BACKENDS for d in DTYPES]
    if wanted == ["backend", "dtype"]:
        metafunc.parametrize("backend, dtype", both)
    elif wanted == ["backend"]:
        metafunc.parametrize("backend", BACKENDS)
    elif wanted == ["dtype"]:
        metafunc.parametrize("dtype", DTYPES)


@pytest.fixture
def tol(dtype):
    """How far results of this dtype may be off, relative to their largest element."""
    return ROUGH[dtype]


class Make:
    """Stacks of matrices; the same for the same arguments."""

    def general(self, *shape, dtype="float64", seed=0):
        """Any: ``shape`` is that of the whole stack."""
        return random(shape, dtype, seed)

    def regular(self, *shape, dtype="float64", seed=0):
        """Square and far from singular."""
        return random(shape, dtype, seed) + 2 * np.eye(shape[-1], dtype=dtype)

    def positive(self, *shape, dtype="float64", seed=0):
        """Hermitian and positive definite."""
        x = random(shape, dtype, seed)
        return np.asarray(x @ x.conj().swapaxes(-1, -2) + np.eye(shape[-1]), dtype)

    def hermitian(self, *shape, dtype="float64", seed=0):
        x = random(shape, dtype, seed)
        return x + x.conj().swapaxes(-1, -2)

    def triangular(self, *shape, dtype="float64", seed=0, lower=True):
        """Rubbish in the other triangle, and a diagonal far from 0."""
        return random(shape, dtype, seed) + 3 * np.eye(shape[-1], dtype=dtype)


@pytest.fixture
def make():
    return Make()


def each(reference, arrays, ndims):
    """``reference`` of single matrices, for a stack; a tuple of stacks."""
    lead = np.broadcast_shapes(*(x.shape[: x.ndim - n] for x, n in zip(arrays, ndims, strict=True)))
    whole = [np.broadcast_to(x, (*lead, *x.shape[x.ndim - n :])) for x, n in zip(arrays, ndims, strict=True)]
    found = [reference(*(x[place] for x in whole)) for place in np.ndindex(*lead)]
    found = [one if isinstance(one, tuple) else (one,) for one in found]
    return [np.stack(parts).reshape((*lead, *np.shape(parts[0]))) for parts in zip(*found, strict=True)]


@pytest.fixture
def agree():
    """agree(op, reference, *arrays, backend=, tol=): the op of the stacks equals the reference of each matrix."""

    def check(op, reference, *arrays, backend="interpreter", tol=1e-9, ndims=None, static=False):
        got = evaluate(op, *arrays, backend=backend, static=static)
        got = got if isinstance(got, list) else [got]
        expected = each(reference, arrays, ndims or [2] * len(arrays))
        assert len(got) == len(expected)
        for mine, theirs in zip(got, expected, strict=True):
            close(mine, theirs, tol)

    return check


def close(mine, theirs, tol):
    assert mine.shape == theirs.shape
    assert mine.dtype == theirs.dtype
    scale = max(1.0, float(np.max(np.abs(theirs), initial=0)))
    np.testing.assert_allclose(mine, theirs, rtol=tol, atol=tol * scale)


def transposed_in_memory(x):
    """The same matrices, each in column-major order."""
    return np.ascontiguousarray(x.swapaxes(-1, -2)).swapaxes(-1, -2)


@pytest.fixture
def fortran():
    return transposed_in_memory


@pytest.fixture
def adjoint_holds():
    """Whether tangent and gradient of an op belong together: Re <v, R_op(u)> = Re <grad(v), u> for complex matrices."""

    def check(op, *arrays, tol=1e-8):
        from core.testing.values import symbolic

        inputs = symbolic([np.asarray(x) for x in arrays])
        outputs = op(*inputs)
        outputs = list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]
        values = [np.asarray(v) for v in core.function(inputs, outputs, backend="interpreter")(*arrays)]
        for position, x in enumerate(arrays):
            u = random(x.shape, x.dtype.name, 7 + position)
            vs = [random(v.shape, v.dtype.name, 17 + k) for k, v in enumerate(values)]
            du, dvs = symbolic([u])[0], symbolic(vs)
            forward = core.Rop(outputs, [inputs[position]], [du])
            backward = core.Lop(outputs, inputs[position], dvs)
            run = core.function(
                [*inputs, du, *dvs], [*forward, backward], backend="interpreter", on_unused_input="ignore"
            )
            *tangents, gradient = run(*arrays, u, *vs)
            step = 1e-6
            moved = [list(arrays), list(arrays)]
            moved[0][position], moved[1][position] = x + step * u, x - step * u
            f = core.function(inputs, outputs, backend="interpreter")
            up, down = f(*moved[0]), f(*moved[1])
            for t, a, b in zip(tangents, up, down, strict=True):
                np.testing.assert_allclose(t, (a - b) / (2 * step), rtol=1e-5, atol=1e-5 * max(1, np.abs(t).max()))
            left = sum(np.sum(v * t).real for v, t in zip(vs, tangents, strict=True))
            np.testing.assert_allclose(left, np.sum(gradient * u).real, rtol=tol, atol=tol * max(1, abs(left)))

    return check
