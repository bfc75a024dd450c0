"""The driver of backend "opencl": which devices there are, which one is meant, opened once."""

from __future__ import annotations

import os
import shutil
from threading import Lock
from typing import Any

from core.device.opened import Opened
from core.device.space import Space
from core.errors import BackendError, did_you_mean
from core.options import config
from core.records import Probe
from plugin_backend_opencl.dialect import OPENCL

REMEDY = "install the driver of your GPU, or `pip install 'plugin-backend-opencl[pocl]'` for the CPU"
_OPTIONS = ("opencl.schedule", "opencl.float64", "opencl.deterministic", "opencl.products", "opencl.zero_copy")


class NoLinker(BackendError):
    """The only devices are PoCL's, which cannot do without a linker."""


class Driver:
    """Opens devices, one Space for each and for each setting of the options."""

    name = "opencl"
    dialect = "opencl"
    dialect_table = OPENCL

    def __init__(self) -> None:
        self._opened: dict[tuple, Opened] = {}
        self._lock = Lock()

    def probe(self) -> Probe:
        """The names of the devices, or why there is none.  Opens none of them."""
        try:
            found = devices()
        except NoLinker as error:
            return Probe(reason=str(error), remedy="put 'ld' on the PATH (Debian: apt-get install binutils)")
        except BackendError as error:
            return Probe(reason=str(error), remedy=REMEDY)
        if not found:
            return Probe(reason="there is no OpenCL platform with a device", remedy=REMEDY)
        return Probe(devices=tuple(described(device) for device in found))

    def fingerprint(self) -> str:
        return "; ".join(f"{device.name} {device.version} {device.driver_version}" for device in devices())

    def open(self, number: int | None = None) -> Opened:
        """The device of that number; None: the one that the options or PYOPENCL_CTX name, else a GPU, else the first.

        Errors  BackendError when there is none; DeviceError when it cannot be opened.
        """
        from plugin_backend_opencl.device import ClDevice

        found = devices()
        if not found:
            raise BackendError(f"backend 'opencl' finds no device; {REMEDY}")
        chosen = found[number] if number is not None else _default(found)
        options = {name: config[name] for name in _OPTIONS}
        key = (chosen, *options.values())
        with self._lock:
            if key not in self._opened:
                self._opened[key] = Opened(self.name, Space(ClDevice(chosen, options)))
            return self._opened[key]

    def compile(self, program: Any, device: Any = None) -> Any:
        return self.open(device).compile(program)


def devices() -> list[Any]:
    """Every device that can be used.  Errors: BackendError where OpenCL cannot, or what its driver needs is missing."""
    try:
        import pyopencl as cl
    except Exception as error:  # no loader, or one that does not fit
        raise BackendError(f"pyopencl cannot be used: {type(error).__name__}: {error}") from error
    try:
        found = [device for platform in cl.get_platforms() for device in _devices_of(platform)]
    except cl.Error:  # the loader says so when it finds no platform
        return []
    usable = [device for device in found if not _lacks_a_linker(device)]
    if found and not usable:
        raise NoLinker("PoCL needs the linker 'ld', which is not on the PATH")
    return usable


def _lacks_a_linker(device: Any) -> bool:
    """PoCL (3.0) ends the whole process at the first kernel where it finds no linker, so it must not come to that."""
    return device.platform.name.strip() == "Portable Computing Language" and shutil.which("ld") is None


def _devices_of(platform: Any) -> list[Any]:
    import pyopencl as cl

    try:
        return list(platform.get_devices())
    except cl.Error:
        return []


def described(device: Any) -> str:
    """A device for people: its name and platform, how much memory, which floats."""
    floats = [
        name
        for name, there in (
            ("float64", device.double_fp_config),
            ("float16", "cl_khr_fp16" in device.extensions.split()),
        )
        if there
    ]
    size = device.global_mem_size / 1e9
    return f"{device.name.strip()} ({device.platform.name.strip()}; {size:.1f} GB; {', '.join(['float32', *floats])})"


def _default(found: list[Any]) -> Any:
    """The device that is meant when none is named."""
    wanted = config["opencl.device"]
    if wanted is not None:
        return _named(found, wanted, f"option opencl.device={wanted!r}")
    if os.environ.get("PYOPENCL_CTX"):
        import pyopencl as cl

        try:
            return cl.create_some_context(interactive=False).devices[0]
        except (cl.Error, RuntimeError, ValueError) as error:
            raise BackendError(
                f"PYOPENCL_CTX={os.environ['PYOPENCL_CTX']!r} names no device: {error}; there are {_offered(found)}"
            ) from error
    import pyopencl as cl

    return next((device for device in found if device.type & cl.device_type.GPU), found[0])


def _named(found: list[Any], wanted: str, who: str) -> Any:
    if wanted.isdecimal() and int(wanted) < len(found):
        return found[int(wanted)]
    for device in found:
        if wanted.lower() in device.name.lower():
            return device
    names = [device.name.strip() for device in found]
    raise BackendError(f"{who} names no device; there are {_offered(found)}.{did_you_mean(wanted, names)}")


def _offered(found: list[Any]) -> str:
    return ", ".join(f"{number} ({device.name.strip()})" for number, device in enumerate(found))


driver = Driver()
