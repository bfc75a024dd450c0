/* The sign and the logarithm of the absolute value of a determinant; the determinant itself where ``log`` is 0. */
#ifndef CORE_LINALG_DETERMINANT_LETTER
#define CORE_LINALG_DETERMINANT_LETTER

static void core_LETTERdeterminant_of(int64_t n, const REAL *f, const int32_t *pivots, int first, REAL *sign, REAL *logabs)
{
    REAL product = 1, sum = 0;
    for (int64_t i = 0; i < n; i++) {
        const REAL pivot = f[i * n + i];
        if (pivots[i] != i + first) product = -product;
        if (!logabs) product *= pivot;
        else {
            sum += LOG(MAGNITUDE(pivot));
            product *= pivot == 0 ? 0 : pivot < 0 ? -1 : 1;  /* as NumPy has it for NaN */
        }
    }
    *sign = product;
    if (logabs) *logabs = sum;
}

#endif

static int64_t core_LETTERdeterminant(core_LETTERgetrf getrf, int64_t n, const REAL *a, int64_t rows, int64_t columns,
    REAL *sign, REAL *logabs)
{
    if (n <= SMALL) {
        REAL own[SMALL * SMALL];
        int32_t exchanged[SMALL];
        core_LETTERcopy(n, n, a, rows, columns, own);
        core_LETTERlu_small(n, own, exchanged);
        core_LETTERdeterminant_of(n, own, exchanged, 0, sign, logabs);
        return 0;
    }
    const int order = (int)n;
    int info = 0, *pivots;
    REAL *f = core_LETTERcopied(n, a, rows, columns, &pivots);
    if (!f) return CORE_NO_MEMORY;
    getrf(&order, &order, f, &order, pivots, &info);
    core_LETTERdeterminant_of(n, f, pivots, 1, sign, logabs);
    free(f);
    return 0;
}
