"""Copies between the host and a device with memory of its own: on a queue of their own, beside the one of kernels.

Both queues run in order.  Between them events say who waits for whom, block by block: a kernel for the arguments that
it reads, an upload for the kernels that read what lay there, a download for the kernel that wrote its block, and for
no other.  So an argument travels while kernels run that do not need it, and a result while those behind it run.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyopencl as cl

from core.device.contract import Block

_PINNED = 1 << 22  # bytes of memory that copies go through
_PIECE = 1 << 20  # that are copied at a time, so that the host fills one while the device takes another
_BOUNDARY = 128


class ClBlock(Block):
    """A block, and the events of what was queued last and uses it; None where the other queue need not wait.

    used, written    by commands of the queue of kernels: any use, and the last that may have changed it
    arrived, leaves  by copies from the host and to it, for which that queue does not wait yet
    number           of the last of these commands
    """

    __slots__ = ("arrived", "leaves", "number", "used", "written")

    def __init__(self, pointer: Any, size_bytes: int):
        super().__init__(pointer, size_bytes)
        self.forget()
        self.number = 0

    def forget(self) -> None:
        """Everything that was queued and uses it has run."""
        self.used = self.written = self.arrived = self.leaves = None


class Transfers:
    """The second queue of a device.  Whoever calls holds the device's lock, but for ``finish``.

    queued  calls that C has queued (calls.c), which marks no blocks: copies wait for all of them
    """

    def __init__(self, context: Any, device: Any, kernels: Any):
        self.queue, self._kernels = cl.CommandQueue(context, device), kernels
        self._staging = Staging(context, self.queue)
        self._marked: dict[ClBlock, None] = {}
        self._number = self.queued = self._finished = 0
        self._lost: cl.Error | None = None  # of the last copy to the host that failed

    # --- the queue of kernels ---------------------------------------------------------------------------------------

    def before(self, blocks: Sequence[ClBlock], written: int) -> list[Any]:
        """What a command on the queue of kernels waits for; it changes the first ``written`` of its blocks.

        Later commands of that queue need not wait for it again.
        """
        waits = []
        for position, block in enumerate(blocks):
            if block.arrived is not None:
                waits.append(block.arrived)
                block.arrived = None
            if block.leaves is not None and position < written:
                waits.append(block.leaves)
                block.leaves = None
        if waits:
            self.queue.flush()  # who waits for an event of another queue must have that flushed (OpenCL 1.2, 5.13)
        return waits

    def after(self, event: Any, blocks: Sequence[ClBlock], written: int) -> None:
        """That command was queued."""
        number = self._next()
        for position, block in enumerate(blocks):
            block.used, block.number = event, number
            if position < written:
                block.written = event
            self._marked[block] = None

    # --- the queue of copies ----------------------------------------------------------------------------------------

    def upload(self, block: Block, array: np.ndarray) -> None:
        """Queue a copy of a C-contiguous array, which may change when this returns."""
        whole: Any = block.whole
        whole.arrived = self._staging.upload(block, _bytes(array), self._for(whole.used))
        self._mark(whole)

    def download(self, block: Block, array: np.ndarray) -> None:
        """Queue a copy into a C-contiguous array, which has its elements after ``finish``."""
        whole: Any = block.whole
        whole.leaves = self._staging.download(block, _bytes(array), self._for(whole.written))
        self._mark(whole)

    def _for(self, event: Any) -> list[Any]:
        if self.queued != self._finished:
            event = cl.enqueue_marker(self._kernels)
        if event is None:
            return []
        self._kernels.flush()
        return [event]

    def _mark(self, block: ClBlock) -> None:
        block.number = self._next()
        self._marked[block] = None

    def _next(self) -> int:
        self._number += 1
        return self._number

    # --- waiting ----------------------------------------------------------------------------------------------------

    def release(self, block: ClBlock) -> None:
        self._marked.pop(block, None)

    def finish(self, lock: Any) -> None:
        """Wait for both queues, and hand over what was downloaded.  Errors: cl.Error for what failed meanwhile."""
        with lock:
            number, lost, queued = self._number, self._lost, self.queued
        try:
            self.queue.finish()
            self._kernels.finish()
            with lock:
                if self._lost is not lost:
                    raise self._lost
                self._staging.settle()
                self._finished = max(self._finished, queued)
                for block in [block for block in self._marked if block.number <= number]:
                    block.forget()
                    del self._marked[block]
        except cl.Error:
            with lock:
                self.forget()
            raise

    def forget(self) -> None:
        """After a command that failed: what is queued ends somehow, and nobody waits for events of it any more.

        Whoever waits for a copy to the host that is lost gets its error.
        """
        for queue in (self.queue, self._kernels):
            try:
                queue.finish()
            except cl.Error:  # it is the first failure that is reported
                continue
        self._lost = self._staging.forget() or self._lost
        for block in self._marked:
            block.forget()
        self._marked.clear()


class Staging:
    """Pinned memory, used round and round: what lies there is copied without a detour, while the host goes on.

    ``copies`` are those that were queued from and to it, oldest first; each has its part until it is settled.
    """

    def __init__(self, context: Any, queue: Any):
        self._context, self._queue = context, queue
        self._memory: np.ndarray | None = None
        self._next = 0
        self.copies: deque[_Copy] = deque()

    def _take(self, size_bytes: int) -> tuple[int, np.ndarray]:
        """Where the next part begins, and its bytes, with which the device is done."""
        if self._memory is None:
            flags = cl.mem_flags.READ_WRITE | cl.mem_flags.ALLOC_HOST_PTR
            buffer = cl.Buffer(self._context, flags, _PINNED)
            access = cl.map_flags.READ | cl.map_flags.WRITE
            self._memory, _ = cl.enqueue_map_buffer(self._queue, buffer, access, 0, (_PINNED,), np.dtype("uint8"))
        if self._next + size_bytes > _PINNED:
            while self.copies and self.copies[0].start >= self._next:
                self.copies.popleft().settle()
            self._next = 0
        start, end = self._next, self._next + size_bytes
        while self.copies and start <= self.copies[0].start < end:
            self.copies.popleft().settle()
        self._next = min(-(-end // _BOUNDARY) * _BOUNDARY, _PINNED)
        return start, self._memory[start:end]

    def upload(self, target: Block, source: np.ndarray, waits: list[Any]) -> Any:
        """Queue copies of all bytes; the event of the last, which ends when all have."""
        for offset in range(0, source.size, _PIECE):
            part = source[offset : offset + _PIECE]
            start, memory = self._take(part.size)
            memory[:] = part
            at = target.offset_bytes + offset
            event = cl.enqueue_copy(
                self._queue, target.pointer, memory, dst_offset=at, is_blocking=False, wait_for=waits
            )
            self.copies.append(_Copy(start, event))
            waits = []  # the queue runs in order
        return self.copies[-1].event

    def download(self, source: Block, target: np.ndarray, waits: list[Any]) -> Any:
        """The same the other way; ``target`` has the bytes when the copies are settled."""
        for offset in range(0, target.size, _PIECE):
            part = target[offset : offset + _PIECE]
            start, memory = self._take(part.size)
            at = source.offset_bytes + offset
            event = cl.enqueue_copy(
                self._queue, memory, source.pointer, src_offset=at, is_blocking=False, wait_for=waits
            )
            self.copies.append(_Copy(start, event, memory, part))
            waits = []
        return self.copies[-1].event

    def settle(self) -> None:
        """Hand over what was copied to the host.  Errors: cl.Error."""
        while self.copies:
            self.copies[0].settle()
            self.copies.popleft()

    def forget(self) -> cl.Error | None:
        """Hand over what has arrived, and start afresh; the error of a copy to the host that failed."""
        lost = None
        for copy in self.copies:
            try:
                copy.settle()
            except cl.Error as error:
                lost = lost if copy.target is None else error
        self.copies.clear()
        return lost


@dataclass
class _Copy:
    """A copy that was queued; on its way to the host, ``memory`` is where it arrives and ``target`` where it goes."""

    start: int
    event: Any
    memory: np.ndarray | None = None
    target: np.ndarray | None = None

    def settle(self) -> None:
        """Wait for it, and hand over what it brought.  Errors: cl.Error."""
        self.event.wait()
        if self.target is not None:
            self.target[:] = self.memory


def _bytes(array: np.ndarray) -> np.ndarray:
    return array.reshape(-1).view("uint8")
