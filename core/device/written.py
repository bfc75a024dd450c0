"""Kernels that were written by hand, in the words of core.ir.clike.cwritten, on any device: built once for each.

What a pack ships for devices beside its C: a routine (``core.device.contract.Routine``) launches these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from core.dataclass import dataclass
from core.device.contract import Block, Grid, Source
from core.ir.clike.cwritten import in_words_of
from core.ir.nodes import Kernel

_PREPARED = 64  # launches of one text on one device, each with its numbers, that stay prepared


@dataclass(frozen=True)
class Written:
    """Kernels of one text.

    kernels  for each name, how many of its pointers it writes to: they are its first parameters, then come those that
             it reads, then int64 numbers
    words    what the text calls things that differ from one use to the next: (("REAL", "float"),)
    """

    name: str
    text: str
    kernels: tuple[tuple[str, int], ...]
    words: tuple[tuple[str, str], ...] = ()

    def launch(self, device: Any, kernel: str, blocks: Sequence[Block], numbers: Sequence[int], grid: Grid) -> None:
        """Queue a kernel with these arguments.  Blocks are whole ones.  Errors: CompileError, DeviceError."""
        on_device = _loaded.setdefault(device, {})
        if self not in on_device:
            on_device[self] = _Loaded(device, self)
        on_device[self].launch(kernel, blocks, tuple(numbers), grid)


class _Loaded:
    """The kernels of a text on one device."""

    def __init__(self, device: Any, written: Written):
        facts = device.facts
        text = in_words_of(facts.dialect, written.text, dict(written.words), facts.target.has_groups)
        kernels = tuple((Kernel(name, [], [*range(n)], [], written.name), ()) for name, n in written.kernels)
        self._device = device
        self._code = device.build(Source(written.name, text, kernels))
        self._launchers: dict[tuple[Any, ...], Any] = {}

    def launch(self, kernel: str, blocks: Sequence[Block], numbers: tuple[int, ...], grid: Grid) -> None:
        key = (kernel, numbers, grid)
        launcher = self._launchers.get(key)
        if launcher is None:
            while len(self._launchers) >= _PREPARED:
                del self._launchers[next(iter(self._launchers))]
            made = self._device.launcher(self._code, kernel, [*blocks, *numbers], grid)
            launcher = self._launchers[key] = made
        else:
            for position, block in enumerate(blocks):
                launcher.set(position, block)
        launcher()


_loaded: WeakKeyDictionary[Any, dict[Written, _Loaded]] = WeakKeyDictionary()


def words_for(device: Any, dtype: str) -> Mapping[str, str]:
    """REAL: how elements of a dtype, or the parts of complex ones, lie in a device's memory."""
    return {"REAL": device.facts.dialect.types[device.facts.stored.get(dtype, dtype)]}
