/* Queueing: a recording's kernels with their arguments. */

static int set_argument(const Recording *self, const Use *use, Handle argument)
{
    const Handle kernel = self->commands.launches[use->launch].kernel;
    return self->driver.set_argument(kernel, use->position, sizeof argument, &argument) == 0;
}

static int write_to(const Recording *self, Handle target, const void *host, size_t size)
{
    return self->driver.write(self->commands.queue, target, 0, 0, size, host, 0, NULL, NULL) == 0;
}

static int has_counted(const Commands *commands)
{
    PyObject *before = PyObject_GetAttr(commands->counter, name_of_queued), *one = PyLong_FromLong(1);
    PyObject *after = before && one ? PyNumber_Add(before, one) : NULL;
    const int counted = after && PyObject_SetAttr(commands->counter, name_of_queued, after) == 0;
    Py_XDECREF(before);
    Py_XDECREF(one);
    Py_XDECREF(after);
    return counted;
}

/* No other code runs meanwhile. */
static int queue(
    Recording *self, PyObject *const *items, const char *from_host, PyObject *const *made, Stage *stage)
{
    const Commands *commands = &self->commands;
    int done = has_counted(commands) && is_placed(self, items, from_host, made, stage);
    for (Py_ssize_t k = 0; done && k < commands->n_launches; k++) {
        const Launch *launch = &commands->launches[k];
        Handle *const event = stage && k == commands->n_launches - 1 ? &stage->event : NULL;
        done = self->driver.launch(
                   commands->queue, launch->kernel, 2, NULL, launch->global, launch->local, 0, NULL, event) == 0;
    }
    if (!done && stage) /* no event says when its copies are done */
        self->driver.finish(commands->queue);
    self->is_broken = !done;
    return done;
}
