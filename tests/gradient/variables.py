"""Variables that the tests of gradients begin with, and a matrix of values."""

from core.tensor.type import TensorType
from core.testing import random

X = random((3, 4))


def vector(name="x", n=None, dtype="float64"):
    return TensorType(dtype, (n,))(name)


def scalar(name="x", dtype="float64"):
    return TensorType(dtype, ())(name)
