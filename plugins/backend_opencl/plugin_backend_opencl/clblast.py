"""Products by CLBlast, through its C interface (clblast_c.h, version 1.5), where the library is installed."""

from __future__ import annotations

import atexit
import ctypes
import ctypes.util
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import pyopencl as cl

from core.dataclass import replace
from core.device.contract import Strided
from core.device.matrices import leading, transposed
from core.errors import DeviceError
from plugin_backend_opencl.added import ONCE, Added

_TYPE = {"float32": ctypes.c_float, "float64": ctypes.c_double}
_LETTER = {"float32": "S", "float64": "D"}
_ROW_MAJOR, _AS_IT_IS, _TRANSPOSED = 101, 111, 112


@cache
def find() -> tuple[dict[tuple[str, bool], Callable[..., int]] | None, str]:
    """The routine for each dtype, for one product and for a stack of them; or None and why there is none."""
    name = ctypes.util.find_library("clblast")
    if name is None:
        return None, "no library clblast"
    try:
        library = ctypes.CDLL(name)
        found = {
            (dtype, stacked): _typed(library, f"CLBlast{letter}gemm", _TYPE[dtype], stacked)
            for dtype, letter in _LETTER.items()
            for stacked in (False, True)
        }
        atexit.register(library.CLBlastClearCache)  # while the driver that its programs belong to is still there
        return found, ""
    except (OSError, AttributeError) as error:
        return None, str(error)


def _typed(library: ctypes.CDLL, name: str, kind: Any, stacked: bool) -> Any:
    routine = getattr(library, name + "StridedBatched" if stacked else name)
    size, pointer = ctypes.c_size_t, ctypes.c_void_p
    matrix = [pointer, size, size, *([size] if stacked else [])]
    routine.restype = ctypes.c_int
    routine.argtypes = [*[ctypes.c_int] * 3, size, size, size, kind, *matrix, *matrix, kind, *matrix]
    routine.argtypes += [*([size] if stacked else []), ctypes.POINTER(pointer), pointer]
    return routine


def multiply(device: Any, a: Strided, b: Strided, c: Strided, added: Added = ONCE) -> None:
    """Queue a product for each of a stack, whose factor the host knows.  Errors: DeviceError with CLBlast's status."""
    numbers = added.alpha, float(added.adds)
    if c.shape[0] > 1 and all(one.strides[0] for one in (a, b, c)):
        _call(device, a, b, c, True, numbers)
        return
    for number in range(c.shape[0]):  # it refuses matrices that stay where they are
        place = (replace(one, offset=one.offset + number * one.strides[0]) for one in (a, b, c))
        _call(device, *place, False, numbers)


def _call(device: Any, a: Strided, b: Strided, c: Strided, stacked: bool, numbers: tuple[float, float]) -> None:
    routines, _ = find()
    assert routines is not None
    routine, queue = routines[c.dtype, stacked], ctypes.c_void_p(device.queue.int_ptr)

    def queued(wait_for: Sequence[Any] = ()) -> Any:
        if wait_for:
            cl.enqueue_barrier(device.queue, wait_for=wait_for)
        status = routine(
            _ROW_MAJOR,
            *(_TRANSPOSED if transposed(one) else _AS_IT_IS for one in (a, b)),
            *(*c.shape[-2:], a.shape[-1]),
            *(numbers[0], *_matrix(a, stacked), *_matrix(b, stacked)),
            *(numbers[1], *_matrix(c, stacked)),
            *((c.shape[0],) if stacked else ()),
            *(ctypes.byref(queue), None),
        )
        if status:
            raise DeviceError(
                f"CLBlast on {device.facts.name} refused a product of shapes {a.shape} and {b.shape}: status {status}"
            )
        return cl.enqueue_marker(device.queue)

    device.in_order(queued, [one.block for one in (c, a, b)], 1)


def _matrix(one: Strided, stacked: bool) -> tuple[int, ...]:
    at = (one.block.pointer.int_ptr, one.offset, leading(one))
    return (*at, one.strides[0]) if stacked else at
