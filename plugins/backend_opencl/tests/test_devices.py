"""Which devices there are, which one is meant, and what is known of one."""

import shutil

import numpy as np
import pytest

import core
import core.tensor as ct
from core.device.opened import Opened
from core.device.space import Space
from core.errors import BackendError, DTypeError
from plugin_backend_opencl.backend import described, driver
from plugin_backend_opencl.device import ClDevice, facts_of

OPTIONS = {
    "opencl.schedule": "auto",
    "opencl.float64": "error",
    "opencl.deterministic": False,
    "opencl.products": "auto",
    "opencl.zero_copy": True,
}


class Without:
    """A device that lacks something: a real one with some answers changed."""

    def __init__(self, device, **changed):
        self._device, self._changed = device, changed

    def __getattr__(self, name):
        return self._changed[name] if name in self._changed else getattr(self._device, name)


def test_pocl_without_a_linker_is_not_used(device, monkeypatch):  # it would end the process
    monkeypatch.setattr(shutil, "which", lambda name: None)
    found = driver.probe()
    assert not any("Portable Computing Language" in name for name in found.devices)
    assert found.works or "needs the linker 'ld', which is not on the PATH" in found.reason
    assert found.works or "binutils" in found.remedy


def test_the_probe_names_devices_with_their_memory_and_floats(device):
    found = driver.probe()
    assert device.name.strip() in found.devices[0]
    assert "GB" in found.devices[0] and "float64" in found.devices[0]


def test_float16_is_named_where_it_is_there(device):
    assert "float16" in described(Without(device, extensions="cl_khr_fp16"))
    assert "float16" not in described(Without(device, extensions=""))


def test_a_device_is_chosen_by_number_and_by_option(device):
    x = ct.vector("x")
    f = core.function([x], x + 1, backend="opencl:0")
    assert f.backend == "opencl:0" and np.array_equal(f([1.0]), [2.0])
    with core.config.override({"opencl.device": device.name.strip()[:6].lower()}):
        assert np.array_equal(core.function([x], x + 2, backend="opencl")([1.0]), [3.0])


def test_a_device_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(BackendError, match="has no device '7'; it has opencl:0"):
        core.function([], ct.constant(1.0), backend="opencl:7")
    with (
        core.config.override({"opencl.device": "nothing like it"}),
        pytest.raises(BackendError, match="there are 0 \\("),
    ):
        driver.open()


def test_pyopencl_ctx_that_names_no_device_is_refused(monkeypatch):
    monkeypatch.setenv("PYOPENCL_CTX", "99")
    with pytest.raises(BackendError, match=r"PYOPENCL_CTX='99' names no device: .*; there are 0 \("):
        driver.open()


def test_a_device_without_float64_refuses_it_when_a_function_is_compiled(device):
    lacking = ClDevice(device, OPTIONS)
    lacking.facts = facts_of(Without(device, double_fp_config=0), OPTIONS)
    x = ct.dvector("x")
    with pytest.raises(DTypeError, match=r"exp needs float64, which .* does not have \(cl_khr_fp64\); use float32"):
        core.function([x], ct.exp(x), backend=Opened("opencl", Space(lacking)))


def test_on_request_a_device_without_float64_computes_it_in_float32(device):
    options = {**OPTIONS, "opencl.float64": "float32"}
    lacking = ClDevice(device, options)
    lacking.facts = facts_of(Without(device, double_fp_config=0), options)
    x = ct.dmatrix("x")
    f = core.function([x], [ct.exp(x).sum(axis=1), x.max()], backend=Opened("opencl", Space(lacking)))
    values = np.linspace(-1, 1, 600).reshape(3, 200)
    sums, largest = f(values)
    assert sums.dtype == "float64" and largest == np.float32(1)
    np.testing.assert_allclose(sums, np.exp(values).sum(axis=1), rtol=1e-5)


@pytest.mark.parametrize("means", ["auto", "kernels"])
def test_on_request_products_of_float64_are_those_of_float32(device, means):
    options = {**OPTIONS, "opencl.float64": "float32", "opencl.products": means}
    lacking = ClDevice(device, options)
    lacking.facts = facts_of(Without(device, double_fp_config=0), options)
    w, x = core.shared(np.eye(60), name="w"), ct.dmatrix("x")
    step = core.function([x], x @ w, updates={w: w + 0.5 * (x @ w)}, backend=Opened("opencl", Space(lacking)))
    values = np.random.default_rng(0).normal(size=(60, 60))
    np.testing.assert_allclose(step(values), values, rtol=1e-5)
    np.testing.assert_allclose(w.get_value(), np.eye(60) + 0.5 * values, rtol=1e-5, atol=1e-6)


def test_a_device_with_groups_has_another_schedule_than_one_without(device):
    import pyopencl as cl

    assert facts_of(device, OPTIONS).target.lanes == 1
    gpu = facts_of(Without(device, type=cl.device_type.GPU), OPTIONS)
    assert gpu.target.lanes == 256 and "float64" in gpu.target.atomics and not gpu.dialect.vectors
    fixed = facts_of(Without(device, type=cl.device_type.GPU), {**OPTIONS, "opencl.deterministic": True})
    assert not fixed.target.atomics


def test_writers_of_one_element_settle_who_is_the_last_on_a_gpu_alone(device):
    import pyopencl as cl

    gpu = Without(device, type=cl.device_type.GPU)
    assert facts_of(gpu, OPTIONS).target.settles
    assert not facts_of(device, OPTIONS).target.settles, "one work-item of a CPU is quicker"
    assert not facts_of(Without(device, type=cl.device_type.GPU, extensions=""), OPTIONS).target.settles


def test_the_last_of_many_writers_wins_though_they_run_side_by_side(device):
    backend = Opened("opencl", Space(ClDevice(device, {**OPTIONS, "opencl.schedule": "groups"})))
    x, v, i = ct.dvector("x"), ct.dvector("v"), ct.lvector("i")
    f = core.function([x, v, i], ct.set_subtensor(x[i], v), backend=backend)
    rng = np.random.default_rng(0)
    for many in (3, 1000, 100_000):
        start, new, at = np.zeros(many), rng.normal(size=200_000), rng.integers(0, many, 200_000)
        want = start.copy()
        want[at] = new
        for _ in range(3):
            assert np.array_equal(f(start, new, at), want)
