/* Python's and NumPy's numbers as arguments without axes: those that every rule takes, as core.tensor.type has them. */

/* A number as a 0-d array of ``dtype``: a new reference.  NULL without an exception: it is no number, or one that may not
 * fit, and the slow path says so. */
static PyObject *number_as_array(PyObject *item, PyArray_Descr *dtype)
{
    const int is_float = dtype->type_num == NPY_DOUBLE || dtype->type_num == NPY_FLOAT;
    double value = 0;
    if (PyFloat_CheckExact(item)) {
        value = PyFloat_AS_DOUBLE(item);
        if (!is_float)
            return NULL;
    } else if (PyLong_CheckExact(item)) {
        int overflow;
        value = (double)PyLong_AsLongLongAndOverflow(item, &overflow);
        if (overflow || !(is_float || PyTypeNum_ISINTEGER(dtype->type_num)))
            return NULL;
    } else if (PyArray_IsScalar(item, Number) || PyArray_IsScalar(item, Bool)) {
        PyArray_Descr *own = PyArray_DescrFromScalar(item);
        const int is_same = own == dtype;
        Py_XDECREF(own);
        PyObject *found = is_same ? PyArray_FromScalar(item, NULL) : NULL;
        if (!found)
            PyErr_Clear();
        return found;
    } else
        return NULL;
    if (is_float && dtype->type_num != NPY_DOUBLE && value - value == 0 && (value > FLT_MAX || value < -FLT_MAX))
        return NULL; /* NumPy warns of that */
    PyObject *array = PyArray_NewFromDescr(
        &PyArray_Type, (PyArray_Descr *)Py_NewRef((PyObject *)dtype), 0, NULL, NULL, NULL, 0, NULL);
    if (!array || PyArray_SETITEM((PyArrayObject *)array, PyArray_DATA((PyArrayObject *)array), item) < 0) {
        PyErr_Clear();
        Py_CLEAR(array);
    }
    return array;
}
