/* How many threads a call may use: a question to Python, asked again where what the answer depends on has changed. */

#include <stdlib.h>
#include <string.h>

static PyObject *count_threads; /* a callable: how many threads a call may use now */
static PyObject *options;       /* the context variable, and the environment's, on which alone its answer depends */
static char *threads_variable;
static PyObject *known_options; /* what they were when it was asked last, and what it said: 0 for nothing */
static char known_text[32];
static long known_threads;

/* How many threads a call may use; less than 1, perhaps with an exception, where that is not known.  The question costs
 * microseconds in Python, so the last answer serves while what it depends on is the same.
 */
static long number_of_threads(void)
{
    PyObject *now = NULL;
    if (PyContextVar_Get(options, NULL, &now) < 0)
        return -1;
    const char *text = getenv(threads_variable);
    text = text ? text : "";
    if (known_threads > 0 && now && now == known_options && !strcmp(text, known_text)) {
        Py_DECREF(now);
        return known_threads;
    }
    char kept[sizeof known_text] = "";
    const int fits = strlen(text) < sizeof kept;
    if (fits)
        strcpy(kept, text); /* before anything runs that may change it */
    PyObject *count = PyObject_CallNoArgs(count_threads);
    const long threads = count ? PyLong_AsLong(count) : -1;
    Py_XDECREF(count);
    known_threads = fits && !PyErr_Occurred() ? threads : 0;
    strcpy(known_text, kept);
    Py_XSETREF(known_options, now);
    return threads;
}

static PyObject *ask_for_threads(PyObject *module, PyObject *args)
{
    PyObject *callable, *context_variable;
    const char *variable;
    if (!PyArg_ParseTuple(args, "OO!s", &callable, &PyContextVar_Type, &context_variable, &variable))
        return NULL;
    char *copy = strdup(variable);
    if (!copy)
        return PyErr_NoMemory();
    free(threads_variable);
    threads_variable = copy;
    known_threads = 0;
    Py_XSETREF(options, Py_NewRef(context_variable));
    Py_XSETREF(count_threads, Py_NewRef(callable));
    Py_RETURN_NONE;
}
