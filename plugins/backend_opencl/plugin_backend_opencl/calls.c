/* Calls from Python to the driver without Python in between: those of functions whose results stay on the device, for
 * lengths that were met before.  Arguments are checked, those of the host are copied to where the device reads them,
 * kernels are queued, and the cells of shared variables get arrays that the queue will fill.  Whatever is unusual
 * (keywords, other types or lengths, an error of the driver, a device that another thread is using, ...) is left to the
 * slow path, a Python callable that gets the same arguments: kernels change nothing but their own outputs, so they can
 * be queued again.  calls.py makes these objects.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>
#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#define NPY_TARGET_VERSION NPY_2_0_API_VERSION
#include <numpy/arrayobject.h>

#ifdef Py_GIL_DISABLED
#error "cells and reference counts are read under the lock that this Python lacks"
#endif

#include "calls_classes.h"
#include "calls_recording.h"
#include "calls_made.h"

typedef enum { ONE, LIST, TUPLE, NONE, DICT } Layout;

enum { MOST_AT_HAND = 4 /* as core.compile.executable has it */ };

typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    PyObject *current;        /* [executable, ...]: the first with a recording that fits is called */
    PyObject *slow_path;      /* takes the same arguments */
    PyObject *reads, *writes; /* tuples of cells, which are lists [value] */
    PyObject *keys;           /* of a dict of outputs */
    Layout layout;
    Py_ssize_t n_args, n_results;
} Call;

/* --- a call ------------------------------------------------------------------------------------------------------- */

/* The inputs of a recording, borrowed, and which must be copied from the host: 0 where one is of another kind. */
static int gathered(
    const Call *self, const Recording *recording, PyObject *const *args, PyObject **items, char *from_host)
{
    for (Py_ssize_t k = 0; k < recording->n_inputs; k++) {
        const Input *input = &recording->inputs[k];
        from_host[k] = 0;
        if (k < self->n_args) {
            items[k] = args[k];
            if (is_host_array(input, recording->copies, args[k])) {
                from_host[k] = input->is_read;
                continue;
            }
        } else {
            PyObject *cell = PyTuple_GET_ITEM(self->reads, k - self->n_args);
            if (PyList_GET_SIZE(cell) < 1)
                return 0;
            items[k] = PyList_GET_ITEM(cell, 0);
        }
        if (!is_device_array(input, recording->space, items[k]))
            return 0;
    }
    return 1;
}

/* What the call returns, of its results; NULL with an exception. */
static PyObject *laid_out(const Call *self, PyObject *const *results)
{
    PyObject *all = NULL;
    switch (self->layout) {
    case ONE:
        return Py_NewRef(results[0]);
    case NONE:
        return Py_NewRef(Py_None);
    case DICT:
        all = PyDict_New();
        for (Py_ssize_t k = 0; all && k < self->n_results; k++)
            if (PyDict_SetItem(all, PyTuple_GET_ITEM(self->keys, k), results[k]) < 0)
                Py_CLEAR(all);
        return all;
    case LIST:
        all = PyList_New(self->n_results);
        for (Py_ssize_t k = 0; all && k < self->n_results; k++)
            PyList_SET_ITEM(all, k, Py_NewRef(results[k]));
        return all;
    case TUPLE:
        all = PyTuple_New(self->n_results);
        for (Py_ssize_t k = 0; all && k < self->n_results; k++)
            PyTuple_SET_ITEM(all, k, Py_NewRef(results[k]));
    }
    return all;
}

/* Put new values into the cells, all at once: 0 where a cell is no cell any more. */
static int written(const Call *self, PyObject *const *values)
{
    const Py_ssize_t n = PyTuple_GET_SIZE(self->writes);
    PyObject *old[n + 1];
    for (Py_ssize_t k = 0; k < n; k++)
        if (PyList_GET_SIZE(PyTuple_GET_ITEM(self->writes, k)) < 1)
            return 0;
    for (Py_ssize_t k = 0; k < n; k++) {
        PyObject *cell = PyTuple_GET_ITEM(self->writes, k);
        old[k] = PyList_GET_ITEM(cell, 0);
        PyList_SET_ITEM(cell, 0, Py_NewRef(values[k]));
    }
    for (Py_ssize_t k = 0; k < n; k++)
        Py_DECREF(old[k]); /* which may run code */
    return 1;
}

/* NULL without an exception: leave it to another recording or to the slow path. */
static PyObject *run(const Call *self, Recording *recording, PyObject *const *args)
{
    PyObject *items[recording->n_inputs + 1], *made[recording->n_outputs + 1], *result = NULL;
    char from_host[recording->n_inputs + 1];
    Stage *stage = NULL;
    int other_code_ran = 0, queued = 0;
    if (recording->n_inputs != self->n_args + PyTuple_GET_SIZE(self->reads)
        || recording->n_results != self->n_results + PyTuple_GET_SIZE(self->writes)
        || !gathered(self, recording, args, items, from_host) || !is_locked(recording))
        return NULL;
    const Py_ssize_t picked = pick_outputs(recording, made, &other_code_ran);
    if (picked == recording->n_outputs && !are_travelling(made, picked)
        && pick_stage(recording, from_host, &stage, &other_code_ran)
        && (!other_code_ran || gathered(self, recording, args, items, from_host)))
        queued = queue(recording, items, from_host, made, stage);
    if (stage)
        stage->is_taken = 0;
    unlock(recording);
    if (queued) {
        PyObject *results[recording->n_results + 1];
        for (Py_ssize_t k = 0; k < recording->n_results; k++)
            results[k] = made[recording->results[k]];
        if ((result = laid_out(self, results)) && !written(self, results + self->n_results))
            Py_CLEAR(result);
    }
    for (Py_ssize_t k = 0; k < picked; k++)
        Py_DECREF(made[k]);
    if (!result && PyErr_Occurred() && PyErr_ExceptionMatches(PyExc_MemoryError))
        PyErr_Clear(); /* the slow path holds less, and says who needs it */
    return result;
}

/* The same for the recordings of one executable. */
static PyObject *run_any(const Call *self, PyObject *executable, PyObject *const *args)
{
    PyObject *recordings = PyObject_GetAttr(executable, name_of_recordings), *result = NULL;
    if (recordings && PyList_CheckExact(recordings))
        for (Py_ssize_t k = PyList_GET_SIZE(recordings); k-- > 0 && !result && !PyErr_Occurred();) {
            if (k >= PyList_GET_SIZE(recordings) || !Py_IS_TYPE(PyList_GET_ITEM(recordings, k), &RecordingType))
                break; /* code that ran has changed them */
            PyObject *recording = Py_NewRef(PyList_GET_ITEM(recordings, k));
            result = run(self, (Recording *)recording, args);
            Py_DECREF(recording);
        }
    Py_XDECREF(recordings);
    return result;
}

static PyObject *call_vectorcall(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *names)
{
    Call *self = (Call *)callable;
    const Py_ssize_t n = PyVectorcall_NARGS(nargsf);
    if (n == self->n_args && (!names || PyTuple_GET_SIZE(names) == 0))
        for (Py_ssize_t k = 0; k < PyList_GET_SIZE(self->current) && k < MOST_AT_HAND; k++) {
            PyObject *executable = Py_NewRef(PyList_GET_ITEM(self->current, k));
            PyObject *result = run_any(self, executable, args);
            Py_DECREF(executable);
            if (result || PyErr_Occurred())
                return result;
        }
    return PyObject_Vectorcall(self->slow_path, args, (size_t)n, names);
}

static int are_cells(PyObject *cells)
{
    for (Py_ssize_t k = 0; k < PyTuple_GET_SIZE(cells); k++)
        if (!PyList_CheckExact(PyTuple_GET_ITEM(cells, k))) {
            PyErr_SetString(PyExc_TypeError, "the cell of a shared variable must be a list");
            return 0;
        }
    return 1;
}

static PyObject *call_new(PyTypeObject *type, PyObject *args, PyObject *named)
{
    PyObject *current, *slow_path, *reads, *writes, *keys;
    Py_ssize_t n_args, n_results;
    int layout;
    if (!PyArg_ParseTuple(args, "O!OO!O!iO!nn", &PyList_Type, &current, &slow_path, &PyTuple_Type, &reads,
            &PyTuple_Type, &writes, &layout, &PyTuple_Type, &keys, &n_args, &n_results)
        || !are_cells(reads) || !are_cells(writes))
        return NULL;
    const Py_ssize_t needed[] = {1, n_results, n_results, 0, PyTuple_GET_SIZE(keys)};
    if (layout < ONE || layout > DICT || n_results < 0 || n_results != needed[layout])
        return PyErr_Format(PyExc_ValueError, "%zd results cannot have layout %d", n_results, layout);
    Call *self = (Call *)type->tp_alloc(type, 0);
    if (!self)
        return NULL;
    self->vectorcall = call_vectorcall;
    self->current = Py_NewRef(current);
    self->slow_path = Py_NewRef(slow_path);
    self->reads = Py_NewRef(reads);
    self->writes = Py_NewRef(writes);
    self->keys = Py_NewRef(keys);
    self->layout = (Layout)layout;
    self->n_args = n_args;
    self->n_results = n_results;
    return (PyObject *)self;
}

static int call_traverse(Call *self, visitproc visit, void *arg)
{
    Py_VISIT(self->current);
    Py_VISIT(self->slow_path);
    Py_VISIT(self->reads);
    Py_VISIT(self->writes);
    Py_VISIT(self->keys);
    return 0;
}

static void call_dealloc(Call *self)
{
    PyObject_GC_UnTrack(self);
    Py_XDECREF(self->current);
    Py_XDECREF(self->slow_path);
    Py_XDECREF(self->reads);
    Py_XDECREF(self->writes);
    Py_XDECREF(self->keys);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyTypeObject CallType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "core_opencl_calls.Call",
    .tp_doc = "Queues a recording that fits, or calls the slow path with the same arguments.",
    .tp_basicsize = sizeof(Call),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL,
    .tp_vectorcall_offset = offsetof(Call, vectorcall),
    .tp_call = PyVectorcall_Call,
    .tp_new = call_new,
    .tp_traverse = (traverseproc)call_traverse,
    .tp_dealloc = (destructor)call_dealloc,
};

/* --- the module --------------------------------------------------------------------------------------------------- */

static PyMethodDef functions[] = {
    {"know_classes", know_classes, METH_VARARGS, "Set the classes of arrays, memory and blocks: their slots are read."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "core_opencl_calls", "Calls that queue kernels.", -1, functions, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_core_opencl_calls(void)
{
    import_array();
    PyObject *module = PyModule_Create(&definition);
    name_of_recordings = PyUnicode_InternFromString("recordings");
    name_of_queued = PyUnicode_InternFromString("queued");
    if (!module || !name_of_recordings || !name_of_queued || PyModule_AddType(module, &RecordingType) < 0
        || PyModule_AddType(module, &CallType) < 0) {
        Py_XDECREF(module);
        return NULL;
    }
    return module;
}
