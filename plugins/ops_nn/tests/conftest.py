"""Every program that these tests compile is held to the rules of the IR."""

import pytest

import core.ir.build


@pytest.fixture(scope="session", autouse=True)
def every_program_is_verified():
    core.ir.build.VERIFY = True
    yield
    core.ir.build.VERIFY = False
