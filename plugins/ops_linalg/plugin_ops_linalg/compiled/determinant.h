/* The sign and the logarithm of the absolute value of a determinant; the determinant itself where ``log`` is 0. */
static int64_t core_LETTERdeterminant(core_LETTERgetrf getrf, int64_t n, const REAL *a, int64_t rows, int64_t columns,
    REAL *sign, REAL *logabs)
{
    const int order = (int)n;
    int info = 0, *pivots;
    REAL *f = core_LETTERcopied(n, a, rows, columns, &pivots), product = 1, sum = 0;
    if (!f) return CORE_NO_MEMORY;
    if (n) getrf(&order, &order, f, &order, pivots, &info);
    for (int64_t i = 0; i < n; i++) {
        const REAL pivot = f[i * n + i];
        if (pivots[i] != i + 1) product = -product;
        if (!logabs) product *= pivot;
        else {
            sum += LOG(MAGNITUDE(pivot));
            product *= pivot > 0 ? 1 : pivot < 0 ? -1 : pivot;
        }
    }
    free(f);
    *sign = product;
    if (logabs) *logabs = sum;
    return 0;
}
