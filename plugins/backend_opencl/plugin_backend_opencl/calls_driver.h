/* What is called of the driver, by the addresses of its functions: nothing is linked, and no header needed. */

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

/* Wait for a command of a queue, which may have held it back so far. */
static void wait_for(const Driver *driver, Handle queue, Handle event)
{
    driver->flush(queue);
    driver->wait(1, &event);
}

/* Whether a command has not run yet. */
static int is_waiting(const Driver *driver, Handle event)
{
    int32_t status = IS_DONE;
    return event && driver->event_info(event, STATUS, sizeof status, &status, NULL) == 0 && status > IS_DONE;
}
