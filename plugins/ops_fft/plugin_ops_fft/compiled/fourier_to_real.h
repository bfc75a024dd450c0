/* Half a spectrum to real.  Returns what is wrong. */
static __attribute__((noinline)) int core_LETTERfourier_to_real(core_call *call, int ndim, int axis, int transposed,
    double power, void *x, const int64_t *shape, const int64_t *x_by, void *y, const int64_t *y_shape)
{
    const double n = (double)y_shape[axis], scale = power == 0 ? 1 : 1 / (power == 1 ? n : __builtin_sqrt(n));
    return core_LETTERft_along_axis(call, CORE_FT_FROM_HALF, transposed, scale, ndim, axis, x, shape, x_by, y, y_shape);
}
