"""What all tests share: every program that a test compiles is verified, and golden texts can be written anew."""

import os

import pytest

import core.ir.build


def pytest_addoption(parser):
    parser.addoption("--update-golden", action="store_true", help="write the golden texts anew")


@pytest.fixture(scope="session", autouse=True)
def every_program_is_verified():
    core.ir.build.VERIFY = True
    os.environ.setdefault("CORE_RECALL", "0")  # nor is one left out because an earlier run has compiled it
    yield
    core.ir.build.VERIFY = False
