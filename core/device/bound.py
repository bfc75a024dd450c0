"""Calls that a driver queues by itself, without Python in between: what it is told of them.

They are those of repeat.py that nobody waits for.  Where a driver cannot, or leaves a call alone, that file serves.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from core.dataclass import dataclass
from core.device.array import DeviceArray
from core.device.contract import Block, Launcher
from core.device.pool import Memory
from core.device.space import described

if TYPE_CHECKING:
    from core.device.repeat import Repeat

Uses = tuple[tuple[int, int], ...]  # arguments that are the same value: number of a launcher, position


@dataclass(frozen=True)
class Bindable:
    """A call of certain lengths, in terms of its commands.

    launchers   in the order in which they are queued, each with the blocks that stay, by their position; None where
                there are other commands too
    inputs      of each input of the program: dtype, shape, whether a command reads it, which arguments of launchers it
                is, and a reference to the memory where it must lie, for which alone checks have passed; None: anywhere
    outputs     of each value that is given away: which arguments it is
    results     for each output of the program, which of ``outputs`` it is
    space       where arrays must lie
    new_output  ``new_output(k)``: an array for one of ``outputs``
    new_stage   ``new_stage(k)``: memory for one of ``inputs`` that no queued command uses
    queue       ``queue(places)``: queue the commands by Python, with the inputs that are read, and then ``outputs``, in
                these memories; returns what queues them there again at once, a recording of the device, or None
    keep        memory that commands use besides
    """

    launchers: tuple[tuple[Launcher, dict[int, Block]], ...] | None
    inputs: tuple[tuple[np.dtype, tuple[int, ...], bool, Uses, weakref.ref[Memory] | None], ...]
    outputs: tuple[Uses, ...]
    results: tuple[int, ...]
    space: Any
    new_output: Callable[[int], DeviceArray]
    new_stage: Callable[[int], Memory]
    queue: Callable[[Sequence[Memory]], Any]
    keep: Any


def moving(repeat: Repeat) -> set[Any]:
    """Values that may lie elsewhere in each call."""
    prepared = repeat.prepared
    made = (value for pair in (*prepared.outputs, *prepared.homes) for value in pair[:1])
    return {*repeat.owner.program.inputs, *made}


def bindable(repeat: Repeat, shapes: Sequence[tuple[int, ...]]) -> Bindable | None:
    """What a driver must know of a call; None where it waits, or has arguments that are converted on their way.

    shapes  of the program's inputs
    """
    prepared, program, space = repeat.prepared, repeat.owner.program, repeat.space
    if repeat.waits or any(value.dtype in space.facts.stored for value in program.inputs):
        return None
    launchers: tuple[Any, ...] = tuple(c for c in prepared.commands if hasattr(c, "set"))  # no loop, no routine
    number = {launcher: k for k, launcher in enumerate(launchers)}

    def uses(*values: Any) -> Uses:
        found = (use for value in values for use in prepared.uses.get(value, ()))
        return tuple((number[launcher], position) for launcher, position in found)

    made = [value for value, _ in prepared.outputs]
    guests = {home: [value for value, other in prepared.homes if other is home] for home in made}

    def new_output(k: int) -> DeviceArray:
        value, shape = prepared.outputs[k]
        memory = space.pool.take(space.size_bytes(shape, value.dtype), partial(described, value, shape))
        return DeviceArray(space, memory, shape, np.dtype(value.dtype))

    def new_stage(k: int) -> Memory:
        value, shape = program.inputs[k], shapes[k]
        return space.pool.fresh(space.size_bytes(shape, value.dtype), partial(described, value, shape))

    staying: list[dict[int, Block]] = [{} for _ in launchers]
    for value in prepared.uses.keys() - moving(repeat):
        for k, position in uses(value):
            staying[k][position] = prepared.memory[value].block
    asked, only = repeat.owner.asked, repeat.only
    return Bindable(
        None if len(launchers) < len(prepared.commands) else tuple(zip(launchers, staying, strict=True)),
        tuple(
            (np.dtype(value.dtype), shape, value in asked, uses(value), only.get(k))
            for k, (value, shape) in enumerate(zip(program.inputs, shapes, strict=True))
        ),
        tuple(uses(value, *guests[value]) for value in made),
        tuple(made.index(value) for value in program.outputs),
        space,
        new_output,
        new_stage,
        partial(prepared.queue_at, (*(value for value in program.inputs if value in asked), *made)),
        (list(prepared.slots.values()), repeat.owner.constants),
    )


LAYOUTS = {"one": 0, "list": 1, "tuple": 2, "none": 3}
DICT = 4


def laid(layout: str | tuple[str, ...]) -> tuple[int, tuple[str, ...]]:
    """A layout of results as calls/calling.h has it: its number, and the keys of a dict."""
    return (DICT, layout) if isinstance(layout, tuple) else (LAYOUTS[layout], ())
