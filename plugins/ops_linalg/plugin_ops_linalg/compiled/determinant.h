/* The sign and the logarithm of the absolute value of a determinant; the determinant itself where ``log`` is 0. */
#ifndef CORE_LINALG_DETERMINANT_LETTER
#define CORE_LINALG_DETERMINANT_LETTER

static void core_LETTERdeterminant_of(int64_t n, const ELEMENT *f, const int32_t *pivots, int first, ELEMENT *sign, REAL *logabs)
{
    ELEMENT product = 1;
    REAL sum = 0;
    for (int64_t i = 0; i < n; i++) {
        const ELEMENT pivot = f[i * n + i];
        if (pivots[i] != i + first) product = -product;
        if (!logabs) product = core_LETTERtimes(product, pivot);
        else {
            const REAL size = core_LETTERsize(pivot);
            sum += LOG(size);
#if PARTS == 2
            product = size == 0 ? 0 : core_LETTERtimes(product, pivot / size);
#else
            product *= pivot == 0 ? 0 : pivot < 0 ? -1 : 1;  /* as NumPy has it for NaN */
#endif
        }
    }
    *sign = product;
    if (logabs) *logabs = sum;
}

#endif

static int64_t core_LETTERdeterminant(core_LETTERgetrf getrf, int64_t n, const ELEMENT *a, int64_t rows, int64_t columns,
    ELEMENT *sign, REAL *logabs)
{
    if (n <= SMALL) {
        ELEMENT own[SMALL * SMALL];
        int32_t exchanged[SMALL];
        core_LETTERcopy(n, n, a, rows, columns, own);
        core_LETTERlu_small(n, own, exchanged);
        core_LETTERdeterminant_of(n, own, exchanged, 0, sign, logabs);
        return 0;
    }
    const int order = (int)n;
    int info = 0, *pivots;
    ELEMENT *f = core_LETTERcopied(n, a, rows, columns, &pivots);
    if (!f) return CORE_NO_MEMORY;
    getrf(&order, &order, f, &order, pivots, &info);
    core_LETTERdeterminant_of(n, f, pivots, 1, sign, logabs);
    free(f);
    return 0;
}
