"""Whether a product replaces what lies in its place or is added to it, and times what."""

from __future__ import annotations

from dataclasses import dataclass

from core.device.contract import Strided


@dataclass(frozen=True)
class Added:
    """C = A B, or where it ``adds``, C += alpha factor A B.  ``factor``: one element on the device; None: 1."""

    alpha: float = 1.0
    adds: bool = False
    factor: Strided | None = None


ONCE = Added()
