"""core.ops: namespaces of op packs."""

import math

import pytest

from core import ops
from core.errors import OpPackError, PluginConflict
from core.markers import hookimpl
from core.records import OpPack


class Pack:
    @hookimpl
    def ops(self):
        return [OpPack("numbers", "math")]


def test_a_namespace_is_what_its_record_names(registered):
    registered(Pack())
    assert ops.numbers is math
    assert {"numbers", "tensor"} <= set(dir(ops))


def test_cores_own_tensor_family_is_a_namespace_like_any_other(registered):
    import core.tensor

    assert ops.tensor is core.tensor


def test_an_unknown_namespace_is_refused_with_a_guess_and_what_to_install(registered):
    registered(Pack())
    with pytest.raises(OpPackError, match=r"no op pack 'numbesr'; there are .*numbers, .*Did you mean 'numbers'\?"):
        ops.numbesr
    with pytest.raises(OpPackError, match="If it is one of ours: pip install plugin-ops-linlag"):
        ops.linlag


def test_an_unknown_namespace_is_an_attribute_that_is_not_there(registered):
    assert not hasattr(ops, "no_such_namespace")
    assert not hasattr(ops, "__wrapped__")


def test_a_namespace_of_two_plugins_is_a_conflict_when_it_is_used(registered):
    registered(Pack(), name="one")
    registered(Pack(), name="two")
    assert ops.tensor
    with pytest.raises(PluginConflict, match="the namespace numbers is claimed by one and two; block one with"):
        ops.numbers
