/* A recording: the commands of one call, for inputs of certain lengths, and the memory that calls use by turns.
 *
 * Kernels have their arguments from when they were recorded, but for places: inputs and outputs, which may lie
 * elsewhere in each call.  Outputs go to arrays of a ring, one that nobody can look at any more: the queue runs in
 * order, so commands that still read it come first.  Arguments of the host go to a stage, memory that the device is
 * done with.
 *
 * A driver's own are, before this: Handle, Driver, Commands with its launches, has_argument, is_waiting, wait_for,
 * drop_event; after it: what is declared here.
 */

enum { RING = 4, FEWEST_STAGES = 2, MOST_STAGES = 256 };
enum { /* bytes */
    MOST_STAGED = 1 << 22, /* of more than the fewest stages */
    SMALL_COPY = 1 << 16   /* takes its turn among the kernels; larger ones are left to the slow path */
};

typedef struct {
    Py_ssize_t launch;
    uint32_t position;
} Use;

/* Arguments of kernels that always are the same block; which one now: held, so that no other has its address. */
typedef struct {
    Py_ssize_t n_uses;
    Use *uses;
    PyObject *block;
} Place;

typedef struct {
    PyObject *dtype, *shape; /* a numpy.dtype, a tuple */
    int ndim;
    npy_intp *lengths;
    size_t size; /* in bytes */
    int is_read; /* by some command */
    PyObject *only; /* a reference to the memory in which it must lie, for which checks have passed; NULL: anywhere */
    Place place;
} Input;

typedef struct {
    Place place;
    PyObject *ring[RING]; /* arrays of a device, or NULL */
    int next;             /* to be replaced when all are in use */
} Output;

/* Memory for the arguments of one call, and what says that the device is done with it. */
typedef struct {
    Handle event;
    int is_taken;      /* by a call that is not queued yet: it runs Python, which may call again */
    PyObject **memory; /* for each input, NULL for those that came from no host */
    PyObject **keep;   /* what keeps this */
    void **host;       /* the same memory as the host sees it, or where copies of it begin */
} Stage;

typedef struct {
    PyObject_HEAD
    Driver driver;
    Commands commands;
    int copies; /* whether arguments of the host are copied by a command; else the host writes to that memory */
    PyObject *space, *acquire, *release;
    PyObject *new_output; /* (number of the output) -> an array of the device */
    PyObject *new_stage;  /* (number of the input) -> (memory, address, what keeps it) that no queued command uses */
    PyObject *keep;       /* what must outlive the handles */
    Py_ssize_t n_inputs, n_outputs, n_results, n_stages, next_stage;
    Input *inputs;
    Output *outputs;
    Py_ssize_t *results; /* for each result, the number of the output that it is */
    Stage *stages[MOST_STAGES];
    int is_broken; /* a command was refused: it is never used again */
} Recording;

static PyTypeObject RecordingType;

/* Give a kernel another argument: 0 where the driver refuses. */
static int set_argument(const Recording *self, const Use *use, Handle argument);

/* Queue a copy of what lies on the host: 0 where the driver refuses. */
static int write_to(const Recording *self, Handle target, const void *host, size_t size);

/* Queue everything; other code runs only where it is said of the driver.  0, perhaps with an exception: something was
 * refused. */
static int queue(
    Recording *self, PyObject *const *items, const char *from_host, PyObject *const *made, Stage *stage);

/* --- inputs ------------------------------------------------------------------------------------------------------- */

static inline int is_host_array(const Input *input, int copies, PyObject *item)
{
    if (!PyArray_CheckExact(item) || input->only || (copies && input->size > SMALL_COPY))
        return 0;
    PyArrayObject *array = (PyArrayObject *)item;
    return (PyObject *)PyArray_DESCR(array) == input->dtype && PyArray_NDIM(array) == input->ndim
        && (!input->ndim || !memcmp(PyArray_DIMS(array), input->lengths, (size_t)input->ndim * sizeof(npy_intp)))
        && PyArray_CHKFLAGS(array, NPY_ARRAY_C_CONTIGUOUS | NPY_ARRAY_ALIGNED);
}

/* Whether memory is that which a weak reference is of. */
static inline int is_that(PyObject *reference, PyObject *memory)
{
#if PY_VERSION_HEX >= 0x030D0000
    PyObject *found = NULL;
    PyWeakref_GetRef(reference, &found);
    Py_XDECREF(found); /* ``memory`` has a reference besides */
    return found == memory;
#else
    return PyWeakref_GetObject(reference) == memory;
#endif
}

static inline int is_device_array(const Input *input, PyObject *space, PyObject *item)
{
    if (!Py_IS_TYPE(item, classes.array) || *slot(item, classes.space) != space)
        return 0;
    PyObject *block = block_of(*slot(item, classes.memory_of));
    return block && !is_travelling(block) && *slot(item, classes.dtype) == input->dtype
        && (!input->only || is_that(input->only, *slot(item, classes.memory_of)))
        && PyObject_RichCompareBool(*slot(item, classes.shape), input->shape, Py_EQ) == 1;
}

static void *room(Py_ssize_t n, size_t size)
{
    void *made = PyMem_Calloc((size_t)n + 1, size);
    if (!made)
        PyErr_NoMemory();
    return made;
}

/* --- the device's lock -------------------------------------------------------------------------------------------- */

/* Take it, unless another thread has it. */
static int is_locked(const Recording *self)
{
    PyObject *taken = self->is_broken ? NULL : PyObject_CallOneArg(self->acquire, Py_False);
    Py_XDECREF(taken);
    return taken == Py_True;
}

static void unlock(const Recording *self)
{
    PyObject *error, *about, *trace;
    PyErr_Fetch(&error, &about, &trace);
    Py_XDECREF(PyObject_CallNoArgs(self->release));
    PyErr_Restore(error, about, trace);
}

/* --- memory for a call -------------------------------------------------------------------------------------------- */

/* An array that nobody can look at, or a new one: a new reference, NULL with an exception. */
static PyObject *pick_output(Recording *self, Py_ssize_t number, int *other_code_ran)
{
    Output *output = &self->outputs[number];
    for (int k = 0; k < RING; k++) {
        PyObject *array = Py_XNewRef(output->ring[k]);
        if (array && is_forgotten(array, 2) && !is_travelling(block_of(*slot(array, classes.memory_of))))
            return array;
        Py_XDECREF(array);
    }
    *other_code_ran = 1;
    PyObject *made = PyObject_CallFunction(self->new_output, "n", number);
    if (made && !(Py_IS_TYPE(made, classes.array) && block_of(*slot(made, classes.memory_of)))) {
        PyErr_SetString(PyExc_TypeError, "new_output must return an array of the device");
        Py_CLEAR(made);
    }
    if (made) {
        PyObject *old = output->ring[output->next];
        output->ring[output->next] = Py_NewRef(made);
        output->next = (output->next + 1) % RING;
        Py_XDECREF(old);
    }
    return made;
}

/* Arrays for all outputs: how many there are now, all or those before one that failed with an exception. */
static Py_ssize_t pick_outputs(Recording *self, PyObject **made, int *other_code_ran)
{
    for (Py_ssize_t k = 0; k < self->n_outputs; k++)
        if (!(made[k] = pick_output(self, k, other_code_ran)))
            return k;
    return self->n_outputs;
}

static int are_travelling(PyObject *const *made, Py_ssize_t n)
{
    for (Py_ssize_t k = 0; k < n; k++)
        if (is_travelling(block_of(*slot(made[k], classes.memory_of))))
            return 1;
    return 0;
}

static void free_stage(const Recording *self, Stage *stage)
{
    if (stage->event && self->copies) /* which read the memory that goes now */
        wait_for(&self->driver, &self->commands, stage->event);
    drop_event(&self->driver, &stage->event);
    for (Py_ssize_t k = 0; k < self->n_inputs; k++) {
        Py_CLEAR(stage->memory[k]);
        Py_CLEAR(stage->keep[k]);
    }
    PyMem_Free(stage->memory);
    PyMem_Free(stage->keep);
    PyMem_Free(stage->host);
    PyMem_Free(stage);
}

/* Memory in a stage for the arguments that lie on the host.  0 with an exception. */
static int fill_stage(Recording *self, Stage *stage, const char *from_host)
{
    for (Py_ssize_t k = 0; k < self->n_inputs; k++) {
        if (!from_host[k] || stage->memory[k])
            continue;
        PyObject *made = PyObject_CallFunction(self->new_stage, "n", k), *memory, *address, *keep;
        if (made && PyTuple_Check(made) && PyArg_ParseTuple(made, "OO!O", &memory, &PyLong_Type, &address, &keep)) {
            stage->host[k] = PyLong_AsVoidPtr(address);
            Py_XSETREF(stage->memory[k], Py_NewRef(memory));
            Py_XSETREF(stage->keep[k], Py_NewRef(keep));
        }
        Py_XDECREF(made);
        if (PyErr_Occurred() || !block_of(stage->memory[k])) {
            if (!PyErr_Occurred())
                PyErr_SetString(PyExc_TypeError, "new_stage must return memory of the device and an address");
            return 0;
        }
    }
    return 1;
}

/* One more, before the one that was used longest ago.  NULL with an exception. */
static Stage *new_stage(Recording *self)
{
    const size_t size = sizeof(void *);
    Stage *made = room(0, sizeof *made);
    if (!made)
        return NULL;
    *made = (Stage){NULL, 0, room(self->n_inputs, size), room(self->n_inputs, size), room(self->n_inputs, size)};
    if (!made->memory || !made->keep || !made->host) {
        PyMem_Free(made->memory);
        PyMem_Free(made->keep);
        PyMem_Free(made->host);
        PyMem_Free(made);
        return NULL;
    }
    Stage **at = &self->stages[self->next_stage];
    memmove(at + 1, at, (size_t)(self->n_stages - self->next_stage) * sizeof *at);
    self->n_stages++;
    return *at = made;
}

/* Wait until the device is done with half of the stages, so that the next calls need not. */
static void wait_for_stages(const Recording *self)
{
    const Handle last = self->stages[(self->next_stage + self->n_stages / 2) % self->n_stages]->event;
    Py_BEGIN_ALLOW_THREADS
    if (last)
        wait_for(&self->driver, &self->commands, last);
    Py_END_ALLOW_THREADS
}

/* A stage that the device is done with, where any argument lies on the host.  0, perhaps with an exception. */
static int pick_stage(Recording *self, const char *from_host, Stage **picked, int *other_code_ran)
{
    size_t size = 0;
    int is_needed = 0, is_lacking = 0;
    for (Py_ssize_t k = 0; k < self->n_inputs; k++)
        if (from_host[k]) {
            is_needed = 1;
            size += self->inputs[k].size;
        }
    if (!is_needed)
        return 1;
    Stage *stage = self->n_stages ? self->stages[self->next_stage] : NULL;
    if (!stage || stage->is_taken || is_waiting(&self->driver, &self->commands, stage->event)) {
        *other_code_ran = 1;
        const size_t staged = (size_t)(self->n_stages + 1) * size;
        if (self->n_stages < FEWEST_STAGES || (self->n_stages < MOST_STAGES && staged <= MOST_STAGED))
            stage = new_stage(self);
        else if (!stage->is_taken)
            wait_for_stages(self);
    }
    if (!stage || stage->is_taken)
        return 0;
    stage->is_taken = 1;
    self->next_stage = (self->next_stage + 1) % self->n_stages;
    drop_event(&self->driver, &stage->event);
    for (Py_ssize_t k = 0; k < self->n_inputs; k++)
        is_lacking |= from_host[k] && !stage->memory[k];
    *other_code_ran |= is_lacking;
    *picked = stage;
    return !is_lacking || fill_stage(self, stage, from_host);
}

/* --- queueing ----------------------------------------------------------------------------------------------------- */

static int put(const Recording *self, Place *place, PyObject *block)
{
    if (place->block == block)
        return 1;
    PyObject *number = *slot(block, classes.handle);
    const Handle handle = number && PyLong_Check(number) ? PyLong_AsVoidPtr(number) : NULL;
    if (!handle)
        return 0;
    Py_XSETREF(place->block, NULL);
    for (Py_ssize_t k = 0; k < place->n_uses; k++)
        if (!set_argument(self, &place->uses[k], handle))
            return 0;
    place->block = Py_NewRef(block);
    return 1;
}

/* Bring an argument of the host to where kernels read it. */
static int is_brought(const Recording *self, const Stage *stage, Py_ssize_t k, PyObject *item)
{
    const size_t size = self->inputs[k].size;
    memcpy(stage->host[k], PyArray_DATA((PyArrayObject *)item), size);
    if (!self->copies || !size)
        return 1;
    const Handle target = PyLong_AsVoidPtr(*slot(block_of(stage->memory[k]), classes.handle));
    return write_to(self, target, stage->host[k], size);
}

/* Put everything in its place. */
static int is_placed(
    Recording *self, PyObject *const *items, const char *from_host, PyObject *const *made, const Stage *stage)
{
    for (Py_ssize_t k = 0; k < self->n_inputs; k++) {
        Input *input = &self->inputs[k];
        if (!input->is_read)
            continue;
        if (from_host[k] && !is_brought(self, stage, k, items[k]))
            return 0;
        if (!put(self, &input->place, block_of(from_host[k] ? stage->memory[k] : *slot(items[k], classes.memory_of))))
            return 0;
    }
    for (Py_ssize_t k = 0; k < self->n_outputs; k++)
        if (!put(self, &self->outputs[k].place, block_of(*slot(made[k], classes.memory_of))))
            return 0;
    return 1;
}
