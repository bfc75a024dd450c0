"""The object that is called: it hands a call straight to what it holds, and is else like any other of its class."""

import copy
import gc
import pickle
import weakref

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import core
import core.tensor as ct
from core.compile.function import Function
from core.options import config
from plugin_backend_c import compiler, launcher

v, V = ct.dvector("v"), np.arange(3.0)


class Held:
    """What a backend's kind of function needs: a slot for what is called."""

    __slots__ = ("__call__", "__weakref__", "others")


def callable_type(base):
    return launcher.module(compiler.find()[0]).callable_type(base)


def test_a_function_is_called_without_a_detour_and_is_a_function_like_any_other():
    f = core.function([v], v + 1, backend="c")
    with config.override({"c.launcher": False}):
        plain = core.function([v], v + 1, backend="c")
    assert type(f) is not Function and isinstance(f, Function) and type(plain) is Function
    assert (type(f).__name__, type(f).__module__) == ("Function", "core.compile.function")
    for g in (f, copy.copy(f), pickle.loads(pickle.dumps(f))):
        assert type(g) is type(f)
        assert_array_equal(g(V), V + 1)
        assert_array_equal(g(v=V), V + 1)


def test_a_call_hands_on_arguments_by_position_and_by_name():
    held = callable_type(Held)()
    held.__call__ = lambda *args, **named: (args, named)
    assert held() == ((), {}) and held(1, 2) == ((1, 2), {}) and held(*[1], a=2, b=3) == ((1,), {"a": 2, "b": 3})


def test_what_is_called_may_be_replaced_and_removed_even_while_it_runs():
    held = callable_type(Held)()

    def once():
        held.__call__ = lambda: "after"
        return "before"

    held.__call__ = once
    del once
    assert [held(), held()] == ["before", "after"]
    del held.__call__
    with pytest.raises(AttributeError, match="__call__"):
        held()


def test_a_callable_that_holds_itself_is_collected():
    held = callable_type(Held)()
    held.__call__, held.others = int, [held]
    gone = weakref.ref(held)
    del held
    gc.collect()
    assert gone() is None


def test_only_a_class_with_a_slot_for_what_is_called_has_callables():
    class Plain:
        def __call__(self):
            pass

    with pytest.raises(TypeError, match="__call__ of Plain must be a slot"):
        callable_type(Plain)
    with pytest.raises(TypeError, match="a class is needed, got 3"):
        callable_type(3)
