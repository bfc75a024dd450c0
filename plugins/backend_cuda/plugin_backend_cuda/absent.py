"""A GPU that is not there: programs are compiled for it by the real compiler, and none can be launched."""

from __future__ import annotations

from typing import Any

from core.errors import DeviceError
from plugin_backend_cuda.device import CudaDevice
from plugin_backend_cuda.shim.driver import HostDriver


class _Absent(HostDriver):
    """The shim's memory, for constants; machine code is taken and not looked at."""

    def device_name(self, device: int) -> str:
        return "no GPU"

    def load_module(self, image: bytes) -> Any:
        return image

    def function(self, module: Any, name: str) -> Any:
        raise DeviceError(f"kernel {name} was compiled for a GPU that is not there, so it cannot run")


def device(compiler: Any) -> CudaDevice:
    """A device of the architecture that the shim plays, for programs that are to be compiled only."""
    return CudaDevice(_Absent(), 0, compiler, None)
