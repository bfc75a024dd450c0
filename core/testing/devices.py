"""A device made of NumPy, for tests of what runs on devices: kernels are run by the slow evaluator of the loop IR.

Commands run when the queue is waited for, not before, so that whoever forgets to wait reads what was there before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import RLock
from typing import Any

import numpy as np

from core.dataclass import replace
from core.device.contract import Block, Facts, Grid, Source
from core.device.opened import Opened
from core.device.space import Space
from core.errors import DeviceMemoryError
from core.ir.check.oracle import run_kernel
from core.ir.clike.cfamily import Dialect
from core.ir.clike.cwork import WorkItems
from core.ir.expr import const
from core.ir.nodes import Kernel
from core.ir.target import Target
from core.ir.work.own import renamed

_GARBAGE = 0xFF  # what fresh memory is filled with: NaN, -1 and True, which nobody takes for zeros
WORDS = WorkItems(
    "item", "items", "row", "rows", "lane", "lanes", "barrier;", "local ", "local ", arrive="last({at}, {count})"
)


class NumpyDevice:
    """A device of ``memory_bytes``; ``queued`` are commands that wait, ``log`` what was done so far, in words.

    has_addresses  whether its memory has; else parts of it are known by the whole and where they begin
    """

    def __init__(self, target: Target, memory_bytes: int = 1 << 30, has_addresses: bool = True):
        self.facts = Facts(
            "numpy",
            target,
            Dialect("numpy", work=replace(WORDS, has_addresses=has_addresses), runs_programs=True),
            memory_bytes=memory_bytes,
            largest_bytes=memory_bytes,
            boundary_bytes=16 if has_addresses else 1,
        )
        self.lock = RLock()
        self.queued: list[Callable[[], None]] = []
        self.log: list[str] = []
        self.held_bytes = 0

    def build(self, source: Source) -> dict[str, tuple[Kernel, tuple]]:
        self.log.append(f"build {source.name}")
        return {kernel.name: (kernel, lengths) for kernel, lengths in source.kernels}

    def launcher(self, code: Any, name: str, arguments: Sequence[Block | int], grid: Grid) -> NumpyLauncher:
        return NumpyLauncher(self, *code[name], list(arguments))

    def allocate(self, size_bytes: int) -> Block:
        if self.held_bytes + size_bytes > self.facts.memory_bytes:
            raise DeviceMemoryError(f"{self.facts.name} has no {size_bytes} bytes left")
        self.held_bytes += size_bytes
        self.log.append(f"allocate {size_bytes}")
        return Block(np.full(size_bytes, _GARBAGE, "uint8"), size_bytes)

    def part(self, block: Block, offset_bytes: int, size_bytes: int) -> Block:
        assert self.facts.dialect.work is not None
        if not self.facts.dialect.work.has_addresses:
            return block.named_part(offset_bytes, size_bytes)
        return Block(block.pointer[offset_bytes : offset_bytes + size_bytes], size_bytes)

    def release(self, block: Block) -> None:
        self.held_bytes -= block.size_bytes
        self.log.append(f"release {block.size_bytes}")

    def upload(self, block: Block, array: np.ndarray, keep: bool) -> None:
        source = array if keep else array.copy()
        self._queue("upload", lambda: _bytes(block, source.nbytes).__setitem__(slice(None), _flat(source)))

    def download(self, block: Block, array: np.ndarray) -> None:
        self._queue("download", lambda: _flat(array).__setitem__(slice(None), _bytes(block, array.nbytes)))

    def copy(self, source: Block, target: Block, size_bytes: int) -> None:
        self._queue("copy", lambda: _bytes(target, size_bytes).__setitem__(slice(None), _bytes(source, size_bytes)))

    def wrap(self, array: np.ndarray) -> Block | None:
        return None

    def synchronize(self) -> None:
        queued, self.queued = self.queued, []
        for command in queued:
            command()
        self.log.append("synchronize")

    def _queue(self, what: str, command: Callable[[], None]) -> None:
        self.log.append(what)
        self.queued.append(command)


class NumpyLauncher:
    """A kernel with its arguments: blocks of what it writes and reads, then lengths."""

    def __init__(self, device: NumpyDevice, kernel: Kernel, lengths: Sequence[Any], arguments: list[Any]):
        self._device, self._kernel = device, kernel
        self._values = [*kernel.writes, *kernel.reads]
        self._blocks = arguments[: len(self._values)]
        known = {n: const(value) for n, value in zip(lengths, arguments[len(self._values) :], strict=True)}
        self._body = renamed(kernel.body, known)

    def set(self, position: int, block: Block) -> None:
        assert block.offset_bytes == 0 or self._kernel.in_parts
        self._blocks[position] = block

    def __call__(self) -> None:
        blocks = list(self._blocks)
        self._device._queue(f"run {self._kernel.name}", lambda: self._run(blocks))

    def _run(self, blocks: Sequence[Block]) -> None:
        arrays = {
            value: _bytes(
                block, block.size_bytes // np.dtype(value.dtype).itemsize * np.dtype(value.dtype).itemsize
            ).view(value.dtype)
            for value, block in zip(self._values, blocks, strict=True)
        }
        if not any(arrays[value][0] for value in self._kernel.unless):
            run_kernel(replace(self._kernel, body=self._body), arrays)


def _bytes(block: Block, count: int) -> np.ndarray:
    return block.pointer[block.offset_bytes : block.offset_bytes + count]


def _flat(array: np.ndarray) -> np.ndarray:
    return array.reshape(-1).view("uint8")


def numpy_backend(target: Target = Target(units=3, lanes=1, piece=2), memory_bytes: int = 1 << 30) -> Opened:  # noqa: B008
    """What ``core.function(..., backend=...)`` takes to run on such a device; its ``space`` leads to it."""
    return Opened("numpy", Space(NumpyDevice(target, memory_bytes)))
