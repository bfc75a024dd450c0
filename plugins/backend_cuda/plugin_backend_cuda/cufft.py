"""cuFFT, bound through cffi: plans of Fourier transforms, kept, and the memory that they work in.

Work memory is ours, so that transforms can be part of a graph.  Nothing here is scaled, as in cuFFT.
Reference: cuFFT API Reference, version 11 (of CUDA 12) and later: the interface with 64-bit lengths.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import cffi

from core.dataclass import dataclass
from core.errors import DeviceError
from core.records import Probe
from plugin_backend_cuda.shared_library import opened

WHEELS = ("nvidia-cufft", "nvidia-cufft-cu13", "nvidia-cufft-cu12")
_SYSTEM = ("libcufft.so", "libcufft.so.12", "libcufft.so.11", "cufft64_12.dll", "cufft64_11.dll")
_NEEDED = (("nvidia-nvjitlink", "libnvJitLink"),)
TYPES = {"C2C": 0x29, "R2C": 0x2A, "C2R": 0x2C, "Z2Z": 0x69, "D2Z": 0x6A, "Z2D": 0x6C}  # cufftType
FORWARD, INVERSE = -1, 1
MOST_AXES = 3  # of one plan
_STATUS = {
    1: "an invalid plan", 2: "no memory", 3: "an invalid type", 4: "an invalid value", 5: "an internal error",
    6: "a kernel failed", 7: "it could not be set up", 8: "an invalid length", 9: "memory that is not aligned",
    11: "another device", 13: "no work memory", 14: "not implemented", 16: "not supported",
}  # fmt: skip
_DECLARATIONS = """
typedef int cufftHandle;
typedef struct CUstream_st *cudaStream_t;
int cufftCreate(cufftHandle *plan);
int cufftDestroy(cufftHandle plan);
int cufftSetStream(cufftHandle plan, cudaStream_t stream);
int cufftSetAutoAllocation(cufftHandle plan, int autoAllocate);
int cufftSetWorkArea(cufftHandle plan, void *workArea);
int cufftMakePlanMany64(cufftHandle plan, int rank, long long *n, long long *inembed, long long istride,
    long long idist, long long *onembed, long long ostride, long long odist, int type, long long batch,
    size_t *workSize);
int cufftExecC2C(cufftHandle plan, void *idata, void *odata, int direction);
int cufftExecZ2Z(cufftHandle plan, void *idata, void *odata, int direction);
int cufftExecR2C(cufftHandle plan, void *idata, void *odata);
int cufftExecD2Z(cufftHandle plan, void *idata, void *odata);
int cufftExecC2R(cufftHandle plan, void *idata, void *odata);
int cufftExecZ2D(cufftHandle plan, void *idata, void *odata);
"""


@cache
def find() -> tuple[tuple[cffi.FFI, Any] | None, str]:
    """The library, or None and why there is none."""
    return opened(_DECLARATIONS, WHEELS, "libcufft.so", _SYSTEM, "cufftMakePlanMany64", _NEEDED)


def probe() -> Probe:
    """Whether there is cuFFT; without it transforms go back to Python."""
    found, why = find()
    if found is None:
        return Probe(reason=f"no cuFFT: {why}", remedy="pip install nvidia-cufft")
    return Probe(devices=("cufft",))


@dataclass(frozen=True)
class Layout:
    """What a plan is for: a batch of transforms, whose elements are ``stride`` apart, and their first ``distance``.

    kind  a key of TYPES;  n: the lengths that are transformed, up to three, those of real numbers where there are some
    """

    kind: str
    n: tuple[int, ...]
    batch: int
    x_stride: int
    x_distance: int
    y_stride: int
    y_distance: int

    def embedded(self, real: bool) -> tuple[int, ...]:
        """Lengths as they lie in memory: of half a spectrum, unless these are real numbers, or all are complex."""
        if self.kind in ("C2C", "Z2Z") or real:
            return self.n
        return (*self.n[:-1], self.n[-1] // 2 + 1)

    @property
    def x_lengths(self) -> tuple[int, ...]:
        return self.embedded(self.kind in ("R2C", "D2Z"))

    @property
    def y_lengths(self) -> tuple[int, ...]:
        return self.embedded(self.kind in ("C2R", "Z2D"))


class Room:
    """Memory that calls use one after the other.  What was given once stays, for recordings use it: it grows by half
    at least."""

    def __init__(self, allocate: Callable[[int], int]):
        self._allocate, self._size, self._place = allocate, 0, 0

    def __call__(self, size_bytes: int) -> int:
        if size_bytes > self._size:
            self._size = max(size_bytes, self._size * 3 // 2)
            self._place = self._allocate(self._size)
        return self._place


class Cufft:
    """Plans for one stream, each kept as long as the device: recordings use their tables.

    Make and use it with the device's context current.  ``allocate``: so many bytes on the device -> their address.
    room, bounce  memory of calls, besides that in which the library works
    """

    def __init__(self, stream_number: int, allocate: Callable[[int], int]):
        found, why = find()
        if found is None:
            raise DeviceError(f"Fourier transforms on backend 'cuda' need cuFFT: {why}; pip install nvidia-cufft")
        self._ffi, self._library = found
        self._stream = self._ffi.cast("cudaStream_t", stream_number)
        self._plans: dict[Layout, tuple[int, int]] = {}
        self._work, self.room, self.bounce = Room(allocate), Room(allocate), Room(allocate)

    def _call(self, name: str, *arguments: Any) -> None:
        code = getattr(self._library, name)(*arguments)
        if code:
            raise DeviceError(f"{name} failed: {_STATUS.get(code, f'status {code}')}")

    def _plan(self, layout: Layout) -> tuple[int, int]:
        """The plan, and how much work memory it needs."""
        if layout not in self._plans:
            made, size = self._ffi.new("cufftHandle *"), self._ffi.new("size_t *")
            self._call("cufftCreate", made)
            plan = made[0]
            try:
                self._call("cufftSetAutoAllocation", plan, 0)
                n, x, y = (self._ffi.new("long long[]", one) for one in (layout.n, layout.x_lengths, layout.y_lengths))
                self._call(
                    "cufftMakePlanMany64",
                    *(plan, len(layout.n), n, x, layout.x_stride, layout.x_distance),
                    *(y, layout.y_stride, layout.y_distance, TYPES[layout.kind], layout.batch, size),
                )
                self._call("cufftSetStream", plan, self._stream)
            except DeviceError as error:
                self._library.cufftDestroy(plan)
                raise DeviceError(f"{error}, for {layout}") from error
            self._plans[layout] = plan, int(size[0])
        return self._plans[layout]

    def transform(self, layout: Layout, x: int, y: int, inverse: bool = False) -> None:
        """Queue it from one address to another.  x and y may be one where all is complex; C2R and Z2D spoil x."""
        plan, size = self._plan(layout)
        self._call("cufftSetWorkArea", plan, self._ffi.cast("void *", self._work(size) if size else 0))
        direction = (INVERSE if inverse else FORWARD,) if layout.kind in ("C2C", "Z2Z") else ()
        places = (self._ffi.cast("void *", one) for one in (x, y))
        self._call(f"cufftExec{layout.kind}", plan, *places, *direction)

    def free(self) -> None:
        for plan, _ in self._plans.values():
            self._call("cufftDestroy", plan)
        self._plans.clear()


def along(kind: str, shape: tuple[int, ...], axes: range) -> tuple[Layout, int]:
    """The plan for neighbouring axes of an array that lies row by row, and how often it is needed, for axes in front.

    shape  of the real numbers, where there are some
    """
    n = shape[axes.start : axes.stop]
    before, behind = math.prod(shape[: axes.start]), math.prod(shape[axes.stop :])
    if behind > 1:
        return Layout(kind, n, behind, behind, 1, behind, 1), before
    one = Layout(kind, n, before, 1, 0, 1, 0)
    return Layout(kind, n, before, 1, math.prod(one.x_lengths), 1, math.prod(one.y_lengths)), 1
