"""Arrays that stay on the device, and what happens when memory or a kernel fails."""

import pickle

import numpy as np
import pytest

import core
import core.tensor as ct
from core.device.array import DeviceArray
from core.device.contract import Source
from core.errors import CompileError, DeviceMemoryError
from plugin_backend_opencl import building


def test_a_shared_variable_stays_on_the_device_once_a_function_read_it():
    w, x = core.shared(np.ones(3), name="w"), ct.vector("x")
    step = core.function([x], updates={w: w - 0.5 * x}, backend="opencl")
    step([1.0, 2.0, 3.0])
    kept = w.get_value(return_internal_type=True)
    assert type(kept) is DeviceArray and kept.shape == (3,)
    step([1.0, 2.0, 3.0])
    assert np.array_equal(w.get_value(), [0.0, -1.0, -2.0])
    w.set_value(np.zeros(3))
    step([1.0, 0.0, 0.0])
    assert np.array_equal(w.get_value(), [-0.5, 0.0, 0.0])


def test_other_backends_and_pickles_get_numpy_arrays():
    w = core.shared(np.arange(3.0), name="w")
    core.function([], updates={w: w + 1}, backend="opencl")()
    assert np.array_equal(core.function([], w * 2, backend="interpreter")(), [2.0, 4.0, 6.0])
    assert np.array_equal(pickle.loads(pickle.dumps(w)).get_value(), [1.0, 2.0, 3.0])


def test_a_borrowed_output_is_an_array_of_the_device_that_functions_take(space):
    x = ct.matrix("x")
    f = core.function([x], [core.Out(x * 2, borrow=True), x.sum()], backend="opencl")
    doubled, total = f(np.ones((2, 3)))
    assert type(doubled) is DeviceArray and type(total) is np.ndarray
    assert f.backend == "opencl" and space.holds(doubled)
    again, total = f(doubled)
    assert total == 12 and np.array_equal(again, np.full((2, 3), 4.0))
    assert np.array_equal(np.asarray(doubled), np.full((2, 3), 2.0)), "nobody writes to an array that was given away"


def test_results_of_earlier_calls_never_change():
    x = ct.vector("x")
    f = core.function([x], x + 1, backend="opencl")
    first = f([1.0, 2.0])
    f([5.0, 6.0])
    assert np.array_equal(first, [2.0, 3.0])


def test_an_argument_may_change_as_soon_as_the_call_is_over():
    w, x = core.shared(np.zeros(100_000)), ct.vector("x")
    step = core.function([x], updates={w: w + x}, backend="opencl")
    values = np.ones(100_000)
    for _ in range(5):
        step(values)
        values[:] = 1
        values += 0  # written to while the device may still be busy
    values[:] = 100
    assert np.array_equal(w.get_value(), np.full(100_000, 5.0))


def test_a_bad_index_leaves_shared_variables_as_they_were():
    w, i = core.shared(np.arange(4.0)), ct.lvector("i")
    f = core.function([i], w[i].sum(), updates={w: ct.set_subtensor(w[i], 0.0)}, backend="opencl")
    with pytest.raises(IndexError, match="index 9 is out of bounds"):
        f([1, 9])
    assert np.array_equal(w.get_value(), [0.0, 1.0, 2.0, 3.0])
    assert f([1, 3]) == 4.0


def test_too_much_memory_says_who_asked_for_how_much_and_shared_variables_keep_their_values(space):
    n, w = ct.lscalar("n"), core.shared(np.ones(2))
    f = core.function([n], ct.zeros((n,)) + 1, updates={w: w + 1}, backend="opencl")
    f(3)
    wanted = 4 * space.facts.memory_bytes // 8  # drivers may give more at once than they say
    with pytest.raises(DeviceMemoryError, match=rf"needs {8 * wanted} bytes on .*, which has \d+ .*; \d+ are held"):
        f(wanted)
    assert np.array_equal(w.get_value(), [2.0, 2.0])
    assert np.array_equal(f(2), [1.0, 1.0])


def test_a_text_that_the_driver_refuses_is_shown_in_three_lines(monkeypatch):
    x = ct.vector("x")
    real = building.cl.Program

    def spoiled(context, text, *rest):
        return real(context, text.replace("exp(", "no_such_function("), *rest)

    monkeypatch.setattr(building.cl, "Program", spoiled)
    with core.config.override(cache_dir=None), pytest.raises(CompileError) as caught:
        core.function([x], ct.exp(x) * 1.2345, backend="opencl")
    first, line, where = str(caught.value).splitlines()
    assert "refused generated code" in first and "no_such_function" in first
    assert line.startswith("  line ") and where.startswith("  in the loops of multiply")
    assert caught.value.log and caught.value.source_code


@pytest.mark.parametrize(
    "log, first, line",
    [
        (
            "clBuildProgram failed: X\n\nBuild on <D>:\n\n<kernel>:2:9: error: no such y\n",
            "no such y",
            "line 2: y = 1;",
        ),
        ("clBuildProgram failed: X\nBuild on <D>:\nptxas fatal   : Unresolved 'foo'\n", "'foo'", "line 3: foo();"),
        ("clBuildProgram failed: X\n", "clBuildProgram failed: X", "line 0: (no line given)"),
    ],
    ids=["Clang", "NVIDIA's assembler", "no log"],
)
def test_the_complaint_is_found_in_the_logs_of_drivers(space, log, first, line):
    source = Source("exp", "/* exp: Exp */\ny = 1;\nfoo();", ())
    said = str(building._refused(space.facts, source, log)).splitlines()
    assert first in said[0] and line in said[1] and len(said) == 3


def test_binaries_are_kept_and_one_that_is_damaged_is_built_again(tmp_path):
    x = ct.vector("x")
    with core.config.override(cache_dir=str(tmp_path)):
        assert np.array_equal(core.function([x], x * 3.25, backend="opencl")([2.0]), [6.5])
        (kept,) = (tmp_path / "opencl").glob("*.bin")
        before = kept.read_bytes()
        assert np.array_equal(core.function([x], x * 3.25, backend="opencl")([2.0]), [6.5])
        assert kept.read_bytes() == before
        kept.write_bytes(before[:-10])
        assert np.array_equal(core.function([x], x * 3.25, backend="opencl")([2.0]), [6.5])
