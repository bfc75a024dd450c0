/* Objects whose call is that of what they hold.  Python looks for ``__call__`` of an object on its class, finds a slot, reads
 * it, and packs the arguments into a tuple: half as much again as a call of the launcher takes.  A subclass made here goes
 * straight on.  It adds to each object what Python's vectorcall protocol asks for (PEP 590).
 */

#include <structmember.h>

/* What stands behind the fields of the base. */
typedef struct {
    vectorcallfunc vectorcall;
    Py_ssize_t held; /* where in the object the slot ``__call__`` is */
} Tail;

static Tail *tail_of(PyObject *object)
{
    return (Tail *)((char *)object + Py_TYPE(object)->tp_vectorcall_offset);
}

static PyObject *call_held(PyObject *object, PyObject *const *args, size_t nargsf, PyObject *names)
{
    PyObject *held = *(PyObject **)((char *)object + tail_of(object)->held);
    if (!held) {
        PyErr_SetString(PyExc_AttributeError, "__call__");
        return NULL;
    }
    Py_INCREF(held); /* it may be replaced while it runs */
    PyObject *result = PyObject_Vectorcall(held, args, nargsf, names);
    Py_DECREF(held);
    return result;
}

/* Where objects of a class keep ``__call__``; -1 with an exception where that is no slot of the class. */
static Py_ssize_t held_at(PyTypeObject *type)
{
    PyObject *found = PyObject_GetAttrString((PyObject *)type, "__call__");
    Py_ssize_t at = -1;
    if (found && Py_IS_TYPE(found, &PyMemberDescr_Type) && ((PyMemberDescrObject *)found)->d_member->type == T_OBJECT_EX)
        at = ((PyMemberDescrObject *)found)->d_member->offset;
    else if (found)
        PyErr_Format(PyExc_TypeError, "__call__ of %s must be a slot", type->tp_name);
    Py_XDECREF(found);
    return at;
}

static PyObject *new_callable(PyTypeObject *type, Py_ssize_t items)
{
    const Py_ssize_t at = held_at(type);
    PyObject *made = at < 0 ? NULL : PyType_GenericAlloc(type, items);
    if (made)
        *tail_of(made) = (Tail){call_held, at};
    return made;
}

/* A subclass of a class that has a slot ``__call__``. */
static PyObject *callable_type(PyObject *module, PyObject *given)
{
    if (!PyType_Check(given) || held_at((PyTypeObject *)given) < 0)
        return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_TypeError, "a class is needed, got %R", given);
    PyTypeObject *const base = (PyTypeObject *)given;
    const Py_ssize_t start = base->tp_basicsize; /* of pointers alone, so that the tail is aligned */
    PyMemberDef members[] = {{"__vectorcalloffset__", T_PYSSIZET, start, READONLY, NULL}, {0}};
    PyType_Slot slots[] = {
        {Py_tp_call, PyVectorcall_Call}, {Py_tp_alloc, new_callable}, {Py_tp_members, members}, {0, NULL}};
    char name[256];
    snprintf(name, sizeof name, "core_launcher.%s", base->tp_name);
    PyType_Spec spec = {name, (int)start + (int)sizeof(Tail), 0,
        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL, slots};
    PyObject *made = PyType_FromSpecWithBases(&spec, given);
    /* tp_call has brought an attribute of its own, which would hide the slot */
    if (made && PyDict_DelItemString(((PyTypeObject *)made)->tp_dict, "__call__") < 0)
        Py_CLEAR(made);
    if (made)
        PyType_Modified((PyTypeObject *)made);
    return made;
}
