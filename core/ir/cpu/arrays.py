"""Local arrays: scratch that is short, and of constant length, lies on the stack of the function that uses it."""

from __future__ import annotations

from typing import Any

from core import dtypes
from core.dataclass import replace
from core.ir.axes import product
from core.ir.expr import Expr
from core.ir.nodes import Kernel

MOST_BYTES, MOST_IN_ALL = 8192, 131072  # of one array, and of all arrays of a kernel


def with_arrays(kernel: Kernel, shapes: dict[Any, tuple[Expr, ...]]) -> Kernel:
    """``kernel`` with the scratch that may be local arrays among its ``arrays``, no longer among what it writes."""
    arrays, room = {}, MOST_IN_ALL
    for value in kernel.scratch:
        size = product(shapes[value]) * dtypes.size_bytes(value.dtype)
        if size.is_const and size.payload <= min(MOST_BYTES, room):
            arrays[value] = size.payload // dtypes.size_bytes(dtypes.real_of(value.dtype))
            room -= size.payload
    if not arrays:
        return kernel
    writes = [value for value in kernel.writes if value not in arrays]
    scratch = [value for value in kernel.scratch if value not in arrays]
    return replace(kernel, writes=writes, scratch=scratch, arrays={**kernel.arrays, **arrays})
