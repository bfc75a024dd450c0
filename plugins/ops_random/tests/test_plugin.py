"""What the pack says of itself: its namespace and names; that draws fuse."""

import inspect
from pathlib import Path

import pytest

import core
import core.tensor as ct
import plugin_ops_random as random
from core.testing import available_backends, check_plugin
from core.testing.pages import run_page
from plugin_ops_random import names


def test_the_plugin_keeps_its_promises():
    check_plugin("plugin-ops-random")


def test_the_pack_is_a_namespace_of_core():
    assert core.ops.random.normal is random.normal
    assert set(names.__all__) <= set(dir(random))
    with pytest.raises(AttributeError, match="has no attribute 'norml'"):
        random.norml


@pytest.mark.parametrize("name", names.__all__)
def test_every_name_is_there_and_documented(name):
    assert inspect.getdoc(getattr(random, name))


@pytest.mark.skipif("c" not in available_backends(), reason="needs plugin-backend-c")
def test_draws_are_made_where_they_are_used():
    x = ct.dvector("x")
    noisy = x + 0.1 * random.normal(random.key(0), size=x.shape)
    f = core.function([x], (noisy**2).sum(), backend="c")
    assert len(f.program.steps) == 1


@pytest.mark.parametrize("page", ["plugins/ops_random/README.md", "docs/random.md"])
def test_what_the_pages_show_is_true(page, tmp_path):
    assert run_page(Path(__file__).parents[3] / page, tmp_path)
