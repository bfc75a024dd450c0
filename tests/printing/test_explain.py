"""explain: everything that a compile did."""

import numpy as np
import pytest

import core
import core.tensor as ct
from core.errors import ArgumentError
from core.testing import available_backends


def compiled(backend="interpreter"):
    x, w = ct.vector("x"), core.shared(np.zeros(2), name="w")
    return core.function([x], ct.log(1 + x) * 1, updates={w: w + x}, name="step", backend=backend)


def test_each_part_has_its_section():
    text = str(core.explain(compiled()))
    for title in ("graph as written", "rewrites", "graph as rewritten", "times", "backend", "plugins"):
        assert f"== {title} ==" in text
    assert text.startswith("<function 'step' (x), backend interpreter>")


def test_the_graph_is_shown_before_and_after():
    parts = core.explain(compiled())
    assert "log [id" in parts.before and "multiply [id" in parts.before
    assert "log1p [id" in parts.after and "multiply [id" not in parts.after
    assert "new w: add" in parts.after


def test_each_rule_that_fired_is_shown_with_plugin_count_and_line():
    text = str(core.explain(compiled()).rewrites)
    assert "log_of_one_plus_is_log1p (plugin core) x1" in text
    assert "test_explain.py" in text


def test_times_backend_and_plugins_are_shown():
    parts = core.explain(compiled())
    assert set(parts.times) == {"rewrite", "lower", "compile"}
    assert parts.backend == "interpreter (core)" or parts.backend.startswith("interpreter (core ")
    assert "core" in parts.plugins


@pytest.mark.parametrize("backend", available_backends())
def test_kernels_and_sources_are_shown_where_a_backend_compiles(backend):
    parts = core.explain(compiled(backend))
    compiles = backend != "interpreter"
    assert ("kernel" in parts.program) == bool(parts.sources) == compiles
    assert ("== program ==" in str(parts)) == ("== source " in str(parts)) == compiles


def test_what_is_no_compiled_function_is_refused():
    with pytest.raises(ArgumentError, match="explain needs a compiled function, got 3 of type int; compile it"):
        core.explain(3)
