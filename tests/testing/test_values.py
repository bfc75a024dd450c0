"""Reproducible arrays, and evaluation of ops on arrays."""

import subprocess
import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import core.tensor as ct
from core import dtypes
from core.errors import BackendError
from core.testing import available_backends, evaluate, random


@pytest.mark.parametrize("dtype", dtypes.ALL)
@pytest.mark.parametrize("shape", [(), 3, (0,), (2, 3)])
def test_random_arrays_have_the_shape_and_dtype_asked_for_and_are_the_same_each_time(shape, dtype):
    x = random(shape, dtype)
    assert isinstance(x, np.ndarray)
    assert (x.shape, x.dtype) == (np.empty(shape).shape, dtype)
    assert_array_equal(x, random(shape, dtype))


def test_another_seed_gives_other_values():
    assert not np.array_equal(random(5), random(5, seed=1))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_random_floats_lie_between_the_bounds(dtype):
    x = random(1000, dtype, low=2, high=5)
    assert 2 <= x.min() < 2.2 and 4.8 < x.max() <= 5


def test_random_integers_reach_both_bounds():
    assert set(random(1000, "int32", low=-2, high=3)) == set(range(-2, 4))


def test_random_unsigned_integers_start_at_zero():
    assert set(random(1000, "uint8", low=-2, high=3)) == {0, 1, 2, 3}


def test_random_bools_are_both():
    assert set(random(100, "bool")) == {False, True}


def test_random_complex_numbers_have_both_parts_between_the_bounds():
    x = random(1000, "complex64", low=1, high=2)
    assert x.real.min() >= 1 and x.imag.min() >= 1 and x.real.max() <= 2 and x.imag.max() <= 2


def test_the_interpreter_is_the_first_of_the_available_backends():
    names = available_backends()
    assert names[0] == "interpreter" and len(set(names)) == len(names)


def test_a_device_that_is_required_must_be_there(monkeypatch):
    monkeypatch.setenv("CORE_REQUIRE_DEVICE", "interpreter,quantum")
    with pytest.raises(BackendError, match="CORE_REQUIRE_DEVICE needs backend 'quantum', which cannot be used"):
        available_backends()
    monkeypatch.setenv("CORE_REQUIRE_DEVICE", "interpreter")
    assert available_backends()[0] == "interpreter"


@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize("static", [False, True])
def test_evaluate_runs_an_op(backend, static):
    x = random((2, 3))
    assert_allclose(evaluate(ct.exp, x, backend=backend, static=static), np.exp(x))


def test_evaluate_gives_a_list_for_several_outputs():
    out = evaluate(lambda x: [x, x * 2], random(3))
    assert isinstance(out, list) and len(out) == 2
    assert isinstance(evaluate(lambda x: (x + 1,), random(3)), list)


def test_evaluate_leaves_out_inputs_that_take_no_part():
    assert_array_equal(evaluate(lambda x, y: x, random(3), random(2)), random(3))


def test_evaluate_takes_constant_results_and_numbers():
    assert evaluate(lambda x: 3.0, random(3)) == 3.0
    assert evaluate(lambda x: x + 1, 2.0) == 3.0


def test_evaluate_makes_types_with_lengths_when_static():
    seen = []

    def op(x):
        seen.append(x.type.shape)
        return x

    evaluate(op, random((2, 3)))
    evaluate(op, random((2, 3)), static=True)
    assert seen == [(None, None), (2, 3)]


def test_the_kit_needs_neither_pytest_nor_hypothesis():
    program = (
        "import sys\n"
        "sys.modules['pytest'] = sys.modules['hypothesis'] = None\n"
        "import core.testing\n"
        "print(core.testing.random(2).shape)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "(2,)", done.stderr
