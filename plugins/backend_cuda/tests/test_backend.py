"""What works here: the reasons why CUDA cannot be used, and what to do; opening devices."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest

import core
import core.tensor as ct
from core.errors import BackendError, DeviceError
from core.options import config
from plugin_backend_cuda import backend, compiler
from plugin_backend_cuda.backend import Driver
from plugin_backend_cuda.libcuda import NO_DEVICE, failed
from plugin_backend_cuda.shim.driver import HostCompiler, HostDriver
from plugin_backend_cuda.shim.recorder import Recorder

HOST = HostCompiler()


def made(driver=None, error=None, compiler=HOST, why=""):
    def load():
        if error is not None:
            raise error
        return driver

    return Driver(load, lambda: (compiler, why))


class Old(HostDriver):
    def start(self):
        return 11040


class Failing(HostDriver):
    def __init__(self, code):
        super().__init__()
        self._code = code

    def start(self):
        raise failed("cuInit", "CUDA_ERROR_X (said)", self._code)


class Absent(HostDriver):
    def start(self):
        raise RuntimeError("there is no libcuda\nand more words")


class Empty(HostDriver):
    def device_count(self):
        return 0


@pytest.mark.parametrize(
    "driver, reason, remedy",
    [
        (made(error=ImportError("No module named 'cuda'")), "no bindings of CUDA: No", "pip install cuda-bindings"),
        (made(Absent()), "no NVIDIA driver: there is no libcuda", "install NVIDIA's driver"),
        (made(Failing(NO_DEVICE)), "the NVIDIA driver finds no GPU", "nvidia-smi, CUDA_VISIBLE_DEVICES"),
        (made(Failing(999)), "the NVIDIA driver does not start: cuInit failed: CUDA_ERROR_X", "what nvidia-smi says"),
        (made(Empty()), "the NVIDIA driver finds no GPU", "nvidia-smi"),
        (made(Old()), "the NVIDIA driver serves CUDA 11.4, and 12.0 is needed", "update it"),
        (made(HostDriver(), None, None, "no NVRTC"), "no compiler for kernels: no NVRTC", "pip install nvidia-cuda-nv"),
    ],
)  # fmt: skip
def test_a_probe_gives_the_reason_and_what_to_do(driver, reason, remedy):
    found = driver.probe()
    assert not found.works and reason in found.reason and remedy in found.remedy
    with pytest.raises(BackendError, match="backend 'cuda' cannot be used here"):
        driver.open()


def test_a_probe_names_every_gpu_and_makes_no_context():
    calls = Recorder(HostDriver(devices=2))
    assert made(calls).probe().devices == ("host-shim", "host-shim")
    assert "retain" not in calls.names() and "allocate" not in calls.names()


def test_a_device_is_opened_once():
    driver = made(HostDriver(devices=2))
    assert driver.open(1) is driver.open(1) and driver.open(0) is not driver.open(1)
    assert str(driver.open(1).space.device) == "cuda:1 (host-shim)"


def test_deterministic_sums_have_a_device_of_their_own():
    driver = made(HostDriver())
    with config.override({"cuda.deterministic": True}):
        in_order = driver.open()
    assert in_order is not driver.open()
    assert not in_order.target.atomics and "float32" in driver.open().target.atomics


def test_the_real_probe_never_raises():
    assert isinstance(str(backend.Driver().probe()), str)


def test_another_backend_never_touches_cuda():
    text = """
        import sys
        import numpy as np
        import core, core.tensor as ct
        x = ct.vector("x")
        assert core.function([x], x + 1, backend="interpreter")([1.0])[0] == 2
        assert not [name for name in sys.modules if name.startswith("plugin_backend_cuda.")], sys.modules
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(text)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_remedy_for_a_missing_compiler_is_a_command():
    assert "pip install nvidia-cuda-nvrtc" in compiler.REMEDY


def test_without_a_gpu_programs_are_compiled_and_cannot_be_launched(cache_folder):
    """A compiler is enough to see whether generated text is right: core.testing.check_op asks for that."""
    opened = made(Absent(), compiler=HOST).without_device()
    x = ct.vector("x")
    run = core.function([x], ct.exp(x), backend=opened)
    assert any("exp" in text for text in run.sources.values())
    with pytest.raises(DeviceError, match="was compiled for a GPU that is not there, so it cannot run"):
        run(np.ones(3))
    assert made(Absent(), compiler=None, why="no NVRTC").without_device() is None
