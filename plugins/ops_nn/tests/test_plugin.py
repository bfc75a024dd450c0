"""What the pack says of itself: its namespace and names; that pooling fuses."""

import inspect
from pathlib import Path

import pytest

import core
import core.tensor as ct
import plugin_ops_nn as nn
from core.testing import available_backends, check_plugin
from core.testing.pages import needs_of, run_page
from plugin_ops_nn import names


def test_the_plugin_keeps_its_promises():
    check_plugin("plugin-ops-nn")


def test_the_pack_is_a_namespace_of_core():
    assert core.ops.nn.conv2d is nn.conv2d
    assert set(names.__all__) <= set(dir(nn))
    with pytest.raises(AttributeError, match="has no attribute 'conv2'"):
        nn.conv2


@pytest.mark.parametrize("name", names.__all__)
def test_every_name_is_there_and_documented(name):
    assert inspect.getdoc(getattr(nn, name))


@pytest.mark.skipif("c" not in available_backends(), reason="needs plugin-backend-c")
def test_pooling_is_part_of_the_loops_around_it():
    x = ct.tensor("x", dtype="float64", ndim=4)
    f = core.function([x], ct.exp(nn.avg_pool2d(ct.sin(x), 2)).sum(), backend="c")
    assert len(f.program.steps) == 1


@pytest.mark.parametrize("page", ["plugins/ops_nn/README.md", "docs/neural-networks.md"])
def test_what_the_pages_show_is_true(page, tmp_path):
    for name in needs_of(Path(__file__).parents[3] / page):
        pytest.importorskip(name)
    assert run_page(Path(__file__).parents[3] / page, tmp_path)
