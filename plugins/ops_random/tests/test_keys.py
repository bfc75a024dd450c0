"""Bits and keys: published vectors, JAX's numbers, the same on every backend."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import core
import core.tensor as ct
import plugin_ops_random as random
from core.errors import DTypeError, ShapeError
from core.testing import available_backends, evaluate
from plugin_ops_random.keys import threefry

ALL = 0xFFFFFFFF


@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize(
    "key, position, expected",
    [
        ((0, 0), (0, 0), 0x6B20015999BA4EFE),
        ((ALL, ALL), (ALL, ALL), 0x1CB996FCBB002BE7),
        ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), 0xC4923A9C483DF7A0),
    ],
)
def test_threefry_gives_the_published_vectors(backend, key, position, expected):
    """The known answers of the Random123 library, threefry2x32 with 20 rounds."""
    assert int(evaluate(threefry, *map(np.uint32, (*key, *position)), backend=backend)) == expected


@pytest.mark.parametrize("backend", available_backends())
def test_bits_and_keys_are_those_of_jax(backend):
    """As computed by JAX 0.10: jax.random.bits, split and fold_in of jax.random.key(42)."""
    key = random.key(42)
    outputs = [random.bits(key, 5, "uint32"), random.bits(key, (2, 2)), random.split(key, 3), random.fold_in(key, 7)]
    few, many, keys, folded = core.function([], outputs, backend=backend)()
    assert_array_equal(few, np.array([2098992034, 2919706841, 2646866425, 2409546199, 1935504149], "uint32"))
    assert_array_equal(many.ravel()[:2], np.array([7871734211187709741, 276886910877598708], "uint64"))
    expected = [[1832780943, 270669613], [64467757, 2916123636], [2465931498, 255383827]]
    assert_array_equal(keys, np.array(expected, "uint32"))
    assert_array_equal(folded, np.array([2547012911, 1371500959], "uint32"))


def test_a_seed_may_be_symbolic_and_of_64_bits():
    seed = ct.lscalar("seed")
    f = core.function([seed], random.key(seed))
    for value in (0, 1, 2**40 + 3, -1):
        assert_array_equal(f(value), random.key(value).eval())


@pytest.mark.parametrize("size", [(), 1, (3,), (2, 3), (0,), (4, 0, 2)])
def test_a_draw_has_its_size_and_its_first_elements_do_not_depend_on_it(size):
    drawn = random.bits(random.key(1), size).eval()
    assert drawn.shape == np.empty(size).shape and drawn.dtype == "uint64"
    longer = random.bits(random.key(1), 30).eval()
    assert_array_equal(drawn.ravel(), longer[: drawn.size])


def test_a_size_may_be_known_only_when_the_function_runs():
    n, x = ct.lscalar("n"), ct.matrix("x")
    f = core.function([n, x], [random.bits(random.key(3), (n, 2)), random.random(random.key(3), x.shape)])
    made, like = f(3, np.zeros((2, 5)))
    assert made.shape == (3, 2) and like.shape == (2, 5)


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda: random.key(1.5), DTypeError, "an integer as seed"),
        (lambda: random.bits(np.array([1, 2])), DTypeError, "random.key"),
        (lambda: random.bits(np.zeros(3, "uint32")), ShapeError, r"shape \(2,\)"),
        (lambda: random.bits(random.key(0), 3, "int32"), DTypeError, "uint64 or uint32"),
        (lambda: random.bits(random.key(0), 1.5), DTypeError, "length"),
        (lambda: random.fold_in(random.key(0), 0.5), DTypeError, "integers as data"),
    ],
    ids=["seed", "dtype of a key", "shape of a key", "dtype of bits", "size", "data"],
)
def test_bad_input_is_named(call, error, words):
    with pytest.raises(error, match=words):
        call()
