/* What is called of the driver, by the addresses of its functions: nothing is linked, and no header needed.  What a
 * recording queues. */

#include <stdint.h>

typedef void *Handle; /* a cl_command_queue, cl_kernel, cl_mem or cl_event */

enum { IS_DONE = 0 /* CL_COMPLETE; errors are less */, STATUS = 0x11D3 /* CL_EVENT_COMMAND_EXECUTION_STATUS */ };

typedef struct {
    int32_t (*set_argument)(Handle kernel, uint32_t position, size_t size, const void *value);
    int32_t (*launch)(Handle queue, Handle kernel, uint32_t axes, const size_t *first, const size_t *global,
        const size_t *local, uint32_t n_waits, const Handle *waits, Handle *event);
    int32_t (*write)(Handle queue, Handle memory, uint32_t blocks, size_t offset, size_t size, const void *host,
        uint32_t n_waits, const Handle *waits, Handle *event);
    int32_t (*flush)(Handle queue);
    int32_t (*finish)(Handle queue);
    int32_t (*event_info)(Handle event, uint32_t what, size_t size, void *value, size_t *size_out);
    int32_t (*wait)(uint32_t n, const Handle *events);
    int32_t (*release)(Handle event);
} Driver;

static int read_driver(PyObject *addresses, Driver *driver)
{
    void **const functions = (void **)driver;
    const Py_ssize_t n = sizeof *driver / sizeof *functions;
    if (PyTuple_GET_SIZE(addresses) != n) {
        PyErr_Format(PyExc_ValueError, "%zd functions of the driver are needed", n);
        return 0;
    }
    for (Py_ssize_t k = 0; k < n; k++)
        functions[k] = PyLong_AsVoidPtr(PyTuple_GET_ITEM(addresses, k));
    return !PyErr_Occurred();
}

typedef struct {
    Handle kernel;
    size_t global[2], local[2];
} Launch;

typedef struct {
    Handle queue;
    PyObject *counter; /* its ``queued`` is how many calls there were */
    Py_ssize_t n_launches;
    Launch *launches;
} Commands;

static PyObject *name_of_queued;

static void *room(Py_ssize_t n, size_t size);

/* (queue, counter, launches), each of these (kernel, work-items along x and y, and in a group). */
static int read_commands(PyObject *given, Commands *self)
{
    PyObject *queue, *counter, *launches;
    if (!name_of_queued && !(name_of_queued = PyUnicode_InternFromString("queued")))
        return 0;
    if (!PyArg_ParseTuple(given, "OOO!", &queue, &counter, &PyTuple_Type, &launches))
        return 0;
    self->queue = PyLong_AsVoidPtr(queue);
    self->counter = Py_NewRef(counter);
    self->n_launches = PyTuple_GET_SIZE(launches);
    if (!(self->launches = room(self->n_launches, sizeof(Launch))))
        return 0;
    for (Py_ssize_t k = 0; k < self->n_launches; k++) {
        Launch *launch = &self->launches[k];
        Py_ssize_t n[4];
        PyObject *kernel;
        if (!PyArg_ParseTuple(PyTuple_GET_ITEM(launches, k), "Onnnn", &kernel, &n[0], &n[1], &n[2], &n[3]))
            return 0;
        launch->kernel = PyLong_AsVoidPtr(kernel);
        for (int axis = 0; axis < 2; axis++) {
            launch->global[axis] = (size_t)n[axis];
            launch->local[axis] = (size_t)n[2 + axis];
        }
    }
    return !PyErr_Occurred();
}

static int has_argument(const Launch *launch, Py_ssize_t position)
{
    return 1; /* the driver says so when it is set */
}

static int visit_commands(Commands *self, visitproc visit, void *arg)
{
    Py_VISIT(self->counter);
    return 0;
}

static void clear_commands(Commands *self)
{
    Py_XDECREF(self->counter);
    PyMem_Free(self->launches);
}

/* Wait for a command of a queue, which may have held it back so far. */
static void wait_for(const Driver *driver, const Commands *commands, Handle event)
{
    driver->flush(commands->queue);
    driver->wait(1, &event);
}

/* Whether a command has not run yet. */
static int is_waiting(const Driver *driver, const Commands *commands, Handle event)
{
    int32_t status = IS_DONE;
    return event && driver->event_info(event, STATUS, sizeof status, &status, NULL) == 0 && status > IS_DONE;
}

static void drop_event(const Driver *driver, Handle *event)
{
    if (*event)
        driver->release(*event);
    *event = NULL;
}
