/* Calls from Python to the driver without Python in between: those of functions whose results stay on the device, for
 * lengths that were met before.  Arguments are checked, those of the host are copied to where the device reads them,
 * commands are queued, and the cells of shared variables get arrays that the queue will fill.  Whatever is unusual
 * (keywords, other types or lengths, an error of the driver, a device that another thread is using, ...) is left to the
 * slow path, a Python callable that gets the same arguments: commands change nothing but their own outputs, so they can
 * be queued again.
 *
 * A module of a driver includes this last, and defines MODULE, its name, and INIT, its function for Python.
 */

/* The inputs of a recording, borrowed, and which must be copied from the host: 0 where one is of another kind. */
static int gathered(
    const Calling *self, const Recording *recording, PyObject *const *args, PyObject **items, char *from_host)
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

/* NULL without an exception: leave it to another recording or to the slow path. */
static PyObject *run(const Calling *self, Recording *recording, PyObject *const *args)
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
static PyObject *run_any(const Calling *self, PyObject *executable, PyObject *const *args)
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
    Calling *self = (Calling *)callable;
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

static PyObject *call_new(PyTypeObject *type, PyObject *args, PyObject *named)
{
    return (PyObject *)new_calling(type, args, call_vectorcall, NULL);
}

static void call_dealloc(Calling *self)
{
    PyObject_GC_UnTrack(self);
    clear_calling(self);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyTypeObject CallType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = AS_TEXT(MODULE) ".Call",
    .tp_doc = "Queues a recording that fits, or calls the slow path with the same arguments.",
    .tp_basicsize = sizeof(Calling),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL,
    .tp_vectorcall_offset = offsetof(Calling, vectorcall),
    .tp_call = PyVectorcall_Call,
    .tp_new = call_new,
    .tp_traverse = (traverseproc)visit_calling,
    .tp_dealloc = (destructor)call_dealloc,
};

/* --- the module --------------------------------------------------------------------------------------------------- */

static PyMethodDef functions[] = {
    {"know_classes", know_classes, METH_VARARGS, "Set the classes of arrays, memory and blocks: their slots are read."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, AS_TEXT(MODULE), "Calls that queue commands.", -1, functions, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC INIT(void)
{
    import_array();
    PyObject *module = PyModule_Create(&definition);
    name_of_recordings = PyUnicode_InternFromString("recordings");
    if (!module || !name_of_recordings || PyModule_AddType(module, &RecordingType) < 0
        || PyModule_AddType(module, &CallType) < 0) {
        Py_XDECREF(module);
        return NULL;
    }
    return module;
}
