"""Ops for Python's C-API: their state, parameters and files, how they were written for Theano, and the debug mode."""

import gc
import sys
import weakref

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import core
import core.tensor as ct
from core.dtypes import promote
from core.errors import ArgumentError, ContractError

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
