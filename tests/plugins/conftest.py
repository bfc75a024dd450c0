"""Distributions made for a test, and plugins registered by hand."""

import pytest

import core.plugins
from core.testing.sites import Site


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path / "site")


@pytest.fixture
def registered():
    """Register plugins by hand, in this process; all of them are forgotten after the test."""
    core.plugins.reset()
    yield core.plugins.register
    core.plugins.reset()
