/* How an argument lies in memory where it does not lie row by row, as core.ir.layouts has it. */

typedef struct {
    int moving;      /* axes, in ``order``, the slowest first */
    int packed, unit;
    int8_t *order;     /* of the axes that move */
    int8_t *backwards; /* of each axis of the array */
} ArrayLayout;

/* Read (order, backwards, packed, unit) for an array of ``ndim`` axes; NULL with an exception. */
static ArrayLayout *read_layout(PyObject *given, int ndim)
{
    PyObject *order, *backwards;
    int packed, unit;
    if (!PyArg_ParseTuple(given, "O!O!pp", &PyTuple_Type, &order, &PyTuple_Type, &backwards, &packed, &unit))
        return NULL;
    const Py_ssize_t moving = PyTuple_GET_SIZE(order), falling = PyTuple_GET_SIZE(backwards);
    ArrayLayout *layout = PyMem_Calloc(1, sizeof(ArrayLayout) + 2 * (size_t)ndim);
    if (!layout)
        return (ArrayLayout *)PyErr_NoMemory();
    *layout = (ArrayLayout){(int)moving, packed, unit, (int8_t *)(layout + 1), (int8_t *)(layout + 1) + ndim};
    for (Py_ssize_t k = 0; k < moving + falling; k++) {
        const long axis = PyLong_AsLong(k < moving ? PyTuple_GET_ITEM(order, k) : PyTuple_GET_ITEM(backwards, k - moving));
        if (axis < 0 || axis >= ndim || moving > ndim) {
            PyMem_Free(layout);
            return (ArrayLayout *)(PyErr_Occurred() ? NULL : PyErr_Format(PyExc_ValueError, "no axis %ld of %d", axis, ndim));
        }
        if (k < moving)
            layout->order[k] = (int8_t)axis;
        else
            layout->backwards[axis] = 1;
    }
    return layout;
}

/* How many integers a call passes besides the lengths. */
static int layout_extras(const ArrayLayout *layout)
{
    return layout->packed ? 0 : layout->moving - layout->unit;
}

/* Whether ``array`` lies exactly like that.  If so, the integers that it passes are put to ``*at``, which moves behind
 * them, and the lowest address of its elements to ``*lowest``. */
static int lies_like(const ArrayLayout *layout, PyArrayObject *array, int64_t **at, void **lowest)
{
    const int ndim = PyArray_NDIM(array), last = layout->moving - 1;
    const npy_intp *dims = PyArray_DIMS(array), *strides = PyArray_STRIDES(array), size = PyArray_ITEMSIZE(array);
    char *first = PyArray_DATA(array);
    int moving = 0;
    if (!PyArray_CHKFLAGS(array, NPY_ARRAY_ALIGNED) || PyArray_CHKFLAGS(array, NPY_ARRAY_C_CONTIGUOUS))
        return 0;
    for (int axis = 0; axis < ndim; axis++) {
        moving += dims[axis] > 1 && strides[axis];
        if (dims[axis] > 1 && (strides[axis] < 0) != layout->backwards[axis])
            return 0;
        if (!dims[axis] || strides[axis] % size)
            return 0;
    }
    if (moving != layout->moving)
        return 0;
    int64_t *const moves = *at + ndim;
    npy_intp outer = 0;
    int packed = 1;
    for (int k = 0; k <= last; k++) {
        const int axis = layout->order[k];
        const npy_intp step = (strides[axis] < 0 ? -strides[axis] : strides[axis]) / size, n = dims[axis];
        if (n < 2 || !step || (k && outer <= step * (n - 1)))
            return 0;
        packed &= !k || outer == step * n;
        if (k && k < last && outer % step)
            return 0;
        if (k && !layout->packed)
            moves[k - 1] = k < last ? outer / step : outer;
        if (strides[axis] < 0)
            first += (n - 1) * strides[axis];
        outer = step;
    }
    const int unit = last < 0 || outer == 1;
    if (unit != layout->unit || (packed && unit) != layout->packed)
        return 0;
    if (!unit)
        moves[last] = outer;
    for (int axis = 0; axis < ndim; axis++)
        (*at)[axis] = dims[axis];
    *at += ndim + layout_extras(layout);
    *lowest = first;
    return 1;
}
