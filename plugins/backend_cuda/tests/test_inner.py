"""Loops and choices on the device: step by step, rows where they lie, as one graph; what goes wrong in a step."""

import gc

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import core
import core.tensor as ct
from core.device.opened import Opened
from core.device.space import Space
from core.errors import IndexOutOfBounds
from core.ir.program import BranchStep, HostStep, LoopStep


@pytest.fixture
def own(device):
    return Opened("cuda", Space(device))


def steps(f, kind):
    return [step for step in f._run._main.program.steps if isinstance(step, kind)]


def since(driver, act):
    before = len(driver.calls)
    act()
    return [name for name in driver.names()[before:] if name != "use"]


def recurrent(x, h, w):
    return core.scan(lambda row, h, w: ct.tanh(row + h @ w), sequences=x, outputs_info=h, non_sequences=w)


def recurrent_numpy(x, h, w):
    found = []
    for row in x:
        h = np.tanh(row + h @ w)
        found.append(h)
    return np.stack(found)


@pytest.mark.parametrize("width", [25, 26, 33])
def test_rows_of_any_length_are_read_and_written(own, width):
    rng = np.random.default_rng(0)
    x, h, w = rng.standard_normal((7, width)), rng.standard_normal(width), rng.standard_normal((width, width)) / width
    given = ct.matrix("x"), ct.vector("h"), ct.matrix("w")
    f = core.function([*given], recurrent(*given), backend=own)
    assert steps(f, LoopStep) and not steps(f, HostStep)
    assert_allclose(f(x, h, w), recurrent_numpy(x, h, w), rtol=1e-12)


def test_rows_that_begin_well_are_used_where_they_lie(own, driver):
    """16 bytes: four elements of float32."""

    def copies(width):
        given = ct.fmatrix("x"), ct.fvector("h"), ct.fmatrix("w")
        f = core.function([*given], recurrent(*given), backend=own)
        arrays = [np.ones(shape, "float32") for shape in ((6, width), width, (width, width))]
        f(*arrays)
        return since(driver, lambda: f(*arrays)).count("copy")

    assert copies(28) == 2, "the state that the loop starts from, and the one that it ends with"
    assert copies(27) > 6


def test_steps_of_a_few_elements_are_one_kernel_of_one_thread(own, driver):
    given = ct.matrix("x"), ct.vector("h"), ct.matrix("w")
    f = core.function([*given], recurrent(*given), backend=own)
    arrays = np.arange(21.0).reshape(7, 3) / 10, np.ones(3), np.eye(3) / 2
    with core.config.override({"cuda.graphs": False}):
        known = [ct.specify_shape(v, a.shape) for v, a in zip(given, arrays, strict=True)]
        static = core.function([*given], recurrent(*known), backend=own)
        assert_allclose(static(*arrays), recurrent_numpy(*arrays), rtol=1e-12)
        names = since(driver, lambda: static(*arrays))
    assert not steps(static, LoopStep) and names.count("launch") < len(arrays[0])
    assert_allclose(f(*arrays), recurrent_numpy(*arrays), rtol=1e-12)


def test_a_training_step_through_a_loop_is_one_graph(own, driver):
    x, w = core.shared(np.random.default_rng(0).standard_normal((9, 26))), core.shared(0.5 * np.eye(26))
    loss = (recurrent(x, ct.zeros((26,)), w) ** 2).sum()
    step = core.function([], updates={w: w - 0.01 * core.grad(loss, w)}, backend=own)
    value = core.function([], loss, backend="interpreter")
    first = value()
    for _ in range(16):
        step()
    assert since(driver, step) == ["replay"]
    assert value() < first


def test_graphs_write_to_no_memory_that_is_somebody_elses_by_now(own, driver):
    """Rows of 25 elements are copied; longer ones of another call take more memory for that."""
    x, w = ct.matrix("x"), core.shared(0.0)
    out = core.scan(lambda row, h: ct.tanh(row + h), sequences=x, outputs_info=ct.zeros_like(x[0]))
    step = core.function([x], updates={w: w + out.sum()}, backend=own)
    short, long = np.ones((4, 25)), np.ones((4, 45))
    for _ in range(16):
        step(short)
    assert "replay" in since(driver, lambda: step(short))
    step(long)
    taken = [own.space.pool.take(25 * 8) for _ in range(50)]
    for memory in taken:
        own.space.device.fill(memory.block, 0x11, 25 * 8)
    assert since(driver, lambda: [step(short) for _ in range(24)]).count("replay") > 8
    found = [own.space.download(memory, (25 * 8,), np.dtype("uint8")) for memory in taken]
    own.space.device.synchronize()
    assert all((one == 0x11).all() for one in found)


def test_a_loop_that_asks_whether_to_go_on_waits_for_each_step(own, driver):
    x = ct.vector("x")
    out = core.scan(lambda h: (h / 2, core.until((h < 1).all())), outputs_info=x, n_steps=50)
    f = core.function([x], out, backend=own)
    expected = 16.0 / 2.0 ** np.arange(1, 7)[:, None]  # the last step is the one that finds less than 1
    for _ in range(4):
        assert_array_equal(f(np.array([16.0])), expected)
    assert "begin_capture" not in driver.names()


def test_one_side_of_a_choice_is_queued(own, driver):
    c, x = ct.scalar("c", dtype="bool"), ct.vector("x")
    f = core.function([c, x], core.ifelse(c, ct.exp(x).sum(), ct.sort(x)[0]), backend=own)
    assert steps(f, BranchStep) and not steps(f, HostStep)
    a = np.array([3.0, 1.0, 2.0])
    for _ in range(3):
        assert_allclose(f(True, a), np.exp(a).sum())
        assert_allclose(f(False, a), 1.0)
    assert "begin_capture" not in driver.names()


def test_a_bad_index_in_a_step_is_the_users_and_values_stay(own):
    x, i, w = ct.vector("x"), ct.lvector("i"), core.shared(np.zeros(()))
    out = core.scan(lambda k, x: x[k], sequences=i, non_sequences=x)
    f = core.function([x, i], out, updates={w: out.sum()}, backend=own)
    assert_array_equal(f(np.arange(4.0), np.array([2, 0])), [2.0, 0.0])
    with pytest.raises(IndexOutOfBounds):
        f(np.arange(4.0), np.array([2, 9]))
    assert w.get_value() == 2.0


def test_nothing_stays_behind_when_the_function_goes(own, driver):
    given = ct.matrix("x"), ct.vector("h"), ct.matrix("w")
    f = core.function([*given], recurrent(*given), backend=own)
    f(np.ones((5, 3)), np.ones(3), np.eye(3))
    f.free()
    del f
    gc.collect()
    own.space.pool.trim()
    assert own.space.pool.held_bytes == 0
