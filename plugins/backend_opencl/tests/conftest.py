"""An open device, and functions on it; these tests need one: PoCL serves (``pip install "pyopencl[pocl]"``)."""

import pytest

from plugin_backend_opencl.backend import devices, driver


@pytest.fixture(scope="session")
def device():
    """The first OpenCL device of this machine."""
    found = devices()
    assert found, "these tests need an OpenCL device; pip install 'pyopencl[pocl]' brings one"
    return found[0]


@pytest.fixture
def space(device):
    """The memory of that device, as programs see it."""
    return driver.open(0).space


@pytest.fixture
def fake(tmp_path):
    """Writes a shell script of that name, and gives its path."""

    def write(name, text):
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return str(path)

    return write
