"""Elementwise work tile by tile: what is read across, what is not, and that numbers are those of NumPy."""

import numpy as np
import pytest

import core
import core.tensor as ct
from core.dataclass import replace
from core.errors import VerifyError
from core.ir.check.verify_kernel import verify_kernel
from core.ir.nodes import Barrier, statements
from core.ir.target import Target
from core.testing.devices import numpy_backend


@pytest.fixture(scope="module", params=[4, 256], ids=["4 lanes", "256 lanes"])
def backend(request):
    return numpy_backend(Target(units=3, lanes=request.param))


def tiles(f):
    """The arrays that groups share, by their name, in all kernels of a function."""
    kernels = [kernel for step in f.program.steps for kernel in step.kernels]
    return sorted(str(value) for kernel in kernels for value in kernel.arrays)


READ_ACROSS = {
    "x + x.T": (lambda x: x + x.T, ["tile_of_x"]),
    "x.T": (lambda x: ct.exp(x.T), ["tile_of_x"]),
    "twice the same": (lambda x: x.T * x + x.T, ["tile_of_x"]),
}
OTHERWISE = {
    "straight": lambda x: x + 1,
    "a diagonal": lambda x: ct.diagonal(x) * 2,
    "first element of each row": lambda x: x[:, 0] + 1,
    "other rows": lambda x: x[::-1] + x,
}


@pytest.mark.parametrize("name", READ_ACROSS)
@pytest.mark.parametrize("n", [35])
def test_what_is_read_across_goes_through_a_tile(backend, name, n):
    op, expected = READ_ACROSS[name]
    x = ct.matrix("x")
    f = core.function([x], op(x), backend=backend)
    assert tiles(f) == expected
    a = np.random.default_rng(0).standard_normal((n, n))
    np.testing.assert_allclose(f(a), core.function([x], op(x), backend="interpreter")(a))


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (1, 1), (1, 70), (70, 1), (32, 64), (33, 31)])
def test_tiles_that_are_not_full_are_right(backend, shape):
    x, y = ct.matrix("x", dtype="float32"), ct.matrix("y", dtype="float32")
    f = core.function([x, y], [x.T - y, y + 1], backend=backend)
    a = np.random.default_rng(0).standard_normal(shape).astype("float32")
    b = np.random.default_rng(1).standard_normal(shape[::-1]).astype("float32")
    for got, want in zip(f(a, b), (a.T - b, b + 1), strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("shape", [(2, 5), (5, 2), (33, 31), (40, 70)])
def test_what_a_row_or_a_column_alone_decides_is_not_read_beyond_the_edge(backend, shape):
    x, y, z = ct.matrix("x"), ct.vector("y"), ct.vector("z")
    f = core.function([x, y, z], x.T + y[::-1] + z[::-1, None], backend=backend)
    assert tiles(f) == ["tile_of_x"]
    a, b, c = (np.random.default_rng(0).standard_normal(n) for n in (shape, shape[0], shape[1]))
    np.testing.assert_array_equal(f(a, b, c), a.T + b[::-1] + c[::-1, None])


def test_several_operands_have_a_tile_each(backend):
    x, y = ct.tensor("x", ndim=3), ct.tensor("y", dtype="int32", ndim=3)
    f = core.function([x, y], x.transpose(0, 2, 1) * y.transpose(0, 2, 1) + 1, backend=backend)
    assert tiles(f) == ["tile_of_x", "tile_of_y"]
    a, b = np.random.default_rng(0).standard_normal((2, 20, 40)), np.arange(1600, dtype="int32").reshape(2, 20, 40)
    np.testing.assert_array_equal(f(a, b), (a * b).transpose(0, 2, 1) + 1)


@pytest.mark.parametrize("name", OTHERWISE)
def test_what_is_not_read_across_has_none(backend, name):
    x = ct.matrix("x")
    f = core.function([x], OTHERWISE[name](x), backend=backend)
    assert tiles(f) == []
    a = np.random.default_rng(0).standard_normal((6, 6))
    np.testing.assert_allclose(f(a), core.function([x], OTHERWISE[name](x), backend="interpreter")(a))


def test_axes_that_are_known_to_be_short_have_none(backend):
    x = ct.tensor("x", dtype="float64", shape=(None, 3))
    assert tiles(core.function([x], x.T + 1, backend=backend)) == []


def test_what_is_read_under_a_guard_has_none(backend):
    x, y = ct.matrix("x"), ct.matrix("y")
    f = core.function([x, y], ct.concatenate([x.T, y], axis=0) + 1, backend=backend)
    assert tiles(f) == []
    np.testing.assert_array_equal(f(np.ones((3, 2)), np.zeros((2, 3))), [[2.0] * 3] * 2 + [[1.0] * 3] * 2)


def test_a_group_meets_before_it_reads_a_tile_and_before_it_brings_the_next(backend):
    x = ct.matrix("x")
    f = core.function([x], x + x.T, backend=backend)
    (loop,) = f.program.steps[0].kernel.body
    assert [type(s) for s in statements(loop.body) if isinstance(s, Barrier)] == [Barrier, Barrier]
    assert isinstance(loop.body[-1], Barrier)


def test_a_group_that_does_not_meet_in_the_end_is_refused(backend):
    x = ct.matrix("x")
    (step,) = core.function([x], x + x.T, backend=backend).program.steps
    loop = replace(step.kernel.body[0], body=step.kernel.body[0].body[:-1])
    with pytest.raises(VerifyError, match="lanes share tile_of_x, so they must meet in the end"):
        verify_kernel(replace(step.kernel, body=[loop]))
