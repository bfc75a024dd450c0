/* Queueing: a recording's kernels with their arguments, or the graph that was captured with everything in its place. */

static int set_argument(const Recording *self, const Use *use, Handle argument)
{
    self->commands.launches[use->launch].values[use->position] = (uint64_t)(uintptr_t)argument;
    return 1;
}

static int write_to(const Recording *self, Handle target, const void *host, size_t size)
{
    return self->driver.copy_in(target, host, size, self->commands.stream) == 0;
}

static int launch_all(const Driver *driver, const Commands *commands)
{
    for (Py_ssize_t k = 0; k < commands->n_launches; k++) {
        const Launch *launch = &commands->launches[k];
        const unsigned *grid = launch->grid, *block = launch->block;
        if (driver->launch(launch->function, grid[0], grid[1], grid[2], block[0], block[1], block[2], 0,
                commands->stream, launch->arguments, NULL))
            return 0;
    }
    return 1;
}

/* --- graphs ------------------------------------------------------------------------------------------------------- */

static Handle place_of(const Place *place)
{
    return PyLong_AsVoidPtr(*slot(place->block, classes.handle));
}

/* Where all lies that may lie elsewhere in another call; how much that is. */
static Py_ssize_t note_places(const Recording *self, Handle *places)
{
    Py_ssize_t n = 0;
    for (Py_ssize_t k = 0; k < self->n_inputs; k++)
        if (self->inputs[k].is_read)
            places[n++] = place_of(&self->inputs[k].place);
    for (Py_ssize_t k = 0; k < self->n_outputs; k++)
        places[n++] = place_of(&self->outputs[k].place);
    return n;
}

static const Graph *find_graph(const Commands *commands, const Handle *places, Py_ssize_t n)
{
    for (Py_ssize_t k = 0; k < commands->n_graphs; k++)
        if (!memcmp(commands->graphs[k].places, places, (size_t)n * sizeof *places))
            return &commands->graphs[k];
    return NULL;
}

/* Keep a graph, in the place of the oldest where there are many. */
static int keep_graph(Commands *commands, PyObject *replay, const Handle *places, Py_ssize_t n)
{
    PyObject *number = PyObject_GetAttrString(replay, "number");
    Graph made = {room(n, sizeof *places), replay, number ? PyLong_AsVoidPtr(number) : NULL};
    Py_XDECREF(number);
    if (PyErr_Occurred()) {
        PyMem_Free(made.places);
        return 0;
    }
    memcpy(made.places, places, (size_t)n * sizeof *places);
    Py_INCREF(replay);
    Graph *at = &commands->graphs[commands->next_graph], old = *at;
    commands->next_graph = (commands->next_graph + 1) % MOST_GRAPHS;
    *at = made;
    if (commands->n_graphs < MOST_GRAPHS)
        commands->n_graphs++;
    else
        clear_graph(&old); /* which may run code */
    return 1;
}

/* The memory of all that ``note_places`` notes, for Python: a tuple, or NULL with an exception. */
static PyObject *memory_of_all(
    const Recording *self, PyObject *const *items, const char *from_host, PyObject *const *made, const Stage *stage)
{
    Py_ssize_t n = self->n_outputs, at = 0;
    for (Py_ssize_t k = 0; k < self->n_inputs; k++)
        n += self->inputs[k].is_read;
    PyObject *all = PyTuple_New(n);
    for (Py_ssize_t k = 0; all && k < self->n_inputs; k++)
        if (self->inputs[k].is_read)
            PyTuple_SET_ITEM(
                all, at++, Py_NewRef(from_host[k] ? stage->memory[k] : *slot(items[k], classes.memory_of)));
    for (Py_ssize_t k = 0; all && k < self->n_outputs; k++)
        PyTuple_SET_ITEM(all, at++, Py_NewRef(*slot(made[k], classes.memory_of)));
    return all;
}

/* Queue by Python, and keep the graph that this has left. */
static int queue_by_python(Recording *self, PyObject *memory, const Handle *places, Py_ssize_t n)
{
    PyObject *replay = memory ? PyObject_CallOneArg(self->commands.queue, memory) : NULL;
    const int done = replay && (replay == Py_None || keep_graph(&self->commands, replay, places, n));
    Py_XDECREF(replay);
    return done;
}

/* The graph for these places, or by Python: then other code may run, and none of ``items`` is looked at any more. */
static int replay_or_queue(
    Recording *self, PyObject *const *items, const char *from_host, PyObject *const *made, const Stage *stage)
{
    Handle places[self->n_inputs + self->n_outputs + 1];
    const Py_ssize_t n = note_places(self, places);
    const Graph *graph = find_graph(&self->commands, places, n);
    if (graph)
        return self->driver.replay(graph->graph, self->commands.stream) == 0;
    PyObject *memory = memory_of_all(self, items, from_host, made, stage);
    const int done = queue_by_python(self, memory, places, n);
    Py_XDECREF(memory);
    return done;
}

static int has_event(const Recording *self, Stage *stage)
{
    return self->driver.new_event(&stage->event, WITHOUT_TIMING) == 0
        && self->driver.record(stage->event, self->commands.stream) == 0;
}

static int queue(
    Recording *self, PyObject *const *items, const char *from_host, PyObject *const *made, Stage *stage)
{
    const Commands *commands = &self->commands;
    int done = self->driver.use(commands->context) == 0 && is_placed(self, items, from_host, made, stage)
        && (commands->queue ? replay_or_queue(self, items, from_host, made, stage)
                            : launch_all(&self->driver, commands))
        && (!stage || has_event(self, stage));
    if (!done && stage) /* no event says when its copies are done */
        self->driver.finish(commands->stream);
    self->is_broken = !done;
    return done;
}
