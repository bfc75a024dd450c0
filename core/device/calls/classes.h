/* Objects as C sees them: arrays of a device, their memory and its block, whose slots are read in place. */

static struct Classes {
    PyTypeObject *array, *memory, *block, *travelling; /* the last: a block with copies on a queue of their own, or NULL */
    Py_ssize_t space, shape, dtype, memory_of, host, copied; /* of an array */
    Py_ssize_t block_of;                                     /* of memory */
    Py_ssize_t handle;                                       /* of a block: the driver's own number of it */
    Py_ssize_t arrived, leaves;                              /* of a travelling one: None, or what is waited for */
} classes;

static PyObject *name_of_recordings;

/* Where objects of a class have a slot; -1 with an exception where that is no slot. */
static Py_ssize_t slot_at(PyTypeObject *type, const char *name)
{
    PyObject *found = PyObject_GetAttrString((PyObject *)type, name);
    Py_ssize_t at = -1;
    const PyMemberDef *member = NULL;
    if (found && Py_IS_TYPE(found, &PyMemberDescr_Type))
        member = ((PyMemberDescrObject *)found)->d_member;
    if (member && member->type == T_OBJECT_EX)
        at = member->offset;
    else if (found)
        PyErr_Format(PyExc_TypeError, "%s of %s must be a slot", name, type->tp_name);
    Py_XDECREF(found);
    return at;
}

static inline PyObject **slot(PyObject *object, Py_ssize_t at)
{
    return (PyObject **)((char *)object + at);
}

static PyObject *know_classes(PyObject *module, PyObject *args)
{
    PyTypeObject *array, *memory, *block, *travelling = NULL;
    if (!PyArg_ParseTuple(args, "O!O!O!|O!", &PyType_Type, &array, &PyType_Type, &memory, &PyType_Type, &block,
            &PyType_Type, &travelling))
        return NULL;
    struct Classes found = {0}; /* what is refused changes nothing */
    if ((found.space = slot_at(array, "space")) < 0 || (found.shape = slot_at(array, "shape")) < 0
        || (found.dtype = slot_at(array, "dtype")) < 0 || (found.memory_of = slot_at(array, "memory")) < 0
        || (found.host = slot_at(array, "_host")) < 0 || (found.copied = slot_at(array, "_copied")) < 0
        || (found.block_of = slot_at(memory, "block")) < 0 || (found.handle = slot_at(block, "handle")) < 0
        || (travelling
            && ((found.arrived = slot_at(travelling, "arrived")) < 0
                || (found.leaves = slot_at(travelling, "leaves")) < 0)))
        return NULL;
    found.array = (PyTypeObject *)Py_NewRef(array);
    found.memory = (PyTypeObject *)Py_NewRef(memory);
    found.block = (PyTypeObject *)Py_NewRef(block);
    found.travelling = (PyTypeObject *)Py_XNewRef(travelling);
    classes = found;
    Py_RETURN_NONE;
}

/* The block of memory, borrowed; NULL for memory of another kind: it belongs to somebody else. */
static inline PyObject *block_of(PyObject *memory)
{
    PyObject *block = memory && Py_IS_TYPE(memory, classes.memory) ? *slot(memory, classes.block_of) : NULL;
    return block && PyObject_TypeCheck(block, classes.block) ? block : NULL;
}

/* Whether a copy from the host or to it is on its way, which a kernel would have to wait for. */
static inline int is_travelling(PyObject *block)
{
    return classes.travelling && Py_IS_TYPE(block, classes.travelling)
        && (*slot(block, classes.arrived) != Py_None || *slot(block, classes.leaves) != Py_None);
}

/* Whether nobody but ``holders`` can ever look at an array again, or at its memory. */
static int is_forgotten(PyObject *array, Py_ssize_t holders)
{
    if (Py_REFCNT(array) != holders)
        return 0;
    Py_XSETREF(*slot(array, classes.host), Py_NewRef(Py_None)); /* what only it sees would hold its memory */
    Py_XSETREF(*slot(array, classes.copied), Py_NewRef(Py_None));
    PyObject *memory = *slot(array, classes.memory_of);
    const Py_ssize_t weak = Py_TYPE(memory)->tp_weaklistoffset;
    return Py_REFCNT(array) == holders && Py_REFCNT(memory) == 1 && !(weak > 0 && *slot(memory, weak));
}
