"""The cell of a shared variable, a list that holds its value; a call may take it out while it works on it in place."""

from __future__ import annotations

import os
import time
from typing import Any

from core.errors import BackendError

_PAUSE_S = 20e-6


class Taken:
    """Stands in a cell for a value that a call of this process is at work on; it comes back when the call is done."""

    def __init__(self) -> None:
        self.process = os.getpid()


def value_in(cell: list[Any]) -> Any:
    """The value in a cell, once no call is at work on it.

    Errors: BackendError for one that another thread had at work when this process was forked: it never comes back.
    """
    while isinstance(value := cell[0], Taken):
        if value.process != os.getpid():
            raise BackendError(
                "a shared variable was being updated by another thread when this process was forked, and its value is "
                "lost here; give it a value with set_value"
            )
        time.sleep(_PAUSE_S)
    return value
