"""What all tests share: every program that one compiles is verified, golden texts can be written anew, workers end."""

import gc

from core.testing.verified import every_program_is_verified  # noqa: F401 - a fixture


def pytest_addoption(parser):
    parser.addoption("--update-golden", action="store_true", help="write the golden texts anew")


def pytest_sessionfinish():
    """What thousands of tests leave is not collected one by one: pytest-xdist interrupts a worker that takes 5 s."""
    gc.freeze()
