"""Calls that are queued by C: the extension module of calls.c, and what it is told.

Where the installer could not build it, or the driver does not show its functions, or the option ``cuda.launcher`` says
so, calls go through core.device.repeat: that takes some ten microseconds more.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from functools import cache
from importlib.machinery import ExtensionFileLoader
from types import ModuleType
from typing import Any

from core.device.array import DeviceArray
from core.device.bound import Bindable, laid
from core.device.contract import Block
from core.device.pool import Memory
from core.options import config
from plugin_backend_cuda import ready

NAME = "core_cuda_calls"
FUNCTIONS = (  # as calls_commands.h has them
    *("cuCtxSetCurrent", "cuLaunchKernel", "cuGraphLaunch", "cuMemcpyHtoDAsync", "cuStreamSynchronize"),
    *("cuEventCreate", "cuEventRecord", "cuEventQuery", "cuEventSynchronize", "cuEventDestroy"),
)


@cache
def module() -> ModuleType | None:
    """The extension module, or None where there is none."""
    binary = ready.module()
    if binary is None:
        return None
    loader = ExtensionFileLoader(NAME, str(binary))
    try:
        made = importlib.util.module_from_spec(importlib.util.spec_from_file_location(NAME, binary, loader=loader))
        loader.exec_module(made)
    except (ImportError, RuntimeError):  # for another C library; for another NumPy, which says so with RuntimeError
        return None
    made.know_classes(DeviceArray, Memory, Block)
    return made


def bound(
    device: Any,
    current: list[Any],
    slow_path: Callable[..., Any],
    reads: Sequence[list[Any]],
    writes: Sequence[list[Any]],
    layout: str | tuple[str, ...],
    n_args: int,
    n_results: int,
) -> Callable[..., Any] | None:
    """See core.device.contract.Binder."""
    made = module() if config["cuda.launcher"] else None
    if made is None or device.addresses is None:
        return None
    return made.Call(current, slow_path, tuple(reads), tuple(writes), *laid(layout), n_args, n_results)


def recorded(device: Any, call: Bindable) -> Any:
    """A recording of a call: of its one kernel, or of graphs; None where there is neither.

    A kernel alone needs no graph: it is queued wherever its arrays lie.
    """
    made = module()
    assert made is not None
    launchers = call.launchers
    if launchers is None or (device.records and len(launchers) > 1):
        if not device.records:
            return None
        launches, queue = (), call.queue
    else:
        launches, queue = tuple(launcher.numbers(blocks) for launcher, blocks in launchers), None
    inputs, outputs = call.inputs, call.outputs
    if queue is not None:  # no kernel has arguments of its own
        inputs = tuple((dtype, shape, is_read, (), only) for dtype, shape, is_read, _, only in inputs)
        outputs = ((),) * len(outputs)
    once = cache(call.new_stage)  # what copies come to in turn

    def new_stage(k: int) -> tuple[Memory, int, Any]:
        memory, pinned = once(k), device.pinned(max(once(k).block.size_bytes, 1))
        return memory, pinned.address, pinned

    return made.Recording(
        device.addresses,
        (*device.numbers, launches, queue),
        True,
        inputs,
        outputs,
        call.results,
        call.space,
        (device.lock.acquire, device.lock.release),
        call.new_output,
        new_stage,
        (launchers, call.keep),
    )
