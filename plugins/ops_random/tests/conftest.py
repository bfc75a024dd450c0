"""Every program that these tests compile is held to the rules of the IR."""

import os

import pytest

import core.ir.build


@pytest.fixture(scope="session", autouse=True)
def every_program_is_verified():
    core.ir.build.VERIFY = True
    os.environ.setdefault("CORE_RECALL", "0")  # nor is one left out because an earlier run has compiled it
    yield
    core.ir.build.VERIFY = False
