"""Ops whose author wrote C for Python's and NumPy's C-API."""

import gc
import os
import sys
import warnings

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import core
import core.tensor as ct
from core.compile.alone import in_c
from core.errors import BackendError, CompileError, ComputeError
from plugin_backend_c import python_op

X, A = ct.dvector("x"), ct.dscalar("a")


class Times(core.COp):
    """x * a for a vector and a scalar, in the C-API."""

    __props__ = ()

    def make_node(self, x, a):
        x, a = ct.as_tensor(x), ct.as_tensor(a)
        return core.Apply(self, [x, a], [x.type()])

    def c_code(self, node, name, inputs, outputs, sub):
        (x, a), (y,), fail = inputs, outputs, sub["fail"]
        return f"""
            npy_intp n = PyArray_DIM({x}, 0);
            const DTYPE_INPUT_1 a = *(DTYPE_INPUT_1 *)PyArray_DATA({a});
            if (a == 0) {{
                PyErr_Format(PyExc_ValueError, "a must not be 0, x has %zd elements", n);
                {fail}
            }}
            if ({y} == NULL || PyArray_DIM({y}, 0) != n) {{
                Py_XDECREF({y});
                {y} = (PyArrayObject *)PyArray_EMPTY(1, &n, TYPENUM_OUTPUT_0, 0);
                if ({y} == NULL) {fail}
            }}
            for (npy_intp i = 0; i < n; i++)
                *(DTYPE_OUTPUT_0 *)PyArray_GETPTR1({y}, i) = a * *(DTYPE_INPUT_0 *)PyArray_GETPTR1({x}, i);
        """


@pytest.fixture(params=["c", "interpreter"])
def backend(request):
    return request.param


def compiled(op, inputs=(X, A), make=lambda y: y, backend="c", **how):
    return core.function(list(inputs), make(op(*inputs)), backend=backend, **how)


def test_it_computes_between_its_neighbours(backend):
    f = core.function([X, A], 2 * Times()(X + 1, A) - 1, backend=backend)
    assert_array_equal(f([1.0, 2.0], 3.0), [11, 17])
    assert_array_equal(f(np.zeros(0), 3.0), np.zeros(0))
    assert_array_equal(f(np.arange(6.0)[::-2], 3.0), [35, 23, 11])


def test_it_is_no_fallback_to_speak_of():
    class Quiet(Times):
        pass

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_array_equal(compiled(Quiet(), strict=True)([1.0], 3.0), [3])


def test_what_c_raises_arrives_as_that_exception_with_the_op_and_the_users_line(backend):
    f = compiled(Times(), backend=backend)
    for kind in (ValueError, ComputeError):
        with pytest.raises(
            kind, match=r"Times failed: a must not be 0, x has 2 elements\n(.|\n)*test_python_op.py:\d+"
        ):
            f([1.0, 2.0], 0.0)


def test_a_failure_without_an_exception_is_a_runtime_error():
    class Fails(Times):
        def c_code(self, node, name, inputs, outputs, sub):
            return sub["fail"]

    with pytest.raises(RuntimeError, match="Fails failed: .*it does not say why"):
        compiled(Fails())([1.0], 1.0)


def test_an_exception_that_was_set_and_not_raised_is_raised():
    class Forgets(Times):
        def c_code(self, node, name, inputs, outputs, sub):
            return 'PyErr_SetString(PyExc_KeyError, "forgotten");'

    with pytest.raises(KeyError, match="forgotten"):
        compiled(Forgets())([1.0], 1.0)


def test_an_output_that_is_left_empty_is_told():
    class Empty(Times):
        def c_code(self, node, name, inputs, outputs, sub):
            return ";"

    with pytest.raises(ComputeError, match="Empty left output 0 empty"):
        compiled(Empty())([1.0], 1.0)


def test_an_output_of_another_dtype_is_told():
    class Wrong(Times):
        def c_code(self, node, name, inputs, outputs, sub):
            return f"Py_XDECREF({outputs[0]}); npy_intp n = 1; " + (
                f"{outputs[0]} = (PyArrayObject *)PyArray_ZEROS(1, &n, NPY_INT32, 0);"
            )

    with pytest.raises(TypeError, match="must have dtype float64, but perform made int32"):
        compiled(Wrong())([1.0], 1.0)


def test_a_compiler_that_refuses_is_told_with_the_op_and_the_users_line(backend):
    class Wrong(Times):
        def c_code(self, node, name, inputs, outputs, sub):
            return "/* mine */\nundeclared = 3;"

    with pytest.raises(CompileError) as caught:
        compiled(Wrong(), backend=backend)
    assert "undeclared" in str(caught.value).splitlines()[0]
    assert "in c_code of Wrong" in str(caught.value) and "test_python_op.py" in str(caught.value)


def test_check_input_decides_whether_types_are_checked():
    node = Times()(X, A).owner
    cells = [[None]]
    with pytest.raises(TypeError, match="input 0 must be an aligned array of float64 with ndim=1"):
        in_c(node)(node, [np.zeros(3, "int8"), np.array(1.0)], cells)

    class Trusts(Times):
        check_input = False

    node = Trusts()(X, A).owner
    in_c(node)(node, [np.zeros(3, "int64"), np.array(1.0)], cells)
    assert_array_equal(cells[0][0], np.zeros(3))


# --- references -------------------------------------------------------------------------------------------------------


def references_after(calls, call, watched):
    """How many references the objects gained in so many calls."""
    call()
    gc.collect()
    before = [sys.getrefcount(one) for one in watched]
    for _ in range(calls):
        call()
    gc.collect()
    after = [sys.getrefcount(one) for one in watched]
    return [more - fewer for more, fewer in zip(after, before, strict=True)]


def lost(calls, call, watched):
    """What is left of so many calls: references to the objects, and blocks of Python's memory."""
    gains = references_after(calls, call, watched)
    before = sys.getallocatedblocks()
    for _ in range(calls):
        call()
    gc.collect()
    return gains, sys.getallocatedblocks() - before


def lost_by_one_op(a):
    node = Times()(X, A).owner
    perform, x, factor = in_c(node), np.arange(4.0), np.array(a)

    def call():
        cells = [[None]]
        try:
            perform(node, [x, factor], cells)
        except ValueError:
            return
        assert a

    return lost(10_000, call, [x, factor, x.dtype, np.dtype("float64"), None])


def lost_by_a_function(a):
    f = core.function([X, A], Times()(X + 1, A) + 1, backend="c")
    x, factor = np.arange(4.0), np.array(a)

    def call():
        try:
            f(x, factor)
        except ValueError:
            return
        assert a

    return lost(10_000, call, [x, factor])


@pytest.mark.parametrize("a", [2.0, 0.0], ids=["works", "fails"])
@pytest.mark.parametrize("measure", [lost_by_one_op, lost_by_a_function])
def test_nothing_is_lost_in_ten_thousand_calls(python, measure, a):
    """Counted in a process in which nothing else comes and goes."""
    program = f"""
        import sys
        sys.path.insert(0, {os.path.dirname(__file__)!r})
        import test_python_op as tests
        gains, blocks = tests.{measure.__name__}({a})
        print(blocks, *gains)
    """
    blocks, mine, factor, *everybodys = map(int, python(program).split())
    assert (mine, factor) == (0, 0)
    assert all(abs(gain) < 1000 for gain in (*everybodys, blocks))  # one lost in each call would be 10,000


def test_the_check_finds_a_leak():
    class Leaks(Times):
        def c_code(self, node, name, inputs, outputs, sub):
            return f"Py_INCREF({inputs[0]});" + super().c_code(node, name, inputs, outputs, sub)

    node = Leaks()(X, A).owner
    perform, x, factor = in_c(node), np.arange(4.0), np.array(2.0)
    assert references_after(1000, lambda: perform(node, [x, factor], [[None]]), [x]) == [1000]


# --- outputs that are used again --------------------------------------------------------------------------------------


class Where(Times):
    """Says where its output lies, and whether it was given one."""

    def c_code(self, node, name, inputs, outputs, sub):
        return f"const int given = {outputs[0]} != NULL;" + (
            super().c_code(node, name, inputs, outputs, sub) + f"*(double *)PyArray_GETPTR1({outputs[0]}, 0) = given;"
        )


def test_an_output_that_nobody_has_any_more_is_filled_again(backend):
    f = compiled(Where(), backend="interpreter")
    assert [float(f([0.0], 1.0)[0]) for _ in range(3)] == [0, 1, 1]
    assert float(f([0.0, 0.0], 1.0)[0]) == 1


def test_an_output_that_somebody_has_is_left_alone():
    f = compiled(Where(), backend="interpreter")
    first = f([0.0], 1.0)
    view = f([0.0], 1.0)[:]
    assert (first[0], view[0]) == (0, 0)
    f([5.0], 1.0)
    assert (first[0], view[0]) == (0, 0)


def test_an_output_may_be_its_input(backend):
    class Same(core.COp):
        __props__ = ()
        view_map = {0: [0]}

        def make_node(self, x):
            return core.Apply(self, [x], [x.type()])

        def c_code(self, node, name, inputs, outputs, sub):
            return f"Py_XDECREF({outputs[0]}); Py_INCREF({inputs[0]}); {outputs[0]} = {inputs[0]};"

    f = core.function([X], [Same()(X), Same()(X + 1)], backend=backend)
    x = np.arange(3.0)
    for _ in range(3):
        first, second = f(x)
        assert_array_equal(first, x)
        assert_array_equal(second, x + 1)
        assert not np.shares_memory(first, x)
        first += 10


def test_without_headers_of_python_it_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(python_op.sysconfig, "get_path", lambda name: str(tmp_path))
    with pytest.raises(BackendError, match=r"Times needs Python's headers, and there is no .*; install them"):
        compiled(Times())
