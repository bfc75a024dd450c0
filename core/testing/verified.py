"""A fixture for pytest by which every program that a test compiles is verified.  It asks for no backend."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

import core.ir.build


@pytest.fixture(scope="session", autouse=True)
def every_program_is_verified() -> Iterator[None]:
    """core.ir.check.verify looks at each program that a test compiles, after every pass."""
    before, core.ir.build.VERIFY = core.ir.build.VERIFY, True
    os.environ.setdefault("CORE_RECALL", "0")  # nor is one left out because an earlier run has compiled it
    yield
    core.ir.build.VERIFY = before
