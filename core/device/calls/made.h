/* How recordings are made of what Python says, and what becomes of them. */

/* Uses: a tuple of pairs, the number of a launch and the position of an argument. */
static int read_place(PyObject *uses, const Commands *commands, Place *place)
{
    if (!(place->uses = room(PyTuple_GET_SIZE(uses), sizeof(Use))))
        return 0;
    place->n_uses = PyTuple_GET_SIZE(uses);
    for (Py_ssize_t k = 0; k < place->n_uses; k++) {
        Use *use = &place->uses[k];
        if (!PyArg_ParseTuple(PyTuple_GET_ITEM(uses, k), "nI", &use->launch, &use->position))
            return 0;
        if (use->launch < 0 || use->launch >= commands->n_launches) {
            PyErr_SetString(PyExc_ValueError, "there is no such launch");
            return 0;
        }
        if (!has_argument(&commands->launches[use->launch], use->position)) {
            PyErr_SetString(PyExc_ValueError, "there is no such argument");
            return 0;
        }
    }
    return 1;
}

static int read_inputs(PyObject *given, Recording *self)
{
    if (!(self->inputs = room(PyTuple_GET_SIZE(given), sizeof(Input))))
        return 0;
    for (; self->n_inputs < PyTuple_GET_SIZE(given); self->n_inputs++) {
        Input *input = &self->inputs[self->n_inputs];
        PyObject *dtype, *shape, *uses, *only;
        if (!PyArg_ParseTuple(PyTuple_GET_ITEM(given, self->n_inputs), "O!O!pO!O", &PyArrayDescr_Type, &dtype,
                &PyTuple_Type, &shape, &input->is_read, &PyTuple_Type, &uses, &only)
            || !(input->lengths = room(PyTuple_GET_SIZE(shape), sizeof(npy_intp)))
            || !read_place(uses, &self->commands, &input->place))
            return 0;
        input->ndim = (int)PyTuple_GET_SIZE(shape);
        input->size = (size_t)PyDataType_ELSIZE((PyArray_Descr *)dtype);
        for (int axis = 0; axis < input->ndim; axis++)
            input->size *= (size_t)(input->lengths[axis] = PyLong_AsSsize_t(PyTuple_GET_ITEM(shape, axis)));
        input->only = only == Py_None ? NULL : Py_NewRef(only);
        input->dtype = Py_NewRef(dtype);
        input->shape = Py_NewRef(shape);
    }
    return !PyErr_Occurred();
}

static int read_outputs(PyObject *given, PyObject *results, Recording *self)
{
    if (!(self->outputs = room(PyTuple_GET_SIZE(given), sizeof(Output)))
        || !(self->results = room(PyTuple_GET_SIZE(results), sizeof(Py_ssize_t))))
        return 0;
    for (; self->n_outputs < PyTuple_GET_SIZE(given); self->n_outputs++)
        if (!PyTuple_CheckExact(PyTuple_GET_ITEM(given, self->n_outputs))
            || !read_place(
                PyTuple_GET_ITEM(given, self->n_outputs), &self->commands, &self->outputs[self->n_outputs].place))
            return 0;
    for (; self->n_results < PyTuple_GET_SIZE(results); self->n_results++) {
        const Py_ssize_t number = PyLong_AsSsize_t(PyTuple_GET_ITEM(results, self->n_results));
        if (number < 0 || number >= self->n_outputs)
            return 0;
        self->results[self->n_results] = number;
    }
    return !PyErr_Occurred();
}

static PyObject *recording_new(PyTypeObject *type, PyObject *args, PyObject *named)
{
    PyObject *addresses, *commands, *inputs, *outputs, *results, *space, *acquire, *release;
    PyObject *new_output, *new_stage, *keep;
    int copies;
    if (!PyArg_ParseTuple(args, "O!O!pO!O!O!O(OO)OOO", &PyTuple_Type, &addresses, &PyTuple_Type, &commands, &copies,
            &PyTuple_Type, &inputs, &PyTuple_Type, &outputs, &PyTuple_Type, &results, &space, &acquire, &release,
            &new_output, &new_stage, &keep))
        return NULL;
    Recording *self = (Recording *)type->tp_alloc(type, 0);
    if (!self)
        return NULL;
    self->space = Py_NewRef(space);
    self->acquire = Py_NewRef(acquire);
    self->release = Py_NewRef(release);
    self->new_output = Py_NewRef(new_output);
    self->new_stage = Py_NewRef(new_stage);
    self->keep = Py_NewRef(keep);
    self->copies = copies;
    if (PyErr_Occurred() || !read_driver(addresses, &self->driver) || !read_commands(commands, &self->commands)
        || !read_inputs(inputs, self) || !read_outputs(outputs, results, self)) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_ValueError, "no such recording can be made");
        Py_CLEAR(self);
    }
    return (PyObject *)self;
}

static int recording_traverse(Recording *self, visitproc visit, void *arg)
{
    const int found = visit_commands(&self->commands, visit, arg);
    if (found)
        return found;
    Py_VISIT(self->space);
    Py_VISIT(self->acquire);
    Py_VISIT(self->release);
    Py_VISIT(self->new_output);
    Py_VISIT(self->new_stage);
    Py_VISIT(self->keep);
    for (Py_ssize_t k = 0; k < self->n_outputs; k++)
        for (int turn = 0; turn < RING; turn++)
            Py_VISIT(self->outputs[k].ring[turn]);
    for (Py_ssize_t k = 0; k < self->n_stages; k++)
        for (Py_ssize_t input = 0; input < self->n_inputs; input++)
            Py_VISIT(self->stages[k]->memory[input]);
    return 0;
}

static void clear_place(Place *place)
{
    PyMem_Free(place->uses);
    Py_XDECREF(place->block);
}

static void recording_dealloc(Recording *self)
{
    PyObject_GC_UnTrack(self);
    for (Py_ssize_t k = 0; k < self->n_stages; k++)
        free_stage(self, self->stages[k]);
    /* one more than was read whole may have something */
    for (Py_ssize_t k = 0; self->inputs && k < self->n_inputs + 1; k++) {
        clear_place(&self->inputs[k].place);
        PyMem_Free(self->inputs[k].lengths);
        Py_XDECREF(self->inputs[k].dtype);
        Py_XDECREF(self->inputs[k].shape);
        Py_XDECREF(self->inputs[k].only);
    }
    for (Py_ssize_t k = 0; self->outputs && k < self->n_outputs + 1; k++) {
        clear_place(&self->outputs[k].place);
        for (int turn = 0; turn < RING; turn++)
            Py_XDECREF(self->outputs[k].ring[turn]);
    }
    clear_commands(&self->commands);
    PyMem_Free(self->inputs);
    PyMem_Free(self->outputs);
    PyMem_Free(self->results);
    Py_XDECREF(self->space);
    Py_XDECREF(self->acquire);
    Py_XDECREF(self->release);
    Py_XDECREF(self->new_output);
    Py_XDECREF(self->new_stage);
    Py_XDECREF(self->keep);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMemberDef recording_members[] = {
    {"is_broken", T_INT, offsetof(Recording, is_broken), READONLY, "Whether a command was refused."},
    {"stages", T_PYSSIZET, offsetof(Recording, n_stages), READONLY, "How many calls have had arguments at once."},
    {0},
};

static PyTypeObject RecordingType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = AS_TEXT(MODULE) ".Recording",
    .tp_doc = "The commands of one call, for inputs of certain lengths.",
    .tp_basicsize = sizeof(Recording),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_new = recording_new,
    .tp_members = recording_members,
    .tp_traverse = (traverseproc)recording_traverse,
    .tp_dealloc = (destructor)recording_dealloc,
};
