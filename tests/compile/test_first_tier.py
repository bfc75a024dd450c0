"""The option ``first_tier``: functions that run in the interpreter until their code is there."""

import gc
import os
import pickle
import subprocess
import sys
import threading
import time
import warnings
import weakref

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import core
import core.tensor as ct
from core.compile.lower import lower
from core.errors import BackendError, CompileError, CoreWarning, ShapeError
from core.ir.check.run import Driver, Run

x, y = ct.dvector("x"), ct.dvector("y")
V = np.linspace(-2, 2, 5)


class Counted(Run):
    """An executable that counts its calls."""

    def __init__(self, program):
        super().__init__(program)
        self.calls, self.sources = 0, {f"{id(program)}.c": "text"}

    def __call__(self, arrays):
        self.calls += 1
        return super().__call__(arrays)


class Slow(Driver):
    """A driver that has compiled when it may ``go``, or fails with ``error``."""

    name = "slow"

    def __init__(self, error=None):
        super().__init__()
        self.go, self.error = threading.Event(), error
        self.made, self.began = [], 0

    def compile(self, program, device=None):
        return self.prepare(program, device).finish()

    def prepare(self, program, device=None):
        self.began += 1
        return Text(self, program)

    @property
    def calls(self):
        """How often each program was called."""
        return [run.calls for run in self.made]


class Text:
    def __init__(self, driver, program):
        self.driver, self.program = driver, program

    def finish(self):
        assert self.driver.go.wait(600)
        if self.driver.error is not None:
            raise self.driver.error
        self.driver.made.append(Counted(self.program))
        return self.driver.made[-1]


@pytest.fixture
def slow():
    driver = Slow()
    yield driver
    driver.go.set()


def tiered(*arguments, backend, **more):
    with core.config.override(first_tier=True):
        return core.function(*arguments, backend=backend, **more)


def test_calls_run_in_the_interpreter_until_the_code_is_there(slow):
    f = tiered([x], ct.exp(x) + 1, backend=slow)
    assert_array_equal(f(V), np.exp(V) + 1)
    assert slow.calls == []
    slow.go.set()
    assert f.wait_until_compiled() is True
    assert_array_equal(f(V), np.exp(V) + 1)
    assert slow.calls == [1]


def test_without_the_option_everybody_waits(slow):
    slow.go.set()
    f = core.function([x], x + 1, backend=slow)
    f(V)
    assert slow.calls == [1] and f.wait_until_compiled(0) is True


def test_the_option_can_be_set_from_outside():
    program = "import core; print(core.config.first_tier)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "CORE_FIRST_TIER": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "True\n"


def test_nobody_waits_for_what_comes_before_the_compiler_either(slow, monkeypatch):
    begins = threading.Event()

    def late(graph, dialect, layouts):
        assert begins.wait(600)
        return lower(graph, dialect, layouts=layouts)

    monkeypatch.setattr("core.compile.lower.lower", late)
    f = tiered([x], ct.log(1 + x), backend=slow)
    assert_array_equal(f(abs(V)), np.log1p(abs(V)))  # rewriting is done: it is the result that the code will give
    assert slow.began == 0
    begins.set()
    slow.go.set()
    assert f.wait_until_compiled() and slow.began == 1


def test_a_driver_that_cannot_prepare_compiles_first():
    f = tiered([x], x + 1, backend=Driver())
    assert f.wait_until_compiled(0) is True
    assert_array_equal(f(V), V + 1)


def test_updates_go_on_where_the_first_tier_left_them(slow):
    state = core.shared(np.zeros(()), name="state")
    f = tiered([x], x * state, updates={state: state + 1}, backend=slow)
    results = [f(V), f(V)]
    slow.go.set()
    f.wait_until_compiled()
    results += [f(V), f(V)]
    assert_array_equal(results, [V * k for k in range(4)])
    assert state.get_value() == 4 and slow.calls == [2]


def test_threads_may_call_while_the_code_takes_over(slow):
    f = tiered([x], [x.sum(), x * 2], backend=slow)
    wrong = []

    def call():
        for n in range(1, 200):
            total, twice = f(np.full(n % 7 + 2, float(n)))
            if total != n * (n % 7 + 2) or (twice != 2.0 * n).any():
                wrong.append(n)

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    slow.go.set()
    for thread in threads:
        thread.join()
    f.wait_until_compiled()
    f(V)
    assert not wrong and slow.calls[0] > 0


def test_a_compiler_that_fails_is_reported_once_and_calls_go_on():
    driver = Slow(error=CompileError("no: line 3"))
    f = tiered([x], x + 1, backend=driver, name="step")
    driver.go.set()
    while f._run._compilations[(), frozenset(), False].done_s is None:
        time.sleep(0.001)
    with pytest.warns(CoreWarning, match="stays with the interpreter: no: line 3") as seen:
        assert_array_equal(f(V), V + 1)
    assert [one.filename for one in seen] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_array_equal(f(V), V + 1)


@pytest.mark.parametrize("ask", [lambda f: f.wait_until_compiled(), lambda f: f.sources, core.explain])
def test_who_waits_for_code_that_cannot_be_is_told(ask):
    driver = Slow(error=CompileError("no: line 3"))
    f = tiered([x], x + 1, backend=driver)
    driver.go.set()
    with pytest.raises(CompileError, match="no: line 3"):
        ask(f)
    with warnings.catch_warnings():  # it has been said
        warnings.simplefilter("error")
        assert_array_equal(f(V), V + 1)


def test_what_a_function_cannot_be_is_said_when_it_is_made(slow):
    class Twice(core.Op):
        __props__ = ()

        def make_node(self, x):
            return core.Apply(self, [x], [x.type()])

        def perform(self, node, inputs, cells):
            cells[0][0] = 2 * inputs[0]

    with pytest.raises(BackendError, match="Twice"):
        tiered([x], Twice()(x), backend=slow, strict=True)


def test_errors_of_a_call_are_the_same_in_both_tiers(slow):
    f = tiered([x, y], x + y, backend=slow)
    for _ in range(2):
        with pytest.raises(ShapeError):
            f(np.ones(3), np.ones(4))
        slow.go.set()
        f.wait_until_compiled()


def test_a_length_that_turns_out_to_be_1_is_compiled_beside_calls_too(slow):
    slow.go.set()
    f = tiered([x, y], x + y, backend=slow)
    f.wait_until_compiled()
    slow.go.clear()
    assert_array_equal(f(V, np.ones(1)), V + 1)
    assert slow.began == 2 and len(slow.made) == 1
    assert_array_equal(f(V, V), V + V)
    assert f.wait_until_compiled(0.01) is False
    slow.go.set()
    assert f.wait_until_compiled() is True
    before = slow.calls[1]
    assert_array_equal(f(V, np.ones(1)), V + 1)
    assert slow.calls[1] == before + 1


def test_sources_are_those_of_the_code_and_wait_for_it(slow):
    f = tiered([x], x + 1, backend=slow)
    while not slow.began:
        time.sleep(0.001)
    threading.Timer(0.05, slow.go.set).start()
    assert list(f.sources.values()) == ["text"]
    assert f.compile_times["compile"] >= 0.04


def test_a_time_limit_ends_the_waiting(slow):
    f = tiered([x], x + 1, backend=slow)
    assert f.wait_until_compiled(0.01) is False
    slow.go.set()
    assert f.wait_until_compiled(600) is True


def test_a_copy_shares_the_compilation_and_is_taken_over(slow):
    a, b = core.shared(np.ones(5), name="a"), core.shared(np.zeros(5), name="b")
    f = tiered([], a + 1, updates={a: a * 2}, backend=slow)
    g = f.copy(swap={a: b})
    assert_array_equal(g(), np.ones(5))
    slow.go.set()
    assert g.wait_until_compiled() and slow.began == 1
    assert_array_equal(f(), np.full(5, 2))
    assert_array_equal(g(), np.ones(5))
    assert slow.calls == [2]


def test_a_function_that_nobody_holds_goes_before_its_code_is_there(slow):
    f = tiered([x], x + 1, backend=slow)
    alive = weakref.ref(f)
    del f
    gc.collect()
    assert alive() is None
    slow.go.set()


def test_a_pickled_function_need_not_be_compiled(slow):
    f = tiered([x], x + 1, backend=slow)
    with core.config.override(backend="interpreter"):
        f._chosen_by_user = False  # a driver object has no name to be found by
        loaded = pickle.loads(pickle.dumps(f))
    assert_array_equal(loaded(V), V + 1)


def test_debug_mode_has_no_tiers(slow):
    f = tiered([x], x + 1, mode="debug", backend=slow)
    assert f.wait_until_compiled(0) is True and slow.began == 0
    assert_array_equal(f(V), V + 1)


def test_watchers_see_both_tiers(slow):
    class Watching:
        def __init__(self):
            self.entered = 0

        @core.hookimpl
        def instrument(self, program):
            return self

        def enter(self, step):
            self.entered += 1

        def leave(self, step):
            pass

    plugin = Watching()
    core.plugins.register(plugin, name="watching")
    try:
        f = tiered([x], x + 1, backend=slow)
        f(V)
        slow.go.set()
        f.wait_until_compiled()
        f(V)
    finally:
        core.plugins.unregister(plugin)
    assert plugin.entered == 2 and slow.calls == [1]
