"""Threads: results do not depend on them, and they behave: after fork, at exit, nested, with many callers at once."""

import os
import shutil
import subprocess
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import core
import core.ir.clike.cunits
import core.ir.cpu.parallel
import core.tensor as ct
import plugin_backend_c
from core.compile.function import function
from core.ir.effort import BUSY
from core.testing import random
from core.testing.graphs import graphs
from plugin_backend_c import runtime

POOL = Path(plugin_backend_c.__file__).parent / "pool.h"
STRESS = Path(__file__).parent / "pool_stress.c"

x, v = ct.matrix("x"), ct.vector("v")


@pytest.fixture
def eager(monkeypatch):
    """Every loop is divided, and every call asks for threads."""
    monkeypatch.setattr(core.ir.cpu.parallel, "GRAIN", 1)
    monkeypatch.setattr(core.ir.cpu.parallel, "PART", 0)
    monkeypatch.setattr(core.ir.clike.cunits, "THREADS", core.ir.clike.cunits.THREADS.replace(str(BUSY), "0"))


@pytest.fixture(params=[True, False], ids=["launcher", "cffi"])
def launcher(request):
    with core.config.override({"c.launcher": request.param}):
        yield


def large():
    """A function with rows, columns, a total and elements, and arguments of enough work for several threads."""
    f = function([x], [x.sum(axis=0), ct.softmax(x, axis=1), x.max(), ct.exp(x) + 1, x.sum()], backend="c")
    return f, random((300, 1000))


def equal(results, others):
    return all(np.array_equal(a, b, equal_nan=True) for a, b in zip(results, others, strict=True))


@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (1, 1), (3, 5), (70, 3), (3, 700)])
def test_results_are_the_same_bit_for_bit_for_any_number_of_threads(eager, launcher, shape):
    f, _ = large()
    value = random(shape) if 0 not in shape else None
    if value is None:
        f = function([x], [x.sum(axis=0), x.sum(axis=1), ct.exp(x), x.sum()], backend="c")
        value = np.ones(shape)
    with core.num_threads(1):
        expected = f(value)
    for n in (2, 3, 8):
        with core.num_threads(n):
            assert all(equal(f(value), expected) for _ in range(5))


def test_random_graphs_do_not_depend_on_the_number_of_threads(eager):
    @settings(max_examples=30, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(graph=graphs())
    def check(graph):
        f = function(graph.inputs, graph.outputs, backend="c", on_unused_input="ignore")
        results = []
        for n in (1, 2, 3):
            with core.num_threads(n):
                results.append(f(*graph.arrays))
        for got, want in zip(results[0], graph.expected, strict=True):
            if want.dtype.kind in "fc":
                np.testing.assert_allclose(got, want, **graph.tolerance(), err_msg=str(graph))
        assert equal(results[0], results[1]) and equal(results[0], results[2]), graph

    check()


def test_long_work_is_right_without_being_told_of_threads(launcher):
    f, value = large()
    columns, soft, largest, _, total = f(value)
    np.testing.assert_allclose(columns, value.sum(axis=0), atol=1e-10)
    np.testing.assert_allclose(soft.sum(axis=1), 1)
    assert largest == value.max()
    np.testing.assert_allclose(total, value.sum(), atol=1e-9)


def test_many_python_threads_may_call_one_function_at_once(launcher):
    f, value = large()
    expected = f(value)
    with core.num_threads(3):
        for results in ThreadPoolExecutor(6).map(lambda _: f(value), range(40)):
            assert equal(results, expected)


def test_the_limit_belongs_to_the_thread_that_set_it():
    inside, outside = [], []
    with core.num_threads(2):
        other = threading.Thread(target=lambda: outside.append(core.get_num_threads()))
        other.start()
        other.join()
        inside.append(core.get_num_threads())
    assert inside == [2] and outside == [core.get_num_threads()]


def test_a_call_inside_a_call_does_not_wait_for_itself(launcher):
    inner, value = large()
    expected = inner(value)

    @core.as_op(x.type, x.type)
    def calls_another(a):
        assert equal(inner(a), expected)
        return a

    with warnings.catch_warnings(action="ignore", category=core.errors.CoreWarning):
        f = function([x], calls_another(ct.exp(x) - ct.exp(x) + x), backend="c")
    with core.num_threads(3):
        np.testing.assert_allclose(f(value), value)


def test_a_child_process_has_a_pool_of_its_own(launcher):
    f, value = large()
    with core.num_threads(3):
        expected = f(value)
        for _ in range(2):
            child = os.fork()
            if child == 0:
                os._exit(0 if equal(f(value), expected) and equal(f(value), expected) else 1)
            assert os.waitpid(child, 0)[1] == 0
            assert equal(f(value), expected)


def test_a_program_ends_although_workers_sleep_or_look_for_work(python):
    text = """
        import numpy as np, core, core.tensor as ct
        x = ct.vector("x")
        f = core.function([x], ct.exp(x).sum(), backend="c")
        with core.num_threads(4):
            print(f(np.zeros(200_000)))
    """
    assert python(text) == "200000.0\n"
    assert python(text, CORE_C_LAUNCHER="1") == "200000.0\n"


def test_the_environment_sets_the_number_of_threads(python):
    assert python("import core; print(core.get_num_threads())", CORE_NUM_THREADS="3") == "3\n"


def test_a_number_of_threads_that_makes_no_sense_is_an_error_of_the_call_that_needs_it(launcher, monkeypatch):
    f, value = large()
    monkeypatch.setenv("CORE_NUM_THREADS", "many")
    for _ in range(3):
        with pytest.raises(core.errors.OptionError, match="CORE_NUM_THREADS must be a value of type int"):
            f(value)
    monkeypatch.delenv("CORE_NUM_THREADS")
    assert f(value)[2] == value.max()


def test_num_threads_needs_at_least_one():
    with pytest.raises(core.errors.OptionError, match="num_threads needs 1 or more, got 0"), core.num_threads(0):
        pass


def test_without_a_pool_calls_run_on_one_thread(cache, monkeypatch):
    f, value = large()
    expected = f(value)
    monkeypatch.setattr(runtime, "library", lambda compiler: None)
    with core.config.override({"c.launcher": False}), core.num_threads(3):
        assert equal(large()[0](value), expected)


@pytest.mark.slow
@pytest.mark.parametrize("sanitizer", ["thread", "address,undefined"])
def test_the_pool_is_clean_under_a_sanitizer(sanitizer, tmp_path):
    gcc = shutil.which("gcc") or shutil.which("clang")
    program = tmp_path / "stress"
    command = [gcc, "-O1", "-g", "-pthread", f"-fsanitize={sanitizer}", f"-I{POOL.parent}", str(STRESS)]
    built = subprocess.run([*command, "-o", str(program)], capture_output=True, text=True, check=False)
    if "cannot find" in built.stderr:
        pytest.skip(f"{gcc} has no {sanitizer} sanitizer here")
    assert built.returncode == 0, built.stderr
    done = subprocess.run([str(program)], capture_output=True, text=True, timeout=1200, check=False)
    if "unexpected memory mapping" in done.stderr:  # GCC below 14 where addresses are drawn from 32 bits
        pytest.skip(f"the {sanitizer} sanitizer of {gcc} does not start on this system")
    assert (done.returncode, done.stderr) == (0, "")
