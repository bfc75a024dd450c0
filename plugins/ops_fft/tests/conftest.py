"""Every program that these tests compile is held to the rules of the IR; what is left to Python is not said."""

import os

import pytest

import core.ir.build


@pytest.fixture(scope="session", autouse=True)
def every_program_is_verified():
    core.ir.build.VERIFY = True
    os.environ.setdefault("CORE_RECALL", "0")  # nor is one left out because an earlier run has compiled it
    yield
    core.ir.build.VERIFY = False


def pytest_collection_modifyitems(items):
    for item in items:
        item.add_marker(pytest.mark.filterwarnings("ignore:.*Python computes it, which is slow"))
