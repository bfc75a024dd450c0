/* Calls compiled programs from Python without Python in between: arguments that are plain arrays, and the cells of
 * shared variables, go to a program's entry function; its outputs come back as arrays.  Whatever is unusual (keywords,
 * other types of arrays, a layout or a guard that no program fits, ...) is left to the slow path, a Python callable that gets the
 * same arguments: a program changes nothing but its own outputs, so it can be run again.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#define NPY_TARGET_VERSION NPY_2_0_API_VERSION
#include <numpy/arrayobject.h>
#include <numpy/arrayscalars.h>
#include <float.h>

#ifdef Py_GIL_DISABLED
#error "the cell of a shared variable is read and written under the lock that this Python lacks"
#endif
_Static_assert(sizeof(npy_intp) == sizeof(int64_t), "the entry function's lengths must be those of NumPy");

#include "memory.h"
#include "launcher_memory.h"
#include "pool.h"
#include "launcher_layout.h"
#include "launcher_numbers.h"
#include "launcher_program.h"
#include "launcher_threads.h"
#include "launcher_callable.h"

/* --- a call ------------------------------------------------------------------------------------------------------- */

typedef enum { ONE, LIST, TUPLE, NONE, DICT } Layout;

enum { MOST_AT_HAND = 4, SMALL_COPY = 1 << 14 /* bytes, as core.compile.executable has them */ };

typedef struct {
    PyObject *executable;
    Program *program; /* of ``executable``; NULL: it has none that fits */
} Known;

typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    PyObject *current;        /* [executable, ...]: the first that fits is called */
    PyObject *slow_path;      /* takes the same arguments */
    PyObject *reads, *writes; /* tuples of cells, which are lists [value] */
    PyObject *keys;           /* of a dict of outputs */
    Layout layout;
    Py_ssize_t n_args, n_results;
    npy_intp *lengths; /* of the arguments, one after the other, -1: any; NULL: any at all */
    int numbers;       /* whether numbers may stand for arguments without axes */
    Known known[MOST_AT_HAND]; /* of ``current`` */
} Call;

/* What a call offers to its program. */
typedef struct {
    CoreCall offered; /* stands first: a program gives it back */
    PyThreadState *released;
    PyObject *error, *about, *trace; /* what went wrong while threads were counted: raised when the program is done */
    const Call *self;
    const Program *program;
    PyObject **inputs;
    void **given; /* for each output that is made: the memory of the shared value that it replaces, or NULL */
    int taken;    /* whether those values are out of their cells */
} Offer;

static PyObject *taken; /* stands in the cell of a shared variable while its value is written over */

static void *call_memory(CoreCall *call, void *block, int64_t size)
{
    const int locked = !((Offer *)call)->released;
    if (!block)
        return get_block((size_t)size, locked);
    give_block(block, (size_t)size, locked);
    return NULL;
}

/* The cell of the shared variable whose value an output replaces, if it is that very variable; else NULL. */
static PyObject *cell_of(const Call *self, const Donor *donor)
{
    if (donor->output < self->n_results || donor->input < self->n_args)
        return NULL;
    PyObject *cell = PyTuple_GET_ITEM(self->writes, donor->output - self->n_results);
    return cell == PyTuple_GET_ITEM(self->reads, donor->input - self->n_args) ? cell : NULL;
}

/* Give away the values that nobody but their cell and this call holds: nobody will miss what was in them. */
static void give_away(Offer *offer)
{
    for (Py_ssize_t k = 0; k < offer->program->n_donors; k++) {
        const Donor *donor = &offer->program->donors[k];
        PyObject *cell = cell_of(offer->self, donor), *value = offer->inputs[donor->input];
        const PyArrayObject_fields *array = (PyArrayObject_fields *)value;
        const int alone = cell && PyList_GET_SIZE(cell) == 1 && PyList_GET_ITEM(cell, 0) == value && Py_REFCNT(value) == 2
            && !array->base && !array->weakreflist
            && PyArray_CHKFLAGS((PyArrayObject *)value, NPY_ARRAY_OWNDATA | NPY_ARRAY_WRITEABLE);
        offer->given[donor->made] = alone ? array->data : NULL;
    }
    offer->offered.given = offer->given;
}

/* While others run, what is written over is out of its cell: who wants it waits (core/cells.py). */
static void take_out(Offer *offer)
{
    for (Py_ssize_t k = 0; k < offer->program->n_donors; k++) {
        const Donor *donor = &offer->program->donors[k];
        if (offer->given[donor->made])
            PyList_SET_ITEM(cell_of(offer->self, donor), 0, Py_NewRef(taken));
    }
    offer->taken = 1;
}

/* Put back what was taken out, unless somebody has set another value meanwhile. */
static void put_back(Offer *offer)
{
    for (Py_ssize_t k = 0; k < offer->program->n_donors; k++) {
        const Donor *donor = &offer->program->donors[k];
        if (!offer->given[donor->made])
            continue;
        PyObject *cell = cell_of(offer->self, donor), *value = offer->inputs[donor->input];
        if (PyList_GET_SIZE(cell) && Py_IS_TYPE(PyList_GET_ITEM(cell, 0), Py_TYPE(taken))) {
            PyObject *mark = PyList_GET_ITEM(cell, 0);
            PyList_SET_ITEM(cell, 0, value);
            Py_DECREF(mark);
        } else
            Py_DECREF(value);
    }
}

/* Much work follows: others need not wait for it. */
static void call_busy(CoreCall *call)
{
    Offer *offer = (Offer *)call;
    if (count_threads) {
        const long threads = number_of_threads();
        if (PyErr_Occurred())
            PyErr_Fetch(&offer->error, &offer->about, &offer->trace);
        else if (threads > 0)
            call->threads = threads;
    }
    if (offer->given) { /* others may have run while threads were counted */
        give_away(offer);
        if (offer->error || !taken)
            offer->offered.given = NULL;
        else
            take_out(offer);
    }
    offer->released = PyEval_SaveThread();
}

/* An array that owns ``block``; NULL with an exception, and then the block is given back. */
static PyObject *array_of(const Kind *kind, const int64_t *lengths, void *block)
{
    int empty = 0;
    for (int axis = 0; axis < kind->ndim; axis++)
        empty |= lengths[axis] == 0;
    if (empty) { /* NumPy takes such an array for larger than its block */
        give_block(block, 0, 1);
        block = NULL;
    }
    Py_INCREF(kind->dtype);
    PyObject *array = PyArray_NewFromDescr(&PyArray_Type, kind->dtype, kind->ndim, (npy_intp const *)lengths, NULL,
        block, block ? NPY_ARRAY_CARRAY : 0, NULL);
    if (!array)
        free(block);
    else if (block) {
        ((PyArrayObject_fields *)array)->mem_handler = Py_NewRef(handler_capsule);
        PyArray_ENABLEFLAGS((PyArrayObject *)array, NPY_ARRAY_OWNDATA);
    }
    return array;
}

static void forget(PyObject **objects, Py_ssize_t count)
{
    for (Py_ssize_t k = 0; k < count; k++)
        Py_XDECREF(objects[k]);
}

/* Results from here on belong to the array ``results``; what is moved out of it leaves NULL. */
static PyObject *laid_out(const Call *self, PyObject **results)
{
    PyObject *all = NULL;
    switch (self->layout) {
    case ONE:
        all = results[0];
        results[0] = NULL;
        break;
    case NONE:
        all = Py_NewRef(Py_None);
        break;
    case DICT:
        all = PyDict_New();
        for (Py_ssize_t k = 0; all && k < self->n_results; k++)
            if (PyDict_SetItem(all, PyTuple_GET_ITEM(self->keys, k), results[k]) < 0)
                Py_CLEAR(all);
        break;
    case LIST:
        if ((all = PyList_New(self->n_results)))
            for (Py_ssize_t k = 0; k < self->n_results; k++) {
                PyList_SET_ITEM(all, k, results[k]);
                results[k] = NULL;
            }
        break;
    case TUPLE:
        if ((all = PyTuple_New(self->n_results)))
            for (Py_ssize_t k = 0; k < self->n_results; k++) {
                PyTuple_SET_ITEM(all, k, results[k]);
                results[k] = NULL;
            }
        break;
    }
    return all;
}

/* Put new values into the cells, all at once: old values, which may run code when they go, are left in ``values``. */
static int written(const Call *self, PyObject **values)
{
    const Py_ssize_t n = PyTuple_GET_SIZE(self->writes);
    for (Py_ssize_t k = 0; k < n; k++)
        if (PyList_GET_SIZE(PyTuple_GET_ITEM(self->writes, k)) < 1)
            return 0;
    for (Py_ssize_t k = 0; k < n; k++) {
        PyObject *cell = PyTuple_GET_ITEM(self->writes, k), *old = PyList_GET_ITEM(cell, 0);
        PyList_SET_ITEM(cell, 0, values[k]);
        values[k] = old;
    }
    return 1;
}

/* The input that output ``made`` was written over. */
static PyObject *written_over(const Program *program, Py_ssize_t made, PyObject **inputs)
{
    const Donor *donor = program->donors;
    while (donor->made != made)
        donor++;
    return Py_NewRef(inputs[donor->input]);
}

/* From the memory that the entry function filled to the result of the call. */
static PyObject *finished(const Call *self, const Program *program, PyObject **inputs, void **blocks, int64_t *lengths,
    void *const *given)
{
    PyObject *results[program->n_outputs + 1], *all = NULL;
    Py_ssize_t used = 0, count = 0;
    for (; count < program->n_outputs; count++) {
        const Output *output = &program->outputs[count];
        PyObject *from = output->array;
        if (output->origin == MADE) { /* these come in the order in which the entry function has them */
            const Kind *kind = &program->made[used];
            results[count] = given && given[used] ? written_over(program, used, inputs) : array_of(kind, lengths, blocks[used]);
            lengths += kind->ndim;
            used++;
        } else {
            if (output->origin == INPUT)
                from = inputs[output->index];
            else if (output->origin == EARLIER)
                from = results[output->index];
            results[count] = PyArray_NewCopy((PyArrayObject *)from, NPY_CORDER);
        }
        if (!results[count])
            break;
    }
    for (; used < program->n_made; used++)
        if (!given || !given[used])
            free(blocks[used]);
    if (count == program->n_outputs && (all = laid_out(self, results)) && !written(self, results + self->n_results))
        Py_CLEAR(all);
    forget(results, count);
    return all;
}

/* The argument as a program takes it, with its pointer and the integers that it passes: a new reference, perhaps to a
 * copy.  NULL: it is another kind of array. */
static inline PyObject *accepted(PyObject *item, const Kind *kind, int numbers, void **pointer, int64_t **at)
{
    if (!PyArray_CheckExact(item)) {
        item = numbers && kind->ndim == 0 && !kind->layout ? number_as_array(item, kind->dtype) : NULL;
        if (item)
            *pointer = PyArray_DATA((PyArrayObject *)item);
        return item;
    }
    PyArrayObject *array = (PyArrayObject *)item;
    if (PyArray_DESCR(array) != kind->dtype || PyArray_NDIM(array) != kind->ndim)
        return NULL;
    if (kind->layout)
        return lies_like(kind->layout, array, at, pointer) ? Py_NewRef(item) : NULL;
    const npy_intp *dims = PyArray_DIMS(array);
    for (int axis = 0; axis < kind->ndim; axis++)
        *(*at)++ = dims[axis];
    if (PyArray_CHKFLAGS(array, NPY_ARRAY_C_CONTIGUOUS | NPY_ARRAY_ALIGNED))
        Py_INCREF(item);
    else {
        item = PyArray_NBYTES(array) <= SMALL_COPY ? PyArray_NewCopy(array, NPY_CORDER) : NULL;
        if (!item)
            return NULL;
    }
    *pointer = PyArray_DATA((PyArrayObject *)item);
    return item;
}

/* NULL without an exception: leave it to another program or to the slow path. */
static PyObject *launch(const Call *self, const Program *program, PyObject *const *args)
{
    PyObject *inputs[program->n_inputs + 1];
    void *pointers[program->n_inputs + 1], *blocks[program->n_made + 1], *given[program->n_donors ? program->n_made : 1];
    int64_t lengths[program->n_lengths_in + 1], lengths_out[program->n_lengths_out + 1], report[program->report_length];
    int64_t *at = lengths;
    const npy_intp *known = self->lengths;
    Py_ssize_t held = 0;
    PyObject *result = NULL;
    for (Py_ssize_t k = 0; k < program->n_inputs; k++) {
        PyObject *item;
        if (k < self->n_args)
            item = args[k];
        else {
            PyObject *cell = PyTuple_GET_ITEM(self->reads, k - self->n_args);
            if (PyList_GET_SIZE(cell) < 1)
                goto done;
            item = PyList_GET_ITEM(cell, 0);
        }
        int64_t *const dims = at;
        if (!(inputs[held] = accepted(item, &program->inputs[k], self->numbers, &pointers[k], &at)))
            goto done;
        held++; /* another thread may replace a cell's value meanwhile */
        if (known && k < self->n_args)
            for (int axis = 0; axis < program->inputs[k].ndim; axis++, known++)
                if (*known >= 0 && *known != dims[axis])
                    goto done;
    }
    Offer offer = {.offered = {call_memory, NULL, call_busy, core_pool_run, 0, 1}};
    if (program->n_donors) {
        memset(given, 0, sizeof given);
        offer.self = self;
        offer.inputs = inputs;
        offer.given = given;
        offer.program = program;
        give_away(&offer);
    }
    const int32_t status = program->entry(
        pointers, lengths, program->constants, program->routines, blocks, lengths_out, report, &offer.offered);
    if (offer.released)
        PyEval_RestoreThread(offer.released);
    if (offer.taken)
        put_back(&offer);
    if (offer.error) {
        for (Py_ssize_t k = 0; k < program->n_made; k++)
            free(blocks[k]);
        PyErr_Restore(offer.error, offer.about, offer.trace);
    } else if (status == 0)
        result = finished(self, program, inputs, blocks, lengths_out, offer.offered.given);
done:
    forget(inputs, held);
    return result;
}

/* The program of executable ``k`` of those that are now to be tried: a new reference, or NULL. */
static Program *program_of(Call *self, Py_ssize_t k)
{
    PyObject *executable = PyList_GET_ITEM(self->current, k);
    Known *known = &self->known[k];
    if (executable != known->executable) {
        Py_INCREF(executable);
        PyObject *found = PyObject_GetAttrString(executable, "launcher");
        if (!found)
            PyErr_Clear();
        Program *program = found && Py_IS_TYPE(found, &ProgramType) ? (Program *)found : NULL;
        if (program
            && (program->n_inputs != self->n_args + PyTuple_GET_SIZE(self->reads)
                || program->n_outputs != self->n_results + PyTuple_GET_SIZE(self->writes)))
            program = NULL;
        if (!program)
            Py_CLEAR(found);
        const Known old = *known;
        *known = (Known){executable, program};
        Py_XDECREF(old.executable);
        Py_XDECREF((PyObject *)old.program);
    }
    return (Program *)Py_XNewRef((PyObject *)known->program);
}

static PyObject *call_vectorcall(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *names)
{
    Call *self = (Call *)callable;
    const Py_ssize_t n = PyVectorcall_NARGS(nargsf);
    if (n == self->n_args && (!names || PyTuple_GET_SIZE(names) == 0))
        for (Py_ssize_t k = 0; k < PyList_GET_SIZE(self->current) && k < MOST_AT_HAND; k++) {
            Program *program = program_of(self, k);
            if (!program)
                continue;
            PyObject *result = launch(self, program, args);
            Py_DECREF(program);
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

/* Read the lengths of the arguments: a tuple of integers, or None. */
static int read_lengths(PyObject *given, Call *self)
{
    if (given == Py_None)
        return 1;
    if (!PyTuple_Check(given)) {
        PyErr_SetString(PyExc_TypeError, "lengths must be None or a tuple");
        return 0;
    }
    const Py_ssize_t n = PyTuple_GET_SIZE(given);
    if (!(self->lengths = PyMem_Calloc((size_t)n + 1, sizeof(npy_intp)))) {
        PyErr_NoMemory();
        return 0;
    }
    for (Py_ssize_t k = 0; k < n; k++)
        self->lengths[k] = PyLong_AsSsize_t(PyTuple_GET_ITEM(given, k));
    return !PyErr_Occurred();
}

static PyObject *call_new(PyTypeObject *type, PyObject *args, PyObject *named)
{
    PyObject *current, *slow_path, *reads, *writes, *keys, *lengths;
    Py_ssize_t n_args, n_results;
    int layout, numbers;
    if (!PyArg_ParseTuple(args, "O!OO!O!iO!nnOp", &PyList_Type, &current, &slow_path, &PyTuple_Type, &reads,
            &PyTuple_Type, &writes, &layout, &PyTuple_Type, &keys, &n_args, &n_results, &lengths, &numbers)
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
    self->numbers = numbers;
    if (!read_lengths(lengths, self)) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static int call_traverse(Call *self, visitproc visit, void *arg)
{
    Py_VISIT(self->current);
    Py_VISIT(self->slow_path);
    Py_VISIT(self->reads);
    Py_VISIT(self->writes);
    Py_VISIT(self->keys);
    for (int k = 0; k < MOST_AT_HAND; k++) {
        Py_VISIT(self->known[k].executable);
        Py_VISIT(self->known[k].program);
    }
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
    for (int k = 0; k < MOST_AT_HAND; k++) {
        Py_XDECREF(self->known[k].executable);
        Py_XDECREF(self->known[k].program);
    }
    PyMem_Free(self->lengths);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyTypeObject CallType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "core_launcher.Call",
    .tp_doc = "Calls a program, or the slow path with the same arguments.",
    .tp_basicsize = sizeof(Call),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL,
    .tp_vectorcall_offset = offsetof(Call, vectorcall),
    .tp_call = PyVectorcall_Call,
    .tp_new = call_new,
    .tp_traverse = (traverseproc)call_traverse,
    .tp_dealloc = (destructor)call_dealloc,
};

/* --- the module --------------------------------------------------------------------------------------------------- */

static PyObject *mark_taken(PyObject *module, PyObject *mark)
{
    Py_XSETREF(taken, Py_NewRef(mark));
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"ask_for_threads", ask_for_threads, METH_VARARGS,
     "Set the callable that says how many threads a long call may use, and the variables that its answer depends on."},
    {"callable_type", callable_type, METH_O, "A subclass, of whose objects a call is one of what is in __call__."},
    {"mark_taken", mark_taken, METH_O, "Set what stands for the value of a shared variable that is written over."},
    {"release_memory", release_memory, METH_NOARGS, "Give back to the system what is kept for the next call."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "core_launcher", "Calls compiled programs.", -1, functions, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_core_launcher(void)
{
    import_array();
    PyObject *module = PyModule_Create(&definition);
    if (!module)
        return NULL;
    handler_capsule = PyCapsule_New(&handler, "mem_handler", NULL);
    if (!handler_capsule || PyModule_AddType(module, &ProgramType) < 0 || PyModule_AddType(module, &CallType) < 0) {
        Py_DECREF(module);
        return NULL;
    }
    return module;
}
