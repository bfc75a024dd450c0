"""What ``import core`` gives, and that it stays light."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import core


def test_every_public_name_is_there():
    for name in core.__all__:
        assert getattr(core, name) is not None
        assert name in dir(core)


def test_type_checkers_see_the_names_that_python_sees():
    tree = ast.parse(Path(core.__file__).read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    said = {alias.asname: f"{line.module}" for line in block.body for alias in line.names} | {"Variable": "core.graph"}
    assert set(said) == set(core.__all__) - {"__version__"}
    assert {name: said[name] for name in core._HOME_OF} == core._HOME_OF


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'core' has no attribute 'functoin'"):
        core.functoin


@pytest.mark.parametrize("wrong, meant", [("core.functoin", "function"), ("core.tensor.sigmod", "sigmoid")])
def test_python_is_told_where_to_look_for_what_was_meant(wrong, meant):
    module, name = wrong.rsplit(".", 1)
    with pytest.raises(AttributeError) as caught:
        getattr(import_module(module), name)
    assert caught.value.name == name and meant in dir(caught.value.obj)  # what Python compares when it prints the error


def test_import_core_loads_no_plugin_no_tensor_and_nothing_heavy():
    program = (
        "import sys, core; heavy = ('scipy', 'cffi', 'pluggy', 'core.tensor', 'core.compile', 'plugin_'); "
        "print([name for name in sys.modules if name.startswith(heavy)])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_making_and_running_a_function_loads_no_plugin_that_it_does_not_use():
    program = (
        "import sys, core, core.tensor as ct; x = ct.vector('x'); x.sum().eval({x: [1.0]}, backend='interpreter'); "
        "print([name for name in sys.modules if name.startswith(('scipy', 'cffi', 'pycuda', 'pyopencl'))])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
