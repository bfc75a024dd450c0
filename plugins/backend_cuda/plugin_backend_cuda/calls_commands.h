/* What is called of the driver, by the addresses of its functions: nothing is linked, and no header needed.  What a
 * recording queues: kernels, or graphs, each of which was captured with everything in certain places.
 */

#include <stdint.h>

typedef void *Handle; /* a CUcontext, CUstream, CUfunction, CUgraphExec or CUevent; a CUdeviceptr */

enum { IS_NOT_READY = 600 /* CUDA_ERROR_NOT_READY */, WITHOUT_TIMING = 2 /* CU_EVENT_DISABLE_TIMING */ };

typedef struct {
    int (*use)(Handle context);
    int (*launch)(Handle function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
        unsigned block_y, unsigned block_z, unsigned shared, Handle stream, void **arguments, void **more);
    int (*replay)(Handle graph, Handle stream);
    int (*copy_in)(Handle to, const void *host, size_t size, Handle stream);
    int (*finish)(Handle stream);
    int (*new_event)(Handle *event, unsigned flags);
    int (*record)(Handle event, Handle stream);
    int (*event_status)(Handle event);
    int (*wait)(Handle event);
    int (*free_event)(Handle event);
} Driver;

typedef struct {
    Handle function;
    unsigned grid[3], block[3];
    Py_ssize_t n_values;
    uint64_t *values; /* of the arguments */
    void **arguments; /* where they are */
} Launch;

enum { MOST_GRAPHS = 8 /* as core.device.replay has it */ };

typedef struct {
    Handle *places;   /* of the inputs that are read, then of the outputs */
    PyObject *replay; /* what has the graph */
    Handle graph;
} Graph;

typedef struct {
    Handle context, stream;
    Py_ssize_t n_launches, n_graphs, next_graph;
    Launch *launches;
    Graph graphs[MOST_GRAPHS];
    PyObject *queue; /* (memory, ...) -> what queues it again, or None: by Python.  NULL: launches are queued here */
} Commands;

static void *room(Py_ssize_t n, size_t size);

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

static int read_launch(PyObject *given, Launch *launch)
{
    PyObject *function, *values;
    if (!PyArg_ParseTuple(given, "O(III)(III)O!", &function, &launch->grid[0], &launch->grid[1], &launch->grid[2],
            &launch->block[0], &launch->block[1], &launch->block[2], &PyTuple_Type, &values)
        || !(launch->values = room(PyTuple_GET_SIZE(values), sizeof *launch->values))
        || !(launch->arguments = room(PyTuple_GET_SIZE(values), sizeof *launch->arguments)))
        return 0;
    launch->function = PyLong_AsVoidPtr(function);
    launch->n_values = PyTuple_GET_SIZE(values);
    for (Py_ssize_t k = 0; k < PyTuple_GET_SIZE(values); k++) {
        launch->values[k] = PyLong_AsUnsignedLongLongMask(PyTuple_GET_ITEM(values, k)); /* -1 is all bits */
        launch->arguments[k] = &launch->values[k];
    }
    return !PyErr_Occurred();
}

/* (context, stream, launches, queue): queue is None where launches are all there is. */
static int read_commands(PyObject *given, Commands *self)
{
    PyObject *context, *stream, *launches, *queue;
    if (!PyArg_ParseTuple(given, "OOO!O", &context, &stream, &PyTuple_Type, &launches, &queue))
        return 0;
    self->context = PyLong_AsVoidPtr(context);
    self->stream = PyLong_AsVoidPtr(stream);
    self->queue = queue == Py_None ? NULL : Py_NewRef(queue);
    if (PyErr_Occurred() || !(self->launches = room(PyTuple_GET_SIZE(launches), sizeof(Launch))))
        return 0;
    self->n_launches = PyTuple_GET_SIZE(launches);
    for (Py_ssize_t k = 0; k < self->n_launches; k++)
        if (!read_launch(PyTuple_GET_ITEM(launches, k), &self->launches[k]))
            return 0;
    return 1;
}

static int has_argument(const Launch *launch, Py_ssize_t position)
{
    return position < launch->n_values;
}

static int visit_commands(Commands *self, visitproc visit, void *arg)
{
    Py_VISIT(self->queue);
    for (Py_ssize_t k = 0; k < self->n_graphs; k++)
        Py_VISIT(self->graphs[k].replay);
    return 0;
}

static void clear_graph(Graph *graph)
{
    PyMem_Free(graph->places);
    Py_XDECREF(graph->replay);
}

static void clear_commands(Commands *self)
{
    Py_XDECREF(self->queue);
    for (Py_ssize_t k = 0; k < self->n_graphs; k++)
        clear_graph(&self->graphs[k]);
    for (Py_ssize_t k = 0; k < self->n_launches; k++) {
        PyMem_Free(self->launches[k].values);
        PyMem_Free(self->launches[k].arguments);
    }
    PyMem_Free(self->launches);
}

static void wait_for(const Driver *driver, const Commands *commands, Handle event)
{
    driver->use(commands->context);
    driver->wait(event);
}

/* Whether what was queued before an event has not run yet. */
static int is_waiting(const Driver *driver, const Commands *commands, Handle event)
{
    return event && (driver->use(commands->context) || driver->event_status(event) == IS_NOT_READY);
}

static void drop_event(const Driver *driver, Handle *event)
{
    if (*event)
        driver->free_event(*event);
    *event = NULL;
}
