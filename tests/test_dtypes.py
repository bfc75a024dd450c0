"""Dtype names and promotion; NumPy is the oracle."""

import itertools

import numpy as np
import pytest

from core import dtypes
from core.errors import DTypeError


@pytest.mark.parametrize("dtype", dtypes.ALL)
def test_canonical_knows_a_dtype_by_name_by_numpy_dtype_and_by_scalar_type(dtype):
    assert dtypes.canonical(dtype) == dtype
    assert dtypes.canonical(np.dtype(dtype)) == dtype
    assert dtypes.canonical(np.dtype(dtype).type) == dtype


@pytest.mark.parametrize("kind, dtype", [(bool, "bool"), (int, "int64"), (float, "float64"), (complex, "complex128")])
def test_canonical_knows_the_python_types(kind, dtype):
    assert dtypes.canonical(kind) == dtype


def test_canonical_takes_numpy_short_names_and_other_byte_orders():
    assert dtypes.canonical("f4") == "float32"
    assert dtypes.canonical(">f8") == "float64"


def test_canonical_suggests_the_dtype_that_was_meant():
    with pytest.raises(DTypeError, match=r"dtype 'flaot32' is not one of bool, int8, .* Did you mean 'float32'\?"):
        dtypes.canonical("flaot32")


@pytest.mark.parametrize("dtype", ["object", "datetime64[s]", "U3", "V4"])
def test_canonical_rejects_dtypes_that_are_no_numbers(dtype):
    with pytest.raises(DTypeError, match="is not one of"):
        dtypes.canonical(dtype)


def test_canonical_rejects_what_is_no_dtype_at_all():
    with pytest.raises(DTypeError, match="is not one of"):
        dtypes.canonical(3.5)


def test_canonical_rejects_none_rather_than_taking_numpys_default():
    with pytest.raises(DTypeError, match="is not one of"):
        dtypes.canonical(None)


def test_canonical_rejects_an_unhashable_dtype_with_our_error():
    with pytest.raises(DTypeError, match="is not one of"):
        dtypes.canonical(["float64"])


@pytest.mark.parametrize("a, b", list(itertools.combinations_with_replacement(dtypes.ALL, 2)))
def test_promotion_of_two_dtypes_is_numpys(a, b):
    assert dtypes.promote(a, b) == np.result_type(np.zeros((), a), np.zeros((), b)).name


@pytest.mark.parametrize("dtype", dtypes.ALL)
@pytest.mark.parametrize("scalar", [True, 1, 1.0, 1j])
def test_python_scalars_are_weak_as_in_numpy(dtype, scalar):
    assert dtypes.promote(dtype, type(scalar)) == (np.ones(1, dtype) * scalar).dtype.name


@pytest.mark.parametrize("kinds", [(int, float), (bool, int), (float, complex), (int,), (float,)])
def test_python_scalars_alone_promote_as_numpy_would(kinds):
    assert dtypes.promote(*kinds) == np.result_type(*(kind(0) for kind in kinds)).name


@pytest.mark.parametrize("dtype", dtypes.ALL)
def test_float_of_is_what_exp_gives(dtype):
    assert dtypes.float_of(dtype) == np.exp(np.zeros(1, dtype)).dtype.name


@pytest.mark.parametrize("dtype", dtypes.ALL)
def test_sum_of_is_what_sum_gives(dtype):
    assert dtypes.sum_of(dtype) == np.zeros(1, dtype).sum().dtype.name


@pytest.mark.parametrize("dtype", dtypes.ALL)
def test_real_of_is_the_dtype_of_the_real_part(dtype):
    assert dtypes.real_of(dtype) == np.zeros(1, dtype).real.dtype.name


@pytest.mark.parametrize("dtype", dtypes.ALL)
def test_size_bytes_is_the_itemsize(dtype):
    assert dtypes.size_bytes(dtype) == np.zeros(1, dtype).itemsize


def test_every_dtype_is_either_discrete_or_continuous():
    assert set(dtypes.ALL) == set(dtypes.DISCRETE) | set(dtypes.CONTINUOUS)
    assert not set(dtypes.DISCRETE) & set(dtypes.CONTINUOUS)
