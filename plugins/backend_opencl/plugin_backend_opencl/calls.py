"""Calls that are queued by C: the extension module of calls.c, and what it is told.

Where the installer could not build it, or the loader of pyopencl cannot be asked for its functions, or the option
``opencl.launcher`` says so, calls go through core.device.repeat: that takes some ten microseconds more.
"""

from __future__ import annotations

import ctypes
import importlib.util
from collections.abc import Callable, Sequence
from functools import cache
from importlib.machinery import ExtensionFileLoader
from types import ModuleType
from typing import Any

import numpy as np
import pyopencl as cl

from core.device.array import DeviceArray
from core.device.bound import Bindable, laid
from core.device.contract import Block
from core.device.pool import Memory
from core.options import config
from plugin_backend_opencl import ready
from plugin_backend_opencl.transfers import ClBlock

NAME = "core_opencl_calls"
FUNCTIONS = (
    *("clSetKernelArg", "clEnqueueNDRangeKernel", "clEnqueueWriteBuffer", "clFlush"),
    *("clFinish", "clGetEventInfo", "clWaitForEvents", "clReleaseEvent"),
)


@cache
def module() -> ModuleType | None:
    """The extension module, or None where there is none."""
    binary = ready.module()
    if binary is None or addresses() is None:
        return None
    loader = ExtensionFileLoader(NAME, str(binary))
    try:
        made = importlib.util.module_from_spec(importlib.util.spec_from_file_location(NAME, binary, loader=loader))
        loader.exec_module(made)
    except (ImportError, RuntimeError):  # for another C library; for another NumPy, which says so with RuntimeError
        return None
    made.know_classes(DeviceArray, Memory, Block, ClBlock)
    return made


@cache
def addresses() -> tuple[int, ...] | None:
    """Where the functions are that calls.c uses, in the loader that pyopencl uses; None where it does not show them."""
    try:
        library = ctypes.CDLL(cl._cl.__file__)
        found = (ctypes.cast(getattr(library, name), ctypes.c_void_p).value for name in FUNCTIONS)
        return tuple(address or 0 for address in found)
    except (AttributeError, OSError):
        return None


def bound(
    current: list[Any],
    slow_path: Callable[..., Any],
    reads: Sequence[list[Any]],
    writes: Sequence[list[Any]],
    layout: str | tuple[str, ...],
    n_args: int,
    n_results: int,
) -> Callable[..., Any] | None:
    """See core.device.contract.Binder."""
    made = module() if config["opencl.launcher"] else None
    if made is None:
        return None
    return made.Call(current, slow_path, tuple(reads), tuple(writes), *laid(layout), n_args, n_results)


def recorded(device: Any, call: Bindable) -> Any:
    """A recording of a call, with kernels of its own; None where there are other commands."""
    made = module()
    assert made is not None
    if call.launchers is None:
        return None
    launchers = [launcher.again(blocks) for launcher, blocks in call.launchers]

    transfers = device.transfers
    once = cache(call.new_stage)  # what copies come to in turn

    def new_stage(k: int) -> tuple[Memory, int, Any]:
        memory = call.new_stage(k) if transfers is None else once(k)
        host = memory.block.host if transfers is None else np.empty(memory.block.size_bytes, "uint8")
        return memory, host.ctypes.data, host

    return made.Recording(
        addresses(),
        (
            device.queue.int_ptr,
            device if transfers is None else transfers,
            tuple(launcher.numbers for launcher in launchers),
        ),
        transfers is not None,
        call.inputs,
        call.outputs,
        call.results,
        call.space,
        (device.lock.acquire, device.lock.release),
        call.new_output,
        new_stage,
        (launchers, call.keep),
    )
