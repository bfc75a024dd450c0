"""Programs that an earlier process has compiled: found by their graphs, and run without rewriting or lowering them."""

import re

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import core
import core.tensor as ct
from core import codebase, plugins
from core.errors import CoreWarning, IndexOutOfBounds, ShapeError
from core.options import config
from plugin_backend_c import kept, launcher
from plugin_backend_c.compiler import find

pytestmark = pytest.mark.skipif(launcher.module(find()[0]) is None, reason="programs are kept for the launcher")
V = np.linspace(-2, 2, 5)


@pytest.fixture(autouse=True)
def recall(cache, monkeypatch):
    """An empty cache, and nothing edited: what changes while tests run is not theirs."""
    monkeypatch.setattr(codebase, "BEGUN_S", float("inf"))
    with config.override(recall=True):
        yield cache


def made(write, **more):
    """A function of variables that are new each time, as in another process."""
    inputs, outputs = write()
    return core.function(inputs, outputs, backend="c", **more)


def is_recalled(f):
    return bool(f._run._kept)


def twice(write, **more):
    """The same function compiled, and then recalled."""
    first, again = made(write, **more), made(write, **more)
    assert not is_recalled(first) and is_recalled(again)
    return first, again


def formula():
    x, y = ct.dvector("x"), ct.dvector("y")
    return [x, y], [ct.exp(x) * y + 2, (x * y).sum()]


def test_an_equal_graph_is_not_compiled_again():
    first, again = twice(formula)
    for arguments in ((V, V), (V[::-1], V), (list(V), V), (np.ones(1), np.ones(1))):
        for one, other in zip(first(*arguments), again(*arguments), strict=True):
            assert_array_equal(one, other, strict=True)
    assert is_recalled(again)


def hidden_layer():
    x, w, v = (ct.dmatrix(name) for name in "xwv")
    return [x, w, v], (ct.tanh(x @ w) @ v).sum(axis=0)


TALL = np.linspace(-1, 1, 40000 * 20).reshape(40000, 20), np.ones((20, 10)) / 7, np.ones((10, 3)) / 3


def goes_by_blocks(f):
    return any("core_blocks core_b" in text for text in f._run._sources.values())


def test_what_tall_matrices_go_through_in_blocks_is_recalled_too(recall):
    first = made(hidden_layer)
    want = first(*TALL), first(TALL[0][:5], *TALL[1:])
    assert goes_by_blocks(first)
    again = made(hidden_layer)
    for _ in range(2):
        assert_array_equal(again(*TALL), want[0])
        assert_array_equal(again(TALL[0][:5], *TALL[1:]), want[1])
    assert len(again._run._kept) == 2 and not again._run._sources


def test_a_tall_matrix_that_does_not_fit_is_told_from_one_that_does(recall):
    made(hidden_layer)(*TALL)
    again = made(hidden_layer)
    assert_array_equal(again(*TALL), made(hidden_layer)(*TALL))
    with pytest.raises(ShapeError, match="needs equal lengths"):
        again(TALL[0], TALL[1][:7], TALL[2])
    assert not is_recalled(again)
    assert_array_equal(again(*TALL), made(hidden_layer)(*TALL))


def test_where_only_the_common_program_was_left_tall_matrices_get_theirs(recall):
    first = made(hidden_layer)
    assert not list(recall.rglob("*-tall.kept"))
    want = first(*TALL)
    (left,) = recall.rglob("*-tall.kept")
    left.unlink()
    again = made(hidden_layer)
    assert_array_equal(again(*TALL), want)
    assert goes_by_blocks(again) and left.exists()


USE = """
import sys
import numpy as np, core, core.tensor as ct
x, {name} = ct.dvector("x"), ct.dmatrix("{name}")
f = core.function([x, {name}], ct.tanh({name} @ x).sum(), backend="c")
print(f(np.ones(3), np.ones((2, 3))), "core.compile.making" in sys.modules, "core.ir.build" in sys.modules)
"""


FIRST = """
import sys
import numpy as np
before = set(sys.modules)
import core, core.tensor as ct
x = ct.dvector("x")
core.function([x], x + 1, backend="c")(np.ones(3))
print(*sorted(set(sys.modules) - before))
"""
FOR_FEW = (  # what only some graphs, or some users, need
    *("core.scanning", "core.ifelse", "core.gradient", "core.printing", "core.testing", "core.cli"),
    *("core.ir.check", "core.ir.parts.lowered", "core.ir.halves", "core.ir.work", "core.ir.passes.pulled"),
    *("core.ir.passes.row_blocks", "core.ir.row_blocks", "core.ir.builder", "core.ir.cpu.computed_again"),
    *(f"core.ir.clike.{part}" for part in ("clanes", "csimd", "cvector", "cwork", "cblocks", "cloops", "clibrary")),
    *("core.compile.compilation", "core.compile.debug", "core.compile.interpreter", "core.tensor.specials"),
    *("plugin_backend_c.python_op", "plugin_backend_c.products", "plugin_backend_c.blas"),
    *("cffi", "scipy", "importlib.metadata", "string"),
)
FOR_COMPILING = (
    *("core.rewriting", "core.tensor.rules", "core.compile.making", "core.compile.interpreter"),
    *("core.compile.lower", "core.compile.means", "core.compile.values"),
    *("core.ir.build", "core.ir.definitions", "core.ir.program", "core.ir.nodes"),
    *("core.ir.passes", "core.ir.cpu", "core.ir.clike"),
    *("plugin_backend_c.prepared", "plugin_backend_c.running", "plugin_backend_c.dialect"),
    *("plugin_backend_c.executable", "subprocess", "tempfile", "shutil", "select", "signal"),
)
MOST_MODULES = 190, 95  # of ours, for a first function, and for one that is recalled


def test_a_first_function_imports_what_it_needs_and_a_recalled_one_less(python):
    how = {"CORE_RECALL": "1", "CORE_C_LAUNCHER": "1"}
    first, recalled = (python(FIRST, **how).split() for _ in range(2))
    for loaded, most, others in zip((first, recalled), MOST_MODULES, (FOR_FEW, FOR_FEW + FOR_COMPILING), strict=True):
        assert [name for name in loaded if any(f"{name}.".startswith(f"{other}.") for other in others)] == []
        ours = [name for name in loaded if name.partition(".")[0] in ("core", "plugin_backend_c")]
        assert len(ours) <= most, "each takes a quarter of a millisecond: import what few need where it is needed"


def test_another_process_imports_nothing_that_rewrites_or_lowers(python):
    how = {"CORE_RECALL": "1", "CORE_C_LAUNCHER": "1"}
    first, again, renamed = (python(USE.format(name=name), **how).split() for name in ("m", "m", "other"))
    assert first == [str(2 * np.tanh(3.0)), "True", "True"]
    assert again == renamed == [first[0], "False", "False"]
    assert python(USE.format(name="m"), **{**how, "CORE_RECALL": "0"}).split() == first


def test_what_was_skipped_is_made_when_somebody_looks():
    first, again = twice(formula)
    assert str(again.program) == str(first.program) and again.sources == first.sources
    assert str(again.rewrites) == str(first.rewrites) and str(again.graph.outputs) == str(first.graph.outputs)
    assert [step for step in ("== program ==", "== source ") if step not in str(core.explain(again))] == []
    assert_allclose(again(V, V)[0], np.exp(V) * V + 2, rtol=1e-14)


def test_a_length_that_is_one_broadcasts_as_ever():
    first, again = twice(formula)
    for one, other in zip(first(V, np.ones(1)), again(V, np.ones(1)), strict=True):
        assert_array_equal(one, other, strict=True)
    assert not is_recalled(again)
    assert_array_equal(again(V, V)[0], first(V, V)[0])


def test_errors_are_those_of_the_function_itself():
    first, again = twice(formula)
    said = []
    for f in (first, again):
        with pytest.raises(ShapeError) as caught:
            f(np.ones(2), np.ones(3))
        said.append(str(caught.value))
    assert said[0] == said[1]


def test_an_index_out_of_range_is_told_with_the_line_of_this_graph():
    def gather():
        x, i = ct.dvector("x"), ct.lvector("i")
        return [x, i], x[i]

    _, again = twice(gather)
    assert_array_equal(again(V, [0, 4]), V[[0, 4]])
    with pytest.raises(IndexOutOfBounds, match=r"(?s)index 7 .*test_kept\.py"):
        again(V, [0, 7])
    assert_array_equal(again(V, [0, 4]), V[[0, 4]])


def test_new_values_of_shared_variables_are_written():
    def step():
        w = core.shared(np.zeros(3), name="w")
        x = ct.dvector("x")
        return w, core.function([x], w.sum(), updates={w: w + x}, backend="c")

    (_, first), (w, again) = step(), step()
    assert is_recalled(again) and not is_recalled(first)
    assert [again(np.ones(3)), again(np.ones(3)), again([1.0, 2.0, 3.0])] == [0.0, 3.0, 6.0]
    assert_array_equal(w.get_value(), [3.0, 4.0, 5.0])
    with pytest.raises(ShapeError):
        again(np.ones(2))
    assert_array_equal(w.get_value(), [3.0, 4.0, 5.0])


def test_outputs_of_every_origin_come_back():
    def several():
        x, y = ct.dvector("x"), ct.dvector("y")
        return [x, y], [x, x + y, y, x + y, ct.constant(np.arange(4.0)), x]

    first, again = twice(several)
    for one, other in zip(first(V, V), again(V, V), strict=True):
        assert_array_equal(one, other, strict=True)
    results = again(V, V)
    assert not any(np.shares_memory(a, b) for k, a in enumerate(results) for b in [*results[:k], V])


def test_constants_come_with_the_program_and_tell_programs_apart():
    def table(data):
        i = ct.lvector("i")
        return core.function([i], ct.constant(np.asarray(data))[i], backend="c")

    for data in ([5.0, 6.0, 7.0], [5.0, 6.0, 8.0]):
        first, again = table(data), table(data)
        assert is_recalled(again) and not is_recalled(first)
        assert_array_equal(again(np.array([2, 0])), [data[2], data[0]])


def test_products_find_their_routines_again():
    def product():
        a, b = ct.dmatrix("a"), ct.dmatrix("b")
        return [a, b], ct.tanh(a @ b)

    a, b = np.random.default_rng(0).normal(size=(2, 70, 70))
    first, again = twice(product)
    assert_array_equal(first(a, b), again(a, b))


def test_arguments_in_other_layouts_are_served():
    def total():
        m = ct.dmatrix("m")
        return [m], (m * 2).sum(axis=0)

    first, again = twice(total)
    m = np.random.default_rng(0).normal(size=(200, 300))
    for array in (m.T, m[::2, ::-3], m.astype("float32").astype("float64")):
        assert_array_equal(first(array), again(array))


def test_copies_and_pickles_of_a_recalled_function_work():
    import copy
    import pickle

    _, again = twice(formula)
    for f in (copy.copy(again), pickle.loads(pickle.dumps(again))):
        assert_allclose(f(V, V)[0], np.exp(V) * V + 2, rtol=1e-14)


# --- what is not kept -------------------------------------------------------------------------------------------------


class Turned(core.Op):
    __props__ = ()

    def make_node(self, x):
        return core.Apply(self, [x], [x.type])

    def perform(self, node, inputs, output_storage):
        output_storage[0][0] = inputs[0][::-1].copy()


@pytest.mark.filterwarnings("ignore::core.errors.CoreWarning")
def test_a_graph_with_an_op_of_the_users_own_is_not_kept(recall):
    x = ct.dvector("x")
    functions = [core.function([x], Turned()(x) + 1, backend="c") for _ in range(2)]
    assert [is_recalled(f) for f in functions] == [False, False] and not list(recall.rglob("*.kept"))
    assert_array_equal(functions[1](V), V[::-1] + 1)


def test_nothing_is_kept_where_a_plugin_was_registered_by_hand(recall):
    class Pack:
        @core.hookimpl
        def options(self):
            return []

    plugins.register(Pack(), name="by-hand")
    try:
        assert [is_recalled(made(formula)) for _ in range(2)] == [False, False]
    finally:
        plugins.unregister("by-hand")
    assert not list(recall.rglob("*.kept"))


def test_nothing_is_recalled_for_those_who_watch():
    seen = []

    class Watcher:
        def enter(self, step):
            seen.append(step)

        def leave(self, step):
            pass

    class Plugin:
        @core.hookimpl
        def instrument(self, program):
            return Watcher()

    twice(formula)
    plugins.register(Plugin(), name="watching")
    try:
        made(formula)(V, V)
    finally:
        plugins.unregister("watching")
    assert len(seen) == 1


def test_an_edit_of_the_code_since_the_process_began_keeps_nothing(recall, monkeypatch):
    monkeypatch.setattr(codebase, "BEGUN_S", 0.0)
    monkeypatch.setattr(plugins._all, "code", None)
    assert [is_recalled(made(formula)) for _ in range(2)] == [False, False] and not list(recall.rglob("*.kept"))
    monkeypatch.setattr(plugins._all, "code", None)


def test_options_and_modes_tell_programs_apart():
    twice(formula)
    with config.override({"c.precise_math": True}):
        twice(formula)
    twice(formula, mode="none")
    twice(formula, mode=core.compile.modes.FAST_RUN.excluding("constant_folding"))


def test_without_the_launcher_nothing_is_recalled():
    twice(formula)
    with config.override({"c.launcher": False}):
        f = made(formula)
        assert not is_recalled(f)
        assert_allclose(f(V, V)[0], np.exp(V) * V + 2, rtol=1e-14)


def test_large_constants_are_not_kept(recall, monkeypatch):
    monkeypatch.setattr(kept, "MOST_BYTES", 8)
    i = ct.lvector("i")
    functions = [core.function([i], ct.constant(np.array([1.0, 2.0]))[i], backend="c") for _ in range(2)]
    assert [is_recalled(f) for f in functions] == [False, False] and not list(recall.rglob("*.kept"))


# --- what is spoilt ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spoil", [b"", b"x" * 40, "cut", "flipped"])
def test_a_spoilt_file_is_written_anew(recall, spoil):
    made(formula)
    (file,) = recall.rglob("*.kept")
    right = file.read_bytes()
    flipped = right[:20] + bytes([right[20] ^ 1]) + right[21:]
    file.write_bytes({"cut": right[:-5], "flipped": flipped}.get(spoil, spoil))
    assert not is_recalled(made(formula))
    assert file.read_bytes() == right
    assert is_recalled(made(formula))


def test_a_library_that_is_gone_or_spoilt_is_built_anew(recall):
    made(formula)
    (file,) = recall.rglob("*.kept")
    binary = file.with_name(re.search(rb"[0-9a-f]{40}\.so", file.read_bytes())[0].decode())
    for spoil in (binary.unlink, lambda: binary.write_bytes(b"")):
        spoil()
        f = made(formula)
        assert not is_recalled(f)
        assert_allclose(f(V, V)[0], np.exp(V) * V + 2, rtol=1e-14)
    assert is_recalled(made(formula))


def test_a_cache_that_cannot_be_written_only_costs_time(monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(kept.cachedir, "put", full)
    assert [is_recalled(made(formula)) for _ in range(2)] == [False, False]


def test_warnings_of_what_python_computes_are_not_lost():
    x = ct.dvector("x")
    with pytest.warns(CoreWarning, match="Python computes it"):
        core.function([x], type("Other", (Turned,), {})()(x), backend="c")


LISTS = """
import sys
import numpy as np, core, core.tensor as ct
x = ct.dvector("x")
f = core.function([x], 2 * x, backend="c")
print(f([1.0, 2.0]), f(x=np.float32([3])), f(np.arange(6.0)[::-2]), "cffi" in sys.modules)
"""


@pytest.mark.parametrize("recall", ["0", "1"])
def test_values_that_must_be_converted_need_no_other_way_of_calling(python, recall):
    for _ in range(2):
        said = python(LISTS, CORE_RECALL=recall, CORE_C_LAUNCHER="1")
        assert said == "[2. 4.] [6.] [10.  6.  2.] False\n"
