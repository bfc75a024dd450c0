"""Copies between the host and a device with memory of its own: on a queue of their own, beside the one of kernels.

Both queues run in order.  Between them events say who waits for whom, block by block: a kernel for the arguments that
it reads, an upload for the kernels that read what lay there, a download for the kernel that wrote its block, and for
no other.  So an argument travels while kernels run that do not need it, and a result while those behind it run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyopencl as cl

from core.device.contract import Block

_PIECE = 1 << 20  # bytes of pinned memory that are copied at a time
_PIECES = 4


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
    """The second queue of a device.  Whoever calls holds the device's lock, but for ``finish``."""

    def __init__(self, context: Any, device: Any, kernels: Any):
        self.queue, self._kernels = cl.CommandQueue(context, device), kernels
        self._staging = Staging(context, self.queue)
        self._marked: dict[ClBlock, None] = {}
        self._number = 0
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

    def upload(self, block: ClBlock, array: np.ndarray) -> None:
        """Queue a copy of a C-contiguous array, which may change when this returns."""
        block.arrived = self._staging.upload(block.pointer, _bytes(array), self._for(block.used))
        self._mark(block)

    def download(self, block: ClBlock, array: np.ndarray) -> None:
        """Queue a copy into a C-contiguous array, which has its elements after ``finish``."""
        block.leaves = self._staging.download(block.pointer, _bytes(array), self._for(block.written))
        self._mark(block)

    def _for(self, event: Any) -> list[Any]:
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
            number, lost = self._number, self._lost
        try:
            self.queue.finish()
            self._kernels.finish()
            with lock:
                if self._lost is not lost:
                    raise self._lost
                self._staging.settle()
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
    """Pieces of pinned memory, used by turns: what lies there is copied without a detour, while the host goes on."""

    def __init__(self, context: Any, queue: Any):
        self._context, self._queue = context, queue
        self._pieces: list[_Piece] = []
        self._turn = 0

    def _next(self) -> _Piece:
        """A piece with which the device is done."""
        if len(self._pieces) < _PIECES:
            self._pieces.append(_Piece(self._context, self._queue))
            return self._pieces[-1]
        self._turn = (self._turn + 1) % len(self._pieces)
        self._pieces[self._turn].settle()
        return self._pieces[self._turn]

    def upload(self, target: Any, source: np.ndarray, waits: list[Any]) -> Any:
        """Queue copies of all bytes; the event of the last, which ends when all have."""
        for start in range(0, source.size, _PIECE):
            piece, part = self._next(), source[start : start + _PIECE]
            piece.memory[: part.size] = part
            piece.event = cl.enqueue_copy(
                self._queue,
                target,
                piece.memory[: part.size],
                dst_offset=start,
                is_blocking=False,
                wait_for=waits,
            )
            waits = []  # the queue runs in order
        return piece.event

    def download(self, source: Any, target: np.ndarray, waits: list[Any]) -> Any:
        for start in range(0, target.size, _PIECE):
            piece, part = self._next(), target[start : start + _PIECE]
            piece.event = cl.enqueue_copy(
                self._queue,
                piece.memory[: part.size],
                source,
                src_offset=start,
                is_blocking=False,
                wait_for=waits,
            )
            piece.goes_to, waits = part, []
        return piece.event

    def settle(self) -> None:
        """Hand over what was copied to the host."""
        for piece in self._pieces:
            piece.settle()

    def forget(self) -> cl.Error | None:
        """Hand over what has arrived, and start afresh; the error of a copy to the host that failed."""
        lost = None
        for piece in self._pieces:
            try:
                piece.settle()
            except cl.Error as error:
                lost = lost if piece.goes_to is None else error
        self._pieces.clear()
        return lost


class _Piece:
    """``memory``: its bytes.  ``event``: of the copy that uses it;  ``goes_to``: where the host wants what comes."""

    def __init__(self, context: Any, queue: Any):
        flags = cl.mem_flags.READ_WRITE | cl.mem_flags.ALLOC_HOST_PTR
        self._buffer = cl.Buffer(context, flags, _PIECE)
        access = cl.map_flags.READ | cl.map_flags.WRITE
        self.memory, _ = cl.enqueue_map_buffer(queue, self._buffer, access, 0, (_PIECE,), np.dtype("uint8"))
        self.event: Any = None
        self.goes_to: np.ndarray | None = None

    def settle(self) -> None:
        """Wait for the copy.  Errors: cl.Error."""
        if self.event is not None:
            self.event.wait()
            self.event = None
        if self.goes_to is not None:
            self.goes_to[:] = self.memory[: self.goes_to.size]
            self.goes_to = None


def _bytes(array: np.ndarray) -> np.ndarray:
    return array.reshape(-1).view("uint8")
