"""Products of stored matrices: by which means a device computes them.

On a CPU that is the BLAS of the host, which SciPy brings, on memory that both see; on other devices CLBlast where it is
installed; else, and for what these do not take, tiled kernels of our own.  The option ``opencl.products`` chooses.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from core import dtypes
from core.dataclass import replace
from core.device.contract import Routine, Strided
from core.device.matrices import as_matrices, stacks
from core.errors import BackendError
from core.ir.library import LibraryCall
from plugin_backend_opencl import blas, clblast
from plugin_backend_opencl.added import ONCE, Added
from plugin_backend_opencl.tuning import Tiles

MEANS = ("auto", "blas", "clblast", "kernels")
_SMALL = 32**3  # multiplications, below which a launch is quicker than waiting for what is queued


class Products:
    """The means of one device."""

    def __init__(self, device: Any, wanted: str):
        self._device, self.tiles = device, Tiles(device)
        self.means = wanted if wanted != "auto" else _best(device)
        if self.means == "blas" and not device.facts.shares_memory:
            raise BackendError(
                f"opencl.products='blas' needs memory that the host shares; {device.facts.name} has none"
            )
        for means, library, remedy in (("blas", blas, "pip install scipy"), ("clblast", clblast, "install CLBlast")):
            if self.means == means and library.find()[0] is None:
                raise BackendError(f"opencl.products={means!r} cannot be used: {library.find()[1]}; {remedy}")

    def multiply(self, a: Strided, b: Strided, c: Strided, added: Added = ONCE) -> None:
        """Queue C = A B, or C += alpha A B, for each of a stack of one axis; no length is 0."""
        if self.means == "clblast" and added.factor is None:  # it takes its numbers from the host
            clblast.multiply(self._device, a, b, c, added)
        elif self.means == "blas" and self._suits_blas(a, b, c):
            blas.multiply(self._device, a, b, c, added)
        else:
            self.tiles.multiply(a, b, c, added)

    def _suits_blas(self, a: Strided, b: Strided, c: Strided) -> bool:
        small = c.shape[-2] * c.shape[-1] * a.shape[-1] < _SMALL
        return blas.fits((a, b, c)) and (self._device.idle or not small)


def _best(device: Any) -> str:
    if device.facts.shares_memory:
        return "blas" if blas.find()[0] is not None else "kernels"
    return "clblast" if clblast.find()[0] is not None else "kernels"


def gemm(device: Any, call: LibraryCall, operands: Sequence[Strided], results: Sequence[Strided]) -> None:
    """Queue C = A B for (..., m, k) and (..., k, n); leading axes are stacks.  Errors: DeviceError, BackendError."""
    _product(device, operands, results[0])


def gemm_add(device: Any, call: LibraryCall, operands: Sequence[Strided], results: Sequence[Strided]) -> None:
    """Queue C = S + alpha A B, where S may lie in the place of C; perhaps times a factor that lies on the device."""
    a, b, start, *factor = operands
    (c,) = results
    if (start.block, start.offset) != (c.block, c.offset) and 0 not in c.shape:
        size = dtypes.size_bytes(_as_stored(device, c).dtype)
        parts = (device.part(one.block, one.offset * size, math.prod(c.shape) * size) for one in (start, c))
        device.copy(*parts, math.prod(c.shape) * size)
    _product(device, (a, b), c, Added(dict(call.attributes)["alpha"], True, *factor))


def _product(device: Any, operands: Sequence[Strided], result: Strided, added: Added = ONCE) -> None:
    a, _, c = matrices = [_as_stored(device, one) for one in as_matrices(operands, result)]
    if 0 in c.shape:
        return
    if a.shape[-1] == 0:
        size = dtypes.size_bytes(c.dtype)
        if not added.adds:
            device.fill(c.block, 0, math.prod(c.shape) * size, c.offset * size)
        return
    for stack in stacks(matrices):
        device.products.multiply(*stack, added)


def _as_stored(device: Any, one: Strided) -> Strided:
    """With the dtype that elements have in memory."""
    return replace(one, dtype=device.facts.stored.get(one.dtype, one.dtype))


routines = {"gemm": Routine(gemm), "gemm_add": Routine(gemm_add)}
