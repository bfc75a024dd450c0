"""A stretch of a program's steps, ready to be queued for certain lengths: arguments are set, grids are known.

What comes with a call (inputs that lie elsewhere than before, outputs that are given away) is put in its place later.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from core.device.contract import Block, Grid, Launcher, Strided
from core.device.lengths import Lengths
from core.device.pool import Memory
from core.device.replay import Replays, can_replay
from core.device.space import Space
from core.ir.expr import Expr
from core.ir.launches import lane_extents, pieces
from core.ir.nodes import Kernel, Loop, LoopKind
from core.ir.program import CheckStep, LibraryStep, Operand, Value
from core.ir.target import Target

_LARGEST_Y = 65535  # groups along y, on any device


class Prepared:
    """``commands`` queue the steps in order.  ``memory`` is what they use now, by value.

    outputs  values that the function returns, with their shapes;  homes  values that lie in the memory of such a one
    slots    where other values that steps make lie
    moving   values that may lie elsewhere in the next call;  checks  what is to be looked at when all is done
    """

    def __init__(self, device: Any) -> None:
        self._replays = Replays(device) if can_replay(device) else None
        self.commands: list[Callable[[], None]] = []
        self.memory: dict[Value, Any] = {}
        self.outputs: list[tuple[Value, tuple[int, ...]]] = []
        self.homes: list[tuple[Value, Value]] = []
        self.slots: dict[Value, Memory] = {}
        self.moving: list[Value] = []
        self.checks: list[CheckStep] = []
        self._uses: dict[Value, list[tuple[Launcher, int]]] = {}

    def use(self, launcher: Launcher, values: Sequence[Value]) -> None:
        for position, value in enumerate(values):
            self._uses.setdefault(value, []).append((launcher, position))
        self.commands.append(launcher)

    def put(self, value: Value, memory: Any) -> None:
        """From now on a value lies there."""
        if self.memory.get(value) is memory:
            return
        self.memory[value] = memory
        for launcher, position in self._uses.get(value, ()):
            launcher.set(position, memory.block)

    def forget(self, kind: type) -> None:
        """Memory of that kind serves one call."""
        for value in [value for value, memory in self.memory.items() if type(memory) is kind]:
            del self.memory[value]

    def queue(self) -> None:
        """Errors: DeviceError."""
        if self._replays is not None and len(self.commands) > 1:
            self._replays.queue(tuple(self.memory[value].block.pointer for value in self.moving), self.commands)
            return
        for command in self.commands:
            command()


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
        lanes = _power_of_two(min(count, target.lanes), warp)
        return Grid((min(-(-count // lanes), target.units * target.waves), 1), (lanes, 1))
    wanted = max((_at_most(extent, lengths, target.lanes) for extent in lane_extents(kernel)), default=target.lanes)
    if wanted <= 1 and not target.packs_rows:
        return Grid((1, min(count, _LARGEST_Y)), (1, 1))
    if wanted <= 1:
        rows = _power_of_two(min(count, target.lanes), warp)
        return Grid((1, min(-(-count // rows), target.units * target.waves, _LARGEST_Y)), (1, rows))
    lanes = min(_power_of_two(wanted, warp), target.lanes)
    return Grid((1, min(count, _LARGEST_Y)), (lanes, 1))


def _at_most(extent: Expr, lengths: Lengths, largest: int) -> int:
    return min(lengths(extent), largest)


def _power_of_two(n: int, least: int) -> int:
    """The next power of two, at least ``least`` unless 1 will do."""
    return 1 if n <= 1 else max(1 << (n - 1).bit_length(), least)


def library_command(
    step: LibraryStep, routine: Any, space: Space, prepared: Prepared, lengths: Lengths
) -> Callable[[], None]:
    """A library call with its lengths known; where its arrays lie is asked when it is queued."""
    operands = [_strided(operand, lengths) for operand in step.operands]
    results = [_strided(operand, lengths) for operand in step.results]
    copied = [(step.operands[k].value, step.results[r].value) for r, k in step.call.overwrites]
    device = space.device

    def block(value: Value) -> Block:
        return prepared.memory[value].block

    def command() -> None:
        for source, target in copied:
            if block(source) is block(target):
                continue
            device.copy(block(source), block(target), min(block(source).size_bytes, block(target).size_bytes))
        routine(
            device,
            step.call,
            [Strided(block(value), *rest) for value, *rest in operands],
            [Strided(block(value), *rest) for value, *rest in results],
        )

    return command


def _strided(operand: Operand, lengths: Lengths) -> tuple[Any, ...]:
    value = operand.value
    return value, value.dtype, lengths.all(operand.shape), lengths.all(operand.strides), lengths(operand.offset)
