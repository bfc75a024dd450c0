"""Scatter: what an op's ``lower`` returns when it writes to computed places, which no view can say."""

from __future__ import annotations

from collections.abc import Callable

from core.dataclass import dataclass
from core.ir.codes import Combine
from core.ir.expr import Expr
from core.ir.view import View


@dataclass(frozen=True, eq=False)
class Scatter:
    """``out = base``; then for all ``k`` below ``extents``, in row-major order, ``out[index(*k)]`` takes ``value(*k)``.

    combine  None: it is set to it, so the last of several writers wins.  ADD: it grows by it.
    ``index`` gives one entry per axis of ``base``, in range or put through ``wrap_index``.
    """

    dtype: str
    shape: tuple[Expr, ...]
    base: View
    extents: tuple[Expr, ...]
    index: Callable[..., tuple[Expr, ...]]
    value: Callable[..., Expr]
    combine: Combine | None

    @property
    def ndim(self) -> int:
        return len(self.shape)
