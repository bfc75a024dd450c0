"""Ops whose author wrote C for Python's and NumPy's C-API."""

import gc
import sys
import warnings
import weakref

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import core
import core.tensor as ct
from core.compile.alone import in_c
from core.dtypes import promote
from core.errors import ArgumentError, BackendError, CompileError, ComputeError, ContractError
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


def arrays_alive():
    gc.collect()
    return sum(isinstance(one, np.ndarray) for one in gc.get_objects()), sys.getallocatedblocks()


@pytest.mark.parametrize("a", [2.0, 0.0], ids=["works", "fails"])
def test_no_reference_is_lost_in_ten_thousand_calls(a):
    node = Times()(X, A).owner
    perform, x, factor = in_c(node), np.arange(4.0), np.array(a)

    def call():
        cells = [[None]]
        try:
            perform(node, [x, factor], cells)
        except ValueError:
            return
        assert a

    gains = references_after(10_000, call, [x, factor, x.dtype, np.dtype("float64"), None])
    assert gains[:2] == [0, 0]
    assert all(abs(gain) < 100 for gain in gains[2:])
    before = arrays_alive()[1]
    for _ in range(10_000):
        call()
    assert arrays_alive()[1] - before < 200


@pytest.mark.parametrize("a", [2.0, 0.0], ids=["works", "fails"])
def test_a_compiled_function_loses_no_memory_either(a):
    f = core.function([X, A], Times()(X + 1, A) + 1, backend="c")
    x, factor = np.arange(4.0), np.array(a)

    def call():
        try:
            f(x, factor)
        except ValueError:
            return

    assert references_after(1000, call, [x, factor]) == [0, 0]
    before = arrays_alive()[1]
    for _ in range(1000):
        call()
    assert arrays_alive()[1] - before < 200


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


# --- state, parameters, files -----------------------------------------------------------------------------------------


class Counter(core.COp):
    """How often a function was called: the state is the function's own."""

    __props__ = ()

    def make_node(self, x):
        return core.Apply(self, [ct.as_tensor(x)], [ct.TensorType("int64", 0)])

    def c_support_code_struct(self, node, name):
        return "static PyObject *count;"

    def c_init_code_struct(self, node, name, sub):
        return f"count = PyLong_FromLong(0); if (!count) {sub['fail']}"

    def c_cleanup_code_struct(self, node, name):
        return 'PyObject *sys = PySys_GetObject("core_test_log"); if (sys) PyList_Append(sys, count); Py_CLEAR(count);'

    def c_code(self, node, name, inputs, outputs, sub):
        return f"""
            PyObject *more = PyLong_FromLong(PyLong_AsLong(count) + 1);
            if (!more) {sub["fail"]}
            Py_SETREF(count, more);
            Py_XDECREF({outputs[0]});
            {outputs[0]} = (PyArrayObject *)PyArray_ZEROS(0, NULL, NPY_INT64, 0);
            if (!{outputs[0]}) {sub["fail"]}
            *(npy_int64 *)PyArray_DATA({outputs[0]}) = PyLong_AsLong(count);
        """


def test_state_belongs_to_one_function_and_ends_with_it(monkeypatch):
    log = []
    monkeypatch.setattr(sys, "core_test_log", log, raising=False)
    f, g = (core.function([X], Counter()(X), backend="c") for _ in range(2))
    assert [int(f([1.0])) for _ in range(3)] == [1, 2, 3]
    assert int(g([1.0])) == 1
    assert int(f([1.0])) == 4
    alive = weakref.ref(f)
    del f
    gc.collect()
    assert alive() is None and log == [4]


def test_parameters_are_there_when_state_begins():
    class Begins(Counter):
        params_type = {"first": "int64"}
        first = 40

        def c_init_code_struct(self, node, name, sub):
            return f"count = PyLong_FromLongLong({sub['params']}->first);"

    assert int(core.function([X], Begins()(X), backend="c")([1.0])) == 41


def test_what_fails_in_the_beginning_is_raised():
    class Fails(Counter):
        def c_init_code_struct(self, node, name, sub):
            return f'PyErr_SetString(PyExc_LookupError, "no device"); {sub["fail"]}'

    with pytest.raises(LookupError, match="no device"):
        core.function([X], Fails()(X), backend="c")


class Scaled(core.COp):
    """x * factor with the factor handed over at run time."""

    __props__ = ("factor",)
    params_type = {"factor": "float64"}

    def __init__(self, factor):
        self.factor = factor

    def make_node(self, x):
        return core.Apply(self, [ct.as_tensor(x)], [x.type()])

    def c_headers(self):
        return ["<math.h>"]

    def c_libraries(self):
        return ["m"]

    def c_support_code_apply(self, node, name):
        return f"static double scaled_{name}(double x, const PARAMS_TYPE *p) {{ return floor(x) * p->factor; }}"

    def c_code(self, node, name, inputs, outputs, sub):
        return f"""
            Py_XDECREF({outputs[0]});
            {outputs[0]} = (PyArrayObject *)PyArray_NewLikeArray({inputs[0]}, NPY_CORDER, NULL, 0);
            if (!{outputs[0]}) {sub["fail"]}
            for (npy_intp i = 0; i < PyArray_SIZE({inputs[0]}); i++)
                ((double *)PyArray_DATA({outputs[0]}))[i]
                    = scaled_{name}(*(double *)PyArray_GETPTR1({inputs[0]}, i), {sub["params"]});
        """


def test_parameters_are_handed_over_at_run_time(backend, tmp_path):
    with core.config.override(cache_dir=str(tmp_path)):
        f, g = (core.function([X], Scaled(factor)(X), backend=backend) for factor in (2.0, 3.0))
        assert_array_equal(f([1.5, 2.5]), [2, 4])
        assert_array_equal(g([1.5, 2.5]), [3, 6])
        texts = [path.read_text() for path in tmp_path.rglob("*.c")]
        assert sum("static double scaled_" in text for text in texts) == 1


def test_version_none_is_never_kept_on_disk(tmp_path):
    class Unkept(Scaled):
        def c_code_cache_version_apply(self, node):
            return None

    with core.config.override(cache_dir=str(tmp_path)):
        assert_array_equal(core.function([X], Unkept(2.0)(X), backend="interpreter")([1.5]), [2])
    assert not any("static double scaled_" in path.read_text() for path in tmp_path.rglob("*.c"))


class Ported(core.COp):
    """Written as people wrote ops for Theano: text with %, types by number, bool without a header."""

    __props__ = ()

    def make_node(self, x, y):
        x, y = ct.as_tensor(x), ct.as_tensor(y)
        return core.Apply(self, [x, y], [ct.TensorType(promote(x.dtype, y.dtype), 1)()])

    def c_support_code(self):
        return """
        bool vector_same_shape(PyArrayObject* arr1, PyArrayObject* arr2)
        {
            return (PyArray_DIMS(arr1)[0] == PyArray_DIMS(arr2)[0]);  // both are vectors
        }
        """

    def c_code_cache_version(self):
        return (1, 0)

    def c_code(self, node, name, inp, out, sub):
        x, y = inp
        (z,) = out
        dtype_x, dtype_y, dtype_z = (v.type.dtype_specs()[1] for v in (*node.inputs, *node.outputs))
        typenum_z = node.outputs[0].type.dtype_specs()[2]
        fail = sub["fail"]
        return """
        if (!vector_same_shape(%(x)s, %(y)s)) {
            PyErr_Format(PyExc_ValueError, "Shape mismatch");
            %(fail)s;
        }
        if (NULL == %(z)s || !vector_same_shape(%(x)s, %(z)s)) {
            Py_XDECREF(%(z)s);
            %(z)s = (PyArrayObject*)PyArray_EMPTY(1, PyArray_DIMS(%(x)s), %(typenum_z)s, 0);
            if (!%(z)s) {
                %(fail)s;
            }
        }
        for (int i = 0; i < PyArray_DIMS(%(x)s)[0]; i++)
            ((%(dtype_z)s*)PyArray_DATA(%(z)s))[i] = *(%(dtype_x)s*)PyArray_GETPTR1(%(x)s, i)
                                                     * *(%(dtype_y)s*)PyArray_GETPTR1(%(y)s, i);
        """ % locals()  # noqa: UP031


def test_an_op_in_the_manner_of_theano(backend):
    y = ct.ivector("y")
    f = core.function([X, y], Ported()(X, y), backend=backend)
    assert_array_equal(f([1.0, 2.0], np.array([3, 4], "int32")), [3, 8])
    with pytest.raises(ValueError, match="Ported failed: Shape mismatch"):
        f([1.0, 2.0], np.array([3], "int32"))


VECTORS = """
#section support_code
static int ready;

#section init_code
ready = 1;

#section support_code_apply
static int APPLY_SPECIFIC(multiply)(PyArrayObject *x, PyArrayObject *a, PyArrayObject **y)
{
    npy_intp n = PyArray_DIM(x, 0);
    if (!ready) {
        PyErr_SetString(PyExc_RuntimeError, "not ready");
        return 1;
    }
    Py_XDECREF(*y);
    *y = (PyArrayObject *)PyArray_EMPTY(1, &n, TYPENUM_OUTPUT_0, 0);
    if (!*y) return 1;
    for (npy_intp i = 0; i < n; i++) {
        const DTYPE_INPUT_0 factor = *(DTYPE_INPUT_1 *)PyArray_DATA(a);
        if (factor == 0) {
            PyErr_SetString(PyExc_ZeroDivisionError, "a must not be 0");
            return 1;
        }
        *(DTYPE_OUTPUT_0 *)PyArray_GETPTR1(*y, i) = factor * *(DTYPE_INPUT_0 *)PyArray_GETPTR1(x, i);
    }
    return 0;
}
"""
PLAIN = """
#section support_code_apply
static int APPLY_SPECIFIC(multiply)(const double *x, const int64_t *x_shape, const double *a, const int64_t *a_shape,
                                    double *y, const int64_t *y_shape, int64_t *core_report)
{
    if (*a == 0) {
        core_error(ZeroDivisionError, "a must not be 0");
        return 1;
    }
    for (int64_t i = 0; i < y_shape[0]; i++) y[i] = x[i] * *a;
    return 0;
}
"""
SECTION = """
#section code
if (INPUT_1[0] == 0) { core_error(ZeroDivisionError, "a must not be 0"); FAIL }
for (int64_t i = 0; i < INPUT_0_LENGTH; i++) OUTPUT_0[i] = INPUT_0[i] * *INPUT_1;
#section code_cleanup
OUTPUT_0[0] += 0;
""".replace("INPUT_0_LENGTH", "ITEMSIZE_INPUT_0 / 4")


def external(tmp_path, text, func_name="multiply", plain=False):
    path = tmp_path / "vectors.c"
    path.write_text(text)

    class External(core.ExternalCOp):
        __props__ = ()
        c_api = "c" if plain else "python"

        def __init__(self):
            super().__init__(path, func_name)

        make_node = Times.make_node

        def infer_shape(self, node, input_shapes):
            return [input_shapes[0]]

    return External()


@pytest.mark.parametrize(
    "text, name, plain",
    [(VECTORS, "multiply", False), (VECTORS, "APPLY_SPECIFIC(multiply)", False), (PLAIN, "multiply", True)]
    + [(SECTION, None, True)],
)
def test_c_may_be_in_a_file_of_its_own(backend, tmp_path, text, name, plain):
    op = external(tmp_path, text, name, plain)
    f = core.function([X, A], op(X, A) + op(X + 1, A), backend=backend)
    assert_array_equal(f([1.0, 2.0], 3.0), [9, 15])
    with pytest.raises(ZeroDivisionError, match="External failed: .*a must not be 0"):
        f([1.0, 2.0], 0.0)


@pytest.mark.parametrize(
    "text, message",
    [
        ("#section cod\n;", r"no section 'cod', there are .* Did you mean 'code'\?"),
        ("int x;\n#section code\n;", "#section must stand before the first code"),
        ("/* a licence */\n#section support_code\n;", "External needs either func_name or a section code in vectors.c"),
    ],
)
def test_a_file_that_means_nothing_is_refused(tmp_path, text, message):
    with pytest.raises(ArgumentError, match=message):
        external(tmp_path, text, None)


def test_a_file_that_is_not_there_is_told():
    class Lost(core.ExternalCOp):
        __props__ = ()

    with pytest.raises(ArgumentError, match="Lost needs the C file lost.c, and there is no .*lost.c"):
        Lost("lost.c")


def test_without_headers_of_python_it_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(python_op.sysconfig, "get_path", lambda name: str(tmp_path))
    with pytest.raises(BackendError, match=r"Times needs Python's headers, and there is no .*; install them"):
        compiled(Times())


# --- mode "debug" -----------------------------------------------------------------------------------------------------


class InPlace(core.COp):
    """x + 1 in the memory of x."""

    __props__ = ()
    destroy_map = {0: [0]}

    def make_node(self, x):
        return core.Apply(self, [x], [x.type()])

    def c_code(self, node, name, inputs, outputs, sub):
        (x,), (y,) = inputs, outputs
        return f"""
            for (npy_intp i = 0; i < PyArray_DIM({x}, 0); i++) *(double *)PyArray_GETPTR1({x}, i) += 1;
            Py_XDECREF({y});
            Py_INCREF({x});
            {y} = {x};
        """


class Undeclared(InPlace):
    destroy_map = {}


class View(core.COp):
    """The first two elements, in the memory of x."""

    __props__ = ()
    view_map = {0: [0]}
    make_node = InPlace.make_node

    def c_code(self, node, name, inputs, outputs, sub):
        (x,), (y,) = inputs, outputs
        return f"""
            Py_XDECREF({y});
            {y} = (PyArrayObject *)PySequence_GetSlice((PyObject *){x}, 0, 2);
            if (!{y}) {sub["fail"]}
        """


class UndeclaredView(View):
    view_map = {}


@pytest.mark.parametrize("op, expected", [(InPlace(), [2, 3, 4]), (View(), [1, 2])])
def test_an_op_that_says_what_it_does_passes_the_debug_mode(backend, op, expected):
    x = np.arange(1.0, 4.0)
    for mode in ("debug", "fast_run"):
        f = core.function([X], [op(X), X + 0], mode=mode, backend=backend)
        out, same = f(x)
        assert_array_equal(out, expected)
        assert_array_equal(same, [1, 2, 3])
        assert_array_equal(x, [1, 2, 3])


def test_the_debug_mode_finds_an_input_that_is_overwritten():
    with pytest.raises(ContractError, match="c_code of Undeclared overwrites its input 0, but destroy_map"):
        core.function([X], Undeclared()(X), mode="debug", backend="c")([1.0, 2.0])


def test_the_debug_mode_finds_a_view():
    with pytest.raises(ContractError, match="c_code of UndeclaredView returns memory of its input 0 as output 0"):
        core.function([X], UndeclaredView()(X), mode="debug", backend="c")([1.0, 2.0])
