"""What schedules for devices a program needs: of a group of items, of a scatter, of loops that an op writes itself."""

from __future__ import annotations

from core.dataclass import dataclass
from core.ir.definitions import Scattering, Value
from core.ir.expr import Expr
from core.ir.nodes import Kernel, Statement
from core.ir.passes.groups import Group
from core.ir.target import Target
from core.ir.work.group import WorkScheduler
from core.ir.work.launch import Work
from core.ir.work.order import scatter_launches
from core.ir.work.own import own_launches


@dataclass(frozen=True)
class WorkSchedules:
    """Each kernel has a ``Work`` of its own; see there."""

    target: Target
    extents: dict[Expr, Expr]
    shapes: dict[Value, tuple[Expr, ...]]
    kept: set[Value]

    def _work(self) -> Work:
        return Work(self.target, self.extents, self.shapes, self.kept)

    def group(self, group: Group, name: str, comment: str) -> Kernel:
        return WorkScheduler(group, self._work()).kernel(name, comment)

    def scatter(self, value: Value, definition: Scattering, name: str, comment: str) -> Kernel:
        return scatter_launches(self._work(), value, definition, name, comment)

    def own(self, body: list[Statement]) -> list[Statement]:
        return own_launches(self._work(), body)
