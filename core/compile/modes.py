"""Modes: how much rewriting a function gets.  Which rules a mode's stages hold is for stages.py to say."""

from __future__ import annotations

from core.dataclass import dataclass, replace
from core.errors import ArgumentError, did_you_mean

STAGES = ("canonicalize", "stabilize", "specialize", "fuse")


@dataclass(frozen=True)
class Mode:
    """Which stages run, in the order of STAGES, and which rules are left out of them.

    debug  whether the function runs node by node, each held to what its op says of itself: see core/compile/debug.py
    """

    stages: tuple[str, ...]
    without: tuple[str, ...] = ()
    debug: bool = False

    def excluding(self, *rules: str) -> Mode:
        """The same without the rules of these names."""
        return replace(self, without=(*self.without, *rules))


FAST_RUN = Mode(STAGES)
FAST_COMPILE = Mode(("canonicalize",))
NO_REWRITES = Mode(())
DEBUG = replace(FAST_RUN, debug=True)
_NAMED = {"fast_run": FAST_RUN, "fast_compile": FAST_COMPILE, "none": NO_REWRITES, "debug": DEBUG}


def mode_of(mode: Mode | str | None) -> Mode:
    """A mode, by itself or by name in either case; None is "fast_run".  Errors: ArgumentError."""
    if mode is None:
        return FAST_RUN
    if isinstance(mode, Mode):
        for stage in mode.stages:
            if stage not in FAST_RUN.stages:
                near = did_you_mean(stage, FAST_RUN.stages)
                raise ArgumentError(f"a mode's stages are among {', '.join(FAST_RUN.stages)}, got {stage!r}.{near}")
        return mode
    found = _NAMED.get(mode.lower()) if isinstance(mode, str) else None
    if found is None:
        near = did_you_mean(str(mode).lower(), _NAMED)
        raise ArgumentError(f"mode= needs a Mode or one of {', '.join(map(repr, _NAMED))}, got {mode!r}.{near}")
    return found
