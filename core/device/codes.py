"""The code of a program, built with 32-bit positions; and with 64-bit ones once lengths are met that need them."""

from __future__ import annotations

from typing import Any

from core.dataclass import replace
from core.device.contract import Source
from core.device.lengths import Lengths
from core.device.space import Space
from core.ir.expr import Expr
from core.ir.nodes import Kernel
from core.ir.work import positions


class Codes:
    """``short`` is what the device built; a language without two kinds of positions has that alone.

    Errors  CompileError
    """

    def __init__(self, source: Source, space: Space):
        work = space.facts.dialect.work
        assert work is not None
        self._source, self._space, self._switch = source, space, work.long_positions
        self._counts: dict[str, list[Expr]] = {}
        self._long: Any = None
        self.short = space.device.build(source)

    def of(self, kernel: Kernel, lengths: Lengths) -> Any:
        """The code to launch a kernel from with these lengths."""
        if not self._switch:
            return self.short
        if kernel.name not in self._counts:
            self._counts[kernel.name] = positions.counts(kernel)
        if all(lengths(n) < positions.FEW for n in self._counts[kernel.name]):
            return self.short
        if self._long is None:
            self._long = self._space.device.build(replace(self._source, text=f"{self._switch}\n{self._source.text}"))
        return self._long
