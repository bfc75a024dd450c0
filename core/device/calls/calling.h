/* What all modules that call compiled functions have in common: the object that is called, cells of shared variables,
 * and how results are laid out.  Python gives it as core.compile.calling has it, with ``layout`` as core.cells counts it.
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

#define TEXT_OF(name) #name
#define AS_TEXT(name) TEXT_OF(name)

typedef enum { ONE, LIST, TUPLE, NONE, DICT } Layout;

enum { MOST_AT_HAND = 4 /* as core.compile.executable has it */ };

typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    PyObject *current;        /* [executable, ...]: the first that fits is called */
    PyObject *slow_path;      /* takes the same arguments */
    PyObject *reads, *writes; /* tuples of cells, which are lists [value] */
    PyObject *keys;           /* of a dict of outputs */
    Layout layout;
    Py_ssize_t n_args, n_results;
} Calling;

/* What the call returns, of its results, which stay the caller's; NULL with an exception. */
static PyObject *laid_out(const Calling *self, PyObject *const *results)
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
static int written(const Calling *self, PyObject *const *values)
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

static int are_cells(PyObject *cells)
{
    for (Py_ssize_t k = 0; k < PyTuple_GET_SIZE(cells); k++)
        if (!PyList_CheckExact(PyTuple_GET_ITEM(cells, k))) {
            PyErr_SetString(PyExc_TypeError, "the cell of a shared variable must be a list");
            return 0;
        }
    return 1;
}

/* A new object of a type that begins with Calling; ``more``: what follows what all have, or NULL. */
static Calling *new_calling(PyTypeObject *type, PyObject *args, vectorcallfunc vectorcall, PyObject **more)
{
    PyObject *current, *slow_path, *reads, *writes, *keys, *rest = NULL;
    Py_ssize_t n_args, n_results;
    int layout;
    if (!PyArg_ParseTuple(args, more ? "O!OO!O!iO!nnO" : "O!OO!O!iO!nn", &PyList_Type, &current, &slow_path,
            &PyTuple_Type, &reads, &PyTuple_Type, &writes, &layout, &PyTuple_Type, &keys, &n_args, &n_results, &rest)
        || !are_cells(reads) || !are_cells(writes))
        return NULL;
    const Py_ssize_t needed[] = {1, n_results, n_results, 0, PyTuple_GET_SIZE(keys)};
    if (layout < ONE || layout > DICT || n_results < 0 || n_results != needed[layout]) {
        PyErr_Format(PyExc_ValueError, "%zd results cannot have layout %d", n_results, layout);
        return NULL;
    }
    Calling *self = (Calling *)type->tp_alloc(type, 0);
    if (!self)
        return NULL;
    self->vectorcall = vectorcall;
    self->current = Py_NewRef(current);
    self->slow_path = Py_NewRef(slow_path);
    self->reads = Py_NewRef(reads);
    self->writes = Py_NewRef(writes);
    self->keys = Py_NewRef(keys);
    self->layout = (Layout)layout;
    self->n_args = n_args;
    self->n_results = n_results;
    if (more)
        *more = rest;
    return self;
}

static int visit_calling(Calling *self, visitproc visit, void *arg)
{
    Py_VISIT(self->current);
    Py_VISIT(self->slow_path);
    Py_VISIT(self->reads);
    Py_VISIT(self->writes);
    Py_VISIT(self->keys);
    return 0;
}

static void clear_calling(Calling *self)
{
    Py_XDECREF(self->current);
    Py_XDECREF(self->slow_path);
    Py_XDECREF(self->reads);
    Py_XDECREF(self->writes);
    Py_XDECREF(self->keys);
}
