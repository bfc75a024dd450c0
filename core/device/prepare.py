"""A stretch of a program's steps, ready to be queued for certain lengths: arguments are set, grids are known.

What comes with a call (inputs that lie elsewhere than before, outputs that are given away) is put in its place later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from core.device.contract import Block, Grid, Launcher, Routine, RoutineFailed, Strided
from core.device.lengths import Lengths
from core.device.pool import Memory
from core.device.replay import Replays, can_replay
from core.device.room import Room
from core.device.space import Space
from core.ir.clike.clibrary import Failure
from core.ir.definitions import Operand, Value
from core.ir.expr import Expr
from core.ir.nodes import Arrive, Barrier, Kernel, Loop, LoopKind, statements
from core.ir.program import CheckStep, LibraryStep
from core.ir.target import Target
from core.ir.work.launches import lane_extents, lanes_for, pieces

_LARGEST_Y = 65535  # groups along y, on any device


class Prepared:
    """``commands`` queue the steps in order.  ``memory`` is what they use now, by value.

    outputs  values that the function returns, with their shapes;  homes  values that lie in the memory of such a one
    slots    where other values that steps make lie
    moving   values that may lie elsewhere in the next call;  checks  what is to be looked at when all is done
    can_record  whether all commands may be part of a recording: none waits
    failing  calls of routines that may fail, which note their failures when they are queued
    uses     for each value, the launchers that take it, and the position of the argument
    """

    def __init__(self, device: Any, records: bool = True) -> None:
        self._replays = Replays(device) if records and can_replay(device) else None
        self.can_record = True
        self.commands: list[Callable[[], None]] = []
        self.memory: dict[Value, Any] = {}
        self.outputs: list[tuple[Value, tuple[int, ...]]] = []
        self.homes: list[tuple[Value, Value]] = []
        self.slots: dict[Value, Memory] = {}
        self.moving: list[Value] = []
        self.checks: list[CheckStep] = []
        self.failing: list[FailingCall] = []
        self.uses: dict[Value, list[tuple[Launcher, int]]] = {}

    def use(self, launcher: Launcher, values: Sequence[Value]) -> None:
        for position, value in enumerate(values):
            self.uses.setdefault(value, []).append((launcher, position))
        self.commands.append(launcher)

    def put(self, value: Value, memory: Any) -> None:
        """From now on a value lies there."""
        if self.memory.get(value) is memory:
            return
        self.memory[value] = memory
        for launcher, position in self.uses.get(value, ()):
            launcher.set(position, memory.block)

    def place(self, values: Sequence[Value], places: Sequence[Any]) -> None:
        """From now on values lie in these places, and others where their homes are."""
        for value, memory in zip(values, places, strict=True):
            self.put(value, memory)
        for value, home in self.homes:
            self.put(value, self.memory[home])

    def forget(self, *kinds: type) -> None:
        """Memory of these kinds serves one call."""
        for value in [value for value, memory in self.memory.items() if type(memory) in kinds]:
            del self.memory[value]

    def let_go(self, values: Iterable[Value]) -> None:
        """Hold no memory of these: the next call says anew where they lie."""
        for value in values:
            self.memory.pop(value, None)

    def queue_at(self, values: Sequence[Value], places: Sequence[Memory]) -> Callable[[], None] | None:
        """Queue everything with these values in these places, and others where their homes are: see ``queue``."""
        self.place(values, places)
        try:
            return self.queue()
        finally:
            self.let_go((*values, *(value for value, _ in self.homes)))

    @property
    def _is_worth_it(self) -> bool:
        """One kernel alone is queued as fast as a recording; one loop is many."""
        return len(self.commands) > 1 or any(hasattr(command, "can_record") for command in self.commands)

    def queue(self) -> Callable[[], None] | None:
        """Queue everything; what queues it again with all in the same places, if it was recorded.

        Errors  DeviceError
        """
        if self._replays is not None and self.can_record and not self.failing and self._is_worth_it:
            blocks = [self.memory[value].block for value in self.moving]
            where = tuple((block.pointer, block.offset_bytes) for block in blocks)
            return self._replays.queue(where, self.commands)
        for command in self.commands:
            command()
        return None


def grid_of(kernel: Kernel, target: Target, warp: int, lengths: Lengths) -> Grid | None:
    """How a launch is spread out; None where there is nothing to do."""
    (loop,) = kernel.body
    assert isinstance(loop, Loop)
    count = lengths(loop.extent)
    if count <= 0:
        return None
    if not target.has_groups:
        return Grid((count, 1), (1, 1))
    if loop.kind is LoopKind.ITEMS:
        count = lengths(pieces(loop))
        lanes = lanes_for(min(count, target.lanes), target.lanes, warp)
        return Grid((min(-(-count // lanes), target.units * target.waves), 1), (lanes, 1))
    wanted = max((_at_most(extent, lengths, target.lanes) for extent in lane_extents(kernel)), default=target.lanes)
    meets = any(isinstance(s, (Barrier, Arrive)) for s in statements(loop.body))
    if wanted <= 1 and (meets or not target.packs_rows):
        return Grid((1, min(count, _LARGEST_Y)), (1, 1))
    if wanted <= 1:
        rows = lanes_for(min(count, target.lanes), target.lanes, warp)
        return Grid((1, min(-(-count // rows), target.units * target.waves, _LARGEST_Y)), (1, rows))
    lanes = lanes_for(wanted, target.lanes, warp)
    if lanes == warp and not meets:
        rows = min(lanes_for(count, target.lanes // warp, 1), target.lanes // warp)  # a warp waits for nobody
        return Grid((1, min(-(-count // rows), _LARGEST_Y)), (lanes, rows))
    return Grid((1, min(count, _LARGEST_Y)), (lanes, 1))


def _at_most(extent: Expr, lengths: Lengths, largest: int) -> int:
    return min(lengths(extent), largest)


class LibraryCommand:
    """A library call with its lengths known; where its arrays lie is asked when it is queued.

    room  what it needs besides, for routines that take it
    """

    room: Room | None = None

    def __init__(self, step: LibraryStep, routine: Routine, space: Space, prepared: Prepared, lengths: Lengths):
        self.step, self._routine, self._space, self._memory = step, routine, space, prepared.memory
        self._operands = [_strided(operand, lengths) for operand in step.operands]
        self._results = [_strided(operand, lengths) for operand in step.results]
        self._copied = [(step.operands[k].value, step.results[r].value) for r, k in step.call.overwrites]

    @property
    def shape(self) -> tuple[int, ...]:
        """That of its first result."""
        return self._results[0][2]

    def _block(self, value: Value) -> Block:
        return self._memory[value].block

    def arrays(self) -> tuple[list[Strided], list[Strided]]:
        """Operands and results, where they lie; what is overwritten is copied there."""
        for source, target in self._copied:
            a, b = self._block(source), self._block(target)
            if (a.whole, a.offset_bytes) != (b.whole, b.offset_bytes):
                self._space.device.copy(a, b, min(a.size_bytes, b.size_bytes))
        operands, results = ([self._lying(*one) for one in found] for found in (self._operands, self._results))
        return operands, results

    def _lying(self, value: Value, dtype: str, shape: Any, strides: Any, offset: int) -> Strided:
        """An array, where it lies: of a part of a block, in elements of the whole."""
        block = self._block(value)
        before = block.offset_bytes // self._space.stored_dtype(dtype).itemsize
        return Strided(block.whole, dtype, shape, strides, offset + before)

    def __call__(self) -> None:
        """Errors: what the op says of lengths that the routine does not take."""
        self._queue()

    def _queue(self) -> Block | None:
        room = () if self.room is None else (self.room,)
        try:
            return self._routine.queue(self._space.device, self.step.call, *self.arrays(), *room)
        except RoutineFailed as error:
            raise self._error(error.number, ()) from error

    def _error(self, number: int, place: tuple[int, ...]) -> Exception:
        node, batch = self.step.outputs[0].node, self.step.call.batch
        shapes = tuple(shape[batch if len(shape) > batch else 0 :] for _, _, shape, *_ in self._operands)
        return node.op.library_error(node, Failure(number, place, shapes))


class FailingCall(LibraryCommand):
    """A call that may fail: ``numbers`` holds, after the queue was waited for, how each of the stacked calls went."""

    numbers: np.ndarray | None = None

    def __call__(self) -> None:
        block = self._queue()
        self.numbers = None
        if block is not None:
            self.numbers = np.empty(self._stacked(), "int32")
            self._space.device.download(block, self.numbers)

    def _stacked(self) -> tuple[int, ...]:
        return self.shape[: self.step.call.batch]

    def check(self) -> None:
        """Errors: what the op says of the first call that failed."""
        numbers, self.numbers = self.numbers, None
        if numbers is not None and numbers.any():
            place = tuple(int(i) for i in np.argwhere(numbers)[0])
            raise self._error(int(numbers[place]), place)


def _strided(operand: Operand, lengths: Lengths) -> tuple[Any, ...]:
    value = operand.value
    return value, value.dtype, lengths.all(operand.shape), lengths.all(operand.strides), lengths(operand.offset)
