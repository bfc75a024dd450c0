"""float16: kept as its bits, computed with in float32; converted as NumPy does, on the shim, and compiled for a GPU."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import core
import core.tensor as ct
from plugin_backend_cuda import cache, compiler
from plugin_backend_cuda.backend import Driver
from plugin_backend_cuda.shim.driver import HostCompiler, HostDriver

DRIVER = Driver(HostDriver, lambda: (HostCompiler(), ""))
EVERY = np.arange(1 << 16).astype("uint16").view("float16")


def converted(backend):
    x, y = ct.tensor("x", dtype="float16", ndim=1), ct.tensor("y", dtype="float64", ndim=1)
    outputs = [x.astype("float32"), y.astype("float16"), y.astype("float32").astype("float16"), x + x]
    return core.function([x, y], outputs, backend=backend)


def test_every_number_and_every_tie_is_converted_as_numpy_does():
    rng = np.random.default_rng(0)
    with np.errstate(all="ignore"):
        near = [EVERY.astype("float64") + d for d in (0.0, 2.0**-11, 2.0**-25, -(2.0**-25), 16.0)]
    values = np.concatenate([*near, rng.standard_normal(1000) * 10.0 ** rng.uniform(-9, 6, 1000), [65519.99, 65520.0]])
    with np.errstate(all="ignore"):
        wide, narrow, twice, doubled = converted(DRIVER)(EVERY, values)
        assert_array_equal(wide, EVERY.astype("float32"))
        assert_array_equal(narrow, values.astype("float16"))
        assert_array_equal(twice, values.astype("float32").astype("float16"))
        assert_array_equal(doubled, EVERY + EVERY)


@pytest.mark.skipif(compiler.find()[0] is None, reason="needs NVRTC or nvcc")
def test_conversions_are_instructions_of_the_gpu(cache_folder):
    (text,) = converted(DRIVER).sources.values()
    used = compiler.usage(cache.build(text, compiler.find()[0], 90).log)
    assert used and not any(kernel.spill_store_bytes for kernel in used.values())
