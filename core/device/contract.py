"""What a driver of a device offers to core: memory, code, a queue.  Plugins implement it, ``core.device`` uses it.

Everything is queued: commands run in the order in which they were given, and ``synchronize`` waits for all of them.
One thread at a time uses a device: the runner holds ``lock`` while it queues what belongs together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import RLock
from typing import Any, Protocol, TypeAlias

import numpy as np

from core.dataclass import dataclass, field
from core.ir.clike.cfamily import Dialect
from core.ir.expr import Expr
from core.ir.nodes import Kernel
from core.ir.target import Target

Pointer: TypeAlias = Any  # what the driver takes for memory: an integer address, a pyopencl.Buffer


class Block:
    """Memory on a device.  ``pointer`` is the driver's own; ``size_bytes`` is what was asked for, never 0.

    host    the same bytes as the host sees them, which it may touch while ``Device.idle``; None where it sees none
    handle  the driver's number of it, where it binds calls (``Binder``)
    offset_bytes  where it begins in ``whole``: 0, but for parts of blocks on devices whose memory has no addresses
    """

    __slots__ = ("handle", "host", "offset_bytes", "pointer", "size_bytes", "_view", "_whole", "__weakref__")

    def __init__(self, pointer: Pointer, size_bytes: int, host: np.ndarray | None = None, handle: int | None = None):
        self.pointer, self.size_bytes, self.host, self.handle = pointer, size_bytes, host, handle
        self.offset_bytes = 0
        self._view: np.ndarray | None = None
        self._whole: Block | None = None

    @property
    def whole(self) -> Block:
        """What it is a part of, with the same pointer: itself, where it is none."""
        return self if self._whole is None else self._whole

    def named_part(self, offset_bytes: int, size_bytes: int) -> Block:
        """Some of its bytes, on a device that must be told the whole and where they begin: see Parted."""
        stop = offset_bytes + size_bytes
        part = Block(self.pointer, size_bytes, None if self.host is None else self.host[offset_bytes:stop])
        part._whole, part.offset_bytes = self.whole, self.offset_bytes + offset_bytes
        return part

    def array(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """The first bytes of ``host`` as an array."""
        view = self._view
        if view is None or view.shape != shape or view.dtype is not dtype:
            assert self.host is not None
            view = self._view = np.ndarray(shape, dtype, buffer=self.host)
        return view


@dataclass(frozen=True)
class Facts:
    """What is known of a device before anything runs on it.

    target         what schedules ask: how many work-items fill it, how large a group may be
    dialect        how its language spells things, without the dtypes that it lacks
    stored         dtypes that lie in its memory as another one: ``{"float64": "float32"}`` under a policy
    memory_bytes   all of its memory;  largest_bytes: the largest single block
    shares_memory  its memory is the host's: blocks have ``host``, and arrays can be used where they lie (``wrap``)
    boundary_bytes  on whose multiples arrays must begin for its kernels: rows of an array that do not are copied
    """

    name: str
    target: Target
    dialect: Dialect
    stored: dict[str, str] = field(default_factory=dict)
    memory_bytes: int = 0
    largest_bytes: int = 0
    shares_memory: bool = False
    boundary_bytes: int = 16


@dataclass(frozen=True)
class Grid:
    """How many groups, and how many work-items in a group, each along x and y.

    Lanes of a group lie along x.  Groups of several lanes are one high; what needs no lanes fills groups along y.
    """

    groups: tuple[int, int]
    group: tuple[int, int]


@dataclass(frozen=True)
class Source:
    """Text to build, and the kernels in it, each of one loop, with the lengths that it takes after its blocks.

    A driver needs the names of the kernels, and their comments for errors; a stand-in may run their loops instead.
    """

    name: str
    text: str
    kernels: tuple[tuple[Kernel, tuple[Expr, ...]], ...]


class Launcher(Protocol):
    """One kernel, its arguments and its grid, made once and queued often."""

    def set(self, position: int, block: Block) -> None:
        """Put another block in the place of an argument, from the next call on."""

    def __call__(self) -> None:
        """Queue the kernel.  Errors: DeviceError."""


class Device(Protocol):
    """An open device.  Errors of every method: DeviceError and its subclasses, which name the device."""

    facts: Facts
    lock: RLock

    @property
    def idle(self) -> bool:
        """Whether nothing is queued or running, so that the host may touch memory that both see."""

    def build(self, source: Source) -> Any:
        """Code that ``launcher`` takes, from the driver's cache or compiled now.  Errors: CompileError."""

    def launcher(self, code: Any, name: str, arguments: Sequence[Block | int], grid: Grid) -> Launcher:
        """A kernel of ``code`` with arguments in the order of its parameters: blocks, then lengths (int64)."""

    def allocate(self, size_bytes: int) -> Block:
        """Memory, on a boundary that suits every dtype.  Errors: DeviceMemoryError, at once and not when it is used."""

    def release(self, block: Block) -> None:
        """Give memory back.  Commands that are queued and use it still may."""

    def upload(self, block: Block, array: np.ndarray, keep: bool) -> None:
        """Queue a copy of a C-contiguous array to the device.

        ``keep``: the caller leaves the array as it is until ``synchronize``; else it may change when this returns.
        """

    def download(self, block: Block, array: np.ndarray) -> None:
        """Queue a copy into a C-contiguous array, which holds the elements after ``synchronize``."""

    def copy(self, source: Block, target: Block, size_bytes: int) -> None:
        """Queue a copy on the device."""

    def wrap(self, array: np.ndarray) -> Block | None:
        """A C-contiguous array as a block, without a copy, where the device can; it must live, unchanged by the host,
        until ``synchronize`` and ``release``.  None: it cannot."""

    def synchronize(self) -> None:
        """Wait for everything that is queued.  Errors: DeviceError for what failed meanwhile; DeviceLost."""


@dataclass(frozen=True)
class Strided:
    """An operand or output of a library routine: elements of a block.  Strides and offset count elements; see
    core.ir.program.Operand for what is promised of them."""

    block: Block
    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int


Scratch: TypeAlias = Callable[[int], Block]  # so many bytes, for all that one call needs, until what it queues has run


@dataclass(frozen=True)
class Routine:
    """What a ``Library`` record of a device's dialect names in ``ref``, for each routine that it provides.

    queue  ``queue(device, call, operands, results)`` queues it.  Leading axes (``call.batch``) stack calls.  Outputs
           that overwrite an operand hold its elements already.  Errors: DeviceError, BackendError for lengths that it
           cannot take, RoutineFailed where those are wrong for the op.
    fails  Its matrices may be such that it fails.  Then ``queue(device, call, operands, results, room)`` returns a
           block of int32, one for each call that is stacked: 0, or the number that ``Op.library_error`` explains; None
           where failures do not matter.  The call waits for these numbers, and
           they are never part of a recording.
    takes_room  It needs memory besides, so ``queue`` has that last argument, a core.device.room.Room, too.
    """

    queue: Callable[..., Block | None]
    fails: bool = False
    takes_room: bool = False


class RoutineFailed(Exception):
    """A routine cannot take operands of these lengths; ``number`` is for ``Op.library_error``."""

    def __init__(self, number: int):
        super().__init__(f"a routine failed with {number}")
        self.number = number


class Exchange(Protocol):
    """What a device may offer besides: arrays that go to other libraries and come from them, without the host.

    Queued work of both sides is ordered; nobody waits for it.
    """

    dlpack_device: tuple[int, int]

    def dlpack(self, array: Any, stream: Any) -> Any:
        """A capsule for a DeviceArray, consumed on ``stream``, as DLPack numbers it.  Errors: BufferError."""

    def interface(self, array: Any) -> dict[str, Any]:
        """Its ``__cuda_array_interface__``."""

    def adopt(self, array: Any, allocate: Callable[[int], Any]) -> tuple[Any, tuple[int, ...], str]:
        """Memory, shape and dtype of an array of another library: its own, or a copy in what ``allocate`` gives, where
        it lies otherwise than in row-major order on a good boundary.  Errors: DeviceError for another device.
        """


class Neighbour(Protocol):
    """What a device may offer besides: copies from other devices of its kind, without the host."""

    def reaches(self, other: Any) -> bool:
        """Whether ``copy_from`` can copy from that device."""

    def copy_from(self, other: Any, source: Block, target: Block, size_bytes: int) -> None:
        """Queue a copy, after what is queued there; what is queued there later waits for it.  The locks of both are
        held.  Errors: DeviceError."""


class Parted(Protocol):
    """What a device must offer whose dialect ``runs_programs``: rows of arrays as blocks of their own.

    Where memory has addresses, a part is a block like any other.  Where it has none (``WorkItems.has_addresses``) it is
    ``Block.named_part``: whatever takes a block must look at its ``whole`` and ``offset_bytes``, and kernels that say
    so (``Kernel.in_parts``) take, behind their lengths, an int64 for each block: its offset in bytes.
    """

    def part(self, block: Block, offset_bytes: int, size_bytes: int) -> Block:
        """Some of the bytes of a block, which lives as long as that."""


class Recorder(Protocol):
    """What a device may offer besides: queued commands of one call, recorded and replayed as a whole (CUDA graphs).

    ``records``: whether that is wanted.
    """

    records: bool

    def begin_recording(self) -> None:
        """From now on commands are noted instead of run."""

    def abandon_recording(self) -> None:
        """Forget what was noted, after a command that failed."""

    def end_recording(self) -> Callable[[], None]:
        """What was queued since, as a callable that queues it again with the same addresses."""


class Binder(Protocol):
    """What a device may offer besides: calls that it queues without Python in between, where nobody waits for them.

    Such a call looks for a recording that fits in the list ``recordings`` of each executable of ``current``, and leaves
    to ``slow_path`` what none serves; so it gives what that gives, and raises what that raises.
    """

    def bind(
        self,
        current: list[Any],
        slow_path: Callable[..., Any],
        reads: Sequence[list[Any]],
        writes: Sequence[list[Any]],
        layout: str | tuple[str, ...],
        n_args: int,
        n_results: int,
    ) -> Callable[..., Any] | None:
        """What to call in the place of ``slow_path``; None where that is as good.  See Caller for the cells."""

    def record(self, call: Any) -> Any:
        """A recording of a ``core.device.bound.Bindable``, or None where it leaves such calls to Python.

        Where its ``is_broken`` is true it wants to be replaced.
        """
