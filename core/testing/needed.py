"""Tests that need a device: left out where there is none, and failing where somebody asked for it."""

from __future__ import annotations

import os

from core import backend as backends

VARIABLE = "CORE_REQUIRE_DEVICE"


def required() -> list[str]:
    """The backends that the variable CORE_REQUIRE_DEVICE names, several with commas."""
    return [name.strip() for name in os.environ.get(VARIABLE, "").split(",") if name.strip()]


def needs(name: str, why_not: str = "") -> None:
    """For a test of pytest: skip it where the backend ``name`` cannot be used, and say what is missing; fail it where
    CORE_REQUIRE_DEVICE names that backend.

    why_not  what else is missing for this test, in the words of a probe; "": nothing
    """
    import pytest

    found = backends.probe(name)
    missing = str(found) if not found.works else why_not
    if not missing:
        return
    if name in required():
        pytest.fail(f"{VARIABLE} needs backend {name!r}: {missing}", pytrace=False)
    pytest.skip(f"needs backend {name!r}: {missing}")
