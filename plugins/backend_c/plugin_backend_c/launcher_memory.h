/* Memory of memory.h for arrays that own it: what NumPy calls, with the lock of the interpreter. */

static PyObject *release_memory(PyObject *module, PyObject *unused)
{
    release_blocks(1);
    Py_RETURN_NONE;
}

static void *numpy_malloc(void *context, size_t size)
{
    return get_block(size, 1);
}

static void *numpy_calloc(void *context, size_t count, size_t size)
{
    void *block = size && count > SIZE_MAX / 2 / size ? NULL : get_block(count * size, 1);
    return block ? memset(block, 0, count * size) : NULL;
}

static void *numpy_realloc(void *context, void *block, size_t size)
{
    return realloc(block, capacity_for(size)); /* if aligned less, the pool will not take it */
}

static void numpy_free(void *context, void *block, size_t size)
{
    if (block)
        give_block(block, size, 1);
}

static PyDataMem_Handler handler = {
    "core_pool", 1, {NULL, numpy_malloc, numpy_calloc, numpy_realloc, numpy_free}};
static PyObject *handler_capsule;
