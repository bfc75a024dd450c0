/* Complex to complex along several axes: the last reads x, the others work in y.  Returns what is wrong. */
static __attribute__((noinline)) int core_LETTERfourier(core_call *call, int ndim, int count, const int *axes,
    int inverse, double power, void *x, const int64_t *shape, const int64_t *x_by, void *y)
{
    int64_t by[CORE_FT_NDIM], distance = 1;
    double n = 1;
    for (int i = ndim - 1; i >= 0; i--) by[i] = distance, distance *= shape[i];
    for (int i = 0; i < count; i++) n *= (double)shape[axes[i]];
    double scale = power == 0 ? 1 : 1 / (power == 1 ? n : __builtin_sqrt(n));
    int failed = 0;
    for (int i = count - 1; i >= 0 && !failed; i--, x = y, x_by = by, scale = 1)
        failed = core_LETTERft_along_axis(call, CORE_FT_WHOLE, inverse, scale, ndim, axes[i], x, shape, x_by, y, shape);
    return failed;
}
