"""What the pack says of itself: its namespace and names; that its pages are true."""

import inspect
from pathlib import Path

import pytest

import core
import plugin_ops_fft as fft
from core.testing import check_plugin
from core.testing.pages import needs_of, run_page
from plugin_ops_fft import names


def test_the_plugin_keeps_its_promises():
    check_plugin("plugin-ops-fft")


def test_the_pack_is_a_namespace_of_core():
    assert core.ops.fft.rfft is fft.rfft
    assert set(names.__all__) <= set(dir(fft))
    with pytest.raises(AttributeError, match="has no attribute 'fft3'"):
        fft.fft3


@pytest.mark.parametrize("name", names.__all__)
def test_every_name_is_there_and_documented(name):
    assert inspect.getdoc(getattr(fft, name))


@pytest.mark.parametrize("page", ["plugins/ops_fft/README.md", "docs/fft.md"])
def test_what_the_pages_show_is_true(page, tmp_path):
    for name in needs_of(Path(__file__).parents[3] / page):
        pytest.importorskip(name)
    assert run_page(Path(__file__).parents[3] / page, tmp_path)
