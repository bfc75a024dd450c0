"""The option ``first_tier`` with real compilers: what takes over, processes that fork, end or fail meanwhile."""

import sys

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import core
import core.tensor as ct
from core.compile.calling import Caller
from core.errors import CompileError, CoreWarning
from plugin_backend_c import launcher, ready

SLOW = 'case "$*" in *trial*) ;; *" -c "*) sleep 0.7;; esac\nexec "$REAL" "$@"'
# begins, and ends when it may, or after five minutes, for a test that fails; the launcher, with -pthread, does not wait
WAITS = """
case "$*" in *trial*|*" -pthread "*) ;; *" -c "*)
    echo $$ > "$FOLDER/begun"
    tries=0
    until [ -e "$FOLDER/go" ] || [ $tries = 6000 ]; do tries=$((tries + 1)); sleep 0.05; done;;
esac
exec "$REAL" "$@"
"""
x = ct.dmatrix("x")
rng = np.random.default_rng(0)


def tiered(*arguments, **more):
    with core.config.override(first_tier=True):
        return core.function(*arguments, backend="c", **more)


def test_later_calls_are_those_of_a_function_that_was_compiled_first(cache, slow):
    outputs = [ct.tanh(x @ x.T).sum(axis=0), ct.exp(x) / 3]
    f, a = tiered([x], outputs), rng.normal(size=(7, 5))
    first = f(a)
    f.wait_until_compiled()
    slow.clear()
    later = f(a)
    assert not slow  # through the launcher
    for early, late, plain in zip(first, later, core.function([x], outputs, backend="c")(a), strict=True):
        np.testing.assert_allclose(early, late, rtol=1e-13)
        assert_array_equal(late, plain)


def test_updates_in_place_follow_those_of_the_first_tier(cache):
    state = core.shared(np.zeros(1000), name="state")
    f = tiered([], state.sum(), updates={state: state + 1})
    calls = 0
    while type(f.__call__) is Caller:
        assert f() == 1000 * calls
        calls += 1
    for _ in range(5):
        assert f() == 1000 * calls
        calls += 1
    assert_array_equal(state.get_value(), np.full(1000, calls))


def test_code_that_is_in_the_cache_runs_from_the_first_call_on(cache, slow):
    with core.config.override(recall=True):
        core.function([x], x * 3.25, backend="c")
        f = tiered([x], x * 3.25)
    slow.clear()
    assert_array_equal(f(np.ones((2, 2))), np.full((2, 2), 3.25))
    assert not slow


def test_nobody_waits_for_the_launcher_either(cache, monkeypatch, tmp_path):
    monkeypatch.setattr(ready, "FOLDER", tmp_path / "nothing")
    launcher._module.cache_clear()
    try:
        f = tiered([x], x * 3.5)
        assert type(f) is core.compile.function.Function
        f.wait_until_compiled()
        assert type(f.__call__).__name__ == "Call"
        assert_array_equal(f(np.ones((2, 2))), np.full((2, 2), 3.5))
    finally:
        launcher._module.cache_clear()


def test_what_a_compiler_refuses_stays_with_the_interpreter(cache, fake, monkeypatch):
    monkeypatch.setenv("CC", fake("cc", 'case "$*" in *trial*|*--version*) exec "$REAL" "$@";; esac\nexit 1'))
    with core.config.override({"c.launcher": False}):
        f = tiered([x], x + 1)
        with pytest.raises(CompileError, match="could not build"):
            f.wait_until_compiled()
        assert_array_equal(f(np.ones((1, 2))), [[2, 2]])
        g = tiered([x], x + 2)
        while not g._run._compilations[(), frozenset(), False].wait():
            pass
        with pytest.warns(CoreWarning, match="stays with the interpreter: .* could not build"):
            assert_array_equal(g(np.ones((1, 2))), [[3, 3]])


PROGRAM = """
    import os, sys, core, core.tensor as ct
    x = ct.vector("x")
    f = core.function([x], x * 2.5, backend="c")
    print(f([2.0])[0], f._run.is_pending, flush=True)
    open(os.path.join(os.path.dirname(os.environ["CC"]), "go"), "w").close()
"""


def test_a_process_that_ends_fills_the_cache_for_the_next(python, fake):
    options = {"CC": fake("cc", WAITS), "CORE_FIRST_TIER": "1", "CORE_RECALL": "1", "CORE_C_LAUNCHER": "1"}
    assert python(PROGRAM, **options) == "5.0 True\n"
    assert python(PROGRAM, **options) == "5.0 False\n"


def test_how_a_process_ends_is_kept(python, fake):
    process = python.start(PROGRAM + "    sys.exit(3)", CC=fake("cc", WAITS), CORE_FIRST_TIER="1")
    out, err = process.communicate(timeout=600)
    assert (out, err, process.returncode) == ("5.0 True\n", "", 3)


def test_a_child_process_compiles_for_itself(python, fake):
    program = """
        import os, sys, core, core.tensor as ct
        x = ct.vector("x")
        f = core.function([x], x * 2.5, backend="c")
        child = os.fork()
        first = f([2.0])[0]
        f.wait_until_compiled(600)
        said = ["parent" if child else "child", first, f([4.0])[0], f._run.is_pending]
        if child:
            said.append(os.waitpid(child, 0)[1])
        print(*said)
        """
    said = python(program, CC=fake("cc", SLOW), CORE_FIRST_TIER="1").splitlines()
    assert said == ["child 5.0 10.0 False", "parent 5.0 10.0 False 0"]


def test_a_child_that_lives_on_does_not_hold_its_parents_compiler_up(python, fake):
    program = """
        import os, time, core, core.tensor as ct
        x = ct.vector("x")
        folder = os.path.dirname(os.environ["CC"])
        f = core.function([x], x * 2.5, backend="c")
        while not os.path.exists(os.path.join(folder, "begun")):
            time.sleep(0.02)
        child = os.fork()
        if child == 0:
            time.sleep(1200)
            os._exit(0)
        open(os.path.join(folder, "go"), "w").close()
        print(f.wait_until_compiled(600))
        os.kill(child, 9)
        os.waitpid(child, 0)
        """
    assert python(program, CC=fake("cc", WAITS), CORE_FIRST_TIER="1") == "True\n"


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")
def test_a_process_that_is_killed_takes_its_compiler_along(python, fake, tmp_path, wait, runs):
    endless = WAITS.replace('until [ -e "$FOLDER/go" ] || [ $tries = 6000 ]', "while true")
    process, begun = python.start(PROGRAM, CC=fake("cc", endless), CORE_FIRST_TIER="1"), tmp_path / "bin" / "begun"
    assert process.stdout.readline() == "5.0 True\n"
    wait(lambda: begun.exists() and begun.read_text().strip())
    process.kill()
    process.communicate()
    wait(lambda: not runs(int(begun.read_text())))
