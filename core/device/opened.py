"""A backend that was opened on one device: what lowering and building ask, and ``compile``."""

from __future__ import annotations

from typing import Any

from core.device.program import DeviceProgram
from core.device.space import Space
from core.ir.program import Program


class Opened:
    """What a driver's ``open(number)`` returns: a driver of the one device behind ``space``."""

    def __init__(self, name: str, space: Space):
        self.name, self.space = name, space
        self.dialect_table = space.facts.dialect
        self.dialect, self.target = space.facts.dialect.name, space.facts.target

    def compile(self, program: Program, device: Any = None) -> DeviceProgram:
        """Errors: CompileError when the device's compiler refuses the text; DeviceMemoryError for the constants."""
        return DeviceProgram(program, self.space)
