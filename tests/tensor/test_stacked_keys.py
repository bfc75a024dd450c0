"""Reading and writing ``x[key]`` for a stack of computations whose keys differ, against a loop over them."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import core
import core.tensor as ct
from core.errors import ArgumentError
from core.testing import available_backends, check_derivatives, evaluate, random

PLACES = np.array([[0, 2], [1, -1], [2, 2]])  # for each of three computations two indices
KEYS = {
    "x[i]": lambda x, p: x[p[0]],
    "x[:, i]": lambda x, p: x[:, p[0]],
    "x[i, j]": lambda x, p: x[p[0], p[1]],
    "x[1, i]": lambda x, p: x[1, p[0]],
    "x[i, ::-1]": lambda x, p: x[p[0], ::-1],
    "x[i, :, 1]": lambda x, p: x[p[0], :, 1],
    "x[..., i, j]": lambda x, p: x[..., p[0], p[1]],
    "x[None, i, None]": lambda x, p: x[None, p[0], None],
    "x[p]": lambda x, p: x[p],
    "x[:, p]": lambda x, p: x[:, p],
    "x[p[:, None], p]": lambda x, p: x[p[:, None], p],
    "x[p, :, i]": lambda x, p: x[p, :, p[0]],
    "x[:, None, p]": lambda x, p: x[:, None, p],
    "x[1:, p, 0]": lambda x, p: x[1:, p, 0],
}


@pytest.mark.parametrize("stacked", [True, False], ids=["its own x", "one x"])
def test_a_stack_of_keys_reads_what_each_key_reads(stacked):
    x = random((3, 4, 5, 3) if stacked else (4, 5, 3))
    xs, ps = ct.tensor("xs", dtype="float64", ndim=x.ndim), ct.lmatrix("ps")
    outputs = [core.vmap(read, (0 if stacked else None, 0))(xs, ps) for read in KEYS.values()]
    got = core.function([xs, ps], outputs, backend="interpreter")(x, PLACES)
    for name, read, out in zip(KEYS, KEYS.values(), got, strict=True):
        expected = [read(x[k] if stacked else x, PLACES[k]) for k in range(3)]
        assert_array_equal(out, np.stack(expected), err_msg=name)


@pytest.mark.parametrize("update", [ct.set_subtensor, ct.inc_subtensor])
@pytest.mark.parametrize("stacked", [True, False], ids=["its own x", "one x"])
def test_a_stack_of_keys_writes_where_each_key_writes(stacked, update):
    x = random((3, 4, 5, 3) if stacked else (4, 5, 3))
    xs, ps = ct.tensor("xs", dtype="float64", ndim=x.ndim), ct.lmatrix("ps")
    axes = (0 if stacked else None, 0)

    def written(read):
        return core.vmap(lambda x, p: update(read(x, p), ct.cumsum(ct.ones_like(read(x, p)), axis=-1)), axes)(xs, ps)

    names = [name for name in KEYS if "p, :" not in name or update is ct.inc_subtensor]
    got = core.function([xs, ps], [written(KEYS[name]) for name in names], backend="interpreter")(x, PLACES)
    for name, out in zip(names, got, strict=True):
        for k in range(3):
            one = (x[k] if stacked else x).copy()
            place = KEYS[name](np.arange(one.size).reshape(one.shape), PLACES[k])
            value = np.cumsum(np.ones(place.shape), axis=-1) if place.ndim else 1.0
            if update is ct.inc_subtensor:
                np.add.at(one.reshape(-1), place, value)
            else:
                one.reshape(-1)[place] = value
            assert_array_equal(out[k], one, err_msg=name)


def test_the_gradient_of_a_stack_of_keys_goes_where_each_was_read():
    def picked(x, values):
        table = core.vmap(lambda row, p: row[p[0]] * row[p], (0, 0))(x, ct.constant(PLACES))
        return core.vmap(lambda row, k, v: ct.set_subtensor(row[k], v), (0, 0, 0))(table, PLACES[:, 0] % 2, values)

    check_derivatives(picked, random((3, 4)), random(3))


@pytest.mark.parametrize("backend", available_backends())
def test_every_backend_gathers_and_scatters_a_stack(backend):
    x = random((3, 4))
    got = evaluate(core.vmap(lambda row, i: ct.inc_subtensor(row[i], row[i - 1])), x, PLACES[:, 0], backend=backend)
    expected = x.copy()
    expected[np.arange(3), PLACES[:, 0]] += x[np.arange(3), PLACES[:, 0] - 1]
    assert_array_equal(got, expected)


def test_no_computations_give_no_results():
    got = evaluate(core.vmap(lambda x, i: x[i]), random((0, 3)), np.zeros(0, "int64"))
    assert got.shape == (0,)


def test_bounds_of_slices_that_differ_within_a_stack_are_refused():
    x, n = ct.dmatrix("x"), ct.lvector("n")
    with pytest.raises(ArgumentError, match=r"Subtensor\(key=\[:i\]\) has no batch"):
        core.vmap(lambda row, k: row[:k])(x, n)
