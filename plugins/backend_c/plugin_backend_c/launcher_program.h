/* A program as the launcher sees it: the entry function, what it takes, and where each output comes from. */

typedef struct CoreCall CoreCall;
struct CoreCall { /* what an entry function gets from its caller, as core.ir.clike.cinterface has it */
    void *(*memory)(CoreCall *, void *block, int64_t size);
    int32_t (*python)(int32_t, void **inputs, const int64_t *lengths, void **outputs, int64_t *output_lengths);
    void (*busy)(CoreCall *);
    void (*run)(Task, void *arguments, int64_t n, int64_t chunk, int64_t threads);
    int64_t work, threads;
    void **given;
};
typedef int32_t (*Entry)(void **inputs, const int64_t *lengths, void **constants, void **routines, void **outputs,
    int64_t *output_lengths, int64_t *report, CoreCall *call);

enum { MOST_WORDS = 8192 }; /* that a call may put on the stack */

typedef struct {
    PyArray_Descr *dtype;
    int ndim;
    ArrayLayout *layout; /* NULL: row by row */
} Kind;

typedef enum { MADE, INPUT, EARLIER, ARRAY } Origin; /* all but MADE are copied */

typedef struct {
    Origin origin;
    Py_ssize_t index;
    PyObject *array;
} Output;

/* An output that may lie where an input does. */
typedef struct {
    Py_ssize_t made, output, input; /* numbers: among those that are made, among all outputs, among the inputs */
} Donor;

typedef struct {
    PyObject_HEAD
    Entry entry;
    void **constants, **routines;
    PyObject *keep; /* what owns the three above */
    Py_ssize_t n_inputs, n_made, n_outputs, n_lengths_in, n_lengths_out;
    int report_length;
    Kind *inputs, *made;
    Output *outputs;
    Donor *donors; /* n_donors of them */
    Py_ssize_t n_donors;
} Program;

static void program_dealloc(Program *self)
{
    for (Py_ssize_t k = 0; self->inputs && k < self->n_inputs; k++) {
        Py_XDECREF(self->inputs[k].dtype);
        PyMem_Free(self->inputs[k].layout);
    }
    for (Py_ssize_t k = 0; self->made && k < self->n_made; k++)
        Py_XDECREF(self->made[k].dtype);
    for (Py_ssize_t k = 0; self->outputs && k < self->n_outputs; k++)
        Py_XDECREF(self->outputs[k].array);
    PyMem_Free(self->inputs);
    PyMem_Free(self->made);
    PyMem_Free(self->outputs);
    PyMem_Free(self->donors);
    Py_XDECREF(self->keep);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

/* Read ((dtype, ndim, layout or None), ...); returns how many integers come with all, or -1 with an exception. */
static Py_ssize_t read_kinds(PyObject *given, Kind **kinds, Py_ssize_t *count)
{
    Py_ssize_t lengths = 0, n = PyTuple_GET_SIZE(given);
    if (!(*kinds = PyMem_Calloc((size_t)n + 1, sizeof(Kind)))) {
        PyErr_NoMemory();
        return -1;
    }
    *count = n;
    for (Py_ssize_t k = 0; k < n; k++) {
        PyArray_Descr *dtype;
        PyObject *layout;
        Kind *kind = &(*kinds)[k];
        if (!PyArg_ParseTuple(PyTuple_GET_ITEM(given, k), "O!iO", &PyArrayDescr_Type, &dtype, &kind->ndim, &layout))
            return -1;
        kind->dtype = (PyArray_Descr *)Py_NewRef((PyObject *)dtype);
        if (layout != Py_None && !(kind->layout = read_layout(layout, kind->ndim)))
            return -1;
        lengths += kind->ndim + (kind->layout ? layout_extras(kind->layout) : 0);
    }
    return lengths;
}

/* Read ((origin, index, array or None), ...). */
static int read_outputs(PyObject *given, Program *self)
{
    Py_ssize_t n = PyTuple_GET_SIZE(given);
    if (!(self->outputs = PyMem_Calloc((size_t)n + 1, sizeof(Output)))) {
        PyErr_NoMemory();
        return 0;
    }
    self->n_outputs = n;
    for (Py_ssize_t k = 0; k < n; k++) {
        int origin;
        Py_ssize_t index;
        PyObject *array;
        if (!PyArg_ParseTuple(PyTuple_GET_ITEM(given, k), "inO", &origin, &index, &array))
            return 0;
        const Py_ssize_t bounds[] = {self->n_made, self->n_inputs, k, 1};
        if (origin < MADE || origin > ARRAY || index < 0 || index >= bounds[origin]
            || (origin == ARRAY && !PyArray_CheckExact(array))) {
            PyErr_Format(PyExc_ValueError, "output %zd needs an origin and an index, got (%d, %zd)", k, origin, index);
            return 0;
        }
        self->outputs[k] = (Output){origin, index, Py_NewRef(array)};
    }
    return 1;
}

/* Read ((made, output, input), ...). */
static int read_donors(PyObject *given, Program *self)
{
    const Py_ssize_t n = PyTuple_GET_SIZE(given);
    if (!(self->donors = PyMem_Calloc((size_t)n + 1, sizeof(Donor)))) {
        PyErr_NoMemory();
        return 0;
    }
    for (Py_ssize_t k = 0; k < n; k++) {
        Donor *donor = &self->donors[k];
        if (!PyArg_ParseTuple(PyTuple_GET_ITEM(given, k), "nnn", &donor->made, &donor->output, &donor->input))
            return 0;
        if (donor->made < 0 || donor->made >= self->n_made || donor->output < 0 || donor->output >= self->n_outputs
            || donor->input < 0 || donor->input >= self->n_inputs) {
            PyErr_Format(PyExc_ValueError, "donor %zd needs an output and an input", k);
            return 0;
        }
    }
    self->n_donors = n;
    return 1;
}

static PyObject *program_new(PyTypeObject *type, PyObject *args, PyObject *named)
{
    unsigned long long entry, constants, routines;
    PyObject *inputs, *made, *outputs, *donors, *keep;
    int report_length;
    if (!PyArg_ParseTuple(args, "KKKO!O!O!O!iO", &entry, &constants, &routines, &PyTuple_Type, &inputs, &PyTuple_Type,
            &made, &PyTuple_Type, &outputs, &PyTuple_Type, &donors, &report_length, &keep))
        return NULL;
    Program *self = (Program *)type->tp_alloc(type, 0);
    if (!self)
        return NULL;
    self->entry = (Entry)(uintptr_t)entry;
    self->constants = (void **)(uintptr_t)constants;
    self->routines = (void **)(uintptr_t)routines;
    self->report_length = report_length;
    self->keep = Py_NewRef(keep);
    if ((self->n_lengths_in = read_kinds(inputs, &self->inputs, &self->n_inputs)) < 0
        || (self->n_lengths_out = read_kinds(made, &self->made, &self->n_made)) < 0 || !read_outputs(outputs, self)
        || !read_donors(donors, self)) {
        Py_DECREF(self);
        return NULL;
    }
    if (2 * self->n_inputs + 3 * self->n_made + self->n_outputs + self->n_lengths_in + self->n_lengths_out > MOST_WORDS) {
        Py_DECREF(self);
        return PyErr_Format(PyExc_ValueError, "a call would need more than %d words of the stack", MOST_WORDS);
    }
    return (PyObject *)self;
}

static PyTypeObject ProgramType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "core_launcher.Program",
    .tp_doc = "An entry function to call.",
    .tp_basicsize = sizeof(Program),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = program_new,
    .tp_dealloc = (destructor)program_dealloc,
};
