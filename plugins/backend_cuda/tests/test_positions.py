"""Positions are split into coordinates by 32-bit divisions, until lengths are met that need 64 bits."""

import re

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import core
import core.tensor as ct
from core.ir.work import positions
from plugin_backend_cuda import cache, compiler
from plugin_backend_cuda.backend import Driver
from plugin_backend_cuda.dialect import LONG_POSITIONS
from plugin_backend_cuda.shim.driver import HostCompiler, HostDriver

DRIVER = Driver(HostDriver, lambda: (HostCompiler(), ""))


def added(*shapes):
    """Outer sums, a transpose, padding, a repetition: each splits positions."""
    x, y = (ct.tensor(name, dtype="float32", shape=shape) for name, shape in zip("xy", shapes, strict=True))
    padded = ct.set_subtensor(ct.zeros((x.shape[0] + 2, x.shape[1]), dtype="float32")[2:], x)
    outputs = [x[:, None, :] + y[None, :, :], x.T[:, :, None] * y[0], padded, ct.repeat(x, 3, axis=1)]
    return core.function([x, y], outputs, backend=DRIVER)


def expected(x, y):
    padded = np.concatenate([np.zeros((2, x.shape[1]), "float32"), x])
    return [x[:, None, :] + y[None, :, :], x.T[:, :, None] * y[0], padded, np.repeat(x, 3, axis=1)]


def random(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype("float32")


@pytest.fixture
def built(monkeypatch):
    """The texts that devices build."""
    found = []
    build = cache.build

    def noted(text, *how):
        found.append(text)
        return build(text, *how)

    monkeypatch.setattr(cache, "build", noted)
    return found


@pytest.mark.parametrize("few", [positions.FEW, 70, 1])
@pytest.mark.parametrize(
    "shapes", [((None, None), (None, None)), ((3, 4), (5, 4))], ids=["any lengths", "known lengths"]
)
def test_positions_of_either_kind_are_split_as_numpy_does(monkeypatch, few, shapes):
    monkeypatch.setattr(positions, "FEW", few)
    f, x, y = added(*shapes), random(3, 4), random(5, 4)
    for got, want in zip(f(x, y), expected(x, y), strict=True):
        assert_array_equal(got, want)


def test_only_lengths_that_need_them_ask_for_64_bits(monkeypatch, built):
    monkeypatch.setattr(positions, "FEW", 3 * 4 * 3 + 1)
    f = added((None, None), (None, None))
    short, long = (random(3, 4), random(5, 4)), (random(6, 4), random(5, 4))
    f(*short)
    assert len(built) == 1 and LONG_POSITIONS not in built[0].splitlines()[0]
    for arrays in (long, short, long):
        for got, want in zip(f(*arrays), expected(*arrays), strict=True):
            assert_array_equal(got, want)
    assert built[1:] == [f"{LONG_POSITIONS}\n{built[0]}"], "one more, once"


def test_no_position_is_divided_otherwise():
    (text,) = added((None, None), (None, None)).sources.values()
    kernels = "".join(re.findall(r'extern "C".*?\n}', text, re.S))
    assert "core_quotient(" in kernels and "core_rest(" in kernels
    assert "%" not in kernels and set(re.findall(r" / (\w+)", kernels)) <= {"2", "4"}, "pieces of that width"


@pytest.mark.skipif(compiler.find()[0] is None, reason="needs NVRTC or nvcc")
@pytest.mark.parametrize("head", ["", f"{LONG_POSITIONS}\n"], ids=["short", "long"])
def test_both_kinds_are_compiled_for_a_gpu(cache_folder, head):
    (text,) = added((None, None), (None, None)).sources.values()
    used = compiler.usage(cache.build(head + text, compiler.find()[0], 90).log)
    assert len(used) == text.count("__global__")
