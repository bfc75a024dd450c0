"""A driver that stands in for a GPU, and devices on it."""

import pytest

from core.options import config
from plugin_backend_cuda.device import CudaDevice
from plugin_backend_cuda.shim.driver import HostCompiler, HostDriver
from plugin_backend_cuda.shim.libraries import makers
from plugin_backend_cuda.shim.recorder import Recorder


@pytest.fixture
def cache_folder(tmp_path):
    """An empty cache folder, set for this process."""
    place = tmp_path / "cache"
    with config.override(cache_dir=str(place)):
        yield place


@pytest.fixture
def driver():
    """The shim's driver, with every call noted."""
    return Recorder(HostDriver())


def on_host(driver):
    """A device whose GPU is this CPU."""
    return CudaDevice(
        driver,
        0,
        HostCompiler(),
        *makers(HostDriver()._do)[:3],
    )


@pytest.fixture
def device(driver):
    return on_host(driver)
