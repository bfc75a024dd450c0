"""Loops with vectors: the same numbers as without, whatever is left over, and only where all has a vector form."""

import numpy as np
import pytest

import core
import core.tensor as ct

SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-310, -1.5, 700.0, -800.0]


def both(build, *arrays):
    """The results of a function of tensors on OpenCL and on the interpreter."""
    inputs = [ct.tensor(f"x{k}", dtype=a.dtype, ndim=a.ndim) for k, a in enumerate(arrays)]
    outputs = build(*inputs)
    got = core.function(inputs, outputs, backend="opencl")
    want = core.function(inputs, outputs, backend="interpreter")
    return got(*arrays), want(*arrays), "\n".join(got.sources.values())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("length", [0, 1, 3, 4, 8, 9, 31, 67])
def test_what_is_left_over_is_computed_too(dtype, length):
    x = np.resize(np.array([*SPECIAL, 0.25, 3.0]), length).astype(dtype)

    def build(x):
        return [ct.where(x > 0.5, x * 2, ct.maximum(-x, 1.0)), ct.isnan(x) | (x < 0), x.sum(), ct.exp(-x * x)]

    got, want, text = both(build, x)
    assert "_packed" in text
    for one, other in zip(got, want, strict=True):
        np.testing.assert_allclose(one, other, rtol=3e-6 if dtype == "float32" else 1e-13)


@pytest.mark.parametrize("name", ["sum", "prod", "max", "min"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64"])
def test_reductions_take_every_lane_once(name, dtype):
    x = (np.arange(1, 78) % 7 + 1).astype(dtype)
    x = x[:20] if name == "prod" else x
    got, want, _ = both(lambda x: getattr(x, name)(), x)
    assert got == want and got.dtype == want.dtype


@pytest.mark.parametrize("where", [0, 5, 40, 76])
def test_a_maximum_keeps_nan_wherever_it_stands(where):
    x = np.arange(77.0)
    x[where] = np.nan
    got, _, _ = both(lambda x: [x.max(), x.min()], x)
    assert np.isnan(got).all()


def test_integers_truth_and_floats_of_all_sizes_mix():
    x, y = np.arange(-20, 21, dtype="int8"), np.linspace(-1, 1, 41, dtype="float32")

    def build(x, y):
        return [x + x, x * y, (x > 3) & (y < 0.5), ct.where(y > 0, x, -x), x.astype("float64") / 3, y.astype("int32")]

    got, want, _ = both(build, x, y)
    for one, other in zip(got, want, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, rtol=1e-6)


def test_what_is_written_twice_has_two_names():
    x = np.resize(np.array(SPECIAL), 37)

    def build(x):
        once = ct.maximum(x, 0.0)
        return [ct.maximum(once, 0.0), ct.minimum(ct.maximum(x + 1, 0.0), 0.0), ct.maximum(ct.maximum(x, x), once)]

    got, want, text = both(build, x)
    assert "_packed" in text
    for one, other in zip(got, want, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("dtype", ["int8", "int32", "int64", "uint64", "float32", "float64"])
def test_stored_truth_becomes_0_or_1(dtype):
    got, want, text = both(lambda x: x.astype(dtype) + 1, np.arange(37) % 3 == 0)
    assert np.array_equal(got, want) and got.dtype == dtype and "_packed" in text


def test_a_loop_with_integer_division_stays_as_it_is():
    x = np.arange(-9, 30)
    got, want, text = both(lambda x: x // 4, x)
    assert np.array_equal(got, want) and "_packed" not in text


def test_transposed_and_gathered_elements_come_one_by_one():
    x, i = np.arange(70.0).reshape(7, 10), np.array([6, 0, 3, 3, -1, 2, 1, 5, 4])
    got, want, _ = both(lambda x, i: [x.T * 2, x[i] + 1, x[:, ::-2] - 1, x[i, 0] * 3], x, i)
    for one, other in zip(got, want, strict=True):
        assert np.array_equal(one, other)


def test_results_that_lie_apart_are_stored_one_by_one():
    x = np.arange(70.0).reshape(7, 10)
    got, want, _ = both(lambda x: [ct.concatenate([x, x * 2], axis=0), ct.concatenate([x.T, x.T], axis=1)[2:]], x)
    for one, other in zip(got, want, strict=True):
        assert np.array_equal(one, other)
