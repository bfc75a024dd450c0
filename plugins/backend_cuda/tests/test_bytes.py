"""What kernels move between registers and memory, counted while they run on the CPU."""

import ctypes
import re
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.testing import assert_allclose

import core
import core.tensor as ct
from core.device.opened import Opened
from core.device.space import Space
from plugin_backend_cuda.device import CudaDevice
from plugin_backend_cuda.shim.driver import HostCompiler, HostDriver

PIECE = """
extern "C" { long long core_loaded, core_stored; }
struct __align__(16) core_float32x4 {
    float at[4];
    core_float32x4() = default;
    core_float32x4(const core_float32x4 &from) { *this = from; }
    core_float32x4 &operator=(const core_float32x4 &from)
    {
        core_loaded += core_on_my_stack(&from) ? 0 : 16;
        core_stored += core_on_my_stack(this) ? 0 : 16;
        for (int k = 0; k < 4; k++) at[k] = from.at[k];
        return *this;
    }
};
"""


@dataclass(frozen=True)
class Counting(HostCompiler):
    """Pieces of four elements, which lie in registers or in memory, count what moves between them."""

    flags: tuple[str, ...] = ("-O0",)

    def compile(self, text, architecture, folder):
        plain = r"struct __align__\(16\) core_float32x4 \{[^}]*\};"
        assert re.search(plain, text)
        return super().compile(re.sub(plain, PIECE, text), architecture, folder)


@pytest.fixture
def own(cache_folder):
    return Opened("cuda", Space(CudaDevice(HostDriver(), 0, Counting(), None)))


def moved(function):
    """Bytes that were loaded and stored in whole pieces, since the code was loaded."""
    _, symbols = function._run._main.codes.short.module
    return tuple(ctypes.c_longlong.in_dll(symbols, name).value for name in ("core_loaded", "core_stored"))


def normalized(m, x, w):
    d = x - x.mean(axis=1, keepdims=True)
    return d / m.sqrt((d * d).mean(axis=1, keepdims=True) + np.float32(1e-5)) * w


def test_layer_norm_with_gradients_reads_each_row_once_and_writes_sums_once_a_group(own):
    rows, length = 50, 4096
    x, g = (ct.tensor(name, shape=(rows, length), dtype="float32") for name in "xg")
    w = ct.tensor("w", shape=(length,), dtype="float32")
    b = ct.tensor("b", shape=(length,), dtype="float32")
    f = core.function([x, w, b, g], core.grad(((normalized(ct, x, w) + b) * g).sum(), [x, w, b]), backend=own,
                      on_unused_input="ignore")  # fmt: skip
    (text,) = f.sources.values()
    kernel, _ = text.split("__global__")[1:]
    rng = np.random.default_rng(0)
    values = [rng.standard_normal(n).astype("float32") for n in ((rows, length), length, length, (rows, length))]
    dx, dw, db = f(*values)
    (groups,) = (int(n) for n in set(re.findall(r"; g_\d+ < (\d+);", kernel)))
    row = 4 * length
    assert moved(f) == (2 * rows * row + groups * row, rows * row + 2 * groups * row)
    assert kernel.count("core_fetch(&") == 2, "the next row comes nearer meanwhile"
    assert kernel.count(" / sqrt_") == 3, "two quotients of each element, one of them written twice in one place"
    assert_allclose(db, values[3].sum(axis=0, dtype="float64"), rtol=1e-5, atol=1e-5)
    exact = [v.astype("float64") for v in values]
    assert_allclose(dw, (normalized(np, exact[0], 1.0) * exact[3]).sum(axis=0), rtol=1e-4, atol=1e-4)
    reference = core.function([x, w, b, g], core.grad(((normalized(ct, x, w) + b) * g).sum(), x), backend="interpreter",
                              on_unused_input="ignore")  # fmt: skip
    assert_allclose(dx, reference(*values), rtol=1e-4, atol=1e-5)


def test_softmax_reads_and_writes_each_row_once(own):
    x = ct.tensor("x", shape=(7, 1024), dtype="float32")
    f = core.function([x], ct.softmax(x, axis=1), backend=own)
    a = np.random.default_rng(0).standard_normal((7, 1024)).astype("float32")
    assert_allclose(f(a).sum(axis=1), np.ones(7), rtol=1e-5)
    assert moved(f) == (a.nbytes, a.nbytes)
