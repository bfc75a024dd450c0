"""Commands that come again and again, recorded and replayed as one, on devices that can: CUDA graphs."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

_RECORDINGS = 8  # of one stretch: what an update replaces lies in two places by turns, several such in a few more


class Replays:
    """Recordings of one list of commands, by where the values lie that may move.

    The first time that they lie somewhere the commands are queued as they are, the second time they are recorded.
    """

    def __init__(self, device: Any):
        self._device = device
        self._found: dict[Hashable, Callable[[], None] | None] = {}  # None: met once

    def queue(self, where: Hashable, commands: Sequence[Callable[[], None]]) -> Callable[[], None] | None:
        """Queue the commands; what queues them there again, if that was recorded.

        Errors  those of the commands; what was recorded until then is given up
        """
        replay = self._found.get(where)
        if replay is None and where in self._found:
            replay = self._found[where] = self._recorded(commands)
        if replay is not None:
            replay()
            return replay
        for command in commands:
            command()
        while len(self._found) >= _RECORDINGS:
            del self._found[next(iter(self._found))]
        self._found[where] = None
        return None

    def _recorded(self, commands: Sequence[Callable[[], None]]) -> Callable[[], None]:
        self._device.begin_recording()
        try:
            for command in commands:
                command()
        except BaseException:
            self._device.abandon_recording()
            raise
        return self._device.end_recording()


def can_replay(device: Any) -> bool:
    """Whether a device records, and is asked to."""
    return bool(getattr(device, "records", False))
