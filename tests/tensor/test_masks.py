"""Masks and places on every backend: what their number depends on, piece by piece, and without Python."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import core
import core.tensor as ct
from core.testing import available_backends, evaluate, random

PIECE = 1 << 14  # as in core/tensor/masks.py

each_backend = pytest.mark.parametrize("backend", available_backends())


@pytest.fixture(autouse=True)
def without_python():
    with core.config.override(strict=True):
        yield


@each_backend
@pytest.mark.parametrize("n", [0, 1, 7, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 5])
def test_places_are_those_of_numpy_in_pieces_of_any_kind(backend, n):
    x = ct.tensor("x", dtype="bool", shape=(None,))
    f = core.function([x], ct.flatnonzero(x), backend=backend)
    given = [np.zeros(n, "bool"), np.ones(n, "bool"), random((n,)) > 0, np.arange(n) >= n - 1, np.arange(n) < 1]
    given.append(np.arange(n) // PIECE % 2 == 1)  # every other piece has none
    for mask in given:
        assert_array_equal(f(mask), np.flatnonzero(mask), strict=True)


@each_backend
def test_a_mask_chooses_of_one_axis_or_of_several(backend):
    x = random((5, 4, 3))
    for mask, choose in [
        (x > 0, lambda x, m: x[m]),
        (x[:, 0, 0] > 0, lambda x, m: x[m]),
        (x[0, :, 0] > 0, lambda x, m: x[:, m]),
        (x[:, :, 1] > 0, lambda x, m: x[m, 1:]),
        (x[0] > 0, lambda x, m: x[:, m]),
        (x[0] > 5, lambda x, m: x[:, m]),
    ]:
        assert_array_equal(evaluate(choose, x, mask, backend=backend), choose(x, mask), strict=True)


@each_backend
def test_what_is_chosen_goes_on_to_sums_sorts_products_and_writes(backend):
    x = random((6, 5))
    x[0] = -1

    def results(x):
        chosen = x[x > 0]
        rows = x[x[:, 0] > -2]
        return [
            chosen.sum(),
            ct.sort(chosen),
            rows @ rows.T,
            ct.concatenate([chosen, chosen[::-1]]),
            chosen.shape[0] * 1.0,
            ct.set_subtensor(x[x < 0], 0.0),
            ct.inc_subtensor(x[x > 0], ct.arange((x > 0).sum()).astype("float64")),
        ]

    chosen, rows = x[x > 0], x[x[:, 0] > -2]
    counted = x.copy()
    counted[x > 0] += np.arange(len(chosen))
    expected = [chosen.sum(), np.sort(chosen), rows @ rows.T, np.append(chosen, chosen[::-1]), len(chosen)]
    expected += [np.where(x < 0, 0, x), counted]
    for got, wanted in zip(evaluate(results, x, backend=backend), expected, strict=True):
        assert_allclose(got, wanted, rtol=1e-12)


@each_backend
def test_the_gradient_reaches_what_was_chosen_alone(backend):
    x = random((6, 5))
    slope = evaluate(lambda x: core.grad((x[x > 0] ** 2).sum(), x), x, backend=backend)
    assert_allclose(slope, 2 * x * (x > 0))


@each_backend
@pytest.mark.parametrize("dtype", ["bool", "int8", "uint64", "float32", "float64", "complex128"])
def test_nan_and_parts_of_complex_numbers_are_not_zero(backend, dtype):
    x = np.array([0, 1, -0.0, np.nan, 1j] if dtype == "complex128" else [0, 1, 0, 3, 1]).astype(dtype)
    if dtype == "float64":
        x = np.array([0, -0.0, np.nan, np.inf, 5e-324])
    assert_array_equal(evaluate(lambda x: ct.nonzero(x)[0], x, backend=backend), np.nonzero(x)[0], strict=True)


@each_backend
def test_sets_and_slices_by_conditions_need_no_python(backend):
    x = np.array([3.0, 1, 3, 2, 1, 1])
    got = evaluate(
        lambda x: [*ct.unique(x, True, True, True), ct.compress(x > 1, x), ct.union1d(x, x + 1)], x, backend=backend
    )
    expected = [*np.unique(x, True, True, True), np.compress(x > 1, x), np.union1d(x, x + 1)]
    for a, b in zip(got, expected, strict=True):
        assert_array_equal(a, b, strict=True)


@each_backend
def test_a_mask_in_each_step_of_a_loop(backend):
    rows = random((4, 6))
    sums = evaluate(lambda r: core.scan(lambda row: row[row > 0].sum(), sequences=r), rows, backend=backend)
    assert_allclose(sums, [row[row > 0].sum() for row in rows], rtol=1e-12)
