"""``x.at[key]`` against assignments to a copy."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import core
import core.tensor as ct
from core.errors import ArgumentError
from core.testing import available_backends, check_derivatives, evaluate, random

BASIC = [np.s_[1], np.s_[::-2], np.s_[:, 0], np.s_[..., -1], np.s_[1:, None, 1:3]]
WITH_ARRAYS = [np.array([2, 0, 2]), (slice(None), np.array([1, 1])), np.arange(12).reshape(3, 4) % 2 == 0]
OF_COLUMNS = np.array([True, False, True, True])
MASKS = [np.arange(12).reshape(3, 4) % 5 > 1, np.s_[:, OF_COLUMNS], np.s_[1, OF_COLUMNS]]
CHANGES = {
    "set": lambda old, v: v,
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "power": np.power,
    "max": np.maximum,
    "min": np.minimum,
}


@pytest.mark.parametrize("key", BASIC, ids=str)
@pytest.mark.parametrize("name", CHANGES)
def test_a_change_at_a_basic_key_is_that_of_numpy(name, key):
    x = random((3, 4), low=0.5, high=2)
    expected = x.copy()
    expected[key] = CHANGES[name](expected[key], 1.5)
    got = evaluate(lambda x: getattr(x.at[key], name)(1.5), x, backend="interpreter")
    assert_allclose(got, expected, rtol=1e-15)


@pytest.mark.parametrize("backend", available_backends())
def test_index_arrays_and_masks_set_and_add_at_each_place_they_name(backend):
    x = random((3, 4))

    def changed(x):
        places = [x.at[key] for key in WITH_ARRAYS]
        return [one for at in places for one in (at.set(7.0), at.add(2.0), at.subtract(2.0))]

    got = evaluate(changed, x, backend=backend)
    expected = []
    for key in WITH_ARRAYS:
        for write in (None, np.add, np.subtract):
            one = x.copy()
            if write is None:
                one[key] = 7.0
            else:
                write.at(one, key, 2.0)
            expected.append(one)
    for a, b in zip(got, expected, strict=True):
        assert_array_equal(a, b)


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("key", MASKS, ids=["of all", "of an axis", "of a row"])
def test_a_mask_names_no_place_twice_so_every_change_serves(key, name):
    x = random((3, 4), low=0.5, high=2)
    expected = x.copy()
    expected[key] = CHANGES[name](expected[key], 1.5)
    assert_allclose(evaluate(lambda x: getattr(x.at[key], name)(1.5), x), expected, rtol=1e-15)


def test_apply_get_and_gradients():
    x = random((3, 4))
    assert_array_equal(evaluate(lambda x: x.at[1].apply(ct.square), x)[1], x[1] ** 2)
    assert_array_equal(evaluate(lambda x: x.at[1:].get(), x), x[1:])
    check_derivatives(lambda x, v: x.at[:, 1].multiply(v).at[[0, 0]].add(v[:2, None]), x, random(3, seed=1))


def test_what_cannot_be_right_at_a_repeated_place_is_refused():
    x, i = ct.dmatrix("x"), ct.lvector("i")
    for name in ("multiply", "divide", "power", "max", "min"):
        with pytest.raises(
            ArgumentError, match=rf"at\[...\].{name} needs a key without index arrays(.|\n)*x was made at"
        ):
            getattr(x.at[i], name)(2.0)
    with pytest.raises(ArgumentError, match=r"at\[...\].max needs a key without index arrays"):
        x.at[np.array([True, False, True]), [0, 1]].max(2.0)
    with pytest.raises(ArgumentError, match="at.* needs an index, got new axes alone"):
        x.at[None].set(1.0)
    assert core.function([x], x.at[...].set(1.0))(np.zeros((1, 2))).tolist() == [[1.0, 1.0]]
